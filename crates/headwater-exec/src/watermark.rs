//! Observing event time while an epoch reads, and the watermark that follows from it.
//!
//! Every partition remembers the greatest event time it brought. The watermark of a source is the
//! minimum over its partitions that are not idle, less the delay; `W(n)` is known once the input
//! of epoch `n` is drained, and is used in that same epoch. Which partitions are idle was decided
//! before the epoch ran and is in its log record, so a replay comes to the same `W(n)`.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, TimestampMicrosecondArray};
use arrow::compute::{cast, max};
use arrow::datatypes::{DataType, TimeUnit};
use parking_lot::Mutex;

use headwater_core::event_time::EventTime;
use headwater_core::id::SourceIndex;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::watermark::{Watermark, WatermarkCombine, WatermarkSpec};
use headwater_core::{Error, Result};

use crate::changelog::WatermarkStep;

/// The watermark of an operator's input.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub struct InputTime {
    /// The sources that feed it: the minimum over them counts.
    pub sources: Vec<SourceIndex>,
    /// How far behind that minimum event times of the input may be, because an operator below
    /// holds rows back.
    pub behind_us: i64,
}

/// What is known of a source's event time before an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceEventTime {
    /// What the source says about its event time; `None` if it has no watermark.
    pub spec: Option<WatermarkSpec>,
    /// `W(n − 1)`.
    pub watermark: Watermark,
    /// Greatest event time per partition so far, in microseconds.
    pub max_event_times: Offsets,
    /// All partitions there are.
    pub partitions: Vec<Partition>,
    /// Those that do not hold the watermark back in this epoch.
    pub idle: Vec<Partition>,
    /// Whether the input ends with this epoch, so that `W(n)` is the end of time.
    pub ends: bool,
}

/// Event times seen by the readers of an epoch.
#[derive(Debug)]
pub struct WatermarkObserver {
    sources: Vec<SourceObserver>,
    processing_time: EventTime,
}

#[derive(Debug)]
struct SourceObserver {
    before: SourceEventTime,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    maxima: BTreeMap<Partition, i64>,
    rows: BTreeMap<Partition, u64>,
    ahead: u64,
}

impl WatermarkObserver {
    /// An observer for an epoch that runs at `processing_time`; one entry per source.
    pub fn new(before: Vec<SourceEventTime>, processing_time: EventTime) -> Self {
        let sources = before
            .into_iter()
            .map(|before| SourceObserver {
                before,
                seen: Mutex::default(),
            })
            .collect();
        WatermarkObserver {
            sources,
            processing_time,
        }
    }

    /// Notes the event times of rows of one partition. Rows too far ahead of the wall clock do
    /// not count, but for a counter.
    ///
    /// # Errors
    /// If the column is not a timestamp.
    pub fn observe(
        &self,
        source: SourceIndex,
        partition: &Partition,
        event_times: &ArrayRef,
    ) -> Result<()> {
        let Some(observer) = self.sources.get(source.0) else {
            return Err(Error::internal(format!(
                "no source {} in this epoch",
                source.0
            )));
        };
        let times = as_micros(event_times)?;
        let rows = times.len() as u64;
        if rows == 0 {
            return Ok(());
        }
        let mut greatest = max(&times);
        let mut ahead = 0;
        let limit = observer.before.spec.as_ref().and_then(|s| s.max_ahead);
        if let (Some(limit), Some(found)) = (limit, greatest) {
            let bound = self.processing_time.plus(limit).0;
            if found > bound {
                let near = times.iter().flatten().filter(|t| *t <= bound);
                greatest = near.clone().max();
                ahead = rows - near.count() as u64;
            }
        }
        let mut seen = observer.seen.lock();
        *seen.rows.entry(partition.clone()).or_default() += rows;
        seen.ahead += ahead;
        if let Some(greatest) = greatest {
            let known = seen.maxima.entry(partition.clone()).or_insert(greatest);
            *known = greatest.max(*known);
        }
        Ok(())
    }

    /// Greatest event time per partition, this epoch included.
    pub fn max_event_times(&self, source: SourceIndex) -> Offsets {
        let Some(observer) = self.sources.get(source.0) else {
            return Offsets::new();
        };
        let mut maxima = observer.before.max_event_times.clone();
        for (partition, seen) in &observer.seen.lock().maxima {
            let known = maxima.get(partition).unwrap_or(i64::MIN);
            maxima.set(partition.clone(), known.max(*seen));
        }
        maxima
    }

    /// Partitions that brought a row in this epoch.
    pub fn active(&self, source: SourceIndex) -> Vec<Partition> {
        let observer = self.sources.get(source.0);
        observer
            .map(|o| o.seen.lock().rows.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// Rows of this epoch that were too far ahead of the wall clock to move the watermark.
    pub fn rows_ahead(&self, source: SourceIndex) -> u64 {
        self.sources
            .get(source.0)
            .map(|o| o.seen.lock().ahead)
            .unwrap_or_default()
    }

    /// `W(n)` of a source, from what has been seen until now.
    pub fn after(&self, source: SourceIndex) -> Watermark {
        let Some(observer) = self.sources.get(source.0) else {
            return Watermark::MIN;
        };
        let before = &observer.before;
        if before.ends {
            return Watermark::MAX;
        }
        let Some(spec) = &before.spec else {
            return before.watermark;
        };
        let maxima = self.max_event_times(source);
        let greatest = match spec.combine {
            WatermarkCombine::Max => maxima.iter().map(|(_, t)| t).max(),
            WatermarkCombine::Min => {
                let holding = before
                    .partitions
                    .iter()
                    .filter(|p| !before.idle.contains(p));
                holding.map(|p| maxima.get(p).unwrap_or(i64::MIN)).min()
            }
        };
        match greatest {
            None | Some(i64::MIN) => before.watermark,
            Some(time) => before
                .watermark
                .max(Watermark::at(EventTime(time).minus(spec.delay))),
        }
    }

    /// `W(n − 1)` and `W(n)` of an operator's input.
    pub fn step(&self, input: &InputTime) -> WatermarkStep {
        let sources = &input.sources;
        let before = sources.iter().filter_map(|s| self.sources.get(s.0));
        let before = before
            .map(|o| o.before.watermark)
            .min()
            .unwrap_or(Watermark::MIN);
        let after = sources
            .iter()
            .map(|s| self.after(*s))
            .min()
            .unwrap_or(Watermark::MIN);
        WatermarkStep { before, after }.behind(input.behind_us)
    }
}

/// A timestamp column in microseconds.
///
/// # Errors
/// If the column is not a timestamp.
pub fn as_micros(column: &ArrayRef) -> Result<TimestampMicrosecondArray> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    let plain = match column.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => std::sync::Arc::clone(column),
        DataType::Timestamp(unit, _) => {
            // The instant counts, whatever zone it is shown in.
            let instants = cast(column, &DataType::Timestamp(*unit, None))?;
            cast(&instants, &micros)?
        }
        other => return Err(Error::internal(format!("event time of type {other}"))),
    };
    let values = plain.as_any().downcast_ref::<TimestampMicrosecondArray>();
    values
        .cloned()
        .ok_or_else(|| Error::internal("event time is not in microseconds"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn spec() -> WatermarkSpec {
        WatermarkSpec {
            column: "ts".into(),
            delay: Duration::from_micros(5),
            combine: WatermarkCombine::Min,
            idle_timeout: WatermarkSpec::DEFAULT_IDLE_TIMEOUT,
            max_ahead: Some(Duration::from_micros(100)),
        }
    }

    fn before(idle: &[i32]) -> SourceEventTime {
        SourceEventTime {
            spec: Some(spec()),
            watermark: Watermark::MIN,
            max_event_times: Offsets::new(),
            partitions: vec![Partition::new("t", 0), Partition::new("t", 1)],
            idle: idle.iter().map(|p| Partition::new("t", *p)).collect(),
            ends: false,
        }
    }

    fn see(observer: &WatermarkObserver, partition: i32, times: &[i64]) {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()));
        observer
            .observe(SourceIndex(0), &Partition::new("t", partition), &times)
            .unwrap();
    }

    fn w(observer: &WatermarkObserver) -> Watermark {
        observer.after(SourceIndex(0))
    }

    #[test]
    fn the_slowest_partition_holds_the_watermark() {
        let observer = WatermarkObserver::new(vec![before(&[])], EventTime(1000));
        see(&observer, 0, &[50, 70]);
        assert_eq!(w(&observer), Watermark::MIN);
        see(&observer, 1, &[20, 10]);
        assert_eq!(w(&observer), Watermark::at(EventTime(15)));
    }

    #[test]
    fn an_idle_partition_does_not_hold_it() {
        let observer = WatermarkObserver::new(vec![before(&[1])], EventTime(1000));
        see(&observer, 0, &[50]);
        assert_eq!(w(&observer), Watermark::at(EventTime(45)));
        let observer = WatermarkObserver::new(vec![before(&[0, 1])], EventTime(1000));
        assert_eq!(w(&observer), Watermark::MIN, "all idle: it stays");
    }

    #[test]
    fn it_never_moves_back() {
        let mut source = before(&[]);
        source.watermark = Watermark::at(EventTime(40));
        let observer = WatermarkObserver::new(vec![source], EventTime(1000));
        see(&observer, 0, &[1]);
        see(&observer, 1, &[2]);
        assert_eq!(w(&observer), Watermark::at(EventTime(40)));
    }

    #[test]
    fn rows_far_ahead_are_counted_and_do_not_move_it() {
        let observer = WatermarkObserver::new(vec![before(&[1])], EventTime(1000));
        see(&observer, 0, &[900, 1100, 1101, 9_000_000]);
        assert_eq!(w(&observer), Watermark::at(EventTime(1095)));
        assert_eq!(observer.rows_ahead(SourceIndex(0)), 2);
    }

    #[test]
    fn the_end_of_input_is_the_end_of_time() {
        let mut source = before(&[]);
        source.ends = true;
        let observer = WatermarkObserver::new(vec![source], EventTime(0));
        assert_eq!(w(&observer), Watermark::MAX);
    }
}
