//! A broker that ends with the task that started it, however the task ends.
//!
//! ```text
//! task ──pipe──▶ supervisor (own process group) ──▶ broker (own process group)
//! ```
//!
//! The task holds the writing end of a pipe and never writes. When the task returns, panics, gets
//! a Ctrl-C or is killed, the system closes the pipe; the supervisor reads the end, kills the one
//! process it started and removes its folder. So no signal needs handling, and no process that
//! something else started can be hit.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};

use super::{BrokerKind, RunningPlace, wheel};
use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::say::warn;

/// A running broker; dropping it stops it.
#[derive(Debug)]
pub(crate) struct GuardedBroker {
    place: RunningPlace,
    supervisor: Child,
}

impl GuardedBroker {
    /// Starts a broker with no data, on a free port, and waits until it takes connections.
    ///
    /// # Errors
    /// If it cannot be downloaded or does not start; then nothing is left running.
    pub(crate) fn start(kind: BrokerKind) -> Result<Self> {
        wheel::executable(kind)?;
        let place = RunningPlace::create(kind, None)?;
        let supervisor = spawn_supervisor(&place)?;
        let mut broker = GuardedBroker { place, supervisor };
        broker.place.wait_until_ready(&mut broker.supervisor)?;
        Ok(broker)
    }

    /// Where clients connect first.
    pub(crate) fn bootstrap(&self) -> String {
        self.place.bootstrap()
    }

    fn stop(&mut self) -> Result<()> {
        drop(self.supervisor.stdin.take());
        let status = self.supervisor.wait();
        let status = status.context(|| "could not wait for the broker".to_string())?;
        let log = self.place.log_tail();
        files::remove_dir(&self.place.directory)?;
        if status.success() {
            return Ok(());
        }
        let kind = self.place.kind.name();
        Err(Failure::new(format!(
            "broker \"{kind}\" ended by itself\n{log}"
        )))
    }
}

impl Drop for GuardedBroker {
    fn drop(&mut self) {
        if let Err(failure) = self.stop() {
            warn(format_args!("warning: {failure}"));
        }
    }
}

fn spawn_supervisor(place: &RunningPlace) -> Result<Child> {
    // The path of this program may hold a newer build by now, or none; this link leads to the
    // file that runs.
    Command::new("/proc/self/exe")
        .arg0("xtask")
        .args(["broker", "supervise", place.kind.name()])
        .arg(place.port.to_string())
        .arg(&place.directory)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .context(|| "could not start the broker's supervisor".to_string())
}
