//! The task of a running query: epochs one after the other, restarts, and the end.

use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, future};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use headwater_core::clock::Clock;
use headwater_core::crash_point::CrashPoint;
use headwater_core::{Error, Result};

use super::{QueryState, Shared, Turns};
use crate::epoch_loop::{EpochLoop, Step};
use crate::progress::EpochProgress;
use crate::restart::{Failure, Restarts};
use crate::retry::Retries;

/// How many progress reports are kept.
const PROGRESS_KEPT: usize = 100;
/// How long a running epoch may go on after its query was asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// The task of a query.
pub(super) struct Run {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) look: Arc<Notify>,
    pub(super) turn: watch::Sender<Turns>,
}

impl Run {
    pub(super) async fn run_to_end(self, epoch_loop: EpochLoop, name: String) {
        // A panic in a user's function ends this query and no other. The loop is gone when this
        // is over, so the lock of the checkpoint is free before anybody hears that the query has
        // ended.
        let result = std::panic::AssertUnwindSafe(self.run_with_restarts(epoch_loop, &name))
            .catch_unwind()
            .await;
        let result = result.unwrap_or_else(|panic| Err(panicked(&*panic)));
        {
            let mut shared = self.shared.lock();
            match result {
                Ok(()) => {
                    tracing::info!(query = %name, "query stopped");
                    shared.state = QueryState::Stopped;
                }
                Err(error) => {
                    tracing::error!(query = %name, %error, "query failed");
                    shared.state = QueryState::Failed;
                    shared.error = Some(error);
                }
            }
        }
        self.turn.send_modify(|t| t.ended = true);
    }

    /// Runs the query, and opens it again from its checkpoint when it failed for a reason that may
    /// pass and the policy allows it.
    async fn run_with_restarts(&self, mut epoch_loop: EpochLoop, name: &str) -> Result<()> {
        let clock = Arc::clone(epoch_loop.clock());
        let mut restarts = Restarts::new(epoch_loop.restart_policy());
        loop {
            let epochs_before = self.turn.borrow().epochs;
            let mut failure = match self.run(&mut epoch_loop).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if self.turn.borrow().epochs > epochs_before {
                restarts.start_anew();
            }
            epoch_loop.abandon().await;
            let spec = epoch_loop.into_spec();
            epoch_loop = loop {
                let wait = restarts.wait_after(failure)?;
                tracing::warn!(query = %name, "the query is opened again in {wait:?}");
                self.shared.lock().state = QueryState::Waiting;
                let mut stopped = self.stopped.clone();
                tokio::select! {
                    biased;
                    _ = stopped.wait_for(|stop| *stop) => return Ok(()),
                    () = clock.sleep(wait) => {}
                }
                match EpochLoop::open(spec.clone()).await {
                    Ok(opened) => break opened,
                    Err(error) => failure = Failure::of(error),
                }
            };
        }
    }

    async fn run(&self, epoch_loop: &mut EpochLoop) -> Result<(), Failure> {
        match self.run_epochs(epoch_loop).await? {
            Ending::Abandoned => {
                epoch_loop.abandon().await;
                Ok(())
            }
            Ending::Asked => {
                CrashPoint::ShutdownDrain.reach();
                epoch_loop.commit().await.map_err(Failure::of)
            }
        }
    }

    async fn run_epochs(&self, epoch_loop: &mut EpochLoop) -> Result<Ending, Failure> {
        let mut stopped = self.stopped.clone();
        let clock = Arc::clone(epoch_loop.clock());
        let mut waits = Retries::new();
        loop {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return Ok(Ending::Asked),
                () = epoch_loop.wait_for_trigger() => {}
            }
            self.shared.lock().state = QueryState::Running;
            let epoch = epoch_loop.next_epoch();
            let stepped = tokio::select! {
                biased;
                stepped = epoch_loop.step() => stepped.map_err(Failure::of)?,
                () = patience_ends(stopped.clone(), &*clock) => {
                    tracing::warn!(%epoch, "epoch abandoned after {STOP_PATIENCE:?}; a checkpoint goes on after its last commit");
                    return Ok(Ending::Abandoned);
                }
            };
            match stepped {
                Step::Ran(progress) => self.report(*progress),
                Step::Finished => return Ok(Ending::Asked),
                Step::Lost(error) => return Err(Failure::Lost(error)),
                Step::Nothing => {
                    if !epoch_loop.has_waiting() {
                        self.turn.send_modify(|t| t.caught_up += 1);
                    }
                    self.shared.lock().state = QueryState::Waiting;
                    let ready = tokio::select! {
                        biased;
                        _ = stopped.wait_for(|stop| *stop) => return Ok(Ending::Asked),
                        () = self.look.notified() => Ok(()),
                        ready = epoch_loop.wait() => ready,
                    };
                    match ready {
                        Ok(()) => waits = Retries::new(),
                        Err(error) => {
                            let what = "waiting for a source";
                            let waited = waits.wait_after(error, what, &*clock).await;
                            waited.map_err(Failure::of)?;
                        }
                    }
                }
            }
        }
    }

    fn report(&self, progress: EpochProgress) {
        tracing::debug!(
            epoch = %progress.epoch,
            rows_in = progress.rows_in,
            rows_out = progress.rows_out,
            watermark = %progress.watermark,
            "epoch committed"
        );
        {
            let mut shared = self.shared.lock();
            shared.totals.add(&progress);
            if shared.recent.len() == PROGRESS_KEPT {
                shared.recent.pop_front();
            }
            shared.recent.push_back(progress);
        }
        self.turn.send_modify(|t| t.epochs += 1);
    }
}

/// How a query came to its end.
enum Ending {
    /// It was asked to stop, or there is nothing left to read.
    Asked,
    /// It was asked to stop, and its epoch took too long.
    Abandoned,
}

/// Completes when a running epoch has had its time after it was asked to stop.
async fn patience_ends(mut stopped: watch::Receiver<bool>, clock: &dyn Clock) {
    // Without a sender there is no handle either, and the task is dropped.
    let is_told = stopped.wait_for(|stop| *stop).await.is_ok();
    if !is_told {
        future::pending::<()>().await;
    }
    clock.sleep(STOP_PATIENCE).await;
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    Error::internal(format!("the query panicked: {}", text.unwrap_or_default()))
        .with_hint("If a function of yours did not panic, please report this.")
}
