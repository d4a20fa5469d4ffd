//! Bad input: what no producer should send, and some do, through every format.
//!
//! `payloads` are whole records, each given to every format; `values` are single values, each in
//! columns of every type. What becomes of them is written down in `bad_input/*.txt`: a row, NULL by
//! a rule of the documentation, or bad with a reason. `UPDATE_EXPECT=1 cargo test -p
//! headwater-formats bad_input` writes these files; a difference in them is a change of behaviour.

mod payloads;
mod values;

use std::fmt::Write as _;

use expect_test::expect_file;

use super::*;

/// How long a reason may be, since counters are kept by it, and a detail, since it is shown: 200
/// characters, each of which may be escaped.
const MAX_REASON_BYTES: usize = 120;
const MAX_DETAIL_BYTES: usize = 2_100;

/// What becomes of every payload, alone and among the others; a row has one form only.
fn outcomes_of(spec: &FormatSpec, columns: &SchemaRef, payloads: &BinaryArray) -> Vec<String> {
    let decoded = decode(spec, columns, payloads);
    for bad in &decoded.bad {
        assert!(bad.reason.len() <= MAX_REASON_BYTES, "{}", bad.reason);
        assert!(bad.detail.len() <= MAX_DETAIL_BYTES, "{}", bad.detail);
    }
    let together = outcomes(&decoded);
    for (record, together) in together.iter().enumerate() {
        let alone = outcomes(&decode(spec, columns, &payloads.slice(record, 1)));
        assert_eq!(alone, [together.as_str()], "record {record} alone");
    }
    together
}

/// A long text as its beginning and its length.
fn shortened(text: &str) -> String {
    let start = match text.char_indices().nth(72) {
        Some((end, _)) => &text[..end],
        None => text,
    };
    let escaped = start.escape_debug().to_string().replace("\\\"", "\"");
    let escaped = escaped.replace("\\'", "'");
    match start.len() < text.len() {
        true => format!("{escaped}… ({} bytes)", text.len()),
        false => escaped,
    }
}

/// Bytes that are text as text, others with escapes.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => shortened(text),
        Err(_) if bytes.len() <= 72 => bytes.escape_ascii().to_string(),
        Err(_) => format!("{}… ({} bytes)", bytes[..72].escape_ascii(), bytes.len()),
    }
}

const AVRO: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"]},{"name":"s","type":["null","string"]}]}"#;
const ENVELOPE: &str = r#"{"type":"record","name":"E","fields":[{"name":"after","type":["null",{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"]},{"name":"s","type":["null","string"]}]}]},{"name":"before","type":["null","R"]},{"name":"op","type":"string"}]}"#;
const PROTOBUF: &str = r#"syntax = "proto3"; message R { optional int64 a = 1; optional string s = 2; repeated int64 l = 3; }"#;

fn two_columns() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("s", DataType::Utf8View)])
}

/// Every format, with the columns that payloads are read into.
fn formats() -> Vec<(&'static str, FormatSpec, SchemaRef)> {
    let one = |data_type| schema(&[("value", data_type)]);
    let two = two_columns();
    vec![
        ("json", spec("json", &[]), Arc::clone(&two)),
        ("csv", spec("csv", &[]), Arc::clone(&two)),
        ("avro", spec("avro", &[("schema", AVRO)]), Arc::clone(&two)),
        (
            "protobuf",
            spec("protobuf", &[("schema", PROTOBUF)]),
            Arc::clone(&two),
        ),
        ("msgpack", spec("msgpack", &[]), Arc::clone(&two)),
        ("raw", spec("raw", &[]), one(DataType::Binary)),
        ("text", spec("text", &[]), one(DataType::Utf8View)),
        ("influx", spec("influx", &[]), Arc::clone(&two)),
        ("debezium", spec("debezium-json", &[]), Arc::clone(&two)),
        (
            "dbz-avro",
            spec("debezium-avro", &[("schema", ENVELOPE)]),
            two,
        ),
    ]
}

#[test]
fn every_payload_ends_in_a_row_or_a_reason() {
    let payloads = payloads::payloads();
    let array: BinaryArray = payloads.iter().map(|(_, bytes)| bytes.as_deref()).collect();
    let formats = formats();
    let columns: Vec<_> = formats
        .iter()
        .map(|(_, spec, columns)| outcomes_of(spec, columns, &array))
        .collect();
    let mut text = String::new();
    for (record, (name, bytes)) in payloads.iter().enumerate() {
        let bytes = bytes
            .as_deref()
            .map_or_else(|| "no value".to_string(), shown);
        let _ = writeln!(text, "{name}: {bytes}");
        for ((format, _, _), outcomes) in formats.iter().zip(&columns) {
            let _ = writeln!(text, "    {format:9} {}", shortened(&outcomes[record]));
        }
    }
    expect_file!["bad_input/payloads.txt"].assert_eq(&text);
}
