//! INFLUX: what is a row, what is bad, and why.

use headwater_core::ErrorKind;

use super::*;
use crate::{check_format, new_encoder};

const NO_TYPE: &str = "bad: a field value that is no number, boolean or text in quotes";
const NO_TAG_VALUE: &str = "bad: a tag without a value, or with an equals sign in it";
const NO_TAG_KEY: &str = "bad: a tag without a key or an equals sign";
const NO_FIELD_KEY: &str = "bad: a field without a key or an equals sign";
const TWO_LINES: &str = "bad: more than one line, where every line needs a record of its own";

fn influx() -> FormatSpec {
    spec("influx", &[])
}

/// Measurement, a tag, a field, the time.
fn cpu() -> SchemaRef {
    schema(&[
        ("measurement", DataType::Utf8View),
        ("host", DataType::Utf8View),
        ("idle", DataType::Float64),
        ("time", micros()),
    ])
}

fn one_column(data_type: DataType) -> SchemaRef {
    schema(&[("a", data_type)])
}

#[test]
fn a_line_is_a_row() {
    let cases = [
        (
            "cpu,cpu=cpu-total,host=ip-10 idle=93.4,iowait=0,n=4i 1626600024000001000\n",
            "cpu|ip-10|93.4|2021-07-18T09:20:24.000001",
        ),
        ("cpu idle=1", "cpu|∅|1.0|∅"),
        ("cpu idle=1i -1", "cpu|∅|1.0|1969-12-31T23:59:59.999999"),
        ("cpu,host=a idle=1 0", "cpu|a|1.0|1970-01-01T00:00:00"),
        (
            "  cpu,host=a   idle=1   0  \r\n",
            "cpu|a|1.0|1970-01-01T00:00:00",
        ),
        ("cpu idle=1\r", "cpu|∅|1.0|∅"),
        ("mem,host=b used=5i 0", "mem|b|∅|1970-01-01T00:00:00"),
        (
            "\n# a comment\n \r\ncpu idle=1\n\n# another\n",
            "cpu|∅|1.0|∅",
        ),
        // InfluxDB tells a tag from a field of the same name; here the field comes last.
        ("cpu,idle=7 other=1", "cpu|∅|7.0|∅"),
        ("cpu,idle=7 idle=8", "cpu|∅|8.0|∅"),
        ("cpu,host=a,host=b idle=1,idle=2", "cpu|b|2.0|∅"),
        ("cpu,time=5,measurement=6 idle=1", "cpu|∅|1.0|∅"),
        ("cpu,Host=a Idle=1", "cpu|∅|∅|∅"),
        ("cpu=1,host=a idle=1", "cpu=1|a|1.0|∅"),
        ("t\tb\0 idle=1", "t\tb\0|∅|1.0|∅"),
    ];
    check(&influx(), &cpu(), &cases);
}

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let cases: Vec<(&[u8], &str)> = vec![
        (b"cpu idle=1", "cpu|∅|1.0|∅"),
        (b"", "bad: empty value"),
        (b" \r\n\t", "bad: empty value"),
        (b"# cpu idle=1", "bad: nothing but comments"),
        (b"\n#\n# x\n", "bad: nothing but comments"),
        (b",host=a idle=1", "bad: no measurement"),
        (b"cpu", "bad: no fields"),
        (b"cpu ", "bad: no fields"),
        (b"cpu,host=a", "bad: no fields"),
        (b"cpu,host=a \n", "bad: no fields"),
        (b"cpu,host=a\nidle=1", "bad: no fields"),
        (b"cpu, idle=1", NO_TAG_KEY),
        (b"cpu,host idle=1", NO_TAG_KEY),
        (b"cpu,=a idle=1", NO_TAG_KEY),
        (b"cpu,,host=a idle=1", NO_TAG_KEY),
        (b"cpu,host= idle=1", NO_TAG_VALUE),
        (b"cpu,host=,b=c idle=1", NO_TAG_VALUE),
        (b"cpu,host=a=b idle=1", NO_TAG_VALUE),
        (b"cpu 1626600024", NO_FIELD_KEY),
        (b"cpu =1", NO_FIELD_KEY),
        (b"cpu idle=1,", NO_FIELD_KEY),
        (b"cpu idle=1, iowait=2", NO_FIELD_KEY),
        (b"cpu idle=", "bad: a field without a value"),
        (b"cpu idle=,b=1", "bad: a field without a value"),
        (b"cpu idle= 1", "bad: a field without a value"),
        (b"cpu x=abc", NO_TYPE),
        (b"cpu x=1=2", NO_TYPE),
        (b"cpu x=1.5i", NO_TYPE),
        (b"cpu x=+1", NO_TYPE),
        (b"cpu x=NaN", NO_TYPE),
        (b"cpu x=tRUE", NO_TYPE),
        (b"cpu x='a'", NO_TYPE),
        (b"cpu x=a\"b\"", NO_TYPE),
        (b"cpu x=\"a", "bad: quote not closed"),
        (b"cpu x=\"a\\\"", "bad: quote not closed"),
        (b"cpu x=\"a\"b", "bad: more after a closing quote"),
        (b"cpu x=\"a\"\"b\"", "bad: more after a closing quote"),
        (b"cpu idle=1 now", "bad: a time that is no whole number"),
        (b"cpu idle=1 1.5", "bad: a time that is no whole number"),
        (b"cpu idle=1 1i", "bad: a time that is no whole number"),
        (b"cpu idle=1 +1", "bad: a time that is no whole number"),
        (b"cpu idle=1 -", "bad: a time that is no whole number"),
        (b"cpu idle=1 1 2", "bad: more after the time"),
        (b"cpu idle=1 1,2", "bad: more after the time"),
        (b"cpu idle=1 1\ncpu idle=2 2\n", TWO_LINES),
        (b"cpu idle=1\r\ncpu idle=2\r\n", TWO_LINES),
        (b"cpu idle=1\n# then\nnonsense", TWO_LINES),
        (
            b"\xef\xbb\xbfcpu idle=1",
            "bad: a byte order mark before the line",
        ),
        (b"cpu,host=\xff idle=1", "bad: not UTF-8"),
        (b"cpu idle=\"\xc3", "bad: not UTF-8"),
        (b"cpu idle=x,", NO_TYPE),
        (b"cpu idle=\"1\"", "bad: column \"idle\" is not a DOUBLE"),
    ];
    check(&influx(), &cpu(), &cases);
}

#[test]
fn a_tombstone_is_bad() {
    let payloads: BinaryArray = [Some(&b"cpu idle=1"[..]), None].into_iter().collect();
    let decoded = decode(&influx(), &cpu(), &payloads);
    assert_eq!(outcomes(&decoded), ["cpu|∅|1.0|∅", "bad: no value"]);
}

#[test]
fn a_backslash_takes_the_end_of_an_element_literally() {
    let schema = schema(&[
        ("measurement", DataType::Utf8View),
        ("a b", DataType::Utf8View),
        ("c,d", DataType::Utf8View),
        ("e=f", DataType::Utf8View),
    ]);
    let cases = [
        ("a\\,b\\ c x=1", "a,b c|∅|∅|∅"),
        // An equals sign has no meaning in a measurement, so that its backslash stays.
        ("a\\=b=c x=1", "a\\=b=c|∅|∅|∅"),
        ("a\\\\b\\x x=1", "a\\\\b\\x|∅|∅|∅"),
        ("m,a\\ b=1\\ 2,c\\,d=3\\,4 e\\=f=\"5\"", "m|1 2|3,4|5"),
        ("m,a\\ b=x\\=y\\\\z x=1", "m|x=y\\\\z|∅|∅"),
        ("m,a\\ b=\\\\\\, x=1", "m|\\\\,|∅|∅"),
        ("m,a\\ b=\"x\" x=1", "m|\"x\"|∅|∅"),
        ("m a\\ b=\"1 2,3=4\",c\\,d=\"\"", "m|1 2,3=4||∅"),
        (
            "m a\\ b=\"say \\\"hi\\\" \\\\ \\n\"",
            "m|say \"hi\" \\ \\n|∅|∅",
        ),
        ("m a\\ b=\"\\\\\"", "m|\\|∅|∅"),
        (
            "m a\\ b=\"two\nlines # no comment\" 1\n",
            "m|two\nlines # no comment|∅|∅",
        ),
        ("m,a\\ b=é\\ ü x=1", "m|é ü|∅|∅"),
    ];
    check(&influx(), &schema, &cases);
}

/// A column's type, its name with an article, and what becomes of values of a field.
type TypeCases = (
    DataType,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const TYPES: &[TypeCases] = &[
    (
        DataType::Int64,
        "a BIGINT",
        &[
            ("9223372036854775807i", "9223372036854775807"),
            ("-9223372036854775808i", "-9223372036854775808"),
            ("18u", "18"),
            ("2", "2"),
            ("2.0", "2"),
            ("1e3", "1000"),
            ("-0i", "0"),
            ("9223372036854775808i", "bad"),
            ("18446744073709551615u", "bad"),
            ("2.5", "bad"),
            ("1e400", "bad"),
            ("\"1\"", "bad"),
            ("true", "bad"),
        ],
    ),
    (
        DataType::UInt64,
        "a BIGINT UNSIGNED",
        &[
            ("18446744073709551615u", "18446744073709551615"),
            ("5i", "5"),
            ("-5i", "bad"),
        ],
    ),
    (
        DataType::Int32,
        "an INT",
        &[("2147483647i", "2147483647"), ("2147483648i", "bad")],
    ),
    (
        DataType::Float64,
        "a DOUBLE",
        &[
            ("93.4301958307014", "93.4301958307014"),
            ("3i", "3.0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("-0.0", "-0.0"),
            ("1e400", "bad"),
            ("\"1\"", "bad"),
            ("f", "bad"),
        ],
    ),
    (
        DataType::Decimal128(10, 2),
        "a DECIMAL(10,2)",
        &[("12.345", "12.35"), ("\"12.34\"", "12.34"), ("1e8", "bad")],
    ),
    (
        DataType::Boolean,
        "a BOOLEAN",
        &[
            ("t", "true"),
            ("T", "true"),
            ("true", "true"),
            ("True", "true"),
            ("TRUE", "true"),
            ("f", "false"),
            ("F", "false"),
            ("false", "false"),
            ("False", "false"),
            ("FALSE", "false"),
            ("1", "bad"),
            ("\"true\"", "bad"),
        ],
    ),
    (
        DataType::Utf8View,
        "a VARCHAR",
        &[
            ("\"\"", ""),
            (
                "\"longer than twelve bytes é\"",
                "longer than twelve bytes é",
            ),
            ("1", "bad"),
            ("true", "bad"),
        ],
    ),
    (
        DataType::Timestamp(TimeUnit::Microsecond, None),
        "a TIMESTAMP",
        &[
            ("\"2026-01-01T00:00:00.5Z\"", "2026-01-01T00:00:00.500"),
            ("1767225600i", "bad"),
        ],
    ),
];

#[test]
fn a_field_must_be_of_its_columns_type() {
    for (data_type, name, values) in TYPES {
        let bad = format!("bad: column \"a\" is not {name}");
        let cases = values.iter().map(|(value, expected)| {
            let expected = if *expected == "bad" { &bad } else { *expected };
            (format!("m a={value} 1"), expected)
        });
        let cases: Vec<_> = cases.collect();
        check(&influx(), &one_column(data_type.clone()), &cases);
    }
}

#[test]
fn a_tag_has_no_type_and_is_read_as_its_column_wants() {
    let types = [
        (DataType::Int64, "8080", "8080"),
        (DataType::Int64, "x", "bad: column \"a\" is not a BIGINT"),
        (DataType::Float64, "1.5", "1.5"),
        (DataType::Float64, "NaN", "NaN"),
        (DataType::Boolean, "True", "true"),
        (DataType::Boolean, "T", "bad: column \"a\" is not a BOOLEAN"),
        (DataType::Date32, "2026-02-28", "2026-02-28"),
        (DataType::Utf8, "8080", "8080"),
    ];
    for (data_type, tag, expected) in types {
        let cases = [(format!("m,a={tag} x=1"), expected)];
        check(&influx(), &one_column(data_type), &cases);
    }
}

#[test]
fn the_time_has_the_unit_of_the_precision() {
    let cases = [
        ("ns", "1767225600123456789", "2026-01-01T00:00:00.123456"),
        ("us", "1767225600123456", "2026-01-01T00:00:00.123456"),
        ("ms", "1767225600123", "2026-01-01T00:00:00.123"),
        ("s", "1767225600", "2026-01-01T00:00:00"),
        ("ns", "-1", "1969-12-31T23:59:59.999999"),
        (
            "s",
            "1767225600123",
            "bad: column \"time\" is not a TIMESTAMP",
        ),
        (
            "us",
            "9223372036854775807",
            "bad: column \"time\" is not a TIMESTAMP",
        ),
        (
            "us",
            "-9223372036854775808",
            "bad: column \"time\" is not a TIMESTAMP",
        ),
        (
            "ns",
            "99999999999999999999999",
            "bad: column \"time\" is not a TIMESTAMP",
        ),
    ];
    let schema = schema(&[("time", micros())]);
    for (precision, time, expected) in cases {
        let spec = spec("influx", &[("precision", precision)]);
        check(&spec, &schema, &[(format!("m v=1 {time}"), expected)]);
    }
    let nanos = super::schema(&[("time", DataType::Timestamp(TimeUnit::Nanosecond, None))]);
    let cases = [
        ("m v=1 9223372036854775807", "2262-04-11T23:47:16.854775807"),
        (
            "m v=1 -9223372036854775808",
            "1677-09-21T00:12:43.145224192",
        ),
        (
            "m v=1 9223372036854775808",
            "bad: column \"time\" is not a TIMESTAMP(9)",
        ),
    ];
    check(&influx(), &nanos, &cases);
    let number = super::schema(&[("time", DataType::Int64)]);
    check(&influx(), &number, &[("m v=1 5", "5"), ("m v=1", "∅")]);
}

#[test]
fn options_name_the_columns_that_are_no_values() {
    let schema = schema(&[
        ("ts", micros()),
        ("what", DataType::Utf8View),
        ("time", DataType::Int64),
        ("measurement", DataType::Float64),
        ("seen", micros()),
    ]);
    let options = [
        ("measurement", "what"),
        ("time", "ts"),
        ("precision", "s"),
        ("timestamp.unit", "ms"),
    ];
    let cases = [
        (
            "m time=5i,measurement=4.2,seen=1500i 1",
            "1970-01-01T00:00:01|m|5|4.2|1970-01-01T00:00:01.500",
        ),
        ("m x=1", "∅|m|∅|∅|∅"),
    ];
    check(&spec("influx", &options), &schema, &cases);
}

#[test]
fn a_time_that_must_be_there_is_missed() {
    let field = Field::new("time", micros(), false);
    let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
    let cases = [
        ("m v=1 0", "1970-01-01T00:00:00"),
        ("m v=1", "bad: column \"time\" has no value"),
    ];
    check(&influx(), &schema, &cases);
}

#[test]
fn only_wanted_columns_are_converted() {
    let payloads = records(&["m,host=a idle=\"x\" 1", "m,host=a idle=1 x", "m"]);
    let mut decoder = new_decoder(&influx(), OWNER, &cpu(), &[3, 1]).unwrap();
    let time = "bad: a time that is no whole number";
    assert_eq!(
        outcomes(&decoder.decode(&payloads).unwrap()),
        ["1970-01-01T00:00:00|a", time, "bad: no fields"]
    );
    let mut decoder = new_decoder(&influx(), OWNER, &cpu(), &[]).unwrap();
    assert_eq!(
        outcomes(&decoder.decode(&payloads).unwrap()),
        ["", time, "bad: no fields"]
    );
}

#[test]
fn large_records_are_records() {
    let long = "x".repeat(10 << 20);
    let many: Vec<_> = (0..100_000).map(|i| format!("k{i}={i}i")).collect();
    let record = format!("m,host={long} {},a=5i,s=\"{long}\" 1", many.join(","));
    let schema = schema(&[
        ("a", DataType::Int64),
        ("s", DataType::Utf8View),
        ("host", DataType::Utf8View),
        ("k99999", DataType::Int64),
    ]);
    let decoded = decode(&influx(), &schema, &records(&[record]));
    assert_eq!(
        rows_as_text(&decoded.rows),
        [format!("5|{long}|{long}|99999")]
    );
}

#[test]
fn what_was_found_is_shown() {
    let payloads = records(&[
        "m,a=x\u{1b} v=1",
        "m a=\"x\\\"y\"",
        "m a=1.5",
        "m a=t",
        "m a=\u{1b}",
    ]);
    let decoded = decode(&influx(), &one_column(DataType::Int64), &payloads);
    let details: Vec<_> = decoded.bad.iter().map(|b| b.detail.as_str()).collect();
    assert_eq!(
        details,
        ["x\\u{1b}", "\"x\\\"y\"", "1.5", "true", "m a=\\u{1b}"]
    );
}

#[test]
fn wrong_definitions_are_refused() {
    let refused = |options: &[(&str, &str)], schema: &SchemaRef| {
        check_format(&spec("influx", options), OWNER, schema).unwrap_err()
    };
    let whose = "format \"influx\" of source \"orders\"";
    let cases = [
        (
            refused(&[("time", "ts")], &cpu()),
            format!("option \"time\" of {whose} names \"ts\", which is not a column"),
        ),
        (
            refused(&[("measurement", "time")], &cpu()),
            format!(
                "option \"time\" of {whose} is \"time\", not another column than that of \
                 \"measurement\""
            ),
        ),
        (
            refused(&[("precision", "m")], &cpu()),
            format!("option \"precision\" of {whose} is \"m\", not 'ns' or 'us' or 'ms' or 's'"),
        ),
        (
            refused(&[("precison", "ms")], &cpu()),
            format!("{whose} has no option \"precison\""),
        ),
        (
            refused(&[], &schema(&[("time", DataType::Utf8View)])),
            format!("{whose} cannot hold column \"time\", which is a VARCHAR"),
        ),
        (
            refused(&[], &schema(&[("measurement", DataType::Int64)])),
            format!("{whose} cannot hold column \"measurement\", which is a BIGINT"),
        ),
        (
            refused(&[], &one_column(DataType::new_list(DataType::Int64, true))),
            format!("{whose} cannot hold column \"a\", which is an ARRAY"),
        ),
    ];
    for (error, message) in cases {
        assert_eq!(error.message(), message);
    }
    let text = schema(&[("time", DataType::Utf8View)]);
    assert_eq!(
        refused(&[], &text).hint(),
        Some(
            "It is the column of the line's time: declare it as TIMESTAMP or BIGINT, or name \
             another column with the option \"time\" to read a tag or field of this name."
        )
    );
    let error = new_encoder(&influx(), "sink \"s\"", &cpu()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
