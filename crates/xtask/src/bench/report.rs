//! The table of a benchmark: medians over its runs, and how far apart the runs are.

use std::fmt::Write as _;

use super::clink;
use super::figures::{Figures, QueryFigures, Ratios};
use super::spread::Spread;

/// The table, a line for each query and engine, and the ratios below it.
pub(super) fn table(queries: &[QueryFigures]) -> String {
    let mut text = String::from(
        "query  engine     k rows/CPU-s     min     max  spread  k rows/s  spread   CPU s  wall s  \
         start CPU s  start s  RSS MB    rows out",
    );
    for (place, query) in queries.iter().enumerate() {
        if query.is_first_of_its_data(&queries[..place]) {
            line(&mut text, ["-", "floor"], &query.floor, None);
        }
        let name = query.query.name().to_uppercase();
        let rows_out = Some(query.rows_out);
        line(&mut text, [&name, "headwater"], &query.headwater, rows_out);
        if let Some(clink) = &query.clink {
            line(&mut text, [&name, clink::NAME], clink, rows_out);
        }
    }
    text.push_str("\nthe floor reads the topic with the same client and decodes nothing");
    for query in queries {
        ratios(&mut text, query);
        short_runs(&mut text, query);
    }
    text
}

fn line(text: &mut String, [query, engine]: [&str; 2], figures: &Figures, rows_out: Option<u64>) {
    let per_cpu_s = &figures.rows_per_cpu_s;
    let rows_out = rows_out.map_or_else(|| "-".to_string(), |rows| rows.to_string());
    // Writing into a string cannot fail.
    let _ = write!(
        text,
        "\n{query:<5}  {engine:<9}  {:>12.0}  {:>6.0}  {:>6.0}  {:>6}  {:>8.0}  {:>6}  {:>6.2}  \
         {:>6.2}  {:>11.2}  {:>7.2}  {:>6.0}  {rows_out:>10}",
        per_cpu_s.median / 1e3,
        per_cpu_s.min / 1e3,
        per_cpu_s.max / 1e3,
        percent(per_cpu_s),
        figures.rows_per_wall_s.median / 1e3,
        percent(&figures.rows_per_wall_s),
        figures.cpu_s.median,
        figures.wall_s.median,
        figures.start_cpu_s.median,
        figures.start_s.median,
        figures.peak_rss_mb.median,
    );
}

fn percent(spread: &Spread) -> String {
    format!("{:.0} %", spread.relative() * 100.0)
}

fn ratios(text: &mut String, figures: &QueryFigures) {
    let name = figures.query.name().to_uppercase();
    let mut line = |other: &str, ratios: &Ratios| {
        let Ratios {
            per_cpu_s,
            per_wall_s,
        } = ratios;
        let _ = write!(
            text,
            "\n{name}: {:.2} times the rows per CPU-second of {other} ({:.2} to {:.2}), \
             {:.2} times the rows per second ({:.2} to {:.2})",
            per_cpu_s.median,
            per_cpu_s.min,
            per_cpu_s.max,
            per_wall_s.median,
            per_wall_s.min,
            per_wall_s.max,
        );
    };
    line("the floor", &figures.vs_floor);
    if let Some(vs_clink) = &figures.vs_clink {
        line(clink::NAME, vs_clink);
    }
    if figures.clink_failures > 0 {
        let failures = figures.clink_failures;
        let _ = write!(
            text,
            "\n{name}: runs of {} that failed or gave a wrong answer, and are not counted: \
             {failures}",
            clink::NAME
        );
    }
}

/// Says where runs are so short that the subtraction of the start decides.
fn short_runs(text: &mut String, figures: &QueryFigures) {
    let name = figures.query.name().to_uppercase();
    let clink = figures.clink.iter();
    let clink = clink.map(|figures| (clink::NAME, figures));
    for (engine, figures) in std::iter::once(("headwater", &figures.headwater)).chain(clink) {
        if figures.runs_are_short() {
            let _ = write!(
                text,
                "\n{name}: {engine} starts for more than half of a run; for rates that mean \
                 something, measure more rows"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::example::measured;
    use super::super::queries::{NEXMARK, OrdersQuery, Query};
    use super::*;

    #[test]
    fn the_table_has_medians_and_their_spread() {
        let mut measured = measured(&[(1.0, Some(2.0)), (2.0, None), (0.8, Some(2.4))]);
        measured.clink_failures = 1;
        assert_eq!(
            table(&[measured.figures().unwrap()]),
            "\
query  engine     k rows/CPU-s     min     max  spread  k rows/s  spread   CPU s  wall s  start CPU s  start s  RSS MB    rows out
-      floor              2000    2000    2000     0 %      2000     0 %    1.00    0.75         0.50     0.25      90           -
Q1     headwater          1000     500    1250    75 %      1000    75 %    1.50    1.25         0.50     0.25      90      250000
Q1     clink               458     417     500    18 %       458    18 %    2.70    2.45         0.50     0.25      90      250000
the floor reads the topic with the same client and decodes nothing
Q1: 0.50 times the rows per CPU-second of the floor (0.25 to 0.62), 0.50 times the rows per second (0.25 to 0.62)
Q1: 2.50 times the rows per CPU-second of clink (2.00 to 3.00), 2.50 times the rows per second (2.00 to 3.00)
Q1: runs of clink that failed or gave a wrong answer, and are not counted: 1"
        );
    }

    #[test]
    fn the_floor_stands_before_the_first_query_that_reads_its_topic() {
        let figures = |query| QueryFigures {
            query,
            ..measured(&[(1.0, None)]).figures().unwrap()
        };
        let orders = Query::Orders(OrdersQuery::Q1);
        let [first, second] = [0, 1].map(|place| Query::Nexmark(&NEXMARK[place]));
        let table = table(&[first, orders, second].map(figures));
        let names = table.lines().map(|line| line.split_once(' ').unwrap().0);
        let names: Vec<_> = names.skip(1).take(5).collect();
        assert_eq!(names, ["-", "N0", "-", "Q1", "N1"]);
    }

    #[test]
    fn runs_that_are_too_short_are_named() {
        let table = |cpu_s| table(&[measured(&[(cpu_s, Some(2.0))]).figures().unwrap()]);
        let notice = "\nQ1: headwater starts for more than half of a run";
        assert!(table(0.4).contains(notice), "{}", table(0.4));
        assert!(!table(0.6).contains("starts for"), "{}", table(0.6));
    }

    #[test]
    fn without_the_peer_nothing_is_said_of_it() {
        let figures = measured(&[(1.0, None)]).figures().unwrap();
        assert!(!table(&[figures]).contains("clink"));
    }
}
