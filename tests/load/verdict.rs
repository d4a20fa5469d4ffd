//! Whether what was seen of the process stays where it is.
//!
//! One sample may be anything: an epoch is running, a snapshot is being written, the machine is
//! busy with others. So nothing is judged by one sample, and nothing by a middle one alone, which
//! half of the time cannot move:
//!
//! | what | a leak moves | one step moves | noise moves |
//! | --- | --- | --- | --- |
//! | the median of the growth over about a quarter of the time, everywhere | it | nothing | little |
//! | the mean of the last third, against that of the first | it | it | little |
//! | the greatest of the second half, against that of the first, of what a period makes | it | it | nothing |
//!
//! A step of the heap is let through if it is small: after an epoch that was larger than any
//! before, the heap stays as large. A second step is no chance, and no step is let through that is
//! large.

use std::fmt::Write as _;

use crate::job::{EPOCH_S, Length};

/// By how much the mean of the last third may be above that of the first: a step of the heap.
const MEMORY_MORE_MAX: f64 = 0.05;
const SECONDS_BEHIND_MAX: f64 = 3.0 * EPOCH_S;
/// Findings whose name has it say how far a query is behind.
const BEHIND: &str = "seconds behind";
/// A machine that others use stands still for a moment now and then: so many of the samples may be
/// over the limit, by as much again.
const MOMENTS: f64 = 0.05;
const BEHIND_MORE_MAX_PER_MINUTE: f64 = 1.0;
/// Threads that wait for a disk come and go, as do files that are being written.
const A_FEW: f64 = 2.0;
/// Two commits more in a period of sixteen: what the halves of the time may differ by.
const FOLDER_MORE_MAX: f64 = 0.15;
/// How many times the state may be in the files of a checkpoint, if every epoch changes all of it and
/// that are fewer than 1,000 rows: 16 deltas and a snapshot, twice while the older ones may still be
/// needed. States as small as those of the job are not held to three times.
const COPIES_MAX: f64 = 34.0;

/// What was seen in one moment.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Since the last query has started.
    pub(crate) at_s: f64,
    /// What the process has asked for. The rest of `resident_mb` are pages of its executable, which
    /// come when a piece of code first runs.
    pub(crate) memory_mb: f64,
    pub(crate) resident_mb: f64,
    pub(crate) threads: u64,
    pub(crate) open_files: u64,
    pub(crate) staged_files: u64,
    pub(crate) queries: Vec<QuerySample>,
}

/// What was seen of a query.
#[derive(Debug, Clone)]
pub(crate) struct QuerySample {
    pub(crate) name: &'static str,
    pub(crate) seconds_behind: f64,
    pub(crate) checkpoint: Folder,
}

/// The files of a checkpoint.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Folder {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// The largest file of state: all rows, as a snapshot holds them, or a delta that changes all.
    pub(crate) largest_state: u64,
    /// The bytes of all files of state.
    pub(crate) state_bytes: u64,
}

impl Sample {
    /// The sample as a line.
    pub(crate) fn line(&self) -> String {
        let Sample {
            at_s,
            memory_mb,
            resident_mb,
            threads,
            open_files,
            ..
        } = self;
        let mut line = format!(
            "{at_s:>5.0} s: {memory_mb:.1} of {resident_mb:.1} MB, {threads} threads, {open_files} open files"
        );
        for query in &self.queries {
            let QuerySample {
                name,
                seconds_behind,
                checkpoint,
            } = query;
            let (files, kb) = (checkpoint.files, checkpoint.bytes / 1024);
            let text = format!("; {name}: {seconds_behind:.1} s behind, {files} files, {kb} kB");
            line.push_str(&text);
        }
        line
    }
}

/// One thing that was looked at.
#[derive(Debug, PartialEq)]
struct Finding {
    what: String,
    /// What it was, for a person.
    was: String,
    value: f64,
    most: f64,
}

impl Finding {
    fn new(what: impl Into<String>, was: String, value: f64, most: f64) -> Self {
        Finding {
            what: what.into(),
            was,
            value,
            most,
        }
    }

    fn is_good(&self) -> bool {
        self.value <= self.most
    }
}

/// What a run was not good for.
#[derive(Debug)]
pub(crate) enum Shortfall {
    /// The rate was too much, whatever else was seen.
    Lags(String),
    Grows(String),
}

/// Everything that was looked at.
#[derive(Debug)]
pub(crate) struct Verdict(Vec<Finding>);

impl Verdict {
    pub(crate) fn of(length: Length, samples: &[Sample]) -> Self {
        let warm = samples.iter().filter(|s| s.at_s >= length.warm_up_s);
        let warm: Vec<&Sample> = warm.collect();
        let wanted = (length.seconds as f64 - length.warm_up_s) / 2.0;
        let count = warm.len();
        assert!(count as f64 > wanted, "there are {count} samples only");
        let mut findings = Vec::new();
        let most = length.memory_mb_per_minute_max;
        for (what, of) in MEMORY {
            findings.push(growth(what, &series(&warm, of), most));
        }
        findings.push(resident(&series(&warm, |s| s.resident_mb)));
        let few: [(&str, Number); 3] = [
            ("threads", |s| s.threads as f64),
            ("open files", |s| s.open_files as f64),
            ("staged files", |s| s.staged_files as f64),
        ];
        for (what, of) in few {
            findings.push(a_few_more(what, &series(&warm, of)));
        }
        for index in 0..warm[0].queries.len() {
            let queries = warm.iter().map(|s| (s.at_s, &s.queries[index]));
            let queries: Vec<(f64, &QuerySample)> = queries.collect();
            findings.extend(folder(&queries));
            findings.extend(behind(&queries));
        }
        Verdict(findings)
    }

    /// A line for everything that was looked at.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<42}  {:>24}  {:>8}", "what", "was", "at most");
        for finding in &self.0 {
            let Finding {
                what, was, most, ..
            } = finding;
            let mark = if finding.is_good() { "" } else { "  TOO MUCH" };
            write!(text, "\n{what:<42}  {was:>24}  {most:>8.1}{mark}").unwrap();
        }
        text
    }

    /// # Errors
    /// If anything was too much.
    pub(crate) fn check(&self) -> Result<(), Shortfall> {
        let bad: Vec<_> = self.0.iter().filter(|finding| !finding.is_good()).collect();
        if bad.is_empty() {
            return Ok(());
        }
        Err(
            match bad.iter().any(|finding| finding.what.contains(BEHIND)) {
                true => Shortfall::Lags(format!("a query lags:\n{}", self.table())),
                false => Shortfall::Grows(format!("something grows:\n{}", self.table())),
            },
        )
    }
}

/// A number of what was seen.
type Number = fn(&Sample) -> f64;

/// What the process has asked for, and all that it has in memory.
const MEMORY: [(&str, Number); 2] = [
    ("memory asked for, MB a minute", |s| s.memory_mb),
    ("resident memory, MB a minute", |s| s.resident_mb),
];

/// A number over time, in minutes.
type Series = Vec<(f64, f64)>;

fn series(samples: &[&Sample], of: Number) -> Series {
    samples.iter().map(|s| (s.at_s / 60.0, of(s))).collect()
}

fn growth(what: &str, points: &[(f64, f64)], most: f64) -> Finding {
    let value = growth_by_quarters(points);
    let peak = greatest(points);
    Finding::new(
        what,
        format!("{value:.2}, {peak:.0} MB at most"),
        value,
        most,
    )
}

fn resident(points: &[(f64, f64)]) -> Finding {
    let (first, last) = thirds(points);
    let what = "resident memory, MB in the last third";
    let most = first * (1.0 + MEMORY_MORE_MAX);
    Finding::new(what, format!("{first:.1}, then {last:.1}"), last, most)
}

/// The mean of the last third, which that of the first one limits.
fn a_few_more(what: &str, points: &[(f64, f64)]) -> Finding {
    let (first, last) = thirds(points);
    let was = format!("{first:.1}, then {last:.1}");
    Finding::new(what, was, last, first + A_FEW)
}

/// The files and bytes of a checkpoint go up to a snapshot and down after it, so that the greatest
/// of one period is that of the next; and so many times as large as its state it may be.
fn folder(samples: &[(f64, &QuerySample)]) -> [Finding; 3] {
    let (_, QuerySample { name, .. }) = samples[0];
    // One more snapshot is there for as long as it is being written.
    let largest = samples
        .iter()
        .map(|(_, query)| query.checkpoint.largest_state);
    let snapshot_kb = largest.max().unwrap_or_default() as f64 / 1024.0;
    let halves = |what: &str, of: fn(&Folder) -> u64, more: f64| {
        let (first, second) = samples.split_at(samples.len() / 2);
        let greatest = |half: &[(f64, &QuerySample)]| {
            let numbers = half.iter().map(|(_, query)| of(&query.checkpoint));
            numbers.max().unwrap_or_default()
        };
        let (first, second) = (greatest(first), greatest(second));
        let was = format!("{first}, then {second}");
        let most = first as f64 * (1.0 + FOLDER_MORE_MAX) + more;
        Finding::new(format!("{name}, {what}"), was, second as f64, most)
    };
    let copies = samples.iter().map(|(_, query)| {
        let Folder {
            largest_state,
            state_bytes,
            ..
        } = query.checkpoint;
        state_bytes as f64 / largest_state.max(1) as f64
    });
    let copies = copies.fold(0.0, f64::max);
    [
        halves("files of its checkpoint", |folder| folder.files, A_FEW),
        halves(
            "kB of its checkpoint",
            |folder| folder.bytes / 1024,
            A_FEW + snapshot_kb,
        ),
        Finding::new(
            format!("{name}, copies of its state"),
            format!("{copies:.1}"),
            copies,
            COPIES_MAX,
        ),
    ]
}

/// How far a query is behind, and how that has changed.
fn behind(samples: &[(f64, &QuerySample)]) -> [Finding; 3] {
    let (_, QuerySample { name, .. }) = samples[0];
    let points = samples
        .iter()
        .map(|(at_s, query)| (at_s / 60.0, query.seconds_behind));
    let points: Series = points.collect();
    let mut sorted: Vec<f64> = points.iter().map(|(_, by)| *by).collect();
    sorted.sort_by(f64::total_cmp);
    let moments = (sorted.len() as f64 * MOMENTS) as usize;
    let (most, usual) = (sorted[sorted.len() - 1], sorted[sorted.len() - 1 - moments]);
    let slope = trend(&points);
    let finding = |what: &str, value: f64, most: f64| {
        Finding::new(
            format!("{name}, {what}"),
            format!("{value:.2}"),
            value,
            most,
        )
    };
    [
        finding(BEHIND, usual, SECONDS_BEHIND_MAX),
        finding(
            "seconds behind for a moment",
            most,
            2.0 * SECONDS_BEHIND_MAX,
        ),
        finding(
            "seconds behind, more a minute",
            slope,
            BEHIND_MORE_MAX_PER_MINUTE,
        ),
    ]
}

fn greatest(points: &[(f64, f64)]) -> f64 {
    points.iter().map(|(_, y)| *y).fold(0.0, f64::max)
}

/// The means of the first and of the last third.
fn thirds(points: &[(f64, f64)]) -> (f64, f64) {
    let count = points.len() / 3;
    let mean = |part: &[(f64, f64)]| {
        let sum: f64 = part.iter().map(|(_, y)| *y).sum();
        sum / part.len().max(1) as f64
    };
    (
        mean(&points[..count]),
        mean(&points[points.len() - count..]),
    )
}

/// The median of the slopes between points that are about a quarter of the time apart. One step is
/// in a third of them, two steps that are not close to each other or to an end are in more than
/// half. A single distance would be a multiple of the period of something.
fn growth_by_quarters(points: &[(f64, f64)]) -> f64 {
    let time = |index: usize| points.get(index).map_or(0.0, |(time, _)| *time);
    let all = time(points.len().saturating_sub(1)) - time(0);
    let mut slopes = Vec::new();
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points[index + 1..].iter();
        let later = later.skip_while(|(later_x, _)| later_x - x < all * 0.2);
        let later = later.take_while(|(later_x, _)| later_x - x <= all * 0.3);
        slopes.extend(later.map(|(later_x, later_y)| (later_y - y) / (later_x - x)));
    }
    median(slopes)
}

/// The median of the slopes between every two points.
fn trend(points: &[(f64, f64)]) -> f64 {
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (index, (x, y)) in points.iter().enumerate() {
        let later = points[index + 1..].iter();
        slopes.extend(later.map(|(later_x, later_y)| (later_y - y) / (later_x - x)));
    }
    median(slopes)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
