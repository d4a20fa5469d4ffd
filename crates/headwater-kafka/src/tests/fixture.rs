//! A broker with topics, and short ways to write to it and to read from it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::StreamExt;
use headwater_core::Result;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::{
    Connector, DeclaredSource, MetadataColumn, SourceContext, SourceDefinition, SourceUse,
};
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::options::OptionReader;
use headwater_core::source::{EpochLimits, ReadCounters, ReadRequest, Source, SourceJournal};
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::options::SourceOptions;
use crate::row_maker::SourceColumns;
use crate::source::{KafkaSource, KafkaSourceSpec};
use crate::tap::Taps;
use crate::{DevBroker, KafkaConnector};

pub(crate) const NO_LIMITS: EpochLimits = EpochLimits { max_records: None };

/// Fails instead of hanging for ever.
pub(crate) async fn within<T>(seconds: u64, work: impl Future<Output = T>) -> T {
    let limit = SystemClock::new().sleep(Duration::from_secs(seconds));
    tokio::pin!(work);
    match futures::future::select(work, limit).await {
        futures::future::Either::Left((result, _)) => result,
        futures::future::Either::Right(_) => panic!("not done within {seconds} s"),
    }
}

pub(crate) fn broker(topics: &[(&str, i32)]) -> DevBroker {
    let topics: Vec<(String, i32)> = topics.iter().map(|(t, n)| ((*t).to_string(), *n)).collect();
    DevBroker::start(&topics).unwrap()
}

/// A message to write.
#[derive(Default, Clone)]
pub(crate) struct Put {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: Option<i64>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

pub(crate) fn text(partition: i32, value: impl Into<Vec<u8>>) -> Put {
    Put {
        partition,
        value: Some(value.into()),
        ..Put::default()
    }
}

pub(crate) fn put(servers: &str, topic: &str, messages: &[Put]) {
    put_with(servers, topic, messages, &[("linger.ms", "2")]);
}

/// [`put`] by a producer with settings.
pub(crate) fn put_with(servers: &str, topic: &str, messages: &[Put], settings: &[(&str, &str)]) {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        .set("enable.idempotence", "true");
    for (name, value) in settings {
        config.set(*name, *value);
    }
    let producer: BaseProducer = config.create().unwrap();
    for message in messages {
        loop {
            let mut headers = OwnedHeaders::new();
            for (key, value) in &message.headers {
                headers = headers.insert(Header {
                    key,
                    value: value.as_ref(),
                });
            }
            let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic)
                .partition(message.partition)
                .headers(headers);
            record.key = message.key.as_deref();
            record.payload = message.value.as_deref();
            record.timestamp = message.timestamp;
            if producer.send(record).is_ok() {
                break;
            }
            producer.poll(Duration::from_millis(5));
        }
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// `n` JSON records `{"n": i}` from `first` on in one partition.
pub(crate) fn numbers(partition: i32, range: std::ops::Range<i64>) -> Vec<Put> {
    range
        .map(|n| text(partition, format!("{{\"n\":{n}}}")))
        .collect()
}

pub(crate) fn columns(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, ty)| Field::new(*name, ty.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// A source definition under test.
pub(crate) struct Declared {
    pub(crate) definition: SourceDefinition,
    pub(crate) options: Vec<(String, String)>,
    pub(crate) taps: Arc<Taps>,
}

/// A source of JSON with the column `n`.
pub(crate) fn json(servers: &str, topic: &str) -> Declared {
    raw(servers, topic).payload(&[("n", DataType::Int64)], "json")
}

/// A source without columns.
pub(crate) fn raw(servers: &str, topic: &str) -> Declared {
    Declared {
        definition: SourceDefinition {
            name: "s".into(),
            payload: None,
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        },
        options: vec![],
        taps: Arc::default(),
    }
    .option("bootstrap.servers", servers)
    .option("topic", topic)
    .option("properties.fetch.wait.max.ms", "20")
}

impl Declared {
    pub(crate) fn option(mut self, key: &str, value: &str) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Of the session that these taps are of.
    pub(crate) fn of_session(mut self, taps: &Arc<Taps>) -> Self {
        self.taps = Arc::clone(taps);
        self
    }

    /// With another choice than one topic.
    pub(crate) fn choosing(mut self, key: &str, value: &str) -> Self {
        self.options.retain(|(key, _)| key != "topic");
        self.option(key, value)
    }

    pub(crate) fn payload(mut self, payload: &[(&str, DataType)], format: &str) -> Self {
        self.definition.payload = Some(columns(payload));
        self.definition.format = Some(FormatSpec::named(format));
        self
    }

    pub(crate) fn metadata(mut self, name: &str, ty: DataType, from: &str) -> Self {
        let field = Arc::new(Field::new(name, ty, true));
        self.definition.metadata.push(MetadataColumn {
            field,
            from: from.into(),
        });
        self
    }

    pub(crate) fn bad_data(mut self, policy: BadDataPolicy) -> Self {
        self.definition.bad_data = policy;
        self
    }

    pub(crate) fn declare(self) -> Result<Arc<dyn DeclaredSource>> {
        let mut options = OptionReader::new("source \"s\"", &self.options.into_iter().collect());
        let declared = KafkaConnector::default().declare_source(self.definition, &mut options)?;
        options.finish()?;
        Ok(declared)
    }

    pub(crate) async fn try_open(self, use_of: SourceUse) -> Result<Arc<dyn Source>> {
        within(20, self.declare()?.open(context(use_of))).await
    }

    /// As a query that goes on from its checkpoint, after it has read this.
    pub(crate) async fn try_resume(self, read: Offsets) -> Result<Arc<dyn Source>> {
        let context = SourceContext {
            read_before: Some(read),
            ..context(SourceUse::Stream)
        };
        within(20, self.declare()?.open(context)).await
    }

    pub(crate) async fn open(self) -> Arc<dyn Source> {
        self.try_open(SourceUse::Stream).await.unwrap()
    }
}

/// A source with its own type, for what the contract does not show.
pub(crate) async fn open_own(declared: Declared) -> KafkaSource {
    open_own_at(declared, SystemClock::new()).await
}

/// The same at the time of a clock.
pub(crate) async fn open_own_at(declared: Declared, clock: impl Clock) -> KafkaSource {
    let context = SourceContext {
        clock: Arc::new(clock),
        ..context(SourceUse::Stream)
    };
    open_own_in(declared, context).await
}

/// The same of a bounded read.
pub(crate) async fn open_bounded(declared: Declared) -> KafkaSource {
    open_own_in(declared, context(SourceUse::BoundedRead)).await
}

async fn open_own_in(declared: Declared, context: SourceContext) -> KafkaSource {
    let owner = "source \"s\"";
    let mut options = OptionReader::new(owner, &declared.options.into_iter().collect());
    let spec = KafkaSourceSpec {
        name: declared.definition.name.clone(),
        options: SourceOptions::read(&mut options).unwrap(),
        columns: SourceColumns::declare(owner, &declared.definition, None).unwrap(),
        taps: Arc::clone(&declared.taps),
    };
    KafkaSource::open(Arc::new(spec), &context).await.unwrap()
}

fn context(use_of: SourceUse) -> SourceContext {
    SourceContext {
        clock: Arc::new(SystemClock::new()),
        journal: Arc::new(NoJournal),
        use_of,
        read_before: None,
    }
}

#[derive(Debug)]
struct NoJournal;

impl SourceJournal for NoJournal {
    fn entries(&self) -> Result<Vec<String>> {
        Ok(vec![])
    }
    fn append(&self, _: &[String]) -> Result<()> {
        Ok(())
    }
}

pub(crate) fn at(topic: &str, offsets: &[i64]) -> Offsets {
    (0..)
        .zip(offsets)
        .map(|(index, offset)| (Partition::new(topic, index), *offset))
        .collect()
}

/// Waits until everything up to `bound` is available, and returns it.
pub(crate) async fn reach(source: &dyn Source, from: &Offsets, bound: &Offsets) -> Offsets {
    within(20, async {
        let mut end = source.available(from, &NO_LIMITS).await.unwrap();
        while !end.has_reached(bound) {
            source.wait_ready(&end).await.unwrap();
            end = source.available(&end, &NO_LIMITS).await.unwrap();
        }
        end
    })
    .await
}

/// What reading a slice gives.
pub(crate) struct Read {
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) counters: Arc<ReadCounters>,
}

impl Read {
    /// Rows as text, columns joined by `|`.
    pub(crate) fn lines(&self) -> Vec<String> {
        let Some(first) = self.batches.first() else {
            return vec![];
        };
        let all = concat_batches(&first.schema(), &self.batches).unwrap();
        let options = FormatOptions::default().with_null("NULL");
        let columns: Vec<ArrayFormatter<'_>> = all
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        (0..all.num_rows())
            .map(|row| {
                let cells: Vec<String> = columns.iter().map(|c| c.value(row).to_string()).collect();
                cells.join("|")
            })
            .collect()
    }

    pub(crate) fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

pub(crate) async fn try_read(
    source: &dyn Source,
    start: &Offsets,
    end: &Offsets,
    projection: &[usize],
) -> Result<Read> {
    let counters = Arc::new(ReadCounters::default());
    let request = ReadRequest {
        slice: Slice::between(start, end),
        projection: projection.to_vec(),
        batch_rows: 1000,
        rows_wanted: None,
        counters: Arc::clone(&counters),
    };
    let mut stream = source.read(request)?;
    let mut batches = vec![];
    within(30, async {
        while let Some(batch) = stream.next().await {
            batches.push(batch?.rows);
        }
        Ok(Read { batches, counters })
    })
    .await
}

pub(crate) async fn read(source: &dyn Source, start: &Offsets, end: &Offsets) -> Read {
    let all: Vec<usize> = (0..source.schema().fields().len()).collect();
    try_read(source, start, end, &all).await.unwrap()
}

/// Everything from the start to the end as it is now.
pub(crate) async fn read_all(source: &dyn Source) -> Read {
    let start = source.initial().await.unwrap();
    let end = source.latest().await.unwrap();
    let reached = reach(source, &start, &end).await;
    assert_eq!(reached, end);
    read(source, &start, &end).await
}
