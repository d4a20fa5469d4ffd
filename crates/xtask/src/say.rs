//! Lines to stdout and stderr.
//!
//! A reader who has gone away is no failure of the task, so write errors are ignored.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line of data or progress.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Prints a notice or an error.
pub(crate) fn warn(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
