//! Durations as people write them in options: `10 minutes`, `5s`, `1 hour 30 min`, `250 ms`.

use std::time::Duration;

use crate::{Error, Result};

/// Reads a duration: one or more pairs of a whole or decimal number and a unit.
///
/// Units: `us`, `ms`, `s`, `m`, `h`, `d`, `w` and their long forms, singular or plural. A leading
/// `INTERVAL` and quotes are allowed, so that SQL's spelling can be pasted into an option.
///
/// # Errors
/// A configuration error that shows what was read and an example.
pub fn parse_duration(text: &str) -> Result<Duration> {
    let trimmed = text.trim();
    let lower = trimmed.to_ascii_lowercase();
    let body = lower.strip_prefix("interval").unwrap_or(&lower);
    let body: String = body.chars().filter(|c| *c != '\'').collect();
    let refuse = || {
        Error::configuration(format!("\"{trimmed}\" is not a duration"))
            .with_hint("Write a number and a unit, for example '10 seconds', '500 ms' or '1 hour'.")
    };
    let mut total = Duration::ZERO;
    let mut rest = body.trim();
    if rest.is_empty() {
        return Err(refuse());
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(refuse)?;
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| refuse())?;
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ');
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        let Some(seconds) = unit_seconds(unit).map(|seconds| number * seconds) else {
            let varies = unit.strip_suffix('s').unwrap_or(unit);
            let days = match varies {
                "month" => 30,
                "quarter" => 91,
                "year" => 365,
                _ => return Err(refuse()),
            };
            return Err(refuse().with_detail(format!(
                "A {varies} has no fixed length: write it in days, '{days} days'."
            )));
        };
        let part = Duration::try_from_secs_f64(seconds).map_err(|_| refuse())?;
        // Rounded to microseconds, the unit of event times: 0.1 s must not read as 99,999 µs.
        let part = Duration::from_micros((part.as_secs_f64() * 1e6).round() as u64);
        total = total.checked_add(part).ok_or_else(refuse)?;
        rest = after.trim_start();
    }
    Ok(total)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "us" | "µs" | "microsecond" | "microseconds" => 1e-6,
        "ms" | "msec" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        "w" | "week" | "weeks" => 604_800.0,
        _ => return None,
    })
}

/// [`parse_duration`] of something that must take some time.
///
/// # Errors
/// As those of [`parse_duration`], and if nothing is left of it.
pub fn parse_positive_duration(text: &str) -> Result<Duration> {
    match parse_duration(text)? {
        Duration::ZERO => Err(Error::configuration(format!(
            "\"{}\" is no time at all",
            text.trim()
        ))
        .with_detail("It must be longer than nothing, and a microsecond at least.")),
        time => Ok(time),
    }
}

/// Writes a duration with the largest unit that needs no fraction: `90 seconds`, `2 hours`.
pub fn format_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let units: [(u128, &str); 6] = [
        (86_400_000_000, "day"),
        (3_600_000_000, "hour"),
        (60_000_000, "minute"),
        (1_000_000, "second"),
        (1_000, "millisecond"),
        (1, "microsecond"),
    ];
    for (size, name) in units {
        if micros >= size && micros.is_multiple_of(size) {
            let count = micros / size;
            return format!("{count} {name}{}", if count == 1 { "" } else { "s" });
        }
    }
    "0 seconds".to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        let cases = [
            ("10 minutes", 600_000),
            ("5s", 5_000),
            ("1 hour 30 min", 5_400_000),
            ("250 ms", 250),
            ("0.5 seconds", 500),
            ("INTERVAL '10' MINUTE", 600_000),
            ("interval '2 days'", 172_800_000),
            ("0 seconds", 0),
        ];
        for (text, ms) in cases {
            assert_eq!(
                parse_duration(text).unwrap(),
                Duration::from_millis(ms),
                "{text}"
            );
        }
        assert_eq!(
            parse_duration("0.1 s").unwrap(),
            Duration::from_micros(100_000)
        );
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "",
            "ten",
            "10",
            "10 parsecs",
            "-5 s",
            "5 s x",
            "1e400 d",
            "99999999999999999999 d",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn says_why_a_time_is_none() {
        let detail = |text: &str| {
            let error = parse_positive_duration(text).unwrap_err();
            error.detail().unwrap_or_default().to_string()
        };
        assert!(detail("0 seconds").contains("longer than nothing"));
        assert!(detail("0.1 us").contains("longer than nothing"));
        assert!(detail("1 month").starts_with("A month has no fixed length"));
        assert!(detail("2 years").starts_with("A year has no fixed length"));
        assert_eq!(detail("ten"), "");
    }

    #[test]
    fn writes_the_largest_whole_unit() {
        assert_eq!(format_duration(Duration::from_secs(90)), "90 seconds");
        assert_eq!(format_duration(Duration::from_secs(7200)), "2 hours");
        assert_eq!(format_duration(Duration::from_secs(60)), "1 minute");
        assert_eq!(format_duration(Duration::ZERO), "0 seconds");
    }
}
