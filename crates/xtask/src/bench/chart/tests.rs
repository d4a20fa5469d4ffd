//! The chart of invented figures is the one that is committed.
//!
//! With `HEADWATER_UPDATE_FIGURES=1` the test writes it; look at it, in light and in dark mode,
//! before you keep it.

use super::super::figures::example::measured;
use super::super::queries::{NEXMARK, OrdersQuery, Query};
use super::*;
use crate::environment::{variable, workspace_root};
use crate::files;

fn machine() -> Machine {
    Machine {
        cores: 4,
        processor: "Example <CPU> & Co".to_string(),
        system: "6.1.0".to_string(),
    }
}

fn figures(query: Query, rounds: &[(f64, Option<f64>)]) -> QueryFigures {
    QueryFigures {
        query,
        ..measured(rounds).figures().unwrap()
    }
}

fn example() -> String {
    let queries = [
        figures(
            Query::Orders(OrdersQuery::Q1),
            &[(0.7, Some(1.2)), (0.8, Some(1.3)), (0.75, None)],
        ),
        figures(
            Query::Orders(OrdersQuery::Q2),
            &[(0.9, Some(1.6)), (1.1, Some(1.6))],
        ),
        figures(
            Query::Orders(OrdersQuery::Q4),
            &[(1.2, None), (1.25, None), (1.3, None)],
        ),
    ];
    svg(&queries, "0.1.0", &machine())
}

#[test]
fn the_chart_is_the_one_that_is_committed() {
    let path = workspace_root().join("crates/xtask/src/bench/chart/example.svg");
    let drawn = example();
    if variable("HEADWATER_UPDATE_FIGURES").is_some() {
        files::write(&path, &drawn).unwrap();
    }
    assert_eq!(drawn, files::read(&path).unwrap());
}

#[test]
fn every_bar_is_told_in_words() {
    let drawn = example();
    let (_, description) = drawn.split_once("<desc id=\"description\">").unwrap();
    let (description, _) = description.split_once("</desc>").unwrap();
    assert_eq!(
        description,
        "Medians, with the slowest and the fastest run. \
         Q1, filter and project: headwater 1.33 M (1.25 M to 1.43 M), clink 801 k (769 k to 833 k). \
         Q2, tumbling windows, 500 keys: headwater 1.01 M (909 k to 1.11 M), clink 625 k (625 k to 625 k). \
         Q4, tumbling windows, 1 M keys: headwater 800 k (769 k to 833 k). \
         Floor, reading alone, nothing decoded: floor 2.00 M (2.00 M to 2.00 M)."
    );
}

#[test]
fn orders_and_nexmark_have_floors_of_their_own() {
    let rounds = [(1.0, None)];
    let queries = [
        Query::Nexmark(&NEXMARK[0]),
        Query::Orders(OrdersQuery::Q1),
        Query::Nexmark(&NEXMARK[1]),
    ];
    let figures = queries.map(|query| figures(query, &rounds));
    let groups = groups(&figures);
    let names: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["N0", "Q1", "N1", "Floor", "Floor"]);
    let floors: Vec<_> = groups[3..].iter().map(|group| group.what).collect();
    assert_eq!(
        floors,
        [
            "reading bids alone, nothing decoded",
            "reading alone, nothing decoded"
        ]
    );
}

#[test]
fn names_from_outside_are_text() {
    let drawn = example();
    assert!(drawn.contains("Example &lt;CPU&gt; &amp; Co"), "{drawn}");
    assert!(!drawn.contains("<CPU>"), "{drawn}");
}

#[test]
fn the_scale_has_few_round_steps_and_holds_all() {
    for (greatest, step, end) in [
        (2_000_000.0, 500_000.0, 2_000_000.0),
        (1_430_000.0, 500_000.0, 1_500_000.0),
        (999_000.0, 200_000.0, 1_000_000.0),
        (600.0, 100.0, 600.0),
        (61.0, 20.0, 80.0),
        (0.0, 0.2, 1.0),
    ] {
        let rate = Spread {
            median: greatest,
            min: greatest,
            max: greatest,
        };
        let engine = "headwater";
        let scale = Scale::of(&[Group {
            name: String::new(),
            what: "",
            bars: vec![Bar { engine, rate }],
        }]);
        assert!(
            (scale.step - step).abs() < 1e-9,
            "{greatest}: {}",
            scale.step
        );
        assert!((scale.end - end).abs() < 1e-9, "{greatest}: {}", scale.end);
    }
}

#[test]
fn amounts_are_short() {
    for (number, long, short) in [
        (0.0, "0", "0"),
        (7.0, "7", "7"),
        (812_400.0, "812 k", "812 k"),
        (999_700.0, "1.00 M", "1 M"),
        (1_500_000.0, "1.50 M", "1.5 M"),
        (10_000_000.0, "10.00 M", "10 M"),
    ] {
        assert_eq!(amount(number), long);
        assert_eq!(short_amount(number), short);
    }
}
