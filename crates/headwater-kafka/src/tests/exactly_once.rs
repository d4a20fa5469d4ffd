//! Transactions, seen from outside: what readers of committed rows see, and what the sink says
//! was published, after every way an epoch can end.
//!
//! Visibility is tested on a real broker (`HEADWATER_TEST_BOOTSTRAP`), because the mock one shows
//! rows of open and aborted transactions and keeps no notes; failed requests, on the mock one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow::datatypes::DataType;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::id::EpochId;
use headwater_core::sink::{Publication, Sink, SinkContext, Transactions};
use headwater_core::{Error, ErrorKind};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::fixture::*;
use super::write::{commit, context, epoch, rows, sink, stage};
use crate::{DevFault, DevRequest, KafkaConnection, create_topic};

/// A topic of a real broker, and a query that writes to it.
pub(super) struct Place {
    pub(super) servers: String,
    pub(super) topic: String,
}

impl Place {
    /// `None` if the run was told to do without a real broker.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test run is told by its environment"
    )]
    pub(super) async fn real(partitions: i32) -> Option<Place> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let servers = match std::env::var("HEADWATER_TEST_BOOTSTRAP") {
            Ok(none) if none == "none" => return None,
            Ok(servers) => servers,
            Err(_) => panic!(
                "HEADWATER_TEST_BOOTSTRAP is not set: run `cargo xtask test`, which starts a \
                 broker, or set it to a cluster of yours, or to `none` to leave these tests out"
            ),
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let topic = format!("test-{}-{count}", std::process::id());
        let connection = KafkaConnection::new(&servers);
        let made = create_topic(&connection, &topic, partitions, Some(1));
        within(20, made).await.unwrap();
        Some(Place { servers, topic })
    }

    fn mock(servers: String) -> Place {
        let topic = "out".to_string();
        Place { servers, topic }
    }

    /// The query's sink in a new process.
    async fn try_open(&self, more: &[(&str, &str)]) -> Result<Arc<dyn Sink>, Error> {
        let sink = sink(&self.servers, &self.topic, more)?;
        let context = context(&self.topic, Transactions::Allowed);
        within(70, sink.open(&context)).await?;
        assert_eq!(sink.publication(), Publication::Transaction);
        assert!(sink.capabilities().is_idempotent);
        Ok(sink)
    }

    async fn open(&self) -> Arc<dyn Sink> {
        self.try_open(&[]).await.unwrap()
    }

    /// The column `n` of every row that is committed.
    async fn numbers(&self) -> Vec<i64> {
        let source = json(&self.servers, &self.topic).open().await;
        let lines = read_all(&*source).await.lines();
        let mut numbers: Vec<i64> = lines.iter().map(|line| line.parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }
}

async fn last_published(sink: &dyn Sink) -> Result<Option<u64>, Error> {
    let last = within(70, sink.last_published()).await?;
    Ok(last.map(|epoch| epoch.0))
}

async fn abort(sink: &dyn Sink, epoch: u64) -> Result<(), Error> {
    within(70, sink.abort(EpochId(epoch))).await
}

#[tokio::test]
async fn rows_are_visible_when_their_epoch_is_committed() {
    let Some(place) = Place::real(2).await else {
        return;
    };
    let sink = place.open().await;
    assert_eq!(last_published(&*sink).await.unwrap(), None);
    stage(&*sink, 0, vec![rows(0..5), rows(5..10)])
        .await
        .unwrap();
    assert_eq!(place.numbers().await, Vec::<i64>::new());
    commit(&*sink, 0).await.unwrap();
    assert_eq!(place.numbers().await, (0..10).collect::<Vec<_>>());
    assert_eq!(last_published(&*sink).await.unwrap(), Some(0));
    // Asking does not end the sink.
    epoch(&*sink, 1, vec![rows(10..12)]).await.unwrap();
    assert_eq!(place.numbers().await, (0..12).collect::<Vec<_>>());
}

#[tokio::test]
async fn epochs_that_are_prepared_one_after_the_other_are_committed_together() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    stage(&*sink, 0, vec![rows(0..3)]).await.unwrap();
    stage(&*sink, 1, vec![]).await.unwrap();
    stage(&*sink, 2, vec![rows(3..5)]).await.unwrap();
    assert_eq!(place.numbers().await, Vec::<i64>::new());
    commit(&*sink, 2).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3, 4]);
    assert_eq!(last_published(&*sink).await.unwrap(), Some(2));
}

#[tokio::test]
async fn an_aborted_epoch_is_never_seen_and_may_run_again() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    stage(&*sink, 1, vec![rows(100..103)]).await.unwrap();
    stage(&*sink, 2, vec![rows(200..203)]).await.unwrap();
    // Both are in one transaction, so an epoch cannot be replaced alone.
    let error = stage(&*sink, 2, vec![rows(200..203)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    abort(&*sink, 2).await.unwrap();
    stage(&*sink, 1, vec![rows(2..4)]).await.unwrap();
    stage(&*sink, 2, vec![rows(4..6)]).await.unwrap();
    commit(&*sink, 2).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3, 4, 5]);
    // An epoch without rows leaves nothing to end.
    stage(&*sink, 3, vec![]).await.unwrap();
    abort(&*sink, 3).await.unwrap();
    stage(&*sink, 3, vec![]).await.unwrap();
    assert_eq!(last_published(&*sink).await.unwrap(), Some(2));
}

#[tokio::test]
async fn an_epoch_without_rows_is_noted_too() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![]).await.unwrap();
    epoch(&*sink, 1, vec![rows(0..1)]).await.unwrap();
    epoch(&*sink, 2, vec![]).await.unwrap();
    drop(sink);
    let sink = place.open().await;
    assert_eq!(last_published(&*sink).await.unwrap(), Some(2));
    assert_eq!(place.numbers().await, [0]);
}

#[tokio::test]
async fn a_process_that_ends_before_its_commit_leaves_nothing() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    stage(&*sink, 1, vec![rows(100..103)]).await.unwrap();
    drop(sink);
    let sink = place.open().await;
    assert_eq!(last_published(&*sink).await.unwrap(), Some(0));
    epoch(&*sink, 1, vec![rows(2..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_sink_that_is_opened_again_forgets_what_was_not_committed() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    stage(&*sink, 1, vec![rows(100..103)]).await.unwrap();
    let context = context(&place.topic, Transactions::Allowed);
    within(70, sink.open(&context)).await.unwrap();
    assert_eq!(last_published(&*sink).await.unwrap(), Some(0));
    epoch(&*sink, 1, vec![rows(2..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_epoch_that_was_published_is_not_written_again() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    epoch(&*sink, 1, vec![rows(2..3)]).await.unwrap();
    drop(sink);
    let sink = place.open().await;
    // The commit of a dead process, asked for again.
    commit(&*sink, 0).await.unwrap();
    commit(&*sink, 1).await.unwrap();
    let error = stage(&*sink, 1, vec![rows(2..3)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(last_published(&*sink).await.unwrap(), Some(1));
    assert_eq!(place.numbers().await, [0, 1, 2]);
}

#[tokio::test]
async fn a_second_instance_takes_over_from_the_first() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let first = place.open().await;
    epoch(&*first, 0, vec![rows(0..2)]).await.unwrap();
    stage(&*first, 1, vec![rows(100..103)]).await.unwrap();
    let second = place.open().await;
    assert_eq!(last_published(&*second).await.unwrap(), Some(0));
    let error = commit(&*first, 1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    assert_eq!(
        error.message(),
        "another instance of the query has taken over sink \"k\""
    );
    let detail = error.detail().unwrap();
    assert!(detail.contains(&place.servers), "{detail}");
    assert!(
        detail.contains(&format!("\"headwater-{}\"", place.topic)),
        "{detail}"
    );
    // It stays out, and does not take over in its turn.
    let again = stage(&*first, 1, vec![rows(100..103)]).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let again = last_published(&*first).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    abort(&*first, 1).await.unwrap();
    epoch(&*second, 1, vec![rows(2..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_instance_that_was_locked_out_cannot_write() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let first = place.open().await;
    epoch(&*first, 0, vec![rows(0..2)]).await.unwrap();
    let second = place.open().await;
    let error = stage(&*first, 1, vec![rows(100..103)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    epoch(&*second, 1, vec![rows(2..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_instance_that_finds_newer_epochs_leaves_them_alone() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let first = place.open().await;
    stage(&*first, 0, vec![rows(100..103)]).await.unwrap();
    let second = place.open().await;
    epoch(&*second, 0, vec![rows(0..2)]).await.unwrap();
    epoch(&*second, 1, vec![rows(2..3)]).await.unwrap();
    // It does not know of the other yet, and asks what became of its epoch.
    let error = last_published(&*first).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    epoch(&*second, 2, vec![rows(3..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_instance_that_is_opened_again_leaves_newer_epochs_alone() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let first = place.open().await;
    epoch(&*first, 0, vec![rows(0..2)]).await.unwrap();
    let second = place.open().await;
    epoch(&*second, 1, vec![rows(2..3)]).await.unwrap();
    let context = context(&place.topic, Transactions::Allowed);
    let error = within(70, first.open(&context)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}");
    epoch(&*second, 2, vec![rows(3..4)]).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2, 3]);
}

#[tokio::test]
async fn a_query_that_commits_too_seldom_does_not_start() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    let open = async |interval: u64, delivery: &str| {
        let limit = ("properties.transaction.timeout.ms", "20000");
        let sink = sink(&servers, "out", &[limit, ("delivery", delivery)]).unwrap();
        let context = SinkContext {
            commit_interval: Some(Duration::from_secs(interval)),
            ..context("q", Transactions::Allowed)
        };
        within(20, sink.open(&context)).await
    };
    let error = open(20, "exactly-once").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.message(),
        "a 'checkpoint.interval' of 20 seconds does not fit into the 'transaction.timeout.ms' of \
         sink \"k\", which is 20 seconds"
    );
    open(5, "exactly-once").await.unwrap();
    open(20, "at-least-once").await.unwrap();
}

#[tokio::test]
async fn every_query_has_its_own_transactions() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let other = sink(&place.servers, &place.topic, &[]).unwrap();
    let context = context("other", Transactions::Allowed);
    let id = [("transactional.id.prefix", place.topic.as_str())];
    let prefixed = place.try_open(&id).await.unwrap();
    within(70, other.open(&context)).await.unwrap();
    let own = place.open().await;
    stage(&*other, 0, vec![rows(0..1)]).await.unwrap();
    stage(&*own, 7, vec![rows(1..2)]).await.unwrap();
    stage(&*prefixed, 3, vec![rows(2..3)]).await.unwrap();
    commit(&*own, 7).await.unwrap();
    commit(&*prefixed, 3).await.unwrap();
    commit(&*other, 0).await.unwrap();
    assert_eq!(place.numbers().await, [0, 1, 2]);
    assert_eq!(last_published(&*own).await.unwrap(), Some(7));
    assert_eq!(last_published(&*prefixed).await.unwrap(), Some(3));
}

#[tokio::test]
async fn the_note_of_another_query_is_refused() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let group = format!("headwater-{}", place.topic);
    let consumer: BaseConsumer = KafkaConnection::new(&place.servers)
        .consumer_config()
        .set("group.id", &group)
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, 0, Offset::Offset(4))
        .unwrap();
    for mut element in list.elements() {
        element.set_metadata(r#"{"query":"someone","epoch":3}"#);
    }
    consumer.commit(&list, CommitMode::Sync).unwrap();
    let error = place.try_open(&[]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.message(),
        format!(
            "the note of the last epoch in group \"{group}\" on broker {} is not of this query",
            place.servers
        )
    );
    assert_eq!(
        error.detail(),
        Some(format!("It is of query someone, and this is {}.", place.topic).as_str())
    );
}

#[tokio::test]
async fn a_producer_is_no_bottleneck_of_many_rows() {
    let Some(place) = Place::real(2).await else {
        return;
    };
    let small = [("properties.queue.buffering.max.messages", "500")];
    let sink = place.try_open(&small).await.unwrap();
    let batches = (0..10).map(|i| rows(i * 1000..(i + 1) * 1000)).collect();
    epoch(&*sink, 0, batches).await.unwrap();
    assert_eq!(place.numbers().await, (0..10_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn exactly_once_needs_a_checkpoint_and_the_result() {
    let broker = broker(&[("out", 1)]);
    let servers = broker.bootstrap_servers();
    for denied in [Transactions::NoCheckpoint, Transactions::Beside] {
        let context = context("q", denied);
        // Not asked for, it is not refused.
        let plain = sink(&servers, "out", &[]).unwrap();
        within(20, plain.open(&context)).await.unwrap();
        assert_eq!(plain.publication(), Publication::AfterRecord);
        assert!(!plain.capabilities().is_idempotent);
        assert_eq!(last_published(&*plain).await.unwrap(), None);
        let strict = sink(&servers, "out", &[("delivery", "exactly-once")]).unwrap();
        assert!(strict.capabilities().is_idempotent);
        let error = within(20, strict.open(&context)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{denied:?}");
        assert!(error.hint().unwrap().contains("'at-least-once'"));
    }
    let loose = sink(&servers, "out", &[("delivery", "at-least-once")]).unwrap();
    let allowed = context("q", Transactions::Allowed);
    within(20, loose.open(&allowed)).await.unwrap();
    assert_eq!(loose.publication(), Publication::AfterRecord);
}

#[tokio::test]
async fn a_coordinator_that_is_not_ready_is_asked_again() {
    let broker = broker(&[("out", 1)]);
    let place = Place::mock(broker.bootstrap_servers());
    let sink = place.open().await;
    stage(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    let busy = [DevFault::CoordinatorLoading; 3];
    broker.fail_requests(DevRequest::EndTransaction, &busy);
    commit(&*sink, 0).await.unwrap();
    epoch(&*sink, 1, vec![rows(2..3)]).await.unwrap();
}

#[tokio::test]
async fn a_commit_that_is_refused_for_a_newer_producer_is_a_conflict() {
    let broker = broker(&[("out", 1)]);
    let place = Place::mock(broker.bootstrap_servers());
    let sink = place.open().await;
    stage(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    broker.fail_requests(DevRequest::EndTransaction, &[DevFault::Fenced]);
    let error = commit(&*sink, 0).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let again = commit(&*sink, 0).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_commit_without_an_answer_is_in_doubt_until_it_is_asked_about() {
    let broker = broker(&[("out", 1)]);
    let place = Place::mock(broker.bootstrap_servers());
    let short = [("properties.message.timeout.ms", "1500")];
    let sink = place.try_open(&short).await.unwrap();
    stage(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    broker.take_down(None).unwrap();
    let clock = SystemClock::new();
    let error = commit(&*sink, 0).await.unwrap_err();
    assert!(clock.elapsed().as_secs() < 6, "took {:?}", clock.elapsed());
    // The rows may be gone, so the same commit must not succeed without them.
    let again = commit(&*sink, 0).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Sink);
    assert!(again.message().contains("not known"), "{again}");
    assert_eq!(error.kind(), ErrorKind::Sink);
    let message = error.message();
    assert!(
        message.starts_with("sink \"k\" could not ")
            && message.ends_with(&format!("broker {} did not answer in time", place.servers)),
        "{message}"
    );
    // Asking does not help while nobody answers.
    let error = last_published(&*sink).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Sink);
    broker.bring_up(None).unwrap();
    // Asking again does; clients take their time to connect again.
    let asked_again = async { while last_published(&*sink).await.is_err() {} };
    within(60, asked_again).await;
    epoch(&*sink, 1, vec![rows(2..3)]).await.unwrap();
}

#[tokio::test]
async fn rows_that_cannot_be_delivered_fail_the_transaction_at_once() {
    let broker = broker(&[("out", 1)]);
    let place = Place::mock(broker.bootstrap_servers());
    let sink = place.open().await;
    broker.fail_requests(DevRequest::Produce, &[DevFault::NotAuthorized]);
    let clock = SystemClock::new();
    let error = stage(&*sink, 0, vec![rows(0..300)]).await.unwrap_err();
    assert!(clock.elapsed().as_secs() < 10, "took {:?}", clock.elapsed());
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(
        error
            .message()
            .ends_with("could not be delivered to topic \"out\""),
        "{error}"
    );
    abort(&*sink, 0).await.unwrap();
    epoch(&*sink, 0, vec![rows(0..3)]).await.unwrap();
}

#[tokio::test]
async fn limits_that_the_broker_refuses_are_told_when_the_sink_opens() {
    let broker = broker(&[("out", 1)]);
    let place = Place::mock(broker.bootstrap_servers());
    for (fault, message) in [
        (
            DevFault::TransactionTooLong,
            format!(
                "sink \"k\" has a longer 'transaction.timeout.ms' than broker {} allows",
                place.servers
            ),
        ),
        (
            DevFault::TransactionNotAuthorized,
            format!(
                "sink \"k\" may not start transactions on broker {}",
                place.servers
            ),
        ),
    ] {
        broker.fail_requests(DevRequest::StartTransactions, &[fault]);
        let error = place.try_open(&[]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.message(), message);
    }
    let long = [
        ("properties.transaction.timeout.ms", "5000"),
        ("properties.message.timeout.ms", "5001"),
    ];
    let error = place.try_open(&long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    place.try_open(&long[..1]).await.unwrap();
}

#[tokio::test]
async fn a_sink_of_text_keeps_its_keys_in_a_transaction() {
    let Some(place) = Place::real(1).await else {
        return;
    };
    let sink = place.open().await;
    epoch(&*sink, 0, vec![rows(0..2)]).await.unwrap();
    let source = raw(&place.servers, &place.topic)
        .payload(&[("v", DataType::Utf8View)], "text")
        .metadata("k", DataType::Utf8View, "key")
        .open()
        .await;
    let mut lines = read_all(&*source).await.lines();
    lines.sort();
    assert_eq!(
        lines,
        [r#"{"symbol":"s0","n":0}|s0"#, r#"{"symbol":"s1","n":1}|s1"#]
    );
}
