//! Avro on random input: any rows come back, any bytes are rows or bad, and a good record survives
//! whatever is around it.

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Decimal128Array, Float64Array, Int32Array, Int64Array,
    ListArray, MapArray, StringViewArray, StructArray, TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::new_encoder;

/// A type with the Avro type that holds it.
fn any_type() -> impl Strategy<Value = (DataType, String)> {
    let leaf = prop_oneof![
        Just((DataType::Boolean, "\"boolean\"".to_string())),
        Just((DataType::Int32, "\"int\"".to_string())),
        Just((DataType::Int64, "\"long\"".to_string())),
        Just((DataType::Float64, "\"double\"".to_string())),
        Just((DataType::Utf8View, "\"string\"".to_string())),
        Just((DataType::Binary, "\"bytes\"".to_string())),
        Just((
            micros(),
            r#"{"type":"long","logicalType":"timestamp-micros"}"#.to_string()
        )),
        Just((
            DataType::Decimal128(20, 4),
            r#"{"type":"bytes","logicalType":"decimal","precision":20,"scale":4}"#.to_string()
        )),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|(data_type, avro)| {
                let items = format!(r#"{{"type":"array","items":["null",{avro}]}}"#);
                (DataType::new_list(data_type, true), items)
            }),
            inner.clone().prop_map(|(data_type, avro)| {
                (
                    map_of(data_type),
                    format!(r#"{{"type":"map","values":[{avro},"null"]}}"#),
                )
            }),
            (vec(inner, 1..4), any::<u64>()).prop_map(|(types, name)| {
                let fields: Vec<Field> = types
                    .iter()
                    .enumerate()
                    .map(|(at, (data_type, _))| {
                        Field::new(format!("f{at}"), data_type.clone(), true)
                    })
                    .collect();
                let avro: Vec<String> = types
                    .iter()
                    .enumerate()
                    .map(|(at, (_, avro))| format!(r#"{{"name":"f{at}","type":["null",{avro}]}}"#))
                    .collect();
                let record = format!(
                    r#"{{"type":"record","name":"R{name}","fields":[{}]}}"#,
                    avro.join(",")
                );
                (DataType::Struct(fields.into()), record)
            }),
        ]
    })
}

/// Values of a type, drawn from a generator that a seed starts.
#[expect(clippy::too_many_lines, reason = "one arm per type")]
fn values(data_type: &DataType, rows: usize, next: &mut dyn FnMut() -> u64) -> ArrayRef {
    let is_valid: Vec<bool> = (0..rows).map(|_| !next().is_multiple_of(5)).collect();
    let nulls = Some(NullBuffer::from(is_valid.clone()));
    let mut some = |make: &mut dyn FnMut(u64) -> i64| -> Vec<Option<i64>> {
        let drawn = is_valid.iter().map(|valid| (*valid, next()));
        drawn
            .map(|(valid, drawn)| valid.then(|| make(drawn)))
            .collect()
    };
    match data_type {
        DataType::Boolean => {
            let drawn = some(&mut |v| i64::from(v.is_multiple_of(2)));
            Arc::new(
                drawn
                    .iter()
                    .map(|v| v.map(|v| v == 1))
                    .collect::<BooleanArray>(),
            )
        }
        DataType::Int32 => {
            let drawn = some(&mut |v| i64::from((v >> (v % 32)) as i32));
            Arc::new(
                drawn
                    .iter()
                    .map(|v| v.map(|v| v as i32))
                    .collect::<Int32Array>(),
            )
        }
        DataType::Int64 => Arc::new(Int64Array::from(some(&mut |v| (v as i64) >> (v % 64)))),
        DataType::Float64 => {
            let drawn = some(&mut |v| v as i64);
            let doubles = drawn.iter().map(|v| v.map(|v| f64::from_bits(v as u64)));
            Arc::new(doubles.collect::<Float64Array>())
        }
        DataType::Utf8View => {
            let drawn = some(&mut |v| (v % 100_000) as i64);
            let texts = drawn.iter().map(|v| v.map(|v| format!("é{v}")));
            Arc::new(texts.collect::<StringViewArray>())
        }
        DataType::Binary => {
            let drawn = some(&mut |v| v as i64);
            let bytes: Vec<Option<Vec<u8>>> = drawn
                .iter()
                .map(|v| v.map(|v| v.to_le_bytes()[..(v as usize) % 9].to_vec()))
                .collect();
            Arc::new(bytes.iter().map(|b| b.as_deref()).collect::<BinaryArray>())
        }
        DataType::Timestamp(..) => {
            // Of the years 0 to 9999, as all formats are.
            let times = some(&mut |v| (v as i64) % 62_167_219_200_000_000);
            Arc::new(TimestampMicrosecondArray::from(times))
        }
        DataType::Decimal128(..) => {
            let drawn = some(&mut |v| v as i64);
            let decimals: Decimal128Array = drawn.iter().map(|v| v.map(i128::from)).collect();
            Arc::new(decimals.with_data_type(data_type.clone()))
        }
        DataType::List(element) => {
            let lengths: Vec<usize> = (0..rows).map(|_| (next() % 3) as usize).collect();
            let inner = values(element.data_type(), lengths.iter().sum(), next);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(ListArray::new(Arc::clone(element), offsets, inner, nulls))
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(fields) = entries.data_type() else {
                unreachable!()
            };
            let lengths: Vec<usize> = (0..rows).map(|_| (next() % 3) as usize).collect();
            let length: usize = lengths.iter().sum();
            let keys = (0..length).map(|at| Some(format!("k{at}")));
            let keys: ArrayRef = Arc::new(keys.collect::<StringViewArray>());
            let inner = values(fields[1].data_type(), length, next);
            let entry = StructArray::new(fields.clone(), vec![keys, inner], None);
            let offsets = OffsetBuffer::from_lengths(lengths);
            Arc::new(MapArray::new(
                Arc::clone(entries),
                offsets,
                entry,
                nulls,
                false,
            ))
        }
        DataType::Struct(fields) => {
            let children = fields
                .iter()
                .map(|field| values(field.data_type(), rows, next));
            let children: Vec<ArrayRef> = children.collect();
            Arc::new(StructArray::new(fields.clone(), children, nulls))
        }
        other => unreachable!("{other}"),
    }
}

/// Columns of random types and their schema, and rows of them.
fn any_rows() -> impl Strategy<Value = (FormatSpec, RecordBatch)> {
    (vec(any_type(), 1..5), 0..8_usize, any::<u64>()).prop_map(|(types, rows, seed)| {
        let columns: Vec<Field> = types
            .iter()
            .enumerate()
            .map(|(at, (data_type, _))| Field::new(format!("c{at}"), data_type.clone(), true))
            .collect();
        let fields: Vec<String> = types
            .iter()
            .enumerate()
            .map(|(at, (_, avro))| format!(r#"{{"name":"c{at}","type":["null",{avro}]}}"#))
            .collect();
        let mut next = generator(seed);
        let arrays = columns
            .iter()
            .map(|field| values(field.data_type(), rows, &mut next));
        let arrays: Vec<ArrayRef> = arrays.collect();
        let schema = Arc::new(Schema::new(columns));
        let text = format!(
            r#"{{"type":"record","name":"Row","fields":[{}]}}"#,
            fields.join(",")
        );
        (avro(&text), RecordBatch::try_new(schema, arrays).unwrap())
    })
}

/// What an order may be turned into on its way: cut, with one byte changed, or noise.
fn damage() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => vec(any::<u8>(), 0..40),
        2 => (0..2_usize, any::<prop::sample::Index>()).prop_map(|(order, at)| {
            let mut bytes = bytes_of(ORDERS[order]);
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        4 => (0..2_usize, any::<prop::sample::Index>(), any::<u8>()).prop_map(|(order, at, byte)| {
            let mut bytes = bytes_of(ORDERS[order]);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => (0..2_usize).prop_map(|order| bytes_of(ORDERS[order])),
    ]
}

proptest! {
    #[test]
    fn any_rows_come_back((format, rows) in any_rows()) {
        let columns = rows.schema();
        let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
        let encoded = encoder.encode(&rows).unwrap();
        let decoded = decode(&format, &columns, &encoded);
        prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        prop_assert_eq!(rows_as_text(&decoded.rows), rows_as_text(&rows));
        // Each column alone passes over all others.
        for column in 0..columns.fields().len() {
            let mut decoder = new_decoder(&format, OWNER, &columns, &[column]).unwrap();
            let alone = decoder.decode(&encoded).unwrap();
            prop_assert_eq!(alone.rows.column(0), decoded.rows.column(column));
        }
    }

    #[test]
    fn any_bytes_of_any_schema_are_rows_or_bad(
        (format, rows) in any_rows(),
        noise in vec((any::<prop::sample::Index>(), any::<u8>(), vec(any::<u8>(), 0..24)), 1..12),
    ) {
        let columns = rows.schema();
        let mut encoder = new_encoder(&format, OWNER, &columns).unwrap();
        let encoded = encoder.encode(&rows).unwrap();
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for (at, byte, bytes) in noise {
            payloads.push(bytes);
            if encoded.is_empty() {
                continue;
            }
            let good = encoded.value(at.index(encoded.len()));
            let mut damaged = good.to_vec();
            let place = at.index(damaged.len());
            damaged[place] = byte;
            payloads.push(damaged);
            payloads.push(good.to_vec());
        }
        let payloads = records(&payloads);
        let together = outcomes(&decode(&format, &columns, &payloads));
        for record in 0..payloads.len() {
            let alone = outcomes(&decode(&format, &columns, &payloads.slice(record, 1)));
            prop_assert_eq!(&together[record..=record], &alone[..]);
        }
    }

    #[test]
    fn a_good_record_between_bad_ones_survives(
        payloads in vec(proptest::option::weighted(0.9, damage()), 0..16),
        good in 0..2_usize,
        place in any::<prop::sample::Index>(),
        wanted in proptest::sample::subsequence((0..22_usize).collect::<Vec<_>>(), 0..22),
    ) {
        let columns = order_columns();
        let mut payloads = payloads;
        let place = place.index(payloads.len() + 1);
        payloads.insert(place, Some(bytes_of(ORDERS[good])));
        let payloads: BinaryArray = payloads.iter().map(|p| p.as_deref()).collect();
        let mut decoder = new_decoder(&avro(ORDER), OWNER, &columns, &wanted).unwrap();
        let together = outcomes(&decoder.decode(&payloads).unwrap());
        prop_assert!(!together[place].starts_with("bad"), "{}", together[place]);
        for record in 0..payloads.len() {
            let alone = outcomes(&decoder.decode(&payloads.slice(record, 1)).unwrap());
            prop_assert_eq!(&together[record..=record], &alone[..]);
        }
        // What is broken is broken whoever reads it.
        let all = decode(&avro(ORDER), &columns, &payloads);
        let broken = |decoded: &Decoded| {
            let bad = decoded.bad.iter().filter(|bad| !bad.reason.starts_with("column"));
            bad.map(|bad| (bad.record, bad.reason.clone())).collect::<Vec<_>>()
        };
        prop_assert_eq!(broken(&decoder.decode(&payloads).unwrap()), broken(&all));
    }
}
