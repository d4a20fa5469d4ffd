//! `LateRowsExec`: rows of windows that have all been finished go out before they cost anything.
//!
//! - **Input**: rows with the start of their pane in one column, a TIMESTAMP in microseconds.
//! - **Output**: the same columns; the rows with a window that is still open.
//! - **State**: none.
//! - **Time**: reads `W(n − 1)`: a row is late if the last window of its pane ended at or before
//!   it. Output rows keep the input's watermark.
//! - **Replay**: a function of the row and `W(n − 1)`, which the epoch's log record holds.
//! - **Source**: Spark's `StateStoreRestoreExec` filters late rows the same way, but by one
//!   watermark over all partitions and only after the partial aggregation.

use std::fmt;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
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
use crate::plan_properties::{exact_children, same_partitions};
use crate::watermark::{InputTime, as_micros};
use crate::window::WindowSpec;

#[cfg(test)]
mod tests;

/// Drops and counts late rows. See the module's page.
#[derive(Debug)]
pub struct LateRowsExec {
    input: Arc<dyn ExecutionPlan>,
    pane_column: usize,
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
            window,
            operator,
            input_time,
            stage,
            properties,
        }
    }
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
        Ok(Arc::new(LateRowsExec::new(
            input,
            self.pane_column,
            self.window,
            self.operator.clone(),
            self.input_time.clone(),
            self.stage,
        )))
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
        let late_until = epoch.watermarks.step(&self.input_time).before.micros();
        let (window, column) = (self.window, self.pane_column);
        let operator = self.operator.clone();
        let stream = input.map(move |batch| {
            let batch = batch?;
            let panes = as_micros(batch.column(column))?;
            let is_open = |pane: &i64| window.last_end_of_pane(*pane) > late_until;
            let open = panes.values().iter().filter(|pane| is_open(pane)).count();
            if open == panes.len() {
                return Ok(batch);
            }
            epoch
                .metrics
                .add_late(&operator, (panes.len() - open) as u64);
            let keep: BooleanArray = panes
                .values()
                .iter()
                .map(|pane| Some(is_open(pane)))
                .collect();
            Ok(filter_record_batch(&batch, &keep)?)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}
