//! Buckets of event time in PARTITION BY: rankings and OVER within tumbling windows.
//!
//! ```text
//! Window: row_number() OVER (PARTITION BY date_trunc('minute', ts) ORDER BY v DESC)
//!   trades
//!   →
//! Projection: the columns of trades, row_number() OVER … AS its old name
//!   Window: row_number() OVER (PARTITION BY __window_start, __window_end ORDER BY v DESC)
//!     Window: tumble(1 minute) on ts
//!       trades
//! ```
//!
//! Rows in the order of event time stay as they are: they are final one by one, sooner than the
//! window. [`bucket_length`] says when all of a bucket are.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, ExprSchemable, Filter, LogicalPlan, Projection, SortExpr, SubqueryAlias, Window,
};

use headwater_exec::window::Length;
use headwater_exec::window_assign::window_time_type;

use super::{Bucket, bucket, bucket_column, planned, unaliased, window_below};
use crate::event_time_field::{event_time_source, window_of, window_struct_of};
use crate::node::WindowNode;
use crate::rule::provenance::{is_plain, params_of};

/// The same within windows; `None` if the partition holds no bucket, or a window already.
pub(super) fn windowed(window: &Window) -> Result<Option<LogicalPlan>> {
    let input = &window.input;
    let Some((partition, order)) = window.window_expr.first().and_then(params_of) else {
        return Ok(None);
    };
    if is_in_order_of_time(order, input)? {
        return Ok(None);
    }
    for expr in partition {
        let (_, field) = expr.to_field(input.schema().as_ref())?;
        let is_window = window_of(&field).is_some() || window_struct_of(&field).is_some();
        if is_window && is_plain(expr, input) {
            return Ok(None);
        }
    }
    // The finest bucket is the window, and the others are keys that it tells.
    let buckets = partition.iter();
    let buckets = buckets.filter_map(|expr| Some((expr, bucket(expr)?)));
    let mut buckets: Vec<(&Expr, Bucket)> = buckets.collect();
    buckets.sort_by_key(|(_, bucket)| bucket.roughly_us);
    for (expr, bucket) in buckets {
        if let Some(node) = window_below(input, &bucket)? {
            return within(window, expr, node).map(Some);
        }
    }
    for expr in partition {
        let position = match expr {
            Expr::Column(column) => input.schema().maybe_index_of_column(column),
            _ => None,
        };
        if let Some(position) = position
            && let Some(input) = bucket_column(input, position)?
        {
            let window = Window::try_new(window.window_expr.clone(), Arc::new(input))?;
            return Ok(Some(LogicalPlan::Window(window)));
        }
    }
    Ok(None)
}

/// How long the buckets are whose starts an expression gives, if they are buckets of a time that is
/// one of the same rows, so that it lies in them.
pub(crate) fn bucket_length(
    expr: &Expr,
    time: &Expr,
    input: &LogicalPlan,
) -> Result<Option<Length>> {
    if let Some(bucket) = bucket(expr) {
        let is_of_time = unaliased(&bucket.time) == unaliased(time)
            && time.get_type(input.schema())? == window_time_type();
        return Ok(is_of_time.then_some(bucket.length));
    }
    let (Expr::Column(start), Expr::Column(time)) = (unaliased(expr), unaliased(time)) else {
        return Ok(None);
    };
    let schema = input.schema();
    let positions = schema.maybe_index_of_column(start);
    let Some((start, time)) = positions.zip(schema.maybe_index_of_column(time)) else {
        return Ok(None);
    };
    match input {
        LogicalPlan::Projection(projection) => {
            let (start, time) = (&projection.expr[start], &projection.expr[time]);
            bucket_length(start, time, &projection.input)
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. })
        | LogicalPlan::Filter(Filter { input, .. }) => {
            let column = |at| Expr::Column(Column::from(input.schema().qualified_field(at)));
            bucket_length(&column(start), &column(time), input)
        }
        _ => Ok(None),
    }
}

/// Whether rows are in the order of event time, earliest first.
fn is_in_order_of_time(order: &[SortExpr], input: &LogicalPlan) -> Result<bool> {
    let Some(first) = order.first().filter(|sort| sort.asc) else {
        return Ok(false);
    };
    let (_, field) = first.expr.to_field(input.schema().as_ref())?;
    Ok(event_time_source(&field).is_some() && is_plain(&first.expr, input))
}

/// The same over the rows of a window node, with its bounds in place of a bucket, under the columns
/// that there were.
fn within(window: &Window, bucket: &Expr, node: WindowNode) -> Result<LogicalPlan> {
    let bounds = [node.start_name(), node.end_name()];
    let bounds = bounds.map(|name| Expr::Column(Column::from_name(name)));
    let exprs = window.window_expr.iter().cloned();
    let exprs = exprs.map(|expr| partitioned_by(expr, bucket, &bounds));
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let (added, kept) = (exprs.len(), window.input.schema().fields().len());
    let inner = Window::try_new(exprs, Arc::new(planned(node)))?;
    let new = inner.schema.fields().len() - added;
    let columns = window.schema.iter().enumerate();
    let columns = columns.map(|(position, (qualifier, field))| {
        if position < kept {
            return Expr::Column(Column::from((qualifier, field)));
        }
        let value = inner.schema.qualified_field(new + position - kept);
        Expr::Column(Column::from(value)).alias_qualified(qualifier.cloned(), field.name())
    });
    let columns = columns.collect();
    let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Window(inner)))?;
    Ok(LogicalPlan::Projection(projection))
}

/// A window expression with the bounds of a window in place of a bucket in its PARTITION BY.
fn partitioned_by(expr: Expr, bucket: &Expr, bounds: &[Expr; 2]) -> Result<Expr> {
    let replaced = expr.transform_down(|expr| {
        let Expr::WindowFunction(call) = expr else {
            return Ok(Transformed::no(expr));
        };
        let WindowFunction { fun, params } = *call;
        let others = params.partition_by.into_iter();
        let others = others.filter(|expr| expr != bucket);
        let params = WindowFunctionParams {
            partition_by: bounds.iter().cloned().chain(others).collect(),
            ..params
        };
        let call = WindowFunction { fun, params };
        let call = Expr::WindowFunction(Box::new(call));
        Ok(Transformed::new(
            call,
            true,
            datafusion::common::tree_node::TreeNodeRecursion::Jump,
        ))
    })?;
    Ok(replaced.data)
}
