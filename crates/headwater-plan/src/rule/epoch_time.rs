//! `now()` and its like to the time of the epoch.
//!
//! ```text
//! now(), current_timestamp   →  now(), whose value the engine sets before every epoch
//! current_date               →  CAST(now() AS DATE)
//! ```
//!
//! DataFusion would fix them when the query is planned. The time of an epoch is in its log record,
//! so an epoch that runs again has the same.

use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType, Result, ScalarValue};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Distinct, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use headwater_core::event_time::EventTime;

use crate::check::refuse;
use crate::node::SessionNode;
use crate::rule::provenance::params_of;

/// The time of the running epoch, for the functions of one plan. Clones are the same time.
#[derive(Debug, Clone, Default)]
pub struct EpochTime {
    micros: Arc<AtomicI64>,
}

impl EpochTime {
    /// Sets it, before the plan is executed.
    pub fn set(&self, time: EventTime) {
        self.micros.store(time.0, Ordering::Release);
    }
}

/// The plan with functions of the epoch's time.
///
/// # Errors
/// If one stands where rows are told apart by it: a row would belong elsewhere in every epoch.
pub(crate) fn rewrite_epoch_time(plan: LogicalPlan, time: &EpochTime) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let may_stand = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Filter(_));
        if !may_stand {
            refuse_clock(&node)?;
            return Ok(Transformed::no(node));
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| Ok(of_epoch(expr, time)))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    })?;
    refuse_keys_of_epoch_time(&rewritten.data)?;
    Ok(rewritten.data)
}

/// Refuses keys that are computed from the time of the epoch somewhere below.
fn refuse_keys_of_epoch_time(plan: &LogicalPlan) -> Result<()> {
    plan.apply(|node| {
        let refused = match node {
            LogicalPlan::Aggregate(aggregate) => {
                let mut keys = aggregate.group_expr.iter();
                keys.find(|key| depends(key, &aggregate.input)).cloned()
            }
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let mut columns = input.schema().columns().into_iter().enumerate();
                let found = columns.find(|(index, _)| column_depends(input, *index));
                found.map(|(_, column)| Expr::Column(column))
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                let sort = distinct.sort_expr.iter().flatten().map(|sort| &sort.expr);
                let mut keys = distinct.on_expr.iter().chain(sort);
                keys.find(|key| depends(key, &distinct.input)).cloned()
            }
            LogicalPlan::Window(window) => {
                let calls = window.window_expr.iter().filter_map(params_of);
                let mut keys = calls.flat_map(|(partition, order)| {
                    partition.iter().chain(order.iter().map(|sort| &sort.expr))
                });
                keys.find(|key| depends(key, &window.input)).cloned()
            }
            LogicalPlan::Extension(extension) if extension.node.as_any().is::<SessionNode>() => {
                let input = extension.node.inputs().into_iter().next();
                let exprs = extension.node.expressions();
                let on_input = |expr: &Expr| input.is_some_and(|input| depends(expr, input));
                exprs.into_iter().find(on_input)
            }
            LogicalPlan::Join(join) => {
                let mut pairs = join.on.iter();
                let found = pairs.find(|(l, r)| depends(l, &join.left) || depends(r, &join.right));
                found.map(|(left, _)| left.clone())
            }
            _ => None,
        };
        match refused {
            Some(key) => Err(refuse::clock_in_key(&key).into()),
            None => Ok(TreeNodeRecursion::Continue),
        }
    })?;
    Ok(())
}

fn depends(expr: &Expr, input: &LogicalPlan) -> bool {
    // The closure never fails, so neither does the walk.
    let directly = expr.exists(|e| Ok(is_epoch_time(e))).unwrap_or(false);
    let below = |column: &Column| {
        let index = input.schema().maybe_index_of_column(column);
        index.is_some_and(|index| column_depends(input, index))
    };
    directly || expr.column_refs().into_iter().any(below)
}

/// Whether a column of a plan's output is computed from the time of the epoch.
fn column_depends(plan: &LogicalPlan, column: usize) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = projection.expr.get(column);
            expr.is_some_and(|expr| depends(expr, &projection.input))
        }
        LogicalPlan::Join(join)
            if matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti) =>
        {
            column_depends(&join.right, column)
        }
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match column.checked_sub(left) {
                Some(right) => column_depends(&join.right, right),
                None => column_depends(&join.left, column),
            }
        }
        LogicalPlan::Unnest(unnest) => {
            let from = unnest.dependency_indices.get(column);
            from.is_some_and(|from| column_depends(&unnest.input, *from))
        }
        // What an aggregation computes is final or replaced by key, and its keys were looked at.
        LogicalPlan::Aggregate(_) | LogicalPlan::TableScan(_) => false,
        // A window hands its input's columns on in front of its own, and so do all others.
        other => {
            let inputs = other.inputs();
            let has = |input: &&LogicalPlan| column < input.schema().fields().len();
            inputs
                .into_iter()
                .any(|input| has(&input) && column_depends(input, column))
        }
    }
}

fn of_epoch(expr: Expr, time: &EpochTime) -> Transformed<Expr> {
    let Some(clock) = clock_function(&expr) else {
        return Transformed::no(expr);
    };
    let now = ScalarUDF::new_from_impl(Now {
        time: time.clone(),
        signature: Signature::nullary(Volatility::Volatile),
    });
    let now = now.call(vec![]);
    Transformed::yes(match clock {
        Clock::Now => now,
        Clock::Date => cast(now, DataType::Date32),
    })
}

/// Whether an expression is a `now()` whose value the engine sets.
pub(crate) fn is_epoch_time(expr: &Expr) -> bool {
    let Expr::ScalarFunction(call) = expr else {
        return false;
    };
    let function: &dyn std::any::Any = call.func.inner().as_ref();
    function.is::<Now>()
}

#[derive(Debug, Clone, Copy)]
enum Clock {
    Now,
    Date,
}

fn clock_function(expr: &Expr) -> Option<Clock> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    if is_epoch_time(expr) {
        return None;
    }
    match call.func.name() {
        "now" | "current_timestamp" => Some(Clock::Now),
        "current_date" => Some(Clock::Date),
        _ => None,
    }
}

fn refuse_clock(node: &LogicalPlan) -> Result<()> {
    node.apply_expressions(|expr| {
        if expr.exists(|e| Ok(clock_function(e).is_some()))? {
            return Err(refuse::clock_in_key(expr).into());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// `now()` of a plan.
#[derive(Debug)]
struct Now {
    time: EpochTime,
    signature: Signature,
}

impl PartialEq for Now {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.time.micros, &other.time.micros)
    }
}

impl Eq for Now {}

impl Hash for Now {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.time.micros).hash(state);
    }
}

impl ScalarUDFImpl for Now {
    fn name(&self) -> &'static str {
        "now"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Nanosecond, None))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let data_type = self.return_type(&[])?;
        Ok(Arc::new(Field::new(self.name(), data_type, false)))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let nanos = self
            .time
            .micros
            .load(Ordering::Acquire)
            .saturating_mul(1_000);
        let now = ScalarValue::TimestampNanosecond(Some(nanos), None);
        Ok(ColumnarValue::Scalar(now))
    }
}
