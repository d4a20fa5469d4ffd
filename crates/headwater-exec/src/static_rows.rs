//! `StaticRowsExec`: the rows of a table that is no stream, read once for the life of a query.
//!
//! - **Input**: a plan that reads no source. **Output**: its rows, in its partitions.
//! - **State**: the rows, in memory, from the first epoch on. They are not in the checkpoint: a
//!   query that is started again reads the table as it is then.
//! - **Time**: the epoch's, if they are to be read again every interval.
//! - **Replay**: within a process an epoch that runs again sees the same rows.
//! - **Errors**: what reading the table says; the next epoch reads again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

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
use futures::future::BoxFuture;

use crate::kept::{Kept, Refresh};
use crate::plan_properties::{exact_children, same_partitions};

#[cfg(test)]
mod tests;

/// Plans the reading of a table anew: a plan knows the files, or the rows in memory, that there
/// were when it was made.
pub trait TableReader: fmt::Debug + Send + Sync {
    /// The operators that read the table as it is now.
    fn plan(&self) -> BoxFuture<'_, Result<Arc<dyn ExecutionPlan>>>;
}

/// Batches by partition.
type Rows = Vec<Vec<RecordBatch>>;

/// Reads its input once. See the module's page.
#[derive(Debug)]
pub struct StaticRowsExec {
    input: Arc<dyn ExecutionPlan>,
    /// Shared by the copies that planning and every epoch make of this node.
    rows: Kept<Rows>,
    /// For rows that are read again.
    reader: Option<Arc<dyn TableReader>>,
    properties: Arc<PlanProperties>,
}

impl StaticRowsExec {
    /// The rows of a plan, read once.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self::sharing(input, Kept::new(Refresh::Never), None)
    }

    /// The rows of a plan, read anew in every interval.
    pub fn read_again(
        input: Arc<dyn ExecutionPlan>,
        interval: Duration,
        reader: Arc<dyn TableReader>,
    ) -> Self {
        Self::sharing(input, Kept::new(Refresh::Every(interval)), Some(reader))
    }

    /// When the rows are read again.
    pub fn refresh(&self) -> Refresh {
        self.rows.refresh
    }

    /// What is read.
    pub fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }

    fn sharing(
        input: Arc<dyn ExecutionPlan>,
        rows: Kept<Rows>,
        reader: Option<Arc<dyn TableReader>>,
    ) -> Self {
        let partitions = input.output_partitioning().partition_count();
        let properties = same_partitions(input.schema(), partitions);
        StaticRowsExec {
            input,
            rows,
            reader,
            properties,
        }
    }
}

/// All partitions at once: a repartitioning input feeds them side by side. A plan made anew may
/// have other ones, which are dealt to those that were announced.
async fn read(
    input: Arc<dyn ExecutionPlan>,
    reader: Option<Arc<dyn TableReader>>,
    task: Arc<TaskContext>,
) -> Result<Rows> {
    let Some(reader) = reader else {
        return collect_partitioned(input, task).await;
    };
    let partitions = input.output_partitioning().partition_count().max(1);
    let mut rows = vec![vec![]; partitions];
    let read = collect_partitioned(reader.plan().await?, task).await?;
    for (number, batches) in read.into_iter().enumerate() {
        rows[number % partitions].extend(batches);
    }
    Ok(rows)
}

impl DisplayAs for StaticRowsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticRowsExec: {}", self.rows.refresh)
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
        Ok(Arc::new(StaticRowsExec::sharing(
            input,
            self.rows.clone(),
            self.reader.clone(),
        )))
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
        let (input, rows) = (Arc::clone(&self.input), self.rows.clone());
        let reader = self.reader.clone();
        let read = async move {
            let task = Arc::clone(&context);
            let read = async || read(input, reader, task).await;
            let batches = rows.get(&context, read).await?;
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
