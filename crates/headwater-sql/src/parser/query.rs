//! `SELECT [STREAM] …` and `INSERT INTO …`: sqlparser's queries with headwater's clauses.

use datafusion::sql::sqlparser::ast::{
    Insert, ObjectName, Query, SetExpr, Statement as SqlStatement, TableObject,
};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use headwater_core::{Error, Result};

use crate::ast::{InsertQuery, Name, SelectQuery, Statement};

use super::cursor::Cursor;
use super::emit::parse_query_tail;
use super::script::{is_blank, plain_word};

/// Reads a query and its clauses.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_select(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let start = cursor.location();
    let query = cursor.parse(|p| p.parse_query())?;
    if let SetExpr::Insert(_) = *query.body {
        let span = Some(cursor.statement().span_from(start));
        return Err(
            Error::unsupported("WITH in front of INSERT is not there yet")
                .with_span(span)
                .with_hint("Write INSERT INTO … WITH … SELECT …."),
        );
    }
    let tail = parse_query_tail(cursor)?;
    Ok(Statement::Select(SelectQuery {
        query,
        stream: cursor.has_stream(),
        emit: tail.emit,
        late_rows_into: tail.late_rows_into,
        text: cursor.statement().text_from(start).to_string(),
        span: cursor.statement().span_from(start),
    }))
}

/// Reads a statement that begins with `INSERT`. Without `INTO`, as in `INSERT OVERWRITE`, it is
/// DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_insert(cursor: &mut Cursor<'_>) -> Result<Statement> {
    if cursor.at(&["INSERT", "INTO"]) {
        return parse_insert_query(cursor).map(Statement::Insert);
    }
    cursor.parse_datafusion()
}

/// Reads `INSERT INTO sink [(columns)] query` and its clauses.
///
/// # Errors
/// If it cannot be read, or is more than that.
pub(super) fn parse_insert_query(cursor: &mut Cursor<'_>) -> Result<InsertQuery> {
    let start = cursor.location();
    let statement = cursor.parse(|p| p.parse_statement())?;
    let SqlStatement::Insert(insert) = statement else {
        return Err(refuse_insert(cursor, start));
    };
    let Some((sink, columns, query)) = plain_insert(insert) else {
        return Err(refuse_insert(cursor, start));
    };
    let tail = parse_query_tail(cursor)?;
    Ok(InsertQuery {
        sink,
        columns,
        query,
        emit: tail.emit,
        late_rows_into: tail.late_rows_into,
        text: cursor.statement().text_from(start).to_string(),
        span: cursor.statement().span_from(start),
    })
}

fn refuse_insert(cursor: &Cursor<'_>, start: Location) -> Error {
    Error::unsupported("this form of INSERT is not there yet")
        .with_span(Some(cursor.span_from(start)))
        .with_hint("Write INSERT INTO sink SELECT ….")
}

/// Takes an `INSERT` apart if it is nothing but a table, columns and a query.
fn plain_insert(insert: Insert) -> Option<(ObjectName, Vec<Name>, Box<Query>)> {
    let is_more = insert.or.is_some()
        || insert.ignore
        || insert.overwrite
        || insert.partitioned.is_some()
        || insert.table_alias.is_some()
        || insert.on.is_some()
        || insert.returning.is_some()
        || insert.output.is_some()
        || insert.insert_alias.is_some()
        || insert.priority.is_some();
    let (TableObject::TableName(sink), Some(query), false) = (insert.table, insert.source, is_more)
    else {
        return None;
    };
    let columns: Option<Vec<_>> = insert
        .columns
        .iter()
        .map(|column| match column.0.as_slice() {
            [part] => part.as_ident().map(Name::from_ident),
            _ => None,
        })
        .collect();
    Some((sink, columns?, query))
}

/// Words after `STREAM` that show it to be a column: it is the operand of what follows, or the
/// last thing selected.
const COLUMN_FOLLOWERS: &[&str] = &[
    "AND",
    "AS",
    "BETWEEN",
    "COLLATE",
    "DIV",
    "EMIT",
    "EXCEPT",
    "FROM",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INTERSECT",
    "INTO",
    "IS",
    "ISNULL",
    "LIKE",
    "LIMIT",
    "MINUS",
    "NOTNULL",
    "OR",
    "ORDER",
    "OVERLAPS",
    "REGEXP",
    "RLIKE",
    "SIMILAR",
    "UNION",
    "WHERE",
    "XOR",
];

/// Words after `STREAM *` that show `*` to be all columns; before an operand it is a product.
const WILDCARD_FOLLOWERS: &[&str] = &[
    "EMIT", "EXCEPT", "EXCLUDE", "FROM", "ILIKE", "RENAME", "REPLACE", "WHERE",
];

/// The tokens of a statement without the word `STREAM` of `SELECT STREAM …`, which sqlparser
/// does not know. A column named `stream` stays, and so do the parts in parentheses: `STREAM`
/// speaks of the statement as a whole.
pub(super) fn without_stream_words(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut depth = 0_usize;
    let mut after_select = false;
    let mut kept = Vec::with_capacity(tokens.len());
    for (index, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        let word = plain_word(&token.token);
        let is_stream = after_select
            && word.as_deref() == Some("STREAM")
            && begins_projection(tokens.get(index + 1..).unwrap_or_default());
        if !is_blank(token) {
            after_select = depth == 0 && word.as_deref() == Some("SELECT");
        }
        if !is_stream {
            kept.push(token.clone());
        }
    }
    kept
}

/// Whether what follows `STREAM` is a list of expressions of its own.
fn begins_projection(rest: &[TokenWithSpan]) -> bool {
    let mut solid = rest.iter().filter(|t| !is_blank(t)).map(|t| &t.token);
    let (Some(first), second) = (solid.next(), solid.next()) else {
        return false;
    };
    let second_word = second.and_then(plain_word);
    match first {
        Token::Word(_) => match plain_word(first).as_deref() {
            Some("NOT") => !matches!(
                second_word.as_deref(),
                Some("IN" | "LIKE" | "ILIKE" | "BETWEEN" | "SIMILAR" | "RLIKE" | "REGEXP")
            ),
            // `stream AT TIME ZONE`; else it is a column.
            Some("AT") => second_word.as_deref() != Some("TIME"),
            Some(word) => !COLUMN_FOLLOWERS.contains(&word),
            None => true,
        },
        Token::Mul => match second {
            None | Some(Token::Comma) => true,
            Some(_) => second_word.is_some_and(|w| WILDCARD_FOLLOWERS.contains(&w.as_str())),
        },
        // `stream (…)` with a blank is a list that begins with a parenthesis, `stream(…)` a call.
        Token::LParen => rest.first().is_some_and(is_blank),
        Token::Number(..) | Token::SingleQuotedString(_) | Token::LBrace => true,
        _ => false,
    }
}
