//! Snapshots of state, made beside the epochs from the files that they have committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use datafusion_common_runtime::SpawnedTask;
use futures::FutureExt;
use parking_lot::Mutex;

use headwater_checkpoint::{Checkpoint, StateFileRef};
use headwater_core::{Error, Result};
use headwater_exec::state_registry::StateRegistry;

use crate::state_chain::StateChain;

/// Commits between a compaction that failed and the next.
const COMMITS_AFTER_FAILURE: u32 = 16;

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
    task: Option<SpawnedTask<Result<Option<StateFileRef>>>>,
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
    fn compact(&self) -> Result<Option<StateFileRef>> {
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
            is_over,
            released: Mutex::new(released),
        });
    }

    /// The chain with the snapshot in place of what it replaces, if one has been finished. Waits
    /// for one that the chain has left too far behind: files that nobody replaces fill the disk.
    pub(crate) async fn finished(&mut self, chain: &StateChain) -> Option<StateChain> {
        let running = self.running.as_mut()?;
        let task = running.task.as_mut()?;
        let result = match chain.is_far_ahead_of(&running.replaced) {
            true => task.await,
            false => task.now_or_never()?,
        };
        let result = result.unwrap_or_else(|e| Err(Error::internal(e.to_string())));
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

impl Drop for Running {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // One that has not begun never does; one that runs looks up between two chunks.
        drop(self.task.take());
        // Nothing is ever sent: this ends when the other end is gone.
        let _ = self.released.lock().recv();
    }
}
