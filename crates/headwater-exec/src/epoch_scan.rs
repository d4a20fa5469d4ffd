//! `EpochScanExec`: the leaf of every plan, a bounded read of this epoch's slice of one source.
//!
//! - **Input**: none. **Output**: the source's columns and columns computed from them.
//! - **State**: none.
//! - **Time**: notes the event times of every row it hands on with the epoch's watermark observer.
//!   A row without an event time is a bad record, and so is one whose generated columns cannot be
//!   computed.
//! - **Replay**: reads the slice that the epoch's log record names; the source gives the same
//!   rows for it (contract 1 of `Source`).
//! - **Errors**: what the source says; a bad record under `bad_data = 'fail'`.
//!
//! The scan has one output partition per reader, not per partition of the source: a hundred idle
//! partitions must not cost a hundred streams per epoch. Partitions are dealt to readers by their
//! position, so that a partition stays with its reader while no partition is added.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};

use headwater_core::crash_point::CrashPoint;
use headwater_core::format::BadDataPolicy;
use headwater_core::id::SourceIndex;
use headwater_core::offset::{Offsets, Slice};
use headwater_core::read_bounds::{Bound, Interval, ReadBounds};
use headwater_core::source::ReadRequest;

use crate::epoch_context::EpochContext;
use crate::plan_properties::{exact_children, same_partitions};

mod compute;

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
    /// What to do with a row that cannot be computed or has no event time.
    pub bad_data: BadDataPolicy,
    /// What a bounded read needs of the source's columns; nothing is said of a stream.
    pub bounds: ReadBounds,
    /// How far a bounded read goes; a stream reads all of its slice.
    pub until: ReadUntil,
}

/// How far a scan reads its slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadUntil {
    /// To its end.
    End,
    /// Until an output partition has given so many rows: a LIMIT stands above the scan.
    Rows(usize),
    /// Until whoever reads has enough: a LIMIT stands above a filter.
    Enough,
}

/// The event time of a source.
#[derive(Debug, Clone)]
pub struct EventTimeColumn {
    /// Over the columns read.
    pub expr: Arc<dyn PhysicalExpr>,
    /// Its name, for messages.
    pub name: String,
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

    /// The same scan, read until whoever reads has enough.
    pub fn until_enough(&self) -> Self {
        let spec = ScanSpec {
            until: ReadUntil::Enough,
            ..ScanSpec::clone(&self.spec)
        };
        EpochScanExec::new(spec, self.readers)
    }
}

impl EpochScanExec {
    /// What is left out of the source: `, reads=[2 <= #4, #3 <= 9, #5 in {"a", "b"}]` by position in its
    /// schema.
    fn fmt_bounds(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = ", reads=[";
        for (column, bound) in self.spec.bounds.iter() {
            write!(f, "{separator}")?;
            separator = ", ";
            match bound {
                Bound::Within(Interval { min, max }) => {
                    let min = min.map_or_else(String::new, |min| format!("{min} <= "));
                    let max = max.map_or_else(String::new, |max| format!(" <= {max}"));
                    write!(f, "{min}#{column}{max}")?;
                }
                Bound::OneOf(texts) => write!(f, "#{column} in {texts:?}")?,
            }
        }
        match self.spec.bounds.is_empty() {
            true => Ok(()),
            false => write!(f, "]"),
        }
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
        self.fmt_bounds(f)?;
        match self.spec.until {
            ReadUntil::End => Ok(()),
            ReadUntil::Rows(rows) => write!(f, ", limit={rows}"),
            ReadUntil::Enough => write!(f, ", limit=above"),
        }
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
        let batch_rows = context.session_config().batch_size();
        let rows_wanted = match self.spec.until {
            ReadUntil::End => None,
            ReadUntil::Rows(rows) => Some(rows),
            ReadUntil::Enough => Some(batch_rows),
        };
        let request = ReadRequest {
            slice: share_of(&input.slice, partition, self.readers),
            projection: self.spec.projection.clone(),
            batch_rows: batch_rows.min(rows_wanted.unwrap_or(batch_rows)),
            rows_wanted,
            counters: Arc::clone(&input.counters),
        };
        let counters = Arc::clone(&input.counters);
        let spec = Arc::clone(&self.spec);
        let schema = Arc::clone(&spec.schema);
        if request.slice.is_empty() || rows_wanted == Some(0) {
            let nothing = stream::empty();
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, nothing)));
        }
        let batches = input.source.read(request)?;
        let stream = batches.map(move |batch| {
            CrashPoint::MidRead.reach();
            compute::rows_of(&spec, &epoch, &counters, &batch?)
        });
        Ok(match self.spec.until {
            ReadUntil::End | ReadUntil::Enough => {
                Box::pin(RecordBatchStreamAdapter::new(schema, stream))
            }
            ReadUntil::Rows(rows) => {
                let stream = first_rows(stream.boxed(), rows);
                Box::pin(RecordBatchStreamAdapter::new(schema, stream))
            }
        })
    }
}

/// The first rows of batches. What is behind them is let go of with the last of them: whoever reads
/// may not ask again.
fn first_rows(
    batches: BoxStream<'static, Result<RecordBatch>>,
    rows: usize,
) -> impl Stream<Item = Result<RecordBatch>> {
    stream::try_unfold((Some(batches), rows), async |(batches, left)| {
        let Some(mut batches) = batches else {
            return Ok(None);
        };
        let Some(batch) = batches.try_next().await? else {
            return Ok(None);
        };
        let batch = batch.slice(0, batch.num_rows().min(left));
        let left = left - batch.num_rows();
        let rest = (left > 0).then_some(batches);
        Ok(Some((batch, (rest, left))))
    })
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
