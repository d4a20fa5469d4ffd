//! A value of a line as found: a piece of the record's text with its kind.

use crate::builder::Builder;
use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::row_collector::Cell;
use headwater_core::excerpt::excerpt;

/// One value; what is not in the line gives `Null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InfluxCell<'a> {
    /// Nothing.
    Null,
    /// The measurement, or the value of a tag: text without a type of its own, as a field of CSV.
    Name {
        /// The text as written.
        text: &'a str,
        /// The escapes to undo.
        escapes: Escapes,
    },
    /// What is between the quotes of a field.
    Text {
        /// The text as written.
        text: &'a str,
        /// The escapes to undo.
        escapes: Escapes,
    },
    /// A number without the letter of its type.
    Number(&'a str),
    /// A word for true or false.
    Boolean(bool),
}

/// The characters that have a backslash before them in a piece of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Escapes(&'static str);

impl Escapes {
    /// Those of a measurement, if it has any.
    pub(crate) fn in_measurement(has_escapes: bool) -> Self {
        Escapes(if has_escapes { ", " } else { "" })
    }

    /// Those of keys and of the values of tags, if there are any.
    pub(crate) fn in_tag(has_escapes: bool) -> Self {
        Escapes(if has_escapes { ",= " } else { "" })
    }

    /// Those of a text in quotes, if it has any.
    pub(crate) fn in_quotes(has_escapes: bool) -> Self {
        Escapes(if has_escapes { "\"\\" } else { "" })
    }

    /// The text without its escapes; only to be asked for text that has some.
    pub(crate) fn undo(self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            let mut after = characters.clone();
            match after.next().filter(|_| character == '\\') {
                Some(escaped) if self.0.contains(escaped) => {
                    out.push(escaped);
                    characters = after;
                }
                _ => out.push(character),
            }
        }
        out
    }

    fn is_none(self) -> bool {
        self.0.is_empty()
    }
}

impl Cell for InfluxCell<'_> {
    fn is_null(&self) -> bool {
        matches!(self, InfluxCell::Null)
    }

    fn append_to(&self, builder: &mut Builder) -> Result<(), Mismatch> {
        match *self {
            InfluxCell::Null => {
                builder.append_null();
                Ok(())
            }
            InfluxCell::Name { text, escapes } if escapes.is_none() => {
                builder.append(Value::Field(text))
            }
            InfluxCell::Name { text, escapes } => builder.append(Value::Field(&escapes.undo(text))),
            InfluxCell::Text { text, escapes } if escapes.is_none() => {
                builder.append(Value::String(text))
            }
            InfluxCell::Text { text, escapes } => {
                builder.append(Value::String(&escapes.undo(text)))
            }
            InfluxCell::Number(text) => builder.append(Value::Number(text)),
            InfluxCell::Boolean(value) => builder.append(Value::Boolean(value)),
        }
    }

    fn describe(&self) -> String {
        match self {
            InfluxCell::Null => "no value".to_string(),
            InfluxCell::Name { text, .. } | InfluxCell::Number(text) => excerpt(text.as_bytes()),
            InfluxCell::Text { text, .. } => format!("\"{}\"", excerpt(text.as_bytes())),
            InfluxCell::Boolean(value) => value.to_string(),
        }
    }
}
