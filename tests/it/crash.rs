//! The crash matrix: a process is killed in every gap between two durable steps, and the output is
//! that of a run that nobody killed.
//!
//! Every [`CrashPoint`] is taken in turn. A child process runs a job from a source to a sink and
//! stops where it is told; it is killed from outside by a signal that it cannot catch, and started
//! again: killed at the same point three times in a row, so that recoveries are interrupted too,
//! then at later moments, then left alone. The rows in the sink must be those of the reference,
//! each once. A point that no job comes by fails the test, and so does a name that is not listed.
//!
//! `cargo xtask test crash` runs these tests alone, with `--long` fifty kills for a point.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use headwater_testkit::crash_point::CrashPoint;

use crate::command::Dir;
use crate::kafka::real_broker;

mod folders;
mod job;
mod topics;

use job::{Job, JobKind};

/// How many kills hit a point of one job.
fn kills_per_point() -> u32 {
    if is_long() { 50 } else { 3 }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is a matter of the environment"
)]
fn is_long() -> bool {
    std::env::var("HEADWATER_TEST_LONG").is_ok()
}

/// What a job went through.
#[derive(Debug, Default)]
struct Score {
    kills: BTreeMap<&'static str, u32>,
    differences: Vec<String>,
}

impl Score {
    fn total(&self) -> u32 {
        self.kills.values().sum()
    }
}

/// Kills a job of this kind at every point that it comes by.
fn run_matrix(kind: &JobKind) -> Score {
    let reference = Job::new(kind);
    reference.finish();
    let expected = reference.output();
    assert!(
        expected.len() > 40,
        "the job writes {} rows",
        expected.len()
    );
    let mut score = Score::default();
    for point in CrashPoint::ALL {
        let job = Job::new(kind);
        // Recovery has something to recover, and every third kill comes later than the first.
        job.killed_at(CrashPoint::BeforeFinish, 3);
        let mut kills = 0;
        for kill in 0..kills_per_point() {
            let nth = if kill < 3 { 1 } else { 1 + kill % 4 };
            if !job.killed_at(*point, nth) {
                break;
            }
            kills += 1;
        }
        job.finish();
        if kills > 0 {
            score.kills.insert(point.name(), kills);
        }
        let found = job.output();
        if found != expected {
            let (found, expected) = (found.len(), expected.len());
            score.differences.push(format!(
                "{kind}, {point}: {found} rows, expected {expected}; or other ones"
            ));
        }
    }
    let (labels, kills) = (score.kills.len(), score.total());
    let differences = score.differences.len();
    println!("{kind}: {labels} labels, {kills} kills, {differences} differences");
    score
}

/// Kills jobs of every kind at every point. A point that no job comes by fails the test.
#[test]
fn crash_matrix() {
    let servers = real_broker();
    let kinds = JobKind::all(servers.as_deref());
    let scores: Vec<Score> = std::thread::scope(|scope| {
        let runs = kinds.iter().map(|kind| scope.spawn(|| run_matrix(kind)));
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    let hit: BTreeSet<&str> = scores
        .iter()
        .flat_map(|s| s.kills.keys().copied())
        .collect();
    let missed: Vec<&str> = reachable(servers.is_some())
        .filter(|p| !hit.contains(p))
        .collect();
    let kills: u32 = scores.iter().map(Score::total).sum();
    let differences: Vec<&String> = scores.iter().flat_map(|s| &s.differences).collect();
    let (labels, found) = (hit.len(), differences.len());
    println!("{labels} labels, {kills} kills, {found} differences");
    assert!(differences.is_empty(), "{differences:#?}");
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
    println!("{kind}: {kills} kills at any time, 0 differences");
}

#[test]
fn an_unknown_point_is_never_reached() {
    let dir = Dir::new();
    let run = dir.command(&["sql", "-e", "SELECT 1 AS one"]);
    run.env("HEADWATER_CRASH_AT", "nowhere").stdout();
}
