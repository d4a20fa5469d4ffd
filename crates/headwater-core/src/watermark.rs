//! Watermarks: "no row older than this is expected any more".

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event_time::EventTime;

/// A promise about event time that never moves back. Ordered: later promises are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(EventTime);

impl Watermark {
    /// Nothing is promised yet.
    pub const MIN: Watermark = Watermark(EventTime(i64::MIN));
    /// The input has ended: no row is expected at all.
    pub const MAX: Watermark = Watermark(EventTime(i64::MAX));

    /// The promise "no row older than `time`".
    pub fn at(time: EventTime) -> Self {
        Watermark(time)
    }

    /// The instant in microseconds since the epoch; `i64::MIN` and `i64::MAX` at the ends.
    pub fn micros(self) -> i64 {
        self.0.0
    }

    /// The instant, unless nothing is promised or the input has ended.
    pub fn time(self) -> Option<EventTime> {
        (self != Self::MIN && self != Self::MAX).then_some(self.0)
    }
}

impl Default for Watermark {
    fn default() -> Self {
        Self::MIN
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => f.write_str("none"),
            Self::MAX => f.write_str("end of input"),
            Watermark(time) => time.fmt(f),
        }
    }
}

/// How the watermarks of a source's partitions are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WatermarkCombine {
    /// The minimum over the partitions that are not idle: no partition's rows are lost.
    #[default]
    Min,
    /// One maximum over all partitions, Spark's rule: a slow partition's rows may be late.
    Max,
}

/// What a source says about its event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatermarkSpec {
    /// Name of the event-time column.
    pub column: String,
    /// How far behind the greatest event time seen the watermark stays.
    pub delay: Duration,
    /// How the partitions are combined.
    pub combine: WatermarkCombine,
    /// After how much wall-clock time without a row a fully read partition stops holding the
    /// watermark.
    pub idle_timeout: Duration,
    /// A row further ahead of the wall clock than this does not move the watermark; `None`
    /// switches the guard off.
    pub max_ahead: Option<Duration>,
}

impl WatermarkSpec {
    /// Wall-clock time without a row after which a fully read partition counts as idle.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
    /// How far ahead of the wall clock a row may move the watermark.
    pub const DEFAULT_MAX_AHEAD: Duration = Duration::from_secs(300);
}
