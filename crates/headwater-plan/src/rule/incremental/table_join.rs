//! Joins of a stream with a table that does not change.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use headwater_core::mode::OutputMode;

use headwater_exec::kept::Refresh;

use super::{Change, Converter, Incremental};
use crate::check::expressions::check_read_once;
use crate::check::refuse;
use crate::node::StaticNode;
use crate::node::static_node::Seen;
use crate::rule::having::takes_back;
use crate::rule::number_sources::reads_sources;
use crate::rule::subqueries::was_subquery;

impl Converter {
    /// A stream with a table. A row of the stream finds the same rows whenever it comes, so nothing
    /// is kept; what the table has and the stream has not can only be told at the end of time.
    pub(super) fn join_with_table(
        &mut self,
        plan: &LogicalPlan,
        join: &Join,
    ) -> Result<Incremental> {
        let stream_side = match (reads_sources(&join.left), reads_sources(&join.right)) {
            (true, false) => JoinSide::Left,
            (false, true) => JoinSide::Right,
            _ => return Err(refuse::shape(plan).into()),
        };
        let keeps_to_stream = match join.join_type {
            JoinType::Inner => true,
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                stream_side == JoinSide::Left
            }
            JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                stream_side == JoinSide::Right
            }
            JoinType::Full => false,
        };
        if !keeps_to_stream {
            return Err(refuse::unmatched_table_rows(join.join_type).into());
        }
        let (stream, table) = match stream_side {
            JoinSide::Left => (&join.left, &join.right),
            _ => (&join.right, &join.left),
        };
        let Incremental {
            plan: stream,
            change,
            time,
            has_state,
        } = self.convert(stream)?;
        let is_kept = || {
            let is_test = gives_each_once(join.join_type);
            // A row of the join that is taken back is not found again.
            self.keeps_groups(join, stream_side, &change)
                && (is_test || change == Change::AppendOnly || !takes_back(&stream))
        };
        if self.mode == OutputMode::Update && !is_kept() {
            let what = if was_subquery(table) {
                "a subquery"
            } else {
                "a join"
            };
            return Err(refuse::over_updates(what).into());
        }
        check_read_once(table)?;
        let table = StaticNode::of(table, Seen::Always(self.refresh));
        let inputs = match stream_side {
            JoinSide::Left => vec![stream, table],
            _ => vec![table, stream],
        };
        Ok(Incremental {
            plan: plan.with_new_exprs(plan.expressions(), inputs)?,
            change: change.with_key(|key| gives_each_once(join.join_type).then(|| key.clone())),
            time,
            has_state,
        })
    }

    /// Whether rows that replace each other find the same rows of the table, whenever they come: a
    /// join then keeps all of one key or none.
    fn keeps_groups(&self, join: &Join, stream_side: JoinSide, change: &Change) -> bool {
        let key = match change {
            Change::AppendOnly => return true,
            Change::Updating { key: None } => return false,
            Change::Updating { key: Some(key) } => key,
        };
        let is_mark = matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark);
        let stream = match stream_side {
            JoinSide::Left => join.left.schema(),
            _ => join.right.schema(),
        };
        let sides = join.on.iter().flat_map(|(left, right)| [left, right]);
        let mut columns = sides.chain(&join.filter).flat_map(Expr::column_refs);
        !is_mark
            && self.refresh == Refresh::Never
            && columns.all(|column| !stream.has_column(column) || key.holds(column))
    }
}

/// Whether a join gives a row of the stream once at most; others may find it several rows of the
/// table.
fn gives_each_once(join_type: JoinType) -> bool {
    match join_type {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => true,
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => true,
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => false,
    }
}

/// A plan that is run for every epoch by itself, with its tables read once.
pub(crate) fn keep_tables(plan: LogicalPlan, refresh: Refresh) -> Result<LogicalPlan> {
    let kept = plan.transform_up(|node| {
        let LogicalPlan::Join(join) = &node else {
            return Ok(Transformed::no(node));
        };
        let sides = [&join.left, &join.right];
        let is_table = sides.map(|side| !reads_sources(side));
        if is_table[0] == is_table[1] {
            return Ok(Transformed::no(node));
        }
        let mut inputs = Vec::with_capacity(sides.len());
        for (side, is_table) in sides.into_iter().zip(is_table) {
            inputs.push(match is_table {
                true => {
                    check_read_once(side)?;
                    StaticNode::of(side, Seen::Always(refresh))
                }
                false => side.as_ref().clone(),
            });
        }
        Ok(Transformed::yes(
            node.with_new_exprs(node.expressions(), inputs)?,
        ))
    })?;
    Ok(kept.data)
}
