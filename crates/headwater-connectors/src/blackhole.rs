//! The `blackhole` connector: a sink that counts rows and forgets them, for measurements.
//!
//! Replay: nothing is kept, so an epoch written twice has the effect of once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::stream::{BoxStream, TryStreamExt};

use headwater_core::Result;
use headwater_core::connector::{Connector, DeclaredSink, SinkDefinition};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::options::OptionReader;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};

use crate::options::refuse_format;

/// The connector `blackhole`.
#[derive(Debug, Default)]
pub struct BlackholeConnector;

impl Connector for BlackholeConnector {
    fn name(&self) -> &'static str {
        "blackhole"
    }

    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        refuse_format(definition.format.as_ref(), options.owner())?;
        Ok(BlackholeSink::with_key(definition.primary_key).declared())
    }
}

/// A sink that counts rows. Clones share the count.
#[derive(Debug, Clone, Default)]
pub struct BlackholeSink {
    key: Vec<String>,
    rows: Arc<AtomicU64>,
}

impl BlackholeSink {
    /// A sink for rows without a key.
    pub fn new() -> Self {
        Self::default()
    }

    /// A sink for rows that `key` identifies.
    pub fn with_key(key: Vec<String>) -> Self {
        BlackholeSink {
            key,
            rows: Arc::default(),
        }
    }

    /// Rows written so far, those of failed epochs included.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// This sink as a declaration; every query that opens it adds to the same count.
    pub fn declared(&self) -> Arc<dyn DeclaredSink> {
        Arc::new(DeclaredBlackhole(self.clone()))
    }
}

#[derive(Debug)]
struct DeclaredBlackhole(BlackholeSink);

impl DeclaredSink for DeclaredBlackhole {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        Ok(Arc::new(self.0.clone()))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(self.open()?.capabilities())
    }
}

#[async_trait]
impl Sink for BlackholeSink {
    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: vec![OutputMode::Append, OutputMode::Update, OutputMode::Complete],
            key: self.key.clone(),
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

    async fn open(&self, _context: &SinkContext) -> Result<()> {
        Ok(())
    }

    async fn write(
        &self,
        _epoch: EpochId,
        _partition: usize,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let mut staged = Staged::default();
        while let Some(batch) = rows.try_next().await? {
            staged.rows += batch.num_rows() as u64;
        }
        self.rows.fetch_add(staged.rows, Ordering::Relaxed);
        Ok(staged)
    }

    async fn prepare(&self, _epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, _epoch: EpochId, _token: CommitToken) -> Result<()> {
        Ok(())
    }

    async fn abort(&self, _epoch: EpochId) -> Result<()> {
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{ints, rows_of};

    #[tokio::test]
    async fn counts_what_it_forgets() {
        let sink = BlackholeSink::new();
        let opened = sink.declared().open().unwrap();
        let staged = opened
            .write(EpochId(0), 0, rows_of([ints(&[1, 2, 3]), ints(&[4])]))
            .await
            .unwrap();
        assert_eq!((staged.rows, sink.rows()), (4, 4));
    }
}
