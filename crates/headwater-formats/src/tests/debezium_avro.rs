//! DEBEZIUM AVRO: the same events as in JSON, as Confluent's converter writes them.

use super::*;
use crate::infer::infer;
use crate::{DevRegistry, check_format, new_encoder};
use headwater_core::ErrorKind;
use headwater_core::sample::Sample;

/// A table as a connector describes it, with the names of Kafka Connect.
const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","namespace":"shop.customers","fields":[
 {"name":"before","type":["null",{"type":"record","name":"Value","connect.name":"shop.customers.Value","fields":[
   {"name":"id","type":"long"},
   {"name":"name","type":["null","string"],"default":null},
   {"name":"day","type":["null",{"type":"int","connect.version":1,"connect.name":"io.debezium.time.Date"}],"default":null},
   {"name":"at","type":["null",{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}],"default":null},
   {"name":"zoned","type":["null",{"type":"string","connect.version":1,"connect.name":"io.debezium.time.ZonedTimestamp"}],"default":null},
   {"name":"price","type":["null",{"type":"bytes","scale":2,"precision":64,"connect.version":1,
     "connect.parameters":{"scale":"2"},"connect.name":"org.apache.kafka.connect.data.Decimal","logicalType":"decimal"}],"default":null}]}],"default":null},
 {"name":"after","type":["null","Value"],"default":null},
 {"name":"source","type":{"type":"record","name":"Source","namespace":"io.debezium.connector.postgresql","fields":[
   {"name":"table","type":"string"},{"name":"lsn","type":["null","long"],"default":null}]}},
 {"name":"transaction","type":["null",{"type":"record","name":"block","namespace":"event","fields":[{"name":"id","type":"string"}]}],"default":null},
 {"name":"op","type":"string"},
 {"name":"ts_ms","type":["null","long"],"default":null}]}"#;

fn text(text: &str) -> Vec<u8> {
    [&long(text.len().try_into().unwrap()), text.as_bytes()].concat()
}

fn long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

/// A row of an id and a name, and nothing else.
fn row(id: i64, name: &str) -> Vec<u8> {
    [vec![2], long(id), vec![2], text(name), vec![0, 0, 0, 0]].concat()
}

fn no_row() -> Vec<u8> {
    vec![0]
}

fn event(before: Vec<u8>, after: Vec<u8>, op: &str) -> Vec<u8> {
    let source = [text("customers"), vec![2], long(77)].concat();
    [before, after, source, vec![0], text(op), vec![2], long(1)].concat()
}

fn given() -> FormatSpec {
    spec(
        "debezium-avro",
        &[("schema", ENVELOPE), ("source.column", "origin")],
    )
}

fn struct_of(fields: Vec<Field>) -> DataType {
    DataType::Struct(fields.into())
}

fn columns() -> SchemaRef {
    let before = vec![Field::new("name", DataType::Utf8View, true)];
    let origin = vec![
        Field::new("lsn", DataType::Int64, true),
        Field::new("table", DataType::Utf8View, true),
    ];
    schema(&[
        ("op", DataType::Utf8View),
        ("id", DataType::Int64),
        ("name", DataType::Utf8View),
        ("before", struct_of(before)),
        ("origin", struct_of(origin)),
    ])
}

#[test]
fn an_event_is_a_row_of_its_newest_values() {
    let origin = "{lsn: 77, table: customers}";
    let rows = [
        (
            event(no_row(), row(1, "a"), "c"),
            format!("c|1|a|∅|{origin}"),
        ),
        (
            event(no_row(), row(1, "a"), "r"),
            format!("r|1|a|∅|{origin}"),
        ),
        (
            event(row(1, "a"), row(1, "b"), "u"),
            format!("u|1|b|{{name: a}}|{origin}"),
        ),
        (
            event(row(1, "b"), no_row(), "d"),
            format!("d|1|b|{{name: b}}|{origin}"),
        ),
        (
            event(no_row(), no_row(), "c"),
            "bad: a change without \"after\"".to_string(),
        ),
        (
            event(no_row(), row(1, "a"), "d"),
            "bad: a delete without \"before\"".to_string(),
        ),
        (
            event(no_row(), no_row(), "t"),
            "bad: a truncate event, which has no row".to_string(),
        ),
        (
            event(no_row(), row(1, "a"), "m"),
            "bad: an event with an unknown \"op\"".to_string(),
        ),
        (
            event(no_row(), row(1, "a"), ""),
            "bad: an event with an unknown \"op\"".to_string(),
        ),
    ];
    let cases: Vec<_> = rows
        .iter()
        .map(|(bytes, row)| (bytes.as_slice(), row.as_str()))
        .collect();
    check(&given(), &columns(), &cases);
    let named = spec(
        "debezium",
        &[
            ("format", "avro"),
            ("schema", ENVELOPE),
            ("source.column", "origin"),
        ],
    );
    check(&named, &columns(), &cases);
}

#[test]
fn types_have_the_names_of_kafka_connect() {
    let columns = schema(&[
        ("id", DataType::Int64),
        ("day", DataType::Date32),
        ("at", micros()),
        ("zoned", DataType::Timestamp(TimeUnit::Millisecond, None)),
        ("price", DataType::Decimal128(10, 2)),
        ("op", DataType::Utf8View),
    ]);
    let full = |zoned: &str, price: &[u8]| {
        let price = [long(price.len().try_into().unwrap()), price.to_vec()].concat();
        let parts = [
            vec![2],
            long(7),
            vec![0, 2],
            long(20_454),
            vec![2],
            long(1_767_225_600_250_000),
            vec![2],
            text(zoned),
            vec![2],
            price,
        ];
        event(no_row(), parts.concat(), "c")
    };
    let good = full("2026-01-01T02:00:00.25+02:00", &[0x04, 0xce]);
    let cases = [
        (
            good,
            "7|2026-01-01|2026-01-01T00:00:00.250|2026-01-01T00:00:00.250|12.30|c",
        ),
        (
            full("2026-01-01", &[0xff]),
            "7|2026-01-01|2026-01-01T00:00:00.250|2026-01-01T00:00:00|-0.01|c",
        ),
        (
            full("soon", &[1]),
            "bad: column \"zoned\" is not a TIMESTAMP(3)",
        ),
        (
            full("2026-01-01T00:00:00Z", &[0x7f; 17]),
            "bad: column \"price\" is not a DECIMAL(10,2)",
        ),
        (event(no_row(), row(1, "a"), "c"), "1|∅|∅|∅|∅|c"),
    ];
    check(&given_without_source(), &columns, &cases);
    // As they are written, too.
    let plain = schema(&[
        ("day", DataType::Int32),
        ("at", DataType::Int64),
        ("zoned", DataType::Utf8View),
        ("price", DataType::Binary),
    ]);
    let good = full("2026-01-01T02:00:00Z", &[0x04, 0xce]);
    check(
        &given_without_source(),
        &plain,
        &[(good, "20454|1767225600250000|2026-01-01T02:00:00Z|04ce")],
    );
}

fn given_without_source() -> FormatSpec {
    spec("debezium-avro", &[("schema", ENVELOPE)])
}

#[test]
fn every_column_can_be_read_alone() {
    let events = [
        event(row(1, "a"), row(1, "b"), "u"),
        event(no_row(), row(2, "c"), "c"),
        event(no_row(), no_row(), "d"),
        vec![2],
    ];
    let payloads = records(&events);
    let all = outcomes(&decode(&given(), &columns(), &payloads));
    for wanted in 0..columns().fields().len() {
        let mut decoder = new_decoder(&given(), OWNER, &columns(), &[wanted]).unwrap();
        let found = outcomes(&decoder.decode(&payloads).unwrap());
        for (alone, all) in found.iter().zip(&all) {
            match all.strip_prefix("bad: ") {
                Some(_) => assert_eq!(alone, all),
                None => assert_eq!(alone, all.split('|').nth(wanted).unwrap()),
            }
        }
    }
    let mut decoder = new_decoder(&given(), OWNER, &columns(), &[]).unwrap();
    assert_eq!(decoder.decode(&payloads).unwrap().bad.len(), 2);
}

/// A value that fits no column costs the event only if it is in the row that counts.
#[test]
fn the_other_row_is_not_looked_at() {
    let no_sign = schema(&[("id", DataType::UInt32), ("op", DataType::Utf8View)]);
    let wrong = "bad: column \"id\" is not an INT UNSIGNED";
    let cases = [
        (event(row(-5, "a"), row(5, "a"), "u"), "5|u"),
        (event(row(5, "a"), row(-5, "a"), "u"), wrong),
        (event(row(-5, "a"), no_row(), "d"), wrong),
        (event(row(5, "a"), row(-5, "a"), "d"), "5|d"),
    ];
    check(&given_without_source(), &no_sign, &cases);
}

#[test]
fn malformed_records_are_bad_and_cost_no_other() {
    let good = event(row(1, "a"), row(1, "b"), "u");
    let mut cases = vec![(
        good.clone(),
        "u|1|b|{name: a}|{lsn: 77, table: customers}".to_string(),
    )];
    for length in 1..good.len() {
        cases.push((good[..length].to_vec(), "bad: cut short".to_string()));
    }
    cases.push((vec![], "bad: empty value".to_string()));
    cases.push((
        [good.clone(), vec![0]].concat(),
        "bad: more after the Avro record".to_string(),
    ));
    cases.push((vec![4], "bad: no such branch of a union".to_string()));
    let payloads: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    let found = outcomes(&decode(&given(), &columns(), &records(&payloads)));
    for ((bytes, expected), found) in cases.iter().zip(&found) {
        let is_same = match expected.as_str() {
            // Where a record breaks off decides what is missing.
            "bad: cut short" => found.starts_with("bad: ") && !found.contains("column"),
            expected => {
                found == expected
                    || expected.starts_with("bad: no such") && found.starts_with("bad: ")
            }
        };
        assert!(is_same, "{bytes:?}: {found}");
    }
}

#[test]
fn records_of_a_registry_have_schemas_of_their_own() {
    let registry = DevRegistry::start().unwrap();
    let first = registry.register("t-value", ENVELOPE);
    let flat = registry.register(
        "flat",
        r#"{"type":"record","name":"Value","fields":[{"name":"id","type":"long"}]}"#,
    );
    let short = registry.register(
        "short",
        r#"{"type":"record","name":"E","fields":[
          {"name":"op","type":{"type":"enum","name":"O","symbols":["c","d"]}},
          {"name":"after","type":{"type":"record","name":"V","fields":[{"name":"id","type":"int"}]}}]}"#,
    );
    let number = registry.register(
        "number",
        r#"{"type":"record","name":"E","fields":[{"name":"op","type":["null","int"]}]}"#,
    );
    let framed = |id: u32, datum: Vec<u8>| [vec![0], id.to_be_bytes().to_vec(), datum].concat();
    let no_op = "bad: no event: \"op\" is missing or no text";
    let cases = [
        (
            framed(first, event(no_row(), row(1, "a"), "c")),
            "c|1|a|∅|{lsn: 77, table: customers}",
        ),
        (framed(short, vec![0, 4]), "c|2|∅|∅|∅"),
        (
            framed(short, vec![2, 4]),
            "bad: a delete without \"before\"",
        ),
        (framed(flat, vec![2]), no_op),
        (framed(number, vec![2, 2]), no_op),
        (framed(number, vec![0]), no_op),
        (framed(9, vec![2]), "bad: unknown schema id"),
        (
            br#"{"op":"c","after":{"id":1}}"#.to_vec(),
            "bad: no schema id",
        ),
    ];
    for name in ["debezium-avro", "debezium-avro-confluent"] {
        let url = if name == "debezium-avro" {
            "schema.registry"
        } else {
            "url"
        };
        let spec = spec(
            name,
            &[(url, registry.url().as_str()), ("source.column", "origin")],
        );
        let payloads: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
        let found = try_decode_framed(&spec, &columns(), &records(&payloads)).unwrap();
        let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn a_column_that_is_not_null_needs_a_value() {
    let fields = vec![
        Field::new("op", DataType::Utf8View, false),
        Field::new("name", DataType::Utf8View, false),
        Field::new(
            "before",
            struct_of(vec![Field::new("id", DataType::Int64, true)]),
            false,
        ),
    ];
    let columns: SchemaRef = Arc::new(Schema::new(fields));
    let without_name = [vec![2], long(1), vec![0, 0, 0, 0, 0]].concat();
    let cases = [
        (event(row(1, "a"), row(1, "b"), "u"), "u|b|{id: 1}"),
        (
            event(no_row(), row(1, "b"), "c"),
            "bad: column \"before\" has no value",
        ),
        (
            event(no_row(), without_name, "c"),
            "bad: column \"name\" has no value",
        ),
    ];
    check(&given_without_source(), &columns, &cases);
}

#[test]
fn what_cannot_work_is_refused_when_it_is_declared() {
    let refused =
        |spec: &FormatSpec, columns: &SchemaRef| check_format(spec, OWNER, columns).unwrap_err();
    let spec_of = |options: &[(&str, &str)]| spec("debezium-avro", options);
    let flat = r#"{"type":"record","name":"R","fields":[{"name":"id","type":"long"}]}"#;
    let id = schema(&[("id", DataType::Int64)]);
    let error = refused(&spec_of(&[("schema", flat)]), &id);
    assert_eq!(
        error.message(),
        "the Avro schema of source \"orders\" is not that of an event of Debezium: it has no field \"op\""
    );
    let error = refused(
        &given_without_source(),
        &schema(&[("ident", DataType::Int64)]),
    );
    assert_eq!(
        error.message(),
        "column \"ident\" of source \"orders\" is not in its Avro schema"
    );
    let error = refused(
        &given_without_source(),
        &schema(&[("name", DataType::Int64)]),
    );
    assert!(
        error
            .message()
            .contains("its field in the Avro schema is a string"),
        "{error}"
    );
    let error = refused(&given_without_source(), &schema(&[("op", DataType::Int64)]));
    assert!(error.hint().unwrap().contains("\"op.column\""), "{error}");
    let error = refused(&given(), &id);
    assert!(
        error
            .message()
            .contains("names \"origin\", which is not a column"),
        "{error}"
    );
    assert!(
        refused(&spec_of(&[]), &id)
            .message()
            .ends_with("needs the schema of its records")
    );
    let other = spec("debezium-json", &[("format", "avro")]);
    assert_eq!(refused(&other, &id).kind(), ErrorKind::Configuration);
    let error = new_encoder(&given_without_source(), OWNER, &id)
        .err()
        .unwrap();
    assert!(
        error
            .message()
            .ends_with("is for sources: rows are not written in it"),
        "{error}"
    );
}

#[test]
fn columns_are_found_in_the_schema() {
    let sample = Sample {
        payloads: BinaryArray::from(Vec::<&[u8]>::new()),
        keys: None,
        header: None,
    };
    let found = on_a_runtime(infer(&given(), OWNER, &sample)).unwrap();
    let lines: Vec<String> = found
        .columns
        .iter()
        .map(|c| {
            format!(
                "{} {}",
                c.name,
                headwater_core::type_name::type_name(&c.data_type)
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "id BIGINT",
            "name VARCHAR",
            "day DATE",
            "at TIMESTAMP",
            "zoned TIMESTAMP",
            "price DECIMAL(38,2)",
            "op VARCHAR",
            "before STRUCT<id BIGINT, name VARCHAR, day DATE, at TIMESTAMP, zoned TIMESTAMP, price DECIMAL(38,2)>",
            "origin STRUCT<table VARCHAR, lsn BIGINT>",
        ]
    );
}
