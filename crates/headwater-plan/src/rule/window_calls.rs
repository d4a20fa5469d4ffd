//! Spark's `window(ts, size, slide)` in GROUP BY and in SELECT to a window node below.
//!
//! ```text
//! Aggregate: [window(ts, '10 minutes'), user], [max(v)]
//!   →
//! Projection: window_bounds(__window_start, __window_end) AS window(…), user, max(v)
//!   Aggregate: [__window_start, __window_end, user], [max(v)]
//!     Window: tumble(10 minutes) on ts
//! ```
//!
//! Columns keep their names, so that everything above stays as it is. In a grouping set without the
//! call the window is NULL. A SELECT without GROUP BY gives every row once for each of its windows,
//! as the table functions do:
//!
//! ```text
//! Projection: window(ts, '10 minutes'), user
//!   →
//! Projection: window_bounds(__window_start, __window_end) AS window(…), user
//!   Window: tumble(10 minutes) on ts
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue, plan_err,
};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, LogicalPlan, Projection, cast, lit, when,
};

use headwater_core::Error;
use headwater_core::type_name::type_name;
use headwater_exec::window::{Length, WindowLengths, WindowSpec, Zone};
use headwater_exec::window_assign::Assign;

use crate::event_time_field::{
    WindowField, WindowRole, event_time_source, window_of, window_struct_of,
};
use crate::node::{SessionNode, WindowNode};
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::provenance::{is_handed_on, is_plain};
use crate::window_struct::{part_role, window_bounds, window_part};
use crate::window_udf::{EVENT_TIME, SESSION_WINDOW, WINDOW};

/// Rewrites every aggregation and projection of the plan that has a call, and what takes the struct
/// of such a window apart.
pub(crate) fn rewrite_window_calls(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut is_new = false;
    let rewritten = plan.transform_up_with_subqueries(|node| {
        // Marks of columns travel up through schemas, which do not follow their inputs.
        let node = match is_new {
            true => take_apart(node.recompute_schema()?)?,
            false => node,
        };
        match node {
            LogicalPlan::Aggregate(aggregate) => {
                let rewritten = rewrite(aggregate)?;
                is_new |= rewritten.transformed;
                Ok(rewritten)
            }
            LogicalPlan::Projection(projection) => {
                let rewritten = project(projection)?;
                is_new |= rewritten.transformed;
                Ok(Transformed::new_transformed(rewritten.data, is_new))
            }
            other => Ok(Transformed::new_transformed(other, is_new)),
        }
    })?;
    Ok(rewritten.data)
}

/// `window.start` and `window.end` of a struct that comes from a subquery, to parts that carry the
/// marks of a window.
fn take_apart(plan: LogicalPlan) -> Result<LogicalPlan> {
    let schema = merge_schema(&plan.inputs());
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(|inner| match part_of_struct(&inner, &schema) {
            Some(part) => Ok(Transformed::yes(part)),
            None => Ok(Transformed::no(inner)),
        })?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })?;
    match rewritten.transformed {
        true => rewritten.data.recompute_schema(),
        false => Ok(rewritten.data),
    }
}

fn part_of_struct(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let Expr::ScalarFunction(call) = expr else {
        return None;
    };
    let ("get_field", [of, Expr::Literal(name, _)]) = (call.func.name(), call.args.as_slice())
    else {
        return None;
    };
    let role = match name.try_as_str()?? {
        "start" => WindowRole::Start,
        "end" => WindowRole::End,
        _ => return None,
    };
    let (_, field) = of.to_field(schema).ok()?;
    window_struct_of(&field).map(|_| window_part(role, of.clone()))
}

fn rewrite(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let is_window = |expr: &Expr| call(expr).is_some() || is_window_struct(expr, &aggregate.input);
    let grouped = GroupedBy::of(&aggregate)?;
    let columns = grouped.columns.iter().enumerate();
    let mut windows = columns.filter(|(_, expr)| is_window(expr));
    let Some((position, found)) = windows.next() else {
        return by_parts(aggregate, &grouped);
    };
    if windows.any(|(_, other)| *other != *found) {
        return plan_err!("a GROUP BY can hold one window() call, and this one holds several");
    }
    let (input, start, end) = match call(found) {
        Some(function) if function.func.name() == SESSION_WINDOW => {
            if grouped.left_out.is_some() {
                return plan_err!(
                    "session_window() beside GROUPING SETS, ROLLUP or CUBE does not say whose \
                     sessions it means: use FROM session(…) with PARTITION BY"
                );
            }
            let keys = aggregate.group_expr.iter().filter(|e| !is_window(e));
            sessions(&aggregate.input, function, keys.cloned().collect())?
        }
        Some(function) => windowed(&aggregate.input, function)?,
        None => with_bounds(&aggregate.input, found)?,
    };
    let by_bounds = |exprs: Vec<&Expr>| -> Vec<Expr> {
        let has_window = exprs.iter().any(|e| is_window(e));
        let bounds = [&start, &end].into_iter().filter(|_| has_window);
        let others = exprs.iter().copied().filter(|e| !is_window(e));
        bounds.chain(others).cloned().collect()
    };
    let groups = grouped.map_sets(&aggregate, by_bounds);
    let inner = Aggregate::try_new(Arc::new(input), groups, aggregate.aggr_expr.clone())?;

    let id = Expr::Column(Column::from_name(Aggregate::INTERNAL_GROUPING_ID));
    let id = grouped.left_out.as_ref().map(|_| &id);
    let exprs = grouped.columns.iter().chain(id).chain(&aggregate.aggr_expr);
    let old = aggregate.schema.iter().zip(exprs);
    let columns = old.map(|((qualifier, field), expr)| {
        if is_window(expr) {
            let mut bounds = window_bounds(start.clone(), end.clone());
            if grouped.shown(position).is_none() {
                bounds = when(start.clone().is_not_null(), bounds).end()?;
            }
            return Ok(bounds.alias_qualified(qualifier.cloned(), field.name()));
        }
        Ok(Expr::Column(Column::new(qualifier.cloned(), field.name())))
    });
    let columns = columns.collect::<Result<_>>()?;
    let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(inner)))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// A GROUP BY of the start and the end that are taken out of a window's struct, to one of columns:
/// `GROUP BY w.start, w.end` where a subquery has `window(…) AS w`.
fn by_parts(aggregate: Aggregate, grouped: &GroupedBy) -> Result<Transformed<LogicalPlan>> {
    let mut parts = grouped.columns.iter().filter_map(bound_of_struct);
    let Some((_, window)) = parts.find(|(_, window)| is_window_struct(window, &aggregate.input))
    else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let (input, start, end) = with_bounds(&aggregate.input, window)?;
    let column = |expr: &Expr| match bound_of_struct(expr) {
        Some((WindowRole::Start, of)) if of == window => start.clone(),
        Some((WindowRole::End, of)) if of == window => end.clone(),
        _ => expr.clone(),
    };
    let groups = grouped.map_sets(&aggregate, |set| set.into_iter().map(column).collect());
    let inner = Aggregate::try_new(Arc::new(input), groups, aggregate.aggr_expr.clone())?;
    let inner = LogicalPlan::Aggregate(inner);
    // The columns of both are in the same order, and differ by the names of these two.
    let named = inner.schema().columns().into_iter().map(Expr::Column);
    let named = named.zip(aggregate.schema.iter());
    let columns = named.map(|(column, (qualifier, field))| {
        column.alias_qualified(qualifier.cloned(), field.name())
    });
    let projection = Projection::try_new(columns.collect(), Arc::new(inner))?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// Every row once for each of the windows that a call in the projection asks for.
fn project(projection: Projection) -> Result<Transformed<LogicalPlan>> {
    let mut found: Vec<ScalarFunction> = Vec::new();
    for expr in &projection.expr {
        expr.apply(|inner| {
            match inner {
                Expr::ScalarFunction(function)
                    if function.func.name() == WINDOW && !found.contains(function) =>
                {
                    found.push(function.clone());
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let function = match found.as_slice() {
        [] => return Ok(Transformed::no(LogicalPlan::Projection(projection))),
        [function] => function,
        _ => {
            return plan_err!(
                "a SELECT can hold one window() call, and this one holds several: put the others \
                 around a subquery"
            );
        }
    };
    let (input, start, end) = windowed(&projection.input, function)?;
    let input = Arc::new(input);
    let exprs = projection.expr.into_iter().map(|expr| {
        let (qualifier, name) = expr.qualified_name();
        let rewritten = expr.transform_up(|inner| match &inner {
            Expr::ScalarFunction(function) if function.func.name() == WINDOW => {
                Ok(Transformed::yes(window_bounds(start.clone(), end.clone())))
            }
            _ => Ok(Transformed::no(inner)),
        })?;
        Ok(match rewritten.transformed {
            true => unaliased(&rewritten.data)
                .clone()
                .alias_qualified(qualifier, name),
            false => rewritten.data,
        })
    });
    let exprs = exprs.collect::<Result<_>>()?;
    let projection = Projection::try_new(exprs, input)?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

/// An input with columns of a window's start and end, and these columns.
type WithBounds = (LogicalPlan, Expr, Expr);

/// The windows that a call asks for.
fn windowed(input: &LogicalPlan, function: &ScalarFunction) -> Result<WithBounds> {
    let (time, window) = arguments(function, input)?;
    let node = WindowNode::try_unnamed(input.clone(), time, window, Assign::Windows)?;
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let (start, end) = (column(node.start_name()), column(node.end_name()));
    let node = LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    });
    Ok((node, start, end))
}

/// The sessions that a call asks for, a window per value of the keys.
fn sessions(input: &LogicalPlan, function: &ScalarFunction, keys: Vec<Expr>) -> Result<WithBounds> {
    let [time, gap] = function.args.as_slice() else {
        return plan_err!("session_window() takes a time column and a gap");
    };
    let gap = session_gap(gap.clone(), input.schema())?;
    let time = time_of(time, input)?;
    let node = SessionNode::try_new(input.clone(), time, gap, keys)?;
    let column = |name: &str| Expr::Column(Column::from_name(name));
    let (start, end) = (column("window_start"), column("window_end"));
    let node = LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    });
    Ok((node, start, end))
}

/// The gap of a session as an INTERVAL: a length of time, or an expression of the row that gives
/// an INTERVAL or its text.
///
/// # Errors
/// If it is a constant that is not greater than zero, or of another type.
pub fn session_gap(gap: Expr, schema: &DFSchema) -> Result<Expr> {
    let interval = DataType::Interval(IntervalUnit::MonthDayNano);
    if matches!(gap, Expr::Literal(..) | Expr::Negative(_)) {
        let micros = literal_micros(&gap)?;
        if micros <= 0 {
            return plan_err!("the gap of a session must be greater than zero");
        }
        let gap = IntervalMonthDayNano::new(0, 0, micros.saturating_mul(1_000));
        return Ok(lit(ScalarValue::IntervalMonthDayNano(Some(gap))));
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

/// The windows that a struct column holds, which a subquery has grouped by.
fn with_bounds(input: &LogicalPlan, window: &Expr) -> Result<WithBounds> {
    let mut exprs: Vec<Expr> = input
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let mut bound = |role, name: &str| {
        let mut name = name.to_string();
        while input.schema().has_column_with_unqualified_name(&name) {
            name.insert(0, '_');
        }
        exprs.push(window_part(role, unaliased(window).clone()).alias(&name));
        Expr::Column(Column::from_name(name))
    };
    let start = bound(WindowRole::Start, "__window_start");
    let end = bound(WindowRole::End, "__window_end");
    let projection = Projection::try_new(exprs, Arc::new(input.clone()))?;
    Ok((LogicalPlan::Projection(projection), start, end))
}

fn is_call(function: &ScalarFunction) -> bool {
    [WINDOW, SESSION_WINDOW].contains(&function.func.name())
}

/// The call of `window` or `session_window` that an expression is.
fn call(expr: &Expr) -> Option<&ScalarFunction> {
    match unaliased(expr) {
        Expr::ScalarFunction(function) if is_call(function) => Some(function),
        _ => None,
    }
}

/// Whether an expression is the struct of a window that was made below.
fn is_window_struct(expr: &Expr, input: &LogicalPlan) -> bool {
    let is_marked = |column: &Column| {
        let field = input.schema().field_from_column(column);
        field.is_ok_and(|field| window_struct_of(field).is_some())
    };
    matches!(unaliased(expr), Expr::Column(column) if is_marked(column)) && is_plain(expr, input)
}

/// The start or the end that an expression takes out of a struct, and the struct.
fn bound_of_struct(expr: &Expr) -> Option<(WindowRole, &Expr)> {
    let Expr::ScalarFunction(part) = unaliased(expr) else {
        return None;
    };
    let role = part_role(part.func.name())?;
    Some((role, part.args.first()?)).filter(|(role, _)| *role != WindowRole::Time)
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

/// Time and windows of a call.
fn arguments(function: &ScalarFunction, input: &LogicalPlan) -> Result<(Expr, WindowSpec)> {
    let [time, size, more @ ..] = function.args.as_slice() else {
        return plan_err!("window() needs a time column and a size");
    };
    let size = literal_length(size)?;
    let slide = more.first().map(literal_length).transpose()?;
    let offset = more.get(1).map(literal_length).transpose()?;
    let zone = more.get(2).map(literal_zone).transpose()?;
    let lengths = match slide {
        Some(slide) if slide != size => WindowLengths::Hop { slide, size },
        _ => WindowLengths::Tumble { size },
    };
    let window = WindowSpec::try_new(lengths, offset.unwrap_or_default(), zone)?;
    Ok((time_of(time, input)?, window))
}

/// The time that windows are on: a column, the time of the windows in a struct, or, where the
/// query names none, the event time of the rows.
fn time_of(time: &Expr, input: &LogicalPlan) -> Result<Expr> {
    if is_window_struct(time, input) {
        return Ok(window_part(WindowRole::Time, unaliased(time).clone()));
    }
    match time {
        Expr::ScalarFunction(function) if function.func.name() == EVENT_TIME => {
            event_time_column(input)
        }
        other => Ok(other.clone()),
    }
}

fn event_time_column(input: &LogicalPlan) -> Result<Expr> {
    let columns = input.schema().iter().enumerate();
    let mut times = columns.filter(|(position, (_, field))| {
        let is_window_time = |w: WindowField| w.role == WindowRole::Time && w.has_watermark;
        let is_time =
            event_time_source(field).is_some() || window_of(field).is_some_and(is_window_time);
        is_time && is_handed_on(input, *position)
    });
    let found = times.next().filter(|_| times.next().is_none());
    let Some((_, (qualifier, field))) = found else {
        return Err(
            Error::plan("windows without a time column need rows with one event time")
                .with_hint("Name the column, as in tumble(ts, INTERVAL '10 seconds').")
                .into(),
        );
    };
    Ok(Expr::Column(Column::new(qualifier.cloned(), field.name())))
}

fn literal_zone(expr: &Expr) -> Result<Zone> {
    match expr {
        Expr::Literal(name, _) => match name.try_as_str().flatten() {
            Some(name) => Ok(Zone::named(name)?),
            None => plan_err!("a time zone must be a name such as 'Europe/Berlin', not {expr}"),
        },
        other => plan_err!("a time zone must be a name such as 'Europe/Berlin', not {other}"),
    }
}

/// A length of time written as a text (`'10 minutes'`) or an INTERVAL.
///
/// # Errors
/// If it is not a literal.
pub(crate) fn literal_length(expr: &Expr) -> Result<Length> {
    let days = |days: i32| i64::from(days) * 86_400_000_000;
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(s)) | ScalarValue::Utf8View(Some(s)), _) => {
            Ok(Length::parse(s)?)
        }
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), _) => Ok(Length {
            months: i64::from(interval.months),
            micros: days(interval.days) + interval.nanoseconds / 1_000,
        }),
        Expr::Literal(ScalarValue::IntervalDayTime(Some(interval)), _) => Ok(Length::fixed(
            days(interval.days) + i64::from(interval.milliseconds) * 1_000,
        )),
        Expr::Literal(ScalarValue::IntervalYearMonth(Some(months)), _) => {
            Ok(Length::months(i64::from(*months)))
        }
        Expr::Negative(inner) => literal_length(inner).map(|length| -length),
        other => plan_err!("a window's length must be a literal such as '10 minutes', not {other}"),
    }
}

/// A length of time that has no months, in microseconds.
///
/// # Errors
/// If it is not a literal, or holds months, which have no fixed length.
pub(crate) fn literal_micros(expr: &Expr) -> Result<i64> {
    match literal_length(expr)? {
        Length { months: 0, micros } => Ok(micros),
        length => plan_err!("a length of {length} is not fixed: give it in days"),
    }
}

/// The refusal of a call where it means nothing.
fn misplaced(name: &str) -> DataFusionError {
    let refusal = match name {
        SESSION_WINDOW => Error::plan("session_window() can only stand in GROUP BY").with_hint(
            "FROM session(t, ts, INTERVAL '5 minutes') gives every row with the bounds of its session.",
        ),
        _ => Error::plan(format!("{name}() can only stand in GROUP BY or SELECT"))
            .with_hint("Select it in a subquery, and use its start and end around that."),
    };
    refusal.into()
}

/// Refuses a call of `window` that is left anywhere.
pub(crate) fn refuse_other_window_calls(plan: &LogicalPlan) -> Result<()> {
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|inner| match inner {
                Expr::ScalarFunction(function) if is_call(function) => {
                    Err(misplaced(function.func.name()))
                }
                Expr::ScalarFunction(function) if function.func.name() == EVENT_TIME => {
                    plan_err!("windows without a time column can only stand in GROUP BY or SELECT")
                }
                _ => Ok(TreeNodeRecursion::Continue),
            })
        })
    })?;
    Ok(())
}
