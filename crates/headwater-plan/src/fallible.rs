//! The parts of a query that can fail over a value, so that an error of a run can name them.
//!
//! Arrow says `Divide by zero error` and nothing else: its kernels know arrays, not queries. What
//! can have failed is known from the plan. If it is one expression, it is named with its place; if
//! there are several, all of them are.

use std::sync::Arc;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, Result};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::Expr as SqlExpr;
use datafusion::sql::unparser::expr_to_sql;

use headwater_core::Error;
use headwater_core::error::Span;

use crate::check::refuse::span_of;

/// Expressions that are named at most.
const NAMED: usize = 4;
/// How deep an expression is written. Deeper than this nobody reads it, and to write it takes a stack
/// that is as deep.
const WRITTEN_DEPTH: usize = 6;
/// What stands for what is deeper.
const ELIDED: &str = "…";

/// How an expression can fail.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Failure {
    Division,
    Overflow,
    /// A cast to a type, by its name in Arrow's messages.
    Cast(String),
}

/// An expression that can fail.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    failure: Failure,
    text: String,
    clause: &'static str,
    span: Option<Span>,
}

impl Part {
    /// What is not written whole may differ in what is left out.
    fn says_the_same(&self, other: &Self) -> bool {
        (&self.failure, &self.text) == (&other.failure, &other.text)
            && (self.span == other.span || !self.text.contains(ELIDED))
    }
}

/// The parts of one query that can fail over a value.
#[derive(Debug, Clone, Default)]
pub struct Fallible(Arc<[Part]>);

impl Fallible {
    /// Those of a plan as it was bound.
    pub(crate) fn of(plan: &LogicalPlan) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        // The closures never fail, so neither do the walks.
        let _ = plan.apply_with_subqueries(|node| {
            let schemas: Vec<_> = node.inputs().into_iter().map(LogicalPlan::schema).collect();
            for (expr, clause) in expressions(node) {
                let _ = expr.apply(|expr| {
                    let failure = schemas.iter().find_map(|schema| failure(expr, schema));
                    let part = failure.map(|failure| Part {
                        failure,
                        text: written(expr, node),
                        clause,
                        span: span_of(expr),
                    });
                    let is_known = |part: &Part| {
                        let same = |p: &&Part| part.says_the_same(p);
                        parts.iter().find(same).is_some()
                    };
                    let part = part.filter(|part| !is_known(part));
                    parts.extend(part);
                    Ok(TreeNodeRecursion::Continue)
                });
            }
            Ok(TreeNodeRecursion::Continue)
        });
        Fallible(parts.into())
    }

    /// The error with the expressions that can have been meant, if it is one of a value.
    pub fn name(&self, error: Error) -> Error {
        let is_meant: fn(&Part, &str) -> bool = match error.message() {
            "division by zero" => |part, _| part.failure == Failure::Division,
            text if text.starts_with("arithmetic overflow") => {
                // The smallest number divided by -1 is larger than the largest.
                |part, _| !matches!(part.failure, Failure::Cast(_))
            }
            text if is_cast(text) => |part, text| match &part.failure {
                Failure::Cast(to) => text.contains(to.as_str()),
                Failure::Division | Failure::Overflow => false,
            },
            _ => return error,
        };
        if error.detail().is_some() {
            return error;
        }
        let parts = self.0.iter().filter(|part| is_meant(part, error.message()));
        let parts: Vec<&Part> = parts.collect();
        let (detail, span) = match parts.as_slice() {
            [] => return error,
            [only] => (
                format!("In `{}`, in {}.", only.text, only.clause),
                only.span,
            ),
            several => {
                let named = several.iter().take(NAMED);
                let named = named.map(|part| format!("`{}` in {}", part.text, part.clause));
                let named: Vec<_> = named.collect();
                let rest = if several.len() > NAMED { ", …" } else { "" };
                (format!("In one of {}{rest}.", named.join(", ")), None)
            }
        };
        let hint = match parts.first().map(|part| &part.failure) {
            _ if error.message().starts_with("arithmetic overflow") => {
                "CAST the operands to a larger type, such as DECIMAL(38, 0)."
            }
            Some(Failure::Division) => "Divide by nullif(…, 0), which gives NULL for 0.",
            Some(Failure::Cast(_)) => "Write TRY_CAST, which gives NULL for what cannot be cast.",
            Some(Failure::Overflow) | None => return error.with_detail(detail).with_span(span),
        };
        error.with_detail(detail).with_hint(hint).with_span(span)
    }
}

fn is_cast(text: &str) -> bool {
    ["cannot cast", "can't cast", "failed to cast"]
        .iter()
        .any(|start| text.starts_with(start))
}

/// An expression as SQL, as deep as one reads it. A column that is computed below is written as
/// what it is.
fn written(expr: &Expr, node: &LogicalPlan) -> String {
    let below = match node.inputs().as_slice() {
        [only] => computed(only),
        _ => vec![],
    };
    let schema = node.inputs().first().map(|below| below.schema());
    let computed = |column: &Column| {
        let position = schema.and_then(|schema| schema.maybe_index_of_column(column));
        let found = position.and_then(|at| below.get(at)).copied();
        found.map(|expr| expr.clone().unalias())
    };
    let text = cut(expr.clone(), WRITTEN_DEPTH, &computed).and_then(|expr| expr_to_sql(&expr));
    match text {
        Ok(SqlExpr::Nested(inner)) => inner.to_string(),
        Ok(text) => text.to_string(),
        Err(_) => "an expression".to_string(),
    }
}

/// An expression without what is deeper than `depth`.
fn cut(expr: Expr, depth: usize, computed: &dyn Fn(&Column) -> Option<Expr>) -> Result<Expr> {
    if let Expr::Column(column) = &expr {
        return match computed(column) {
            Some(found) => cut(found, depth, &|_| None),
            None => Ok(expr),
        };
    }
    if depth == 0 && !matches!(expr, Expr::Literal(..)) {
        return Ok(Expr::Placeholder(Placeholder::new_with_field(
            ELIDED.to_string(),
            None,
        )));
    }
    let children = |child| {
        Ok(Transformed::yes(cut(
            child,
            depth.saturating_sub(1),
            computed,
        )?))
    };
    Ok(expr.map_children(children)?.data)
}

/// What the columns of a plan are computed by, if it computes them.
fn computed(plan: &LogicalPlan) -> Vec<&Expr> {
    match plan {
        LogicalPlan::Projection(projection) => projection.expr.iter().collect(),
        LogicalPlan::Aggregate(aggregate) => {
            let has_sets = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
            match aggregate.group_expr.iter().any(has_sets) {
                true => vec![],
                false => aggregate
                    .group_expr
                    .iter()
                    .chain(&aggregate.aggr_expr)
                    .collect(),
            }
        }
        _ => vec![],
    }
}

/// The expressions of a node, and the clause that a user wrote them in.
fn expressions(node: &LogicalPlan) -> Vec<(&Expr, &'static str)> {
    match node {
        LogicalPlan::Projection(projection) => each(&projection.expr, "SELECT"),
        LogicalPlan::Filter(filter) => match filter.input.as_ref() {
            LogicalPlan::Aggregate(_) => vec![(&filter.predicate, "HAVING")],
            _ => vec![(&filter.predicate, "WHERE")],
        },
        LogicalPlan::Aggregate(aggregate) => {
            let mut all = each(&aggregate.group_expr, "GROUP BY");
            all.extend(each(&aggregate.aggr_expr, "an aggregate"));
            all
        }
        LogicalPlan::Window(window) => each(&window.window_expr, "OVER"),
        LogicalPlan::Sort(sort) => {
            let exprs = sort.expr.iter();
            exprs.map(|sort| (&sort.expr, "ORDER BY")).collect()
        }
        LogicalPlan::Join(join) => {
            let on = join.on.iter().flat_map(|(left, right)| [left, right]);
            on.chain(&join.filter).map(|e| (e, "ON")).collect()
        }
        LogicalPlan::Values(values) => {
            let rows = values.values.iter().flatten();
            rows.map(|expr| (expr, "VALUES")).collect()
        }
        _ => vec![],
    }
}

fn each<'a>(exprs: &'a [Expr], clause: &'static str) -> Vec<(&'a Expr, &'static str)> {
    exprs.iter().map(|expr| (expr, clause)).collect()
}

fn failure(expr: &Expr, schema: &DFSchema) -> Option<Failure> {
    match expr {
        Expr::Cast(cast) => {
            let from = cast.expr.get_type(schema).ok()?;
            let to = cast.field.data_type();
            (!always_casts(&from, to)).then(|| Failure::Cast(to.to_string()))
        }
        Expr::BinaryExpr(binary) => {
            let is_exact = |e: &Expr| -> Result<bool> {
                let data_type = e.get_type(schema)?;
                Ok(data_type.is_integer() || data_type.is_decimal())
            };
            let exact = is_exact(&binary.left).ok()? && is_exact(&binary.right).ok()?;
            match binary.op {
                _ if !exact => None,
                Operator::Divide | Operator::Modulo => {
                    (!divides_by_constant(binary)).then_some(Failure::Division)
                }
                Operator::Plus | Operator::Minus | Operator::Multiply => Some(Failure::Overflow),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether the divisor is a number that is not zero.
fn divides_by_constant(division: &BinaryExpr) -> bool {
    let Expr::Literal(value, _) = division.right.as_ref() else {
        return false;
    };
    !value.is_null() && value.to_string().chars().any(|c| ('1'..='9').contains(&c))
}

/// Whether a cast fails over no value.
fn always_casts(from: &DataType, to: &DataType) -> bool {
    let is_text =
        |t: &DataType| matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    from == to || is_text(to) || to.is_floating() && from.is_numeric()
}
