//! `StaticRowsExec`: the rows of a table that is no stream, read once for the life of a query.
//!
//! - **Input**: a plan that reads no source. **Output**: its rows, in its partitions.
//! - **State**: the rows, in memory, from the first epoch on. They are not in the checkpoint: a
//!   query that is started again reads the table as it is then.
//! - **Time**: none.
//! - **Replay**: within a process an epoch that runs again sees the same rows.
//! - **Errors**: what reading the table says; the next epoch reads again.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{Result, Statistics};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::statistics::{ChildStats, StatisticsArgs};
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    collect_partitioned,
};
use futures::TryStreamExt;
use tokio::sync::OnceCell;

use crate::plan_properties::{exact_children, same_partitions};

#[cfg(test)]
mod tests;

/// Batches by partition.
type Rows = Vec<Vec<RecordBatch>>;

/// Reads its input once. See the module's page.
#[derive(Debug)]
pub struct StaticRowsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Shared by the copies that planning and every epoch make of this node.
    rows: Arc<OnceCell<Arc<Rows>>>,
    properties: Arc<PlanProperties>,
}

impl StaticRowsExec {
    /// The rows of a plan.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self::sharing(input, Arc::default())
    }

    fn sharing(input: Arc<dyn ExecutionPlan>, rows: Arc<OnceCell<Arc<Rows>>>) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = same_partitions(input.schema(), partitions);
        StaticRowsExec {
            input,
            rows,
            properties,
        }
    }
}

/// The rows, read now if nobody has. All partitions at once: a repartitioning input feeds them side
/// by side.
async fn rows_of(
    rows: &OnceCell<Arc<Rows>>,
    input: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
) -> Result<Arc<Rows>> {
    let read = || async { collect_partitioned(input, context).await.map(Arc::new) };
    rows.get_or_try_init(read).await.map(Arc::clone)
}

impl DisplayAs for StaticRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticRowsExec: read once")
    }
}

impl ExecutionPlan for StaticRowsExec {
    fn name(&self) -> &'static str {
        "StaticRowsExec"
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
        let rows = Arc::clone(&self.rows);
        Ok(Arc::new(StaticRowsExec::sharing(input, rows)))
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    /// What is known of the table: a join builds its hash table of the smaller side.
    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        let unknown = || Arc::new(Statistics::new_unknown(&self.schema()));
        Ok(inputs.first().map_or_else(unknown, Arc::clone))
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let (input, rows) = (Arc::clone(&self.input), Arc::clone(&self.rows));
        let read = async move {
            let batches = rows_of(&rows, input, context).await?;
            let mine = batches.get(partition).cloned().unwrap_or_default();
            let mine: Vec<Result<RecordBatch>> = mine.into_iter().map(Ok).collect();
            Result::<_>::Ok(futures::stream::iter(mine))
        };
        let stream = futures::stream::once(read).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}
