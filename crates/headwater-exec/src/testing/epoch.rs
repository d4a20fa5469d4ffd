//! An epoch of a plan over one scripted source, one call an epoch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionConfig;
use datafusion_common::Result;
use datafusion_execution::TaskContext;
use datafusion_execution::memory_pool::{GreedyMemoryPool, MemoryPool};
use datafusion_physical_plan::ExecutionPlan;
use datafusion_physical_plan::collect_partitioned;

use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, QueryId, SourceIndex};
use headwater_core::mode::OutputMode;
use headwater_core::source::ReadCounters;
use headwater_core::watermark::{Watermark, WatermarkCombine, WatermarkSpec};

use super::scripted_source::{ScriptedSource, partition};
use crate::epoch_context::{EpochContext, EpochInput};
use crate::late_filter::LateRows;
use crate::metrics::EpochMetrics;
use crate::state_registry::{ShardChunk, StateRegistry};
use crate::watermark::{SourceEventTime, WatermarkObserver};

/// A query that runs epoch by epoch.
pub(crate) struct Query {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) mode: OutputMode,
    pub(crate) state: Arc<StateRegistry>,
    pub(crate) watermark: Watermark,
    /// Room for the late rows of an epoch, in bytes.
    pub(crate) late_room: usize,
    next: EpochId,
}

/// What an epoch came to.
#[derive(Debug)]
pub(crate) struct Epoch {
    /// Rows as text, sorted.
    pub(crate) rows: Vec<String>,
    /// Rows per output partition of the plan.
    pub(crate) rows_by_partition: Vec<usize>,
    pub(crate) late: u64,
    pub(crate) late_rows: Vec<LateRows>,
    pub(crate) bad: BTreeMap<String, u64>,
    pub(crate) observer: Arc<WatermarkObserver>,
}

impl Query {
    pub(crate) fn new(plan: Arc<dyn ExecutionPlan>, mode: OutputMode) -> Self {
        Query {
            plan,
            mode,
            state: Arc::new(StateRegistry::default()),
            watermark: Watermark::MIN,
            late_room: 1 << 20,
            next: EpochId(0),
        }
    }

    /// The same query in a new process that has its state from chunks.
    pub(crate) fn restarted(self, plan: Arc<dyn ExecutionPlan>, chunks: Vec<ShardChunk>) -> Self {
        Query {
            plan,
            state: Arc::new(StateRegistry::restored(chunks, self.next.previous())),
            ..self
        }
    }

    /// Runs one epoch over everything a source has, with a watermark that follows the greatest
    /// event time without delay, and commits it.
    pub(crate) async fn run(&mut self, source: ScriptedSource) -> Result<Epoch> {
        let slice = source.whole();
        let partitions: Vec<_> = (0..slice.end.len() as i32).map(partition).collect();
        let before = SourceEventTime {
            spec: Some(WatermarkSpec {
                column: "t".into(),
                delay: Duration::ZERO,
                combine: WatermarkCombine::Max,
                idle_timeout: WatermarkSpec::DEFAULT_IDLE_TIMEOUT,
                max_ahead: None,
            }),
            watermark: self.watermark,
            max_event_times: Default::default(),
            partitions,
            idle: vec![],
            ends: false,
        };
        let observer = Arc::new(WatermarkObserver::new(vec![before], EventTime(0)));
        let counters = Arc::new(ReadCounters::default());
        let room: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(self.late_room));
        let metrics = Arc::new(EpochMetrics::default().keeping_late_rows(&room));
        let context = EpochContext {
            query: QueryId::new("q"),
            epoch: self.next,
            inputs: vec![EpochInput {
                source: Arc::new(source),
                slice,
                counters: Arc::clone(&counters),
            }],
            watermarks: Arc::clone(&observer),
            processing_time: EventTime(0),
            seed: 0,
            mode: self.mode,
            state: Arc::clone(&self.state),
            metrics: Arc::clone(&metrics),
        };
        let config = SessionConfig::new()
            .with_batch_size(2)
            .with_extension(Arc::new(context));
        let task = Arc::new(TaskContext::default().with_session_config(config));
        let output = match collect_partitioned(Arc::clone(&self.plan), task).await {
            Ok(output) => output,
            Err(error) => {
                self.state.rollback(self.next.previous())?;
                return Err(error);
            }
        };
        self.state.deltas(self.next)?;
        self.state.committed(self.next)?;
        self.watermark = observer.after(SourceIndex(0));
        self.next = self.next.next();
        let count = |batches: &Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum();
        Ok(Epoch {
            rows_by_partition: output.iter().map(count).collect(),
            rows: lines(&output.concat()),
            late: metrics.late().values().sum(),
            late_rows: metrics.take_late_rows(),
            bad: counters.bad(),
            observer,
        })
    }
}

/// The task of an epoch that reads no source, at a second since 1970.
pub(crate) fn context_at(second: i64, batch_size: usize) -> Arc<TaskContext> {
    let now = EventTime(second * 1_000_000);
    let context = EpochContext {
        query: QueryId::new("q"),
        epoch: EpochId(0),
        inputs: vec![],
        watermarks: Arc::new(WatermarkObserver::new(vec![], now)),
        processing_time: now,
        seed: 0,
        mode: OutputMode::Append,
        state: Arc::new(StateRegistry::default()),
        metrics: Arc::new(EpochMetrics::default()),
    };
    let config = SessionConfig::new()
        .with_batch_size(batch_size)
        .with_extension(Arc::new(context));
    Arc::new(TaskContext::default().with_session_config(config))
}

/// Rows as text, sorted; times as microseconds.
pub(crate) fn lines(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let numbers = |column: &ArrayRef| match column.data_type() {
        DataType::Timestamp(_, _) => cast(column, &DataType::Int64).unwrap(),
        _ => Arc::clone(column),
    };
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch.columns().iter().map(numbers).collect();
        let columns: Vec<_> = columns
            .iter()
            .map(|c| ArrayFormatter::try_new(c.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
            lines.push(cells.join(" "));
        }
    }
    lines.sort();
    lines
}
