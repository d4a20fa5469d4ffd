//! Which results an epoch emits: the one place that looks at the output mode.

use headwater_core::event_time::EventTime;
use headwater_core::mode::OutputMode;
use headwater_core::watermark::Watermark;

/// Where a stateful operator stands in its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Its rows are the query's result: it emits by the query's output mode.
    Last,
    /// Another stateful operator reads its rows and cannot take any back: it emits what is final.
    Inner,
}

impl Stage {
    /// How an operator emits in a query of an output mode.
    pub fn mode(self, query: OutputMode) -> OutputMode {
        match self {
            Stage::Last => query,
            Stage::Inner => OutputMode::Append,
        }
    }
}

/// Watermarks around an epoch, as one operator sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WatermarkStep {
    /// `W(n − 1)`: rows behind it are late.
    pub before: Watermark,
    /// `W(n)`: windows that end at or before it are finished in this epoch.
    pub after: Watermark,
}

/// Which windows an epoch emits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowEmission {
    /// Those that this epoch finished.
    Closed,
    /// Those that this epoch changed, with the changed keys.
    Changed,
    /// All there are.
    All,
}

/// What an operator with windows does in an output mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowPolicy {
    /// Which windows are emitted.
    pub emission: WindowEmission,
    /// Whether finished windows are removed from the state, and rows for them are late.
    pub evicts: bool,
}

/// The policy of each output mode. In complete mode nothing is ever finished, so nothing is
/// removed and no row is late.
pub fn window_policy(mode: OutputMode) -> WindowPolicy {
    match mode {
        OutputMode::Append => WindowPolicy {
            emission: WindowEmission::Closed,
            evicts: true,
        },
        OutputMode::Update => WindowPolicy {
            emission: WindowEmission::Changed,
            evicts: true,
        },
        OutputMode::Complete => WindowPolicy {
            emission: WindowEmission::All,
            evicts: false,
        },
    }
}

impl WatermarkStep {
    /// The same for an operator whose input may be that much behind the sources' watermark. The
    /// end of time stays the end of time.
    pub fn behind(self, behind_us: i64) -> Self {
        let back = |watermark: Watermark| match watermark {
            Watermark::MAX => watermark,
            watermark => Watermark::at(EventTime(watermark.micros().saturating_sub(behind_us))),
        };
        WatermarkStep {
            before: back(self.before),
            after: back(self.after),
        }
    }

    /// Whether a window with the given end was finished by an earlier epoch.
    pub fn had_closed(&self, end_us: i64) -> bool {
        end_us <= self.before.micros()
    }
}
