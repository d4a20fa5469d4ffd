//! The figures of a subject as one line of JSON, for programs. Units are in the names.

use serde::Serialize;

use super::super::arguments::BenchArguments;
use super::super::json_line::{Digits, Range, range};
use super::super::machine::Machine;
use super::figures::{Figures, Spreads};
use crate::failure::{Context as _, Result};

/// A subject. The quantiles at the top are the medians of those in `spread`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    latency: &'a str,
    version: &'a str,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    /// What it has more than the relay; null for the relay and the disk.
    added_p50_ms: Option<f64>,
    added_p95_ms: Option<f64>,
    added_p99_ms: Option<f64>,
    spread: Quantiles,
    added_spread: Option<Quantiles>,
    rate: u32,
    seconds: u32,
    rounds: usize,
    messages: usize,
    messages_per_s: Option<Range>,
    /// Whether the rate was not held, so that the figures mean little.
    is_too_slow: bool,
    epochs: Option<Range>,
    epoch_ms: Option<Range>,
    optimised: bool,
    machine: String,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50_ms: Range,
    p95_ms: Range,
    p99_ms: Range,
    max_ms: Range,
}

impl Quantiles {
    fn of(spreads: &Spreads) -> Self {
        Quantiles {
            p50_ms: range(&spreads.p50, Digits::Three),
            p95_ms: range(&spreads.p95, Digits::Three),
            p99_ms: range(&spreads.p99, Digits::Three),
            max_ms: range(&spreads.max, Digits::Three),
        }
    }
}

/// The line.
///
/// # Errors
/// Only for a bug: if it cannot be written as JSON.
pub(super) fn line(
    figures: &Figures,
    asked: &BenchArguments,
    version: &str,
    machine: &Machine,
) -> Result<String> {
    let spread = Quantiles::of(&figures.latency);
    let added = figures.added.as_ref().map(Quantiles::of);
    let of_added = |quantile: fn(&Quantiles) -> &Range| added.as_ref().map(|a| quantile(a).median);
    let one = |spread| range(&spread, Digits::One);
    let line = Line {
        latency: &figures.subject,
        version,
        p50_ms: spread.p50_ms.median,
        p95_ms: spread.p95_ms.median,
        p99_ms: spread.p99_ms.median,
        max_ms: spread.max_ms.median,
        added_p50_ms: of_added(|added| &added.p50_ms),
        added_p95_ms: of_added(|added| &added.p95_ms),
        added_p99_ms: of_added(|added| &added.p99_ms),
        spread,
        added_spread: added,
        rate: asked.rate,
        seconds: asked.seconds,
        rounds: figures.rounds,
        messages: figures.messages,
        messages_per_s: figures.messages_per_s.map(one),
        is_too_slow: figures.is_too_slow(asked.rate),
        epochs: figures.epochs.map(one),
        epoch_ms: figures.epoch_ms.map(|s| range(&s, Digits::Three)),
        optimised: figures.optimised,
        machine: machine.to_string(),
    };
    serde_json::to_string(&line).context(|| "could not write the figures".to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::figures::example::runs;
    use super::super::figures::figures;
    use super::*;

    fn parsed(subject: &str) -> Value {
        let machine = Machine {
            cores: 2,
            processor: "a \"CPU\"".to_string(),
            system: "6.1".to_string(),
        };
        let all = figures(runs()).unwrap();
        let figures = all.iter().find(|f| f.subject == subject).unwrap();
        let asked = BenchArguments::of("--latency --seconds 7");
        let line = line(figures, &asked, "0.1.0", &machine).unwrap();
        assert!(!line.contains('\n'), "{line}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn the_line_has_quantiles_and_what_is_added() {
        let line = parsed("project");
        for (name, value) in [
            ("latency", json!("project")),
            ("version", json!("0.1.0")),
            ("p50_ms", json!(64.0)),
            ("p99_ms", json!(113.0)),
            ("max_ms", json!(114.0)),
            ("added_p50_ms", json!(4.0)),
            ("added_p99_ms", json!(4.0)),
            ("rate", json!(10_000)),
            ("seconds", json!(7)),
            ("rounds", json!(2)),
            ("messages", json!(100)),
            ("is_too_slow", json!(false)),
            ("optimised", json!(true)),
            ("machine", json!("2 cores of a \"CPU\", Linux 6.1")),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
        assert_eq!(
            line["added_spread"]["p50_ms"],
            json!({"median": 4.0, "min": 3.0, "max": 5.0, "relative": 0.5})
        );
        assert_eq!(line["epochs"]["median"], json!(400.0));
    }

    #[test]
    fn what_a_subject_does_not_have_is_null() {
        let relay = parsed("relay");
        for name in ["added_p50_ms", "added_spread", "epochs", "epoch_ms"] {
            assert_eq!(relay[name], Value::Null, "{name}");
        }
        assert_eq!(relay["messages_per_s"]["median"], json!(10_000.0));
        assert_eq!(parsed("disk")["messages_per_s"], Value::Null);
    }
}
