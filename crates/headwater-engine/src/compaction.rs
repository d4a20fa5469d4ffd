//! Snapshots of state, made beside the epochs from the files that they have committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use datafusion_common_runtime::SpawnedTask;
use futures::FutureExt;
use parking_lot::Mutex;
use tokio::task::JoinError;

use headwater_checkpoint::{Checkpoint, StateFileRef};
use headwater_core::clock::Clock;
use headwater_core::{Error, Result};
use headwater_exec::state_registry::StateRegistry;

use crate::state_chain::StateChain;

/// Commits between a compaction that failed and the next.
const COMMITS_AFTER_FAILURE: u32 = 16;

/// How long an epoch may wait for a compaction that has been left behind.
const PATIENCE: Duration = Duration::from_secs(10);

/// The snapshot of a compaction, if it was not ended.
type Made = Result<Option<StateFileRef>>;

/// At most one compaction of a query's state files.
#[derive(Debug, Default)]
pub(crate) struct Compactor {
    running: Option<Running>,
    /// Commits to let pass before the next start.
    pause: u32,
}

/// A compaction that was started. Dropping it ends it, and returns when it has let go of the
/// checkpoint: whoever opens that next must find it free.
#[derive(Debug)]
struct Running {
    replaced: Vec<StateFileRef>,
    task: Option<SpawnedTask<Made>>,
    /// What the task has given, if somebody has waited for it.
    result: Option<Made>,
    is_over: Arc<AtomicBool>,
    released: Mutex<Receiver<()>>,
}

/// What the thread holds. The checkpoint goes first, then the word that it is gone.
struct Held {
    checkpoint: Arc<Checkpoint>,
    state: Arc<StateRegistry>,
    files: Vec<StateFileRef>,
    is_over: Arc<AtomicBool>,
    _released: SyncSender<()>,
}

impl Held {
    fn compact(&self) -> Made {
        self.checkpoint.compact(
            &self.files,
            &|operator, shard, chunks| self.state.rebuilt(operator, shard, chunks),
            &|| self.is_over.load(Ordering::Acquire),
        )
    }
}

impl Compactor {
    /// Whether one is running.
    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts one if the committed chain is due for it.
    pub(crate) fn start_if_due(
        &mut self,
        chain: &StateChain,
        checkpoint: &Arc<Checkpoint>,
        state: &Arc<StateRegistry>,
    ) {
        if self.pause > 0 {
            self.pause -= 1;
            return;
        }
        // A shard that has not run yet cannot tell what its chunks mean.
        if self.is_running() || !chain.is_due() || state.is_restoring() {
            return;
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let (sender, released) = sync_channel(0);
        let held = Held {
            checkpoint: Arc::clone(checkpoint),
            state: Arc::clone(state),
            files: chain.files().to_vec(),
            is_over: Arc::clone(&is_over),
            _released: sender,
        };
        self.running = Some(Running {
            replaced: chain.files().to_vec(),
            task: Some(SpawnedTask::spawn_blocking(move || held.compact())),
            result: None,
            is_over,
            released: Mutex::new(released),
        });
    }

    /// Whether the chain has left the running one too far behind: files that nobody replaces fill
    /// the disk.
    pub(crate) fn is_behind(&self, chain: &StateChain) -> bool {
        let running = self.running.as_ref();
        let running = running.filter(|running| running.result.is_none());
        running.is_some_and(|running| chain.is_far_ahead_of(&running.replaced))
    }

    /// Waits for the running one, but not for ever. Nothing may wait for a commit meanwhile.
    pub(crate) async fn catch_up(&mut self, clock: &dyn Clock) {
        let running = self.running.as_mut();
        let Some((task, result)) = running.and_then(|r| Some((r.task.as_mut()?, &mut r.result)))
        else {
            return;
        };
        tokio::select! {
            ended = task => *result = Some(result_of(ended)),
            () = clock.sleep(PATIENCE) => {}
        }
    }

    /// The chain with the snapshot in place of what it replaces, if one has been finished.
    pub(crate) fn finished(&mut self, chain: &StateChain) -> Option<StateChain> {
        let running = self.running.as_mut()?;
        let result = match running.result.take() {
            Some(result) => result,
            None => result_of(running.task.as_mut()?.now_or_never()?),
        };
        let replaced = std::mem::take(&mut running.replaced);
        self.running = None;
        match result {
            Ok(Some(snapshot)) => chain.with_snapshot_of(&replaced, snapshot),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "state files could not be compacted; this is tried again");
                self.pause = COMMITS_AFTER_FAILURE;
                None
            }
        }
    }
}

fn result_of(ended: std::result::Result<Made, JoinError>) -> Made {
    ended.unwrap_or_else(|e| Err(Error::internal(e.to_string())))
}

impl Drop for Running {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // One that has not begun never does; one that runs looks up between two chunks.
        drop(self.task.take());
        // Nothing is ever sent: this ends when the other end is gone.
        let _ = self.released.lock().recv();
    }
}
