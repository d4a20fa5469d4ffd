//! The rows that go from client to client: the edge values of every type.
//!
//! A row is an object of JSON, as `tests/interop/peer.py` describes it. What headwater reads is
//! compared with the same rows, shown as Arrow shows them.

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Value as Json, json};

/// The columns with their types.
pub(super) const COLUMNS: &[(&str, &str)] = &[
    ("id", "BIGINT"),
    ("d", "DECIMAL(20, 4)"),
    ("s", "VARCHAR"),
    ("b", "BOOLEAN"),
    ("f", "DOUBLE"),
    ("ts", "TIMESTAMP"),
    ("day", "DATE"),
    ("bin", "BYTEA"),
    ("p", "STRUCT<x BIGINT, y VARCHAR>"),
    ("tags", "VARCHAR[]"),
    ("m", "STRUCT<key VARCHAR, value BIGINT>[]"),
];

/// The greatest values, the smallest ones, and nothing but NULL.
pub(super) fn rows() -> Vec<Json> {
    vec![
        json!({
            "id": i64::MAX, "d": "9999999999999999.9999", "s": "", "b": true, "f": f64::MAX,
            "ts": "2262-04-11T23:47:16.854775", "day": "9999-12-31", "bin": "00ff",
            "p": {"x": 1, "y": "a"}, "tags": ["a", null, ""],
            "m": [{"key": "k", "value": 1}, {"key": "é", "value": null}],
        }),
        json!({
            "id": i64::MIN, "d": "-0.0001", "s": "zażółć \"日本\", 😀", "b": false, "f": -0.1,
            "ts": "1969-12-31T23:59:59.999999", "day": "1969-12-31", "bin": "",
            "p": {"x": null, "y": null}, "tags": [], "m": [],
        }),
        json!({
            "id": 0, "d": null, "s": null, "b": null, "f": null, "ts": null, "day": null,
            "bin": null, "p": null, "tags": null, "m": null,
        }),
    ]
}

/// `id BIGINT, d DECIMAL(20, 4), …`
pub(super) fn declared(columns: &[(&str, &str)]) -> String {
    let columns = columns.iter().map(|(name, kind)| format!("{name} {kind}"));
    columns.collect::<Vec<String>>().join(", ")
}

/// Rows as headwater must show them, ordered as text.
pub(super) fn shown(columns: &[(&str, &str)], rows: &[Json]) -> Vec<String> {
    let show_row = |row: &Json| {
        let cells = columns.iter().map(|(name, _)| show(&row[name]));
        cells.collect::<Vec<String>>().join(" | ")
    };
    let mut shown: Vec<String> = rows.iter().map(show_row).collect();
    shown.sort();
    shown
}

fn show(value: &Json) -> String {
    match value {
        Json::Null => "NULL".to_string(),
        Json::String(text) => text.clone(),
        Json::Array(parts) => {
            let parts: Vec<String> = parts.iter().map(show).collect();
            format!("[{}]", parts.join(", "))
        }
        Json::Object(parts) => {
            let parts = parts.iter().map(|(name, v)| format!("{name}: {}", show(v)));
            format!("{{{}}}", parts.collect::<Vec<String>>().join(", "))
        }
        value => match value.as_f64().filter(|_| value.is_f64()) {
            Some(number) => format!("{number:?}"),
            None => value.to_string(),
        },
    }
}

/// What headwater has read, ordered as text.
pub(super) fn read(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let mut shown = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cells = columns.iter().map(|column| column.value(row).to_string());
            shown.push(cells.collect::<Vec<String>>().join(" | "));
        }
    }
    shown.sort();
    shown
}
