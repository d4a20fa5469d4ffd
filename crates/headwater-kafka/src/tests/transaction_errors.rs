//! Every row of the table of transactions in `docs/reference/kafka-errors.md`, staged on a mock
//! broker: the page says what headwater does, and the test reads the page.

use std::time::Duration;

use headwater_core::clock::{Clock, SystemClock};
use headwater_core::id::EpochId;
use headwater_core::sink::{Sink, Transactions};
use headwater_core::{Error, Result};
use rdkafka::mocking::MockCoordinator;
use rdkafka::types::RDKafkaApiKey as Api;

use super::errors::{Outcome, Row, fail, table};
use super::fixture::*;
use super::write::{commit, context, rows, sink, stage};
use crate::DevBroker;

/// How long a step may take, so that what is asked for ever ends.
const STEP: (&str, &str) = ("properties.message.timeout.ms", "5000");

fn request(row: Row) -> Api {
    match row.request {
        "InitProducerId" => Api::InitProducerId,
        "AddPartitionsToTxn" => Api::AddPartitionsToTxn,
        "AddOffsetsToTxn" => Api::AddOffsetsToTxn,
        "TxnOffsetCommit" => Api::TxnOffsetCommit,
        "EndTxn" => Api::EndTxn,
        "Produce" => Api::Produce,
        other => panic!("the page names a request that this test cannot stage: {other}"),
    }
}

/// An epoch in a transaction, of a query that starts now.
async fn epoch_of(sink: &dyn Sink, number: u64) -> Result<()> {
    stage(sink, number, vec![rows(0..10)]).await?;
    commit(sink, number).await
}

async fn write_while(row: Row) -> Result<()> {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let sink = sink(&servers, "out", &[STEP]).unwrap();
    fail(&broker, request(row), row);
    let context = context("q", Transactions::Allowed);
    let opened = within(70, sink.open(&context)).await;
    let written = match opened {
        Ok(()) => epoch_of(&*sink, 0).await,
        Err(error) => Err(error),
    };
    broker.mock().clear_request_errors(request(row));
    after(row, &*sink, written).await
}

/// What failed for a reason that may pass is mended by what the engine does then: it aborts what
/// is open, asks what was published, and runs the epoch again.
async fn after(row: Row, sink: &dyn Sink, written: Result<()>) -> Result<()> {
    let Err(error) = written else {
        return within(20, epoch_of(sink, 1)).await;
    };
    if error.kind().is_retryable() && row.request != "InitProducerId" {
        let abort = sink.abort(EpochId(0));
        within(70, abort).await.unwrap();
        within(70, sink.last_published()).await.unwrap();
        let again = epoch_of(sink, 0).await;
        assert!(again.is_ok(), "{row:?} {again:?}");
    }
    Err(error)
}

/// Stages the rows of one request, each on a broker of its own.
async fn check_rows_of(request: &str) {
    let of_request = |row: &Row| row.is_of_transactions() && row.request == request;
    let rows: Vec<Row> = table().into_iter().filter(of_request).collect();
    assert!(!rows.is_empty(), "no row of {request}");
    let staged = rows.iter().map(|row| write_while(*row));
    let results = futures::future::join_all(staged).await;
    let mut wrong = Vec::new();
    for (row, result) in rows.iter().zip(&results) {
        let outcome = Outcome::of(result);
        if outcome != row.outcome {
            let error = result.as_ref().err().map(|e| (e.kind(), e.message()));
            wrong.push(format!("{row:?}: {outcome:?} {error:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_row_of_a_transaction_is_staged_by_a_test() {
    let staged = [
        "InitProducerId",
        "AddPartitionsToTxn",
        "AddOffsetsToTxn",
        "TxnOffsetCommit",
        "EndTxn",
        "Produce",
        "all",
    ];
    for row in table().into_iter().filter(Row::is_of_transactions) {
        assert!(staged.contains(&row.request), "{row:?}");
    }
}

#[tokio::test]
async fn errors_of_taking_a_transactional_id() {
    check_rows_of("InitProducerId").await;
}

#[tokio::test]
async fn errors_of_partitions_in_a_transaction() {
    check_rows_of("AddPartitionsToTxn").await;
}

#[tokio::test]
async fn errors_of_the_group_in_a_transaction() {
    check_rows_of("AddOffsetsToTxn").await;
}

#[tokio::test]
async fn errors_of_the_note_in_a_transaction() {
    check_rows_of("TxnOffsetCommit").await;
}

#[tokio::test]
async fn errors_of_the_end_of_a_transaction() {
    check_rows_of("EndTxn").await;
}

#[tokio::test]
async fn errors_of_rows_in_a_transaction() {
    check_rows_of("Produce").await;
}

/// When something happens to the coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeTheRows,
    BetweenTheRows,
    BeforeTheCommit,
}

/// What is no error code: a coordinator that goes, or goes and comes back.
#[tokio::test]
async fn troubles_of_a_coordinator() {
    let of_all = |row: &Row| row.is_of_transactions() && row.request == "all";
    let rows: Vec<Row> = table().into_iter().filter(of_all).collect();
    assert_eq!(rows.len(), 2);
    for row in rows {
        let is_away = match row.error {
            "the coordinator moves" => false,
            "the coordinator is down for a while" => true,
            other => panic!("this test cannot stage: {other}"),
        };
        for moment in [Moment::BeforeTheRows, Moment::BeforeTheCommit] {
            let result = write_without_coordinator(is_away, moment).await;
            let is_done = Outcome::of(&result) == row.outcome;
            let is_late = result.as_ref().is_err_and(ended_by_its_time);
            assert!(is_done || is_late, "{row:?} {moment:?}: {result:?}");
        }
    }
}

/// Whether a step was not done in its time, of which the page says that it restarts the epoch.
fn ended_by_its_time(error: &Error) -> bool {
    let is_late = error.message().contains("did not answer in time");
    is_late && error.kind().is_retryable()
}

/// librdkafka does not find its way to a coordinator that went while rows of its transaction were
/// being written, and one of its calls never returns. The step fails in time even so, and the
/// epochs run again.
#[tokio::test]
async fn a_coordinator_that_goes_between_the_rows_of_a_transaction() {
    let moved = write_without_coordinator(false, Moment::BetweenTheRows).await;
    let away = write_without_coordinator(true, Moment::BetweenTheRows).await;
    for result in [moved, away] {
        assert_ne!(Outcome::of(&result), Outcome::Stop, "{result:?}");
    }
}

/// Two epochs in a transaction, whose coordinator moves or is away for a second. What comes after
/// that must succeed.
async fn write_without_coordinator(is_away: bool, moment: Moment) -> Result<()> {
    let broker = DevBroker::start_cluster(2, &[("out".to_string(), 1)]).unwrap();
    broker.move_leader("out", 0, 1).unwrap();
    let servers = broker.bootstrap_servers();
    let coordinated_by = |id: i32| {
        let transactions = MockCoordinator::Transaction("headwater-q".to_string());
        broker.mock().coordinator(transactions, id).unwrap();
    };
    coordinated_by(1);
    let quick = ("properties.reconnect.backoff.max.ms", "200");
    let sink = sink(&servers, "out", &[quick, STEP]).unwrap();
    let context = context("q", Transactions::Allowed);
    within(70, sink.open(&context)).await.unwrap();
    epoch_of(&*sink, 0).await.unwrap();
    let now = async |at: Moment| match is_away {
        _ if at != moment => {}
        true => broker.take_down(Some(1)).unwrap(),
        false => coordinated_by(2),
    };
    let back = async {
        SystemClock::new().sleep(Duration::from_secs(1)).await;
        broker.bring_up(None).unwrap();
    };
    let work = async {
        now(Moment::BeforeTheRows).await;
        stage(&*sink, 1, vec![rows(0..5)]).await?;
        now(Moment::BetweenTheRows).await;
        stage(&*sink, 2, vec![rows(5..10)]).await?;
        now(Moment::BeforeTheCommit).await;
        commit(&*sink, 2).await
    };
    let (worked, ()) = futures::join!(work, back);
    if worked.is_err() {
        within(70, sink.abort(EpochId(2))).await.unwrap();
        within(70, sink.last_published()).await.unwrap();
        epoch_of(&*sink, 1).await.unwrap();
        epoch_of(&*sink, 2).await.unwrap();
    }
    epoch_of(&*sink, 3).await.unwrap();
    worked
}
