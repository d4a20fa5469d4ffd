//! Which topics and partitions are read, and which are found while a query runs.

use std::time::Duration;

use arrow::datatypes::DataType;
use headwater_core::ErrorKind;
use headwater_core::clock::ManualClock;
use headwater_core::connector::SourceUse;
use headwater_core::event_time::EventTime;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::source::Source;

use super::fixture::*;

/// The sorted rows of a bounded read: number, topic and partition.
async fn rows_of(declared: Declared) -> Vec<String> {
    let declared = declared
        .metadata("topic", DataType::Utf8View, "topic")
        .metadata("p", DataType::Int32, "partition");
    let source = declared.try_open(SourceUse::BoundedRead).await.unwrap();
    let mut lines = read_all(&*source).await.lines();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_pattern_reads_every_topic_that_matches() {
    let broker = broker(&[("orders-de", 1), ("orders-fr", 2), ("returns", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "orders-de", &numbers(0, 1..2));
    put(&servers, "orders-fr", &numbers(1, 2..3));
    put(&servers, "returns", &numbers(0, 3..4));
    let matching = |pattern| json(&servers, "").choosing("topic.pattern", pattern);
    let rows = rows_of(matching("orders-.*")).await;
    assert_eq!(rows, ["1|orders-de|0", "2|orders-fr|1"]);
    let rows = rows_of(matching("returns|orders-de")).await;
    assert_eq!(rows, ["1|orders-de|0", "3|returns|0"]);

    let error = matching("order").try_open(SourceUse::Stream).await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let expected = format!("no topic on broker {servers} matches the pattern \"order\"");
    assert_eq!(error.message(), expected);
    let hint = "There are \"orders-de\", \"orders-fr\", \"returns\".";
    assert_eq!(error.hint(), Some(hint));
}

#[tokio::test]
async fn assigned_partitions_are_read_alone() {
    let broker = broker(&[("a", 3), ("b", 1)]);
    let servers = broker.bootstrap_servers();
    for partition in 0..3 {
        let number = i64::from(partition);
        put(&servers, "a", &numbers(partition, number..number + 1));
    }
    put(&servers, "b", &numbers(0, 9..10));
    let assigned = |partitions| json(&servers, "").choosing("assign", partitions);
    let rows = rows_of(assigned(r#"{"a":[0,2],"b":[0]}"#)).await;
    assert_eq!(rows, ["0|a|0", "2|a|2", "9|b|0"]);

    let error = assigned(r#"{"a":[3]}"#).try_open(SourceUse::Stream).await;
    let error = error.unwrap_err();
    let expected = format!("partition 3 of topic \"a\" does not exist on broker {servers}");
    assert_eq!(error.message(), expected);
    let hint = "The topic has 3 partitions, from 0 on.";
    assert_eq!(error.hint(), Some(hint));
    let error = assigned(r#"{"c":[0]}"#).try_open(SourceUse::Stream).await;
    assert!(error.unwrap_err().message().contains("topic \"c\""));
}

/// From its first record, although the query started with `latest`: what is there before anybody
/// looked is not missed.
#[tokio::test]
async fn a_topic_that_comes_to_match_is_read_from_its_start() {
    let broker = broker(&[("orders-de", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "orders-de", &numbers(0, 0..5));
    let matching = || {
        let declared = json(&servers, "").choosing("topic.pattern", "orders-.*");
        declared.option("start", "latest")
    };
    let clock = ManualClock::new(EventTime::from_millis(0));
    let running = open_own_at(matching(), clock.clone()).await;
    let start = running.initial().await.unwrap();
    assert_eq!(start, at("orders-de", &[5]));
    assert_eq!(running.available(&start, &NO_LIMITS).await.unwrap(), start);
    broker.create_topic("orders-fr", 1).unwrap();
    broker.create_topic("returns", 1).unwrap();
    put(&servers, "orders-fr", &numbers(0, 0..3));
    put(&servers, "returns", &numbers(0, 0..3));
    clock.advance(Duration::from_secs(30));
    let end: Offsets = [("orders-de", 5), ("orders-fr", 3)]
        .map(|(topic, offset)| (Partition::new(topic, 0), offset))
        .into_iter()
        .collect();
    assert_eq!(reach(&running, &start, &end).await, end);
    assert_eq!(read(&running, &start, &end).await.rows(), 3);
    assert_eq!(running.latest().await.unwrap(), end);
    // And by a query that was stopped meanwhile.
    let resumed = matching().open().await;
    assert_eq!(reach(&*resumed, &start, &end).await, end);
}
