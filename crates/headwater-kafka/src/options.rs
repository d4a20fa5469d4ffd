//! The options of the source and of the sink.

use headwater_core::connector::SinkDefinition;
use headwater_core::options::OptionReader;
use headwater_core::source::EpochLimits;
use headwater_core::{Error, Result};

use crate::client::KafkaConnection;
use crate::start::{Position, take_end, take_start};

/// Bytes of unread records kept in memory when the user does not say.
const PREFETCH_BYTES_DEFAULT: u64 = 64 << 20;
/// Below this, a partition could not hold one ordinary fetch.
const PREFETCH_BYTES_MIN: u64 = 1 << 20;

/// What a source was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceOptions {
    pub(crate) connection: KafkaConnection,
    pub(crate) topics: Vec<String>,
    pub(crate) start: Position,
    pub(crate) end: Option<Position>,
    pub(crate) limits: EpochLimits,
    pub(crate) prefetch_bytes: usize,
}

impl SourceOptions {
    pub(crate) fn read(options: &mut OptionReader) -> Result<Self> {
        let topics = take_topics(options)?;
        let start = take_start(options)?;
        let end = take_end(options)?;
        let max_records: Option<u64> = options.take_parsed(
            "max.records.per.epoch",
            &["maxOffsetsPerTrigger", "max.offsets.per.trigger"],
            "a number of records",
        )?;
        if max_records == Some(0) {
            return Err(options.bad_value("max.records.per.epoch", "0", "at least 1"));
        }
        let prefetch: u64 = options
            .take_parsed("prefetch.bytes", &[], "a number of bytes")?
            .unwrap_or(PREFETCH_BYTES_DEFAULT);
        if prefetch < PREFETCH_BYTES_MIN {
            let expected = format!("at least {PREFETCH_BYTES_MIN}");
            return Err(options.bad_value("prefetch.bytes", &prefetch.to_string(), &expected));
        }
        // Last, because it takes everything that begins with "kafka." or "properties.".
        let connection = KafkaConnection::of_source(options)?;
        Ok(SourceOptions {
            connection,
            topics,
            start,
            end,
            limits: EpochLimits { max_records },
            prefetch_bytes: usize::try_from(prefetch).unwrap_or(usize::MAX),
        })
    }
}

fn take_topics(options: &mut OptionReader) -> Result<Vec<String>> {
    let pattern = options.take("topic.pattern", &["topic-pattern", "subscribePattern"])?;
    if pattern.is_some() {
        return Err(Error::unsupported(format!(
            "{} names topics by a pattern, which is not there yet",
            options.owner()
        ))
        .with_hint("List the topics: 'topic' = 'a,b'."));
    }
    let text = options.require("topic", &["subscribe"], "orders")?;
    let mut topics: Vec<String> = text
        .split([',', ';'])
        .map(|topic| topic.trim().to_string())
        .filter(|topic| !topic.is_empty())
        .collect();
    topics.sort();
    topics.dedup();
    if topics.is_empty() {
        return Err(options.bad_value("topic", &text, "the name of a topic"));
    }
    Ok(topics)
}

/// What a sink was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    pub(crate) connection: KafkaConnection,
    pub(crate) topic: String,
    pub(crate) key_columns: Vec<String>,
}

impl SinkOptions {
    pub(crate) fn read(definition: &SinkDefinition, options: &mut OptionReader) -> Result<Self> {
        let topic = options.require("topic", &[], "metrics")?.trim().to_string();
        if topic.is_empty() || topic.contains(',') {
            return Err(options.bad_value("topic", &topic, "the name of one topic"));
        }
        let key_columns = options.take("key.columns", &["key.fields", "key"])?;
        take_delivery(options)?;
        let key_columns = match key_columns {
            Some(text) => text
                .split([',', ';'])
                .map(|column| column.trim().to_string())
                .filter(|column| !column.is_empty())
                .collect(),
            None => definition.primary_key.clone(),
        };
        let connection = KafkaConnection::of_sink(options)?;
        if let Some(schema) = &definition.schema {
            for column in &key_columns {
                if schema.index_of(column).is_err() {
                    return Err(Error::configuration(format!(
                        "{} has no column \"{column}\" to use as key",
                        options.owner()
                    )));
                }
            }
        }
        Ok(SinkOptions {
            connection,
            topic,
            key_columns,
        })
    }
}

fn take_delivery(options: &mut OptionReader) -> Result<()> {
    let aliases = ["sink.delivery-guarantee", "delivery.guarantee"];
    let choices = [("at-least-once", true), ("exactly-once", false)];
    match options.take_choice("delivery", &aliases, &choices)? {
        None | Some(true) => Ok(()),
        Some(false) => Err(Error::unsupported(format!(
            "{} cannot deliver exactly once yet",
            options.owner()
        ))
        .with_hint(
            "Use 'delivery' = 'at-least-once' with key columns, so that a repeated row replaces \
             itself for readers that keep the newest row of a key.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::ErrorKind;

    fn source(pairs: &[(&str, &str)]) -> Result<SourceOptions> {
        let mut options = OptionReader::new("source \"s\"", &pairs.iter().copied().collect());
        let read = SourceOptions::read(&mut options)?;
        options.finish()?;
        Ok(read)
    }

    #[test]
    fn sparks_spelling_is_read() {
        let read = source(&[
            ("kafka.bootstrap.servers", "b:1"),
            ("subscribe", "b, a"),
            ("maxOffsetsPerTrigger", "10"),
        ])
        .unwrap();
        assert_eq!(read.topics, ["a", "b"]);
        assert_eq!(read.limits.max_records, Some(10));
        assert_eq!(read.prefetch_bytes, 64 << 20);
    }

    #[test]
    fn a_pattern_is_not_there_yet() {
        let error = source(&[("bootstrap.servers", "b:1"), ("subscribePattern", "a.*")]);
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    }

    #[test]
    fn the_sink_takes_its_key_from_the_primary_key() {
        let definition = SinkDefinition {
            name: "k".into(),
            schema: None,
            primary_key: vec!["id".into()],
            format: None,
        };
        let read = |pairs: &[(&str, &str)]| {
            let mut options = OptionReader::new("sink \"k\"", &pairs.iter().copied().collect());
            SinkOptions::read(&definition, &mut options)
        };
        let base = [("bootstrap.servers", "b:1"), ("topic", "t")];
        assert_eq!(read(&base).unwrap().key_columns, ["id"]);
        let with_key = [base[0], base[1], ("key.columns", "a, b")];
        assert_eq!(read(&with_key).unwrap().key_columns, ["a", "b"]);
        let exactly = [base[0], base[1], ("delivery", "exactly-once")];
        assert_eq!(read(&exactly).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}
