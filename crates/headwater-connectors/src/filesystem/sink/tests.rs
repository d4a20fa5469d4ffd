//! Publication, crashes and refusals of file sinks.

use std::io::Write;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use headwater_checkpoint::MemoryFiles;
use headwater_core::connector::{Connector, SinkDefinition};
use headwater_core::options::{OptionReader, Options};

use super::names::{MANIFESTS, STAGED};
use super::*;
use crate::filesystem::FilesystemConnector;
use crate::test_support::{ints, rows_of, sink_context};

mod watched_files;
mod work;

fn sink(store: &Arc<MemoryFiles>, format: &str) -> FilesystemSink {
    let store: Arc<dyn FileStore> = Arc::<MemoryFiles>::clone(store);
    FilesystemSink::try_new(store, FormatSpec::named(format), "sink \"f\"").unwrap()
}

async fn open(sink: &FilesystemSink, last_committed: Option<u64>) -> Result<()> {
    let context = sink_context(ints(&[]).schema(), OutputMode::Append, last_committed);
    sink.open(&context).await
}

/// Writes the partitions of an epoch and prepares it.
async fn prepare(sink: &FilesystemSink, epoch: u64, partitions: &[&[i64]]) -> CommitToken {
    let mut staged = Vec::new();
    for (number, values) in partitions.iter().enumerate() {
        let rows = rows_of([ints(values), ints(&[])]);
        let one = sink.write(EpochId(epoch), number, rows).await.unwrap();
        assert_eq!(one.rows, values.len() as u64);
        staged.push(one);
    }
    sink.prepare(EpochId(epoch), staged).await.unwrap()
}

fn names(store: &MemoryFiles) -> Vec<String> {
    store.list("").unwrap()
}

fn text(store: &MemoryFiles, name: &str) -> String {
    String::from_utf8(store.read(name).unwrap().unwrap()).unwrap()
}

#[tokio::test]
async fn a_new_process_commits_what_an_old_one_prepared() {
    let store = Arc::new(MemoryFiles::default());
    let first = sink(&store, "json");
    open(&first, None).await.unwrap();
    let token = prepare(&first, 42, &[&[1, 2], &[], &[3]]).await;
    assert!(names(&store).is_empty());
    assert_eq!(store.list(STAGED).unwrap().len(), 2);
    drop(first);

    let second = sink(&store, "json");
    open(&second, Some(42)).await.unwrap();
    for _ in 0..2 {
        second.commit(EpochId(42), token.clone()).await.unwrap();
        let expected = ["part-00000042-000.jsonl", "part-00000042-002.jsonl"];
        assert_eq!(names(&store), expected);
        assert_eq!(store.list(MANIFESTS).unwrap(), ["00000042.json"]);
    }
    let lines = "{\"n\":1}\n{\"n\":2}\n";
    assert_eq!(text(&store, "part-00000042-000.jsonl"), lines);
    open(&second, Some(42)).await.unwrap();
}

#[tokio::test]
async fn an_epoch_that_was_not_committed_leaves_no_trace_and_overwrites_itself() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "text");
    prepare_text(&sink, 0, &["a"]).await;
    sink.abort(EpochId(0)).await.unwrap();
    assert!(store.list(STAGED).unwrap().is_empty());

    // A crash after `prepare`: opening again removes what no commit record names.
    prepare_text(&sink, 0, &["a", "b"]).await;
    open(&sink, None).await.unwrap_err();
    let context = sink_context(words(&[]).schema(), OutputMode::Append, None);
    sink.open(&context).await.unwrap();
    assert!(store.list(STAGED).unwrap().is_empty());

    prepare_text(&sink, 0, &["a", "b"]).await;
    let token = prepare_text(&sink, 0, &["c", ""]).await;
    sink.commit(EpochId(0), token).await.unwrap();
    assert_eq!(names(&store), ["part-00000000-000.txt"]);
    assert_eq!(text(&store, "part-00000000-000.txt"), "c\n");
}

fn words(values: &[&str]) -> RecordBatch {
    let values: ArrayRef = Arc::new(StringArray::from(values.to_vec()));
    RecordBatch::try_from_iter([("w", values)]).unwrap()
}

/// Partitions of one word each; of no row where the word is empty.
async fn prepare_text(sink: &FilesystemSink, epoch: u64, partitions: &[&str]) -> CommitToken {
    let mut staged = Vec::new();
    for (number, word) in partitions.iter().enumerate() {
        let batch = if word.is_empty() {
            words(&[])
        } else {
            words(&[word])
        };
        let one = sink.write(EpochId(epoch), number, rows_of([batch])).await;
        staged.push(one.unwrap());
    }
    sink.prepare(EpochId(epoch), staged).await.unwrap()
}

#[tokio::test]
async fn csv_has_a_header_if_asked() {
    let store = Arc::new(MemoryFiles::default());
    let mut format = FormatSpec::named("csv");
    format.options.set("header", "true");
    let files: Arc<dyn FileStore> = Arc::<MemoryFiles>::clone(&store);
    let sink = FilesystemSink::try_new(files, format, "sink \"f\"").unwrap();
    open(&sink, None).await.unwrap();
    let token = prepare(&sink, 1, &[&[7]]).await;
    sink.commit(EpochId(1), token).await.unwrap();
    assert_eq!(text(&store, "part-00000001-000.csv"), "n\n7\n");
}

#[tokio::test]
async fn a_folder_with_other_results_is_refused() {
    let store = Arc::new(MemoryFiles::default());
    store.write_atomic("part-00000003-000.jsonl", b"x").unwrap();
    store.write_atomic("notes.txt", b"x").unwrap();
    let sink = sink(&store, "json");
    let error = open(&sink, Some(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    open(&sink, Some(3)).await.unwrap();
    // Files that were taken away are told by their manifests.
    let manifest = "_headwater_log/00000004.json";
    store.write_atomic(manifest, b"{}").unwrap();
    let error = open(&sink, Some(3)).await.unwrap_err();
    assert!(error.detail().unwrap().contains(manifest), "{error:?}");
}

#[tokio::test]
async fn a_folder_with_other_results_below_it_is_refused() {
    let store = Arc::new(MemoryFiles::default());
    let foreign = "k=a/l=1/part-00000003-000.jsonl";
    store.write_atomic(foreign, b"x").unwrap();
    for other in ["archive/part-00000009-000.jsonl", "_x=1/part-00000009-000"] {
        store.write_atomic(other, b"x").unwrap();
    }
    for partition_by in [vec![], vec!["k".to_string()]] {
        let files = SinkFiles {
            partition_by,
            ..SinkFiles::default()
        };
        let sink = sink_with(&store, FormatSpec::named("json"), files);
        let open = async |last| {
            let context = sink_context(keyed(&[]).schema(), OutputMode::Append, last);
            sink.open(&context).await
        };
        let error = open(Some(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.detail().unwrap().contains(foreign), "{error:?}");
        open(Some(3)).await.unwrap();
    }
}

#[tokio::test]
async fn a_declared_sink_writes_to_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out");
    let options: Options = [("path", path.to_str().unwrap())].into_iter().collect();
    let definition = SinkDefinition {
        name: "f".to_string(),
        schema: Some(ints(&[]).schema()),
        primary_key: vec![],
        partitioned_by: vec![],
        format: Some(FormatSpec::named("csv")),
        key_format: None,
    };
    let mut reader = OptionReader::new("sink \"f\"", &options);
    let declared = FilesystemConnector
        .declare_sink(definition, &mut reader)
        .unwrap();
    assert!(!path.exists());
    let sink = declared.open().unwrap();
    let staged = sink
        .write(EpochId(0), 0, rows_of([ints(&[1])]))
        .await
        .unwrap();
    let token = sink.prepare(EpochId(0), vec![staged]).await.unwrap();
    sink.commit(EpochId(0), token).await.unwrap();
    let written = std::fs::read_to_string(path.join("part-00000000-000.csv")).unwrap();
    assert_eq!(written, "1\n");
}

#[test]
fn a_folder_that_cannot_be_is_an_error_of_the_declaration() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let options: Options = [("path", file.path().to_str().unwrap())]
        .into_iter()
        .collect();
    let definition = SinkDefinition {
        name: "f".to_string(),
        schema: None,
        primary_key: vec![],
        partitioned_by: vec![],
        format: None,
        key_format: None,
    };
    let mut reader = OptionReader::new("sink \"f\"", &options);
    let declared = FilesystemConnector.declare_sink(definition, &mut reader);
    let error = declared.unwrap().open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_folder_is_written_by_one_query_at_a_time() {
    let (results, claim) = (
        Arc::new(MemoryFiles::default()),
        Arc::new(MemoryFiles::default()),
    );
    let claiming = || sink(&results, "json").claiming(Arc::<MemoryFiles>::clone(&claim));
    let first = claiming();
    open(&first, None).await.unwrap();
    let error = open(&claiming(), None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error
            .message()
            .contains("is being written by another query")
    );
    // The claim ends with the query.
    drop(first);
    open(&claiming(), None).await.unwrap();
}

/// A sink with options, into memory.
fn sink_with(store: &Arc<MemoryFiles>, format: FormatSpec, files: SinkFiles) -> FilesystemSink {
    let store: Arc<dyn FileStore> = Arc::<MemoryFiles>::clone(store);
    let style = FileStyle::try_new(format, files, "sink \"f\"").unwrap();
    FilesystemSink::new(store, style, "sink \"f\"")
}

fn keyed(rows: &[(&str, i64)]) -> RecordBatch {
    let keys: ArrayRef = Arc::new(StringArray::from_iter_values(rows.iter().map(|r| r.0)));
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.1)));
    RecordBatch::try_from_iter([("k", keys), ("n", values)]).unwrap()
}

async fn write_and_commit(sink: &FilesystemSink, epoch: u64, batches: Vec<RecordBatch>) {
    let rows = futures::stream::iter(batches.into_iter().map(Ok));
    let staged = sink.write(EpochId(epoch), 0, Box::pin(rows)).await.unwrap();
    let token = sink.prepare(EpochId(epoch), vec![staged]).await.unwrap();
    sink.commit(EpochId(epoch), token).await.unwrap();
}

fn manifest(store: &MemoryFiles, epoch: u64) -> serde_json::Value {
    let bytes = store.read(&names::manifest_path(EpochId(epoch))).unwrap();
    serde_json::from_slice(&bytes.unwrap()).unwrap()
}

/// The values of the one column of a Parquet file.
fn parquet_ints(store: &MemoryFiles, path: &str) -> Vec<i64> {
    use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let bytes = store.read(path).unwrap().unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let mut values = Vec::new();
    for batch in builder.build().unwrap() {
        let batch = batch.unwrap();
        assert_eq!(batch.num_columns(), 1);
        let column = batch.column(0).as_any().downcast_ref::<Int64Array>();
        values.extend_from_slice(column.unwrap().values());
    }
    values
}

#[tokio::test]
async fn rows_are_dealt_to_folders_that_the_manifest_lists() {
    let store = Arc::new(MemoryFiles::default());
    let files = SinkFiles {
        partition_by: vec!["k".to_string()],
        marks_success: true,
        ..SinkFiles::default()
    };
    let sink = sink_with(&store, FormatSpec::named("parquet"), files);
    let context = sink_context(keyed(&[]).schema(), OutputMode::Append, None);
    sink.open(&context).await.unwrap();
    let batches = vec![keyed(&[("a", 1), ("b/c", 2), ("a", 3)]), keyed(&[("a", 4)])];
    write_and_commit(&sink, 7, batches).await;
    assert!(names(&store).is_empty(), "{:?}", names(&store));
    let (a, b) = (
        "k=a/part-00000007-000.parquet",
        "k=b%2Fc/part-00000007-000_001.parquet",
    );
    assert_eq!(parquet_ints(&store, a), [1, 3, 4]);
    assert_eq!(parquet_ints(&store, b), [2]);
    let manifest = manifest(&store, 7);
    let length = |path| store.size(path).unwrap().unwrap();
    let expected = serde_json::json!({
        "version": 1, "first_epoch": 7, "epoch": 7, "rows": 4, "bytes": length(a) + length(b),
        "files": [
            { "path": a, "rows": 3, "bytes": length(a) },
            { "path": b, "rows": 1, "bytes": length(b) },
        ],
    });
    assert_eq!(manifest, expected);

    // A query that has ended says so until it is started again.
    sink.ended().await.unwrap();
    assert_eq!(names(&store), ["_SUCCESS"]);
    let context = sink_context(keyed(&[]).schema(), OutputMode::Append, Some(7));
    sink.open(&context).await.unwrap();
    assert!(names(&store).is_empty());
}

#[tokio::test]
async fn a_file_of_the_target_size_gets_no_more_rows() {
    for format in ["json", "parquet"] {
        let store = Arc::new(MemoryFiles::default());
        let files = SinkFiles {
            target_bytes: 1 << 10,
            ..SinkFiles::default()
        };
        let sink = sink_with(&store, FormatSpec::named(format), files);
        open(&sink, None).await.unwrap();
        // Numbers that no encoding makes small.
        let value = |n: i64| n.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64.cast_signed());
        let batches: Vec<RecordBatch> = (0..40)
            .map(|batch| ints(&(0..20).map(|n| value(batch * 20 + n)).collect::<Vec<_>>()))
            .collect();
        write_and_commit(&sink, 0, batches.clone()).await;
        let written = names(&store);
        assert!(written.len() > 3, "{format}: {written:?}");
        assert_eq!(written[1].split('.').next(), Some("part-00000000-000_001"));
        let manifest = manifest(&store, 0);
        assert_eq!(manifest["rows"], 800);
        assert_eq!(manifest["files"].as_array().unwrap().len(), written.len());
        if format == "parquet" {
            let read = written.iter().flat_map(|name| parquet_ints(&store, name));
            let expected: Vec<i64> = (0..800).map(value).collect();
            assert_eq!(read.collect::<Vec<_>>(), expected);
        }
    }
}

#[tokio::test]
async fn more_folders_than_open_files_are_written() {
    let store = Arc::new(MemoryFiles::default());
    let files = SinkFiles {
        partition_by: vec!["k".to_string()],
        ..SinkFiles::default()
    };
    let sink = sink_with(&store, FormatSpec::named("json"), files);
    let keys: Vec<String> = (0..200).map(|k| format!("k{k}")).collect();
    let batch = |n| keyed(&keys.iter().map(|k| (k.as_str(), n)).collect::<Vec<_>>());
    write_and_commit(&sink, 0, vec![batch(0), batch(1)]).await;
    for key in &keys {
        let files = store.list(&format!("k={key}")).unwrap();
        let text: Vec<String> = files
            .iter()
            .map(|name| text(&store, &format!("k={key}/{name}")))
            .collect();
        assert_eq!(text.concat(), "{\"n\":0}\n{\"n\":1}\n", "{key}: {files:?}");
    }
    assert_eq!(manifest(&store, 0)["rows"], 400);
}

#[tokio::test]
async fn an_epoch_with_too_many_files_is_an_error() {
    let store = Arc::new(MemoryFiles::default());
    let files = SinkFiles {
        partition_by: vec!["n".to_string()],
        ..SinkFiles::default()
    };
    let sink = sink_with(&store, FormatSpec::named("json"), files);
    let keys: Vec<(&str, i64)> = (0..10_001).map(|n| ("k", n)).collect();
    let rows = rows_of([keyed(&keys)]);
    let error = sink.write(EpochId(3), 0, rows).await.unwrap_err();
    assert_eq!(
        error.message(),
        "sink \"f\" needs more than 10000 files for epoch 3"
    );
    sink.abort(EpochId(3)).await.unwrap();
    assert!(store.list(STAGED).unwrap().is_empty());
}

#[tokio::test]
async fn files_that_a_reader_has_taken_away_are_not_missed() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "json");
    open(&sink, None).await.unwrap();
    let token = prepare(&sink, 5, &[&[1]]).await;
    sink.commit(EpochId(5), token.clone()).await.unwrap();
    store.delete("part-00000005-000.jsonl").unwrap();
    sink.commit(EpochId(5), token).await.unwrap();
}

#[tokio::test]
async fn what_is_taken_back_takes_its_manifest_along() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "json");
    open(&sink, None).await.unwrap();
    for epoch in 0..3 {
        let token = prepare(&sink, epoch, &[&[1]]).await;
        sink.commit(EpochId(epoch), token).await.unwrap();
    }
    let removed = ["part-00000001-000.jsonl", "part-00000002-000.jsonl"];
    let token = CommitToken(serde_json::json!({ "files": [], "removed": removed }));
    for _ in 0..2 {
        sink.commit(EpochId(3), token.clone()).await.unwrap();
        assert_eq!(names(&store), ["part-00000000-000.jsonl"]);
        assert_eq!(store.list(MANIFESTS).unwrap(), ["00000000.json"]);
    }
}

#[tokio::test]
async fn any_cut_of_a_publication_is_made_good_by_the_next() {
    use headwater_checkpoint::{Cut, CutKind, CutMoment, FailingFiles};
    for (at, moment) in (1..12)
        .flat_map(|at| [CutMoment::BeforeEffect, CutMoment::AfterEffect].map(|moment| (at, moment)))
    {
        let store = MemoryFiles::default();
        let kind = CutKind::Crash;
        let cut = FailingFiles::cut_at(store.clone(), Cut { at, moment, kind });
        let files = SinkFiles {
            partition_by: vec!["k".to_string()],
            ..SinkFiles::default()
        };
        let style =
            || FileStyle::try_new(FormatSpec::named("json"), files.clone(), "sink \"f\"").unwrap();
        let rows = || rows_of([keyed(&[("a", 1), ("b", 2)])]);
        let first = FilesystemSink::new(Arc::new(cut), style(), "sink \"f\"");
        let staged = first.write(EpochId(0), 0, rows()).await;
        let token = match staged {
            Ok(staged) => Some(first.prepare(EpochId(0), vec![staged]).await.unwrap()),
            Err(_) => None,
        };
        if let Some(token) = &token {
            // Whether it got to its end or not.
            let _ = first.commit(EpochId(0), token.clone()).await;
        }
        let second = FilesystemSink::new(Arc::new(store.clone()), style(), "sink \"f\"");
        let last = token.as_ref().map(|_| 0);
        let context = sink_context(keyed(&[]).schema(), OutputMode::Append, last);
        second.open(&context).await.unwrap();
        let token = match token {
            Some(token) => token,
            None => {
                let staged = second.write(EpochId(0), 0, rows()).await.unwrap();
                second.prepare(EpochId(0), vec![staged]).await.unwrap()
            }
        };
        second.commit(EpochId(0), token).await.unwrap();
        let staged = store.list(STAGED).unwrap();
        assert!(staged.is_empty(), "{at} {moment:?}: {staged:?}");
        let a = text(&store, "k=a/part-00000000-000.jsonl");
        let b = text(&store, "k=b/part-00000000-000_001.jsonl");
        assert_eq!((a.as_str(), b.as_str()), ("{\"n\":1}\n", "{\"n\":2}\n"));
        assert_eq!(manifest(&store, 0)["rows"], 2);
    }
}

/// Epochs from 3, each of one batch per task, that share a commit.
async fn commit_together(sink: &FilesystemSink, epochs: &[&[RecordBatch]]) -> Vec<CommitToken> {
    let mut prepared = Vec::new();
    for (epoch, tasks) in (3..).zip(epochs) {
        let mut staged = Vec::new();
        for (task, rows) in tasks.iter().enumerate() {
            let rows = rows_of([rows.clone()]);
            staged.push(sink.write(EpochId(epoch), task, rows).await.unwrap());
        }
        let token = sink.prepare(EpochId(epoch), staged).await.unwrap();
        prepared.push((EpochId(epoch), token));
    }
    // It may be asked again.
    sink.gather(prepared.clone()).await.unwrap();
    let tokens = sink.gather(prepared).await.unwrap();
    assert_eq!(tokens.len(), epochs.len());
    for _ in 0..2 {
        for (epoch, token) in (3..).zip(&tokens) {
            sink.commit(EpochId(epoch), token.clone()).await.unwrap();
        }
    }
    tokens
}

#[tokio::test]
async fn small_files_of_a_commit_are_put_together() {
    let mut csv = FormatSpec::named("csv");
    csv.options.set("header", "true");
    let cases = [
        (FormatSpec::named("json"), "jsonl", "{\"n\":1}\n{\"n\":4}\n"),
        (csv, "csv", "n\n1\n4\n"),
        (FormatSpec::named("parquet"), "parquet", ""),
    ];
    for (format, extension, expected) in cases {
        let store = Arc::new(MemoryFiles::default());
        let files = SinkFiles {
            partition_by: vec!["k".to_string()],
            ..SinkFiles::default()
        };
        let sink = sink_with(&store, format, files);
        let tokens = commit_together(
            &sink,
            &[
                &[keyed(&[("a", 1), ("b", 2)]), keyed(&[("b", 3)])],
                &[keyed(&[]), keyed(&[])],
                &[keyed(&[("a", 4), ("c", 5)])],
            ],
        )
        .await;
        assert_eq!(tokens[0].0, serde_json::json!({ "files": [] }));
        let a = format!("k=a/part-00000005-from-00000003.{extension}");
        let b = format!("k=b/part-00000005-from-00000003_001.{extension}");
        // Alone in its folder, so it stays what it is.
        let c = format!("k=c/part-00000005-000_001.{extension}");
        let manifest = manifest(&store, 5);
        assert_eq!(manifest["first_epoch"], 3);
        assert_eq!(manifest["rows"], 5);
        let listed = manifest["files"].as_array().unwrap().iter();
        let listed: Vec<_> = listed.map(|file| file["path"].as_str().unwrap()).collect();
        assert_eq!(listed, [a.as_str(), b.as_str(), c.as_str()]);
        assert_eq!(store.list(MANIFESTS).unwrap(), ["00000005.json"]);
        for file in manifest["files"].as_array().unwrap() {
            let path = file["path"].as_str().unwrap();
            assert_eq!(file["bytes"], store.size(path).unwrap().unwrap());
        }
        match extension {
            "parquet" => assert_eq!(parquet_ints(&store, &b), [2, 3]),
            _ => assert_eq!(text(&store, &a), expected),
        }
        assert!(store.list(STAGED).unwrap().is_empty());

        // Taken back, all of it is gone.
        let removed = serde_json::json!({ "files": [], "removed": listed });
        let taken = CommitToken(removed);
        sink.commit(EpochId(6), taken).await.unwrap();
        assert!(store.list(MANIFESTS).unwrap().is_empty());
        assert!(store.list("k=a").unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_line_feed_in_a_name_of_the_header_does_not_end_it() {
    let store = Arc::new(MemoryFiles::default());
    let mut csv = FormatSpec::named("csv");
    csv.options.set("header", "true");
    let sink = sink_with(&store, csv, SinkFiles::default());
    let rows = |n: i64| {
        let n: ArrayRef = Arc::new(Int64Array::from(vec![n]));
        RecordBatch::try_from_iter([("of\nlines", n)]).unwrap()
    };
    commit_together(&sink, &[&[rows(1)], &[rows(2)]]).await;
    let file = text(&store, "part-00000004-from-00000003.csv");
    assert_eq!(file, "\"of\nlines\"\n1\n2\n");
}

#[tokio::test]
async fn files_are_put_together_up_to_the_target() {
    let store = Arc::new(MemoryFiles::default());
    let files = SinkFiles {
        target_bytes: 40,
        ..SinkFiles::default()
    };
    let sink = sink_with(&store, FormatSpec::named("json"), files);
    // Lines of 8 bytes: 16, 8, 24, 8, 16 bytes; that of 24 is more than half of the target.
    let sizes: [&[i64]; 5] = [&[0, 1], &[2], &[3, 4, 5], &[6], &[7, 8]];
    let epochs: Vec<[RecordBatch; 1]> = sizes.iter().map(|rows| [ints(rows)]).collect();
    let epochs: Vec<&[RecordBatch]> = epochs.iter().map(<[RecordBatch; 1]>::as_slice).collect();
    commit_together(&sink, &epochs).await;
    let found: Vec<(String, usize)> = names(&store)
        .into_iter()
        .map(|name| (name.clone(), text(&store, &name).len()))
        .collect();
    let expected = [
        ("part-00000005-000.jsonl", 24),
        ("part-00000007-000.jsonl", 16),
        ("part-00000007-from-00000003.jsonl", 32),
    ];
    let expected = expected.map(|(name, bytes)| (name.to_string(), bytes));
    assert_eq!(found, expected);
}

#[tokio::test]
async fn epochs_that_were_gathered_and_not_committed_leave_no_trace() {
    let store = Arc::new(MemoryFiles::default());
    let sink = sink(&store, "json");
    open(&sink, Some(2)).await.unwrap();
    let first = prepare(&sink, 3, &[&[1]]).await;
    let second = prepare(&sink, 4, &[&[2]]).await;
    let prepared = vec![(EpochId(3), first), (EpochId(4), second)];
    sink.gather(prepared).await.unwrap();
    assert_eq!(store.list(STAGED).unwrap().len(), 3);
    open(&sink, Some(2)).await.unwrap();
    assert!(store.list(STAGED).unwrap().is_empty());
}
