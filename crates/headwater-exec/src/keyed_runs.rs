//! State of operators that keep rows by key: sessions, rankings, frames of preceding rows.
//!
//! Every key has a run of rows. An epoch looks at the keys of its new rows and at those that the
//! watermark has made due, and gives each of them a new run. What the run is, and what is emitted,
//! is an operator's [`RunLogic`]; versions, deltas, undo and restore are here, once for all of them.
//!
//! ```text
//! epoch n:   new rows by key ─┐
//!            keys that are due ├─► logic ─► new runs ─► version n, delta n
//!            their old runs  ──┘         └► output
//! ```

use std::fmt::Debug;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;

use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

use crate::changelog::WatermarkStep;

pub use state::RunState;
pub(crate) use table::batch as batch_of;

mod state;
mod table;

/// The slot of a row that changes nothing.
pub(crate) const NO_SLOT: u32 = u32::MAX;

/// The end of an epoch, as one operator sees it.
#[derive(Debug, Clone, Copy)]
pub struct EpochEnd {
    /// What is emitted.
    pub mode: OutputMode,
    /// `W(n − 1)` and `W(n)`.
    pub step: WatermarkStep,
}

/// The keys an epoch looks at. A key has a slot, from 0; its old run may be empty.
#[derive(Debug)]
pub struct Slots {
    /// Key columns, a row per slot.
    pub keys: Vec<ArrayRef>,
    /// Old runs of all slots, one after the other: keys, then values.
    pub old: RecordBatch,
    /// Rows of every old run.
    pub old_lengths: Vec<u32>,
}

impl Slots {
    /// The slot of every row of the old runs.
    pub(crate) fn old_slots(&self) -> Vec<u32> {
        let of_slot = self.old_lengths.iter().enumerate();
        of_slot
            .flat_map(|(slot, rows)| std::iter::repeat_n(slot as u32, *rows as usize))
            .collect()
    }
}

/// What an epoch makes of its slots.
#[derive(Debug, Default)]
pub struct Advance {
    /// Rows of every new run; `None` leaves the old run as it is.
    pub lengths: Vec<Option<u32>>,
    /// Value columns of the new runs, one after the other.
    pub values: Vec<ArrayRef>,
    /// What is emitted, but for complete mode.
    pub output: Vec<RecordBatch>,
    /// New rows that came too late to count.
    pub late: LateCount,
}

/// Rows that came too late.
#[derive(Debug, Clone, Default)]
pub struct LateCount {
    /// How many.
    pub count: u64,
    /// The rows and their event times, in pieces, if they are wanted.
    pub rows: Vec<(RecordBatch, ArrayRef)>,
}

/// The beginning of an epoch, as one operator sees it.
#[derive(Debug, Clone, Copy)]
pub struct EpochStart {
    /// `W(n − 1)`.
    pub before: Watermark,
    /// Whether late rows are wanted.
    pub keeps_late_rows: bool,
}

/// What an operator does with the rows of a key.
///
/// # Contract
/// 1. A run is a function of the rows of its key and the watermarks, not of how rows are cut into
///    batches and epochs.
/// 2. `due` of a row is when, without a new row, its run could change or emit. An epoch looks at
///    every run with a row that is due after `W(n − 1)` and at or before `W(n)`, but for complete
///    mode.
pub trait RunLogic: Debug + Send + Sync {
    /// Names and types of a row of state: keys, then values.
    fn schema(&self) -> &SchemaRef;
    /// The new rows of an epoch.
    fn new_rows(&self, start: &EpochStart) -> Result<Box<dyn NewRows>>;
    /// When every row of state is due, in microseconds, after the watermark has passed some time;
    /// `i64::MAX` for never.
    fn due(&self, rows: &RecordBatch, past_us: i64) -> Result<Vec<i64>>;
    /// The whole result, for complete mode.
    fn all(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>>;
    /// A key whose run has so many rows takes no more.
    fn settled_rows(&self) -> u64 {
        u64::MAX
    }
}

/// The new rows of one epoch, on their way into runs.
pub trait NewRows: Send {
    /// Adds a batch of the input; row `i` belongs to `slots[i]`, or nowhere if that is [`NO_SLOT`].
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()>;
    /// Makes the new runs.
    fn finish(self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance>;
}
