//! One value into a column, if it fits: ranges, digits and text are looked at here. Each function
//! adds one value, whatever it gives back.

use crate::typed_column::Column;

/// What a value turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Value,
    Null,
    /// Not a value of the column's type; NULL stands for it.
    Misfit,
}

/// Appends NULL.
pub(crate) fn append_null(column: &mut Column) -> Outcome {
    column.append_null();
    Outcome::Null
}

/// Appends NULL for a value that does not fit.
pub(crate) fn misfit(column: &mut Column) -> Outcome {
    column.append_null();
    Outcome::Misfit
}

/// Appends a boolean.
pub(crate) fn push_boolean(column: &mut Column, value: bool) -> Outcome {
    match column {
        Column::Boolean(builder) => {
            builder.append_value(value);
            Outcome::Value
        }
        other => misfit(other),
    }
}

/// Appends a whole number; `None` is one that its conversion has lost.
#[inline]
pub(crate) fn push_integer(column: &mut Column, value: Option<i64>) -> Outcome {
    let Some(value) = value else {
        return misfit(column);
    };
    match column {
        Column::Int(values, least, greatest) => match i32::try_from(value) {
            Ok(value) if (*least..=*greatest).contains(&value) => values.push(value),
            _ => return misfit(column),
        },
        Column::Long(values, least, greatest) | Column::Narrow(values, least, greatest) => {
            if value < *least || value > *greatest {
                return misfit(column);
            }
            values.push(value);
        }
        Column::Unsigned(values) => match u64::try_from(value) {
            Ok(value) => values.push(value),
            Err(_) => return misfit(column),
        },
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole numbers become the nearest float"
        )]
        Column::Float(values) => values.push(value as f32),
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole numbers become the nearest double"
        )]
        Column::Double(values) => values.push(value as f64),
        other => return misfit(other),
    }
    Outcome::Value
}

/// Appends a whole number of 64 bits without a sign.
#[inline]
pub(crate) fn push_unsigned(column: &mut Column, value: u64) -> Outcome {
    match (column, i64::try_from(value)) {
        (column, Ok(value)) => push_integer(column, Some(value)),
        (Column::Unsigned(values), Err(_)) => {
            values.push(value);
            Outcome::Value
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole numbers become the nearest float"
        )]
        (column @ Column::Float(_), Err(_)) => push_float(column, value as f32),
        #[expect(
            clippy::cast_precision_loss,
            reason = "whole numbers become the nearest double"
        )]
        (column, Err(_)) => push_double(column, value as f64),
    }
}

/// Appends a float.
pub(crate) fn push_float(column: &mut Column, value: f32) -> Outcome {
    match column {
        Column::Float(values) => values.push(value),
        Column::Double(values) => values.push(value.into()),
        other => return misfit(other),
    }
    Outcome::Value
}

/// Appends a double.
pub(crate) fn push_double(column: &mut Column, value: f64) -> Outcome {
    match column {
        Column::Double(values) => values.push(value),
        other => return misfit(other),
    }
    Outcome::Value
}

/// Most bytes that a column of the old text and bytes types holds, whose ends are 32 bits.
const MAX_COLUMN_BYTES: usize = 0x7fff_ffff;

/// Appends bytes, or text of which the bytes are not looked at yet.
#[inline]
pub(crate) fn push_bytes(column: &mut Column, bytes: &[u8]) -> Outcome {
    match column {
        Column::TextView(builder) => match std::str::from_utf8(bytes) {
            Ok(text) => builder.append_value(text),
            Err(_) => return lost(column),
        },
        Column::Text(builder) => match std::str::from_utf8(bytes) {
            Ok(text) if has_room(builder.values_slice(), text.len()) => builder.append_value(text),
            _ => return lost(column),
        },
        Column::BytesView(builder) => builder.append_value(bytes),
        Column::Bytes(builder) if has_room(builder.values_slice(), bytes.len()) => {
            builder.append_value(bytes);
        }
        other => return misfit(other),
    }
    Outcome::Value
}

fn has_room(values: &[u8], more: usize) -> bool {
    values.len() + more <= MAX_COLUMN_BYTES
}

/// Appends what stands for a value that is lost with its record: a column of keys has no NULL.
pub(crate) fn lost(column: &mut Column) -> Outcome {
    match column {
        // Keys of maps are text.
        Column::TextView(builder) => builder.append_value(""),
        Column::Text(builder) => builder.append_value(""),
        other => other.append_null(),
    }
    Outcome::Misfit
}

/// Appends 16 bytes as the text of a UUID.
pub(crate) fn push_uuid(column: &mut Column, bytes: &[u8]) -> Outcome {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for digit in [byte >> 4, byte & 0xf] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    push_bytes(column, text.as_bytes())
}

/// Appends a decimal; `None` is one that its conversion has lost.
pub(crate) fn push_decimal(column: &mut Column, value: Option<i128>) -> Outcome {
    match (column, value) {
        (Column::Decimal(values, limit), Some(value)) if -*limit < value && value < *limit => {
            values.push(value);
            Outcome::Value
        }
        (other, _) => misfit(other),
    }
}

/// A whole number in two's complement, the highest byte first; no bytes are zero. `None` if it
/// needs more than 128 bits.
pub(crate) fn big_endian(bytes: &[u8]) -> Option<i128> {
    let is_negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let fill = if is_negative { 0xff } else { 0x00 };
    let surplus = bytes.len().saturating_sub(16);
    let (extra, kept) = bytes.split_at_checked(surplus)?;
    if extra.iter().any(|byte| *byte != fill) {
        return None;
    }
    let mut wide = [fill; 16];
    let start = 16 - kept.len();
    wide.get_mut(start..)?.copy_from_slice(kept);
    let value = i128::from_be_bytes(wide);
    // A sign that only the bytes cut off have told of.
    ((value < 0) == is_negative).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_whole_numbers() {
        let cases: [(&[u8], Option<i128>); 8] = [
            (&[], Some(0)),
            (&[0x00], Some(0)),
            (&[0xff], Some(-1)),
            (&[0x01, 0x00], Some(256)),
            (&[0x00, 0xff], Some(255)),
            (&[0xff; 20], Some(-1)),
            (&[0x01; 17], None),
            (
                &[0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
                None,
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(big_endian(bytes), expected, "{bytes:?}");
        }
    }
}
