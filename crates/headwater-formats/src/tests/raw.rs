//! RAW and TEXT, and the registry of formats.

use headwater_core::ErrorKind;

use super::*;
use crate::{check_format, new_encoder};

#[test]
fn payloads_are_taken_as_they_are() {
    let payloads: BinaryArray = [
        Some(&b"plain"[..]),
        Some(b""),
        None,
        Some(b"\xff\x00"),
        Some("longer than twelve bytes é".as_bytes()),
    ]
    .into_iter()
    .collect();
    let text = [
        "plain",
        "",
        "∅",
        "bad: not UTF-8",
        "longer than twelve bytes é",
    ];
    for data_type in [DataType::Utf8, DataType::Utf8View] {
        let schema = schema(&[("value", data_type)]);
        for format in ["raw", "text"] {
            assert_eq!(
                outcomes(&decode(&spec(format, &[]), &schema, &payloads)),
                text
            );
        }
    }
    for data_type in [DataType::Binary, DataType::BinaryView] {
        let schema = schema(&[("value", data_type)]);
        let decoded = decode(&spec("raw", &[]), &schema, &payloads);
        assert_eq!(
            outcomes(&decoded).get(..4).unwrap(),
            ["706c61696e", "", "∅", "ff00"]
        );
        let mut encoder = new_encoder(&spec("raw", &[]), OWNER, &schema).unwrap();
        assert_eq!(encoder.encode(&decoded.rows).unwrap(), payloads);
    }
}

#[test]
fn without_columns_text_is_still_judged() {
    let schema = schema(&[("value", DataType::Utf8View)]);
    let mut decoder = new_decoder(&spec("text", &[]), OWNER, &schema, &[]).unwrap();
    let decoded = decoder.decode(&records(&[&b"a"[..], b"\xff"])).unwrap();
    assert_eq!(outcomes(&decoded), ["", "bad: not UTF-8"]);
}

#[test]
fn a_slice_of_payloads_is_decoded_as_such() {
    let payloads = records(&["a", "b", "c"]).slice(1, 2);
    for format in ["raw", "text", "csv"] {
        let schema = schema(&[("value", DataType::Utf8View)]);
        assert_eq!(
            outcomes(&decode(&spec(format, &[]), &schema, &payloads)),
            ["b", "c"]
        );
    }
}

#[test]
fn a_slice_beside_what_is_no_text_is_text() {
    let payloads = [Some(&b"\xff"[..]), Some(b"a"), None, Some(b"\xc3")];
    let payloads = payloads.into_iter().collect::<BinaryArray>().slice(1, 2);
    for data_type in [DataType::Utf8, DataType::Utf8View] {
        let schema = schema(&[("value", data_type)]);
        for format in ["raw", "text"] {
            let decoded = decode(&spec(format, &[]), &schema, &payloads);
            assert_eq!(outcomes(&decoded), ["a", "∅"]);
        }
    }
}

#[test]
fn formats_are_known_by_name() {
    let one = schema(&[("value", DataType::Utf8View)]);
    let two = schema(&[("a", DataType::Utf8View), ("b", DataType::Utf8View)]);
    let refused =
        |name: &str, schema: &SchemaRef| check_format(&spec(name, &[]), OWNER, schema).unwrap_err();
    let error = refused("jsn", &one);
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.message(),
        "source \"orders\" names an unknown format \"jsn\""
    );
    assert_eq!(
        error.hint(),
        Some(
            "Did you mean \"json\"? The formats are json, csv, avro, protobuf, msgpack, raw, text, influx, \
             debezium-json, debezium-avro."
        )
    );
    assert_eq!(
        refused("raw", &two).message(),
        "format \"raw\" of source \"orders\" needs one BYTEA or VARCHAR column, not 2 columns"
    );
    let bytes = schema(&[("value", DataType::BinaryView)]);
    assert!(check_format(&spec("raw", &[]), OWNER, &bytes).is_ok());
    assert!(check_format(&spec("text", &[]), OWNER, &bytes).is_err());
    assert!(check_format(&spec("JSON", &[]), OWNER, &two).is_ok());
}
