//! How long a message takes from a topic through a query to another topic, beside a relay: the same
//! clients without an engine.
//!
//! ```text
//! load ──▶ topic ──▶ relay, or a query ──▶ topic ──▶ arrivals
//!   when each message was sent                when it came, or a row that counts it
//! ```
//! `cargo xtask bench --latency` starts a broker, runs this, and makes quantiles and tables of what
//! it prints: a line of JSON for every run, with the latency of every message.
//!
//! ```sh
//! cargo bench --package headwater --bench latency -- \
//!     --bootstrap 127.0.0.1:9092 --rate 10000 --seconds 20 --rounds 3
//! ```
//! Subjects take turns. A message that does not arrive, or arrives twice, is an error and no figure.
//! The checkpoints are in the folder for temporary files, which `TMPDIR` names: it has to be on the
//! disk that is measured, and not in memory.

#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark measures the time of the machine, and sleeps between two messages"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use headwater::{Error, Result};
use serde_json::json;

mod arguments;
mod arrivals;
mod clients;
mod job;
mod load;
mod relay;

use arguments::Arguments;
use arrivals::Arrivals;
use clients::Cluster;
use job::Job;
use load::Load;
use relay::Relay;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Of a round.
const DURABLE_WRITES: usize = 200;

/// What stands between the two topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A consumer and a producer.
    Relay,
    /// A filter and a projection, delivered at least once.
    Project,
    /// The same, exactly once.
    ProjectOnce,
    /// A running count and maximum by key, in update mode, delivered at least once.
    Update,
    /// The same, exactly once.
    UpdateOnce,
}

impl Subject {
    const ALL: [Subject; 5] = [
        Subject::Relay,
        Subject::Project,
        Subject::ProjectOnce,
        Subject::Update,
        Subject::UpdateOnce,
    ];

    /// Its name in the lines of JSON.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subject::Relay => "relay",
            Subject::Project => "project",
            Subject::ProjectOnce => "project-exactly-once",
            Subject::Update => "update",
            Subject::UpdateOnce => "update-exactly-once",
        }
    }

    /// Whether it brings rows that count messages, and not the messages.
    pub(crate) fn is_aggregate(self) -> bool {
        matches!(self, Subject::Update | Subject::UpdateOnce)
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| broken("start threads", &e))?;
    let bench = Bench {
        cluster: Cluster::new(&arguments.bootstrap),
        arguments,
        runtime,
    };
    for round in 1..=bench.arguments.rounds {
        let mut subjects = bench.arguments.subjects.clone();
        // Whoever is first finds the machine after a pause.
        let turns = (round as usize - 1) % subjects.len();
        subjects.rotate_left(turns);
        say_durable_writes(round)?;
        for subject in subjects {
            bench.run(round, subject)?;
        }
    }
    Ok(())
}

/// What all runs share.
struct Bench {
    arguments: Arguments,
    cluster: Cluster,
    runtime: tokio::runtime::Runtime,
}

impl Bench {
    /// Sends all messages through a subject, and prints their latencies.
    fn run(&self, round: u32, subject: Subject) -> Result<()> {
        let name = format!("{}-{round}-{}", subject.name(), std::process::id());
        let (input, output) = (format!("in-{name}"), format!("out-{name}"));
        for topic in [&input, &output] {
            self.runtime.block_on(self.cluster.create_topic(topic))?;
        }
        let load = Arc::new(Load::new(self.arguments.rate, self.arguments.seconds));
        let arrivals = Arrivals::start(&self.cluster, &output, subject, &load)?;
        let between = Between::start(self, subject, [&input, &output])?;
        let sender = {
            let (load, cluster) = (Arc::clone(&load), self.cluster.clone());
            thread::spawn(move || load.send(&cluster, &input))
        };
        while !sender.is_finished() {
            between.check()?;
            thread::sleep(Duration::from_millis(100));
        }
        let rate = joined(sender)?;
        arrivals.wait_for_all(|| between.check())?;
        let epochs = between.stop(self)?;
        let latencies = arrivals.latencies_us()?;
        let steps = epochs.as_ref().map_or_else(String::new, Epochs::describe);
        notice(&format!(
            "round {round}: {} messages through {}{steps}",
            latencies.len(),
            subject.name()
        ))?;
        say(&json!({
            "subject": subject.name(),
            "round": round,
            "messages_per_s": rate,
            "optimised": !cfg!(debug_assertions),
            "epochs": epochs.as_ref().map(|e| e.count),
            "epoch_ms": epochs.as_ref().map(|e| e.median_ms),
            "step_times_ms": epochs.as_ref().map(|e| &e.steps_ms),
            "latencies_us": latencies,
        }))
    }
}

/// What is measured, while it runs.
enum Between {
    Relay(Relay),
    Job(Job),
}

/// The epochs of a run.
pub(crate) struct Epochs {
    count: u64,
    /// Of the last hundred.
    median_ms: f64,
    /// Of the steps of the last hundred on average.
    steps_ms: BTreeMap<String, f64>,
}

impl Epochs {
    /// Their number and what one takes, to follow the subject's name.
    fn describe(&self) -> String {
        let steps = self.steps_ms.iter();
        let steps: Vec<String> = steps.map(|(step, ms)| format!("{step} {ms:.2}")).collect();
        let (count, median, steps) = (self.count, self.median_ms, steps.join(", "));
        format!(" in {count} epochs of {median:.2} ms: {steps}")
    }
}

impl Between {
    fn start(bench: &Bench, subject: Subject, topics: [&str; 2]) -> Result<Self> {
        if subject == Subject::Relay {
            return Ok(Between::Relay(Relay::start(&bench.cluster, topics)?));
        }
        let job = Job::start(&bench.cluster, subject, topics);
        Ok(Between::Job(bench.runtime.block_on(job)?))
    }

    /// An error if it has ended.
    fn check(&self) -> Result<()> {
        match self {
            Between::Relay(relay) => relay.check(),
            Between::Job(job) => job.check(),
        }
    }

    fn stop(self, bench: &Bench) -> Result<Option<Epochs>> {
        match self {
            Between::Relay(relay) => relay.stop().map(|()| None),
            Between::Job(job) => bench.runtime.block_on(job.stop()).map(Some),
        }
    }
}

/// What a thread has come to.
pub(crate) fn joined<T>(thread: thread::JoinHandle<Result<T>>) -> Result<T> {
    let ended = thread.join();
    ended.unwrap_or_else(|_| Err(Error::internal("a thread of the benchmark panicked")))
}

/// What is said when something outside does not do what it should.
pub(crate) fn broken(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("the benchmark could not {what}: {error}"))
}

/// What every epoch waits for twice at least: a small file that is written, synced and renamed, and
/// its folder synced. Prints how long that takes while nothing else is measured.
fn say_durable_writes(round: u32) -> Result<()> {
    let folder = tempfile::tempdir().map_err(|e| broken("make a folder", &e))?;
    let mut latencies_us = Vec::with_capacity(DURABLE_WRITES);
    for _ in 0..DURABLE_WRITES {
        let begun = Instant::now();
        write_durably(folder.path()).map_err(|e| broken("write a file", &e))?;
        latencies_us.push(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    say(&json!({ "subject": "disk", "round": round, "latencies_us": latencies_us }))
}

fn write_durably(folder: &Path) -> std::io::Result<()> {
    let hidden = folder.join(".record.tmp");
    let mut file = File::create(&hidden)?;
    file.write_all(&[b' '; 1_000])?;
    file.sync_all()?;
    std::fs::rename(&hidden, folder.join("record"))?;
    File::open(folder)?.sync_all()
}

fn say(line: &serde_json::Value) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").map_err(|e| broken("print", &e))
}

/// What a person at the terminal sees meanwhile.
fn notice(line: &str) -> Result<()> {
    writeln!(std::io::stderr(), "{line}").map_err(|e| broken("print", &e))
}
