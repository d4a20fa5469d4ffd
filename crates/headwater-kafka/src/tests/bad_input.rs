//! Messages that no producer should send, and some do: each is a row, and none costs more memory
//! than it has bytes.
//!
//! What a payload holds is looked at in the crate of formats; here it is what stands around it.

use arrow::datatypes::{DataType, TimeUnit};
use headwater_core::records::headers_type;

use super::fixture::*;
use super::raw_batch::{LOG_APPEND_TIME, NO_CODEC, NO_TIME, RawBatch, ZSTD, put_raw};
use super::write;

const MIB: usize = 1 << 20;

/// Keys, values and times at their edges.
#[tokio::test]
async fn odd_messages_are_rows() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let key = |key: &[u8]| Put {
        key: Some(key.to_vec()),
        timestamp: Some(1),
        ..text(0, "v")
    };
    let time = |ms: i64| Put {
        timestamp: Some(ms),
        ..text(0, "v")
    };
    let tombstone = Put {
        value: None,
        ..key(b"k")
    };
    let empty = Put {
        value: Some(vec![]),
        ..key(b"")
    };
    let messages = [
        tombstone,
        empty,
        key(b"a\nb"),
        key(b"\"';,"),
        key(b"\0"),
        key(b"\xff"),
        time(253_402_300_799_999),
        // Microseconds where milliseconds belong.
        time(1_767_225_600_000_000),
        time(i64::MAX),
    ];
    put(&servers, "t", &messages);
    let source = raw(&servers, "t")
        .payload(&[("v", DataType::Utf8View)], "text")
        .metadata("k", DataType::Utf8View, "key")
        .metadata("kb", DataType::Binary, "key")
        .metadata(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp",
        );
    assert_eq!(
        read_all(&*source.open().await).await.lines(),
        [
            "NULL|k|6b|1970-01-01T00:00:00.001",
            "|||1970-01-01T00:00:00.001",
            "v|a\nb|610a62|1970-01-01T00:00:00.001",
            "v|\"';,|22273b2c|1970-01-01T00:00:00.001",
            "v|\0|00|1970-01-01T00:00:00.001",
            "v|NULL|ff|1970-01-01T00:00:00.001",
            "v|NULL|NULL|9999-12-31T23:59:59.999",
            "v|NULL|NULL|NULL",
            "v|NULL|NULL|NULL",
        ]
    );
}

#[tokio::test]
async fn a_message_has_as_many_headers_as_it_likes() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let headers = (0..10_000).map(|i| match i % 3 {
        0 => ("same".to_string(), None),
        1 => (format!("h{i}"), Some(vec![])),
        _ => ("same".to_string(), Some(vec![0xff])),
    });
    let message = Put {
        headers: headers.collect(),
        ..text(0, "v")
    };
    put(&servers, "t", &[message, text(0, "v")]);
    let source = raw(&servers, "t")
        .payload(&[("v", DataType::Utf8View)], "text")
        .metadata("h", headers_type(), "headers");
    let lines = read_all(&*source.open().await).await.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0].matches("{key: ").count(), 10_000);
    let first = lines[0]
        .split("}, ")
        .take(3)
        .collect::<Vec<_>>()
        .join("}, ");
    assert_eq!(
        first,
        "v|[{key: same, value: NULL}, {key: h1, value: }, {key: same, value: ff"
    );
    assert_eq!(lines[1], "v|[]");
}

/// Larger than what one fetch asks for, and than what may be kept. Together they are below the
/// five mebibytes that the mock broker keeps; the real one of the tests takes no message of one.
#[tokio::test]
async fn messages_of_some_mebibytes_come_through() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let sizes = [1, 3].map(|n| n * MIB);
    let messages = sizes.map(|size| text(0, vec![b'x'; size]));
    let large = [("message.max.bytes", "100000000")];
    put_with(&servers, "t", &messages, &large);
    let source = raw(&servers, "t").option("prefetch.bytes", "1048576");
    let source = open_own(source).await;
    let (start, end) = (at("t", &[0]), at("t", &[2]));
    let read = within(60, read(&source, &start, &end)).await;
    assert_eq!(read.rows(), 2);
    let bytes: usize = sizes.iter().sum();
    assert_eq!(read.counters.bytes(), u64::try_from(bytes).unwrap());
    assert_eq!(source.held_bytes(), 0);
}

/// As large as brokers are ever told to take. The mock broker keeps one message of any size.
#[tokio::test]
async fn messages_of_many_mebibytes_are_written_and_read() {
    let large = [
        ("properties.message.max.bytes", "100000000"),
        ("properties.queue.buffering.max.kbytes", "262144"),
    ];
    for size in [6, 40].map(|n| n * MIB) {
        let broker = broker(&[("t", 1)]);
        let servers = broker.bootstrap_servers();
        let sink = write::sink(&servers, "t", &large).unwrap();
        write::open(&*sink).await.unwrap();
        let symbol = "x".repeat(size);
        let rows = write::rows_of(&[&symbol]);
        within(60, write::epoch(&*sink, 0, vec![rows]))
            .await
            .unwrap();
        drop(symbol);
        // The key is the text, too.
        let source = raw(&servers, "t")
            .option("prefetch.bytes", "1048576")
            .option("properties.receive.message.max.bytes", "200000000");
        let source = open_own(source).await;
        let read = within(60, read(&source, &at("t", &[0]), &at("t", &[1]))).await;
        assert_eq!(read.rows(), 1);
        // The row is an object with the text in it.
        let bytes = usize::try_from(read.counters.bytes()).unwrap();
        assert!((size..size + 100).contains(&bytes), "{size} {bytes}");
        assert_eq!(source.held_bytes(), 0);
    }
}

/// A compression that there is not, and one that is not what it says: never silence, and never for ever.
#[tokio::test]
async fn batches_that_cannot_be_decompressed_stop_the_query() {
    for (codec, message, detail) in [
        (
            NO_CODEC,
            "partition 0 of topic \"t\" holds records that cannot be read",
            "Decompression (codec 0x5)",
        ),
        (
            ZSTD,
            "partition 0 of topic \"t\" holds damaged records",
            "Decompression (codec 0x4)",
        ),
    ] {
        let broker = broker(&[("t", 1)]);
        let servers = broker.bootstrap_servers();
        put_raw(&servers, "t", &RawBatch::default());
        let batch = RawBatch {
            attributes: codec,
            body: Some(b"no compression has these bytes"),
            ..RawBatch::default()
        };
        put_raw(&servers, "t", &batch);
        put_raw(&servers, "t", &RawBatch::default());
        let source = json(&servers, "t").open().await;
        let all = [0];
        let start = source.initial().await.unwrap();
        // What came before is read, whenever the batch comes.
        let first = at("t", &[1]);
        reach(&*source, &start, &first).await;
        assert_eq!(read(&*source, &start, &first).await.lines(), ["1"]);
        let error = try_read(&*source, &first, &at("t", &[3]), &all).await;
        let error = error.err().unwrap();
        assert_eq!(error.kind(), headwater_core::ErrorKind::Source);
        assert_eq!(error.message(), message);
        assert!(error.detail().unwrap().contains(detail), "{error:?}");
    }
}

/// The time that the broker has set, and no time at all.
#[tokio::test]
async fn times_of_the_broker_and_none_are_told_apart() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let time_ms = 1_767_225_600_000;
    for (attributes, time_ms) in [(0, time_ms), (LOG_APPEND_TIME, time_ms), (0, NO_TIME)] {
        let batch = RawBatch {
            attributes,
            time_ms,
            ..RawBatch::default()
        };
        put_raw(&servers, "t", &batch);
    }
    let source = json(&servers, "t")
        .metadata(
            "ts",
            DataType::Timestamp(TimeUnit::Microsecond, None),
            "timestamp",
        )
        .metadata("kind", DataType::Int32, "timestamp_type");
    assert_eq!(
        read_all(&*source.open().await).await.lines(),
        [
            "1|2026-01-01T00:00:00|0",
            "1|2026-01-01T00:00:00|1",
            "1|NULL|-1",
        ]
    );
}

/// A thousand times as many bytes as the broker keeps of them.
#[tokio::test]
async fn a_batch_that_is_small_until_it_is_decompressed_comes_through() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let messages: Vec<Put> = (0..40).map(|_| text(0, vec![b'x'; MIB])).collect();
    let settings = [
        ("compression.type", "zstd"),
        ("message.max.bytes", "100000000"),
        ("batch.size", "100000000"),
        ("linger.ms", "200"),
    ];
    put_with(&servers, "t", &messages, &settings);
    let source = raw(&servers, "t").option("prefetch.bytes", "1048576");
    let source = open_own(source).await;
    let read = within(60, read(&source, &at("t", &[0]), &at("t", &[40]))).await;
    assert_eq!((read.rows(), source.held_bytes()), (40, 0));
}

/// What is kept of a message counts, even if it has no bytes of its own.
#[tokio::test]
async fn half_a_million_empty_messages_are_rows() {
    const MESSAGES: usize = 500_000;
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let messages = vec![text(0, ""); MESSAGES];
    put_with(&servers, "t", &messages, &[("linger.ms", "50")]);
    let source = raw(&servers, "t").option("prefetch.bytes", "1048576");
    let source = open_own(source).await;
    let end = at("t", &[i64::try_from(MESSAGES).unwrap()]);
    let read = within(120, read(&source, &at("t", &[0]), &end)).await;
    assert_eq!((read.rows(), source.held_bytes()), (MESSAGES, 0));
    assert_eq!(read.counters.bytes(), 0);
}
