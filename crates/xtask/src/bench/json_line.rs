//! The figures of a query as one line of JSON, for programs.
//!
//! The figures of headwater stand at the top, those of the peer and of the floor in objects of
//! their own, which are null if they were not measured. Units are in the names.

use serde::Serialize;

use super::clink;
use super::figures::{Figures, QueryFigures, Ratios};
use super::machine::Machine;
use super::spread::Spread;
use crate::failure::{Context as _, Result};

/// A query.
#[derive(Debug, Serialize)]
struct Line<'a> {
    query: &'a str,
    #[serde(flatten)]
    headwater: Engine<'a>,
    ratio_vs_clink: Option<f64>,
    ratio_vs_floor: f64,
    rows: u64,
    rows_out: u64,
    runs: usize,
    ratio_spread: RatioSpread,
    clink: Option<Engine<'a>>,
    clink_failures: u32,
    floor: Engine<'a>,
    machine: String,
}

/// The medians of an engine.
#[derive(Debug, Serialize)]
struct Engine<'a> {
    version: &'a str,
    rows_per_cpu_s: f64,
    rows_per_wall_s: f64,
    peak_rss_mb: f64,
    start_s: f64,
    start_cpu_s: f64,
    /// Whether rates mean little, because starting takes more than half of a run.
    runs_are_short: bool,
    spread: EngineSpread,
}

#[derive(Debug, Serialize)]
struct EngineSpread {
    rows_per_cpu_s: Range,
    rows_per_wall_s: Range,
    peak_rss_mb: Range,
    start_s: Range,
    start_cpu_s: Range,
}

#[derive(Debug, Serialize)]
struct RatioSpread {
    vs_clink: Option<Range>,
    vs_clink_per_wall_s: Option<Range>,
    vs_floor: Range,
}

/// The runs of a figure.
#[derive(Debug, Serialize)]
pub(super) struct Range {
    pub(super) median: f64,
    min: f64,
    max: f64,
    /// From `min` to `max`, as a part of the median.
    relative: f64,
}

/// Digits after the point that a figure is told with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Digits {
    None,
    One,
    Three,
}

/// The line.
///
/// # Errors
/// Only for a bug: if it cannot be written as JSON.
pub(super) fn line(figures: &QueryFigures, version: &str, machine: &Machine) -> Result<String> {
    let per_cpu_s = |ratios: &Ratios| range(&ratios.per_cpu_s, Digits::Three);
    let vs_clink = figures.vs_clink.as_ref();
    let line = Line {
        query: figures.query.name(),
        headwater: engine(&figures.headwater, version),
        ratio_vs_clink: vs_clink.map(|ratios| per_cpu_s(ratios).median),
        ratio_vs_floor: per_cpu_s(&figures.vs_floor).median,
        rows: figures.rows,
        rows_out: figures.rows_out,
        runs: figures.runs,
        ratio_spread: RatioSpread {
            vs_clink: vs_clink.map(per_cpu_s),
            vs_clink_per_wall_s: vs_clink.map(|ratios| range(&ratios.per_wall_s, Digits::Three)),
            vs_floor: per_cpu_s(&figures.vs_floor),
        },
        clink: (figures.clink.as_ref()).map(|figures| engine(figures, clink::VERSION)),
        clink_failures: figures.clink_failures,
        floor: engine(&figures.floor, version),
        machine: machine.to_string(),
    };
    serde_json::to_string(&line).context(|| "could not write the figures".to_string())
}

fn engine<'a>(figures: &Figures, version: &'a str) -> Engine<'a> {
    let spread = EngineSpread {
        rows_per_cpu_s: range(&figures.rows_per_cpu_s, Digits::None),
        rows_per_wall_s: range(&figures.rows_per_wall_s, Digits::None),
        peak_rss_mb: range(&figures.peak_rss_mb, Digits::One),
        start_s: range(&figures.start_s, Digits::Three),
        start_cpu_s: range(&figures.start_cpu_s, Digits::Three),
    };
    Engine {
        version,
        rows_per_cpu_s: spread.rows_per_cpu_s.median,
        rows_per_wall_s: spread.rows_per_wall_s.median,
        peak_rss_mb: spread.peak_rss_mb.median,
        start_s: spread.start_s.median,
        start_cpu_s: spread.start_cpu_s.median,
        runs_are_short: figures.runs_are_short(),
        spread,
    }
}

pub(super) fn range(spread: &Spread, digits: Digits) -> Range {
    Range {
        median: rounded(spread.median, digits),
        min: rounded(spread.min, digits),
        max: rounded(spread.max, digits),
        relative: rounded(spread.relative(), Digits::Three),
    }
}

fn rounded(number: f64, digits: Digits) -> f64 {
    let factor = match digits {
        Digits::None => 1.0,
        Digits::One => 10.0,
        Digits::Three => 1_000.0,
    };
    (number * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::figures::example::measured;
    use super::*;

    fn parsed(rounds: &[(f64, Option<f64>)]) -> Value {
        let machine = Machine {
            cores: 2,
            processor: "a \"CPU\"".to_string(),
            system: "6.1".to_string(),
        };
        let figures = measured(rounds).figures().unwrap();
        let line = line(&figures, "0.1.0", &machine).unwrap();
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn the_line_has_the_figures_of_the_query_at_its_top() {
        let line = parsed(&[(1.0, Some(2.0)), (2.0, Some(6.0)), (0.8, Some(2.4))]);
        for (name, value) in [
            ("query", json!("q1")),
            ("version", json!("0.1.0")),
            ("rows_per_cpu_s", json!(1_000_000.0)),
            ("rows_per_wall_s", json!(1_000_000.0)),
            ("peak_rss_mb", json!(90.0)),
            ("start_s", json!(0.25)),
            ("start_cpu_s", json!(0.5)),
            ("runs_are_short", json!(false)),
            ("ratio_vs_clink", json!(3.0)),
            ("ratio_vs_floor", json!(0.5)),
            ("rows", json!(1_000_000)),
            ("rows_out", json!(250_000)),
            ("runs", json!(3)),
            ("clink_failures", json!(0)),
            ("machine", json!("2 cores of a \"CPU\", Linux 6.1")),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    #[test]
    fn the_line_has_the_spread_of_the_runs() {
        let line = parsed(&[(1.0, Some(2.0)), (2.0, Some(6.0)), (0.8, Some(2.4))]);
        assert_eq!(
            line["spread"]["rows_per_cpu_s"],
            json!({"median": 1e6, "min": 5e5, "max": 1.25e6, "relative": 0.75})
        );
        assert_eq!(
            line["ratio_spread"]["vs_clink"],
            json!({"median": 3.0, "min": 2.0, "max": 3.0, "relative": 0.333})
        );
        assert_eq!(line["clink"]["version"], json!("0.12.2"));
        assert_eq!(line["clink"]["rows_per_cpu_s"], json!(416_667.0));
        assert_eq!(line["floor"]["rows_per_cpu_s"], json!(2e6));
    }

    #[test]
    fn runs_that_are_too_short_are_marked() {
        let line = parsed(&[(1.0, Some(2.0)), (0.4, Some(2.0))]);
        assert_eq!(line["runs_are_short"], json!(true));
        assert_eq!(line["clink"]["runs_are_short"], json!(false));
    }

    #[test]
    fn a_peer_that_did_not_run_is_null() {
        let line = parsed(&[(1.0, None)]);
        for name in ["ratio_vs_clink", "clink"] {
            assert_eq!(line[name], Value::Null, "{name}");
        }
        assert_eq!(line["ratio_spread"]["vs_clink"], Value::Null);
    }
}
