//! Files as a sink, from outside: what other programs find in the folder, whatever happens to the
//! process that writes.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use crate::command::Dir;

/// Reads Parquet files in folders with DataFusion's own reader: a row is its values with commas.
#[expect(
    clippy::disallowed_methods,
    reason = "this is another program, which knows nothing of ours"
)]
pub(crate) fn parquet_rows(folder: &Path, partitioned_by: &[&str], columns: &str) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let columns_of_folders = partitioned_by
            .iter()
            .map(|name| ((*name).to_string(), DataType::Utf8))
            .collect();
        let options = ParquetReadOptions::default().table_partition_cols(columns_of_folders);
        let context = SessionContext::new();
        let path = format!("{}/", folder.display());
        context
            .register_parquet("out", path, options)
            .await
            .unwrap();
        let query = format!("SELECT {columns} FROM out");
        let batches = context.sql(&query).await.unwrap().collect().await.unwrap();
        let format = FormatOptions::default().with_null("NULL");
        let mut rows = Vec::new();
        for batch in batches {
            let columns: Vec<_> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &format).unwrap())
                .collect();
            for row in 0..batch.num_rows() {
                let values: Vec<String> =
                    columns.iter().map(|c| c.value(row).to_string()).collect();
                rows.push(values.join(","));
            }
        }
        rows.sort();
        rows
    })
}

/// The files that a reader sees, by their paths below the folder.
fn visible_files(folder: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in std::fs::read_dir(folder.join(&below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_name().to_string_lossy().starts_with(['.', '_']) {
                continue;
            }
            if entry.path().is_dir() {
                folders.push(path);
            } else {
                found.insert(path.display().to_string());
            }
        }
    }
    found
}

/// Everything below the hidden folder that is no lock: what writers have not finished.
fn unfinished(folder: &Path) -> Vec<String> {
    let staged = folder.join(".headwater/staged");
    let Ok(listed) = std::fs::read_dir(staged) else {
        return Vec::new();
    };
    let names = listed.map(|entry| entry.unwrap().file_name());
    names.map(|n| n.to_string_lossy().into_owned()).collect()
}

/// Checks that the manifests list every visible file once, with its length, and that nothing else
/// is left. Gives the rows they count.
pub(crate) fn check_manifests(folder: &Path) -> u64 {
    let mut listed = BTreeSet::new();
    let mut rows = 0;
    for entry in std::fs::read_dir(folder.join("_headwater_log")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut of_files = 0;
        for file in manifest["files"].as_array().unwrap() {
            let path = file["path"].as_str().unwrap();
            let length = std::fs::metadata(folder.join(path)).unwrap().len();
            assert_eq!(file["bytes"], length, "{path}");
            of_files += file["rows"].as_u64().unwrap();
            assert!(listed.insert(path.to_string()), "{path} is there twice");
        }
        assert_eq!(manifest["rows"], of_files);
        rows += of_files;
    }
    assert_eq!(visible_files(folder), listed);
    assert_eq!(unfinished(folder), Vec::<String>::new());
    rows
}

const ROWS: usize = 3000;

/// Epochs of 500 rows in batches of 100, in three folders.
fn job(dir: &Dir, sink: &str) {
    let folder = dir.path().display().to_string();
    let text = "
SET datafusion.execution.batch_size = 100;
CREATE SOURCE t (n BIGINT, s VARCHAR) WITH (connector = 'datagen', rows = 3000,
  'fields.n.kind' = 'sequence', 'max.records.per.epoch' = 500);
SINK;
CREATE STREAMING QUERY q WITH (checkpoint = 'DIR/checkpoint') AS
INSERT INTO out
SELECT CASE n % 3 WHEN 0 THEN 'a/b' WHEN 1 THEN 'c' END AS k, n, s FROM t;";
    dir.create(
        "job.sql",
        &text.replace("SINK", sink).replace("DIR", &folder),
    );
}

const PARQUET: &str = "
CREATE SINK out (k VARCHAR, n BIGINT, s VARCHAR) PARTITIONED BY (k)
WITH (connector = 'filesystem', path = 'DIR/out', 'target.file.size' = '1 KiB',
  'success.file' = 'true') FORMAT PARQUET (compression = 'snappy')";

/// The columns `n` and `k` of every row. DataFusion knows Hive's escapes, and not its NULL.
fn expected() -> Vec<String> {
    let keys = ["a/b", "c", "__HIVE_DEFAULT_PARTITION__"];
    let rows = (0..ROWS).map(|n| format!("{n},{}", keys[n % 3]));
    let mut rows: Vec<String> = rows.collect();
    rows.sort();
    rows
}

/// Compares rows without printing thousands.
fn check_same(found: &[String], expected: &[String]) {
    let mut both = found.iter().zip(expected);
    let difference = both.find(|(found, expected)| found != expected);
    assert_eq!(difference, None);
    assert_eq!(found.len(), expected.len());
}

fn check_whole(dir: &Dir) {
    let out = dir.path().join("out");
    check_same(&parquet_rows(&out, &["k"], "n, k"), &expected());
    assert_eq!(check_manifests(&out), ROWS as u64);
}

#[test]
fn others_read_parquet_files_in_folders() {
    let dir = Dir::new();
    job(&dir, PARQUET);
    dir.command(&["run", "job.sql"]).stdout();
    check_whole(&dir);
    let out = dir.path().join("out");
    assert!(out.join("_SUCCESS").is_file());
    let files = visible_files(&out);
    // Six epochs, three folders, and several files of a folder in an epoch.
    assert!(files.len() > 40, "{files:?}");
    // The columns of folders are not in the files.
    let count = parquet_rows(&out.join("k=c"), &[], "count(*), count(DISTINCT s)");
    assert_eq!(count, ["1000,1000"]);

    // The query finds nothing new, and says again that it has ended.
    dir.command(&["run", "job.sql"]).stdout();
    assert!(out.join("_SUCCESS").is_file());
    assert_eq!(visible_files(&out), files);

    // This program reads them too.
    let read = format!(
        "CREATE EXTERNAL TABLE r STORED AS PARQUET PARTITIONED BY (k) LOCATION '{}/*.parquet';
         SELECT count(*) AS rows, sum(n) AS n FROM r WHERE k = 'c'",
        out.display()
    );
    let answer = dir
        .command(&["sql", "--format", "csv", "-e", &read])
        .stdout();
    assert!(answer.ends_with("1000,1499500\n"), "{answer}");
    let nulls = read.replace("k = 'c'", "nullif(k, '__HIVE_DEFAULT_PARTITION__') IS NULL");
    let answer = dir
        .command(&["sql", "--format", "csv", "-e", &nulls])
        .stdout();
    assert!(answer.ends_with("1000,1500500\n"), "{answer}");

    // As a source it would have no rows.
    let source = format!(
        "CREATE SOURCE r (n BIGINT) WITH (connector = 'filesystem', path = '{}') FORMAT PARQUET;
         SELECT count(*) AS rows FROM r",
        out.display()
    );
    let end = dir.command(&["sql", "-e", &source]).output();
    assert_ne!(end.code, Some(0));
    let said = "has its rows in folders by value, such as \"k=";
    assert!(end.stderr.contains(said), "{}", end.stderr);
}

#[test]
fn killed_between_any_two_files_the_folder_is_the_same_in_the_end() {
    let points = [
        "mid_sink_write:12",
        "sink_prepared:2",
        "before_commit_record:2",
        "before_finish:2",
        "mid_finish:7",
        "mid_finish:20",
        "before_manifest:2",
        "before_manifest:5",
        "before_ended:1",
    ];
    let dir = Dir::new();
    job(&dir, PARQUET);
    for at in points.into_iter().chain(points) {
        let command = dir.command(&["run", "job.sql"]);
        let mut running = command.env("HEADWATER_CRASH_AT", at).spawn();
        let point = at.split(':').next().unwrap_or(at);
        if running.says(&format!("crash point {point} reached")) {
            running.kill();
            assert!(!dir.path().join("out/_SUCCESS").exists(), "at {at}");
        }
    }
    dir.command(&["run", "job.sql"]).stdout();
    assert!(dir.path().join("out/_SUCCESS").is_file());
    check_whole(&dir);
}

#[test]
fn what_is_not_committed_is_not_seen() {
    let dir = Dir::new();
    job(&dir, PARQUET);
    let command = dir.command(&["run", "job.sql"]);
    let mut running = command
        .env("HEADWATER_CRASH_AT", "before_commit_record:2")
        .spawn();
    assert!(running.says("crash point before_commit_record reached"));
    running.kill();
    let out = dir.path().join("out");
    let first: Vec<String> = expected()
        .into_iter()
        .filter(|row| row.split(',').next().unwrap().parse::<usize>().unwrap() < 500)
        .collect();
    check_same(&parquet_rows(&out, &["k"], "n, k"), &first);
    assert!(!unfinished(&out).is_empty(), "the second epoch is staged");

    // What a process has left of a file that nobody will write again is removed.
    dir.create(
        "out/.headwater/staged/.part-00000001-007_099.parquet.tmp",
        "torn",
    );
    dir.command(&["run", "job.sql"]).stdout();
    check_whole(&dir);
}

#[test]
fn lines_go_to_folders_too() {
    for (format, extension, line) in [
        ("CSV (header = true)", "csv", "n,s\n1,"),
        ("JSON", "jsonl", "{\"n\":1,\"s\":\""),
    ] {
        let dir = Dir::new();
        let sink = "CREATE SINK out (k VARCHAR, n BIGINT, s VARCHAR)
                    WITH (connector = 'filesystem', path = 'DIR/out', 'partition.by' = 'k') FORMAT ";
        job(&dir, &format!("{sink}{format}"));
        dir.command(&["run", "job.sql"]).stdout();
        let out = dir.path().join("out");
        assert_eq!(check_manifests(&out), ROWS as u64);
        let text = visible_files(&out)
            .into_iter()
            .filter(|path| path.starts_with("k=c/"))
            .map(|path| {
                assert!(path.ends_with(extension), "{path}");
                std::fs::read_to_string(out.join(path)).unwrap()
            })
            .next()
            .unwrap();
        assert!(text.starts_with(line), "{text}");
        assert!(!out.join("_SUCCESS").exists(), "nobody asked for it");
    }
}

#[test]
fn a_query_that_is_stopped_has_not_ended() {
    let dir = Dir::new();
    job(&dir, PARQUET);
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    let slowly = text.replace("rows = 3000", "rows = 3000, 'rows.per.second' = 500");
    dir.create("slow.sql", &slowly);
    let mut run = dir
        .command(&["run", "slow.sql", "--progress=always"])
        .spawn();
    run.wait_for_stderr("q: epoch ");
    let end = run.signal_and_wait("TERM");
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let out = dir.path().join("out");
    assert!(check_manifests(&out) > 0);
    assert!(!out.join("_SUCCESS").exists());
}

#[test]
fn a_query_that_is_taken_back_takes_its_files_along() {
    let dir = Dir::new();
    job(
        &dir,
        &PARQUET.replace("'success.file' = 'true'", "'with.op' = 'false'"),
    );
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    let kept = text.replace("/checkpoint'", "/checkpoint', 'checkpoint.retain' = 10");
    dir.create("job.sql", &kept);
    dir.command(&["run", "job.sql"]).stdout();
    let rewind = ["checkpoint", "rewind", "checkpoint", "--to", "2"];
    dir.command(&rewind).stdout();
    dir.command(&["run", "job.sql"]).stdout();
    check_whole(&dir);
    let manifests = std::fs::read_dir(dir.path().join("out/_headwater_log")).unwrap();
    let names = manifests.map(|m| m.unwrap().file_name());
    let mut names: Vec<_> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.sort();
    // Epoch 6 is the one that the rewind appended.
    let expected = [0, 1, 2, 7, 8, 9].map(|epoch| format!("{epoch:08}.json"));
    assert_eq!(names, expected);
}

#[test]
fn columns_that_only_the_query_knows_are_checked_when_it_starts() {
    let dir = Dir::new();
    job(
        &dir,
        "CREATE SINK out PARTITIONED BY (day) WITH (connector = 'filesystem', path = 'DIR/out')",
    );
    let stderr = dir.command(&["run", "job.sql"]).fails_with(2);
    for part in [
        "error: sink \"out\" is partitioned by \"day\", which is not a column",
        "hint: The columns are k, n, s.",
    ] {
        assert!(stderr.contains(part), "{stderr}");
    }
}

#[test]
fn parquet_files_are_a_source_too() {
    let dir = Dir::new();
    let sink = PARQUET.replace(" PARTITIONED BY (k)", "");
    job(&dir, &sink);
    dir.command(&["run", "job.sql"]).stdout();
    let folder = dir.path().display().to_string();
    let source = "CREATE SOURCE r (n BIGINT, k VARCHAR, missing INT)
                  WITH (connector = 'filesystem', path = 'DIR/out', 'max.files.per.epoch' = 2)
                  FORMAT PARQUET;";
    let source = source.replace("DIR", &folder);
    let read = format!(
        "{source} SELECT count(*) AS rows, sum(n) AS n, count(k) AS k, count(missing) AS m FROM r"
    );
    let answer = dir
        .command(&["sql", "--format", "csv", "-e", &read])
        .stdout();
    assert!(answer.ends_with("3000,4498500,2000,0\n"), "{answer}");

    // As a stream, whose process is killed on the way.
    let copy = format!(
        "{source}
         CREATE SINK lines (n BIGINT, k VARCHAR)
         WITH (connector = 'filesystem', path = '{folder}/lines') FORMAT JSON;
         CREATE STREAMING QUERY copy
         WITH (checkpoint = '{folder}/copied', trigger = 'available-now') AS
         INSERT INTO lines SELECT n, k FROM r WHERE n >= 100;"
    );
    dir.create("copy.sql", &copy);
    for at in ["mid_read:5", "before_finish:2", "mid_finish:3"] {
        let command = dir.command(&["run", "copy.sql"]);
        let mut running = command.env("HEADWATER_CRASH_AT", at).spawn();
        assert!(running.says("reached"), "at {at}");
        running.kill();
    }
    dir.command(&["run", "copy.sql"]).stdout();
    let mut numbers: Vec<usize> = dir
        .lines_below("lines")
        .iter()
        .map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            usize::try_from(row["n"].as_u64().unwrap()).unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(100..ROWS));
}

#[test]
fn epochs_of_one_commit_share_files() {
    let points = [
        "sink_prepared:3",
        "sink_gathered:1",
        "before_commit_record:1",
        "before_finish:1",
        "mid_finish:2",
        "before_manifest:1",
    ];
    for (format, extension) in [
        ("PARQUET", "parquet"),
        ("CSV (header = true)", "csv"),
        ("JSON", "jsonl"),
    ] {
        let dir = Dir::new();
        let sink = format!(
            "CREATE SINK out (k VARCHAR, n BIGINT, s VARCHAR) PARTITIONED BY (k)
             WITH (connector = 'filesystem', path = 'DIR/out') FORMAT {format}"
        );
        job(&dir, &sink);
        let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
        let rarely = "/checkpoint', 'checkpoint.interval' = '10 minutes'";
        dir.create("job.sql", &text.replace("/checkpoint'", rarely));
        for at in points {
            let command = dir.command(&["run", "job.sql"]);
            let mut running = command.env("HEADWATER_CRASH_AT", at).spawn();
            if running.says("reached") {
                running.kill();
            }
        }
        dir.command(&["run", "job.sql"]).stdout();
        let out = dir.path().join("out");
        assert_eq!(check_manifests(&out), ROWS as u64);
        let files = visible_files(&out);
        match extension {
            "parquet" => check_same(&parquet_rows(&out, &["k"], "n, k"), &expected()),
            _ => {
                let texts = files
                    .iter()
                    .map(|f| std::fs::read_to_string(out.join(f)).unwrap());
                let texts: Vec<String> = texts.collect();
                let lines = texts.iter().flat_map(|text| text.lines());
                let rows = lines.filter(|line| *line != "n,s").count();
                assert_eq!(rows, ROWS);
                let headers = texts.iter().flat_map(|text| text.lines());
                let headers = headers.filter(|line| *line == "n,s").count();
                assert_eq!(headers, if extension == "csv" { files.len() } else { 0 });
            }
        }
        assert!(files.iter().all(|file| file.ends_with(extension)));
        // What was decided before a kill is committed epoch by epoch; the rest together.
        assert!(files.len() < 18, "{files:?}");
    }
}

#[test]
fn a_commit_is_a_file_for_every_folder() {
    let dir = Dir::new();
    job(&dir, &PARQUET.replace("'1 KiB'", "'1 MiB'"));
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    let rarely = "/checkpoint', 'checkpoint.interval' = '10 minutes'";
    dir.create("job.sql", &text.replace("/checkpoint'", rarely));
    dir.command(&["run", "job.sql"]).stdout();
    check_whole(&dir);
    let files: Vec<String> = visible_files(&dir.path().join("out")).into_iter().collect();
    let name = |folder: &str, number: &str| {
        format!("k={folder}/part-00000005-from-00000000{number}.parquet")
    };
    let expected = [
        name("__HIVE_DEFAULT_PARTITION__", ""),
        name("a%2Fb", "_001"),
        name("c", "_002"),
    ];
    assert_eq!(files, expected);
}
