//! Lengths of windows: a fixed time, or months, which are not all equally long.

use std::fmt;
use std::time::Duration;

use headwater_core::Result;
use headwater_core::duration::format_duration;
use headwater_core::duration::parse_duration;
use headwater_core::event_time::micros;

/// A length of time: months and a fixed part. Either may be negative in an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Length {
    /// Whole months.
    pub months: i64,
    /// The rest, in microseconds.
    pub micros: i64,
}

impl Length {
    /// A length that is the same wherever it begins.
    pub fn fixed(micros: i64) -> Self {
        Length { months: 0, micros }
    }

    /// A number of months.
    pub fn months(months: i64) -> Self {
        Length { months, micros: 0 }
    }

    /// Reads what [`parse_duration`] reads, and whole months, quarters and years; a minus in front
    /// turns all of it round.
    ///
    /// # Errors
    /// If it is no length of time.
    pub fn parse(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        if let Some(rest) = trimmed.strip_prefix('-') {
            return Self::parse(rest).map(|length| -length);
        }
        let mut months = 0i64;
        let mut fixed = String::new();
        let mut rest = trimmed.strip_prefix('+').unwrap_or(trimmed);
        let is_of_number = |c: char| c.is_ascii_digit() || c == '.';
        while let Some(number) = rest.find(is_of_number) {
            let (before, part) = rest.split_at(number);
            let unit = part.find(|c| !is_of_number(c)).unwrap_or(part.len());
            let end = part[unit..].find(is_of_number).map(|at| at + unit);
            let (part, behind) = part.split_at(end.unwrap_or(part.len()));
            let count = part[..unit].parse::<i64>().ok();
            let in_months = months_of_unit(part[unit..].trim());
            match count
                .zip(in_months)
                .map(|(count, size)| count.checked_mul(size))
            {
                Some(Some(more)) => months = months.saturating_add(more),
                Some(None) | None => fixed.push_str(part),
            }
            fixed.push_str(before);
            rest = behind;
        }
        fixed.push_str(rest);
        if months != 0 && fixed.trim().is_empty() {
            return Ok(Length::months(months));
        }
        let micros = micros(parse_duration(&fixed).or_else(|_| parse_duration(trimmed))?);
        Ok(Length { months, micros })
    }

    /// Whether it is longer than nothing, in each of its parts.
    pub(super) fn is_positive(self) -> bool {
        self.months >= 0 && self.micros >= 0 && (self.months > 0 || self.micros > 0)
    }
}

fn months_of_unit(unit: &str) -> Option<i64> {
    match unit.to_ascii_lowercase().as_str() {
        "month" | "months" | "mon" | "mons" => Some(1),
        "quarter" | "quarters" => Some(3),
        "year" | "years" => Some(12),
        _ => None,
    }
}

impl From<Duration> for Length {
    fn from(duration: Duration) -> Self {
        Length::fixed(micros(duration))
    }
}

impl std::ops::Neg for Length {
    type Output = Self;

    fn neg(self) -> Self {
        Length {
            months: self.months.saturating_neg(),
            micros: self.micros.saturating_neg(),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.months != 0 {
            let (count, unit) = match self.months % 12 {
                0 => (self.months / 12, "year"),
                _ => (self.months, "month"),
            };
            let plural = if count.abs() == 1 { "" } else { "s" };
            write!(f, "{count} {unit}{plural}")?;
            if self.micros == 0 {
                return Ok(());
            }
            write!(f, " ")?;
        }
        if self.micros < 0 {
            write!(f, "-")?;
        }
        let rest = Duration::from_micros(self.micros.unsigned_abs());
        write!(f, "{}", format_duration(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_read_beside_fixed_lengths() {
        let day = 86_400_000_000;
        let cases = [
            ("1 month", Some((1, 0))),
            ("1 YEAR 2 mons", Some((14, 0))),
            ("- 1 quarter", Some((-3, 0))),
            ("1 month 2 days", Some((1, 2 * day))),
            ("2 days 1 month", Some((1, 2 * day))),
            ("-1 day", Some((0, -day))),
            ("+36 hours", Some((0, day + day / 2))),
            ("0 months", None),
            ("1.5 months", None),
            ("1 month and a day", None),
            ("month", None),
            ("9223372036854775807 years", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let found = Length::parse(text).ok().map(|l| (l.months, l.micros));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn lengths_read_as_they_are_written() {
        let second = 1_000_000;
        let cases = [
            (Length::fixed(90 * second), "90 seconds"),
            (Length::fixed(-60 * second), "-1 minute"),
            (Length::months(1), "1 month"),
            (Length::months(24), "2 years"),
            (Length::months(-3), "-3 months"),
            (
                Length {
                    months: 1,
                    micros: 7_200 * second,
                },
                "1 month 2 hours",
            ),
            (Length::default(), "0 seconds"),
        ];
        for (length, text) in cases {
            assert_eq!(length.to_string(), text);
        }
    }
}
