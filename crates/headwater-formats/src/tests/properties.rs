//! The decoders' contract on random input: points 1 to 3 of
//! [`headwater_core::format::Decoder`], and agreement with `serde_json` on what a document says.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

pub(super) fn json_columns() -> SchemaRef {
    schema(&[
        ("i", DataType::Int64),
        ("d", DataType::Float64),
        ("s", DataType::Utf8View),
        ("b", DataType::Boolean),
        ("l", DataType::new_list(DataType::Int64, true)),
        ("m", map_of(DataType::Int64)),
    ])
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("a large double is not the integer it is written as", |v| {
                v.abs() < 9e15 || v.abs() > 1e19
            })
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-z\"\\\\]{0,3}", inner), 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Documents most of whose values fit their columns.
pub(super) fn any_document() -> impl Strategy<Value = Map<String, Value>> {
    let member = prop_oneof![
        4 => any::<i64>().prop_map(|v| ("i", json!(v))),
        4 => any::<f64>().prop_map(|v| ("d", json!(v))),
        4 => any::<String>().prop_map(|v| ("s", json!(v))),
        4 => any::<bool>().prop_map(|v| ("b", json!(v))),
        4 => vec(any::<Option<i64>>(), 0..4).prop_map(|v| ("l", json!(v))),
        4 => vec(("[a-z\"\\\\]{0,3}", any::<Option<i64>>()), 0..4).prop_map(|entries| {
            let entries = entries.into_iter().map(|(key, value)| (key, json!(value)));
            ("m", Value::from(entries.collect::<Map<_, _>>()))
        }),
        2 => any_json().prop_map(|v| ("other", v)),
        1 => (0..6_usize, any_json())
            .prop_map(|(at, v)| (["i", "d", "s", "b", "l", "m"][at], v)),
    ];
    vec(member, 0..8).prop_map(|members| {
        let owned = members
            .into_iter()
            .map(|(key, value)| (key.to_string(), value));
        owned.collect()
    })
}

/// The row that a document says, or `None` if a value is not of its column's type.
fn expected(document: &Map<String, Value>) -> Option<String> {
    let null = Value::Null;
    let show = |key: &str| {
        let value = document.get(key).unwrap_or(&null);
        if value.is_null() {
            return Some("∅".to_string());
        }
        match key {
            "i" => integer(value),
            "d" => value.as_f64().map(|v| format!("{v:?}")),
            "s" => value.as_str().map(ToString::to_string),
            "b" => value.as_bool().map(|v| v.to_string()),
            "l" => value.as_array().and_then(|elements| {
                let all: Option<Vec<_>> = elements.iter().map(integer_or_null).collect();
                Some(format!("[{}]", all?.join(", ")))
            }),
            _ => value.as_object().and_then(|members| {
                let all = members
                    .iter()
                    .map(|(key, v)| Some(format!("{key}: {}", integer_or_null(v)?)));
                let all: Option<Vec<_>> = all.collect();
                Some(format!("{{{}}}", all?.join(", ")))
            }),
        }
    };
    let names = ["i", "d", "s", "b", "l", "m"].into_iter();
    let values: Option<Vec<_>> = names.map(show).collect();
    Some(values?.join("|"))
}

fn integer_or_null(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("∅".to_string()),
        value => integer(value),
    }
}

/// An integer; a double of a whole number within range is one too.
fn integer(value: &Value) -> Option<String> {
    match (value.as_i64(), value.as_f64()) {
        (Some(v), _) => Some(v.to_string()),
        (None, Some(v)) if value.is_f64() && v.fract() == 0.0 && v.abs() < 9e15 => {
            Some(format!("{}", v as i64))
        }
        _ => None,
    }
}

/// Shortest forms of doubles differ between printers: compares numbers as numbers.
fn same_row(left: &str, right: &str) -> bool {
    left == right
        || left.split('|').count() == right.split('|').count()
            && left.split('|').zip(right.split('|')).all(|(l, r)| {
                l == r || matches!((l.parse::<f64>(), r.parse::<f64>()), (Ok(l), Ok(r)) if l.to_bits() == r.to_bits())
            })
}

/// Records that are good, bad in a column, cut short, or noise.
fn record() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => any_document().prop_map(|d| Value::from(d).to_string().into_bytes()),
        1 => (any_document(), any::<prop::sample::Index>()).prop_map(|(d, at)| {
            let mut bytes = Value::from(d).to_string().into_bytes();
            bytes.truncate(at.index(bytes.len()));
            bytes
        }),
        1 => (any_document(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(d, at, byte)| {
            let mut bytes = Value::from(d).to_string().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        1 => "[0-9a-z,\"\n.]{0,20}".prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..20),
    ]
}

/// A record gives the same alone, among others, and in chunks of one decoder.
pub(super) fn check_independence(
    spec: &FormatSpec,
    schema: &SchemaRef,
    payloads: &BinaryArray,
    cuts: &[usize],
) -> Result<(), TestCaseError> {
    let together = outcomes(&decode(spec, schema, payloads));
    let mut alone = Vec::new();
    for record in 0..payloads.len() {
        alone.extend(outcomes(&decode(spec, schema, &payloads.slice(record, 1))));
    }
    prop_assert_eq!(&together, &alone);
    // One decoder for all chunks: an earlier chunk must leave nothing behind.
    let mut cuts: Vec<_> = cuts.iter().map(|c| (*c).min(payloads.len())).collect();
    cuts.extend([0, payloads.len()]);
    cuts.sort_unstable();
    let all: Vec<_> = (0..schema.fields().len()).collect();
    let mut decoder = new_decoder(spec, OWNER, schema, &all).unwrap();
    let mut chunked = Vec::new();
    for pair in cuts.windows(2) {
        let chunk = payloads.slice(pair[0], pair[1] - pair[0]);
        chunked.extend(outcomes(&decoder.decode(&chunk).unwrap()));
    }
    prop_assert_eq!(&together, &chunked);
    Ok(())
}

/// Wanting some columns makes no record bad that is good with all, and finds the same syntax wrong.
pub(super) fn check_projection(
    spec: &FormatSpec,
    schema: &SchemaRef,
    payloads: &BinaryArray,
    wanted: &[usize],
) -> Result<(), TestCaseError> {
    let all = decode(spec, schema, payloads);
    let mut decoder = new_decoder(spec, OWNER, schema, wanted).unwrap();
    let some = decoder.decode(payloads).unwrap();
    let bad_in_all: Vec<_> = all.bad.iter().map(|b| b.record).collect();
    for bad in &some.bad {
        prop_assert!(bad_in_all.contains(&bad.record));
    }
    let is_column = |reason: &str| reason.starts_with("column");
    let syntax = |decoded: &Decoded| {
        let bad = decoded.bad.iter().filter(|b| !is_column(&b.reason));
        bad.cloned().collect::<Vec<_>>()
    };
    prop_assert_eq!(syntax(&all), syntax(&some));
    Ok(())
}

proptest! {
    #[test]
    fn json_says_what_serde_json_says(documents in vec(any_document(), 1..8)) {
        let texts: Vec<_> = documents.iter().map(|d| Value::from(d.clone()).to_string()).collect();
        let decoded = decode(&spec("json", &[]), &json_columns(), &records(&texts));
        for ((outcome, document), text) in outcomes(&decoded).iter().zip(&documents).zip(&texts) {
            match expected(document) {
                Some(row) => prop_assert!(same_row(outcome, &row), "{text}: {outcome} != {row}"),
                None => prop_assert!(outcome.starts_with("bad: column"), "{text}: {outcome}"),
            }
        }
    }

    #[test]
    fn no_record_depends_on_another(
        payloads in vec(proptest::option::weighted(0.9, record()), 0..24),
        cuts in vec(0..24_usize, 0..4),
    ) {
        let payloads: BinaryArray = payloads.iter().map(|p| p.as_deref()).collect();
        for (format, options) in [
            ("json", &[][..]),
            ("csv", &[]),
            ("csv", &[("escape", "\\"), ("null.value", "a")]),
        ] {
            let spec = spec(format, options);
            let schema = match format {
                "json" => json_columns(),
                _ => schema(&[("i", DataType::Int64), ("s", DataType::Utf8View)]),
            };
            check_independence(&spec, &schema, &payloads, &cuts)?;
        }
    }

    #[test]
    fn wanting_fewer_columns_keeps_the_rows_of_more(
        payloads in vec(record(), 0..16),
        wanted in proptest::sample::subsequence(vec![0_usize, 1, 2, 3, 4, 5], 0..6),
    ) {
        check_projection(&spec("json", &[]), &json_columns(), &records(&payloads), &wanted)?;
    }
}
