//! Whether what was seen of the process stays where it is.
//!
//! One sample may be anything: an epoch is running, a snapshot is being written. And one step is no
//! growth: after an epoch that was larger than any before, the heap stays as large. So the growth of
//! memory is the median of that over every sixth of the time, half of which a few steps cannot move.
//! How a lag changes is the median of the slopes between every two samples.
//! What goes up and down is compared between the halves of the time after the warm-up, each of
//! which is longer than the 16 commits between two clean-ups.

use std::fmt::Write as _;

use crate::job::Length;

const MEMORY_SLOPE_MAX_MB_PER_MINUTE: f64 = 2.0;
/// Three epochs of a second.
const SECONDS_BEHIND_MAX: f64 = 3.0;
const BEHIND_SLOPE_MAX_PER_MINUTE: f64 = 1.0;
/// Samples at the end of which the middle one tells how far a query is behind.
const LAST: usize = 9;

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
    pub(crate) checkpoint_files: u64,
    pub(crate) checkpoint_kb: u64,
    pub(crate) staged_files: u64,
    /// Every query, and by how many seconds it is behind.
    pub(crate) behind: Vec<(&'static str, f64)>,
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
            checkpoint_files,
            ..
        } = self;
        let behind = self.behind.iter();
        let behind: Vec<String> = behind.map(|(name, by)| format!("{name} {by:.1}")).collect();
        format!(
            "{at_s:>5.0} s: {memory_mb:.1} of {resident_mb:.1} MB, {threads} threads, {open_files} open files, \
             {checkpoint_files} files of checkpoints; seconds behind: {}",
            behind.join(", ")
        )
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
    fn is_good(&self) -> bool {
        self.value <= self.most
    }
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
        let mut findings = vec![memory(&warm)];
        let few = [
            halves("threads", &warm, |s| s.threads, a_few_more),
            halves("open files", &warm, |s| s.open_files, a_few_more),
            halves("staged files", &warm, |s| s.staged_files, a_few_more),
        ];
        findings.extend(few);
        let folder = [
            medians("files of checkpoints", &warm, |s| s.checkpoint_files),
            medians("kB of checkpoints", &warm, |s| s.checkpoint_kb),
        ];
        findings.extend(folder);
        for index in 0..warm[0].behind.len() {
            findings.extend(behind(index, &warm));
        }
        Verdict(findings)
    }

    /// A line for everything that was looked at.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{:<32}  {:>30}  {:>8}", "what", "was", "at most");
        for finding in &self.0 {
            let Finding {
                what, was, most, ..
            } = finding;
            let mark = if finding.is_good() { "" } else { "  TOO MUCH" };
            write!(text, "\n{what:<32}  {was:>30}  {most:>8.1}{mark}").unwrap();
        }
        text
    }

    /// Fails if anything was too much.
    pub(crate) fn check(&self) {
        let is_good = self.0.iter().all(Finding::is_good);
        assert!(is_good, "something grows or lags:\n{}", self.table());
    }
}

/// Files that are being written come and go, and threads that wait for a disk.
fn a_few_more(count: u64) -> u64 {
    count + 4
}

fn memory(samples: &[&Sample]) -> Finding {
    let points: Vec<_> = samples
        .iter()
        .map(|s| (s.at_s / 60.0, s.memory_mb))
        .collect();
    let value = growth(&points);
    let peak = |of: fn(&Sample) -> f64| samples.iter().map(|s| of(s)).fold(0.0, f64::max);
    let (peak, resident) = (peak(|s| s.memory_mb), peak(|s| s.resident_mb));
    Finding {
        what: "memory, MB a minute".to_string(),
        was: format!("{value:.2}, {peak:.0} of {resident:.0} MB at most"),
        value,
        most: MEMORY_SLOPE_MAX_MB_PER_MINUTE,
    }
}

/// The maximum of the second half, which the first one limits.
fn halves(
    what: &str,
    samples: &[&Sample],
    of: fn(&Sample) -> u64,
    most: fn(u64) -> u64,
) -> Finding {
    let (first, second) = samples.split_at(samples.len() / 2);
    let greatest = |half: &[&Sample]| half.iter().map(|s| of(s)).max().unwrap_or_default();
    let (first, second) = (greatest(first), greatest(second));
    Finding {
        what: what.to_string(),
        was: format!("{first}, then {second}"),
        value: second as f64,
        most: most(first) as f64,
    }
}

/// The median of the second half, which may be a quarter above that of the first: a folder that
/// nobody cleans up has two thirds more.
fn medians(what: &str, samples: &[&Sample], of: fn(&Sample) -> u64) -> Finding {
    let (first, second) = samples.split_at(samples.len() / 2);
    let middle = |half: &[&Sample]| median(half.iter().map(|s| of(s) as f64).collect());
    let (first, second) = (middle(first), middle(second));
    Finding {
        what: what.to_string(),
        was: format!("{first}, then {second}"),
        value: second,
        most: first * 1.25,
    }
}

/// How far a query is behind at the end, and how that has changed.
fn behind(index: usize, samples: &[&Sample]) -> [Finding; 2] {
    let (name, _) = samples[0].behind[index];
    let points = samples.iter().map(|s| (s.at_s / 60.0, s.behind[index].1));
    let points: Vec<(f64, f64)> = points.collect();
    let most = points.iter().map(|(_, by)| *by).fold(0.0, f64::max);
    let last = points.iter().rev().take(LAST).map(|(_, by)| *by);
    let last = median(last.collect());
    let slope = trend(&points);
    [
        Finding {
            what: format!("{name}, seconds behind at the end"),
            was: format!("{last:.2}, {most:.2} at most"),
            value: last,
            most: SECONDS_BEHIND_MAX,
        },
        Finding {
            what: format!("{name}, more a minute"),
            was: format!("{slope:.2}"),
            value: slope,
            most: BEHIND_SLOPE_MAX_PER_MINUTE,
        },
    ]
}

/// The median of the slopes over every sixth of the time.
fn growth(points: &[(f64, f64)]) -> f64 {
    let time = |index: usize| points.get(index).map_or(0.0, |(time, _)| *time);
    let span = (time(points.len().saturating_sub(1)) - time(0)) / 6.0;
    let slopes = points.iter().filter_map(|(x, y)| {
        let (later_x, later_y) = points.iter().find(|(later, _)| *later >= x + span)?;
        Some((later_y - y) / (later_x - x))
    });
    median(slopes.collect())
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

/// A minute of samples of a process that grows by so much a second.
fn samples(grows: impl Fn(usize) -> Sample) -> Vec<Sample> {
    (0..60).map(grows).collect()
}

fn flat(at: usize) -> Sample {
    Sample {
        at_s: at as f64,
        memory_mb: 20.0 + (at % 7) as f64,
        resident_mb: 120.0,
        threads: 20 + at as u64 % 3,
        open_files: 40,
        checkpoint_files: 10 + 3 * (at as u64 % 16),
        checkpoint_kb: 100,
        staged_files: 0,
        behind: vec![("q", 0.5 + (at % 5) as f64 / 4.0)],
    }
}

fn too_much(samples: &[Sample]) -> Vec<String> {
    let Verdict(findings) = Verdict::of(Length::SHORT, samples);
    let bad = findings.into_iter().filter(|finding| !finding.is_good());
    bad.map(|finding| finding.what).collect()
}

#[test]
fn what_goes_up_and_down_is_flat() {
    assert_eq!(too_much(&samples(flat)), Vec::<String>::new());
    // The odd sample does not matter.
    let spikes = samples(|at| Sample {
        memory_mb: if at % 9 == 0 { 90.0 } else { 20.0 },
        ..flat(at)
    });
    assert_eq!(too_much(&spikes), Vec::<String>::new());
    // Nor do two steps.
    let steps = samples(|at| Sample {
        memory_mb: 20.0 + (at / 25) as f64 * 2.0 + (at % 7) as f64 / 50.0,
        ..flat(at)
    });
    assert_eq!(too_much(&steps), Vec::<String>::new());
}

#[test]
fn growth_is_found() {
    type Grows = fn(usize) -> Sample;
    let cases: [(&str, Grows); 5] = [
        ("memory, MB a minute", |at| Sample {
            memory_mb: 20.0 + at as f64 / 20.0 + (at % 7) as f64,
            ..flat(at)
        }),
        ("threads", |at| Sample {
            threads: 20 + at as u64 / 3,
            ..flat(at)
        }),
        ("open files", |at| Sample {
            open_files: 40 + at as u64 / 3,
            ..flat(at)
        }),
        ("files of checkpoints", |at| Sample {
            checkpoint_files: 3 * at as u64,
            ..flat(at)
        }),
        ("q, more a minute", |at| Sample {
            behind: vec![("q", at as f64 / 30.0)],
            ..flat(at)
        }),
    ];
    for (what, grows) in cases {
        assert_eq!(too_much(&samples(grows)), [what.to_string()]);
    }
    let late = samples(|at| Sample {
        behind: vec![("q", 4.0)],
        ..flat(at)
    });
    assert_eq!(
        too_much(&late),
        ["q, seconds behind at the end".to_string()]
    );
}
