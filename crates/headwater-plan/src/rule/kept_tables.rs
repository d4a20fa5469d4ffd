//! Joins of a stream with a table to joins that keep the table.
//!
//! ```text
//! HashJoinExec: Left, on=[k]          TableJoinExec: gives=PairsOrNulls, on=[k], table=read once
//!   …stream…                     →      …stream…
//!   StaticRowsExec: read once           …table…
//!     …table…
//! ```
//!
//! DataFusion's joins make their hash table, or collect their rows, whenever the plan is executed,
//! which is every epoch. A join that gives rows of the table that the stream has not matched, as
//! there may be one when every epoch stands for itself, stays DataFusion's.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinSide, JoinType, NullEquality, Result};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::utils::{JoinFilter, JoinOnRef};
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec};

use headwater_exec::epoch_scan::EpochScanExec;
use headwater_exec::kept::Refresh;
use headwater_exec::static_rows::StaticRowsExec;
use headwater_exec::table_join::{Gives, TableJoin, TableJoinExec};

/// The rewrite as DataFusion's planner runs it.
#[derive(Debug)]
pub(crate) struct KeptTables;

impl PhysicalOptimizerRule for KeptTables {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let kept = plan.transform_up(|node| {
            Ok(
                match AnyJoin::of(&node).as_ref().map(kept).transpose()?.flatten() {
                    Some(join) => Transformed::yes(join),
                    None => Transformed::no(node),
                },
            )
        })?;
        Ok(kept.data)
    }

    fn name(&self) -> &'static str {
        "kept_tables"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What DataFusion's joins have in common.
struct AnyJoin<'a> {
    left: &'a Arc<dyn ExecutionPlan>,
    right: &'a Arc<dyn ExecutionPlan>,
    join_type: JoinType,
    on: JoinOnRef<'a>,
    filter: Option<&'a JoinFilter>,
    null_equality: NullEquality,
    null_aware: bool,
    exec: &'a Arc<dyn ExecutionPlan>,
}

impl<'a> AnyJoin<'a> {
    fn of(exec: &'a Arc<dyn ExecutionPlan>) -> Option<Self> {
        if let Some(join) = exec.downcast_ref::<HashJoinExec>() {
            let is_plain = !join.contains_projection() && exec.fetch().is_none();
            return is_plain.then(|| AnyJoin {
                left: join.left(),
                right: join.right(),
                join_type: *join.join_type(),
                on: join.on(),
                filter: join.filter(),
                null_equality: join.null_equality(),
                null_aware: join.null_aware,
                exec,
            });
        }
        let (left, right, join_type, filter) =
            if let Some(join) = exec.downcast_ref::<NestedLoopJoinExec>() {
                if join.contains_projection() {
                    return None;
                }
                (join.left(), join.right(), *join.join_type(), join.filter())
            } else {
                let join = exec.downcast_ref::<CrossJoinExec>()?;
                (join.left(), join.right(), JoinType::Inner, None)
            };
        Some(AnyJoin {
            left,
            right,
            join_type,
            on: &[],
            filter,
            null_equality: NullEquality::NullEqualsNothing,
            null_aware: false,
            exec,
        })
    }
}

/// The join with its table kept; `None` if it is no join of a stream with a table, or another one.
fn kept(join: &AnyJoin<'_>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let (stream_side, stream, table) = match (reads(join.left)?, reads(join.right)?) {
        (Reads::Stream, Reads::Table(_)) => (JoinSide::Left, join.left, join.right),
        (Reads::Table(_), Reads::Stream) => (JoinSide::Right, join.right, join.left),
        _ => return Ok(None),
    };
    let gives = match (Gives::of(join.join_type, stream_side), join.null_aware) {
        (Some(Gives::Unmatched), true) if join.filter.is_none() => Gives::UnmatchedUnlessNull,
        (Some(gives), false) => gives,
        _ => return Ok(None),
    };
    let Reads::Table(refresh) = reads(table)? else {
        return Ok(None);
    };
    let on = join.on.iter().map(|(left, right)| match stream_side {
        JoinSide::Right => (Arc::clone(right), Arc::clone(left)),
        JoinSide::Left | JoinSide::None => (Arc::clone(left), Arc::clone(right)),
    });
    let kept = TableJoin {
        stream_side,
        gives,
        on: on.collect(),
        filter: join.filter.cloned(),
        null_equality: join.null_equality,
        schema: join.exec.schema(),
    };
    let table = Arc::clone(table).transform_up(without_own_rows)?.data;
    let stream = Arc::clone(stream);
    let exec = TableJoinExec::new(stream, table, Arc::new(kept), refresh);
    Ok(Some(Arc::new(exec)))
}

/// What a part of a plan reads.
enum Reads {
    Stream,
    Table(Refresh),
    Nothing,
}

fn reads(plan: &Arc<dyn ExecutionPlan>) -> Result<Reads> {
    let mut found = Reads::Nothing;
    plan.apply(|node| {
        if node.downcast_ref::<EpochScanExec>().is_some() {
            found = Reads::Stream;
            return Ok(TreeNodeRecursion::Stop);
        }
        if let Some(rows) = node.downcast_ref::<StaticRowsExec>() {
            found = Reads::Table(rows.refresh());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

/// The join keeps the rows: they need not be kept twice. Those that are read again plan it.
fn without_own_rows(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    Ok(match node.downcast_ref::<StaticRowsExec>() {
        Some(rows) if rows.refresh() == Refresh::Never => {
            Transformed::yes(Arc::clone(rows.input()))
        }
        _ => Transformed::no(node),
    })
}
