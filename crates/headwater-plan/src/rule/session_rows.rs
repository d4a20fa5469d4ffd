//! Sessions of a bounded read, by DataFusion's window functions.
//!
//! ```text
//! Projection: …, min(at) OVER session AS window_start, max(until) OVER session AS window_end
//!   Window: number = sum(begins) OVER (PARTITION BY k ORDER BY at)          number of the session
//!     Projection: …, begins = 1 if at > before or there is none before
//!       Window: before = max(until) OVER (PARTITION BY k ORDER BY at, all rows before this one)
//!         Filter: the row has a time and a positive gap
//!           Projection: …, ts AS at, ts + gap AS until
//! ```

use std::sync::Arc;

use datafusion::arrow::datatypes::IntervalMonthDayNano;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFuncBuilder, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, Projection,
    UserDefinedLogicalNodeCore, WindowFrame, WindowFrameBound, WindowFrameUnits, cast, lit, when,
};

use headwater_exec::window_assign::{WINDOW_TIME_GAP_US, window_time_type};

use crate::node::SessionNode;

const AT: &str = "__session_at";
const UNTIL: &str = "__session_until";
const BEFORE: &str = "__session_before";
const BEGINS: &str = "__session_begins";
const NUMBER: &str = "__session_number";

/// Rewrites every session of a plan.
pub(crate) fn rewrite_session_rows(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Extension(extension) = &node else {
            return Ok(Transformed::no(node));
        };
        match extension.node.as_any().downcast_ref::<SessionNode>() {
            Some(session) => Ok(Transformed::yes(rows(session)?)),
            None => Ok(Transformed::no(node)),
        }
    })?;
    Ok(rewritten.data)
}

fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn all_columns(builder: &LogicalPlanBuilder) -> Vec<Expr> {
    let columns = builder.schema().columns().into_iter();
    columns.map(Expr::Column).collect()
}

fn rows(session: &SessionNode) -> Result<LogicalPlan> {
    let builder = numbered(session)?;
    let mut keys = session.partition_by.clone();
    keys.push(column(NUMBER));
    let start = over(min(column(AT)), keys.clone()).build()?;
    let end = over(max(column(UNTIL)), keys).build()?;
    let (start_column, end_column) = (result_of(&start), result_of(&end));
    let builder = builder.window(vec![start, end])?;
    let gap = IntervalMonthDayNano::new(0, 0, WINDOW_TIME_GAP_US * 1_000);
    let gap = lit(ScalarValue::IntervalMonthDayNano(Some(gap)));
    let columns = session.input.schema().columns().into_iter();
    let mut columns: Vec<Expr> = columns.map(Expr::Column).collect();
    columns.push(start_column.alias("window_start"));
    columns.push(end_column.clone().alias("window_end"));
    columns.push((end_column - gap).alias("window_time"));
    let schema = Arc::clone(session.schema());
    let plan = Arc::new(builder.build()?);
    Ok(LogicalPlan::Projection(Projection::try_new_with_schema(
        columns, plan, schema,
    )?))
}

/// The rows that are in a session, with the number of theirs among the sessions of their key.
fn numbered(session: &SessionNode) -> Result<LogicalPlanBuilder> {
    let builder = LogicalPlanBuilder::from(session.input.as_ref().clone());
    let mut columns = all_columns(&builder);
    let at = cast(session.time.clone(), window_time_type());
    columns.push(at.clone().alias(AT));
    columns.push((at + session.gap.clone()).alias(UNTIL));
    let builder = builder
        .project(columns)?
        .filter(column(UNTIL).gt(column(AT)))?;
    let in_order = vec![column(AT).sort(true, false)];
    let before = WindowFrame::new_bounds(
        WindowFrameUnits::Rows,
        WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
        WindowFrameBound::Preceding(ScalarValue::UInt64(Some(1))),
    );
    let latest_before = over(max(column(UNTIL)), session.partition_by.clone())
        .order_by(in_order.clone())
        .window_frame(before)
        .build()?;
    let builder = with_window(builder, latest_before, BEFORE)?;
    let begins = column(BEFORE).is_null().or(column(AT).gt(column(BEFORE)));
    let begins = when(begins, lit(1i64)).otherwise(lit(0i64))?;
    let mut columns = all_columns(&builder);
    columns.push(begins.alias(BEGINS));
    let builder = builder.project(columns)?;
    // Its frame is a RANGE: rows of one time are in one session, however a sort has put them.
    let number = over(sum(column(BEGINS)), session.partition_by.clone());
    with_window(builder, number.order_by(in_order).build()?, NUMBER)
}

/// A plan with the value of a window expression under a name.
fn with_window(
    builder: LogicalPlanBuilder,
    window: Expr,
    name: &str,
) -> Result<LogicalPlanBuilder> {
    let mut columns = all_columns(&builder);
    columns.push(result_of(&window).alias(name));
    builder.window(vec![window])?.project(columns)
}

/// The column in which DataFusion puts the value of a window expression.
fn result_of(window: &Expr) -> Expr {
    column(&window.schema_name().to_string())
}

fn over(aggregate: Expr, partition_by: Vec<Expr>) -> ExprFuncBuilder {
    let function = match aggregate {
        Expr::AggregateFunction(call) => {
            Expr::from(WindowFunction::new(call.func, call.params.args))
        }
        other => other,
    };
    function.partition_by(partition_by)
}
