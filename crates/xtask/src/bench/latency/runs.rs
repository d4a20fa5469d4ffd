//! What the benchmark prints: a line of JSON for every run.

use serde::Deserialize;

use crate::failure::{Context as _, Result};

/// A subject in one round.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Run {
    pub(super) subject: String,
    pub(super) round: u32,
    /// Of every message that is measured, in the order they were sent.
    pub(super) latencies_us: Vec<u64>,
    /// How many a second were sent.
    pub(super) messages_per_s: Option<f64>,
    /// The epochs of a query, and how long one took, in the middle of the last hundred.
    pub(super) epochs: Option<u64>,
    pub(super) epoch_ms: Option<f64>,
    /// Whether the compiler was let to optimise.
    pub(super) optimised: Option<bool>,
}

/// The runs, in the order they were made.
///
/// # Errors
/// If a line cannot be read.
pub(super) fn read(printed: &str) -> Result<Vec<Run>> {
    let lines = printed.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| serde_json::from_str(line).context(|| "could not read a run".to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_lines_of_json() {
        let printed = r#"{"subject":"disk","round":1,"latencies_us":[7,5]}

{"subject":"project","round":2,"latencies_us":[9],"messages_per_s":99.5,"epochs":4,"epoch_ms":2.5,"optimised":true}
"#;
        let runs = read(printed).unwrap();
        assert_eq!(runs.len(), 2);
        assert_eq!((runs[0].subject.as_str(), runs[0].round), ("disk", 1));
        assert_eq!(runs[0].latencies_us, [7, 5]);
        assert_eq!((runs[0].epochs, runs[0].optimised), (None, None));
        assert_eq!(runs[1].messages_per_s, Some(99.5));
        assert_eq!((runs[1].epochs, runs[1].epoch_ms), (Some(4), Some(2.5)));
        let error = read("round 1\n").unwrap_err().to_string();
        assert!(error.starts_with("could not read a run: "), "{error}");
    }
}
