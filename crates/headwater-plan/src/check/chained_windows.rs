//! Windows over a bound of other windows. `window_start` and `window_end` are values like any others;
//! the event time of a window's row is `window_time`, and only windows over that are finished.

use datafusion::common::ExprSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use crate::event_time_field::{WindowRole, window_of};
use crate::node::{SessionNode, WindowNode};

/// The column of a bound over which a plan has windows, or a part of time in a GROUP BY.
pub(crate) fn windowed_bound(plan: &LogicalPlan) -> Option<Expr> {
    let mut found = None;
    // The closure never fails, so neither does the walk.
    let _ = plan.apply(|node| {
        found = match node {
            LogicalPlan::Aggregate(aggregate) => grouped_bound(aggregate),
            LogicalPlan::Extension(extension) => {
                let node = extension.node.as_any();
                let window = node.downcast_ref::<WindowNode>();
                let window = window.map(|node| (&node.time, &node.input));
                let session = node.downcast_ref::<SessionNode>();
                let session = session.map(|node| (&node.time, &node.input));
                let windows = window.or(session);
                windows.and_then(|(time, input)| bound_in(time, input))
            }
            _ => None,
        };
        Ok(match found {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    });
    found
}

/// The bound of which an aggregation groups by a part, without its window.
pub(crate) fn grouped_bound(aggregate: &Aggregate) -> Option<Expr> {
    let input = aggregate.input.as_ref();
    let is_window = |expr: &Expr| {
        let Expr::Column(column) = expr else {
            return false;
        };
        let field = input.schema().field_from_column(column);
        field.is_ok_and(|field| window_of(field).is_some())
    };
    if aggregate.group_expr.iter().any(is_window) {
        return None;
    }
    let parts = aggregate.group_expr.iter().filter(|expr| match expr {
        Expr::ScalarFunction(call) => matches!(call.func.name(), "date_trunc" | "date_bin"),
        _ => false,
    });
    let mut parts = parts;
    parts.find_map(|part| bound_in(part, input))
}

fn bound_in(expr: &Expr, input: &LogicalPlan) -> Option<Expr> {
    let columns = expr.column_refs();
    let bound = columns.into_iter().find(|column| {
        let field = input.schema().field_from_column(column);
        let window = field.ok().and_then(|field| window_of(field));
        window.is_some_and(|window| window.role != WindowRole::Time && window.has_watermark)
    })?;
    Some(Expr::Column(bound.clone()))
}
