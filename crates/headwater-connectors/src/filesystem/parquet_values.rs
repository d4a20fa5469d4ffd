//! Values of a Parquet file as they were declared, and those that are none of the declared type.
//!
//! A file says what it holds, so a value is never changed without a word: one that is too large, or
//! that has digits for which the declared type has no place, is bad. (Text says nothing of its type;
//! the other formats round its decimals and cut its seconds off.) A DOUBLE becomes the nearest REAL.

use arrow::array::{Array, ArrayRef, BooleanArray, make_array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options, is_not_null, is_null};
use arrow::compute::{and, or};
use arrow::datatypes::{DataType, FieldRef, TimeUnit};
use arrow::error::ArrowError;

/// Whether values of the one type are values of the other, as far as they are not too large and
/// have no digits too many.
pub(super) fn is_of_a_kind(found: &DataType, declared: &DataType) -> bool {
    let both = |is: &dyn Fn(&DataType) -> bool| is(found) && is(declared);
    found == declared
        || has_all_values_of(found, declared)
        || both(&DataType::is_integer)
        || both(&DataType::is_decimal)
        || both(&|t| matches!(t, DataType::Date32 | DataType::Date64))
        || both(&|t| matches!(t, DataType::Time32(_) | DataType::Time64(_)))
        || both(&|t| matches!(t, DataType::Timestamp(..)))
        || both(&DataType::is_nested) && can_cast_types(found, declared) && fits(found, declared)
}

/// Whether the declared type has a form for every value of a type of another kind of memory.
fn has_all_values_of(found: &DataType, declared: &DataType) -> bool {
    let is_text = |t: &DataType| {
        let plain = matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        plain || matches!(t, DataType::Dictionary(_, v) if v.is_string())
    };
    let both = |is: &dyn Fn(&DataType) -> bool| is(found) && is(declared);
    both(&is_text) || both(&DataType::is_floating) || both(&DataType::is_binary)
}

/// Whether no value within a nested type can have digits too many: it could not be told which.
fn fits(found: &DataType, declared: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List, Map, Struct};
    let fit = |found: &FieldRef, declared: &FieldRef| fits(found.data_type(), declared.data_type());
    match (found, declared) {
        (
            List(found) | LargeList(found) | FixedSizeList(found, _),
            List(declared) | LargeList(declared) | FixedSizeList(declared, _),
        )
        | (Map(found, _), Map(declared, _)) => fit(found, declared),
        (Struct(found), Struct(declared)) => (declared.iter().enumerate()).all(|(place, field)| {
            let by_name = found.find(field.name()).map(|(_, found)| found);
            let found = by_name.or_else(|| found.get(place));
            found.is_none_or(|found| fit(found, field))
        }),
        _ => found == declared || has_all_values_of(found, declared) || is_finer(found, declared),
    }
}

/// Whether the declared type has a place for every digit of the other one.
fn is_finer(found: &DataType, declared: &DataType) -> bool {
    use DataType::{Date32, Date64, Time32, Time64, Timestamp};
    match (found, declared) {
        (Timestamp(found, _), Timestamp(declared, _))
        | (Time32(found) | Time64(found), Time32(declared) | Time64(declared)) => {
            digits(*declared) >= digits(*found)
        }
        (Date64, Date32) => false,
        _ => match (scale(found), scale(declared)) {
            (Some(found), Some(declared)) => declared >= found,
            _ => true,
        },
    }
}

fn digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

/// A column in the declared type, which is of its kind, and the rows whose value that type does not
/// have; these hold anything.
///
/// # Errors
/// If a value within a nested one is too large.
pub(super) fn as_declared(
    column: &ArrayRef,
    declared: &DataType,
) -> Result<(ArrayRef, Option<BooleanArray>), ArrowError> {
    let found = column.data_type();
    if found == declared {
        return Ok((ArrayRef::clone(column), None));
    }
    if found.is_nested() || has_all_values_of(found, declared) {
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        return Ok((cast_with_options(column, declared, &options)?, None));
    }
    let values = cast(column, declared)?;
    // Time zones move the values of some casts; how fine and how large they may be is the same.
    let before = without_zone(column)?;
    let after = cast(&before, &type_without_zone(declared))?;
    let back = cast(&after, before.data_type())?;
    let is_gone = and(&is_null(&values)?, &is_not_null(column)?)?;
    let is_lost = or(&distinct(&back, &before)?, &is_gone)?;
    Ok((values, is_lost.has_true().then_some(is_lost)))
}

fn without_zone(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let data_type = type_without_zone(column.data_type());
    if data_type == *column.data_type() {
        return Ok(ArrayRef::clone(column));
    }
    let data = column.to_data().into_builder().data_type(data_type);
    Ok(make_array(data.build()?))
}

fn type_without_zone(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, None),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        AsArray, Date64Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        Time64NanosecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::{Field, Fields};

    use super::*;

    /// Which rows are lost.
    fn lost(column: &ArrayRef, declared: &DataType) -> Vec<usize> {
        assert!(is_of_a_kind(column.data_type(), declared), "{declared}");
        let (values, lost) = as_declared(column, declared).unwrap();
        assert_eq!(values.data_type(), declared);
        let lost = lost.iter().flat_map(|lost| lost.values().set_indices());
        lost.collect()
    }

    #[test]
    fn values_that_would_lose_digits_are_told() {
        let decimals = Decimal128Array::from(vec![Some(1000), Some(1005), None, Some(-1)]);
        let decimals: ArrayRef = Arc::new(decimals.with_precision_and_scale(10, 3).unwrap());
        assert_eq!(lost(&decimals, &DataType::Decimal128(10, 2)), [1, 3]);
        assert_eq!(lost(&decimals, &DataType::Decimal128(3, 3)), [0, 1]);
        assert_eq!(lost(&decimals, &DataType::Decimal128(12, 5)), [0; 0]);

        let nanos = vec![Some(1_000), Some(1_001), None, Some(-1), Some(-2_000)];
        let micros =
            |zone: Option<&str>| DataType::Timestamp(TimeUnit::Microsecond, zone.map(Into::into));
        let times = TimestampNanosecondArray::from(nanos);
        let zoned: ArrayRef = Arc::new(times.clone().with_timezone("+02:00"));
        let times: ArrayRef = Arc::new(times);
        assert_eq!(lost(&times, &micros(None)), [1, 3]);
        assert_eq!(lost(&zoned, &micros(None)), [1, 3]);
        assert_eq!(lost(&zoned, &micros(Some("+00:00"))), [1, 3]);

        let of_day: ArrayRef = Arc::new(Time64NanosecondArray::from(vec![5_000, 5_001]));
        let micros = DataType::Time64(TimeUnit::Microsecond);
        assert_eq!(lost(&of_day, &micros), [1]);
        let days: ArrayRef = Arc::new(Date64Array::from(vec![86_400_000, 86_400_001]));
        assert_eq!(lost(&days, &DataType::Date32), [1]);
    }

    #[test]
    fn values_that_are_too_large_are_told_and_others_are_taken() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), Some(1 << 40), None]));
        assert_eq!(lost(&numbers, &DataType::Int32), [1]);
        assert_eq!(lost(&numbers, &DataType::UInt64), [0; 0]);
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![0.1]));
        assert_eq!(lost(&floats, &DataType::Float32), [0; 0]);
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let (views, _) = as_declared(&texts, &DataType::Utf8View).unwrap();
        assert_eq!(views.as_string_view().value(0), "a");
    }

    #[test]
    fn nested_values_may_not_lose_any() {
        let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
        let row =
            |item: DataType| DataType::Struct(Fields::from(vec![Field::new("a", item, true)]));
        let decimal = |scale| DataType::Decimal128(10, scale);
        for nested in [&list as &dyn Fn(DataType) -> DataType, &row, &|t| {
            list(row(t))
        }] {
            assert!(is_of_a_kind(&nested(decimal(2)), &nested(decimal(3))));
            assert!(!is_of_a_kind(&nested(decimal(3)), &nested(decimal(2))));
            assert!(is_of_a_kind(
                &nested(DataType::Utf8),
                &nested(DataType::Utf8View)
            ));
        }
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        let millis = DataType::Timestamp(TimeUnit::Millisecond, None);
        assert!(is_of_a_kind(&list(seconds.clone()), &list(millis.clone())));
        assert!(!is_of_a_kind(&list(millis), &list(seconds)));
    }
}
