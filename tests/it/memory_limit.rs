//! `SET 'memory-limit'`: who holds more than the session may ends with an error that says so, keeps
//! what it has committed, and goes on with the right answer when there is more. What only waits for a
//! commit ends nobody.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, read_dir, read_to_string};
use std::io::Write as _;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use headwater::{Error, ErrorKind, Headwater};

/// Files, of which each is an epoch, and keys in each that come in no other.
const FILES: usize = 6;
const KEYS: usize = 2_000;

fn write_input(folder: &Path) {
    let input = folder.join("in");
    DirBuilder::new().create(&input).unwrap();
    for file in 0..FILES {
        let mut out = File::create(input.join(format!("{file}.json"))).unwrap();
        for key in 0..KEYS {
            let ts = format!("2026-01-01T00:00:0{file}Z");
            writeln!(out, r#"{{"k":"key {file} {key}","v":{key},"ts":"{ts}"}}"#).unwrap();
        }
    }
}

/// Counts rows by key in a window that ends with the input, as a session with this limit does.
async fn run(folder: &Path, limit: &str) -> Result<(), Error> {
    let hw = Headwater::builder().target_partitions(1).build()?;
    let path = |name: &str| folder.join(name).display().to_string();
    hw.sql(&format!(
        "SET 'memory-limit' = '{limit}';
         CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
         WITH (connector = 'filesystem', path = '{}', 'max.files.per.epoch' = 1) FORMAT JSON;
         CREATE SINK counts WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
        path("in"),
        path("out"),
    ))
    .await?;
    let started = hw
        .sql(&format!(
            "CREATE STREAMING QUERY q WITH (trigger = 'available-now', checkpoint = '{}',
               'end-of-input' = 'flush')
             AS INSERT INTO counts SELECT k, count(*) AS n, sum(v) AS total
             FROM tumble(t, ts, '1 day') GROUP BY window_start, window_end, k
             EMIT ON WINDOW CLOSE",
            path("checkpoint"),
        ))
        .await?;
    started.into_query()?.await_termination().await
}

/// The rows that were written, by key.
fn rows(folder: &Path) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for file in read_dir(folder.join("out")).unwrap() {
        let file = file.unwrap().path();
        if !file.is_file() {
            continue;
        }
        for line in read_to_string(file).unwrap().lines() {
            let key = line.split('"').nth(3).unwrap();
            let twice = rows.insert(key.to_string(), line.to_string());
            assert_eq!(twice, None);
        }
    }
    rows
}

/// The sizes in a text taken out of it.
fn without_sizes(text: &str) -> String {
    let mut words: Vec<&str> = text.split(' ').collect();
    for at in 1..words.len() {
        if ["B", "KB", "MB"].contains(&words[at]) && words[at - 1].parse::<f64>().is_ok() {
            (words[at - 1], words[at]) = ("N", "bytes");
        }
    }
    words.join(" ")
}

#[tokio::test]
async fn state_beyond_the_limit_ends_the_query_and_more_memory_lets_it_go_on() {
    let folder = tempfile::tempdir().unwrap();
    write_input(folder.path());
    let error = run(folder.path(), "1 MB").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
    assert_eq!(
        without_sizes(error.message()),
        "query \"q\" holds N bytes and needs N bytes more, but 'memory-limit' is N bytes and N \
         bytes of them are held by others"
    );
    assert_eq!(
        error.hint(),
        Some(
            "Read fewer records at a time with \"max.records.per.epoch\" of the source, keep less \
             state with windows or \"state.ttl\", or raise 'memory-limit'."
        )
    );
    // It has been committed, and is as large when it is read again.
    let again = run(folder.path(), "1 MB").await.unwrap_err();
    assert_eq!(
        without_sizes(again.message()),
        without_sizes(error.message())
    );
    // So its input is not read again.
    File::create(folder.path().join("in/0.json")).unwrap();
    run(folder.path(), "none").await.unwrap();
    let rows = rows(folder.path());
    assert_eq!(rows.len(), FILES * KEYS);
    for (key, row) in rows {
        let v = key.rsplit(' ').next().unwrap();
        assert_eq!(row, format!("{{\"k\":\"{key}\",\"n\":1,\"total\":{v}}}"));
    }
}

#[tokio::test]
async fn what_waits_for_a_commit_is_committed_before_it_is_too_much() {
    let folder = tempfile::tempdir().unwrap();
    write_input(folder.path());
    // Every epoch changes the same groups, and what it changed waits beside them.
    let hw = Headwater::builder().target_partitions(1).build().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    hw.sql(&format!(
        "SET 'memory-limit' = '300 KB';
         CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
         WITH (connector = 'filesystem', path = '{}', 'max.files.per.epoch' = 1) FORMAT JSON;
         CREATE SINK counts WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
        path("in"),
        path("out"),
    ))
    .await
    .unwrap();
    let started = hw
        .sql(&format!(
            "CREATE STREAMING QUERY q WITH (trigger = 'available-now', checkpoint = '{}',
               'checkpoint.interval' = '1 hour', 'end-of-input' = 'flush')
             AS INSERT INTO counts SELECT v, count(*) AS n FROM tumble(t, ts, '1 day')
             GROUP BY window_start, window_end, v EMIT ON WINDOW CLOSE",
            path("checkpoint"),
        ))
        .await
        .unwrap();
    let query = started.into_query().unwrap();
    query.await_termination().await.unwrap();
    let rows = read_dir(folder.path().join("out")).unwrap();
    let files = rows
        .map(|file| file.unwrap().path())
        .filter(|path| path.is_file());
    let text: String = files.map(|file| read_to_string(file).unwrap()).collect();
    assert_eq!(text.lines().count(), KEYS);
    assert!(
        text.lines()
            .all(|row| row.ends_with(&format!("\"n\":{FILES}}}"))),
        "{text}"
    );
}

#[tokio::test]
async fn bounded_reads_beyond_the_limit_go_on_with_files_or_end() {
    let hw = Headwater::builder().target_partitions(1).build().unwrap();
    let groups = "SELECT count(*) FROM (
        SELECT value % 300000 AS k, count(*) FROM generate_series(1, 600000) GROUP BY k)";
    let joined = "SELECT count(*) FROM generate_series(1, 300000) AS a
        JOIN generate_series(1, 300000) AS b ON a.value = b.value";
    let sorted = "SELECT value FROM generate_series(1, 1000000)
        ORDER BY value * 7919 % 1000003, value";
    let answer = async |text: &str| -> Result<RecordBatch, Error> {
        let rows = hw.sql(text).await?.collect().await?;
        let schema = rows.first().unwrap().schema();
        Ok(concat_batches(&schema, &rows).unwrap())
    };
    let expected = answer(sorted).await.unwrap();
    let expected_groups = answer(groups).await.unwrap();
    hw.set("memory-limit", "14 MB").unwrap();
    assert_eq!(answer(sorted).await.unwrap(), expected);
    hw.set("memory-limit", "2 MB").unwrap();
    assert_eq!(answer(groups).await.unwrap(), expected_groups);
    let error = answer(joined).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource, "{error}");
    assert!(error.message().contains("'memory-limit' is"), "{error}");
    hw.set("MEMORY_LIMIT", "None").unwrap();
    answer(joined).await.unwrap();
}

#[tokio::test]
async fn what_is_no_limit_is_refused() {
    let hw = Headwater::builder().build().unwrap();
    for value in ["much", "0", "-1", "1 TB or so", ""] {
        let error = hw.set("memory-limit", value).unwrap_err();
        assert_eq!(
            error.message(),
            format!("setting \"memory-limit\" is \"{value}\", not a size")
        );
        assert_eq!(
            error.hint(),
            Some("Write a size such as '256 MB', or 'none'.")
        );
    }
    for text in [
        "SET datafusion.runtime.memory_limit = '1G'",
        "RESET datafusion.runtime.memory_limit",
    ] {
        let error = hw.sql(text).await.unwrap_err();
        assert_eq!(
            error.message(),
            "setting \"datafusion.runtime.memory_limit\" is not there: all queries have one account"
        );
        assert_eq!(
            error.hint(),
            Some("Write SET 'memory-limit' = '256 MB', or 'none'.")
        );
    }
    let text = "CREATE SOURCE t (v BIGINT) WITH (connector = 'memory');
        CREATE SINK s WITH (connector = 'blackhole');
        CREATE STREAMING QUERY q WITH ('memory-limit' = '1 GB') AS INSERT INTO s SELECT v FROM t";
    let error = hw.sql(text).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.hint(),
        Some("It is the session's: write `SET 'memory-limit' = …` before the query.")
    );
}
