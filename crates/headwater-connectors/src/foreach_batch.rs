//! The foreach-batch sink: the rows of every epoch go to a function of the caller.
//!
//! The rows of a query that takes rows back say in a last column what they do to the result: see
//! [`headwater_core::changes`].
//! Replay: the function runs while the epoch is prepared, before the engine's commit record, so a
//! crash in between calls it again with the same epoch id: at least once, and once in effect for a
//! caller that remembers the id. Spark's `foreachBatch` gives the same promise.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, TryStreamExt};

use headwater_core::Result;
use headwater_core::connector::DeclaredSink;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};

use crate::staging::Staging;

type Callback =
    dyn Fn(EpochId, Vec<RecordBatch>) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static;

/// A sink that hands each epoch to a function. The rows of one epoch are held in memory.
#[derive(Clone)]
pub struct ForeachBatchSink {
    callback: Arc<Callback>,
    key: Vec<String>,
    staged: Arc<Staging<Vec<RecordBatch>>>,
}

impl ForeachBatchSink {
    /// A sink that calls `callback` once for every run of an epoch, empty epochs included; batches
    /// come in partition order.
    pub fn new<F>(callback: F) -> Self
    where
        F: Fn(EpochId, Vec<RecordBatch>) -> BoxFuture<'static, Result<()>> + Send + Sync + 'static,
    {
        ForeachBatchSink {
            callback: Arc::new(callback),
            key: Vec::new(),
            staged: Arc::default(),
        }
    }

    /// Names the columns that identify a row, for queries that emit updates.
    pub fn with_key(mut self, key: Vec<String>) -> Self {
        self.key = key;
        self
    }

    /// This sink as a declaration.
    pub fn declared(&self) -> Arc<dyn DeclaredSink> {
        Arc::new(DeclaredForeachBatch(self.clone()))
    }
}

impl fmt::Debug for ForeachBatchSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForeachBatchSink")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct DeclaredForeachBatch(ForeachBatchSink);

impl DeclaredSink for DeclaredForeachBatch {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(ForeachBatchSink {
            callback: Arc::clone(&self.0.callback),
            key: self.0.key.clone(),
            staged: Arc::default(),
        }))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(self.open()?.capabilities())
    }
}

#[async_trait]
impl Sink for ForeachBatchSink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: vec![OutputMode::Append, OutputMode::Update, OutputMode::Complete],
            key: self.key.clone(),
            loses_null_keys: false,
            takes_deletes: true,
            is_idempotent: false,
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
        self.staged.discard_after(context.last_committed);
        Ok(())
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        let rows = batches.iter().map(|b| b.num_rows() as u64).sum();
        self.staged.put(epoch, partition, batches);
        Ok(Staged {
            rows,
            ..Staged::default()
        })
    }

    async fn prepare(&self, epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        let mut batches = self.staged.take(epoch).unwrap_or_default().concat();
        batches.retain(|batch| batch.num_rows() > 0);
        (self.callback)(epoch, batches).await?;
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, _epoch: EpochId, _token: CommitToken) -> Result<()> {
        Ok(())
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.staged.discard(epoch);
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;
    use crate::test_support::{ints, rows_of};

    #[tokio::test]
    async fn calls_back_with_the_whole_epoch_in_partition_order() {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&calls);
        let sink = ForeachBatchSink::new(move |epoch, batches| {
            seen.lock().push((epoch, batches));
            Box::pin(async { Ok(()) })
        });
        let sink = sink.declared().open().unwrap();
        sink.write(EpochId(7), 1, rows_of([ints(&[3])]))
            .await
            .unwrap();
        sink.write(EpochId(7), 0, rows_of([ints(&[9])]))
            .await
            .unwrap();
        sink.write(EpochId(7), 0, rows_of([ints(&[1, 2])]))
            .await
            .unwrap();
        sink.prepare(EpochId(7), vec![]).await.unwrap();
        assert_eq!(
            *calls.lock(),
            [(EpochId(7), vec![ints(&[1, 2]), ints(&[3])])]
        );
    }
}
