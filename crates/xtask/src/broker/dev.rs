//! A broker that is left running for a developer, one of each kind.
//!
//! A file in the cache remembers it. The process is stopped only while it still runs the broker's
//! executable, because its number may have gone to another program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{BrokerKind, POLL_INTERVAL, RunningPlace, wheel};
use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::say::{say, warn};
use crate::stopwatch::Stopwatch;

const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// What is remembered of a running broker.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: u32,
    bootstrap: String,
    directory: PathBuf,
}

/// Starts a broker, unless one runs, and prints its address.
///
/// # Errors
/// If it cannot be downloaded or does not start.
pub(super) fn start(kind: BrokerKind, port: Option<u16>) -> Result<()> {
    let executable = wheel::executable(kind)?;
    if let Some(record) = read_record(kind)? {
        if runs(record.pid, &executable) {
            warn(format_args!("broker \"{}\" runs already", kind.name()));
            say(format_args!("BOOTSTRAP={}", record.bootstrap));
            return Ok(());
        }
        forget(kind, &record)?;
    }
    let place = RunningPlace::create(kind, port)?;
    let mut broker = place.launch(&executable)?;
    if let Err(failure) = place.wait_until_ready(&mut broker) {
        // It may have ended already.
        let _ = broker.kill().and_then(|()| broker.wait());
        files::remove_dir(&place.directory)?;
        return Err(failure);
    }
    let record = Record {
        pid: broker.id(),
        bootstrap: place.bootstrap(),
        directory: place.directory,
    };
    let text = serde_json::to_string(&record).context(|| "could not write a record".into())?;
    files::write(&record_path(kind)?, &text)?;
    say(format_args!("BOOTSTRAP={}", record.bootstrap));
    Ok(())
}

/// Stops the broker that [`start`] started and removes its data; none running is no error.
///
/// # Errors
/// If it does not end.
pub(super) fn stop(kind: BrokerKind) -> Result<()> {
    let Some(record) = read_record(kind)? else {
        warn(format_args!("no broker \"{}\" was started", kind.name()));
        return Ok(());
    };
    let executable = wheel::executable(kind)?;
    for signal in ["TERM", "KILL"] {
        let stopwatch = Stopwatch::start();
        send(signal, record.pid, &executable);
        while runs(record.pid, &executable) && stopwatch.elapsed() < STOP_WAIT_MAX {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
    if runs(record.pid, &executable) {
        let pid = record.pid;
        return Err(Failure::new(format!("process {pid} does not end")));
    }
    forget(kind, &record)
}

fn record_path(kind: BrokerKind) -> Result<PathBuf> {
    Ok(wheel::brokers_dir()?.join(format!("{}.json", kind.name())))
}

fn read_record(kind: BrokerKind) -> Result<Option<Record>> {
    let path = record_path(kind)?;
    if !path.exists() {
        return Ok(None);
    }
    let record = serde_json::from_str(&files::read(&path)?);
    record
        .map(Some)
        .context(|| format!("\"{}\" is damaged; remove it", path.display()))
}

fn forget(kind: BrokerKind, record: &Record) -> Result<()> {
    files::remove_dir(&record.directory)?;
    let path = record_path(kind)?;
    fs::remove_file(&path).context(|| format!("could not remove \"{}\"", path.display()))
}

/// Whether the process runs this executable.
fn runs(pid: u32, executable: &Path) -> bool {
    let running = fs::read_link(format!("/proc/{pid}/exe"));
    let executable = executable.canonicalize();
    matches!((running, executable), (Ok(running), Ok(executable)) if running == executable)
}

/// Sends a signal to the process if it is the broker. `kill` is built into every shell; as a
/// program it is missing from small systems.
fn send(signal: &str, pid: u32, executable: &Path) {
    if runs(pid, executable) {
        let mut shell = Command::new("sh");
        let script = r#"kill -s "$1" "$2""#;
        shell.args(["-c", script, "sh", signal, &pid.to_string()]);
        // Whether it worked is seen by looking at the process.
        let _ = shell.status();
    }
}
