//! A source that is fed by hand.
//!
//! Input: record batches, per partition, from [`MemoryStream::push`].
//! Output: the columns it was made with.
//! Replay: offsets are row numbers; rows are held until the last handle is gone, so every slice
//! can be read again in this process, and in none after it.
//! Source: Spark's `MemoryStream`; here rows have offsets, not the calls that added them.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;

use headwater_core::connector::{DeclaredSource, SourceContext};
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};
use headwater_core::{Error, Result};

use crate::budget;

/// How long a [`MemoryStream`] holds its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retention {
    /// Until the last handle is gone: any number of queries may read, and read again. Memory
    /// grows with every row pushed.
    #[default]
    KeepAll,
    /// Until a query has committed them: for one long-running query.
    UntilCommitted,
}

/// A source that is fed by hand. Clones are handles of the same stream.
#[derive(Debug, Clone)]
pub struct MemoryStream {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: Arc<str>,
    schema: SchemaRef,
    retention: Retention,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    partitions: Vec<Rows>,
    has_ended: bool,
}

/// The rows of one partition: batches with the number of their first row.
#[derive(Debug, Default)]
struct Rows {
    batches: VecDeque<(i64, RecordBatch)>,
    end: i64,
}

impl Rows {
    /// The number of the oldest row that is held.
    fn start(&self) -> i64 {
        self.batches.front().map_or(self.end, |(first, _)| *first)
    }

    /// The rows `[start, end)`, in pieces of at most `piece_rows`.
    fn pieces(&self, start: i64, end: i64, piece_rows: usize) -> Vec<RecordBatch> {
        let mut pieces = Vec::new();
        let from = self
            .batches
            .partition_point(|(first, batch)| first + batch.num_rows() as i64 <= start);
        for (first, batch) in self.batches.range(from..) {
            if *first >= end {
                break;
            }
            let stop = (end - first).min(batch.num_rows() as i64) as usize;
            let mut at = (start - first).max(0) as usize;
            while at < stop {
                let rows = piece_rows.min(stop - at);
                pieces.push(batch.slice(at, rows));
                at += rows;
            }
        }
        pieces
    }
}

impl MemoryStream {
    /// A stream without rows; it has at least one partition.
    pub fn new(schema: SchemaRef, partitions: usize) -> Self {
        Self::named("memory", schema, partitions)
    }

    /// A stream whose partitions are called `name/0`, `name/1` and so on.
    pub fn named(name: &str, schema: SchemaRef, partitions: usize) -> Self {
        Self::build(name, schema, partitions, Retention::KeepAll)
    }

    /// The same stream, empty, with another retention.
    pub fn with_retention(self, retention: Retention) -> Self {
        let schema = Arc::clone(&self.shared.schema);
        Self::build(&self.shared.name, schema, self.partitions(), retention)
    }

    fn build(name: &str, schema: SchemaRef, partitions: usize, retention: Retention) -> Self {
        let partitions = (0..partitions.max(1)).map(|_| Rows::default()).collect();
        MemoryStream {
            shared: Arc::new(Shared {
                name: name.into(),
                schema,
                retention,
                state: Mutex::new(State {
                    partitions,
                    has_ended: false,
                }),
                changed: Notify::new(),
            }),
        }
    }

    /// Columns of the rows.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.shared.schema)
    }

    /// Number of partitions.
    pub fn partitions(&self) -> usize {
        self.shared.state.lock().partitions.len()
    }

    /// Rows pushed so far, over all partitions.
    pub fn rows(&self) -> u64 {
        let state = self.shared.state.lock();
        state.partitions.iter().map(|p| p.end as u64).sum()
    }

    /// Adds rows to a partition and wakes the queries that wait for them.
    ///
    /// # Errors
    /// If the partition does not exist, the columns are others, or the stream has ended.
    pub fn push(&self, partition: usize, batch: RecordBatch) -> Result<()> {
        let batch = self.conform(batch)?;
        {
            let mut state = self.shared.state.lock();
            if state.has_ended {
                return Err(self.refuse("has ended and takes no more rows"));
            }
            let rows = state
                .partitions
                .get_mut(partition)
                .ok_or_else(|| self.refuse(&format!("has no partition {partition}")))?;
            let first = rows.end;
            if batch.num_rows() > 0 {
                rows.end += batch.num_rows() as i64;
                rows.batches.push_back((first, batch));
            }
        }
        self.shared.changed.notify_waiters();
        Ok(())
    }

    /// Says that no row will follow: queries over this stream end when they have read it.
    pub fn end(&self) {
        self.shared.state.lock().has_ended = true;
        self.shared.changed.notify_waiters();
    }

    /// This stream as a declaration: every query that opens it reads all rows.
    pub fn declared(&self) -> Arc<dyn DeclaredSource> {
        self.declared_with(EpochLimits::default())
    }

    /// This stream as a declaration with limits for an epoch.
    pub fn declared_with(&self, limits: EpochLimits) -> Arc<dyn DeclaredSource> {
        Arc::new(DeclaredStream {
            stream: self.clone(),
            limits,
        })
    }

    /// The batch under the declared schema: names may differ, types and NULLs may not.
    fn conform(&self, batch: RecordBatch) -> Result<RecordBatch> {
        if batch.schema_ref() == &self.shared.schema {
            return Ok(batch);
        }
        RecordBatch::try_new(self.schema(), batch.columns().to_vec()).map_err(|error| {
            self.refuse("was given rows with other columns")
                .with_source(error)
        })
    }

    fn refuse(&self, what: &str) -> Error {
        Error::plan(format!("memory stream \"{}\" {what}", self.shared.name))
    }

    fn partition(&self, index: usize) -> Partition {
        Partition {
            stream: Arc::clone(&self.shared.name),
            index: index as i32,
        }
    }

    fn position(&self, offset_of: impl Fn(&Rows) -> i64) -> Offsets {
        let state = self.shared.state.lock();
        state
            .partitions
            .iter()
            .enumerate()
            .map(|(index, rows)| (self.partition(index), offset_of(rows)))
            .collect()
    }

    fn gone(&self, partition: &Partition, start: i64, end: i64, rows: &Rows) -> Error {
        Error::data_loss(format!(
            "rows {start} to {end} of partition {partition} are not in memory"
        ))
        .with_detail(format!(
            "The stream holds rows {} to {} (end exclusive).",
            rows.start(),
            rows.end
        ))
        .with_hint("A memory stream starts empty in every process: use a new checkpoint.")
    }
}

#[derive(Debug)]
struct DeclaredStream {
    stream: MemoryStream,
    limits: EpochLimits,
}

#[async_trait]
impl DeclaredSource for DeclaredStream {
    fn schema(&self) -> SchemaRef {
        self.stream.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn limits(&self) -> EpochLimits {
        self.limits
    }

    async fn open(&self, _context: SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(self.stream.clone()))
    }
}

#[async_trait]
impl Source for MemoryStream {
    fn schema(&self) -> SchemaRef {
        MemoryStream::schema(self)
    }

    fn is_replayable(&self) -> bool {
        self.shared.retention == Retention::KeepAll
    }

    async fn initial(&self) -> Result<Offsets> {
        Ok(self.position(Rows::start))
    }

    async fn check_resume(&self, _point: ResumePoint<'_>) -> Result<()> {
        Ok(())
    }

    fn fingerprints(&self, _up_to: &Offsets) -> Fingerprints {
        Fingerprints::default()
    }

    async fn latest(&self) -> Result<Offsets> {
        Ok(self.position(|rows| rows.end))
    }

    async fn narrow(&self, slice: Slice, _: &ReadBounds) -> Result<Slice> {
        Ok(slice)
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        let ends: Vec<_> = self
            .position(|rows| rows.end)
            .iter()
            .map(|(partition, end)| {
                let start = from.get(partition).unwrap_or(0);
                (partition.clone(), start, end.max(start))
            })
            .collect();
        let backlogs: Vec<u64> = ends.iter().map(|(_, s, e)| (e - s) as u64).collect();
        let shares = budget::share(&backlogs, limits.max_records);
        let ends = ends.into_iter().zip(shares);
        Ok(ends.map(|((p, s, _), n)| (p, s + n as i64)).collect())
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        loop {
            let changed = self.shared.changed.notified();
            let has_ended = self.shared.state.lock().has_ended;
            if has_ended || !from.has_reached(&self.position(|rows| rows.end)) {
                return Ok(());
            }
            changed.await;
        }
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        let has_ended = self.shared.state.lock().has_ended;
        has_ended && from.has_reached(&self.position(|rows| rows.end))
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let mut found = Vec::new();
        {
            let state = self.shared.state.lock();
            for (partition, start, end) in request.slice.ranges() {
                let rows = usize::try_from(partition.index)
                    .ok()
                    .and_then(|index| state.partitions.get(index))
                    .filter(|_| partition.stream == self.shared.name)
                    .ok_or_else(|| self.refuse(&format!("has no partition {partition}")))?;
                if start < rows.start() || end > rows.end {
                    return Err(self.gone(partition, start, end, rows));
                }
                let pieces = rows.pieces(start, end, request.batch_rows.max(1));
                found.extend(pieces.into_iter().map(|rows| (partition.clone(), rows)));
            }
        }
        let batches = found.into_iter().map(move |(partition, rows)| {
            request.counters.add_records(rows.num_rows() as u64, 0);
            let rows = rows.project(&request.projection)?;
            Ok(SourceBatch::new(partition, rows))
        });
        Ok(stream::iter(batches).boxed())
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        if self.shared.retention == Retention::KeepAll {
            return Ok(());
        }
        let mut state = self.shared.state.lock();
        for (index, rows) in state.partitions.iter_mut().enumerate() {
            let up_to = up_to.get(&self.partition(index)).unwrap_or(0);
            while rows
                .batches
                .front()
                .is_some_and(|(first, batch)| first + batch.num_rows() as i64 <= up_to)
            {
                rows.batches.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
