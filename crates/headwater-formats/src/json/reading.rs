//! Values read in one pass by the type of their column, where they look as nearly all of them do.
//!
//! [`Scanner::value`] finds where a value ends, and its column reads the text again. For integers,
//! doubles and times that is most of the work of a record, so they are read while their end is looked
//! for. What is unusual (an exponent, more digits than surely fit, a zone, a value of another kind) is
//! left to [`Scanner::value`]: this changes the speed and never the result.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::json::cell::JsonCell;
use crate::json::scanner::{NotJson, Scanner};
use crate::number::{DOUBLE_DIGITS_MAX, INTEGER_DIGITS_MAX, scaled_down};
use crate::time::DateMemory;
use crate::timestamp::{TimestampOptions, change_unit, to_units};

/// What the column of a value takes.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// Anything, or what has no short way.
    Any,
    /// An integer of up to 64 bits.
    Integer,
    /// A double.
    Double,
    /// A string.
    Text,
    /// A TIMESTAMP of a unit, as ISO 8601.
    Time(TimeUnit, DateMemory),
    /// A TIMESTAMP of the second unit, as a number of the first.
    Epoch(TimeUnit, TimeUnit),
}

impl Reading {
    /// That of a column.
    pub(crate) fn of(field: &Field, timestamps: &TimestampOptions) -> Reading {
        match field.data_type() {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => Reading::Integer,
            DataType::Float64 => Reading::Double,
            DataType::Utf8 | DataType::Utf8View => Reading::Text,
            DataType::Timestamp(unit, _) => match timestamps.unit() {
                Some(written) => Reading::Epoch(written, *unit),
                None if timestamps.are_default() => Reading::Time(*unit, DateMemory::default()),
                None => Reading::Any,
            },
            _ => Reading::Any,
        }
    }

    /// Reads a value into its cell; the scanner must be at its first byte.
    ///
    /// The cell is written where it is: to return one and copy it costs more than to read an integer.
    #[inline]
    pub(crate) fn read<'a>(
        &mut self,
        scanner: &mut Scanner<'a>,
        cell: &mut JsonCell<'a>,
    ) -> Result<(), NotJson> {
        let rest = scanner.rest();
        let after = match self {
            Reading::Any => None,
            Reading::Integer => integer(rest).map(|(value, after)| {
                *cell = JsonCell::Integer(value);
                after
            }),
            Reading::Double => double(rest).map(|(value, after)| {
                *cell = JsonCell::Double(value);
                after
            }),
            Reading::Text if rest.first() == Some(&b'"') => {
                let (text, has_escapes) = scanner.string()?;
                *cell = JsonCell::String { text, has_escapes };
                return Ok(());
            }
            Reading::Text => None,
            Reading::Time(unit, dates) => time(rest, *unit, dates).map(|(value, after)| {
                *cell = JsonCell::Time(value);
                after
            }),
            Reading::Epoch(written, unit) => integer(rest).and_then(|(value, after)| {
                *cell = JsonCell::Time(change_unit(value, *written, *unit)?);
                Some(after)
            }),
        };
        match after {
            Some(after) => scanner.skip_to(after),
            None => *cell = scanner.value()?,
        }
        Ok(())
    }
}

/// Whether a value can end before these bytes. At the end of a record none has to be read quickly.
#[inline]
fn ends_value(after: &[u8]) -> bool {
    matches!(
        after.first(),
        Some(b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r')
    )
}

/// The digits at the beginning as a number, how many they are, and what follows; `None` if they are
/// none or too many.
#[inline]
fn digits(bytes: &[u8], start: u64, digits_max: usize) -> Option<(u64, usize, &[u8])> {
    let mut value = start;
    let mut count = 0;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        if count == digits_max {
            return None;
        }
        value = value * 10 + u64::from(digit);
        count += 1;
    }
    (count > 0).then_some((value, count, bytes.get(count..)?))
}

/// The digits before a point, as JSON has them: without a zero in front.
#[inline]
fn whole(bytes: &[u8], digits_max: usize) -> Option<(u64, usize, &[u8])> {
    match bytes {
        [b'0', rest @ ..] => Some((0, 1, rest)),
        _ => digits(bytes, 0, digits_max),
    }
}

#[inline]
fn signed(bytes: &[u8]) -> (bool, &[u8]) {
    match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    }
}

#[inline]
fn integer(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (is_negative, unsigned) = signed(bytes);
    let (value, _, after) = whole(unsigned, INTEGER_DIGITS_MAX)?;
    let value = value.cast_signed();
    let value = if is_negative { -value } else { value };
    ends_value(after).then_some((value, after))
}

#[inline]
fn double(bytes: &[u8]) -> Option<(f64, &[u8])> {
    let (is_negative, unsigned) = signed(bytes);
    let (whole, digits_before, after) = whole(unsigned, DOUBLE_DIGITS_MAX)?;
    let (mantissa, decimals, after) = match after {
        [b'.', fraction @ ..] => digits(fraction, whole, DOUBLE_DIGITS_MAX - digits_before)?,
        _ => (whole, 0, after),
    };
    let value = scaled_down(mantissa, decimals)?;
    let value = if is_negative { -value } else { value };
    ends_value(after).then_some((value, after))
}

#[inline]
fn time<'a>(bytes: &'a [u8], unit: TimeUnit, dates: &mut DateMemory) -> Option<(i64, &'a [u8])> {
    let (instant, after) = dates.take_utc(bytes.strip_prefix(b"\"")?)?;
    let after = after.strip_prefix(b"\"")?;
    Some((to_units(instant, unit)?, after))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, ArrayRef};
    use proptest::prelude::*;

    use super::*;
    use crate::column_builder::ColumnBuilder;
    use crate::json::nested::json_column;
    use crate::row_collector::Cell;

    fn timestamps(unit: Option<TimeUnit>) -> TimestampOptions {
        unit.map_or_else(TimestampOptions::default, TimestampOptions::in_unit)
    }

    /// What a column makes of values that are read in one way or the other: where each ends, whether it
    /// fits, and the column.
    fn outcome(
        field: &Field,
        timestamps: &TimestampOptions,
        values: &[String],
        mut read: impl FnMut(&mut Scanner<'_>) -> Option<JsonCell<'static>>,
    ) -> (Vec<(Option<usize>, bool)>, ArrayRef) {
        let mut column = json_column(field, timestamps).unwrap();
        let mut ends = vec![];
        for value in values {
            let text: &'static str = format!("{value},").leak();
            let mut scanner = Scanner::new(text);
            match read(&mut scanner) {
                Some(cell) => {
                    let fits = cell.append_to(&mut column).is_ok();
                    ends.push((Some(scanner.rest().len()), fits));
                }
                None => ends.push((None, false)),
            }
        }
        (ends, column.finish().unwrap())
    }

    fn check(data_type: DataType, unit: Option<TimeUnit>, values: &[String]) {
        let field = Field::new("c", data_type, true);
        let timestamps = timestamps(unit);
        let mut reading = Reading::of(&field, &timestamps);
        let statics = |scanner: &mut Scanner<'_>| -> Scanner<'static> {
            let rest = std::str::from_utf8(scanner.rest()).unwrap().to_string();
            Scanner::new(rest.leak())
        };
        let slow = outcome(&field, &timestamps, values, |scanner| {
            let mut own = statics(scanner);
            let cell = own.value().ok()?;
            let rest = scanner.rest();
            scanner.skip_to(rest.get(rest.len() - own.rest().len()..)?);
            Some(cell)
        });
        let quick = outcome(&field, &timestamps, values, |scanner| {
            let mut own = statics(scanner);
            let mut cell = JsonCell::Null;
            reading.read(&mut own, &mut cell).ok()?;
            let rest = scanner.rest();
            scanner.skip_to(rest.get(rest.len() - own.rest().len()..)?);
            Some(cell)
        });
        assert_eq!(quick.0, slow.0, "{values:?} for {field:?}");
        assert_eq!(
            quick.1.to_data(),
            slow.1.to_data(),
            "{values:?} for {field:?}"
        );
    }

    fn check_all(values: &[String]) {
        use TimeUnit::{Microsecond, Millisecond, Nanosecond, Second};
        for data_type in [
            DataType::Int8,
            DataType::UInt8,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Utf8View,
            DataType::Boolean,
            DataType::Decimal128(10, 2),
        ] {
            check(data_type, None, values);
        }
        for unit in [Second, Millisecond, Microsecond, Nanosecond] {
            for written in [None, Some(Second), Some(Millisecond), Some(Nanosecond)] {
                check(DataType::Timestamp(unit, None), written, values);
            }
        }
    }

    #[test]
    fn what_is_unusual_is_read_as_ever() {
        let values = [
            "0",
            "-0",
            "00",
            "01",
            "-",
            "7",
            "-7",
            "255",
            "256",
            "999999999999999999",
            "9999999999999999999",
            "9223372036854775807",
            "123456789012345678",
            "1.5",
            "1.",
            ".5",
            "0.1",
            "-0.0",
            "0.30000000000000004",
            "123456789012345",
            "1234567890123456",
            "12345678901234.5",
            "123456789012345.6",
            "1e3",
            "1.5E-2",
            "1x",
            "tru",
            "true",
            "null",
            "\"\"",
            "\"a\"",
            "\"a\\n\"",
            "\"é\"",
            "\"",
            "{}",
            "[1]",
            "",
            "\"2026-01-01T00:00:08.517Z\"",
            "\"2026-01-01T00:00:08.517\"",
            "\"2026-01-01T23:59:59Z\"",
            "\"2026-01-02 23:59:59.123456789Z\"",
            "\"2026-01-02T24:00:00Z\"",
            "\"2026-02-30T00:00:00Z\"",
            "\"2026-01-02T00:00:00+01:00\"",
            "\"2026-01-02T00:00:00.1234567899Z\"",
            "\"2026-01-02T00:00:00.Z\"",
            "\"2026-01-02\"",
            "\"2026-01-02T00:00:00Zx\"",
            "\"2026-01-02T00:00:00Z",
            "\"9999-12-31T23:59:59.999Z\"",
            "\"1970-01-01T00:00:00Z\"",
            "\"0000-01-01T00:00:00Z\"",
            "\"\0\0\0\0\0\0\0\0\0\0T00:00:00Z\"",
            "1767225600000",
            "253402300800",
            "-62167219201",
            "253402300799999",
            "253402300800000",
        ];
        check_all(&values.map(String::from));
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_ever(values in proptest::collection::vec(
            "-?[0-9]{1,20}(\\.[0-9]{0,18})?([eE][0-9])?[ x]?", 1..20,
        )) {
            check_all(&values);
        }

        #[test]
        fn times_are_read_as_ever(values in proptest::collection::vec(
            "\"(2026|1969)-(02|12|13)-(28|29|3[01])[T ]([01][0-9]|2[34]):[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,11})?Z?\"?",
            1..20,
        )) {
            check_all(&values);
        }
    }
}
