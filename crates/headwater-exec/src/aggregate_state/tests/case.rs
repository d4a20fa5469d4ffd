//! Random queries and what happens to them.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use headwater_core::mode::OutputMode;

use crate::testing::aggregates::{Kind, Values};

/// A query, its epochs, and what happens in each.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// Number of key columns: `k` VARCHAR, `n` BIGINT.
    pub(super) keys: usize,
    pub(super) window: Option<CaseWindow>,
    /// Whether the input has a row per window and not per pane.
    pub(super) unpaned: bool,
    pub(super) mode: OutputMode,
    pub(super) kinds: Vec<Kind>,
    pub(super) epochs: Vec<Epoch>,
}

/// Lengths of windows, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseWindow {
    /// Slide, size and offset.
    Hop(i64, i64, i64),
    /// Step, greatest size and offset.
    Cumulate(i64, i64, i64),
}

#[derive(Debug, Clone)]
pub(super) struct Epoch {
    pub(super) batches: Vec<Batch>,
    /// `W(n)`, if it is past `W(n − 1)`.
    pub(super) watermark: i64,
    pub(super) fate: Fate,
}

#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) rows: Vec<Row>,
    pub(super) input: Input,
}

/// What the state is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    Rows,
    PartialStates,
}

#[derive(Clone, PartialEq)]
pub(super) struct Row {
    pub(super) time: i64,
    pub(super) k: Option<String>,
    pub(super) n: Option<i64>,
    pub(super) values: Values,
}

/// What happens to an epoch besides being run and committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Commit,
    /// The first attempt dies before its end; the next one begins on top of it.
    Abandon,
    /// The first attempt dies before its end and is rolled back.
    AbandonAndRollBack,
    /// The first attempt ends and is rolled back.
    RollBack,
    /// The process dies when the first attempt has ended.
    CrashBeforeCommit,
    /// The process dies after the commit.
    CrashAfterCommit,
    /// The checkpoint gets a snapshot.
    Snapshot,
    /// The checkpoint gets a snapshot and the process dies.
    SnapshotAndCrash,
}

const FATES: [Fate; 8] = [
    Fate::Commit,
    Fate::Abandon,
    Fate::AbandonAndRollBack,
    Fate::RollBack,
    Fate::CrashBeforeCommit,
    Fate::CrashAfterCommit,
    Fate::Snapshot,
    Fate::SnapshotAndCrash,
];

const TEXTS: [&str; 5] = [
    "",
    "a",
    "b",
    "a text of more than twelve bytes",
    "another text of more than twelve bytes",
];

fn texts() -> impl Strategy<Value = Option<String>> {
    proptest::option::weighted(0.8, select(TEXTS.to_vec()).prop_map(str::to_string))
}

fn rows(epoch: i64) -> impl Strategy<Value = Row> {
    let values = (
        proptest::option::weighted(0.8, -3i64..4),
        proptest::option::weighted(0.8, (-6i32..7).prop_map(|halves| f64::from(halves) / 2.0)),
        texts(),
    );
    let keys = (texts(), proptest::option::weighted(0.8, 0i64..3));
    (-12i64..12, keys, values).prop_map(move |(time, (k, n), (x, y, s))| Row {
        time: time + epoch * 4,
        k,
        n,
        values: Values { x, y, s },
    })
}

fn epoch(number: i64) -> impl Strategy<Value = Epoch> {
    let batch = (
        proptest::collection::vec(rows(number), 0..12),
        select(vec![Input::Rows, Input::PartialStates]),
    )
        .prop_map(|(rows, input)| Batch { rows, input });
    let watermark = prop_oneof![
        1 => Just(i64::MIN),
        6 => (-14i64..10).prop_map(move |w| w + number * 4),
    ];
    (
        proptest::collection::vec(batch, 0..4),
        watermark,
        select(FATES.to_vec()),
    )
        .prop_map(|(batches, watermark, fate)| Epoch {
            batches,
            watermark,
            fate,
        })
}

fn epochs() -> impl Strategy<Value = Vec<Epoch>> {
    let last = prop_oneof![Just(i64::MIN), Just(i64::MAX)];
    ((1i64..9), last)
        .prop_flat_map(|(count, last)| ((0..count).map(epoch).collect::<Vec<_>>(), Just(last)))
        .prop_map(|(mut epochs, watermark)| {
            if let Some(last) = epochs.last_mut() {
                last.watermark = last.watermark.max(watermark);
            }
            epochs
        })
}

fn windows() -> impl Strategy<Value = Option<CaseWindow>> {
    use CaseWindow::{Cumulate, Hop};
    let tumble = (1i64..12, -5i64..6).prop_map(|(size, offset)| Hop(size, size, offset));
    let multiple = (1i64..6, 1i64..5, -5i64..6).prop_map(|(s, n, offset)| Hop(s, s * n, offset));
    let any = (1i64..8, 0i64..12, -5i64..6).prop_map(|(s, more, offset)| Hop(s, s + more, offset));
    let cumulate =
        (1i64..5, 1i64..6, -5i64..6).prop_map(|(step, n, offset)| Cumulate(step, step * n, offset));
    prop_oneof![
        2 => Just(None),
        2 => tumble.prop_map(Some),
        2 => multiple.prop_map(Some),
        3 => any.prop_map(Some),
        3 => cumulate.prop_map(Some),
    ]
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let modes = [OutputMode::Update, OutputMode::Complete, OutputMode::Append];
    (
        0usize..3,
        windows(),
        any::<bool>(),
        select(modes.to_vec()),
        subsequence(Kind::ALL.to_vec(), 0..=Kind::ALL.len()),
        epochs(),
    )
        .prop_map(|(keys, window, unpaned, mode, kinds, epochs)| Case {
            keys,
            window,
            unpaned: unpaned && window.is_some(),
            // What the plan check refuses: a running aggregation that appends.
            mode: match (window, mode) {
                (None, OutputMode::Append) => OutputMode::Update,
                _ => mode,
            },
            // And one without a column.
            kinds: match (keys, kinds.is_empty()) {
                (0, true) => vec![Kind::Count],
                _ => kinds,
            },
            epochs,
        })
}

impl Case {
    /// The key of a row, as text.
    pub(super) fn key(&self, row: &Row) -> Vec<String> {
        let null = || "NULL".to_string();
        let all = [
            row.k.clone().unwrap_or_else(null),
            row.n.map_or_else(null, |n| n.to_string()),
        ];
        all[..self.keys].to_vec()
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Row { time, k, n, values } = self;
        write!(f, "@{time} k={k:?} n={n:?} {values:?}")
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "x={:?} y={:?} s={:?}", self.x, self.y, self.s)
    }
}
