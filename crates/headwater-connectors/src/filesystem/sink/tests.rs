//! Publication, crashes and refusals of file sinks.

use headwater_checkpoint::MemoryFiles;
use headwater_core::connector::{Connector, SinkDefinition};
use headwater_core::options::{OptionReader, Options};

use super::*;
use crate::filesystem::FilesystemConnector;
use crate::test_support::{ints, rows_of, sink_context};

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
    assert!(names(&store).iter().all(|name| name.starts_with('.')));
    drop(first);

    let second = sink(&store, "json");
    open(&second, Some(42)).await.unwrap();
    for _ in 0..2 {
        second.commit(EpochId(42), token.clone()).await.unwrap();
        let expected = ["part-00000042-000.jsonl", "part-00000042-002.jsonl"];
        assert_eq!(names(&store), expected);
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
    assert!(names(&store).is_empty());

    // A crash after `prepare`: opening again removes what no commit record names.
    prepare_text(&sink, 0, &["a", "b"]).await;
    open(&sink, None).await.unwrap_err();
    let context = sink_context(words(&[]).schema(), OutputMode::Append, None);
    sink.open(&context).await.unwrap();
    assert!(names(&store).is_empty());

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
        format: Some(FormatSpec::named("csv")),
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
        format: None,
    };
    let mut reader = OptionReader::new("sink \"f\"", &options);
    let declared = FilesystemConnector.declare_sink(definition, &mut reader);
    let error = declared.unwrap().open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[test]
fn names_tell_their_epoch() {
    let cases = [
        ("part-00000042-000.jsonl", Some(42)),
        ("part-123456789-000.csv", Some(123_456_789)),
        ("part-000.jsonl", None),
        ("part-0000000x-000.csv", None),
        (".part-00000042-000.jsonl", None),
    ];
    for (name, epoch) in cases {
        assert_eq!(visible_epoch(name), epoch.map(EpochId), "{name}");
    }
    assert_eq!(
        staged_epoch(".part-00000042-000.jsonl.staged"),
        Some(EpochId(42))
    );
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
