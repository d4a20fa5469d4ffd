//! Event times: microseconds since 1970-01-01T00:00:00Z.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};

/// Seconds of 0000-01-01T00:00:00Z, before which no time of a record is taken for one.
pub const FIRST_SECOND: i64 = -62_167_219_200;
/// Seconds of 9999-12-31T23:59:59Z, after which no time of a record is taken for one: it would make
/// every other record late.
pub const LAST_SECOND: i64 = 253_402_300_799;

/// An instant in microseconds since 1970-01-01T00:00:00Z, as event-time columns hold it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// From milliseconds since the epoch; saturates.
    pub fn from_millis(ms: i64) -> Self {
        EventTime(ms.saturating_mul(1000))
    }

    /// Milliseconds since the epoch, rounded down.
    pub fn as_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant less a duration; saturates.
    pub fn minus(self, delay: Duration) -> Self {
        EventTime(self.0.saturating_sub(micros(delay)))
    }

    /// This instant plus a duration; saturates.
    pub fn plus(self, delay: Duration) -> Self {
        EventTime(self.0.saturating_add(micros(delay)))
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_micros(self.0) {
            Some(time) => f.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} µs", self.0),
        }
    }
}

/// A duration in whole microseconds; saturates at `i64::MAX`.
pub fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
