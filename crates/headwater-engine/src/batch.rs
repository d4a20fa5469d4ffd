//! A bounded read: one run of a plan from the start to the end of this moment.

use std::sync::Arc;

use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::TryStreamExt;

use headwater_checkpoint::{FileStore, MemoryFiles};
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::id::{EpochId, QueryId, SourceIndex};
use headwater_core::mode::OutputMode;
use headwater_core::offset::Slice;
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::ReadCounters;
use headwater_core::watermark::Watermark;
use headwater_core::{Error, Result};
use headwater_exec::epoch_context::{EpochContext, EpochInput};
use headwater_exec::epoch_scan::EpochScanExec;
use headwater_exec::metrics::EpochMetrics;
use headwater_exec::state_registry::StateRegistry;
use headwater_exec::watermark::{SourceEventTime, WatermarkObserver};
use headwater_plan::BatchPlan;

use crate::execute::task_context;
use crate::query_spec::QueryEnvironment;

/// A bounded read that has begun.
pub struct BatchRun {
    /// The rows.
    pub rows: SendableRecordBatchStream,
    /// What was read, per source; complete when the rows are drained.
    pub counters: Vec<(String, Arc<ReadCounters>)>,
}

impl std::fmt::Debug for BatchRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchRun")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// Opens the sources, fixes the slice and starts to read.
///
/// # Errors
/// What a source says; errors of single rows come with the rows.
pub async fn run_batch(plan: &BatchPlan, environment: &QueryEnvironment) -> Result<BatchRun> {
    let (mut inputs, mut event_times, mut counters) = (Vec::new(), Vec::new(), Vec::new());
    for (index, definition) in plan.sources.iter().enumerate() {
        let journal_files: Arc<dyn FileStore> = Arc::new(MemoryFiles::new());
        let context = SourceContext {
            clock: Arc::clone(&environment.clock),
            journal: headwater_checkpoint::journal(journal_files, &format!("{index}")),
            use_of: SourceUse::BoundedRead,
            read_before: None,
        };
        let source = definition.declared.open(context).await?;
        let slice = Slice::between(&source.initial().await?, &source.latest().await?);
        let bounds = bounds_of(&plan.physical, SourceIndex(index));
        let slice = source.narrow(slice, &bounds).await?;
        // The guard against times far ahead is for a wall clock that the input follows.
        let watermark = definition.watermark.clone();
        event_times.push(SourceEventTime {
            spec: watermark.map(|w| headwater_core::watermark::WatermarkSpec {
                max_ahead: None,
                ..w
            }),
            watermark: Watermark::MIN,
            max_event_times: Default::default(),
            partitions: slice.end.iter().map(|(p, _)| p.clone()).collect(),
            idle: vec![],
            ends: true,
        });
        let read = Arc::new(ReadCounters::default());
        counters.push((definition.name.clone(), Arc::clone(&read)));
        inputs.push(EpochInput {
            source,
            slice,
            counters: read,
        });
    }
    let now = environment.clock.now();
    let context = EpochContext {
        query: QueryId::new("bounded-read"),
        epoch: EpochId(0),
        inputs,
        watermarks: Arc::new(WatermarkObserver::new(event_times, now)),
        processing_time: now,
        seed: 0,
        mode: OutputMode::Append,
        state: Arc::new(StateRegistry::default()),
        metrics: Arc::new(EpochMetrics::default()),
    };
    let task = task_context(&environment.config, &environment.runtime, Arc::new(context));
    let rows = execute_stream(Arc::clone(&plan.physical), task)?;
    let (schema, fallible) = (rows.schema(), plan.fallible.clone());
    let rows = rows.map_err(move |e| fallible.name(Error::from(e)).into());
    let rows = Box::pin(RecordBatchStreamAdapter::new(schema, rows));
    Ok(BatchRun { rows, counters })
}

/// What a plan needs of a source: every source is scanned in one place.
fn bounds_of(plan: &Arc<dyn ExecutionPlan>, source: SourceIndex) -> ReadBounds {
    let any: &dyn std::any::Any = plan.as_ref();
    match any.downcast_ref::<EpochScanExec>() {
        Some(scan) if scan.spec().source == source => scan.spec().bounds.clone(),
        Some(_) => ReadBounds::default(),
        None => {
            let children = plan.children().into_iter();
            let mut found = children.map(|child| bounds_of(child, source));
            found.find(|bounds| !bounds.is_empty()).unwrap_or_default()
        }
    }
}
