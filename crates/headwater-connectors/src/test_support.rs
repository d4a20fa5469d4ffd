//! What the tests of this crate share: small batches and streams of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};

use headwater_core::Result;
use headwater_core::clock::{Clock, ManualClock};
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::offset::{Offsets, Slice};
use headwater_core::sink::{SinkContext, Transactions};
use headwater_core::source::{ReadRequest, Source, SourceJournal};
use parking_lot::Mutex;

/// A batch of one BIGINT column `n`.
pub(crate) fn ints(values: &[i64]) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
    RecordBatch::try_from_iter([("n", values)]).unwrap()
}

/// Batches as a sink is given them.
pub(crate) fn rows_of<const N: usize>(
    batches: [RecordBatch; N],
) -> BoxStream<'static, Result<RecordBatch>> {
    stream::iter(batches.map(Ok)).boxed()
}

/// What a sink is told about a query `q`.
pub(crate) fn sink_context(
    schema: SchemaRef,
    mode: OutputMode,
    last_committed: Option<u64>,
) -> SinkContext {
    SinkContext {
        query: QueryId::new("q"),
        query_name: "q".to_string(),
        has_ops: headwater_core::changes::without_ops(&schema) != schema,
        schema,
        mode,
        last_committed: last_committed.map(EpochId),
        commit_interval: None,
        transactions: Transactions::Allowed,
        is_takeover: false,
    }
}

/// A journal in memory.
#[derive(Debug, Default)]
pub(crate) struct TestJournal {
    entries: Mutex<Vec<String>>,
    pub(crate) appends: AtomicUsize,
}

impl SourceJournal for TestJournal {
    fn entries(&self) -> Result<Vec<String>> {
        Ok(self.entries.lock().clone())
    }

    fn append(&self, entries: &[String]) -> Result<()> {
        self.appends.fetch_add(1, Ordering::Relaxed);
        self.entries.lock().extend_from_slice(entries);
        Ok(())
    }
}

/// A clock that stands still at 2026-01-01T00:00:00Z.
pub(crate) fn manual_clock() -> ManualClock {
    ManualClock::new(EventTime::from_millis(1_767_225_600_000))
}

/// What a source is told when it is opened.
pub(crate) fn source_context(
    clock: &ManualClock,
    journal: &Arc<TestJournal>,
    use_of: SourceUse,
) -> SourceContext {
    let journal: Arc<dyn SourceJournal> = Arc::<TestJournal>::clone(journal);
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    SourceContext {
        clock,
        journal,
        use_of,
        read_before: None,
    }
}

/// A request for all columns between two positions.
pub(crate) fn request(source: &dyn Source, start: &Offsets, end: &Offsets) -> ReadRequest {
    ReadRequest {
        slice: Slice::between(start, end),
        projection: (0..source.schema().fields().len()).collect(),
        batch_rows: 8192,
        rows_wanted: None,
        counters: Arc::default(),
    }
}

/// Everything between two positions.
pub(crate) async fn read_all(
    source: &dyn Source,
    start: &Offsets,
    end: &Offsets,
) -> Result<Vec<RecordBatch>> {
    let stream = source.read(request(source, start, end))?;
    stream.map_ok(|batch| batch.rows).try_collect().await
}

/// Batches as a text table.
pub(crate) fn table(batches: &[RecordBatch]) -> String {
    arrow::util::pretty::pretty_format_batches(batches)
        .unwrap()
        .to_string()
}
