//! The rows of a simulation, and what the queries make of them, computed the plain way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::SchemaRef;

use headwater_core::Result;

use crate::text_rows::{TextRow, sorted, text_rows};

/// 2026-01-01T12:00:00Z.
const NOON_S: i64 = 1_767_268_800;
const SECOND: i64 = 1_000_000;
/// Length of a window.
const WINDOW_S: i64 = 7;
/// How far a row may be behind the one before it; the watermark stays further behind.
const MOST_BEHIND_S: i64 = 8;

/// A kind of query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows that pass a filter.
    Filter,
    /// Windows, emitted when they close.
    Windows,
    /// A sum for each key, emitted when it changes.
    Running,
    /// Rows without doubles.
    Distinct,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Filter, Kind::Windows, Kind::Running, Kind::Distinct];

    pub(super) fn select(self) -> &'static str {
        match self {
            Kind::Filter => "SELECT k, v, ts FROM t WHERE v % 3 > 0",
            Kind::Windows => {
                "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
                 FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k
                 EMIT ON WINDOW CLOSE"
            }
            Kind::Running => {
                "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k EMIT ON UPDATE"
            }
            Kind::Distinct => "SELECT DISTINCT k, v % 3 AS r FROM t EMIT ON WINDOW CLOSE",
        }
    }

    /// What the rows of all epochs, in order, amount to.
    pub(super) fn folded(self, emitted: Vec<TextRow>) -> Vec<TextRow> {
        if self != Kind::Running {
            return sorted(emitted);
        }
        let keyed = emitted.into_iter().map(|row| (row.first().cloned(), row));
        let newest: BTreeMap<_, _> = keyed.collect();
        sorted(newest.into_values().collect())
    }

    /// What they must amount to.
    pub(super) fn expected(self, rows: &[Row]) -> Result<Vec<TextRow>> {
        let columns = match self {
            Kind::Filter => {
                let passing: Vec<Row> = rows.iter().filter(|r| r.v % 3 > 0).cloned().collect();
                columns_of(&passing)
            }
            Kind::Windows => windows(rows),
            Kind::Running => running(rows),
            Kind::Distinct => distinct(rows),
        };
        let batch = RecordBatch::try_from_iter(columns)?;
        Ok(sorted(text_rows(&[batch])?))
    }
}

/// A row of the source.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) partition: usize,
    k: String,
    v: i64,
    time_s: i64,
}

impl Row {
    /// The row with a number; no two have the same value.
    pub(super) fn random(number: i64, partitions: usize, random: &mut fastrand::Rng) -> Row {
        Row {
            partition: random.usize(..partitions),
            k: format!("key{}", random.u8(..4)),
            v: number + 1,
            time_s: NOON_S + number - random.i64(0..=MOST_BEHIND_S),
        }
    }
}

/// The rows of a partition as the source has them.
pub(super) fn batch_of(schema: SchemaRef, rows: &[Row]) -> Result<RecordBatch> {
    let columns = columns_of(rows).into_iter();
    let columns = columns.map(|(_, column)| column).collect();
    Ok(RecordBatch::try_new(schema, columns)?)
}

type Columns = Vec<(&'static str, ArrayRef)>;

fn columns_of(rows: &[Row]) -> Columns {
    let keys: StringViewArray = rows.iter().map(|r| Some(r.k.as_str())).collect();
    let times = rows.iter().map(|r| Some(r.time_s * SECOND));
    let times: TimestampMicrosecondArray = times.collect();
    vec![
        ("k", Arc::new(keys)),
        ("v", numbers(rows.iter().map(|r| r.v))),
        ("ts", Arc::new(times)),
    ]
}

fn numbers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<Int64Array>())
}

fn windows(rows: &[Row]) -> Columns {
    let mut groups: BTreeMap<(i64, &str), (i64, i64)> = BTreeMap::new();
    for row in rows {
        let start = row.time_s.div_euclid(WINDOW_S) * WINDOW_S;
        let group = groups.entry((start, &row.k)).or_default();
        group.0 += 1;
        group.1 += row.v;
    }
    let time = |plus_s: i64| -> ArrayRef {
        let times = groups
            .keys()
            .map(|(start, _)| Some((start + plus_s) * SECOND));
        Arc::new(times.collect::<TimestampMicrosecondArray>())
    };
    let keys: StringViewArray = groups.keys().map(|(_, k)| Some(*k)).collect();
    vec![
        ("window_start", time(0)),
        ("window_end", time(WINDOW_S)),
        ("k", Arc::new(keys)),
        ("n", numbers(groups.values().map(|g| g.0))),
        ("total", numbers(groups.values().map(|g| g.1))),
    ]
}

fn running(rows: &[Row]) -> Columns {
    let mut groups: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
    for row in rows {
        let group = groups.entry(&row.k).or_default();
        group.0 += 1;
        group.1 += row.v;
    }
    let keys: StringViewArray = groups.keys().map(|k| Some(*k)).collect();
    vec![
        ("k", Arc::new(keys)),
        ("n", numbers(groups.values().map(|g| g.0))),
        ("total", numbers(groups.values().map(|g| g.1))),
    ]
}

fn distinct(rows: &[Row]) -> Columns {
    let different: BTreeSet<(&str, i64)> = rows.iter().map(|r| (r.k.as_str(), r.v % 3)).collect();
    let keys: StringViewArray = different.iter().map(|(k, _)| Some(*k)).collect();
    vec![
        ("k", Arc::new(keys)),
        ("r", numbers(different.iter().map(|(_, r)| *r))),
    ]
}
