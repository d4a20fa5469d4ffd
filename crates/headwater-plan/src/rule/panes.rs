//! Turns windows that overlap, an aggregation, to panes, when nothing looks at its columns but
//! the GROUP BY: each row is then added once, however many windows cover it.
//!
//! ```text
//! StreamAggregate: window_start, symbol     StreamAggregate: window_start (pane), symbol
//!   Filter: amount > 5                   →    Filter: amount > 5
//!     Window: windows of hop(10 s, 60 s)        Window: panes of hop(10 s, 60 s)
//! ```

use datafusion::common::{DFSchema, ExprSchema, Result};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan};

use crate::event_time_field::window_of;
use crate::node::WindowNode;

/// The input with panes; `None` if a window column is used for something else.
pub(crate) fn to_panes(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Extension(extension) => {
            let node = extension.node.as_any().downcast_ref::<WindowNode>();
            Ok(node.map(|window| {
                LogicalPlan::Extension(Extension {
                    node: std::sync::Arc::new(window.paned()),
                })
            }))
        }
        LogicalPlan::SubqueryAlias(alias) => rebuilt(plan, &alias.input, vec![]),
        LogicalPlan::Filter(filter) => {
            if uses_window(&filter.predicate, filter.input.schema()) {
                return Ok(None);
            }
            rebuilt(plan, &filter.input, vec![filter.predicate.clone()])
        }
        LogicalPlan::Projection(projection) => {
            let schema = projection.input.schema();
            let computes = |expr: &Expr| !is_plain(expr) && uses_window(expr, schema);
            if projection.expr.iter().any(computes) {
                return Ok(None);
            }
            rebuilt(plan, &projection.input, projection.expr.clone())
        }
        _ => Ok(None),
    }
}

fn rebuilt(
    plan: &LogicalPlan,
    input: &LogicalPlan,
    exprs: Vec<Expr>,
) -> Result<Option<LogicalPlan>> {
    match to_panes(input)? {
        Some(input) => Ok(Some(plan.with_new_exprs(exprs, vec![input])?)),
        None => Ok(None),
    }
}

fn is_plain(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => is_plain(&alias.expr),
        _ => false,
    }
}

/// Whether an expression looks at a window column.
pub(crate) fn uses_window(expr: &Expr, schema: &DFSchema) -> bool {
    expr.column_refs().iter().any(|column| {
        schema
            .field_from_column(column)
            .is_ok_and(|field| window_of(field).is_some())
    })
}
