//! `EpochScanExec`: the leaf of every plan, a bounded read of this epoch's slice of one source.
//!
//! - **Input**: none. **Output**: the source's columns and columns computed from them.
//! - **State**: none.
//! - **Time**: notes the event times of every row it reads with the epoch's watermark observer. A
//!   row without an event time is a bad record.
//! - **Replay**: reads the slice that the epoch's log record names; the source gives the same
//!   rows for it (contract 1 of `Source`).
//! - **Errors**: what the source says; a NULL event time under `bad_data = 'fail'`.
//!
//! The scan has one output partition per reader, not per partition of the source: a hundred idle
//! partitions must not cost a hundred streams per epoch. Partitions are dealt to readers by their
//! position, so that a partition stays with its reader while no partition is added.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{filter_record_batch, is_not_null};
use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, internal_datafusion_err};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use headwater_core::Error;
use headwater_core::format::BadDataPolicy;
use headwater_core::id::SourceIndex;
use headwater_core::offset::{Offsets, Slice};
use headwater_core::source::{ReadCounters, ReadRequest, SourceBatch};

use crate::epoch_context::EpochContext;
use crate::plan_properties::{exact_children, same_partitions};

#[cfg(test)]
mod tests;

/// What a scan reads and computes.
#[derive(Debug, Clone)]
pub struct ScanSpec {
    /// Position of the source in the query.
    pub source: SourceIndex,
    /// The user's name of the source.
    pub name: String,
    /// Columns of the source to read.
    pub projection: Vec<usize>,
    /// Output columns, computed over the columns read.
    pub columns: Vec<Arc<dyn PhysicalExpr>>,
    /// Schema of the output columns.
    pub schema: SchemaRef,
    /// The event time, over the columns read, if the source has a watermark.
    pub event_time: Option<EventTimeColumn>,
}

/// The event time of a source.
#[derive(Debug, Clone)]
pub struct EventTimeColumn {
    /// Over the columns read.
    pub expr: Arc<dyn PhysicalExpr>,
    /// Its name, for messages.
    pub name: String,
    /// What to do with a row that has none.
    pub bad_data: BadDataPolicy,
}

/// Reads a slice. See the module's page.
#[derive(Debug)]
pub struct EpochScanExec {
    spec: Arc<ScanSpec>,
    readers: usize,
    properties: Arc<PlanProperties>,
}

impl EpochScanExec {
    /// A scan with `readers` output partitions.
    pub fn new(spec: ScanSpec, readers: usize) -> Self {
        let readers = readers.max(1);
        let properties = same_partitions(Arc::clone(&spec.schema), readers);
        EpochScanExec {
            spec: Arc::new(spec),
            readers,
            properties,
        }
    }

    /// What it reads.
    pub fn spec(&self) -> &ScanSpec {
        &self.spec
    }
}

impl DisplayAs for EpochScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<_> = self
            .spec
            .schema
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect();
        write!(
            f,
            "EpochScanExec: source={}, columns=[{}]",
            self.spec.name,
            columns.join(", ")
        )?;
        if let Some(event_time) = &self.spec.event_time {
            write!(f, ", event_time={}", event_time.name)?;
        }
        Ok(())
    }
}

impl ExecutionPlan for EpochScanExec {
    fn name(&self) -> &'static str {
        "EpochScanExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [] = exact_children(self.name(), children)?;
        Ok(self)
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for expr in &self.spec.columns {
            if f(expr)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let epoch = EpochContext::of(&context)?;
        let input = epoch.input(self.spec.source)?;
        let request = ReadRequest {
            slice: share_of(&input.slice, partition, self.readers),
            projection: self.spec.projection.clone(),
            batch_rows: context.session_config().batch_size(),
            counters: Arc::clone(&input.counters),
        };
        let counters = Arc::clone(&input.counters);
        let spec = Arc::clone(&self.spec);
        let schema = Arc::clone(&spec.schema);
        if request.slice.is_empty() {
            let nothing = futures::stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
        }
        let batches = input.source.read(request)?;
        let stream = batches.map(move |batch| compute(&spec, &epoch, &counters, batch?));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// The partitions of a slice that one of several readers reads.
fn share_of(slice: &Slice, reader: usize, readers: usize) -> Slice {
    let mine = |(position, item): (usize, (&_, i64))| {
        let (partition, offset): (&headwater_core::offset::Partition, i64) = item;
        (position % readers == reader).then(|| (partition.clone(), offset))
    };
    let end: Offsets = slice.end.iter().enumerate().filter_map(mine).collect();
    Slice::between(&slice.start, &end)
}

fn compute(
    spec: &ScanSpec,
    epoch: &EpochContext,
    counters: &ReadCounters,
    batch: SourceBatch,
) -> Result<RecordBatch> {
    let mut rows = batch.rows;
    if let Some(event_time) = &spec.event_time {
        let mut times = evaluate(&event_time.expr, &rows)?;
        if times.null_count() > 0 {
            if event_time.bad_data == BadDataPolicy::Fail {
                return Err(no_event_time(spec, event_time, &batch.partition.to_string()).into());
            }
            counters.add_bad("no event time", times.null_count() as u64);
            rows = filter_record_batch(&rows, &is_not_null(&times)?)?;
            times = evaluate(&event_time.expr, &rows)?;
        }
        epoch
            .watermarks
            .observe(spec.source, &batch.partition, &times)?;
    }
    let columns = spec
        .columns
        .iter()
        .map(|expr| evaluate(expr, &rows))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(&spec.schema), columns, &options)
        .map_err(|e| internal_datafusion_err!("source {} gave other columns: {e}", spec.name))
}

fn evaluate(expr: &Arc<dyn PhysicalExpr>, rows: &RecordBatch) -> Result<ArrayRef> {
    expr.evaluate(rows)?.into_array(rows.num_rows())
}

fn no_event_time(spec: &ScanSpec, event_time: &EventTimeColumn, partition: &str) -> Error {
    Error::bad_data(format!(
        "a record of partition {partition} of source \"{}\" has no event time in column \"{}\"",
        spec.name, event_time.name
    ))
    .with_hint("Set bad_data = 'drop' on the source to leave such records out and count them.")
}
