//! MSGPACK: which records are rows, which are bad, and that they are what the same JSON is.

use headwater_core::ErrorKind;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value};

use super::properties::{any_document, check_independence, check_projection, json_columns};
use super::*;
use crate::{check_format, check_lines, new_encoder};

fn msgpack() -> FormatSpec {
    spec("msgpack", &[])
}

/// A value as MessagePack, in the shortest form.
pub(super) fn packed(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![0xc0],
        Value::Bool(value) => vec![0xc2 + u8::from(*value)],
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(value), _, _) if value < 0x80 => vec![u8::try_from(value).unwrap()],
            (Some(value), _, _) => [&[0xcf], value.to_be_bytes().as_slice()].concat(),
            (_, Some(value), _) => [&[0xd3], value.to_be_bytes().as_slice()].concat(),
            (_, _, value) => [&[0xcb], value.unwrap().to_be_bytes().as_slice()].concat(),
        },
        Value::String(text) => packed_text(text),
        Value::Array(items) => {
            let head = [
                &[0xdd],
                u32::try_from(items.len()).unwrap().to_be_bytes().as_slice(),
            ]
            .concat();
            items
                .iter()
                .fold(head, |bytes, item| [bytes, packed(item)].concat())
        }
        Value::Object(members) => {
            let head = [
                &[0xdf],
                u32::try_from(members.len())
                    .unwrap()
                    .to_be_bytes()
                    .as_slice(),
            ]
            .concat();
            members.iter().fold(head, |bytes, (key, value)| {
                [bytes, packed_text(key), packed(value)].concat()
            })
        }
    }
}

fn packed_text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap();
    [&[0xdb], length.to_be_bytes().as_slice(), text.as_bytes()].concat()
}

fn columns() -> SchemaRef {
    schema(&[
        ("a", DataType::Int64),
        ("s", DataType::Utf8View),
        ("b", DataType::Binary),
    ])
}

#[test]
fn members_are_columns_by_their_names() {
    let cases: Vec<(&[u8], &str)> = vec![
        (b"\x80", "∅|∅|∅"),
        (b"\x81\xa1a\x07", "7|∅|∅"),
        (b"\x82\xa1s\xa2hi\xa1a\xff", "-1|hi|∅"),
        (b"\xde\x00\x01\xd9\x01a\xcc\xff", "255|∅|∅"),
        (
            b"\xdf\x00\x00\x00\x01\xda\x00\x01a\xcd\xff\xff",
            "65535|∅|∅",
        ),
        (
            b"\x81\xdb\x00\x00\x00\x01a\xce\xff\xff\xff\xff",
            "4294967295|∅|∅",
        ),
        (
            b"\x81\xa1a\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
            "9223372036854775807|∅|∅",
        ),
        (b"\x81\xa1a\xd0\x80", "-128|∅|∅"),
        (b"\x81\xa1a\xd1\x80\x00", "-32768|∅|∅"),
        (b"\x81\xa1a\xd2\x80\x00\x00\x00", "-2147483648|∅|∅"),
        (
            b"\x81\xa1a\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
            "-9223372036854775808|∅|∅",
        ),
        (b"\x81\xa1a\xca\x40\x00\x00\x00", "2|∅|∅"),
        (b"\x81\xa1a\xc0", "∅|∅|∅"),
        (b"\x81\xa1b\xc4\x02\x00\xff", "∅|∅|00ff"),
        (b"\x81\xa1b\xc5\x00\x01\x01", "∅|∅|01"),
        (b"\x81\xa1b\xc6\x00\x00\x00\x01\x01", "∅|∅|01"),
        (b"\x81\xa1b\xa400Ff", "∅|∅|00ff"),
        (b"\x81\xa1s\xc4\x02hi", "∅|hi|∅"),
        // A key that comes twice: the last value counts, nil too.
        (b"\x83\xa1a\x01\xa1a\x02\xa1s\xa1x", "2|x|∅"),
        (b"\x82\xa1a\xa1x\xa1a\x02", "2|∅|∅"),
        (b"\x82\xa1a\x01\xa1a\xc0", "∅|∅|∅"),
        // Keys that are no text are no columns, and what nobody reads is passed over.
        (b"\x84\x01\x02\xc0\x02\x91\x01\x02\xa1a\x05", "5|∅|∅"),
        (b"\x82\xc4\x01a\x02\xa1a\x05", "5|∅|∅"),
        (
            b"\x83\xa1x\xd4\x05\x00\xa1y\xc7\x03\x01abc\xa1a\x05",
            "5|∅|∅",
        ),
        (
            b"\x82\xa1x\xd8\x01................\xa1y\xdc\x00\x02\x80\x90",
            "∅|∅|∅",
        ),
    ];
    check(&msgpack(), &columns(), &cases);
}

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let deep = [vec![0x81, 0xa1, b'x'], vec![0x91; 100_000], vec![0xc0]].concat();
    let unclosed = [vec![0x81, 0xa1, b'a'], vec![0x91; 100_000]].concat();
    let cases: Vec<(&[u8], &str)> = vec![
        (b"\x81\xa1a\x07", "7|∅|∅"),
        (b"", "bad: empty value"),
        (b"\xc0", "bad: not a map of MessagePack"),
        (b"\x07", "bad: not a map of MessagePack"),
        (b"\x91\x80", "bad: not a map of MessagePack"),
        (b"{\"a\":1}", "bad: not a map of MessagePack"),
        (b"\xc1", "bad: not MessagePack"),
        (b"\x81\xa1x\xc1", "bad: not MessagePack"),
        (b"\x81\xc1\x01", "bad: not MessagePack"),
        (b"\x81", "bad: cut short"),
        (b"\x81\xa1a", "bad: cut short"),
        (b"\x81\xa2a", "bad: cut short"),
        (b"\x82\xa1a\x01", "bad: cut short"),
        (b"\xdf\xff\xff\xff\xff\xa1a\x01", "bad: cut short"),
        (b"\x81\xa1x\xdd\xff\xff\xff\xff", "bad: cut short"),
        (b"\x81\xa1x\xc6\xff\xff\xff\xff", "bad: cut short"),
        (b"\x81\xa1x\xc9\xff\xff\xff\xff\x01", "bad: cut short"),
        (b"\x80\x80", "bad: more after the map of MessagePack"),
        (b"\x81\xa1s\xa1\xff", "bad: column \"s\" is not a VARCHAR"),
        (b"\x81\xa1b\xa1x", "bad: column \"b\" is not a BYTEA"),
        (b"\x81\xa1b\x01", "bad: column \"b\" is not a BYTEA"),
        (
            b"\x81\xa1a\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
            "bad: column \"a\" is not a BIGINT",
        ),
        (
            b"\x81\xa1a\xd4\xff\x00",
            "bad: column \"a\" is not a BIGINT",
        ),
        (&deep, "∅|∅|∅"),
        (&unclosed, "bad: cut short"),
    ];
    check(&msgpack(), &columns(), &cases);
}

#[test]
fn times_are_extensions_texts_or_numbers_of_a_unit() {
    let columns = schema(&[
        ("t", micros()),
        ("n", DataType::Timestamp(TimeUnit::Nanosecond, None)),
        ("s", DataType::Timestamp(TimeUnit::Second, None)),
    ]);
    let all = |value: &[u8]| [b"\x83\xa1t", value, b"\xa1n", value, b"\xa1s", value].concat();
    let only = |value: &[u8]| [b"\x81\xa1t", value].concat();
    let bad = "bad: column \"t\" is not a TIMESTAMP";
    let with_nanos = |nanos: u64, seconds: u64| {
        [
            &[0xd7, 0xff],
            (nanos << 34 | seconds).to_be_bytes().as_slice(),
        ]
        .concat()
    };
    let long = |nanos: u32, seconds: i64| {
        [
            &[0xc7, 12, 0xff],
            nanos.to_be_bytes().as_slice(),
            &seconds.to_be_bytes(),
        ]
        .concat()
    };
    let cases = [
        (
            all(b"\xd6\xff\x69\x55\xb9\x00"),
            "2026-01-01T00:00:00|2026-01-01T00:00:00|2026-01-01T00:00:00",
        ),
        (
            all(&with_nanos(123_456_789, 1_767_225_600)),
            "2026-01-01T00:00:00.123456|2026-01-01T00:00:00.123456789|2026-01-01T00:00:00",
        ),
        (
            all(&long(999_999_999, -1)),
            "1969-12-31T23:59:59.999999|1969-12-31T23:59:59.999999999|1969-12-31T23:59:59",
        ),
        (only(&long(0, 253_402_300_800)), bad),
        (only(&long(1_000_000_000, 0)), bad),
        (only(&long(0, i64::MIN)), bad),
        (only(b"\xd5\xff\x00\x00"), bad),
        (only(b"\xd6\x01\x00\x00\x00\x00"), bad),
        (only(b"\xaa2026-01-01"), "2026-01-01T00:00:00|∅|∅"),
        (only(b"\x01"), bad),
        (only(b"\xc3"), bad),
    ];
    check(&msgpack(), &columns, &cases);
    let millis = spec("msgpack", &[("timestamp.unit", "ms")]);
    let cases = [
        (
            only(b"\xcf\x00\x00\x01\x9b\x76\xda\xa8\x00"),
            "2026-01-01T00:00:00|∅|∅",
        ),
        (only(b"\xd6\xff\x69\x55\xb9\x00"), "2026-01-01T00:00:00|∅|∅"),
        (
            only(b"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"),
            "1970-01-01T00:00:00.001500|∅|∅",
        ),
        (only(b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), bad),
    ];
    check(&millis, &columns, &cases);
}

#[test]
fn numbers_that_json_does_not_have() {
    let columns = schema(&[
        ("d", DataType::Float64),
        ("f", DataType::Float32),
        ("n", DataType::Decimal128(10, 2)),
        ("i", DataType::Int64),
    ]);
    let member = |name: u8, value: &[u8]| [&[0x81, 0xa1, name], value].concat();
    let double = |value: f64| [&[0xcb], value.to_be_bytes().as_slice()].concat();
    let float = |value: f32| [&[0xca], value.to_be_bytes().as_slice()].concat();
    let cases = [
        (member(b'd', &double(f64::NAN)), "NaN|∅|∅|∅"),
        (member(b'f', &double(f64::NEG_INFINITY)), "∅|-inf|∅|∅"),
        (member(b'f', &float(f32::NAN)), "∅|NaN|∅|∅"),
        (
            member(b'f', &double(3.5e38)),
            "bad: column \"f\" is not a FLOAT",
        ),
        (member(b'd', &float(0.1)), "0.10000000149011612|∅|∅|∅"),
        (
            member(b'n', &double(f64::NAN)),
            "bad: column \"n\" is not a DECIMAL(10,2)",
        ),
        (member(b'n', &double(1.005)), "∅|∅|1.01|∅"),
        (member(b'n', &float(0.1)), "∅|∅|0.10|∅"),
        (
            member(b'n', &double(1e300)),
            "bad: column \"n\" is not a DECIMAL(10,2)",
        ),
        (
            member(b'i', &double(f64::NAN)),
            "bad: column \"i\" is not a BIGINT",
        ),
        (
            member(b'i', &double(9_223_372_036_854_775_808.0)),
            "bad: column \"i\" is not a BIGINT",
        ),
        (
            member(b'i', &double(-9_223_372_036_854_775_808.0)),
            "∅|∅|∅|-9223372036854775808",
        ),
        (
            member(b'i', &double(f64::INFINITY)),
            "bad: column \"i\" is not a BIGINT",
        ),
    ];
    check(&msgpack(), &columns, &cases);
}

#[test]
fn values_hold_values() {
    let inner = vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", micros(), true),
    ];
    let columns = schema(&[
        ("s", DataType::Struct(inner.into())),
        ("l", DataType::new_list(DataType::Int64, true)),
        ("m", map_of(DataType::Int64)),
    ]);
    let cases: Vec<(&[u8], &str)> = vec![
        (
            b"\x83\xa1s\x82\xa1x\x01\x05\x06\xa1l\x92\x01\xc0\xa1m\x82\xa1k\x01\xa1j\xc0",
            "{x: 1, y: ∅}|[1, ∅]|{k: 1, j: ∅}",
        ),
        (b"\x83\xa1s\x80\xa1l\x90\xa1m\x80", "{x: ∅, y: ∅}|[]|{}"),
        (
            b"\x81\xa1m\x83\xa1k\x01\xa1j\x02\xa1k\x03",
            "∅|∅|{k: 3, j: 2}",
        ),
        (b"\x81\xa1m\x81\x01\x02", "bad: column \"m\" is not a MAP"),
        (
            b"\x81\xa1m\x82\xa1k\x01\xc4\x01k\x02",
            "bad: column \"m\" is not a MAP",
        ),
        (
            b"\x81\xa1m\x81\xa1\xff\x02",
            "bad: column \"m\" is not a MAP",
        ),
        (b"\x81\xa1m\x81\xa1k\xa1x", "bad: column \"m\" is not a MAP"),
        (b"\x81\xa1m\x90", "bad: column \"m\" is not a MAP"),
        (
            b"\x81\xa1l\x92\x01\xa1x",
            "bad: column \"l\" is not an ARRAY",
        ),
        (b"\x81\xa1l\x80", "bad: column \"l\" is not an ARRAY"),
        (
            b"\x81\xa1s\x81\xa1x\xa1x",
            "bad: column \"s\" is not a STRUCT",
        ),
        (b"\x81\xa1s\x90", "bad: column \"s\" is not a STRUCT"),
        (b"\x81\xa1l\x91\x07", "∅|[7]|∅"),
    ];
    check(&msgpack(), &columns, &cases);
}

#[test]
fn what_cannot_work_is_refused_when_it_is_declared() {
    let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    let error = check_format(&msgpack(), OWNER, &schema(&[("i", interval)])).unwrap_err();
    assert_eq!(
        error.message(),
        "format \"msgpack\" of source \"orders\" cannot hold column \"i\", which is an INTERVAL"
    );
    let error = new_encoder(&msgpack(), "sink \"s\"", &columns())
        .err()
        .unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.message(),
        "format \"msgpack\" of sink \"s\" is for sources: rows are not written in it"
    );
    let error = check_lines(&msgpack(), OWNER).unwrap_err();
    assert!(
        error.message().contains("records that may hold any byte"),
        "{error}"
    );
}

/// Records that are good, bad in a column, cut short, damaged, or noise.
fn record() -> impl Strategy<Value = Vec<u8>> {
    let good = || any_document().prop_map(|document| packed(&Value::from(document)));
    prop_oneof![
        4 => good(),
        1 => (good(), any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        2 => (good(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(mut bytes, at, byte)| {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => vec(any::<u8>(), 0..20),
    ]
}

proptest! {
    /// The same document is the same row or bad for the same reason.
    #[test]
    fn msgpack_says_what_json_says(documents in vec(any_document(), 1..8)) {
        let texts: Vec<_> = documents.iter().map(|d: &Map<_, _>| Value::from(d.clone()).to_string()).collect();
        let bytes: Vec<_> = documents.iter().map(|d| packed(&Value::from(d.clone()))).collect();
        let json = outcomes(&decode(&spec("json", &[]), &json_columns(), &records(&texts)));
        let found = outcomes(&decode(&msgpack(), &json_columns(), &records(&bytes)));
        prop_assert_eq!(json, found);
    }

    #[test]
    fn no_record_depends_on_another(
        payloads in vec(proptest::option::weighted(0.9, record()), 0..24),
        cuts in vec(0..24_usize, 0..4),
    ) {
        let payloads: BinaryArray = payloads.iter().map(|p| p.as_deref()).collect();
        check_independence(&msgpack(), &json_columns(), &payloads, &cuts)?;
    }

    #[test]
    fn wanting_fewer_columns_keeps_the_rows_of_more(
        payloads in vec(record(), 0..16),
        wanted in proptest::sample::subsequence(vec![0_usize, 1, 2, 3, 4, 5], 0..6),
    ) {
        check_projection(&msgpack(), &json_columns(), &records(&payloads), &wanted)?;
    }
}
