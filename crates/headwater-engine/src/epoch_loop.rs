//! The epoch loop: the protocol of a streaming query.
//!
//! ```text
//! plan_slices   choose [start, end) of every source; decide idle partitions, clock and seed
//! log_epoch     write all of that to the epoch log: at the latest when rows of it are shown ([`logging`])
//! prepare_epoch run the plan; state goes from n − 1 to n; the sinks make their rows durable
//! commit        make the changed state durable
//!               write the commit record                     ── happened
//!               make the sinks' rows visible
//! ```
//!
//! A crash before the commit record runs the same epoch again, as it was decided, or as it is
//! decided then if it had no record ([`logging`]). A crash after it makes the sinks' rows visible
//! again, which is idempotent. There is no third case, unless a transaction of the sink decides:
//! then the record is written to a waiting place, the transaction is committed (happened), and
//! the record takes its place. Of a record that waits, recovery asks the sink.
//!
//! With a checkpoint interval several epochs are prepared before one commit; then `happened` is
//! one moment for all of them. So it is where epochs run while an earlier one is committed
//! ([`beside`]).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use futures::future::{self, BoxFuture};

use headwater_checkpoint::{Checkpoint, EpochRecord, WatermarkState};
use headwater_core::clock::Clock;
use headwater_core::id::EpochId;
use headwater_core::offset::Offsets;
use headwater_core::source::Source;
use headwater_core::{Error, Result};
use headwater_exec::epoch_context::EpochContext;
use headwater_exec::state_registry::StateRegistry;

use crate::activity::Activity;
use crate::compaction::Compactor;
use crate::epoch_report::Reporter;
use crate::held_rows::HeldRows;
use crate::intake::Intake;
use crate::next_epoch::Planned;
use crate::outputs;
use crate::progress::EpochProgress;
use crate::query_spec::{Durability, QuerySpec, RestartPolicy};
use crate::recover::{Bounds, starting_point};
use crate::stall_watchdog::StallPolicy;
use crate::state_chain::StateChain;
use crate::trigger::{delay_before_next, due_after};
use crate::watched::WatchedSource;
use crate::watermark_tracker::until_next_idle;

mod beside;
mod commit;
mod committing;
mod ends;
mod logging;
mod memory;
mod plan;
mod run;

use beside::{Beside, may_overlap};
use commit::Uncommitted;
use logging::Logging;
use run::Outcome;

/// What one turn of the loop did.
#[derive(Debug)]
pub enum Step {
    /// It ran an epoch.
    Ran(Box<EpochProgress>),
    /// There was nothing to do.
    Nothing,
    /// The query is done.
    Finished,
    /// Prepared epochs were lost with their transaction; the checkpoint says where to go on.
    Lost(Error),
}

/// What a query that has waited does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Its next epoch.
    Epoch,
    /// The commit of those that have run.
    Commit,
}

/// A query between two epochs.
#[derive(Debug)]
pub struct EpochLoop {
    spec: Arc<QuerySpec>,
    checkpoint: Arc<Checkpoint>,
    sources: Vec<Arc<dyn Source>>,
    positions: Vec<Offsets>,
    intake: Intake,
    watermarks: Vec<WatermarkState>,
    state: Arc<StateRegistry>,
    chain: StateChain,
    compactor: Compactor,
    /// Whether a snapshot took the place of other files in the last commit.
    has_replaced: bool,
    next: EpochId,
    /// Epochs that a dead process had decided, in order.
    pending: VecDeque<EpochRecord>,
    /// Whether the running epoch is one of those.
    is_replay: bool,
    logging: Logging,
    /// What the rows of the running epoch wait for.
    held: HeldRows,
    uncommitted: Uncommitted,
    /// Whether commits may be made while later epochs run.
    may_overlap: bool,
    /// The one that is being made.
    beside: Option<Beside>,
    /// The records of those that have none in the log.
    unlogged: Vec<EpochRecord>,
    last_commit: Duration,
    commits: u64,
    bounds: Option<Bounds>,
    flushed: bool,
    clock: Arc<dyn Clock>,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    memory: MemoryReservation,
    reporter: Reporter,
    activity: Arc<Activity>,
    first_start: Option<Duration>,
    /// When the epoch before started, if no turn without an epoch came after it.
    last_start: Option<Duration>,
    resumed_after: Option<EpochId>,
}

impl EpochLoop {
    /// Opens everything and finds out where to go on.
    ///
    /// # Errors
    /// What the checkpoint, a source or the sink says.
    pub async fn open(spec: QuerySpec) -> Result<EpochLoop> {
        let clock = Arc::clone(&spec.environment.clock);
        let sources = spec.plan.sources.iter().map(|s| s.name.clone()).collect();
        let place = spec.store.describe();
        let activity = Activity::new(clock, spec.name.clone(), sources, place);
        EpochLoop::open_again(spec, Arc::new(activity), None).await
    }

    /// Opens everything after an earlier loop of the same query failed, which was to stop at these
    /// bounds.
    pub(crate) async fn open_again(
        spec: QuerySpec,
        activity: Arc<Activity>,
        bounds: Option<Bounds>,
    ) -> Result<EpochLoop> {
        let start = starting_point(&spec, activity.outage(), bounds).await?;
        let clock = Arc::clone(&spec.environment.clock);
        let reporter = Reporter::new(Arc::clone(&clock), &spec, &start);
        // Whoever takes it over later is not fenced in turn.
        let spec = QuerySpec {
            is_takeover: false,
            ..spec
        };
        let logging = Logging::of(&spec, &start.sources);
        let may_overlap = may_overlap(&spec, &start.sources);
        let epoch_loop = EpochLoop {
            memory: memory::account(&spec),
            config: spec.environment.config.clone(),
            runtime: Arc::clone(&spec.environment.runtime),
            checkpoint: start.checkpoint,
            sources: watched(start.sources, &activity),
            activity,
            positions: start.positions,
            intake: Intake::new(spec.backpressure, spec.trigger),
            watermarks: start.watermarks,
            state: start.state,
            chain: start.chain,
            compactor: Compactor::default(),
            has_replaced: false,
            next: start.next,
            pending: start.pending.into(),
            is_replay: false,
            logging,
            held: HeldRows::default(),
            uncommitted: Uncommitted::default(),
            may_overlap,
            beside: None,
            unlogged: vec![],
            last_commit: clock.elapsed(),
            commits: 0,
            bounds: start.bounds,
            flushed: false,
            clock,
            reporter,
            first_start: None,
            last_start: None,
            resumed_after: start.next.previous(),
            spec: Arc::new(spec),
        };
        epoch_loop.account_for_memory()?;
        epoch_loop.activity.forget_times();
        Ok(epoch_loop)
    }

    /// The checkpoint's identity of the query.
    pub fn query_id(&self) -> &headwater_core::id::QueryId {
        &self.checkpoint.metadata().query_id
    }

    /// Runs one epoch if there is something to read; does not wait.
    ///
    /// # Errors
    /// What failed, after the retries; the state is that before the epoch.
    pub async fn step(&mut self) -> Result<Step> {
        let after_last = self.last_start.take();
        let due = after_last.and_then(|last| due_after(self.spec.trigger, self.first_start, last));
        self.reporter.ready(due);
        self.is_replay = !self.pending.is_empty();
        self.leave_commit_alone();
        if !self.has_waiting() && self.compactor.is_behind(&self.chain) {
            self.activity
                .begin(self.next, crate::activity::Step::Saving);
            self.compactor.catch_up(&*self.clock).await;
        }
        let planned = match self.pending.pop_front() {
            Some(record) => Ok(Planned::Epoch(record)),
            None => self.plan_epoch().await,
        };
        let record = match planned {
            Ok(Planned::Epoch(record)) => record,
            Ok(Planned::Nothing) => return self.rest().await,
            Ok(Planned::Finished) => return Ok(Step::Finished),
            Err(error) => return self.after_saving_what_ran(error).await,
        };
        let started = self.clock.elapsed();
        self.first_start.get_or_insert(started);
        let outcome = match self.is_replay {
            true => self.prepare_with_retries(&record).await,
            false => self.log_and_prepare(&record).await,
        };
        let prepared = match outcome {
            Ok(Outcome::Prepared(prepared)) => prepared,
            Ok(Outcome::Lost(error)) => return Ok(Step::Lost(error)),
            Err(error) => return self.after_saving_what_ran(error).await,
        };
        let progress = match self.end_epoch(&record, prepared, started).await {
            Ok(progress) => progress,
            Err(error) => return self.lost_or(error).await,
        };
        self.last_start = Some(started);
        Ok(Step::Ran(Box::new(progress)))
    }

    /// There is nothing to run: goes on with commits.
    async fn rest(&mut self) -> Result<Step> {
        if self.beside.is_some() {
            return match self.commit_beside_nothing().await {
                Ok(()) => Ok(Step::Nothing),
                Err(error) => self.lost_or(error).await,
            };
        }
        if self.is_commit_due() {
            return self.commit_now().await;
        }
        self.activity.rest();
        Ok(Step::Nothing)
    }

    /// Commits what has run and waits for that.
    ///
    /// # Errors
    /// What the checkpoint or a sink says.
    pub async fn commit_now(&mut self) -> Result<Step> {
        match self.commit().await {
            Ok(()) => {
                self.activity.rest();
                Ok(Step::Nothing)
            }
            Err(error) => self.lost_or(error).await,
        }
    }

    /// A commit that failed for a reason that may pass, and took epochs along that ran since or were
    /// in its transaction, is decided by what the checkpoint and the sink say when they are opened
    /// again.
    async fn lost_or(&mut self, error: Error) -> Result<Step> {
        let takes_along = self.may_overlap || outputs::decides_by_transaction(&self.spec);
        if takes_along && error.kind().is_retryable() {
            // So that they run again as they ran. If that fails too, they are cut anew.
            if self.may_overlap
                && let Err(error) = self.log_uncommitted().await
            {
                tracing::debug!(%error, "epochs that ran could not be written to the log");
            }
            Ok(Step::Lost(error))
        } else {
            Err(error)
        }
    }

    /// What runs.
    pub fn spec(&self) -> &QuerySpec {
        &self.spec
    }

    /// The query, to be opened again from its checkpoint. Everything else of the loop ends.
    pub fn into_spec(self) -> QuerySpec {
        let spec = Arc::clone(&self.spec);
        drop(self);
        Arc::unwrap_or_clone(spec)
    }

    /// Where it stops, if it is bounded.
    pub(crate) fn bounds(&self) -> Option<&Bounds> {
        self.bounds.as_ref()
    }

    /// The newest epoch that has happened.
    pub fn last_committed(&self) -> Option<EpochId> {
        self.checkpoint.last_committed()
    }

    /// Whether epochs that have run wait for their commit.
    pub fn has_waiting(&self) -> bool {
        !self.uncommitted.is_empty() || self.beside.is_some()
    }

    /// What the query is doing.
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// How long the query may be without progress, and what is done then.
    pub fn stall_policy(&self) -> StallPolicy {
        self.spec.stalls
    }

    /// What may still be at work after the loop is gone.
    pub(crate) fn parts(&self) -> Parts {
        Parts {
            checkpoint: Arc::downgrade(&self.checkpoint),
            epoch: self.activity.users(),
        }
    }

    /// How often the query may be opened again: never, if it keeps nothing to go on from.
    pub fn restart_policy(&self) -> RestartPolicy {
        match self.spec.durability {
            Durability::Checkpoint => self.spec.restarts,
            Durability::InMemory => RestartPolicy {
                attempts: 0,
                ..self.spec.restarts
            },
        }
    }

    /// Completes when the next [`EpochLoop::step`] may have something to do.
    ///
    /// # Errors
    /// What a source says while it waits.
    pub async fn wait(&self) -> Result<()> {
        let mut ready: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for (index, (source, position)) in self.sources.iter().zip(&self.positions).enumerate() {
            if !self.is_done(index) {
                ready.push(source.wait_ready(position));
            }
        }
        let definitions = self.spec.plan.sources.iter().zip(&self.watermarks);
        let now = self.clock.now();
        let idle = definitions
            .filter_map(|(source, state)| until_next_idle(source.watermark.as_ref()?, state, now))
            .min();
        if let Some(idle) = idle {
            let timer = self.clock.sleep(idle);
            ready.push(Box::pin(async move {
                timer.await;
                Ok(())
            }));
        }
        if let Some(beside) = &self.beside {
            ready.push(Box::pin(async move {
                beside.end().await;
                Ok(())
            }));
        } else if let Some(due) = self.until_commit() {
            let timer = self.clock.sleep(due);
            ready.push(Box::pin(async move {
                timer.await;
                Ok(())
            }));
        }
        if ready.is_empty() {
            return Ok(());
        }
        future::select_all(ready).await.0
    }

    /// The last epoch of earlier processes, if the query goes on from a checkpoint.
    pub fn resumed_after(&self) -> Option<EpochId> {
        self.resumed_after
    }

    /// How long the query may go on after it was asked to stop.
    pub fn drain_timeout(&self) -> Duration {
        self.spec.drain_timeout
    }

    /// The clock of the query.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The epoch that runs or runs next.
    pub(crate) fn next_epoch(&self) -> EpochId {
        self.next
    }

    /// Completes when the trigger lets the next epoch start, or before that when what has run is to
    /// be committed. An epoch that runs again has had its trigger.
    pub async fn wait_for_trigger(&self) -> Due {
        if !self.pending.is_empty() {
            return Due::Epoch;
        }
        let now = self.clock.elapsed();
        let until_epoch = delay_before_next(self.spec.trigger, self.first_start, now);
        let (due, delay) = match self.until_commit() {
            Some(until_commit) if until_commit < until_epoch => (Due::Commit, until_commit),
            _ => (Due::Epoch, until_epoch),
        };
        if delay > Duration::ZERO {
            self.clock.sleep(delay).await;
        }
        due
    }
}

/// The sources of a query, which say from now on when they are asked and when they give.
fn watched(sources: Vec<Arc<dyn Source>>, activity: &Arc<Activity>) -> Vec<Arc<dyn Source>> {
    let sources = sources.into_iter().enumerate();
    let watched = sources.map(|(index, inner)| {
        let activity = Arc::clone(activity);
        Arc::new(WatchedSource {
            inner,
            index,
            activity,
        }) as Arc<dyn Source>
    });
    watched.collect()
}

/// What of a loop may live longer than the loop: tasks and threads that were told to end.
#[derive(Debug)]
pub(crate) struct Parts {
    checkpoint: Weak<Checkpoint>,
    epoch: Weak<EpochContext>,
}

impl Parts {
    /// Whether nothing is at work any more.
    pub(crate) fn are_gone(&self) -> bool {
        self.checkpoint.strong_count() == 0 && self.epoch.strong_count() == 0
    }
}
