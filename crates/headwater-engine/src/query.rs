//! A running query and the handle to it.

use std::collections::VecDeque;
use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use headwater_core::id::{EpochId, QueryId};
use headwater_core::{Error, Result};

use crate::activity::Activity;
use crate::epoch_loop::EpochLoop;
use crate::progress::{EpochProgress, Totals};
use crate::query_spec::{Durability, QuerySpec};
use crate::stall_watchdog::{self, Stall};

mod catch_up;
mod run;

use run::Run;

/// What a query is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryState {
    /// It runs an epoch.
    Running,
    /// It waits for its trigger or for rows.
    Waiting,
    /// It has ended by itself or was stopped.
    Stopped,
    /// It has failed.
    Failed,
}

/// What a query is doing, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryStatus {
    /// What it is doing.
    pub state: QueryState,
    /// Why it makes no progress, if it makes none; of a query that has ended, whether it had been
    /// making none.
    pub stall: Option<Stall>,
    /// Sums over its life in this process.
    pub totals: Totals,
    /// The newest report.
    pub last_progress: Option<EpochProgress>,
}

#[derive(Debug)]
struct Shared {
    state: QueryState,
    totals: Totals,
    /// The newest epoch that is in the totals.
    counted: Option<EpochId>,
    recent: VecDeque<EpochProgress>,
    /// How many have asked until now that what is there be processed.
    asked: u64,
    error: Option<Error>,
}

/// The handle to a query. Clones are handles to the same query; the query is cancelled when the
/// last one is dropped.
#[derive(Debug, Clone)]
pub struct StreamingQuery {
    id: QueryId,
    name: String,
    checkpoint: Option<String>,
    resumed_after: Option<EpochId>,
    shared: Arc<Mutex<Shared>>,
    activity: Arc<Activity>,
    stop: Arc<watch::Sender<bool>>,
    /// Wakes the loop for a look at its sources.
    look: Arc<Notify>,
    /// Counts the epochs, and those who have been answered.
    turns: watch::Receiver<Turns>,
    _tasks: Arc<[SpawnedTask<()>; 2]>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Turns {
    epochs: u64,
    /// Up to which number all have been answered who asked for what was there.
    answered: u64,
    ended: bool,
}

impl StreamingQuery {
    /// Opens checkpoint, sources and sink, and runs the query on the current Tokio runtime.
    ///
    /// # Errors
    /// What keeps it from starting; nothing has run then.
    pub async fn start(spec: QuerySpec) -> Result<StreamingQuery> {
        let name = spec.name.clone();
        let checkpoint = match spec.durability {
            Durability::Checkpoint => Some(spec.store.describe()),
            Durability::InMemory => None,
        };
        for warning in &spec.plan.warnings {
            tracing::warn!(query = %name, "{warning}");
        }
        let epoch_loop = EpochLoop::open(spec).await?;
        let id = epoch_loop.query_id().clone();
        let shared = Arc::new(Mutex::new(Shared {
            state: QueryState::Waiting,
            totals: Totals::default(),
            counted: None,
            recent: VecDeque::new(),
            asked: 0,
            error: None,
        }));
        let (stop, stopped) = watch::channel(false);
        let (turn, turns) = watch::channel(Turns::default());
        let look = Arc::new(Notify::new());
        let resumed_after = epoch_loop.resumed_after();
        match resumed_after {
            None => tracing::info!(query = %name, %id, "query started"),
            Some(epoch) => tracing::info!(query = %name, %id, "query resumed after epoch {epoch}"),
        }
        let run = Run {
            shared: Arc::clone(&shared),
            stopped,
            look: Arc::clone(&look),
            turn,
        };
        let activity = Arc::clone(epoch_loop.activity());
        let policy = epoch_loop.stall_policy();
        let watchdog = stall_watchdog::watch(Arc::clone(&activity), policy);
        let watchdog = SpawnedTask::spawn(watchdog);
        let task = SpawnedTask::spawn(run.run_to_end(epoch_loop, name.clone()));
        let (stop, tasks) = (Arc::new(stop), Arc::new([task, watchdog]));
        Ok(StreamingQuery {
            id,
            name,
            checkpoint,
            resumed_after,
            shared,
            activity,
            stop,
            look,
            turns,
            _tasks: tasks,
        })
    }

    /// The query's identity, the same after a restart from its checkpoint.
    pub fn id(&self) -> &QueryId {
        &self.id
    }

    /// The user's name of it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is kept, in words for a person; `None` if it leaves nothing behind.
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// The last epoch of earlier processes; `None` if the query began with this one.
    pub fn resumed_after(&self) -> Option<EpochId> {
        self.resumed_after
    }

    /// Whether it is still running.
    pub fn is_active(&self) -> bool {
        !self.turns.borrow().ended
    }

    /// What it is doing.
    pub fn status(&self) -> QueryStatus {
        let shared = self.shared.lock();
        QueryStatus {
            state: shared.state,
            stall: self.activity.stall(),
            totals: shared.totals.clone(),
            last_progress: shared.recent.back().cloned(),
        }
    }

    /// The newest reports, oldest first, at most 100.
    pub fn recent_progress(&self) -> Vec<EpochProgress> {
        self.shared.lock().recent.iter().cloned().collect()
    }

    /// The newest report.
    pub fn last_progress(&self) -> Option<EpochProgress> {
        self.shared.lock().recent.back().cloned()
    }

    /// Completes after the next epoch, or when the query has ended; returns whether it still
    /// runs.
    pub async fn next_turn(&self) -> bool {
        let mut turns = self.turns.clone();
        let seen = *turns.borrow_and_update();
        let changed = turns.wait_for(|t| t.ended || t.epochs > seen.epochs).await;
        changed.is_ok_and(|t| !t.ended)
    }

    /// The error that ended it, if one did.
    pub fn exception(&self) -> Option<Error> {
        self.shared.lock().error.clone()
    }

    /// Asks it to stop after the running epoch and waits until it has. What takes longer than
    /// [`QuerySpec::drain_timeout`], because a broker is gone for example, is abandoned; the epoch is
    /// run again when the query is started from its checkpoint.
    ///
    /// # Errors
    /// If it failed.
    pub async fn stop(&self) -> Result<()> {
        self.request_stop();
        self.await_termination().await
    }

    /// Asks it to stop after the running epoch; does not wait.
    pub fn request_stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// If it failed.
    pub async fn await_termination(&self) -> Result<()> {
        let mut turns = self.turns.clone();
        // The sender lives as long as the task; its end without a last word is a panic.
        let ended = turns.wait_for(|t| t.ended).await.is_ok();
        match self.exception() {
            Some(error) => Err(error),
            None if ended => Ok(()),
            None => Err(Error::internal(format!(
                "query \"{}\" ended without a word",
                self.name
            ))),
        }
    }

    /// Waits until everything that was there at the call has been processed, and committed: the ends
    /// of the sources are looked up, in the broker for a topic, and the query has read up to them. A
    /// source whose number of rows is known, such as a generator with `rows`, is read to its end. Of a
    /// source without an end, and of one that cannot say where it ends, it is what can be read without
    /// waiting. What comes after the call is not waited for.
    ///
    /// # Errors
    /// If the query fails meanwhile.
    pub async fn process_all_available(&self) -> Result<()> {
        let mut turns = self.turns.clone();
        let ask = {
            let mut shared = self.shared.lock();
            shared.asked += 1;
            shared.asked
        };
        // A query that has nothing to do is woken to look.
        self.look.notify_one();
        // Without a sender it has ended, as a panic ends it.
        let _ = turns.wait_for(|t| t.ended || t.answered >= ask).await;
        self.exception().map_or(Ok(()), Err)
    }
}
