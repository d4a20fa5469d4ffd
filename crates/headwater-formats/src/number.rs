//! Integers and floating-point numbers out of text, with fast paths for the short ones that make
//! up most data.

use crate::decimal::parse_scaled;

/// An integer; a fraction or an exponent is accepted if the value is whole (`2.0`, `1e3`).
pub(crate) fn parse_integer(text: &str) -> Option<i128> {
    parse_short_integer(text.as_bytes())
        .map(i128::from)
        .or_else(|| parse_scaled(text, 0)?.exact())
}

/// Digits that an integer of 64 bits holds, whatever they are.
pub(crate) const INTEGER_DIGITS_MAX: usize = 18;

/// Up to 18 digits with an optional minus sign, which nearly all integers are: cannot overflow.
#[inline]
pub(crate) fn parse_short_integer(bytes: &[u8]) -> Option<i64> {
    let (is_negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || digits.len() > INTEGER_DIGITS_MAX {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + i64::from(digit);
    }
    Some(if is_negative { -value } else { value })
}

/// A finite number; one too large for a double is refused rather than made infinite.
pub(crate) fn parse_double(text: &str) -> Option<f64> {
    if let Some(value) = parse_short_double(text.as_bytes()) {
        return Some(value);
    }
    let starts_as_number = matches!(
        text.as_bytes(),
        [b'0'..=b'9' | b'.', ..] | [b'-' | b'+', b'0'..=b'9' | b'.', ..]
    );
    let value: f64 = text.parse().ok()?;
    (starts_as_number && value.is_finite()).then_some(value)
}

/// A finite number that fits 32 bits.
pub(crate) fn parse_float(text: &str) -> Option<f32> {
    // Parsed on its own: going through a double would round twice.
    let value: f32 = text.parse().ok()?;
    let is_finite = parse_double(text).is_some() && value.is_finite();
    is_finite.then_some(value)
}

/// The names CSV files give to what is not a number.
pub(crate) fn parse_not_finite(text: &str) -> Option<f64> {
    match text {
        "NaN" | "nan" => Some(f64::NAN),
        "Infinity" | "inf" | "+Infinity" | "+inf" => Some(f64::INFINITY),
        "-Infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Powers of ten that a double holds exactly, as far as the fast path needs them.
const POWERS: [f64; 16] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
];

/// Digits that a double holds exactly.
pub(crate) const DOUBLE_DIGITS_MAX: usize = 15;

/// A number of up to [`DOUBLE_DIGITS_MAX`] digits, of which so many are behind the point: digits and
/// power are exact, so one division rounds right (Clinger's fast path).
#[inline]
pub(crate) fn scaled_down(digits: u64, decimals: usize) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "15 digits are below 2^53")]
    let digits = digits.cast_signed() as f64;
    Some(digits / POWERS.get(decimals)?)
}

/// At most 15 digits and no exponent.
fn parse_short_double(bytes: &[u8]) -> Option<f64> {
    let (is_negative, unsigned) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if unsigned.len() > 16 {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut digits = 0_usize;
    let mut digits_before_point = None;
    for byte in unsigned {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            mantissa = mantissa * 10 + u64::from(digit);
            digits += 1;
        } else if *byte == b'.' && digits_before_point.is_none() {
            digits_before_point = Some(digits);
        } else {
            return None;
        }
    }
    if digits == 0 || digits > DOUBLE_DIGITS_MAX {
        return None;
    }
    let value = scaled_down(mantissa, digits - digits_before_point.unwrap_or(digits))?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_are_read_or_refused() {
        let cases = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-42", Some(-42)),
            ("9223372036854775808", Some(9_223_372_036_854_775_808)),
            ("2.0", Some(2)),
            ("1e3", Some(1000)),
            ("2.5", None),
            ("", None),
            ("-", None),
            ("1 ", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_integer(text), expected, "{text:?}");
        }
    }

    #[test]
    fn doubles_are_finite() {
        for text in [
            "1e400",
            "NaN",
            "inf",
            "-infinity",
            "",
            ".",
            "-",
            "1.2.3",
            "0x1",
        ] {
            assert_eq!(parse_double(text), None, "{text:?}");
        }
        assert!(parse_double("-0.0").unwrap().is_sign_negative());
        assert_eq!(parse_float("1e39"), None);
    }

    proptest! {
        #[test]
        fn doubles_agree_with_the_standard_library(text in "-?[0-9]{1,18}(\\.[0-9]{1,8})?") {
            let expected: f64 = text.parse().unwrap();
            prop_assert_eq!(parse_double(&text).unwrap().to_bits(), expected.to_bits());
        }
    }
}
