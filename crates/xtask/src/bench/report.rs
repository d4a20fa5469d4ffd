//! The table of a benchmark: medians over its runs.

use std::fmt::Write as _;

use super::Query;
use super::measure::Cost;

/// One run over all orders, and the run over a few of them beside it.
#[derive(Debug, Clone, Copy)]
struct Run {
    whole: Cost,
    start_up: Cost,
}

/// The runs of a query.
#[derive(Debug)]
pub(super) struct Measured {
    query: Query,
    rows: u64,
    rows_out: u64,
    runs: Vec<Run>,
}

impl Measured {
    pub(super) fn new(query: Query, rows: u64, rows_out: u64) -> Self {
        Measured {
            query,
            rows,
            rows_out,
            runs: Vec::new(),
        }
    }

    pub(super) fn query(&self) -> Query {
        self.query
    }

    pub(super) fn push(&mut self, whole: Cost, start_up: Cost) {
        self.runs.push(Run { whole, start_up });
    }

    /// The median over the runs of a number.
    fn median(&self, number: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(number).collect())
    }

    /// Thousands of rows for each second that `seconds` counts, start-up subtracted.
    fn krows_per(&self, seconds: impl Fn(&Cost) -> f64) -> f64 {
        self.median(|run| {
            let worked_s = seconds(&run.whole) - seconds(&run.start_up);
            self.rows as f64 / 1e3 / worked_s.max(f64::EPSILON)
        })
    }
}

/// The table, a line for each query.
pub(super) fn table(measured: &[Measured]) -> String {
    let mut text = String::from(
        "query  k rows/CPU-s  k rows/s   CPU s  wall s  start CPU s  start s  RSS MB    rows out",
    );
    for query in measured {
        let name = query.query.name().to_uppercase();
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\n{name:<5}  {:>12.0}  {:>8.0}  {:>6.2}  {:>6.2}  {:>11.2}  {:>7.2}  {:>6.0}  {:>10}",
            query.krows_per(|cost| cost.cpu_s),
            query.krows_per(|cost| cost.wall_s),
            query.median(|run| run.whole.cpu_s),
            query.median(|run| run.whole.wall_s),
            query.median(|run| run.start_up.cpu_s),
            query.median(|run| run.start_up.wall_s),
            query.median(|run| run.whole.rss_peak_bytes as f64 / 1e6),
            query.rows_out,
        );
    }
    text
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    match numbers.len() {
        0 => f64::NAN,
        length if length % 2 == 1 => numbers[middle],
        _ => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_medians_without_the_start() {
        let mut measured = Measured::new(Query::Q2, 1_000_000, 25_427);
        for (wall_s, cpu_s) in [(1.25, 1.5), (2.25, 1.0), (9.25, 9.0)] {
            let cost = |wall_s, cpu_s| Cost {
                wall_s,
                cpu_s,
                rss_peak_bytes: 90_000_000,
            };
            measured.push(cost(wall_s, cpu_s), cost(0.25, 0.5));
        }
        assert_eq!(
            table(&[measured]),
            "query  k rows/CPU-s  k rows/s   CPU s  wall s  start CPU s  start s  RSS MB    rows out\n\
             Q2             1000       500    1.50    2.25         0.50     0.25      90       25427"
        );
    }

    #[test]
    fn the_median_of_an_even_number_lies_between() {
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
