//! Event time and windows as field metadata, so that they follow a column through projections,
//! aliases and subqueries without a second bookkeeping.

use std::collections::HashMap;

use datafusion::arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use headwater_exec::window::WindowSpec;

const EVENT_TIME: &str = "headwater.event_time";
const WINDOW: &str = "headwater.window";

/// Which column of a window a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WindowRole {
    /// The start of the window.
    Start,
    /// The end of the window.
    End,
    /// One millisecond before the end.
    Time,
}

/// The windows that a column is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Windows {
    /// Windows of the clock.
    Fixed(WindowSpec),
    /// Sessions, told apart by the text of their gap and keys.
    Session(String),
}

/// What a window column carries with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowField {
    /// Which column it is.
    pub role: WindowRole,
    /// The windows.
    pub window: Windows,
    /// Whether the windows are on an event time with a watermark.
    pub has_watermark: bool,
    /// The source whose event time it is, for messages; empty if unknown.
    pub source: String,
    /// How many windows are below it: windows over windows may be of the same size.
    pub level: usize,
}

impl WindowField {
    /// Whether two columns are of one window.
    pub fn is_of_same_window(&self, other: &WindowField) -> bool {
        (&self.window, self.level) == (&other.window, other.level)
    }
}

/// Marks the event-time column of a source with a watermark.
pub fn mark_event_time(field: Field, source: &str) -> Field {
    with(field, EVENT_TIME, source.to_string())
}

/// The source whose event time a field is, if it has a watermark.
pub fn event_time_source(field: &Field) -> Option<&str> {
    field.metadata().get(EVENT_TIME).map(String::as_str)
}

/// Marks a window column.
pub fn mark_window(field: Field, window: &WindowField) -> Field {
    // A struct of plain fields has no way to fail; without the mark it is an ordinary column.
    match serde_json::to_string(window) {
        Ok(text) => with(field, WINDOW, text),
        Err(_) => field,
    }
}

/// What a window column carries, if the field is one.
pub fn window_of(field: &Field) -> Option<WindowField> {
    field
        .metadata()
        .get(WINDOW)
        .and_then(|text| serde_json::from_str(text).ok())
}

/// The field without marks.
pub fn unmarked(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.remove(EVENT_TIME);
    metadata.remove(WINDOW);
    field.clone().with_metadata(metadata)
}

fn with(field: Field, key: &str, value: String) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.insert(key.to_string(), value);
    field.with_metadata(metadata)
}
