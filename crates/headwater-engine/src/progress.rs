//! What a query reports after every epoch.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, OperatorId, QueryId};
use headwater_core::offset::{Offsets, Partition, Slice};
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
    /// Milliseconds of each step, by its name: `asking` the sources how far they can be read, which
    /// is before the start of the epoch; `logging` what was decided; `running` the plan;
    /// `preparing`, in which sinks make rows durable; `saving` state and commit record;
    /// `committing` the transaction of a sink; `publishing` rows; `telling` sources what is
    /// committed.
    #[serde(default)]
    pub step_times_ms: BTreeMap<String, f64>,
    /// Records that the next epoch reads of each source at most, so that it does not take longer
    /// than it should; `None` as long as backpressure sets no limit.
    pub intake_max: Option<u64>,
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
    /// The newest known end of every partition; looked up now and then, and never before the end of
    /// what was read. `None` if the source cannot say.
    pub latest: Option<Offsets>,
    /// Offsets between what was read and `latest`, summed over partitions. With gaps in the
    /// offsets it is more than the number of records.
    pub lag: Option<i64>,
    /// The same by partition.
    pub lag_by_partition: Option<Offsets>,
    /// The lag of the partition that is furthest behind.
    pub lag_max: Option<i64>,
    /// The lag of the partition that is least behind.
    pub lag_min: Option<i64>,
    /// The lag of a partition on average.
    pub lag_mean: Option<f64>,
}

impl SourceProgress {
    /// Sets `latest` to what was looked up, and the lags to what follows from it.
    pub(crate) fn with_latest(self, looked_up: &Offsets) -> Self {
        let mut latest = looked_up.clone();
        for (partition, end) in self.slice.end.iter() {
            if latest.get(partition).is_none_or(|latest| latest < end) {
                latest.set(partition.clone(), end);
            }
        }
        let read = |partition: &Partition| self.slice.end.get(partition).unwrap_or(0);
        let lags = latest.iter().map(|(p, end)| (p.clone(), end - read(p)));
        let lags: Offsets = lags.collect();
        let total = lags.iter().map(|(_, lag)| lag).sum::<i64>();
        SourceProgress {
            lag: Some(total),
            lag_max: lags.iter().map(|(_, lag)| lag).max(),
            lag_min: lags.iter().map(|(_, lag)| lag).min(),
            lag_mean: (!lags.is_empty()).then(|| total as f64 / lags.len() as f64),
            lag_by_partition: Some(lags),
            latest: Some(latest),
            ..self
        }
    }

    /// The partition that is furthest behind, with its lag, if the source has several.
    pub fn furthest_behind(&self) -> Option<(&Partition, i64)> {
        let lags = self.lag_by_partition.as_ref().filter(|lags| lags.len() > 1);
        lags?.iter().max_by_key(|(_, lag)| *lag)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offsets: &[i64]) -> Offsets {
        let each = offsets.iter().enumerate();
        each.map(|(index, offset)| (Partition::new("t", index as i32), *offset))
            .collect()
    }

    fn source(start: &[i64], end: &[i64]) -> SourceProgress {
        SourceProgress {
            name: "t".to_string(),
            slice: Slice {
                start: at(start),
                end: at(end),
            },
            rows_in: 3,
            watermark: Watermark::default(),
            latest: None,
            lag: None,
            lag_by_partition: None,
            lag_max: None,
            lag_min: None,
            lag_mean: None,
        }
    }

    #[test]
    fn the_lag_is_told_of_every_partition_and_of_all() {
        let progress = source(&[0, 0], &[10, 7]).with_latest(&at(&[25, 7, 30]));
        assert_eq!(progress.lag_by_partition, Some(at(&[15, 0, 30])));
        assert_eq!(progress.lag, Some(45));
        assert_eq!((progress.lag_min, progress.lag_max), (Some(0), Some(30)));
        assert_eq!(progress.lag_mean, Some(15.0));
        let furthest = progress.furthest_behind().unwrap();
        assert_eq!(furthest, (&Partition::new("t", 2), 30));
    }

    #[test]
    fn what_was_read_since_the_look_is_no_lag_below_zero() {
        let progress = source(&[0, 0], &[10, 7]).with_latest(&at(&[8]));
        assert_eq!(progress.latest, Some(at(&[10, 7])));
        assert_eq!(progress.lag, Some(0));
        let none = source(&[], &[]).with_latest(&at(&[]));
        assert_eq!(
            (none.lag, none.lag_max, none.lag_mean),
            (Some(0), None, None)
        );
    }

    #[test]
    fn positions_in_json_are_objects_by_topic_and_partition() {
        let progress = source(&[1], &[3]).with_latest(&at(&[9]));
        let json = serde_json::to_value(&progress).unwrap();
        assert_eq!(json["slice"]["start"]["t"]["0"], 1);
        assert_eq!(json["slice"]["end"]["t"]["0"], 3);
        assert_eq!(json["latest"]["t"]["0"], 9);
        assert_eq!(json["lag_by_partition"]["t"]["0"], 6);
        assert_eq!(json["lag_max"], 6);
    }
}
