//! What this crate promises, checked from outside: data in, text out.
//!
//! `json`, `csv`, `raw`, `influx`, `msgpack`, `debezium`, `debezium_avro`, `avro` and `protobuf` are tables of
//! good and bad input; `infer` finds columns in samples; `assembler` holds the policies; `properties` prove the
//! decoders' contract on random input; `round_trip` that what an encoder writes its decoder reads.

mod assembler;
mod avro;
mod bad_input;
mod csv;
mod debezium;
mod debezium_avro;
mod infer;
mod influx;
mod influx_properties;
mod json;
mod msgpack;
mod payload_reader;
mod properties;
mod protobuf;
mod raw;
mod round_trip;

use std::sync::Arc;

use arrow::array::{Array, BinaryArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_core::format::{Decoded, FormatSpec};

use crate::new_decoder;

const OWNER: &str = "source \"orders\"";

fn spec(name: &str, options: &[(&str, &str)]) -> FormatSpec {
    FormatSpec {
        options: options.iter().copied().collect(),
        ..FormatSpec::named(name)
    }
}

fn micros() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    let fields = columns
        .iter()
        .map(|(name, data_type)| Field::new(*name, data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Fields>()))
}

fn records<T: AsRef<[u8]>>(records: &[T]) -> BinaryArray {
    records.iter().map(|r| Some(r.as_ref())).collect()
}

fn decode(spec: &FormatSpec, schema: &SchemaRef, payloads: &BinaryArray) -> Decoded {
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    let mut decoder = new_decoder(spec, OWNER, schema, &all).unwrap();
    let decoded = decoder.decode(payloads).unwrap();
    assert_eq!(decoded.rows.num_rows() + decoded.bad.len(), payloads.len());
    assert_eq!(&decoded.rows.schema(), schema);
    decoded
}

/// Rows as text: values separated by `|`, NULL as `∅`.
fn rows_as_text(rows: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::new().with_null("∅");
    let columns: Vec<_> = rows
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    (0..rows.num_rows())
        .map(|row| {
            let values: Vec<_> = columns.iter().map(|c| c.value(row).to_string()).collect();
            values.join("|")
        })
        .collect()
}

/// What became of every record: its row, or `bad: ` and the reason.
fn outcomes(decoded: &Decoded) -> Vec<String> {
    let mut rows = rows_as_text(&decoded.rows).into_iter();
    let mut bad = decoded.bad.iter().peekable();
    (0..decoded.rows.num_rows() + decoded.bad.len())
        .map(|record| match bad.next_if(|b| b.record == record) {
            Some(bad) => format!("bad: {}", bad.reason),
            None => rows.next().unwrap(),
        })
        .collect()
}

/// Bytes of hexadecimal digits.
fn bytes_of(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().map(|c| c.to_digit(16).unwrap()).collect();
    let pairs = digits.chunks(2);
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// A MAP with keys of text.
fn map_of(value: DataType) -> DataType {
    let fields = vec![
        Field::new("key", DataType::Utf8View, false),
        Field::new("value", value, true),
    ];
    let entries = Field::new("entries", DataType::Struct(fields.into()), false);
    DataType::Map(Arc::new(entries), false)
}

/// Prepares and decodes on a runtime, as a connector would.
fn try_decode_framed(
    spec: &FormatSpec,
    columns: &SchemaRef,
    payloads: &BinaryArray,
) -> headwater_core::Result<Vec<String>> {
    let all: Vec<usize> = (0..columns.fields().len()).collect();
    let mut decoder = new_decoder(spec, OWNER, columns, &all)?;
    on_a_runtime(async {
        decoder.prepare(payloads).await?;
        Ok(outcomes(&decoder.decode(payloads)?))
    })
}

fn on_a_runtime<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build();
    runtime.unwrap().block_on(future)
}

/// Numbers of a seed, one after the other.
fn generator(mut state: u64) -> impl FnMut() -> u64 {
    move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    }
}

/// Decodes every record, alone and all together, and compares with what was expected.
fn check<T: AsRef<[u8]> + std::fmt::Debug>(
    spec: &FormatSpec,
    schema: &SchemaRef,
    cases: &[(T, &str)],
) {
    let payloads: Vec<&[u8]> = cases.iter().map(|(record, _)| record.as_ref()).collect();
    let together = outcomes(&decode(spec, schema, &records(&payloads)));
    for ((record, expected), together) in cases.iter().zip(together) {
        let alone = outcomes(&decode(spec, schema, &records(&[record])));
        assert_eq!(alone, [*expected], "alone: {record:?}");
        assert_eq!(together, *expected, "with others: {record:?}");
    }
}
