//! A sink that keeps its rows in memory, to be looked at in the same process.
//!
//! | mode | what [`MemorySink::rows`] gives |
//! | --- | --- |
//! | append | the rows of all epochs, in order |
//! | update | the newest row of every key that is not gone; without a key the rows of all epochs, as in Spark, with what they do if some take rows back |
//! | complete | the rows of the newest epoch |
//!
//! State: the published epochs. In append mode they are the rows and grow with them; else only the
//! newest [`MemorySink::with_history`] epochs are kept apart and older ones are folded together.
//! Replay: an epoch is published at commit and replaces itself; in a new process the sink is empty.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{BoxStream, TryStreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;

use headwater_core::changes::split_ops;
use headwater_core::connector::DeclaredSink;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, Result};

use crate::staging::Staging;

mod upsert;

/// Published epochs that are kept apart in update and complete mode.
const DEFAULT_HISTORY_EPOCHS: usize = 64;

/// An epoch with the batches it wrote.
pub type EpochRows = (EpochId, Vec<RecordBatch>);

/// A sink that keeps its rows in memory. Clones are handles of the same sink.
#[derive(Debug, Clone)]
pub struct MemorySink {
    key: Arc<[String]>,
    history_epochs: usize,
    table: Arc<Table>,
    run: Arc<Run>,
}

/// What every query that writes to the sink shares.
#[derive(Debug)]
struct Table {
    published: Mutex<Published>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Published {
    schema: Option<SchemaRef>,
    mode: Option<OutputMode>,
    has_ops: bool,
    epochs: VecDeque<PublishedEpoch>,
    /// Update mode: the rows of epochs that have left `epochs`.
    base: Option<RecordBatch>,
    /// The newest epoch of each query that has left `epochs`.
    folded: BTreeMap<QueryId, EpochId>,
}

#[derive(Debug)]
struct PublishedEpoch {
    query: QueryId,
    epoch: EpochId,
    batches: Vec<RecordBatch>,
}

/// What belongs to the one query that writes through this handle.
#[derive(Debug, Default)]
struct Run {
    query: Mutex<Option<QueryId>>,
    staging: Staging<Vec<RecordBatch>>,
}

impl Default for MemorySink {
    fn default() -> Self {
        Self::with_key(Vec::new())
    }
}

impl MemorySink {
    /// A sink for rows without a key.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink for rows that the columns `key` identify.
    pub fn with_key(key: Vec<String>) -> Self {
        MemorySink {
            key: key.into(),
            history_epochs: DEFAULT_HISTORY_EPOCHS,
            table: Arc::new(Table {
                published: Mutex::default(),
                changed: Notify::new(),
            }),
            run: Arc::default(),
        }
    }

    /// How many epochs [`MemorySink::epochs`] gives in update and complete mode, at least one;
    /// 64 if not called.
    pub fn with_history(mut self, epochs: usize) -> Self {
        self.history_epochs = epochs.max(1);
        self
    }

    /// The columns that identify a row.
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// Columns of the rows, once a query has opened the sink.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.table.published.lock().schema.clone()
    }

    /// Everything visible, without empty batches.
    pub fn rows(&self) -> Vec<RecordBatch> {
        let published = self.table.published.lock();
        let mut rows = match published.mode {
            Some(OutputMode::Complete) => {
                let newest = published.epochs.back();
                newest.map(|e| e.batches.clone()).unwrap_or_default()
            }
            Some(OutputMode::Update) if !self.key.is_empty() => {
                let epochs = published.epochs.iter().flat_map(|e| &e.batches);
                let all: Vec<_> = published.base.iter().chain(epochs).cloned().collect();
                self.newest(all, published.has_ops)
            }
            Some(OutputMode::Append | OutputMode::Update) | None => {
                let epochs = published.epochs.iter();
                epochs.flat_map(|e| e.batches.clone()).collect::<Vec<_>>()
            }
        };
        rows.retain(|batch| batch.num_rows() > 0);
        rows
    }

    /// Types were checked when the rows were published, so what is left to fail is a column of
    /// more bytes than Arrow can address: then the rows are given as they were written.
    fn newest(&self, rows: Vec<RecordBatch>, has_ops: bool) -> Vec<RecordBatch> {
        let newest = upsert::newest_by_key(&rows, &self.key, has_ops);
        let newest = newest.and_then(|newest| match newest {
            Some(newest) if has_ops => Ok(Some(split_ops(&newest)?.0)),
            newest => Ok(newest),
        });
        match newest {
            Ok(newest) => newest.into_iter().collect(),
            Err(error) => {
                tracing::error!(%error, "rows of a memory sink could not be merged by key");
                rows
            }
        }
    }

    /// The published epochs with what each wrote, in the order of publication; if some take rows
    /// back, with [`OP_COLUMN`](headwater_core::changes::OP_COLUMN).
    pub fn epochs(&self) -> Vec<EpochRows> {
        let published = self.table.published.lock();
        let epochs = published.epochs.iter();
        epochs.map(|e| (e.epoch, e.batches.clone())).collect()
    }

    /// The newest published epoch.
    pub fn last_epoch(&self) -> Option<EpochId> {
        let published = self.table.published.lock();
        published.epochs.back().map(|e| e.epoch)
    }

    /// Completes when an epoch at or after `epoch` is published.
    pub async fn wait_for_epoch(&self, epoch: EpochId) {
        loop {
            let changed = self.table.changed.notified();
            if self.last_epoch().is_some_and(|last| last >= epoch) {
                return;
            }
            changed.await;
        }
    }

    /// This sink as a declaration: what its queries write is seen through every handle.
    pub fn declared(&self) -> Arc<dyn DeclaredSink> {
        Arc::new(DeclaredMemorySink(self.clone()))
    }

    fn publish(&self, query: QueryId, epoch: EpochId, batches: Vec<RecordBatch>) -> Result<()> {
        {
            let mut published = self.table.published.lock();
            upsert::newest_by_key(&batches, &self.key, published.has_ops)?;
            if published.folded.get(&query).is_some_and(|f| *f >= epoch) {
                return Ok(());
            }
            let mut epochs = published.epochs.iter_mut();
            match epochs.find(|e| e.query == query && e.epoch == epoch) {
                Some(known) => known.batches = batches,
                None => published.epochs.push_back(PublishedEpoch {
                    query,
                    epoch,
                    batches,
                }),
            }
            published.fold_old(self.history_epochs, &self.key)?;
        }
        self.table.changed.notify_waiters();
        Ok(())
    }
}

impl Published {
    /// Takes a query up again after `last_committed`, or anew.
    fn open(&mut self, context: &SinkContext, key: &[String]) {
        let query = &context.query;
        self.epochs
            .retain(|e| e.query != *query || Some(e.epoch) <= context.last_committed);
        if context.last_committed.is_none() {
            self.folded.remove(query);
            if self.folded.is_empty() {
                self.base = None;
            }
        }
        self.schema = Some(match key.is_empty() {
            true => Arc::clone(&context.schema),
            false => context.row_schema(),
        });
        self.mode = Some(context.mode);
        self.has_ops = context.has_ops;
    }

    /// Bounds `epochs` where old epochs no longer show: twice `keep`, so that folding is rare.
    fn fold_old(&mut self, keep: usize, key: &[String]) -> Result<()> {
        let is_keyed_update = self.mode == Some(OutputMode::Update) && !key.is_empty();
        let is_bounded = is_keyed_update || self.mode == Some(OutputMode::Complete);
        if !is_bounded || self.epochs.len() <= 2 * keep {
            return Ok(());
        }
        let old: Vec<_> = self.epochs.drain(..self.epochs.len() - keep).collect();
        let mut rows: Vec<_> = self.base.take().into_iter().collect();
        for old in old {
            self.folded.insert(old.query, old.epoch);
            rows.extend(old.batches);
        }
        if is_keyed_update {
            self.base = upsert::newest_by_key(&rows, key, self.has_ops)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct DeclaredMemorySink(MemorySink);

impl DeclaredSink for DeclaredMemorySink {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(MemorySink {
            run: Arc::default(),
            ..self.0.clone()
        }))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(self.open()?.capabilities())
    }
}

#[async_trait]
impl Sink for MemorySink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: vec![OutputMode::Append, OutputMode::Update, OutputMode::Complete],
            key: self.key.to_vec(),
            loses_null_keys: false,
            takes_deletes: true,
            is_idempotent: true,
            overlaps: false,
        }
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn publication(&self) -> Publication {
        Publication::AfterRecord
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        Ok(None)
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        upsert::key_columns(&context.schema, &self.key)?;
        // What the last commit holds is still to be shown.
        self.run.staging.discard_after(context.last_committed);
        *self.run.query.lock() = Some(context.query.clone());
        self.table.published.lock().open(context, &self.key);
        Ok(())
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let batches: Vec<RecordBatch> = rows
            .try_filter(|batch| std::future::ready(batch.num_rows() > 0))
            .try_collect()
            .await?;
        let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
        self.run.staging.put(epoch, partition, batches);
        Ok(Staged {
            rows,
            ..Staged::default()
        })
    }

    async fn prepare(&self, _epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    /// Nothing is staged if the epoch was committed before, or in another process: then there is
    /// nothing to do.
    async fn commit(&self, epoch: EpochId, _token: CommitToken) -> Result<()> {
        let Some(staged) = self.run.staging.take(epoch) else {
            return Ok(());
        };
        let query = self.run.query.lock().clone();
        let query = query.ok_or_else(|| {
            Error::internal(format!(
                "epoch {epoch} of a memory sink that was not opened"
            ))
        })?;
        self.publish(query, epoch, staged.concat())
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.run.staging.discard(epoch);
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
