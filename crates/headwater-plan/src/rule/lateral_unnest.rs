//! `CROSS JOIN UNNEST(t.items)` to an unnest of `t` itself.
//!
//! ```text
//! Join: cross                                 Projection: the columns of t, items AS i.item
//!   t                                           Unnest: items
//!   SubqueryAlias: i                     →        Projection: the columns of t, t.items AS items
//!     Subquery: Unnest(outer_ref(t.items))          t
//! ```
//!
//! DataFusion plans the join and has no operator that runs it. What stands beside the row without a
//! table of its own, a LATERAL subquery of it too, is computed from the row: its steps are carried
//! over to the rows of the other side.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, JoinType, Result};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, LogicalPlanBuilder};

/// The plan without joins of a row with what is computed of it.
pub(crate) fn rewrite_lateral_unnest(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let unnested = match &node {
            LogicalPlan::Join(join) if is_cross(join) => unnested(join)?,
            _ => None,
        };
        Ok(match unnested {
            Some(plan) => Transformed::yes(plan),
            None => Transformed::no(node),
        })
    })?;
    Ok(rewritten.data)
}

fn is_cross(join: &Join) -> bool {
    let is_true =
        |filter: &Expr| matches!(filter, Expr::Literal(value, _) if *value == true.into());
    join.join_type == JoinType::Inner
        && join.on.is_empty()
        && join.filter.as_ref().is_none_or(is_true)
}

/// The join as steps over its left side; `None` if its right side is something else.
fn unnested(join: &Join) -> Result<Option<LogicalPlan>> {
    let mut right = join.right.as_ref();
    let mut aliases = Vec::new();
    while let LogicalPlan::SubqueryAlias(alias) = right {
        aliases.push(right);
        right = &alias.input;
    }
    let LogicalPlan::Subquery(subquery) = right else {
        return Ok(None);
    };
    let has_unnest = |plan: &LogicalPlan| plan.exists(|p| Ok(matches!(p, LogicalPlan::Unnest(_))));
    if !has_unnest(&subquery.subquery)? {
        return Ok(None);
    }
    let row = Row::of(&join.left)?;
    let Some(mut plan) = carried_over(&subquery.subquery, &row)? else {
        return Ok(None);
    };
    for alias in aliases.into_iter().rev() {
        plan = renamed(alias, plan, &row)?;
    }
    row.with_its_names(plan).map(Some)
}

/// The rows of the other side. On the way their columns have names that nothing else has.
struct Row<'a> {
    side: &'a LogicalPlan,
    plan: LogicalPlan,
    columns: Vec<Expr>,
}

impl<'a> Row<'a> {
    fn of(side: &'a LogicalPlan) -> Result<Self> {
        let names = (0..side.schema().fields().len()).map(|n| format!("__row_{n}"));
        let exprs = columns_of(side).into_iter().zip(names);
        let plan = LogicalPlanBuilder::from(side.clone())
            .project(exprs.map(|(column, name)| column.alias(name)))?
            .build()?;
        let columns = columns_of(&plan);
        Ok(Row {
            side,
            plan,
            columns,
        })
    }

    /// An expression where the columns of the row around it are those of the row.
    fn seen_by(&self, expr: &Expr) -> Result<Expr> {
        let replaced = expr.clone().transform_up(|expr| {
            let Expr::OuterReferenceColumn(_, column) = &expr else {
                return Ok(Transformed::no(expr));
            };
            let position = self.side.schema().maybe_index_of_column(column);
            let found = position.and_then(|position| self.columns.get(position));
            // A row further out stays what it was.
            Ok(match found.cloned() {
                Some(column) => Transformed::yes(column),
                None => Transformed::no(expr),
            })
        })?;
        Ok(replaced.data)
    }

    fn with_its_names(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let mut exprs = columns_of(&plan);
        for (expr, (qualifier, field)) in exprs.iter_mut().zip(self.side.schema().iter()) {
            *expr = expr
                .clone()
                .alias_qualified(qualifier.cloned(), field.name());
        }
        LogicalPlanBuilder::from(plan).project(exprs)?.build()
    }
}

/// The steps of a plan without tables over a row, whose columns come first.
fn carried_over(step: &LogicalPlan, row: &Row<'_>) -> Result<Option<LogicalPlan>> {
    let input = match step {
        LogicalPlan::EmptyRelation(empty) if empty.produce_one_row => {
            return Ok(Some(row.plan.clone()));
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::SubqueryAlias(_) => step.inputs().into_iter().next(),
        _ => None,
    };
    let input = input.map(|input| carried_over(input, row)).transpose()?;
    let Some(input) = input.flatten() else {
        return Ok(None);
    };
    let builder = LogicalPlanBuilder::from;
    let plan = match step {
        LogicalPlan::Projection(projection) => {
            let mut exprs = row.columns.clone();
            for (expr, (qualifier, field)) in projection.expr.iter().zip(projection.schema.iter()) {
                let expr = row.seen_by(expr)?;
                exprs.push(expr.alias_qualified(qualifier.cloned(), field.name()));
            }
            builder(input).project(exprs)?.build()?
        }
        LogicalPlan::Filter(filter) => {
            let predicate = row.seen_by(&filter.predicate)?;
            builder(input).filter(predicate)?.build()?
        }
        LogicalPlan::Unnest(unnest) => builder(input)
            .unnest_columns_with_options(unnest.exec_columns.clone(), unnest.options.clone())?
            .build()?,
        _ => renamed(step, input, row)?,
    };
    Ok(Some(plan))
}

/// An alias renames what stands beside the row, and not the row.
fn renamed(alias: &LogicalPlan, input: LogicalPlan, row: &Row<'_>) -> Result<LogicalPlan> {
    let mut exprs = row.columns.clone();
    let computed = columns_of(&input).into_iter().skip(exprs.len());
    for (expr, (qualifier, field)) in computed.zip(alias.schema().iter()) {
        exprs.push(expr.alias_qualified(qualifier.cloned(), field.name()));
    }
    LogicalPlanBuilder::from(input).project(exprs)?.build()
}

fn columns_of(plan: &LogicalPlan) -> Vec<Expr> {
    let columns = plan.schema().iter().map(Column::from);
    columns.map(Expr::Column).collect()
}
