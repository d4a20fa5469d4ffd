//! The epoch loop: the protocol of a streaming query.
//!
//! ```text
//! plan_slices   choose [start, end) of every source; decide idle partitions, clock and seed
//! log_epoch     write all of that to the epoch log          ── decided
//! execute_epoch run the plan; state goes from n − 1 to n; the sink stages its rows
//!               make the sink's rows and the state delta durable
//! commit_epoch  write the commit record                     ── happened
//!               make the sink's rows visible
//! ```
//!
//! A crash before the commit record runs the same epoch again, as it was decided. A crash after
//! it makes the sink's rows visible again, which is idempotent. There is no third case.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use futures::future::{self, BoxFuture};

use headwater_checkpoint::{
    Checkpoint, CommitRecord, EpochRecord, HEADWATER_VERSION, WatermarkState,
};
use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, SourceIndex};
use headwater_core::mode::OutputMode;
use headwater_core::offset::{Offsets, Slice};
use headwater_core::sink::Staged;
use headwater_core::source::{EpochLimits, ReadCounters, Source};
use headwater_core::state::ChunkKind;
use headwater_core::trigger::Trigger;
use headwater_core::watermark::Watermark;
use headwater_exec::epoch_context::{EpochContext, EpochInput};
use headwater_exec::metrics::EpochMetrics;
use headwater_exec::state_registry::StateRegistry;
use headwater_exec::watermark::WatermarkObserver;

use crate::epoch_report::{Counted, Reporter};
use crate::execute::{blocking, run_epoch, task_context};
use crate::next_epoch::{Decision, Planned, SourceFacts, plan_slices, seed_of};
use crate::progress::EpochProgress;
use crate::query::{Durability, EndOfInput, QuerySpec};
use crate::recover::starting_point;
use crate::state_chain::StateChain;
use crate::trigger::delay_before_next;
use crate::watermark_tracker::{
    InputEnd, after_epoch, before_epoch, event_time_of, until_next_idle,
};

/// How often a failed epoch is run again before the query fails.
const MAX_RETRIES: u32 = 3;
/// Wait before the first retry; doubles with each.
const FIRST_RETRY_DELAY: Duration = Duration::from_millis(200);
/// Old files are deleted every so many epochs: deleting costs more than a small epoch.
const CLEAN_UP_EVERY: u64 = 16;

/// What one turn of the loop did.
#[derive(Debug)]
pub enum Step {
    /// It ran an epoch.
    Ran(Box<EpochProgress>),
    /// There was nothing to do.
    Nothing,
    /// The query is done.
    Finished,
}

/// A query between two epochs.
#[derive(Debug)]
pub struct EpochLoop {
    spec: QuerySpec,
    checkpoint: Arc<Checkpoint>,
    sources: Vec<Arc<dyn Source>>,
    positions: Vec<Offsets>,
    watermarks: Vec<WatermarkState>,
    state: Arc<StateRegistry>,
    chain: StateChain,
    next: EpochId,
    pending: Option<EpochRecord>,
    /// Where a bounded query stops, per source; a source without a bound is read to its end.
    bounds: Option<Vec<Option<Offsets>>>,
    flushed: bool,
    clock: Arc<dyn Clock>,
    config: SessionConfig,
    runtime: Arc<RuntimeEnv>,
    reporter: Reporter,
    first_start: Option<Duration>,
}

/// An epoch that ran and is not committed.
struct Executed {
    staged: Vec<Staged>,
    observer: Arc<WatermarkObserver>,
    counters: Vec<Arc<ReadCounters>>,
    metrics: Arc<EpochMetrics>,
}

impl EpochLoop {
    /// Opens everything and finds out where to go on.
    ///
    /// # Errors
    /// What the checkpoint, a source or the sink says.
    pub async fn open(spec: QuerySpec) -> Result<EpochLoop> {
        let start = starting_point(&spec).await?;
        let clock = Arc::clone(&spec.environment.clock);
        let reporter = Reporter::new(Arc::clone(&clock), &spec, &start);
        Ok(EpochLoop {
            config: spec.environment.config.clone(),
            runtime: Arc::clone(&spec.environment.runtime),
            checkpoint: start.checkpoint,
            sources: start.sources,
            positions: start.positions,
            watermarks: start.watermarks,
            state: start.state,
            chain: start.chain,
            next: start.next,
            pending: start.pending,
            bounds: start.bounds,
            flushed: false,
            clock,
            reporter,
            first_start: None,
            spec,
        })
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
        self.reporter.ready();
        let record = match self.pending.take() {
            Some(record) => record,
            None => match self.plan_epoch().await? {
                Planned::Epoch(record) => {
                    let (checkpoint, logged) = (Arc::clone(&self.checkpoint), record.clone());
                    blocking(move || checkpoint.log_epoch(&logged)).await?;
                    record
                }
                Planned::Nothing => return Ok(Step::Nothing),
                Planned::Finished => return Ok(Step::Finished),
            },
        };
        let started = self.clock.elapsed();
        self.first_start.get_or_insert(started);
        let executed = self.execute_with_retries(&record).await?;
        let progress = self.commit_epoch(&record, executed, started).await?;
        Ok(Step::Ran(Box::new(progress)))
    }

    /// Completes when the next [`EpochLoop::step`] may have something to do.
    ///
    /// # Errors
    /// What a source says while it waits.
    pub async fn wait(&self) -> Result<()> {
        let mut ready: Vec<BoxFuture<'_, Result<()>>> = Vec::new();
        for (index, (source, position)) in self.sources.iter().zip(&self.positions).enumerate() {
            let is_done = self.bound(index).is_some_and(|b| position.has_reached(b));
            if !source.has_ended(position) && !is_done {
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
        if ready.is_empty() {
            return Ok(());
        }
        future::select_all(ready).await.0
    }

    /// Completes when the trigger lets the next epoch start.
    pub async fn wait_for_trigger(&self) {
        let now = self.clock.elapsed();
        let delay = delay_before_next(self.spec.trigger, self.first_start, now);
        if delay > Duration::ZERO {
            self.clock.sleep(delay).await;
        }
    }

    /// Decides the next epoch: everything a replay must not decide again.
    async fn plan_epoch(&mut self) -> Result<Planned> {
        let facts = self.source_facts().await?;
        let (slices, end_of_input) = match plan_slices(&facts) {
            Decision::Run(slices) => (slices, false),
            Decision::Finished if self.flushes_at_end() => (self.empty_slices(), true),
            Decision::Finished => return Ok(Planned::Finished),
            Decision::Wait => (self.empty_slices(), false),
        };
        let now = self.clock.now();
        let watermarks = self.decide_watermarks(&slices, now).await;
        let has_rows = slices.iter().any(|s| !s.is_empty());
        let record = EpochRecord {
            epoch: self.next,
            slices,
            watermarks,
            processing_time: now,
            seed: seed_of(self.query_id().as_str(), self.next),
            end_of_input,
            plan_fingerprint: self.spec.plan.fingerprint.clone(),
            version: HEADWATER_VERSION.to_string(),
        };
        if !has_rows && !end_of_input && !self.advances_without_rows(&record) {
            // Without an epoch there is no record; but since when a partition is silent, and
            // which ones are known to be idle, counts on.
            self.watermarks = record.watermarks;
            return Ok(Planned::Nothing);
        }
        Ok(Planned::Epoch(record))
    }

    /// Which partitions are idle in the next epoch. Before one is called idle for its silence, the
    /// log is asked whether it holds records that have not been fetched yet.
    async fn decide_watermarks(&self, slices: &[Slice], now: EventTime) -> Vec<WatermarkState> {
        let mut decided = Vec::with_capacity(slices.len());
        for (index, slice) in slices.iter().enumerate() {
            let definition = self.spec.plan.sources.get(index);
            let spec = definition.and_then(|s| s.watermark.as_ref());
            let known = self.watermarks.get(index).cloned().unwrap_or_default();
            let end = self.bound(index).map_or(InputEnd::Unknown, InputEnd::Bound);
            let mut before = before_epoch(spec, &known, slice, now, end);
            let newly_idle = before.idle.difference(&known.idle).next().is_some();
            if newly_idle && end == InputEnd::Unknown {
                before = match self.latest_of(index).await {
                    Some(log) => before_epoch(spec, &known, slice, now, InputEnd::Log(&log)),
                    // Who cannot say how far the log goes is not called idle.
                    None => WatermarkState {
                        idle: known.idle,
                        ..before
                    },
                };
            }
            decided.push(before);
        }
        decided
    }

    fn bound(&self, index: usize) -> Option<&Offsets> {
        self.bounds.as_ref()?.get(index)?.as_ref()
    }

    async fn latest_of(&self, index: usize) -> Option<Offsets> {
        let latest = self.sources.get(index)?.latest().await;
        latest
            .inspect_err(|error| tracing::warn!(%error, "the end of a source is unknown"))
            .ok()
    }

    async fn source_facts(&self) -> Result<Vec<SourceFacts>> {
        let mut facts = Vec::with_capacity(self.sources.len());
        for (index, source) in self.sources.iter().enumerate() {
            let position = self.positions.get(index).cloned().unwrap_or_default();
            let bound = self.bound(index).cloned();
            let available = match (&self.spec.trigger, &bound) {
                // One epoch over everything, whatever the limits say.
                (Trigger::Once, Some(bound)) => bound.clone(),
                _ => source.available(&position, &self.limits(index)).await?,
            };
            let has_ended = source.has_ended(&position);
            facts.push(SourceFacts {
                position,
                available,
                bound,
                has_ended,
            });
        }
        Ok(facts)
    }

    fn limits(&self, index: usize) -> EpochLimits {
        self.spec
            .plan
            .sources
            .get(index)
            .map(|s| s.declared.limits())
            .unwrap_or_default()
    }

    fn empty_slices(&self) -> Vec<Slice> {
        self.positions
            .iter()
            .map(|p| Slice::between(p, p))
            .collect()
    }

    /// Whether the end of the input finishes all windows: it does for sources that ended by
    /// themselves and for queries that keep no checkpoint, where open windows would be lost; a
    /// bounded run with a checkpoint holds them for the next run. Only append mode holds anything
    /// back that could be finished.
    fn flushes_at_end(&self) -> bool {
        let mut sources = self.sources.iter().zip(&self.positions);
        let flushes = match self.spec.end_of_input {
            Some(EndOfInput::Flush) => true,
            Some(EndOfInput::Hold) => false,
            None => {
                self.spec.durability == Durability::InMemory
                    || sources.all(|(source, position)| source.has_ended(position))
            }
        };
        let plan = &self.spec.plan;
        let holds_back = plan.mode == OutputMode::Append && !plan.operators.is_empty();
        let already = self
            .watermarks
            .iter()
            .all(|w| w.source_watermark == Watermark::MAX);
        flushes && holds_back && !self.flushed && !already
    }

    /// Whether a partition that fell silent lets the watermark move although no row came.
    fn advances_without_rows(&self, record: &EpochRecord) -> bool {
        if self.spec.plan.operators.is_empty() {
            return false;
        }
        let observer = self.observer(record);
        let known = self.watermarks.iter().map(|w| w.source_watermark);
        known
            .enumerate()
            .any(|(index, before)| observer.after(SourceIndex(index)) > before)
    }

    fn observer(&self, record: &EpochRecord) -> WatermarkObserver {
        let sources = self
            .spec
            .plan
            .sources
            .iter()
            .zip(&record.watermarks)
            .zip(&record.slices);
        let before = sources
            .map(|((source, state), slice)| {
                event_time_of(source.watermark.as_ref(), state, slice, record.end_of_input)
            })
            .collect();
        WatermarkObserver::new(before, record.processing_time)
    }

    async fn execute_with_retries(&mut self, record: &EpochRecord) -> Result<Executed> {
        let mut delay = FIRST_RETRY_DELAY;
        let mut retries = 0;
        loop {
            let error = match self.execute_epoch(record).await {
                Ok(executed) => return Ok(executed),
                Err(error) => error,
            };
            self.state.rollback(record.epoch.previous())?;
            self.spec.sink.abort(record.epoch).await?;
            if !error.kind().is_retryable() || retries == MAX_RETRIES {
                return Err(error);
            }
            retries += 1;
            tracing::warn!(epoch = %record.epoch, retry = retries, %error, "epoch failed, running it again");
            self.clock.sleep(delay).await;
            delay *= 2;
        }
    }

    async fn execute_epoch(&self, record: &EpochRecord) -> Result<Executed> {
        let observer = Arc::new(self.observer(record));
        let metrics = Arc::new(EpochMetrics::default());
        let mut inputs = Vec::with_capacity(self.sources.len());
        for (source, slice) in self.sources.iter().zip(&record.slices) {
            inputs.push(EpochInput {
                source: Arc::clone(source),
                slice: slice.clone(),
                counters: Arc::new(ReadCounters::default()),
            });
        }
        let counters = inputs.iter().map(|i| Arc::clone(&i.counters)).collect();
        let context = EpochContext {
            query: self.query_id().clone(),
            epoch: record.epoch,
            inputs,
            watermarks: Arc::clone(&observer),
            processing_time: record.processing_time,
            seed: record.seed,
            mode: self.spec.plan.mode,
            state: Arc::clone(&self.state),
            metrics: Arc::clone(&metrics),
        };
        let task = task_context(&self.config, &self.runtime, Arc::new(context));
        let staged = run_epoch(
            &self.spec.plan.physical,
            &task,
            &self.spec.sink,
            record.epoch,
        )
        .await?;
        Ok(Executed {
            staged,
            observer,
            counters,
            metrics,
        })
    }

    async fn commit_epoch(
        &mut self,
        record: &EpochRecord,
        executed: Executed,
        started: Duration,
    ) -> Result<EpochProgress> {
        let epoch = record.epoch;
        let rows_out = executed.staged.iter().map(|s| s.rows).sum();
        let token = self.spec.sink.prepare(epoch, executed.staged).await?;
        let chain = self.save_state(epoch).await?;
        let positions: Vec<Offsets> = record.slices.iter().map(|s| s.end.clone()).collect();
        let watermarks: Vec<WatermarkState> = record
            .watermarks
            .iter()
            .enumerate()
            .map(|(index, before)| {
                let source = SourceIndex(index);
                after_epoch(before, &executed.observer, source, record.processing_time)
            })
            .collect();
        let commit = CommitRecord {
            epoch,
            offsets: positions.clone(),
            watermarks: watermarks.clone(),
            state_files: chain.files().to_vec(),
            sink_token: token.clone(),
            version: HEADWATER_VERSION.to_string(),
        };
        let checkpoint = Arc::clone(&self.checkpoint);
        blocking(move || checkpoint.commit(&commit)).await?;

        self.spec.sink.commit(epoch, token).await?;
        self.state.committed(epoch)?;
        for (source, position) in self.sources.iter().zip(&positions) {
            source.committed(position).await?;
        }
        self.positions = positions;
        self.watermarks = watermarks;
        self.chain = chain;
        self.next = epoch.next();
        self.flushed |= record.end_of_input;
        if epoch.0 % CLEAN_UP_EVERY == CLEAN_UP_EVERY - 1 {
            let checkpoint = Arc::clone(&self.checkpoint);
            // Files that are left over cost room, not correctness.
            if let Err(error) = blocking(move || checkpoint.clean_up()).await {
                tracing::warn!(%error, "old checkpoint files could not be deleted");
            }
        }
        self.reporter.look_up_latest(&self.sources).await;
        let counted = Counted {
            observer: executed.observer,
            counters: executed.counters,
            metrics: executed.metrics,
            state: self.state.sizes(),
            rows_out,
        };
        Ok(self.reporter.report(record, &counted, started))
    }

    /// Writes what the epoch changed, or everything if that is due.
    async fn save_state(&self, epoch: EpochId) -> Result<StateChain> {
        self.state.advance(epoch);
        // Nothing outlives a query that keeps no checkpoint: its state stays where it is.
        if self.spec.durability == Durability::InMemory {
            return Ok(self.chain.clone());
        }
        let deltas = self.state.deltas(epoch)?;
        if deltas.is_empty() {
            return Ok(self.chain.clone());
        }
        let kind = self.chain.next_kind();
        let chunks = match kind {
            ChunkKind::Delta => deltas,
            ChunkKind::Snapshot => self.state.snapshots()?,
        };
        let checkpoint = Arc::clone(&self.checkpoint);
        let file = blocking(move || checkpoint.write_state(epoch, kind, &chunks)).await?;
        Ok(self.chain.with(file))
    }
}
