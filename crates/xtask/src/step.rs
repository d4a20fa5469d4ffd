//! A named step of a task, with a notice before it and its time after it.

use crate::failure::Result;
use crate::say::warn;
use crate::stopwatch::Stopwatch;

/// Runs a step and prints how long it took and how it ended.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    warn(format_args!("==> {name}"));
    let stopwatch = Stopwatch::start();
    let result = work();
    let outcome = if result.is_ok() { "ok" } else { "FAILED" };
    let elapsed_s = stopwatch.elapsed().as_secs_f64();
    warn(format_args!("<== {name}: {outcome}, {elapsed_s:.1} s"));
    result
}
