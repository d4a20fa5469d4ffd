//! Options that Spark and Flink have under a name that is none here, and what to write instead.

use crate::options::{fold, nearest};

/// Names as they are compared, of WITH and of formats, with what to write.
const OTHER_OPTIONS: &[(&str, &str)] = &[
    (
        "ignore.parse.errors",
        "Write bad_data = 'drop' in WITH to leave such records out, or 'null' to keep them with NULL.",
    ),
    (
        "fail.on.missing.field",
        "A field that is missing is NULL: declare the column NOT NULL to make such a record a bad \
         one, and leave the option out.",
    ),
    (
        "sink.partitioner",
        "Leave it out: the key of a message chooses the partition, as with Kafka's own clients; \
         'properties.partitioner' is another way to choose by keys.",
    ),
    (
        "includeheaders",
        "Declare a column of them: headers STRUCT<key VARCHAR, value BYTEA>[] METADATA.",
    ),
    (
        "startingoffsetsbytimestamp",
        "Write start = 'timestamp:2026-11-01T00:00:00Z', which is of all partitions.",
    ),
    (
        "endingoffsetsbytimestamp",
        "Write end = 'timestamp:2026-11-01T00:00:00Z', which is of all partitions.",
    ),
];
/// Spark's words for what becomes of a bad record.
const MODES: [(&str, &str); 3] = [
    ("permissive", "null"),
    ("dropmalformed", "drop"),
    ("failfast", "fail"),
];

/// The hint for an option that nobody reads: what it is called here, the known name that is near
/// it, or all names that there are.
pub(crate) fn unknown_hint(written: &str, value: Option<&str>, known: Vec<&str>) -> String {
    if let Some(elsewhere) = other_option(written, value.unwrap_or_default()) {
        return elsewhere;
    }
    match nearest(written, known.iter().copied()) {
        Some(name) => format!("Did you mean \"{name}\"?"),
        None => known_list(known),
    }
}

fn other_option(written: &str, value: &str) -> Option<String> {
    let written = fold(written);
    if written == "mode" {
        let value = value.trim().to_ascii_lowercase();
        let (_, policy) = MODES.into_iter().find(|(mode, _)| *mode == value)?;
        return Some(format!("Write bad_data = '{policy}' in WITH."));
    }
    let found = OTHER_OPTIONS.iter().find(|(name, _)| *name == written);
    found.map(|(_, instead)| (*instead).to_string())
}

fn known_list(mut names: Vec<&str>) -> String {
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "There are no options here.".to_string();
    }
    format!("The options are {}.", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::OptionReader;

    fn hint(key: &str, value: &str) -> String {
        let mut reader = OptionReader::new("source \"s\"", &[(key, value)].into_iter().collect());
        reader.take("start.offsets", &["startingOffsets"]).unwrap();
        let error = reader.finish().unwrap_err();
        assert_eq!(
            error.message(),
            format!("source \"s\" has no option \"{key}\"")
        );
        error.hint().unwrap().to_string()
    }

    #[test]
    fn options_of_other_systems_are_known_by_name_only() {
        for (name, instead) in OTHER_OPTIONS {
            assert_eq!(hint(name, "x"), *instead);
        }
        for (written, begins) in [
            ("ignore-parse-errors", "Write bad_data = 'drop'"),
            ("fail-on-missing-field", "A field that is missing is NULL"),
            ("includeHeaders", "Declare a column"),
            ("startingOffsetsByTimestamp", "Write start = 'timestamp:"),
            ("endingOffsetsByTimestamp", "Write end = 'timestamp:"),
            ("startingOffset", "Did you mean \"startingOffsets\"?"),
        ] {
            let hint = hint(written, "x");
            assert!(hint.starts_with(begins), "{written}: {hint}");
        }
    }

    #[test]
    fn modes_of_spark_are_policies() {
        for (mode, policy) in [
            ("PERMISSIVE", "null"),
            ("DROPMALFORMED", "drop"),
            ("FAILFAST", "fail"),
        ] {
            let expected = format!("Write bad_data = '{policy}' in WITH.");
            assert_eq!(hint("mode", mode), expected);
        }
        let other = hint("mode", "append");
        assert_eq!(other, "The options are start.offsets, startingOffsets.");
    }
}
