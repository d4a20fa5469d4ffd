//! How the event times of generated rows run: steady, somewhat out of order, some of them late.

use std::time::Duration;

use headwater_core::event_time::{EventTime, micros};

use crate::seeded::Draws;

/// The event times of generated rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventShape {
    /// Time of row 0 if it is in order.
    pub start: EventTime,
    /// Time from a row to the next.
    pub step: Duration,
    /// A row is older than it should be by a random time of at most this.
    pub disorder: Duration,
    /// Share of rows, 0 to 1, that are older still.
    pub late_fraction: f64,
    /// By how much late rows are older.
    pub late_by: Duration,
}

impl EventShape {
    /// When row `row` would come if rows were in order.
    pub fn arrival(&self, row: u64) -> EventTime {
        let rows = i64::try_from(row).unwrap_or(i64::MAX);
        let since = micros(self.step).saturating_mul(rows);
        EventTime(self.start.0.saturating_add(since))
    }

    /// The event time of row `row`, with random numbers of that row.
    pub(crate) fn event_time(&self, row: u64, draws: &mut Draws) -> EventTime {
        let back = draws.below(micros(self.disorder).unsigned_abs().saturating_add(1));
        let late = draws.chance(self.late_fraction);
        let time = self.arrival(row).minus(Duration::from_micros(back));
        if late { time.minus(self.late_by) } else { time }
    }
}
