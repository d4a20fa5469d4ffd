//! Functions on the struct `{start, end}` that `window()` is: made of two window columns, taken
//! apart again, and its time.
//!
//! The struct carries a mark of its own in its field's metadata, and what takes it apart gives
//! columns with the marks of a window. So `window.end` and `window_time(window)` of a subquery are
//! what `window_end` and `window_time` of a table function are.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StructArray, TimestampMicrosecondArray};
use datafusion::arrow::compute::{is_null, nullif};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, TimestampMicrosecondType};
use datafusion::common::{Result, internal_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use headwater_exec::window_assign::{WINDOW_TIME_GAP_US, window_time_type};

use crate::event_time_field::{
    WindowRole, mark_window, mark_window_struct, window_of, window_struct_of,
};
use crate::window_udf::window_struct;

const BOUNDS: &str = "window_bounds";

/// The struct of a window's start and end.
pub(crate) fn window_bounds(start: Expr, end: Expr) -> Expr {
    let function = ScalarUDF::from(BoundsUdf {
        signature: Signature::any(2, Volatility::Immutable),
    });
    function.call(vec![start, end])
}

/// A part of a window's struct.
pub(crate) fn window_part(role: WindowRole, of: Expr) -> Expr {
    part_udf(role).call(vec![of])
}

/// Spark's `window_time(window)`.
pub(crate) fn window_time_udf() -> ScalarUDF {
    part_udf(WindowRole::Time)
}

fn part_udf(role: WindowRole) -> ScalarUDF {
    ScalarUDF::from(PartUdf {
        role,
        signature: Signature::any(1, Volatility::Immutable),
    })
}

/// The column that a function of this module only puts together or takes apart.
pub(crate) fn argument_of_part(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::ScalarFunction(call) if is_bounds(expr) || is_part(expr) => call.args.first(),
        _ => None,
    }
}

/// Whether an expression puts a window's struct together.
pub(crate) fn is_bounds(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.name() == BOUNDS)
}

/// Whether an expression takes a window's struct apart.
pub(crate) fn is_part(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if part_role(call.func.name()).is_some())
}

/// The part that a function of this name takes out of a window's struct.
pub(crate) fn part_role(function: &str) -> Option<WindowRole> {
    let mut roles = [WindowRole::Start, WindowRole::End, WindowRole::Time].into_iter();
    roles.find(|role| part_name(*role) == function)
}

fn part_name(role: WindowRole) -> &'static str {
    match role {
        WindowRole::Start => "window_start_of",
        WindowRole::End => "window_end_of",
        WindowRole::Time => "window_time",
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BoundsUdf {
    signature: Signature,
}

impl ScalarUDFImpl for BoundsUdf {
    fn name(&self) -> &str {
        BOUNDS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(window_struct())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let field = Field::new(BOUNDS, window_struct(), false);
        let mark = args.arg_fields.first().and_then(|start| window_of(start));
        Ok(Arc::new(match mark {
            Some(mark) => mark_window_struct(field, &mark),
            None => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::Struct(fields) = window_struct() else {
            return internal_err!("a window is a struct");
        };
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let bounds = StructArray::try_new(fields, arrays, None)?;
        Ok(ColumnarValue::Array(Arc::new(bounds)))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PartUdf {
    role: WindowRole,
    signature: Signature,
}

impl ScalarUDFImpl for PartUdf {
    fn name(&self) -> &str {
        part_name(self.role)
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if *arguments != [window_struct()] {
            return plan_err!(
                "{}() takes the window of a GROUP BY window(…)",
                part_name(self.role)
            );
        }
        Ok(window_time_type())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<_> = args
            .arg_fields
            .iter()
            .map(|f| f.data_type().clone())
            .collect();
        let [window] = args.arg_fields else {
            return internal_err!("{} takes one argument", self.name());
        };
        let field = Field::new(self.name(), self.return_type(&types)?, window.is_nullable());
        Ok(Arc::new(match window_struct_of(window) {
            Some(mut mark) => {
                mark.role = self.role;
                mark_window(field, &mark)
            }
            None => field,
        }))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(window) = arrays.first().and_then(|a| a.as_struct_opt()) else {
            return internal_err!("{} takes a struct", self.name());
        };
        let part: ArrayRef = match self.role {
            WindowRole::Start => Arc::clone(window.column(0)),
            WindowRole::End => Arc::clone(window.column(1)),
            WindowRole::Time => {
                let ends = window.column(1).as_primitive::<TimestampMicrosecondType>();
                let time = |end: i64| end.saturating_sub(WINDOW_TIME_GAP_US);
                let times: TimestampMicrosecondArray = ends.unary(time);
                Arc::new(times)
            }
        };
        Ok(ColumnarValue::Array(match window.null_count() {
            0 => part,
            _ => nullif(&part, &is_null(window)?)?,
        }))
    }
}
