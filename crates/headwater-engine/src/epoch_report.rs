//! The progress report of an epoch, put together from what its parts counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::EpochRecord;
use headwater_core::clock::Clock;
use headwater_core::id::{OperatorId, QueryId, SourceIndex};
use headwater_core::offset::Offsets;
use headwater_core::records::{BAD_SAMPLES_MAX, BadSample};
use headwater_core::source::{ReadCounters, Source};
use headwater_exec::metrics::EpochMetrics;
use headwater_exec::watermark::WatermarkObserver;

use crate::progress::{EpochProgress, SourceProgress, StateSize};
use crate::query_spec::QuerySpec;
use crate::recover::StartingPoint;

/// How often the newest end of the log is looked up for the lag.
const LATEST_EVERY: Duration = Duration::from_secs(10);

/// What was counted in an epoch.
pub(crate) struct Counted {
    pub(crate) observer: Arc<WatermarkObserver>,
    pub(crate) counters: Vec<Arc<ReadCounters>>,
    pub(crate) metrics: Arc<EpochMetrics>,
    /// Rows and bytes of state by operator.
    pub(crate) state: BTreeMap<OperatorId, (usize, usize)>,
    pub(crate) rows_out: u64,
    pub(crate) dead_letters: u64,
    /// Records that the next epoch reads of a source at most.
    pub(crate) intake_max: Option<u64>,
    /// Milliseconds of each step.
    pub(crate) step_times_ms: BTreeMap<String, f64>,
}

/// Keeps what one report needs of the one before.
#[derive(Debug)]
pub(crate) struct Reporter {
    clock: Arc<dyn Clock>,
    query: QueryId,
    name: String,
    sources: Vec<String>,
    ready: Duration,
    last_end: Duration,
    latest: Vec<Option<Offsets>>,
    latest_at: Option<Duration>,
    /// Reasons of bad records that were told.
    told: BTreeSet<String>,
}

impl Reporter {
    pub(crate) fn new(clock: Arc<dyn Clock>, spec: &QuerySpec, start: &StartingPoint) -> Self {
        let now = clock.elapsed();
        Reporter {
            clock,
            query: start.checkpoint.metadata().query_id.clone(),
            name: spec.name.clone(),
            sources: spec.plan.sources.iter().map(|s| s.name.clone()).collect(),
            ready: now,
            last_end: now,
            latest: vec![None; spec.plan.sources.len()],
            latest_at: None,
            told: BTreeSet::new(),
        }
    }

    /// The next epoch could start now, or could have started when it was due.
    pub(crate) fn ready(&mut self, due: Option<Duration>) {
        let now = self.clock.elapsed();
        self.ready = due.map_or(now, |due| due.min(now));
    }

    /// Says the first time that records are bad for a reason: what is left out silently is missed
    /// late.
    fn tell_bad(&mut self, bad: &BTreeMap<String, u64>, counters: &[Arc<ReadCounters>]) {
        for (reason, records) in bad {
            if !self.told.insert(reason.clone()) {
                continue;
            }
            let query = self.name.as_str();
            match counters.iter().find_map(|c| c.first_of(reason)) {
                Some(BadSample { place, detail, .. }) => {
                    tracing::warn!(
                        query,
                        records,
                        place,
                        found = detail,
                        "bad records: {reason}"
                    );
                }
                None => tracing::warn!(query, records, "bad records: {reason}"),
            }
        }
    }

    /// The newest end of every source, now and then. The lag is information: a source that cannot
    /// say does not stop the query.
    pub(crate) async fn look_up_latest(&mut self, sources: &[Arc<dyn Source>]) {
        let now = self.clock.elapsed();
        if self.latest_at.is_some_and(|at| now < at + LATEST_EVERY) {
            return;
        }
        self.latest_at = Some(now);
        for (source, known) in sources.iter().zip(&mut self.latest) {
            match source.latest().await {
                Ok(latest) => *known = Some(latest),
                Err(error) => tracing::debug!(%error, "the end of a source is unknown"),
            }
        }
    }

    /// The report of an epoch that has just run.
    pub(crate) fn report(
        &mut self,
        record: &EpochRecord,
        counted: &Counted,
        started: Duration,
    ) -> EpochProgress {
        let ended = self.clock.elapsed();
        let processing = ended.saturating_sub(started).as_secs_f64();
        let scheduling = started.saturating_sub(self.ready).as_secs_f64();
        let since_last = ended.saturating_sub(self.last_end).as_secs_f64();
        self.last_end = ended;
        let rows_in: u64 = counted.counters.iter().map(|c| c.records()).sum();
        let per_second = |seconds: f64| {
            if seconds > 0.0 {
                rows_in as f64 / seconds
            } else {
                0.0
            }
        };
        let mut rows_bad = BTreeMap::new();
        for (reason, rows) in counted.counters.iter().flat_map(|c| c.bad()) {
            *rows_bad.entry(reason).or_default() += rows;
        }
        let samples = counted.counters.iter().flat_map(|c| c.samples());
        let samples: Vec<BadSample> = samples.collect();
        let older = samples.len().saturating_sub(BAD_SAMPLES_MAX);
        let bad_samples: Vec<BadSample> = samples.into_iter().skip(older).collect();
        self.tell_bad(&rows_bad, &counted.counters);
        let sources = self.source_progress(record, counted);
        let sizes = counted.state.iter();
        let ahead = |index: usize| counted.observer.rows_ahead(SourceIndex(index));
        EpochProgress {
            query: self.query.clone(),
            name: self.name.clone(),
            epoch: record.epoch,
            processing_time: record.processing_time,
            rows_in,
            bytes_in: counted.counters.iter().map(|c| c.bytes()).sum(),
            rows_out: counted.rows_out,
            intake_max: counted.intake_max,
            rows_late: counted.metrics.late(),
            rows_bad,
            bad_samples,
            dead_letters: counted.dead_letters,
            rows_ahead: (0..self.sources.len()).map(ahead).sum(),
            rows_lost: counted.counters.iter().map(|c| c.lost()).sum(),
            keys_expired: counted.metrics.expired(),
            input_rows_per_second: per_second(since_last),
            processed_rows_per_second: per_second(processing),
            scheduling_delay_ms: scheduling * 1e3,
            processing_time_ms: processing * 1e3,
            total_delay_ms: (scheduling + processing) * 1e3,
            step_times_ms: counted.step_times_ms.clone(),
            watermark: sources
                .iter()
                .map(|s| s.watermark)
                .min()
                .unwrap_or_default(),
            state: sizes
                .map(|(id, (rows, bytes))| {
                    (
                        id.clone(),
                        StateSize {
                            rows: *rows,
                            bytes: *bytes,
                        },
                    )
                })
                .collect(),
            sources,
        }
    }

    fn source_progress(&self, record: &EpochRecord, counted: &Counted) -> Vec<SourceProgress> {
        let each = self
            .sources
            .iter()
            .zip(&record.slices)
            .zip(&counted.counters);
        each.enumerate()
            .map(|(index, ((name, slice), counters))| {
                let progress = SourceProgress {
                    name: name.clone(),
                    slice: slice.clone(),
                    rows_in: counters.records(),
                    watermark: counted.observer.after(SourceIndex(index)),
                    latest: None,
                    lag: None,
                    lag_by_partition: None,
                    lag_max: None,
                    lag_min: None,
                    lag_mean: None,
                };
                match self.latest.get(index).and_then(Option::as_ref) {
                    Some(latest) => progress.with_latest(latest),
                    None => progress,
                }
            })
            .collect()
    }
}
