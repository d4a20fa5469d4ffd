//! `date_trunc('minute', ts)` and `date_bin(interval, ts)` in GROUP BY to tumbling windows.
//!
//! Over the event time of a source with a watermark such a group is finished some day: its result
//! can be final, and its state can go. The same holds for a column of a subquery that is nothing
//! but such a call.
//!
//! ```text
//! Aggregate: [date_trunc('minute', ts), user], [max(v)]
//!   →
//! Projection: __window_start AS date_trunc('minute', ts), user, max(v)
//!   Aggregate: [__window_start, user], [max(v)]
//!     Window: tumble(1 minute) on ts
//! ```
//!
//! So it is with PARTITION BY of a ranking and of OVER that is in another order than that of event
//! time: see [`partitions`].
//!
//! A bounded read keeps the calls: DataFusion's own functions then say what the windows have to.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, Extension, LogicalPlan, Projection, SubqueryAlias,
};

use headwater_exec::window::{Length, WindowLengths, WindowSpec};
use headwater_exec::window_assign::{Assign, window_time_type};

use crate::event_time_field::window_of;
use crate::node::WindowNode;
use crate::rule::grouping_sets::GroupedBy;
use crate::rule::provenance::is_plain;
use crate::rule::window_calls::literal_length;

mod partitions;

pub(crate) use partitions::bucket_length;

/// Rewrites every aggregation of a plan that groups by a bucket of event time, and by no window,
/// and every ranking that is partitioned by one.
pub(crate) fn rewrite_time_buckets(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut is_new = false;
    let rewritten = plan.transform_up(|node| {
        let node = if is_new {
            node.recompute_schema()?
        } else {
            node
        };
        match node {
            LogicalPlan::Aggregate(aggregate) => match windowed(&aggregate)? {
                Some(plan) => {
                    is_new = true;
                    Ok(Transformed::yes(plan))
                }
                None => Ok(Transformed::no(LogicalPlan::Aggregate(aggregate))),
            },
            LogicalPlan::Window(window) => match partitions::windowed(&window)? {
                Some(plan) => {
                    is_new = true;
                    Ok(Transformed::yes(plan))
                }
                None => Ok(Transformed::no(LogicalPlan::Window(window))),
            },
            other => Ok(Transformed::new_transformed(other, is_new)),
        }
    })?;
    Ok(rewritten.data)
}

/// The aggregation over windows; `None` if it groups by no bucket, or by a window already.
fn windowed(aggregate: &Aggregate) -> Result<Option<LogicalPlan>> {
    let input = &aggregate.input;
    let grouped = GroupedBy::of(aggregate)?;
    for group in &grouped.columns {
        let (_, field) = group.to_field(input.schema().as_ref())?;
        if window_of(&field).is_some() && is_plain(group, input) {
            return Ok(None);
        }
    }
    let is_shown = |(position, _): &(usize, &Expr)| grouped.shown(*position).is_some();
    let buckets = grouped.columns.iter().enumerate().filter(is_shown);
    let buckets = buckets.filter_map(|(position, group)| Some((position, bucket(group)?)));
    // Of several buckets the finest is the window, and the others are keys that it tells.
    let mut buckets: Vec<(usize, Bucket)> = buckets.collect();
    buckets.sort_by_key(|(_, bucket)| bucket.roughly_us);
    for (position, bucket) in buckets {
        if let Some(node) = window_below(input, &bucket)? {
            let start = Column::from_name(node.start_name());
            return grouped_by(aggregate, &grouped, position, planned(node), start).map(Some);
        }
    }
    for group in &grouped.columns {
        let position = match group {
            Expr::Column(column) => input.schema().maybe_index_of_column(column),
            _ => None,
        };
        if let Some(position) = position
            && let Some(input) = bucket_column(input, position)?
        {
            let (groups, values) = (aggregate.group_expr.clone(), aggregate.aggr_expr.clone());
            let aggregate = Aggregate::try_new(Arc::new(input), groups, values)?;
            return Ok(Some(LogicalPlan::Aggregate(aggregate)));
        }
    }
    Ok(None)
}

/// The aggregation with the start of a window for one of its groups, under the group's old name.
fn grouped_by(
    aggregate: &Aggregate,
    grouped: &GroupedBy,
    position: usize,
    input: LogicalPlan,
    start: Column,
) -> Result<LogicalPlan> {
    let (bucket, start) = (&grouped.columns[position], Expr::Column(start));
    let groups = grouped.map_sets(aggregate, |exprs| {
        let exprs = exprs.into_iter();
        let exprs = exprs.map(|expr| if expr == bucket { &start } else { expr });
        exprs.cloned().collect()
    });
    let inner = Aggregate::try_new(Arc::new(input), groups, aggregate.aggr_expr.clone())?;
    let (old, new) = (aggregate.schema.iter(), inner.schema.iter());
    let columns = old
        .zip(new)
        .enumerate()
        .map(|(at, ((qualifier, field), (q, f)))| {
            let column = Expr::Column(Column::new(q.cloned(), f.name()));
            match at == position {
                true => column.alias_qualified(qualifier.cloned(), field.name()),
                false => column,
            }
        });
    let columns = columns.collect();
    let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Aggregate(inner)))?;
    Ok(LogicalPlan::Projection(projection))
}

/// The plan with a window's start for a column that is a bucket of event time.
fn bucket_column(plan: &LogicalPlan, position: usize) -> Result<Option<LogicalPlan>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let expr = &projection.expr[position];
            let (input, value) = match (bucket(expr), unaliased(expr)) {
                (Some(bucket), _) => match window_below(&projection.input, &bucket)? {
                    Some(node) => {
                        let start = Column::from_name(node.start_name());
                        (planned(node), Expr::Column(start))
                    }
                    None => return Ok(None),
                },
                (None, Expr::Column(column)) => {
                    let below = projection.input.schema().maybe_index_of_column(column);
                    let Some(below) = below else { return Ok(None) };
                    match bucket_column(&projection.input, below)? {
                        Some(input) => (input, Expr::Column(column.clone())),
                        None => return Ok(None),
                    }
                }
                _ => return Ok(None),
            };
            let (qualifier, field) = projection.schema.qualified_field(position);
            let mut exprs = projection.expr.clone();
            exprs[position] = value.alias_qualified(qualifier.cloned(), field.name());
            let projection = Projection::try_new(exprs, Arc::new(input))?;
            Ok(Some(LogicalPlan::Projection(projection)))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(input) = bucket_column(&alias.input, position)? else {
                return Ok(None);
            };
            let alias = SubqueryAlias::try_new(Arc::new(input), alias.alias.clone())?;
            Ok(Some(LogicalPlan::SubqueryAlias(alias)))
        }
        LogicalPlan::Filter(filter) => {
            let Some(input) = bucket_column(&filter.input, position)? else {
                return Ok(None);
            };
            let exprs = vec![filter.predicate.clone()];
            Ok(Some(plan.with_new_exprs(exprs, vec![input])?))
        }
        _ => Ok(None),
    }
}

/// A part of time by a function of the SQL dialect.
struct Bucket {
    time: Expr,
    window: WindowSpec,
    length: Length,
    roughly_us: i64,
}

/// The windows of a bucket over an input; `None` if the time has no watermark, or is in a type that
/// the start of a window is not.
fn window_below(input: &LogicalPlan, bucket: &Bucket) -> Result<Option<WindowNode>> {
    let data_type = bucket.time.get_type(input.schema())?;
    if data_type != window_time_type() {
        return Ok(None);
    }
    let node = WindowNode::try_unnamed(
        input.clone(),
        bucket.time.clone(),
        bucket.window,
        Assign::Windows,
    )?;
    Ok(Some(node).filter(WindowNode::has_watermark))
}

fn planned(node: WindowNode) -> LogicalPlan {
    LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    })
}

fn bucket(expr: &Expr) -> Option<Bucket> {
    let Expr::ScalarFunction(call) = unaliased(expr) else {
        return None;
    };
    match call.func.name() {
        "date_trunc" => truncated(call),
        "date_bin" => binned(call),
        _ => None,
    }
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}

const DAY_US: i64 = 86_400_000_000;
/// For the order of buckets only.
const MONTH_US: i64 = 30 * DAY_US;

fn truncated(call: &ScalarFunction) -> Option<Bucket> {
    let [Expr::Literal(unit, _), time] = call.args.as_slice() else {
        return None;
    };
    let unit = unit.try_as_str().flatten()?.to_ascii_lowercase();
    let (size, offset) = match unit.as_str() {
        "millisecond" => (Length::fixed(1_000), 0),
        "second" => (Length::fixed(1_000_000), 0),
        "minute" => (Length::fixed(60_000_000), 0),
        "hour" => (Length::fixed(3_600_000_000), 0),
        "day" => (Length::fixed(DAY_US), 0),
        // 1970-01-01 was a Thursday, and weeks begin on Mondays.
        "week" => (Length::fixed(7 * DAY_US), 4 * DAY_US),
        "month" => (Length::months(1), 0),
        "quarter" => (Length::months(3), 0),
        "year" => (Length::months(12), 0),
        _ => return None,
    };
    of(time, size, Length::fixed(offset))
}

fn binned(call: &ScalarFunction) -> Option<Bucket> {
    let (size, time, origin) = match call.args.as_slice() {
        [size, time] => (size, time, 0),
        [size, time, origin] => (size, time, instant(origin)?),
        _ => return None,
    };
    let size = literal_length(size).ok()?;
    // A bin of months that begins within a month is as long as the calendar lets it be.
    if size.months > 0 && origin != 0 {
        return None;
    }
    of(time, size, Length::fixed(origin))
}

fn of(time: &Expr, size: Length, offset: Length) -> Option<Bucket> {
    let window = WindowSpec::try_new(WindowLengths::Tumble { size }, offset, None).ok()?;
    Some(Bucket {
        time: time.clone(),
        window,
        length: size,
        roughly_us: size
            .micros
            .saturating_add(size.months.saturating_mul(MONTH_US)),
    })
}

/// A constant instant, in microseconds.
fn instant(expr: &Expr) -> Option<i64> {
    let value = match unaliased(expr) {
        Expr::Literal(value, _) => value.clone(),
        Expr::Cast(cast) => match cast.expr.as_ref() {
            Expr::Literal(value, _) => value.cast_to(cast.field.data_type()).ok()?,
            _ => return None,
        },
        _ => return None,
    };
    // A part of a microsecond is no start of a window.
    let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
    match value.cast_to(&nanos).ok()? {
        ScalarValue::TimestampNanosecond(Some(nanos), _) if nanos % 1_000 == 0 => {
            Some(nanos / 1_000)
        }
        _ => None,
    }
}
