//! When the next epoch may start, as a function of the trigger and the time.

use std::time::Duration;

use headwater_core::trigger::Trigger;

/// How long to wait before the next epoch may start. `now` and `last_start` are monotonic.
///
/// Interval epochs start at multiples of the interval since the query's first epoch; an epoch
/// that took longer is followed by the next multiple, not by a burst.
pub(crate) fn delay_before_next(
    trigger: Trigger,
    first_start: Option<Duration>,
    now: Duration,
) -> Duration {
    let (Trigger::Interval(every), Some(first)) = (trigger, first_start) else {
        return Duration::ZERO;
    };
    let elapsed = now.saturating_sub(first).as_nanos();
    let every_ns = every.as_nanos().max(1);
    let next = (elapsed / every_ns + 1) * every_ns;
    Duration::from_nanos(u64::try_from(next - elapsed).unwrap_or(u64::MAX))
}

/// When the epoch after one that started at `last_start` is due: the next multiple of the
/// interval. Without an interval nothing is ever due.
pub(crate) fn due_after(
    trigger: Trigger,
    first_start: Option<Duration>,
    last_start: Duration,
) -> Option<Duration> {
    let Trigger::Interval(_) = trigger else {
        return None;
    };
    Some(last_start + delay_before_next(trigger, first_start, last_start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_epochs_start_at_multiples() {
        let every = Trigger::Interval(Duration::from_secs(5));
        let first = Some(Duration::from_secs(2));
        let cases = [(2, 5), (3, 4), (6, 1), (7, 5), (20, 2)];
        for (now, wait) in cases {
            let delay = delay_before_next(every, first, Duration::from_secs(now));
            assert_eq!(delay, Duration::from_secs(wait), "at {now}");
        }
        assert_eq!(
            delay_before_next(every, None, Duration::from_secs(9)),
            Duration::ZERO
        );
        // The epoch that started at 7 took until 20: the next was due at 12.
        let due = due_after(every, first, Duration::from_secs(7));
        assert_eq!(due, Some(Duration::from_secs(12)));
        assert_eq!(due_after(Trigger::Asap, first, Duration::ZERO), None);
        assert_eq!(
            delay_before_next(Trigger::Asap, first, Duration::from_secs(9)),
            Duration::ZERO
        );
    }
}
