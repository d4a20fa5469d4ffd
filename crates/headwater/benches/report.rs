//! What the benchmarks of whole queries have in common: epochs that are timed, and tables.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use headwater::{Error, Result};
use headwater_engine::{EpochLoop, EpochProgress, Step};
use tempfile::TempDir;

/// Runs one epoch, which there must be, and gives the time that it took.
pub(crate) async fn epoch(query: &mut EpochLoop) -> Result<(Duration, EpochProgress)> {
    let started = Instant::now();
    match query.step().await? {
        Step::Ran(progress) => Ok((started.elapsed(), *progress)),
        other => Err(Error::internal(format!("there was no epoch: {other:?}"))),
    }
}

/// A folder that goes with the benchmark.
pub(crate) fn temporary() -> Result<TempDir> {
    tempfile::tempdir().map_err(failed)
}

/// A time in milliseconds.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The value below which this share of the values lies.
pub(crate) fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let index = (last as f64 * share).round() as usize;
    values.get(index).copied().unwrap_or(f64::NAN)
}

/// What is said when the machine says no.
pub(crate) fn failed(error: std::io::Error) -> Error {
    Error::internal("the benchmark cannot use the machine").with_source(error)
}

/// Adds to a table. Writing into a string cannot fail.
pub(crate) fn line(table: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = table.write_fmt(text);
}

/// Prints a table.
pub(crate) fn say(table: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{table}").map_err(failed)
}
