//! What windows were asked for, whether there are such windows, and the grid of their panes.

use headwater_core::{Error, Result};

use super::grid::Grid;
use super::{Length, Zone};

const DAY_US: i64 = 86_400_000_000;

/// A row is in this many windows at most: a day of windows that are a second apart.
const MOST_OF_A_ROW: i64 = 86_400;

/// What windows were asked for, before it is known whether there are such windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowLengths {
    /// Windows side by side.
    Tumble {
        /// Length of a window.
        size: Length,
    },
    /// Windows of one size that begin every slide.
    Hop {
        /// Distance of two beginnings.
        slide: Length,
        /// Length of a window.
        size: Length,
    },
    /// Windows that grow by steps up to a size, then begin anew.
    Cumulate {
        /// By how much they grow.
        step: Length,
        /// Length of the longest.
        max: Length,
    },
}

/// The smaller and the greater length: what windows move by, and how long they are.
pub(super) fn check_lengths(lengths: WindowLengths) -> Result<(Length, Length)> {
    let (unit, whole) = match lengths {
        WindowLengths::Tumble { size } => (size, size),
        WindowLengths::Hop { slide, size } => (slide, size),
        WindowLengths::Cumulate { step, max } => (step, max),
    };
    if !unit.is_positive() || !whole.is_positive() {
        return Err(Error::plan(match lengths {
            WindowLengths::Cumulate { .. } => {
                "a window's step and greatest size must be greater than zero"
            }
            _ => "a window's size and slide must be greater than zero",
        }));
    }
    if let Some(mixed) = [unit, whole].iter().find(|l| l.months > 0 && l.micros > 0) {
        return Err(Error::plan(format!("a window cannot be {mixed} long"))
            .with_detail(
                "Months are not all equally long, and such windows would overlap or leave gaps.",
            )
            .with_hint("Give the length in months and years, or in weeks, days and times."));
    }
    if (unit.months > 0) != (whole.months > 0) {
        return Err(
            Error::plan(format!("windows cannot be {whole} long and {unit} apart"))
                .with_detail(
                    "Months are not all equally long, so the one is no number of the other.",
                )
                .with_hint(
                    "Give both lengths in months and years, or both in weeks, days and times.",
                ),
        );
    }
    let (unit_part, whole_part) = (unit.months + unit.micros, whole.months + whole.micros);
    match lengths {
        WindowLengths::Hop { .. } if unit_part > whole_part => Err(Error::plan(format!(
            "the slide of {unit} is greater than the window's size of {whole}"
        ))
        .with_hint(format!(
            "hop(), HOP_START() and HOP_END() take the slide first and then the size, as in \
             hop(…, '{whole}', '{unit}'); window() takes the size first and then the slide."
        ))),
        WindowLengths::Cumulate { .. } if whole_part % unit_part != 0 => Err(Error::plan(format!(
            "the greatest size of {whole} is no multiple of the step of {unit}"
        ))
        .with_hint("cumulate() takes the step first and then the greatest size.")),
        _ if whole_part / unit_part > MOST_OF_A_ROW => Err(Error::plan(format!(
            "rows would be in up to {} windows: they are {whole} long and {unit} apart",
            whole_part / unit_part
        ))
        .with_detail(format!(
            "Each of them has a result of its own for the row. There are at most {MOST_OF_A_ROW}."
        ))
        .with_hint("Let windows be further apart, or shorter.")),
        _ => Ok((unit, whole)),
    }
}

/// The boundaries of panes; windows begin at multiples of `period`.
pub(super) fn grid(
    pane: i64,
    period: i64,
    by_months: bool,
    offset: Length,
    zone: Option<Zone>,
) -> Result<Grid> {
    if by_months {
        return Ok(Grid::Months {
            months: pane,
            offset_months: offset.months.rem_euclid(period),
            offset_us: offset.micros,
            zone,
        });
    }
    if offset.months != 0 {
        return Err(Error::plan(format!(
            "an offset of {offset} fits only windows of months and years"
        ))
        .with_hint("Give the offset in days and times."));
    }
    let offset_us = offset.micros.rem_euclid(period);
    match zone {
        None => Ok(Grid::Fixed {
            width_us: pane,
            offset_us,
        }),
        Some(zone) if pane % DAY_US == 0 => Ok(Grid::Days {
            width_us: pane,
            offset_us,
            zone,
        }),
        Some(zone) => Err(Error::plan(format!(
            "windows in the time zone \"{zone}\" must be of whole days, months or years"
        ))
        .with_detail("Where its clock is put back, an hour of the day would come twice.")
        .with_hint("Leave the time zone out, and give an offset if hours begin elsewhere there.")),
    }
}

/// The greatest common divisor.
pub(super) fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
