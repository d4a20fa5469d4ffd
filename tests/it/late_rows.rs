//! Late rows in a sink of their own, through the library.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use headwater::{ErrorKind, EventTime, Headwater, ManualClock, Result, StreamingQuery};

/// 2026-01-02T00:00:00Z in seconds.
const MIDNIGHT_S: i64 = 1_767_312_000;

const COUNTS: &str = "SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
     GROUP BY window_start";

async fn session() -> Headwater {
    let clock = ManualClock::new(EventTime((MIDNIGHT_S + 60) * 1_000_000));
    let session = Headwater::builder().clock(Arc::new(clock)).build().unwrap();
    session
        .sql(
            "CREATE SOURCE t (k VARCHAR, ts TIMESTAMP, WATERMARK FOR ts AS ts)
             WITH (connector = 'memory')",
        )
        .await
        .unwrap();
    session
}

async fn sink_of_files(session: &Headwater, folder: &Path) {
    let declaration = format!(
        "CREATE OR REPLACE SINK late (operator VARCHAR, watermark TIMESTAMP, k VARCHAR)
         WITH (connector = 'filesystem', path = '{}') FORMAT JSON",
        folder.display()
    );
    session.sql(&declaration).await.unwrap();
}

fn push(session: &Headwater, rows: &[(&str, i64)]) {
    let stream = session.memory_stream("t").unwrap();
    let keys: StringViewArray = rows.iter().map(|(key, _)| Some(*key)).collect();
    let times = rows.iter().map(|(_, s)| Some((MIDNIGHT_S + s) * 1_000_000));
    let times: TimestampMicrosecondArray = times.collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(times)];
    let rows = RecordBatch::try_new(stream.schema(), columns).unwrap();
    stream.push(0, rows).unwrap();
}

async fn start(session: &Headwater, checkpoint: &Path) -> Result<StreamingQuery> {
    let stream = session.stream(COUNTS).await?;
    let writer = stream.write_stream().format("memory").query_name("counts");
    let writer = writer.checkpoint(&checkpoint.display().to_string());
    writer.late_rows_into("late").start().await
}

fn lines(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_hidden = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with(['.', '_']);
        if path.is_file() && !is_hidden {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(str::to_string));
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn late_rows_go_to_files_and_a_resumed_query_keeps_their_folder() {
    let folder = tempfile::tempdir().unwrap();
    let (late, checkpoint) = (folder.path().join("late"), folder.path().join("checkpoint"));
    let session = session().await;
    sink_of_files(&session, &late).await;
    push(&session, &[("first", 1), ("closes", 20)]);
    let query = start(&session, &checkpoint).await.unwrap();
    query.process_all_available().await.unwrap();
    push(&session, &[("late", 19), ("in time", 20)]);
    query.process_all_available().await.unwrap();
    query.stop().await.unwrap();
    let progress = query.last_progress().unwrap();
    let by_operator: Vec<_> = progress.rows_late.iter().collect();
    assert_eq!(by_operator.len(), 1);
    assert_eq!(
        (by_operator[0].0.as_str(), *by_operator[0].1),
        ("0-window-aggregate", 1)
    );
    let expected =
        r#"{"operator":"0-window-aggregate","watermark":"2026-01-02T00:00:20Z","k":"late"}"#;
    assert_eq!(lines(&late), [expected]);

    // The same query goes on where it was, and the rows of the last epoch are not there twice.
    push(&session, &[("late again", 0)]);
    let query = start(&session, &checkpoint).await.unwrap();
    query.process_all_available().await.unwrap();
    query.stop().await.unwrap();
    assert_eq!(lines(&late).len(), 2);

    sink_of_files(&session, &folder.path().join("elsewhere")).await;
    let error = start(&session, &checkpoint).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Checkpoint);
    let what = "the path of the sink for late rows";
    assert!(error.message().contains(what), "{error}");
}

#[tokio::test]
async fn the_clause_of_a_text_and_the_call_mean_the_same() {
    let session = session().await;
    session
        .sql("CREATE SINK late WITH (connector = 'memory')")
        .await
        .unwrap();
    let text = format!("{COUNTS} EMIT ON UPDATE LATE ROWS INTO late");
    let stream = session.stream(&text).await.unwrap();
    let writer = stream.write_stream().format("memory").query_name("counts");
    let query = writer.start().await.unwrap();
    push(&session, &[("closes", 20)]);
    query.process_all_available().await.unwrap();
    push(&session, &[("late", 9)]);
    query.process_all_available().await.unwrap();
    query.stop().await.unwrap();
    let rows = session.memory_sink("late").unwrap().rows();
    assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1);

    let stream = session.stream(COUNTS).await.unwrap();
    let writer = stream.write_stream().format("memory");
    let error = writer.late_rows_into("nowhere").start().await.unwrap_err();
    assert!(
        error.message().contains("\"nowhere\" does not exist"),
        "{error}"
    );
    let error = session.query(&text).await.unwrap_err();
    assert!(
        error.message().contains("belongs to a streaming query"),
        "{error}"
    );
}
