//! The policies for bad records, and metadata columns beside the payload.

use arrow::array::{ArrayRef, Int64Array};
use headwater_core::format::BadDataPolicy;
use headwater_core::offset::Partition;
use headwater_core::records::BatchRecords;
use headwater_core::source::{ReadCounters, SourceBatch};
use headwater_core::{ErrorKind, Result};

use super::*;
use crate::{RowAssembler, RowDefinition};

/// Payload columns `a`, `b`; metadata columns `offset`, `partition`.
fn definition(bad_data: BadDataPolicy, projection: &[usize]) -> RowDefinition {
    let metadata = ["offset", "partition"];
    RowDefinition {
        keys: None,
        payload: schema(&[("a", DataType::Int64), ("b", DataType::Utf8View)]),
        metadata: metadata
            .map(|name| Arc::new(Field::new(name, DataType::Int64, false)))
            .to_vec(),
        projection: projection.to_vec(),
        format: spec("json", &[]),
        bad_data,
    }
}

fn assemble(
    bad_data: BadDataPolicy,
    projection: &[usize],
    payloads: &BinaryArray,
    counters: &ReadCounters,
) -> Result<RecordBatch> {
    Ok(assemble_batch(bad_data, projection, payloads, counters)?.rows)
}

fn assemble_batch(
    bad_data: BadDataPolicy,
    projection: &[usize],
    payloads: &BinaryArray,
    counters: &ReadCounters,
) -> Result<SourceBatch> {
    let mut assembler = RowAssembler::try_new(&definition(bad_data, projection), OWNER)?;
    let metadata = |column: usize| -> Result<ArrayRef> {
        let start = if column == 0 { 1042 } else { 3 };
        let step = if column == 0 { 1 } else { 0 };
        let values = (0..payloads.len()).map(|i| start + step * i64::try_from(i).unwrap());
        Ok(Arc::new(Int64Array::from_iter_values(values)))
    };
    let assembled = assembler.assemble(payloads, None, &metadata, &locate, counters)?;
    assert_eq!(assembled.rows.schema(), assembler.schema());
    let records = BatchRecords::named_by(locate);
    Ok(assembled.into_batch(Partition::new("orders", 3), records))
}

fn locate(record: usize) -> String {
    format!(
        "partition 3 of topic \"orders\" at offset {}",
        1042 + record
    )
}

#[test]
fn rows_know_their_places_and_which_of_them_stand_for_bad_records() {
    let counters = ReadCounters::default();
    let dropped = assemble_batch(BadDataPolicy::Drop, &[0], &mixed(), &counters).unwrap();
    assert!(dropped.bad_rows.is_empty());
    let places: Vec<String> = (0..2).map(|row| dropped.place_of(row)).collect();
    assert_eq!(places, [locate(0), locate(4)]);

    let nulls = assemble_batch(BadDataPolicy::Null, &[0], &mixed(), &counters).unwrap();
    assert_eq!(nulls.bad_rows, [1, 2, 3]);
    assert_eq!(nulls.place_of(3), locate(3));
}

#[test]
fn records_for_dead_letters_are_left_out_and_told() {
    let counters = ReadCounters::default();
    let batch = assemble_batch(BadDataPolicy::DeadLetter, &[0], &mixed(), &counters).unwrap();
    assert_eq!(batch.rows.num_rows(), 2);
    let left_out: Vec<usize> = batch.left_out.iter().map(|bad| bad.record).collect();
    assert_eq!(left_out, [1, 2, 3]);
    let samples = counters.samples();
    let told: Vec<&str> = samples.iter().map(|sample| sample.place.as_str()).collect();
    assert_eq!(told, [locate(1), locate(2), locate(3)]);
    let reasons: Vec<&str> = batch.left_out.iter().map(|b| b.reason.as_str()).collect();
    let sampled: Vec<&str> = samples.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(reasons, sampled);
}

fn mixed() -> BinaryArray {
    records(&[
        "{\"a\":1,\"b\":\"x\"}",
        "{\"a\":\"wrong\u{7f}\"}",
        "{\"a\":",
        "{\"a\":\"wrong\"}",
        "{\"a\":5,\"b\":\"y\"}",
    ])
}

#[test]
fn fail_names_the_record_what_was_found_and_the_option() {
    let payloads = records(&["{\"a\":1}", "{\"a\":\"wrong\"}", "{"]);
    let counters = ReadCounters::default();
    let error = assemble(BadDataPolicy::Fail, &[0], &payloads, &counters).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert_eq!(
        error.message(),
        "could not decode partition 3 of topic \"orders\" at offset 1043 for source \"orders\": \
         column \"a\" is not a BIGINT"
    );
    assert_eq!(error.detail(), Some("Found: \"wrong\""));
    assert_eq!(
        error.hint(),
        Some(
            "Set bad_data = 'drop' on source \"orders\" to leave such records out, 'dead_letter' to \
             write them to a sink of their own, or 'null' to keep them with NULL in the payload \
             columns."
        )
    );
}

/// The hint and what was found, for one payload of one column that is bad.
fn failed(format: FormatSpec, column: DataType, payload: &[u8]) -> (String, String) {
    let definition = RowDefinition {
        payload: schema(&[("ts", column)]),
        metadata: vec![],
        format,
        ..definition(BadDataPolicy::Fail, &[0])
    };
    let mut assembler = RowAssembler::try_new(&definition, OWNER).unwrap();
    let none = |_: usize| -> Result<ArrayRef> { unreachable!("no metadata is wanted") };
    let counters = ReadCounters::default();
    let payloads = records(&[payload]);
    let assembled = assembler.assemble(&payloads, None, &none, &locate, &counters);
    let error = assembled.unwrap_err();
    let text = |part: Option<&str>| part.unwrap_or_default().to_string();
    (text(error.hint()), text(error.detail()))
}

#[test]
fn a_number_for_a_timestamp_is_told_the_unit() {
    let with_unit = |unit: &str| {
        format!("(timestamp.unit = '{unit}'); the unit is 's', 'ms', 'us' or 'ns'. Set bad_data")
    };
    let cases: [(&str, &[u8], &str, &str); 4] = [
        ("json", b"{\"ts\":1767225600000}", "JSON", "ms"),
        ("json", b"{\"ts\":1767225600.5}", "JSON", "s"),
        ("json", b"{\"ts\":1767225600000000000}", "JSON", "ns"),
        ("csv", b"1767225600000000", "CSV", "us"),
    ];
    for (format, payload, named, unit) in cases {
        let (hint, _) = failed(spec(format, &[]), micros(), payload);
        let expected = format!("Numbers are times with FORMAT {named} {}", with_unit(unit));
        assert!(hint.starts_with(&expected), "{format}: {hint}");
    }
    let (hint, _) = failed(spec("json", &[]), micros(), b"{\"ts\":\"1767225600000\"}");
    assert!(hint.starts_with("Set bad_data"), "{hint}");
    let with_unit = spec("json", &[("timestamp.unit", "s")]);
    let (hint, _) = failed(with_unit, micros(), b"{\"ts\":1767225600000}");
    assert!(hint.starts_with("Set bad_data"), "{hint}");
    let (hint, _) = failed(spec("json", &[]), DataType::Boolean, b"{\"ts\":1}");
    assert!(hint.starts_with("Set bad_data"), "{hint}");
}

#[test]
fn the_id_of_a_schema_that_nobody_reads_is_seen() {
    let avro = r#"{"type": "record", "name": "R", "fields": [{"name": "ts", "type": "long"}]}"#;
    let protobuf = "syntax = \"proto3\"; message R { int64 ts = 1; }";
    for (format, definition) in [("avro", avro), ("protobuf", protobuf)] {
        let spec = spec(format, &[("schema", definition)]);
        let framed = b"\x00\x00\x00\x00\x2a\x02";
        let (hint, _) = failed(spec.clone(), DataType::Int64, framed);
        let expected = format!(
            "The record begins with a zero byte and the number 42, which looks like the id of a \
             schema in a registry: set FORMAT {} (schema.registry = 'http://…:8081'). Set bad_data",
            format.to_uppercase()
        );
        assert!(hint.starts_with(&expected), "{hint}");
        for other in [b"\x00\x01".as_slice(), b"\x07\x00\x00\x00\x2a\x02"] {
            let (hint, _) = failed(spec.clone(), DataType::Int64, other);
            assert!(hint.starts_with("Set bad_data"), "{other:?}: {hint}");
        }
    }
}

#[test]
fn the_fields_of_a_csv_line_are_counted() {
    let (_, found) = failed(spec("csv", &[]), DataType::Int64, b"1,2,3");
    assert_eq!(found, "Found: 3 fields for 1 declared columns in 1,2,3");
}

#[test]
fn drop_leaves_bad_records_out_of_every_column() {
    let counters = ReadCounters::default();
    let batch = assemble(BadDataPolicy::Drop, &[2, 1, 0, 3, 2], &mixed(), &counters).unwrap();
    assert_eq!(rows_as_text(&batch), ["1042|x|1|3|1042", "1046|y|5|3|1046"]);
    assert_eq!(counters.records(), 5);
    assert_eq!(
        counters.bytes(),
        u64::try_from(mixed().value_data().len()).unwrap()
    );
    let bad: Vec<_> = counters.bad().into_iter().collect();
    let expected = [("column \"a\" is not a BIGINT", 2), ("not JSON", 1)];
    assert_eq!(
        bad,
        expected.map(|(reason, count)| (reason.to_string(), count))
    );
}

#[test]
fn null_keeps_bad_records_without_payload() {
    let counters = ReadCounters::default();
    let batch = assemble(BadDataPolicy::Null, &[0, 1, 2], &mixed(), &counters).unwrap();
    let expected = ["1|x|1042", "∅|∅|1043", "∅|∅|1044", "∅|∅|1045", "5|y|1046"];
    assert_eq!(rows_as_text(&batch), expected);
    assert_eq!(counters.bad().values().sum::<u64>(), 3);
}

#[test]
fn without_columns_the_rows_are_counted() {
    let cases = [(BadDataPolicy::Drop, 4, 1), (BadDataPolicy::Null, 5, 0)];
    for (policy, rows, bad) in cases {
        let counters = ReadCounters::default();
        let batch = assemble(policy, &[], &mixed(), &counters).unwrap();
        assert_eq!(batch.num_rows(), rows, "{policy:?}");
        assert_eq!(counters.bad().values().sum::<u64>(), bad, "{policy:?}");
        let batch = assemble(policy, &[2], &mixed(), &counters).unwrap();
        assert_eq!(batch.num_rows(), rows, "{policy:?}");
    }
    let counters = ReadCounters::default();
    let error = assemble(BadDataPolicy::Fail, &[], &mixed(), &counters).unwrap_err();
    assert!(error.message().contains("at offset 1044"), "{error}");
}

#[test]
fn no_records_give_no_rows() {
    let none = records::<&str>(&[]);
    for policy in [
        BadDataPolicy::Fail,
        BadDataPolicy::Drop,
        BadDataPolicy::Null,
    ] {
        let batch = assemble(policy, &[0, 2], &none, &ReadCounters::default()).unwrap();
        assert_eq!(batch.num_rows(), 0);
    }
}

#[test]
fn null_needs_nullable_columns() {
    let mut definition = definition(BadDataPolicy::Null, &[0]);
    let field = Field::new("a", DataType::Int64, false);
    definition.payload = Arc::new(Schema::new(vec![field]));
    let error = RowAssembler::try_new(&definition, OWNER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.message(),
        "option \"bad_data\" of source \"orders\" is \"null\", but column \"a\" is NOT NULL"
    );
}

#[test]
fn a_projection_out_of_range_is_a_bug() {
    let error = RowAssembler::try_new(&definition(BadDataPolicy::Fail, &[4]), OWNER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
}
