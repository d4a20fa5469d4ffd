//! A running query and the handle to it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use datafusion_common_runtime::SpawnedTask;
use futures::{FutureExt, future};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use headwater_checkpoint::FileStore;
use headwater_core::clock::Clock;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::sink::Sink;
use headwater_core::trigger::Trigger;
use headwater_core::{Error, Result};
use headwater_plan::StreamPlan;

use crate::epoch_loop::{EpochLoop, Step};
use crate::late_sink::LateSink;
use crate::progress::{EpochProgress, Totals};
use crate::restart::{Failure, Restarts};
use crate::retry::Retries;

/// How many progress reports are kept.
const PROGRESS_KEPT: usize = 100;
/// How long a running epoch may go on after its query was asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// What a query takes from its surroundings.
#[derive(Debug, Clone)]
pub struct QueryEnvironment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the operators: batch size, target partitions.
    pub config: SessionConfig,
    /// Memory pool and temporary files.
    pub runtime: Arc<RuntimeEnv>,
}

impl QueryEnvironment {
    /// Number of readers and of shards.
    pub fn target_partitions(&self) -> usize {
        self.config.target_partitions()
    }
}

/// What happens to open windows when the input has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfInput {
    /// They wait in the checkpoint for the next run.
    Hold,
    /// They are finished: the watermark goes to the end of time.
    Flush,
}

/// Whether a query can be started from its store again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The store is a checkpoint: state is written to it with every epoch.
    Checkpoint,
    /// The store ends with the query: only the logs are kept, for the protocol's sake.
    InMemory,
}

/// What happens to a query that failed, after the retries of its epoch, for a reason that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// How often it is opened again from its checkpoint before the failure counts; an epoch that
    /// succeeds starts the count anew.
    pub attempts: u32,
    /// The wait before the first attempt; it doubles with each, up to a minute.
    pub delay: Duration,
}

impl Default for RestartPolicy {
    /// Never; one second.
    fn default() -> Self {
        RestartPolicy {
            attempts: 0,
            delay: Duration::from_secs(1),
        }
    }
}

/// A query, ready to start.
#[derive(Debug, Clone)]
pub struct QuerySpec {
    /// The user's name of it.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// What to run.
    pub plan: StreamPlan,
    /// Where rows go.
    pub sink: Arc<dyn Sink>,
    /// Where late rows go; `None` if they are counted only.
    pub late_rows: Option<LateSink>,
    /// Where it is kept.
    pub store: Arc<dyn FileStore>,
    /// Whether the store is there to be started from again.
    pub durability: Durability,
    /// When epochs start.
    pub trigger: Trigger,
    /// How long what epochs wrote may wait for one commit of them all; `None` commits every epoch
    /// by itself.
    pub checkpoint_interval: Option<Duration>,
    /// How often a query that failed for a reason that may pass is opened again.
    pub restarts: RestartPolicy,
    /// What happens at the end; `None` flushes if the sources have ended by themselves.
    pub end_of_input: Option<EndOfInput>,
    /// Its surroundings.
    pub environment: QueryEnvironment,
}

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
    /// Sums over its life in this process.
    pub totals: Totals,
    /// The newest report.
    pub last_progress: Option<EpochProgress>,
}

#[derive(Debug)]
struct Shared {
    state: QueryState,
    totals: Totals,
    recent: VecDeque<EpochProgress>,
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
    stop: Arc<watch::Sender<bool>>,
    /// Wakes the loop for a look at its sources.
    look: Arc<Notify>,
    /// Counts the epochs, and the moments at which nothing was left to read.
    turns: watch::Receiver<Turns>,
    _task: Arc<SpawnedTask<()>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Turns {
    epochs: u64,
    caught_up: u64,
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
            recent: VecDeque::new(),
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
        let task = SpawnedTask::spawn(run.run_to_end(epoch_loop, name.clone()));
        let (stop, task) = (Arc::new(stop), Arc::new(task));
        Ok(StreamingQuery {
            id,
            name,
            checkpoint,
            resumed_after,
            shared,
            stop,
            look,
            turns,
            _task: task,
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

    /// Asks it to stop after the running epoch and waits until it has. An epoch that takes another
    /// 30 seconds, because a broker is gone for example, is abandoned; it is run again when the
    /// query is started from its checkpoint.
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

    /// Waits until everything that was there at the call has been processed.
    ///
    /// # Errors
    /// If the query fails meanwhile.
    pub async fn process_all_available(&self) -> Result<()> {
        let mut turns = self.turns.clone();
        let seen = *turns.borrow_and_update();
        // One moment of having caught up may belong to a look that began before the call, so two
        // are awaited; a query that has nothing to do is woken to look.
        loop {
            let now = *turns.borrow_and_update();
            if now.ended || now.caught_up > seen.caught_up + 1 {
                return self.exception().map_or(Ok(()), Err);
            }
            self.look.notify_one();
            if turns.changed().await.is_err() {
                return self.exception().map_or(Ok(()), Err);
            }
        }
    }
}

/// The task of a query.
struct Run {
    shared: Arc<Mutex<Shared>>,
    stopped: watch::Receiver<bool>,
    look: Arc<Notify>,
    turn: watch::Sender<Turns>,
}

impl Run {
    async fn run_to_end(self, epoch_loop: EpochLoop, name: String) {
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
            Ending::Abandoned => Ok(()),
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
