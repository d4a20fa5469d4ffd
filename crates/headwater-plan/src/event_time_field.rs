//! Event time and windows as field metadata, so that they follow a column through projections,
//! aliases and subqueries without a second bookkeeping.

use std::collections::HashMap;

use datafusion::arrow::datatypes::Field;
use serde::{Deserialize, Serialize};

use headwater_exec::window::{Bound, WindowSpec};

const EVENT_TIME: &str = "headwater.event_time";
const WINDOW: &str = "headwater.window";
const WINDOW_STRUCT: &str = "headwater.window_struct";

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

impl Windows {
    /// Which bound tells a window from the others of its kind, and of its keys.
    pub fn told_by(&self) -> Bound {
        match self {
            Windows::Fixed(window) => window.told_by(),
            Windows::Session(_) => Bound::Start,
        }
    }
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
    mark_as(WINDOW, field, window)
}

/// Marks a struct of a window's start and end; the role says nothing.
pub fn mark_window_struct(field: Field, window: &WindowField) -> Field {
    mark_as(WINDOW_STRUCT, field, window)
}

fn mark_as(key: &str, field: Field, window: &WindowField) -> Field {
    // A struct of plain fields has no way to fail; without the mark it is an ordinary column.
    match serde_json::to_string(window) {
        Ok(text) => with(field, key, text),
        Err(_) => field,
    }
}

/// What a window column carries, if the field is one.
pub fn window_of(field: &Field) -> Option<WindowField> {
    mark_of(WINDOW, field)
}

/// The window whose start and end a struct holds, if it is such a struct.
pub fn window_struct_of(field: &Field) -> Option<WindowField> {
    mark_of(WINDOW_STRUCT, field)
}

fn mark_of(key: &str, field: &Field) -> Option<WindowField> {
    let text = field.metadata().get(key)?;
    serde_json::from_str(text).ok()
}

/// The field without marks.
pub fn unmarked(field: &Field) -> Field {
    let mut metadata = field.metadata().clone();
    metadata.remove(EVENT_TIME);
    metadata.remove(WINDOW);
    metadata.remove(WINDOW_STRUCT);
    field.clone().with_metadata(metadata)
}

fn with(field: Field, key: &str, value: String) -> Field {
    let mut metadata: HashMap<String, String> = field.metadata().clone();
    metadata.insert(key.to_string(), value);
    field.with_metadata(metadata)
}
