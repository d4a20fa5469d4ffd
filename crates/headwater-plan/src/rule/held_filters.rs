//! Filters by the time of the epoch or by what is drawn, which stay where they are.
//!
//! DataFusion moves a condition as far down as its columns let it. `random() < 0.1` has none, so it
//! would be moved below a GROUP BY and draw for every row, into a table that is read once, and into
//! one with the same condition of an inner query. A column of a projection stays above all of them.
//!
//! ```text
//! Filter: random() < 0.1 AND n > 5      Projection: k, n
//!   StreamAggregate: k, n          →      Filter: __held AND n > 5
//!                                           Projection: k, n, random() < 0.1 AS __held
//!                                             StreamAggregate: k, n
//! ```

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, ident};

use crate::check::unsteady::Unsteady;

const HELD: &str = "__held";

/// The plan with such filters on columns of their own.
///
/// # Errors
/// If DataFusion finds fault with a projection.
pub(crate) fn hold_filters(plan: LogicalPlan) -> Result<LogicalPlan> {
    let held = plan.transform_up(|node| match node {
        LogicalPlan::Filter(filter) => held(filter),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(held.data)
}

fn held(filter: Filter) -> Result<Transformed<LogicalPlan>> {
    let parts = split_conjunction_owned(filter.predicate.clone()).into_iter();
    let (unsteady, steady): (Vec<Expr>, Vec<Expr>) =
        parts.partition(|part| Unsteady::of(part).is_some());
    let Some(condition) = conjunction(unsteady) else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    let columns = filter.input.schema().columns().into_iter();
    let columns: Vec<Expr> = columns.map(Expr::Column).collect();
    let mut with_condition = columns.clone();
    with_condition.push(condition.alias(HELD));
    let below = Projection::try_new(with_condition, filter.input)?;
    let predicate = steady.into_iter().fold(ident(HELD), Expr::and);
    let filter = Filter::try_new(predicate, Arc::new(LogicalPlan::Projection(below)))?;
    let above = Projection::try_new(columns, Arc::new(LogicalPlan::Filter(filter)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(above)))
}
