//! How deep a plan is when its parts are put together.
//!
//! The parser bounds what one text says. A column of a WITH or a view stands for what it is computed
//! by, though, and the optimizer writes that where the column is used: a hundred levels of 200
//! operators become one expression of 20,000, and conditions of several levels become one condition.
//! What evaluates an expression goes as deep as it is, on the stack of a thread.
//!
//! ```text
//! WITH a AS (SELECT v + 1 + 1 AS x FROM t)      x: 2
//! SELECT x * 2 AS y FROM a WHERE x > 0          y: 2 + 1, WHERE: 2 + 1
//! ```

use std::collections::HashMap;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan};

use headwater_core::{Error, Result};

use super::refuse::span_of;

/// How deep an expression may be with everything that its columns are computed by. One text may have
/// 300 operators in a row. In a debug build an operator takes 4 KiB of stack when it is evaluated,
/// and a thread of Tokio's has 2 MiB.
const DEEPEST_EXPRESSION: usize = 400;
/// How many steps a row may pass, and how many of those that keep rows or join them. In a debug
/// build one of these takes up to 27 KiB of stack when it is started.
const LONGEST_PATH: usize = 1_000;
const LONGEST_HEAVY_PATH: usize = 50;
/// How many steps a plan may have. What is used twice is planned twice.
const MOST_STEPS: usize = 20_000;

/// What is known of a plan.
#[derive(Debug, Clone)]
struct Depth {
    /// How deep each column is.
    columns: Vec<usize>,
    /// Conditions that may end up in one, and the deepest of them.
    conditions: usize,
    deepest_condition: usize,
    path: usize,
    heavy_path: usize,
    steps: usize,
}

/// Refuses a plan that is too deep to be planned or run.
///
/// # Errors
/// If it is.
pub fn refuse_deep_plan(plan: &LogicalPlan) -> Result<()> {
    Walk::default().depth(plan).map(|_| ())
}

/// Plans that have been walked over, by their place in memory: what is shared is walked over once.
#[derive(Debug, Default)]
struct Walk {
    known: HashMap<*const LogicalPlan, Depth>,
}

impl Walk {
    fn depth(&mut self, plan: &LogicalPlan) -> Result<Depth> {
        if let Some(known) = self.known.get(&std::ptr::from_ref(plan)) {
            return Ok(known.clone());
        }
        let depth = self.computed(plan)?;
        self.known.insert(std::ptr::from_ref(plan), depth.clone());
        Ok(depth)
    }

    fn computed(&mut self, plan: &LogicalPlan) -> Result<Depth> {
        let mut below = Vec::new();
        for input in plan.inputs() {
            below.push(self.depth(input)?);
        }
        let schemas = plan
            .inputs()
            .into_iter()
            .map(|input| input.schema().as_ref());
        let inputs: Vec<(&DFSchema, &Depth)> = schemas.zip(&below).collect();
        let largest = |of: fn(&Depth) -> usize| below.iter().map(of).max().unwrap_or(0);
        let mut depth = Depth {
            columns: columns(plan, &inputs),
            conditions: largest(|d| d.conditions),
            deepest_condition: largest(|d| d.deepest_condition),
            path: largest(|d| d.path) + 1,
            heavy_path: largest(|d| d.heavy_path) + usize::from(is_heavy(plan)),
            steps: below.iter().map(|d| d.steps).fold(1, usize::saturating_add),
        };
        for expr in plan.expressions() {
            self.add_subqueries(&expr, &mut depth)?;
            let deep = expression(&expr, &inputs);
            if deep > DEEPEST_EXPRESSION {
                return Err(too_deep(&expr));
            }
        }
        if let LogicalPlan::Filter(filter) = plan {
            let parts = split_conjunction(&filter.predicate);
            let deepest = parts.iter().map(|part| expression(part, &inputs)).max();
            depth.conditions += parts.len();
            depth.deepest_condition = depth.deepest_condition.max(deepest.unwrap_or(0));
            if depth.conditions + depth.deepest_condition > DEEPEST_EXPRESSION {
                return Err(too_deep(&filter.predicate));
            }
        }
        if depth.path > LONGEST_PATH {
            return Err(too_many(LONGEST_PATH, "steps on each other"));
        }
        if depth.heavy_path > LONGEST_HEAVY_PATH {
            let what = "joins, groupings and the like on each other";
            return Err(too_many(LONGEST_HEAVY_PATH, what));
        }
        if depth.steps > MOST_STEPS {
            return Err(too_many(MOST_STEPS, "steps in all"));
        }
        Ok(depth)
    }

    fn add_subqueries(&mut self, expr: &Expr, depth: &mut Depth) -> Result<()> {
        let mut plans = vec![];
        let _ = expr.apply(|expr| {
            match expr {
                Expr::ScalarSubquery(subquery) => plans.push(subquery),
                Expr::Exists(exists) => plans.push(&exists.subquery),
                Expr::InSubquery(within) => plans.push(&within.subquery),
                Expr::SetComparison(comparison) => plans.push(&comparison.subquery),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        for subquery in plans {
            let inner = self.depth(&subquery.subquery)?;
            depth.path = depth.path.max(inner.path + 1);
            depth.heavy_path = depth.heavy_path.max(inner.heavy_path + 1);
            depth.steps = depth.steps.saturating_add(inner.steps);
        }
        Ok(())
    }
}

/// Whether a step is more than a calculation over rows that pass.
fn is_heavy(plan: &LogicalPlan) -> bool {
    !matches!(
        plan,
        LogicalPlan::Projection(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Subquery(_)
            | LogicalPlan::Union(_)
            | LogicalPlan::TableScan(_)
            | LogicalPlan::EmptyRelation(_)
            | LogicalPlan::Values(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Copy(_)
    )
}

/// How deep the columns of a plan are.
fn columns(plan: &LogicalPlan, inputs: &[(&DFSchema, &Depth)]) -> Vec<usize> {
    let as_they_come = || inputs.iter().flat_map(|(_, d)| d.columns.iter().copied());
    let width = plan.schema().fields().len();
    let mut columns = match plan {
        LogicalPlan::Projection(projection) => {
            let exprs = projection.expr.iter();
            exprs.map(|expr| expression(expr, inputs)).collect()
        }
        LogicalPlan::Union(_) => (0..width)
            .map(|at| inputs.iter().filter_map(|(_, d)| d.columns.get(at)).max())
            .map(|deepest| deepest.copied().unwrap_or(0))
            .collect(),
        // What these compute is in their result, and not computed again above them.
        LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_) => vec![],
        _ => as_they_come().collect::<Vec<_>>(),
    };
    columns.resize(width, 0);
    columns
}

/// How deep an expression is, with what its columns are computed by.
fn expression(expr: &Expr, inputs: &[(&DFSchema, &Depth)]) -> usize {
    if let Expr::Column(column) = expr {
        return inputs
            .iter()
            .find_map(|(schema, depth)| column_depth(column, schema, depth))
            .unwrap_or(0);
    }
    let mut deepest = None;
    // The closure never fails, so neither does the walk.
    let _ = expr.apply_children(|child| {
        deepest = deepest.max(Some(expression(child, inputs)));
        Ok(TreeNodeRecursion::Continue)
    });
    let own = usize::from(!matches!(expr, Expr::Alias(_)));
    deepest.map_or(0, |deepest| deepest + own)
}

fn column_depth(column: &Column, schema: &DFSchema, depth: &Depth) -> Option<usize> {
    let at = schema.maybe_index_of_column(column)?;
    depth.columns.get(at).copied()
}

fn too_deep(expr: &Expr) -> Error {
    Error::unsupported(format!(
        "more than {DEEPEST_EXPRESSION} operators in a row, with everything that the columns are computed by"
    ))
    .with_detail(
        "A column of a WITH or a view is computed where it is used, and conditions of several levels \
         are one condition.",
    )
    .with_hint("Compute a part of it in a query of its own, and write that to a topic or a table.")
    .with_span(span_of(expr))
}

fn too_many(most: usize, what: &str) -> Error {
    Error::unsupported(format!("more than {most} {what}"))
        .with_detail("A WITH or a view is planned anew wherever it is used.")
        .with_hint(
            "Compute a part of it in a query of its own, and write that to a topic or a table.",
        )
}
