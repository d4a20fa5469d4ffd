//! Determinism, pace, shape and refusals of the generator.

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Field, Schema, TimeUnit, TimestampMicrosecondType};
use futures::{FutureExt, StreamExt};

use headwater_core::ErrorKind;
use headwater_core::clock::ManualClock;
use headwater_core::connector::SourceUse;
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::offset::Offsets;
use headwater_core::options::Options;
use headwater_core::source::Source;

use super::*;
use crate::test_support::{TestJournal, manual_clock, read_all, request, source_context, table};

fn columns() -> SchemaRef {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("ts", micros.clone(), true),
        Field::new("n", DataType::Int32, true),
        Field::new("price", DataType::Float64, true),
        Field::new("name", DataType::Utf8View, true),
        Field::new("side", DataType::Utf8View, true),
        Field::new("flag", DataType::Boolean, true),
        Field::new("day", DataType::Date32, true),
        Field::new("cost", DataType::Decimal128(9, 2), true),
    ]))
}

fn declare_with(
    schema: Option<SchemaRef>,
    bad_data: BadDataPolicy,
    format: Option<FormatSpec>,
    options: &[(&str, &str)],
) -> Result<Arc<dyn DeclaredSource>> {
    let written: Options = options.iter().copied().collect();
    let mut reader = OptionReader::new("source \"g\"", &written);
    let definition = SourceDefinition {
        name: "g".to_string(),
        payload: schema,
        metadata: vec![],
        format,
        key_format: None,
        bad_data,
    };
    let declared = DatagenConnector.declare_source(definition, &mut reader)?;
    reader.finish()?;
    Ok(declared)
}

fn declare(options: &[(&str, &str)]) -> Result<Arc<dyn DeclaredSource>> {
    declare_with(Some(columns()), BadDataPolicy::Fail, None, options)
}

async fn open(declared: &dyn DeclaredSource, clock: &ManualClock) -> Arc<dyn Source> {
    let journal = Arc::<TestJournal>::default();
    let context = source_context(clock, &journal, SourceUse::Stream);
    declared.open(context).await.unwrap()
}

fn at(offsets: &[i64]) -> Offsets {
    let numbered = offsets.iter().enumerate();
    numbered
        .map(|(i, o)| {
            let partition = headwater_core::offset::Partition::new("datagen", i as i32);
            (partition, *o)
        })
        .collect()
}

#[tokio::test]
async fn rows_are_a_function_of_seed_and_number() {
    let options = [
        ("rows", "10000"),
        ("fields.id.kind", "sequence"),
        ("fields.n.min", "5"),
        ("fields.n.max", "7"),
        ("fields.name.length", "3"),
        ("fields.side.values", "B, S"),
    ];
    let source = open(declare(&options).unwrap().as_ref(), &manual_clock()).await;
    let whole = read_all(source.as_ref(), &at(&[0]), &at(&[10_000]))
        .await
        .unwrap();
    let parts = [(0, 17), (17, 9000), (9000, 10_000)];
    let mut again = Vec::new();
    for (start, end) in parts {
        let rows = read_all(source.as_ref(), &at(&[start]), &at(&[end])).await;
        again.extend(rows.unwrap());
    }
    assert_eq!(table(&whole), table(&again));
    assert_eq!(
        table(&[whole[0].slice(0, 3)]),
        "\
+----+-------------------------+---+-------------------+------+------+-------+------------+--------+
| id | ts                      | n | price             | name | side | flag  | day        | cost   |
+----+-------------------------+---+-------------------+------+------+-------+------------+--------+
| 0  | 2026-01-01T00:00:00     | 5 | 432.3684566532894 | pxr  | B    | false | 2026-01-01 | 691.40 |
| 1  | 2026-01-01T00:00:00.001 | 6 | 89.62975932875649 | xzj  | S    | false | 2026-01-01 | 21.91  |
| 2  | 2026-01-01T00:00:00.002 | 5 | 714.9812971734752 | dst  | B    | false | 2026-01-01 | 264.96 |
+----+-------------------------+---+-------------------+------+------+-------+------------+--------+"
    );
    let n = whole[0]
        .column(2)
        .as_primitive::<arrow::datatypes::Int32Type>();
    assert!(n.values().iter().all(|n| (5..=7).contains(n)));
    assert!(source.has_ended(&at(&[10_000])));
}

#[tokio::test]
async fn rows_are_dealt_to_partitions_in_turn() {
    let options = [
        ("rows", "5"),
        ("partitions", "3"),
        ("fields.id.kind", "sequence"),
    ];
    let source = open(declare(&options).unwrap().as_ref(), &manual_clock()).await;
    let start = source.initial().await.unwrap();
    assert_eq!(start, at(&[0, 0, 0]));
    let limits = EpochLimits {
        max_records: Some(4),
    };
    let first = source.available(&start, &limits).await.unwrap();
    assert_eq!(first, at(&[2, 1, 1]));
    let end = source.available(&first, &limits).await.unwrap();
    assert_eq!(end, at(&[2, 2, 1]));
    assert_eq!(source.latest().await.unwrap(), end);
    let mut only_id = request(source.as_ref(), &start, &end);
    only_id.projection = vec![0];
    let batches: Vec<_> = source.read(only_id).unwrap().collect().await;
    let ids: Vec<Vec<i64>> = batches
        .iter()
        .map(|batch| {
            let rows = &batch.as_ref().unwrap().rows;
            let ids = rows.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            ids.values().to_vec()
        })
        .collect();
    assert_eq!(ids, [vec![0, 3], vec![1, 4], vec![2]]);
}

#[tokio::test]
async fn the_pace_follows_the_clock() {
    let clock = manual_clock();
    let declared = declare(&[("rows-per-second", "10"), ("rows", "25")]).unwrap();
    let source = open(declared.as_ref(), &clock).await;
    let limits = declared.limits();
    let resumed = at(&[3]);
    assert_eq!(source.available(&resumed, &limits).await.unwrap(), at(&[3]));
    let mut wait = source.wait_ready(&resumed);
    assert!(futures::poll!(&mut wait).is_pending());
    clock.advance(Duration::from_millis(99));
    assert!(futures::poll!(&mut wait).is_pending());
    clock.advance(Duration::from_millis(1));
    wait.await.unwrap();
    assert_eq!(source.available(&resumed, &limits).await.unwrap(), at(&[4]));
    clock.advance(Duration::from_secs(1));
    assert_eq!(
        source.available(&resumed, &limits).await.unwrap(),
        at(&[14])
    );
    clock.advance(Duration::from_secs(60));
    assert_eq!(
        source.available(&resumed, &limits).await.unwrap(),
        at(&[25])
    );
    assert!(source.wait_ready(&at(&[25])).now_or_never().is_some());
}

#[tokio::test]
async fn times_are_out_of_order_and_late_as_asked() {
    let options = [
        ("start.time", "2026-03-01"),
        ("time.step", "1 s"),
        ("disorder", "5 s"),
        ("late.fraction", "0.1"),
        ("late.by", "1 hour"),
        ("rows", "8000"),
    ];
    let source = open(declare(&options).unwrap().as_ref(), &manual_clock()).await;
    let batches = read_all(source.as_ref(), &at(&[0]), &at(&[8000]))
        .await
        .unwrap();
    let times = batches[0]
        .column(1)
        .as_primitive::<TimestampMicrosecondType>();
    let start = 1_772_323_200_000_000;
    let mut late = 0;
    for (row, time) in times.values().iter().enumerate() {
        let behind = start + row as i64 * 1_000_000 - time;
        if behind >= 3_600_000_000 {
            late += 1;
        } else {
            assert!((0..=5_000_000).contains(&behind), "{row}: {behind}");
        }
    }
    assert!((700..900).contains(&late), "{late}");
}

#[tokio::test]
async fn the_preset_gives_orders() {
    let options = [("preset", "orders"), ("rows", "3"), ("symbols", "2")];
    let declared = declare_with(None, BadDataPolicy::Fail, None, &options).unwrap();
    let names: Vec<_> = declared
        .schema()
        .fields()
        .iter()
        .map(|f| f.name().clone())
        .collect();
    let expected = [
        "time",
        "order_id",
        "client_id",
        "symbol",
        "amount",
        "price",
        "buy",
    ];
    assert_eq!(names, expected);
    let source = open(declared.as_ref(), &manual_clock()).await;
    let mut some = request(source.as_ref(), &at(&[0]), &at(&[3]));
    some.projection = vec![6, 1];
    let batch = source.read(some).unwrap().next().await.unwrap().unwrap();
    assert_eq!(batch.rows.num_rows(), 3);
    assert_eq!(batch.rows.schema().field(0).name(), "buy");
    let mut none = request(source.as_ref(), &at(&[0]), &at(&[3]));
    none.projection = vec![];
    let batch = source.read(none).unwrap().next().await.unwrap().unwrap();
    assert_eq!(batch.rows.num_rows(), 3);

    let fewer = Arc::new(Schema::new(vec![
        Field::new("amount", DataType::Int64, true),
        Field::new("side", DataType::Utf8View, true),
    ]));
    let error = declare_with(Some(fewer), BadDataPolicy::Fail, None, &options).unwrap_err();
    assert_eq!(
        error.message(),
        "column \"side\" of source \"g\" is not in the preset \"orders\""
    );
}

#[tokio::test]
async fn broken_records_meet_the_policy() {
    for format in ["json", "csv"] {
        let options = [("rows", "5000"), ("bad.fraction", "0.1")];
        let spec = Some(FormatSpec::named(format));
        let dropping =
            declare_with(Some(columns()), BadDataPolicy::Drop, spec.clone(), &options).unwrap();
        let source = open(dropping.as_ref(), &manual_clock()).await;
        let everything = request(source.as_ref(), &at(&[0]), &at(&[5000]));
        let counters = Arc::clone(&everything.counters);
        let batches: Vec<_> = source.read(everything).unwrap().collect().await;
        let rows: usize = batches
            .iter()
            .map(|b| b.as_ref().unwrap().rows.num_rows())
            .sum();
        let bad: u64 = counters.bad().values().sum();
        assert_eq!(rows as u64 + bad, 5000, "{format}");
        assert!((400..600).contains(&bad), "{format}: {bad}");
        assert!(counters.bad().len() >= 2, "{format}: {:?}", counters.bad());

        let failing = declare_with(Some(columns()), BadDataPolicy::Fail, spec, &options).unwrap();
        let source = open(failing.as_ref(), &manual_clock()).await;
        let error = read_all(source.as_ref(), &at(&[0]), &at(&[5000])).await;
        let error = error.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData);
        assert!(
            error.message().contains("generated row"),
            "{}",
            error.message()
        );
    }
}

#[tokio::test]
async fn what_has_no_end_is_not_read_to_it() {
    let journal = Arc::<TestJournal>::default();
    let context = source_context(&manual_clock(), &journal, SourceUse::BoundedRead);
    let error = declare(&[]).unwrap().open(context).await.unwrap_err();
    assert_eq!(error.message(), "source \"g\" has no end to read to");
    let source = open(declare(&[]).unwrap().as_ref(), &manual_clock()).await;
    let start = source.initial().await.unwrap();
    let end = source.available(&start, &EpochLimits::default()).await;
    assert_eq!(end.unwrap(), at(&[100_000]));
}

#[test]
fn wrong_options_are_refused() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (
            &[("fields.n.min", "9"), ("fields.n.max", "7")],
            "option \"fields.n.max\" of source \"g\" is \"7\", not a whole number that is not below min",
        ),
        (
            &[("fields.n.max", "99999999999")],
            "column \"n\" of source \"g\" is a Int32, which cannot hold the given min and max",
        ),
        (
            &[("fields.n.values", "1,x")],
            "option \"fields.n.values\" of source \"g\" is \"1,x\", not a list of Int32 values",
        ),
        (
            &[("late.fraction", "0.5")],
            "source \"g\" has late rows without the option \"late.by\"",
        ),
        (
            &[("bad.fraction", "2")],
            "option \"bad.fraction\" of source \"g\" is \"2\", not a share from 0 to 1",
        ),
        (
            &[("rows.per.second", "0")],
            "option \"rows.per.second\" of source \"g\" is \"0\", not a number of rows above 0",
        ),
    ];
    for (options, expected) in cases {
        assert_eq!(declare(options).unwrap_err().message(), expected);
    }
    let list = DataType::List(Arc::new(Field::new("item", DataType::Int64, true)));
    let schema = Arc::new(Schema::new(vec![Field::new("l", list, true)]));
    let error = declare_with(Some(schema), BadDataPolicy::Fail, None, &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
