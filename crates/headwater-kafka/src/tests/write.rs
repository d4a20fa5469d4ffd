//! Writing: keys, retries, failures; and the command line's helpers, which share the producer.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StringViewArray};
use arrow::datatypes::{DataType, Schema};
use futures::StreamExt;
use headwater_core::changes::op_field;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::{Connector, SinkDefinition};
use headwater_core::format::FormatSpec;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::mode::OutputMode;
use headwater_core::options::OptionReader;
use headwater_core::sink::{CommitToken, Sink, SinkContext, Transactions};
use headwater_core::{ErrorKind, Result};

use super::fixture::*;
use crate::{
    DevFault, DevRequest, KafkaConnection, KafkaConnector, TailEnd, TailStart, create_topic,
    list_topics, produce_lines, tail,
};

pub(crate) fn sink(servers: &str, topic: &str, more: &[(&str, &str)]) -> Result<Arc<dyn Sink>> {
    let definition = SinkDefinition {
        name: "k".into(),
        schema: Some(rows(0..0).schema()),
        primary_key: vec!["symbol".into()],
        partitioned_by: vec![],
        format: Some(FormatSpec::named("json")),
        key_format: None,
    };
    let base = [("bootstrap.servers", servers), ("topic", topic)];
    let options = base.iter().chain(more).copied().collect();
    let mut options = OptionReader::new("sink \"k\"", &options);
    let declared = KafkaConnector::default().declare_sink(definition, &mut options)?;
    options.finish()?;
    declared.open()
}

pub(crate) fn rows(range: std::ops::Range<i64>) -> RecordBatch {
    let symbols: StringViewArray = range.clone().map(|n| Some(format!("s{n}"))).collect();
    let numbers: Int64Array = range.collect();
    let schema = columns(&[("symbol", DataType::Utf8View), ("n", DataType::Int64)]);
    RecordBatch::try_new(schema, vec![Arc::new(symbols), Arc::new(numbers)]).unwrap()
}

/// A row for each symbol.
pub(crate) fn rows_of(symbols: &[&str]) -> RecordBatch {
    let numbers: Int64Array = (0..).take(symbols.len()).collect();
    let symbols: StringViewArray = symbols.iter().copied().map(Some).collect();
    let schema = rows(0..0).schema();
    RecordBatch::try_new(schema, vec![Arc::new(symbols), Arc::new(numbers)]).unwrap()
}

/// How a query opens its sink.
pub(crate) fn context(query: &str, transactions: Transactions) -> SinkContext {
    SinkContext {
        query: QueryId::new(query),
        query_name: "q".into(),
        schema: rows(0..0).schema(),
        mode: OutputMode::Append,
        has_ops: false,
        last_committed: None,
        commit_interval: None,
        transactions,
        is_takeover: false,
    }
}

pub(crate) async fn open(sink: &dyn Sink) -> Result<()> {
    let context = context("q", Transactions::NoCheckpoint);
    within(20, sink.open(&context)).await
}

/// Writes and prepares an epoch.
pub(crate) async fn stage(sink: &dyn Sink, epoch: u64, batches: Vec<RecordBatch>) -> Result<u64> {
    let epoch = EpochId(epoch);
    let stream = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
    within(60, async {
        let staged = sink.write(epoch, 0, stream).await?;
        let written = staged.rows;
        sink.prepare(epoch, vec![staged]).await?;
        Ok(written)
    })
    .await
}

pub(crate) async fn commit(sink: &dyn Sink, epoch: u64) -> Result<()> {
    within(60, sink.commit(EpochId(epoch), CommitToken::default())).await
}

pub(crate) async fn epoch(sink: &dyn Sink, epoch: u64, batches: Vec<RecordBatch>) -> Result<u64> {
    let written = stage(sink, epoch, batches).await?;
    commit(sink, epoch).await?;
    Ok(written)
}

pub(crate) async fn keys_and_values(servers: &str, topic: &str) -> Vec<String> {
    let source = raw(servers, topic)
        .payload(&[("v", DataType::Utf8View)], "text")
        .metadata("k", DataType::Utf8View, "key")
        .open()
        .await;
    let mut lines = read_all(&*source).await.lines();
    lines.sort();
    lines
}

#[tokio::test]
async fn rows_are_written_with_their_keys() {
    let broker = broker(&[("out", 2)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "out", &[]).unwrap();
    assert_eq!(
        sink.capabilities().modes,
        [OutputMode::Append, OutputMode::Update]
    );
    assert_eq!(sink.capabilities().key, ["symbol"]);
    open(&*sink).await.unwrap();
    assert_eq!(
        epoch(&*sink, 0, vec![rows(0..1), rows(1..2)])
            .await
            .unwrap(),
        2
    );
    assert_eq!(epoch(&*sink, 1, vec![]).await.unwrap(), 0);
    assert_eq!(
        keys_and_values(&servers, "out").await,
        [r#"{"symbol":"s0","n":0}|s0"#, r#"{"symbol":"s1","n":1}|s1"#]
    );
}

/// Each of the epochs would wait for a minute otherwise, and the test for one in all.
#[tokio::test]
async fn the_last_rows_of_an_epoch_do_not_wait_for_more() {
    let broker = broker(&[("out", 2)]);
    let servers = broker.bootstrap_servers();
    for linger in ["properties.linger.ms", "properties.queue.buffering.max.ms"] {
        let sink = sink(&servers, "out", &[(linger, "59000")]).unwrap();
        open(&*sink).await.unwrap();
        let epochs = async {
            for number in 0..3 {
                let batch = rows(number..number + 1);
                epoch(&*sink, number.unsigned_abs(), vec![batch])
                    .await
                    .unwrap();
            }
        };
        within(30, epochs).await;
    }
    let written = keys_and_values(&servers, "out").await;
    assert_eq!(written.len(), 6, "{written:?}");
}

/// Rows with what they do to the result.
fn doing(rows: &RecordBatch, ops: &[&str]) -> RecordBatch {
    let mut fields = rows.schema().fields().to_vec();
    fields.push(op_field());
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(StringArray::from(ops.to_vec())));
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap()
}

#[tokio::test]
async fn a_row_that_is_gone_is_a_key_without_a_value() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "out", &[]).unwrap();
    assert!(sink.capabilities().takes_deletes);
    let context = SinkContext {
        query: QueryId::new("q"),
        query_name: "q".into(),
        schema: doing(&rows(0..0), &[]).schema(),
        mode: OutputMode::Update,
        has_ops: true,
        last_committed: None,
        commit_interval: None,
        transactions: Transactions::NoCheckpoint,
        is_takeover: false,
    };
    within(20, sink.open(&context)).await.unwrap();
    let batch = doing(&rows(0..2), &["+U", "-D"]);
    epoch(&*sink, 0, vec![batch]).await.unwrap();
    assert_eq!(
        keys_and_values(&servers, "out").await,
        ["NULL|s1", r#"{"symbol":"s0","n":0}|s0"#]
    );
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from(vec![None::<&str>])),
        Arc::new(Int64Array::from(vec![1])),
    ];
    let keyless = RecordBatch::try_new(rows(0..0).schema(), columns).unwrap();
    let keyless = doing(&keyless, &["-D"]);
    let error = epoch(&*sink, 1, vec![keyless]).await.unwrap_err();
    assert_eq!(
        error.message(),
        "sink \"k\" cannot delete a row whose key (symbol) is NULL"
    );
}

#[tokio::test]
async fn requests_that_fail_are_retried_without_doubling_rows() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "out", &[]).unwrap();
    open(&*sink).await.unwrap();
    broker.fail_requests(
        DevRequest::Produce,
        &[
            DevFault::NotLeader,
            DevFault::TimedOut,
            DevFault::NotEnoughReplicas,
        ],
    );
    epoch(&*sink, 0, vec![rows(0..500)]).await.unwrap();
    let written = keys_and_values(&servers, "out").await;
    let mut distinct = written.clone();
    distinct.dedup();
    assert_eq!((written.len(), distinct.len()), (500, 500));
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let small = [("properties.queue.buffering.max.messages", "100")];
    let sink = sink(&servers, "out", &small).unwrap();
    open(&*sink).await.unwrap();
    epoch(&*sink, 0, vec![rows(0..2000)]).await.unwrap();
    assert_eq!(keys_and_values(&servers, "out").await.len(), 2000);
}

#[tokio::test]
async fn rows_that_cannot_be_delivered_fail_the_epoch_and_not_the_next() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "out", &[]).unwrap();
    open(&*sink).await.unwrap();
    broker.fail_requests(DevRequest::Produce, &[DevFault::NotAuthorized]);
    let error = epoch(&*sink, 0, vec![rows(0..3)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert_eq!(
        error.message(),
        "3 of 3 rows could not be delivered to topic \"out\""
    );
    assert!(
        error.detail().unwrap().contains("authorization"),
        "{:?}",
        error.detail()
    );
    epoch(&*sink, 0, vec![rows(0..3)]).await.unwrap();
    assert_eq!(keys_and_values(&servers, "out").await.len(), 3);
}

#[tokio::test]
async fn an_unknown_topic_is_found_when_the_sink_opens() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "outt", &[]).unwrap();
    let clock = SystemClock::new();
    let error = open(&*sink).await.unwrap_err();
    assert!(clock.elapsed().as_secs() < 2, "took {:?}", clock.elapsed());
    assert_eq!(
        error.message(),
        format!("topic \"outt\" does not exist on broker {servers}")
    );
    let topics = list_topics(&KafkaConnection::new(&servers)).await.unwrap();
    assert_eq!(topics.len(), 1, "looking must not create");
}

#[tokio::test]
async fn lines_are_produced_listed_and_tailed() {
    let broker = broker(&[("a", 1), ("b", 2)]);
    let connection = KafkaConnection::new(broker.bootstrap_servers());
    let clock = Arc::new(SystemClock::new());
    let lines = (0..10).map(|n| (Some(b"k".to_vec()), format!("line {n}").into_bytes()));
    let sent = produce_lines(&connection, "a", None, lines, Some(1000.0), &*clock)
        .await
        .unwrap();
    assert_eq!(sent, 10);
    let topics = list_topics(&connection).await.unwrap();
    let shape: Vec<(&str, usize)> = topics
        .iter()
        .map(|t| (t.name.as_str(), t.partitions.len()))
        .collect();
    assert_eq!(shape, [("a", 1), ("b", 2)]);
    assert_eq!(
        (topics[0].partitions[0].start, topics[0].partitions[0].end),
        (0, 10)
    );
    let mut seen = Vec::new();
    let last = TailStart::Last(3);
    let clock: Arc<dyn Clock> = clock;
    let show = |record: &crate::TailRecord<'_>| {
        seen.push(String::from_utf8_lossy(record.value.unwrap()).into_owned());
        ControlFlow::Continue(())
    };
    within(
        10,
        tail(
            &connection,
            "a",
            last,
            TailEnd::Now,
            Arc::clone(&clock),
            show,
        ),
    )
    .await
    .unwrap();
    assert_eq!(seen, ["line 7", "line 8", "line 9"]);
    let mut count = 0;
    let stop = |_: &crate::TailRecord<'_>| {
        count += 1;
        if count == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let earliest = TailStart::Earliest;
    within(
        10,
        tail(&connection, "a", earliest, TailEnd::Never, clock, stop),
    )
    .await
    .unwrap();
    assert_eq!(count, 4);
}

#[tokio::test]
async fn the_development_broker_makes_topics_only_when_it_starts() {
    let broker = broker(&[("a", 1)]);
    let connection = KafkaConnection::new(broker.bootstrap_servers());
    let error = within(20, create_topic(&connection, "c", 1, None))
        .await
        .unwrap_err();
    assert!(
        error.message().starts_with("could not create topic \"c\""),
        "{error}"
    );
}
