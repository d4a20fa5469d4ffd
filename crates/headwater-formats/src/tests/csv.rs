//! CSV: what is a row, what is bad, and why.

use headwater_core::ErrorKind;

use super::*;
use crate::{check_file_header, has_header};

fn orders() -> SchemaRef {
    schema(&[
        ("id", DataType::Int64),
        ("price", DataType::Float64),
        ("symbol", DataType::Utf8View),
        ("ts", micros()),
    ])
}

#[test]
fn lines_are_rows_or_bad() {
    let cases: Vec<(&[u8], &str)> = vec![
        (
            b"1,2.5,AAB,2026-01-01 00:00:00.123",
            "1|2.5|AAB|2026-01-01T00:00:00.123",
        ),
        (
            b"1,2.5,\"A,\"\"B\",2026-01-01T00:00:00Z\r\n",
            "1|2.5|A,\"B|2026-01-01T00:00:00",
        ),
        (b" 1 , 2.5 , A ,2026-01-01", "1|2.5| A |2026-01-01T00:00:00"),
        (b",,,", "∅|∅||∅"),
        (b",NaN,\"\",", "∅|NaN||∅"),
        (b"1,-Infinity,,", "1|-inf||∅"),
        (b"1,2.5,A", "bad: wrong number of fields"),
        (b"1,2.5,A,,", "bad: wrong number of fields"),
        (b"", "bad: empty value"),
        (b" \r\n", "bad: empty value"),
        (b"x,2.5,A,", "bad: column \"id\" is not a BIGINT"),
        (b"1,2.5x,A,", "bad: column \"price\" is not a DOUBLE"),
        (b"1,1e400,A,", "bad: column \"price\" is not a DOUBLE"),
        (
            b"1,2.5,A,1767225600",
            "bad: column \"ts\" is not a TIMESTAMP",
        ),
        (b"1,2.5,A,\"", "bad: quote not closed"),
        (b"1,2.5,\"A\"x,", "bad: more after a closing quote"),
        (b"1,2.5,A\n2,,,", "bad: more than one line"),
        (b"1,2.5,\xff,", "bad: not UTF-8"),
        (b"\"\",1,A,", "bad: column \"id\" is not a BIGINT"),
        (
            b"\xef\xbb\xbf1,2.5,A,",
            "bad: a byte order mark before the line",
        ),
    ];
    check(&spec("csv", &[]), &orders(), &cases);
}

#[test]
fn options_change_the_dialect() {
    let options = [
        ("delimiter", "\\t"),
        ("quote", "'"),
        ("null.value", "\\N"),
        ("timestamp.format", "%d.%m.%Y %H:%M"),
    ];
    let cases = [
        (
            "1\t\\N\t'a\tb'\t01.02.2026 10:30",
            "1|∅|a\tb|2026-02-01T10:30:00",
        ),
        ("\\N\t1\t\\N\t\\N", "∅|1.0|∅|∅"),
        ("\\N\t1\t'\\N'\t\\N", "∅|1.0|\\N|∅"),
        ("\t1\tx\t\\N", "bad: column \"id\" is not a BIGINT"),
        (
            "1\t1\tx\t2026-01-01",
            "bad: column \"ts\" is not a TIMESTAMP",
        ),
    ];
    check(&spec("csv", &options), &orders(), &cases);
    let unit = spec("csv", &[("timestamp.unit", "s")]);
    check(
        &unit,
        &orders(),
        &[("1,1,x,1767225600", "1|1.0|x|2026-01-01T00:00:00")],
    );
}

#[test]
fn only_wanted_columns_are_converted() {
    let payloads = records(&["x,2.5,A,", "1,x,A,", "1,2"]);
    let mut decoder = new_decoder(&spec("csv", &[]), OWNER, &orders(), &[2, 1]).unwrap();
    let decoded = decoder.decode(&payloads).unwrap();
    assert_eq!(
        outcomes(&decoded),
        [
            "A|2.5",
            "bad: column \"price\" is not a DOUBLE",
            "bad: wrong number of fields"
        ]
    );
}

#[test]
fn wrong_definitions_are_refused() {
    let message = |options: &[(&str, &str)], schema: &SchemaRef| {
        let error = crate::check_format(&spec("csv", options), OWNER, schema).unwrap_err();
        error.message().to_string()
    };
    assert_eq!(
        message(&[("delimiter", ",,")], &orders()),
        "option \"delimiter\" of format \"csv\" of source \"orders\" is \",,\", not one ASCII character"
    );
    assert_eq!(
        message(&[("delimeter", ";")], &orders()),
        "format \"csv\" of source \"orders\" has no option \"delimeter\""
    );
    assert_eq!(
        message(&[("delimiter", "\"")], &orders()),
        "option \"delimiter\" of format \"csv\" of source \"orders\" is \"\"\", not different from \"quote\" and \"escape\""
    );
    let list = schema(&[("l", DataType::new_list(DataType::Int64, true))]);
    assert_eq!(
        message(&[], &list),
        "format \"csv\" of source \"orders\" cannot hold column \"l\", which is an ARRAY"
    );
}

#[test]
fn a_header_names_the_columns_in_their_order() {
    let check = |options: &[(&str, &str)], header: &str| {
        let mut format = spec("csv", options);
        format.options.set("header", "true");
        let place = "file \"a.csv\"";
        check_file_header(&format, OWNER, &orders(), place, header.as_bytes())
    };
    for header in ["id,price,symbol,ts", " ID , \"Price\",\" symbol\",TS\r\n"] {
        check(&[], header).unwrap();
    }
    check(
        &[("delimiter", ";"), ("quote", "'")],
        "id;'price';symbol;ts",
    )
    .unwrap();
    let cases = [
        ("id,symbol,price,ts", r#""id", "symbol", "price", "ts""#),
        ("id,price,symbol", r#""id", "price", "symbol""#),
        (
            "id,price,symbol,ts,x",
            r#""id", "price", "symbol", "ts", "x""#,
        ),
        ("id;price;symbol;ts", r#""id;price;symbol;ts""#),
        ("1,2.5,A,", r#""1", "2.5", "A", """#),
        ("\"id,price", r#"""id,price""#),
        ("", r#""""#),
    ];
    for (header, says) in cases {
        let error = check(&[], header).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadData, "{header}");
        assert_eq!(
            error.message(),
            "the header of file \"a.csv\" does not name the columns of source \"orders\""
        );
        let expected = format!(
            "The header says {says}; the columns are \"id\", \"price\", \"symbol\", \"ts\"."
        );
        assert_eq!(error.detail(), Some(expected.as_str()));
    }
    let many = vec!["c"; 25].join(",");
    let error = check(&[], &many).unwrap_err();
    assert!(error.detail().unwrap().contains("\"c\" and 5 more; the"));
}

#[test]
fn a_header_is_an_option_of_csv() {
    assert!(has_header(&spec("csv", &[("header", "true")]), OWNER).unwrap());
    assert!(!has_header(&spec("csv", &[]), OWNER).unwrap());
    // Names that need not be the columns'.
    let skipped = spec("csv", &[("header", "skip")]);
    assert!(has_header(&skipped, OWNER).unwrap());
    let columns = schema(&[("id", DataType::Int64)]);
    check_file_header(
        &skipped,
        OWNER,
        &columns,
        "file \"a.csv\"",
        b"order id,else",
    )
    .unwrap();
    let error = crate::new_encoder(&skipped, "sink \"s\"", &columns).unwrap_err();
    assert!(error.message().contains("nothing to skip"), "{error}");
    assert!(!has_header(&spec("json", &[]), OWNER).unwrap());
}
