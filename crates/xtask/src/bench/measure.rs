//! What a process cost: wall time, CPU time of its whole tree, peak memory.
//!
//! The CPU time is what the system adds to this process's account of children that it has waited
//! for, in ticks of 10 ms; the broker's supervisor is not waited for meanwhile. The peak memory is
//! the `VmHWM` of the process, read as long as it lives; the system keeps that maximum itself, so
//! nothing between two readings is lost but a rise in the last milliseconds.

use std::fmt;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::command::describe;
use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::stopwatch::Stopwatch;

const POLL_INTERVAL: Duration = Duration::from_millis(5);
const RUN_MAX: Duration = Duration::from_secs(900);
/// `USER_HZ`, which is 100 on every platform that Rust calls Linux.
const TICKS_PER_SECOND: f64 = 100.0;
const LOG_LINES_SHOWN_MAX: usize = 40;

/// What one process cost.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cost {
    pub(super) wall_s: f64,
    pub(super) cpu_s: f64,
    pub(super) rss_peak_bytes: u64,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rss_mb = self.rss_peak_bytes / 1_000_000;
        let Cost { wall_s, cpu_s, .. } = self;
        write!(f, "{wall_s:.2} s, {cpu_s:.2} CPU-s, {rss_mb} MB")
    }
}

/// Where standard output goes, in the folder of the run, …
pub(super) const PRINTED: &str = "printed";
/// … and where standard error does.
pub(super) const LOG: &str = "log";

/// Runs a command to its end; what it prints goes to two files in `folder`.
///
/// # Errors
/// If it fails, with the end of what it printed, or takes longer than a quarter of an hour.
pub(super) fn measure(command: &mut Command, folder: &Path) -> Result<Cost> {
    let text = describe(command);
    let run = run_measured(command, folder).context(|| format!("could not run `{text}`"))?;
    match run {
        (Some(status), cost) if status.success() => Ok(cost),
        (Some(status), _) => Err(failed(&text, &status.to_string(), folder)),
        (None, _) => Err(failed(&text, "it did not end in time", folder)),
    }
}

fn failed(text: &str, how: &str, folder: &Path) -> Failure {
    let [printed, log] = [PRINTED, LOG].map(|name| {
        let tail = files::tail(&folder.join(name), LOG_LINES_SHOWN_MAX);
        if tail.is_empty() {
            tail
        } else {
            format!("\n{tail}")
        }
    });
    Failure::new(format!("`{text}` failed: {how}{printed}{log}"))
}

/// The status, none if the process had to be killed, and the cost.
fn run_measured(
    command: &mut Command,
    folder: &Path,
) -> std::io::Result<(Option<ExitStatus>, Cost)> {
    let printed = File::create(folder.join(PRINTED))?;
    let log = File::create(folder.join(LOG))?;
    let ticks_before = children_ticks()?;
    let stopwatch = Stopwatch::start();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(printed)
        .stderr(log)
        .spawn()?;
    let mut rss_peak_bytes = 0;
    let status = loop {
        rss_peak_bytes = rss_peak_bytes.max(peak_bytes(child.id()).unwrap_or(0));
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if stopwatch.elapsed() > RUN_MAX {
            child.kill()?;
            child.wait()?;
            break None;
        }
        std::thread::sleep(POLL_INTERVAL);
    };
    let cost = Cost {
        wall_s: stopwatch.elapsed().as_secs_f64(),
        cpu_s: (children_ticks()? - ticks_before) / TICKS_PER_SECOND,
        rss_peak_bytes,
    };
    Ok((status, cost))
}

/// CPU ticks of all children, and theirs, that were waited for.
fn children_ticks() -> std::io::Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    ticks_in(&stat).ok_or_else(|| std::io::Error::other("/proc/self/stat is not understood"))
}

/// The fields `cutime` and `cstime`. The second field is a name in parentheses that may hold
/// spaces, so fields are counted after it.
fn ticks_in(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(13);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn peak_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticks_of_children_are_found_after_any_name() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4 1 2 0 0 10 20 300 45 20 0 1 0 99 1 1";
        assert_eq!(ticks_in(stat), Some(345.0));
    }
}
