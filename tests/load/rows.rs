//! The rows of the generators, and what is right of their sums.
//!
//! Row `i` has the key `i % KEYS`, the value `i`, and a time that is `i` divided by the rate, so
//! that the rows of a window and a key are known.

use std::collections::BTreeSet;

use serde_json::Value;

pub(crate) const KEYS: u64 = 1_000;
pub(crate) const WINDOW_S: u64 = 2;
/// The event time of row 0, in seconds since 1970: that of the generator.
const START_S: u64 = 1_767_225_600;

/// Checks the rows of a sink, as JSON, of windows that hold the rows of a rate: at least so many
/// whole windows, each with every key once.
pub(crate) fn check_sums(what: &str, lines: &[String], rate: u64, windows: u64) {
    let mut seen: BTreeSet<(u64, u64)> = BTreeSet::new();
    for line in lines {
        let row: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| {
            let value = row.get(name).and_then(Value::as_u64);
            value.unwrap_or_else(|| panic!("{what}: {line} has no {name}"))
        };
        let (window, key) = ((number("at") - START_S) / WINDOW_S, number("k"));
        let (n, total) = sum_of(rate, window, key);
        assert_eq!((number("n"), number("total")), (n, total), "{what}: {line}");
        assert!(seen.insert((window, key)), "{what}: twice: {line}");
    }
    let missing = (0..windows).flat_map(|window| (0..KEYS).map(move |key| (window, key)));
    let missing: Vec<_> = missing.filter(|group| !seen.contains(group)).collect();
    let count = missing.len();
    let first = missing.first();
    assert_eq!(
        count, 0,
        "{what}: windows and keys are missing, {first:?} first"
    );
}

/// How many rows a window has of a key, and the sum of their values.
fn sum_of(rate: u64, window: u64, key: u64) -> (u64, u64) {
    let rows = rate * WINDOW_S;
    let n = rows / KEYS;
    let first = window * rows + key;
    (n, n * first + KEYS * (n * (n - 1) / 2))
}

#[test]
fn sums_are_those_of_the_rows() {
    let (rate, window, key) = (5_000, 3, 17);
    let rows = rate * WINDOW_S;
    let of_key = (window * rows..(window + 1) * rows).filter(|row| row % KEYS == key);
    let values: Vec<u64> = of_key.collect();
    let expected = (values.len() as u64, values.iter().sum());
    assert_eq!(sum_of(rate, window, key), expected);
}
