//! The process between a task and its broker; see [`super::guard`] for the protocol.

use std::process::{Child, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};

use super::{POLL_INTERVAL, RunningPlace, wheel};
use crate::failure::{Context as _, Failure, Result};
use crate::files;

/// Runs a broker until stdin ends, then kills it and removes its folder.
///
/// # Errors
/// If the broker cannot be started, or ends by itself. The folder then stays for its log.
pub(super) fn supervise(place: &RunningPlace) -> Result<()> {
    let mut broker = place.launch(&wheel::executable(place.kind)?)?;
    match wait_for_end(&mut broker, &watch_stdin())? {
        Some(status) => {
            let kind = place.kind.name();
            Err(Failure::new(format!(
                "broker \"{kind}\" ended by itself: {status}"
            )))
        }
        None => {
            kill(&mut broker)?;
            files::remove_dir(&place.directory)
        }
    }
}

/// The broker's status if it ended by itself, none if the task has gone.
fn wait_for_end(broker: &mut Child, task_gone: &Receiver<()>) -> Result<Option<ExitStatus>> {
    loop {
        match task_gone.recv_timeout(POLL_INTERVAL) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
        let status = broker.try_wait();
        if let Some(status) = status.context(|| "could not ask for the broker".to_string())? {
            return Ok(Some(status));
        }
    }
}

/// Sends one message when stdin has ended.
fn watch_stdin() -> Receiver<()> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        // An error is an end too.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        let _ = sender.send(());
    });
    receiver
}

/// There is nothing to save, so the broker is not asked to end.
fn kill(broker: &mut Child) -> Result<()> {
    let killed = broker.kill().and_then(|()| broker.wait());
    killed
        .map(|_| ())
        .context(|| "could not stop the broker".to_string())
}
