//! Output modes: which rows of a result an epoch hands to the sink.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Which rows of the result an epoch hands to its sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputMode {
    /// A row is emitted once, when it can no longer change.
    Append,
    /// The rows that changed in this epoch, by key.
    Update,
    /// The whole result, every epoch.
    Complete,
}

impl OutputMode {
    /// The name used in options, SQL and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            OutputMode::Append => "append",
            OutputMode::Update => "update",
            OutputMode::Complete => "complete",
        }
    }
}

impl fmt::Display for OutputMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OutputMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "append" => Ok(OutputMode::Append),
            "update" => Ok(OutputMode::Update),
            "complete" => Ok(OutputMode::Complete),
            "changelog" => Err(
                Error::unsupported("output mode \"changelog\" is not there yet")
                    .with_hint("Use append, update or complete."),
            ),
            _ => Err(
                Error::configuration(format!("\"{text}\" is not an output mode"))
                    .with_hint("Use append, update or complete."),
            ),
        }
    }
}
