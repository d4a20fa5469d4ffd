//! The options of the source and the sink, and the properties of librdkafka that headwater sets,
//! for the reference page.

use headwater_core::option_doc::{markdown_row, option_table};

use crate::client::{self, OWNED_BY_SINK, OWNED_BY_SOURCE};
use crate::delivery;
use crate::options::{sink_docs, source_docs};
use crate::reader::{FETCH_WAIT, GROUP_PREFIX};
use crate::transaction::DEFAULTS_MS;

/// The tables of `docs/reference/connectors/kafka.md` by their names.
pub fn option_tables() -> Vec<(&'static str, String)> {
    vec![
        ("source", option_table(&source_docs())),
        ("sink", option_table(&sink_docs())),
        ("defaults", default_table()),
        ("owned", owned_table()),
    ]
}

/// What may be changed and is not what librdkafka does by itself.
fn default_table() -> String {
    let group = format!("`{GROUP_PREFIX}<name of the source>`");
    let computed = [
        (
            "fetch.message.max.bytes",
            "by `prefetch.bytes` and the number of partitions".to_string(),
            "bytes of one partition in one answer of a broker",
        ),
        ("group.id", group, "a name; no group is joined by it"),
    ];
    let code = |value: String| format!("`{value}`");
    let given = |(name, value, effect): client::DefaultProperty| {
        let value = code(value.to_string());
        (name, value, effect)
    };
    let of_all = client::DEFAULTS.into_iter().map(given);
    let of_sink = delivery::DEFAULTS.into_iter().map(given);
    let of_transactions = DEFAULTS_MS.into_iter();
    let of_transactions =
        of_transactions.map(|(name, ms, effect)| (name, code(ms.to_string()), effect));
    let rows = of_all.map(|row| ("both", row));
    let rows = rows.chain([("source", given(FETCH_WAIT))]);
    let rows = rows.chain(computed.into_iter().map(|row| ("source", row)));
    let rows = rows.chain(of_sink.map(|row| ("sink", row)));
    let rows = rows.chain(of_transactions.map(|row| ("sink, exactly once", row)));
    let mut table = markdown_row(&["property", "of", "default", "effect"]);
    table.push_str("| --- | --- | --- | --- |\n");
    for (of, (name, value, effect)) in rows {
        let name = code(name.to_string());
        table.push_str(&markdown_row(&[&name, of, &value, effect]));
    }
    table
}

/// What must not be changed.
fn owned_table() -> String {
    let of_source = OWNED_BY_SOURCE.iter().map(|owned| {
        let of = match OWNED_BY_SINK.contains(owned) {
            true => "both",
            false => "source",
        };
        (of, owned)
    });
    let of_sink = OWNED_BY_SINK.iter();
    let of_sink = of_sink.filter(|owned| !OWNED_BY_SOURCE.contains(owned));
    let rows = of_source.chain(of_sink.map(|owned| ("sink", owned)));
    let mut table = markdown_row(&["property", "of", "why"]);
    table.push_str("| --- | --- | --- |\n");
    for (of, (name, why)) in rows {
        table.push_str(&markdown_row(&[&format!("`{name}`"), of, why]));
    }
    table
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use headwater_core::Result;
    use headwater_core::connector::{Connector, SinkDefinition, SourceDefinition};
    use headwater_core::format::{BadDataPolicy, FormatSpec};
    use headwater_core::option_doc::{OptionDoc, differences};
    use headwater_core::options::{OptionReader, Options};

    use super::*;
    use crate::KafkaConnector;

    const BASE: [(&str, &str); 2] = [("bootstrap.servers", "b:1"), ("topic", "t")];

    /// The source that the connector makes, in text.
    fn source(options: &mut OptionReader) -> Result<String> {
        let definition = SourceDefinition {
            name: "s".into(),
            payload: None,
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        };
        let declared = KafkaConnector::default().declare_source(definition, options)?;
        Ok(format!("{declared:?}"))
    }

    /// The sink that the connector makes, in text.
    fn sink(options: &mut OptionReader) -> Result<String> {
        let column = Field::new("id", DataType::Utf8, false);
        let definition = SinkDefinition {
            name: "k".into(),
            schema: Some(Arc::new(Schema::new(vec![column]))),
            primary_key: vec!["id".into()],
            partitioned_by: vec![],
            format: Some(FormatSpec::named("json")),
            key_format: None,
        };
        let declared = KafkaConnector::default().declare_sink(definition, options)?;
        Ok(format!("{declared:?}"))
    }

    fn check(docs: &[&OptionDoc], declare: fn(&mut OptionReader) -> Result<String>) {
        let base: Options = BASE.into_iter().collect();
        let mut reader = OptionReader::new("the one", &base);
        let without = declare(&mut reader).unwrap();
        let found = differences(docs, reader.asked());
        assert!(found.is_empty(), "{found:#?}");
        for option in docs {
            let mut options = base.clone();
            let Some(value) = option.default.written() else {
                continue;
            };
            options.set(option.name, value);
            let mut reader = OptionReader::new("the one", &options);
            let with = declare(&mut reader).unwrap();
            assert_eq!(with, without, "the default of \"{}\"", option.name);
            reader.finish().unwrap();
        }
    }

    #[test]
    fn the_options_of_a_source_are_those_that_are_read() {
        check(&source_docs(), source);
    }

    #[test]
    fn the_options_of_a_sink_are_those_that_are_read() {
        check(&sink_docs(), sink);
    }

    #[test]
    fn a_property_is_owned_or_has_a_default() {
        for (name, ..) in client::DEFAULTS.into_iter().chain(delivery::DEFAULTS) {
            let mut owned = OWNED_BY_SOURCE.iter().chain(OWNED_BY_SINK);
            assert!(owned.all(|(owned, _)| *owned != name), "{name}");
        }
    }
}
