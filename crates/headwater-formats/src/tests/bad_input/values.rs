//! Single values in columns of every type.
//!
//! A table has a line per value and a column per type. `bad` in it is the reason that the column is
//! not of its type; any other is written out.

use super::*;

/// The types, as they are headed.
fn types() -> Vec<(&'static str, DataType)> {
    vec![
        ("BOOLEAN", DataType::Boolean),
        ("TINYINT", DataType::Int8),
        ("BIGINT", DataType::Int64),
        ("UBIGINT", DataType::UInt64),
        ("REAL", DataType::Float32),
        ("DOUBLE", DataType::Float64),
        ("DECIMAL(38,2)", DataType::Decimal128(38, 2)),
        ("VARCHAR", DataType::Utf8View),
        ("DATE", DataType::Date32),
        ("TIME", DataType::Time64(TimeUnit::Microsecond)),
        ("TIMESTAMP", micros()),
        (
            "TIMESTAMP(9)",
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ),
        ("MAP(BIGINT)", map_of(DataType::Int64)),
    ]
}

/// What is written as it is: numbers, and what some take for numbers or literals.
const BARE: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0",
    "-0.0",
    "2.0",
    "1.5",
    "127",
    "128",
    "300",
    "1e3",
    "1E+2",
    "25e-1",
    "1e400",
    "-1e400",
    "1e-400",
    "3.5e38",
    "1.005",
    "0.1",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1234567890123456789012345678901234567890",
    "123456789012345678901234567890123456.78",
    "0.1234567890123456789012345678901234567890",
    "1e2147483648",
    "1e-9223372036854775809",
    "01",
    "+1",
    ".5",
    "1.",
    "1e",
    "--1",
    "-",
    "0x10",
    "1_000",
    "1,5",
    "1i",
    "1u",
    "NaN",
    "nan",
    "Infinity",
    "-Infinity",
    "inf",
    "true",
    "false",
    "TRUE",
    "True",
    "t",
    "yes",
    "null",
    "NULL",
    "None",
    "\\N",
    "{}",
    "[]",
    "[1]",
    r#"{"x":1}"#,
];

/// Objects, which are maps if all their values fit.
const OBJECTS: &[&str] = &[
    "{}",
    "{ }",
    r#"{"x":1}"#,
    r#"{ "x" : 1 , "" : null }"#,
    r#"{"x":null}"#,
    r#"{"x":1,"y":2,"x":3}"#,
    r#"{"x":"1","x":3}"#,
    r#"{"x":3,"x":"1"}"#,
    r#"{"x":1.0}"#,
    r#"{"x":1.5}"#,
    r#"{"x":"1"}"#,
    r#"{"x":true}"#,
    r#"{"x":{}}"#,
    r#"{"x":[1]}"#,
    r#"{"x":9223372036854775808}"#,
    r#"{"\u0078":1}"#,
    r#"{"\ud800":1}"#,
    r#"{"x\u0000":1}"#,
    r#"{x:1}"#,
    r#"{"x":1,}"#,
    r#"{"x"}"#,
    r#"{"x":1"#,
    r#"[{"x":1}]"#,
    r#"[["x",1]]"#,
    r#"[{"key":"x","value":1}]"#,
    r#""{\"x\":1}""#,
];

/// Dates and times, which are texts, and texts that only look like something.
const TEXTS: &[&str] = &[
    "",
    " ",
    "x",
    "1",
    " 1 ",
    "1.5",
    "1e3",
    "1e400",
    "NaN",
    "true",
    "null",
    "é",
    "=1+1",
    "-0.0",
    "12345678901234567890123456789012345678.12",
    "0",
    "1767225600",
    "1767225600000",
    "1767225600000000",
    "1767225600000000000",
    "2026-01-01",
    "2026-1-1",
    "20260101",
    "01/02/2026",
    "2026-02-29",
    "2024-02-29",
    "2026-13-01",
    "2026-00-00",
    "2026-01-01T00:00:00",
    "2026-01-01 00:00:00",
    "2026-01-01t00:00:00z",
    "2026-01-01T00:00",
    "2026-01-01T00",
    "2026-01-01T00:00:00Z",
    "2026-01-01T00:00:00+02:00",
    "2026-01-01T00:00:00+0200",
    "2026-01-01T00:00:00+02",
    "2026-01-01T00:00:00-24:00",
    "2026-01-01T00:00:00 UTC",
    "2026-01-01T00:00:00[Europe/Berlin]",
    "2026-01-01T00:00:00.1",
    "2026-01-01T00:00:00.123456789",
    "2026-01-01T00:00:00.1234567899",
    "2026-01-01T00:00:00,5",
    "2026-01-01T23:59:60",
    "2016-12-31T23:59:60Z",
    "2026-01-01T24:00:00",
    "2026-01-01T24:00",
    "24:00",
    "2026-01-01T25:00:00",
    "2026-01-01T00:60:00",
    "2026-01-01T00:00:61",
    "1582-10-04",
    "1582-10-10",
    "1582-10-10T00:00:00",
    "1969-12-31T23:59:59.999999999",
    "0000-01-01",
    "0001-01-01T00:00:00",
    "-0001-01-01",
    "-0001-01-01T00:00:00",
    "1677-09-21T00:12:43",
    "2262-04-11T23:47:17",
    "9999-12-31",
    "9999-12-31T23:59:59.999999",
    "10000-01-01",
    "+10000-01-01",
    "10000-01-01T00:00:00",
    "+10000-01-01T00:00:00Z",
    "294247-01-10T04:00:54.775807",
    "+294247-01-10T04:00:54.775808",
    "99999999999-01-01",
    "2026-01-01T00:00:00Z\0",
];

/// Numbers that are times, by their unit.
const NUMBERS_OF_TIME: &[&str] = &[
    "0",
    "1",
    "-1",
    "1.5",
    "1767225600",
    "1767225600000",
    "1767225600000000",
    "1767225600000000000",
    "253402300800",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "1e3",
    "1e300",
    "-0",
];

/// A table of values by types; `payload` makes the record of a value.
fn table(
    format: &FormatSpec,
    types: &[(&str, DataType)],
    values: &[&str],
    payload: impl Fn(&str) -> Vec<u8>,
) -> String {
    let payloads: Vec<_> = values.iter().map(|value| payload(value)).collect();
    let payloads = records(&payloads);
    let mut lines = vec![vec!["value".to_string()]];
    lines.extend(values.iter().map(|value| vec![shown(value.as_bytes())]));
    for (heading, data_type) in types {
        let columns = schema(&[("a", data_type.clone())]);
        if crate::check_format(format, OWNER, &columns).is_err() {
            continue;
        }
        let outcomes = outcomes_of(format, &columns, &payloads);
        lines[0].push((*heading).to_string());
        for (line, outcome) in lines[1..].iter_mut().zip(outcomes) {
            let of_type = outcome.starts_with("bad: column \"a\" is not a");
            line.push(if of_type {
                "bad".to_string()
            } else {
                shortened(&outcome)
            });
        }
    }
    aligned(&lines)
}

fn aligned(lines: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let widths = lines.iter().map(|line| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in lines {
        let cells = line.iter().zip(&widths);
        let cells: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        let _ = writeln!(text, "{}", cells.join(" │ ").trim_end());
    }
    text
}

/// Tables under their titles.
fn document(tables: &[(&str, String)]) -> String {
    let parts: Vec<_> = tables
        .iter()
        .map(|(title, table)| format!("# {title}\n\n{table}"))
        .collect();
    parts.join("\n")
}

fn times() -> Vec<(&'static str, DataType)> {
    let times = types().into_iter();
    times
        .filter(|(name, _)| name.starts_with("TIME") || *name == "DATE")
        .collect()
}

fn quoted(value: &str) -> String {
    serde_json::to_string(value).unwrap()
}

fn member(value: &str) -> Vec<u8> {
    format!("{{\"a\":{value}}}").into_bytes()
}

fn event(value: &str) -> Vec<u8> {
    format!("{{\"op\":\"c\",\"after\":{{\"a\":{value}}}}}").into_bytes()
}

fn with_unit(format: &str, unit: &str) -> FormatSpec {
    spec(format, &[("timestamp.unit", unit)])
}

/// JSON, and Debezium, which reads its rows as JSON does.
#[test]
fn values_of_json() {
    let tables = |format: &str, payload: fn(&str) -> Vec<u8>| {
        let plain = spec(format, &[]);
        let text = |value: &str| payload(&quoted(value));
        let units = |unit| table(&with_unit(format, unit), &times(), NUMBERS_OF_TIME, payload);
        document(&[
            ("As they are", table(&plain, &types(), BARE, payload)),
            ("Texts", table(&plain, &types(), TEXTS, text)),
            ("Objects", table(&plain, &types(), OBJECTS, payload)),
            ("Numbers of timestamp.unit s", units("s")),
            ("Numbers of timestamp.unit ms", units("ms")),
            ("Numbers of timestamp.unit us", units("us")),
            ("Numbers of timestamp.unit ns", units("ns")),
        ])
    };
    let text = tables("json", member);
    expect_file!["values_json.txt"].assert_eq(&text);
    assert_eq!(tables("debezium-json", event), text);
}

#[test]
fn values_of_csv() {
    let plain = spec("csv", &[]);
    // A second field, so that no line is empty.
    let plain_types = types();
    let bare = |value: &str| value.as_bytes().to_vec();
    let text = |value: &str| format!("\"{}\"", value.replace('"', "\"\"")).into_bytes();
    let units = |unit| table(&with_unit("csv", unit), &times(), NUMBERS_OF_TIME, bare);
    let text = document(&[
        ("As they are", table(&plain, &plain_types, BARE, bare)),
        (
            "Dates and times, as they are",
            table(&plain, &plain_types, TEXTS, bare),
        ),
        ("In quotes", table(&plain, &plain_types, TEXTS, text)),
        ("Numbers of timestamp.unit s", units("s")),
        ("Numbers of timestamp.unit ms", units("ms")),
        ("Numbers of timestamp.unit us", units("us")),
        ("Numbers of timestamp.unit ns", units("ns")),
    ]);
    expect_file!["values_csv.txt"].assert_eq(&text);
}

#[test]
fn values_of_influx() {
    let plain = spec("influx", &[]);
    let field = |value: &str| format!("m a={value}").into_bytes();
    let text = |value: &str| {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        format!("m a=\"{value}\"").into_bytes()
    };
    let tag = |value: &str| {
        let value = value.replace(' ', "\\ ").replace(',', "\\,");
        format!("m,a={value} f=1").into_bytes()
    };
    let time = |value: &str| format!("m f=1 {value}").into_bytes();
    let precision = |unit| {
        let options = [("time", "a"), ("precision", unit)];
        table(
            &spec("influx", &options),
            &times()[1..],
            NUMBERS_OF_TIME,
            time,
        )
    };
    let text = document(&[
        ("Fields, as they are", table(&plain, &types(), BARE, field)),
        ("Fields in quotes", table(&plain, &types(), TEXTS, text)),
        ("Tags", table(&plain, &types(), BARE, tag)),
        ("Tags that are texts", table(&plain, &types(), TEXTS, tag)),
        ("The line's time, precision s", precision("s")),
        ("The line's time, precision ms", precision("ms")),
        ("The line's time, precision us", precision("us")),
        ("The line's time, precision ns", precision("ns")),
    ]);
    expect_file!["values_influx.txt"].assert_eq(&text);
}

/// Edges of the numbers of a varint, by name.
fn integers() -> Vec<(&'static str, i64)> {
    vec![
        ("0", 0),
        ("1", 1),
        ("-1", -1),
        ("127", 127),
        ("128", 128),
        ("2^31-1", i64::from(i32::MAX)),
        ("2^31", 1 << 31),
        ("-2^31-1", i64::from(i32::MIN) - 1),
        ("2^53+1", (1 << 53) + 1),
        ("1767225600000", 1_767_225_600_000),
        ("253402300800000", 253_402_300_800_000),
        ("i64::MAX", i64::MAX),
        ("i64::MIN", i64::MIN),
    ]
}

fn doubles() -> Vec<(&'static str, f64)> {
    vec![
        ("-0.0", -0.0),
        ("1.5", 1.5),
        ("3.5e38", 3.5e38),
        ("1e-46", 1e-46),
        ("f64::MAX", f64::MAX),
        ("5e-324", 5e-324),
        ("NaN", f64::NAN),
        ("Infinity", f64::INFINITY),
        ("-Infinity", f64::NEG_INFINITY),
    ]
}

/// The line of a value in each type of column that the format gives it to.
fn binary_table(format: &FormatSpec, values: &[(&str, Vec<u8>)]) -> String {
    let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
    let payload = |name: &str| {
        let value = values.iter().find(|(other, _)| *other == name);
        value.unwrap().1.clone()
    };
    table(format, &types(), &names, payload)
}

pub(super) fn varint(number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

fn zigzag(number: i64) -> Vec<u8> {
    varint(((number << 1) ^ (number >> 63)).cast_unsigned())
}

#[test]
fn values_of_avro() {
    let field = |avro_type: &str| {
        let schema = format!(
            r#"{{"type":"record","name":"R","fields":[{{"name":"a","type":{avro_type}}}]}}"#
        );
        spec("avro", &[("schema", &schema)])
    };
    let longs: Vec<_> = integers().iter().map(|(n, v)| (*n, zigzag(*v))).collect();
    let of_doubles: Vec<_> = doubles()
        .iter()
        .map(|(n, v)| (*n, v.to_le_bytes().to_vec()))
        .collect();
    let logical = |name: &str| {
        let format = field(&format!(r#"{{"type":"long","logicalType":"{name}"}}"#));
        binary_table(&format, &longs)
    };
    let decimal =
        |bytes: &[u8]| [zigzag(i64::try_from(bytes.len()).unwrap()), bytes.to_vec()].concat();
    let decimals = vec![
        ("no bytes", decimal(b"")),
        ("-1", decimal(b"\xff")),
        ("16 bytes, largest", decimal(&i128::MAX.to_be_bytes())),
        ("17 bytes of zero", decimal(&[0; 17])),
        ("17 bytes, 2^128", decimal(&[&[1][..], &[0; 16]].concat())),
        ("1000 bytes of 0xff", decimal(&[0xff; 1000])),
    ];
    let map = field(r#"{"type":"map","values":["null","long"]}"#);
    let maps: Vec<(&str, &[u8])> = vec![
        ("no entries", b"\x00"),
        ("x: 1", b"\x02\x02x\x02\x02\x00"),
        ("x: null", b"\x02\x02x\x00\x00"),
        ("a block with its size", b"\x01\x08\x02x\x02\x02\x00"),
        ("two blocks", b"\x02\x02x\x02\x02\x02\x02y\x02\x04\x00"),
        ("x twice", b"\x04\x02x\x02\x02\x02x\x02\x04\x00"),
        ("a key that is not UTF-8", b"\x02\x02\xff\x02\x02\x00"),
        ("no branch", b"\x02\x02x\x04\x02\x00"),
        ("without an end", b"\x02\x02x\x02\x02"),
        (
            "2^62 entries",
            b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02x\x02\x02\x00",
        ),
    ];
    let maps: Vec<_> = maps.iter().map(|(n, bytes)| (*n, bytes.to_vec())).collect();
    let date = field(r#"{"type":"int","logicalType":"date"}"#);
    let time = field(r#"{"type":"int","logicalType":"time-millis"}"#);
    let decimal_type =
        field(r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}"#);
    let text = document(&[
        ("int", binary_table(&field("\"int\""), &longs)),
        ("long", binary_table(&field("\"long\""), &longs)),
        ("double", binary_table(&field("\"double\""), &of_doubles)),
        ("map", binary_table(&map, &maps)),
        ("decimal", binary_table(&decimal_type, &decimals)),
        ("date", binary_table(&date, &longs)),
        ("time-millis", binary_table(&time, &longs)),
        ("timestamp-millis", logical("timestamp-millis")),
        ("timestamp-micros", logical("timestamp-micros")),
        ("timestamp-nanos", logical("timestamp-nanos")),
    ]);
    expect_file!["values_avro.txt"].assert_eq(&text);
}

/// MessagePack of every kind, and the same values in other lengths.
fn packed_values() -> Vec<(&'static str, Vec<u8>)> {
    let double = |value: f64| [&[0xcb], value.to_be_bytes().as_slice()].concat();
    let int = |value: i64| [&[0xd3], value.to_be_bytes().as_slice()].concat();
    let mut values: Vec<_> = integers().iter().map(|(n, v)| (*n, int(*v))).collect();
    values.extend(doubles().iter().map(|(n, v)| (*n, double(*v))));
    let written: [(&str, &[u8]); 24] = [
        ("nil", b"\xc0"),
        ("true", b"\xc3"),
        ("fixint 7", b"\x07"),
        ("uint 2^64-1", b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("double 2.0", b"\xcb\x40\x00\x00\x00\x00\x00\x00\x00"),
        ("float 0.1", b"\xca\x3d\xcc\xcc\xcd"),
        ("str 1.5", b"\xa31.5"),
        ("str 2026-01-01", b"\xaa2026-01-01"),
        ("str of no UTF-8", b"\xa1\xff"),
        ("str 00fF", b"\xa400fF"),
        ("bin 0x61", b"\xc4\x01a"),
        ("bin 0xff", b"\xc4\x01\xff"),
        ("ext -1, 4 bytes", b"\xd6\xff\x69\x55\xb9\x00"),
        ("ext -1, 3 bytes", b"\xc7\x03\xff\x00\x00\x00"),
        (
            "ext -1, 10^9 ns",
            b"\xc7\x0c\xff\x3b\x9a\xca\x00\x00\x00\x00\x00\x00\x00\x00\x00",
        ),
        (
            "ext -1, year 10000",
            b"\xc7\x0c\xff\x00\x00\x00\x00\x00\x00\x00\x3a\xff\xf4\x41\x80",
        ),
        ("ext 1", b"\xd4\x01\x00"),
        ("array of 1", b"\x91\x01"),
        ("map x: 1", b"\x81\xa1x\x01"),
        ("map x: nil, x: 2", b"\x82\xa1x\xc0\xa1x\x02"),
        ("map 1: 1", b"\x81\x01\x01"),
        ("map x: str", b"\x81\xa1x\xa1y"),
        ("0xc1", b"\xc1"),
        ("str cut short", b"\xa5x"),
    ];
    values.extend(written.iter().map(|(name, bytes)| (*name, bytes.to_vec())));
    values
}

#[test]
fn values_of_msgpack() {
    let mut types = types();
    types.push(("BYTEA", DataType::Binary));
    let values = packed_values();
    let names: Vec<_> = values.iter().map(|(name, _)| *name).collect();
    let payload = |name: &str| {
        let value = values.iter().find(|(other, _)| *other == name);
        [b"\x81\xa1a", value.unwrap().1.as_slice()].concat()
    };
    let millis = with_unit("msgpack", "ms");
    let text = document(&[
        (
            "As they are",
            table(&spec("msgpack", &[]), &types, &names, payload),
        ),
        (
            "Numbers of timestamp.unit ms",
            table(&millis, &times(), &names, payload),
        ),
    ]);
    expect_file!["values_msgpack.txt"].assert_eq(&text);
}

/// Fields that are maps of texts to numbers, good and bad.
fn maps_of_protobuf() -> Vec<(&'static str, Vec<u8>)> {
    let entry = |bytes: &[u8]| {
        [
            vec![0x0a, u8::try_from(bytes.len()).unwrap()],
            bytes.to_vec(),
        ]
        .concat()
    };
    vec![
        ("no entries", vec![]),
        ("x: 1", entry(b"\x0a\x01x\x10\x01")),
        ("the value first", entry(b"\x10\x01\x0a\x01x")),
        ("an entry without parts", entry(b"")),
        (
            "x twice",
            [entry(b"\x0a\x01x\x10\x01"), entry(b"\x0a\x01x\x10\x02")].concat(),
        ),
        ("a key that is not UTF-8", entry(b"\x0a\x01\xff\x10\x01")),
        ("a number as the key", entry(b"\x08\x01\x10\x01")),
        ("a text as the value", entry(b"\x0a\x01x\x12\x01x")),
        ("a broken entry", entry(b"\x0a\x05x")),
        ("a number in its place", vec![0x08, 1]),
    ]
}

#[test]
fn values_of_protobuf() {
    let message = |field: &str| {
        let imports = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; enum E { ZERO = 0; ONE = 1; }"#;
        spec(
            "protobuf",
            &[(
                "schema",
                &format!("{imports} message R {{ {field} a = 1; }}"),
            )],
        )
    };
    let varints: Vec<_> = integers()
        .iter()
        .map(|(name, value)| (*name, [vec![0x08], varint(value.cast_unsigned())].concat()))
        .collect();
    let of_doubles: Vec<_> = doubles()
        .iter()
        .map(|(name, value)| (*name, [&[0x09][..], &value.to_le_bytes()].concat()))
        .collect();
    // A message of seconds; and one of a second and nanoseconds.
    let nested = |inner: Vec<u8>| [vec![0x0a, u8::try_from(inner.len()).unwrap()], inner].concat();
    let part = |tag: u8, value: i64| [vec![tag], varint(value.cast_unsigned())].concat();
    let mut seconds: Vec<_> = integers()
        .iter()
        .map(|(name, value)| (*name, nested(part(0x08, *value))))
        .collect();
    for (name, nanos) in [
        ("1 ns", 1),
        ("-1 ns", -1),
        ("10^9 ns", 1_000_000_000),
        ("2^31-1 ns", i64::from(i32::MAX)),
    ] {
        seconds.push((name, nested(part(0x10, nanos))));
    }
    let maps = maps_of_protobuf();
    let text = document(&[
        (
            "map<string, int64>",
            binary_table(&message("map<string, int64>"), &maps),
        ),
        (
            "map<int32, int64>",
            binary_table(&message("map<int32, int64>"), &maps),
        ),
        ("int32", binary_table(&message("int32"), &varints)),
        ("int64", binary_table(&message("int64"), &varints)),
        ("uint64", binary_table(&message("uint64"), &varints)),
        ("sint64", binary_table(&message("sint64"), &varints)),
        ("bool", binary_table(&message("bool"), &varints)),
        ("enum", binary_table(&message("E"), &varints)),
        ("double", binary_table(&message("double"), &of_doubles)),
        (
            "Timestamp",
            binary_table(&message("google.protobuf.Timestamp"), &seconds),
        ),
        (
            "Duration",
            binary_table(&message("google.protobuf.Duration"), &seconds),
        ),
    ]);
    expect_file!["values_protobuf.txt"].assert_eq(&text);
}

/// RAW and TEXT look into nothing: what is UTF-8 comes out as it went in.
#[test]
fn values_of_raw_and_text() {
    for value in BARE.iter().chain(TEXTS) {
        let columns = schema(&[("a", DataType::Utf8View)]);
        for format in ["raw", "text"] {
            let outcome = outcomes_of(&spec(format, &[]), &columns, &records(&[value]));
            assert_eq!(outcome, [*value]);
        }
    }
}
