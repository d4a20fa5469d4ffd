//! Exact decimal numbers out of text: for DECIMAL columns, for integers written as `1e3` or
//! `2.0`, and for timestamps given as numbers.

/// A number times a power of ten, cut to an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scaled {
    /// The integer, cut towards zero.
    value: i128,
    /// Whether the text has a minus sign.
    is_negative: bool,
    /// The first digit cut off.
    next_digit: u8,
    /// Whether nothing but zeros was cut off.
    is_exact: bool,
}

impl Scaled {
    /// The integer, if nothing was lost.
    pub(crate) fn exact(self) -> Option<i128> {
        self.is_exact.then_some(self.value)
    }

    /// The nearest integer, halves away from zero, as SQL rounds decimals.
    pub(crate) fn rounded(self) -> i128 {
        match (self.next_digit >= 5, self.is_negative) {
            (false, _) => self.value,
            (true, false) => self.value.saturating_add(1),
            (true, true) => self.value.saturating_sub(1),
        }
    }

    /// The integer at or below.
    pub(crate) fn floor(self) -> i128 {
        if self.is_negative && !self.is_exact {
            self.value.saturating_sub(1)
        } else {
            self.value
        }
    }
}

/// Reads `[+-]digits[.digits][e[+-]digits]` times `10^scale`; `None` if it is no such text or
/// does not fit 128 bits.
pub(crate) fn parse_scaled(text: &str, scale: i32) -> Option<Scaled> {
    let (is_negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let exponent_at = unsigned.iter().position(|b| matches!(b, b'e' | b'E'));
    let (mantissa, exponent) = match exponent_at {
        Some(at) => (
            unsigned.get(..at)?,
            parse_exponent(unsigned.get(at + 1..)?)?,
        ),
        None => (unsigned, 0),
    };
    let point = mantissa.iter().position(|b| *b == b'.');
    let (whole, fraction) = match point {
        Some(at) => (mantissa.get(..at)?, mantissa.get(at + 1..)?),
        None => (mantissa, &[][..]),
    };
    let mut digits = whole.iter().chain(fraction);
    if (whole.is_empty() && fraction.is_empty()) || !digits.all(u8::is_ascii_digit) {
        return None;
    }
    let digits = whole.iter().chain(fraction).map(|b| b - b'0');
    let kept = i64::try_from(whole.len()).ok()? + i64::from(exponent) + i64::from(scale);
    cut(digits, kept, is_negative)
}

/// Clamped: a number with such an exponent is zero or does not fit anyway.
fn parse_exponent(bytes: &[u8]) -> Option<i32> {
    let (sign, digits) = match bytes {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = digits.iter().fold(0_i32, |size, digit| {
        (size * 10 + i32::from(digit - b'0')).min(100_000_000)
    });
    Some(sign * size)
}

/// The integer of the first `kept` digits, zeros added if there are fewer.
fn cut(digits: impl Iterator<Item = u8>, kept: i64, is_negative: bool) -> Option<Scaled> {
    let mut value: i128 = 0;
    let mut next_digit = 0;
    let mut is_exact = true;
    let mut at: i64 = 0;
    for digit in digits {
        if at < kept {
            value = value.checked_mul(10)?.checked_add(i128::from(digit))?;
        } else {
            if at == kept {
                next_digit = digit;
            }
            is_exact &= digit == 0;
        }
        at += 1;
    }
    while at < kept && value != 0 {
        value = value.checked_mul(10)?;
        at += 1;
    }
    Some(Scaled {
        value: if is_negative { -value } else { value },
        is_negative,
        next_digit,
        is_exact,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_to_scaled_integers() {
        // text, scale, exact, rounded, floor
        let cases = [
            ("0", 0, Some(0), 0, 0),
            ("-0.0", 0, Some(0), 0, 0),
            ("12.345", 2, None, 1235, 1234),
            ("-12.345", 2, None, -1235, -1235),
            ("12.3", 2, Some(1230), 1230, 1230),
            ("1e3", 0, Some(1000), 1000, 1000),
            ("1.5e-1", 1, None, 2, 1),
            ("1E-400", 2, None, 0, 0),
            ("-1E-400", 2, None, 0, -1),
            ("0e999999999999", 2, Some(0), 0, 0),
            (".5", 0, None, 1, 0),
            ("5.", 0, Some(5), 5, 5),
        ];
        for (text, scale, exact, rounded, floor) in cases {
            let scaled = parse_scaled(text, scale).unwrap();
            assert_eq!(scaled.exact(), exact, "{text}");
            assert_eq!(scaled.rounded(), rounded, "{text}");
            assert_eq!(scaled.floor(), floor, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let forty_digits = "1".repeat(40);
        let texts = [
            "", "-", ".", "1e", "1e400", "1x", "--1", "0x10", "1.2.3", "NaN",
        ];
        for text in texts.into_iter().chain([forty_digits.as_str()]) {
            assert_eq!(parse_scaled(text, 0), None, "{text}");
        }
    }
}
