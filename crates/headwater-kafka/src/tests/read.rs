//! Reading: columns, slices, limits, replay, resuming and bad records.

use arrow::datatypes::{DataType, TimeUnit};
use headwater_core::ErrorKind;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::SourceUse;
use headwater_core::format::BadDataPolicy;
use headwater_core::offset::Slice;
use headwater_core::source::{EpochLimits, Source};

use super::fixture::*;

#[tokio::test]
async fn json_with_every_metadata_column() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    let put_one = Put {
        key: Some(b"k1".to_vec()),
        timestamp: Some(1_700_000_000_123),
        headers: vec![("h".into(), Some(b"\x01".to_vec())), ("h".into(), None)],
        ..text(1, r#"{"n":7}"#)
    };
    let no_key = Put {
        timestamp: Some(1),
        ..text(1, r#"{"n":8}"#)
    };
    put(&servers, "t", &[put_one, no_key]);
    let headers = {
        use arrow::datatypes::Field;
        let entry = DataType::Struct(
            vec![
                Field::new("key", DataType::Utf8View, true),
                Field::new("value", DataType::Binary, true),
            ]
            .into(),
        );
        DataType::List(std::sync::Arc::new(Field::new("item", entry, true)))
    };
    let source = json(&servers, "t")
        .metadata("k", DataType::Utf8View, "key")
        .metadata("kb", DataType::Binary, "key")
        .metadata("topic", DataType::Utf8View, "topic")
        .metadata("p", DataType::Int32, "partition")
        .metadata("o", DataType::Int64, "offset")
        .metadata(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp",
        )
        .metadata("tt", DataType::Int32, "timestamp_type")
        .metadata("hs", headers, "headers")
        .open()
        .await;
    assert_eq!(
        read_all(&*source).await.lines(),
        [
            "7|k1|6b31|t|1|0|2023-11-14T22:13:20.123|0|[{key: h, value: 01}, {key: h, value: NULL}]",
            "8|NULL|NULL|t|1|1|1970-01-01T00:00:00.001|0|[]",
        ]
    );
}

#[tokio::test]
async fn without_columns_the_seven_of_spark() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let tombstone = Put {
        key: Some(b"k".to_vec()),
        timestamp: Some(5),
        ..Put::default()
    };
    let empty = Put {
        timestamp: Some(6),
        ..text(0, "")
    };
    put(&servers, "t", &[tombstone, empty]);
    let source = raw(&servers, "t").open().await;
    let names: Vec<String> = source
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    assert_eq!(
        names,
        [
            "key",
            "value",
            "topic",
            "partition",
            "offset",
            "timestamp",
            "timestamp_type"
        ]
    );
    assert_eq!(
        read_all(&*source).await.lines(),
        [
            "6b|NULL|t|0|0|1970-01-01T00:00:00.005|0",
            "NULL||t|0|1|1970-01-01T00:00:00.006|0",
        ]
    );
}

#[tokio::test]
async fn a_projection_takes_columns_in_any_order_or_none() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..3));
    let source = json(&servers, "t")
        .metadata("o", DataType::Int64, "offset")
        .open()
        .await;
    let (start, end) = (at("t", &[0]), at("t", &[3]));
    let two = try_read(&*source, &start, &end, &[1, 0]).await.unwrap();
    assert_eq!(two.lines(), ["0|0", "1|1", "2|2"]);
    let none = try_read(&*source, &start, &end, &[]).await.unwrap();
    assert_eq!((none.rows(), none.counters.records()), (3, 3));
    assert_eq!(none.counters.bytes(), 21);
}

#[tokio::test]
async fn a_slice_gives_the_same_rows_every_time() {
    let broker = broker(&[("t", 3)]);
    let servers = broker.bootstrap_servers();
    for partition in 0..2 {
        put(&servers, "t", &numbers(partition, 0..2500));
    }
    let source = json(&servers, "t")
        .metadata("p", DataType::Int32, "partition")
        .open()
        .await;
    let all = read_all(&*source).await.lines();
    assert_eq!(all.len(), 5000);
    let (a, b) = (at("t", &[700, 10, 0]), at("t", &[1800, 11, 0]));
    let first = read(&*source, &a, &b).await.lines();
    assert_eq!(first.len(), 1101);
    assert_eq!((first[0].as_str(), first[1100].as_str()), ("700|0", "10|1"));
    assert_eq!(
        read(&*source, &a, &b).await.lines(),
        first,
        "again in the same source"
    );
    // The next slice, then the one before it once more.
    let c = at("t", &[2500, 2500, 0]);
    assert_eq!(read(&*source, &b, &c).await.rows(), 700 + 2489);
    assert_eq!(
        read(&*source, &a, &b).await.lines(),
        first,
        "after reading on"
    );
    // A new process has no buffer.
    let resumed = json(&servers, "t")
        .metadata("p", DataType::Int32, "partition")
        .open()
        .await;
    assert_eq!(
        read(&*resumed, &a, &b).await.lines(),
        first,
        "in a new source"
    );
    assert_eq!(reach(&*resumed, &b, &c).await, c);
    assert_eq!(read(&*resumed, &b, &c).await.rows(), 700 + 2489);
}

#[tokio::test]
async fn partitions_and_bytes_have_limits_of_their_own() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..300));
    put(&servers, "t", &numbers(1, 0..100));
    let (start, all) = (at("t", &[0, 0]), at("t", &[300, 100]));
    let available = async |name: &str, value: &str| {
        let source = json(&servers, "t").option(name, value).open().await;
        assert_eq!(source.initial().await.unwrap(), start);
        // What is there is fetched, whatever an epoch may take of it.
        within(20, async {
            loop {
                let end = source.available(&start, &NO_LIMITS).await.unwrap();
                if end.iter().all(|(_, offset)| offset > 0) {
                    return end;
                }
                source.wait_ready(&start).await.unwrap();
            }
        })
        .await
    };
    let each = available("max.records.per.partition", "20").await;
    assert_eq!(each, at("t", &[20, 20]));
    // A hundredth of what is there is still a record of each.
    let bytes = available("max.bytes.per.epoch", "300").await;
    assert!(!bytes.has_reached(&all) && bytes.has_reached(&at("t", &[1, 1])));
}

#[tokio::test]
async fn a_limit_is_shared_among_partitions() {
    let broker = broker(&[("t", 3)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..300));
    put(&servers, "t", &numbers(1, 0..100));
    let declared = json(&servers, "t")
        .option("maxOffsetsPerTrigger", "40")
        .declare()
        .unwrap();
    assert_eq!(
        declared.limits(),
        EpochLimits {
            max_records: Some(40)
        }
    );
    let source = json(&servers, "t").open().await;
    let start = source.initial().await.unwrap();
    assert_eq!(start, at("t", &[0, 0, 0]));
    let all = at("t", &[300, 100, 0]);
    assert_eq!(reach(&*source, &start, &all).await, all);
    let limits = EpochLimits {
        max_records: Some(40),
    };
    let first = source.available(&start, &limits).await.unwrap();
    assert_eq!(first, at("t", &[30, 10, 0]));
    assert_eq!(
        source.available(&start, &limits).await.unwrap(),
        first,
        "the same when asked again"
    );
    let mut from = start;
    let mut epochs = 0;
    while !from.has_reached(&all) {
        let end = source.available(&from, &limits).await.unwrap();
        assert_eq!(read(&*source, &from, &end).await.rows(), 40);
        from = end;
        epochs += 1;
    }
    assert_eq!(epochs, 10);
}

#[tokio::test]
async fn an_epoch_is_stretched_to_what_lies_before_the_bound() {
    let broker = broker(&[("t", 3)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..300));
    put(&servers, "t", &numbers(1, 0..100));
    let source = json(&servers, "t").open().await;
    let start = source.initial().await.unwrap();
    let bound = at("t", &[300, 100, 0]);
    let stretched = |end: [i64; 3], records| {
        let available = Slice::between(&start, &at("t", &end));
        source.stretched(available, &bound, records)
    };
    assert_eq!(reach(&*source, &start, &bound).await, bound);
    // Shares of what is left, and never less than what is there.
    assert_eq!(stretched([0, 0, 0], 40).end, at("t", &[30, 10, 0]));
    assert_eq!(stretched([100, 0, 0], 250).end, at("t", &[200, 50, 0]));
    assert_eq!(stretched([100, 0, 0], 50).end, at("t", &[100, 0, 0]));
    assert_eq!(stretched([100, 100, 0], 10_000).end, bound);
    // What has not been fetched is waited for.
    let again = json(&servers, "t").open().await;
    again.available(&start, &NO_LIMITS).await.unwrap();
    let none = Slice::between(&start, &start);
    let slice = again.stretched(none.clone(), &bound, 200);
    assert_eq!(slice.end, at("t", &[150, 50, 0]));
    assert_eq!(read(&*again, &start, &slice.end).await.rows(), 200);
    // Nor past the end of the source, whatever the bound.
    let ends = json(&servers, "t")
        .option("end", r#"offsets:{"t":{"0":20,"1":5,"2":0}}"#)
        .open()
        .await;
    assert_eq!(ends.initial().await.unwrap(), start);
    ends.available(&start, &NO_LIMITS).await.unwrap();
    let slice = ends.stretched(none.clone(), &bound, 200);
    assert_eq!(slice.end, at("t", &[20, 5, 0]));
    // Nobody knows how many bytes that would be.
    let limited = json(&servers, "t")
        .option("max.bytes.per.epoch", "1 MB")
        .open()
        .await;
    limited.available(&start, &NO_LIMITS).await.unwrap();
    assert_eq!(limited.stretched(none.clone(), &bound, 200), none);
}

#[tokio::test]
async fn partitions_take_turns_whatever_has_been_fetched() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..20_000));
    put(&servers, "t", &numbers(1, 20_000..60_000));
    let expected: Vec<String> = [0..16_384, 20_000..36_384, 16_384..20_000, 36_384..60_000]
        .into_iter()
        .flatten()
        .map(|number| number.to_string())
        .collect();
    let source = json(&servers, "t").open().await;
    let (start, end) = (at("t", &[0, 0]), at("t", &[20_000, 40_000]));
    for _ in 0..2 {
        assert_eq!(read(&*source, &start, &end).await.lines(), expected);
    }
}

#[tokio::test]
async fn waiting_ends_when_a_record_comes() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    let source = json(&servers, "t").option("start", "latest").open().await;
    let start = source.initial().await.unwrap();
    assert_eq!(source.available(&start, &NO_LIMITS).await.unwrap(), start);
    let write = async {
        SystemClock::new()
            .sleep(std::time::Duration::from_millis(300))
            .await;
        put(&servers, "t", &numbers(1, 5..6));
    };
    let (ready, ()) = within(10, futures::future::join(source.wait_ready(&start), write)).await;
    ready.unwrap();
    let end = source.available(&start, &NO_LIMITS).await.unwrap();
    assert_eq!(end, at("t", &[0, 1]));
    assert_eq!(read(&*source, &start, &end).await.lines(), ["5"]);
}

#[tokio::test]
async fn several_streams_read_partitions_side_by_side() {
    let broker = broker(&[("a", 2), ("b", 1)]);
    let servers = broker.bootstrap_servers();
    for (topic, partition) in [("a", 0), ("a", 1), ("b", 0)] {
        put(&servers, topic, &numbers(partition, 0..2000));
    }
    let source = json(&servers, "a, b").open().await;
    let start = source.initial().await.unwrap();
    let end = source.latest().await.unwrap();
    assert_eq!(end.len(), 3);
    let one = |index: usize| {
        let pick = |offsets: &headwater_core::offset::Offsets| {
            offsets
                .iter()
                .skip(index)
                .take(1)
                .map(|(p, o)| (p.clone(), o))
                .collect()
        };
        (pick(&start), pick(&end))
    };
    let parts = [one(0), one(1), one(2)];
    let reads = parts.iter().map(|(from, to)| read(&*source, from, to));
    for read in futures::future::join_all(reads).await {
        assert_eq!(read.rows(), 2000);
    }
}

#[tokio::test]
async fn more_than_fits_into_memory_streams_through() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    let wide = "x".repeat(20_000);
    for partition in 0..2 {
        let messages: Vec<Put> = (0..180).map(|_| text(partition, wide.as_str())).collect();
        put(&servers, "t", &messages);
    }
    // Seven times what may be kept.
    let source = open_own(raw(&servers, "t").option("prefetch.bytes", "1048576")).await;
    let start = source.initial().await.unwrap();
    let end = source.latest().await.unwrap();
    let mut reached = start.clone();
    within(10, async {
        // What is available stops growing when memory is full.
        while source.held_bytes() < 400_000 {
            source.wait_ready(&reached).await.unwrap();
            reached = source.available(&reached, &NO_LIMITS).await.unwrap();
        }
    })
    .await;
    SystemClock::new()
        .sleep(std::time::Duration::from_millis(300))
        .await;
    // One batch of a producer for each partition may come on top.
    let bound = (1 << 20) + 2_000_000;
    assert!(
        source.held_bytes() <= bound,
        "holds {}",
        source.held_bytes()
    );
    // Records that are committed without being read make room, or nothing would ever come.
    let reached = source.available(&start, &NO_LIMITS).await.unwrap();
    source.committed(&reached).await.unwrap();
    within(10, source.wait_ready(&reached)).await.unwrap();
    let read = read(&source, &start, &end).await;
    assert_eq!(source.held_bytes(), 0);
    assert_eq!(read.rows(), 360);
    assert_eq!(read.counters.bytes(), 360 * 20_000);
}

#[tokio::test]
async fn bad_records_follow_the_policy() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let bad = ["{\"n\":1}", "oops", "{\"n\":3}"].map(|value| text(0, value));
    put(&servers, "t", &bad);
    let source = |policy| {
        json(&servers, "t")
            .metadata("o", DataType::Int64, "offset")
            .bad_data(policy)
            .open()
    };
    let (start, end) = (at("t", &[0]), at("t", &[3]));
    let failed = try_read(&*source(BadDataPolicy::Fail).await, &start, &end, &[0, 1]).await;
    let error = failed.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(
        error
            .message()
            .contains("partition 0 of topic \"t\" at offset 1"),
        "{error}"
    );
    let dropped = read(&*source(BadDataPolicy::Drop).await, &start, &end).await;
    assert_eq!(dropped.lines(), ["1|0", "3|2"]);
    assert_eq!(dropped.counters.bad().values().sum::<u64>(), 1);
    let kept = read(&*source(BadDataPolicy::Null).await, &start, &end).await;
    assert_eq!(kept.lines(), ["1|0", "NULL|1", "3|2"]);
}

#[tokio::test]
async fn starts_and_ends_are_resolved() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..5));
    let initial = async |start: &str| {
        let source = json(&servers, "t").option("start", start).open().await;
        source.initial().await
    };
    assert_eq!(initial("earliest").await.unwrap(), at("t", &[0, 0]));
    assert_eq!(initial("latest").await.unwrap(), at("t", &[5, 0]));
    assert_eq!(
        initial(r#"offsets:{"t":{"0":3}}"#).await.unwrap(),
        at("t", &[3, 0])
    );
    assert_eq!(
        initial(r#"{"t":{"0":-1,"1":-2}}"#).await.unwrap(),
        at("t", &[5, 0])
    );
    let error = initial(r#"{"t":{"0":9}}"#).await.unwrap_err();
    assert_eq!(
        error.message(),
        "offset 9 of partition 0 of topic \"t\" does not exist"
    );
    let bounded = json(&servers, "t").option("end", r#"offsets:{"t":{"0":2}}"#);
    let bounded = bounded.try_open(SourceUse::BoundedRead).await.unwrap();
    assert_eq!(bounded.latest().await.unwrap(), at("t", &[2, 0]));
    let streamed = json(&servers, "t").option("end", r#"offsets:{"t":{"0":2}}"#);
    let streamed = streamed.try_open(SourceUse::Stream).await.unwrap();
    assert!(!streamed.has_ended(&at("t", &[1, 0])));
    assert!(streamed.has_ended(&at("t", &[2, 0])));
}

#[tokio::test]
async fn an_unknown_topic_is_told_at_once() {
    let broker = broker(&[("orders", 1)]);
    let servers = broker.bootstrap_servers();
    let clock = SystemClock::new();
    let error = json(&servers, "order")
        .try_open(SourceUse::Stream)
        .await
        .unwrap_err();
    assert!(clock.elapsed().as_secs() < 2, "took {:?}", clock.elapsed());
    assert_eq!(
        error.message(),
        format!("topic \"order\" does not exist on broker {servers}")
    );
    assert_eq!(error.hint(), Some("Did you mean \"orders\"?"));
}

#[tokio::test]
async fn an_unreachable_broker_is_named() {
    let clock = SystemClock::new();
    let error = json("127.0.0.1:1", "t")
        .try_open(SourceUse::Stream)
        .await
        .unwrap_err();
    assert!(clock.elapsed().as_secs() < 10, "took {:?}", clock.elapsed());
    assert_eq!(error.message(), "could not reach broker 127.0.0.1:1");
    assert!(
        error.detail().unwrap().contains("refused"),
        "{:?}",
        error.detail()
    );
}

#[tokio::test]
async fn definitions_that_cannot_work_are_refused() {
    let no_format = {
        let mut declared = json("b:1", "t");
        declared.definition.format = None;
        declared.declare().unwrap_err()
    };
    assert!(no_format.hint().unwrap().contains("FORMAT JSON"));
    let typo = json("b:1", "t").option("topik", "x").declare().unwrap_err();
    assert_eq!(typo.hint(), Some("Did you mean \"topic\"?"));
    let metadata = json("b:1", "t")
        .metadata("x", DataType::Int64, "ofset")
        .declare()
        .unwrap_err();
    assert_eq!(metadata.hint(), Some("Did you mean \"offset\"?"));
}

#[tokio::test]
async fn a_reader_that_is_dropped_leaves_nothing_behind() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    put(&servers, "t", &numbers(0, 0..10));
    let source = json(&servers, "t").open().await;
    let (start, end) = (at("t", &[0]), at("t", &[10]));
    reach(&*source, &start, &end).await;
    source.committed(&end).await.unwrap();
    let threads = || {
        std::fs::read_dir("/proc/self/task")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
            .filter(|name| name.trim() == "kafka-dropped")
            .count()
    };
    let mut named = json(&servers, "t");
    named.definition.name = "dropped".into();
    let other = named.open().await;
    reach(&*other, &start, &end).await;
    let is_linux = std::path::Path::new("/proc/self/task").exists();
    assert_eq!(threads(), usize::from(is_linux));
    drop(other);
    within(10, async {
        while threads() > 0 {
            SystemClock::new()
                .sleep(std::time::Duration::from_millis(10))
                .await;
        }
    })
    .await;
}
