//! Bounded reads that end early fetch about what they need, and nothing after their end.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use futures::StreamExt;
use futures::stream::BoxStream;
use headwater_core::Result;
use headwater_core::format::BadDataPolicy;
use headwater_core::offset::Slice;
use headwater_core::source::{ReadCounters, ReadRequest, Source, SourceBatch};

use super::fixture::*;
use crate::row_maker::SourceColumns;
use crate::source::KafkaSource;

/// Small batches, as of a producer that has little to say at a time.
const SMALL_BATCHES: [(&str, &str); 2] = [("batch.num.messages", "100"), ("linger.ms", "2")];

fn put_numbers(servers: &str, partition: i32, range: Range<i64>) {
    put_with(servers, "t", &numbers(partition, range), &SMALL_BATCHES);
}

async fn whole(source: &KafkaSource, rows_wanted: usize) -> ReadRequest {
    let (start, end) = (source.initial().await.unwrap(), source.latest().await);
    ReadRequest {
        slice: Slice::between(&start, &end.unwrap()),
        projection: vec![0],
        batch_rows: rows_wanted,
        rows_wanted: Some(rows_wanted),
        counters: Arc::new(ReadCounters::default()),
    }
}

async fn next(stream: &mut BoxStream<'static, Result<SourceBatch>>) -> Option<RecordBatch> {
    let batch = within(20, stream.next()).await;
    batch.map(|batch| batch.unwrap().rows)
}

#[tokio::test]
async fn few_rows_are_fetched_of_the_partitions_that_have_them() {
    let broker = broker(&[("t", 4)]);
    let servers = broker.bootstrap_servers();
    for partition in 1..4 {
        put_numbers(&servers, partition, 0..20_000);
    }
    let source = open_bounded(json(&servers, "t")).await;
    let request = whole(&source, 10).await;
    let counters = Arc::clone(&request.counters);
    let mut stream = source.read(request).unwrap();
    let mut rows = 0;
    while rows < 10 {
        rows += next(&mut stream).await.unwrap().num_rows();
    }
    drop(stream);
    let (fetched, is_fetching) = source.fetched().await;
    assert!((10..20).contains(&counters.records()));
    assert!(!is_fetching);
    assert!((10..15_000).contains(&fetched), "{fetched} of 60,000");
}

#[tokio::test]
async fn rows_behind_those_that_are_wanted_come_too() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    for partition in 0..2 {
        put_numbers(&servers, partition, 0..5_000);
    }
    let source = open_bounded(json(&servers, "t")).await;
    let mut stream = source.read(whole(&source, 100).await).unwrap();
    let mut rows = 0;
    while let Some(batch) = next(&mut stream).await {
        rows += batch.num_rows();
    }
    assert_eq!(rows, 10_000);
    drop(stream);
    assert_eq!(source.fetched().await, (10_000, false));
    // Whoever reads it again gets it again.
    let mut again = source.read(whole(&source, 100).await).unwrap();
    assert!(next(&mut again).await.unwrap().num_rows() > 0);
}

#[tokio::test]
async fn a_count_of_records_that_are_all_rows_copies_no_value() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let tombstone = Put::default();
    put(
        &servers,
        "t",
        &[text(0, "{\"n\":1}"), text(0, "?"), tombstone, text(0, "")],
    );
    let bytes = |ty: DataType| {
        let column = [("b", ty)];
        raw(&servers, "t").payload(&column, "raw")
    };
    let cases = [
        (raw(&servers, "t"), true, 4),
        (bytes(DataType::Binary), true, 4),
        // A payload that is no text is bad in a text column.
        (bytes(DataType::Utf8View), false, 4),
        (json(&servers, "t").bad_data(BadDataPolicy::Null), true, 4),
        (json(&servers, "t").bad_data(BadDataPolicy::Drop), false, 1),
    ];
    for (index, (declared, leaves_values, rows)) in cases.into_iter().enumerate() {
        let columns = SourceColumns::declare("it", &declared.definition, None).unwrap();
        assert_eq!(
            columns.kept_of(&[]).leaves_values,
            leaves_values,
            "case {index}"
        );
        let first_two: Vec<usize> = (0..columns.schema().fields().len().min(2)).collect();
        assert!(!columns.kept_of(&first_two).leaves_values, "case {index}");
        let source = open_bounded(declared).await;
        let request = ReadRequest {
            projection: vec![],
            ..whole(&source, 100).await
        };
        let counters = Arc::clone(&request.counters);
        let mut stream = source.read(request).unwrap();
        let mut counted = 0;
        while let Some(batch) = next(&mut stream).await {
            counted += batch.num_rows();
        }
        assert_eq!(counted, rows, "case {index}");
        assert_eq!(
            (counters.records(), counters.bytes()),
            (4, 8),
            "case {index}"
        );
    }
}

#[tokio::test]
async fn a_read_knows_how_far_it_is() {
    let broker = broker(&[("t", 2)]);
    let servers = broker.bootstrap_servers();
    put_numbers(&servers, 0, 0..300);
    put_numbers(&servers, 1, 0..100);
    let source = open_bounded(json(&servers, "t")).await;
    let request = ReadRequest {
        rows_wanted: None,
        batch_rows: 100,
        ..whole(&source, 100).await
    };
    let counters = Arc::clone(&request.counters);
    assert_eq!(counters.fraction(), None);
    let mut stream = source.read(request).unwrap();
    assert_eq!(counters.fraction(), Some(0.0));
    let mut rows = 0;
    while let Some(batch) = next(&mut stream).await {
        rows += batch.num_rows();
        assert_eq!(counters.fraction(), Some(rows as f64 / 400.0));
    }
    assert_eq!(counters.fraction(), Some(1.0));
    // A read that may end before its slice does has no end that is known.
    let request = whole(&source, 100).await;
    let counters = Arc::clone(&request.counters);
    drop(source.read(request).unwrap());
    assert_eq!(counters.fraction(), None);
}
