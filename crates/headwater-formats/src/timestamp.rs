//! How TIMESTAMP columns look in the payload: the options `timestamp.format` and
//! `timestamp.unit`, and what they mean for reading and writing.
//!
//! | options | read | written |
//! | --- | --- | --- |
//! | none | ISO 8601 text, without a zone UTC | `2026-01-01T00:00:00.123Z` |
//! | `timestamp.unit` | numbers of that unit, and ISO 8601 text | numbers of that unit |
//! | `timestamp.format` | text of that `strftime` pattern | text of that pattern |
//!
//! A number without a declared unit is refused: seconds read as milliseconds would be wrong
//! without a sign of it. For the same reason times outside the years 0 to 9999 are refused, which
//! is where milliseconds read as seconds end up.

use arrow::datatypes::TimeUnit;
use chrono::DateTime;
use chrono::format::{Item, Parsed, StrftimeItems};
use headwater_core::Result;
use headwater_core::event_time::{FIRST_SECOND, LAST_SECOND};
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;

use crate::decimal::parse_scaled;
use crate::time::{Instant, parse_timestamp, write_timestamp};

const UNIT: OptionDoc = OptionDoc::new(
    "timestamp.unit",
    OptionValues::Words(&["s", "ms", "us", "ns"]),
    OptionDefault::Nothing,
    "TIMESTAMP columns are numbers of this unit since 1970; without it a number is no time",
)
.with_also(&["timestampUnit"]);
const FORMAT: OptionDoc = OptionDoc::new(
    "timestamp.format",
    OptionValues::Described("a strftime pattern such as `%Y-%m-%d %H:%M:%S`; not one of Java's"),
    OptionDefault::Described("ISO 8601, without a zone UTC"),
    "how TIMESTAMP columns are written as text; not together with `timestamp.unit`",
)
.with_spark(&["timestampFormat"]);

/// How timestamps look in a payload.
#[derive(Debug, Clone, Default)]
pub(crate) struct TimestampOptions {
    unit: Option<TimeUnit>,
    pattern: Option<Vec<Item<'static>>>,
}

impl TimestampOptions {
    /// What it takes.
    pub(crate) const DOCS: [&'static OptionDoc; 2] = [&UNIT, &FORMAT];

    /// Takes the two options.
    ///
    /// # Errors
    /// If one is not valid, or both are given.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let units = [
            ("s", TimeUnit::Second),
            ("ms", TimeUnit::Millisecond),
            ("us", TimeUnit::Microsecond),
            ("ns", TimeUnit::Nanosecond),
        ];
        let unit = reader.take_choice(UNIT.name, &UNIT.aliases(), &units)?;
        let format = reader.take(FORMAT.name, &FORMAT.aliases())?;
        let Some(format) = format else {
            return Ok(TimestampOptions {
                unit,
                pattern: None,
            });
        };
        if unit.is_some() {
            let expected = "used together with \"timestamp.unit\"";
            return Err(reader.bad_value(FORMAT.name, &format, expected));
        }
        let refused = || {
            let expected = "a strftime pattern such as '%Y-%m-%d %H:%M:%S'";
            reader.bad_value(FORMAT.name, &format, expected)
        };
        // Without a place for a part of a time it is a constant, or one of Java's.
        if !format.contains('%') {
            return Err(match strftime_of_java(&format) {
                Some(pattern) => refused().with_hint(format!("Write it as '{pattern}'.")),
                None => refused(),
            });
        }
        let pattern = StrftimeItems::new(&format)
            .parse_to_owned()
            .map_err(|_| refused())?;
        Ok(TimestampOptions {
            unit: None,
            pattern: Some(pattern),
        })
    }

    /// Timestamps that are numbers of a unit.
    pub(crate) fn in_unit(unit: TimeUnit) -> Self {
        TimestampOptions {
            unit: Some(unit),
            pattern: None,
        }
    }

    /// Reads text, in units since the epoch.
    pub(crate) fn read_text(&self, text: &str, target: TimeUnit) -> Option<i64> {
        let instant = match &self.pattern {
            None => parse_timestamp(text)?,
            Some(pattern) => parse_pattern(text, pattern)?,
        };
        to_units(instant, target)
    }

    /// Reads a number of the declared unit.
    pub(crate) fn read_number(&self, text: &str, target: TimeUnit) -> Option<i64> {
        let scale = 9 - fraction_digits(self.unit?);
        let nanos = parse_scaled(text, i32::try_from(scale).ok()?)?.floor();
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
        let nanos = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        to_units(Instant { seconds, nanos }, target)
    }

    /// Whether nothing is said of how timestamps look.
    pub(crate) fn are_default(&self) -> bool {
        self.unit.is_none() && self.pattern.is_none()
    }

    /// Whether numbers can be read, and are written.
    pub(crate) fn has_unit(&self) -> bool {
        self.unit.is_some()
    }

    /// The unit of numbers, if they can be read.
    pub(crate) fn unit(&self) -> Option<TimeUnit> {
        self.unit
    }

    /// Writes a value without quotes.
    pub(crate) fn write(&self, out: &mut Vec<u8>, value: i64, source: TimeUnit) {
        let instant = from_units(value, source);
        if let Some(unit) = self.unit {
            let digits = fraction_digits(unit);
            let fraction = instant.nanos / 10_u32.pow(9 - digits);
            let number = i128::from(instant.seconds) * 10_i128.pow(digits) + i128::from(fraction);
            out.extend_from_slice(number.to_string().as_bytes());
            return;
        }
        let time = DateTime::from_timestamp(instant.seconds, instant.nanos);
        match (&self.pattern, time) {
            (Some(pattern), Some(time)) => {
                let text = time.format_with_items(pattern.iter()).to_string();
                out.extend_from_slice(text.as_bytes());
            }
            // A time so far away that chrono has no calendar for it.
            (Some(_), None) | (None, _) => write_timestamp(out, instant),
        }
    }
}

/// The strftime pattern of one of Java's, such as Spark and Flink take; `None` if it has something
/// that is not known here.
fn strftime_of_java(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern;
    while let Some(letter) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let end = quoted.find('\'')?;
            // Twice in a row it is one, inside quotes too.
            let is_quote = end == 0 || pattern[..pattern.len() - rest.len()].ends_with('\'');
            out.push_str(if is_quote { "'" } else { "" });
            out.push_str(&quoted[..end]);
            rest = &quoted[end + 1..];
            continue;
        }
        let count = rest.chars().take_while(|c| *c == letter).count();
        let (run, after) = rest.split_at(count * letter.len_utf8());
        rest = after;
        if letter == 'S' {
            let with_point = out.ends_with('.');
            if with_point {
                out.pop();
            }
            out.push_str(match (with_point, count) {
                (true, 3) => "%.3f",
                (true, 6) => "%.6f",
                (true, 9) => "%.9f",
                (true, _) => "%.f",
                (false, 3) => "%3f",
                (false, 6) => "%6f",
                (false, 9) => "%9f",
                (false, _) => return None,
            });
            continue;
        }
        out.push_str(match (letter, count) {
            ('y' | 'u', 2) => "%y",
            ('y' | 'u', 1 | 4) => "%Y",
            ('M' | 'L', 1 | 2) => "%m",
            ('M' | 'L', 3) => "%b",
            ('M' | 'L', 4) => "%B",
            ('d', 1 | 2) => "%d",
            ('D', 1..=3) => "%j",
            ('E', 1..=3) => "%a",
            ('E', 4) => "%A",
            ('H', 1 | 2) => "%H",
            ('h', 1 | 2) => "%I",
            ('m', 1 | 2) => "%M",
            ('s', 1 | 2) => "%S",
            ('a', 1) => "%p",
            ('X' | 'x', 3) => "%:z",
            ('X' | 'x', 2) | ('Z', 1..=3) => "%z",
            _ if letter.is_ascii_alphabetic() || "[]{}#".contains(letter) => return None,
            _ => run,
        });
    }
    Some(out).filter(|out| out.contains('%'))
}

fn parse_pattern(text: &str, pattern: &[Item<'static>]) -> Option<Instant> {
    let mut parsed = Parsed::new();
    chrono::format::parse(&mut parsed, text, pattern.iter()).ok()?;
    // An hour without minutes is no time to chrono, and would be left out beside a date.
    if parsed.hour_mod_12().is_some() && parsed.minute().is_none() {
        parsed.set_minute(0).ok()?;
    }
    let time = parsed
        .to_datetime()
        .map(|time| time.to_utc())
        .or_else(|_| parsed.to_naive_datetime_with_offset(0).map(|t| t.and_utc()))
        .or_else(|_| {
            let date = parsed.to_naive_date()?;
            Ok::<_, chrono::ParseError>(date.and_time(chrono::NaiveTime::MIN).and_utc())
        })
        .ok()?;
    Some(Instant {
        seconds: time.timestamp(),
        // A leap second is written as more than 10^9 nanoseconds.
        nanos: time.timestamp_subsec_nanos().min(999_999_999),
    })
}

/// Digits after the decimal point of a second that a unit can hold.
fn fraction_digits(unit: TimeUnit) -> u32 {
    match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 3,
        TimeUnit::Microsecond => 6,
        TimeUnit::Nanosecond => 9,
    }
}

/// Finer parts than the unit holds are cut off; `None` outside the years 0 to 9999 and what the
/// unit can hold.
pub(crate) fn to_units(instant: Instant, unit: TimeUnit) -> Option<i64> {
    if !(FIRST_SECOND..=LAST_SECOND).contains(&instant.seconds) {
        return None;
    }
    // Within these years nothing but nanoseconds overflows. Divisors that are known are no division.
    let (per_second, fraction) = match unit {
        TimeUnit::Second => (1, 0),
        TimeUnit::Millisecond => (1_000, instant.nanos / 1_000_000),
        TimeUnit::Microsecond => (1_000_000, instant.nanos / 1_000),
        TimeUnit::Nanosecond => {
            // The first of all nanoseconds that fit are after a second that does not.
            let nanos = i128::from(instant.seconds) * 1_000_000_000 + i128::from(instant.nanos);
            return i64::try_from(nanos).ok();
        }
    };
    Some(instant.seconds * per_second + i64::from(fraction))
}

/// A time in another unit, finer parts cut off; `None` as of [`to_units`].
#[inline]
pub(crate) fn change_unit(value: i64, from: TimeUnit, to: TimeUnit) -> Option<i64> {
    to_units(from_units(value, from), to)
}

fn from_units(value: i64, unit: TimeUnit) -> Instant {
    let digits = fraction_digits(unit);
    let per_second = 10_i64.pow(digits);
    // The remainder is below 10^digits, so the nanoseconds are below 10^9.
    let fraction = u32::try_from(value.rem_euclid(per_second)).unwrap_or(0);
    Instant {
        seconds: value.div_euclid(per_second),
        nanos: fraction * 10_u32.pow(9 - digits),
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::options::Options;

    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<TimestampOptions> {
        let given: Options = pairs.iter().copied().collect();
        let mut reader = OptionReader::new("format \"json\"", &given);
        let options = TimestampOptions::take(&mut reader)?;
        reader.finish()?;
        Ok(options)
    }

    fn written(options: &TimestampOptions, micros: i64) -> String {
        let mut out = Vec::new();
        options.write(&mut out, micros, TimeUnit::Microsecond);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_need_a_unit_and_a_year_up_to_9999() {
        let none = options(&[]).unwrap();
        assert_eq!(none.read_number("0", TimeUnit::Microsecond), None);
        let cases = [
            ("s", "1767225600", Some(1_767_225_600_000_000)),
            ("s", "1767225600.25", Some(1_767_225_600_250_000)),
            ("s", "1767225600123", None),
            ("ms", "1767225600123", Some(1_767_225_600_123_000)),
            ("ms", "-1", Some(-1_000)),
            ("us", "-1", Some(-1)),
            ("ns", "-1", Some(-1)),
            ("ns", "1999", Some(1)),
            ("us", "9223372036854775807", None),
            ("us", "-9223372036854775808", None),
            ("ms", "x", None),
        ];
        for (unit, text, expected) in cases {
            let options = options(&[("timestamp.unit", unit)]).unwrap();
            let value = options.read_number(text, TimeUnit::Microsecond);
            assert_eq!(value, expected, "{unit} {text}");
        }
    }

    #[test]
    fn nanoseconds_end_in_2262() {
        let none = options(&[]).unwrap();
        assert!(none.read_text("2262-01-01", TimeUnit::Nanosecond).is_some());
        assert!(none.read_text("2263-01-01", TimeUnit::Nanosecond).is_none());
        let nanos = TimestampOptions::in_unit(TimeUnit::Nanosecond);
        for value in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX] {
            let read = nanos.read_number(&value.to_string(), TimeUnit::Nanosecond);
            assert_eq!(read, Some(value));
        }
    }

    #[test]
    fn a_pattern_reads_what_it_writes() {
        for pattern in ["%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S %z"] {
            let options = options(&[("timestamp.format", pattern)]).unwrap();
            let text = written(&options, 1_767_225_601_000_000);
            let value = options.read_text(&text, TimeUnit::Microsecond);
            assert_eq!(value, Some(1_767_225_601_000_000), "{text}");
            assert_eq!(options.read_text("2026", TimeUnit::Microsecond), None);
        }
        let days = options(&[("timestamp.format", "%d/%m/%y")]).unwrap();
        let value = days.read_text("01/01/26", TimeUnit::Second);
        assert_eq!(value, Some(1_767_225_600));
    }

    #[test]
    fn a_pattern_of_java_is_refused_with_its_strftime() {
        // A time of each, and what it is.
        let patterns = [
            (
                "yyyy-MM-dd HH:mm:ss",
                "2026-01-01 12:00:05",
                "2026-01-01T12:00:05Z",
            ),
            (
                "yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
                "2026-01-01T12:00:05.250+01:00",
                "2026-01-01T11:00:05.25Z",
            ),
            (
                "dd MMM yy 'at' hh:mm a",
                "01 Feb 26 at 01:30 PM",
                "2026-02-01T13:30:00Z",
            ),
            (
                "yyyy-MM-dd HH:mm:ss.S",
                "2026-01-01 12:00:05.5",
                "2026-01-01T12:00:05.5Z",
            ),
            (
                "yyyyMMddHHmmssSSS",
                "20260101120005250",
                "2026-01-01T12:00:05.25Z",
            ),
            (
                "h 'o''clock' a, d/M/y",
                "3 o'clock AM, 1/2/2026",
                "2026-02-01T03:00:00Z",
            ),
        ];
        let iso = options(&[]).unwrap();
        for (java, text, time) in patterns {
            let error = options(&[("timestampFormat", java)]).unwrap_err();
            let hint = error.hint().unwrap();
            let strftime = hint.strip_prefix("Write it as '").unwrap();
            let strftime = strftime.strip_suffix("'.").unwrap();
            let read = options(&[("timestamp.format", strftime)]).unwrap();
            assert_eq!(
                read.read_text(text, TimeUnit::Microsecond),
                iso.read_text(time, TimeUnit::Microsecond),
                "{java} {strftime}"
            );
        }
        for other in ["today", "", "-", "yyyy-MM-dd z", "yyyy[-MM]", "HH:mm:ssSS"] {
            let error = options(&[("timestamp.format", other)]).unwrap_err();
            assert_eq!(error.hint(), None, "{other}");
        }
    }

    #[test]
    fn units_are_written_as_numbers() {
        let seconds = options(&[("timestamp.unit", "s")]).unwrap();
        assert_eq!(written(&seconds, -1), "-1");
        assert_eq!(
            written(&options(&[]).unwrap(), i64::MIN),
            "-290308-12-21T19:59:05.224192Z"
        );
    }

    #[test]
    fn bad_options_are_refused() {
        assert!(options(&[("timestamp.unit", "days")]).is_err());
        assert!(options(&[("timestamp.format", "%Q")]).is_err());
        assert!(options(&[("timestamp.format", "%Y"), ("timestamp.unit", "s")]).is_err());
    }
}
