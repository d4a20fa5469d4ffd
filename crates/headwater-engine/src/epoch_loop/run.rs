//! Running an epoch: the plan, and the sinks that take its rows.

use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::EpochRecord;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::SourceIndex;
use headwater_core::offset::Offsets;
use headwater_core::sink::Staged;
use headwater_core::source::ReadCounters;
use headwater_core::{Error, Result};
use headwater_exec::epoch_context::{EpochContext, EpochInput};
use headwater_exec::metrics::EpochMetrics;
use headwater_exec::state_registry::ShardChunk;
use headwater_exec::watermark::WatermarkObserver;

use super::EpochLoop;
use super::committing::Preparing;
use crate::activity::Step;
use crate::epoch_report::Counted;
use crate::execute::{RowsOut, run_epoch};
use crate::outputs::{self, StagedRows};
use crate::progress::EpochProgress;
use crate::query_spec::Durability;
use crate::retry::Retries;
use crate::watermark_tracker::after_epoch;

/// An epoch that ran: its rows are staged, its state is in memory.
struct Executed {
    staged: StagedRows,
    numbers: Numbers,
}

/// What an epoch counted and saw.
struct Numbers {
    observer: Arc<WatermarkObserver>,
    counters: Vec<Arc<ReadCounters>>,
    metrics: Arc<EpochMetrics>,
}

/// An epoch that ran: the sinks have its rows durable, or are about to.
pub(super) struct Prepared {
    numbers: Numbers,
    rows_out: u64,
    dead_letters: u64,
    tokens: Preparing,
    changes: Vec<ShardChunk>,
}

/// How an epoch that was tried ended.
pub(super) enum Outcome {
    /// It ran.
    Prepared(Prepared),
    /// It failed, and took epochs with it that were prepared before: only the checkpoint can say
    /// how to go on.
    Lost(Error),
}

impl EpochLoop {
    /// Runs an epoch until its rows are durable in the sinks, or on their way to be, and again if it
    /// failed for a reason that may pass.
    pub(super) async fn prepare_with_retries(&self, record: &EpochRecord) -> Result<Outcome> {
        let mut retries = Retries::new();
        loop {
            let error = match self.prepare_epoch(record).await {
                Ok(prepared) => return Ok(Outcome::Prepared(prepared)),
                Err(error) => error,
            };
            if !self.undo(record).await {
                return Err(error);
            }
            // The transaction that ended held those epochs too.
            if outputs::decides_by_transaction(&self.spec) && !self.uncommitted.is_empty() {
                return Ok(Outcome::Lost(error));
            }
            let what = format!("epoch {}", record.epoch);
            retries
                .wait_after(error, &what, self.activity.outage())
                .await?;
        }
    }

    /// Takes back what an epoch has done. Gives whether it may run again.
    pub(super) async fn undo(&self, record: &EpochRecord) -> bool {
        if let Err(error) = self.state.rollback(record.epoch.previous()) {
            tracing::error!(epoch = %record.epoch, %error, "a failed epoch could not be rolled back");
            return false;
        }
        outputs::abort(&self.spec, record.epoch).await;
        true
    }

    async fn prepare_epoch(&self, record: &EpochRecord) -> Result<Prepared> {
        let epoch = record.epoch;
        self.activity.begin(epoch, Step::Running);
        let Executed { staged, numbers } = self.execute_epoch(record).await?;
        let rows_out = staged.result.iter().map(|s| s.rows).sum();
        let letters = staged.beside.iter();
        let letters = letters.skip(usize::from(self.spec.late_rows.is_some()));
        let dead_letters = letters.map(|s| s.rows).sum();
        self.activity.begin(epoch, Step::Preparing);
        let tokens = match self.commits_beside() {
            true => self.prepare_beside(epoch, staged),
            false => Preparing::Done(outputs::prepare(&self.spec, epoch, staged).await?),
        };
        CrashPoint::SinkPrepared.reach();
        self.state.advance(epoch);
        // Nothing outlives a query that keeps no checkpoint: its state stays where it is.
        let is_kept = self.spec.durability == Durability::Checkpoint;
        let mut changes = match is_kept && !self.uncommitted.is_whole() {
            true => self.state.deltas(epoch)?,
            false => Vec::new(),
        };
        changes.retain(|(_, _, chunk)| !chunk.is_empty());
        Ok(Prepared {
            numbers,
            rows_out,
            dead_letters,
            tokens,
            changes,
        })
    }

    async fn execute_epoch(&self, record: &EpochRecord) -> Result<Executed> {
        let observer = Arc::new(self.observer(record));
        let metrics = Arc::new(self.metrics());
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
        self.spec.plan.epoch_time.set(record.processing_time);
        let result = run_epoch(
            &self.spec.plan.physical,
            &self.config,
            &self.runtime,
            &RowsOut {
                sink: &self.spec.sink,
                held: &self.held,
                activity: &self.activity,
            },
            context,
        )
        .await
        .map_err(|e| self.spec.plan.fallible.name(e))?;
        self.held.let_go().await?;
        let beside = self.write_beside(record, &metrics).await?;
        let numbers = Numbers {
            observer,
            counters,
            metrics,
        };
        Ok(Executed {
            staged: StagedRows { result, beside },
            numbers,
        })
    }

    /// Counters that keep what goes to the sinks beside that of the result.
    fn metrics(&self) -> EpochMetrics {
        let (spec, pool) = (&self.spec, &self.runtime.memory_pool);
        let mut metrics = EpochMetrics::default();
        if spec.late_rows.is_some() {
            metrics = metrics.keeping_late_rows(pool);
        }
        if !spec.dead_letters.is_empty() {
            metrics = metrics.keeping_dead_letters(pool);
        }
        metrics
    }

    /// Hands late rows and dead letters to their sinks, in the order of [`QuerySpec::sides`].
    async fn write_beside(
        &self,
        record: &EpochRecord,
        metrics: &EpochMetrics,
    ) -> Result<Vec<Staged>> {
        let mut beside = Vec::new();
        if let Some(late) = &self.spec.late_rows {
            beside.push(late.write(record.epoch, metrics).await?);
        }
        let letters = metrics.take_dead_letters();
        for dead in &self.spec.dead_letters {
            beside.push(dead.write(record.epoch, &letters).await?);
        }
        Ok(beside)
    }

    /// Goes on to the epoch after one that ran, and commits if that is due.
    ///
    /// # Errors
    /// If the commit failed. Whether it happened, the checkpoint says.
    pub(super) async fn end_epoch(
        &mut self,
        record: &EpochRecord,
        prepared: Prepared,
        started: Duration,
    ) -> Result<EpochProgress> {
        let Prepared {
            numbers,
            rows_out,
            dead_letters,
            tokens,
            changes,
        } = prepared;
        let each = record.watermarks.iter().enumerate();
        self.watermarks = each
            .map(|(index, before)| {
                let source = SourceIndex(index);
                after_epoch(before, &numbers.observer, source, record.processing_time)
            })
            .collect();
        self.positions = record.slices.iter().map(|s| s.end.clone()).collect();
        self.next = record.epoch.next();
        self.flushed |= record.end_of_input;
        self.let_wait(record.epoch, tokens, changes);
        // A commit frees what waits for it, so it is not for that that a query ends.
        if self.commits_beside() {
            self.commit_beside(record.epoch).await?;
            if self.account_for_memory().is_err() {
                self.commit().await?;
            }
        } else if self.is_commit_due() || self.account_for_memory().is_err() {
            self.commit().await?;
        } else {
            // From here on only the checkpoint leads back.
            self.state.committed(record.epoch)?;
        }
        self.adapt_intake(&numbers, started);
        self.activity.begin(record.epoch, Step::Telling);
        self.reporter.look_up_latest(&self.sources).await;
        let counted = Counted {
            observer: numbers.observer,
            counters: numbers.counters,
            metrics: numbers.metrics,
            state: self.state.sizes(),
            rows_out,
            dead_letters,
            intake_max: self.intake.limit(),
            step_times_ms: self.activity.take_step_times(),
        };
        Ok(self.reporter.report(record, &counted, started))
    }

    /// Lets the next epoch take in fewer records, or more, by how long one took.
    fn adapt_intake(&mut self, numbers: &Numbers, started: Duration) {
        let records = numbers.counters.iter().map(|c| c.records()).max();
        let partitions = self.positions.iter().map(Offsets::len).max();
        let took = self.clock.elapsed().saturating_sub(started);
        self.intake
            .ran(records.unwrap_or(0), took, partitions.unwrap_or(0));
    }
}
