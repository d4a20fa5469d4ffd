//! What a person wants to know about a column and a type does not say.

use std::collections::HashMap;

use super::InferredColumn;

/// Since 2001 and up to 2100, in seconds.
const TIMES: std::ops::Range<i64> = 1_000_000_000..4_102_444_800;

/// Parts of names that are those of times.
const TIME_WORDS: [&str; 10] = [
    "ts",
    "time",
    "timestamp",
    "date",
    "at",
    "on",
    "created",
    "updated",
    "modified",
    "epoch",
];

/// Says so if the numbers of a name look like times since 1970, and how to make a column of them.
pub(super) fn looks_like_time(name: &str, range: (i64, i64)) -> Option<String> {
    let units = [
        ("seconds", 1, "to_timestamp_seconds"),
        ("milliseconds", 1_000, "to_timestamp_millis"),
        ("microseconds", 1_000_000, "to_timestamp_micros"),
        ("nanoseconds", 1_000_000_000, "to_timestamp_nanos"),
    ];
    if !is_name_of_time(name) {
        return None;
    }
    let is_in = |value: i64, factor: i64| TIMES.contains(&value.div_euclid(factor));
    let fits = |factor| is_in(range.0, factor) && is_in(range.1, factor);
    let (unit, _, function) = units.into_iter().find(|(_, factor, _)| fits(*factor))?;
    Some(format!(
        "looks like {unit} since 1970: {function} makes a TIMESTAMP of it"
    ))
}

/// Whether a word of the name, in snake or camel case, is one of times.
fn is_name_of_time(name: &str) -> bool {
    let mut words = String::with_capacity(name.len() + 4);
    let mut was_lower = false;
    for c in name.chars() {
        if c.is_uppercase() && was_lower {
            words.push('_');
        }
        was_lower = c.is_lowercase();
        words.extend(c.to_lowercase());
    }
    let mut words = words.split(|c: char| !c.is_alphanumeric());
    words.any(|word| TIME_WORDS.contains(&word))
}

/// Notes names that differ by the case of their letters only: without quotes they are one name.
pub(super) fn note_same_letters(columns: &mut [InferredColumn]) {
    let mut first: HashMap<String, String> = HashMap::new();
    for column in columns {
        let folded = column.name.to_lowercase();
        let Some(other) = first.get(&folded) else {
            first.insert(folded, column.name.clone());
            continue;
        };
        let note = format!("differs from \"{other}\" by case only");
        column.note = Some(match column.note.take() {
            Some(before) => format!("{before}; {note}"),
            None => note,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_like_times_by_name_and_size() {
        let unit = |name: &str, value: i64| {
            let note = looks_like_time(name, (value, value))?;
            note.split(' ').nth(2).map(ToString::to_string)
        };
        let cases = [
            ("ts", 1_767_225_600, Some("seconds")),
            ("eventTime", 1_767_225_600_000, Some("milliseconds")),
            ("created_at", 1_767_225_600_000_000, Some("microseconds")),
            ("time", 1_767_225_600_000_000_000, Some("nanoseconds")),
            ("order_id", 1_767_225_600_000, None),
            ("ts", 17, None),
            ("ts", i64::MIN, None),
        ];
        for (name, value, expected) in cases {
            assert_eq!(unit(name, value).as_deref(), expected, "{name} {value}");
        }
    }
}
