//! The schema that a function is given, as text: columns like those of CREATE SOURCE, or a type.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::execution::session_state::SessionState;
use headwater_core::{Error, Result};

use crate::parser::{SchemaText, parse_schema_text};
use crate::type_planner::arrow_type;

/// Characters of a schema that a message shows.
const SHOWN: usize = 60;

/// What a schema says.
#[derive(Debug)]
pub(super) struct DeclaredSchema {
    data_type: DataType,
    /// Whose it is, for messages.
    owner: String,
}

impl DeclaredSchema {
    /// The type of values, which have others inside.
    ///
    /// # Errors
    /// If it is the type of one value.
    pub(super) fn into_any_type(self) -> Result<DataType> {
        match self.data_type {
            DataType::Struct(_) | DataType::List(_) | DataType::Map(..) => Ok(self.data_type),
            _ => Err(self.no_columns()),
        }
    }

    /// The columns.
    ///
    /// # Errors
    /// If it is the type of something else.
    pub(super) fn into_columns(self) -> Result<Fields> {
        match self.data_type {
            DataType::Struct(columns) => Ok(columns),
            _ => Err(self.no_columns()),
        }
    }

    fn no_columns(&self) -> Error {
        Error::plan(format!("the schema of {} has no columns", self.owner))
            .with_hint("Write them as CREATE SOURCE does: 'a INT, b VARCHAR'.")
    }
}

/// Reads a schema; `owner` says whose it is, for messages, and `types` knows the types.
///
/// # Errors
/// If it cannot be read, with the place in it.
pub(super) fn read_schema(text: &str, owner: &str, types: &SessionState) -> Result<DeclaredSchema> {
    let in_place = |error: Error| in_schema(&error, text, owner);
    let data_type = match parse_schema_text(text).map_err(in_place)? {
        SchemaText::Type(sql_type, span) => {
            arrow_type(types, &sql_type).map_err(|e| in_place(e.with_span(Some(span))))?
        }
        SchemaText::Columns(columns) => {
            let fields = columns.iter().map(|column| {
                let data_type = arrow_type(types, &column.data_type)
                    .map_err(|e| in_place(e.with_span(Some(column.span))))?;
                Ok(Arc::new(Field::new(&column.name.value, data_type, true)))
            });
            DataType::Struct(fields.collect::<Result<Fields>>()?)
        }
    };
    Ok(DeclaredSchema {
        data_type,
        owner: owner.to_string(),
    })
}

/// The error with its place in words: a place in a text that stands in a query is none in the query.
fn in_schema(error: &Error, text: &str, owner: &str) -> Error {
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if shown.len() < text.len() { "…" } else { "" };
    let place = match error.span() {
        Some(span) if span.line > 1 => format!("At line {}, column {} of", span.line, span.column),
        Some(span) => format!("At column {} of", span.column),
        None => "In".to_string(),
    };
    let hint = error.hint().map(ToString::to_string);
    let hint = hint.unwrap_or_else(|| {
        "Write columns as CREATE SOURCE does: 'a INT, b STRUCT<c VARCHAR>, d ARRAY<DOUBLE>'."
            .to_string()
    });
    Error::new(
        error.kind(),
        format!("the schema of {owner} is not valid: {}", error.message()),
    )
    .with_detail(format!("{place} \"{shown}{more}\"."))
    .with_hint(hint)
}
