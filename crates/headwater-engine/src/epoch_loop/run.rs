//! Running an epoch: the plan, the sink, the state, and the record that makes it happen.

use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::{CommitRecord, EpochRecord, HEADWATER_VERSION, WatermarkState};
use headwater_core::Result;
use headwater_core::id::{EpochId, SourceIndex};
use headwater_core::offset::Offsets;
use headwater_core::source::ReadCounters;
use headwater_core::state::ChunkKind;
use headwater_exec::epoch_context::{EpochContext, EpochInput};
use headwater_exec::metrics::EpochMetrics;
use headwater_exec::watermark::WatermarkObserver;

use super::EpochLoop;
use crate::epoch_report::Counted;
use crate::execute::{blocking, run_epoch};
use crate::outputs::{self, StagedRows, Tokens};
use crate::progress::EpochProgress;
use crate::query::Durability;
use crate::retry::Retries;
use crate::state_chain::StateChain;
use crate::watermark_tracker::after_epoch;

/// Old files are deleted every so many epochs: deleting costs more than a small epoch.
const CLEAN_UP_EVERY: u64 = 16;

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

/// An epoch of which everything is durable and nothing is visible.
pub(super) struct Prepared {
    numbers: Numbers,
    rows_out: u64,
    tokens: Tokens,
    chain: StateChain,
}

impl EpochLoop {
    /// Runs an epoch until everything it made is durable, and again if it failed for a reason
    /// that may pass.
    pub(super) async fn prepare_with_retries(&self, record: &EpochRecord) -> Result<Prepared> {
        let mut retries = Retries::new();
        loop {
            let error = match self.prepare_epoch(record).await {
                Ok(prepared) => return Ok(prepared),
                Err(error) => error,
            };
            if let Err(undo) = self.state.rollback(record.epoch.previous()) {
                tracing::error!(epoch = %record.epoch, error = %undo, "a failed epoch could not be rolled back");
                return Err(error);
            }
            outputs::abort(&self.spec, record.epoch).await;
            let what = format!("epoch {}", record.epoch);
            retries.wait_after(error, &what, &*self.clock).await?;
        }
    }

    async fn prepare_epoch(&self, record: &EpochRecord) -> Result<Prepared> {
        let epoch = record.epoch;
        let Executed { staged, numbers } = self.execute_epoch(record).await?;
        let rows_out = staged.result.iter().map(|s| s.rows).sum();
        let tokens = outputs::prepare(&self.spec, epoch, staged).await?;
        let chain = self.save_state(epoch).await?;
        Ok(Prepared {
            numbers,
            rows_out,
            tokens,
            chain,
        })
    }

    async fn execute_epoch(&self, record: &EpochRecord) -> Result<Executed> {
        let observer = Arc::new(self.observer(record));
        let metrics = Arc::new(match &self.spec.late_rows {
            Some(_) => EpochMetrics::keeping_late_rows(&self.runtime.memory_pool),
            None => EpochMetrics::default(),
        });
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
            &self.spec.sink,
            context,
        )
        .await?;
        let late = match &self.spec.late_rows {
            Some(late) => Some(late.write(record.epoch, &metrics).await?),
            None => None,
        };
        let numbers = Numbers {
            observer,
            counters,
            metrics,
        };
        Ok(Executed {
            staged: StagedRows { result, late },
            numbers,
        })
    }

    pub(super) async fn commit_epoch(
        &mut self,
        record: &EpochRecord,
        prepared: Prepared,
        started: Duration,
    ) -> Result<EpochProgress> {
        let epoch = record.epoch;
        let Prepared {
            numbers,
            rows_out,
            tokens,
            chain,
        } = prepared;
        let positions: Vec<Offsets> = record.slices.iter().map(|s| s.end.clone()).collect();
        let watermarks: Vec<WatermarkState> = record
            .watermarks
            .iter()
            .enumerate()
            .map(|(index, before)| {
                let source = SourceIndex(index);
                after_epoch(before, &numbers.observer, source, record.processing_time)
            })
            .collect();
        let commit = CommitRecord {
            epoch,
            offsets: positions.clone(),
            watermarks: watermarks.clone(),
            state_files: chain.files().to_vec(),
            sink_token: tokens.result.clone(),
            late_rows: tokens.late.clone(),
            version: HEADWATER_VERSION.to_string(),
        };
        let checkpoint = Arc::clone(&self.checkpoint);
        blocking(move || checkpoint.commit(&commit)).await?;

        outputs::publish(&self.spec, epoch, &tokens, &*self.clock).await?;
        self.state.committed(epoch)?;
        for (source, position) in self.sources.iter().zip(&positions) {
            // The epoch has happened, and this only frees what it needed.
            if let Err(error) = source.committed(position).await {
                tracing::warn!(%epoch, %error, "a source could not forget a committed epoch");
            }
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
            observer: numbers.observer,
            counters: numbers.counters,
            metrics: numbers.metrics,
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
        if deltas.iter().all(|(_, _, chunk)| chunk.is_empty()) {
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
