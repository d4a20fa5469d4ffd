//! What a query reports after every epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, OperatorId, QueryId};
use headwater_core::offset::{Offsets, Slice};
use headwater_core::records::{BAD_SAMPLES_MAX, BadSample};
use headwater_core::watermark::Watermark;

/// Numbers of one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochProgress {
    /// The query.
    pub query: QueryId,
    /// The user's name of it.
    pub name: String,
    /// The epoch.
    pub epoch: EpochId,
    /// Wall clock of the epoch.
    pub processing_time: EventTime,
    /// Records read, good or bad.
    pub rows_in: u64,
    /// Bytes of payload read.
    pub bytes_in: u64,
    /// Rows written to the sink.
    pub rows_out: u64,
    /// Late rows by operator.
    pub rows_late: BTreeMap<OperatorId, u64>,
    /// Bad records by reason.
    pub rows_bad: BTreeMap<String, u64>,
    /// The newest of them, [`BAD_SAMPLES_MAX`] at most, oldest first.
    pub bad_samples: Vec<BadSample>,
    /// Dead letters that were written of them.
    #[serde(default)]
    pub dead_letters: u64,
    /// Rows too far ahead of the wall clock to move the watermark.
    pub rows_ahead: u64,
    /// Offsets whose records were gone before they were read, where `on.data.loss` says `skip`;
    /// with gaps in the offsets they were fewer records.
    pub rows_lost: u64,
    /// Keys that were forgotten because no row had touched them for `state.ttl`, by operator.
    pub keys_expired: BTreeMap<OperatorId, u64>,
    /// Records read per second since the end of the epoch before.
    pub input_rows_per_second: f64,
    /// Records read per second of processing.
    pub processed_rows_per_second: f64,
    /// From when the epoch could have started to when it did.
    pub scheduling_delay_ms: f64,
    /// From the start of the epoch to its commit.
    pub processing_time_ms: f64,
    /// Both together.
    pub total_delay_ms: f64,
    /// `W(n)` over all sources.
    pub watermark: Watermark,
    /// State by operator.
    pub state: BTreeMap<OperatorId, StateSize>,
    /// The sources, in the order of the query.
    pub sources: Vec<SourceProgress>,
}

/// Size of an operator's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StateSize {
    /// Live rows.
    pub rows: usize,
    /// Bytes of memory.
    pub bytes: usize,
}

/// Numbers of one source in one epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceProgress {
    /// The user's name of it.
    pub name: String,
    /// What was read.
    pub slice: Slice,
    /// Records read.
    pub rows_in: u64,
    /// Its watermark after the epoch.
    pub watermark: Watermark,
    /// The newest known end of the log; looked up now and then.
    pub latest: Option<Offsets>,
    /// Offsets between what was read and `latest`, summed over partitions. With gaps in the
    /// offsets it is more than the number of records.
    pub lag: Option<i64>,
}

impl EpochProgress {
    /// Late rows over all operators.
    pub fn late(&self) -> u64 {
        self.rows_late.values().sum()
    }

    /// Forgotten keys over all operators.
    pub fn expired(&self) -> u64 {
        self.keys_expired.values().sum()
    }

    /// Bad records over all reasons.
    pub fn bad(&self) -> u64 {
        self.rows_bad.values().sum()
    }
}

/// Sums over the life of a running query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Epochs run by this process.
    pub epochs: u64,
    /// Records read, good or bad.
    pub rows_in: u64,
    /// Rows written.
    pub rows_out: u64,
    /// Late rows.
    pub rows_late: u64,
    /// Bad records by reason.
    pub rows_bad: BTreeMap<String, u64>,
    /// The newest of them, [`BAD_SAMPLES_MAX`] at most, oldest first.
    pub bad_samples: Vec<BadSample>,
    /// Dead letters that were written of them.
    #[serde(default)]
    pub dead_letters: u64,
    /// Rows too far ahead of the wall clock to move the watermark.
    pub rows_ahead: u64,
    /// Offsets whose records were gone before they were read.
    pub rows_lost: u64,
    /// Keys that were forgotten because no row had touched them for `state.ttl`.
    pub keys_expired: u64,
}

impl Totals {
    pub(crate) fn add(&mut self, progress: &EpochProgress) {
        self.epochs += 1;
        self.rows_in += progress.rows_in;
        self.rows_out += progress.rows_out;
        self.rows_late += progress.late();
        self.rows_ahead += progress.rows_ahead;
        self.dead_letters += progress.dead_letters;
        self.rows_lost += progress.rows_lost;
        self.keys_expired += progress.expired();
        for (reason, rows) in &progress.rows_bad {
            *self.rows_bad.entry(reason.clone()).or_default() += rows;
        }
        self.bad_samples
            .extend(progress.bad_samples.iter().cloned());
        let older = self.bad_samples.len().saturating_sub(BAD_SAMPLES_MAX);
        self.bad_samples.drain(..older);
    }
}
