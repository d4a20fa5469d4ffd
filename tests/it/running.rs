//! Queries that run by themselves, through the library: triggers, waiting, stopping, ending.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use headwater::{
    EpochId, Error, ErrorKind, EventTime, Headwater, ManualClock, MemoryStream, QueryState,
    RestartPolicy, StreamingQuery, Trigger,
};
use tokio::sync::Semaphore;

/// Far more than any of these takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn clock() -> ManualClock {
    ManualClock::new(EventTime(1_767_312_000_000_000))
}

async fn session(clock: &ManualClock) -> Headwater {
    let session = Headwater::builder()
        .clock(Arc::new(clock.clone()))
        .target_partitions(2)
        .build()
        .unwrap();
    session
        .sql("CREATE SOURCE t (v BIGINT) WITH (connector = 'memory', 'max.records.per.epoch' = 10)")
        .await
        .unwrap();
    session
}

fn push(stream: &MemoryStream, values: std::ops::Range<i64>) {
    let values = Arc::new(values.collect::<Int64Array>());
    let rows = RecordBatch::try_new(stream.schema(), vec![values]).unwrap();
    stream.push(0, rows).unwrap();
}

fn rows_in(session: &Headwater, sink: &str) -> usize {
    let rows = session.memory_sink(sink).unwrap().rows();
    rows.iter().map(RecordBatch::num_rows).sum()
}

async fn start(session: &Headwater, name: &str, trigger: Trigger) -> StreamingQuery {
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    let writer = stream.write_stream().format("memory").query_name(name);
    writer.trigger(trigger).start().await.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that hangs ends by the machine's time"
)]
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("it takes for ever")
}

/// Lets the tasks of the queries run until they wait.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        real_time(Duration::from_millis(1)).await;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it waits for the engine's tasks, which the test's clock does not move"
)]
async fn real_time(duration: Duration) {
    tokio::time::sleep(duration).await;
}

#[tokio::test]
async fn process_all_available_waits_for_what_was_there() {
    let session = session(&clock()).await;
    let stream = session.memory_stream("t").unwrap();
    push(&stream, 0..35);
    let query = start(&session, "out", Trigger::Asap).await;
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_in(&session, "out"), 35);
    // Nothing to do, and a query that waits for rows.
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(query.status().state, QueryState::Waiting);
    push(&stream, 35..40);
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_in(&session, "out"), 40);
    // A query that has ended has processed what it will ever process.
    in_time(query.stop()).await.unwrap();
    push(&stream, 40..45);
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_in(&session, "out"), 40);
}

#[tokio::test]
async fn once_is_one_epoch_and_available_now_is_as_many_as_it_takes() {
    let session = session(&clock()).await;
    push(&session.memory_stream("t").unwrap(), 0..35);
    for (trigger, epochs) in [(Trigger::Once, 1), (Trigger::AvailableNow, 4)] {
        let query = start(&session, "out", trigger).await;
        in_time(query.await_termination()).await.unwrap();
        assert_eq!(query.status().totals.epochs, epochs, "{trigger}");
        assert_eq!(rows_in(&session, "out"), 35, "{trigger}");
    }
}

#[tokio::test]
async fn a_bounded_query_ends_when_the_longer_of_two_sources_does() {
    let session = session(&clock()).await;
    let declare = "CREATE SOURCE u (v BIGINT) WITH (connector = 'memory')";
    session.sql(declare).await.unwrap();
    push(&session.memory_stream("t").unwrap(), 0..35);
    push(&session.memory_stream("u").unwrap(), 100..101);
    let both = "SELECT v FROM t UNION ALL SELECT v FROM u";
    let writer = session.stream(both).await.unwrap().write_stream();
    let writer = writer.format("memory").query_name("both");
    let query = writer.trigger(Trigger::AvailableNow).start().await.unwrap();
    // What comes after the start is not part of it.
    push(&session.memory_stream("u").unwrap(), 101..200);
    in_time(query.await_termination()).await.unwrap();
    assert_eq!(rows_in(&session, "both"), 36);
}

#[tokio::test]
async fn interval_epochs_start_at_their_times() {
    let clock = clock();
    let session = session(&clock).await;
    let stream = session.memory_stream("t").unwrap();
    push(&stream, 0..25);
    let query = start(&session, "out", Trigger::Interval(Duration::from_secs(5))).await;
    in_time(query.next_turn()).await;
    settle().await;
    assert_eq!(query.status().totals.epochs, 1, "the first is at once");
    clock.advance(Duration::from_secs(4));
    settle().await;
    assert_eq!(query.status().totals.epochs, 1);
    clock.advance(Duration::from_secs(1));
    settle().await;
    assert_eq!(query.status().totals.epochs, 2);
    // Two intervals at once are one epoch.
    clock.advance(Duration::from_secs(10));
    settle().await;
    assert_eq!(query.status().totals.epochs, 3);
    assert_eq!(rows_in(&session, "out"), 25);
    in_time(query.stop()).await.unwrap();
}

/// A query over `t` whose sink waits for a permit in every epoch, and the number of epochs that
/// have reached it.
async fn held(session: &Headwater, gate: &Arc<Semaphore>) -> (StreamingQuery, Arc<AtomicUsize>) {
    let reached = Arc::new(AtomicUsize::new(0));
    let (gate, count) = (Arc::clone(gate), Arc::clone(&reached));
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    let writer = stream.write_stream().foreach_batch(move |_, _| {
        let (gate, count) = (Arc::clone(&gate), Arc::clone(&count));
        Box::pin(async move {
            count.fetch_add(1, Ordering::SeqCst);
            gate.acquire().await.unwrap().forget();
            Ok(())
        })
    });
    (writer.start().await.unwrap(), reached)
}

#[tokio::test]
async fn a_stopped_query_finishes_its_epoch() {
    let session = session(&clock()).await;
    push(&session.memory_stream("t").unwrap(), 0..35);
    let gate = Arc::new(Semaphore::new(0));
    let (query, reached) = held(&session, &gate).await;
    settle().await;
    assert_eq!(reached.load(Ordering::SeqCst), 1);
    query.request_stop();
    settle().await;
    assert!(query.is_active());
    gate.add_permits(1);
    in_time(query.await_termination()).await.unwrap();
    assert_eq!(query.status().totals.epochs, 1);
    assert_eq!(reached.load(Ordering::SeqCst), 1, "no epoch began after it");
}

#[tokio::test]
async fn an_epoch_that_never_ends_is_abandoned_by_a_stop() {
    let clock = clock();
    let session = session(&clock).await;
    push(&session.memory_stream("t").unwrap(), 0..5);
    let gate = Arc::new(Semaphore::new(0));
    let (query, _) = held(&session, &gate).await;
    settle().await;
    query.request_stop();
    settle().await;
    clock.advance(Duration::from_millis(4900));
    settle().await;
    assert!(query.is_active());
    clock.advance(Duration::from_millis(100));
    in_time(query.await_termination()).await.unwrap();
    assert_eq!(query.status().totals.epochs, 0);
    assert_eq!(query.status().state, QueryState::Stopped);
}

#[tokio::test]
async fn a_failed_query_keeps_its_error_and_the_others_run() {
    let session = session(&clock()).await;
    let other = start(&session, "other", Trigger::Asap).await;
    let failing = session.stream("SELECT 100 / v AS share FROM t").await;
    let writer = failing.unwrap().write_stream().format("memory");
    let failing = writer.query_name("failing").start().await.unwrap();
    push(&session.memory_stream("t").unwrap(), 0..3);
    let error = in_time(session.queries().await_any_termination()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Plan);
    assert!(
        failing
            .exception()
            .unwrap()
            .message()
            .contains("ivision by zero")
    );
    assert_eq!(failing.status().state, QueryState::Failed);
    in_time(other.process_all_available()).await.unwrap();
    assert_eq!(rows_in(&session, "other"), 3);
}

#[tokio::test]
async fn sources_and_sinks_of_the_builders_take_no_names() {
    let session = session(&clock()).await;
    let generated = |session: &Headwater| {
        let reader = session.read_stream().format("datagen");
        reader.columns("v BIGINT").option("rows", "5")
    };
    for _ in 0..2 {
        let stream = generated(&session).load().unwrap();
        let writer = stream.write_stream().format("blackhole").query_name("q");
        in_time(writer.start().await.unwrap().await_termination())
            .await
            .unwrap();
    }
    let listed = session.sql("SHOW TABLES").await.unwrap();
    let listed = listed.collect().await.unwrap();
    let names = headwater_testkit::text_rows::text_rows(&listed).unwrap();
    assert_eq!(names, [["t", "source"]]);
}

#[tokio::test]
async fn with_a_checkpoint_a_second_insert_needs_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let session = session(&clock()).await;
    session
        .set("checkpoint", folder.path().to_str().unwrap())
        .unwrap();
    session
        .sql("CREATE SINK out WITH (connector = 'memory')")
        .await
        .unwrap();
    let insert = "INSERT INTO out SELECT v FROM t";
    let first = session.sql(insert).await.unwrap().into_query().unwrap();
    assert_eq!(first.name(), "insert-into-out");
    let error = session.sql(insert).await.unwrap_err();
    assert!(error.message().contains("needs a name"), "{error}");
    // When the first has ended, the name is its own again.
    in_time(first.stop()).await.unwrap();
    let again = session.sql(insert).await.unwrap().into_query().unwrap();
    assert_eq!(again.name(), "insert-into-out");
    in_time(again.stop()).await.unwrap();
}

#[tokio::test]
async fn a_query_says_after_which_epoch_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let select = "SELECT v FROM g";
    let run = async |rows: u32| {
        let session = Headwater::builder().build().unwrap();
        let source = format!(
            "CREATE SOURCE g (v BIGINT) WITH (connector = 'datagen', rows = {rows},
             'max.records.per.epoch' = 10)"
        );
        session.sql(&source).await.unwrap();
        let stream = session.stream(select).await.unwrap();
        let writer = stream.write_stream().format("blackhole").query_name("q");
        let query = writer.checkpoint(place).start().await.unwrap();
        in_time(query.await_termination()).await.unwrap();
        (query.resumed_after(), query.status().totals.rows_in)
    };
    assert_eq!(run(30).await, (None, 30));
    // More rows of the same generator.
    assert_eq!(run(50).await, (Some(EpochId(2)), 20));
}

/// Whose checkpoint it is depends on the name only while the other query runs, or if both were given
/// one.
#[tokio::test]
async fn a_query_without_a_name_may_be_started_again_and_a_checkpoint_has_one_query() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let session = session(&clock()).await;
    let start = async |name: Option<&str>| {
        let stream = session.stream("SELECT v FROM t").await.unwrap();
        let writer = stream.write_stream().format("blackhole").checkpoint(place);
        match name {
            Some(name) => writer.query_name(name).start().await,
            None => writer.start().await,
        }
    };
    for _ in 0..2 {
        let query = start(None).await.unwrap();
        let error = start(None).await.unwrap_err();
        assert!(error.message().contains("the same checkpoint"), "{error}");
        query.stop().await.unwrap();
    }
    let error = start(Some("q")).await.unwrap_err();
    assert!(error.message().contains("the same checkpoint"), "{error}");
}

#[tokio::test]
async fn a_generator_with_other_rows_is_another_source() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |least: u32| {
        let session = Headwater::builder().build().unwrap();
        let source = format!(
            "CREATE SOURCE g (v BIGINT) WITH (connector = 'datagen', rows = 10,
             'fields.v.min' = {least})"
        );
        session.sql(&source).await.unwrap();
        let stream = session.stream("SELECT v FROM g").await.unwrap();
        let writer = stream.write_stream().format("blackhole").query_name("q");
        let query = writer.checkpoint(folder.path().to_str().unwrap());
        in_time(query.start().await?.await_termination()).await
    };
    run(1).await.unwrap();
    let error = run(2).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(
        error.message().contains("the generator of source \"g\""),
        "{error}"
    );
}

#[tokio::test]
async fn copy_reads_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let session = session(&clock()).await;
    push(&session.memory_stream("t").unwrap(), 0..3);
    let copy = format!(
        "COPY (SELECT v, v * 2 AS twice FROM t) TO '{}'",
        file.display()
    );
    let copied = session.sql(&copy).await.unwrap().collect().await.unwrap();
    assert_eq!(copied[0].num_rows(), 1);
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text, "v,twice\n0,0\n1,2\n2,4\n");
}

#[tokio::test]
async fn files_of_two_queries_do_not_meet_and_a_resumed_query_keeps_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let session = session(&clock()).await;
    push(&session.memory_stream("t").unwrap(), 0..5);
    let into = async |results: &str, name: &str| {
        let stream = session.stream("SELECT v FROM t").await.unwrap();
        let writer = stream.write_stream().format("filesystem");
        let writer = writer.option("path", &at(results)).query_name(name);
        writer
            .checkpoint(&at(&format!("checkpoint-{name}")))
            .start()
            .await
    };
    let first = into("results", "a").await.unwrap();
    in_time(first.process_all_available()).await.unwrap();
    let error = into("results", "b").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    in_time(first.stop()).await.unwrap();
    let error = into("elsewhere", "a").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    assert!(error.message().contains("the path of the sink"), "{error}");
    let again = into("results", "a").await.unwrap();
    in_time(again.stop()).await.unwrap();
}

/// A bounded query reads what was there when it began, also if it is opened again on the way.
#[tokio::test]
async fn a_bounded_query_that_is_opened_again_keeps_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("in");
    std::fs::create_dir(&input).unwrap();
    let add = move |name: &str| {
        let mut file = std::fs::File::create(input.join(name)).unwrap();
        file.write_all(b"{\"v\":1}\n").unwrap();
    };
    add("first.jsonl");
    let session = Headwater::builder().build().unwrap();
    let (path, checkpoint) = (folder.path().display(), folder.path().join("checkpoint"));
    session
        .sql(&format!(
            "CREATE SOURCE f (v BIGINT) WITH (connector = 'filesystem', path = '{path}/in')
             FORMAT JSON"
        ))
        .await
        .unwrap();
    let stream = session.stream("SELECT v FROM f").await.unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    // Once, and three times tried again.
    let writer = stream.write_stream().foreach_batch(move |_, _| {
        let call = counted.fetch_add(1, Ordering::SeqCst);
        if call == 0 {
            add("second.jsonl");
        }
        let answer = match call {
            0..4 => Err(Error::new(ErrorKind::Sink, "away")),
            _ => Ok(()),
        };
        Box::pin(async move { answer })
    });
    let restarts = RestartPolicy {
        attempts: 1,
        delay: Duration::from_millis(1),
    };
    let writer = writer.trigger(Trigger::AvailableNow).restarts(restarts);
    let writer = writer.checkpoint(&checkpoint.display().to_string());
    let query = writer.start().await.unwrap();
    in_time(query.await_termination()).await.unwrap();
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    assert_eq!(query.status().totals.rows_in, 1);
}
