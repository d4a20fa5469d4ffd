//! Values that are no functions of a row: the time of the epoch, and what is drawn at every call,
//! as `random()` and `uuid()` do.
//!
//! They may be shown, filtered by and aggregated. Where rows are told apart they may not stand: a row
//! would belong elsewhere in another epoch, or when the epoch runs again.
//!
//! ```text
//! SELECT now() AS at, k FROM t WHERE random() < 0.1      yes
//! SELECT k, count(*) FROM t GROUP BY k, uuid()           no
//! ```

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Distinct, Expr, LogicalPlan, Volatility};

use crate::check::refuse;
use crate::node::SessionNode;
use crate::rule::epoch_time::is_epoch_time;
use crate::rule::provenance::params_of;

/// What a value changes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsteady {
    /// The epoch.
    Time,
    /// Every call of a function.
    Drawn(String),
}

impl Unsteady {
    /// The first part of an expression that is no function of the row.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        let mut found = None;
        // The closure never fails, so neither does the walk.
        let _ = expr.apply(|expr| {
            found = Self::of_call(expr);
            Ok(match found {
                Some(_) => TreeNodeRecursion::Stop,
                None => TreeNodeRecursion::Continue,
            })
        });
        found
    }

    fn of_call(expr: &Expr) -> Option<Self> {
        match expr {
            expr if is_epoch_time(expr) => Some(Unsteady::Time),
            Expr::ScalarFunction(call) => {
                let is_drawn = call.func.signature().volatility == Volatility::Volatile;
                is_drawn.then(|| Unsteady::Drawn(call.func.name().to_string()))
            }
            _ => None,
        }
    }
}

/// Whether every row of a plan is a function of one row of a source, whenever that is read: there are
/// only nodes that look at one row, and what they compute is the same at every call.
pub(crate) fn is_row_by_row(plan: &LogicalPlan) -> bool {
    let by_row = plan.apply(|node| {
        let looks_at_one = matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::TableScan(_)
                | LogicalPlan::Unnest(_)
        );
        let is_steady = node.expressions().iter().all(is_steady);
        Ok(match looks_at_one && is_steady {
            true => TreeNodeRecursion::Continue,
            false => TreeNodeRecursion::Stop,
        })
    });
    by_row.is_ok_and(|walked| walked != TreeNodeRecursion::Stop)
}

/// Whether an expression gives the same for the same row, at any time and in any process.
fn is_steady(expr: &Expr) -> bool {
    let looked = expr.exists(|expr| {
        Ok(match expr {
            expr if is_epoch_time(expr) => true,
            Expr::ScalarFunction(call) => call.func.signature().volatility != Volatility::Immutable,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) => true,
            _ => false,
        })
    });
    looked.is_ok_and(|is_unsteady| !is_unsteady)
}

/// Refuses keys that are no functions of the rows, or computed from what is none.
///
/// # Errors
/// The key.
pub(crate) fn refuse_unsteady_keys(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        let refused = key_of(node);
        match refused {
            Some((key, what)) => Err(refuse::unsteady_key(&what, &key).into()),
            None => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(())
}

/// The first unsteady key of a node.
fn key_of(node: &LogicalPlan) -> Option<(Expr, Unsteady)> {
    match node {
        LogicalPlan::Aggregate(aggregate) => first(&aggregate.group_expr, &aggregate.input),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let mut columns = input.schema().columns().into_iter().enumerate();
            columns
                .find_map(|(index, column)| Some((Expr::Column(column), column_of(input, index)?)))
        }
        LogicalPlan::Distinct(Distinct::On(distinct)) => {
            let sort = distinct.sort_expr.iter().flatten().map(|sort| &sort.expr);
            first(distinct.on_expr.iter().chain(sort), &distinct.input)
        }
        LogicalPlan::Window(window) => {
            let calls = window.window_expr.iter().filter_map(params_of);
            let keys = calls.flat_map(|(partition, order)| {
                partition.iter().chain(order.iter().map(|sort| &sort.expr))
            });
            first(keys, &window.input)
        }
        LogicalPlan::Sort(sort) => called_in(sort.expr.iter().map(|sort| &sort.expr)),
        LogicalPlan::Extension(extension) => {
            let inputs = extension.node.inputs();
            let is_session = extension.node.as_any().is::<SessionNode>();
            let exprs = extension.node.expressions();
            match inputs.first().filter(|_| is_session) {
                Some(input) => first(&exprs, input),
                None => called_in(&exprs),
            }
        }
        LogicalPlan::Join(join) => first(join.on.iter().map(|(left, _)| left), &join.left)
            .or_else(|| first(join.on.iter().map(|(_, right)| right), &join.right))
            .or_else(|| called_in(&join.filter)),
        _ => None,
    }
}

/// The first expression over a plan that is no function of the rows.
fn first<'a>(
    exprs: impl IntoIterator<Item = &'a Expr>,
    input: &LogicalPlan,
) -> Option<(Expr, Unsteady)> {
    let mut exprs = exprs.into_iter();
    exprs.find_map(|expr| Some((expr.clone(), unsteady_over(expr, input)?)))
}

/// The first expression that is by itself no function of the rows.
fn called_in<'a>(exprs: impl IntoIterator<Item = &'a Expr>) -> Option<(Expr, Unsteady)> {
    let mut exprs = exprs.into_iter();
    exprs.find_map(|expr| Some((expr.clone(), Unsteady::of(expr)?)))
}

/// What an expression over a plan changes with, if it is no function of the rows.
fn unsteady_over(expr: &Expr, input: &LogicalPlan) -> Option<Unsteady> {
    let below = |column: &Column| {
        let index = input.schema().maybe_index_of_column(column);
        column_of(input, index?)
    };
    let columns = || expr.column_refs().into_iter().find_map(below);
    Unsteady::of(expr).or_else(columns)
}

/// What a column of a plan's output changes with, if it is no function of the rows.
fn column_of(plan: &LogicalPlan, column: usize) -> Option<Unsteady> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(column)?;
            unsteady_over(expr, &projection.input)
        }
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti) =>
        {
            column_of(&join.right, column)
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match column.checked_sub(left) {
                Some(right) => column_of(&join.right, right),
                None => column_of(&join.left, column),
            }
        }
        LogicalPlan::Unnest(unnest) => {
            let from = unnest.dependency_indices.get(column)?;
            column_of(&unnest.input, *from)
        }
        // What an aggregation computes is final or replaced by key, and its keys were looked at.
        LogicalPlan::Aggregate(_) | LogicalPlan::TableScan(_) => None,
        // A window hands its input's columns on in front of its own, and so do all others.
        other => {
            let inputs = other.inputs().into_iter();
            let mut with_it = inputs.filter(|input| column < input.schema().fields().len());
            with_it.find_map(|input| column_of(input, column))
        }
    }
}
