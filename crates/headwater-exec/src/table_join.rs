//! `TableJoinExec`: rows of a stream with those of a table, whose hash table is kept.
//!
//! - **Input**: a stream, and a plan that reads no source: the table.
//! - **Output**: rows of the stream, with or without rows of the table, or those that find some, or
//!   none; in the stream's partitions. Every other join of the two is DataFusion's.
//! - **State**: the table and its hash table, in memory, from the first epoch on. They are not in
//!   the checkpoint: a query that is started again reads the table as it is then.
//! - **Time**: the epoch's, if the table is to be read again every interval.
//! - **Replay**: within a process an epoch that runs again sees the same table.
//! - **Errors**: what reading the table says; the next epoch reads again.
//! - **Source**: DataFusion's `HashJoinExec` with the table as build side. That one builds its hash
//!   table whenever a plan is executed, which here is every epoch.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::tree_node::TreeNodeRecursion;
use datafusion_common::{JoinSide, JoinType, NullEquality, Result};
use datafusion_execution::{SendableRecordBatchStream, TaskContext};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_plan::joins::utils::JoinFilter;
use datafusion_physical_plan::stream::RecordBatchStreamAdapter;
use datafusion_physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    collect_partitioned,
};
use futures::{StreamExt, TryStreamExt};

use crate::kept::{Kept, Refresh};
use crate::plan_properties::{exact_children, same_partitions};
use probe::Probe;
use table::Table;

mod probe;
mod table;
#[cfg(test)]
mod tests;

/// What a row of the stream gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// A row with each row of the table that fits.
    Pairs,
    /// The same, or a row with NULLs if none fits.
    PairsOrNulls,
    /// Itself, if a row of the table fits.
    Matched,
    /// Itself, if none fits.
    Unmatched,
    /// Itself, if it is known that none fits: `NOT IN`, where a NULL may be anything.
    UnmatchedUnlessNull,
    /// Itself, and whether a row of the table fits.
    Marks,
}

impl Gives {
    /// What a join with the stream on this side gives; `None` if it gives rows of the table that
    /// the stream may still match.
    pub fn of(join_type: JoinType, stream_side: JoinSide) -> Option<Self> {
        let on = |side, gives| (side == stream_side).then_some(gives);
        match join_type {
            JoinType::Inner => Some(Gives::Pairs),
            JoinType::Left => on(JoinSide::Left, Gives::PairsOrNulls),
            JoinType::Right => on(JoinSide::Right, Gives::PairsOrNulls),
            JoinType::LeftSemi => on(JoinSide::Left, Gives::Matched),
            JoinType::RightSemi => on(JoinSide::Right, Gives::Matched),
            JoinType::LeftAnti => on(JoinSide::Left, Gives::Unmatched),
            JoinType::RightAnti => on(JoinSide::Right, Gives::Unmatched),
            JoinType::LeftMark => on(JoinSide::Left, Gives::Marks),
            JoinType::RightMark => on(JoinSide::Right, Gives::Marks),
            JoinType::Full => None,
        }
    }
}

/// How rows of a stream find rows of a table.
#[derive(Debug)]
pub struct TableJoin {
    /// Where the stream's columns stand in the output, and in the filter.
    pub stream_side: JoinSide,
    /// What a row of the stream gives.
    pub gives: Gives,
    /// Expressions of the stream and of the table that must be equal.
    pub on: Vec<(Arc<dyn PhysicalExpr>, Arc<dyn PhysicalExpr>)>,
    /// What must hold besides.
    pub filter: Option<JoinFilter>,
    /// Whether NULL is equal to NULL.
    pub null_equality: NullEquality,
    /// Columns of the output.
    pub schema: SchemaRef,
}

/// Joins a stream with a table. See the module's page.
pub struct TableJoinExec {
    stream: Arc<dyn ExecutionPlan>,
    table: Arc<dyn ExecutionPlan>,
    join: Arc<TableJoin>,
    /// Shared by the copies that planning and every epoch make of this node.
    kept: Kept<Table>,
    properties: Arc<PlanProperties>,
}

impl TableJoinExec {
    /// A stream with a table.
    pub fn new(
        stream: Arc<dyn ExecutionPlan>,
        table: Arc<dyn ExecutionPlan>,
        join: Arc<TableJoin>,
        refresh: Refresh,
    ) -> Self {
        Self::sharing(stream, table, join, Kept::new(refresh))
    }

    fn sharing(
        stream: Arc<dyn ExecutionPlan>,
        table: Arc<dyn ExecutionPlan>,
        join: Arc<TableJoin>,
        kept: Kept<Table>,
    ) -> Self {
        let partitions = stream.output_partitioning().partition_count();
        let properties = same_partitions(Arc::clone(&join.schema), partitions);
        TableJoinExec {
            stream,
            table,
            join,
            kept,
            properties,
        }
    }
}

async fn read(
    table: Arc<dyn ExecutionPlan>,
    join: &TableJoin,
    context: Arc<TaskContext>,
) -> Result<Table> {
    let schema = table.schema();
    let batches = collect_partitioned(table, context).await?.concat();
    let keys: Vec<_> = join.on.iter().map(|(_, key)| Arc::clone(key)).collect();
    Table::try_new(&schema, &batches, &keys, join.null_equality)
}

impl fmt::Debug for TableJoinExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("TableJoinExec");
        shown.field("stream", &self.stream);
        shown.field("table", &self.table);
        shown.field("join", &self.join);
        shown.finish_non_exhaustive()
    }
}

impl DisplayAs for TableJoinExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let on = self.join.on.iter();
        let on: Vec<_> = on
            .map(|(stream, table)| format!("{stream} = {table}"))
            .collect();
        write!(
            f,
            "TableJoinExec: gives={:?}, on=[{}]",
            self.join.gives,
            on.join(", ")
        )?;
        if let Some(filter) = &self.join.filter {
            write!(f, ", filter={}", filter.expression())?;
        }
        write!(f, ", table={}", self.kept.refresh)
    }
}

impl ExecutionPlan for TableJoinExec {
    fn name(&self) -> &'static str {
        "TableJoinExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.stream, &self.table]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let [stream, table] = exact_children(self.name(), children)?;
        let join = Arc::clone(&self.join);
        let kept = self.kept.clone();
        Ok(Arc::new(TableJoinExec::sharing(stream, table, join, kept)))
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let on = self
            .join
            .on
            .iter()
            .flat_map(|(stream, table)| [stream, table]);
        let filter = self.join.filter.as_ref().map(JoinFilter::expression);
        for expr in on.chain(filter) {
            if apply(expr)? == TreeNodeRecursion::Stop {
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
        let rows = self.stream.execute(partition, Arc::clone(&context))?;
        let (join, kept) = (Arc::clone(&self.join), self.kept.clone());
        let plan = Arc::clone(&self.table);
        let joined = async move {
            let most_rows = context.session_config().batch_size();
            let task = Arc::clone(&context);
            let read = async || read(plan, &join, task).await;
            let table = kept.get(&context, read).await?;
            Result::<_>::Ok(rows.map(move |batch| {
                let (join, table) = (Arc::clone(&join), Arc::clone(&table));
                let probe = Probe::try_new(join, table, batch?, most_rows)?;
                Result::<_>::Ok(futures::stream::try_unfold(probe, |mut probe| async move {
                    Result::<_>::Ok(probe.next_batch()?.map(|batch| (batch, probe)))
                }))
            }))
        };
        let stream = futures::stream::once(joined).try_flatten().try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}
