//! Telling of something that fails again and again: once, and once more when it is over.
//!
//! A broker that is away fails every try of every epoch, and every restart of the query. The first
//! failure of a kind is a warning; the same one again is for those who look closely.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use headwater_core::clock::Clock;

/// How many different failures of one outage are warned of.
const MOST_TOLD: usize = 16;

/// The outage of one query, if there is one.
#[derive(Debug)]
pub(crate) struct Outage {
    clock: Arc<dyn Clock>,
    query: String,
    ongoing: Mutex<Option<Ongoing>>,
}

#[derive(Debug)]
struct Ongoing {
    since: Duration,
    failures: u64,
    told: BTreeSet<String>,
}

/// How an outage is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// As a warning: it is new.
    Warning,
    /// To those who look closely: it was told before.
    Again,
}

impl Outage {
    pub(crate) fn new(clock: Arc<dyn Clock>, query: String) -> Self {
        Outage {
            clock,
            query,
            ongoing: Mutex::new(None),
        }
    }

    /// The clock of the query.
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    /// Something failed, for a reason that may pass.
    pub(crate) fn note(&self, what: &str, error: &dyn Display) -> Told {
        let told = self.take_in(&error.to_string());
        let query = &self.query;
        match told {
            Told::Warning => tracing::warn!(%query, %error, "{what}"),
            Told::Again => tracing::debug!(%query, %error, "{what}"),
        }
        told
    }

    fn take_in(&self, failure: &str) -> Told {
        let mut ongoing = self.ongoing.lock();
        let ongoing = ongoing.get_or_insert_with(|| Ongoing {
            since: self.clock.elapsed(),
            failures: 0,
            told: BTreeSet::new(),
        });
        ongoing.failures += 1;
        let is_new = ongoing.told.len() < MOST_TOLD && ongoing.told.insert(failure.to_string());
        if is_new { Told::Warning } else { Told::Again }
    }

    /// What failed works again; says how long it did not, if it did not.
    pub(crate) fn is_over(&self) -> Option<Duration> {
        let over = self.ongoing.lock().take()?;
        let took = self.clock.elapsed().saturating_sub(over.since);
        let (query, failures) = (&self.query, over.failures);
        tracing::info!(%query, failures, "it works again, after {took:?}");
        Some(took)
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::clock::ManualClock;
    use headwater_core::event_time::EventTime;

    use super::*;

    #[test]
    fn an_outage_is_told_once_and_its_end_once() {
        let clock = ManualClock::new(EventTime(0));
        let outage = Outage::new(Arc::new(clock.clone()), "q".to_string());
        assert_eq!(outage.is_over(), None);
        for (failure, told) in [
            ("away", Told::Warning),
            ("away", Told::Again),
            ("full", Told::Warning),
            ("away", Told::Again),
        ] {
            assert_eq!(outage.note("it failed", &failure), told, "{failure}");
            clock.advance(Duration::from_secs(3));
        }
        assert_eq!(outage.is_over(), Some(Duration::from_secs(12)));
        assert_eq!(outage.is_over(), None);
        assert_eq!(outage.note("it failed", &"away"), Told::Warning);
    }

    #[test]
    fn failures_that_all_differ_are_not_all_told() {
        let clock = ManualClock::new(EventTime(0));
        let outage = Outage::new(Arc::new(clock), "q".to_string());
        let told = (0..100).map(|n| outage.note("it failed", &n));
        let warnings = told.filter(|told| *told == Told::Warning).count();
        assert_eq!(warnings, MOST_TOLD);
    }
}
