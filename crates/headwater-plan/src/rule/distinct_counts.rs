//! `count(DISTINCT a, b)` to a count of one value.
//!
//! ```text
//! count(DISTINCT a, b) FILTER (WHERE c)
//!   ─►  count(DISTINCT struct(a, b)) FILTER (WHERE a IS NOT NULL AND b IS NOT NULL AND c)
//! ```
//! Combinations in which a value is NULL do not count, as in Spark; DataFusion counts the distinct
//! values of one expression, and keeps those of a struct like any others.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::functions::core::expr_fn::r#struct;
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, WindowFunction, WindowFunctionParams,
};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, WindowFunctionDefinition};
use headwater_core::Error;

/// The plan with counts of one value only, under the names that they had.
pub(crate) fn rewrite_distinct_counts(plan: LogicalPlan) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(_) | LogicalPlan::Window(_) => node.map_expressions(renamed),
        _ => Ok(Transformed::no(node)),
    })
    .data()
}

fn renamed(expr: Expr) -> Result<Transformed<Expr>> {
    let name = expr.schema_name().to_string();
    let rewritten = expr.transform_up(of_one_value)?;
    Ok(match rewritten.transformed {
        true => rewritten.update_data(|expr| expr.alias(name)),
        false => rewritten,
    })
}

fn of_one_value(expr: Expr) -> Result<Transformed<Expr>> {
    match expr {
        Expr::AggregateFunction(call)
            if counts_a_constant(call.func.name(), call.params.distinct, &call.params.args) =>
        {
            Err(no_values().into())
        }
        Expr::AggregateFunction(call)
            if counts_combinations(call.func.name(), call.params.distinct, &call.params.args) =>
        {
            let AggregateFunction { func, params } = call;
            let (args, filter) = combined(params.args, params.filter);
            let params = AggregateFunctionParams {
                args,
                filter,
                ..params
            };
            let call = AggregateFunction { func, params };
            Ok(Transformed::yes(Expr::AggregateFunction(call)))
        }
        Expr::WindowFunction(call) if is_combined_over(&call) => {
            let WindowFunction { fun, params } = *call;
            let (args, filter) = combined(params.args, params.filter);
            let params = WindowFunctionParams {
                args,
                filter,
                ..params
            };
            let call = WindowFunction { fun, params };
            Ok(Transformed::yes(Expr::WindowFunction(Box::new(call))))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn is_combined_over(call: &WindowFunction) -> bool {
    match &call.fun {
        WindowFunctionDefinition::AggregateUDF(function) => {
            counts_combinations(function.name(), call.params.distinct, &call.params.args)
        }
        WindowFunctionDefinition::WindowUDF(_) => false,
    }
}

/// `count(DISTINCT *)` arrives as this, and would be 1 whatever the rows are.
fn counts_a_constant(function: &str, distinct: bool, args: &[Expr]) -> bool {
    function == "count" && distinct && matches!(args, [Expr::Literal(..)])
}

fn no_values() -> Error {
    Error::unsupported("count(DISTINCT *) is not there yet")
        .with_detail("Nor is the count of a constant, which is 1 whatever the rows are.")
        .with_hint(
            "List the columns: count(DISTINCT a, b) counts their combinations without NULL. Whole \
             rows are counted by SELECT count(*) FROM (SELECT DISTINCT * FROM t).",
        )
}

fn counts_combinations(function: &str, distinct: bool, args: &[Expr]) -> bool {
    function == "count" && distinct && args.len() > 1
}

/// The arguments as one value, and the filter that passes rows in which none of them is NULL.
fn combined(args: Vec<Expr>, filter: Option<Box<Expr>>) -> (Vec<Expr>, Option<Box<Expr>>) {
    let given = args.iter().cloned().map(Expr::is_not_null);
    let conditions = given.chain(filter.map(|filter| *filter));
    let filter = conjunction(conditions).map(Box::new);
    (vec![r#struct(args)], filter)
}
