//! What may be stored in a column of another type without a CAST.
//!
//! ```text
//! the query gives      a sink's column may be
//! NULL                 anything
//! anything             VARCHAR
//! an integer           any integer, a DECIMAL, DOUBLE; FLOAT if it has 16 bits at most
//! a DECIMAL            a DECIMAL with as many digits behind the point, DOUBLE; FLOAT of 6 digits
//! FLOAT                DOUBLE
//! DATE                 a TIMESTAMP
//! a TIMESTAMP          a TIMESTAMP of any precision, with a time zone or without
//! STRUCT, ARRAY, MAP   the same, if what is inside may be stored; no field is left out
//! ```
//!
//! A number that is too large for its column fails when it comes. What fails over no row and loses a
//! part of the value without a word takes a CAST, by which the user says so: as in the SQL standard's
//! store assignment, but for rounding, which the standard leaves to the system. A number that is
//! written in the statement is looked at itself: `2.0` goes into a BIGINT, and `2.7` does not.

use datafusion::arrow::datatypes::{DataType, Fields};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan};

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Number {
    Integer { bits: usize },
    Decimal { precision: u8, scale: i8 },
    Float { bits: usize },
}

fn number(data_type: &DataType) -> Option<Number> {
    let bits = 8 * data_type.primitive_width().unwrap_or_default();
    Some(match data_type {
        t if t.is_integer() => Number::Integer { bits },
        t if t.is_floating() => Number::Float { bits },
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Number::Decimal {
            precision: *precision,
            scale: *scale,
        },
        _ => return None,
    })
}

/// Whether both are types of numbers.
pub(crate) fn are_numbers(from: &DataType, to: &DataType) -> bool {
    number(from).is_some() && number(to).is_some()
}

/// Whether a column may be stored as another type without the user's CAST: no value loses a part.
pub(crate) fn can_be_stored(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    if let (Some(from), Some(to)) = (number(from), number(to)) {
        return number_can_be_stored(from, to);
    }
    match (from, to) {
        (T::Dictionary(_, from), to) => can_be_stored(from, to),
        (from, T::Dictionary(_, to)) => can_be_stored(from, to),
        // What JSON gives is one of several types, and CAST picks it.
        (T::Null | T::Union(..), _)
        | (_, T::Utf8 | T::LargeUtf8 | T::Utf8View)
        | (T::Date32 | T::Date64, T::Date32 | T::Date64 | T::Timestamp(..))
        | (T::Timestamp(..), T::Timestamp(..))
        | (T::Time32(_) | T::Time64(_), T::Time32(_) | T::Time64(_)) => true,
        (from, T::Binary | T::LargeBinary | T::BinaryView) => from.is_binary(),
        (T::Struct(from), T::Struct(to)) => fields_can_be_stored(from, to),
        (T::Map(from, _), T::Map(to, _)) => match (from.data_type(), to.data_type()) {
            (T::Struct(from), T::Struct(to)) => {
                let mut parts = from.iter().zip(to);
                parts.all(|(from, to)| can_be_stored(from.data_type(), to.data_type()))
            }
            _ => from == to,
        },
        (
            T::List(from) | T::LargeList(from) | T::FixedSizeList(from, _),
            T::List(to) | T::LargeList(to),
        ) => can_be_stored(from.data_type(), to.data_type()),
        _ => from == to,
    }
}

/// CAST finds fields by their names, and leaves out those that are not asked for.
fn fields_can_be_stored(from: &Fields, to: &Fields) -> bool {
    from.iter().all(|from| {
        let to = to.find(from.name());
        to.is_some_and(|(_, to)| can_be_stored(from.data_type(), to.data_type()))
    })
}

fn number_can_be_stored(from: Number, to: Number) -> bool {
    match (from, to) {
        (Number::Integer { .. }, Number::Integer { .. })
        | (Number::Integer { .. } | Number::Decimal { .. }, Number::Float { bits: 64 }) => true,
        (Number::Integer { bits }, Number::Float { bits: of_float }) => 2 * bits <= of_float,
        (Number::Integer { .. }, Number::Decimal { scale, .. }) => scale >= 0,
        (Number::Decimal { scale, .. }, Number::Integer { .. }) => scale <= 0,
        (Number::Decimal { scale: from, .. }, Number::Decimal { scale: to, .. }) => from <= to,
        (Number::Decimal { precision, .. }, Number::Float { bits }) => bits == 32 && precision <= 6,
        (Number::Float { bits: from }, Number::Float { bits: to }) => from <= to,
        (Number::Float { .. }, Number::Integer { .. } | Number::Decimal { .. }) => false,
    }
}

/// The values of a column of a plan, row by row, if they are all written in the statement.
pub(crate) fn written_values(plan: &LogicalPlan, column: usize) -> Option<Vec<ScalarValue>> {
    match plan {
        LogicalPlan::Values(values) => {
            let rows = values.values.iter();
            rows.map(|row| written_value(row.get(column)?)).collect()
        }
        LogicalPlan::Projection(projection) => match projection.expr.get(column)? {
            Expr::Column(name) => {
                let input = projection.input.schema();
                let place = input.maybe_index_of_column(name)?;
                written_values(&projection.input, place)
            }
            expr => Some(vec![written_value(expr)?]),
        },
        LogicalPlan::Union(union) => {
            let inputs = union.inputs.iter();
            let values: Option<Vec<_>> = inputs.map(|i| written_values(i, column)).collect();
            Some(values?.concat())
        }
        LogicalPlan::SubqueryAlias(alias) => written_values(&alias.input, column),
        LogicalPlan::Sort(sort) => written_values(&sort.input, column),
        LogicalPlan::Limit(limit) => written_values(&limit.input, column),
        LogicalPlan::Filter(filter) => written_values(&filter.input, column),
        _ => None,
    }
}

/// The value of a literal. A row of `VALUES` is cast to the type that holds those of all rows.
fn written_value(expr: &Expr) -> Option<ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value.clone()),
        Expr::Alias(alias) => written_value(&alias.expr),
        Expr::Negative(expr) => written_value(expr)?.arithmetic_negate().ok(),
        Expr::Cast(cast) => written_value(&cast.expr)?
            .cast_to(cast.field.data_type())
            .ok(),
        _ => None,
    }
}

/// Whether a column of numbers of a type holds this one. A FLOAT and a DOUBLE round what is written.
pub(crate) fn holds(to: &DataType, value: &ScalarValue) -> bool {
    if value.is_null() {
        return true;
    }
    let Ok(stored) = value.cast_to(to) else {
        return false;
    };
    if to.is_floating() {
        let stored = stored.cast_to(&DataType::Float64);
        return matches!(stored, Ok(ScalarValue::Float64(Some(f))) if f.is_finite());
    }
    let back = stored.cast_to(&value.data_type());
    back.is_ok_and(|back| back == *value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{Field, TimeUnit};

    use super::*;

    #[test]
    fn what_loses_nothing_may_be_stored() {
        use DataType as T;
        let decimal = |p, s| T::Decimal128(p, s);
        let time = |unit| T::Timestamp(unit, None);
        let zoned = T::Timestamp(TimeUnit::Millisecond, Some("+00:00".into()));
        let list = |t: DataType| T::List(Arc::new(Field::new("item", t, true)));
        let row = |parts: &[(&str, DataType)]| {
            let field = |(name, t): &(&str, DataType)| Field::new(*name, t.clone(), true);
            T::Struct(parts.iter().map(field).collect())
        };
        let cases = [
            (T::Null, T::Int8, true),
            (T::Int8, T::Int64, true),
            // Too large a number fails when it comes.
            (T::Int64, T::Int8, true),
            (T::UInt64, T::Int64, true),
            (T::Int16, T::Float32, true),
            (T::Int32, T::Float32, false),
            (T::Int64, T::Float64, true),
            (T::Int64, decimal(10, 2), true),
            (decimal(10, 2), decimal(12, 2), true),
            (decimal(12, 2), decimal(10, 4), true),
            (decimal(10, 4), decimal(12, 2), false),
            (decimal(10, 0), T::Int64, true),
            (decimal(10, 2), T::Int64, false),
            (decimal(10, 2), T::Float64, true),
            (decimal(6, 2), T::Float32, true),
            (decimal(7, 2), T::Float32, false),
            (T::Float32, T::Float64, true),
            (T::Float64, T::Float32, false),
            (T::Float64, T::Int64, false),
            (T::Float64, decimal(38, 10), false),
            (T::Boolean, T::Int64, false),
            (T::Int64, T::Boolean, false),
            (T::Int64, T::Utf8, true),
            (T::Utf8, T::Int64, false),
            (T::Utf8, T::Utf8View, true),
            (T::Utf8, T::Binary, false),
            (T::Binary, T::BinaryView, true),
            (T::Date32, time(TimeUnit::Microsecond), true),
            (time(TimeUnit::Microsecond), T::Date32, false),
            (time(TimeUnit::Microsecond), T::Int64, false),
            (T::Int64, time(TimeUnit::Microsecond), false),
            (
                time(TimeUnit::Microsecond),
                time(TimeUnit::Millisecond),
                true,
            ),
            (time(TimeUnit::Microsecond), zoned, true),
            (list(T::Int32), list(T::Int64), true),
            (list(T::Float64), list(T::Int64), false),
            (list(T::Int64), T::Int64, false),
            (
                row(&[("a", T::Int32)]),
                row(&[("a", T::Int64), ("b", T::Utf8)]),
                true,
            ),
            (
                row(&[("a", T::Int64), ("b", T::Utf8)]),
                row(&[("a", T::Int64)]),
                false,
            ),
            (row(&[("a", T::Float64)]), row(&[("a", T::Int64)]), false),
        ];
        for (from, to, expected) in cases {
            assert_eq!(can_be_stored(&from, &to), expected, "{from} to {to}");
        }
    }

    #[test]
    fn a_number_that_is_written_is_looked_at_itself() {
        let float = |f| ScalarValue::Float64(Some(f));
        let int = |i| ScalarValue::Int64(Some(i));
        let decimal = DataType::Decimal128(10, 2);
        let cases = [
            (float(2.0), DataType::Int64, true),
            (float(2.7), DataType::Int64, false),
            (float(f64::NAN), DataType::Int64, false),
            (ScalarValue::Float64(None), DataType::Int64, true),
            (float(1.15), decimal.clone(), true),
            (float(-0.07), decimal.clone(), true),
            (float(1.155), decimal.clone(), false),
            (int(12_345_678), decimal.clone(), true),
            (int(123_456_789), decimal, false),
            (int(300), DataType::Int8, false),
            (int(-1), DataType::UInt8, false),
            (float(0.1), DataType::Float32, true),
            (float(1e300), DataType::Float32, false),
        ];
        for (value, to, expected) in cases {
            assert_eq!(holds(&to, &value), expected, "{value} in {to}");
        }
    }
}
