//! Values that cannot tell rows apart: a MAP, and whatever holds one.
//!
//! The entries of a map have no order, and Arrow compares them in the one that they came in: two
//! producers that write the same members in another order would make two groups.
//!
//! ```text
//! SELECT m['a'], count(*) FROM t GROUP BY m['a']      yes
//! SELECT m, count(*) FROM t GROUP BY m                no
//! ```
//!
//! Source: Spark refuses maps in the same places.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::utils::{grouping_set_to_exprlist, merge_schema};
use datafusion::logical_expr::{BinaryExpr, Distinct, Expr, ExprSchemable, LogicalPlan, Operator};

use crate::check::refuse;
use crate::node::SessionNode;
use crate::rule::provenance::params_of;

/// Refuses what groups, joins, sorts or compares by maps, and what looks into them in a way that
/// fails when it runs.
///
/// # Errors
/// The first such expression.
pub(crate) fn refuse_map_keys(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let Some(key) = keys_of(node).into_iter().find(|key| is_map(key, &schema)) {
            return Err(refuse::map_key(&key).into());
        }
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Some(key) = key_of_a_row(expr) {
                    return Err(refuse::map_key_of_a_row(key).into());
                }
                match compared(expr)
                    .into_iter()
                    .find(|side| is_map(side, &schema))
                {
                    Some(side) => Err(refuse::map_key(side).into()),
                    None => Ok(TreeNodeRecursion::Continue),
                }
            })
        })?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// What a node tells rows apart by.
fn keys_of(node: &LogicalPlan) -> Vec<Expr> {
    match node {
        LogicalPlan::Aggregate(aggregate) => {
            let keys = grouping_set_to_exprlist(&aggregate.group_expr);
            keys.map_or_else(
                |_| aggregate.group_expr.clone(),
                |keys| keys.into_iter().cloned().collect(),
            )
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns = input.schema().columns().into_iter();
            columns.map(Expr::Column).collect()
        }
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            let sort = distinct.sort_expr.iter().flatten().map(|sort| &sort.expr);
            distinct.on_expr.iter().chain(sort).cloned().collect()
        }
        LogicalPlan::Window(window) => {
            let calls = window.window_expr.iter().filter_map(params_of);
            let keys = calls.flat_map(|(partition, order)| {
                partition.iter().chain(order.iter().map(|sort| &sort.expr))
            });
            keys.cloned().collect()
        }
        LogicalPlan::Extension(extension) if extension.node.as_any().is::<SessionNode>() => {
            extension.node.expressions()
        }
        LogicalPlan::Sort(sort) => sort.expr.iter().map(|sort| sort.expr.clone()).collect(),
        LogicalPlan::Join(join) => {
            let pairs = join.on.iter();
            pairs.flat_map(|(l, r)| [l.clone(), r.clone()]).collect()
        }
        _ => Vec::new(),
    }
}

/// The values that an expression compares.
fn compared(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
            vec![left.as_ref(), right.as_ref()]
        }
        Expr::Between(between) => vec![between.expr.as_ref()],
        Expr::InList(list) => vec![list.expr.as_ref()],
        Expr::InSubquery(subquery) => vec![subquery.expr.as_ref()],
        Expr::AggregateFunction(AggregateFunction { func, params }) => {
            let order = params.order_by.iter().map(|sort| &sort.expr);
            let ranks = params.distinct || matches!(func.name(), "min" | "max");
            let args = params.args.iter().filter(|_| ranks);
            args.chain(order).collect()
        }
        Expr::Case(case) => case.expr.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// The key of `m[key]`, if it is another one for every row: DataFusion looks constants up.
fn key_of_a_row(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if call.func.name() == "get_field" => {
            let mut keys = call.args.iter().skip(1);
            keys.find(|key| !key.column_refs().is_empty())
        }
        _ => None,
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(
        op,
        Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom
    )
}

/// Whether a value is a map or holds one. What has no type here is of a query around it.
fn is_map(expr: &Expr, schema: &DFSchema) -> bool {
    expr.get_type(schema).is_ok_and(|found| holds_map(&found))
}

fn holds_map(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            holds_map(item.data_type())
        }
        DataType::Struct(fields) => fields.iter().any(|field| holds_map(field.data_type())),
        _ => false,
    }
}
