//! `CREATE …`: sources, sinks, tables with a connector and streaming queries.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use headwater_core::{Error, Result};

use crate::ast::{CreateStreamingQuery, Name, Statement, TableDeclaration, span_from_tokens};

use super::columns::{ColumnList, parse_column_list, parse_names};
use super::cursor::Cursor;
use super::external_table::{is_kafka_table, parse_kafka_table};
use super::infer::{parse_infer, refuse_infer};
use super::option_list::{Between, parse_format, parse_options};
use super::query::parse_insert_query;
use super::script::{is_blank, plain_word};

/// Clauses of other engines' tables that would change what a table means.
const NO_CLAUSES: &[&[&str]] = &[&["DISTRIBUTED"], &["LIKE"], &["INCLUDE"]];

/// What stands between `CREATE` and the columns.
#[derive(Debug)]
pub(super) struct Heading {
    /// Name of the object.
    pub(super) name: Name,
    /// `OR REPLACE`.
    pub(super) or_replace: bool,
    /// `IF NOT EXISTS`.
    pub(super) if_not_exists: bool,
}

/// Reads a statement that begins with `CREATE`.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_create(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let skip = if cursor.at(&["CREATE", "OR", "REPLACE"]) {
        3
    } else {
        1
    };
    let word = |n: usize| cursor.word(skip + n);
    match (word(0).as_deref(), word(1).as_deref()) {
        (Some("SOURCE"), _) => {
            let heading = parse_heading(cursor, &["SOURCE"], "the name of the source")?;
            parse_declaration(cursor, heading).map(Statement::CreateSource)
        }
        (Some("SINK"), _) => {
            let heading = parse_heading(cursor, &["SINK"], "the name of the sink")?;
            let declaration = parse_declaration(cursor, heading)?;
            refuse_infer(&declaration)?;
            Ok(Statement::CreateSink(declaration))
        }
        (Some("STREAMING"), Some("QUERY")) => parse_streaming_query(cursor),
        (Some("TEMPORARY" | "TEMP"), Some("TABLE")) | (Some("TABLE"), _)
            if has_connector(cursor.statement().tokens()) =>
        {
            let heading = parse_heading(cursor, &["TABLE"], "the name of the table")?;
            let declaration = parse_declaration(cursor, heading)?;
            refuse_infer(&declaration)?;
            Ok(Statement::CreateConnectorTable(declaration))
        }
        (Some("UNBOUNDED" | "EXTERNAL"), _) if is_kafka_table(cursor.statement().tokens()) => {
            parse_kafka_table(cursor).map(Statement::CreateSource)
        }
        _ => cursor.parse_datafusion(),
    }
}

/// Reads `CREATE [OR REPLACE] [TEMPORARY] kind [IF NOT EXISTS] name`.
///
/// # Errors
/// If it cannot be read, or both `OR REPLACE` and `IF NOT EXISTS` are there.
pub(super) fn parse_heading(
    cursor: &mut Cursor<'_>,
    kind: &[&str],
    expected: &str,
) -> Result<Heading> {
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.take(&["OR", "REPLACE"]);
    if !cursor.take(&["TEMPORARY"]) {
        cursor.take(&["TEMP"]);
    }
    cursor.expect(kind)?;
    let start = cursor.location();
    let if_not_exists = cursor.take(&["IF", "NOT", "EXISTS"]);
    if or_replace && if_not_exists {
        return Err(
            Error::syntax("OR REPLACE and IF NOT EXISTS exclude each other")
                .with_span(Some(cursor.span_from(start)))
                .with_hint("Keep one of the two."),
        );
    }
    Ok(Heading {
        name: cursor.name(expected)?,
        or_replace,
        if_not_exists,
    })
}

/// Reads `[(columns)]` and the clauses after it, in any order, to the end of the statement.
fn parse_declaration(cursor: &mut Cursor<'_>, heading: Heading) -> Result<TableDeclaration> {
    let columns_at = cursor.location();
    let columns = parse_column_list(cursor)?;
    let mut declaration = declare(heading, columns);
    let mut has_options = false;
    loop {
        let start = cursor.location();
        let slot = if cursor.take(&["WITH"]) {
            declaration.options = parse_options(cursor, Between::EqualsSign)?;
            if std::mem::replace(&mut has_options, true) {
                return Err(twice("WITH", cursor, start));
            }
            continue;
        } else if cursor.take(&["COMMENT"]) {
            cursor.take_sign(&Token::Eq);
            cursor.string("a quoted comment")?;
            continue;
        } else if cursor.at(&["INFER"]) {
            let infer = parse_infer(cursor, columns_at, &declaration)?;
            if declaration.infer.replace(infer).is_some() {
                return Err(twice("INFER", cursor, start));
            }
            continue;
        } else if cursor.take(&["PARTITIONED", "BY"]) {
            let columns = parse_names(cursor)?;
            if !declaration.partitioned_by.is_empty() {
                return Err(twice("PARTITIONED BY", cursor, start));
            }
            declaration.partitioned_by = columns;
            continue;
        } else if cursor.take(&["FORMAT"]) || cursor.take(&["VALUE", "FORMAT"]) {
            &mut declaration.format
        } else if cursor.take(&["KEY", "FORMAT"]) || cursor.take(&["KEY", "ENCODE"]) {
            &mut declaration.key_format
        } else {
            break;
        };
        let format = parse_format(cursor)?;
        if slot.replace(format).is_some() {
            return Err(twice("FORMAT", cursor, start));
        }
    }
    refuse_clauses(cursor)?;
    cursor.expect_end("WITH, FORMAT, KEY FORMAT or the end of the statement")?;
    Ok(declaration)
}

/// A declaration without options.
pub(super) fn declare(heading: Heading, columns: ColumnList) -> TableDeclaration {
    TableDeclaration {
        name: heading.name,
        or_replace: heading.or_replace,
        if_not_exists: heading.if_not_exists,
        columns: columns.columns,
        watermark: columns.watermark,
        primary_key: columns.primary_key,
        partitioned_by: Vec::new(),
        options: Vec::new(),
        format: None,
        key_format: None,
        infer: None,
    }
}

fn twice(clause: &str, cursor: &Cursor<'_>, start: Location) -> Error {
    Error::syntax(format!("{clause} is there twice"))
        .with_span(Some(cursor.span_from(start)))
        .with_hint("Keep one of the two.")
}

/// # Errors
/// If a clause follows that is known and not understood.
fn refuse_clauses(cursor: &Cursor<'_>) -> Result<()> {
    let span = Some(span_from_tokens(cursor.peek().span));
    if cursor.at(&["AS"]) || cursor.at(&["FROM"]) {
        return Err(Error::unsupported(
            "creating a table and its query in one statement is not there yet",
        )
        .with_span(span)
        .with_hint("Name the columns, and fill the table with INSERT INTO … SELECT …."));
    }
    match NO_CLAUSES.iter().find(|words| cursor.at(words)) {
        None => Ok(()),
        Some(words) => Err(Error::unsupported(format!(
            "the clause {} is not there yet",
            words.join(" ")
        ))
        .with_span(span)),
    }
}

/// Whether `CREATE TABLE` declares a table of headwater's: `WITH (…)` names a connector, or the
/// columns have a watermark, which no table of DataFusion's has.
fn has_connector(tokens: &[TokenWithSpan]) -> bool {
    let solid: Vec<_> = tokens.iter().filter(|t| !is_blank(t)).collect();
    let mut depth = 0_usize;
    let mut in_with = false;
    for pair in solid.windows(2) {
        let [token, next] = pair else { continue };
        let word = plain_word(&token.token);
        match (&token.token, word.as_deref(), depth) {
            (Token::LParen, ..) => depth += 1,
            (Token::RParen, ..) => {
                depth = depth.saturating_sub(1);
                in_with = in_with && depth > 0;
            }
            (_, Some("AS"), 0) => return false,
            (_, Some("WITH"), 0) => in_with = next.token == Token::LParen,
            (key, _, 1) if in_with && next.token == Token::Eq && is_connector_key(key) => {
                return true;
            }
            (_, Some("WATERMARK"), 1)
                if !in_with && plain_word(&next.token).as_deref() == Some("FOR") =>
            {
                return true;
            }
            _ => {}
        }
    }
    false
}

fn is_connector_key(token: &Token) -> bool {
    let text = match token {
        Token::Word(word) => &word.value,
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => text,
        _ => return false,
    };
    text.eq_ignore_ascii_case("connector")
}

/// Reads `CREATE STREAMING QUERY q [WITH (…)] AS INSERT INTO …`.
fn parse_streaming_query(cursor: &mut Cursor<'_>) -> Result<Statement> {
    let heading = parse_heading(cursor, &["STREAMING", "QUERY"], "the name of the query")?;
    let options = if cursor.take(&["WITH"]) {
        parse_options(cursor, Between::EqualsSign)?
    } else {
        Vec::new()
    };
    cursor.expect(&["AS"])?;
    if !cursor.at(&["INSERT"]) {
        return Err(cursor.expected("INSERT INTO").with_hint(
            "A streaming query writes to a sink: … AS INSERT INTO sink SELECT …. \
             SELECT STREAM … prints to the console.",
        ));
    }
    Ok(Statement::CreateStreamingQuery(CreateStreamingQuery {
        name: heading.name,
        or_replace: heading.or_replace,
        if_not_exists: heading.if_not_exists,
        options,
        query: parse_insert_query(cursor)?,
    }))
}
