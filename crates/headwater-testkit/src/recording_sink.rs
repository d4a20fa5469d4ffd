//! A sink around another one that remembers what every epoch emitted.
//!
//! Output: a [`Ledger`], shared by the handles of all processes of a query. Prepared epochs are
//! durable, as contract 1 of [`Sink`] asks, so that a death after the commit record loses nothing.
//! Replay: an epoch that is prepared again must bring the same rows; other rows are an error.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream, TryStreamExt};
use parking_lot::Mutex;

use headwater_core::around::SinkAround;
use headwater_core::id::EpochId;
use headwater_core::sink::{CommitToken, Sink, SinkContext, Staged};
use headwater_core::{Error, Result};

use crate::text_rows::{sorted, text_rows};

/// What the epochs of a query emitted. Clones are the same ledger.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    entries: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    schema: Option<SchemaRef>,
    prepared: BTreeMap<EpochId, Vec<RecordBatch>>,
    published: BTreeMap<EpochId, Vec<RecordBatch>>,
}

impl Ledger {
    /// Columns of the rows, once a query has opened its sink.
    pub fn schema(&self) -> Option<SchemaRef> {
        self.entries.lock().schema.clone()
    }

    /// What one epoch made visible.
    pub fn epoch(&self, epoch: EpochId) -> Option<Vec<RecordBatch>> {
        self.entries.lock().published.get(&epoch).cloned()
    }

    /// What all epochs made visible, in order.
    pub fn epochs(&self) -> Vec<(EpochId, Vec<RecordBatch>)> {
        let entries = self.entries.lock();
        let published = entries.published.iter();
        published.map(|(e, rows)| (*e, rows.clone())).collect()
    }

    fn open(&self, context: &SinkContext) {
        let mut entries = self.entries.lock();
        entries.schema = Some(Arc::clone(&context.schema));
        let is_past = |epoch: &EpochId| Some(*epoch) <= context.last_committed;
        entries.published.retain(|epoch, _| is_past(epoch));
    }

    fn prepare(&self, epoch: EpochId, rows: Vec<RecordBatch>) -> Result<()> {
        let mut entries = self.entries.lock();
        if let Some(before) = entries.prepared.get(&epoch) {
            let (before, now) = (sorted(text_rows(before)?), sorted(text_rows(&rows)?));
            if before != now {
                return Err(Error::internal(format!(
                    "epoch {epoch} emitted other rows when it was run again"
                ))
                .with_detail(format!("First {before:?}, then {now:?}.")));
            }
        }
        entries.prepared.insert(epoch, rows);
        Ok(())
    }

    fn publish(&self, epoch: EpochId) -> Result<()> {
        let mut entries = self.entries.lock();
        let rows = entries.prepared.get(&epoch).cloned().ok_or_else(|| {
            Error::internal(format!("epoch {epoch} was committed and never prepared"))
        })?;
        entries.published.insert(epoch, rows);
        Ok(())
    }
}

/// A sink that writes into a [`Ledger`] what it hands on.
#[derive(Debug)]
pub struct RecordingSink {
    inner: Arc<dyn Sink>,
    ledger: Ledger,
    staged: Mutex<BTreeMap<EpochId, BTreeMap<usize, Vec<RecordBatch>>>>,
}

impl RecordingSink {
    /// Records what is written to `inner`.
    pub fn new(inner: Arc<dyn Sink>, ledger: Ledger) -> Self {
        RecordingSink {
            inner,
            ledger,
            staged: Mutex::default(),
        }
    }
}

#[async_trait]
impl SinkAround for RecordingSink {
    fn inner(&self) -> &dyn Sink {
        &*self.inner
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        self.inner.open(context).await?;
        self.ledger.open(context);
        Ok(())
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        {
            let mut staged = self.staged.lock();
            let epoch = staged.entry(epoch).or_default();
            epoch.insert(partition, batches.clone());
        }
        let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
        self.inner.write(epoch, partition, rows).await
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let token = self.inner.prepare(epoch, staged).await?;
        let rows = self.staged.lock().remove(&epoch).unwrap_or_default();
        let rows = rows.into_values().flatten().filter(|b| b.num_rows() > 0);
        self.ledger.prepare(epoch, rows.collect())?;
        Ok(token)
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        self.inner.commit(epoch, token).await?;
        self.ledger.publish(epoch)
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.staged.lock().remove(&epoch);
        self.inner.abort(epoch).await
    }

    async fn ended(&self) -> Result<()> {
        self.inner.ended().await
    }
}
