//! Figures of the runs of one engine, and those of a query: headwater's, beside them the peer's.
//!
//! A run is one over all orders and one over a few of them just before; what the second takes is
//! the cost of starting, and is subtracted where rates are meant. Ratios are of runs of the same
//! round, which follow each other, so that what the machine does meanwhile is in both.

use super::measure::Cost;
use super::queries::Query;
use super::spread::Spread;

/// CPU times are counted in ticks of this length; no work can be said to have taken less.
const TICK_S: f64 = 0.01;

/// One run over all rows, and the run over a few of them beside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) rows: u64,
    pub(super) whole: Cost,
    pub(super) start_up: Cost,
}

impl Run {
    /// Rows for each second that `seconds` counts, start-up subtracted.
    fn rows_per(&self, seconds: impl Fn(&Cost) -> f64) -> f64 {
        let worked_s = seconds(&self.whole) - seconds(&self.start_up);
        self.rows as f64 / worked_s.max(TICK_S)
    }

    fn rows_per_cpu_s(&self) -> f64 {
        self.rows_per(|cost| cost.cpu_s)
    }

    fn rows_per_wall_s(&self) -> f64 {
        self.rows_per(|cost| cost.wall_s)
    }
}

/// What the runs of one engine come to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figures {
    pub(super) rows_per_cpu_s: Spread,
    pub(super) rows_per_wall_s: Spread,
    pub(super) peak_rss_mb: Spread,
    pub(super) cpu_s: Spread,
    pub(super) wall_s: Spread,
    pub(super) start_s: Spread,
    pub(super) start_cpu_s: Spread,
}

impl Figures {
    /// Of some runs; nothing if there are none.
    pub(super) fn of(runs: &[Run]) -> Option<Self> {
        let spread = |number: fn(&Run) -> f64| Spread::of(runs.iter().map(number));
        Some(Figures {
            rows_per_cpu_s: spread(Run::rows_per_cpu_s)?,
            rows_per_wall_s: spread(Run::rows_per_wall_s)?,
            peak_rss_mb: spread(|run| run.whole.rss_peak_bytes as f64 / 1e6)?,
            cpu_s: spread(|run| run.whole.cpu_s)?,
            wall_s: spread(|run| run.whole.wall_s)?,
            start_s: spread(|run| run.start_up.wall_s)?,
            start_cpu_s: spread(|run| run.start_up.cpu_s)?,
        })
    }

    /// Whether starting takes more than half of a run: then rates say more of what else the
    /// machine did than of the engine.
    pub(super) fn runs_are_short(&self) -> bool {
        let is_short = |start: &Spread, whole: &Spread| 2.0 * start.max > whole.min;
        is_short(&self.start_cpu_s, &self.cpu_s) || is_short(&self.start_s, &self.wall_s)
    }
}

/// How many times the rows of another engine headwater does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ratios {
    pub(super) per_cpu_s: Spread,
    pub(super) per_wall_s: Spread,
}

impl Ratios {
    /// Of pairs of runs, headwater's first; nothing if there are none.
    fn of(pairs: &[(Run, Run)]) -> Option<Self> {
        let spread = |rate: fn(&Run) -> f64| {
            Spread::of(pairs.iter().map(|(ours, theirs)| rate(ours) / rate(theirs)))
        };
        Some(Ratios {
            per_cpu_s: spread(Run::rows_per_cpu_s)?,
            per_wall_s: spread(Run::rows_per_wall_s)?,
        })
    }
}

/// The runs of a round.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Reading the topic without decoding.
    pub(super) floor: Run,
    pub(super) headwater: Run,
    /// Nothing if it was not asked for, or its answer was wrong.
    pub(super) clink: Option<Run>,
}

/// The rounds of a query.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) query: Query,
    /// Rows that go in.
    pub(super) rows: u64,
    pub(super) rows_out: u64,
    pub(super) rounds: Vec<Round>,
    /// Runs of the peer whose answer was wrong, or that failed; they are in no figure.
    pub(super) clink_failures: u32,
}

/// What the rounds of a query come to.
#[derive(Debug, Clone)]
pub(super) struct QueryFigures {
    pub(super) query: Query,
    pub(super) rows: u64,
    pub(super) rows_out: u64,
    pub(super) runs: usize,
    pub(super) headwater: Figures,
    pub(super) floor: Figures,
    pub(super) vs_floor: Ratios,
    pub(super) clink: Option<Figures>,
    pub(super) vs_clink: Option<Ratios>,
    pub(super) clink_failures: u32,
}

impl QueryFigures {
    /// Whether none of those before it has the same floor.
    pub(super) fn is_first_of_its_data(&self, before: &[QueryFigures]) -> bool {
        let data = self.query.data();
        before.iter().all(|figures| figures.query.data() != data)
    }
}

impl Measured {
    /// The figures; nothing before the first round.
    pub(super) fn figures(&self) -> Option<QueryFigures> {
        let rounds = self.rounds.iter();
        let headwater: Vec<Run> = rounds.clone().map(|round| round.headwater).collect();
        let floor: Vec<Run> = rounds.clone().map(|round| round.floor).collect();
        let beside_floor: Vec<_> = std::iter::zip(&headwater, &floor)
            .map(|(ours, floor)| (*ours, *floor))
            .collect();
        let beside_clink: Vec<_> = rounds
            .filter_map(|round| Some((round.headwater, round.clink?)))
            .collect();
        let clink: Vec<Run> = beside_clink.iter().map(|(_, theirs)| *theirs).collect();
        Some(QueryFigures {
            query: self.query,
            rows: self.rows,
            rows_out: self.rows_out,
            runs: self.rounds.len(),
            headwater: Figures::of(&headwater)?,
            floor: Figures::of(&floor)?,
            vs_floor: Ratios::of(&beside_floor)?,
            clink: Figures::of(&clink),
            vs_clink: Ratios::of(&beside_clink),
            clink_failures: self.clink_failures,
        })
    }
}

/// Figures that the tests of reports show.
#[cfg(test)]
pub(super) mod example;

#[cfg(test)]
mod tests {
    use super::example::{measured, run};
    use super::*;

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-6 * right.abs()
    }

    #[test]
    fn rates_are_medians_without_the_start() {
        let runs = [
            run(1_000_000, 1.0, 2.0),
            run(1_000_000, 0.5, 1.0),
            run(1_000_000, 8.0, 9.0),
        ];
        let figures = Figures::of(&runs).unwrap();
        assert!(is_near(figures.rows_per_cpu_s.median, 1_000_000.0));
        assert!(is_near(figures.rows_per_cpu_s.min, 125_000.0));
        assert!(is_near(figures.rows_per_cpu_s.max, 2_000_000.0));
        assert!(is_near(figures.rows_per_wall_s.median, 500_000.0));
        assert!(is_near(figures.start_s.median, 0.25));
        assert!(is_near(figures.peak_rss_mb.median, 90.0));
    }

    #[test]
    fn work_that_no_tick_has_seen_took_a_tick() {
        let figures = Figures::of(&[run(1_000, 0.0, 0.0)]).unwrap();
        assert!(is_near(figures.rows_per_cpu_s.median, 100_000.0));
    }

    #[test]
    fn ratios_are_of_the_runs_of_one_round() {
        // The second round is twice as slow for both: the rates differ, the ratios do not.
        let measured = measured(&[(1.0, Some(2.0)), (2.0, Some(4.0)), (1.0, None)]);
        let figures = measured.figures().unwrap();
        let ratios = figures.vs_clink.unwrap().per_cpu_s;
        assert!(is_near(ratios.min, 2.0) && is_near(ratios.max, 2.0));
        assert!(is_near(
            figures.clink.unwrap().rows_per_cpu_s.relative(),
            2.0 / 3.0
        ));
        assert_eq!(figures.runs, 3);
        assert!(is_near(figures.vs_floor.per_cpu_s.max, 0.5));
    }

    #[test]
    fn without_the_peer_there_is_no_ratio() {
        let figures = measured(&[(1.0, None)]).figures().unwrap();
        assert!(figures.clink.is_none() && figures.vs_clink.is_none());
        assert!(measured(&[]).figures().is_none());
    }
}
