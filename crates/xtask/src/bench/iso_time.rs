//! Event times as text: `2026-01-01T00:00:10.123Z`, to and from milliseconds since 1970, and with
//! microseconds.

const DAY_MS: i64 = 86_400_000;

/// Appends the text of a time of 1970 or later.
pub(super) fn append(time_ms: i64, text: &mut Vec<u8>) {
    append_without_zone(time_ms, text);
    text.push(b'Z');
}

/// The same of a time in microseconds.
pub(super) fn append_us(time_us: i64, text: &mut Vec<u8>) {
    append_without_zone(time_us.div_euclid(1_000), text);
    append_digits(time_us.rem_euclid(1_000), 3, text);
    text.push(b'Z');
}

fn append_without_zone(time_ms: i64, text: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(time_ms.div_euclid(DAY_MS));
    let ms = time_ms.rem_euclid(DAY_MS);
    append_digits(year, 4, text);
    text.push(b'-');
    append_digits(month, 2, text);
    text.push(b'-');
    append_digits(day, 2, text);
    text.push(b'T');
    append_digits(ms / 3_600_000, 2, text);
    text.push(b':');
    append_digits(ms / 60_000 % 60, 2, text);
    text.push(b':');
    append_digits(ms / 1_000 % 60, 2, text);
    text.push(b'.');
    append_digits(ms % 1_000, 3, text);
}

fn append_digits(number: i64, digits: u32, text: &mut Vec<u8>) {
    for place in (0..digits).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        text.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

/// The time of a text; `T` may be a space, and the fraction and the zone, which is UTC, may be
/// missing.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim_end_matches('Z').trim_end_matches("+00:00");
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':');
    let hour: i64 = time.next()?.parse().ok()?;
    let minute: i64 = time.next()?.parse().ok()?;
    let second: f64 = time.next()?.parse().ok()?;
    let second_ms = (second * 1_000.0).round() as i64;
    let days = days_from_civil(year, month, day);
    Some(days * DAY_MS + hour * 3_600_000 + minute * 60_000 + second_ms)
}

/// Year, month and day of a day since 1970, by Howard Hinnant's `civil_from_days`.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Days since 1970, the inverse.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_times_agree() {
        for (time_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_767_225_610_123, "2026-01-01T00:00:10.123Z"),
            (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
        ] {
            let mut written = Vec::new();
            append(time_ms, &mut written);
            assert_eq!(String::from_utf8(written).unwrap(), text);
            assert_eq!(parse(text), Some(time_ms));
        }
        assert_eq!(parse("2026-01-01 00:00:10"), Some(1_767_225_610_000));
        assert_eq!(parse("2026-01-01T00:00"), None);
    }

    #[test]
    fn microseconds_are_six_digits() {
        let mut written = Vec::new();
        append_us(1_767_225_610_123_045, &mut written);
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text, "2026-01-01T00:00:10.123045Z");
    }
}
