//! Where the work of a sink is done, how much of it, and what becomes of work that nobody waits for.

use std::sync::mpsc;

use datafusion_common_runtime::SpawnedTask;
use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;

use super::watched_files::WatchedFiles;
use super::*;

fn watched(store: &WatchedFiles, format: &str, files: SinkFiles) -> FilesystemSink {
    let style = FileStyle::try_new(FormatSpec::named(format), files, "sink \"f\"").unwrap();
    FilesystemSink::new(Arc::new(store.clone()), style, "sink \"f\"")
}

/// Numbers that no encoding makes small.
fn noise(rows: std::ops::Range<i64>) -> RecordBatch {
    let noise = |n: i64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
    ints(&rows.map(noise).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_parquet_file_is_read_once_to_be_put_into_another() {
    let store = WatchedFiles::default();
    let sink = watched(&store, "parquet", SinkFiles::default());
    let mut prepared = Vec::new();
    let mut bytes = 0;
    for epoch in [1, 2] {
        // A page has 20,000 rows at most.
        let rows = rows_of([noise(0..400_000)]);
        let staged = sink.write(EpochId(epoch), 0, rows).await.unwrap();
        let path = format!("{STAGED}/part-{epoch:08}-000.parquet");
        bytes += store.size(&path).unwrap().unwrap();
        let token = sink.prepare(EpochId(epoch), vec![staged]).await.unwrap();
        prepared.push((EpochId(epoch), token));
    }
    let before = store.bytes_read();
    let tokens = sink.gather(prepared).await.unwrap();
    let read = store.bytes_read() - before;
    assert!(bytes > 3 << 20, "{bytes} bytes are many pages");
    assert!(read >= bytes, "{read} of {bytes} bytes were read");
    assert!(
        read < bytes + bytes / 8,
        "{read} of {bytes} bytes were read"
    );
    sink.commit(EpochId(1), tokens[0].clone()).await.unwrap();
    sink.commit(EpochId(2), tokens[1].clone()).await.unwrap();
    let values = parquet_ints(&store.files, "part-00000002-from-00000001.parquet");
    assert_eq!(values.len(), 800_000);
}

#[tokio::test]
async fn a_store_that_fails_while_files_are_put_together_is_told_as_it_said() {
    let store = WatchedFiles::default();
    let sink = watched(&store, "parquet", SinkFiles::default());
    let mut prepared = Vec::new();
    for epoch in [1, 2] {
        let rows = rows_of([noise(0..100)]);
        let staged = sink.write(EpochId(epoch), 0, rows).await.unwrap();
        let token = sink.prepare(EpochId(epoch), vec![staged]).await.unwrap();
        prepared.push((EpochId(epoch), token));
    }
    let mut failures = 0;
    loop {
        store.fail_after_reads(Some(failures));
        let Err(error) = sink.gather(prepared.clone()).await else {
            break;
        };
        assert_eq!(error.message(), "the store does not answer", "{failures}");
        assert_eq!(error.kind(), ErrorKind::Resource, "{failures}");
        assert!(error.may_pass(), "{failures}");
        failures += 1;
    }
    // The footer and the rows of either file.
    assert!(failures >= 4, "{failures} reads");
}

#[tokio::test]
async fn rows_are_encoded_and_written_where_calls_may_block() {
    for format in ["parquet", "json"] {
        let store = WatchedFiles::default();
        let files = SinkFiles {
            target_bytes: 1 << 10,
            ..SinkFiles::default()
        };
        let sink = watched(&store, format, files);
        let batches: Vec<RecordBatch> = (0..20).map(|n| noise(n * 100..n * 100 + 100)).collect();
        write_and_commit(&sink, 0, batches).await;
        let writers = store.writers();
        // Tests run on the thread of their runtime, and so does everything that is not sent away.
        assert!(!writers.is_empty());
        assert!(!writers.contains(&std::thread::current().id()), "{format}");
        if format == "parquet" {
            let files = names(&store.files);
            let read = files
                .iter()
                .flat_map(|name| parquet_ints(&store.files, name));
            let expected = noise(0..2000);
            let expected = expected.column(0).as_any().downcast_ref::<Int64Array>();
            assert_eq!(
                read.collect::<Vec<_>>(),
                expected.unwrap().values().to_vec()
            );
        }
    }
}

#[tokio::test]
async fn an_epoch_is_forgotten_when_what_it_had_begun_has_ended() {
    let store = WatchedFiles::default();
    let sink = Arc::new(watched(&store, "json", SinkFiles::default()));
    let (open_gate, gate) = mpsc::sync_channel(1);
    store.hold_back(gate);
    let writing = Arc::clone(&sink);
    let task = SpawnedTask::spawn(async move {
        let rows = rows_of([ints(&[1])]);
        writing.write(EpochId(4), 0, rows).await
    });
    while store.finishes() != (1, 0) {
        tokio::task::yield_now().await;
    }
    drop(task);
    let aborting = Arc::clone(&sink);
    let abort = SpawnedTask::spawn(async move { aborting.abort(EpochId(4)).await });
    tokio::task::yield_now().await;
    drop(open_gate);
    abort.await.unwrap().unwrap();
    while store.finishes() != (1, 1) {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.list(STAGED).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_sink_is_opened_again_when_what_was_begun_has_ended_or_says_that_it_hangs() {
    let store = WatchedFiles::default();
    let clock = ManualClock::new(EventTime::from_millis(0));
    let sink = Arc::new(FilesystemSink {
        clock: Arc::new(clock.clone()),
        ..watched(&store, "json", SinkFiles::default())
    });
    let (open_gate, gate) = mpsc::sync_channel(1);
    store.hold_back(gate);
    let writing = Arc::clone(&sink);
    let task = SpawnedTask::spawn(async move {
        let rows = rows_of([ints(&[1])]);
        writing.write(EpochId(4), 0, rows).await
    });
    while store.finishes() != (1, 0) {
        tokio::task::yield_now().await;
    }
    drop(task);
    let begin = |opens: bool| {
        let sink = Arc::clone(&sink);
        SpawnedTask::spawn(async move {
            match opens {
                true => open(&sink, None).await,
                false => sink.abort(EpochId(4)).await,
            }
        })
    };
    for opens in [true, false] {
        let begun = begin(opens);
        while clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(IDLE_WAIT_MAX);
        let error = begun.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sink);
        let message = "sink \"f\" still writes a file of an epoch that was given up";
        assert_eq!(error.message(), message);
        let hangs = "hangs: it has not come back within 30 seconds.";
        assert!(error.detail().unwrap().ends_with(hangs), "{error:?}");
        while clock.sleepers() > 0 {
            tokio::task::yield_now().await;
        }
    }
    // It waits no longer than the call does.
    let opening = begin(true);
    while clock.sleepers() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.finishes(), (1, 0));
    drop(open_gate);
    opening.await.unwrap().unwrap();
    assert_eq!(store.finishes(), (1, 1));
    assert_eq!(store.list(STAGED).unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn what_an_earlier_try_has_finished_late_is_removed_by_the_commit() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "json");
    open(&sink, None).await.unwrap();
    let token = prepare(&sink, 7, &[&[1]]).await;
    let next = prepare(&sink, 8, &[&[2]]).await;
    // The earlier try had more files, and came to that when the query had been opened again.
    let late = format!("{STAGED}/part-00000007-000_003.jsonl");
    store.write_atomic(&late, b"{\"n\":9}\n").unwrap();
    sink.commit(EpochId(7), token).await.unwrap();
    assert_eq!(store.list(STAGED).unwrap(), ["part-00000008-000.jsonl"]);
    assert_eq!(manifest(&store, 7)["rows"], 1);
    sink.commit(EpochId(8), next).await.unwrap();
    let expected = ["part-00000007-000.jsonl", "part-00000008-000.jsonl"];
    assert_eq!(names(&store), expected);
}

#[tokio::test]
async fn a_token_whose_lists_differ_is_damaged() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "json");
    let token = CommitToken(serde_json::json!({ "files": ["part-00000001-000.jsonl"] }));
    let error = sink.commit(EpochId(1), token).await.unwrap_err();
    assert_eq!(error.message(), "the note of a filesystem sink is damaged");
}
