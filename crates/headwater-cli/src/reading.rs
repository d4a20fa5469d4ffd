//! The progress of a bounded read: a line that is drawn again and again while its rows are waited for.
//!
//! ```text
//! reading 42% [########------------] 1,234,567 records, 120,000/s, 34.5 MB/s, 12s left
//! ```
//!
//! How far it is and when it ends is shown where the end is known: of topics by their offsets, of
//! files by their sizes. A read that a LIMIT may end has no end that is known.

use std::time::Duration;

use headwater::ReadProgress;

use crate::context::Context;
use crate::progress::{PROGRESS_EVERY, grouped};

/// Cells of the bar.
const BAR_CELLS: usize = 20;
/// What is left is not told of a read that has only begun: it would be a guess.
const FRACTION_TOLD_MIN: f64 = 0.01;

/// How far a read is, and since when it has been going on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ReadSoFar {
    pub(crate) progress: ReadProgress,
    pub(crate) elapsed: Duration,
}

/// The line for a read that goes on.
pub(crate) fn reading(so_far: &ReadSoFar) -> String {
    let fraction = so_far.progress.fraction;
    let bar = fraction.map(|f| format!(" {:.0}% {}", (f * 100.0).floor(), bar(f)));
    let left = left(so_far).map(|left| format!(", {} left", span(left)));
    format!(
        "reading{} {}{}",
        bar.unwrap_or_default(),
        rates(so_far),
        left.unwrap_or_default()
    )
}

/// The line for a read that is done.
pub(crate) fn read(so_far: &ReadSoFar) -> String {
    let seconds = so_far.elapsed.as_secs_f64();
    format!("read in {seconds:.1}s: {}", rates(so_far))
}

fn rates(so_far: &ReadSoFar) -> String {
    let ReadProgress { records, bytes, .. } = so_far.progress;
    let plural = if records == 1 { "" } else { "s" };
    let mut text = format!("{} record{plural}", grouped(records));
    let seconds = so_far.elapsed.as_secs_f64();
    if seconds > 0.0 {
        let per_second = (records as f64 / seconds) as u64;
        text.push_str(&format!(", {}/s", grouped(per_second)));
        // Rows that a generator makes have no size.
        if bytes > 0 {
            text.push_str(&format!(", {:.1} MB/s", bytes as f64 / seconds / 1e6));
        }
    }
    text
}

fn bar(fraction: f64) -> String {
    let full = ((fraction * BAR_CELLS as f64) as usize).min(BAR_CELLS);
    format!("[{}{}]", "#".repeat(full), "-".repeat(BAR_CELLS - full))
}

/// The time that is left if it goes on as until now.
fn left(so_far: &ReadSoFar) -> Option<Duration> {
    let fraction = so_far.progress.fraction?;
    (fraction >= FRACTION_TOLD_MIN)
        .then(|| so_far.elapsed.mul_f64((1.0 - fraction).max(0.0) / fraction))
}

/// A time for a person: `12s`, `3m 05s`, `1h 02m`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3_600, seconds % 3_600 / 60),
    }
}

/// Shows the progress of one read while something of it is waited for.
pub(crate) struct ReadLine<'a> {
    context: &'a Context,
    began: Duration,
    due: Duration,
}

impl<'a> ReadLine<'a> {
    /// For a read that begins now.
    pub(crate) fn new(context: &'a Context) -> Self {
        let began = context.clock.elapsed();
        ReadLine {
            context,
            began,
            due: began + PROGRESS_EVERY,
        }
    }

    /// Waits, and shows the progress now and then.
    pub(crate) async fn during<T>(
        &mut self,
        progress: impl Fn() -> ReadProgress,
        work: impl Future<Output = T>,
    ) -> T {
        tokio::pin!(work);
        loop {
            let clock = &self.context.clock;
            tokio::select! {
                biased;
                () = clock.sleep(self.due.saturating_sub(clock.elapsed())) => {
                    let line = reading(&self.so_far(progress()));
                    self.context.screen.show_progress(&line);
                    self.due = self.context.clock.elapsed() + PROGRESS_EVERY;
                }
                done = &mut work => return done,
            }
        }
    }

    /// Says what was read, in a line that stays.
    pub(crate) fn tell_end(&self, progress: ReadProgress) {
        self.context.screen.tell(&read(&self.so_far(progress)));
    }

    fn so_far(&self, progress: ReadProgress) -> ReadSoFar {
        let elapsed = self.context.clock.elapsed().saturating_sub(self.began);
        ReadSoFar { progress, elapsed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn so_far(records: u64, bytes: u64, fraction: Option<f64>, seconds: u64) -> ReadSoFar {
        ReadSoFar {
            progress: ReadProgress {
                records,
                bytes,
                fraction,
            },
            elapsed: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn a_read_shows_how_far_it_is_where_its_end_is_known() {
        for (so_far, line) in [
            (
                so_far(1_200_000, 345_000_000, Some(0.4), 10),
                "reading 40% [########------------] 1,200,000 records, 120,000/s, 34.5 MB/s, 15s left",
            ),
            (
                so_far(1_200_000, 345_000_000, None, 10),
                "reading 1,200,000 records, 120,000/s, 34.5 MB/s",
            ),
            // No size, and too early to tell when it ends.
            (
                so_far(10, 0, Some(0.001), 1),
                "reading 0% [--------------------] 10 records, 10/s",
            ),
            (so_far(0, 0, None, 0), "reading 0 records"),
            (
                so_far(7, 14, Some(0.999), 7),
                "reading 99% [###################-] 7 records, 1/s, 0.0 MB/s, 1s left",
            ),
            (
                so_far(7, 0, Some(1.0), 7),
                "reading 100% [####################] 7 records, 1/s, 0s left",
            ),
        ] {
            assert_eq!(reading(&so_far), line);
        }
    }

    #[test]
    fn a_read_that_is_done_says_what_it_has_read() {
        assert_eq!(read(&so_far(1, 0, None, 2)), "read in 2.0s: 1 record, 0/s");
        assert_eq!(
            read(&so_far(3_000, 6_000_000, Some(1.0), 2)),
            "read in 2.0s: 3,000 records, 1,500/s, 3.0 MB/s"
        );
    }

    #[test]
    fn times_are_as_long_as_they_need() {
        let cases = [
            (0, "0s"),
            (59, "59s"),
            (60, "1m 00s"),
            (3_599, "59m 59s"),
            (3_720, "1h 02m"),
            (360_000, "100h 00m"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(Duration::from_millis(1)), "1s");
    }
}
