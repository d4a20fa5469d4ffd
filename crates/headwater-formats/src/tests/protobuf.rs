//! Protobuf: what is a row, what is bad, and what is refused.
//!
//! `properties` compare our reader with the one of `prost-reflect`, which shares nothing with it but
//! the descriptors; `registry` is about frames and schemas of others.

mod properties;
mod registry;

use headwater_core::ErrorKind;

use super::*;
use crate::{check_format, new_encoder};

/// A field of every type.
const ALL: &str = r#"
syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
import "google/protobuf/duration.proto";
import "google/protobuf/wrappers.proto";
import "google/protobuf/struct.proto";

message Order {
  enum Side { UNKNOWN = 0; BUY = 1; SELL = 2; LOSS = -1; }
  message Inner { int32 x = 1; optional string y = 2; repeated int32 z = 3; }
  int32 i32 = 1;
  int64 i64 = 2;
  uint32 u32 = 3;
  uint64 u64 = 4;
  sint32 s32 = 5;
  sint64 s64 = 6;
  fixed32 f32 = 7;
  fixed64 f64 = 8;
  sfixed32 sf32 = 9;
  sfixed64 sf64 = 10;
  float f = 11;
  double d = 12;
  bool flag = 13;
  string s = 14;
  bytes b = 15;
  Side side = 16;
  Inner inner = 17;
  repeated int32 numbers = 18;
  repeated string tags = 19;
  map<string, int64> props = 20;
  oneof choice { string name = 21; int64 number = 22; Inner deep = 23; }
  optional int32 opt = 24;
  google.protobuf.Timestamp ts = 25;
  google.protobuf.Duration took = 26;
  google.protobuf.Int64Value wrapped = 27;
  google.protobuf.Struct json = 28;
  repeated Inner inners = 29;
  map<int32, Inner> by_id = 300;
}
"#;

fn protobuf(schema: &str) -> FormatSpec {
    spec("protobuf", &[("schema", schema)])
}

/// A message `R` with these fields.
fn message_of(fields: &str) -> FormatSpec {
    protobuf(&format!("syntax = \"proto3\"; message R {{ {fields} }}"))
}

fn inner() -> DataType {
    let fields = vec![
        Field::new("x", DataType::Int32, true),
        Field::new("y", DataType::Utf8View, true),
    ];
    DataType::Struct(fields.into())
}

fn list_of(element: DataType) -> DataType {
    DataType::new_list(element, true)
}

#[test]
fn every_type_is_read() {
    let key_and_inner = vec![
        Field::new("key", DataType::Int64, true),
        Field::new("value", inner(), true),
    ];
    let columns = schema(&[
        ("i32", DataType::Int32),
        ("i64", DataType::Int64),
        ("u32", DataType::Int64),
        ("u64", DataType::Decimal128(20, 0)),
        ("s32", DataType::Int16),
        ("s64", DataType::Int64),
        ("f32", DataType::Float64),
        ("f64", DataType::UInt64),
        ("sf32", DataType::Decimal128(12, 2)),
        ("sf64", DataType::Int64),
        ("f", DataType::Float32),
        ("d", DataType::Float64),
        ("FLAG", DataType::Boolean),
        ("s", DataType::Utf8View),
        ("b", DataType::Binary),
        ("side", DataType::Utf8View),
        ("inner", inner()),
        ("numbers", list_of(DataType::Int64)),
        ("tags", list_of(DataType::Utf8View)),
        ("props", map_of(DataType::Int64)),
        ("name", DataType::Utf8View),
        ("number", DataType::Int64),
        ("opt", DataType::Int32),
        ("ts", micros()),
        ("took", DataType::Int64),
        ("wrapped", DataType::Int64),
        ("json", DataType::Utf8View),
        ("inners", list_of(inner())),
        ("by_id", list_of(DataType::Struct(key_and_inner.into()))),
    ]);
    let full = concat!(
        "08feffffffffffffffff01 10ffffffffffffffff7f 18ffffffff0f 20ffffffffffffffffff01",
        "2803 30ffffffffffffffffff01 3dffffffff 41ffffffffffffffff 4dfeffffff",
        "510000000000000080 5d0000c03f 619a9999999999b9bf 6801 720161 7a0200ff",
        "800102 8a01050803120179 92010301ac02 9a010161 9a0100 a20105 0a016b 1007 b00105 c00100",
        "ca0109 08808ede9a061090 4e d20102 0801 da0100 e2010c 0a0a0a016b12051a03c3a921",
        "ea0100 ea01020801 e2120608051202 0801"
    );
    let full = full.replace(' ', "");
    let expected = "-2|9223372036854775807|4294967295|18446744073709551615|-2|-9223372036854775808|\
                    4294967295.0|18446744073709551615|-2.00|-9223372036854775808|1.5|-0.1|true|a|\
                    00ff|SELL|{x: 3, y: y}|[1, 300]|[a, ]|{k: 7}|∅|5|0|2022-10-25T06:49:36.000010|\
                    1000000|0|{\"k\":\"é!\"}|[{x: 0, y: ∅}, {x: 1, y: ∅}]|[{key: 5, value: {x: 1, y: ∅}}]";
    let empty = "0|0|0|0|0|0|0.0|0|0.00|0|0.0|0.0|false|||UNKNOWN|∅|[]|[]|{}|∅|∅|∅|∅|∅|∅|∅|[]|[]";
    let format = protobuf(ALL);
    let payloads = records(&[bytes_of(&full), Vec::new()]);
    let decoded = decode(&format, &columns, &payloads);
    assert_eq!(outcomes(&decoded), [expected, empty]);
    for column in 0..columns.fields().len() {
        let mut decoder = new_decoder(&format, OWNER, &columns, &[column]).unwrap();
        let alone = decoder.decode(&payloads).unwrap();
        assert_eq!(alone.rows.column(0), decoded.rows.column(column));
    }
}

#[test]
fn the_last_value_counts_and_messages_are_put_together() {
    let columns = schema(&[
        ("i32", DataType::Int64),
        ("s", DataType::Utf8View),
        ("inner", inner()),
        ("numbers", list_of(DataType::Int32)),
        ("name", DataType::Utf8View),
        ("side", DataType::Utf8View),
        ("props", map_of(DataType::Int64)),
    ]);
    let cases = [
        ("0801 0802 720161 0800 720162", "0|b|∅|[]|∅|UNKNOWN|{}"),
        // Two parts of one message, with others between them.
        (
            "8a01020803 0801 8a0103120179",
            "1||{x: 3, y: y}|[]|∅|UNKNOWN|{}",
        ),
        (
            "8a010408031000 8a0100",
            "bad: column \"inner\" is not a STRUCT",
        ),
        // Packed and not, mixed.
        (
            "900101 920103 02ac02 900103 920100",
            "0||∅|[1, 2, 300, 3]|∅|UNKNOWN|{}",
        ),
        // Another field of the oneof, which no column is for.
        ("aa010161 b00105", "0||∅|[]|∅|UNKNOWN|{}"),
        ("b00105 aa010161", "0||∅|[]|a|UNKNOWN|{}"),
        ("aa010161 ba0100 aa010162", "0||∅|[]|b|UNKNOWN|{}"),
        // Numbers without a name.
        ("800107", "0||∅|[]|∅|7|{}"),
        ("8001ffffffffffffffffff01", "0||∅|[]|∅|LOSS|{}"),
        // A key that comes again, and entries without parts.
        (
            "a201050a016b1007 a201050a016a1001 a201030a016b",
            "0||∅|[]|∅|UNKNOWN|{j: 1, k: 0}",
        ),
        ("a20100", "0||∅|[]|∅|UNKNOWN|{: 0}"),
        // Fields that nobody knows, among them groups.
        (
            "f03f01 f13f0000000000000000 f23f0161 f33f0801f43f f53f00000000 0805",
            "5||∅|[]|∅|UNKNOWN|{}",
        ),
    ];
    let cases = cases.map(|(hex, row)| (bytes_of(&hex.replace(' ', "")), row));
    check(&protobuf(ALL), &columns, &cases);
}

/// Records, and what becomes of them.
const MALFORMED: [(&str, &str); 24] = [
    ("0801", "1|"),
    ("", "0|"),
    ("08", "bad: Protobuf data ends too early"),
    ("0880", "bad: Protobuf data ends too early"),
    ("80", "bad: Protobuf data ends too early"),
    ("720561", "bad: Protobuf data ends too early"),
    (
        "72ffffffffffffffffff0161",
        "bad: Protobuf data ends too early",
    ),
    ("5d000000", "bad: Protobuf data ends too early"),
    ("f33f0801", "bad: Protobuf data ends too early"),
    ("08ffffffffffffffffff02", "bad: Protobuf number is too long"),
    (
        "08ffffffffffffffffffff01",
        "bad: Protobuf number is too long",
    ),
    ("0001", "bad: Protobuf field number is out of range"),
    ("808080801001", "bad: Protobuf field number is out of range"),
    ("0e01", "bad: unknown Protobuf wire type"),
    ("080107", "bad: unknown Protobuf wire type"),
    ("0c", "bad: unexpected end of a Protobuf group"),
    ("0b14", "bad: unexpected end of a Protobuf group"),
    ("0d01000000", "bad: column \"i32\" is not an INT"),
    ("0d010000000801", "bad: column \"i32\" is not an INT"),
    ("7001", "bad: column \"s\" is not a VARCHAR"),
    ("7201ff", "bad: column \"s\" is not a VARCHAR"),
    ("7202c3280801", "bad: column \"s\" is not a VARCHAR"),
    // Nobody looks at these.
    ("8a01050801", "bad: Protobuf data ends too early"),
    ("8a0101ff", "0|"),
];

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let columns = schema(&[("i32", DataType::Int32), ("s", DataType::Utf8View)]);
    let cases = MALFORMED.map(|(hex, expected)| (bytes_of(hex), expected));
    check(&protobuf(ALL), &columns, &cases);
    // Whether a record is broken does not depend on what is read.
    let all: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    let mut decoder = new_decoder(&protobuf(ALL), OWNER, &columns, &[]).unwrap();
    let decoded = decoder.decode(&records(&all)).unwrap();
    let reasons: Vec<_> = decoded.bad.iter().map(|bad| bad.reason.as_str()).collect();
    let broken = cases.iter().filter_map(|(_, expected)| {
        let reason = expected.strip_prefix("bad: ")?;
        (!reason.starts_with("column")).then_some(reason)
    });
    assert_eq!(reasons, broken.collect::<Vec<_>>());
    let deep = [vec![0x0b; 101], vec![0x0c; 101]].concat();
    check(
        &protobuf(ALL),
        &columns,
        &[(deep, "bad: Protobuf data is nested too deep")],
    );
    let payloads: BinaryArray = [Some(&[8_u8, 1][..]), None].into_iter().collect();
    let decoded = decode(&protobuf(ALL), &columns, &payloads);
    assert_eq!(outcomes(&decoded), ["1|", "bad: no value"]);
}

#[test]
fn what_is_broken_inside_of_a_column_makes_the_column_wrong() {
    let columns = schema(&[
        ("inner", inner()),
        ("numbers", list_of(DataType::Int32)),
        ("props", map_of(DataType::Int64)),
        ("ts", micros()),
        ("json", DataType::Utf8View),
    ]);
    let bad = |column: &str, a_type: &str| format!("bad: column \"{column}\" is not {a_type}");
    let cases = [
        ("8a010108", bad("inner", "a STRUCT")),
        ("8a01031201ff", bad("inner", "a STRUCT")),
        ("92010180", bad("numbers", "an ARRAY")),
        ("950100000000", bad("numbers", "an ARRAY")),
        ("a2010108", bad("props", "a MAP")),
        ("a201030a01ff", bad("props", "a MAP")),
        ("a2010a0a016bffffffffffffff", bad("props", "a MAP")),
        ("ca0106108094ebdc03", bad("ts", "a TIMESTAMP")),
        (
            "ca010608ffffffff0f",
            "∅|[]|{}|2106-02-07T06:28:15|∅".to_string(),
        ),
        ("ca010c08ffffffffffffffff7f1000", bad("ts", "a TIMESTAMP")),
        ("e201020801", bad("json", "a VARCHAR")),
    ];
    let cases: Vec<_> = cases
        .iter()
        .map(|(hex, e)| (bytes_of(hex), e.as_str()))
        .collect();
    check(&protobuf(ALL), &columns, &cases);
    let payloads = records(&[bytes_of("8a010108"), bytes_of("0d01000000")]);
    let decoded = decode(&protobuf(ALL), &columns, &payloads);
    assert_eq!(
        decoded.bad[0].detail,
        "Protobuf data ends too early: 8a 01 01 08 (4 bytes)"
    );
    assert_eq!(decoded.bad.len(), 1);
}

#[test]
fn numbers_out_of_range_are_bad() {
    let cases = [
        ("int32 a = 1;", DataType::Int8, "08ac02", "a TINYINT"),
        ("uint32 a = 1;", DataType::Int32, "08ffffffff0f", "an INT"),
        (
            "uint64 a = 1;",
            DataType::Int64,
            "08ffffffffffffffffff01",
            "a BIGINT",
        ),
        (
            "sint64 a = 1;",
            DataType::UInt64,
            "0801",
            "a BIGINT UNSIGNED",
        ),
        (
            "uint64 a = 1;",
            DataType::Decimal128(3, 1),
            "0864",
            "a DECIMAL(3,1)",
        ),
    ];
    for (fields, data_type, hex, expected) in cases {
        let expected = format!("bad: column \"a\" is not {expected}");
        let columns = schema(&[("a", data_type)]);
        check(
            &message_of(fields),
            &columns,
            &[(bytes_of(hex), expected.as_str())],
        );
    }
    let columns = schema(&[("a", DataType::Int8)]);
    let decoded = decode(
        &message_of("sint32 a = 1;"),
        &columns,
        &records(&[bytes_of("08ac04")]),
    );
    assert_eq!(decoded.bad[0].detail, "278");
}

#[test]
fn proto2_has_groups_defaults_and_presence() {
    let format = protobuf(
        "syntax = \"proto2\"; message R { optional int32 a = 1; optional string s = 2 [default = \"x\"];
         optional sint32 d = 3 [default = -5]; optional group G = 4 { optional int32 x = 1; }
         repeated int32 n = 5; required int32 must = 6; }",
    );
    let group = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
    let columns = schema(&[
        ("a", DataType::Int32),
        ("s", DataType::Utf8View),
        ("d", DataType::Int32),
        ("g", group),
        ("n", list_of(DataType::Int32)),
        ("must", DataType::Int32),
    ]);
    let cases = [
        ("", "∅|x|-5|∅|[]|∅"),
        (
            "08001200180023080124 2a020102 2803 3007",
            "0||0|{x: 1}|[1, 2, 3]|7",
        ),
        ("2200", "bad: column \"g\" is not a STRUCT"),
    ];
    let cases = cases.map(|(hex, row)| (bytes_of(&hex.replace(' ', "")), row));
    check(&format, &columns, &cases);
    let rows = decode(&format, &columns, &records(&[&cases[1].0])).rows;
    let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
    let written = encoder.encode(&rows).unwrap();
    let expected = bytes_of(
        "08001200180023080124280128022803 3007"
            .replace(' ', "")
            .as_str(),
    );
    assert_eq!(written.value(0), expected);
    let few = schema(&[("a", DataType::Int32)]);
    let error = new_encoder(&format, OWNER, &few).unwrap_err();
    assert!(
        error.message().contains("is required and has no column"),
        "{error}"
    );
}

#[test]
fn json_is_read_and_written() {
    let format = protobuf(
        "syntax = \"proto3\"; import \"google/protobuf/struct.proto\";
         message R { google.protobuf.Value v = 1; google.protobuf.Struct o = 2;
                     google.protobuf.ListValue l = 3; }",
    );
    let columns = schema(&[
        ("v", DataType::Utf8View),
        ("o", DataType::Utf8View),
        ("l", DataType::Utf8View),
    ]);
    let texts = [
        ("null", "{}", "[]"),
        (
            "-1.5",
            r#"{"a":{"b":[1,true,null,"é"]},"c":1e+300}"#,
            "[[],{}]",
        ),
        ("\"x\"", "{\"\":0}", "[9007199254740991,-0.0]"),
    ];
    let arrays: Vec<arrow::array::ArrayRef> =
        [texts.map(|t| t.0), texts.map(|t| t.1), texts.map(|t| t.2)]
            .map(|texts| Arc::new(arrow::array::StringViewArray::from_iter_values(texts)) as _)
            .into();
    let rows = RecordBatch::try_new(SchemaRef::clone(&columns), arrays).unwrap();
    let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
    let written = encoder.encode(&rows).unwrap();
    let decoded = decode(&format, &columns, &written);
    assert_eq!(rows_as_text(&decoded.rows), rows_as_text(&rows));
    let cases = [
        // NaN has no JSON.
        (
            "0a0911000000000000f87f",
            "bad: column \"v\" is not a VARCHAR",
        ),
        ("0a020801", "null|∅|∅"),
        ("0a0408002001", "true|∅|∅"),
    ];
    check(
        &format,
        &columns,
        &cases.map(|(hex, row)| (bytes_of(hex), row)),
    );
    let no_json: arrow::array::ArrayRef = Arc::new(arrow::array::StringViewArray::from(vec!["{"]));
    let columns = schema(&[("o", DataType::Utf8View)]);
    let rows = RecordBatch::try_new(SchemaRef::clone(&columns), vec![no_json]).unwrap();
    let error = new_encoder(&format, OWNER, &columns)
        .unwrap()
        .encode(&rows)
        .unwrap_err();
    assert_eq!(
        error.message(),
        "source \"orders\" cannot write a value of column \"o\" as Protobuf: it is not JSON of \
         this kind"
    );
}

#[test]
fn what_cannot_work_is_refused_when_it_is_declared() {
    let cases = [
        (
            ("s", DataType::Float64),
            "column \"s\" of source \"orders\" is a DOUBLE, but its field in Protobuf message \
             \"shop.Order\" is a string",
            None,
        ),
        (
            ("sid", DataType::Utf8View),
            "column \"sid\" of source \"orders\" is not in its Protobuf message \"shop.Order\"",
            Some("Did you mean \"side\"?"),
        ),
        (
            ("i64", micros()),
            "column \"i64\" of source \"orders\" is a TIMESTAMP, but its field in Protobuf message \
             \"shop.Order\" is an int64",
            Some("Declare it as BIGINT, and convert it in the query."),
        ),
        (
            ("i64", DataType::Int32),
            "column \"i64\" of source \"orders\" is an INT, but its field in Protobuf message \
             \"shop.Order\" is an int64",
            Some("Declare it as BIGINT, and convert it in the query."),
        ),
        (
            ("tags", DataType::Utf8View),
            "column \"tags\" of source \"orders\" is a VARCHAR, but its field in Protobuf message \
             \"shop.Order\" is a repeated string",
            Some("Declare it as an ARRAY."),
        ),
        (
            ("by_id", map_of(inner())),
            "column \"by_id\" of source \"orders\" is a MAP, but its field in Protobuf message \
             \"shop.Order\" is a map<int32, shop.Order.Inner>",
            Some("Declare it as ARRAY<STRUCT<key …, value …>>."),
        ),
        (
            ("inner", DataType::Utf8View),
            "column \"inner\" of source \"orders\" is a VARCHAR, but its field in Protobuf message \
             \"shop.Order\" is a message shop.Order.Inner",
            Some("Declare it as a STRUCT of the fields that you need."),
        ),
    ];
    for (column, expected, hint) in cases {
        let error = check_format(&protobuf(ALL), OWNER, &schema(&[column])).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, expected));
        assert_eq!(error.hint(), hint, "{expected}");
    }
    let error = check_format(&protobuf(ALL), OWNER, &schema(&[("i32", DataType::Date64)]));
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
    let error = crate::check_lines(&protobuf(ALL), OWNER).unwrap_err();
    assert!(
        error
            .message()
            .starts_with("format \"protobuf\" of source \"orders\" needs records")
    );
}

/// Options, and a part of the message and of the hint.
type Refused<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn a_schema_is_needed_and_must_be_one() {
    let two = "syntax = \"proto3\"; package p; message A {} message B { message C {} }";
    let cases: [Refused; 7] = [
        (&[], "needs the schema of its records", ""),
        (
            &[("schema", two)],
            "the schema of format \"protobuf\" of source \"orders\" has 2 messages, and records \
             are of one",
            "Name one by message = '…': p.A, p.B.",
        ),
        (
            &[("schema", two), ("message", "p.D")],
            "has no message \"p.D\"",
            "Did you mean \"p.",
        ),
        (
            &[("schema", two), ("schema.file", "x.proto")],
            "has more than one schema",
            "Keep one",
        ),
        (
            &[("schema", "import \"a.proto\";")],
            "imports \"a.proto\", which is not there",
            "Name the folder",
        ),
        (
            &[("schema.file", "there/is/none.proto")],
            "could not read schema file \"there/is/none.proto\"",
            "",
        ),
        (&[("descriptor", "!")], "is not in base64", ""),
    ];
    for (options, message, hint) in cases {
        let error = check_format(&spec("protobuf", options), OWNER, &schema(&[])).unwrap_err();
        assert!(error.message().contains(message), "{error}");
        assert!(
            error.hint().unwrap_or_default().contains(hint),
            "{:?}",
            error.hint()
        );
    }
    let error = check_format(&protobuf("message R { in x = 1; }"), OWNER, &schema(&[]));
    let error = error.unwrap_err();
    assert_eq!(
        error.message(),
        "the schema of format \"protobuf\" of source \"orders\" cannot be read as Protobuf"
    );
    assert!(
        error.detail().unwrap().starts_with("schema.proto:1:13: "),
        "{:?}",
        error.detail()
    );
    let named = [("schema", two), ("message-class-name", "p.B.C")];
    check_format(&spec("protobuf-confluent", &named), OWNER, &schema(&[])).unwrap();
}

/// A file of a folder.
fn put(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> String {
    use std::io::Write as _;
    let path = folder.path().join(name);
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(bytes).unwrap();
    path.to_str().unwrap().to_string()
}

#[test]
fn files_are_read_when_they_are_declared() {
    let folder = tempfile::tempdir().unwrap();
    put(
        &folder,
        "money.proto",
        b"syntax = \"proto3\"; message Money { int64 cents = 1; }",
    );
    let text = "syntax = \"proto3\"; import \"money.proto\"; message R { Money a = 1; }";
    let path = put(&folder, "r.proto", text.as_bytes());
    let pool = {
        let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
        compiler.include_imports(true).open_file("r.proto").unwrap();
        compiler.encode_file_descriptor_set()
    };
    let compiled = put(&folder, "r.desc", &pool);
    let imports = folder.path().to_str().unwrap();
    let money = DataType::Struct(vec![Field::new("cents", DataType::Int64, true)].into());
    let columns = schema(&[("a", money)]);
    let record = [(vec![0x0a, 2, 8, 7], "{cents: 7}")];
    let named = [
        spec("protobuf", &[("schema.file", path.as_str())]),
        spec("protobuf", &[("schema", text), ("import.path", imports)]),
        spec(
            "protobuf",
            &[("descFilePath", compiled.as_str()), ("messageName", "R")],
        ),
    ];
    for named in &named {
        check(named, &columns, &record);
    }
    let declared = named.each_ref().map(|named| {
        let declared = crate::with_files(named.clone(), OWNER).unwrap();
        assert_eq!(
            crate::with_files(declared.clone(), OWNER).unwrap(),
            declared
        );
        declared
    });
    drop(folder);
    for (named, declared) in named.into_iter().zip(&declared) {
        check(declared, &columns, &record);
        assert!(crate::with_files(named, OWNER).is_err());
    }
}
