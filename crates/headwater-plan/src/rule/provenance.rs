//! Whether a column is handed on unchanged from where its mark was made.
//!
//! Marks travel as field metadata, and DataFusion copies metadata through casts and merges it in
//! unions. A mark counts only for a column that no expression has touched, and for a union only if
//! it counts in every branch.

use datafusion::common::JoinType;
use datafusion::logical_expr::{Distinct, Expr, Join, LogicalPlan, Unnest};

use crate::event_time_field::{event_time_source, window_of, window_struct_of};
use crate::node::aggregate_node::GroupColumn;
use crate::node::{KeyedLogic, KeyedNode, StreamAggregateNode};
use crate::rule::grouping_sets::GroupedBy;
use crate::window_struct::argument_of_part;

/// Whether the column at a position of a plan's output is one that a source or a window made,
/// under whatever name.
pub(crate) fn is_handed_on(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(column);
            let found = expr.and_then(|e| position_of(e, &projection.input));
            found.is_some_and(|position| is_handed_on(&projection.input, position))
        }
        LogicalPlan::SubqueryAlias(alias) => is_handed_on(&alias.input, column),
        LogicalPlan::Filter(filter) => is_handed_on(&filter.input, column),
        LogicalPlan::Sort(sort) => is_handed_on(&sort.input, column),
        LogicalPlan::Limit(limit) => is_handed_on(&limit.input, column),
        LogicalPlan::Distinct(Distinct::All(input)) => is_handed_on(input, column),
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            let expr = distinct.select_expr.get(column);
            expr.is_some_and(|expr| is_plain(expr, &distinct.input))
        }
        LogicalPlan::Window(window) => {
            column < window.input.schema().fields().len() && is_handed_on(&window.input, column)
        }
        LogicalPlan::Union(union) => union.inputs.iter().all(|input| {
            let field = input.schema().field(column);
            let is_marked = event_time_source(field).is_some()
                || window_of(field).is_some()
                || window_struct_of(field).is_some();
            is_marked && is_handed_on(input, column)
        }),
        LogicalPlan::Join(join) => is_of_side(join, column),
        LogicalPlan::Unnest(unnest) => is_beside_elements(unnest, column),
        LogicalPlan::Aggregate(aggregate) => {
            let grouped = GroupedBy::of(aggregate).ok();
            let shown = grouped.as_ref().and_then(|grouped| grouped.shown(column));
            shown.is_some_and(|expr| is_plain(expr, &aggregate.input))
        }
        LogicalPlan::Extension(extension)
            if extension.node.as_any().is::<StreamAggregateNode>() =>
        {
            let node = extension
                .node
                .as_any()
                .downcast_ref::<StreamAggregateNode>();
            node.is_some_and(|node| {
                let group = node.groups.get(column);
                !node.leaves_out(group) && is_group_handed_on(group, &node.keys, &node.input)
            })
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<KeyedNode>() => {
            let node = extension.node.as_any().downcast_ref::<KeyedNode>();
            node.is_some_and(|node| match &node.logic {
                KeyedLogic::SessionAggregate { groups, .. } => {
                    is_group_handed_on(groups.get(column), &node.keys, &node.input)
                }
                KeyedLogic::SessionRows { .. }
                | KeyedLogic::Rank { .. }
                | KeyedLogic::Over { .. } => {
                    column >= node.input.schema().fields().len()
                        || is_handed_on(&node.input, column)
                }
            })
        }
        LogicalPlan::Extension(extension) => match extension.node.inputs().first() {
            // A window hands its input's columns on and adds its own at the end.
            Some(input) if column < input.schema().fields().len() => is_handed_on(input, column),
            _ => true,
        },
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

/// Whether a group column of an operator is a window's, or a column of its input.
fn is_group_handed_on(group: Option<&GroupColumn>, keys: &[Expr], input: &LogicalPlan) -> bool {
    match group {
        Some(GroupColumn::Window(_)) => true,
        Some(GroupColumn::Key(key)) => keys.get(*key).is_some_and(|expr| is_plain(expr, input)),
        Some(GroupColumn::GroupingId) | None => false,
    }
}

fn is_of_side(join: &Join, column: usize) -> bool {
    let left = join.left.schema().fields().len();
    match join.join_type {
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            let right = join.right.schema().fields().len();
            column < right && is_handed_on(&join.right, column)
        }
        _ if column < left => is_handed_on(&join.left, column),
        JoinType::LeftMark => false,
        _ => is_handed_on(&join.right, column - left),
    }
}

/// A column that is taken apart is no longer what it was.
fn is_beside_elements(unnest: &Unnest, column: usize) -> bool {
    let from = unnest.dependency_indices.get(column);
    from.is_some_and(|from| {
        let is_list = unnest
            .list_type_columns
            .iter()
            .any(|(list, _)| list == from);
        let is_taken_apart = is_list || unnest.struct_type_columns.contains(from);
        !is_taken_apart && is_handed_on(&unnest.input, *from)
    })
}

/// Whether an expression over a plan is a column that is handed on.
pub(crate) fn is_plain(expr: &Expr, input: &LogicalPlan) -> bool {
    position_of(expr, input).is_some_and(|position| is_handed_on(input, position))
}

fn position_of(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Column(column) => input.schema().maybe_index_of_column(column),
        Expr::Alias(alias) => position_of(&alias.expr, input),
        // A window's struct says what its start does, and so do its parts.
        other => position_of(argument_of_part(other)?, input),
    }
}
