//! The options of the source and of the sink.

use headwater_core::connector::SinkDefinition;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;
use headwater_core::source::EpochLimits;
use headwater_core::{Error, Result};

use crate::client::{KafkaConnection, OWNED_BY_SINK, OWNED_BY_SOURCE, refuse_unknown};
use crate::extent::refuse_end_before_start;
use crate::key_names::{KeyNames, SinkKeyOptions};
use crate::share::ReadLimits;
use crate::start::{self, Position, take_end, take_start};
use crate::topics::TopicChoice;

/// An epoch of no records would be the last.
const MAX_RECORDS_MIN: u64 = 1;
/// Bytes of unread records kept in memory when the user does not say.
const PREFETCH_BYTES_DEFAULT: u64 = 16 << 20;
/// Below this, a partition could not hold one ordinary fetch.
const PREFETCH_BYTES_MIN: u64 = 1 << 20;
/// How transactional ids begin when the user does not say; rights are given by it.
const ID_PREFIX_DEFAULT: &str = "headwater";

const MAX_RECORDS: OptionDoc = OptionDoc::new(
    "max.records.per.epoch",
    OptionValues::AtLeast(MAX_RECORDS_MIN, "records"),
    OptionDefault::Described("what is buffered"),
    "how much an epoch reads",
)
.with_spark(&["maxOffsetsPerTrigger"])
.with_also(&["max.offsets.per.trigger"]);
const MAX_RECORDS_PER_PARTITION: OptionDoc = OptionDoc::new(
    "max.records.per.partition",
    OptionValues::AtLeast(MAX_RECORDS_MIN, "records"),
    OptionDefault::Described("what is buffered"),
    "how much an epoch reads of every partition",
);
const MAX_BYTES: OptionDoc = OptionDoc::new(
    "max.bytes.per.epoch",
    OptionValues::Described("a size above 0, such as `16 MiB`"),
    OptionDefault::Described("what is buffered"),
    "about how much memory the records of an epoch take; one record at least is read",
);
const PREFETCH_BYTES: OptionDoc = OptionDoc::new(
    "prefetch.bytes",
    OptionValues::AtLeast(PREFETCH_BYTES_MIN, "bytes"),
    OptionDefault::Number(PREFETCH_BYTES_DEFAULT),
    "how much memory unread records may take",
);
const ON_DATA_LOSS: OptionDoc = OptionDoc::new(
    "on.data.loss",
    OptionValues::Words(&["stop", "skip"]),
    OptionDefault::Value("stop"),
    "what happens when the retention has removed records that were not read; \
     `failOnDataLoss = false` is `skip`",
)
.with_spark(&["failOnDataLoss"]);
const SINK_TOPIC: OptionDoc = OptionDoc::new(
    "topic",
    OptionValues::Described("the name of a topic"),
    OptionDefault::Required,
    "where rows are written to",
)
.with_spark(&["topic"])
.with_flink(&["topic"]);
const DELIVERY: OptionDoc = OptionDoc::new(
    "delivery",
    OptionValues::Words(&["exactly-once", "at-least-once"]),
    OptionDefault::Described("`exactly-once`, if the query allows it"),
    "how often a row is there when something has failed",
)
.with_flink(&["sink.delivery-guarantee"])
.with_also(&["delivery.guarantee"]);
const ID_PREFIX: OptionDoc = OptionDoc::new(
    "transactional.id.prefix",
    OptionValues::Described("a text"),
    OptionDefault::Value(ID_PREFIX_DEFAULT),
    "how the id of transactions, and the group of their note, begin; of exactly once",
)
.with_flink(&["sink.transactional-id-prefix"]);

/// The options of a source.
pub(crate) fn source_docs() -> Vec<&'static OptionDoc> {
    let own = [
        &MAX_RECORDS,
        &MAX_RECORDS_PER_PARTITION,
        &MAX_BYTES,
        &PREFETCH_BYTES,
        &ON_DATA_LOSS,
    ];
    let parts: [&[_]; 5] = [
        &KafkaConnection::DOCS,
        &TopicChoice::DOCS,
        &start::DOCS,
        &own,
        &KeyNames::DOCS,
    ];
    parts.concat()
}

/// The options of a sink.
pub(crate) fn sink_docs() -> Vec<&'static OptionDoc> {
    let own = [&SINK_TOPIC, &DELIVERY, &ID_PREFIX];
    [&KafkaConnection::DOCS[..], &own, &SinkKeyOptions::DOCS].concat()
}

/// What happens when records that were not read yet are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDataLoss {
    /// The query stops.
    Stop,
    /// It goes on with what is left, and counts.
    Skip,
}

/// What a source was told.
#[derive(Debug, Clone)]
pub(crate) struct SourceOptions {
    pub(crate) connection: KafkaConnection,
    pub(crate) topics: TopicChoice,
    pub(crate) start: Position,
    pub(crate) end: Option<Position>,
    pub(crate) limits: EpochLimits,
    pub(crate) read_limits: ReadLimits,
    pub(crate) prefetch_bytes: usize,
    pub(crate) on_data_loss: OnDataLoss,
}

impl SourceOptions {
    pub(crate) fn read(options: &mut OptionReader) -> Result<Self> {
        refuse_unknown(options, &source_docs(), OWNED_BY_SOURCE)?;
        let topics = TopicChoice::take(options)?;
        let start = take_start(options, &topics)?;
        let end = take_end(options, &topics)?;
        refuse_end_before_start(options.owner(), &start, end.as_ref())?;
        let max_records: Option<u64> = options.take_parsed(
            MAX_RECORDS.name,
            &MAX_RECORDS.aliases(),
            "a number of records",
        )?;
        if let Some(records) = max_records.filter(|records| *records < MAX_RECORDS_MIN) {
            let expected = format!("at least {MAX_RECORDS_MIN}");
            return Err(options.bad_value(MAX_RECORDS.name, &records.to_string(), &expected));
        }
        let read_limits = ReadLimits {
            records_per_partition: take_at_least_one(options, MAX_RECORDS_PER_PARTITION.name)?,
            bytes: options.take_byte_size(MAX_BYTES.name, &[])?,
        };
        if read_limits.bytes == Some(0) {
            return Err(options.bad_value(MAX_BYTES.name, "0", "a size above 0"));
        }
        let prefetch: u64 = options
            .take_parsed(PREFETCH_BYTES.name, &[], "a number of bytes")?
            .unwrap_or(PREFETCH_BYTES_DEFAULT);
        if prefetch < PREFETCH_BYTES_MIN {
            let expected = format!("at least {PREFETCH_BYTES_MIN}");
            return Err(options.bad_value(PREFETCH_BYTES.name, &prefetch.to_string(), &expected));
        }
        let on_data_loss = take_on_data_loss(options)?;
        // Last, because it takes everything that begins with "kafka." or "properties.".
        let connection = KafkaConnection::of_source(options)?;
        Ok(SourceOptions {
            connection,
            topics,
            start,
            end,
            limits: EpochLimits { max_records },
            read_limits,
            prefetch_bytes: usize::try_from(prefetch).unwrap_or(usize::MAX),
            on_data_loss,
        })
    }
}

/// A number of records of every partition.
fn take_at_least_one(options: &mut OptionReader, name: &str) -> Result<Option<u64>> {
    let records = options.take_parsed(name, &[], "a number of records")?;
    match records {
        Some(0) => Err(options.bad_value(name, "0", "at least 1")),
        records => Ok(records),
    }
}

/// Spark's name for it asks whether to fail.
fn take_on_data_loss(options: &mut OptionReader) -> Result<OnDataLoss> {
    let choices = [("stop", OnDataLoss::Stop), ("skip", OnDataLoss::Skip)];
    let own = options.take_choice(ON_DATA_LOSS.name, &[], &choices)?;
    let fails = options.take_bool("failOnDataLoss", &[])?;
    match (own, fails) {
        (Some(_), Some(_)) => Err(Error::configuration(format!(
            "{} gives both \"on.data.loss\" and \"failOnDataLoss\"",
            options.owner()
        ))
        .with_hint("Keep \"on.data.loss\" alone.")),
        (None, Some(false)) => Ok(OnDataLoss::Skip),
        (own, _) => Ok(own.unwrap_or(OnDataLoss::Stop)),
    }
}

/// How often a row is there when something failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// Once or more: an epoch that runs again is written again.
    AtLeastOnce,
    /// Once, for readers of committed rows: epochs are transactions.
    ExactlyOnce,
}

/// What a sink was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SinkOptions {
    pub(crate) connection: KafkaConnection,
    pub(crate) topic: String,
    pub(crate) key: SinkKeyOptions,
    /// `None` is the best that the query allows.
    pub(crate) delivery: Option<Delivery>,
    /// How transactional ids, and the groups of their notes, begin.
    pub(crate) id_prefix: String,
}

impl SinkOptions {
    pub(crate) fn read(definition: &SinkDefinition, options: &mut OptionReader) -> Result<Self> {
        refuse_unknown(options, &sink_docs(), OWNED_BY_SINK)?;
        let topic = options
            .require(SINK_TOPIC.name, &[], "metrics")?
            .trim()
            .to_string();
        if topic.is_empty() || topic.contains(',') {
            return Err(options.bad_value(SINK_TOPIC.name, &topic, "the name of one topic"));
        }
        let key = SinkKeyOptions::take(definition, options)?;
        let delivery = take_delivery(options)?;
        let id_prefix = take_id_prefix(options, delivery)?;
        let connection = KafkaConnection::of_sink(options)?;
        if let Some(schema) = &definition.schema {
            for column in &key.columns {
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
            key,
            delivery,
            id_prefix,
        })
    }
}

fn take_delivery(options: &mut OptionReader) -> Result<Option<Delivery>> {
    let choices = [
        ("exactly-once", Delivery::ExactlyOnce),
        ("at-least-once", Delivery::AtLeastOnce),
    ];
    options.take_choice(DELIVERY.name, &DELIVERY.aliases(), &choices)
}

fn take_id_prefix(options: &mut OptionReader, delivery: Option<Delivery>) -> Result<String> {
    let name = ID_PREFIX.name;
    let Some(text) = options.take(name, &ID_PREFIX.aliases())? else {
        return Ok(ID_PREFIX_DEFAULT.to_string());
    };
    if delivery == Some(Delivery::AtLeastOnce) {
        return Err(Error::configuration(format!(
            "option \"{name}\" of {} is for 'delivery' = 'exactly-once'",
            options.owner()
        ))
        .with_detail("Delivery at least once has no transactions.")
        .with_hint("Leave it out."));
    }
    let prefix = text.trim();
    if prefix.is_empty() {
        return Err(options.bad_value(name, &text, "at least one character"));
    }
    Ok(prefix.to_string())
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
        assert_eq!(read.topics.identity(), ("topic", "a, b".to_string()));
        assert_eq!(read.limits.max_records, Some(10));
        assert_eq!(read.prefetch_bytes, 16 << 20);
    }

    #[test]
    fn a_limit_of_nothing_is_told_as_it_was_written() {
        for name in ["maxOffsetsPerTrigger", "max.records.per.epoch"] {
            let base = [("bootstrap.servers", "b:1"), ("topic", "t")];
            let error = source(&[base[0], base[1], (name, "0")]).unwrap_err();
            let expected = format!("option \"{name}\" of source \"s\" is \"0\", not at least 1");
            assert_eq!(error.message(), expected);
        }
    }

    /// What is misspelt is told before what is missing because of it.
    #[test]
    fn unknown_options_are_told_first() {
        let told = |pairs: &[(&str, &str)]| {
            let error = source(pairs).unwrap_err();
            let hint = error.hint().unwrap_or_default().to_string();
            (error.message().to_string(), hint)
        };
        for (written, meant) in [
            ("topic.patern", "topic.pattern"),
            ("asign", "assign"),
            ("topics", "topic"),
            ("subscibe", "subscribe"),
            ("startingOffset", "startingOffsets"),
            ("bootstrap.server", "bootstrap.servers"),
        ] {
            let (message, hint) = told(&[(written, "x")]);
            let expected = format!("source \"s\" has no option \"{written}\"");
            assert_eq!(message, expected);
            assert_eq!(hint, format!("Did you mean \"{meant}\"?"));
        }
        for written in [
            "sasl.mechanism",
            "security.protocol",
            "ssl.ca.location",
            "client.id",
        ] {
            let (message, hint) = told(&[(written, "x")]);
            assert_eq!(message, format!("source \"s\" has no option \"{written}\""));
            let expected =
                format!("It is a property of Kafka's clients: write 'properties.{written}'.");
            assert_eq!(hint, expected);
        }
        let (message, _) = told(&[("auto.offset.reset", "earliest")]);
        assert_eq!(
            message,
            "option \"auto.offset.reset\" of source \"s\" is set by headwater"
        );
    }

    #[test]
    fn lost_records_stop_the_query_unless_it_is_told() {
        let read = |more: &[(&str, &str)]| {
            let base = [("bootstrap.servers", "b:1"), ("topic", "t")];
            let pairs: Vec<_> = base.iter().chain(more).copied().collect();
            source(&pairs).map(|read| read.on_data_loss)
        };
        let cases: [(&[(&str, &str)], OnDataLoss); 6] = [
            (&[], OnDataLoss::Stop),
            (&[("on.data.loss", "stop")], OnDataLoss::Stop),
            (&[("on.data.loss", "Skip")], OnDataLoss::Skip),
            (&[("on_data_loss", "skip")], OnDataLoss::Skip),
            (&[("failOnDataLoss", "true")], OnDataLoss::Stop),
            (&[("failOnDataLoss", "false")], OnDataLoss::Skip),
        ];
        for (options, expected) in cases {
            assert_eq!(read(options).unwrap(), expected, "{options:?}");
        }
        let refused: [&[(&str, &str)]; 3] = [
            &[("on.data.loss", "ignore")],
            &[("failOnDataLoss", "no")],
            &[("on.data.loss", "stop"), ("failOnDataLoss", "true")],
        ];
        for options in refused {
            let error = read(options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
    }

    #[test]
    fn the_sink_takes_its_key_from_the_primary_key() {
        let definition = SinkDefinition {
            name: "k".into(),
            schema: None,
            primary_key: vec!["id".into()],
            partitioned_by: vec![],
            format: None,
            key_format: None,
        };
        let read = |pairs: &[(&str, &str)]| {
            let mut options = OptionReader::new("sink \"k\"", &pairs.iter().copied().collect());
            SinkOptions::read(&definition, &mut options)
        };
        let base = [("bootstrap.servers", "b:1"), ("topic", "t")];
        assert_eq!(read(&base).unwrap().key.columns, ["id"]);
        let with_key = [base[0], base[1], ("key.columns", "a, b")];
        assert_eq!(read(&with_key).unwrap().key.columns, ["a", "b"]);
    }

    #[test]
    fn the_sink_is_told_how_to_deliver() {
        let definition = SinkDefinition {
            name: "k".into(),
            schema: None,
            primary_key: vec![],
            partitioned_by: vec![],
            format: None,
            key_format: None,
        };
        let read = |more: &[(&str, &str)]| {
            let base = [("bootstrap.servers", "b:1"), ("topic", "t")];
            let pairs = base.iter().chain(more).copied().collect();
            let mut options = OptionReader::new("sink \"k\"", &pairs);
            let read = SinkOptions::read(&definition, &mut options)?;
            options.finish()?;
            Ok::<_, Error>((read.delivery, read.id_prefix))
        };
        let default = "headwater".to_string();
        assert_eq!(read(&[]).unwrap(), (None, default.clone()));
        assert_eq!(
            read(&[("sink.delivery-guarantee", "exactly-once")]).unwrap(),
            (Some(Delivery::ExactlyOnce), default.clone())
        );
        assert_eq!(
            read(&[("delivery", "At-Least-Once")]).unwrap(),
            (Some(Delivery::AtLeastOnce), default)
        );
        let prefix = ("sink.transactional-id-prefix", "team-a");
        assert_eq!(read(&[prefix]).unwrap(), (None, "team-a".to_string()));
        let refused = [
            (
                vec![("delivery", "exactly")],
                "'exactly-once' or 'at-least-once'",
            ),
            (
                vec![("transactional.id.prefix", " ")],
                "at least one character",
            ),
            (
                vec![("delivery", "at-least-once"), prefix],
                "is for 'delivery' = 'exactly-once'",
            ),
            (
                vec![("properties.transactional.id", "x")],
                "is set by headwater",
            ),
            (vec![("kafka.group.id", "x")], "is set by headwater"),
        ];
        for (options, expected) in refused {
            let error = read(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            let report = error.report("a", None);
            assert!(report.contains(expected), "{options:?}: {report}");
        }
    }
}
