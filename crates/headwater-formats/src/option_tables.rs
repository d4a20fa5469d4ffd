//! The options of every format, for the reference pages.

use headwater_core::option_doc::{OptionDoc, option_table};

use crate::avro::{AvroOptions, RegistryAddress};
use crate::csv::CsvOptions;
use crate::debezium::{self, DebeziumOptions, EventColumns};
use crate::influx::InfluxOptions;
use crate::protobuf::ProtobufOptions;
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

/// The table of every part of `docs/reference/formats.md`, by the name of the part.
pub fn option_tables() -> Vec<(&'static str, String)> {
    let parts = PARTS.into_iter();
    parts
        .map(|(part, options)| (part, option_table(options)))
        .collect()
}

#[cfg(test)]
mod tests {
    use headwater_core::option_doc::differences;
    use headwater_core::options::{OptionReader, Options};

    use super::*;
    use crate::registry::{Format, KNOWN};

    const OWNER: &str = "source \"s\"";

    /// The parts that the options of a format are made of, as the page says.
    fn documented(format: &str) -> Vec<&'static OptionDoc> {
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
        let of = |part: &&str| PARTS.iter().find(|(name, _)| name == part).unwrap().1;
        parts.iter().flat_map(of).copied().collect()
    }

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
            let found = differences(&documented(format), reader.asked());
            assert!(found.is_empty(), "{format}: {found:#?}");
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
