//! Expressions that would give another answer in another epoch, or on a replay.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use headwater_core::Error;

use crate::check::refuse;
use crate::rule::epoch_time::is_epoch_time;
use crate::rule::number_sources::reads_sources;
use crate::rule::subqueries::subquery_of;

/// Refuses expressions that a streaming query cannot hold.
pub(crate) fn check_expressions(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            check_repeatable(expr)?;
            expr.apply(check_subquery)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Refuses an expression whose value is neither a function of the row nor the time of the epoch:
/// DataFusion would fix the one kind when the query is planned, and draw `random()` anew on every
/// replay.
///
/// # Errors
/// The name of the function, and what can stand in its place.
pub fn check_repeatable(expr: &Expr) -> Result<()> {
    expr.apply(|expr| {
        let (name, volatility) = match expr {
            expr if is_epoch_time(expr) => return Ok(TreeNodeRecursion::Continue),
            Expr::ScalarFunction(call) => (call.func.name(), call.func.signature().volatility),
            Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        if volatility == Volatility::Immutable {
            return Ok(TreeNodeRecursion::Continue);
        }
        let hint = match name {
            "now" | "current_timestamp" | "current_date" => {
                "Call it in the query, where it is the time of the epoch."
            }
            "current_time" => "Use now(), which is the time of the epoch.",
            "random" | "uuid" => "Derive it from the row, for example by md5() of a column.",
            _ => "If it gives equal values for equal arguments, declare it Volatility::Immutable.",
        };
        let message = format!("{name}() would have another value when an epoch is run again");
        let error = Error::unsupported(message).with_hint(hint);
        Err(error.into())
    })?;
    Ok(())
}

/// A subquery gives the same rows in every epoch if it reads tables only.
fn check_subquery(expr: &Expr) -> Result<TreeNodeRecursion> {
    match subquery_of(expr) {
        Some(subquery) if reads_sources(&subquery.subquery) => {
            Err(refuse::subquery_of_source(&subquery.subquery).into())
        }
        Some(subquery) => {
            check_read_once(&subquery.subquery)?;
            Ok(TreeNodeRecursion::Continue)
        }
        None => Ok(TreeNodeRecursion::Continue),
    }
}

/// Refuses the time of the epoch in a part of a plan that is read once.
///
/// # Errors
/// If it is there.
pub(crate) fn check_read_once(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| match expr.exists(|e| Ok(is_epoch_time(e)))? {
            true => Err(refuse::clock_in_table(expr).into()),
            false => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}
