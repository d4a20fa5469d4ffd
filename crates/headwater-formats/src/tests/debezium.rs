//! DEBEZIUM JSON: which events are rows, which are bad, and why.

use headwater_core::ErrorKind;
use proptest::collection::vec;
use proptest::prelude::*;

use super::properties::{check_independence, check_projection};
use super::*;
use crate::{check_format, new_encoder};

fn debezium() -> FormatSpec {
    spec("debezium-json", &[])
}

fn inner() -> DataType {
    let fields = vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8View, true),
    ];
    DataType::Struct(fields.into())
}

fn columns() -> SchemaRef {
    schema(&[
        ("op", DataType::Utf8View),
        ("id", DataType::Int64),
        ("name", DataType::Utf8View),
        ("before", inner()),
    ])
}

const NO_OP: &str = "bad: no event: \"op\" is missing or no text";
const NO_PAYLOAD: &str = "bad: no event: \"payload\" is not an object";

#[test]
fn an_event_is_a_row_of_its_newest_values() {
    let cases = [
        (
            r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"table":"t"},"op":"c","ts_ms":1}"#,
            "c|1|a|∅",
        ),
        (r#"{"after":{"id":1,"name":"a"},"op":"r"}"#, "r|1|a|∅"),
        (
            r#"{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u"}"#,
            "u|1|b|{id: 1, name: a}",
        ),
        (r#"{"op":"u","after":{"id":1}}"#, "u|1|∅|∅"),
        (
            r#"{"before":{"id":1,"name":null},"after":null,"op":"d"}"#,
            "d|1|∅|{id: 1, name: ∅}",
        ),
        (
            r#" { "schema" : {"type":"struct","op":"x"}, "payload" : {"op":"c","after":{"id":1}} } "#,
            "c|1|∅|∅",
        ),
        (
            r#"{"schema":null,"payload":{"op":"d","before":{"id":1}}}"#,
            "d|1|∅|{id: 1, name: ∅}",
        ),
        (r#"{"payload":null,"op":"c","after":{"id":1}}"#, "c|1|∅|∅"),
        // Of members that come twice the last counts, and those of the record are not the event's.
        (
            r#"{"after":{"id":9},"op":"d","payload":{"op":"c","op":"u","after":{"id":1}}}"#,
            "u|1|∅|∅",
        ),
        (r#"{"op":"\u0063","after":{"id":1}}"#, "c|1|∅|∅"),
        (r#"{"op":"c","after":{}}"#, "c|∅|∅|∅"),
        (
            r#"{"op":"c","after":{"op":"x","before":{"id":2},"id":1}}"#,
            "c|1|∅|∅",
        ),
    ];
    check(&debezium(), &columns(), &cases);
    check(&spec("debezium", &[("format", "json")]), &columns(), &cases);
}

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let deep_after = format!(r#"{{"op":"c","after":{{"id":{deep}}}}}"#);
    let deep_source = format!(r#"{{"op":"c","after":{{"id":1}},"source":{deep}}}"#);
    let unclosed = format!(r#"{{"op":"c","after":{{"id":{}"#, "[".repeat(10_000));
    let cases: Vec<(&[u8], &str)> = vec![
        (br#"{"op":"c","after":{"id":1}}"#, "c|1|∅|∅"),
        (b"", "bad: empty value"),
        (b" \n", "bad: empty value"),
        (b"null", "bad: not a JSON object"),
        (b"[]", "bad: not a JSON object"),
        (br#"{"op":"c","after":{"id":1}"#, "bad: not JSON"),
        (br#"{"op":"c","after":{"id":1},}"#, "bad: not JSON"),
        (br#"{"op":"c","after":{"id":1 "x":2}}"#, "bad: not JSON"),
        (
            br#"{"payload":{"op":"c","after":{"id":1,}}}"#,
            "bad: not JSON",
        ),
        (
            br#"{"op":"c","after":{"id":1}}{"op":"c"}"#,
            "bad: more after the JSON object",
        ),
        (
            b"{\"op\":\"c\",\"after\":{\"name\":\"\xff\"}}",
            "bad: not UTF-8",
        ),
        (deep_after.as_bytes(), "bad: column \"id\" is not a BIGINT"),
        (deep_source.as_bytes(), "c|1|∅|∅"),
        (unclosed.as_bytes(), "bad: not JSON"),
    ];
    check(&debezium(), &columns(), &cases);
}

#[test]
fn an_event_without_a_row_is_bad() {
    let cases: Vec<(&[u8], &str)> = vec![
        (b"{}", NO_OP),
        (br#"{"id":1,"name":"flattened"}"#, NO_OP),
        (br#"{"ts_ms":1}"#, NO_OP),
        (br#"{"op":null,"after":{"id":1}}"#, NO_OP),
        (br#"{"op":1,"after":{"id":1}}"#, NO_OP),
        (br#"{"payload":{"after":{"id":1}},"op":"c"}"#, NO_OP),
        (br#"{"payload":"x","op":"c","after":{}}"#, NO_PAYLOAD),
        (br#"{"payload":[],"op":"c","after":{}}"#, NO_PAYLOAD),
        (
            br#"{"op":"t","before":null,"after":null}"#,
            "bad: a truncate event, which has no row",
        ),
        (
            br#"{"op":"m","message":{}}"#,
            "bad: an event with an unknown \"op\"",
        ),
        (
            br#"{"op":"C","after":{"id":1}}"#,
            "bad: an event with an unknown \"op\"",
        ),
        (
            br#"{"op":"\ud800","after":{"id":1}}"#,
            "bad: an event with an unknown \"op\"",
        ),
        (br#"{"op":"c"}"#, "bad: a change without \"after\""),
        (
            br#"{"op":"u","before":{"id":1},"after":null}"#,
            "bad: a change without \"after\"",
        ),
        (
            br#"{"op":"c","after":[]}"#,
            "bad: \"after\" is not an object",
        ),
        (
            br#"{"op":"d","before":null,"after":{"id":1}}"#,
            "bad: a delete without \"before\"",
        ),
        (
            br#"{"op":"d","before":"x"}"#,
            "bad: \"before\" is not an object",
        ),
        (
            br#"{"op":"c","after":{"id":"1"}}"#,
            "bad: column \"id\" is not a BIGINT",
        ),
        (
            br#"{"op":"u","after":{"id":1},"before":5}"#,
            "bad: column \"before\" is not a STRUCT",
        ),
        (
            br#"{"op":"u","after":{"id":1},"before":{"id":"x"}}"#,
            "bad: column \"before\" is not a STRUCT",
        ),
    ];
    check(&debezium(), &columns(), &cases);
}

#[test]
fn a_tombstone_is_bad() {
    let event = br#"{"op":"d","before":{"id":1}}"#;
    let payloads: BinaryArray = [Some(&event[..]), None].into_iter().collect();
    let decoded = decode(&debezium(), &columns(), &payloads);
    let expected = ["d|1|∅|{id: 1, name: ∅}", "bad: no value"];
    assert_eq!(outcomes(&decoded), expected);
}

#[test]
fn the_place_of_the_event_can_be_told() {
    let whole = r#"{"op":"c","after":{"id":1},"payload":{"op":"u","after":{"id":2}}}"#;
    let place = |value| spec("debezium-json", &[("schema-include", value)]);
    let cases = [(whole, "c|1|∅|∅")];
    check(&place("false"), &columns(), &cases);
    let cases = [
        (whole, "u|2|∅|∅"),
        (r#"{"op":"c","after":{"id":1}}"#, NO_PAYLOAD),
        (r#"{"payload":null}"#, NO_PAYLOAD),
    ];
    check(&place("true"), &columns(), &cases);
}

#[test]
fn options_name_the_columns_that_are_no_values() {
    let origin = vec![
        Field::new("table", DataType::Utf8View, true),
        Field::new("ts_ms", micros(), true),
    ];
    let schema = schema(&[
        ("op", DataType::Int64),
        ("kind", DataType::Utf8View),
        ("before", micros()),
        ("old", inner()),
        ("origin", DataType::Struct(origin.into())),
        ("source", DataType::Utf8View),
    ]);
    let options = [
        ("op.column", "kind"),
        ("before.column", "old"),
        ("source.column", "origin"),
        ("timestamp.unit", "ms"),
    ];
    let cases = [
        (
            r#"{"op":"u","before":{"id":1},"after":{"op":5,"before":1500,"source":"s"},"source":{"table":"t","ts_ms":1}}"#,
            "5|u|1970-01-01T00:00:01.500|{id: 1, name: ∅}|{table: t, ts_ms: 1970-01-01T00:00:00.001}|s",
        ),
        (r#"{"op":"c","after":{}}"#, "∅|c|∅|∅|∅|∅"),
    ];
    check(&spec("debezium-json", &options), &schema, &cases);
}

#[test]
fn only_wanted_columns_are_converted() {
    let payloads = records(&[
        r#"{"op":"c","after":{"id":"x","name":"a"}}"#,
        r#"{"op":"c","after":{"id":1,"name":2}}"#,
        r#"{"op":"t"}"#,
    ]);
    let truncated = "bad: a truncate event, which has no row";
    for (wanted, expected) in [
        (
            &[2, 0][..],
            ["a|c", "bad: column \"name\" is not a VARCHAR", truncated],
        ),
        (&[1], ["bad: column \"id\" is not a BIGINT", "1", truncated]),
        (&[], ["", "", truncated]),
    ] {
        let mut decoder = new_decoder(&debezium(), OWNER, &columns(), wanted).unwrap();
        assert_eq!(outcomes(&decoder.decode(&payloads).unwrap()), expected);
    }
}

#[test]
fn what_was_found_is_the_event() {
    let schema = "x".repeat(1_000);
    let payloads = records(&[
        format!(r#"{{"schema":"{schema}","payload":{{"op":"t"}}}}"#),
        r#"{"op":"c"}"#.to_string(),
    ]);
    let decoded = decode(&debezium(), &columns(), &payloads);
    let details: Vec<_> = decoded.bad.iter().map(|b| b.detail.as_str()).collect();
    assert_eq!(details, [r#"{"op":"t"}"#, r#"{"op":"c"}"#]);
}

#[test]
fn wrong_definitions_are_refused() {
    let refused = |options: &[(&str, &str)], schema: &SchemaRef| {
        let error = check_format(&spec("debezium-json", options), OWNER, schema).unwrap_err();
        error.message().to_string()
    };
    let whose = "format \"debezium-json\" of source \"orders\"";
    let cases = [
        (
            refused(&[("op.column", "kind")], &columns()),
            format!("option \"op.column\" of {whose} names \"kind\", which is not a column"),
        ),
        (
            refused(&[("source.column", "op")], &columns()),
            format!(
                "option \"source.column\" of {whose} is \"op\", not another column than that of \
                 \"op.column\""
            ),
        ),
        (
            refused(&[("format", "avro")], &columns()),
            format!("option \"format\" of {whose} is \"avro\", not 'json'"),
        ),
        (
            refused(&[], &schema(&[("op", DataType::Int64)])),
            format!("{whose} cannot hold column \"op\", which is a BIGINT"),
        ),
        (
            refused(&[], &schema(&[("before", DataType::Utf8View)])),
            format!("{whose} cannot hold column \"before\", which is a VARCHAR"),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(message, expected);
    }
    let error = new_encoder(&debezium(), "sink \"s\"", &columns()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Events that are good, bad, cut short, damaged, or noise.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let op = prop_oneof![8 => "[crud]", 1 => "[tmC]", 1 => ".{0,2}"];
    let row = prop_oneof![
        8 => (any::<i64>(), any::<String>())
            .prop_map(|(id, name)| serde_json::json!({"x": [name], "name": name, "id": id})),
        1 => Just(serde_json::Value::Null),
        1 => any::<String>().prop_map(|name| serde_json::json!({"id": name})),
    ];
    let event =
        (op, row.clone(), row, any::<bool>()).prop_map(|(op, before, after, is_wrapped)| {
            let event = serde_json::json!({"before": before, "after": after, "op": op});
            let record = if is_wrapped {
                serde_json::json!({"schema": {"op": "c"}, "payload": event})
            } else {
                event
            };
            record.to_string().into_bytes()
        });
    let at = any::<prop::sample::Index>;
    prop_oneof![
        4 => event.clone(),
        2 => (event.clone(), at()).prop_map(|(mut bytes, at)| {
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        2 => (event, at(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    #[test]
    fn no_record_depends_on_another(
        payloads in vec(proptest::option::weighted(0.9, record()), 0..24),
        cuts in vec(0..24_usize, 0..4),
    ) {
        let payloads: BinaryArray = payloads.iter().map(|p| p.as_deref()).collect();
        check_independence(&debezium(), &columns(), &payloads, &cuts)?;
    }

    #[test]
    fn wanting_fewer_columns_keeps_the_rows_of_more(
        payloads in vec(record(), 0..16),
        wanted in proptest::sample::subsequence(vec![0_usize, 1, 2, 3], 0..4),
    ) {
        check_projection(&debezium(), &columns(), &records(&payloads), &wanted)?;
    }

    #[test]
    fn the_row_is_what_json_makes_of_it(
        id in any::<Option<i64>>(),
        name in any::<Option<String>>(),
        op in "[cru]",
        is_wrapped in any::<bool>(),
    ) {
        let row = serde_json::json!({"id": id, "name": name});
        let event = serde_json::json!({"op": op, "after": row, "before": null});
        let record = if is_wrapped { serde_json::json!({"payload": event}) } else { event };
        let values = schema(&[("id", DataType::Int64), ("name", DataType::Utf8View)]);
        let expected = decode(&spec("json", &[]), &values, &records(&[row.to_string()]));
        let decoded = decode(&debezium(), &values, &records(&[record.to_string()]));
        prop_assert_eq!(decoded.bad, vec![]);
        prop_assert_eq!(decoded.rows, expected.rows);
    }
}
