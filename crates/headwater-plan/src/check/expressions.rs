//! Expressions that would give another answer in another epoch, or on a replay.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use headwater_core::Error;

use crate::check::refuse;
use crate::check::unsteady::Unsteady;
use crate::rule::epoch_time::is_epoch_time;
use crate::rule::number_sources::reads_sources;
use crate::rule::subqueries::subquery_of;

/// Refuses expressions that a streaming query cannot hold.
pub(crate) fn check_expressions(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(check_epoch)?;
            expr.apply(check_subquery)
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Refuses a function whose value is one for a whole query: DataFusion would fix it when the query
/// is planned, and a streaming query goes on for years.
fn check_epoch(expr: &Expr) -> Result<TreeNodeRecursion> {
    match call_of(expr) {
        Some((name, Volatility::Stable)) => {
            let hint = match name {
                "current_time" => "Use now(), which is the time of the epoch.",
                _ => HINT_IMMUTABLE,
            };
            let message =
                format!("{name}() would keep the value of the moment the query is planned");
            Err(Error::unsupported(message).with_hint(hint).into())
        }
        _ => Ok(TreeNodeRecursion::Continue),
    }
}

const HINT_IMMUTABLE: &str =
    "If it gives equal values for equal arguments, declare it Volatility::Immutable.";

/// A function that is called, but for the time of the epoch, and what it changes with.
fn call_of(expr: &Expr) -> Option<(&str, Volatility)> {
    match expr {
        expr if is_epoch_time(expr) => None,
        Expr::ScalarFunction(call) => Some((call.func.name(), call.func.signature().volatility)),
        Expr::AggregateFunction(call) => Some((call.func.name(), call.func.signature().volatility)),
        _ => None,
    }
}

/// Refuses an expression whose value is no function of the row, for a column that a source
/// computes: it would be another one whenever the row is read again.
///
/// # Errors
/// The name of the function, and what can stand in its place.
pub fn check_repeatable(expr: &Expr) -> Result<()> {
    expr.apply(|expr| {
        let name = match call_of(expr) {
            Some((name, Volatility::Stable | Volatility::Volatile)) => name,
            Some((_, Volatility::Immutable)) | None => return Ok(TreeNodeRecursion::Continue),
        };
        let hint = match name {
            "now" | "current_timestamp" | "current_date" => {
                "Call it in the query, where it is the time of the epoch."
            }
            "random" | "uuid" => {
                "Call it in the query, or derive it from the row, for example by md5() of a column."
            }
            _ => HINT_IMMUTABLE,
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

/// Refuses what is no function of the rows in a part of a plan that is read once.
///
/// # Errors
/// If it is there.
pub(crate) fn check_read_once(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| match Unsteady::of(expr) {
            Some(what) => Err(refuse::unsteady_in_table(&what, expr).into()),
            None => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}
