//! The table of latencies: medians over the rounds, and how far apart the rounds are.

use std::fmt::Write as _;

use super::super::spread::Spread;
use super::figures::{DISK, Figures};

/// What a query may add to the relay, in milliseconds.
const AIM_P50_MS: f64 = 3.0;
const AIM_P99_MS: f64 = 15.0;

/// The table, a line for each subject, and what has to be known below it.
pub(super) fn table(subjects: &[Figures], rate: u32) -> String {
    let mut text = String::from(
        "ms                         p50      p95      p99      max  added p50  added p95  \
         added p99  spread p50  spread p99  epoch",
    );
    for figures in subjects {
        line(&mut text, figures);
    }
    let measured = subjects.iter().find(|figures| figures.subject != DISK);
    if let Some(Figures {
        messages, rounds, ..
    }) = measured
    {
        // Writing into a string cannot fail.
        let _ = write!(
            text,
            "\n{rate} messages a second, {messages} in each of {rounds} rounds; medians over the \
             rounds, and from the least to the greatest of them as a part of the median"
        );
    }
    let _ = write!(
        text,
        "\nadded: more than the relay of the same round; the aim is {AIM_P50_MS} at p50 and \
         {AIM_P99_MS} at p99\ndisk: a small file written, synced and renamed, and its folder \
         synced, which an epoch waits for twice at least"
    );
    for figures in subjects {
        held_rate(&mut text, figures, rate);
    }
    if subjects.iter().any(|figures| !figures.optimised) {
        text.push_str("\nbuilt without optimisation: only that everything runs is shown");
    }
    text
}

fn line(text: &mut String, figures: &Figures) {
    let latency = &figures.latency;
    let _ = write!(text, "\n{:<20}", figures.subject);
    for quantile in [latency.p50, latency.p95, latency.p99, latency.max] {
        let _ = write!(text, "  {:>7.2}", quantile.median);
    }
    let added = figures.added.map(|added| [added.p50, added.p95, added.p99]);
    for quantile in 0..3 {
        let added = number(added.map(|added| added[quantile]));
        let _ = write!(text, "  {added:>9}");
    }
    for quantile in [latency.p50, latency.p99] {
        let spread = format!("{:.0} %", quantile.relative() * 100.0);
        let _ = write!(text, "  {spread:>10}");
    }
    let _ = write!(text, "  {:>5}", number(figures.epoch_ms));
}

fn number(spread: Option<Spread>) -> String {
    spread.map_or_else(|| "-".to_string(), |spread| format!("{:.2}", spread.median))
}

/// Says where figures mean little because messages were sent too slowly.
fn held_rate(text: &mut String, figures: &Figures, rate: u32) {
    let subject = &figures.subject;
    if figures.is_too_slow(rate) {
        let slowest = figures.messages_per_s.map_or(0.0, |spread| spread.min);
        let _ = write!(
            text,
            "\n{subject}: only {slowest:.0} messages a second could be sent in a round; the machine \
             is too slow or too busy"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::figures::example::runs;
    use super::super::figures::figures;
    use super::*;

    #[test]
    fn the_table_has_medians_what_is_added_and_the_spread() {
        assert_eq!(
            table(&figures(runs()).unwrap(), 10_000),
            "\
ms                         p50      p95      p99      max  added p50  added p95  added p99  spread p50  spread p99  epoch
disk                    51.00    96.00   100.00   101.00          -          -          -         0 %         0 %      -
relay                   60.00   105.00   109.00   110.00          -          -          -        33 %        18 %      -
project                 64.00   109.00   113.00   114.00       4.00       4.00       4.00        34 %        19 %   5.50
update                  69.00   114.00   118.00   119.00       9.00       9.00       9.00        32 %        19 %   5.50
10000 messages a second, 100 in each of 2 rounds; medians over the rounds, and from the least to the greatest of them as a part of the median
added: more than the relay of the same round; the aim is 3 at p50 and 15 at p99
disk: a small file written, synced and renamed, and its folder synced, which an epoch waits for twice at least"
        );
    }

    #[test]
    fn figures_that_mean_little_are_named() {
        let mut runs = runs();
        runs[1].messages_per_s = Some(5_000.0);
        runs[2].optimised = Some(false);
        let table = table(&figures(runs).unwrap(), 10_000);
        let notices: Vec<&str> = table.lines().skip(8).collect();
        assert_eq!(
            notices,
            [
                "relay: only 5000 messages a second could be sent in a round; the machine is too \
                 slow or too busy",
                "built without optimisation: only that everything runs is shown",
            ]
        );
    }
}
