//! How fast orders of about 126 bytes are decoded and encoded, beside arrow-json's own decoder.
//!
//! `cargo bench -p headwater-formats`
#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot run has to stop"
)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use headwater_core::format::FormatSpec;
use headwater_formats::{new_decoder, new_encoder};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 8192;
const OWNER: &str = "source \"orders\"";

/// Columns and the four of seven that a query such as "traded volume by symbol" reads.
const ALL: [usize; 7] = [0, 1, 2, 3, 4, 5, 6];
const FOUR: [usize; 4] = [0, 3, 4, 5];

fn orders() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    let columns = [
        ("time", time),
        ("order_id", DataType::Int64),
        ("client_id", DataType::Int64),
        ("symbol", DataType::Utf8View),
        ("amount", DataType::Int32),
        ("price", DataType::Float64),
        ("buy", DataType::Utf8View),
    ];
    let fields: Vec<_> = columns
        .into_iter()
        .map(|(name, data_type)| Field::new(name, data_type, true))
        .collect();
    Arc::new(Schema::new(fields))
}

fn json_records() -> BinaryArray {
    let records = (0..ROWS).map(|i| {
        format!(
            r#"{{"time":"2026-01-01T00:{:02}:{:02}.{:03}Z","order_id":{},"client_id":{},"symbol":"A{}B","amount":{},"price":{}.{:02},"buy":"{}"}}"#,
            i / 60 % 60, i % 60, i % 1000, 1_000_000 + i, i * 97 % 1_000_000, i % 500, i % 1000,
            i % 300, i % 100, if i % 2 == 0 { 'B' } else { 'S' }
        )
    });
    BinaryArray::from_iter_values(records)
}

fn csv_records() -> BinaryArray {
    let records = (0..ROWS).map(|i| {
        format!(
            "2026-01-01T00:{:02}:{:02}.{:03}Z,{},{},A{}B,{},{}.{:02},{}",
            i / 60 % 60,
            i % 60,
            i % 1000,
            1_000_000 + i,
            i * 97 % 1_000_000,
            i % 500,
            i % 1000,
            i % 300,
            i % 100,
            if i % 2 == 0 { 'B' } else { 'S' }
        )
    });
    BinaryArray::from_iter_values(records)
}

fn influx_records() -> BinaryArray {
    let records = (0..ROWS).map(|i| {
        format!(
            "order,buy={},symbol=A{}B amount={}i,client_id={}i,order_id={}i,price={}.{:02} {}\n",
            if i % 2 == 0 { 'B' } else { 'S' },
            i % 500,
            i % 1000,
            i * 97 % 1_000_000,
            1_000_000 + i,
            i % 300,
            i % 100,
            1_767_225_600_000_000_000 + i * 1_000_000
        )
    });
    BinaryArray::from_iter_values(records)
}

/// The JSON records as the rows of new ones.
fn debezium_records() -> BinaryArray {
    let rows = json_records();
    let events = rows.iter().flatten().map(|row| {
        let mut event = br#"{"before":null,"after":"#.to_vec();
        event.extend_from_slice(row);
        event.extend_from_slice(br#","source":{"db":"shop","table":"orders"},"op":"c","ts_ms":1}"#);
        event
    });
    BinaryArray::from_iter_values(events)
}

fn avro() -> FormatSpec {
    let mut spec = FormatSpec::named("avro");
    let schema = r#"{"type":"record","name":"Order","fields":[
        {"name":"time","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"order_id","type":"long"},
        {"name":"client_id","type":["null","long"]},
        {"name":"symbol","type":"string"},
        {"name":"amount","type":"int"},
        {"name":"price","type":"double"},
        {"name":"buy","type":"string"}]}"#;
    spec.options.set("schema", schema);
    spec
}

/// The orders of [`json_records`] in another format.
fn encoded(spec: &FormatSpec) -> BinaryArray {
    let schema = orders();
    let json = FormatSpec::named("json");
    let mut decoder = new_decoder(&json, OWNER, &schema, &ALL).unwrap();
    let rows = decoder.decode(&json_records()).unwrap().rows;
    let mut encoder = new_encoder(spec, OWNER, &schema).unwrap();
    encoder.encode(&rows).unwrap()
}

fn protobuf() -> FormatSpec {
    let mut spec = FormatSpec::named("protobuf");
    let schema = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; message Order {
        google.protobuf.Timestamp time = 1;
        int64 order_id = 2;
        optional int64 client_id = 3;
        string symbol = 4;
        int32 amount = 5;
        double price = 6;
        string buy = 7; }";
    spec.options.set("schema", schema);
    spec
}

fn decode(c: &mut Criterion) {
    let schema = orders();
    for (spec, records) in [
        (FormatSpec::named("json"), json_records()),
        (FormatSpec::named("csv"), csv_records()),
        (avro(), encoded(&avro())),
        (protobuf(), encoded(&protobuf())),
        (FormatSpec::named("influx"), influx_records()),
        (FormatSpec::named("debezium-json"), debezium_records()),
    ] {
        let mut group = c.benchmark_group(format!("decode_{}", spec.name));
        group.throughput(Throughput::Elements(ROWS as u64));
        for (name, projection) in [("7_of_7", &ALL[..]), ("4_of_7", &FOUR[..]), ("0_of_7", &[])] {
            let mut decoder = new_decoder(&spec, OWNER, &schema, projection).unwrap();
            group.bench_function(name, |b| {
                b.iter(|| black_box(decoder.decode(black_box(&records)).unwrap()));
            });
        }
        group.finish();
    }
}

fn decode_with_arrow(c: &mut Criterion) {
    let records = json_records();
    let builder = arrow::json::ReaderBuilder::new(orders()).with_batch_size(ROWS);
    let mut decoder = builder.build_decoder().unwrap();
    let mut group = c.benchmark_group("decode_arrow_json");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("7_of_7", |b| {
        b.iter(|| {
            for record in records.iter().flatten() {
                decoder.decode(record).unwrap();
            }
            black_box(decoder.flush().unwrap())
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let schema = orders();
    let mut decoder = new_decoder(&FormatSpec::named("json"), OWNER, &schema, &ALL).unwrap();
    let rows = decoder.decode(&json_records()).unwrap().rows;
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let (json, csv) = (FormatSpec::named("json"), FormatSpec::named("csv"));
    for spec in [json, csv, avro(), protobuf()] {
        let mut encoder = new_encoder(&spec, OWNER, &schema).unwrap();
        group.bench_function(&spec.name, |b| {
            b.iter(|| black_box(encoder.encode(black_box(&rows)).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, decode, decode_with_arrow, encode);
criterion_main!(benches);
