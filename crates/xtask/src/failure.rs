//! Why a task failed, as one sentence for the person at the terminal.
//!
//! Nobody matches on the failures of a task, so they are text and not variants.

use std::fmt::{self, Display};

/// The result of a step of a task.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// Why a task failed.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failure(message.into())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says what was tried when an error came.
pub(crate) trait Context<T> {
    /// Puts `tried` before the error's own text.
    fn context(self, tried: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, tried: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Failure(format!("{}: {error}", tried())))
    }
}
