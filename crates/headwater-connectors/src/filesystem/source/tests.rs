//! Order, limits, restarts, damage and formats of file sources, on a temporary folder.

use std::fs::{File, FileTimes};
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use futures::FutureExt;

use headwater_core::ErrorKind;
use headwater_core::clock::ManualClock;
use headwater_core::connector::{Connector, MetadataColumn, SourceDefinition, SourceUse};
use headwater_core::format::BadDataPolicy;
use headwater_core::options::{OptionReader, Options};
use headwater_core::source::SourceJournal;

use super::*;
use crate::filesystem::FilesystemConnector;
use crate::test_support::{TestJournal, manual_clock, read_all, source_context, table};

/// A folder, and a query over it that can be restarted.
struct Fixture {
    folder: tempfile::TempDir,
    clock: ManualClock,
    journal: Arc<TestJournal>,
}

impl Fixture {
    fn new() -> Self {
        Fixture {
            folder: tempfile::tempdir().unwrap(),
            clock: manual_clock(),
            journal: Arc::default(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file that was modified `seconds` after the epoch.
    fn write(&self, name: &str, seconds: u64, text: &str) {
        let mut file = File::create(self.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    async fn open(&self, options: &[(&str, &str)], columns: Option<SchemaRef>) -> Arc<dyn Source> {
        self.try_open(options, columns).await.unwrap()
    }

    async fn try_open(
        &self,
        options: &[(&str, &str)],
        columns: Option<SchemaRef>,
    ) -> Result<Arc<dyn Source>> {
        let metadata = ["path", "line", "modified"].map(|from| {
            let data_type = match from {
                "path" => DataType::Utf8View,
                "line" => DataType::Int64,
                _ => DataType::Timestamp(TimeUnit::Microsecond, None),
            };
            MetadataColumn {
                field: Arc::new(Field::new(from, data_type, true)),
                from: from.to_string(),
            }
        });
        let path = self.path().to_str().unwrap();
        let bad = options.iter().find(|(key, _)| *key == "bad");
        let bad_data = match bad.map(|(_, policy)| *policy) {
            Some("drop") => BadDataPolicy::Drop,
            Some("null") => BadDataPolicy::Null,
            _ => BadDataPolicy::Fail,
        };
        let options = options.iter().filter(|(key, _)| *key != "bad");
        let mut options: Options = options.copied().collect();
        if options.get("path").is_none() {
            options.set("path", path);
        }
        let definition = SourceDefinition {
            name: "s".to_string(),
            payload: columns,
            metadata: metadata.to_vec(),
            format: None,
            key_format: None,
            bad_data,
        };
        let mut reader = OptionReader::new("source \"s\"", &options);
        let declared = FilesystemConnector
            .declare_source(definition, &mut reader)
            .unwrap();
        reader.finish().unwrap();
        let context = source_context(&self.clock, &self.journal, SourceUse::Stream);
        declared.open(context).await
    }
}

/// The rows of `[start, end)` as `path:line value`, the path without its folder.
async fn rows(source: &dyn Source, start: u64, end: u64) -> Vec<String> {
    use arrow::array::AsArray;
    let batches = read_all(source, &position(start), &position(end))
        .await
        .unwrap();
    let mut rows = Vec::new();
    for batch in &batches {
        let value = batch.column(0).as_string_view();
        let path = batch.column(1).as_string_view();
        let line = batch
            .column(2)
            .as_primitive::<arrow::datatypes::Int64Type>();
        for row in 0..batch.num_rows() {
            let name = path.value(row).rsplit('/').next().unwrap();
            rows.push(format!("{name}:{} {}", line.value(row), value.value(row)));
        }
    }
    rows
}

async fn available(source: &dyn Source, from: u64) -> u64 {
    let limits = EpochLimits::default();
    let end = source.available(&position(from), &limits).await.unwrap();
    files_of(&end)
}

#[tokio::test]
async fn files_come_by_time_then_name_each_once() {
    let fixture = Fixture::new();
    fixture.write("b.txt", 10, "b1\nb2");
    fixture.write("a.txt", 20, "a1\r\n");
    fixture.write("c.txt", 10, "");
    fixture.write("_SUCCESS", 1, "no");
    fixture.write(".hidden", 1, "no");
    fixture.write("x.tmp", 1, "no");
    std::fs::create_dir(fixture.path().join("folder")).unwrap();
    let source = fixture.open(&[], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 3);
    let expected = ["b.txt:1 b1", "b.txt:2 b2", "a.txt:1 a1"];
    assert_eq!(rows(source.as_ref(), 0, 3).await, expected);
    assert!(rows(source.as_ref(), 1, 2).await.is_empty());

    // An earlier time does not put a later arrival before files that have their number.
    fixture.write("0.txt", 1, "late\n");
    assert_eq!(available(source.as_ref(), 3).await, 4);
    assert_eq!(rows(source.as_ref(), 3, 4).await, ["0.txt:1 late"]);
    assert_eq!(rows(source.as_ref(), 0, 3).await, expected);
}

#[tokio::test]
async fn an_epoch_takes_at_most_so_many_files() {
    let fixture = Fixture::new();
    for (name, seconds) in [("1", 1), ("2", 2), ("3", 3)] {
        fixture.write(name, seconds, name);
    }
    let source = fixture.open(&[("maxFilesPerTrigger", "2")], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 2);
    assert_eq!(available(source.as_ref(), 0).await, 2);
    assert_eq!(fixture.journal.entries().unwrap().len(), 2);
    assert_eq!(available(source.as_ref(), 2).await, 3);
    assert_eq!(files_of(&source.latest().await.unwrap()), 3);
    assert_eq!(rows(source.as_ref(), 1, 3).await, ["2:1 2", "3:1 3"]);
}

#[tokio::test]
async fn a_restart_finds_the_same_numbers_in_the_journal() {
    let fixture = Fixture::new();
    fixture.write("b", 2, "b");
    let source = fixture.open(&[], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    fixture.write("a", 1, "a");
    let source = fixture.open(&[], None).await;
    assert_eq!(rows(source.as_ref(), 0, 1).await, ["b:1 b"]);
    assert_eq!(available(source.as_ref(), 1).await, 2);
    assert_eq!(rows(source.as_ref(), 0, 2).await, ["b:1 b", "a:1 a"]);
    let request = crate::test_support::request(source.as_ref(), &position(0), &position(3));
    let error = source.read(request).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataLoss);
}

#[tokio::test]
async fn a_path_without_anything_is_an_error_of_the_declaration() {
    let fixture = Fixture::new();
    fixture.write("a", 1, "a");
    for below in ["nothing", "a/nothing"] {
        let path = fixture.path().join(below).display().to_string();
        let error = fixture
            .try_open(&[("path", &path)], None)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let expected = format!("could not find \"{path}\" of source \"s\"");
        assert_eq!(error.message(), expected);
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn a_file_that_is_gone_or_changed_is_data_loss() {
    let fixture = Fixture::new();
    fixture.write("a", 1, "a");
    fixture.write("b", 2, "b");
    let source = fixture.open(&[], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 2);
    std::fs::remove_file(fixture.path().join("a")).unwrap();
    fixture.write("b", 2, "bb");
    for (number, text) in [(0, "is gone"), (1, "from 1 to 2 bytes")] {
        let error = read_all(source.as_ref(), &position(number), &position(number + 1))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert!(error.message().contains(text), "{}", error.message());
    }
}

#[tokio::test]
async fn a_query_that_goes_on_looks_at_files_it_has_found_and_not_read() {
    type Change = fn(&Fixture);
    let cases: [(Change, Option<&str>); 6] = [
        (|_| {}, None),
        (|f| f.write("new", 1, "n"), None),
        // What was read may go, or change.
        (|f| std::fs::remove_file(f.path().join("a")).unwrap(), None),
        (|f| f.write("a", 9, "other"), None),
        (
            |f| std::fs::remove_file(f.path().join("b")).unwrap(),
            Some("b\" is gone before it was read"),
        ),
        (
            |f| f.write("c", 9, "c"),
            Some("c\" was written to since it was found, and not read yet"),
        ),
    ];
    for (change, refused) in cases {
        let fixture = Fixture::new();
        fixture.write("a", 1, "a");
        fixture.write("b", 2, "b");
        fixture.write("c", 3, "c");
        let source = fixture.open(&[], None).await;
        assert_eq!(available(source.as_ref(), 0).await, 3);
        change(&fixture);
        let resumed = fixture.open(&[], None).await;
        let checked = resumed
            .check_resume(ResumePoint {
                committed: &position(1),
                decided: &position(2),
                seen: &Default::default(),
            })
            .await;
        match (checked, refused) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) => {
                assert_eq!(error.kind(), ErrorKind::DataLoss);
                assert!(error.message().contains(text), "{error}");
            }
            (checked, refused) => panic!("{checked:?}, not {refused:?}"),
        }
    }
}

#[tokio::test]
async fn waiting_lists_the_folder_every_interval() {
    let fixture = Fixture::new();
    let options = [("poll.interval", "10 s"), ("pattern", "*.txt")];
    let source = fixture.open(&options, None).await;
    let start = position(0);
    let mut wait = source.wait_ready(&start);
    let blocked = async {
        while futures::poll!(&mut wait).is_pending() {
            fixture.clock.advance(Duration::from_secs(4));
            fixture.write("other.csv", 1, "x");
            if fixture.clock.elapsed() > Duration::from_secs(60) {
                fixture.write("a.txt", 1, "x");
            }
            tokio::task::yield_now().await;
        }
    };
    blocked.await;
    assert!(fixture.clock.elapsed() > Duration::from_secs(60));
    assert_eq!(available(source.as_ref(), 0).await, 1);
    assert!(!source.has_ended(&position(1)));
}

#[tokio::test]
async fn one_file_ends() {
    let fixture = Fixture::new();
    fixture.write("a.txt", 1, "a\n\nb");
    let url = format!("file://{}/a.txt", fixture.path().display());
    let source = fixture.open(&[("path", &url)], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    assert_eq!(
        rows(source.as_ref(), 0, 1).await,
        ["a.txt:1 a", "a.txt:2 ", "a.txt:3 b"]
    );
    assert!(source.has_ended(&position(1)));
    assert!(source.wait_ready(&position(1)).now_or_never().is_some());
}

#[tokio::test]
async fn csv_with_a_header_and_blank_lines() {
    let fixture = Fixture::new();
    fixture.write("a.csv", 60, "\u{feff}sym,n\nEPE,1\n\nABC,2\n");
    let columns = Arc::new(Schema::new(vec![
        Field::new("sym", DataType::Utf8View, true),
        Field::new("n", DataType::Int64, true),
    ]));
    let options = [("format", "csv"), ("csv.header", "true")];
    let source = fixture.open(&options, Some(columns)).await;
    let mut request = crate::test_support::request(source.as_ref(), &position(0), &position(1));
    assert_eq!(available(source.as_ref(), 0).await, 1);
    request.projection = vec![1, 3, 4];
    let counters = Arc::clone(&request.counters);
    let batches: Vec<_> = source.read(request).unwrap().collect().await;
    let batches: Vec<_> = batches.into_iter().map(|b| b.unwrap().rows).collect();
    assert_eq!(
        table(&batches),
        "\
+---+------+---------------------+
| n | line | modified            |
+---+------+---------------------+
| 1 | 2    | 1970-01-01T00:01:00 |
| 2 | 4    | 1970-01-01T00:01:00 |
+---+------+---------------------+"
    );
    assert_eq!(counters.records(), 2);
    assert_eq!(counters.fraction(), Some(1.0));
}

#[tokio::test]
async fn a_csv_header_that_does_not_name_the_columns_is_refused() {
    let fixture = Fixture::new();
    fixture.write("a.csv", 1, "");
    fixture.write("b.csv", 2, "\u{feff}SYM, \"n\"\r\nEPE,1\n");
    fixture.write("c.csv", 3, "n,sym\n1,EPE\n");
    let columns = Arc::new(Schema::new(vec![
        Field::new("sym", DataType::Utf8View, true),
        Field::new("n", DataType::Int64, true),
    ]));
    let options = [("format", "csv"), ("csv.header", "true")];
    let source = fixture.open(&options, Some(columns)).await;
    assert_eq!(available(source.as_ref(), 0).await, 3);
    let batches = read_all(source.as_ref(), &position(0), &position(2))
        .await
        .unwrap();
    assert_eq!(batches.iter().map(|b| b.num_rows()).sum::<usize>(), 1);
    let error = read_all(source.as_ref(), &position(2), &position(3))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(
        error
            .message()
            .contains("c.csv\" does not name the columns of source \"s\""),
        "{}",
        error.message()
    );
    assert_eq!(
        error.detail(),
        Some("The header says \"n\", \"sym\"; the columns are \"sym\", \"n\".")
    );
    assert!(error.hint().unwrap().contains("'csv.header' = 'skip'"));
}

#[tokio::test]
async fn long_files_come_in_chunks_and_bad_lines_are_named() {
    let fixture = Fixture::new();
    let mut text: String = (0..20_000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
    fixture.write("a.json", 1, &text);
    text.push_str("{\"n\":");
    fixture.write("b.json", 2, &text);
    let columns = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let source = fixture.open(&[("format", "json")], Some(columns)).await;
    assert_eq!(available(source.as_ref(), 0).await, 2);
    let batches = read_all(source.as_ref(), &position(0), &position(1))
        .await
        .unwrap();
    let sizes: Vec<_> = batches.iter().map(|b| b.num_rows()).collect();
    assert_eq!(sizes, [8192, 8192, 3616]);
    let error = read_all(source.as_ref(), &position(1), &position(2))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(
        error.message().contains("line 20001 of file"),
        "{}",
        error.message()
    );
}

#[test]
fn wrong_declarations_are_refused() {
    let cases: [(&[(&str, &str)], &str); 5] = [
        (&[], "source \"s\" needs the option \"path\""),
        (
            &[("path", "s3://b/x")],
            "path of source \"s\" is at \"s3://\", which is not supported",
        ),
        (
            &[("path", "/x"), ("format", "json")],
            "source \"s\" declares no columns, and format JSON needs them",
        ),
        (
            &[("path", "/x"), ("max.files.per.epoch", "0")],
            "option \"max.files.per.epoch\" of source \"s\" is \"0\", not a number of files, at least 1",
        ),
        (
            &[("path", "/x"), ("max.files", "2")],
            "source \"s\" has no option \"max.files\"",
        ),
    ];
    for (options, expected) in cases {
        let options: Options = options.iter().copied().collect();
        let mut reader = OptionReader::new("source \"s\"", &options);
        let definition = SourceDefinition {
            name: "s".to_string(),
            payload: None,
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        };
        let declared = FilesystemConnector.declare_source(definition, &mut reader);
        let error = declared.and_then(|_| reader.finish()).unwrap_err();
        assert_eq!(error.message(), expected);
    }
}

/// Writes a Parquet file of these columns.
fn write_parquet(fixture: &Fixture, name: &str, seconds: u64, columns: &[(&str, ArrayRef)]) {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .iter()
            .map(|(name, values)| (*name, Arc::clone(values), true)),
    );
    let batch = batch.unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut file = File::create(fixture.path().join(name)).unwrap();
    file.write_all(&bytes).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(time)).unwrap();
}

fn parquet_columns(is_nullable: bool) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("n", DataType::Int64, is_nullable),
        Field::new("s", DataType::Utf8View, true),
    ]))
}

#[tokio::test]
async fn parquet_files_are_read_by_the_names_of_their_columns() {
    use arrow::array::{Int32Array, StringArray};
    let fixture = Fixture::new();
    let n: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
    let s: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c"]));
    let other: ArrayRef = Arc::new(StringArray::from(vec!["x", "y", "z"]));
    let columns = [("s", s), ("other", other), ("n", Arc::clone(&n))];
    write_parquet(&fixture, "1.parquet", 1, &columns);
    write_parquet(&fixture, "2.parquet", 2, &[("n", n)]);
    let source = fixture
        .open(&[("format", "parquet")], Some(parquet_columns(true)))
        .await;
    assert_eq!(available(source.as_ref(), 0).await, 2);
    let batches = read_all(source.as_ref(), &position(0), &position(2))
        .await
        .unwrap();
    let without_path = batches
        .iter()
        .map(|batch| batch.project(&[0, 1, 3, 4]).unwrap());
    assert_eq!(
        table(&without_path.collect::<Vec<_>>()),
        "\
+---+---+------+---------------------+
| n | s | line | modified            |
+---+---+------+---------------------+
| 1 | a | 1    | 1970-01-01T00:00:01 |
|   | b | 2    | 1970-01-01T00:00:01 |
| 3 | c | 3    | 1970-01-01T00:00:01 |
| 1 |   | 1    | 1970-01-01T00:00:02 |
|   |   | 2    | 1970-01-01T00:00:02 |
| 3 |   | 3    | 1970-01-01T00:00:02 |
+---+---+------+---------------------+"
    );

    // Rows are counted without reading a column, in batches of the size that was asked for.
    let mut request = crate::test_support::request(source.as_ref(), &position(0), &position(2));
    request.projection = vec![];
    request.batch_rows = 2;
    let counters = Arc::clone(&request.counters);
    let read: Vec<_> = source.read(request).unwrap().collect().await;
    let sizes: Vec<usize> = read
        .into_iter()
        .map(|b| b.unwrap().rows.num_rows())
        .collect();
    assert_eq!(sizes, [2, 1, 2, 1]);
    assert_eq!(counters.records(), 6);
    assert!(counters.bytes() > 100);
    assert_eq!(counters.fraction(), Some(1.0));
}

#[tokio::test]
async fn parquet_rows_that_do_not_fit_are_judged() {
    use arrow::array::{Float64Array, StringArray, UInt64Array};
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(3)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["1"]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let huge: ArrayRef = Arc::new(UInt64Array::from(vec![u64::MAX]));
    let cases: [(&str, ArrayRef, &str); 5] = [
        ("n", Arc::clone(&numbers), "could not take row 2 of file"),
        (
            "n",
            texts,
            "is a VARCHAR, and source \"s\" declares it as BIGINT",
        ),
        (
            "n",
            floats,
            "is a DOUBLE, and source \"s\" declares it as BIGINT",
        ),
        ("n", huge, "has a value that a BIGINT does not hold"),
        (
            "m",
            Arc::clone(&numbers),
            "has none of the columns of source \"s\"",
        ),
    ];
    for (name, values, expected) in cases {
        let fixture = Fixture::new();
        write_parquet(&fixture, "1", 1, &[(name, values)]);
        let columns = Some(parquet_columns(false));
        let source = fixture.open(&[("format", "parquet")], columns).await;
        assert_eq!(available(source.as_ref(), 0).await, 1);
        let read = read_all(source.as_ref(), &position(0), &position(1)).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(error.message().contains(expected), "{error}");
        assert!(error.hint().is_some());
    }

    let fixture = Fixture::new();
    write_parquet(&fixture, "1", 1, &[("n", numbers)]);
    let columns = Some(parquet_columns(false));
    let options = [("format", "parquet"), ("bad", "drop")];
    let source = fixture.open(&options, columns).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let request = crate::test_support::request(source.as_ref(), &position(0), &position(1));
    let counters = Arc::clone(&request.counters);
    let read: Vec<_> = source.read(request).unwrap().collect().await;
    let batch = read.into_iter().next().unwrap().unwrap();
    assert_eq!(batch.rows.num_rows(), 2);
    assert!(
        batch.place_of(1).starts_with("row 3 of file"),
        "{}",
        batch.place_of(1)
    );
    assert_eq!(counters.bad().into_values().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_parquet_row_is_bad_once_and_a_value_that_loses_digits_is_none() {
    use arrow::array::{Decimal128Array, TimestampNanosecondArray};
    let fixture = Fixture::new();
    let n: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2), Some(3), Some(4)]));
    let m: ArrayRef = Arc::new(Int64Array::from(vec![None, Some(2), Some(3), Some(4)]));
    let d = Decimal128Array::from(vec![1000, 1005, 1010, 1020]);
    let d: ArrayRef = Arc::new(d.with_precision_and_scale(10, 3).unwrap());
    let t = TimestampNanosecondArray::from(vec![1_000, 1_001, 1_001, 2_000]);
    let columns = [("n", n), ("m", m), ("d", d), ("t", Arc::new(t) as ArrayRef)];
    write_parquet(&fixture, "1", 1, &columns);
    let declared = |is_nullable| {
        Some(Arc::new(Schema::new(vec![
            Field::new("n", DataType::Int64, is_nullable),
            Field::new("m", DataType::Int64, is_nullable),
            Field::new("d", DataType::Decimal128(10, 2), true),
            Field::new("t", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        ])))
    };
    let options = [("format", "parquet"), ("bad", "drop")];
    let source = fixture.open(&options, declared(false)).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let request = crate::test_support::request(source.as_ref(), &position(0), &position(1));
    let counters = Arc::clone(&request.counters);
    let read: Vec<_> = source.read(request).unwrap().collect().await;
    let batch = read.into_iter().next().unwrap().unwrap();
    assert_eq!(batch.rows.num_rows(), 1);
    assert!(batch.place_of(0).starts_with("row 4 of file"));
    let expected = [
        (
            "column \"d\" has a value that a DECIMAL(10,2) does not hold",
            1,
        ),
        ("column \"n\" is NULL and declared NOT NULL", 1),
        ("column \"t\" has a value that a TIMESTAMP does not hold", 1),
    ];
    let expected = expected.map(|(reason, rows)| (reason.to_string(), rows));
    let counted: Vec<(String, u64)> = counters.bad().into_iter().collect();
    assert_eq!(counted, expected);

    let options = [("format", "parquet"), ("bad", "null")];
    let source = fixture.open(&options, declared(true)).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let request = crate::test_support::request(source.as_ref(), &position(0), &position(1));
    let read: Vec<_> = source.read(request).unwrap().collect().await;
    let batch = read.into_iter().next().unwrap().unwrap();
    assert_eq!(batch.bad_rows, [1, 2]);
    assert_eq!(batch.rows.column(0).null_count(), 3);
    assert_eq!(batch.rows.column(3).null_count(), 2);

    let source = fixture.open(&[("format", "parquet")], declared(true)).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let read = read_all(source.as_ref(), &position(0), &position(1)).await;
    let error = read.unwrap_err();
    assert!(
        error.message().starts_with("could not take row 2 of file"),
        "{error}"
    );
    assert_eq!(error.detail(), Some("Found: 1.005"));
    let hint = error.hint().unwrap();
    assert!(
        hint.starts_with("Declare it as DECIMAL(10,3), and CAST"),
        "{hint}"
    );
}

#[tokio::test]
async fn a_folder_of_folders_by_value_is_refused() {
    let fixture = Fixture::new();
    fixture.write("1.jsonl", 1, "x\n");
    for folder in ["archive", "_log=1", ".x=1"] {
        std::fs::create_dir(fixture.path().join(folder)).unwrap();
    }
    let source = fixture.open(&[], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);

    std::fs::create_dir(fixture.path().join("k=a")).unwrap();
    let source = fixture.open(&[("pattern", "*.jsonl")], None).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let source = fixture.open(&[], None).await;
    let error = source.latest().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let message = error.message();
    assert!(
        message.ends_with("has its rows in folders by value, such as \"k=a\""),
        "{message}"
    );
    assert!(
        error.hint().unwrap().contains("PARTITIONED BY (k)"),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_is_no_parquet_file_is_bad_data() {
    let fixture = Fixture::new();
    fixture.write("1", 1, "{\"n\":1}\n");
    let columns = Some(parquet_columns(true));
    let source = fixture.open(&[("format", "parquet")], columns).await;
    assert_eq!(available(source.as_ref(), 0).await, 1);
    let read = read_all(source.as_ref(), &position(0), &position(1)).await;
    let error = read.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert!(
        error.message().ends_with("cannot be read as Parquet"),
        "{error}"
    );
}
