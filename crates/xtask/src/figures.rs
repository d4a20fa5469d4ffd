//! `cargo xtask figures`: writes the figures and tables of the documentation that tests make.
//!
//! The tests compare what they make with what is committed; with the variable set they write it.
//! Read the difference, and look at the figures, before you keep them.

use crate::command::{cargo, run as run_command};
use crate::failure::Result;

/// Lets `tests/it/committed.rs` write.
const UPDATE_VARIABLE: &str = "HEADWATER_UPDATE_FIGURES";
/// The modules of `tests/it` that make parts of the documentation.
const MODULES: [&str; 3] = ["figures::", "option_tables::", "query_modes::"];

/// Runs those tests.
///
/// # Errors
/// If they do not build, or one of them fails by itself.
pub(crate) fn run() -> Result<()> {
    let test = ["test", "--package", "headwater-tests", "--test", "it", "--"];
    run_command(cargo(test).args(MODULES).env(UPDATE_VARIABLE, "1"))
}
