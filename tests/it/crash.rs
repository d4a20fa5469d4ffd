//! The crash matrix: a process is killed in every gap between two durable steps, and the output is
//! that of a run that nobody killed.
//!
//! A child process runs a job from a source to a sink and stops at a [`CrashPoint`] where it is
//! told; it is killed from outside by a signal that it cannot catch, and started again. The rows in
//! the sink must be those of the reference, each once. Which points a job comes by is written down
//! ([`JobKind::points`]): one that it comes by no more fails the test, and so does a new one.
//!
//! | jobs | are killed |
//! | --- | --- |
//! | windows, between all kinds of sources and sinks | at one point, three times in a row, so that recoveries are interrupted too; then they are left alone. A job that ends before is followed by another, until there are three |
//! | late rows, update mode, expiry, restarts | once at every point, one after the other, in one life |
//!
//! `cargo xtask test crash` runs these tests alone, with `--long` fifty kills for a point, at later
//! moments too.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::time::Duration;

use headwater_testkit::crash_point::CrashPoint;
use headwater_tests::real_broker;

use crate::command::Dir;

mod folders;
mod job;
mod topics;

use job::{Job, JobKind};

/// How many kills hit a point of one job that is taken apart.
fn kills_per_point() -> u32 {
    if is_long() { 50 } else { 3 }
}

/// How many lives a job has that goes through all points in one.
fn lives() -> u32 {
    if is_long() { 10 } else { 1 }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is a matter of the environment"
)]
fn is_long() -> bool {
    std::env::var("HEADWATER_TEST_LONG").is_ok()
}

/// Says something to whoever runs the tests: the harness keeps what is printed in the usual way.
fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").unwrap();
}

/// Gives the summary to whoever runs the tests and wants to say it last.
#[expect(
    clippy::disallowed_methods,
    reason = "a test run is told by its environment where to write"
)]
fn hand_over(summary: &str) {
    if let Ok(path) = std::env::var("HEADWATER_TEST_CRASH_SUMMARY") {
        let mut file = std::fs::File::create(path).unwrap();
        writeln!(file, "{summary}").unwrap();
    }
}

/// The kills of jobs of one kind.
struct Matrix<'a> {
    kind: &'a JobKind,
    /// The rows of a job that nobody killed.
    expected: Vec<String>,
    kills: BTreeMap<&'static str, u32>,
    wrong: Vec<String>,
    differences: usize,
}

impl Matrix<'_> {
    /// Kills jobs of this kind at every point.
    fn run(kind: &JobKind) -> Matrix<'_> {
        let reference = Job::new(kind);
        reference.finish();
        let expected = reference.output();
        let rows = expected.len();
        assert!(rows > 40, "{kind} writes {rows} rows");
        let has_late = kind.has_late_rows() == (reference.late_rows() > 20);
        assert!(has_late, "{kind}: {} late rows", reference.late_rows());
        let mut matrix = Matrix {
            kind,
            expected,
            kills: BTreeMap::new(),
            wrong: Vec::new(),
            differences: 0,
        };
        matrix.check_points();
        if kind.is_taken_apart() {
            for point in kind.points() {
                matrix.take_apart(point);
            }
        } else {
            (0..lives()).for_each(|_| matrix.live_through());
        }
        let wanted = kind.points().into_iter().map(|point| {
            let kills = matrix.kills.get(point.name()).copied().unwrap_or_default();
            (point, kills)
        });
        let least = if kind.is_taken_apart() {
            kills_per_point()
        } else {
            1
        };
        let fewer: Vec<String> = wanted
            .filter(|(_, kills)| *kills < least)
            .map(|(point, kills)| format!("{point}: {kills}"))
            .collect();
        if !fewer.is_empty() {
            let what = format!("{kind} was not killed {least} times at {fewer:?}");
            matrix.wrong.push(what);
        }
        let (points, total) = (matrix.kills.len(), matrix.total());
        let differences = matrix.differences;
        say(&format!(
            "{kind}: {points} labels, {total} kills, {differences} differences"
        ));
        matrix
    }

    fn total(&self) -> u32 {
        self.kills.values().sum()
    }

    /// Looks by which points a job comes that goes on after a kill, and how many epochs share a
    /// commit.
    fn check_points(&mut self) {
        let job = Job::new(self.kind);
        job.killed_at(CrashPoint::CommitRecordRenamed, 1);
        let told = job.finish_telling();
        self.compare(&job, "nothing but one kill");
        let found: BTreeSet<&str> = told.iter().map(String::as_str).collect();
        let points = self.kind.points();
        let listed: BTreeSet<&str> = points.iter().map(|point| point.name()).collect();
        let rare = self.kind.rare_points();
        let is_new = |point: &&&str| !listed.contains(**point) && !rare.contains(point);
        let new: Vec<&&str> = found.iter().filter(is_new).collect();
        let gone: Vec<&&str> = listed.difference(&found).collect();
        if !new.is_empty() || !gone.is_empty() {
            let kind = self.kind;
            self.wrong.push(format!(
                "{kind} comes by {new:?}, which are not listed, and not by {gone:?}, which are"
            ));
        }
        let times = |point: CrashPoint| told.iter().filter(|told| **told == point.name()).count();
        let commits = times(CrashPoint::CommitRecordRenamed);
        let epochs = times(CrashPoint::SinkPrepared);
        if self.kind.is_grouped() == (commits >= epochs) {
            let kind = self.kind;
            let what = format!("{kind} has {commits} commits of {epochs} epochs");
            self.wrong.push(what);
        }
    }

    /// Kills a job at a point, again and again. One that ends before there were enough kills is
    /// followed by another, which comes by the point at least once.
    fn take_apart(&mut self, point: CrashPoint) {
        let mut kills = 0;
        while kills < kills_per_point() {
            let job = Job::new(self.kind);
            // Recovery has something to recover.
            job.killed_at(CrashPoint::BeforeFinish, self.kind.commits_before());
            let before = kills;
            while kills < kills_per_point() {
                let is_first = kills < 3 || kills == before;
                let nth = if is_first { 1 } else { 1 + kills % 4 };
                if !job.killed_at(point, nth) {
                    break;
                }
                kills += 1;
            }
            job.finish();
            self.compare(&job, point.name());
            if kills == before {
                break;
            }
        }
        self.kills.insert(point.name(), kills);
    }

    /// Kills a job at one point after the other. One that ends on the way is followed by another.
    fn live_through(&mut self) {
        let mut job = Job::new(self.kind);
        for point in self.kind.points() {
            if !job.killed_at(point, 1) {
                self.compare(&job, &format!("all points before {point}"));
                job = Job::new(self.kind);
                if !job.killed_at(point, 1) {
                    continue;
                }
            }
            *self.kills.entry(point.name()).or_default() += 1;
        }
        job.finish();
        self.compare(&job, "one point after the other");
    }

    fn compare(&mut self, job: &Job, killed_at: &str) {
        let found = job.output();
        if found != self.expected {
            self.differences += 1;
            let (kind, found, expected) = (self.kind, found.len(), self.expected.len());
            self.wrong.push(format!(
                "{kind}, {killed_at}: {found} rows, expected {expected}; or other ones"
            ));
        }
    }
}

/// Kills jobs of every kind at every point. A point that no job comes by fails the test.
#[test]
fn crash_matrix() {
    let servers = real_broker();
    let kinds = JobKind::all(servers.as_deref());
    let matrices: Vec<Matrix<'_>> = std::thread::scope(|scope| {
        let runs = kinds.iter().map(|kind| scope.spawn(|| Matrix::run(kind)));
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let hit = matrices.iter().flat_map(|m| &m.kills);
    let hit = hit
        .filter(|(_, kills)| **kills > 0)
        .map(|(point, _)| *point);
    let hit: BTreeSet<&str> = hit.collect();
    let missed = reachable(servers.is_some()).filter(|p| !hit.contains(p));
    let missed: Vec<&str> = missed.collect();
    let kills: u32 = matrices.iter().map(Matrix::total).sum();
    let differences: usize = matrices.iter().map(|m| m.differences).sum();
    let wrong: Vec<&String> = matrices.iter().flat_map(|m| &m.wrong).collect();
    let labels = hit.len();
    let summary = format!("{labels} labels, {kills} kills, {differences} differences");
    say(&summary);
    hand_over(&summary);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(missed, Vec::<&str>::new(), "no job comes by these points");
}

/// The points that a run can come by: without a broker there are no transactions.
fn reachable(has_broker: bool) -> impl Iterator<Item = &'static str> {
    let of_transactions = [
        CrashPoint::CommitPrepared,
        CrashPoint::BeforeTransactionCommit,
        CrashPoint::TransactionCommittedNotRecorded,
    ];
    let points = CrashPoint::ALL.iter();
    let reachable = points.filter(move |p| has_broker || !of_transactions.contains(p));
    reachable.map(|point| point.name())
}

#[test]
fn killed_at_any_time_the_output_is_the_same() {
    let kind = JobKind::generator_to_files();
    let reference = Job::new(&kind);
    reference.finish();
    let job = Job::new(&kind);
    let kills = if is_long() { 2_000 } else { 40 };
    // A fixed walk through moments from the start of the process to well into its epochs.
    for kill in 0..kills {
        job.killed_after(Duration::from_millis(20 + 37 * kill % 400));
    }
    job.finish();
    assert_eq!(job.output(), reference.output());
    say(&format!("{kind}: {kills} kills at any time, 0 differences"));
}

#[test]
fn an_unknown_point_is_never_reached() {
    let dir = Dir::new();
    let run = dir.command(&["sql", "-e", "SELECT 1 AS one"]);
    run.env("HEADWATER_CRASH_AT", "nowhere").stdout();
}
