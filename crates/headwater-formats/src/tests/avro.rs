//! Avro: what is a row, what is bad, and what is refused.
//!
//! Records in hexadecimal digits were written by fastavro 1.13.1 (`schemaless_writer`), so that two
//! implementations must agree on the bytes.

mod properties;
mod registry;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use headwater_core::ErrorKind;

use super::*;
use crate::{check_format, new_encoder};

/// A record with a field of every type that fastavro writes.
const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"small","type":"int"},{"name":"flag","type":"boolean"},{"name":"f","type":"float"},{"name":"d","type":"double"},{"name":"s","type":"string"},{"name":"b","type":"bytes"},{"name":"fx","type":{"type":"fixed","name":"Four","size":4}},{"name":"side","type":{"type":"enum","name":"Side","symbols":["BUY","SELL"]}},{"name":"tags","type":{"type":"array","items":"string"}},{"name":"props","type":{"type":"map","values":"long"}},{"name":"inner","type":{"type":"record","name":"Inner","fields":[{"name":"x","type":"int"},{"name":"y","type":["null","string"]}]}},{"name":"opt","type":["null","long"]},{"name":"dec","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},{"name":"decf","type":{"type":"fixed","name":"D8","size":8,"logicalType":"decimal","precision":12,"scale":3}},{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"tm","type":{"type":"int","logicalType":"time-millis"}},{"name":"tu","type":{"type":"long","logicalType":"time-micros"}},{"name":"tsm","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"tsu","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"lts","type":{"type":"long","logicalType":"local-timestamp-millis"}},{"name":"u","type":{"type":"string","logicalType":"uuid"}}]}"#;
const ORDERS: [&str; 2] = [
    "ffffffffffffffffff01feffffff0f010000c03f9a9999999999b9bf0e5ac3bc726963680400ff6162636402040261000002026b0e000502027a0006ed2979000000000000000101f8bbc603feffbadd8305f4a3d5edee66fdffe6a4bac38f0180d8ee96ef664831323334353637382d313233342d353637382d313233342d353637383132333435363738",
    "d80401000000807f9c7500883ce4377e0000000000000000000000027f0200ffffff172b5af001b6c202000000808082e288d2a306004830303030303030302d303030302d303030302d303030302d303030303030303030303030",
];

fn avro(schema: &str) -> FormatSpec {
    spec("avro", &[("schema", schema)])
}

/// A record of one field `a`.
fn one_field(avro_type: &str) -> FormatSpec {
    avro(&format!(
        r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{avro_type}}}]}}"#
    ))
}

fn order_columns() -> SchemaRef {
    let inner = vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", DataType::Utf8View, true),
    ];
    let milli = DataType::Timestamp(TimeUnit::Millisecond, None);
    schema(&[
        ("id", DataType::Int64),
        ("small", DataType::Int32),
        ("flag", DataType::Boolean),
        ("f", DataType::Float32),
        ("d", DataType::Float64),
        ("s", DataType::Utf8View),
        ("b", DataType::Binary),
        ("fx", DataType::BinaryView),
        ("side", DataType::Utf8View),
        ("tags", DataType::new_list(DataType::Utf8View, true)),
        ("props", map_of(DataType::Int64)),
        ("inner", DataType::Struct(inner.into())),
        ("opt", DataType::Int64),
        ("dec", DataType::Decimal128(10, 2)),
        ("decf", DataType::Decimal128(12, 3)),
        ("day", DataType::Date32),
        ("tm", DataType::Time64(TimeUnit::Nanosecond)),
        ("tu", DataType::Time64(TimeUnit::Microsecond)),
        ("tsm", micros()),
        ("tsu", micros()),
        ("lts", milli),
        ("u", DataType::Utf8View),
    ])
}

#[test]
fn what_fastavro_writes_is_read() {
    let payloads = records(&ORDERS.map(bytes_of));
    let decoded = decode(&avro(ORDER), &order_columns(), &payloads);
    let expected = [
        "-9223372036854775808|2147483647|true|1.5|-0.1|Zürich|00ff|61626364|SELL|[a, ]|{k: 7}|\
         {x: -3, y: z}|∅|-12345.67|0.001|1969-12-31|01:02:03.004|23:59:59.999999|\
         2026-01-01T00:00:00.250|1960-01-01T00:00:00.000001|2026-01-01T12:00:00|\
         12345678-1234-5678-1234-567812345678",
        "300|-1|false|inf|1e300|||00000000|BUY|[]|{}|{x: 0, y: ∅}|-64|0.00|-999999999.999|\
         2026-07-01|00:00:00|00:00:00|1970-01-01T00:00:00|2026-01-01T00:00:00|\
         1970-01-01T00:00:00|00000000-0000-0000-0000-000000000000",
    ];
    assert_eq!(outcomes(&decoded), expected);
}

#[test]
fn what_is_written_is_what_fastavro_writes() {
    let payloads = records(&ORDERS.map(bytes_of));
    // Without the struct, whose `x` is a BIGINT here and an int there.
    let declared = order_columns();
    let int = declared
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Struct(_) => {
                let inner = vec![
                    Field::new("x", DataType::Int32, true),
                    Field::new("y", DataType::Utf8View, true),
                ];
                Arc::new(Field::new("inner", DataType::Struct(inner.into()), true))
            }
            _ => Arc::clone(field),
        });
    let columns: SchemaRef = Arc::new(Schema::new(int.collect::<Fields>()));
    let rows = decode(&avro(ORDER), &columns, &payloads).rows;
    let mut encoder = new_encoder(&avro(ORDER), OWNER, &columns).unwrap();
    assert_eq!(encoder.encode(&rows).unwrap(), payloads);
    // A slice of the rows, as operators hand on.
    assert_eq!(
        encoder.encode(&rows.slice(1, 1)).unwrap(),
        payloads.slice(1, 1)
    );
}

#[test]
fn every_column_can_be_read_alone() {
    let payloads = records(&ORDERS.map(bytes_of));
    let columns = order_columns();
    let all = decode(&avro(ORDER), &columns, &payloads).rows;
    for column in 0..columns.fields().len() {
        let mut decoder = new_decoder(&avro(ORDER), OWNER, &columns, &[column]).unwrap();
        let decoded = decoder.decode(&payloads).unwrap();
        assert!(decoded.bad.is_empty());
        assert_eq!(decoded.rows.column(0), all.column(column));
    }
    let mut decoder = new_decoder(&avro(ORDER), OWNER, &columns, &[]).unwrap();
    assert_eq!(decoder.decode(&payloads).unwrap().rows.num_rows(), 2);
}

/// Records of seven fields, and what becomes of them; `huge` is the greatest number there is.
const MALFORMED: [(&str, &str); 26] = [
    (
        "02 0261 02 02 01 02 04 00 02 026b 0276 00 00",
        "1|a|Y|true|[2]|{k: 76}|[]",
    ),
    ("02 0261 00 00 00 00 00", "1|a|X|∅|[]|{}|[]"),
    // Blocks that say their size, and several of them.
    (
        "02 0261 00 00 01 02 02 02 04 00 00 00",
        "1|a|X|∅|[1, 2]|{}|[]",
    ),
    ("02 0261 00 00 00 00 06 00", "1|a|X|∅|[]|{}|[∅, ∅, ∅]"),
    ("", "bad: empty value"),
    ("02", "bad: Avro data ends too early"),
    ("02 0461", "bad: Avro data ends too early"),
    ("02 0261 00 00 00 00", "bad: Avro data ends too early"),
    (
        "02 0261 00 00 00 00 00 00",
        "bad: more after the Avro record",
    ),
    ("80", "bad: Avro data ends too early"),
    ("ffffffffffffffffffffff", "bad: Avro number is too long"),
    ("02 01 00", "bad: negative length in Avro data"),
    ("02 huge 61", "bad: Avro data ends too early"),
    (
        "02 02ff 00 00 00 00 00",
        "bad: column \"s\" is not a VARCHAR",
    ),
    (
        "02 0261 04 00 00 00 00",
        "bad: unknown symbol of an Avro enum",
    ),
    (
        "02 0261 01 00 00 00 00",
        "bad: unknown symbol of an Avro enum",
    ),
    (
        "02 0261 00 04 00 00 00",
        "bad: unknown branch of an Avro union",
    ),
    (
        "02 0261 00 02 02 00 00 00",
        "bad: Avro boolean is neither 0 nor 1",
    ),
    ("02 0261 00 00 huge 02", "bad: Avro data ends too early"),
    (
        "02 0261 00 00 01 04 02 00 00 00",
        "bad: Avro block has another size than it says",
    ),
    (
        "02 0261 00 00 01 01 02 00 00 00",
        "bad: negative length in Avro data",
    ),
    (
        "02 0261 00 00 00 04 026b 00 026b 00 00 00",
        "bad: column \"m\" is not a MAP",
    ),
    (
        "02 0261 00 00 00 02 02ff 00 00 00",
        "bad: column \"m\" is not a MAP",
    ),
    ("02 0261 00 00 00 02 026b", "bad: Avro data ends too early"),
    (
        "02 0261 00 00 00 00 huge 00",
        "bad: too many empty items in Avro data",
    ),
    ("06 0262 00 00 00 00 00", "3|b|X|∅|[]|{}|[]"),
];

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let format = avro(
        r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":"long"},
            {"name":"s","type":"string"},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["X","Y"]}},
            {"name":"u","type":["null","boolean"]},
            {"name":"l","type":{"type":"array","items":"long"}},
            {"name":"m","type":{"type":"map","values":"bytes"}},
            {"name":"n","type":{"type":"array","items":"null"}}]}"#,
    );
    let columns = schema(&[
        ("a", DataType::Int64),
        ("s", DataType::Utf8View),
        ("e", DataType::Utf8View),
        ("u", DataType::Boolean),
        ("l", DataType::new_list(DataType::Int64, true)),
        ("m", map_of(DataType::BinaryView)),
        ("n", DataType::new_list(DataType::Int64, true)),
    ]);
    let huge = "feffffffffffffffff01";
    let cases = MALFORMED.map(|(hex, expected)| {
        let hex = hex.replace("huge", huge).replace(' ', "");
        (bytes_of(&hex), expected)
    });
    check(&format, &columns, &cases);
    // Whether a record is broken does not depend on what is read.
    let all: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    for wanted in [vec![], vec![0], vec![6, 1], vec![4, 3]] {
        let mut decoder = new_decoder(&format, OWNER, &columns, &wanted).unwrap();
        let decoded = decoder.decode(&records(&all)).unwrap();
        let reasons: Vec<_> = decoded.bad.iter().map(|bad| bad.reason.as_str()).collect();
        let expected = cases.iter().filter_map(|(_, expected)| {
            let reason = expected.strip_prefix("bad: ")?;
            let is_syntax = !reason.starts_with("column");
            let is_read = wanted.iter().any(|w| {
                let name = columns.field(*w).name();
                reason.starts_with(&format!("column \"{name}\""))
            });
            (is_syntax || is_read).then_some(reason)
        });
        assert_eq!(reasons, expected.collect::<Vec<_>>(), "{wanted:?}");
    }
}

#[test]
fn a_tombstone_is_bad() {
    let payloads: BinaryArray = [Some(&[2_u8][..]), None, Some(&[4])].into_iter().collect();
    let decoded = decode(
        &one_field("\"long\""),
        &schema(&[("a", DataType::Int64)]),
        &payloads,
    );
    assert_eq!(outcomes(&decoded), ["1", "bad: no value", "2"]);
}

#[test]
fn data_cannot_choose_how_deep_it_is() {
    let list = avro(
        r#"{"type":"record","name":"N","fields":[
            {"name":"a","type":"long"},{"name":"next","type":["null","N"]}]}"#,
    );
    let columns = schema(&[("a", DataType::Int64)]);
    let chain = |length: usize| [b"\x02\x02".repeat(length), b"\x02\x00".to_vec()].concat();
    let cases = [
        (chain(0), "1"),
        (chain(200), "1"),
        (chain(300), "bad: Avro data is nested too deep"),
        (chain(1_000_000), "bad: Avro data is nested too deep"),
        (chain(3), "1"),
    ];
    let payloads: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    let found = outcomes(&decode(&list, &columns, &records(&payloads)));
    assert_eq!(found, cases.each_ref().map(|(_, expected)| *expected));
    // A record that holds itself without end.
    let endless = avro(r#"{"type":"record","name":"N","fields":[{"name":"a","type":"N"}]}"#);
    let mut decoder = new_decoder(&endless, OWNER, &schema(&[]), &[]).unwrap();
    let decoded = decoder.decode(&records(&[b"".as_slice()])).unwrap();
    assert_eq!(outcomes(&decoded), ["bad: Avro data is nested too deep"]);
}

const INT: &str = "\"int\"";
const LONG: &str = "\"long\"";
const MILLIS: &str = r#"{"type":"long","logicalType":"timestamp-millis"}"#;
const NANOS: &str = r#"{"type":"long","logicalType":"timestamp-nanos"}"#;
const DECIMAL: &str = r#"{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}"#;
const UUID: &str = r#"{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}"#;
const MICROS: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// A field's type, its column's, a value, and what becomes of it.
const VALUES: [(&str, DataType, &str, &str); 27] = [
    (INT, DataType::Int8, "fe01", "127"),
    (
        INT,
        DataType::Int8,
        "8002",
        "bad: column \"a\" is not a TINYINT",
    ),
    (
        INT,
        DataType::UInt16,
        "01",
        "bad: column \"a\" is not a SMALLINT UNSIGNED",
    ),
    (
        INT,
        DataType::Int64,
        "8080808010",
        "bad: Avro number is too long",
    ),
    (INT, DataType::Float64, "06", "3.0"),
    (LONG, DataType::Float32, "06", "3.0"),
    (
        LONG,
        DataType::UInt64,
        "01",
        "bad: column \"a\" is not a BIGINT UNSIGNED",
    ),
    ("\"float\"", DataType::Float64, "0000c03f", "1.5"),
    (
        "\"bytes\"",
        DataType::Utf8View,
        "0461c3",
        "bad: column \"a\" is not a VARCHAR",
    ),
    (
        "\"bytes\"",
        DataType::Utf8,
        "0461c3",
        "bad: column \"a\" is not a VARCHAR",
    ),
    ("\"bytes\"", DataType::Utf8, "0261", "a"),
    ("\"string\"", DataType::Binary, "02ff", "ff"),
    (MILLIS, MICROS, "02", "1970-01-01T00:00:00.001"),
    (MILLIS, MICROS, "01", "1969-12-31T23:59:59.999"),
    (
        MILLIS,
        MICROS,
        "feffffffffffffffff01",
        "bad: column \"a\" is not a TIMESTAMP",
    ),
    (MILLIS, DataType::Int64, "02", "1"),
    (NANOS, MICROS, "01", "1969-12-31T23:59:59.999999"),
    (DECIMAL, DataType::Decimal128(10, 2), "04ff38", "-2.00"),
    (DECIMAL, DataType::Decimal128(10, 4), "04ff38", "-2.0000"),
    (DECIMAL, DataType::Decimal128(10, 1), "0237", "0.6"),
    (
        DECIMAL,
        DataType::Decimal128(2, 1),
        "0403e8",
        "bad: column \"a\" is not a DECIMAL(2,1)",
    ),
    (DECIMAL, DataType::Decimal128(10, 2), "00", "0.00"),
    (DECIMAL, DataType::Binary, "04ff38", "ff38"),
    (
        UUID,
        DataType::Utf8View,
        "00112233445566778899aabbccddeeff",
        "00112233-4455-6677-8899-aabbccddeeff",
    ),
    (
        UUID,
        DataType::Binary,
        "00112233445566778899aabbccddeeff",
        "00112233445566778899aabbccddeeff",
    ),
    (r#"["int","long"]"#, DataType::Int64, "0205", "-3"),
    (r#"["null","int"]"#, DataType::Int64, "00", "∅"),
];

#[test]
fn values_fit_their_columns_or_make_the_record_bad() {
    for (avro_type, data_type, hex, expected) in VALUES {
        let columns = schema(&[("a", data_type)]);
        check(
            &one_field(avro_type),
            &columns,
            &[(bytes_of(hex), expected)],
        );
    }
}

#[test]
fn a_column_that_is_not_null_needs_a_value() {
    let field = Field::new("a", DataType::Int64, false);
    let columns: SchemaRef = Arc::new(Schema::new(vec![field]));
    let cases = [
        (vec![2, 4], "2"),
        (vec![0], "bad: column \"a\" has no value"),
    ];
    check(&one_field(r#"["null","long"]"#), &columns, &cases);
}

#[test]
fn what_is_wrong_is_shown_as_bytes() {
    let columns = schema(&[("a", DataType::Int8)]);
    let payloads = records(&[&[0xac, 0x02][..], &[0x80; 9]]);
    let decoded = decode(&one_field("\"int\""), &columns, &payloads);
    let details: Vec<_> = decoded.bad.iter().map(|bad| bad.detail.as_str()).collect();
    assert_eq!(
        details,
        ["ac 02 (2 bytes)", "80 80 80 80 80 80 80 80 80 (9 bytes)"]
    );
}

#[test]
fn what_cannot_work_is_refused_when_it_is_declared() {
    let record = r#"{"type":"record","name":"R","fields":[
        {"name":"price","type":"string"},
        {"name":"inner","type":{"type":"record","name":"I","fields":[{"name":"x","type":"long"}]}},
        {"name":"choice","type":["null","string","long"]}]}"#;
    let inner =
        |name: &str, data_type| DataType::Struct(vec![Field::new(name, data_type, true)].into());
    let cases = [
        (
            ("price", DataType::Float64),
            "column \"price\" of source \"orders\" is a DOUBLE, but its field in the Avro schema \
             is a string",
        ),
        (
            ("prise", DataType::Utf8View),
            "column \"prise\" of source \"orders\" is not in its Avro schema",
        ),
        (
            ("inner", inner("x", DataType::Int32)),
            "column \"inner.x\" of source \"orders\" is an INT, but its field in the Avro schema \
             is a long",
        ),
        (
            ("inner", inner("z", DataType::Int64)),
            "column \"inner.z\" of source \"orders\" is not in its Avro schema",
        ),
        (
            ("choice", DataType::Utf8View),
            "column \"choice\" of source \"orders\" is a VARCHAR, but its field in the Avro schema \
             is a long",
        ),
    ];
    for (column, expected) in cases {
        let error = check_format(&avro(record), OWNER, &schema(&[column])).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, expected));
    }
    let near = check_format(
        &avro(record),
        OWNER,
        &schema(&[("prise", DataType::Utf8View)]),
    );
    assert_eq!(near.unwrap_err().hint(), Some("Did you mean \"price\"?"));
    let zoned = DataType::Interval(arrow::datatypes::IntervalUnit::DayTime);
    let error = check_format(&avro(record), OWNER, &schema(&[("i", zoned)])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = check_format(&avro("\"long\""), OWNER, &schema(&[])).unwrap_err();
    assert_eq!(
        error.message(),
        "the Avro schema of source \"orders\" is a long, not a record"
    );
}

/// Schemas that could be read and that the specification does not allow.
const NOT_BY_THE_BOOK: [(&str, &str); 12] = [
    (
        r#"{"type":"record","name":"my-record","fields":[]}"#,
        "Type \"my-record\" has no valid name: a name has letters, digits and underscores, and begins \
         with no digit.",
    ),
    (
        r#"{"type":"record","name":"R","namespace":"a..b","fields":[]}"#,
        "Type \"a..b.R\" has no valid name: a name has letters, digits and underscores, and begins \
         with no digit.",
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"1st","type":"int"}]}"#,
        "Field \"1st\" of record \"R\" has no valid name: a name has letters, digits and \
         underscores, and begins with no digit.",
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a b","type":"int"}]}"#,
        "Field \"a b\" of record \"R\" has no valid name: a name has letters, digits and \
         underscores, and begins with no digit.",
    ),
    (
        r#"{"type":"enum","name":"E","symbols":["A-B"]}"#,
        "Symbol \"A-B\" of enum \"E\" is no valid name: a name has letters, digits and underscores, \
         and begins with no digit.",
    ),
    (
        r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
        "Enum \"E\" has the symbol \"A\" twice.",
    ),
    (r#"["null","long","long"]"#, "A union has a long twice."),
    (
        r#"["string",{"type":"string","logicalType":"uuid"}]"#,
        "A union has a string of logical type uuid twice.",
    ),
    (
        r#"[{"type":"array","items":"int"},{"type":"array","items":"long"}]"#,
        "A union has an array twice.",
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
        "The default of field \"a\" is \"x\", which is not an int.",
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":2147483648}]}"#,
        "The default of field \"a\" is 2147483648, which is not an int.",
    ),
    (
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"],"default":""}]}"#,
        "The default of field \"a\" is \"\", which is not a union of null and long.",
    ),
];

/// What the specification allows is not refused with it.
#[test]
fn schemas_by_the_book_are_taken() {
    for text in [
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":["null","long"],"default":1}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"_a1","type":[
            {"type":"fixed","name":"F","size":1},{"type":"fixed","name":"G","size":1},
            {"type":"enum","name":"a.b.E","symbols":["A","B"]}]}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"next","type":["null","R"],"default":null},
            {"name":"f","type":"float","default":1},{"name":"m","default":{},
             "type":{"type":"map","values":"R"}}]}"#,
    ] {
        check_format(&avro(text), OWNER, &schema(&[])).unwrap();
    }
}

#[test]
fn a_schema_is_needed_and_must_be_one() {
    let columns = schema(&[]);
    let error = |options: &[(&str, &str)]| {
        check_format(&spec("avro", options), OWNER, &columns).unwrap_err()
    };
    assert_eq!(
        error(&[]).message(),
        "format \"avro\" of source \"orders\" needs the schema of its records"
    );
    let texts = [
        (
            "{",
            "It is not JSON: EOF while parsing an object at line 1 column 1.",
        ),
        ("\"lon\"", "There is no type \"lon\"."),
        ("[]", "A union has no branches."),
        ("[\"null\",[\"int\"]]", "A union holds a union."),
        ("5", "5 is no type."),
        ("{}", "A type has no \"type\"."),
        (
            r#"{"type":"record","name":"R"}"#,
            "Record \"R\" has no fields.",
        ),
        (r#"{"type":"array"}"#, "A type has no \"items\"."),
        (
            r#"{"type":"enum","name":"E"}"#,
            "Enum \"E\" has no symbols.",
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["A"],"default":"B"}"#,
            "The default of enum \"E\" is none of its symbols.",
        ),
        (
            r#"{"type":"fixed","name":"F","size":-1}"#,
            "Fixed \"F\" has no size.",
        ),
        (
            r#"[{"type":"fixed","name":"F","size":1},{"type":"fixed","name":"F","size":1}]"#,
            "There are two types \"F\".",
        ),
    ];
    for (text, detail) in texts.into_iter().chain(NOT_BY_THE_BOOK) {
        let error = error(&[("schema", text)]);
        assert_eq!(
            error.message(),
            "the schema of format \"avro\" of source \"orders\" is no Avro schema"
        );
        assert_eq!(error.detail(), Some(detail), "{text}");
    }
    let both = error(&[("schema", "\"long\""), ("schema.file", "a.avsc")]);
    assert!(both.message().contains("a schema and a file"), "{both}");
    let none = error(&[("schema.file", "there/is/none.avsc")]);
    assert_eq!(
        none.message(),
        "could not read schema file \"there/is/none.avsc\" of format \"avro\" of source \"orders\""
    );
}

#[test]
fn a_file_is_read_when_it_is_declared() {
    use std::io::Write as _;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let text = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"long"}]}"#;
    file.write_all(text.as_bytes()).unwrap();
    let path = file.path().to_str().unwrap().to_string();
    let named = spec("avro", &[("schema_file", path.as_str())]);
    let columns = schema(&[("a", DataType::Int64)]);
    check(&named, &columns, &[(vec![2], "1")]);
    let declared = crate::with_files(named.clone(), OWNER).unwrap();
    drop(file);
    check(&declared, &columns, &[(vec![2], "1")]);
    assert!(crate::with_files(named, OWNER).is_err());
    let json = spec("json", &[]);
    assert_eq!(crate::with_files(json.clone(), OWNER).unwrap(), json);
}

#[test]
fn records_that_are_lines_are_asked_for() {
    assert!(crate::check_lines(&spec("json", &[]), OWNER).is_ok());
    let error = crate::check_lines(&one_field("\"long\""), OWNER).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.message(),
        "format \"avro\" of source \"orders\" needs records that may hold any byte, and this \
         connector parts them by lines"
    );
}

#[test]
fn names_have_namespaces() {
    let format = avro(
        r#"{"type":"record","name":"a.b.Outer","fields":[
            {"name":"x","type":{"type":"record","name":"In","fields":[{"name":"v","type":"long"}]}},
            {"name":"y","type":"In"},
            {"name":"z","type":"a.b.In"},
            {"name":"w","type":{"type":"In"}}]}"#,
    );
    let inner = DataType::Struct(vec![Field::new("v", DataType::Int64, true)].into());
    let columns = schema(&["x", "y", "z", "w"].map(|name| (name, inner.clone())));
    check(
        &format,
        &columns,
        &[(vec![2, 4, 6, 8], "{v: 1}|{v: 2}|{v: 3}|{v: 4}")],
    );
}

#[test]
fn fields_without_a_column_are_written_as_their_defaults() {
    let format = avro(
        r#"{"type":"record","name":"R","fields":[
            {"name":"n","type":["null","long"],"default":null},
            {"name":"a","type":"long"},
            {"name":"s","type":"string","default":"é"},
            {"name":"l","type":{"type":"array","items":"int"},"default":[1,2]}]}"#,
    );
    let columns = schema(&[("a", DataType::Int64)]);
    let rows = decode(&one_field("\"long\""), &columns, &records(&[[2_u8]])).rows;
    let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
    let encoded = encoder.encode(&rows).unwrap();
    assert_eq!(encoded.value(0), bytes_of("000204c3a904020400"));
}

#[test]
fn rows_that_do_not_fit_the_schema_are_refused() {
    let record = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"int"},{"name":"b","type":["null","string"],"default":null}]}"#;
    let cases = [
        (
            vec![("a", DataType::Int64)],
            "column \"a\" of source \"orders\" is a BIGINT, but its field in the Avro schema is \
             an int",
        ),
        (
            vec![("a", DataType::Int32), ("c", DataType::Int32)],
            "column \"c\" of source \"orders\" is not in its Avro schema",
        ),
        (
            vec![("b", DataType::Utf8View)],
            "field \"a\" of the Avro schema of source \"orders\" has no column and no default",
        ),
    ];
    for (columns, expected) in cases {
        let error = new_encoder(&avro(record), OWNER, &schema(&columns)).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Plan, expected));
    }
}

#[test]
fn a_value_that_its_field_cannot_hold_is_named() {
    let columns = schema(&[("a", DataType::Utf8View)]);
    let rows = |text: Option<&str>| {
        let values = arrow::array::StringViewArray::from(vec![Some("X"), text]);
        RecordBatch::try_new(Arc::clone(&columns), vec![Arc::new(values)]).unwrap()
    };
    let symbols = r#"{"type":"enum","name":"E","symbols":["X"]}"#;
    let mut encoder = new_encoder(&one_field(symbols), OWNER, &columns).unwrap();
    let error = encoder.encode(&rows(Some("Y"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    assert_eq!(
        error.message(),
        "source \"orders\" cannot write a value of column \"a\" as Avro: it is none of the symbols"
    );
    let error = encoder.encode(&rows(None)).unwrap_err();
    assert!(error.message().ends_with("it is NULL"), "{error}");
    assert_eq!(
        error.detail(),
        Some("Its field in the Avro schema is an enum.")
    );
    assert!(encoder.encode(&rows(Some("X"))).is_ok());
}

#[test]
fn large_values_and_many_records_are_rows() {
    let text = "x".repeat(10 * 1024 * 1024);
    let mut bytes = Vec::new();
    bytes.extend(bytes_of("8080800a"));
    bytes.extend(text.as_bytes());
    let columns = schema(&[("a", DataType::Utf8View)]);
    let decoded = decode(&one_field("\"string\""), &columns, &records(&[&bytes]));
    assert_eq!(
        decoded.rows.column(0).as_string_view().value(0).len(),
        text.len()
    );
    let many = schema(&[("a", DataType::Int64)]);
    let decoded = decode(
        &one_field("\"long\""),
        &many,
        &records(&vec![[2_u8]; 100_000]),
    );
    let sum: i64 = decoded
        .rows
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .iter()
        .sum();
    assert_eq!(sum, 100_000);
}
