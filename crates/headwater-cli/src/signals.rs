//! Ctrl-C and SIGTERM: the first one asks for an orderly end, the second one ends the process.
//!
//! One wish can come as two signals: `timeout -s INT` sends one to the process and one to its group.
//! So what follows within [`ONE_WISH`] belongs to the signal before.

use std::time::Duration;

use headwater::{Clock, SystemClock};

use headwater::datafusion::common::runtime::SpawnedTask;
use headwater::{Error, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use crate::exit_code::Exit;

/// Signals that are this close to each other are one wish.
const ONE_WISH: Duration = Duration::from_millis(500);
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// Listens for signals as long as it lives.
#[derive(Debug)]
pub(crate) struct Signals {
    first: watch::Sender<Option<u8>>,
    _task: SpawnedTask<()>,
}

impl Signals {
    /// Starts to listen; from now on a signal does not end the process by itself.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn listen() -> Result<Signals> {
        let failed = |error| Error::resource("could not listen for signals").with_source(error);
        let interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let terminations = signal(SignalKind::terminate()).map_err(failed)?;
        let (first, _) = watch::channel(None);
        let task = SpawnedTask::spawn(watch_signals(interrupts, terminations, first.clone()));
        Ok(Signals { first, _task: task })
    }

    /// Completes at the first signal, or at once if it has come; says how a process ends that has
    /// nothing to finish.
    pub(crate) async fn first(&self) -> Exit {
        let mut first = self.first.subscribe();
        let number = first.wait_for(Option::is_some).await;
        Exit::Signal(number.ok().and_then(|n| *n).unwrap_or(SIGINT))
    }

    /// Whether the first signal has come.
    pub(crate) fn has_come(&self) -> bool {
        self.first.borrow().is_some()
    }

    /// Forgets the first signal: the next one is the first again.
    pub(crate) fn rearm(&self) {
        self.first.send_replace(None);
    }

    /// Tells whether a signal has come, to those who cannot wait for it.
    pub(crate) fn watcher(&self) -> watch::Receiver<Option<u8>> {
        self.first.subscribe()
    }
}

async fn watch_signals(
    mut interrupts: Signal,
    mut terminations: Signal,
    first: watch::Sender<Option<u8>>,
) {
    let clock = SystemClock::new();
    let mut first_at = Duration::ZERO;
    loop {
        let number = tokio::select! {
            Some(()) = interrupts.recv() => SIGINT,
            Some(()) = terminations.recv() => SIGTERM,
            else => return,
        };
        if first.borrow().is_none() {
            first_at = clock.elapsed();
            first.send_replace(Some(number));
        } else if is_another(first_at, clock.elapsed()) {
            end_at_once(number);
        }
    }
}

/// Whether a signal is a wish of its own.
fn is_another(first_at: Duration, now: Duration) -> bool {
    now.saturating_sub(first_at) > ONE_WISH
}

#[expect(
    clippy::disallowed_methods,
    reason = "the second signal means: now, whatever is running"
)]
fn end_at_once(number: u8) {
    std::process::exit(128 | i32::from(number));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_close_to_each_other_are_one() {
        let first = Duration::from_secs(3);
        for (later_ms, expected) in [(0, false), (1, false), (500, false), (501, true)] {
            let now = first + Duration::from_millis(later_ms);
            assert_eq!(is_another(first, now), expected, "{later_ms}");
        }
    }
}
