//! Where panes begin: numbered boundaries, either equally far apart or on the calendar.
//!
//! ```text
//! number      -1      0       1       2
//!              |-------|-------|-------|
//! boundary(1)                  ^
//! index_of(t)          ^^^^^^^^ these times have index 0
//! ```

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::zone::{FAR_US, Zone, naive};

/// Boundaries. `offset_us` is where number 0 is, on the clock of the zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Grid {
    /// Equally far apart, in UTC.
    Fixed { width_us: i64, offset_us: i64 },
    /// Equally far apart on the clock of a zone, by whole days.
    Days {
        width_us: i64,
        offset_us: i64,
        zone: Zone,
    },
    /// On first days of months, or `offset_us` after them.
    Months {
        months: i64,
        offset_months: i64,
        offset_us: i64,
        zone: Option<Zone>,
    },
}

/// Instants further from 1970 than this count as that far on a calendar, so that every one of them
/// has a boundary behind it.
const LAST_US: i64 = FAR_US / 2;

/// Months from the year 0 to 1970.
const MONTHS_TO_1970: i64 = 1970 * 12;

impl Grid {
    /// Number of the last boundary that is not after an instant.
    #[inline]
    pub(super) fn index_of(&self, time_us: i64) -> i64 {
        if let Grid::Fixed {
            width_us,
            offset_us,
        } = *self
        {
            return time_us.saturating_sub(offset_us).div_euclid(width_us);
        }
        self.calendar_index_of(time_us.clamp(-LAST_US, LAST_US))
    }

    fn calendar_index_of(&self, time_us: i64) -> i64 {
        match *self {
            Grid::Fixed { .. } => self.index_of(time_us),
            Grid::Days {
                width_us,
                offset_us,
                zone,
            } => {
                let local = zone.local(time_us).saturating_sub(offset_us);
                self.settled(local.div_euclid(width_us), time_us)
            }
            Grid::Months {
                months,
                offset_months,
                offset_us,
                zone,
            } => {
                let local = zone.map_or(time_us, |zone| zone.local(time_us));
                let month = month_of(local.saturating_sub(offset_us));
                self.settled((month - offset_months).div_euclid(months), time_us)
            }
        }
    }

    /// A clock that is put back shows a day, or a part of it, again: it counts to the next one,
    /// which has already begun. A day that a zone leaves out ends where it begins and is no one's.
    fn settled(&self, mut index: i64, time_us: i64) -> i64 {
        while self.boundary(index + 1) <= time_us {
            index += 1;
        }
        index
    }

    /// The instant of a boundary.
    #[inline]
    pub(super) fn boundary(&self, index: i64) -> i64 {
        match *self {
            Grid::Fixed {
                width_us,
                offset_us,
            } => index.saturating_mul(width_us).saturating_add(offset_us),
            Grid::Days {
                width_us,
                offset_us,
                zone,
            } => zone.first_instant(index.saturating_mul(width_us).saturating_add(offset_us)),
            Grid::Months {
                months,
                offset_months,
                offset_us,
                zone,
            } => {
                let month = index.saturating_mul(months).saturating_add(offset_months);
                let local = first_of_month(month).saturating_add(offset_us);
                zone.map_or(local, |zone| zone.first_instant(local))
            }
        }
    }

    /// Whether every boundary is a whole millisecond.
    pub(super) fn is_whole_millis(&self) -> bool {
        match *self {
            Grid::Fixed {
                width_us,
                offset_us,
            } => width_us % 1_000 == 0 && offset_us % 1_000 == 0,
            Grid::Days { offset_us, .. } | Grid::Months { offset_us, .. } => offset_us % 1_000 == 0,
        }
    }
}

/// Months since January 1970 of a clock's time.
fn month_of(local_us: i64) -> i64 {
    let date = naive(local_us.clamp(-FAR_US, FAR_US)).date();
    i64::from(date.year()) * 12 + i64::from(date.month0()) - MONTHS_TO_1970
}

/// The first midnight of a month, counted as [`month_of`] does.
fn first_of_month(month: i64) -> i64 {
    let month = month.saturating_add(MONTHS_TO_1970);
    let (year, month0) = (month.div_euclid(12), month.rem_euclid(12));
    let date = i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month0 as u32 + 1, 1));
    match date.and_then(|date| date.and_hms_opt(0, 0, 0)) {
        Some(time) => time.and_utc().timestamp_micros(),
        None if year < 0 => i64::MIN,
        None => i64::MAX,
    }
}
