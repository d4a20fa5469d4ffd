//! Statements about objects: `EXPLAIN`, `SHOW`, `DESCRIBE`, `SET`, `START`, `STOP`, `DROP`.

use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::{Error, Result};

use crate::ast::{ExplainStatement, ObjectKind, SetOption, Statement};

use super::cursor::Cursor;
use super::option_list::{parse_key, parse_value};
use super::parse_statement;

/// What follows `SHOW`.
const LISTS: &[(&[&str], ObjectKind)] = &[
    (&["SOURCES"], ObjectKind::Source),
    (&["SINKS"], ObjectKind::Sink),
    (&["TABLES"], ObjectKind::Table),
    (&["QUERIES"], ObjectKind::StreamingQuery),
    (&["STREAMING", "QUERIES"], ObjectKind::StreamingQuery),
];

/// What follows `SHOW CREATE`.
const SHOWN: &[(&[&str], ObjectKind)] = &[
    (&["SOURCE"], ObjectKind::Source),
    (&["SINK"], ObjectKind::Sink),
    (&["TABLE"], ObjectKind::Table),
    (&["STREAMING", "QUERY"], ObjectKind::StreamingQuery),
];

/// What follows `DROP`, beside what DataFusion drops.
const DROPPED: &[(&[&str], ObjectKind)] = &[
    (&["SOURCE"], ObjectKind::Source),
    (&["SINK"], ObjectKind::Sink),
    (&["STREAMING", "QUERY"], ObjectKind::StreamingQuery),
];

fn take_kind(cursor: &mut Cursor<'_>, kinds: &[(&[&str], ObjectKind)]) -> Option<ObjectKind> {
    kinds
        .iter()
        .find(|(words, _)| cursor.take(words))
        .map(|(_, kind)| *kind)
}

/// Reads `EXPLAIN [ANALYZE] [VERBOSE] statement`. `EXPLAIN (options)` and `EXPLAIN FORMAT` are
/// DataFusion's.
///
/// # Errors
/// If it cannot be read, or the statement is no query.
pub(super) fn parse_explain(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let second = cursor.word(2);
    let has_options = *cursor.peek_nth(1) == Token::LParen
        && !matches!(
            second.as_deref(),
            Some("SELECT" | "WITH" | "VALUES" | "FROM")
        )
        && *cursor.peek_nth(2) != Token::LParen;
    let has_format = (1..4)
        .map_while(|n| cursor.word(n))
        .find(|w| !matches!(w.as_str(), "ANALYZE" | "VERBOSE"))
        .is_some_and(|w| w == "FORMAT");
    if has_options || has_format {
        return cursor.parse_datafusion();
    }
    cursor.expect(&["EXPLAIN"])?;
    let analyze = cursor.take(&["ANALYZE"]);
    let verbose = cursor.take(&["VERBOSE"]);
    if cursor.at(&["EXPLAIN"]) {
        return Err(cursor.expected("a query"));
    }
    let start = cursor.location();
    let statement = parse_statement(cursor)?;
    match statement {
        Statement::Select(_)
        | Statement::Insert(_)
        | Statement::CreateStreamingQuery(_)
        | Statement::DataFusion(_) => Ok(Statement::Explain(ExplainStatement {
            analyze,
            verbose,
            statement: Box::new(statement),
        })),
        Statement::CreateSource(_)
        | Statement::CreateSink(_)
        | Statement::CreateConnectorTable(_)
        | Statement::Explain(_)
        | Statement::Show(_)
        | Statement::ShowCreate { .. }
        | Statement::Describe(_)
        | Statement::Set(_)
        | Statement::StartStreamingQuery(_)
        | Statement::StopStreamingQuery(_)
        | Statement::Drop { .. } => Err(Error::unsupported("EXPLAIN takes a query")
            .with_span(Some(cursor.statement().span_from(start)))),
    }
}

/// Reads `SHOW …`; settings and what DataFusion lists is DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_show(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let is_own = |cursor: &Cursor<'_>, skip: usize, kinds: &[(&[&str], ObjectKind)]| {
        kinds.iter().any(|(words, _)| {
            let mut numbered = words.iter().enumerate();
            numbered.all(|(n, word)| cursor.word(skip + n).as_deref() == Some(word))
        })
    };
    if cursor.at(&["SHOW", "CREATE"]) && is_own(cursor, 2, SHOWN) {
        cursor.expect(&["SHOW", "CREATE"])?;
        let Some(kind) = take_kind(cursor, SHOWN) else {
            return Err(cursor.expected("SOURCE, SINK, TABLE or STREAMING QUERY"));
        };
        let name = cursor.parse(|p| p.parse_object_name(false))?;
        cursor.expect_end("the end of the statement")?;
        return Ok(Statement::ShowCreate { kind, name });
    }
    // `SHOW TABLES FROM …` and `SHOW TABLES LIKE …` are DataFusion's.
    let is_bare_tables = *cursor.peek_nth(2) == Token::EOF || !cursor.at(&["SHOW", "TABLES"]);
    if is_own(cursor, 1, LISTS) && is_bare_tables {
        cursor.expect(&["SHOW"])?;
        let Some(kind) = take_kind(cursor, LISTS) else {
            return Err(cursor.expected("SOURCES, SINKS, QUERIES or TABLES"));
        };
        cursor.expect_end("the end of the statement")?;
        return Ok(Statement::Show(kind));
    }
    cursor.parse_datafusion()
}

/// Reads `DESCRIBE [TABLE] t`; `DESCRIBE query` is DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_describe(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let skip = if cursor.word(1).as_deref() == Some("TABLE") {
        2
    } else {
        1
    };
    let is_name = matches!(cursor.peek_nth(skip), Token::Word(_));
    let mut after = skip + 1;
    while *cursor.peek_nth(after) == Token::Period {
        after += 2;
    }
    if !is_name || *cursor.peek_nth(after) != Token::EOF {
        return cursor.parse_datafusion();
    }
    for _ in 0..skip {
        cursor.next();
    }
    let name = cursor.parse(|p| p.parse_object_name(false))?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::Describe(name))
}

/// Reads `SET key = value` or `SET key TO value`. DataFusion's own settings and the forms that
/// only it knows are DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_set(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let is_quoted = matches!(cursor.peek_nth(1), Token::SingleQuotedString(_));
    if !is_quoted && !is_own_setting(cursor) {
        return cursor.parse_datafusion();
    }
    let start = cursor.location();
    cursor.expect(&["SET"])?;
    let key = parse_key(cursor)?;
    if !cursor.take(&["TO"]) {
        cursor.expect_sign(&Token::Eq, "\"=\"")?;
    }
    let value = parse_value(cursor)?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::Set(SetOption {
        key,
        value,
        span: cursor.span_from(start),
    }))
}

/// Whether `SET` is followed by words joined by `.` or `-`, and then `=` or `TO`.
fn is_own_setting(cursor: &Cursor<'_>) -> bool {
    if cursor.word(1).as_deref() == Some("DATAFUSION") && *cursor.peek_nth(2) == Token::Period {
        return false;
    }
    let mut n = 1;
    while matches!(cursor.peek_nth(n), Token::Word(_) | Token::Number(..)) {
        match cursor.peek_nth(n + 1) {
            Token::Period | Token::Minus => n += 2,
            Token::Eq => return true,
            _ => return n > 0 && cursor.word(n + 1).as_deref() == Some("TO"),
        }
    }
    false
}

/// Reads `START | STOP STREAMING QUERY q`; `START TRANSACTION` is DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_start_or_stop(cursor: &mut Cursor<'_>) -> Result<Statement> {
    if cursor.at(&["START", "TRANSACTION"]) {
        return cursor.parse_datafusion();
    }
    let is_start = cursor.take(&["START"]);
    if !is_start {
        cursor.expect(&["STOP"])?;
    }
    cursor.expect(&["STREAMING", "QUERY"])?;
    let name = cursor.name("the name of the query")?;
    cursor.expect_end("the end of the statement")?;
    Ok(if is_start {
        Statement::StartStreamingQuery(name)
    } else {
        Statement::StopStreamingQuery(name)
    })
}

/// Reads `DROP SOURCE | SINK | STREAMING QUERY [IF EXISTS] x`; all else is DataFusion's.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_drop(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let is_own = match cursor.word(1).as_deref() {
        Some("SOURCE" | "SINK") => true,
        Some("STREAMING") => cursor.word(2).as_deref() == Some("QUERY"),
        _ => false,
    };
    if !is_own {
        return cursor.parse_datafusion();
    }
    cursor.expect(&["DROP"])?;
    let Some(kind) = take_kind(cursor, DROPPED) else {
        return Err(cursor.expected("SOURCE, SINK or STREAMING QUERY"));
    };
    let if_exists = cursor.take(&["IF", "EXISTS"]);
    let name = cursor.name("the name of what is dropped")?;
    cursor.expect_end("the end of the statement")?;
    Ok(Statement::Drop {
        kind,
        name,
        if_exists,
    })
}
