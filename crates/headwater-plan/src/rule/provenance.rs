//! Whether a column is handed on unchanged from where its mark was made.
//!
//! Marks travel as field metadata, and DataFusion copies metadata through casts and merges it in
//! unions. A mark counts only for a column that no expression has touched, and for a union only if
//! it counts in every branch.

use datafusion::common::JoinType;
use datafusion::logical_expr::{
    Distinct, DistinctOn, Expr, Join, LogicalPlan, SortExpr, Unnest, UserDefinedLogicalNode,
};

use crate::event_time_field::{event_time_source, window_of, window_struct_of};
use crate::node::aggregate_node::GroupColumn;
use crate::node::{KeyedLogic, KeyedNode, SessionNode, StreamAggregateNode, WindowNode};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::held_back::HeldBack;
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
        LogicalPlan::Distinct(Distinct::On(distinct)) => is_of_first(distinct, column),
        LogicalPlan::Window(window) => {
            let is_of_input = column < window.input.schema().fields().len();
            let held = window.window_expr.first().and_then(|expr| params_of(expr));
            let held =
                held.map(|(partition, order)| HeldBack::of_rows(partition, order, &window.input));
            let is_left = held.is_none_or(|held| held.leaves(window.schema.field(column)));
            is_of_input && is_left && is_handed_on(&window.input, column)
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
            HeldBack::of_groups(aggregate).leaves(aggregate.schema.field(column))
                && shown.is_some_and(|expr| is_plain(expr, &aggregate.input))
        }
        LogicalPlan::Extension(extension) => is_of_node(extension.node.as_ref(), column),
        LogicalPlan::TableScan(_) => true,
        _ => false,
    }
}

fn is_of_first(distinct: &DistinctOn, column: usize) -> bool {
    let order = distinct.sort_expr.as_deref().unwrap_or_default();
    let order = &order[distinct.on_expr.len().min(order.len())..];
    let held = HeldBack::of_rows(&distinct.on_expr, order, &distinct.input);
    let expr = distinct.select_expr.get(column);
    held.leaves(distinct.schema.field(column))
        && expr.is_some_and(|expr| is_plain(expr, &distinct.input))
}

fn is_of_node(node: &dyn UserDefinedLogicalNode, column: usize) -> bool {
    let inputs = node.inputs();
    let input_columns = inputs
        .first()
        .map_or(0, |input| input.schema().fields().len());
    if let Some(node) = node.as_any().downcast_ref::<StreamAggregateNode>() {
        let group = node.groups.get(column);
        let is_held = node.window.is_some() && matches!(group, Some(GroupColumn::Key(_)));
        return !is_held
            && !node.leaves_out(group)
            && is_group_handed_on(group, &node.keys, &node.input);
    }
    if let Some(node) = node.as_any().downcast_ref::<KeyedNode>() {
        return match &node.logic {
            KeyedLogic::SessionAggregate { groups, .. } => {
                matches!(groups.get(column), Some(GroupColumn::Window(_)))
            }
            KeyedLogic::SessionRows { .. } => column >= input_columns,
            KeyedLogic::Rank { order, .. } | KeyedLogic::Over { order, .. } => {
                let held = HeldBack::of_rows(&node.keys, order, &node.input);
                column < input_columns
                    && held.leaves(node.input.schema().field(column))
                    && is_handed_on(&node.input, column)
            }
        };
    }
    if node.as_any().is::<SessionNode>() {
        return column >= input_columns;
    }
    match inputs.first() {
        // A window hands its input's columns on and adds its own at the end.
        Some(input) if column < input_columns => is_handed_on(input, column),
        _ => true,
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

/// PARTITION BY and ORDER BY of an OVER expression.
pub(crate) fn params_of(expr: &Expr) -> Option<(&[Expr], &[SortExpr])> {
    match expr {
        Expr::Alias(alias) => params_of(&alias.expr),
        Expr::WindowFunction(call) => Some((&call.params.partition_by, &call.params.order_by)),
        _ => None,
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

/// Whether a time lies in the window of which another expression is a bound, in every row: it is
/// the time that the window was made of, or a bound or the time of that very window.
pub(crate) fn is_in_window(time: &Expr, bound: &Expr, input: &LogicalPlan) -> bool {
    match (position_of(time, input), position_of(bound, input)) {
        (Some(time), Some(bound)) => is_column_in_window(input, time, bound),
        _ => false,
    }
}

fn is_column_in_window(plan: &LogicalPlan, time: usize, bound: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            let exprs = &projection.expr;
            match (exprs.get(time), exprs.get(bound)) {
                (Some(time), Some(bound)) => is_in_window(time, bound, &projection.input),
                _ => false,
            }
        }
        LogicalPlan::SubqueryAlias(alias) => is_column_in_window(&alias.input, time, bound),
        LogicalPlan::Filter(filter) => is_column_in_window(&filter.input, time, bound),
        LogicalPlan::Window(window) => {
            let columns = window.input.schema().fields().len();
            time.max(bound) < columns && is_column_in_window(&window.input, time, bound)
        }
        LogicalPlan::Union(union) => {
            let mut inputs = union.inputs.iter();
            inputs.all(|input| is_column_in_window(input, time, bound))
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => false,
                _ if time.max(bound) < left => is_column_in_window(&join.left, time, bound),
                _ if time.min(bound) >= left => {
                    is_column_in_window(&join.right, time - left, bound - left)
                }
                _ => false,
            }
        }
        LogicalPlan::Aggregate(aggregate) => {
            let grouped = GroupedBy::of(aggregate).ok();
            let shown = |column| grouped.as_ref().and_then(|grouped| grouped.shown(column));
            match (shown(time), shown(bound)) {
                (Some(time), Some(bound)) => is_in_window(time, bound, &aggregate.input),
                _ => false,
            }
        }
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any();
            if let Some(node) = node.downcast_ref::<WindowNode>() {
                let columns = node.input.schema().fields().len();
                return match (time < columns, bound < columns) {
                    (true, true) => is_column_in_window(&node.input, time, bound),
                    (true, false) => position_of(&node.time, &node.input) == Some(time),
                    (false, true) => false,
                    (false, false) => true,
                };
            }
            let session = node.downcast_ref::<SessionNode>();
            session.is_some_and(|session| {
                let columns = session.input.schema().fields().len();
                time.min(bound) >= columns
            })
        }
        _ => false,
    }
}

fn position_of(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Column(column) => input.schema().maybe_index_of_column(column),
        Expr::Alias(alias) => position_of(&alias.expr, input),
        // A window's struct says what its start does, and so do its parts.
        other => position_of(argument_of_part(other)?, input),
    }
}
