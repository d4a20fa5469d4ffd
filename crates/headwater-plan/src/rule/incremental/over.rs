//! OVER windows in the order of event time, or within windows that close, to an operator that waits
//! until rows are final.
//!
//! ```text
//! Window: sum(v) OVER (PARTITION BY k        Keyed: operator=0-over, keys=[k], sum(v) OVER …
//!   ORDER BY ts RANGE '1 hour' PRECEDING) →    orders
//!   orders
//! ```
//!
//! Within a window that closes, all rows of a partition are final at once: they may be in any order
//! or in none, and look ahead.

use std::sync::Arc;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::logical_expr::expr::{NullTreatment, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, Window, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition, lit,
};

use headwater_core::mode::OutputMode;
use headwater_exec::over::Reach;
use headwater_exec::window_assign::WINDOW_TIME_GAP_US;

use super::ranking::{closing, closing_in_order, is_event_time, is_window_time};
use super::{Change, Converter, Incremental};
use crate::check::refuse;
use crate::node::keyed_node::key_name;
use crate::node::{Closing, ClosingKind, KeyedLogic, KeyedNode};

const DAY_US: i64 = 86_400_000_000;
/// No month is longer.
const MONTH_DAYS: i64 = 31;

impl Converter {
    /// Values over the rows before each row.
    pub(super) fn over(&mut self, plan: &LogicalPlan, window: &Window) -> Result<Incremental> {
        if let Some(whole) = self.of_whole_result(plan, &window.input)? {
            return Ok(whole);
        }
        let calls = window.window_expr.iter().map(call_of);
        let calls = calls.collect::<Result<Vec<_>>>()?;
        let Some(params) = calls.first().map(|call| &call.params) else {
            return Err(refuse::shape(plan).into());
        };
        let final_by = match final_by(params, &calls, &window.input) {
            Err(_)
                if numberings(plan) > 1
                    && closing(&params.partition_by, &window.input)?.is_none() =>
            {
                let place = params.order_by.first().map(|sort| &sort.expr);
                return Err(refuse::several_numberings(place).into());
            }
            found => found?,
        };
        if self.mode != OutputMode::Append {
            let first = params.order_by.first().map(|sort| &sort.expr);
            let place = first.or_else(|| params.partition_by.first());
            return Err(refuse::over_append_only(place, self.mode).into());
        }
        let input = self.convert_final("OVER", &window.input)?;
        let mut time = input.time;
        if is_window_time(&final_by.time, &window.input) {
            time.behind_us += WINDOW_TIME_GAP_US;
        }
        let node = KeyedNode {
            operator: self.operator("over"),
            input: Arc::new(input.plan),
            keys: params.partition_by.clone(),
            logic: KeyedLogic::Over {
                time: final_by.time,
                order: params.order_by.clone(),
                windows: window.window_expr.clone(),
                reach: final_by.reach,
                closes: final_by.closes,
            },
            input_time: time.clone(),
            stage: self.stage,
            having: None,
            schema: Arc::clone(&window.schema),
        };
        Ok(Incremental {
            plan: LogicalPlan::Extension(Extension {
                node: Arc::new(node),
            }),
            change: Change::AppendOnly,
            time,
            has_state: true,
        })
    }
}

/// When the rows of OVER windows are final.
struct FinalBy {
    /// A row is when the watermark has passed this.
    time: Expr,
    /// How far back each window reaches from then on.
    reach: Vec<Option<Reach>>,
    /// When no later row can reach back, over the keys.
    closes: Option<Closing>,
}

/// By the event time that the rows are in the order of; or by the end of a window that they are
/// partitioned by, with which they all go.
fn final_by(
    params: &WindowFunctionParams,
    calls: &[&WindowFunction],
    input: &LogicalPlan,
) -> Result<FinalBy> {
    let first = params.order_by.first();
    let by_time = match first.filter(|sort| sort.asc && is_event_time(&sort.expr, input)) {
        Some(first) => {
            let reach = calls.iter().map(|call| reach_of(call));
            let closes = closing_by_key(&params.partition_by, &first.expr, input)?;
            reach.collect::<Result<_>>().map(|reach| FinalBy {
                time: first.expr.clone(),
                reach,
                closes,
            })
        }
        None => {
            let span = first
                .map(|sort| &sort.expr)
                .or_else(|| params.partition_by.first());
            Err(refuse::over_order(span, input).into())
        }
    };
    match (by_time, closing(&params.partition_by, input)?) {
        (Ok(by_time), _) => Ok(by_time),
        (Err(_), Some(closing)) => Ok(FinalBy {
            time: last_instant(closing),
            reach: vec![Some(Reach::Rows(0)); calls.len()],
            // Rows are not reached back to from other keys.
            closes: None,
        }),
        (Err(error), None) => Err(error),
    }
}

/// When a key is closed whose rows are in the order of a time, over the keys.
fn closing_by_key(partition: &[Expr], time: &Expr, input: &LogicalPlan) -> Result<Option<Closing>> {
    let Some((key, closing)) = closing_in_order(partition, time, input)? else {
        return Ok(None);
    };
    let position = partition.iter().position(|expr| expr == key);
    let name = key_name(position.unwrap_or_default());
    let at = closing.at.transform_down(|expr| {
        Ok(match expr == *key {
            true => Transformed::new(
                Expr::Column(Column::from_name(&name)),
                true,
                TreeNodeRecursion::Jump,
            ),
            false => Transformed::no(expr),
        })
    })?;
    let (at, kind) = (at.data, closing.kind);
    Ok(Some(Closing { at, kind }))
}

/// The last instant of a closing: rows are final when the watermark has passed it.
fn last_instant(closing: Closing) -> Expr {
    match closing.kind {
        ClosingKind::WindowEnd => {
            let microsecond = IntervalMonthDayNano::new(0, 0, 1_000);
            closing.at - lit(ScalarValue::IntervalMonthDayNano(Some(microsecond)))
        }
        ClosingKind::EventTime | ClosingKind::Remembered(_) => closing.at,
    }
}

/// How often rows are numbered, one node upon the other.
fn numberings(mut plan: &LogicalPlan) -> usize {
    let is_numbering = |expr: &&Expr| {
        let name = call_of(expr).map(|call| call.fun.name());
        name.is_ok_and(|name| matches!(name, "row_number" | "rank" | "dense_rank"))
    };
    let mut count = 0;
    while let LogicalPlan::Window(window) = plan {
        count += window.window_expr.iter().filter(is_numbering).count();
        plan = &window.input;
    }
    count
}

fn call_of(expr: &Expr) -> Result<&WindowFunction> {
    match expr {
        Expr::Alias(alias) => call_of(&alias.expr),
        Expr::WindowFunction(call) => Ok(call),
        other => Err(refuse::over_function(&other.to_string(), other).into()),
    }
}

/// What stands for a call in a message: its first argument, or its order.
fn place_of(call: &WindowFunction) -> Expr {
    let order = call.params.order_by.iter().map(|sort| &sort.expr);
    let mut parts = call.params.args.iter().chain(order);
    let found = parts.find(|part| !part.column_refs().is_empty());
    found.cloned().unwrap_or_else(|| Expr::from(call.clone()))
}

/// How far back a window expression reaches; refuses those that look ahead.
fn reach_of(call: &WindowFunction) -> Result<Option<Reach>> {
    let place = place_of(call);
    match (&call.fun, call.fun.name()) {
        (WindowFunctionDefinition::AggregateUDF(_), _) | (_, "first_value") => {
            let reach = of_frame(call)?;
            Ok((!is_carried(call)).then_some(reach))
        }
        (_, "last_value" | "nth_value") => of_frame(call).map(Some),
        (_, "row_number" | "rank" | "dense_rank") => Ok(None),
        // NULLs that are passed over make room for older rows.
        (_, "lag") if ignores_nulls(call) => Ok(Some(Reach::Everything)),
        (_, "lag") => match call.params.args.get(1) {
            None => Ok(Some(Reach::Rows(1))),
            Some(Expr::Literal(ScalarValue::Int64(Some(rows)), _)) if *rows >= 0 => Ok(Some(
                Reach::Rows(usize::try_from(*rows).unwrap_or(usize::MAX)),
            )),
            Some(offset) => Err(refuse::lag_offset(offset).into()),
        },
        (_, "lead" | "ntile" | "percent_rank" | "cume_dist") => {
            Err(refuse::over_following(call.fun.name(), &place).into())
        }
        _ => Err(refuse::over_function(call.fun.name(), &place).into()),
    }
}

fn ignores_nulls(call: &WindowFunction) -> bool {
    call.params.null_treatment == Some(NullTreatment::IgnoreNulls)
}

/// Whether a value is over all rows up to the row, so that it can be carried along.
fn is_carried(call: &WindowFunction) -> bool {
    let frame = &call.params.window_frame;
    let is_of_all = matches!(&frame.start_bound, WindowFrameBound::Preceding(by) if by.is_null());
    is_of_all
        && !ignores_nulls(call)
        && frame.units != WindowFrameUnits::Groups
        && frame.end_bound == WindowFrameBound::CurrentRow
}

fn of_frame(call: &WindowFunction) -> Result<Reach> {
    let frame = &call.params.window_frame;
    let ends_here = match &frame.end_bound {
        WindowFrameBound::CurrentRow | WindowFrameBound::Preceding(_) => true,
        WindowFrameBound::Following(_) => false,
    };
    if !ends_here {
        return Err(refuse::over_following(call.fun.name(), &place_of(call)).into());
    }
    Ok(match (&frame.start_bound, frame.units) {
        (WindowFrameBound::CurrentRow | WindowFrameBound::Following(_), _) => Reach::Rows(0),
        (WindowFrameBound::Preceding(by), _) if by.is_null() => Reach::Everything,
        (WindowFrameBound::Preceding(by), WindowFrameUnits::Rows) => match by {
            ScalarValue::UInt64(Some(rows)) => {
                Reach::Rows(usize::try_from(*rows).unwrap_or(usize::MAX))
            }
            _ => Reach::Everything,
        },
        (WindowFrameBound::Preceding(by), WindowFrameUnits::Range) => match by {
            ScalarValue::IntervalMonthDayNano(Some(by)) => {
                let days = i64::from(by.months) * MONTH_DAYS + i64::from(by.days);
                let days = days.saturating_mul(DAY_US);
                Reach::Time(days.saturating_add(by.nanoseconds / 1_000))
            }
            _ => Reach::Everything,
        },
        (WindowFrameBound::Preceding(_), WindowFrameUnits::Groups) => Reach::Everything,
    })
}
