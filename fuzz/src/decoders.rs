//! Records of every format, and the schemas that come from elsewhere.
//!
//! A byte of 0x1e stands between records; a tombstone follows the last. Asked is the contract of
//! [`headwater_core::format::Decoder`]: every record is a row or bad; what becomes of it does not
//! depend on the others or on an earlier call; and reading fewer columns finds the same syntax wrong.

use std::cell::RefCell;
use std::sync::Arc;

use arrow::array::{Array as _, BinaryArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use headwater_core::format::{BadRecord, Decoded, Decoder, FormatSpec};
use headwater_formats::{check_format, new_decoder};

/// Stands between two records.
const SEPARATOR: u8 = 0x1e;
/// More records find nothing more, and each of them is decoded by itself too.
const MAX_RECORDS: usize = 32;
/// Reasons are counted and details are shown, so neither may be as long as a record.
const MAX_TEXT_BYTES: usize = 2_100;
const OWNER: &str = "source \"fuzzed\"";

const AVRO_SCHEMA: &str = r#"{"type":"record","name":"R","fields":[
  {"name":"i","type":["null","long"]},{"name":"d","type":"double"},{"name":"s","type":["null","string"]},
  {"name":"b","type":"boolean"},
  {"name":"n","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}},
  {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
  {"name":"day","type":{"type":"int","logicalType":"date"}},
  {"name":"l","type":{"type":"array","items":"long"}},
  {"name":"r","type":["null",{"type":"record","name":"S","fields":[
     {"name":"x","type":"long"},{"name":"y","type":["null","string"]}]}]},
  {"name":"unread","type":{"type":"map","values":{"type":"array","items":["null","R"]}}}]}"#;

const PROTOBUF_SCHEMA: &str = r#"syntax = "proto3";
import "google/protobuf/timestamp.proto";
import "google/protobuf/struct.proto";
message R {
  message S { int64 x = 1; optional string y = 2; R again = 3; }
  sint64 i = 1; double d = 2; optional string s = 3; bool b = 4; uint64 n = 5;
  google.protobuf.Timestamp t = 6; int32 day = 7; repeated int64 l = 8; S r = 9;
  google.protobuf.Struct json = 10; map<string, S> unread = 11;
}"#;

fn scalars() -> Vec<(&'static str, DataType)> {
    vec![
        ("i", DataType::Int64),
        ("d", DataType::Float64),
        ("s", DataType::Utf8View),
        ("b", DataType::Boolean),
        ("n", DataType::Decimal128(38, 2)),
        ("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("day", DataType::Date32),
    ]
}

fn nested() -> Vec<(&'static str, DataType)> {
    let parts = vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", DataType::Utf8View, true),
    ];
    let mut columns = scalars();
    columns.push(("l", DataType::new_list(DataType::Int64, true)));
    columns.push(("r", DataType::Struct(parts.into())));
    columns
}

/// A MAP with keys of text.
fn map_of(value: DataType) -> DataType {
    let parts = vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", value, true),
    ];
    let entries = Field::new_struct("entries", parts, false);
    DataType::Map(Arc::new(entries), false)
}

fn schema(columns: Vec<(&str, DataType)>) -> SchemaRef {
    let fields = columns.into_iter();
    let fields = fields.map(|(name, data_type)| Field::new(name, data_type, true));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn spec(name: &str, options: &[(&str, &str)]) -> FormatSpec {
    FormatSpec {
        options: options.iter().copied().collect(),
        ..FormatSpec::named(name)
    }
}

thread_local! {
    static JSON: Subject = {
        let mut columns = nested();
        columns.push(("m", map_of(DataType::Int64)));
        Subject::new(&spec("json", &[]), &schema(columns))
    };
    static CSV: Subject = Subject::new(&spec("csv", &[]), &schema(scalars()));
    static CSV_DIALECT: Subject = {
        let dialect = [("quote", "'"), ("escape", "\\"), ("null.value", "N")];
        Subject::new(&spec("csv", &dialect), &schema(scalars()))
    };
    static INFLUX: Subject = Subject::new(&spec("influx", &[("time", "t")]), &schema(scalars()));
    static DEBEZIUM: Subject = {
        let mut columns = nested();
        columns.push(("op", DataType::Utf8View));
        Subject::new(&spec("debezium-json", &[]), &schema(columns))
    };
    static AVRO: Subject = {
        let avro = spec("avro", &[("schema", AVRO_SCHEMA)]);
        Subject::new(&avro, &schema(nested()))
    };
    static MSGPACK: Subject = {
        let mut columns = nested();
        columns.push(("bytes", DataType::BinaryView));
        columns.push(("m", map_of(DataType::Int64)));
        Subject::new(&spec("msgpack", &[]), &schema(columns))
    };
    static PROTOBUF: Subject = {
        let mut columns = nested();
        columns.retain(|(name, _)| *name != "day");
        columns.push(("day", DataType::Int64));
        columns.push(("json", DataType::Utf8View));
        let protobuf = spec("protobuf", &[("schema", PROTOBUF_SCHEMA)]);
        Subject::new(&protobuf, &schema(columns))
    };
    static TEXT: Subject = {
        let columns = schema(vec![("value", DataType::Utf8View)]);
        Subject::new(&spec("text", &[]), &columns)
    };
    static RAW: Subject = {
        let columns = schema(vec![("value", DataType::BinaryView)]);
        Subject::new(&spec("raw", &[]), &columns)
    };
}

/// Objects of JSON.
pub fn json(bytes: &[u8]) {
    JSON.with(|subject| subject.check(bytes));
}

/// Lines of CSV.
pub fn csv(bytes: &[u8]) {
    CSV.with(|subject| subject.check(bytes));
    CSV_DIALECT.with(|subject| subject.check(bytes));
}

/// Lines of Influx.
pub fn influx(bytes: &[u8]) {
    INFLUX.with(|subject| subject.check(bytes));
}

/// Events of Debezium.
pub fn debezium(bytes: &[u8]) {
    DEBEZIUM.with(|subject| subject.check(bytes));
}

/// Data of Avro.
pub fn avro(bytes: &[u8]) {
    AVRO.with(|subject| subject.check(bytes));
}

/// Maps of MessagePack.
pub fn msgpack(bytes: &[u8]) {
    MSGPACK.with(|subject| subject.check(bytes));
}

/// Messages of Protobuf.
pub fn protobuf(bytes: &[u8]) {
    PROTOBUF.with(|subject| subject.check(bytes));
}

/// Payloads as they are.
pub fn raw(bytes: &[u8]) {
    TEXT.with(|subject| subject.check(bytes));
    RAW.with(|subject| subject.check(bytes));
}

/// A schema of Avro, as a registry may give it.
pub fn avro_schema(bytes: &[u8]) {
    schema_text("avro", bytes);
}

/// A schema of Protobuf, as a registry may give it.
pub fn protobuf_schema(bytes: &[u8]) {
    schema_text("protobuf", bytes);
}

/// A schema is refused with a message, or records can be read by it.
fn schema_text(format: &str, bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let format = spec(format, &[("schema", text)]);
    let columns = schema(vec![("i", DataType::Int64), ("s", DataType::Utf8View)]);
    match check_format(&format, OWNER, &columns) {
        Ok(()) => Subject::new(&format, &columns).check(b"\x02\x02\x1e\x08\x01\x12\x01x\x1e"),
        Err(error) => assert!(!error.message().is_empty(), "an error says nothing"),
    }
}

/// The decoders of a definition; they stay, as a source's do, so that no input may leave a trace.
struct Subject {
    whole: RefCell<Box<dyn Decoder>>,
    /// Of no column, and of the last.
    fewer: [RefCell<Box<dyn Decoder>>; 2],
}

impl Subject {
    fn new(format: &FormatSpec, columns: &SchemaRef) -> Self {
        let decoder = |wanted: &[usize]| {
            let decoder = new_decoder(format, OWNER, columns, wanted);
            RefCell::new(decoder.expect("the definition is right"))
        };
        let all: Vec<usize> = (0..columns.fields().len()).collect();
        Subject {
            whole: decoder(&all),
            fewer: [decoder(&[]), decoder(&all[all.len() - 1..])],
        }
    }

    fn check(&self, bytes: &[u8]) {
        let records = bytes.splitn(MAX_RECORDS, |byte| *byte == SEPARATOR);
        let records = records.map(Some);
        let payloads: BinaryArray = records.chain([None]).collect();
        let mut whole = self.whole.borrow_mut();
        let together = decode(&mut **whole, &payloads);
        for bad in &together.bad {
            assert!(!bad.reason.is_empty(), "a reason is given");
            assert!(bad.reason.len() < MAX_TEXT_BYTES, "{}", bad.reason);
            assert!(bad.detail.len() < MAX_TEXT_BYTES, "{}", bad.detail);
        }
        check_one_by_one(&mut **whole, &payloads, &together);
        for fewer in &self.fewer {
            let some = decode(&mut **fewer.borrow_mut(), &payloads);
            assert_eq!(syntax(&some), syntax(&together), "with fewer columns");
        }
    }
}

fn decode(decoder: &mut dyn Decoder, payloads: &BinaryArray) -> Decoded {
    let decoded = decoder.decode(payloads).expect("bad input is no error");
    let found = decoded.rows.num_rows() + decoded.bad.len();
    assert_eq!(found, payloads.len(), "every record is a row or bad");
    decoded
}

/// A decoder that has seen them all gives each record what it gave it among the others.
fn check_one_by_one(decoder: &mut dyn Decoder, payloads: &BinaryArray, together: &Decoded) {
    let mut bad = together.bad.iter().peekable();
    let mut row = 0;
    for record in 0..payloads.len() {
        let alone = decode(decoder, &payloads.slice(record, 1));
        if let Some(expected) = bad.next_if(|bad| bad.record == record) {
            let found = alone.bad.first().expect("a bad record is bad alone");
            assert_eq!(found.reason, expected.reason, "record {record} alone");
            assert_eq!(found.detail, expected.detail, "record {record} alone");
        } else {
            assert_eq!(alone.rows, together.rows.slice(row, 1), "record {record}");
            row += 1;
        }
    }
}

/// The records that are bad whatever is read.
fn syntax(decoded: &Decoded) -> Vec<&BadRecord> {
    let bad = decoded.bad.iter();
    bad.filter(|bad| !bad.reason.starts_with("column"))
        .collect()
}
