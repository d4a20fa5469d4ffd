//! `WindowAssignExec`: adds `window_start`, `window_end` and `window_time` to every row.
//!
//! - **Input**: rows with an event time, a TIMESTAMP of any unit.
//! - **Output**: the input's columns and three TIMESTAMPs. With [`Assign::Windows`] a row comes
//!   out once for every window that covers it. With [`Assign::Panes`] it comes out once, and
//!   `window_start` is the start of its pane: an aggregation above puts panes together.
//!   Rows without an event time are in no window and come out nowhere.
//! - **State**: none. **Time**: none. **Replay**: a function of the row.
//! - **Source**: Flink's window table-valued functions name the columns; `window_time` is the
//!   last millisecond of the window.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{filter_record_batch, is_not_null, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use crate::plan_properties::{exact_children, same_partitions};
use crate::watermark::as_micros;
use crate::window::WindowSpec;

#[cfg(test)]
mod tests;

/// `window_time` is this much before the window's end.
pub const WINDOW_TIME_GAP_US: i64 = 1_000;

/// What `window_start` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Assign {
    /// The start of a window; one output row per window.
    Windows,
    /// The start of the pane; one output row per input row.
    Panes,
}

/// Type of the three columns.
pub fn window_time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

/// Assigns windows. See the module's page.
#[derive(Debug)]
pub struct WindowAssignExec {
    input: Arc<dyn ExecutionPlan>,
    time: Arc<dyn PhysicalExpr>,
    window: WindowSpec,
    assign: Assign,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl WindowAssignExec {
    /// Adds the columns named by the last three fields of `schema` to the input's.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        time: Arc<dyn PhysicalExpr>,
        window: WindowSpec,
        assign: Assign,
        schema: SchemaRef,
    ) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = same_partitions(Arc::clone(&schema), partitions);
        WindowAssignExec {
            input,
            time,
            window,
            assign,
            schema,
            properties,
        }
    }

    /// The schema of an input with the three columns added.
    pub fn schema_over(input: &Schema) -> Schema {
        let mut fields: Vec<Field> = input.fields().iter().map(|f| f.as_ref().clone()).collect();
        for name in ["window_start", "window_end", "window_time"] {
            fields.push(Field::new(name, window_time_type(), false));
        }
        Schema::new(fields)
    }
}

impl DisplayAs for WindowAssignExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.assign {
            Assign::Windows => "windows",
            Assign::Panes => "panes",
        };
        write!(
            f,
            "WindowAssignExec: {} of {} on {}",
            what, self.window, self.time
        )
    }
}

impl ExecutionPlan for WindowAssignExec {
    fn name(&self) -> &'static str {
        "WindowAssignExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [input] = exact_children(self.name(), children)?;
        let (time, schema) = (Arc::clone(&self.time), Arc::clone(&self.schema));
        Ok(Arc::new(WindowAssignExec::new(
            input,
            time,
            self.window,
            self.assign,
            schema,
        )))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        f(&self.time)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        let (time, window, assign) = (Arc::clone(&self.time), self.window, self.assign);
        let schema = Arc::clone(&self.schema);
        let stream = input.map(move |batch| assign_batch(&batch?, &time, window, assign, &schema));
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            Arc::clone(&self.schema),
            stream,
        )))
    }
}

fn assign_batch(
    batch: &RecordBatch,
    time: &Arc<dyn PhysicalExpr>,
    window: WindowSpec,
    assign: Assign,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let column = time.evaluate(batch)?.into_array(batch.num_rows())?;
    if column.null_count() > 0 {
        let timed = filter_record_batch(batch, &is_not_null(&column)?)?;
        return assign_batch(&timed, time, window, assign, schema);
    }
    let times = as_micros(&column)?;
    match assign {
        Assign::Panes => {
            let starts: Vec<i64> = times.values().iter().map(|t| window.pane_of(*t)).collect();
            with_columns(batch, starts, window, schema)
        }
        Assign::Windows if window.is_tumbling() => {
            let starts = times
                .values()
                .iter()
                .map(|t| window.last_window_of(*t))
                .collect();
            with_columns(batch, starts, window, schema)
        }
        Assign::Windows => {
            let (mut rows, mut starts) = (Vec::new(), Vec::new());
            for (row, time) in times.values().iter().enumerate() {
                for start in window.windows_of_pane(window.pane_of(*time)) {
                    rows.push(row as u32);
                    starts.push(start);
                }
            }
            let batch = take_record_batch(batch, &UInt32Array::from(rows))?;
            with_columns(&batch, starts, window, schema)
        }
    }
}

fn with_columns(
    batch: &RecordBatch,
    starts: Vec<i64>,
    window: WindowSpec,
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let [start, end, time] = window_columns(starts, window);
    let mut columns = batch.columns().to_vec();
    columns.extend([start, end, time]);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// `window_start`, `window_end` and `window_time` of windows by their starts.
pub(crate) fn window_columns(starts: Vec<i64>, window: WindowSpec) -> [ArrayRef; 3] {
    let ends: Vec<i64> = starts.iter().map(|s| window.end_of_window(*s)).collect();
    let times: Vec<i64> = ends
        .iter()
        .map(|e| e.saturating_sub(WINDOW_TIME_GAP_US))
        .collect();
    [starts, ends, times].map(|v| Arc::new(TimestampMicrosecondArray::from(v)) as ArrayRef)
}
