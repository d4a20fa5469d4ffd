//! Watermarks between epochs: what is carried from one to the next, and which partitions are idle.

use std::collections::BTreeSet;
use std::time::Duration;

use headwater_checkpoint::WatermarkState;
use headwater_core::event_time::EventTime;
use headwater_core::id::SourceIndex;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::watermark::WatermarkSpec;
use headwater_exec::watermark::{SourceEventTime, WatermarkObserver};

/// What is known about the end of a source's input when an epoch is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputEnd<'a> {
    /// Nothing.
    Unknown,
    /// The end of the log as it was looked up now; rows may follow.
    Log(&'a Offsets),
    /// The end of a bounded run: no row will follow.
    Bound(&'a Offsets),
}

impl InputEnd<'_> {
    /// Whether a partition that has been read up to `position` is known to hold more.
    fn has_unread(self, partition: &Partition, position: Option<i64>) -> bool {
        match self {
            InputEnd::Unknown => false,
            InputEnd::Log(end) | InputEnd::Bound(end) => {
                let end = end.get(partition);
                end.is_some_and(|end| position.is_none_or(|position| position < end))
            }
        }
    }
}

/// The partitions that do not hold the watermark in an epoch over `slice`: those with nothing to
/// read, now or later, that brought no row for the time-out. In a bounded run a partition that
/// never brought a row and never will is idle at once.
pub(crate) fn idle_partitions(
    spec: &WatermarkSpec,
    state: &WatermarkState,
    slice: &Slice,
    now: EventTime,
    end: InputEnd<'_>,
) -> BTreeSet<Partition> {
    let reading: BTreeSet<&Partition> = slice.ranges().map(|(p, _, _)| p).collect();
    let is_idle = |partition: &Partition| {
        // A partition with unread records is never idle, read in this epoch or not.
        if reading.contains(partition) || end.has_unread(partition, slice.end.get(partition)) {
            return false;
        }
        let never = state.max_event_times.get(partition).is_none();
        if never && matches!(end, InputEnd::Bound(_)) {
            return true;
        }
        let last = state.last_row_at.get(partition).map_or(now, EventTime);
        last.plus(spec.idle_timeout) <= now
    };
    let partitions = slice.end.iter().map(|(p, _)| p);
    let idle: BTreeSet<Partition> = partitions.filter(|p| is_idle(p)).cloned().collect();
    let last = last_heard(state);
    let all_idle = idle.len() == slice.end.len();
    // The one that was heard last falls silent after the others: the watermark stays at what it
    // says, and does not stay at what the others said, which may be nothing.
    idle.into_iter()
        .filter(|p| !(all_idle && last.contains(p)))
        .collect()
}

/// The partitions with rows that were heard last.
fn last_heard(state: &WatermarkState) -> BTreeSet<Partition> {
    let has_rows = |p: &Partition| state.max_event_times.get(p).is_some();
    let heard = || state.last_row_at.iter().filter(|(p, _)| has_rows(p));
    let newest = heard().map(|(_, at)| at).max();
    heard()
        .filter(|(_, at)| Some(*at) == newest)
        .map(|(p, _)| p.clone())
        .collect()
}

/// A partition that is silent and still holds unread records is looked at again after this.
const IDLE_LOOK_MIN: Duration = Duration::from_secs(1);

/// How long until a partition that is not idle now will be, if no row comes.
pub(crate) fn until_next_idle(
    spec: &WatermarkSpec,
    state: &WatermarkState,
    now: EventTime,
) -> Option<Duration> {
    let waiting = state
        .last_row_at
        .iter()
        .filter(|(p, _)| !state.idle.contains(*p));
    let waiting: Vec<_> = waiting.collect();
    // Those that were heard last never become idle.
    let last = last_heard(state);
    if waiting.iter().all(|(p, _)| last.contains(*p)) {
        return None;
    }
    let due = waiting
        .iter()
        .map(|(_, last)| EventTime(*last).plus(spec.idle_timeout))
        .min()?;
    let wait = u64::try_from(due.0.saturating_sub(now.0)).unwrap_or(0);
    Some(Duration::from_micros(wait).max(IDLE_LOOK_MIN))
}

/// The state as an epoch over `slice` finds it: new partitions start their idle time now.
pub(crate) fn before_epoch(
    spec: Option<&WatermarkSpec>,
    state: &WatermarkState,
    slice: &Slice,
    now: EventTime,
    end: InputEnd<'_>,
) -> WatermarkState {
    let mut state = state.clone();
    let Some(spec) = spec else { return state };
    for (partition, _) in slice.end.iter() {
        if state.last_row_at.get(partition).is_none() {
            state.last_row_at.set(partition.clone(), now.0);
        }
    }
    state.idle = idle_partitions(spec, &state, slice, now, end);
    state
}

/// The state after an epoch, from what its readers saw.
pub(crate) fn after_epoch(
    before: &WatermarkState,
    observer: &WatermarkObserver,
    source: SourceIndex,
    processing_time: EventTime,
) -> WatermarkState {
    let mut last_row_at: Offsets = before.last_row_at.clone();
    for partition in observer.active(source) {
        last_row_at.set(partition, processing_time.0);
    }
    WatermarkState {
        source_watermark: observer.after(source),
        max_event_times: observer.max_event_times(source),
        last_row_at,
        idle: before.idle.clone(),
    }
}

/// What the observer of an epoch is told about a source.
pub(crate) fn event_time_of(
    spec: Option<&WatermarkSpec>,
    state: &WatermarkState,
    slice: &Slice,
    ends: bool,
) -> SourceEventTime {
    SourceEventTime {
        spec: spec.cloned(),
        watermark: state.source_watermark,
        max_event_times: state.max_event_times.clone(),
        partitions: slice.end.iter().map(|(p, _)| p.clone()).collect(),
        idle: state.idle.iter().cloned().collect(),
        ends,
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::watermark::WatermarkCombine;

    use super::*;

    fn spec() -> WatermarkSpec {
        WatermarkSpec {
            column: "ts".into(),
            delay: Duration::ZERO,
            combine: WatermarkCombine::Min,
            idle_timeout: Duration::from_secs(30),
            max_ahead: None,
        }
    }

    fn at(offsets: &[i64]) -> Offsets {
        let each = offsets.iter().enumerate();
        each.map(|(i, o)| (Partition::new("t", i as i32), *o))
            .collect()
    }

    fn seconds(s: i64) -> EventTime {
        EventTime(s * 1_000_000)
    }

    fn idle(state: &WatermarkState, slice: &Slice, now: i64, end: InputEnd<'_>) -> Vec<i32> {
        idle_partitions(&spec(), state, slice, seconds(now), end)
            .iter()
            .map(|p| p.index)
            .collect()
    }

    #[test]
    fn idle_is_silence_for_the_time_out_with_nothing_unread() {
        let state = WatermarkState {
            last_row_at: at(&[0, 20_000_000, 0]),
            max_event_times: at(&[1, 1, 1]),
            ..WatermarkState::default()
        };
        let slice = Slice {
            start: at(&[5, 5, 5]),
            end: at(&[5, 5, 9]),
        };
        assert_eq!(
            idle(&state, &slice, 29, InputEnd::Unknown),
            Vec::<i32>::new()
        );
        assert_eq!(idle(&state, &slice, 30, InputEnd::Unknown), [0]);
        assert_eq!(idle(&state, &slice, 50, InputEnd::Unknown), [0, 1]);
    }

    #[test]
    fn a_bounded_run_does_not_wait_for_partitions_without_rows() {
        let state = WatermarkState {
            last_row_at: at(&[0, 0]),
            max_event_times: at(&[1]),
            ..WatermarkState::default()
        };
        let slice = Slice {
            start: at(&[5, 0]),
            end: at(&[5, 0]),
        };
        assert_eq!(
            idle(&state, &slice, 1, InputEnd::Unknown),
            Vec::<i32>::new()
        );
        assert_eq!(idle(&state, &slice, 1, InputEnd::Bound(&at(&[9, 0]))), [1]);
    }

    #[test]
    fn a_partition_with_unread_records_is_never_idle() {
        let state = WatermarkState {
            last_row_at: at(&[0, 0]),
            max_event_times: at(&[1]),
            ..WatermarkState::default()
        };
        // Nothing of partition 1 is in this epoch, but there is something to come.
        let slice = Slice {
            start: at(&[5, 0]),
            end: at(&[6, 0]),
        };
        for end in [InputEnd::Bound(&at(&[9, 4])), InputEnd::Log(&at(&[9, 4]))] {
            assert_eq!(idle(&state, &slice, 90, end), Vec::<i32>::new());
        }
        assert_eq!(idle(&state, &slice, 90, InputEnd::Log(&at(&[9, 0]))), [1]);
    }

    #[test]
    fn the_partition_that_was_heard_last_stays_when_all_fall_silent() {
        // Partitions 0 and 2 never brought a row, and the clock was looked at late.
        let state = WatermarkState {
            last_row_at: at(&[0, 5_000_000, 0]),
            max_event_times: [(Partition::new("t", 1), 7)].into_iter().collect(),
            ..WatermarkState::default()
        };
        let slice = Slice {
            start: at(&[0, 2, 0]),
            end: at(&[0, 2, 0]),
        };
        assert_eq!(idle(&state, &slice, 90, InputEnd::Unknown), [0, 2]);
        let state = WatermarkState {
            idle: [Partition::new("t", 0), Partition::new("t", 2)].into(),
            ..state
        };
        assert_eq!(until_next_idle(&spec(), &state, seconds(91)), None);
    }

    #[test]
    fn the_next_idle_moment_is_the_earliest() {
        let state = WatermarkState {
            last_row_at: at(&[0, 20_000_000]),
            idle: [Partition::new("t", 0)].into(),
            ..WatermarkState::default()
        };
        let wait = until_next_idle(&spec(), &state, seconds(40));
        assert_eq!(wait, Some(Duration::from_secs(10)));
    }
}
