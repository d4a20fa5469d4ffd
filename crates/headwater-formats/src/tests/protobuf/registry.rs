//! Protobuf with a schema registry: frames, other schemas, and what a sink registers.

use arrow::array::{ArrayRef, Int64Array, StringViewArray};
use serde_json::json;

use super::*;
use crate::{DevRegistry, SinkFormat};

fn with_registry(registry: &DevRegistry, options: &[(&str, &str)]) -> FormatSpec {
    let mut spec = spec("protobuf", options);
    spec.options.set("schema.registry", registry.url());
    spec
}

fn register(registry: &DevRegistry, subject: &str, messages: &str) -> u32 {
    let schema = format!("syntax = \"proto3\"; {messages}");
    registry.register_body(subject, json!({"schema": schema, "schemaType": "PROTOBUF"}))
}

fn framed(id: u32, rest: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), rest].concat()
}

#[test]
fn records_of_several_schemas_are_read_side_by_side() {
    let registry = DevRegistry::start().unwrap();
    let first = register(&registry, "s", "message R { int32 a = 1; }");
    // The field has another number and another type.
    let second = register(
        &registry,
        "s",
        "message Other { string new = 1; } message R { message In { string new = 2; }
         string new = 1; sint64 A = 7; }",
    );
    let wrong = register(&registry, "s", "message R { string a = 1; }");
    let avro = registry.register("avro", "\"long\"");
    let strange = register(&registry, "s", "message {");
    let columns = schema(&[("a", DataType::Int64), ("new", DataType::Utf8View)]);
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (framed(first, &[0, 8, 1]), "1|∅"),
        (framed(first, &[2, 0, 8, 2]), "2|∅"),
        (framed(second, &[2, 2, 0x38, 5, 0x0a, 1, b'x']), "-3|x"),
        (framed(second, &[0, 0x0a, 1, b'x']), "∅|x"),
        (framed(second, &[4, 2, 0, 0x12, 1, b'y']), "∅|y"),
        (framed(second, &[2, 4]), "bad: unknown message index"),
        (framed(second, &[4, 2, 2]), "bad: unknown message index"),
        (framed(second, &[4, 2]), "bad: no message index"),
        (framed(first, &[]), "bad: no message index"),
        (
            framed(wrong, &[0, 0x0a, 0]),
            "bad: column \"a\" is not a BIGINT",
        ),
        (framed(77, &[0]), "bad: unknown schema id"),
        (framed(avro, &[0]), "bad: schema is not of Protobuf"),
        (framed(strange, &[0]), "bad: schema is not of Protobuf"),
        (vec![], "bad: empty value"),
        (vec![0, 0, 0], "bad: no schema id"),
        (b"{\"a\":1}".to_vec(), "bad: no schema id"),
        (framed(first, &[0, 8]), "bad: Protobuf data ends too early"),
        (framed(first, &[0]), "0|∅"),
    ];
    let payloads: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    let spec = with_registry(&registry, &[]);
    let found = try_decode_framed(&spec, &columns, &records(&payloads)).unwrap();
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found, expected);
    // One of the messages alone.
    let spec = with_registry(&registry, &[("message", "R")]);
    let found = try_decode_framed(&spec, &columns, &records(&payloads[2..4])).unwrap();
    assert_eq!(found, ["-3|x", "bad: another Protobuf message"]);
}

#[test]
fn schemas_may_refer_to_others() {
    let registry = DevRegistry::start().unwrap();
    register(
        &registry,
        "money",
        "package shop; message Money { int64 cents = 1; }",
    );
    let text = "syntax = \"proto3\"; import \"shop/money.proto\"; import \
                \"google/protobuf/timestamp.proto\"; message R { shop.Money a = 1; \
                google.protobuf.Timestamp t = 2; }";
    let body = |name: &str, subject: &str| {
        json!({"schema": text, "schemaType": "PROTOBUF", "references":
            [{"name": name, "subject": subject, "version": 1}]})
    };
    let good = registry.register_body("s", body("shop/money.proto", "money"));
    let misnamed = registry.register_body("s", body("money.proto", "money"));
    let missing = registry.register_body("s", body("shop/money.proto", "none"));
    let money = DataType::Struct(vec![Field::new("cents", DataType::Int64, true)].into());
    let columns = schema(&[("a", money), ("t", micros())]);
    let record = [0, 0x0a, 2, 8, 4, 0x12, 2, 8, 1];
    let payloads = records(&[good, misnamed, missing].map(|id| framed(id, &record)));
    let found = try_decode_framed(&with_registry(&registry, &[]), &columns, &payloads).unwrap();
    assert_eq!(
        found,
        [
            "{cents: 4}|1970-01-01T00:00:01",
            "bad: schema is not of Protobuf",
            "bad: schema is not of Protobuf"
        ]
    );
}

#[test]
fn a_sink_registers_its_schema_and_writes_its_id() {
    let registry = DevRegistry::start().unwrap();
    let columns = schema(&[
        ("a", DataType::Int64),
        ("s", DataType::Utf8View),
        ("t", micros()),
    ]);
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![Some(0), None])),
        Arc::new(StringViewArray::from(vec![None, Some("x")])),
        Arc::new(arrow::array::TimestampMicrosecondArray::from(vec![
            Some(-1),
            None,
        ])),
    ];
    let rows = RecordBatch::try_new(SchemaRef::clone(&columns), arrays).unwrap();
    let write = |options: &[(&str, &str)]| {
        let spec = with_registry(&registry, options);
        new_encoder(&spec, OWNER, &columns).unwrap();
        let format = on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "t-value")).unwrap();
        format.encoder().unwrap().encode(&rows).unwrap()
    };
    let written = write(&[]);
    assert_eq!(
        registry.latest("t-value").unwrap(),
        "syntax = \"proto3\";\nimport \"google/protobuf/timestamp.proto\";\nmessage Row {\n  \
         optional int64 a = 1;\n  optional string s = 2;\n  optional google.protobuf.Timestamp t = \
         3;\n}\n"
    );
    assert_eq!(written.value(0)[..8], [0, 0, 0, 0, 1, 0, 8, 0]);
    let read = |payloads: &BinaryArray| {
        try_decode_framed(&with_registry(&registry, &[]), &columns, payloads).unwrap()
    };
    let expected = ["0|∅|1969-12-31T23:59:59.999999", "∅|x|∅"];
    assert_eq!(read(&written), expected);
    // A message of the user's, which is the second one of its file.
    let text = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message No {} \
                message R { optional int64 a = 4; optional string s = 5; \
                google.protobuf.Timestamp t = 6; }";
    let written = write(&[("schema", text), ("message", "R"), ("subject", "mine")]);
    assert_eq!(registry.latest("mine").unwrap(), text);
    assert_eq!(written.value(0)[..9], [0, 0, 0, 0, 2, 2, 2, 0x20, 0]);
    assert_eq!(read(&written), expected);
    // A name for the message that is made.
    write(&[("message", "shop.Order"), ("subject", "named")]);
    let named = registry.latest("named").unwrap();
    assert!(
        named.contains("package shop;") && named.contains("message Order {"),
        "{named}"
    );
}

#[test]
fn what_a_registry_cannot_be_told_is_refused() {
    let registry = DevRegistry::start().unwrap();
    let imports = r#"{"a.proto": "syntax = \"proto3\";"}"#;
    let importing = "syntax = \"proto3\"; import \"a.proto\"; message R { int64 a = 1; }";
    let spec = with_registry(
        &registry,
        &[("schema", importing), ("schema.imports", imports)],
    );
    let columns = schema(&[("a", DataType::Int64)]);
    let error = new_encoder(&spec, OWNER, &columns).unwrap_err();
    assert_eq!(
        error.message(),
        "source \"orders\" cannot register a schema that imports \"a.proto\""
    );
    let spec = with_registry(&registry, &[]);
    let error = new_encoder(&spec, OWNER, &schema(&[("d", DataType::Date32)])).unwrap_err();
    assert_eq!(
        error.message(),
        "format \"protobuf\" of source \"orders\" cannot hold column \"d\", which is a DATE"
    );
    let error = new_encoder(&spec, OWNER, &schema(&[("d e", DataType::Int64)])).unwrap_err();
    assert!(
        error
            .message()
            .contains("has no name that a Protobuf field may have"),
        "{error}"
    );
    let spec = with_registry(
        &registry,
        &[("schema", "syntax = \"proto3\"; message R {}")],
    );
    let error = check_format(&spec, OWNER, &schema(&[])).unwrap_err();
    assert_eq!(
        error.message(),
        "source \"orders\" has a schema of its own and a \"schema.registry\""
    );
    assert!(registry.requests().is_empty());
}
