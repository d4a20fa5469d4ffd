//! The options of every format, for the reference pages and for who writes one of another format.

use headwater_core::option_doc::{OptionDoc, option_table};
use headwater_core::options::fold;

use crate::avro::{AvroOptions, RegistryAddress};
use crate::csv::CsvOptions;
use crate::debezium::{self, DebeziumOptions, EventColumns};
use crate::influx::InfluxOptions;
use crate::protobuf::ProtobufOptions;
use crate::registry::KNOWN;
use crate::timestamp::TimestampOptions;

/// Those of both formats of Debezium.
const EVENTS: [&OptionDoc; 4] = {
    let [op, before, source] = EventColumns::DOCS;
    [&debezium::FORMAT, op, before, source]
};

/// Options that a format has and several formats may share.
const PARTS: [(&str, &[&OptionDoc]); 8] = [
    ("timestamps", &TimestampOptions::DOCS),
    ("csv", &CsvOptions::DOCS),
    ("avro", &AvroOptions::DOCS),
    ("protobuf", &ProtobufOptions::DOCS),
    ("registry", &RegistryAddress::DOCS),
    ("influx", &InfluxOptions::DOCS),
    ("debezium", &EVENTS),
    ("debezium-json", &DebeziumOptions::DOCS),
];

/// Other names of formats: Flink's for those with a registry, and the one that is told how it is written.
const OTHER_NAMES: [&str; 4] = [
    "avro-confluent",
    "protobuf-confluent",
    "debezium",
    "debezium-avro-confluent",
];

/// The table of every part of `docs/reference/formats.md`, by the name of the part.
pub fn option_tables() -> Vec<(&'static str, String)> {
    let parts = PARTS.into_iter();
    parts
        .map(|(part, options)| (part, option_table(options)))
        .collect()
}

/// The options of a format, which are those of its parts.
fn documented(format: &str) -> impl Iterator<Item = &'static OptionDoc> {
    let parts: &[&str] = match format {
        "json" => &["timestamps"],
        "csv" => &["csv", "timestamps"],
        "avro" => &["avro", "registry"],
        "protobuf" => &["protobuf", "registry"],
        "msgpack" => &["timestamps"],
        "influx" => &["influx", "timestamps"],
        "debezium-json" => &["debezium", "debezium-json", "timestamps"],
        "debezium-avro" => &["debezium", "avro", "registry"],
        _ => &[],
    };
    let of = |(part, options): (&str, &'static [&'static OptionDoc])| {
        parts.contains(&part).then_some(options)
    };
    PARTS.into_iter().filter_map(of).flatten().copied()
}

/// The formats that have an option of this name.
pub(crate) fn formats_with(option: &str) -> Vec<&'static str> {
    let option = fold(option);
    let has_it = |format: &&str| {
        let mut names = documented(format).flat_map(OptionDoc::names);
        names.any(|name| fold(name) == option)
    };
    KNOWN.into_iter().filter(has_it).collect()
}

/// The format that an option in WITH names before its first dots: CSV of `csv.delimiter`.
pub fn format_named_by(option: &str) -> Option<&'static str> {
    let option = fold(option);
    let is_named = |format: &&str| option.starts_with(&format!("{}.", fold(format)));
    let named = KNOWN.into_iter().chain(OTHER_NAMES).filter(is_named);
    named.max_by_key(|format| format.len())
}

#[cfg(test)]
mod tests {
    use headwater_core::option_doc::differences;
    use headwater_core::options::{OptionReader, Options};

    use super::*;
    use crate::registry::Format;

    const OWNER: &str = "source \"s\"";

    /// Without them some formats cannot be made.
    fn needed(format: &str) -> Options {
        let schema = match format {
            "avro" | "debezium-avro" => r#"{"type": "record", "name": "R", "fields": []}"#,
            "protobuf" => "syntax = \"proto3\"; message R {}",
            _ => return Options::new(),
        };
        [("schema", schema)].into_iter().collect()
    }

    #[test]
    fn the_options_of_every_format_are_those_that_are_read() {
        for format in KNOWN {
            let mut reader = OptionReader::new(OWNER, &needed(format));
            Format::take(format, OWNER, &mut reader).unwrap();
            let found = differences(&documented(format).collect::<Vec<_>>(), reader.asked());
            assert!(found.is_empty(), "{format}: {found:#?}");
        }
    }

    #[test]
    fn the_formats_of_an_option_are_known() {
        assert_eq!(formats_with("Null_Value"), ["csv"]);
        assert_eq!(formats_with("sep"), ["csv"]);
        assert_eq!(formats_with("url"), ["avro", "protobuf", "debezium-avro"]);
        assert!(formats_with("colour").is_empty());
        for (option, format) in [
            ("csv.delimiter", Some("csv")),
            ("avro.schema", Some("avro")),
            ("avro-confluent.url", Some("avro-confluent")),
            ("Debezium_Json.schema-include", Some("debezium-json")),
            ("csv", None),
            ("colour.csv", None),
        ] {
            assert_eq!(format_named_by(option), format, "{option}");
        }
    }

    #[test]
    fn a_default_that_is_written_changes_nothing() {
        let made = |format: &str, options: &Options| {
            let mut reader = OptionReader::new(OWNER, options);
            let made = Format::take(format, OWNER, &mut reader).unwrap();
            reader.finish().unwrap();
            format!("{made:?}")
        };
        for format in KNOWN {
            let without = made(format, &needed(format));
            for option in documented(format) {
                let mut options = needed(format);
                if let Some(value) = option.default.written() {
                    options.set(option.name, value);
                }
                assert_eq!(made(format, &options), without, "{format}: {}", option.name);
            }
        }
    }
}
