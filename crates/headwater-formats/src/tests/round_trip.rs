//! What an encoder writes, its decoder reads.

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray,
};
use headwater_core::ErrorKind;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::new_encoder;

fn texts(payloads: &BinaryArray) -> Vec<&str> {
    let texts = payloads.iter().flatten();
    texts
        .map(|bytes| std::str::from_utf8(bytes).unwrap())
        .collect()
}

/// Decodes JSON, encodes the rows and compares the text.
fn check_encoded(spec: &FormatSpec, schema: &SchemaRef, cases: &[(&str, &str)]) {
    let json = super::spec("json", &[]);
    let inputs: Vec<_> = cases.iter().map(|(input, _)| *input).collect();
    let decoded = decode(&json, schema, &records(&inputs));
    assert_eq!(decoded.bad, []);
    let mut encoder = new_encoder(spec, OWNER, schema).unwrap();
    let encoded = encoder.encode(&decoded.rows).unwrap();
    let expected: Vec<_> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(texts(&encoded), expected);
    let again = decode(spec, schema, &encoded);
    assert_eq!(again.rows, decoded.rows);
}

#[test]
fn json_writes_every_type() {
    let key = Field::new("key", DataType::Utf8View, false);
    let value = Field::new("value", DataType::Int64, true);
    let entries = Field::new_struct("entries", vec![key, value], false);
    let inner = vec![Field::new("x", micros(), true)];
    let schema = schema(&[
        ("b", DataType::Boolean),
        ("d", DataType::Float64),
        ("n", DataType::Decimal128(10, 2)),
        ("s", DataType::Utf8View),
        ("day", DataType::Date32),
        (
            "t",
            DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        ),
        ("bytes", DataType::BinaryView),
        ("st", DataType::Struct(inner.into())),
        ("l", DataType::new_list(DataType::Utf8View, true)),
        ("m", DataType::Map(Arc::new(entries), false)),
    ]);
    let full = r#"{"b":true,"d":1.5,"n":12.30,"s":"a\"\n\u001bé","day":"2026-01-01","t":"2026-01-01T00:00:00.000000001Z","bytes":"00ff","st":{"x":"2026-01-01T00:00:00Z"},"l":["a",null],"m":{"k":1,"é":null}}"#;
    let empty = r#"{"b":null,"d":null,"n":null,"s":null,"day":null,"t":null,"bytes":null,"st":null,"l":null,"m":null}"#;
    check_encoded(&spec("json", &[]), &schema, &[(full, full), ("{}", empty)]);
}

#[test]
fn timestamps_are_written_as_the_options_say() {
    let schema = schema(&[("t", micros())]);
    let cases = [
        (vec![], r#"{"t":"2026-01-01T00:00:00.250Z"}"#),
        (vec![("timestamp.unit", "ms")], r#"{"t":1767225600250}"#),
        (
            vec![("timestamp.format", "%d.%m.%Y \"%H:%M:%S%.3f\"")],
            r#"{"t":"01.01.2026 \"00:00:00.250\""}"#,
        ),
    ];
    for (options, expected) in cases {
        let input = r#"{"t":"2026-01-01T00:00:00.25Z"}"#;
        check_encoded(&spec("json", &options), &schema, &[(input, expected)]);
    }
}

#[test]
fn what_is_no_number_becomes_null() {
    let schema = schema(&[("d", DataType::Float64)]);
    let values = Float64Array::from(vec![f64::NAN, f64::INFINITY, -0.0]);
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(values)]).unwrap();
    let mut encoder = new_encoder(&spec("json", &[]), OWNER, &schema).unwrap();
    let encoded = encoder.encode(&rows).unwrap();
    assert_eq!(
        texts(&encoded),
        [r#"{"d":null}"#, r#"{"d":null}"#, r#"{"d":-0.0}"#]
    );
    let mut encoder = new_encoder(&spec("csv", &[]), OWNER, &schema).unwrap();
    let encoded = encoder.encode(&rows).unwrap();
    let decoded = decode(&spec("csv", &[]), &schema, &encoded);
    assert_eq!(rows_as_text(&decoded.rows), ["NaN", "inf", "-0.0"]);
}

#[test]
fn csv_quotes_what_needs_it() {
    let schema = schema(&[
        ("i", DataType::Int64),
        ("s", DataType::Utf8View),
        ("t", micros()),
    ]);
    let cases = [
        (
            r#"{"i":1,"s":"a","t":"2026-01-01"}"#,
            "1,a,2026-01-01T00:00:00Z",
        ),
        (r#"{"s":"a,\"b\"\n"}"#, ",\"a,\"\"b\"\"\n\","),
        (r#"{"s":" a"}"#, ",\" a\","),
        (r#"{"s":""}"#, ",\"\","),
    ];
    check_encoded(&spec("csv", &[]), &schema, &cases);
    let null = spec("csv", &[("null.value", "-"), ("delimiter", ";")]);
    check_encoded(
        &null,
        &schema,
        &[("{}", "-;-;-"), (r#"{"s":"-"}"#, "-;\"-\";-")],
    );
}

/// Without the option a VARCHAR that is nothing is read as an empty one, quoted or not.
#[test]
fn csv_tells_null_from_empty_texts_if_nothing_is_null() {
    let schema = schema(&[("i", DataType::Int64), ("s", DataType::Utf8View)]);
    let cases = [("{}", ","), (r#"{"s":""}"#, ",\"\"")];
    check_encoded(&spec("csv", &[("null.value", "")]), &schema, &cases);
}

#[test]
fn what_a_format_cannot_hold_is_refused() {
    let list = schema(&[("l", DataType::new_list(DataType::Int64, true))]);
    for format in ["csv", "raw", "text"] {
        let error = new_encoder(&spec(format, &[]), OWNER, &list).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{format}");
    }
    let variant = Arc::new(Field::new("x", DataType::Int64, true));
    let variants = std::iter::once((0, variant)).collect();
    let union = DataType::Union(variants, arrow::datatypes::UnionMode::Sparse);
    assert!(new_encoder(&spec("json", &[]), OWNER, &schema(&[("u", union)])).is_err());
}

#[test]
fn rows_without_columns_are_empty_objects() {
    let schema = schema(&[]);
    let rows = crate::row_collector::record_batch(Arc::clone(&schema), vec![], 2).unwrap();
    let mut encoder = new_encoder(&spec("json", &[]), OWNER, &schema).unwrap();
    assert_eq!(texts(&encoder.encode(&rows).unwrap()), ["{}", "{}"]);
}

proptest! {
    #[test]
    fn any_rows_come_back(
        rows in vec((any::<Option<i64>>(), any::<f64>(), any::<String>(), -62_167_219_200_000_000..253_402_300_800_000_000_i64), 0..16),
    ) {
        let schema = schema(&[
            ("i", DataType::Int64),
            ("d", DataType::Float64),
            ("s", DataType::Utf8View),
            ("t", micros()),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|r| r.0).collect::<Int64Array>()),
            Arc::new(rows.iter().map(|r| Some(r.1)).collect::<Float64Array>()),
            Arc::new(rows.iter().map(|r| Some(r.2.as_str())).collect::<StringViewArray>()),
            Arc::new(rows.iter().map(|r| Some(r.3)).collect::<TimestampMicrosecondArray>()),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
        for spec in [
            spec("json", &[]),
            spec("csv", &[]),
            spec("csv", &[("quote", "'"), ("delimiter", "a"), ("escape", "\\"), ("null.value", "b")]),
        ] {
            let mut encoder = new_encoder(&spec, OWNER, &schema).unwrap();
            let encoded = encoder.encode(&batch).unwrap();
            prop_assert_eq!(encoded.len(), batch.num_rows());
            let decoded = decode(&spec, &schema, &encoded);
            prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
            prop_assert_eq!(&decoded.rows, &batch);
        }
    }
}
