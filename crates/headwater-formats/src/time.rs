//! ISO 8601 dates and times as text, both ways, in the proleptic Gregorian calendar.
//!
//! Arrow's own parser costs about as much as the rest of a JSON record, and chrono's more; the
//! shapes that producers write are few, so they are read directly from the bytes. Every time is a
//! number of seconds since 1970-01-01T00:00:00Z and nanoseconds after that; text without a zone
//! is UTC.

use arrow::datatypes::TimeUnit;

pub(crate) const SECONDS_PER_DAY: i64 = 86_400;
/// Digits of a fraction that count.
const NANO_DIGITS: usize = 9;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant {
    /// Seconds since the epoch, rounded down.
    pub(crate) seconds: i64,
    /// Nanoseconds after `seconds`, below 10^9.
    pub(crate) nanos: u32,
}

/// How many of a unit are a second.
pub(crate) fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    }
}

/// Days since 1970-01-01 of a date `YYYY-MM-DD`.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let (days, rest) = take_date(text.as_bytes())?;
    rest.is_empty().then_some(days)
}

/// A date, or a date and a time with `T` or a space between, with an optional fraction of up to
/// nanoseconds (more digits are cut off) and an optional zone (`Z`, `UTC`, `+hh`, `+hhmm`,
/// `+hh:mm`). There is no hour 24 and no second 60.
pub(crate) fn parse_timestamp(text: &str) -> Option<Instant> {
    let (days, rest) = take_date(text.as_bytes())?;
    let midnight = i64::from(days) * SECONDS_PER_DAY;
    let rest = match rest {
        [] => {
            return Some(Instant {
                seconds: midnight,
                nanos: 0,
            });
        }
        [b'T' | b't' | b' ', rest @ ..] => rest,
        _ => return None,
    };
    let (second_of_day, nanos, rest) = take_time(rest)?;
    let offset = parse_zone(rest)?;
    Some(Instant {
        seconds: midnight + second_of_day - offset,
        nanos,
    })
}

/// Reads times one after the other. Neighbours nearly always have the same date, whose days are known
/// then.
#[derive(Debug, Clone)]
pub(crate) struct DateMemory {
    date: [u8; 10],
    days: i32,
}

impl Default for DateMemory {
    fn default() -> Self {
        DateMemory {
            date: *b"1970-01-01",
            days: 0,
        }
    }
}

impl DateMemory {
    /// A date, a time with seconds and `Z` at the beginning, and what follows; `None` for times that
    /// are written otherwise, which [`parse_timestamp`] may know.
    #[inline]
    pub(crate) fn take_utc<'a>(&mut self, bytes: &'a [u8]) -> Option<(Instant, &'a [u8])> {
        let (date, rest) = bytes.split_first_chunk::<10>()?;
        if *date != self.date {
            let (days, _) = take_date(date)?;
            *self = DateMemory { date: *date, days };
        }
        let [b'T' | b' ', rest @ ..] = rest else {
            return None;
        };
        let (second_of_day, nanos, rest) = take_time(rest)?;
        let rest = rest.strip_prefix(b"Z")?;
        let seconds = i64::from(self.days) * SECONDS_PER_DAY + second_of_day;
        Some((Instant { seconds, nanos }, rest))
    }
}

fn take_date(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, rest @ ..] = bytes else {
        return None;
    };
    let year = two_digits(*y1, *y2)? * 100 + two_digits(*y3, *y4)?;
    let month = two_digits(*m1, *m2)?;
    let day = two_digits(*d1, *d2)?;
    let is_valid = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    is_valid.then(|| (days_from_civil(year, month, day), rest))
}

/// Second of the day, nanoseconds, and what follows.
#[inline]
fn take_time(bytes: &[u8]) -> Option<(i64, u32, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = bytes else {
        return None;
    };
    let hour = two_digits(*h1, *h2)?;
    let minute = two_digits(*m1, *m2)?;
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two_digits(*s1, *s2)?, rest),
        _ => (0, rest),
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (nanos, rest) = match rest {
        [b'.' | b',', rest @ ..] => take_fraction(rest)?,
        _ => (0, rest),
    };
    Some((i64::from(hour * 3600 + minute * 60 + second), nanos, rest))
}

fn take_fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let (fraction, rest) = bytes.split_at_checked(digits)?;
    if fraction.is_empty() {
        return None;
    }
    let mut nanos = 0;
    let mut unit = 1_000_000_000;
    for digit in fraction.iter().take(NANO_DIGITS) {
        nanos = nanos * 10 + u32::from(digit - b'0');
        unit /= 10;
    }
    Some((nanos * unit, rest))
}

/// Seconds east of UTC.
fn parse_zone(bytes: &[u8]) -> Option<i64> {
    let bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
    let (sign, rest) = match bytes {
        [] | [b'Z' | b'z'] | b"UTC" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = match rest {
        [h1, h2] => (two_digits(*h1, *h2)?, 0),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two_digits(*h1, *h2)?, two_digits(*m1, *m2)?),
        _ => return None,
    };
    let is_valid = hours <= 23 && minutes <= 59;
    is_valid.then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

fn two_digits(tens: u8, ones: u8) -> Option<i32> {
    let is_digits = tens.is_ascii_digit() && ones.is_ascii_digit();
    is_digits.then(|| i32::from(tens - b'0') * 10 + i32::from(ones - b'0'))
}

fn days_in_month(year: i32, month: i32) -> i32 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Howard Hinnant's `days_from_civil`: years start in March, so that the leap day comes last.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Howard Hinnant's `civil_from_days`, in 64 bits because computed times may be far away.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Writes `YYYY-MM-DDTHH:MM:SS[.fff[fff[fff]]]Z`; the fraction has as many groups of three digits
/// as it needs.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, instant: Instant) {
    write_date(out, instant.seconds.div_euclid(SECONDS_PER_DAY));
    let second_of_day = instant.seconds.rem_euclid(SECONDS_PER_DAY);
    out.push(b'T');
    write_two(out, second_of_day / 3600);
    out.push(b':');
    write_two(out, second_of_day / 60 % 60);
    out.push(b':');
    write_two(out, second_of_day % 60);
    write_fraction(out, instant.nanos);
    out.push(b'Z');
}

fn write_fraction(out: &mut Vec<u8>, nanos: u32) {
    let digits = match nanos {
        0 => return,
        n if n % 1_000_000 == 0 => 3,
        n if n % 1_000 == 0 => 6,
        _ => 9,
    };
    out.push(b'.');
    let mut divisor = 100_000_000;
    for _ in 0..digits {
        out.push(digit(i64::from(nanos / divisor % 10)));
        divisor = (divisor / 10).max(1);
    }
}

/// Writes `YYYY-MM-DD`; a year outside 0000 to 9999 gets its sign, as ISO 8601 has it.
fn write_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil_from_days(days);
    if (0..=9999).contains(&year) {
        write_two(out, year / 100);
        write_two(out, year % 100);
    } else {
        out.extend_from_slice(format!("{year:+05}").as_bytes());
    }
    out.push(b'-');
    write_two(out, month);
    out.push(b'-');
    write_two(out, day);
}

fn write_two(out: &mut Vec<u8>, number: i64) {
    out.push(digit(number / 10));
    out.push(digit(number % 10));
}

fn digit(number: i64) -> u8 {
    b'0' + u8::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use headwater_core::event_time::{FIRST_SECOND, LAST_SECOND};

    use super::*;

    fn iso(text: &str) -> Option<String> {
        parse_timestamp(text).map(|instant| {
            let mut out = Vec::new();
            write_timestamp(&mut out, instant);
            String::from_utf8(out).unwrap()
        })
    }

    #[test]
    fn timestamps_are_read_and_written() {
        let cases = [
            ("2026-01-01T00:00:00.123Z", Some("2026-01-01T00:00:00.123Z")),
            ("2026-01-01 00:00:00", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T10:30", Some("2026-01-01T10:30:00Z")),
            ("2026-01-01T00:30:00+01:00", Some("2025-12-31T23:30:00Z")),
            ("2026-01-01T00:30:00 -0130", Some("2026-01-01T02:00:00Z")),
            ("2026-01-01 00:00:00 UTC", Some("2026-01-01T00:00:00Z")),
            ("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.500Z")),
            (
                "1582-10-10T00:00:00.0000014Z",
                Some("1582-10-10T00:00:00.000001400Z"),
            ),
            (
                "2024-02-29T00:00:00.1234567899",
                Some("2024-02-29T00:00:00.123456789Z"),
            ),
            ("0000-01-01", Some("0000-01-01T00:00:00Z")),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z")),
            ("2023-02-29", None),
            ("2026-01-01T24:00:00", None),
            ("2016-12-31T23:59:60Z", None),
            ("10000-01-01T00:00:00Z", None),
            ("2026-1-1", None),
            ("2026-01-01T00:00:00.", None),
            ("2026-01-01T00:00:00 ", Some("2026-01-01T00:00:00Z")),
            ("2026-01-01T00:00:00+1", None),
            ("2026-01-01T", None),
            ("", None),
            ("1767225600", None),
        ];
        for (text, expected) in cases {
            assert_eq!(iso(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn every_day_agrees_with_chrono() {
        let epoch = chrono::NaiveDate::from_ymd_opt(1970, 1, 1).unwrap();
        let mut day = chrono::NaiveDate::from_ymd_opt(0, 1, 1).unwrap();
        let last = chrono::NaiveDate::from_ymd_opt(9999, 12, 31).unwrap();
        while day < last {
            let days = parse_date(&day.format("%Y-%m-%d").to_string()).unwrap();
            assert_eq!(i64::from(days), (day - epoch).num_days());
            let mut out = Vec::new();
            write_date(&mut out, i64::from(days));
            assert_eq!(String::from_utf8(out).unwrap(), day.to_string());
            day += chrono::TimeDelta::days(17);
        }
    }

    #[test]
    fn bounds_are_the_first_and_last_second() {
        assert_eq!(parse_timestamp("0000-01-01").unwrap().seconds, FIRST_SECOND);
        let last = parse_timestamp("9999-12-31T23:59:59Z").unwrap();
        assert_eq!(last.seconds, LAST_SECOND);
    }
}
