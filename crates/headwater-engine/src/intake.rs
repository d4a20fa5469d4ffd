//! How many records the next epoch takes in, from how long the epochs before took.
//!
//! An epoch is taken to cost something by itself (a commit, a round of calls) and something for
//! every record:
//!
//! ```text
//! took   = fixed + records × cost
//! target = fixed + limit   × cost     so limit = records × (target − fixed) / (took − fixed)
//! ```
//! - An epoch that took longer than the target sets the limit, or lowers it: the whole way, but to a
//!   quarter at most, so that one slow epoch does not stop a query.
//! - An epoch that was full and took less raises it: half of the way, in proportion, and to the
//!   double at most. Going up more slowly than down keeps noise from becoming an oscillation.
//! - `fixed` is what a line through two epochs with different numbers of records leaves for none.
//!   It is no reason to take in less: if it is more than half of the target, the target is twice that,
//!   so that half of the time at least is spent on records.
//! - The limit is never below a floor, with which every partition moves on.
//!
//! It is forgotten when the query ends. What it decides is in the record of the epoch as offsets, so
//! an epoch that runs again asks nobody.

use std::time::Duration;

use headwater_core::trigger::Trigger;

/// How long an epoch should take if no trigger says.
pub const EPOCH_TARGET: Duration = Duration::from_secs(5);
/// How long an epoch over what is there already should take at least: its commit is little beside it
/// then. Nobody waits for its rows in particular.
const EPOCH_WORTH: Duration = Duration::from_millis(300);
/// Records that every epoch may take in, however long it takes.
pub(crate) const RECORDS_MIN: u64 = 1_000;
/// What is left of the limit, or of what was read, after one epoch, at least.
const SHRINK_MAX: f64 = 0.25;
/// What a limit becomes after one epoch, at most.
const GROW_MAX: f64 = 2.0;
/// How many times as much as the last an epoch may be worth.
const GROW_WORTH_MAX: f64 = 8.0;
/// An epoch that read so much of the limit was held back by it.
const FULL: f64 = 0.9;
/// Two epochs tell a fixed part from the rest if one read so many times as much.
const APART: f64 = 1.5;
/// The shortest time that counts as one.
const SECONDS_MIN: f64 = 1e-6;

/// Whether epochs take in less when they take too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backpressure {
    /// If they take longer than the interval of the trigger, or than [`EPOCH_TARGET`].
    #[default]
    Auto,
    /// If they take longer than this.
    Target(Duration),
    /// Never.
    Off,
}

impl Backpressure {
    /// How long an epoch should take at most.
    fn target(self, trigger: Trigger) -> Option<Duration> {
        match (self, trigger) {
            // Everything in one epoch was asked for.
            (Backpressure::Off, _) | (_, Trigger::Once) => None,
            (Backpressure::Target(target), _) => Some(target),
            (Backpressure::Auto, Trigger::Interval(every)) => Some(every),
            (Backpressure::Auto, Trigger::Asap | Trigger::AvailableNow) => Some(EPOCH_TARGET),
        }
    }
}

/// What an epoch took in, and how long it took.
#[derive(Debug, Clone, Copy)]
struct Measured {
    records: f64,
    seconds: f64,
}

/// The limit of the next epoch. See the module's page.
#[derive(Debug)]
pub(crate) struct Intake {
    target: Option<f64>,
    limit: Option<u64>,
    /// Seconds that an epoch takes whatever it reads.
    fixed: Option<f64>,
    last: Option<Measured>,
}

impl Intake {
    /// Of a query that has run nothing yet.
    pub(crate) fn new(backpressure: Backpressure, trigger: Trigger) -> Self {
        let target = backpressure.target(trigger);
        Intake {
            target: target.map(|target| target.as_secs_f64()),
            limit: None,
            fixed: None,
            last: None,
        }
    }

    /// The records that the next epoch reads of a source, at most.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// The records of an epoch that is worth its costs: what the last one would have read in
    /// [`EPOCH_WORTH`], but not many times what it read.
    pub(crate) fn worth(&self) -> u64 {
        let Some(last) = self.last else {
            return 0;
        };
        // A fixed part of more than half is one that noise has made so large.
        let seconds = (last.seconds - self.fixed.unwrap_or(0.0)).max(last.seconds / 2.0);
        let ratio = EPOCH_WORTH.as_secs_f64() / seconds;
        (last.records * ratio.min(GROW_WORTH_MAX)) as u64
    }

    /// An epoch ran, which read so many records of the source it read most of. `partitions` is how
    /// many must be able to move on.
    pub(crate) fn ran(&mut self, records: u64, took: Duration, partitions: usize) {
        if records == 0 {
            return;
        }
        let measured = Measured {
            records: records as f64,
            seconds: took.as_secs_f64().max(SECONDS_MIN),
        };
        let fixed = self.learn_fixed(measured);
        let Some(target) = self.target else {
            return;
        };
        let target = target.max(2.0 * fixed);
        let ratio = (target - fixed) / (measured.seconds - fixed).max(SECONDS_MIN);
        let floor = RECORDS_MIN.max(partitions as u64);
        let limited = self.limit.map(|limit| limit as f64);
        let next = if measured.seconds > target {
            let lowered = measured.records * ratio.clamp(SHRINK_MAX, 1.0);
            Some(limited.map_or(lowered, |limit| limit.min(lowered)))
        } else {
            let full = limited.filter(|limit| measured.records >= FULL * limit);
            full.map(|limit| limit * ratio.sqrt().clamp(1.0, GROW_MAX))
        };
        if let Some(next) = next {
            // A float too large for it becomes the largest there is.
            self.limit = Some((next.round() as u64).max(floor));
        }
    }

    /// The fixed part of an epoch, as far as it is known.
    fn learn_fixed(&mut self, now: Measured) -> f64 {
        if let Some(last) = self.last.replace(now) {
            let (less, more) = match last.records < now.records {
                true => (last, now),
                false => (now, last),
            };
            if more.records >= APART * less.records {
                let slope = (more.seconds - less.seconds) / (more.records - less.records);
                let left = less.seconds - slope * less.records;
                let left = left.clamp(0.0, less.seconds.min(more.seconds));
                self.fixed = Some(self.fixed.map_or(left, |known| (known + left) / 2.0));
            }
        }
        // No part takes longer than the whole.
        self.fixed = self.fixed.map(|fixed| fixed.min(now.seconds));
        self.fixed.unwrap_or(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs epochs over a backlog that never ends, of which a source hands out a million at most.
    /// Gives the seconds that each took, and the limit after it.
    fn run(
        intake: &mut Intake,
        epochs: usize,
        cost: impl Fn(usize, f64) -> f64,
    ) -> Vec<(f64, u64)> {
        let each = (0..epochs).map(|epoch| {
            let records = intake.limit().unwrap_or(u64::MAX).min(1_000_000);
            let seconds = cost(epoch, records as f64);
            intake.ran(records, Duration::from_secs_f64(seconds), 4);
            (seconds, intake.limit().unwrap_or(u64::MAX))
        });
        each.collect()
    }

    fn asap() -> Intake {
        Intake::new(Backpressure::Auto, Trigger::Asap)
    }

    #[test]
    fn the_target_is_the_interval_or_what_was_asked_for() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let cases = [
            (Backpressure::Auto, Trigger::Asap, Some(EPOCH_TARGET)),
            (
                Backpressure::Auto,
                Trigger::AvailableNow,
                Some(EPOCH_TARGET),
            ),
            (Backpressure::Auto, Trigger::Interval(minute), Some(minute)),
            (Backpressure::Auto, Trigger::Once, None),
            (
                Backpressure::Target(second),
                Trigger::Interval(minute),
                Some(second),
            ),
            (Backpressure::Target(second), Trigger::Once, None),
            (Backpressure::Off, Trigger::Asap, None),
        ];
        for (backpressure, trigger, target) in cases {
            assert_eq!(
                backpressure.target(trigger),
                target,
                "{backpressure:?} {trigger}"
            );
        }
    }

    #[test]
    fn epochs_that_are_short_enough_set_no_limit() {
        let mut intake = asap();
        let ran = run(&mut intake, 10, |_, records| records * 4e-6);
        assert_eq!(ran.last(), Some(&(4.0, u64::MAX)));
        assert_eq!(intake.limit(), None);
    }

    #[test]
    fn epochs_come_to_the_target_and_stay_there() {
        for (fixed, cost) in [(0.0, 1e-4), (0.05, 1e-4), (1.5, 2e-5), (0.0, 1e-3)] {
            let mut intake = asap();
            let ran = run(&mut intake, 40, |_, records| fixed + records * cost);
            for (epoch, (seconds, _)) in ran.iter().enumerate().skip(12) {
                let is_near = (seconds - 5.0).abs() < 0.1;
                assert!(
                    is_near,
                    "{fixed} + n × {cost}: epoch {epoch} took {seconds}"
                );
            }
            let limits: Vec<_> = ran.iter().map(|(_, limit)| *limit).collect();
            let (first, last) = (limits[12] as f64, limits[39] as f64);
            assert!((first / last - 1.0).abs() < 0.02, "{limits:?}");
        }
    }

    #[test]
    fn an_epoch_is_worth_what_fills_a_third_of_a_second() {
        let mut intake = asap();
        assert_eq!(intake.worth(), 0);
        intake.ran(10_000, Duration::from_millis(10), 4);
        assert_eq!(intake.worth(), 80_000);
        intake.ran(80_000, Duration::from_millis(80), 4);
        assert_eq!(intake.worth(), 300_000);
        intake.ran(400_000, Duration::from_millis(600), 4);
        assert_eq!(intake.worth(), 200_000);
    }

    #[test]
    fn one_epoch_changes_a_limit_to_a_quarter_or_the_double_at_most() {
        let mut intake = asap();
        intake.ran(1_000_000, Duration::from_secs(1_000), 4);
        assert_eq!(intake.limit(), Some(250_000));
        intake.ran(250_000, Duration::from_millis(1), 4);
        assert_eq!(intake.limit(), Some(500_000));
    }

    #[test]
    fn costs_that_grow_faster_than_the_records_do_not_make_it_swing() {
        for power in [1.5, 2.0] {
            let mut intake = asap();
            let cost = |_, records: f64| 5.0 * (records / 40_000.0).powf(power);
            let ran = run(&mut intake, 30, cost);
            for (seconds, _) in ran.iter().skip(20) {
                assert!((seconds / 5.0).ln().abs() < 0.1, "{power}: {ran:?}");
            }
        }
    }

    #[test]
    fn noise_stays_noise() {
        let mut intake = asap();
        let noise = |epoch: usize| [1.0, 1.2, 0.85, 1.1, 0.8, 0.95][epoch * 7 % 6];
        let ran = run(&mut intake, 60, |epoch, records| {
            records * 1e-4 * noise(epoch)
        });
        for (seconds, limit) in ran.iter().skip(10) {
            assert!((3.0..7.0).contains(seconds), "{ran:?}");
            assert!((30_000..70_000).contains(limit), "{ran:?}");
        }
    }

    #[test]
    fn it_recovers_from_an_outage() {
        let mut intake = asap();
        let cost = |epoch, records: f64| match epoch {
            10..20 => 30.0,
            _ => records * 1e-4,
        };
        let ran = run(&mut intake, 45, cost);
        assert!(ran[19].1 < 25_000, "{ran:?}");
        for (seconds, limit) in ran.iter().skip(35) {
            assert!((4.5..5.5).contains(seconds), "{ran:?}");
            assert!((45_000..55_000).contains(limit), "{ran:?}");
        }
    }

    /// A commit that takes longer than an epoch should is spread over more records, not fewer.
    #[test]
    fn a_fixed_part_is_no_reason_to_take_in_less() {
        let mut intake = asap();
        let ran = run(&mut intake, 30, |_, records| 8.0 + records * 1e-4);
        for (seconds, limit) in ran.iter().skip(15) {
            assert!((15.0..17.0).contains(seconds), "{ran:?}");
            assert!((70_000..90_000).contains(limit), "{ran:?}");
        }
    }

    #[test]
    fn there_is_a_floor_and_it_moves_every_partition() {
        for (partitions, floor) in [(4, RECORDS_MIN), (3_000, 3_000)] {
            let mut intake = asap();
            for _ in 0..20 {
                intake.ran(
                    intake.limit().unwrap_or(5_000),
                    Duration::from_secs(600),
                    partitions,
                );
            }
            assert!(intake.limit() >= Some(floor));
            let mut slow = asap();
            for _ in 0..20 {
                let records = slow.limit().unwrap_or(100_000);
                let took = Duration::from_secs_f64(records as f64);
                slow.ran(records, took, partitions);
            }
            assert_eq!(slow.limit(), Some(floor));
        }
    }

    #[test]
    fn a_limit_that_holds_nothing_back_stays_as_it_is() {
        let mut intake = asap();
        intake.ran(100_000, Duration::from_secs(10), 4);
        assert_eq!(intake.limit(), Some(50_000));
        for _ in 0..5 {
            intake.ran(40, Duration::from_millis(20), 4);
            intake.ran(0, Duration::from_secs(60), 4);
        }
        assert_eq!(intake.limit(), Some(50_000));
        // Few records that take long lower it.
        intake.ran(4_000, Duration::from_secs(20), 4);
        assert!(intake.limit() < Some(2_000), "{intake:?}");
    }

    #[test]
    fn it_can_be_turned_off() {
        let mut intake = Intake::new(Backpressure::Off, Trigger::Asap);
        intake.ran(1_000_000, Duration::from_secs(1_000), 4);
        assert_eq!(intake.limit(), None);
        // Epochs that are worth their costs are no matter of limits.
        assert_eq!(intake.worth(), 300);
    }
}
