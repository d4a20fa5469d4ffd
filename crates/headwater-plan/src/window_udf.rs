//! Spark's `window(ts, size[, slide[, offset]])` in GROUP BY and SELECT.
//!
//! The function has a result type and no evaluation of its own: the planner replaces every call
//! there by a [`crate::node::WindowNode`]. A call elsewhere is refused.
//! [`EVENT_TIME`] stands for a time column that the query does not name.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use headwater_exec::window_assign::window_time_type;

/// Name of the function.
pub const WINDOW: &str = "window";

/// Name of the function of sessions.
pub const SESSION_WINDOW: &str = "session_window";

/// Name of the function that stands for the event time of the rows, where windows are not told
/// their time column. The parser puts it there; it takes no arguments.
pub const EVENT_TIME: &str = "window_event_time";

/// The function that stands for the event time.
pub(crate) fn event_time_udf() -> ScalarUDF {
    ScalarUDF::from(EventTimeUdf {
        signature: Signature::nullary(Volatility::Immutable),
    })
}

/// `window(ts, size[, slide[, offset[, time zone]]])`.
pub fn window_udf() -> Arc<ScalarUDF> {
    udf(WINDOW)
}

/// `session_window(ts, gap)`.
pub fn session_window_udf() -> Arc<ScalarUDF> {
    udf(SESSION_WINDOW)
}

fn udf(name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::from(WindowUdf {
        name,
        signature: Signature::variadic_any(Volatility::Immutable),
    }))
}

/// Type of the result: `STRUCT<start TIMESTAMP, end TIMESTAMP>`.
pub fn window_struct() -> DataType {
    let field = |name: &str| Field::new(name, window_time_type(), true);
    DataType::Struct(Fields::from(vec![field("start"), field("end")]))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowUdf {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for WindowUdf {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if self.name == SESSION_WINDOW && arguments.len() != 2 {
            return plan_err!("session_window() takes a time column and a gap");
        }
        if !(2..=5).contains(&arguments.len()) {
            return plan_err!(
                "window() takes a time column, a size, and optionally a slide, an offset and a \
                 time zone"
            );
        }
        Ok(window_struct())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{}() is left in a plan that runs", self.name)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EventTimeUdf {
    signature: Signature,
}

impl ScalarUDFImpl for EventTimeUdf {
    fn name(&self) -> &str {
        EVENT_TIME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(window_time_type())
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("{EVENT_TIME}() is left in a plan that runs")
    }
}
