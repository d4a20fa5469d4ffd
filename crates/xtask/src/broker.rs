//! Kafka brokers for tests and measurements, from Python wheels: no Java, no containers.
//!
//! | kind | for | not for |
//! | --- | --- | --- |
//! | noida | right answers: transactions, `read_committed`, retention, compaction | much data |
//! | tansu | load: fast, in memory, long polling | right answers: see below |
//!
//! Tansu shows the rows of aborted transactions, and the latest offset it reports is the first
//! offset of the last batch plus one. A record sent alone at the end makes that offset exact.
//!
//! Tests and benchmarks hold a [`GuardedBroker`], which cannot outlive them.
//! `cargo xtask broker start` leaves one running for a developer.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clap::{Subcommand, ValueEnum};

use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::stopwatch::Stopwatch;

mod dev;
mod guard;
mod supervisor;
mod wheel;

pub(crate) use guard::GuardedBroker;

const START_WAIT_MAX: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const LOG_LINES_SHOWN_MAX: usize = 40;

/// Which broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BrokerKind {
    /// Right answers, small data
    Noida,
    /// Load only
    Tansu,
}

impl BrokerKind {
    fn name(self) -> &'static str {
        match self {
            BrokerKind::Noida => "noida",
            BrokerKind::Tansu => "tansu",
        }
    }
}

/// `cargo xtask broker …`
#[derive(Debug, Subcommand)]
pub(crate) enum BrokerCommand {
    /// Start a broker, leave it running and print its address
    Start {
        #[arg(value_enum, default_value = "noida")]
        kind: BrokerKind,
        /// Port on the loopback interface [default: one that is free]
        #[arg(long)]
        port: Option<u16>,
    },
    /// Stop the broker that `start` left running, and remove its data
    Stop {
        #[arg(value_enum, default_value = "noida")]
        kind: BrokerKind,
    },
    /// Run a broker until stdin ends
    #[command(hide = true)]
    Supervise(RunningPlace),
}

/// Runs a broker command.
///
/// # Errors
/// If the broker cannot be had, started or stopped.
pub(crate) fn run(command: BrokerCommand) -> Result<()> {
    match command {
        BrokerCommand::Start { kind, port } => dev::start(kind, port),
        BrokerCommand::Stop { kind } => dev::stop(kind),
        BrokerCommand::Supervise(place) => supervisor::supervise(&place),
    }
}

/// Where one broker runs.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct RunningPlace {
    #[arg(value_enum)]
    kind: BrokerKind,
    port: u16,
    /// Folder of the data and the log; it is removed with the broker.
    directory: PathBuf,
}

impl RunningPlace {
    /// A new, empty folder and a port, if not given one that is free.
    fn create(kind: BrokerKind, port: Option<u16>) -> Result<Self> {
        let port = port.map_or_else(free_port, Ok)?;
        let name = format!("run-{}-{}-{port}", kind.name(), std::process::id());
        let directory = wheel::brokers_dir()?.join(name);
        files::create_dir(&directory.join("data"))?;
        Ok(RunningPlace {
            kind,
            port,
            directory,
        })
    }

    fn bootstrap(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn log_tail(&self) -> String {
        files::tail(&self.log_path(), LOG_LINES_SHOWN_MAX)
    }

    /// Starts the broker in a process group of its own, so that a Ctrl-C at the terminal reaches
    /// its owner only.
    fn launch(&self, executable: &Path) -> Result<Child> {
        let log = File::create(self.log_path()).context(|| "could not create a log".to_string())?;
        let log_again = log.try_clone().context(|| "could not share a log".into())?;
        Command::new(executable)
            .args(self.arguments())
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(log_again)
            .process_group(0)
            .spawn()
            .context(|| format!("could not start broker \"{}\"", self.kind.name()))
    }

    fn arguments(&self) -> Vec<String> {
        let port = self.port.to_string();
        let data = self.directory.join("data").to_string_lossy().into_owned();
        let url = format!("tcp://{}", self.bootstrap());
        let words: &[&str] = match self.kind {
            BrokerKind::Noida => &[
                "start",
                "--data-dir",
                &data,
                "--only",
                "kafka",
                "--kafka-port",
                &port,
            ],
            BrokerKind::Tansu => &[
                "broker",
                "--listener-url",
                &url,
                "--advertised-listener-url",
                &url,
                "--storage-engine",
                "memory://tansu/",
            ],
        };
        words.iter().map(|word| (*word).to_string()).collect()
    }

    /// Waits until the broker takes connections, or `owner`, without which it cannot, has ended.
    fn wait_until_ready(&self, owner: &mut Child) -> Result<()> {
        let stopwatch = Stopwatch::start();
        while stopwatch.elapsed() < START_WAIT_MAX {
            let has_ended = owner.try_wait().is_ok_and(|status| status.is_some());
            if has_ended {
                return Err(self.failed_to_start("ended at once"));
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        Err(self.failed_to_start("took no connection in time"))
    }

    fn failed_to_start(&self, how: &str) -> Failure {
        let (kind, port) = (self.kind.name(), self.port);
        let log = self.log_tail();
        Failure::new(format!("broker \"{kind}\" on port {port} {how}\n{log}"))
    }
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    listener
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .context(|| "could not find a free port".to_string())
}
