//! Measurements that nobody has made, for the tests of what is told of them.

use super::{Measured, Round, Run};
use crate::bench::measure::Cost;
use crate::bench::queries::{OrdersQuery, Query};

pub(in crate::bench) const ROWS: u64 = 1_000_000;

/// A run that worked for so long, after 0.5 s of CPU time and 0.25 s to start.
pub(in crate::bench) fn run(rows: u64, cpu_s: f64, wall_s: f64) -> Run {
    let cost = |cpu_s, wall_s| Cost {
        wall_s: wall_s + 0.25,
        cpu_s: cpu_s + 0.5,
        rss_peak_bytes: 90_000_000,
    };
    Run {
        rows,
        whole: cost(cpu_s, wall_s),
        start_up: cost(0.0, 0.0),
    }
}

/// Rounds of Q1, by the CPU seconds of headwater and of the peer; those of the floor are 0.5.
pub(in crate::bench) fn measured(rounds: &[(f64, Option<f64>)]) -> Measured {
    let rounds = rounds.iter().map(|(headwater, clink)| Round {
        floor: run(ROWS, 0.5, 0.5),
        headwater: run(ROWS, *headwater, *headwater),
        clink: clink.map(|cpu_s| run(ROWS, cpu_s, cpu_s)),
    });
    Measured {
        query: Query::Orders(OrdersQuery::Q1),
        rows: ROWS,
        rows_out: 250_000,
        rounds: rounds.collect(),
        clink_failures: 0,
    }
}
