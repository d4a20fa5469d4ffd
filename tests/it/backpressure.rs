//! Epochs that take too long take in less: a sink that is slow on a clock that it moves itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::FutureExt;
use headwater::{EpochProgress, EventTime, Headwater, ManualClock, StreamingQuery};

/// What an epoch may read whatever it takes.
const OWN_LIMIT: u64 = 20_000;
const ROWS: i64 = 200_000;

/// A query into a sink that takes a time for each row, and keeps what it has got.
struct Slow {
    session: Headwater,
    query: StreamingQuery,
    micros_per_row: Arc<AtomicU64>,
    got: Arc<Mutex<Vec<i64>>>,
}

impl Slow {
    async fn start(settings: &str) -> Slow {
        let clock = ManualClock::new(EventTime(1_767_312_000_000_000));
        let builder = Headwater::builder().clock(Arc::new(clock.clone()));
        let session = builder.target_partitions(1).build().unwrap();
        let declare = format!(
            "{settings} CREATE SOURCE t (v BIGINT) \
             WITH (connector = 'memory', 'max.records.per.epoch' = {OWN_LIMIT})"
        );
        session.sql(&declare).await.unwrap();
        let micros_per_row = Arc::new(AtomicU64::new(1_000));
        let got = Arc::new(Mutex::new(vec![]));
        let (cost, taken) = (Arc::clone(&micros_per_row), Arc::clone(&got));
        let write = move |_, batches: Vec<RecordBatch>| {
            let mut rows = 0;
            for batch in batches {
                let values = batch.column(0).as_primitive::<Int64Type>().values();
                taken.lock().unwrap().extend_from_slice(values);
                rows += batch.num_rows() as u64;
            }
            clock.advance(Duration::from_micros(rows * cost.load(Ordering::Relaxed)));
            async { Ok(()) }.boxed()
        };
        push(&session, 0);
        let stream = session.stream("SELECT v FROM t").await.unwrap();
        let writer = stream.write_stream().foreach_batch(write).query_name("q");
        let query = writer.start().await.unwrap();
        Slow {
            session,
            query,
            micros_per_row,
            got,
        }
    }

    /// All epochs, when what is there has been read.
    async fn epochs(&self) -> Vec<EpochProgress> {
        self.query.process_all_available().await.unwrap();
        self.query.recent_progress()
    }
}

fn push(session: &Headwater, from: i64) {
    let stream = session.memory_stream("t").unwrap();
    let values = Arc::new((from..from + ROWS).collect::<Int64Array>());
    let rows = RecordBatch::try_new(stream.schema(), vec![values]).unwrap();
    stream.push(0, rows).unwrap();
}

#[tokio::test]
async fn epochs_come_near_the_target_and_grow_again() {
    let slow = Slow::start("").await;
    let epochs = slow.epochs().await;
    let taken: Vec<u64> = epochs.iter().map(|progress| progress.rows_in).collect();
    // 20 seconds, and from then on five.
    assert_eq!(taken.len(), 37, "{taken:?}");
    assert_eq!(taken[0], OWN_LIMIT);
    for progress in &epochs[1..] {
        assert_eq!(progress.rows_in, 5_000, "{taken:?}");
        assert_eq!(progress.processing_time_ms, 5_000.0);
        let steps: Vec<_> = progress.step_times_ms.iter().collect();
        assert_eq!(steps, [(&"preparing".to_string(), &5_000.0)]);
    }
    assert!(epochs.iter().all(|p| p.intake_max == Some(5_000)));

    slow.micros_per_row.store(1, Ordering::Relaxed);
    push(&slow.session, ROWS);
    let epochs = slow.epochs().await.split_off(37);
    let taken: Vec<u64> = epochs.iter().map(|progress| progress.rows_in).collect();
    assert_eq!(&taken[..4], [5_000, 10_000, 20_000, 20_000], "{taken:?}");
    // What the option says is a limit that nothing raises.
    assert_eq!(taken.iter().max(), Some(&OWN_LIMIT));
    assert!(epochs[3].intake_max > Some(OWN_LIMIT));
    slow.query.stop().await.unwrap();
    assert_eq!(*slow.got.lock().unwrap(), (0..2 * ROWS).collect::<Vec<_>>());
}

#[tokio::test]
async fn epochs_take_the_time_that_is_asked_for() {
    let slow = Slow::start("SET backpressure = '2 seconds';").await;
    let epochs = slow.epochs().await;
    let tenth = &epochs[10];
    assert_eq!((tenth.rows_in, tenth.processing_time_ms), (2_000, 2_000.0));
    slow.query.stop().await.unwrap();
}

#[tokio::test]
async fn epochs_are_as_long_as_they_are_if_it_is_off() {
    let slow = Slow::start("SET backpressure = 'off';").await;
    let epochs = slow.epochs().await;
    assert_eq!(epochs.len(), 10);
    assert!(epochs.iter().all(|p| p.rows_in == OWN_LIMIT));
    assert!(epochs.iter().all(|p| p.intake_max.is_none()));
    slow.query.stop().await.unwrap();
}
