//! JSON: what is a row, what is bad, and why.

use super::*;

fn one_column(data_type: DataType) -> SchemaRef {
    schema(&[("a", data_type)])
}

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let json = spec("json", &[]);
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_elsewhere = deep.replace("\"a\"", "\"z\"");
    let unclosed = format!("{{\"z\":{}", "[".repeat(10_000));
    let cases: Vec<(&[u8], &str)> = vec![
        (b"{\"a\":1}", "1"),
        (b" \r\n\t{ \"a\" : 1 } \n", "1"),
        (b"{}", "∅"),
        (b"{\"a\":null}", "∅"),
        (b"{\"b\":{\"a\":5}}", "∅"),
        (b"{\"A\":1}", "∅"),
        (b"{\"a\":1,\"a\":2}", "2"),
        (b"{\"a\":\"x\",\"a\":2}", "2"),
        (b"{\"a\":2,\"a\":null}", "∅"),
        (b"{\"\\u0061\":3}", "3"),
        (b"", "bad: empty value"),
        (b" \n", "bad: empty value"),
        (b"null", "bad: not a JSON object"),
        (b"[{\"a\":1}]", "bad: not a JSON object"),
        (b"\"a\"", "bad: not a JSON object"),
        (b"12", "bad: not a JSON object"),
        (b"abc", "bad: not JSON"),
        (b"{\"a\":1", "bad: not JSON"),
        (b"{\"a\":1,", "bad: not JSON"),
        (b"{\"a\":1,}", "bad: not JSON"),
        (b"{\"a\":1 \"b\":2}", "bad: not JSON"),
        (b"{,\"a\":1}", "bad: not JSON"),
        (b"{\"a\" 1}", "bad: not JSON"),
        (b"{\"b\":[1,,2],\"a\":1}", "bad: not JSON"),
        (b"{\"b\":1-2,\"a\":1}", "bad: not JSON"),
        (b"{\"b\":\"\n\",\"a\":1}", "bad: not JSON"),
        (b"{\"a\":NaN}", "bad: not JSON"),
        (b"{'a':1}", "bad: not JSON"),
        (b"{\"a\":1}{\"a\":2}", "bad: more after the JSON object"),
        (b"{\"a\":1}\n{\"a\":2}", "bad: more after the JSON object"),
        (b"{\"a\":1}}", "bad: more after the JSON object"),
        (b"{\"a\":1}\0", "bad: more after the JSON object"),
        (b"\0", "bad: not JSON"),
        (b"\xef\xbb\xbf{\"a\":1}", "bad: not JSON"),
        (b"{\"a\":1,\"b\":\"\xff\"}", "bad: not UTF-8"),
        (b"{\"b\":\"\xc3", "bad: not UTF-8"),
        (b"\xa9\"}", "bad: not UTF-8"),
        (deep.as_bytes(), "bad: column \"a\" is not a BIGINT"),
        (deep_elsewhere.as_bytes(), "∅"),
        (unclosed.as_bytes(), "bad: not JSON"),
        (b"{\"a\":7}", "7"),
    ];
    check(&json, &one_column(DataType::Int64), &cases);
}

#[test]
fn a_tombstone_is_bad() {
    let payloads: BinaryArray = [Some(&b"{\"a\":1}"[..]), None].into_iter().collect();
    let decoded = decode(&spec("json", &[]), &one_column(DataType::Int64), &payloads);
    assert_eq!(outcomes(&decoded), ["1", "bad: no value"]);
}

/// A column's type, its name with an article, and what becomes of values.
type TypeCases = (
    DataType,
    &'static str,
    &'static [(&'static str, &'static str)],
);

fn check_types(types: &[TypeCases]) {
    for (data_type, name, values) in types {
        let bad = format!("bad: column \"a\" is not {name}");
        let cases = values.iter().map(|(value, expected)| {
            let expected = if *expected == "bad" {
                bad.as_str()
            } else {
                expected
            };
            (format!("{{\"a\":{value}}}"), expected)
        });
        let cases: Vec<_> = cases.collect();
        check(&spec("json", &[]), &one_column(data_type.clone()), &cases);
    }
}

const INTEGERS: &[TypeCases] = &[
    (
        DataType::Int64,
        "a BIGINT",
        &[
            ("9223372036854775807", "9223372036854775807"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("2.0", "2"),
            ("1e3", "1000"),
            ("-0", "0"),
            ("9223372036854775808", "bad"),
            ("18446744073709551616", "bad"),
            ("1.5", "bad"),
            ("1e400", "bad"),
            ("\"1\"", "bad"),
            ("true", "bad"),
            ("{}", "bad"),
            ("[1]", "bad"),
        ],
    ),
    (
        DataType::Int32,
        "an INT",
        &[("2147483647", "2147483647"), ("2147483648", "bad")],
    ),
    (
        DataType::UInt64,
        "a BIGINT UNSIGNED",
        &[
            ("18446744073709551615", "18446744073709551615"),
            ("-1", "bad"),
        ],
    ),
];

const NUMBERS: &[TypeCases] = &[
    (
        DataType::Float64,
        "a DOUBLE",
        &[
            ("4.05", "4.05"),
            ("3", "3.0"),
            ("-0.0", "-0.0"),
            ("123456789012345678901234567890", "1.2345678901234568e29"),
            ("1e400", "bad"),
            ("\"NaN\"", "bad"),
            ("\"1\"", "bad"),
            ("false", "bad"),
        ],
    ),
    (
        DataType::Float32,
        "a FLOAT",
        &[("0.1", "0.1"), ("1e39", "bad")],
    ),
    (
        DataType::Decimal128(10, 2),
        "a DECIMAL(10,2)",
        &[
            ("12.34", "12.34"),
            ("\"-12.345\"", "-12.35"),
            ("1e7", "10000000.00"),
            ("1e8", "bad"),
            ("1111111111111111111111111111111111111111", "bad"),
            ("\"x\"", "bad"),
        ],
    ),
];

const TEXTS: &[TypeCases] = &[
    (
        DataType::Boolean,
        "a BOOLEAN",
        &[
            ("true", "true"),
            ("false", "false"),
            ("1", "bad"),
            ("\"true\"", "bad"),
        ],
    ),
    (
        DataType::Utf8View,
        "a VARCHAR",
        &[
            ("\"x\"", "x"),
            ("\"\"", ""),
            ("\"\\u00e9\\n\\\"\"", "é\n\""),
            (
                "\"longer than twelve bytes \\u00e9\"",
                "longer than twelve bytes é",
            ),
            ("\"\\ud800\"", "bad"),
            ("1", "bad"),
            ("true", "bad"),
            ("{\"x\":1}", "bad"),
        ],
    ),
    (
        DataType::BinaryView,
        "a BYTEA",
        &[("\"00ff\"", "00ff"), ("\"0\"", "bad"), ("\"xy\"", "bad")],
    ),
    (
        DataType::Date32,
        "a DATE",
        &[
            ("\"2026-02-28\"", "2026-02-28"),
            ("\"2026-02-29\"", "bad"),
            ("20500", "bad"),
        ],
    ),
    (
        DataType::Timestamp(TimeUnit::Microsecond, None),
        "a TIMESTAMP",
        &[
            ("\"2026-01-01T00:00:00.123Z\"", "2026-01-01T00:00:00.123"),
            ("\"2026-01-01 01:00:00+01:00\"", "2026-01-01T00:00:00"),
            ("\"2026-01-01T24:00:00Z\"", "bad"),
            ("\"1767225600\"", "bad"),
            ("1767225600", "bad"),
        ],
    ),
];

#[test]
fn a_value_must_be_of_its_columns_type() {
    check_types(INTEGERS);
    check_types(NUMBERS);
    check_types(TEXTS);
}

#[test]
fn numbers_are_times_in_the_declared_unit() {
    let cases = [
        ("{\"a\":1767225600123}", "2026-01-01T00:00:00.123"),
        ("{\"a\":-1}", "1969-12-31T23:59:59.999"),
        ("{\"a\":0}", "1970-01-01T00:00:00"),
        ("{\"a\":\"2026-01-01\"}", "2026-01-01T00:00:00"),
        (
            "{\"a\":1767225600123000}",
            "bad: column \"a\" is not a TIMESTAMP",
        ),
        (
            "{\"a\":9223372036854775807}",
            "bad: column \"a\" is not a TIMESTAMP",
        ),
        (
            "{\"a\":-9223372036854775808}",
            "bad: column \"a\" is not a TIMESTAMP",
        ),
    ];
    check(
        &spec("json", &[("timestamp.unit", "ms")]),
        &one_column(micros()),
        &cases,
    );
}

#[test]
fn nested_values_are_decoded_or_bad_as_a_whole() {
    let list = DataType::new_list(micros(), true);
    let key = Field::new("key", DataType::Utf8View, false);
    let value = Field::new("value", list.clone(), true);
    let entries = Field::new_struct("entries", vec![key, value], false);
    let inner = Fields::from(vec![
        Field::new("x", DataType::Int32, false),
        Field::new("y", list.clone(), true),
    ]);
    let schema = schema(&[
        ("s", DataType::Struct(inner)),
        ("l", list),
        ("m", DataType::Map(Arc::new(entries), false)),
    ]);
    let day = "2026-01-01T00:00:00";
    let full = format!("{{x: 1, y: [{day}]}}|[{day}, ∅]|{{k: [], é: ∅}}");
    let cases = [
        (
            "{\"s\":{\"y\":[\"2026-01-01\"],\"x\":1,\"z\":0},\"l\":[\"2026-01-01\",null],\"m\":{\"k\":1,\"\\u00e9\":null,\"k\":[]}}",
            full.as_str(),
        ),
        ("{\"s\":{\"x\":1},\"l\":[],\"m\":{}}", "{x: 1, y: ∅}|[]|{}"),
        ("{}", "∅|∅|∅"),
        ("{\"s\":{}}", "bad: column \"s\" is not a STRUCT"),
        (
            "{\"s\":{\"x\":1,\"y\":[1]}}",
            "bad: column \"s\" is not a STRUCT",
        ),
        ("{\"s\":[]}", "bad: column \"s\" is not a STRUCT"),
        (
            "{\"l\":[\"2026-01-01\",[]]}",
            "bad: column \"l\" is not an ARRAY",
        ),
        ("{\"l\":{}}", "bad: column \"l\" is not an ARRAY"),
        ("{\"m\":{\"k\":[\"x\"]}}", "bad: column \"m\" is not a MAP"),
        ("{\"m\":{\"\\ud800\":[]}}", "bad: column \"m\" is not a MAP"),
        ("{\"l\":[ \"2026-01-01\" ]}", "∅|[2026-01-01T00:00:00]|∅"),
    ];
    check(&spec("json", &[]), &schema, &cases);
}

#[test]
fn a_column_that_is_not_null_needs_a_value() {
    let field = Field::new("a", DataType::Int64, false);
    let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
    let cases = [
        ("{\"a\":1}", "1"),
        ("{}", "bad: column \"a\" has no value"),
        ("{\"a\":null}", "bad: column \"a\" has no value"),
        ("{\"a\":\"x\"}", "bad: column \"a\" is not a BIGINT"),
    ];
    check(&spec("json", &[]), &schema, &cases);
}

#[test]
fn large_records_are_records() {
    let long = "x".repeat(10 << 20);
    let many: Vec<_> = (0..100_000).map(|i| format!("\"k{i}\":{i}")).collect();
    let record = format!("{{\"s\":\"{long}\",{},\"a\":5}}", many.join(","));
    let schema = schema(&[("a", DataType::Int64), ("s", DataType::Utf8View)]);
    let decoded = decode(&spec("json", &[]), &schema, &records(&[record]));
    assert_eq!(rows_as_text(&decoded.rows), [format!("5|{long}")]);
}

#[test]
fn what_is_not_wanted_is_not_looked_at() {
    let schema = schema(&[("a", DataType::Int64), ("b", DataType::Int64)]);
    let payloads = records(&["{\"a\":\"x\",\"b\":1}", "{\"b\":\"x\",\"a\":1}", "{\"a\":"]);
    let mut decoder = new_decoder(&spec("json", &[]), OWNER, &schema, &[1]).unwrap();
    let decoded = decoder.decode(&payloads).unwrap();
    assert_eq!(
        outcomes(&decoded),
        ["1", "bad: column \"b\" is not a BIGINT", "bad: not JSON"]
    );
    let mut decoder = new_decoder(&spec("json", &[]), OWNER, &schema, &[]).unwrap();
    let decoded = decoder.decode(&payloads).unwrap();
    assert_eq!(decoded.rows.num_rows(), 2);
    assert_eq!(outcomes(&decoded), ["", "", "bad: not JSON"]);
}

#[test]
fn what_was_found_is_shown() {
    let payloads = records(&["{\"a\":\"x\\ny\u{1b}\"}", "{\"a\":\"x\u{7f}\"}"]);
    let decoded = decode(&spec("json", &[]), &one_column(DataType::Int64), &payloads);
    let details: Vec<_> = decoded.bad.iter().map(|b| b.detail.as_str()).collect();
    assert_eq!(details, ["{\"a\":\"x\\ny\\u{1b}\"}", "\"x\\u{7f}\""]);
}
