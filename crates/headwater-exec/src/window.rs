//! Windows on event time as arithmetic: which windows cover an instant, which panes make a window.
//!
//! Windows are `[start, end)`, aligned to 1970-01-01T00:00 of UTC or of a zone's clock, plus an
//! offset. Windows that overlap are made of panes, so that a row is added to one pane however many
//! windows cover it. Panes lie between the numbered boundaries of a grid, and windows are ranges of
//! their numbers:
//!
//! ```text
//! hop(4, 10): panes of gcd(4, 10) = 2          cumulate(2, 6): panes of 2
//! panes        |0 |2 |4 |6 |8 |10|12|          |0 |2 |4 |6 |8 |
//! windows      [==============)                [==)
//!                    [==============)          [=====)
//!                                              [========)
//!                                                       [==)
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use headwater_core::{Error, Result};

pub use asked::WindowLengths;
use asked::{check_lengths, gcd, grid};
use grid::Grid;
pub use length::Length;
pub use zone::Zone;

mod asked;
mod grid;
mod length;
mod zone;

#[cfg(test)]
mod tests;

/// One window, `[start, end)`. In order of time: of two windows of one kind, the one that starts
/// later does not end earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    /// First instant.
    pub start_us: i64,
    /// First instant behind it.
    pub end_us: i64,
}

/// Which end of a window tells it from the others of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Its start.
    Start,
    /// Its end.
    End,
}

/// The windows of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowSpec {
    grid: Grid,
    shape: Shape,
    panes: Panes,
}

/// Windows as numbers of panes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Shape {
    /// A window of `size` panes begins at every multiple of `slide`.
    Hop { slide: i64, size: i64 },
    /// At every multiple of `max` begin windows of 1, 2, … `max` panes.
    Cumulate { max: i64 },
}

/// What an operator's panes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Panes {
    /// Parts that windows share, known by their starts.
    Shared,
    /// The windows themselves, known by [`WindowSpec::told_by`].
    Windows,
}

impl WindowSpec {
    /// Windows of any kind.
    ///
    /// Lengths in months, and any lengths with a zone, are of the calendar: a window of one day in
    /// a zone is from midnight to midnight of its clock, 23 or 25 hours where that is changed.
    ///
    /// # Errors
    /// If there are no such windows, or rows would be in none of them.
    pub fn try_new(lengths: WindowLengths, offset: Length, zone: Option<Zone>) -> Result<Self> {
        let (unit, whole) = check_lengths(lengths)?;
        let zone = zone.filter(|zone| !zone.is_utc());
        let by_months = whole.months > 0;
        let part = |length: Length| {
            if by_months {
                length.months
            } else {
                length.micros
            }
        };
        let pane = gcd(part(unit), part(whole));
        let shape = match lengths {
            WindowLengths::Tumble { .. } => Shape::Hop { slide: 1, size: 1 },
            WindowLengths::Hop { .. } => Shape::Hop {
                slide: part(unit) / pane,
                size: part(whole) / pane,
            },
            WindowLengths::Cumulate { .. } => match part(whole) / pane {
                1 => Shape::Hop { slide: 1, size: 1 },
                max => Shape::Cumulate { max },
            },
        };
        let period = match shape {
            Shape::Hop { slide, .. } => slide,
            Shape::Cumulate { max } => max,
        };
        let grid = grid(pane, period.saturating_mul(pane), by_months, offset, zone)?;
        let is_single = shape == Shape::Hop { slide: 1, size: 1 };
        if let Grid::Days { zone, .. } = grid
            && !is_single
            && zone.leaves_out_days()
        {
            return Err(Error::unsupported(format!(
                "windows that overlap cannot be told apart in the time zone \"{zone}\""
            ))
            .with_detail("Its calendar leaves a day out.")
            .with_hint("Use tumbling windows, or no time zone."));
        }
        Ok(WindowSpec {
            grid,
            shape,
            panes: Panes::Shared,
        })
    }

    /// A tumbling window in UTC.
    ///
    /// # Errors
    /// If the size is zero.
    pub fn tumble(size: Duration, offset_us: i64) -> Result<Self> {
        let size = size.into();
        Self::try_new(
            WindowLengths::Tumble { size },
            Length::fixed(offset_us),
            None,
        )
    }

    /// A hopping window in UTC. `size` need not be a multiple of `slide`.
    ///
    /// # Errors
    /// If one of them is zero, or the slide is greater than the size (rows between two windows
    /// would be lost), naming the argument order.
    pub fn hop(slide: Duration, size: Duration, offset_us: i64) -> Result<Self> {
        let (slide, size) = (slide.into(), size.into());
        let lengths = WindowLengths::Hop { slide, size };
        Self::try_new(lengths, Length::fixed(offset_us), None)
    }

    /// A cumulating window in UTC.
    ///
    /// # Errors
    /// If one of them is zero, or `max` is no multiple of `step`.
    pub fn cumulate(step: Duration, max: Duration, offset_us: i64) -> Result<Self> {
        let (step, max) = (step.into(), max.into());
        let lengths = WindowLengths::Cumulate { step, max };
        Self::try_new(lengths, Length::fixed(offset_us), None)
    }

    /// The same windows with each window as its own pane: what an operator sees whose input
    /// already has one row per window.
    pub fn unpaned(self) -> Self {
        WindowSpec {
            panes: Panes::Windows,
            ..self
        }
    }

    /// Which bound tells windows apart: those of cumulate share their starts.
    pub fn told_by(&self) -> Bound {
        match self.shape {
            Shape::Hop { .. } => Bound::Start,
            Shape::Cumulate { .. } => Bound::End,
        }
    }

    /// Whether exactly one window covers each instant, and is its own pane.
    pub fn is_tumbling(&self) -> bool {
        match self.shape {
            Shape::Hop { slide, size } => slide == size && self.panes == Panes::Shared,
            Shape::Cumulate { .. } => false,
        }
    }

    /// From a window's start to the end of the last window that begins there, if that is always
    /// as long.
    pub fn fixed_length_us(&self) -> Option<i64> {
        let panes = match self.shape {
            Shape::Hop { size, .. } => size,
            Shape::Cumulate { max } => max,
        };
        match self.grid {
            Grid::Fixed { width_us, .. } => Some(width_us.saturating_mul(panes)),
            Grid::Days { .. } | Grid::Months { .. } => None,
        }
    }

    /// Whether every window begins and ends on a whole millisecond.
    pub fn is_whole_millis(&self) -> bool {
        self.grid.is_whole_millis()
    }

    /// Whether a window is exactly one pane.
    pub fn is_single_pane(&self) -> bool {
        self.panes == Panes::Windows || self.is_tumbling()
    }

    /// Start of the shared pane that holds an instant.
    #[inline]
    pub fn pane_of(&self, time_us: i64) -> i64 {
        self.grid.boundary(self.grid.index_of(time_us))
    }

    /// The shared pane that holds an instant.
    pub fn pane_at(&self, time_us: i64) -> Window {
        let index = self.grid.index_of(time_us);
        self.window(index, index + 1)
    }

    /// Starts of the shared panes that hold instants.
    pub fn panes_of(&self, times_us: &[i64]) -> Vec<i64> {
        match self.grid {
            Grid::Fixed { .. } => times_us.iter().map(|time| self.pane_of(*time)).collect(),
            Grid::Days { .. } | Grid::Months { .. } => {
                // A calendar is slow to ask, and rows that come together are close in time.
                let mut last = Window {
                    start_us: 0,
                    end_us: 0,
                };
                let pane = |time: &i64| {
                    if !(last.start_us..last.end_us).contains(time) {
                        last = self.pane_at(*time);
                    }
                    last.start_us
                };
                times_us.iter().map(pane).collect()
            }
        }
    }

    /// The windows that a pane belongs to, latest first.
    pub fn windows_of_pane(&self, pane_us: i64) -> impl Iterator<Item = Window> + use<> {
        self.windows_between(pane_us, None)
    }

    /// The windows that a pane belongs to and that end after `after_us` and no later than
    /// `until_us`, latest first.
    pub fn windows_of_pane_ending(
        &self,
        pane_us: i64,
        after_us: i64,
        until_us: i64,
    ) -> impl Iterator<Item = Window> + use<> {
        let ends = (self.grid.index_of(after_us), self.grid.index_of(until_us));
        self.windows_between(pane_us, Some(ends))
    }

    /// The windows of a pane, latest first; of those, the ones that end behind the first of two
    /// boundaries and not behind the second.
    fn windows_between(
        &self,
        pane_us: i64,
        ends: Option<(i64, i64)>,
    ) -> impl Iterator<Item = Window> + use<> {
        let (after, until) = ends.unwrap_or((i64::MIN, i64::MAX));
        let (first, last, step) = self.window_numbers(pane_us);
        let spec = *self;
        let size = match self.shape {
            Shape::Hop { size, .. } => size,
            Shape::Cumulate { .. } => 0,
        };
        // The last end that is no later than `until`, on the same steps as all ends.
        let last_end = last + size;
        let late = last_end.saturating_sub(until).max(0);
        let last = last.saturating_sub(late.saturating_add(step - 1) / step * step);
        std::iter::successors(Some(last), move |number| number.checked_sub(step))
            .take_while(move |number| *number >= first && number + size > after)
            .map(move |number| spec.numbered(number))
    }

    /// The numbers of the windows of a pane: the first, the last, and how far they are apart. A
    /// window has the number of the bound that tells it from others.
    fn window_numbers(&self, pane_us: i64) -> (i64, i64, i64) {
        let number = self.grid.index_of(pane_us);
        match (self.panes, self.shape) {
            (Panes::Windows, _) => (number, number, 1),
            (Panes::Shared, Shape::Hop { slide, size }) => {
                let last = number.div_euclid(slide) * slide;
                // The first multiple of the slide behind `number - size`.
                let first = ((number - size).div_euclid(slide) + 1) * slide;
                (first, last, slide)
            }
            (Panes::Shared, Shape::Cumulate { max }) => {
                let start = number.div_euclid(max) * max;
                (number + 1, start + max, 1)
            }
        }
    }

    /// The window of a number.
    fn numbered(&self, number: i64) -> Window {
        match self.shape {
            Shape::Hop { size, .. } => self.window(number, number + size),
            Shape::Cumulate { max } => self.window((number - 1).div_euclid(max) * max, number),
        }
    }

    fn window(&self, first: i64, end: i64) -> Window {
        Window {
            start_us: self.grid.boundary(first),
            end_us: self.grid.boundary(end),
        }
    }

    /// The pane that a window is, if it is one.
    pub(crate) fn own_pane(&self, window: Window) -> i64 {
        match self.told_by() {
            Bound::Start => window.start_us,
            Bound::End => window.end_us,
        }
    }

    /// Whether a pane is a part of a window.
    pub fn is_part(&self, pane_us: i64, window: Window) -> bool {
        // Panes that are windows may overlap: those that begin in this one are not its parts.
        match self.is_single_pane() {
            true => pane_us == self.own_pane(window),
            false => (window.start_us..window.end_us).contains(&pane_us),
        }
    }

    /// The panes of a window, in order.
    pub fn panes_of_window(&self, window: Window) -> impl Iterator<Item = i64> + use<> {
        let grid = self.grid;
        let (own, shared) = match self.is_single_pane() {
            true => (Some(self.own_pane(window)), 0..0),
            false => {
                let first = grid.index_of(window.start_us);
                (None, first..grid.index_of(window.end_us))
            }
        };
        own.into_iter()
            .chain(shared.map(move |index| grid.boundary(index)))
    }

    /// The first pane with a window that ends after an instant: a row in an earlier one is late
    /// for every window, and an earlier pane may be dropped.
    pub fn first_open_pane(&self, watermark_us: i64) -> i64 {
        if watermark_us == i64::MIN || watermark_us == i64::MAX {
            return watermark_us;
        }
        let closed = self.grid.index_of(watermark_us);
        let (period, size) = match (self.panes, self.shape) {
            (Panes::Windows, Shape::Cumulate { .. }) => return watermark_us.saturating_add(1),
            (Panes::Windows, Shape::Hop { size, .. }) => (1, size),
            (Panes::Shared, Shape::Hop { slide, size }) => (slide, size),
            (Panes::Shared, Shape::Cumulate { max }) => (max, max),
        };
        // The first number of a window with `number + size > closed`.
        let first = closed.saturating_sub(size - 1);
        let above = first.saturating_neg().div_euclid(period);
        self.grid.boundary(above.saturating_mul(-period))
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, offset, zone) = match self.grid {
            Grid::Fixed {
                width_us,
                offset_us,
            } => (Length::fixed(width_us), Length::fixed(offset_us), None),
            Grid::Days {
                width_us,
                offset_us,
                zone,
            } => (
                Length::fixed(width_us),
                Length::fixed(offset_us),
                Some(zone),
            ),
            Grid::Months {
                months,
                offset_months,
                offset_us,
                zone,
            } => {
                let offset = Length {
                    months: offset_months,
                    micros: offset_us,
                };
                (Length::months(months), offset, zone)
            }
        };
        let times = |n: i64| Length {
            months: width.months.saturating_mul(n),
            micros: width.micros.saturating_mul(n),
        };
        match (self.panes, self.shape) {
            (Panes::Windows, Shape::Hop { size, .. }) => write!(f, "windows of {}", times(size))?,
            (Panes::Windows, Shape::Cumulate { max }) => {
                write!(f, "windows of {} to {}", width, times(max))?;
            }
            (Panes::Shared, Shape::Hop { slide, size }) if slide == size => {
                write!(f, "tumble({})", times(size))?;
            }
            (Panes::Shared, Shape::Hop { slide, size }) => {
                write!(f, "hop({}, {})", times(slide), times(size))?;
            }
            (Panes::Shared, Shape::Cumulate { max }) => {
                write!(f, "cumulate({}, {})", width, times(max))?;
            }
        }
        if offset != Length::default() {
            write!(f, " offset {offset}")?;
        }
        match zone {
            Some(zone) => write!(f, " in {zone}"),
            None => Ok(()),
        }
    }
}
