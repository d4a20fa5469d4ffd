//! Filters over rows that replace each other, as a part of the operator that replaces them.
//!
//! ```text
//! Filter: n > 1                               Projection: k, n, __op
//!   Projection: k, count(*) AS n        →       StreamAggregate: …, having=count(*) > 1
//!     StreamAggregate: …
//! ```
//!
//! A plain filter would keep a row that passed and no longer does. The operator knows the old row
//! and takes it back; the column of the operations, [`OP_COLUMN`], is handed on to the sink, behind
//! all others.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, JoinType, Result, internal_err};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNode};

use headwater_core::changes::{OP_COLUMN, op_field};

use crate::check::refuse;
use crate::check::unsteady::Unsteady;
use crate::node::{KeyedLogic, KeyedNode, StreamAggregateNode};
use crate::rule::incremental::Change;
use crate::rule::subqueries::subquery_of;
use crate::stream_plan::ModeRequest;

/// The plan without the rows that do not pass a predicate.
///
/// # Errors
/// If the outcome could change without a new row.
pub(crate) fn filter_updates(plan: &LogicalPlan, predicate: Expr) -> Result<LogicalPlan> {
    let inputs = match plan {
        LogicalPlan::Projection(projection) => {
            let below = |at: usize| projection.expr[at].clone().unalias();
            let predicate = with_columns(predicate, &projection.schema, &below)?;
            vec![filter_updates(&projection.input, predicate)?]
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let input = alias.input.schema();
            let below = |at: usize| Expr::Column(Column::from(input.qualified_field(at)));
            let predicate = with_columns(predicate, &alias.schema, &below)?;
            vec![filter_updates(&alias.input, predicate)?]
        }
        LogicalPlan::Filter(filter) => vec![filter_updates(&filter.input, predicate)?],
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => {
                let left = filter_updates(&join.left, predicate)?;
                vec![left, join.right.as_ref().clone()]
            }
            JoinType::RightSemi | JoinType::RightAnti => {
                let right = filter_updates(&join.right, predicate)?;
                vec![join.left.as_ref().clone(), right]
            }
            JoinType::Inner
            | JoinType::Left
            | JoinType::Right
            | JoinType::Full
            | JoinType::LeftMark
            | JoinType::RightMark => return Err(refuse::filter_above_join(&predicate).into()),
        },
        LogicalPlan::Extension(extension) => return in_operator(extension, &predicate),
        other => return internal_err!("a filter over changing rows of {}", other.display()),
    };
    plan.with_new_exprs(plan.expressions(), inputs)
}

/// An expression with other expressions in the place of columns.
fn with_columns(expr: Expr, schema: &DFSchemaRef, at: &impl Fn(usize) -> Expr) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| match &expr {
        Expr::Column(column) => Ok(Transformed::yes(at(schema.index_of_column(column)?))),
        _ => Ok(Transformed::no(expr)),
    })?;
    Ok(replaced.data)
}

fn in_operator(extension: &Extension, predicate: &Expr) -> Result<LogicalPlan> {
    if let Some(what) = Unsteady::of(predicate) {
        return Err(refuse::unsteady_over_updates(&what, predicate).into());
    }
    if predicate.exists(|expr| Ok(subquery_of(expr).is_some()))? {
        return Err(refuse::over_updates("a subquery").into());
    }
    let node = extension.node.as_any();
    let and = |having: &Option<Expr>| match having {
        Some(having) => having.clone().and(predicate.clone()),
        None => predicate.clone(),
    };
    if let Some(node) = node.downcast_ref::<StreamAggregateNode>() {
        let having = Some(and(&node.having));
        return Ok(extension_of(StreamAggregateNode {
            having,
            ..node.clone()
        }));
    }
    if let Some(node) = node.downcast_ref::<KeyedNode>()
        && let KeyedLogic::Rank { .. } = &node.logic
    {
        let having = Some(and(&node.having));
        return Ok(extension_of(KeyedNode {
            having,
            ..node.clone()
        }));
    }
    internal_err!("a filter over changing rows of {}", extension.node.name())
}

fn extension_of(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    })
}

/// Whether rows of a plan are taken back.
pub(crate) fn takes_back(plan: &LogicalPlan) -> bool {
    // The closure never fails, so neither does the walk.
    plan.exists(|node| Ok(having_of(node))).unwrap_or(false)
}

fn having_of(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Extension(extension) = plan else {
        return false;
    };
    let node = extension.node.as_any();
    let aggregate = node.downcast_ref::<StreamAggregateNode>();
    let keyed = node.downcast_ref::<KeyedNode>();
    aggregate.is_some_and(|node| node.having.is_some())
        || keyed.is_some_and(|node| node.having.is_some())
}

/// The plan, and whether its rows say which of them are gone: those of a query that takes rows back
/// do, for a sink that can delete.
///
/// # Errors
/// If the sink cannot, or nobody would know which row is gone.
pub(crate) fn with_deletes(
    plan: LogicalPlan,
    change: &Change,
    request: &ModeRequest,
) -> Result<(LogicalPlan, bool)> {
    if !takes_back(&plan) {
        return Ok((plan, false));
    }
    // A sink with a key says what is wrong with that of the query.
    if *change == (Change::Updating { key: None }) && request.key.is_empty() {
        return Err(refuse::filter_without_key().into());
    }
    if !request.takes_deletes {
        return Err(refuse::sink_deletes(&request.sink).into());
    }
    Ok((with_ops(plan)?, true))
}

/// The plan with the column of the operations behind all others, from the operator that takes rows
/// back to the result.
///
/// # Errors
/// If a column has its name.
fn with_ops(plan: LogicalPlan) -> Result<LogicalPlan> {
    let is_taken = |plan: &LogicalPlan| Ok(op_column(plan).is_some());
    if plan.exists(is_taken)? {
        return Err(refuse::op_column().into());
    }
    let rewritten = plan.transform_up(|plan| {
        if having_of(&plan) {
            return Ok(Transformed::yes(operator_with_ops(plan)?));
        }
        let inputs: Vec<_> = plan.inputs().into_iter().cloned().collect();
        let Some(op) = inputs.iter().find_map(op_column) else {
            return Ok(Transformed::no(plan));
        };
        let mut exprs = plan.expressions();
        if let LogicalPlan::Projection(_) = &plan {
            exprs.push(Expr::Column(op));
        }
        Ok(Transformed::yes(plan.with_new_exprs(exprs, inputs)?))
    })?;
    Ok(rewritten.data)
}

fn op_column(plan: &LogicalPlan) -> Option<Column> {
    let mut fields = plan.schema().iter();
    fields
        .find(|(_, field)| field.name() == OP_COLUMN)
        .map(Column::from)
}

fn operator_with_ops(plan: LogicalPlan) -> Result<LogicalPlan> {
    let LogicalPlan::Extension(extension) = &plan else {
        return Ok(plan);
    };
    let schema = schema_with_op(extension.node.schema())?;
    let node = extension.node.as_any();
    if let Some(node) = node.downcast_ref::<StreamAggregateNode>() {
        return Ok(extension_of(StreamAggregateNode {
            schema,
            ..node.clone()
        }));
    }
    if let Some(node) = node.downcast_ref::<KeyedNode>() {
        return Ok(extension_of(KeyedNode {
            schema,
            ..node.clone()
        }));
    }
    Ok(plan)
}

fn schema_with_op(schema: &DFSchemaRef) -> Result<DFSchemaRef> {
    let fields = schema.iter();
    let mut fields: Vec<_> = fields
        .map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)))
        .collect();
    fields.push((None, op_field()));
    let with_op = DFSchema::new_with_metadata(fields, schema.metadata().clone())?;
    let dependencies = schema.functional_dependencies().clone();
    Ok(Arc::new(
        with_op.with_functional_dependencies(dependencies)?,
    ))
}
