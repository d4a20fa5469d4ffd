//! What happens when the broker fails, moves, or no longer has what is wanted.

use std::time::Duration;

use headwater_core::ErrorKind;

use super::fixture::*;
use crate::{DevBroker, DevFault, DevRequest};

#[tokio::test]
async fn an_offset_that_is_gone_stops_the_query() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    // The broker keeps 5 MiB: the first records go.
    let wide = "x".repeat(100_000);
    for _ in 0..4 {
        let messages: Vec<Put> = (0..25).map(|_| text(0, wide.as_str())).collect();
        put(&servers, "t", &messages);
    }
    let source = raw(&servers, "t").open().await;
    let held = source.initial().await.unwrap();
    let first = held.iter().next().unwrap().1;
    assert!(first > 0);
    let resumed = raw(&servers, "t").open().await;
    let error = resumed
        .available(&at("t", &[0]), &NO_LIMITS)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(
        error.message(),
        format!("partition 0 of topic \"t\" holds offsets {first} to 99, but offset 0 is wanted")
    );
    let ahead = raw(&servers, "t").open().await;
    let error = ahead
        .available(&at("t", &[101]), &NO_LIMITS)
        .await
        .unwrap_err();
    assert_eq!(
        error.detail(),
        Some("The broker has fewer records than this checkpoint has read.")
    );
    // The same while running: the broker refuses the offset of a slice that is read again.
    let end = at("t", &[100]);
    reach(&*source, &held, &end).await;
    let lost = try_read(&*source, &at("t", &[first - 1]), &end, &[]).await;
    let error = lost.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert!(
        error
            .message()
            .contains(&format!("offset {} is wanted", first - 1)),
        "{error}"
    );
    // What is there can still be read.
    let there = try_read(&*source, &held, &end, &[]).await.unwrap();
    assert_eq!(there.rows() as i64, 100 - first);
}

#[tokio::test]
async fn a_partition_that_is_gone_stops_the_query() {
    let broker = broker(&[("t", 1)]);
    let source = raw(&broker.bootstrap_servers(), "t").open().await;
    let error = source
        .available(&at("t", &[0, 5]), &NO_LIMITS)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(error.message(), "partition 1 of topic \"t\" is gone");
}

#[tokio::test]
async fn a_partition_that_the_checkpoint_does_not_know_is_read_from_its_start() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(1, 0..4));
    let source = json(&servers, "t").open().await;
    let end = reach(&*source, &at("t", &[0]), &at("t", &[0, 4])).await;
    assert_eq!(end, at("t", &[0, 4]));
    assert_eq!(read(&*source, &at("t", &[0]), &end).await.rows(), 4);
}

#[tokio::test]
async fn fetches_that_fail_are_tried_again() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..100));
    broker.fail_requests(
        DevRequest::Fetch,
        &[
            DevFault::Disconnect,
            DevFault::NotLeader,
            DevFault::TimedOut,
        ],
    );
    let source = json(&servers, "t").open().await;
    assert_eq!(read_all(&*source).await.rows(), 100);
}

#[tokio::test]
async fn an_offset_wrongly_called_out_of_range_is_tried_again() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..100));
    broker.fail_requests(DevRequest::Fetch, &[DevFault::OffsetOutOfRange]);
    let source = json(&servers, "t").open().await;
    assert_eq!(read_all(&*source).await.rows(), 100);
}

#[tokio::test]
async fn a_leader_may_move_and_a_broker_may_go_and_come_back() {
    let broker = DevBroker::start_cluster(2, &[("t".to_string(), 1)]).unwrap();
    let servers = broker.bootstrap_servers();
    broker.move_leader("t", 0, 1).unwrap();
    put(&servers, "t", &numbers(0, 0..50));
    let source = json(&servers, "t").open().await;
    let start = source.initial().await.unwrap();
    let half = at("t", &[50]);
    assert_eq!(reach(&*source, &start, &half).await, half);
    broker.move_leader("t", 0, 2).unwrap();
    put(&servers, "t", &numbers(0, 50..100));
    let end = at("t", &[100]);
    assert_eq!(reach(&*source, &half, &end).await, end);
    assert_eq!(read(&*source, &start, &end).await.rows(), 100);
    broker.take_down(None).unwrap();
    broker.bring_up(None).unwrap();
    assert_eq!(read(&*source, &start, &end).await.rows(), 100);
}

#[tokio::test]
async fn a_slow_broker_is_waited_for() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..10));
    broker.set_round_trip(Duration::from_millis(100)).unwrap();
    let source = json(&servers, "t").open().await;
    assert_eq!(read_all(&*source).await.rows(), 10);
}
