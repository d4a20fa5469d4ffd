//! What a statement gives.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, TryStreamExt};

use headwater_core::source::ReadCounters;
use headwater_core::{Error, Result};
use headwater_engine::StreamingQuery;

/// What a statement gives.
#[derive(Debug)]
pub enum Outcome {
    /// It was done; a sentence fragment says what.
    Done(String),
    /// Rows, read as they are asked for.
    Rows(Rows),
    /// A streaming query was started.
    Query(StreamingQuery),
}

impl Outcome {
    /// All rows.
    ///
    /// # Errors
    /// If reading fails, or the statement gives no rows.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        self.into_rows()?.collect().await
    }

    /// The rows.
    ///
    /// # Errors
    /// If the statement gives none.
    pub fn into_rows(self) -> Result<Rows> {
        match self {
            Outcome::Rows(rows) => Ok(rows),
            Outcome::Done(_) | Outcome::Query(_) => Err(Error::plan("the statement gives no rows")),
        }
    }

    /// The query that was started.
    ///
    /// # Errors
    /// If none was.
    pub fn into_query(self) -> Result<StreamingQuery> {
        match self {
            Outcome::Query(query) => Ok(query),
            Outcome::Done(_) | Outcome::Rows(_) => {
                Err(Error::plan("the statement starts no query"))
            }
        }
    }
}

/// How far a bounded read is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadProgress {
    /// Records read until now, over all sources.
    pub records: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// How much of it is done, from 0 to 1; `None` where the end is not known.
    pub fraction: Option<f64>,
}

/// Looks at a bounded read from beside it.
#[derive(Debug, Clone)]
pub struct ReadWatch {
    counters: Vec<Arc<ReadCounters>>,
}

impl ReadWatch {
    /// Whether sources are read at all.
    pub fn is_read(&self) -> bool {
        !self.counters.is_empty()
    }

    /// How far the read is.
    pub fn progress(&self) -> ReadProgress {
        let each = || self.counters.iter();
        // Sources count in units of their own, so each of them is as much as the others.
        let fractions: Option<Vec<f64>> = each().map(|read| read.fraction()).collect();
        let fractions = fractions.filter(|fractions| !fractions.is_empty());
        ReadProgress {
            records: each().map(|read| read.records()).sum(),
            bytes: each().map(|read| read.bytes()).sum(),
            fraction: fractions.map(|all| all.iter().sum::<f64>() / all.len() as f64),
        }
    }
}

/// Rows of a bounded read.
pub struct Rows {
    stream: SendableRecordBatchStream,
    counters: Vec<(String, Arc<ReadCounters>)>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("schema", &self.stream.schema())
            .finish_non_exhaustive()
    }
}

impl Rows {
    pub(crate) fn new(
        stream: SendableRecordBatchStream,
        counters: Vec<(String, Arc<ReadCounters>)>,
    ) -> Self {
        Rows { stream, counters }
    }

    pub(crate) fn of(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let stream = futures::stream::iter([Ok(batch)]);
        Rows::new(
            Box::pin(RecordBatchStreamAdapter::new(schema, stream)),
            vec![],
        )
    }

    /// Columns.
    pub fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// If reading fails.
    pub async fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(self.stream.next().await.transpose()?)
    }

    /// All batches.
    ///
    /// # Errors
    /// If reading fails.
    pub async fn collect(self) -> Result<Vec<RecordBatch>> {
        Ok(self.stream.try_collect().await?)
    }

    /// What tells how far the read is while its rows are waited for.
    pub fn watch(&self) -> ReadWatch {
        let counters = self.counters.iter();
        ReadWatch {
            counters: counters.map(|(_, read)| Arc::clone(read)).collect(),
        }
    }

    /// Records read until now, over all sources: what a bounded read did not need was not read.
    pub fn records_read(&self) -> u64 {
        self.counters.iter().map(|(_, read)| read.records()).sum()
    }

    /// Bad records that were left out or made NULL until now, as (source, reason, records).
    pub fn bad_records(&self) -> Vec<(String, String, u64)> {
        let each = self.counters.iter();
        each.flat_map(|(source, counters)| {
            counters
                .bad()
                .into_iter()
                .map(|(reason, n)| (source.clone(), reason, n))
        })
        .collect()
    }
}
