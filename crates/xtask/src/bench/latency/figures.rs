//! Quantiles of every run, and what they come to over the rounds.
//!
//! What a query adds is the difference to the relay of the same round, so that what the machine does
//! meanwhile is in both.

use super::super::spread::Spread;
use super::runs::Run;
use crate::failure::{Failure, Result};

/// The subject that the others are compared with.
pub(super) const RELAY: &str = "relay";
/// Durable writes, which are no messages.
pub(super) const DISK: &str = "disk";
/// A run whose messages were sent more slowly, as a part of the rate, says little.
const RATE_HELD: f64 = 0.99;

/// The latencies of a run in milliseconds, or differences of such.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Quantiles {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) max: f64,
}

impl Quantiles {
    /// Of some latencies in microseconds; nothing if there are none.
    fn of(latencies_us: &[u64]) -> Option<Self> {
        let mut sorted = latencies_us.to_vec();
        sorted.sort_unstable();
        // The least one that so many of a hundred do not exceed.
        let of = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100);
            let latency = sorted.get(rank.checked_sub(1)?)?;
            Some(*latency as f64 / 1e3)
        };
        Some(Quantiles {
            p50: of(50)?,
            p95: of(95)?,
            p99: of(99)?,
            max: of(100)?,
        })
    }

    /// What this has more than another.
    fn above(self, other: Self) -> Self {
        Quantiles {
            p50: self.p50 - other.p50,
            p95: self.p95 - other.p95,
            p99: self.p99 - other.p99,
            max: self.max - other.max,
        }
    }
}

/// Medians over the rounds, and how far apart these are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Spreads {
    pub(super) p50: Spread,
    pub(super) p95: Spread,
    pub(super) p99: Spread,
    pub(super) max: Spread,
}

impl Spreads {
    fn of(rounds: &[Quantiles]) -> Option<Self> {
        let spread = |quantile: fn(&Quantiles) -> f64| Spread::of(rounds.iter().map(quantile));
        Some(Spreads {
            p50: spread(|q| q.p50)?,
            p95: spread(|q| q.p95)?,
            p99: spread(|q| q.p99)?,
            max: spread(|q| q.max)?,
        })
    }
}

/// The figures of a subject.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    pub(super) subject: String,
    pub(super) rounds: usize,
    /// Latencies in each round.
    pub(super) messages: usize,
    pub(super) latency: Spreads,
    /// What it has more than the relay of the same round; nothing for the relay itself and for the
    /// disk.
    pub(super) added: Option<Spreads>,
    pub(super) messages_per_s: Option<Spread>,
    pub(super) epoch_ms: Option<Spread>,
    pub(super) epochs: Option<Spread>,
    pub(super) optimised: bool,
}

impl Figures {
    /// Whether a round sent its messages more slowly than was asked.
    pub(super) fn is_too_slow(&self, rate: u32) -> bool {
        let slowest = self.messages_per_s.map(|spread| spread.min);
        slowest.is_some_and(|sent| sent < RATE_HELD * f64::from(rate))
    }
}

/// The figures of all subjects: the disk, the relay, and the others by their names, which puts the
/// deliveries of a query side by side.
///
/// # Errors
/// If a run has no latencies, or no relay beside it.
pub(super) fn figures(mut runs: Vec<Run>) -> Result<Vec<Figures>> {
    let rank = |run: &Run| (run.subject != DISK, run.subject != RELAY);
    runs.sort_by(|a, b| (rank(a), &a.subject).cmp(&(rank(b), &b.subject)));
    let mut measured = Vec::with_capacity(runs.len());
    for run in &runs {
        let quantiles = Quantiles::of(&run.latencies_us);
        measured.push((run, quantiles.ok_or_else(|| missing("latencies", run))?));
    }
    let subjects = measured.chunk_by(|(a, _), (b, _)| a.subject == b.subject);
    subjects
        .map(|subject| figures_of(subject, &measured))
        .collect()
}

fn figures_of(subject: &[(&Run, Quantiles)], all: &[(&Run, Quantiles)]) -> Result<Figures> {
    let (first, _) = subject[0];
    let mut added = Vec::new();
    if first.subject != RELAY && first.subject != DISK {
        for (run, quantiles) in subject {
            let is_beside = |(other, _): &&(&Run, Quantiles)| {
                other.subject == RELAY && other.round == run.round
            };
            let (_, relay) = all
                .iter()
                .find(is_beside)
                .ok_or_else(|| missing("relay", run))?;
            added.push(quantiles.above(*relay));
        }
    }
    let latency: Vec<Quantiles> = subject.iter().map(|(_, quantiles)| *quantiles).collect();
    let of = |number: fn(&Run) -> Option<f64>| {
        Spread::of(subject.iter().filter_map(|(run, _)| number(run)))
    };
    Ok(Figures {
        subject: first.subject.clone(),
        rounds: subject.len(),
        messages: first.latencies_us.len(),
        latency: Spreads::of(&latency).ok_or_else(|| missing("latencies", first))?,
        added: Spreads::of(&added),
        messages_per_s: of(|run| run.messages_per_s),
        epoch_ms: of(|run| run.epoch_ms),
        epochs: of(|run| run.epochs.map(|epochs| epochs as f64)),
        optimised: subject.iter().all(|(run, _)| run.optimised != Some(false)),
    })
}

fn missing(what: &str, run: &Run) -> Failure {
    let Run { subject, round, .. } = run;
    Failure::new(format!("round {round} of \"{subject}\" has no {what}"))
}

#[cfg(test)]
pub(super) mod example {
    use super::*;

    /// A run of a hundred messages, with latencies that grow from one on by a millisecond each.
    pub(crate) fn run(subject: &str, round: u32, least_ms: u64) -> Run {
        let is_query = subject != RELAY && subject != DISK;
        Run {
            subject: subject.to_string(),
            round,
            latencies_us: (0..100).rev().map(|n| (least_ms + n) * 1_000).collect(),
            messages_per_s: (subject != DISK).then_some(10_000.0),
            epochs: is_query.then_some(400),
            epoch_ms: is_query.then_some(5.5),
            optimised: (subject != DISK).then_some(true),
        }
    }

    /// Two rounds, in the second of which everything takes longer.
    pub(crate) fn runs() -> Vec<Run> {
        vec![
            run("disk", 1, 2),
            run("relay", 1, 1),
            run("project", 1, 4),
            run("update", 1, 9),
            run("disk", 2, 2),
            run("project", 2, 26),
            run("update", 2, 31),
            run("relay", 2, 21),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::example::{run, runs};
    use super::*;

    fn of(latencies_us: &[u64]) -> Option<[f64; 4]> {
        let Quantiles { p50, p95, p99, max } = Quantiles::of(latencies_us)?;
        Some([p50, p95, p99, max])
    }

    #[test]
    fn a_quantile_is_the_least_that_so_many_do_not_exceed() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7_000]), Some([7.0; 4]));
        assert_eq!(of(&[3_000, 1_000]), Some([1.0, 3.0, 3.0, 3.0]));
        let hundred: Vec<u64> = (1..=100).rev().map(|n| n * 1_000).collect();
        assert_eq!(of(&hundred), Some([50.0, 95.0, 99.0, 100.0]));
        let more: Vec<u64> = (1..=1_001).collect();
        assert_eq!(of(&more), Some([0.501, 0.951, 0.991, 1.001]));
    }

    #[test]
    fn what_is_added_is_the_difference_to_the_relay_of_the_same_round() {
        let figures = figures(runs()).unwrap();
        let names: Vec<&str> = figures.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(names, ["disk", "relay", "project", "update"]);
        assert!(figures[0].added.is_none() && figures[1].added.is_none());
        let spread = |median, min, max| Spread { median, min, max };
        assert_eq!(figures[1].latency.p50, spread(60.0, 50.0, 70.0));
        let project = &figures[2];
        assert_eq!(project.latency.p99, spread(113.0, 102.0, 124.0));
        let added = project.added.unwrap();
        assert_eq!(added.p50, spread(4.0, 3.0, 5.0));
        assert_eq!(added.max, spread(4.0, 3.0, 5.0));
        assert_eq!((project.rounds, project.messages), (2, 100));
        assert_eq!(project.epoch_ms, Some(spread(5.5, 5.5, 5.5)));
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let refused = |runs| figures(runs).unwrap_err().to_string();
        assert_eq!(
            refused(vec![run("relay", 1, 1), run("update", 2, 1)]),
            "round 2 of \"update\" has no relay"
        );
        let empty = Run {
            latencies_us: vec![],
            ..run("relay", 1, 1)
        };
        assert_eq!(
            refused(vec![empty]),
            "round 1 of \"relay\" has no latencies"
        );
    }

    #[test]
    fn a_rate_that_was_not_held_is_seen_in_one_round() {
        let mut runs = runs();
        assert!(!figures(runs.clone()).unwrap()[1].is_too_slow(10_000));
        runs[7].messages_per_s = Some(9_000.0);
        assert!(figures(runs).unwrap()[1].is_too_slow(10_000));
    }
}
