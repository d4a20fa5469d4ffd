//! Spark's `GROUP BY window(ts, size, slide)` to a window node below the aggregation.
//!
//! ```text
//! Aggregate: [window(ts, '10 minutes'), user], [max(v)]
//!   →
//! Projection: named_struct('start', window_start, 'end', window_end) AS window(…), user, max(v)
//!   Aggregate: [window_start, window_end, user], [max(v)]
//!     Window: tumble(10 minutes) on ts
//! ```
//!
//! Columns keep their names, so that everything above stays as it is.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue, plan_err};
use datafusion::functions::core::expr_fn::named_struct;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, LogicalPlan, Projection, UserDefinedLogicalNode,
    cast, lit,
};

use headwater_core::duration::parse_duration;
use headwater_core::event_time::micros;
use headwater_core::type_name::type_name;
use headwater_exec::window::WindowSpec;
use headwater_exec::window_assign::Assign;

use crate::node::{SessionNode, WindowNode};
use crate::window_udf::{SESSION_WINDOW, WINDOW};

/// Rewrites every aggregation of the plan.
pub(crate) fn rewrite_window_calls(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Aggregate(aggregate) => rewrite(aggregate),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(rewritten.data)
}

fn rewrite(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let calls: Vec<&Expr> = aggregate
        .group_expr
        .iter()
        .filter(|e| call(e).is_some())
        .collect();
    let Some(found) = calls.first().copied() else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    if calls.iter().any(|other| *other != found) {
        return plan_err!("a GROUP BY can hold one window() call, and this one holds several");
    }
    let Some(function) = call(found) else {
        return plan_err!("not a window() call");
    };
    let input = windowed(function, &aggregate)?;

    let (start, end) = (window_column("window_start"), window_column("window_end"));
    let mut groups = vec![start.clone(), end.clone()];
    groups.extend(
        aggregate
            .group_expr
            .iter()
            .filter(|e| call(e).is_none())
            .cloned(),
    );
    let inner = Aggregate::try_new(Arc::new(input), groups, aggregate.aggr_expr.clone())?;

    let old = aggregate
        .schema
        .iter()
        .zip(aggregate.group_expr.iter().chain(&aggregate.aggr_expr));
    let columns = old.map(|((qualifier, field), expr)| {
        if call(expr).is_some() {
            let parts = vec![lit("start"), start.clone(), lit("end"), end.clone()];
            return Ok(named_struct(parts).alias_qualified(qualifier.cloned(), field.name()));
        }
        Ok(Expr::Column(Column::new(qualifier.cloned(), field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(inner)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// The input of an aggregation with the columns of its window.
fn windowed(function: &ScalarFunction, aggregate: &Aggregate) -> Result<LogicalPlan> {
    let input = aggregate.input.as_ref().clone();
    let node: Arc<dyn UserDefinedLogicalNode> = if function.func.name() == SESSION_WINDOW {
        let [time, gap] = function.args.as_slice() else {
            return plan_err!("session_window() takes a time column and a gap");
        };
        let gap = session_gap(gap.clone(), input.schema())?;
        let keys = aggregate.group_expr.iter().filter(|e| call(e).is_none());
        let keys = keys.cloned().collect();
        Arc::new(SessionNode::try_new(input, time.clone(), gap, keys)?)
    } else {
        let (time, window) = arguments(function)?;
        Arc::new(WindowNode::try_new(input, time, window, Assign::Windows)?)
    };
    Ok(LogicalPlan::Extension(Extension { node }))
}

/// The gap of a session as an INTERVAL: a length of time, or an expression of the row that gives
/// an INTERVAL or its text.
///
/// # Errors
/// If it is a constant that is not greater than zero, or of another type.
pub fn session_gap(gap: Expr, schema: &DFSchema) -> Result<Expr> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    if let Ok(us) = literal_micros(&gap) {
        if us <= 0 {
            return plan_err!("the gap of a session must be greater than zero");
        }
        let gap = IntervalMonthDayNano::new(0, 0, us.saturating_mul(1_000));
        return Ok(lit(ScalarValue::IntervalMonthDayNano(Some(gap))));
    }
    if matches!(gap, Expr::Literal(..)) {
        literal_micros(&gap)?;
    }
    match gap.get_type(schema)? {
        found if found == interval => Ok(gap),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Interval(_) => {
            Ok(cast(gap, interval))
        }
        other => plan_err!(
            "the gap of a session must be an INTERVAL or a text such as '5 minutes', and \"{gap}\" is {}",
            type_name(&other)
        ),
    }
}

fn window_column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn is_window(function: &ScalarFunction) -> bool {
    [WINDOW, SESSION_WINDOW].contains(&function.func.name())
}

/// The call of `window` or `session_window` that an expression is.
fn call(expr: &Expr) -> Option<&ScalarFunction> {
    match expr {
        Expr::ScalarFunction(function) if is_window(function) => Some(function),
        Expr::Alias(alias) => call(&alias.expr),
        _ => None,
    }
}

fn arguments(function: &ScalarFunction) -> Result<(Expr, WindowSpec)> {
    let [time, rest @ ..] = function.args.as_slice() else {
        return plan_err!("window() needs a time column and a size");
    };
    let [size, more @ ..] = rest else {
        return plan_err!("window() needs a size");
    };
    let size = literal_micros(size)?;
    let slide = more
        .first()
        .map(literal_micros)
        .transpose()?
        .unwrap_or(size);
    let offset = more.get(1).map(literal_micros).transpose()?.unwrap_or(0);
    let window = WindowSpec::hop(positive(slide)?, positive(size)?, offset)?;
    Ok((time.clone(), window))
}

fn positive(us: i64) -> Result<Duration> {
    match u64::try_from(us) {
        Ok(us) if us > 0 => Ok(Duration::from_micros(us)),
        _ => plan_err!("a window's size and slide must be greater than zero"),
    }
}

/// A length of time written as a text (`'10 minutes'`) or an INTERVAL, in microseconds.
///
/// # Errors
/// If it is not a literal, or holds months, which have no fixed length.
pub(crate) fn literal_micros(expr: &Expr) -> Result<i64> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(s)) | ScalarValue::Utf8View(Some(s)), _) => {
            match s.trim().strip_prefix('-') {
                Some(rest) => Ok(-micros(parse_duration(rest)?)),
                None => Ok(micros(parse_duration(s)?)),
            }
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => {
            if interval.months != 0 {
                return plan_err!("a window of months has no fixed length: give it in days");
            }
            let days = i64::from(interval.days) * 86_400_000_000;
            Ok(days + interval.nanoseconds / 1_000)
        }
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => {
            let days = i64::from(interval.days) * 86_400_000_000;
            Ok(days + i64::from(interval.milliseconds) * 1_000)
        }
        Expr::Negative(inner) => Ok(-literal_micros(inner)?),
        other => plan_err!("a window's length must be a literal such as '10 minutes', not {other}"),
    }
}

/// Refuses a call of `window` that is left anywhere.
pub(crate) fn refuse_other_window_calls(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| match inner {
                Expr::ScalarFunction(function) if is_window(function) => {
                    plan_err!("{}() can only stand in GROUP BY", function.func.name())
                }
                _ => Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}
