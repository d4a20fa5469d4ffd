//! A schema in a text of its own, as the functions that read payloads are given it:
//! `a INT, b VARCHAR`, or one type, `STRUCT<a INT>`.

use datafusion::sql::sqlparser::ast::DataType;
use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::error::Span;
use headwater_core::{Error, Result};

use crate::ast::{ColumnDefinition, ColumnKind};

use super::columns::parse_payload_columns;
use super::cursor::Cursor;
use super::depth::refuse_depth;
use super::script::Script;

/// What a schema says.
#[derive(Debug)]
pub enum SchemaText {
    /// Columns, each with a name and a type and nothing else.
    Columns(Vec<ColumnDefinition>),
    /// One type, and where it stands.
    Type(DataType, Span),
}

/// Reads a schema.
///
/// # Errors
/// If it cannot be read, with its place in the text.
pub fn parse_schema_text(text: &str) -> Result<SchemaText> {
    let script = Script::read(text)?;
    let statements = script.statements();
    let Some(tokens) = statements.first() else {
        return Err(Error::syntax("it is empty"));
    };
    refuse_depth(tokens.tokens())?;
    if let Some(second) = statements.get(1) {
        return Err(
            Error::syntax("\";\" does not stand between columns").with_span(Some(second.span()))
        );
    }
    let mut cursor = Cursor::new(tokens);
    // No column's name is followed by one of these.
    let is_type = match cursor.peek_nth(1) {
        Token::Lt | Token::LBracket => true,
        Token::LParen => cursor.at(&["MAP"]),
        _ => false,
    };
    if is_type {
        let start = cursor.location();
        let data_type = cursor.data_type()?;
        cursor.expect_end("the end of the type")?;
        return Ok(SchemaText::Type(data_type, cursor.span_from(start)));
    }
    let columns = parse_payload_columns(&mut cursor)?;
    for column in &columns {
        if column.kind != (ColumnKind::Payload { not_null: false }) {
            return Err(Error::unsupported(format!(
                "column \"{}\" has more than a name and a type",
                column.name.value
            ))
            .with_span(Some(column.span))
            .with_hint("A payload that cannot be read is NULL, and every column may be."));
        }
    }
    Ok(SchemaText::Columns(columns))
}
