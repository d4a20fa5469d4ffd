//! Triggers: when a query's next epoch starts.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration::{format_duration, parse_duration};
use crate::{Error, Result};

/// When the next epoch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Trigger {
    /// As soon as a source has something to read.
    #[default]
    Asap,
    /// At most one epoch per interval, at multiples of it.
    Interval(Duration),
    /// One epoch over what is there at the start, whatever the limits say, then stop.
    Once,
    /// What is there at the start, in as many epochs as the limits demand, then stop.
    AvailableNow,
}

impl Trigger {
    /// Whether the query ends by itself once the input of its start has been read.
    pub fn is_bounded(self) -> bool {
        match self {
            Trigger::Once | Trigger::AvailableNow => true,
            Trigger::Asap | Trigger::Interval(_) => false,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trigger::Asap => f.write_str("asap"),
            Trigger::Interval(every) => f.write_str(&format_duration(*every)),
            Trigger::Once => f.write_str("once"),
            Trigger::AvailableNow => f.write_str("available-now"),
        }
    }
}

impl FromStr for Trigger {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "asap" => Ok(Trigger::Asap),
            "once" => Ok(Trigger::Once),
            "available-now" | "availablenow" | "available_now" => Ok(Trigger::AvailableNow),
            other => match parse_duration(other) {
                Ok(Duration::ZERO) => Ok(Trigger::Asap),
                Ok(every) => Ok(Trigger::Interval(every)),
                Err(_) => Err(Error::configuration(format!("\"{text}\" is not a trigger"))
                    .with_hint(
                        "Use 'asap', 'once', 'available-now' or an interval such as '5 seconds'.",
                    )),
            },
        }
    }
}
