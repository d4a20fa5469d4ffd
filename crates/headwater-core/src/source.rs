//! The contract of sources.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::Result;
use crate::fingerprint::Fingerprints;
use crate::format::BadRecord;
use crate::offset::{Offsets, Partition, Slice};
use crate::read_bounds::ReadBounds;
use crate::records::{BAD_SAMPLES_MAX, BadSample, BadSamples, BatchRecords, record_of};

/// How much one epoch may read of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EpochLimits {
    /// At most about this many records over all partitions; `None` is the connector's own bound.
    pub max_records: Option<u64>,
}

/// A request for the rows of a slice, or of a share of its partitions.
#[derive(Debug, Clone)]
pub struct ReadRequest {
    /// What to read; only the partitions of this share are in it.
    pub slice: Slice,
    /// Indices into [`Source::schema`] of the columns wanted, in the order wanted.
    pub projection: Vec<usize>,
    /// Rows per batch to aim at.
    pub batch_rows: usize,
    /// About how many rows are wanted, if whoever asks may stop before the end of the slice. A source
    /// reads no further ahead than that, and gives the rows behind it if they are asked for.
    pub rows_wanted: Option<usize>,
    /// Where to count what was read.
    pub counters: Arc<ReadCounters>,
}

/// Rows of one partition.
#[derive(Debug, Clone)]
pub struct SourceBatch {
    /// The partition all rows come from.
    pub partition: Partition,
    /// The rows, in offset order, with the columns of the request's projection.
    pub rows: RecordBatch,
    /// Rows that stand for bad records and are counted as such already, in ascending order.
    pub bad_rows: Vec<usize>,
    /// Records that gave no row, in ascending order, counted already.
    pub left_out: Vec<BadRecord>,
    /// The records that the rows were made of.
    pub records: BatchRecords,
}

impl SourceBatch {
    /// Rows of which it is known where they come from, and no more.
    pub fn new(partition: Partition, rows: RecordBatch) -> Self {
        SourceBatch {
            records: BatchRecords::default(),
            left_out: vec![],
            bad_rows: vec![],
            partition,
            rows,
        }
    }

    /// The place of a row, for a message: `partition 3 of topic "orders" at offset 1042`.
    pub fn place_of(&self, row: usize) -> String {
        self.place_of_record(record_of(row, &self.left_out))
    }

    /// The place of a record that the rows were made of.
    pub fn place_of_record(&self, record: usize) -> String {
        let place = self.records.place(record);
        place.unwrap_or_else(|| format!("a record of partition {}", self.partition))
    }

    /// Whether it tells nothing at all.
    pub fn is_empty(&self) -> bool {
        self.rows.num_rows() == 0 && self.left_out.is_empty()
    }
}

/// What the readers of an epoch counted.
#[derive(Debug, Default)]
pub struct ReadCounters {
    records: AtomicU64,
    bytes: AtomicU64,
    /// In units of the source: offsets, or bytes of files. None are expected if the end is not known.
    expected: AtomicU64,
    done: AtomicU64,
    lost: AtomicU64,
    bad: Mutex<BTreeMap<String, u64>>,
    samples: Mutex<BadSamples>,
    /// The first of every reason.
    first: Mutex<BTreeMap<String, BadSample>>,
}

impl ReadCounters {
    /// Counts records read, good or bad, and the bytes of their payloads.
    pub fn add_records(&self, records: u64, bytes: u64) {
        self.records.fetch_add(records, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Says how much is to be read, in units of the source, by a source that knows.
    pub fn add_expected(&self, units: u64) {
        self.expected.fetch_add(units, Ordering::Relaxed);
    }

    /// Counts what has been done of that.
    pub fn add_done(&self, units: u64) {
        self.done.fetch_add(units, Ordering::Relaxed);
    }

    /// How much is done, from 0 to 1; `None` if it is not known how much there is.
    pub fn fraction(&self) -> Option<f64> {
        let expected = self.expected.load(Ordering::Relaxed);
        let done = self.done.load(Ordering::Relaxed).min(expected);
        (expected > 0).then(|| done as f64 / expected as f64)
    }

    /// Counts bad records of one reason.
    pub fn add_bad(&self, reason: &str, records: u64) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        match bad.get_mut(reason) {
            Some(count) => *count += records,
            None => {
                bad.insert(reason.to_string(), records);
            }
        }
    }

    /// Counts bad records by their reasons, and keeps the newest to show them; `place` says where a
    /// record is.
    pub fn add_bad_records(&self, bad: &[BadRecord], place: impl Fn(usize) -> String) {
        for record in bad {
            self.add_bad(&record.reason, 1);
        }
        let sample = |record: &BadRecord| BadSample {
            place: place(record.record),
            reason: record.reason.clone(),
            detail: record.detail.clone(),
        };
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        for record in bad {
            if !first.contains_key(&record.reason) {
                first.insert(record.reason.clone(), sample(record));
            }
        }
        let newest = bad.len().saturating_sub(BAD_SAMPLES_MAX);
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        for record in bad.iter().skip(newest) {
            samples.push(sample(record));
        }
    }

    /// The first bad record of a reason.
    pub fn first_of(&self, reason: &str) -> Option<BadSample> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        first.get(reason).cloned()
    }

    /// The newest bad records, oldest first.
    pub fn samples(&self) -> Vec<BadSample> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.to_vec()
    }

    /// Counts offsets of the slice whose records were gone, where that does not stop the query.
    pub fn add_lost(&self, offsets: u64) {
        self.lost.fetch_add(offsets, Ordering::Relaxed);
    }

    /// Offsets of the slice whose records were gone.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Records read, good or bad.
    pub fn records(&self) -> u64 {
        self.records.load(Ordering::Relaxed)
    }

    /// Bytes of payload read.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Bad records by reason.
    pub fn bad(&self) -> BTreeMap<String, u64> {
        self.bad
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Where a query goes on in a source.
#[derive(Debug, Clone, Copy)]
pub struct ResumePoint<'a> {
    /// Everything before it has been read and is committed.
    pub committed: &'a Offsets,
    /// Everything before it is decided to be read next; at or after `committed`.
    pub decided: &'a Offsets,
    /// The last records before `committed`, as [`Source::fingerprints`] told them.
    pub seen: &'a Fingerprints,
}

/// Where rows come from. A source around another one is a [`crate::around::SourceAround`].
///
/// # Contract
/// 1. `read` gives the same rows for the same slice, for ever (retention permitting), unless
///    [`Source::is_replayable`] says that a new process cannot.
/// 2. `available` never goes back and never waits for new records; what it names, `read` can
///    deliver.
/// 3. `wait_ready` returns when `available(from)` would be past `from`, or when the source has
///    ended. It is woken, it does not poll.
/// 4. Offsets may have gaps. The end of a slice is reached when the position is at or past it.
/// 5. Nothing is read before the first call of `check_resume`, `available` or `read`: a source that was only
///    made costs nothing.
/// 6. `check_resume` is called once, before the first `available` or `read`, if the query goes on
///    from a checkpoint. What it lets pass is not lost yet; gaps in offsets are no loss.
/// 7. `narrow` gives a part of its slice, with every row that the bounds let through. Only bounded
///    reads call it: what an epoch reads is noted by its offsets alone.
/// 8. `stretched` does not wait. It gives the same partitions, each not before what is available and
///    not past the bound or the source's own end; `read` waits for what was not available.
#[async_trait]
pub trait Source: Debug + Send + Sync + 'static {
    /// Payload columns, then the metadata columns asked for.
    fn schema(&self) -> SchemaRef;

    /// Whether a new process can read old slices again.
    fn is_replayable(&self) -> bool;

    /// The position at which a new query starts.
    async fn initial(&self) -> Result<Offsets>;

    /// Whether what was read is still what it was, and what comes next is still there.
    ///
    /// # Errors
    /// Data loss, naming what is gone or is something else now.
    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()>;

    /// The last record read of every partition before `up_to`, for [`Source::check_resume`] of a
    /// later process; none if records cannot be told apart.
    fn fingerprints(&self, up_to: &Offsets) -> Fingerprints;

    /// The end of every partition as it is now: where a bounded read stops.
    async fn latest(&self) -> Result<Offsets>;

    /// The part of a slice with every row that a bounded read needs.
    ///
    /// # Errors
    /// If what there is could not be looked up.
    async fn narrow(&self, slice: Slice, bounds: &ReadBounds) -> Result<Slice>;

    /// The furthest position that can be read from `from` without waiting, within the limits.
    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets>;

    /// What an epoch reads of a query that stops at `bound`: what is available, and more of what
    /// lies before the bound, for which it then waits, so that it has about `records` records.
    fn stretched(&self, available: Slice, _bound: &Offsets, _records: u64) -> Slice {
        available
    }

    /// Completes when there is something to read after `from`.
    async fn wait_ready(&self, from: &Offsets) -> Result<()>;

    /// Whether no row will ever follow `from`: standard input at its end, a finished generator.
    fn has_ended(&self, from: &Offsets) -> bool;

    /// The rows of a slice. Batches of one partition come in offset order.
    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>>;

    /// Bytes of what it has fetched and nobody has read yet, at most.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Tells that everything before `up_to` is committed: buffers may be freed, lag tools told.
    async fn committed(&self, up_to: &Offsets) -> Result<()>;
}

/// A durable list that gives every entry a number, for sources whose offsets are numbers in a
/// list of their own making (files in order of arrival).
///
/// # Contract
/// 1. When `append` returns, the entries survive a crash.
/// 2. `entries` gives everything ever appended, in order.
pub trait SourceJournal: Debug + Send + Sync {
    /// Everything appended so far, in order.
    fn entries(&self) -> Result<Vec<String>>;
    /// Appends entries durably.
    fn append(&self, entries: &[String]) -> Result<()>;
}
