//! Subqueries in expressions to joins with the tables they read.
//!
//! ```text
//! k IN (SELECT k FROM names), EXISTS (…)   →  LeftSemi Join, or LeftMark Join below an OR
//! NOT IN, NOT EXISTS                       →  LeftAnti Join
//! (SELECT max(p) FROM a WHERE a.k = t.k)   →  Left Join with an aggregation by k
//! LATERAL (SELECT … WHERE a.k = t.k)       →  Inner or Left Join
//! (SELECT max(p) FROM a)                   →  as it is, over a part that is read once
//! ```
//!
//! The rules are those of DataFusion's optimizer. They run before the plan becomes incremental, so
//! that what they make is a join of a stream with a table like any other.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{JoinType, Result};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Subquery};
use datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::rewrite_set_comparison::RewriteSetComparison;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerContext};

use headwater_exec::kept::Refresh;

use crate::check::refuse;
use crate::node::StaticNode;
use crate::node::static_node::Seen;
use crate::rule::number_sources::reads_sources;

/// The plan without subqueries that look at the rows around them.
///
/// # Errors
/// If a subquery stands where it cannot become a join.
pub(crate) fn rewrite_subqueries(
    plan: LogicalPlan,
    options: &Arc<ConfigOptions>,
    refresh: Refresh,
) -> Result<LogicalPlan> {
    if !has_subqueries(&plan)? {
        return Ok(plan);
    }
    let plan = subqueries_out_of_on(plan)?;
    // Names are counted anew for every query: they are part of its fingerprint.
    let context = OptimizerContext::new_with_config_options(Arc::clone(options));
    let rules = Optimizer::with_rules(vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
    ]);
    let plan = rules.optimize(plan, &context, |_, _| {})?;
    refuse_what_is_left(&plan)?;
    Ok(plan.transform_up(|node| kept(node, refresh))?.data)
}

/// The plan that a subquery expression holds.
pub(crate) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery) => Some(subquery),
        Expr::InSubquery(test) => Some(&test.subquery),
        Expr::Exists(test) => Some(&test.subquery),
        Expr::SetComparison(test) => Some(&test.subquery),
        _ => None,
    }
}

/// Whether a relation is one that the rules made of a subquery.
pub(crate) fn was_subquery(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let name = alias.alias.table();
            name.starts_with("__correlated_sq_") || name.starts_with("__scalar_sq_")
        }
        LogicalPlan::Projection(projection) => was_subquery(&projection.input),
        _ => false,
    }
}

fn has_subqueries(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let mut found = matches!(node, LogicalPlan::Subquery(_));
        node.apply_expressions(|expr| {
            found |= expr.exists(|e| Ok(subquery_of(e).is_some()))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(found)
    })
}

/// Tests the subqueries of an inner join's ON on its rows. Bounded reads do so too: where such a
/// subquery looks at both sides, DataFusion tests it on one of them and leaves the rest out.
///
/// # Errors
/// None of its own.
pub(crate) fn subqueries_out_of_on(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan
        .transform_up_with_subqueries(conditions_to_filter)?
        .data)
}

fn conditions_to_filter(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Join(join) = plan else {
        return Ok(Transformed::no(plan));
    };
    let (with, without): (Vec<_>, Vec<_>) = match (&join.filter, join.join_type) {
        (Some(filter), JoinType::Inner) => split_conjunction_owned(filter.clone())
            .into_iter()
            .partition(must_become_join),
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let Some(predicate) = conjunction(with) else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let join = LogicalPlan::Join(Join {
        filter: conjunction(without),
        ..join
    });
    let filter = Filter::try_new(predicate, Arc::new(join))?;
    Ok(Transformed::yes(LogicalPlan::Filter(filter)))
}

/// Whether an expression holds a subquery that DataFusion runs as a join only.
fn must_become_join(expr: &Expr) -> bool {
    let found = expr.exists(|e| {
        Ok(subquery_of(e).is_some_and(|subquery| {
            let is_value = matches!(e, Expr::ScalarSubquery(_));
            !is_value || !subquery.outer_ref_columns.is_empty()
        }))
    });
    // The closure never fails, so neither does the walk.
    found.unwrap_or(false)
}

fn refuse_what_is_left(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| match node {
        LogicalPlan::Subquery(lateral) if !lateral.outer_ref_columns.is_empty() => {
            Err(refuse::lateral().into())
        }
        _ => Ok(TreeNodeRecursion::Continue),
    })?;
    plan.apply(|node| {
        if !reads_sources(node) {
            return Ok(TreeNodeRecursion::Jump);
        }
        node.apply_expressions(|expr| match must_become_join(expr) {
            true => Err(refuse::subquery_place(node, expr).into()),
            false => Ok(TreeNodeRecursion::Continue),
        })
    })?;
    Ok(())
}

/// A value is kept, like a table in a join.
fn kept(node: LogicalPlan, refresh: Refresh) -> Result<Transformed<LogicalPlan>> {
    node.map_expressions(|expr| {
        expr.transform_up(|expr| match expr {
            Expr::ScalarSubquery(subquery) => {
                let kept = StaticNode::of(&subquery.subquery, Seen::Always(refresh));
                Ok(Transformed::yes(Expr::ScalarSubquery(Subquery {
                    subquery: Arc::new(kept),
                    ..subquery
                })))
            }
            expr => Ok(Transformed::no(expr)),
        })
    })
}
