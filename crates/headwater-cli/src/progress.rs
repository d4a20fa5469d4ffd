//! What is said about running queries: the line when one starts, the line of progress while they
//! run, and the summary at the end.

use std::time::Duration;

use headwater::{EpochProgress, Headwater, StreamingQuery, Totals};

use crate::args::ProgressWhen;
use crate::context::Context;

/// Time between two lines of progress.
pub(crate) const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Whether lines of progress are shown.
pub(crate) fn shows_progress(when: ProgressWhen, context: &Context) -> bool {
    match when {
        ProgressWhen::Always => true,
        ProgressWhen::Never => false,
        ProgressWhen::Auto => context.screen.is_terminal() && !context.is_quiet(),
    }
}

/// The line for a query that has started.
pub(crate) fn started(query: &StreamingQuery) -> String {
    let name = query.name();
    match (query.checkpoint(), query.resumed_after()) {
        (Some(place), Some(epoch)) => {
            format!("query \"{name}\" resumed after epoch {epoch}, checkpoint {place}")
        }
        (Some(place), None) => format!("query \"{name}\" started, checkpoint {place}"),
        (None, _) => format!("query \"{name}\" started, no checkpoint"),
    }
}

/// One line about all running queries; `None` as long as there is nothing to say.
pub(crate) fn line(session: &Headwater) -> Option<String> {
    let parts: Vec<String> = session
        .queries()
        .active()
        .iter()
        .filter_map(one_query)
        .collect();
    (!parts.is_empty()).then(|| parts.join(" | "))
}

fn one_query(query: &StreamingQuery) -> Option<String> {
    let last = query.last_progress()?;
    let rate = counted(last.input_rows_per_second.max(0.0) as u64, "row");
    let mut text = format!("{}: epoch {}, {rate}/s", query.name(), last.epoch);
    // A query without event time has no watermark to show.
    let watermark = last.watermark.to_string();
    if watermark != "none" {
        text.push_str(&format!(", watermark {watermark}"));
    }
    let lags: Vec<i64> = last.sources.iter().filter_map(|s| s.lag).collect();
    if !lags.is_empty() {
        let lag: u64 = lags.iter().map(|lag| lag.unsigned_abs()).sum();
        text.push_str(&format!(", lag {}", grouped(lag)));
    }
    if let Some(furthest) = furthest_behind(&last) {
        text.push_str(&furthest);
    }
    if let Some(max) = last.intake_max {
        text.push_str(&format!(", limited to {}", counted(max, "row")));
    }
    if let Some(stall) = query.status().stall {
        text.push_str(&format!(", {stall}"));
    }
    Some(text)
}

/// ` (900 of them in orders/3)`, if a partition is behind and not the only one.
fn furthest_behind(progress: &EpochProgress) -> Option<String> {
    let furthest = progress.sources.iter().filter_map(|s| s.furthest_behind());
    let (partition, lag) = furthest.max_by_key(|(_, lag)| *lag)?;
    let lag = u64::try_from(lag).ok().filter(|lag| *lag > 0)?;
    Some(format!(" ({} of them in {partition})", grouped(lag)))
}

/// What a query did, in two lines. Late and bad rows are named even if there were none.
pub(crate) fn summary(query: &StreamingQuery) -> String {
    let status = query.status();
    let Totals {
        epochs,
        rows_in,
        rows_out,
        rows_late,
        rows_bad,
        bad_samples: _,
        dead_letters,
        rows_ahead,
        rows_lost,
        keys_expired,
    } = status.totals;
    let stall = match status.stall {
        Some(stall) => format!("\n  {stall}"),
        None => String::new(),
    };
    let end = if query.exception().is_some() {
        "failed"
    } else {
        "ended"
    };
    format!(
        "query \"{}\" {end}: {}, {} in, {} out\n  \
         {} late, {}, {}, {} ahead of the clock, {} lost, {} expired{stall}",
        query.name(),
        counted(epochs, "epoch"),
        counted(rows_in, "row"),
        counted(rows_out, "row"),
        grouped(rows_late),
        bad_records(
            rows_bad
                .iter()
                .map(|(reason, rows)| (reason.as_str(), *rows))
        ),
        counted(dead_letters, "dead letter"),
        grouped(rows_ahead),
        grouped(rows_lost),
        counted(keys_expired, "key"),
    )
}

/// `3 bad (missing field: 2, wrong number: 1)`.
pub(crate) fn bad_records<'a>(by_reason: impl Iterator<Item = (&'a str, u64)>) -> String {
    let by_reason: Vec<_> = by_reason.collect();
    let total: u64 = by_reason.iter().map(|(_, rows)| rows).sum();
    if by_reason.is_empty() {
        return "0 bad".to_string();
    }
    let reasons: Vec<String> = by_reason
        .iter()
        .map(|(reason, rows)| format!("{reason}: {}", grouped(*rows)))
        .collect();
    format!("{} bad ({})", grouped(total), reasons.join(", "))
}

/// A number with commas: `500,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things for a person to read: `1 row`, `500,000 rows`.
pub(crate) fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_not_many() {
        let cases = [(0, "0 rows"), (1, "1 row"), (1000, "1,000 rows")];
        for (number, text) in cases {
            assert_eq!(counted(number, "row"), text);
        }
    }

    #[test]
    fn numbers_are_grouped() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ];
        for (number, text) in cases {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn bad_records_are_named_by_reason() {
        assert_eq!(bad_records(std::iter::empty()), "0 bad");
        let reasons = [("no number", 1000), ("too short", 2)];
        assert_eq!(
            bad_records(reasons.into_iter()),
            "1,002 bad (no number: 1,000, too short: 2)"
        );
    }
}
