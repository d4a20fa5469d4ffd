//! Sizes in bytes, as users write them: `128 MiB`, `64kB`, `1048576`.

use crate::{Error, Result};

/// Units, in lower case, and how many bytes one of them has.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// Reads a size: a whole number and a unit, B if there is none. The case of units does not matter.
///
/// # Errors
/// Configuration if it is not one.
pub fn parse_byte_size(text: &str) -> Result<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit = unit.trim().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let number = number.parse::<u64>().ok();
    let bytes = factor.zip(number).and_then(|((_, f), n)| n.checked_mul(*f));
    bytes.ok_or_else(|| {
        Error::configuration(format!("\"{text}\" is not a size"))
            .with_hint("Write a number and a unit: '128 MiB', '64 kB'.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_a_number_and_a_unit() {
        let cases = [
            ("0", Some(0)),
            ("1048576", Some(1 << 20)),
            (" 128 MiB ", Some(128 << 20)),
            ("64kB", Some(64_000)),
            ("64KiB", Some(64 << 10)),
            ("2 gb", Some(2_000_000_000)),
            ("7 b", Some(7)),
            ("", None),
            ("MB", None),
            ("1.5 MB", None),
            ("-1", None),
            ("12 parsecs", None),
            ("99999999999999 GiB", None),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_byte_size(text).ok(), expected, "{text:?}");
        }
    }
}
