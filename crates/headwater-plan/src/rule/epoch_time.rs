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
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::expr_fn::cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};

use headwater_core::event_time::EventTime;

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
/// If an expression cannot be rewritten.
pub(crate) fn rewrite_epoch_time(plan: LogicalPlan, time: &EpochTime) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let rewritten = expr.transform_up(|expr| Ok(of_epoch(expr, time)))?;
            Ok(rewritten.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(rewritten.data)
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
