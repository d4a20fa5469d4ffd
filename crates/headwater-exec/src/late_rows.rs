//! `LateRowsExec`: rows of windows that have all been finished go out before they cost anything.
//!
//! - **Input**: rows with their pane in one column, a TIMESTAMP in microseconds.
//! - **Output**: the same columns; the rows with a window that is still open.
//! - **State**: none; late rows are counted, and kept for the epoch if the query wants them.
//! - **Time**: reads `W(n − 1)`: a row is late if the last window of its pane ended at or before
//!   it. Output rows keep the input's watermark.
//! - **Replay**: a function of the row and `W(n − 1)`, which the epoch's log record holds.
//! - **Source**: Spark's `StateStoreRestoreExec` filters late rows the same way, but by one
//!   watermark over all partitions and only after the partial aggregation.

use std::fmt;
use std::sync::Arc;

use arrow::array::{BooleanArray, TimestampMicrosecondArray};
use arrow::compute::{and, filter_record_batch};
use datafusion_common::Result;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use futures::StreamExt;

use headwater_core::id::OperatorId;

use crate::changelog::{Stage, window_policy};
use crate::epoch_context::EpochContext;
use crate::late_filter::LateFilter;
use crate::plan_properties::{exact_children, same_partitions};
use crate::watermark::{InputTime, as_micros};
use crate::window::WindowSpec;

#[cfg(test)]
mod tests;

/// What is kept of a late row, by column of the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LateColumns {
    /// The columns that came into the query, without those of the window.
    pub row: Vec<usize>,
    /// The row's event time, if it is still there.
    pub event_time: Option<usize>,
    /// The windows, if a row comes once for each that covers it. Those of its rows whose windows
    /// have ended go out; it is late, once, if the last one has.
    pub once_per_window: Option<WindowSpec>,
}

/// Drops and counts late rows. See the module's page.
#[derive(Debug)]
pub struct LateRowsExec {
    input: Arc<dyn ExecutionPlan>,
    pane_column: usize,
    shown: Option<LateColumns>,
    window: WindowSpec,
    operator: OperatorId,
    input_time: InputTime,
    stage: Stage,
    properties: Arc<PlanProperties>,
}

impl LateRowsExec {
    /// Guards the operator `operator`, whose input has `input_time`, and which stands at `stage`.
    pub fn new(
        input: Arc<dyn ExecutionPlan>,
        pane_column: usize,
        window: WindowSpec,
        operator: OperatorId,
        input_time: InputTime,
        stage: Stage,
    ) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = same_partitions(input.schema(), partitions);
        LateRowsExec {
            input,
            pane_column,
            shown: None,
            window,
            operator,
            input_time,
            stage,
            properties,
        }
    }

    /// The same, with what is kept of late rows; otherwise all columns are.
    pub fn keeping(mut self, columns: LateColumns) -> Self {
        self.shown = Some(columns);
        self
    }
}

/// Which rows are in the last of the windows that cover their event times.
fn in_last_window(
    windows: WindowSpec,
    panes: &TimestampMicrosecondArray,
    event_times: &TimestampMicrosecondArray,
) -> BooleanArray {
    let is_last = |pane: i64, time: i64| {
        let mut covering = windows.windows_of_pane(windows.pane_of(time));
        covering
            .next()
            .is_some_and(|last| windows.own_pane(last) == pane)
    };
    let each = panes.iter().zip(event_times.iter());
    each.map(|(pane, time)| Some(is_last(pane?, time?)))
        .collect()
}

impl DisplayAs for LateRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "LateRowsExec: operator={}, window={}",
            self.operator, self.window
        )
    }
}

impl ExecutionPlan for LateRowsExec {
    fn name(&self) -> &'static str {
        "LateRowsExec"
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
        let mut guard = LateRowsExec::new(
            input,
            self.pane_column,
            self.window,
            self.operator.clone(),
            self.input_time.clone(),
            self.stage,
        );
        guard.shown.clone_from(&self.shown);
        Ok(Arc::new(guard))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let epoch = EpochContext::of(&context)?;
        let input = self.input.execute(partition, context)?;
        if !window_policy(self.stage.mode(epoch.mode)).evicts {
            return Ok(input);
        }
        let late_until = epoch.watermarks.step(&self.input_time).before;
        let mut filter = LateFilter::new(epoch, self.operator.clone(), partition, late_until);
        let first_open = self.window.first_open_pane(late_until.micros());
        let pane_column = self.pane_column;
        let (mut event_time, mut once_per_window) = (None, None);
        if let Some(shown) = &self.shown {
            filter = filter.with_columns(shown.row.clone());
            (event_time, once_per_window) = (shown.event_time, shown.once_per_window);
        }
        let has_ended = move |pane: i64| pane < first_open;
        let stream = input.map(move |batch| {
            let batch = batch?;
            let panes = as_micros(batch.column(pane_column))?;
            let ended: BooleanArray = panes.iter().map(|pane| pane.map(has_ended)).collect();
            let event_times = event_time.map(|column| batch.column(column));
            let (Some(windows), Some(times)) = (once_per_window, event_times) else {
                return filter.on_time(&batch, &ended, event_times);
            };
            let in_last = in_last_window(windows, &panes, &as_micros(times)?);
            let open = filter.on_time(&batch, &and(&ended, &in_last)?, event_times)?;
            let panes = as_micros(open.column(pane_column))?;
            let is_open: BooleanArray = panes.iter().map(|p| p.map(|p| !has_ended(p))).collect();
            Ok(filter_record_batch(&open, &is_open)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}
