//! Columns of payloads in a query: every type of text and bytes, bad payloads as NULL, and columns
//! made of an Avro schema.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, DictionaryArray, Int32Array, StringArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type};
use headwater_core::format::FormatSpec;
use headwater_core::options::Options;

use crate::{JsonWriter, PayloadReader, as_payloads, columns_of_schema, holds_payloads};

fn ints() -> PayloadReader {
    let columns = Fields::from(vec![Field::new("a", DataType::Int32, true)]);
    PayloadReader::of_structs(&FormatSpec::named("json"), "from_json()", &columns).unwrap()
}

fn text(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringArray::from(values))
}

#[test]
fn text_and_bytes_of_every_type_are_payloads() {
    let payloads = text(vec![Some("{\"a\": 1}"), None, Some("{\"a\""), Some("{}")]);
    let payloads = payloads.slice(1, 3);
    let types = [
        DataType::Utf8,
        DataType::LargeUtf8,
        DataType::Utf8View,
        DataType::Binary,
        DataType::LargeBinary,
        DataType::BinaryView,
        DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    ];
    for data_type in types {
        assert!(holds_payloads(&data_type), "{data_type}");
        let column = cast(&payloads, &data_type).unwrap();
        let found = ints().read(&column).unwrap();
        assert_eq!(found.len(), 3, "{data_type}");
        let valid: Vec<bool> = (0..3).map(|row| found.is_valid(row)).collect();
        assert_eq!(valid, [false, false, true], "{data_type}");
    }
    let keys = Int32Array::from(vec![Some(0), None]);
    let values: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let dictionary: ArrayRef = Arc::new(DictionaryArray::new(keys, values));
    let payloads = as_payloads(&dictionary).unwrap();
    assert_eq!(
        payloads,
        BinaryArray::from(vec![Some(b"x".as_slice()), None])
    );
}

#[test]
fn a_bad_payload_is_null_where_it_stands() {
    let payloads = text(vec![
        Some("{\"a\": 1}"),
        Some("no JSON"),
        Some("{\"a\": 3}"),
        Some("{\"a\": \"4\"}"),
    ]);
    let found = ints().read(&payloads).unwrap();
    let found = found.as_struct();
    let column = found.column(0).as_primitive::<Int32Type>();
    // The fields of a NULL are NULL too, for who looks at them alone.
    assert_eq!(
        column,
        &Int32Array::from(vec![Some(1), None, Some(3), None])
    );
    assert_eq!(found.null_count(), 2);
}

#[test]
fn no_payloads_give_no_rows() {
    assert_eq!(ints().read(&text(vec![])).unwrap().len(), 0);
}

#[test]
fn a_json_value_may_be_a_list() {
    let element = Field::new_list_field(DataType::Int64, true);
    let list = DataType::List(Arc::new(element));
    let mut reader = PayloadReader::of_json_values(&Options::new(), "from_json()", &list).unwrap();
    let payloads = text(vec![
        Some(" [1, 2] "),
        Some("[1] 2"),
        Some("null"),
        Some("[]"),
    ]);
    let found = reader.read(&payloads).unwrap();
    let found = found.as_list::<i32>();
    assert_eq!(found.value(0).as_primitive::<Int64Type>().values(), &[1, 2]);
    assert!(found.is_null(1) && found.is_null(2));
    assert!(found.is_valid(3) && found.value(3).is_empty());
}

#[test]
fn json_of_values_is_null_for_null() {
    let writer = JsonWriter::try_new(&Options::new(), "to_json()", &DataType::Utf8).unwrap();
    let found = writer.write(&text(vec![Some("a\"b"), None])).unwrap();
    let found = found.as_string_view();
    assert_eq!(found.value(0), "\"a\\\"b\"");
    assert!(found.is_null(1));
    let null = JsonWriter::try_new(&Options::new(), "to_json()", &DataType::Null).unwrap();
    let nulls = arrow::array::new_null_array(&DataType::Null, 2);
    assert_eq!(null.write(&nulls).unwrap().null_count(), 2);
}

/// A schema of one field of every type.
fn avro_schema() -> String {
    let types = [
        "\"boolean\"",
        "\"int\"",
        "\"long\"",
        "\"float\"",
        "\"double\"",
        "\"string\"",
        "\"bytes\"",
        r#"["null", "long"]"#,
        r#"{"type": "fixed", "name": "f", "size": 3}"#,
        r#"{"type": "enum", "name": "e", "symbols": ["x"]}"#,
        r#"{"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}"#,
        r#"{"type": "int", "logicalType": "date"}"#,
        r#"{"type": "int", "logicalType": "time-millis"}"#,
        r#"{"type": "long", "logicalType": "time-micros"}"#,
        r#"{"type": "long", "logicalType": "timestamp-millis"}"#,
        r#"{"type": "long", "logicalType": "timestamp-micros"}"#,
        r#"{"type": "long", "logicalType": "timestamp-nanos"}"#,
        r#"{"type": "string", "logicalType": "uuid"}"#,
        r#"{"type": "fixed", "name": "u", "size": 16, "logicalType": "uuid"}"#,
        r#"{"type": "array", "items": ["null", "int"]}"#,
        r#"{"type": "map", "values": "string"}"#,
        r#"{"type": "record", "name": "inner", "fields": [{"name": "x", "type": "e"}]}"#,
        r#""inner""#,
    ];
    let fields = types.iter().enumerate();
    let fields =
        fields.map(|(at, data_type)| format!(r#"{{"name": "c{at}", "type": {data_type}}}"#));
    let fields: Vec<String> = fields.collect();
    record(&fields.join(", "))
}

fn record(fields: &str) -> String {
    format!(r#"{{"type": "record", "name": "r", "fields": [{fields}]}}"#)
}

#[test]
fn every_column_of_a_schema_can_be_filled() {
    let schema = avro_schema();
    let columns = columns_of_schema(&schema, "from_avro()").unwrap();
    assert_eq!(columns.len(), 23);
    let spec = FormatSpec {
        options: Options::from_iter([("schema", schema.as_str())]),
        ..FormatSpec::named("avro")
    };
    PayloadReader::of_structs(&spec, "from_avro()", &columns).unwrap();
}

#[test]
fn a_schema_without_columns_is_refused() {
    let doubled = (1..40).map(|level| {
        let below = level - 1;
        format!(
            r#"{{"name": "n{level}", "type": {{"type": "record", "name": "r{level}", "fields": [
               {{"name": "a", "type": "r{below}"}}, {{"name": "b", "type": "r{below}"}}]}}}}"#
        )
    });
    let first = r#"{"name": "n0", "type": {"type": "record", "name": "r0", "fields": [
        {"name": "x", "type": "int"}]}}"#;
    let doubled: Vec<String> = std::iter::once(first.to_string()).chain(doubled).collect();
    let cases = [
        (
            "a INT".to_string(),
            "the schema of from_avro() is no Avro schema",
        ),
        (
            "\"int\"".to_string(),
            "the schema of from_avro() is an int, not a record",
        ),
        (
            record(r#"{"name": "a", "type": {"type": "array", "items": ["int", "string"]}}"#),
            "field \"a\" of the schema of from_avro() is a union of int and string, for which \
             there is no SQL type",
        ),
        (
            record(r#"{"name": "a", "type": "null"}"#),
            "field \"a\" of the schema of from_avro() is a null, for which there is no SQL type",
        ),
        (
            record(r#"{"name": "a", "type": {"type": "map", "values": "r"}}"#),
            "field \"a\" of the schema of from_avro() is a record that holds itself, for which \
             there is no SQL type",
        ),
    ];
    for (schema, message) in cases {
        let error = columns_of_schema(&schema, "from_avro()").unwrap_err();
        assert_eq!(error.message(), message);
    }
    let error = columns_of_schema(&record(&doubled.join(", ")), "from_avro()").unwrap_err();
    assert!(
        error.message().contains("one of more than 10000 fields"),
        "{error}"
    );
}
