//! Builders of scalar columns: what text, number or literal makes a value of which type.
//!
//! | column | JSON | CSV |
//! | --- | --- | --- |
//! | integers | a number without a fraction (`2`, `2.0`, `1e3`) | the same as text |
//! | DOUBLE, FLOAT | a number within range | the same as text, `NaN`, `Infinity`, `-Infinity` |
//! | DECIMAL | a number, or a string with one; rounded half up | the same as text |
//! | BOOLEAN | `true`, `false` | the same as text, in any case |
//! | VARCHAR | a string | any text |
//! | BYTEA | a string of hexadecimal digits | the same as text |
//! | DATE | a string `YYYY-MM-DD` | the same as text |
//! | TIMESTAMP | see [`crate::timestamp`] | the same as text |
//!
//! Anything else is bad. In particular a string with a number in it is no number and a number is
//! no string: arrow-json converts both, and makes 1 of 1.5 for an integer column.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BinaryViewBuilder, BooleanBuilder, PrimitiveBuilder, StringBuilder,
    StringViewBuilder,
};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Field, Float32Type, Int8Type,
    Int16Type, Int32Type, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use headwater_core::Result;

use crate::builder::Builder;
use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::decimal::parse_scaled;
use crate::number::{
    parse_double, parse_float, parse_integer, parse_not_finite, parse_short_integer,
};
use crate::time::parse_date;
use crate::timestamp::TimestampOptions;

/// The builder of a scalar column; `None` if the type is not scalar or not supported.
pub(crate) fn scalar_column(field: &Field, timestamps: &TimestampOptions) -> Option<Builder> {
    let data_type = field.data_type();
    Some(match data_type {
        DataType::Boolean => Builder::other(BooleanBuilder::new()),
        DataType::Int8 => integers::<Int8Type>(data_type),
        DataType::Int16 => integers::<Int16Type>(data_type),
        DataType::Int32 => integers::<Int32Type>(data_type),
        DataType::Int64 => Builder::long(data_type, integer),
        DataType::UInt8 => integers::<UInt8Type>(data_type),
        DataType::UInt16 => integers::<UInt16Type>(data_type),
        DataType::UInt32 => integers::<UInt32Type>(data_type),
        DataType::UInt64 => integers::<UInt64Type>(data_type),
        DataType::Float32 => primitives::<Float32Type>(data_type, float),
        DataType::Float64 => Builder::double(double),
        DataType::Decimal128(precision, scale) => {
            let (scale, limit) = (
                i32::from(*scale),
                10_i128.checked_pow(u32::from(*precision))?,
            );
            let parse = move |value: Value<'_>| decimal(value, scale, limit);
            primitives::<Decimal128Type>(data_type, parse)
        }
        DataType::Date32 => primitives::<Date32Type>(data_type, date),
        DataType::Timestamp(unit, _) => {
            let (unit, options) = (*unit, timestamps.clone());
            Builder::long(data_type, move |value| timestamp(value, unit, &options))
        }
        DataType::Utf8 => Builder::other(StringBuilder::new()),
        DataType::Utf8View => Builder::Text(StringViewBuilder::new()),
        DataType::Binary => Builder::other(BinaryBuilder::new()),
        DataType::BinaryView => Builder::other(BinaryViewBuilder::new()),
        _ => return None,
    })
}

fn integers<T>(data_type: &DataType) -> Builder
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i64> + TryFrom<i128>,
{
    primitives::<T>(data_type, integer::<T::Native>)
}

fn integer<T>(value: Value<'_>) -> Option<T>
where
    T: TryFrom<i64> + TryFrom<i128>,
{
    if let Value::Integer(value) = value {
        return T::try_from(value).ok();
    }
    let text = number_text(value)?;
    match parse_short_integer(text.as_bytes()) {
        Some(short) => T::try_from(short).ok(),
        None => T::try_from(parse_integer(text)?).ok(),
    }
}

fn primitives<T: ArrowPrimitiveType>(
    data_type: &DataType,
    parse: impl Fn(Value<'_>) -> Option<T::Native> + Send + 'static,
) -> Builder {
    Builder::other(PrimitiveColumn {
        builder: PrimitiveBuilder::<T>::new().with_data_type(data_type.clone()),
        parse,
    })
}

struct PrimitiveColumn<T: ArrowPrimitiveType, P> {
    builder: PrimitiveBuilder<T>,
    parse: P,
}

impl<T, P> ColumnBuilder for PrimitiveColumn<T, P>
where
    T: ArrowPrimitiveType,
    P: Fn(Value<'_>) -> Option<T::Native> + Send,
{
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        if let Some(native) = (self.parse)(value) {
            self.builder.append_value(native);
            Ok(())
        } else {
            self.builder.append_null();
            Err(Mismatch)
        }
    }

    fn append_null(&mut self) {
        self.builder.append_null();
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.builder.finish()))
    }
}

/// The same few lines for the builders that Arrow has no common trait for. `finish` leaves a fresh
/// builder behind, because a view builder keeps the block size it has grown to and would reserve
/// that much for every later batch.
macro_rules! builder_column {
    ($builder:ty, $parse:path) => {
        impl ColumnBuilder for $builder {
            fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
                if let Some(native) = $parse(value) {
                    self.append_value(native);
                    Ok(())
                } else {
                    <$builder>::append_null(self);
                    Err(Mismatch)
                }
            }

            fn append_null(&mut self) {
                <$builder>::append_null(self);
            }

            fn finish(&mut self) -> Result<ArrayRef> {
                let mut full = std::mem::replace(self, <$builder>::new());
                Ok(Arc::new(<$builder>::finish(&mut full)))
            }
        }
    };
}

builder_column!(BooleanBuilder, boolean);
builder_column!(StringBuilder, string);
builder_column!(StringViewBuilder, string);
builder_column!(BinaryBuilder, binary);
builder_column!(BinaryViewBuilder, binary);

/// The text of what may be a number.
fn number_text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Number(text) => Some(text),
        Value::Field(text) => Some(text.trim_ascii()),
        _ => None,
    }
}

/// The text of what may be given as a string.
fn string(value: Value<'_>) -> Option<&str> {
    match value {
        Value::String(text) | Value::Field(text) => Some(text),
        _ => None,
    }
}

fn boolean(value: Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(value),
        Value::Field(text) if text.trim_ascii().eq_ignore_ascii_case("true") => Some(true),
        Value::Field(text) if text.trim_ascii().eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn double(value: Value<'_>) -> Option<f64> {
    if let Value::Double(value) = value {
        return Some(value);
    }
    let text = number_text(value)?;
    match value {
        Value::Field(_) => parse_double(text).or_else(|| parse_not_finite(text)),
        _ => parse_double(text),
    }
}

fn float(value: Value<'_>) -> Option<f32> {
    let text = number_text(value)?;
    match value {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "NaN and infinity have both sizes"
        )]
        Value::Field(_) => parse_float(text).or_else(|| Some(parse_not_finite(text)? as f32)),
        _ => parse_float(text),
    }
}

fn decimal(value: Value<'_>, scale: i32, limit: i128) -> Option<i128> {
    let text = number_text(value).or_else(|| string(value))?;
    let rounded = parse_scaled(text, scale)?.rounded();
    (rounded > -limit && rounded < limit).then_some(rounded)
}

fn date(value: Value<'_>) -> Option<i32> {
    match value {
        Value::Field(text) => parse_date(text.trim_ascii()),
        _ => parse_date(string(value)?),
    }
}

fn timestamp(value: Value<'_>, unit: TimeUnit, options: &TimestampOptions) -> Option<i64> {
    match value {
        Value::Time(value) => Some(value),
        Value::String(text) => options.read_text(text, unit),
        Value::Number(text) => options.read_number(text, unit),
        Value::Field(text) => {
            let text = text.trim_ascii();
            let number = options.read_number(text, unit);
            number.or_else(|| options.read_text(text, unit))
        }
        _ => None,
    }
}

fn binary(value: Value<'_>) -> Option<Vec<u8>> {
    hex_bytes(string(value)?)
}

/// The bytes that hexadecimal digits say.
pub(crate) fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(hex_digit(*high)? << 4 | hex_digit(*low)?))
        .collect()
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}
