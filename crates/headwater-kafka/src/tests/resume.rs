//! What stops a query before it goes on from its checkpoint, and what does not.
//!
//! Topics that are made again, and records that are deleted one by one, are there on a real broker
//! only; the rest is shown on librdkafka's mock cluster.

use std::time::Duration;

use headwater_core::ErrorKind;
use headwater_core::clock::{Clock, ManualClock, SystemClock};
use headwater_core::event_time::EventTime;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::Offsets;
use headwater_core::source::{ResumePoint, Source};
use headwater_core::{Error, Result};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::exactly_once::Place;
use super::fixture::*;
use crate::KafkaConnection;
use crate::create_topic;

/// What a commit would hold of a source.
struct Left {
    offsets: Offsets,
    last_records: Fingerprints,
}

/// Reads a topic of one partition up to an offset.
async fn read_up_to(servers: &str, topic: &str, end: i64) -> Left {
    let source = json(servers, topic).open().await;
    let start = source.initial().await.unwrap();
    let offsets = at(topic, &[end]);
    reach(&*source, &start, &offsets).await;
    read(&*source, &start, &offsets).await;
    Left {
        last_records: source.fingerprints(&offsets),
        offsets,
    }
}

impl Left {
    async fn check(&self, source: &dyn Source) -> Result<()> {
        self.check_decided(source, &self.offsets).await
    }

    async fn check_decided(&self, source: &dyn Source, decided: &Offsets) -> Result<()> {
        let point = ResumePoint {
            committed: &self.offsets,
            decided,
            seen: &self.last_records,
        };
        within(40, source.check_resume(point)).await
    }

    /// The check of a new process.
    async fn resume(&self, servers: &str, topic: &str) -> Result<()> {
        let source = json(servers, topic).try_open(headwater_core::connector::SourceUse::Stream);
        self.check(&*source.await?).await
    }
}

fn refused(result: Result<()>) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
    error
}

#[tokio::test]
async fn a_topic_that_is_as_it_was_is_read_on() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..10));
    let left = read_up_to(&servers, "t", 7).await;
    let last = left.last_records.iter().next().unwrap().1;
    assert_eq!(last.offset, 6);
    let source = json(&servers, "t").open().await;
    left.check(&*source).await.unwrap();
    // The records that came with the one that was looked at are read from memory.
    let end = reach(&*source, &left.offsets, &at("t", &[10])).await;
    assert_eq!(
        read(&*source, &left.offsets, &end).await.lines(),
        ["7", "8", "9"]
    );
    // Before anything is read the last record is still that of the process before.
    let again = json(&servers, "t").open().await;
    left.check(&*again).await.unwrap();
    assert_eq!(again.fingerprints(&left.offsets), left.last_records);
    // A checkpoint without fingerprints is compared by its offsets.
    let old = Left {
        last_records: Fingerprints::default(),
        ..left
    };
    old.resume(&servers, "t").await.unwrap();
}

#[tokio::test]
async fn another_record_where_the_last_one_was_stops_the_query() {
    let broker = broker(&[("t", 1), ("u", 1)]);
    let servers = broker.bootstrap_servers();
    let timed = |value: &str| Put {
        timestamp: Some(1_700_000_000_000),
        ..text(0, value)
    };
    put(&servers, "t", &[timed(r#"{"n":1}"#), timed(r#"{"n":2}"#)]);
    let left = read_up_to(&servers, "t", 2).await;
    // The same query on a cluster on which the topic holds something else.
    let other = super::fixture::broker(&[("t", 1)]);
    let elsewhere = other.bootstrap_servers();
    put(
        &elsewhere,
        "t",
        &[
            timed(r#"{"n":1}"#),
            timed(r#"{"n":3}"#),
            timed(r#"{"n":4}"#),
        ],
    );
    let error = refused(left.resume(&elsewhere, "t").await);
    assert_eq!(
        error.message(),
        "offset 1 of partition 0 of topic \"t\" holds another record than this checkpoint has read"
    );
    assert_eq!(
        error.detail(),
        Some(
            "The record that was read has the time 2023-11-14T22:13:20Z and checksum 96017826, \
             the one that is there has the time 2023-11-14T22:13:20Z and checksum 85a3e051. The \
             topic was deleted and made again, or its name leads to another cluster."
        )
    );
}

#[tokio::test]
async fn a_log_that_ends_before_what_was_read_or_decided_stops_the_query() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..10));
    let left = read_up_to(&servers, "t", 10).await;
    let shorter = super::fixture::broker(&[("t", 1)]);
    put(&shorter.bootstrap_servers(), "t", &numbers(0, 0..4));
    let error = refused(left.resume(&shorter.bootstrap_servers(), "t").await);
    assert_eq!(
        error.message(),
        "partition 0 of topic \"t\" holds offsets 0 to 3, but offset 10 is wanted"
    );
    assert_eq!(
        error.detail(),
        Some("The broker has fewer records than this checkpoint has read.")
    );
    let source = json(&servers, "t").open().await;
    let error = refused(left.check_decided(&*source, &at("t", &[12])).await);
    assert_eq!(
        error.message(),
        "partition 0 of topic \"t\" holds offsets 0 to 9, but offset 12 is wanted"
    );
}

#[tokio::test]
async fn partitions_that_are_gone_stop_the_query() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let left = Left {
        offsets: at("t", &[0, 5]),
        last_records: Fingerprints::default(),
    };
    let error = refused(left.resume(&servers, "t").await);
    assert_eq!(error.message(), "partition 1 of topic \"t\" is gone");
}

/// A mock broker keeps 5 MiB of a partition: writes so much that the first records go.
fn overflow(servers: &str) {
    let wide = format!("{{\"n\":1,\"x\":\"{}\"}}", "x".repeat(100_000));
    for _ in 0..4 {
        let messages: Vec<Put> = (0..25).map(|_| text(0, wide.as_str())).collect();
        put(servers, "t", &messages);
    }
}

#[tokio::test]
async fn records_that_went_unread_stop_the_query_or_are_skipped_and_counted() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..2));
    let left = read_up_to(&servers, "t", 2).await;
    overflow(&servers);
    let error = refused(left.resume(&servers, "t").await);
    let held = json(&servers, "t").open().await.initial().await.unwrap();
    let first = held.iter().next().unwrap().1;
    assert!(first > 2);
    assert_eq!(
        error.message(),
        format!("partition 0 of topic \"t\" holds offsets {first} to 101, but offset 2 is wanted")
    );
    assert_eq!(
        error.detail(),
        Some(
            format!(
                "What was at offsets 2 to {} was removed, by retention or by hand, before it was \
                 read.",
                first - 1
            )
            .as_str()
        )
    );
    assert!(error.hint().unwrap().contains("'on.data.loss' = 'skip'"));
    let source = json(&servers, "t")
        .option("on.data.loss", "skip")
        .open()
        .await;
    left.check(&*source).await.unwrap();
    let end = at("t", &[102]);
    assert_eq!(reach(&*source, &left.offsets, &end).await, end);
    // However often the slice is read.
    for _ in 0..2 {
        let there = try_read(&*source, &left.offsets, &end, &[]).await.unwrap();
        assert_eq!(there.rows() as i64, 102 - first);
        assert_eq!(there.counters.lost() as i64, first - 2);
    }
    source.committed(&end).await.unwrap();
    assert_eq!(
        source.fingerprints(&end).iter().next().unwrap().1.offset,
        101
    );
}

/// What admins do to the topics of a real broker.
struct Admin {
    servers: String,
    topic: String,
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

impl Admin {
    /// `None` if the run was told to do without a real broker.
    async fn of_new_topic(partitions: i32) -> Option<Admin> {
        let place = Place::real(partitions).await?;
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &place.servers);
        Some(Admin {
            servers: place.servers,
            topic: place.topic,
            client: config.create().unwrap(),
            options: AdminOptions::new().request_timeout(Some(Duration::from_secs(10))),
        })
    }

    async fn delete_topic(&self) {
        let deleted = self.client.delete_topics(&[&self.topic], &self.options);
        within(20, deleted).await.unwrap()[0].as_ref().unwrap();
    }

    async fn create_topic(&self, partitions: i32) {
        let connection = KafkaConnection::new(&self.servers);
        // A topic may be going for a while after it was deleted.
        for _ in 0..50 {
            let made = create_topic(&connection, &self.topic, partitions, Some(1)).await;
            if made.is_ok() {
                return;
            }
            SystemClock::new().sleep(Duration::from_millis(100)).await;
        }
        panic!("topic {} could not be made again", self.topic);
    }

    async fn add_partitions(&self, count: usize) {
        let wanted = NewPartitions::new(&self.topic, count);
        let made = self.client.create_partitions([&wanted], &self.options);
        within(20, made).await.unwrap()[0].as_ref().unwrap();
    }

    async fn delete_records_before(&self, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, 0, Offset::Offset(offset))
            .unwrap();
        let deleted = self.client.delete_records(&list, &self.options);
        within(20, deleted).await.unwrap();
    }
}

#[tokio::test]
async fn a_topic_that_was_deleted_stops_the_query() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    put(&admin.servers, &admin.topic, &numbers(0, 0..5));
    let left = read_up_to(&admin.servers, &admin.topic, 5).await;
    admin.delete_topic().await;
    let error = left.resume(&admin.servers, &admin.topic).await.unwrap_err();
    let message = error.message();
    assert!(
        message.starts_with(&format!("topic \"{}\" does not exist", admin.topic)),
        "{message}"
    );
}

#[tokio::test]
async fn a_topic_that_was_made_again_stops_the_query() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    put(&admin.servers, &admin.topic, &numbers(0, 0..5));
    let left = read_up_to(&admin.servers, &admin.topic, 5).await;
    admin.delete_topic().await;
    admin.create_topic(1).await;
    put(&admin.servers, &admin.topic, &numbers(0, 100..103));
    let shorter = refused(left.resume(&admin.servers, &admin.topic).await);
    assert_eq!(
        shorter.detail(),
        Some("The broker has fewer records than this checkpoint has read.")
    );
    put(&admin.servers, &admin.topic, &numbers(0, 103..120));
    let longer = refused(left.resume(&admin.servers, &admin.topic).await);
    assert!(
        longer
            .message()
            .contains("holds another record than this checkpoint has read"),
        "{longer}"
    );
}

/// How many topics are made again until a query is found in the middle of one.
const TOPICS_MAX: u32 = 20;

/// Lets time go on until a source that is read up to `from` says that something is lost.
async fn lost(source: &dyn Source, clock: &ManualClock, from: &Offsets) -> Error {
    within(60, async {
        loop {
            clock.advance(Duration::from_secs(30));
            SystemClock::new().sleep(Duration::from_millis(100)).await;
            if let Err(error) = source.available(from, &NO_LIMITS).await {
                return error;
            }
        }
    })
    .await
}

/// A broker that is asked between the deletion and the new records says that the old ones are gone:
/// another topic is tried then.
#[tokio::test]
async fn a_topic_that_is_made_again_while_it_is_read_stops_the_query() {
    for _ in 0..TOPICS_MAX {
        let Some(admin) = Admin::of_new_topic(1).await else {
            return;
        };
        let topic = admin.topic.as_str();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", &admin.servers)
            .set("linger.ms", "2")
            .create()
            .unwrap();
        let write = |range: std::ops::Range<i64>| {
            for number in range {
                let value = format!("{{\"n\":{number}}}");
                let record = BaseRecord::<'_, [u8], _>::to(topic).payload(value.as_bytes());
                producer.send(record.partition(0)).unwrap();
            }
            producer.flush(Duration::from_secs(20)).unwrap();
        };
        write(0..5);
        let clock = ManualClock::new(EventTime::from_millis(0));
        let running = open_own_at(json(&admin.servers, topic), clock.clone()).await;
        let start = running.initial().await.unwrap();
        let (five, ten) = (at(topic, &[5]), at(topic, &[10]));
        reach(&running, &start, &five).await;
        assert_eq!(read(&running, &start, &five).await.rows(), 5);
        admin.delete_topic().await;
        admin.create_topic(1).await;
        write(100..110);
        if let Err(told) = within(20, running.wait_ready(&five)).await {
            assert_eq!(told.kind(), ErrorKind::DataLoss);
            continue;
        }
        reach(&running, &five, &ten).await;
        assert_eq!(read(&running, &five, &ten).await.rows(), 5);
        let error = lost(&running, &clock, &ten).await;
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert_eq!(
            error.message(),
            format!(
                "offset 4 of partition 0 of topic \"{topic}\" holds another record than this \
                 checkpoint has read"
            )
        );
        return;
    }
    panic!("the broker was always asked in between");
}

#[tokio::test]
async fn a_topic_that_is_deleted_while_it_is_read_stops_the_query() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    let (servers, topic) = (&admin.servers, admin.topic.as_str());
    let clock = ManualClock::new(EventTime::from_millis(0));
    let running = open_own_at(json(servers, topic), clock.clone()).await;
    let start = running.initial().await.unwrap();
    running.available(&start, &NO_LIMITS).await.unwrap();
    admin.delete_topic().await;
    let error = lost(&running, &clock, &start).await;
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    let message = error.message();
    assert!(
        message.starts_with(&format!("topic \"{topic}\" does not exist")),
        "{message}"
    );
}

/// Nothing is lost of a topic that goes on, and of one of which the retention takes what was read.
#[tokio::test]
async fn a_topic_that_stays_is_read_on_however_long() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    let (servers, topic) = (&admin.servers, admin.topic.as_str());
    let clock = ManualClock::new(EventTime::from_millis(0));
    let running = open_own_at(json(servers, topic), clock.clone()).await;
    let mut from = running.initial().await.unwrap();
    for round in 0..8_i64 {
        let first = round * 5;
        put(servers, topic, &numbers(0, first..first + 5));
        let end = at(topic, &[first + 5]);
        reach(&running, &from, &end).await;
        assert_eq!(read(&running, &from, &end).await.rows(), 5);
        from = end;
        if round == 4 {
            admin.delete_records_before(first + 5).await;
        }
        clock.advance(Duration::from_secs(30));
        SystemClock::new().sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn records_deleted_while_they_are_waited_for_stop_the_query_or_are_skipped() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    let (servers, topic) = (&admin.servers, admin.topic.as_str());
    put(servers, topic, &numbers(0, 0..10));
    let left = read_up_to(servers, topic, 4).await;
    admin.delete_records_before(8).await;
    let error = refused(left.resume(servers, topic).await);
    assert_eq!(
        error.message(),
        format!("partition 0 of topic \"{topic}\" holds offsets 8 to 9, but offset 4 is wanted")
    );
    let skipping = || {
        json(servers, topic)
            .option("failOnDataLoss", "false")
            .open()
    };
    let source = skipping().await;
    left.check(&*source).await.unwrap();
    let end = at(topic, &[10]);
    reach(&*source, &left.offsets, &end).await;
    let there = read(&*source, &left.offsets, &end).await;
    assert_eq!(there.lines(), ["8", "9"]);
    assert_eq!(there.counters.lost(), 4);
    // What was read last went, and nothing else: there is nothing to compare with, and no loss.
    let after = read_up_to(servers, topic, 10).await;
    admin.delete_records_before(10).await;
    after.resume(servers, topic).await.unwrap();
}

#[tokio::test]
async fn partitions_that_are_added_are_read_from_their_start() {
    let Some(admin) = Admin::of_new_topic(1).await else {
        return;
    };
    let (servers, topic) = (&admin.servers, admin.topic.as_str());
    put(servers, topic, &numbers(0, 0..3));
    let left = read_up_to(servers, topic, 3).await;
    let clock = ManualClock::new(EventTime::from_millis(0));
    let running = open_own_at(json(servers, topic), clock.clone()).await;
    left.check(&running).await.unwrap();
    assert_eq!(
        running.available(&left.offsets, &NO_LIMITS).await.unwrap(),
        left.offsets
    );
    admin.add_partitions(2).await;
    put(servers, topic, &numbers(1, 0..4));
    clock.advance(Duration::from_secs(30));
    let end = at(topic, &[3, 4]);
    assert_eq!(reach(&running, &left.offsets, &end).await, end);
    assert_eq!(read(&running, &left.offsets, &end).await.rows(), 4);
    // And by a query that was stopped meanwhile.
    let resumed = json(servers, topic).open().await;
    left.check(&*resumed).await.unwrap();
    assert_eq!(reach(&*resumed, &left.offsets, &end).await, end);
    assert_eq!(read(&*resumed, &left.offsets, &end).await.rows(), 4);
}

#[tokio::test]
async fn a_topic_that_is_gone_is_a_loss_for_a_query_that_has_read_it() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let expected = format!("topic \"gone\" does not exist on broker {servers}");
    let new = json(&servers, "gone").try_open(headwater_core::connector::SourceUse::Stream);
    let error = new.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(error.message(), expected);
    let read = |topic: &str| at(topic, &[1]);
    let resumed = json(&servers, "gone").try_resume(read("gone"));
    let error = resumed.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    assert_eq!(error.message(), expected);
    let detail = error.detail().unwrap();
    assert_eq!(detail, "The checkpoint of the query has read from it.");
    // One that it is told to read from now on was misspelt: nothing is lost.
    for (key, value) in [("topic", "t, gone"), ("assign", r#"{"t":[0],"gone":[0]}"#)] {
        let both = || json(&servers, "t").choosing(key, value);
        let error = both().try_resume(read("t")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{key}");
        assert_eq!(error.message(), expected);
        let error = both().try_resume(read("gone")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss, "{key}");
    }
    let matching = json(&servers, "t").choosing("topic.pattern", "gone.*");
    let error = matching.try_resume(read("gone")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
    json(&servers, "t").try_resume(read("t")).await.unwrap();
}
