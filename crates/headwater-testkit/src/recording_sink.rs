//! A sink around another one that remembers what every epoch emitted.
//!
//! Output: a [`Ledger`], shared by the handles of all processes of a query. Prepared epochs are
//! durable, as contract 1 of [`Sink`] asks, so that a death after the commit record loses nothing.
//! Replay: an epoch that is prepared again must bring the same rows; other rows are an error.
//!
//! | publication | what is prepared | a commit |
//! | --- | --- | --- |
//! | after the record | is handed on, and survives the process | publishes its epoch, as often as it is asked to |
//! | transaction | is in the open transaction, which ends with the process | publishes all epochs in it, once, and notes the newest |

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
use headwater_core::sink::{CommitToken, Publication, Sink, SinkContext, Staged};
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
    /// What is prepared in the open transaction.
    open: Vec<EpochId>,
    /// The newest epoch that a transaction has committed.
    note: Option<EpochId>,
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

    /// What one epoch brought, visible or not.
    pub fn prepared(&self, epoch: EpochId) -> Option<Vec<RecordBatch>> {
        self.entries.lock().prepared.get(&epoch).cloned()
    }

    /// What all epochs made visible, in order.
    pub fn epochs(&self) -> Vec<(EpochId, Vec<RecordBatch>)> {
        let entries = self.entries.lock();
        let published = entries.published.iter();
        published.map(|(e, rows)| (*e, rows.clone())).collect()
    }

    fn open(&self, context: &SinkContext, publication: Publication) {
        let mut entries = self.entries.lock();
        entries.schema = Some(Arc::clone(&context.schema));
        entries.open.clear();
        let is_past = |epoch: &EpochId| Some(*epoch) <= context.last_committed;
        if context.commit_interval.is_some() {
            // Their records are written with their commit, so they may be cut otherwise now.
            entries.prepared.retain(|epoch, _| is_past(epoch));
        }
        if publication == Publication::Transaction {
            // What is published was decided here, and not by the commit record.
            return;
        }
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

    /// Puts a prepared epoch into the open transaction.
    fn add_to_transaction(&self, epoch: EpochId) {
        self.entries.lock().open.push(epoch);
    }

    /// Ends the open transaction without effect; the newest epoch that one has committed.
    fn abort_transaction(&self) -> Option<EpochId> {
        let mut entries = self.entries.lock();
        entries.open.clear();
        entries.note
    }

    /// Makes everything in the open transaction visible.
    fn commit_transaction(&self, newest: EpochId) -> Result<()> {
        let open = {
            let mut entries = self.entries.lock();
            entries.note = Some(newest);
            std::mem::take(&mut entries.open)
        };
        if open.last() != Some(&newest) {
            return Err(Error::internal(format!(
                "epoch {newest} was committed, and the transaction holds {open:?}"
            )));
        }
        for epoch in open {
            if self.epoch(epoch).is_some() {
                return Err(Error::internal(format!(
                    "epoch {epoch} was committed a second time"
                )));
            }
            self.publish(epoch)?;
        }
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
    publication: Publication,
    staged: Mutex<BTreeMap<EpochId, BTreeMap<usize, Vec<RecordBatch>>>>,
}

impl RecordingSink {
    /// Records what is written to `inner`. Transactions are the ledger's own: `inner` gets no rows
    /// then.
    pub fn new(inner: Arc<dyn Sink>, ledger: Ledger, publication: Publication) -> Self {
        RecordingSink {
            inner,
            ledger,
            publication,
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
        self.ledger.open(context, self.publication);
        self.staged.lock().clear();
        Ok(())
    }

    fn publication(&self) -> Publication {
        match self.publication {
            Publication::AfterRecord => self.inner.publication(),
            Publication::Transaction => Publication::Transaction,
        }
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        match self.publication {
            Publication::AfterRecord => self.inner.last_published().await,
            Publication::Transaction => Ok(self.ledger.abort_transaction()),
        }
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
        if self.publication == Publication::Transaction {
            let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
            return Ok(Staged {
                rows,
                ..Staged::default()
            });
        }
        let rows = stream::iter(batches.into_iter().map(Ok)).boxed();
        self.inner.write(epoch, partition, rows).await
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let token = match self.publication {
            Publication::AfterRecord => self.inner.prepare(epoch, staged).await?,
            Publication::Transaction => CommitToken::default(),
        };
        let rows = self.staged.lock().remove(&epoch).unwrap_or_default();
        let rows = rows.into_values().flatten().filter(|b| b.num_rows() > 0);
        self.ledger.prepare(epoch, rows.collect())?;
        if self.publication == Publication::Transaction {
            self.ledger.add_to_transaction(epoch);
        }
        Ok(token)
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        if self.publication == Publication::Transaction {
            return self.ledger.commit_transaction(epoch);
        }
        self.inner.commit(epoch, token).await?;
        self.ledger.publish(epoch)
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.staged.lock().remove(&epoch);
        if self.publication == Publication::Transaction {
            self.ledger.abort_transaction();
            return Ok(());
        }
        self.inner.abort(epoch).await
    }

    async fn ended(&self) -> Result<()> {
        self.inner.ended().await
    }
}
