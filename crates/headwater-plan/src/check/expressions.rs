//! Expressions that would give another answer in another epoch, or on a replay.

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

use headwater_core::Error;

/// Functions that read the clock or a random source. DataFusion would fix the first kind when
/// the query is planned, and draw the second anew on every replay.
const NOT_REPEATABLE: [&str; 6] = [
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "random",
    "uuid",
];

/// Refuses expressions that a streaming query cannot hold.
pub(crate) fn check_expressions(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        node.apply_expressions(|expr| expr.apply(check))?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

fn check(expr: &Expr) -> Result<TreeNodeRecursion> {
    match expr {
        Expr::ScalarFunction(call) if NOT_REPEATABLE.contains(&call.func.name()) => {
            let name = call.func.name();
            let hint = if matches!(name, "random" | "uuid") {
                "Derive it from the row, for example by md5() of a column."
            } else {
                "Use a time column of the source, such as METADATA FROM 'timestamp'."
            };
            let error =
                Error::unsupported(format!("{name}() in a streaming query is not there yet"))
                    .with_detail("Its value must be the same when an epoch is run again.")
                    .with_hint(hint);
            Err(error.into())
        }
        Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => {
            let error = Error::unsupported(
                "a subquery in an expression of a streaming query is not there yet",
            )
            .with_hint("Run it as a bounded read (SELECT without STREAM), or write a join.");
            Err(error.into())
        }
        _ => Ok(TreeNodeRecursion::Continue),
    }
}
