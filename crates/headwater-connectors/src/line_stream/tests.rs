//! Numbering, bounds, ends and failures of line streams, read from bytes in memory.

use std::io::Cursor;

use arrow::array::RecordBatch;

use headwater_core::ErrorKind;
use headwater_core::connector::{MetadataColumn, SourceDefinition};
use headwater_core::format::BadDataPolicy;
use headwater_core::options::{OptionReader, Options};

use super::*;
use crate::test_support::{read_all, table};

fn rows() -> Arc<RecordRows> {
    let definition = SourceDefinition {
        name: "s".to_string(),
        payload: None,
        metadata: vec![MetadataColumn {
            field: Arc::new(arrow::datatypes::Field::new("n", DataType::Int64, true)),
            from: "line".to_string(),
        }],
        format: None,
        key_format: None,
        bad_data: BadDataPolicy::Fail,
    };
    let mut options = OptionReader::new("source \"s\"", &Options::new());
    let rows = RecordRows::try_new(definition, &known_metadata(), &mut options);
    Arc::new(rows.unwrap())
}

fn source_of(text: &str, use_of: SourceUse) -> LineSource {
    let text = text.as_bytes().to_vec();
    let open = move || -> io::Result<Box<dyn BufRead>> { Ok(Box::new(Cursor::new(text.clone()))) };
    LineSource::new(LineStream::new("stdin", Arc::new(open)), rows(), use_of)
}

fn at(offset: i64) -> Offsets {
    Offsets::from_iter([(Partition::new("stdin", 0), offset)])
}

/// Waits until everything has been fetched.
async fn fetched(source: &LineSource, from: i64, end: i64) {
    while source
        .available(&at(from), &EpochLimits::default())
        .await
        .unwrap()
        != at(end)
    {
        tokio::task::yield_now().await;
    }
}

async fn text(source: &LineSource, start: i64, end: i64) -> String {
    let batches: Vec<RecordBatch> = read_all(source, &at(start), &at(end)).await.unwrap();
    table(&batches)
}

#[tokio::test]
async fn numbering_goes_on_where_the_checkpoint_ends() {
    let source = source_of("a\nb\r\nc", SourceUse::Stream);
    source.wait_ready(&at(100)).await.unwrap();
    fetched(&source, 100, 103).await;
    let limits = EpochLimits {
        max_records: Some(2),
    };
    assert_eq!(source.available(&at(100), &limits).await.unwrap(), at(102));
    let expected = "\
+-------+-----+
| value | n   |
+-------+-----+
| b     | 101 |
| c     | 102 |
+-------+-----+";
    assert_eq!(text(&source, 101, 103).await, expected);
    source.committed(&at(101)).await.unwrap();
    assert_eq!(text(&source, 101, 103).await, expected);
    let lost = read_all(&source, &at(100), &at(103)).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::DataLoss);
    let beyond = read_all(&source, &at(101), &at(104)).await.unwrap_err();
    assert_eq!(beyond.kind(), ErrorKind::DataLoss);
    source.wait_ready(&at(103)).await.unwrap();
    assert!(source.has_ended(&at(103)));
    assert!(!source.has_ended(&at(102)));
    assert!(!source.is_replayable());
}

#[tokio::test]
async fn the_thread_waits_for_room() {
    let lines = BUFFER_LINES + 5;
    let source = source_of(&"x\n".repeat(lines), SourceUse::Stream);
    source.wait_ready(&at(0)).await.unwrap();
    fetched(&source, 0, BUFFER_LINES as i64).await;
    assert!(!source.has_ended(&at(BUFFER_LINES as i64)));
    source.committed(&at(10)).await.unwrap();
    fetched(&source, 10, lines as i64).await;
}

#[tokio::test]
async fn a_bounded_read_waits_for_the_end() {
    let lines = BUFFER_LINES + 5;
    let source = source_of(&"x\n".repeat(lines), SourceUse::BoundedRead);
    assert_eq!(source.latest().await.unwrap(), at(lines as i64));
}

#[tokio::test]
async fn a_failure_is_told_and_tried_again() {
    let tries = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let open = move || -> io::Result<Box<dyn BufRead>> {
        match tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(Box::new(Cursor::new(b"a".to_vec()))),
        }
    };
    let stream = LineStream::new("stdin", Arc::new(open));
    let source = LineSource::new(stream, rows(), SourceUse::Stream);
    let error = source.wait_ready(&at(0)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    source.wait_ready(&at(0)).await.unwrap();
    fetched(&source, 0, 1).await;
}
