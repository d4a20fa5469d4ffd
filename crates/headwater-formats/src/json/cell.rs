//! A JSON value as found: a piece of the record's text with its kind.

use crate::builder::Builder;
use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::json::scanner::unescape;
use crate::row_collector::Cell;
use headwater_core::excerpt::excerpt;

/// One value; a key that is missing gives `Null` too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum JsonCell<'a> {
    /// `null`, or nothing.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number as written.
    Number(&'a str),
    /// An integer, read for an integer column.
    Integer(i64),
    /// A number, read for a column of doubles.
    Double(f64),
    /// A time, read for a TIMESTAMP column, in units of the column.
    Time(i64),
    /// What is between the quotes.
    String {
        /// The text as written.
        text: &'a str,
        /// Whether it has escapes to undo.
        has_escapes: bool,
    },
    /// An object, with its braces.
    Object(&'a str),
    /// An array, with its brackets.
    List(&'a str),
}

impl Cell for JsonCell<'_> {
    fn is_null(&self) -> bool {
        matches!(self, JsonCell::Null)
    }

    fn append_to(&self, builder: &mut Builder) -> Result<(), Mismatch> {
        match *self {
            JsonCell::Null => {
                builder.append_null();
                Ok(())
            }
            JsonCell::Boolean(value) => builder.append(Value::Boolean(value)),
            JsonCell::Number(text) => builder.append(Value::Number(text)),
            JsonCell::Integer(value) => builder.append(Value::Integer(value)),
            JsonCell::Double(value) => builder.append(Value::Double(value)),
            JsonCell::Time(value) => builder.append(Value::Time(value)),
            JsonCell::String {
                text,
                has_escapes: false,
            } => builder.append(Value::String(text)),
            JsonCell::String {
                text,
                has_escapes: true,
            } => {
                if let Some(text) = unescape(text) {
                    builder.append(Value::String(&text))
                } else {
                    builder.append_null();
                    Err(Mismatch)
                }
            }
            JsonCell::Object(text) => builder.append(Value::Object(text)),
            JsonCell::List(text) => builder.append(Value::List(text)),
        }
    }

    fn describe(&self) -> String {
        match self {
            JsonCell::Null => "no value".to_string(),
            JsonCell::Boolean(value) => value.to_string(),
            JsonCell::Integer(value) | JsonCell::Time(value) => value.to_string(),
            JsonCell::Double(value) => value.to_string(),
            JsonCell::String { text, .. } => format!("\"{}\"", excerpt(text.as_bytes())),
            JsonCell::Number(text) | JsonCell::Object(text) | JsonCell::List(text) => {
                excerpt(text.as_bytes())
            }
        }
    }
}
