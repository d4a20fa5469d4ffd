//! Slices, limits, waking, ending and retention of memory streams.

use futures::FutureExt;

use headwater_core::ErrorKind;

use super::*;
use crate::test_support::{ints, read_all, request, table};

fn stream(partitions: usize) -> MemoryStream {
    MemoryStream::new(ints(&[]).schema(), partitions)
}

fn at(offsets: &[i64]) -> Offsets {
    let numbered = offsets.iter().enumerate();
    numbered
        .map(|(i, o)| (Partition::new("memory", i as i32), *o))
        .collect()
}

#[tokio::test]
async fn any_slice_can_be_read_again() {
    let stream = stream(2);
    stream.push(0, ints(&[0, 1, 2])).unwrap();
    stream.push(0, ints(&[3, 4])).unwrap();
    stream.push(1, ints(&[10])).unwrap();
    assert_eq!(stream.latest().await.unwrap(), at(&[5, 1]));
    for _ in 0..2 {
        let rows = read_all(&stream, &at(&[2, 0]), &at(&[4, 1])).await.unwrap();
        let expected = [ints(&[2]), ints(&[3]), ints(&[10])];
        assert_eq!(table(&rows), table(&expected));
    }
    let mut small = request(&stream, &at(&[0, 0]), &at(&[5, 0]));
    small.batch_rows = 2;
    let sizes: Vec<_> = stream
        .read(small)
        .unwrap()
        .map(|b| b.unwrap().rows.num_rows())
        .collect()
        .await;
    assert_eq!(sizes, [2, 1, 2]);
}

#[tokio::test]
async fn limits_are_shared_and_positions_never_go_back() {
    let stream = stream(2);
    stream.push(0, ints(&[0; 100])).unwrap();
    stream.push(1, ints(&[0; 2])).unwrap();
    let ten = EpochLimits {
        max_records: Some(10),
    };
    let first = stream.available(&at(&[0, 0]), &ten).await.unwrap();
    assert_eq!(first, at(&[8, 2]));
    let ahead = at(&[200, 2]);
    assert_eq!(stream.available(&ahead, &ten).await.unwrap(), ahead);
    let error = read_all(&stream, &at(&[0, 0]), &ahead).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn waiting_ends_with_a_row_or_with_the_stream() {
    let stream = stream(1);
    let start = stream.initial().await.unwrap();
    assert!(stream.wait_ready(&start).now_or_never().is_none());
    let mut wait = stream.wait_ready(&start);
    assert!(futures::poll!(&mut wait).is_pending());
    stream.push(0, ints(&[1])).unwrap();
    wait.await.unwrap();

    let end = stream.latest().await.unwrap();
    assert!(stream.wait_ready(&end).now_or_never().is_none());
    assert!(!stream.has_ended(&end));
    stream.end();
    stream.wait_ready(&end).await.unwrap();
    assert!(stream.has_ended(&end));
    assert!(!stream.has_ended(&start));
    assert!(stream.push(0, ints(&[1])).is_err());
}

#[tokio::test]
async fn committed_rows_go_if_asked() {
    let stream = stream(1).with_retention(Retention::UntilCommitted);
    stream.push(0, ints(&[0, 1])).unwrap();
    stream.push(0, ints(&[2, 3])).unwrap();
    stream.committed(&at(&[3])).await.unwrap();
    assert_eq!(stream.initial().await.unwrap(), at(&[2]));
    let rows = read_all(&stream, &at(&[3]), &at(&[4])).await.unwrap();
    assert_eq!(rows, [ints(&[3])]);
    assert!(read_all(&stream, &at(&[1]), &at(&[4])).await.is_err());
    assert!(!stream.is_replayable());
}

#[test]
fn rows_must_fit() {
    let stream = stream(1);
    assert!(stream.push(1, ints(&[1])).is_err());
    let text: arrow::array::ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["a"]));
    let batch = RecordBatch::try_from_iter([("n", text)]).unwrap();
    let error = stream.push(0, batch).unwrap_err();
    assert_eq!(
        error.message(),
        "memory stream \"memory\" was given rows with other columns"
    );
}
