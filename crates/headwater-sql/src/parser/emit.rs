//! The clauses after a query: `EMIT …` and `LATE ROWS INTO t`.

use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::Result;

use crate::ast::{EmitClause, EmitMode, Name};

use super::cursor::Cursor;

/// The modes by their words.
const MODES: &[(&[&str], EmitMode)] = &[
    (&["ON", "WINDOW", "CLOSE"], EmitMode::OnWindowClose),
    (&["ON", "UPDATE"], EmitMode::OnUpdate),
    (&["FINAL"], EmitMode::Final),
    (&["CHANGES"], EmitMode::Changes),
    (&["COMPLETE"], EmitMode::Complete),
    (&["PER", "EPOCH"], EmitMode::PerEpoch),
];

const EXPECTED_MODES: &str = "ON WINDOW CLOSE, FINAL, ON UPDATE, CHANGES, COMPLETE or PER EPOCH";

/// What stands after a query.
#[derive(Debug, Default)]
pub(super) struct QueryTail {
    /// `EMIT …`.
    pub(super) emit: Option<EmitClause>,
    /// `LATE ROWS INTO t`.
    pub(super) late_rows_into: Option<Name>,
}

/// Reads the clauses, which are both optional, and the end of the statement.
///
/// # Errors
/// If a clause cannot be read or something else follows.
pub(super) fn parse_query_tail(cursor: &mut Cursor<'_>) -> Result<QueryTail> {
    let mut tail = QueryTail::default();
    let start = cursor.location();
    if cursor.take(&["EMIT"]) {
        let mode = parse_mode(cursor)?;
        let span = cursor.span_from(start);
        tail.emit = Some(EmitClause { mode, span });
    }
    if cursor.take(&["LATE"]) {
        cursor.expect(&["ROWS", "INTO"])?;
        tail.late_rows_into = Some(cursor.name("the name of a sink")?);
    }
    // Before a word it does not know, `EMIT` or `LATE` was read as the alias of a table.
    if cursor.peek_nth(0) != &Token::EOF && cursor.has_passed("EMIT") {
        return Err(cursor.expected(EXPECTED_MODES));
    }
    if cursor.at(&["ROWS"]) && cursor.has_passed("LATE") {
        cursor.expect(&["ROWS", "INTO"])?;
    }
    cursor.expect_end("the end of the statement")?;
    Ok(tail)
}

fn parse_mode(cursor: &mut Cursor<'_>) -> Result<EmitMode> {
    for (words, mode) in MODES {
        if cursor.take(words) {
            return Ok(*mode);
        }
    }
    Err(cursor.expected(EXPECTED_MODES))
}
