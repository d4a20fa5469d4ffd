//! Every row of the table in `docs/reference/kafka-errors.md`, staged on a mock broker: the page
//! says what headwater does, and the test reads the page.

use std::time::Duration;

use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::SourceUse;
use headwater_core::offset::Offsets;
use headwater_core::source::Source;
use headwater_core::{ErrorKind, Result};
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};

use super::fixture::*;
use super::write;
use crate::{DevBroker, DevFault, DevRequest};

const PAGE: &str = include_str!("../../../../docs/reference/kafka-errors.md");
/// How often a request fails before it succeeds.
const TIMES: usize = 3;
/// The section whose sink writes in transactions: `transaction_errors.rs` stages it.
pub(super) const TRANSACTIONS: &str = "Transactions";

/// What a row of the table says of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The epoch does not notice.
    Retry,
    /// The epoch fails and is run again a few times.
    RestartEpoch,
    /// The query stops at once.
    Stop,
}

impl Outcome {
    pub(super) fn of(result: &Result<()>) -> Outcome {
        match result {
            Ok(()) => Outcome::Retry,
            Err(error) if error.kind().is_retryable() => Outcome::RestartEpoch,
            Err(_) => Outcome::Stop,
        }
    }

    fn named(text: &str) -> Option<Outcome> {
        match text {
            "retry" => Some(Outcome::Retry),
            "restart the epoch" => Some(Outcome::RestartEpoch),
            "stop" => Some(Outcome::Stop),
            _ => None,
        }
    }
}

/// A row of the table: the error, the request it answers, what headwater does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    section: &'static str,
    pub(super) error: &'static str,
    pub(super) request: &'static str,
    pub(super) outcome: Outcome,
}

/// The rows of the page's tables whose third cell is an outcome.
pub(super) fn table() -> Vec<Row> {
    let mut section = "";
    let row = |line: &'static str| {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let line = line.strip_prefix('|')?.strip_suffix('|')?;
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        Some(Row {
            section,
            error: cells.first()?.trim_matches('`'),
            request: cells.get(1)?.trim_matches('`'),
            outcome: Outcome::named(cells.get(2)?)?,
        })
    };
    PAGE.lines().filter_map(row).collect()
}

impl Row {
    pub(super) fn is_of_transactions(&self) -> bool {
        self.section == TRANSACTIONS
    }
}

/// The rows of one request without a transaction, which must be there.
fn rows_of(request: &str) -> Vec<Row> {
    let of_request = |row: &Row| row.request == request && !row.is_of_transactions();
    let rows: Vec<Row> = table().into_iter().filter(of_request).collect();
    assert!(!rows.is_empty(), "no row of {request}");
    rows
}

pub(super) fn code(error: &str) -> Code {
    use Code as E;
    match error {
        "the connection breaks" => E::RD_KAFKA_RESP_ERR__TRANSPORT,
        "CLUSTER_AUTHORIZATION_FAILED" => E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
        "COORDINATOR_LOAD_IN_PROGRESS" => E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        "CONCURRENT_TRANSACTIONS" => E::RD_KAFKA_RESP_ERR_CONCURRENT_TRANSACTIONS,
        "COORDINATOR_NOT_AVAILABLE" => E::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        "CORRUPT_MESSAGE" => E::RD_KAFKA_RESP_ERR_INVALID_MSG,
        "GROUP_AUTHORIZATION_FAILED" => E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
        "INVALID_PRODUCER_EPOCH" => E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
        "INVALID_PRODUCER_ID_MAPPING" => E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING,
        "INVALID_TRANSACTION_TIMEOUT" => E::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
        "INVALID_TXN_STATE" => E::RD_KAFKA_RESP_ERR_INVALID_TXN_STATE,
        "KAFKA_STORAGE_ERROR" => E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
        "LEADER_NOT_AVAILABLE" => E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        "MESSAGE_TOO_LARGE" => E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        "NOT_COORDINATOR" => E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        "NOT_ENOUGH_REPLICAS" => E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND" => E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        "NOT_LEADER_OR_FOLLOWER" => E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        "OFFSET_OUT_OF_RANGE" => E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
        "PRODUCER_FENCED" => E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        "REQUEST_TIMED_OUT" => E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        "THROTTLING_QUOTA_EXCEEDED" => E::RD_KAFKA_RESP_ERR_THROTTLING_QUOTA_EXCEEDED,
        "TOPIC_AUTHORIZATION_FAILED" => E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" => {
            E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        }
        "UNKNOWN_TOPIC_OR_PARTITION" => E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        other => panic!("the page names an error that this test cannot stage: {other}"),
    }
}

pub(super) fn fail(broker: &DevBroker, request: Api, row: Row) {
    let codes = [code(row.error); TIMES];
    broker.mock().request_errors(request, &codes);
}

/// Compares what happened with what the page says.
fn check(row: Row, result: &Result<()>) {
    let outcome = Outcome::of(result);
    let error = result.as_ref().err().map(|e| (e.kind(), e.message()));
    assert_eq!(outcome, row.outcome, "{row:?} {error:?}");
}

/// A topic with 100 records, and its source.
async fn readable() -> (DevBroker, Box<dyn Source>) {
    let broker = DevBroker::start_cluster(2, &[("t".to_string(), 1)]).unwrap();
    broker.move_leader("t", 0, 1).unwrap();
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..100));
    let declared = json(&servers, "t").option("properties.reconnect.backoff.max.ms", "200");
    let source = open_own(declared).await;
    (broker, Box::new(source))
}

/// Reads everything; the first error ends it.
async fn read_through(source: &dyn Source) -> Result<()> {
    let start = source.initial().await?;
    let end = source.latest().await?;
    read_between(source, &start, &end).await
}

async fn read_between(source: &dyn Source, start: &Offsets, end: &Offsets) -> Result<()> {
    let mut reached = start.clone();
    while !reached.has_reached(end) {
        source.wait_ready(&reached).await?;
        reached = source.available(&reached, &NO_LIMITS).await?;
    }
    let read = try_read(source, start, end, &[0]).await?;
    assert_eq!(read.rows() as i64, total(end) - total(start));
    Ok(())
}

fn total(offsets: &Offsets) -> i64 {
    offsets.iter().map(|(_, offset)| offset).sum()
}

#[test]
fn every_row_is_staged_by_a_test() {
    let staged = [
        "Fetch",
        "ListOffsets",
        "Metadata",
        "Produce",
        "InitProducerId",
        "all",
    ];
    let rows = table();
    let lines = PAGE.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows.len(), lines, "a row without an outcome");
    for row in rows {
        let is_staged = row.is_of_transactions() || staged.contains(&row.request);
        assert!(is_staged, "{row:?}");
    }
}

#[tokio::test]
async fn errors_of_a_fetch() {
    for row in rows_of("Fetch") {
        let (broker, source) = readable().await;
        fail(&broker, Api::Fetch, row);
        check(row, &within(30, read_through(&*source)).await);
    }
}

#[tokio::test]
async fn errors_of_a_look_for_offsets() {
    for row in rows_of("ListOffsets") {
        let (broker, source) = readable().await;
        fail(&broker, Api::ListOffsets, row);
        check(row, &within(30, read_through(&*source)).await);
    }
}

/// An error that the mock broker gives for a topic stays, so it is taken back after a while.
#[tokio::test]
async fn errors_of_a_topic() {
    for row in rows_of("Metadata") {
        let broker = broker(&[("t", 1)]);
        let servers = broker.bootstrap_servers();
        broker.mock().topic_error("t", code(row.error)).unwrap();
        let opened = json(&servers, "t").try_open(SourceUse::Stream);
        let mended = async {
            SystemClock::new().sleep(Duration::from_millis(500)).await;
            let none = Code::RD_KAFKA_RESP_ERR_NO_ERROR;
            broker.mock().topic_error("t", none).unwrap();
        };
        let (opened, ()) = futures::join!(opened, mended);
        check(row, &opened.map(|_| ()));
    }
}

async fn write_while(row: Row, request: Api) -> Result<()> {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = write::sink(&servers, "out", &[]).unwrap();
    write::open(&*sink).await.unwrap();
    fail(&broker, request, row);
    let written = write::epoch(&*sink, 0, vec![write::rows(0..10)]).await;
    // Whatever happened, the next epoch does not suffer from it.
    broker.mock().clear_request_errors(request);
    let next = write::epoch(&*sink, 1, vec![write::rows(0..10)]).await;
    assert_eq!(next.unwrap(), 10, "{row:?}");
    written.map(|_| ())
}

#[tokio::test]
async fn errors_of_a_producer() {
    for row in rows_of("Produce") {
        check(row, &write_while(row, Api::Produce).await);
    }
}

#[tokio::test]
async fn errors_of_the_number_of_a_producer() {
    for row in rows_of("InitProducerId") {
        check(row, &write_while(row, Api::InitProducerId).await);
    }
}

/// What is no error code: brokers and leaders that go and come back.
#[tokio::test]
async fn troubles_of_a_cluster() {
    for row in rows_of("all") {
        let (broker, source) = readable().await;
        let servers = broker.bootstrap_servers();
        let sink = write::sink(&servers, "t", &[]).unwrap();
        write::open(&*sink).await.unwrap();
        let (start, end) = (at("t", &[0]), at("t", &[100]));
        check(row, &within(30, read_between(&*source, &start, &end)).await);
        match row.error {
            "a broker is down for a while" => broker.take_down(None).unwrap(),
            "a leader moves" => broker.move_leader("t", 0, 2).unwrap(),
            other => panic!("this test cannot stage: {other}"),
        }
        let back = async {
            SystemClock::new().sleep(Duration::from_secs(1)).await;
            broker.bring_up(None).unwrap();
        };
        let written = write::epoch(&*sink, 0, vec![write::rows(0..10)]);
        let (written, ()) = futures::join!(written, back);
        check(row, &written.map(|_| ()));
        let after = at("t", &[110]);
        check(row, &within(30, read_between(&*source, &end, &after)).await);
    }
}

#[tokio::test]
async fn records_that_stay_damaged_are_told() {
    let (broker, source) = readable().await;
    let damaged = [Code::RD_KAFKA_RESP_ERR_INVALID_MSG; 20];
    broker.mock().request_errors(Api::Fetch, &damaged);
    let error = within(30, read_through(&*source)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert_eq!(
        error.message(),
        "partition 0 of topic \"t\" holds damaged records"
    );
    // After it was told, it is tried again.
    broker.mock().clear_request_errors(Api::Fetch);
    within(30, read_through(&*source)).await.unwrap();
}

/// Too large for the topic, and too large for the client.
#[tokio::test]
async fn rows_that_are_too_large_are_not_tried_again() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    broker.fail_requests(DevRequest::Produce, &[DevFault::MessageTooLarge]);
    let own_limit = [("properties.message.max.bytes", "1000")];
    let wide = "x".repeat(2000);
    let by_broker = (
        "1 of 1 rows could not be delivered to topic \"out\"",
        "The broker found some larger than \"max.message.bytes\" of the topic; the largest has ",
    );
    let by_client = (
        "a row of 4019 bytes is too large for topic \"out\"",
        "The sink sends messages of 1000 bytes at most.",
    );
    for (more, symbol, (message, detail)) in [
        (&[][..], "s", by_broker),
        (&own_limit[..], wide.as_str(), by_client),
    ] {
        let sink = write::sink(&servers, "out", more).unwrap();
        write::open(&*sink).await.unwrap();
        let rows = write::rows_of(&[symbol]);
        let error = write::epoch(&*sink, 0, vec![rows]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
        assert_eq!(error.message(), message);
        assert!(error.detail().unwrap().starts_with(detail), "{error:?}");
        assert_eq!(
            error.hint(),
            Some(
                "Raise \"max.message.bytes\" of the topic and 'properties.message.max.bytes' of the \
                 sink, or write smaller rows."
            )
        );
    }
}
