//! Records that are given to every format: what is no record of it is bad input as well.

use super::values::varint;

/// A name and the bytes, of a tombstone none.
pub(super) type Payload = (&'static str, Option<Vec<u8>>);

/// A text that is larger than what brokers let through by default.
const LARGE_BYTES: usize = 10 << 20;
/// So many times the same byte show whether each costs more than the one before.
const MANY: usize = 1 << 20;

fn small() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("a row of JSON", br#"{"a":1,"s":"x"}"#),
        ("a row of CSV", b"1,x"),
        ("a row of Avro", b"\x02\x02\x02\x02x"),
        ("a row of Protobuf", b"\x08\x01\x12\x01x"),
        ("a row of Influx", b"m a=1,s=\"x\""),
        (
            "a row of Debezium",
            br#"{"op":"c","after":{"a":1,"s":"x"}}"#,
        ),
        ("malformed JSON", br#"{"a":1,,"s":"x"}"#),
        ("cut in a member", br#"{"a":1,"s":"x"#),
        ("cut in an escape", br#"{"s":"\u00"#),
        ("cut in a character", b"{\"s\":\"\xc3"),
        ("cut in CSV", b"1,\"x"),
        ("cut in Avro", b"\x02\x02\x02\x08x"),
        ("cut in Protobuf", b"\x08\x01\x12\x05x"),
        ("cut in Influx", b"m a=1,s=\"x"),
        ("two values on a line", br#"{"a":1}{"a":2}"#),
        ("two values on two lines", b"{\"a\":1}\n{\"a\":2}"),
        ("two lines of CSV", b"1,x\n2,y"),
        ("two lines of Influx", b"m a=1\nm a=2"),
        ("two records of Avro", b"\x02\x02\x02\x02x\x02\x02\x02\x02x"),
        ("two messages of Protobuf", b"\x08\x01\x12\x01x\x08\x02"),
        ("an array", br#"[{"a":1}]"#),
        ("a number", b"1"),
        ("a text", b"\"x\""),
        ("null", b"null"),
        ("a member twice", br#"{"a":1,"a":2,"s":"x","s":null}"#),
        ("a member twice, once wrong", br#"{"a":"x","a":2}"#),
        ("a field twice", b"m,a=1 a=2,a=3"),
        ("other case", br#"{"A":1,"S":"x"}"#),
        ("other case in Influx", b"m A=1,S=\"x\""),
        ("a missing column", br#"{"s":"x"}"#),
        ("a missing column in CSV", b"1"),
        ("an extra column", br#"{"a":1,"s":"x","z":[1,{"y":2}]}"#),
        ("an extra column in CSV", b"1,x,z"),
        ("an extra field in Protobuf", b"\x08\x01\x22\x01z"),
        ("an extra field in Influx", b"m a=1,s=\"x\",z=1"),
        ("another type", br#"{"a":"1","s":1}"#),
        ("another type in Protobuf", b"\x0a\x01x\x10\x01"),
        ("a branch that there is not", b"\x04\x02\x02\x02x"),
        ("a length below zero", b"\x02\x02\x02\x01"),
        (
            "a length of 2^62",
            b"\x02\x02\x02\xfe\xff\xff\xff\xff\xff\xff\xff\x7f",
        ),
        (
            "a varint of eleven bytes",
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ),
        ("field number zero", b"\x00\x01"),
        ("a group that never ends", b"\x0b\x0b\x0b\x0b"),
    ]
}

/// Bytes that are in nobody's grammar, and text that is dangerous to show.
fn odd_bytes() -> Vec<(&'static str, &'static [u8])> {
    vec![
        ("empty value", b""),
        ("white space", b" \r\n\t"),
        ("line feed", b"\n"),
        ("a byte order mark", b"\xef\xbb\xbf{\"a\":1}"),
        ("a byte order mark before CSV", b"\xef\xbb\xbf1,x"),
        ("a byte order mark before a text of CSV", b"\xef\xbb\xbf,x"),
        ("a byte order mark before Influx", b"\xef\xbb\xbfm a=1"),
        ("a byte order mark alone", b"\xef\xbb\xbf"),
        ("UTF-16", b"\xff\xfe{\x00\"\x00a\x00\"\x00:\x001\x00}\x00"),
        ("not UTF-8", b"{\"a\":1,\"s\":\"\xff\"}"),
        ("not UTF-8 in CSV", b"1,\xff"),
        ("not UTF-8 in Avro", b"\x02\x02\x02\x02\xff"),
        ("not UTF-8 in Protobuf", b"\x12\x01\xff"),
        ("not UTF-8 in Influx", b"m s=\"\xff\""),
        (
            "a character of three bytes too long",
            b"{\"s\":\"\xe0\x80\xaf\"}",
        ),
        ("half a surrogate pair", br#"{"s":"\ud800"}"#),
        (
            "half a surrogate pair as bytes",
            b"{\"s\":\"\xed\xa0\x80\"}",
        ),
        ("the zero byte", b"\0"),
        ("a zero byte in a text", b"{\"s\":\"x\0y\"}"),
        ("a zero byte as an escape", br#"{"s":"x\u0000y"}"#),
        ("a zero byte in CSV", b"1,x\0y"),
        ("a zero byte in Avro", b"\x02\x02\x02\x06x\0y"),
        ("a zero byte in Protobuf", b"\x12\x03x\0y"),
        ("a zero byte in Influx", b"m s=\"x\0y\""),
        ("zero bytes after the end", b"{\"a\":1}\0\0\0"),
        ("a frame of a registry", b"\0\0\0\0\x07{\"a\":1}"),
        ("a formula", br#"{"s":"=cmd|' /C calc'!A0"}"#),
        ("terminal escapes", b"{\"s\":\"\\u001b[2J\x7f\"}"),
        ("terminal escapes in CSV", b"1,\x1b[2J"),
        ("a truncate", br#"{"op":"t"}"#),
        ("an event without a row", br#"{"op":"c","after":null}"#),
        ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00"),
    ]
}

/// Records that are made, because they are large.
fn large() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
    let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
    let members = |n: usize| {
        let members: Vec<_> = (0..n).map(|i| format!("\"f{i}\":{i}")).collect();
        format!("{{{},\"a\":1}}", members.join(","))
    };
    let fields = |n: usize| {
        let fields: Vec<_> = (0..n).map(|i| format!("f{i}={i}")).collect();
        format!("m {},a=1", fields.join(","))
    };
    let same_members = |n: usize| format!("{{{}\"a\":2}}", "\"a\":1,".repeat(n));
    let text = "x".repeat(LARGE_BYTES);
    let mut long_text = vec![2, 2, 2];
    long_text.extend(varint(u64::try_from(2 * LARGE_BYTES).unwrap()));
    long_text.extend(text.as_bytes());
    let mut long_field = vec![0x12];
    long_field.extend(varint(u64::try_from(LARGE_BYTES).unwrap()));
    long_field.extend(text.as_bytes());
    vec![
        ("depth 10,000", nested(10_000).into_bytes()),
        ("depth 10,000 of objects", objects(10_000).into_bytes()),
        ("depth 10,000, never closed", vec![b'['; 10_000]),
        ("groups of depth 10,000", vec![0x0b; 10_000]),
        (
            "10 MB of text",
            format!("{{\"s\":\"{text}\"}}").into_bytes(),
        ),
        ("10 MB of text in CSV", format!("1,{text}").into_bytes()),
        ("10 MB of text in Avro", long_text),
        ("10 MB of text in Protobuf", long_field),
        (
            "10 MB of text in Influx",
            format!("m s=\"{text}\"").into_bytes(),
        ),
        (
            "a million digits",
            format!("{{\"a\":{}}}", "1".repeat(MANY)).into_bytes(),
        ),
        (
            "a million zeros in CSV",
            format!("{},x", "0".repeat(MANY)).into_bytes(),
        ),
        ("a million zero bytes", vec![0; MANY]),
        ("a million quotes", vec![b'"'; MANY]),
        ("a million backslashes", vec![b'\\'; MANY]),
        ("a million commas", vec![b','; MANY]),
        ("a million line feeds", vec![b'\n'; MANY]),
        ("a million bytes 0xff", vec![0xff; MANY]),
        (
            "a million escapes",
            format!("{{\"s\":\"{}\"}}", "\\u0041".repeat(MANY)).into_bytes(),
        ),
        ("100,000 fields", members(100_000).into_bytes()),
        ("100,000 fields in CSV", "1,".repeat(100_000).into_bytes()),
        ("100,000 fields in Influx", fields(100_000).into_bytes()),
        ("a field 100,000 times", same_members(100_000).into_bytes()),
        (
            "a field 100,000 times in Protobuf",
            b"\x08\x01".repeat(100_000),
        ),
    ]
}

/// All of them, and a tombstone.
pub(super) fn payloads() -> Vec<Payload> {
    let small = small().into_iter().chain(odd_bytes());
    let small = small.map(|(name, bytes)| (name, bytes.to_vec()));
    let all = small
        .chain(large())
        .map(|(name, bytes)| (name, Some(bytes)));
    all.chain([("tombstone", None)]).collect()
}
