//! What the bits of a number mean.

use crate::protobuf::message_plan::Number;
use crate::protobuf::wire::unzigzag;
use crate::typed_column::Column;
use crate::typed_value::{
    Outcome, push_boolean, push_double, push_float, push_integer, push_unsigned,
};

/// Appends a number as what it means.
#[inline]
pub(crate) fn push_number(column: &mut Column, number: Number, raw: u64) -> Outcome {
    match number {
        Number::Int32 => push_integer(column, Some(low_32(raw).into())),
        Number::Int64 => push_integer(column, Some(raw.cast_signed())),
        Number::Uint32 => push_integer(column, Some(low_32(raw).cast_unsigned().into())),
        Number::Uint64 => push_unsigned(column, raw),
        Number::Sint32 => push_integer(column, Some(signed_32(raw))),
        Number::Sint64 => push_integer(column, Some(unzigzag(raw))),
        Number::Bool => push_boolean(column, raw != 0),
        Number::Float => push_float(column, float(raw)),
        Number::Double => push_double(column, f64::from_bits(raw)),
    }
}

/// A whole number as what it means; `None` for a fraction.
pub(crate) fn whole(number: Number, raw: u64) -> Option<i128> {
    Some(match number {
        Number::Int32 => low_32(raw).into(),
        Number::Int64 => raw.cast_signed().into(),
        Number::Uint32 => low_32(raw).cast_unsigned().into(),
        Number::Uint64 => raw.into(),
        Number::Sint32 => signed_32(raw).into(),
        Number::Sint64 => unzigzag(raw).into(),
        Number::Bool => i128::from(raw != 0),
        Number::Float | Number::Double => return None,
    })
}

/// A number in words, for messages.
pub(crate) fn shown_number(number: Number, raw: u64) -> String {
    match (whole(number, raw), number) {
        (Some(value), _) => value.to_string(),
        (None, Number::Float) => float(raw).to_string(),
        (None, _) => f64::from_bits(raw).to_string(),
    }
}

/// A number of 32 bits. A negative one is written with 64, and readers take the low ones.
#[inline]
pub(crate) fn low_32(raw: u64) -> i32 {
    #[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are meant")]
    let low = raw as u32;
    low.cast_signed()
}

fn signed_32(raw: u64) -> i64 {
    unzigzag(low_32(raw).cast_unsigned().into())
}

fn float(raw: u64) -> f32 {
    f32::from_bits(low_32(raw).cast_unsigned())
}
