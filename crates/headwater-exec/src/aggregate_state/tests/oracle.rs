//! The definition: every epoch is recomputed from all rows so far, with nothing kept.
//!
//! A row counts in a window that covers it if the window had not ended at or before `W(n − 1)`
//! when the row came in epoch `n`; in complete mode, and without windows, always.

use std::collections::BTreeMap;

use headwater_core::mode::OutputMode;

use super::case::{Case, CaseWindow, Row};
use super::run::Live;

/// Start and end of a window; none for a running aggregation.
pub(super) type Bounds = Option<(i64, i64)>;

/// A result row: window, key, values.
pub(super) type ResultRow = (Bounds, Vec<String>, Vec<String>);

/// Values by window and key.
pub(super) type ResultTable = BTreeMap<(Bounds, Vec<String>), Vec<String>>;

/// What a query should do.
pub(super) struct Expected {
    /// The rows of every epoch, sorted.
    pub(super) epochs: Vec<Vec<ResultRow>>,
    /// What they come to: the result over all rows that counted, or those that are final.
    pub(super) result: ResultTable,
    /// State rows after every epoch.
    pub(super) live_rows: Live,
}

/// A row that counted in a window, and the epoch it came in.
struct Counted<'a> {
    epoch: usize,
    window: Bounds,
    key: Vec<String>,
    row: &'a Row,
}

impl Case {
    /// All windows that cover an instant, by trying.
    pub(super) fn windows_at(&self, time: i64) -> Vec<Bounds> {
        let starts = |period: i64, size: i64, offset: i64| {
            (time - size + 1..=time).filter(move |s| (s - offset).rem_euclid(period) == 0)
        };
        match self.window {
            None => vec![None],
            Some(CaseWindow::Hop(slide, size, offset)) => starts(slide, size, offset)
                .map(|start| Some((start, start + size)))
                .collect(),
            Some(CaseWindow::Cumulate(step, max, offset)) => starts(max, max, offset)
                .flat_map(|start| (1..=max / step).map(move |n| (start, start + n * step)))
                .filter(|(_, end)| *end > time)
                .map(Some)
                .collect(),
        }
    }

    /// `W(n − 1)` and `W(n)` of every epoch.
    pub(super) fn watermarks(&self) -> Vec<(i64, i64)> {
        let mut watermark = i64::MIN;
        let steps = self.epochs.iter().map(|epoch| {
            let before = watermark;
            watermark = watermark.max(epoch.watermark);
            (before, watermark)
        });
        steps.collect()
    }

    fn is_late(&self, window: Bounds, before: i64) -> bool {
        self.mode != OutputMode::Complete && end(window) <= before
    }

    fn counted(&self) -> Vec<Counted<'_>> {
        let mut counted = Vec::new();
        for (epoch, (before, _)) in self.watermarks().into_iter().enumerate() {
            for row in self.epochs[epoch].batches.iter().flat_map(|b| &b.rows) {
                let windows = self.windows_at(row.time).into_iter();
                counted.extend(windows.filter(|w| !self.is_late(*w, before)).map(|window| {
                    let key = self.key(row);
                    Counted {
                        epoch,
                        window,
                        key,
                        row,
                    }
                }));
            }
        }
        counted
    }
}

/// End of a window; the end of time for a running aggregation.
pub(super) fn end(window: Bounds) -> i64 {
    window.map_or(i64::MAX, |(_, end)| end)
}

type Groups<'a> = BTreeMap<(Bounds, Vec<String>), Vec<&'a Counted<'a>>>;

fn groups<'a>(case: &Case, counted: &'a [Counted<'a>], epoch: usize) -> Groups<'a> {
    let mut groups = Groups::new();
    if case.window.is_none() && case.keys == 0 {
        groups.entry((None, vec![])).or_default();
    }
    for row in counted.iter().filter(|c| c.epoch <= epoch) {
        let group = (row.window, row.key.clone());
        groups.entry(group).or_default().push(row);
    }
    groups
}

fn values(case: &Case, rows: &[&Counted<'_>]) -> Vec<String> {
    let rows: Vec<_> = rows.iter().map(|c| &c.row.values).collect();
    case.kinds.iter().map(|kind| kind.by_hand(&rows)).collect()
}

/// What a query should do.
pub(super) fn run(case: &Case) -> Expected {
    let counted = case.counted();
    let steps = case.watermarks();
    let mut epochs = Vec::new();
    for (epoch, (before, after)) in steps.iter().enumerate() {
        let groups = groups(case, &counted, epoch).into_iter();
        let emitted = groups.filter(|((window, _), rows)| match case.mode {
            OutputMode::Complete => true,
            OutputMode::Append => {
                let end = end(*window);
                end > *before && end <= *after
            }
            // A global aggregate has a result before its first row.
            OutputMode::Update => {
                let comes = rows.iter().any(|row| row.epoch == epoch);
                let was_there = rows.iter().any(|row| row.epoch < epoch);
                // Without windows and aggregates a group is shown when it is first seen.
                let is_shown_once = case.window.is_none() && case.kinds.is_empty();
                comes && !(is_shown_once && was_there)
                    || (epoch == 0 && case.window.is_none() && case.keys == 0)
            }
        });
        let rows = emitted.map(|((window, key), rows)| (window, key, values(case, &rows)));
        epochs.push(rows.collect());
    }
    let last = case.epochs.len() - 1;
    let is_final = |window: Bounds| end(window) <= steps[last].1;
    let result = groups(case, &counted, last)
        .into_iter()
        .filter(|((window, _), _)| case.mode != OutputMode::Append || is_final(*window))
        .map(|(group, rows)| (group, values(case, &rows)))
        .collect();
    Expected {
        epochs,
        result,
        live_rows: live_rows(case, &counted),
    }
}

/// Groups per pane that are not dropped: a pane is where the same windows cover every instant.
fn live_rows(case: &Case, counted: &[Counted<'_>]) -> Live {
    let panes = case.window.map(|window| match window {
        CaseWindow::Hop(slide, size, offset) => (gcd(slide, size), offset),
        CaseWindow::Cumulate(step, _, offset) => (step, offset),
    });
    let pane = |row: &Row| panes.map(|(width, offset)| (row.time - offset).div_euclid(width));
    let last_end = |row: &Row| case.windows_at(row.time).iter().map(|w| end(*w)).max();
    let steps = case.watermarks().into_iter().enumerate();
    steps
        .map(|(epoch, (_, after))| {
            let drops = case.mode != OutputMode::Complete && case.window.is_some();
            let mut live: Vec<_> = counted
                .iter()
                .filter(|c| c.epoch <= epoch && !(drops && last_end(c.row) <= Some(after)))
                .map(|c| (pane(c.row), c.key.clone()))
                .collect();
            if case.window.is_none() && case.keys == 0 {
                live.push((None, vec![]));
            }
            live.sort();
            live.dedup();
            live.len()
        })
        .collect()
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What the rows of all epochs come to for a sink: in append mode no row comes twice, in update
/// mode the newest of a key counts, in complete mode the newest epoch does.
pub(super) fn fold(case: &Case, epochs: &[Vec<ResultRow>]) -> Result<ResultTable, String> {
    let mut folded = BTreeMap::new();
    for rows in epochs {
        if case.mode == OutputMode::Complete {
            folded.clear();
        }
        for (window, key, values) in rows {
            let before = folded.insert((*window, key.clone()), values.clone());
            if case.mode == OutputMode::Append && before.is_some() {
                return Err(format!("{window:?} {key:?} came twice"));
            }
        }
    }
    Ok(folded)
}
