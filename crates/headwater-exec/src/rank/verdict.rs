//! What happens to the rows of a ranking at the end of an epoch.

use arrow::array::PrimitiveArray;
use arrow::datatypes::TimestampMicrosecondType;

use headwater_core::mode::OutputMode;

use super::Emission;

/// What the end of an epoch says of rows.
pub(super) struct Verdict<'a> {
    pub(super) mode: OutputMode,
    pub(super) before: i64,
    pub(super) after: i64,
    pub(super) emission: &'a Emission,
    /// When the key of every row is closed, if keys are.
    pub(super) closes: Option<Vec<i64>>,
    /// Event time of every row, if rows are emitted by it.
    pub(super) times: Option<PrimitiveArray<TimestampMicrosecondType>>,
}

impl Verdict<'_> {
    /// Whether the watermark has closed the key of some rows.
    pub(super) fn is_closed(&self, rows: &[u32]) -> bool {
        match (&self.closes, rows.first()) {
            (Some(closes), Some(row)) if self.mode != OutputMode::Complete => {
                closes[*row as usize] <= self.after
            }
            _ => false,
        }
    }

    /// Whether a row is emitted now. `is_same` says that the row had the same number before,
    /// `was_there` that it had any.
    pub(super) fn emits(&self, row: u32, is_closed: bool, is_same: bool, was_there: bool) -> bool {
        match (self.mode, self.emission) {
            (OutputMode::Complete, _) => false,
            (OutputMode::Update, _) => !is_same,
            (OutputMode::Append, Emission::AtClose) => is_closed,
            (OutputMode::Append, Emission::AtOnce) => !was_there,
            (OutputMode::Append, Emission::ByTime(_)) => self.times.as_ref().is_some_and(|times| {
                let time = times.value(row as usize);
                self.before <= time && time < self.after
            }),
        }
    }
}
