//! `WindowAssignExec`: adds `window_start`, `window_end` and `window_time` to every row.
//!
//! - **Input**: rows with an event time, a TIMESTAMP of any unit.
//! - **Output**: the input's columns and three TIMESTAMPs. With [`Assign::Windows`] a row comes
//!   out once for every window that covers it. With [`Assign::Panes`] it comes out once, and
//!   `window_start` is the start of its pane: an aggregation above puts panes together. The other
//!   two columns then mean nothing.
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
use crate::window::{Window, WindowSpec};

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
        Assign::Panes if !window.is_tumbling() => {
            let pane: ArrayRef = Arc::new(TimestampMicrosecondArray::from(
                window.panes_of(times.values()),
            ));
            with_columns(batch, [Arc::clone(&pane), Arc::clone(&pane), pane], schema)
        }
        Assign::Panes | Assign::Windows => {
            let mut covering = Covering::new(window);
            let (mut rows, mut starts, mut ends) = (Vec::new(), Vec::new(), Vec::new());
            for (row, time) in times.values().iter().enumerate() {
                for window in covering.windows_of(*time) {
                    rows.push(row as u32);
                    starts.push(window.start_us);
                    ends.push(window.end_us);
                }
            }
            let columns = window_columns(starts, ends);
            if window.is_tumbling() {
                return with_columns(batch, columns, schema);
            }
            let batch = take_record_batch(batch, &UInt32Array::from(rows))?;
            with_columns(&batch, columns, schema)
        }
    }
}

/// The windows of one instant after another. Instants of one pane have the same windows, and rows
/// that come together are close in time.
struct Covering {
    window: WindowSpec,
    /// The instants that the windows are those of; empty at first.
    of: std::ops::Range<i64>,
    windows: Vec<Window>,
}

impl Covering {
    fn new(window: WindowSpec) -> Self {
        Covering {
            window,
            of: 0..0,
            windows: Vec::new(),
        }
    }

    fn windows_of(&mut self, time_us: i64) -> &[Window] {
        if !self.of.contains(&time_us) {
            let pane = self.window.pane_at(time_us);
            self.of = pane.start_us..pane.end_us;
            self.windows.clear();
            self.windows
                .extend(self.window.windows_of_pane(pane.start_us));
        }
        &self.windows
    }
}

fn with_columns(
    batch: &RecordBatch,
    window_columns: [ArrayRef; 3],
    schema: &SchemaRef,
) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    columns.extend(window_columns);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// `window_start`, `window_end` and `window_time` of windows.
fn window_columns(starts: Vec<i64>, ends: Vec<i64>) -> [ArrayRef; 3] {
    let times: Vec<i64> = ends.iter().map(|end| time_of(*end)).collect();
    [starts, ends, times].map(|v| Arc::new(TimestampMicrosecondArray::from(v)) as ArrayRef)
}

/// `window_start`, `window_end` and `window_time` of as many rows of one window.
pub(crate) fn columns_of_window(window: Window, rows: usize) -> [ArrayRef; 3] {
    let times = [window.start_us, window.end_us, time_of(window.end_us)];
    times.map(|v| Arc::new(TimestampMicrosecondArray::from_value(v, rows)) as ArrayRef)
}

/// The event time of a window that ends at an instant.
fn time_of(end_us: i64) -> i64 {
    end_us.saturating_sub(WINDOW_TIME_GAP_US)
}
