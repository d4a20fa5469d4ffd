//! Goldens of what the console sink prints.

use arrow::array::{
    ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};

use headwater_core::ErrorKind;
use headwater_core::changes::{DELETE, OP_COLUMN, UPDATE};
use headwater_core::options::Options;

use super::*;
use crate::test_support::{ints, rows_of, sink_context};

type Buffer = Arc<Mutex<Vec<u8>>>;

fn declare(pairs: &[(&str, &str)], buffer: &Buffer) -> Result<Arc<dyn Sink>> {
    let written: Options = pairs.iter().copied().collect();
    let mut options = OptionReader::new("sink \"c\"", &written);
    let definition = SinkDefinition {
        name: "c".to_string(),
        schema: None,
        primary_key: vec![],
        partitioned_by: vec![],
        format: None,
        key_format: None,
    };
    let writer: SharedWriter = Arc::<Mutex<Vec<u8>>>::clone(buffer);
    let declared = ConsoleConnector::new(writer).declare_sink(definition, &mut options)?;
    options.finish()?;
    declared.open()
}

/// What is printed for epochs of one batch each, written as partition 1 and, empty, as 0.
async fn printed(options: &[(&str, &str)], mode: OutputMode, epochs: Vec<RecordBatch>) -> String {
    let buffer = Buffer::default();
    let sink = declare(options, &buffer).unwrap();
    let schema = epochs[0].schema();
    sink.open(&sink_context(schema, mode, None)).await.unwrap();
    for (number, batch) in epochs.into_iter().enumerate() {
        let epoch = EpochId(number as u64);
        sink.write(epoch, 1, rows_of([batch])).await.unwrap();
        sink.write(epoch, 0, rows_of([])).await.unwrap();
        let token = sink.prepare(epoch, vec![]).await.unwrap();
        sink.commit(epoch, token).await.unwrap();
    }
    String::from_utf8(buffer.lock().clone()).unwrap()
}

fn mixed() -> RecordBatch {
    let columns: [(&str, ArrayRef); 5] = [
        ("key", Arc::new(StringArray::from(vec![None, Some("a")]))),
        (
            "value",
            Arc::new(StringArray::from(vec!["cpu,cpu=cpu-total,host=x", "b\n"])),
        ),
        (
            "bytes",
            Arc::new(BinaryArray::from(vec![&b"\x01\xAB"[..], &b""[..]])),
        ),
        ("price", Arc::new(Float64Array::from(vec![51.0, 0.25]))),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![
                1_626_508_824_000_000,
                1_626_508_824_120_000,
            ])),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

#[tokio::test]
async fn a_table_as_spark_draws_it() {
    let text = printed(&[], OutputMode::Append, vec![mixed()]).await;
    assert_eq!(
        text,
        "\
-------------------------------------------
Batch: 0
-------------------------------------------
+----+--------------------+-------+-----+----------------------+
| key|               value|  bytes|price|                    at|
+----+--------------------+-------+-----+----------------------+
|null|cpu,cpu=cpu-total...|[01 AB]| 51.0|   2021-07-17 08:00:24|
|   a|                 b\\n|     []| 0.25|2021-07-17 08:00:24.12|
+----+--------------------+-------+-----+----------------------+

"
    );
}

#[tokio::test]
async fn texts_are_cut_and_numbers_and_times_are_not() {
    let options = [("truncate", "5")];
    let text = printed(&options, OutputMode::Append, vec![mixed()]).await;
    let rows: Vec<_> = text.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(
        rows,
        [
            "| key|value|bytes|price|                    at|",
            "|null|cp...|[0...| 51.0|   2021-07-17 08:00:24|",
            "|   a|  b\\n|   []| 0.25|2021-07-17 08:00:24.12|",
        ]
    );
}

#[tokio::test]
async fn all_rows_are_shown_if_asked() {
    let many: Vec<i64> = (0..30_000).collect();
    let epochs = vec![ints(&many[..25]), ints(&many)];
    let text = printed(&[("num.rows", "all")], OutputMode::Append, epochs).await;
    let numbers = text.lines().filter_map(|line| line.strip_prefix('|'));
    let numbers = numbers.filter_map(|line| line.trim_matches(['|', ' ']).parse().ok());
    let expected: Vec<i64> = many[..25].iter().chain(&many).copied().collect();
    assert_eq!(numbers.collect::<Vec<i64>>(), expected);
    // The second epoch came as one batch, so that it has one table.
    assert_eq!(text.matches("Batch: ").count(), 2);
    assert!(!text.contains("only showing"));
}

#[tokio::test]
async fn rows_are_limited_and_empty_epochs_left_out() {
    let epochs = vec![ints(&[1, 2, 3]), ints(&[]), ints(&[4])];
    let options = [("numRows", "2"), ("truncate", "false")];
    let text = printed(&options, OutputMode::Append, epochs).await;
    assert_eq!(
        text,
        "\
-------------------------------------------
Batch: 0
-------------------------------------------
+---+
|n  |
+---+
|1  |
|2  |
+---+
only showing top 2 rows

-------------------------------------------
Batch: 2
-------------------------------------------
+---+
|n  |
+---+
|4  |
+---+

"
    );
}

#[tokio::test]
async fn empty_epochs_are_printed_if_asked() {
    let options = [("print.empty", "true")];
    let text = printed(&options, OutputMode::Append, vec![ints(&[])]).await;
    assert!(text.ends_with("+---+\n|  n|\n+---+\n+---+\n\n"), "{text}");
}

#[tokio::test]
async fn json_lines() {
    let columns: [(&str, ArrayRef); 2] = [
        ("symbol", Arc::new(StringArray::from(vec!["EPE", "A\"B"]))),
        ("count", Arc::new(Int64Array::from(vec![3, 4]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = [("format", "json")];
    let text = printed(&options, OutputMode::Update, vec![batch.clone()]).await;
    assert_eq!(
        text,
        "{\"epoch\":0,\"op\":\"+U\",\"row\":{\"symbol\":\"EPE\",\"count\":3}}\n\
         {\"epoch\":0,\"op\":\"+U\",\"row\":{\"symbol\":\"A\\\"B\",\"count\":4}}\n"
    );
    let text = printed(&options, OutputMode::Complete, vec![batch]).await;
    assert!(text.starts_with("{\"epoch\":0,\"op\":\"+I\""), "{text}");
}

#[tokio::test]
async fn lines_say_which_rows_are_gone() {
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new(Int64Array::from(vec![3, 4]))),
        (OP_COLUMN, Arc::new(StringArray::from(vec![UPDATE, DELETE]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = [("format", "json")];
    let text = printed(&options, OutputMode::Update, vec![batch.clone()]).await;
    assert_eq!(
        text,
        "{\"epoch\":0,\"op\":\"+U\",\"row\":{\"n\":3}}\n\
         {\"epoch\":0,\"op\":\"-D\",\"row\":{\"n\":4}}\n"
    );
    let options = [("format", "csv"), ("csv.header", "true")];
    let text = printed(&options, OutputMode::Update, vec![batch.slice(1, 1)]).await;
    assert_eq!(text, "epoch,op,n\n0,-D,4\n");
}

#[tokio::test]
async fn csv_lines() {
    let columns: [(&str, ArrayRef); 2] = [
        ("symbol", Arc::new(StringArray::from(vec!["EPE", "A,B"]))),
        ("count", Arc::new(Int64Array::from(vec![Some(3), None]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let options = [("format", "csv"), ("csv.header", "true")];
    let text = printed(
        &options,
        OutputMode::Update,
        vec![batch.clone(), batch.clone()],
    )
    .await;
    assert_eq!(
        text,
        "epoch,op,symbol,count\n0,+U,EPE,3\n0,+U,\"A,B\",\n1,+U,EPE,3\n1,+U,\"A,B\",\n"
    );
    let options = [("format", "csv"), ("csv.delimiter", ";")];
    let text = printed(&options, OutputMode::Append, vec![batch]).await;
    assert_eq!(text, "0;+I;EPE;3\n0;+I;A,B;\n");
}

#[tokio::test]
async fn rows_that_a_form_cannot_hold_are_refused_before_the_first() {
    let list = Field::new_list("l", Field::new_list_field(DataType::Int64, true), true);
    let schema = Arc::new(Schema::new(vec![list]));
    let sink = declare(&[("format", "csv")], &Buffer::default()).unwrap();
    let context = sink_context(schema, OutputMode::Append, None);
    let error = sink.open(&context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn unknown_forms_are_refused() {
    let buffer = Buffer::default();
    let error = declare(&[("format", "xml")], &buffer).unwrap_err();
    assert_eq!(
        error.message(),
        "option \"format\" of sink \"c\" is \"xml\", not 'table', 'json' or 'csv'"
    );
    assert!(declare(&[("truncate", "some")], &buffer).is_err());
    assert!(declare(&[("num.rows", "most")], &buffer).is_err());
    assert!(declare(&[("truncated", "true")], &buffer).is_err());
}

struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_is_an_error_that_can_be_told() {
    let sink = ConsoleSink::new(Arc::new(Mutex::new(Closed)));
    let context = sink_context(ints(&[]).schema(), OutputMode::Append, None);
    Sink::open(&sink, &context).await.unwrap();
    sink.write(EpochId(0), 0, rows_of([ints(&[1])]))
        .await
        .unwrap();
    let error = sink.prepare(EpochId(0), vec![]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resource);
    let source = std::error::Error::source(&error).unwrap();
    let source = source.downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.kind(), io::ErrorKind::BrokenPipe);
}
