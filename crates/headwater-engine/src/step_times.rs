//! How long each step of an epoch takes.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::activity::Step;

/// The times of the steps since an epoch began.
#[derive(Debug, Default)]
pub(crate) struct StepTimes {
    spent: BTreeMap<&'static str, Duration>,
    /// The step that is taken, and since when.
    current: Option<(&'static str, Duration)>,
}

impl StepTimes {
    /// A step begins, and the one before it ends.
    pub(crate) fn begin(&mut self, step: Step, now: Duration) {
        self.end(now);
        self.current = Some((step.name(), now));
    }

    /// What was done was not part of an epoch.
    pub(crate) fn forget(&mut self) {
        *self = StepTimes::default();
    }

    /// Ends the epoch. Gives milliseconds by the name of the step; those that took no time are not
    /// there.
    pub(crate) fn take(&mut self, now: Duration) -> BTreeMap<String, f64> {
        self.end(now);
        let spent = std::mem::take(&mut self.spent).into_iter();
        let spent = spent.filter(|(_, time)| !time.is_zero());
        spent
            .map(|(step, time)| (step.to_string(), time.as_secs_f64() * 1e3))
            .collect()
    }

    fn end(&mut self, now: Duration) {
        if let Some((step, since)) = self.current.take() {
            *self.spent.entry(step).or_default() += now.saturating_sub(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_step_that_is_taken_twice_add_up_and_what_is_forgotten_does_not_count() {
        let at = Duration::from_millis;
        let mut times = StepTimes::default();
        times.begin(Step::Asking(0), at(0));
        times.forget();
        times.begin(Step::Asking(0), at(10));
        times.begin(Step::Asking(1), at(11));
        times.begin(Step::Running, at(13));
        times.begin(Step::Saving, at(20));
        times.begin(Step::Telling, at(20));
        let expected = [("asking", 3.0), ("running", 7.0), ("telling", 1.5)];
        let expected = expected.map(|(step, time)| (step.to_string(), time));
        let now = Duration::from_micros(21_500);
        assert_eq!(times.take(now), BTreeMap::from(expected));
        assert_eq!(times.take(at(30)), BTreeMap::new());
    }
}
