//! Windows on event time as arithmetic: which windows cover an instant, which panes make a window.
//!
//! Windows are `[start, end)`, aligned to 1970-01-01T00:00:00Z plus an offset. A hopping window is
//! made of panes of width `gcd(size, slide)`, so that a row is added to one pane however many
//! windows cover it:
//!
//! ```text
//! size 10, slide 4  →  panes of 2
//! panes        |0 |2 |4 |6 |8 |10|12|
//! window 0     [==============)
//! window 4           [==============)
//! ```

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use headwater_core::duration::format_duration;
use headwater_core::event_time::micros;
use headwater_core::{Error, Result};

/// A fixed-size window: tumbling if `slide == size`, hopping otherwise. All in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WindowSpec {
    size_us: i64,
    slide_us: i64,
    offset_us: i64,
    pane_us: i64,
}

impl WindowSpec {
    /// A tumbling window.
    ///
    /// # Errors
    /// If the size is zero.
    pub fn tumble(size: Duration, offset_us: i64) -> Result<Self> {
        Self::hop(size, size, offset_us)
    }

    /// A hopping window. `size` need not be a multiple of `slide`.
    ///
    /// # Errors
    /// If one of them is zero, or the slide is greater than the size (rows between two windows
    /// would be lost), naming the argument order.
    pub fn hop(slide: Duration, size: Duration, offset_us: i64) -> Result<Self> {
        let (size_us, slide_us) = (micros(size), micros(slide));
        if size_us <= 0 || slide_us <= 0 {
            return Err(Error::plan(
                "a window's size and slide must be greater than zero",
            ));
        }
        if slide_us > size_us {
            return Err(Error::plan(format!(
                "the slide of {} is greater than the window's size of {}",
                format_duration(slide),
                format_duration(size)
            ))
            .with_hint(
                "hop() takes the slide first and then the size; window() takes the size first \
                 and then the slide.",
            ));
        }
        let pane_us = gcd(size_us, slide_us);
        Ok(WindowSpec {
            size_us,
            slide_us,
            offset_us: offset_us.rem_euclid(slide_us),
            pane_us,
        })
    }

    /// The same windows with each window as its own pane: what an operator sees whose input
    /// already has one row per window.
    pub fn unpaned(self) -> Self {
        WindowSpec {
            slide_us: i64::MAX,
            pane_us: self.size_us,
            ..self
        }
    }

    /// Length of a window.
    pub fn size_us(&self) -> i64 {
        self.size_us
    }

    /// Distance between two window starts.
    pub fn slide_us(&self) -> i64 {
        self.slide_us
    }

    /// Whether exactly one window covers each instant.
    pub fn is_tumbling(&self) -> bool {
        self.size_us == self.slide_us
    }

    /// Whether every window begins and ends on a whole millisecond.
    pub fn is_whole_millis(&self) -> bool {
        [self.size_us, self.slide_us, self.offset_us]
            .iter()
            .all(|us| us % 1_000 == 0)
    }

    /// Whether a window is exactly one pane.
    pub fn is_single_pane(&self) -> bool {
        self.pane_us == self.size_us
    }

    /// Start of the pane that holds an instant.
    #[inline]
    pub fn pane_of(&self, time_us: i64) -> i64 {
        let shifted = time_us.wrapping_sub(self.offset_us);
        time_us.wrapping_sub(shifted.rem_euclid(self.pane_us))
    }

    /// Start of the last window that holds an instant; the earlier ones are `slide` apart.
    #[inline]
    pub fn last_window_of(&self, time_us: i64) -> i64 {
        let shifted = time_us.wrapping_sub(self.offset_us);
        time_us.wrapping_sub(shifted.rem_euclid(self.slide_us))
    }

    /// End of the last window that a pane belongs to: when the pane may be dropped, and when a
    /// row in it is late.
    #[inline]
    pub fn last_end_of_pane(&self, pane_us: i64) -> i64 {
        if self.is_single_pane() && self.slide_us >= self.size_us {
            return pane_us.saturating_add(self.size_us);
        }
        self.last_window_of(pane_us).saturating_add(self.size_us)
    }

    /// Starts of the windows that a pane belongs to, latest first.
    pub fn windows_of_pane(&self, pane_us: i64) -> impl Iterator<Item = i64> + use<> {
        let (size, slide) = (self.size_us, self.slide_us);
        let single = self.is_single_pane() && slide >= size;
        let last = if single {
            pane_us
        } else {
            self.last_window_of(pane_us)
        };
        let step = move |start: &i64| (!single).then(|| start.saturating_sub(slide));
        std::iter::successors(Some(last), step)
            .take_while(move |start| start.saturating_add(size) > pane_us)
    }

    /// Starts of the windows that a pane belongs to and that end after `after_us` and no later than
    /// `until_us`, latest first.
    pub fn windows_of_pane_ending(
        &self,
        pane_us: i64,
        after_us: i64,
        until_us: i64,
    ) -> impl Iterator<Item = i64> + use<> {
        let (size, slide) = (self.size_us, self.slide_us);
        let single = self.is_single_pane() && slide >= size;
        let (latest, above) = if single {
            let ends = pane_us.saturating_add(size) <= until_us;
            (ends.then_some(pane_us), after_us.saturating_sub(size))
        } else {
            let until = self.last_window_of(until_us.saturating_sub(size));
            let latest = self.last_window_of(pane_us).min(until);
            (Some(latest), pane_us.max(after_us).saturating_sub(size))
        };
        let step = move |start: &i64| (!single).then(|| start.saturating_sub(slide));
        std::iter::successors(latest, step).take_while(move |start| *start > above)
    }

    /// Starts of the panes of a window, in order.
    pub fn panes_of_window(&self, start_us: i64) -> impl Iterator<Item = i64> + use<> {
        let (pane, end) = (self.pane_us, start_us.saturating_add(self.size_us));
        std::iter::successors(Some(start_us), move |p| p.checked_add(pane))
            .take_while(move |p| *p < end)
    }

    /// End of a window.
    pub fn end_of_window(&self, start_us: i64) -> i64 {
        start_us.saturating_add(self.size_us)
    }
}

impl fmt::Display for WindowSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |us: i64| format_duration(Duration::from_micros(us.unsigned_abs()));
        if self.is_tumbling() {
            write!(f, "tumble({})", show(self.size_us))?;
        } else if self.slide_us == i64::MAX {
            write!(f, "windows of {}", show(self.size_us))?;
        } else {
            write!(f, "hop({}, {})", show(self.slide_us), show(self.size_us))?;
        }
        if self.offset_us != 0 {
            write!(f, " offset {}", show(self.offset_us))?;
        }
        Ok(())
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(slide: u64, size: u64, offset: i64) -> WindowSpec {
        WindowSpec::hop(
            Duration::from_micros(slide),
            Duration::from_micros(size),
            offset,
        )
        .unwrap()
    }

    #[test]
    fn panes_and_windows_agree_with_the_definition() {
        for (slide, size, offset) in [(4, 10, 0), (10, 10, 0), (5, 10, 3), (3, 7, -2), (1, 1, 0)] {
            let spec = hop(slide, size, offset);
            for t in -50i64..50 {
                let pane = spec.pane_of(t);
                let mut found: Vec<i64> = spec.windows_of_pane(pane).collect();
                found.sort_unstable();
                let expected: Vec<i64> = (t - 40..=t)
                    .filter(|s| (s - offset).rem_euclid(slide as i64) == 0)
                    .filter(|s| *s <= t && t < s + size as i64)
                    .collect();
                assert_eq!(
                    found, expected,
                    "slide {slide} size {size} offset {offset} at {t}"
                );
                for start in &found {
                    assert!(spec.panes_of_window(*start).any(|p| p == pane));
                }
                for (after, until) in [(i64::MIN, i64::MAX), (t, t + 3), (t + 4, t + 4), (-9, 2)] {
                    let mut ending: Vec<i64> =
                        spec.windows_of_pane_ending(pane, after, until).collect();
                    ending.reverse();
                    let ends = |s: &&i64| (after + 1..=until).contains(&(**s + size as i64));
                    let wanted: Vec<i64> = expected.iter().filter(ends).copied().collect();
                    assert_eq!(ending, wanted, "of {pane} from {after} to {until}");
                }
                let last = expected.last().unwrap() + size as i64;
                assert_eq!(spec.last_end_of_pane(pane), last);
            }
        }
    }

    #[test]
    fn an_unpaned_window_is_its_own_pane() {
        let spec = hop(4, 10, 0).unpaned();
        assert_eq!(spec.windows_of_pane(8).collect::<Vec<_>>(), [8]);
        assert_eq!(spec.panes_of_window(8).collect::<Vec<_>>(), [8]);
        assert_eq!(spec.last_end_of_pane(8), 18);
        let ending = |after, until| spec.windows_of_pane_ending(8, after, until).count();
        assert_eq!([ending(17, 18), ending(18, 30), ending(0, 17)], [1, 0, 0]);
    }

    #[test]
    fn refuses_windows_that_lose_rows() {
        let error =
            WindowSpec::hop(Duration::from_secs(10), Duration::from_secs(5), 0).unwrap_err();
        assert!(
            error
                .hint()
                .unwrap()
                .contains("hop() takes the slide first")
        );
        assert!(WindowSpec::tumble(Duration::ZERO, 0).is_err());
    }
}
