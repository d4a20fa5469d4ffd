//! The list of columns of a declaration, with watermark and primary key.

use datafusion::sql::sqlparser::ast::DataType;
use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::error::Span;
use headwater_core::{Error, Result};

use crate::ast::{ColumnDefinition, ColumnKind, Name, WatermarkClause, span_from_tokens};

use super::cursor::Cursor;

/// What a list of columns says.
#[derive(Debug, Default)]
pub(super) struct ColumnList {
    /// Columns in order.
    pub(super) columns: Vec<ColumnDefinition>,
    /// `WATERMARK FOR …`.
    pub(super) watermark: Option<WatermarkClause>,
    /// Columns of `PRIMARY KEY`.
    pub(super) primary_key: Vec<Name>,
}

/// Constraints that a stream cannot keep, by their first words.
const NO_CONSTRAINTS: &[&[&str]] = &[
    &["UNIQUE"],
    &["CHECK"],
    &["DEFAULT"],
    &["REFERENCES"],
    &["FOREIGN", "KEY"],
];

/// Reads the list if there is one.
///
/// # Errors
/// If it cannot be read.
pub(super) fn parse_column_list(cursor: &mut Cursor<'_>) -> Result<ColumnList> {
    let mut list = ColumnList::default();
    if !cursor.take_sign(&Token::LParen) {
        return Ok(list);
    }
    loop {
        parse_entry(cursor, &mut list)?;
        if cursor.take_sign(&Token::RParen) {
            return Ok(list);
        }
        refuse_constraints(cursor)?;
        cursor.expect_sign(&Token::Comma, "\",\" or \")\" after a column")?;
    }
}

/// Reads columns up to the end of the text.
///
/// # Errors
/// If they cannot be read, or are more than columns.
pub(super) fn parse_payload_columns(cursor: &mut Cursor<'_>) -> Result<Vec<ColumnDefinition>> {
    let mut list = ColumnList::default();
    loop {
        let start = cursor.location();
        parse_column(cursor, &mut list)?;
        if !list.primary_key.is_empty() {
            return Err(Error::unsupported("there is no PRIMARY KEY here")
                .with_span(Some(cursor.span_from(start)))
                .with_hint("Leave it out."));
        }
        if !cursor.take_sign(&Token::Comma) {
            cursor.expect_end("\",\" or the end after a column")?;
            return Ok(list.columns);
        }
    }
}

fn parse_entry(cursor: &mut Cursor<'_>, list: &mut ColumnList) -> Result<()> {
    let start = cursor.location();
    if cursor.take(&["WATERMARK", "FOR"]) {
        let column = cursor.any_name("the name of the event-time column")?;
        cursor.expect(&["AS"])?;
        let expr = cursor.parse(|p| p.parse_expr())?;
        let span = cursor.span_from(start);
        let clause = WatermarkClause { column, expr, span };
        return match list.watermark.replace(clause) {
            None => Ok(()),
            Some(_) => Err(twice("the watermark", span)),
        };
    }
    if cursor.at(&["CONSTRAINT"]) && cursor.word(2).as_deref() == Some("PRIMARY") {
        cursor.take(&["CONSTRAINT"]);
        cursor.any_name("the name of the constraint")?;
    }
    if cursor.take(&["PRIMARY", "KEY"]) {
        let columns = parse_names(cursor)?;
        cursor.take(&["NOT", "ENFORCED"]);
        return set_primary_key(list, columns, cursor.span_from(start));
    }
    refuse_constraints(cursor)?;
    parse_column(cursor, list)
}

fn parse_column(cursor: &mut Cursor<'_>, list: &mut ColumnList) -> Result<()> {
    let start = cursor.location();
    let name = cursor.any_name("a column name")?;
    let data_type = if cursor.at_as() {
        DataType::Unspecified
    } else if !matches!(cursor.peek_nth(0), Token::Word(_)) {
        return Err(cursor.expected(&format!("the type of column \"{}\"", name.value)));
    } else {
        cursor.data_type()?
    };
    let mut kind = None;
    let mut not_null = None;
    loop {
        let here = cursor.location();
        if cursor.take(&["NOT", "NULL"]) {
            not_null = Some(cursor.span_from(here));
        } else if cursor.take(&["PRIMARY", "KEY"]) {
            cursor.take(&["NOT", "ENFORCED"]);
            set_primary_key(list, vec![name.clone()], cursor.span_from(here))?;
        } else if cursor.take(&["COMMENT"]) {
            cursor.string("a quoted comment")?;
        } else if let Some(found) = parse_kind(cursor, &name)? {
            if kind.replace(found).is_some() {
                let what = format!("the origin of column \"{}\"", name.value);
                return Err(twice(&what, cursor.span_from(here)));
            }
        } else if !cursor.take(&["NULL"]) {
            break;
        }
    }
    let kind = match (kind, not_null) {
        (None, not_null) => ColumnKind::Payload {
            not_null: not_null.is_some(),
        },
        (Some(kind), None) => kind,
        (Some(_), Some(span)) => return Err(refuse_not_null(&name, span)),
    };
    if list
        .columns
        .iter()
        .any(|known| known.name.value == name.value)
    {
        let what = format!("column \"{}\"", name.value);
        return Err(twice(&what, name.span));
    }
    list.columns.push(ColumnDefinition {
        name,
        data_type,
        kind,
        span: cursor.span_from(start),
    });
    Ok(())
}

fn refuse_not_null(column: &Name, span: Span) -> Error {
    Error::unsupported(format!("column \"{}\" cannot be NOT NULL", column.value))
        .with_span(Some(span))
        .with_hint("NOT NULL belongs to columns of the record's value.")
}

/// Reads `METADATA [FROM 'key'] [VIRTUAL]` or `[GENERATED ALWAYS] AS expr [STORED | VIRTUAL]`.
fn parse_kind(cursor: &mut Cursor<'_>, column: &Name) -> Result<Option<ColumnKind>> {
    if cursor.take(&["METADATA"]) {
        let from = if cursor.take(&["FROM"]) {
            cursor.string("the quoted name of the metadata")?
        } else {
            column.value.clone()
        };
        cursor.take(&["VIRTUAL"]);
        return Ok(Some(ColumnKind::Metadata { from }));
    }
    if cursor.take(&["AS"]) || cursor.take(&["GENERATED", "ALWAYS", "AS"]) {
        let start = cursor.location();
        let expr = Box::new(cursor.parse(|p| p.parse_expr())?);
        // sqlparser reads `a + b NOT NULL` as `(a + b) IS NOT NULL`.
        if cursor.has_passed_not_null(start) {
            return Err(refuse_not_null(column, cursor.span_from(start)));
        }
        if !cursor.take(&["STORED"]) {
            cursor.take(&["VIRTUAL"]);
        }
        return Ok(Some(ColumnKind::Generated { expr }));
    }
    Ok(None)
}

/// Reads names in parentheses.
///
/// # Errors
/// If they cannot be read.
pub(super) fn parse_names(cursor: &mut Cursor<'_>) -> Result<Vec<Name>> {
    cursor.expect_sign(&Token::LParen, "\"(\"")?;
    let mut names = Vec::new();
    loop {
        names.push(cursor.any_name("a column name")?);
        if cursor.take_sign(&Token::RParen) {
            return Ok(names);
        }
        cursor.expect_sign(&Token::Comma, "\",\" or \")\" after a column name")?;
    }
}

fn set_primary_key(list: &mut ColumnList, columns: Vec<Name>, span: Span) -> Result<()> {
    if !list.primary_key.is_empty() {
        return Err(twice("the primary key", span));
    }
    list.primary_key = columns;
    Ok(())
}

fn refuse_constraints(cursor: &Cursor<'_>) -> Result<()> {
    let Some(words) = NO_CONSTRAINTS.iter().find(|words| cursor.at(words)) else {
        return Ok(());
    };
    // A column may be called `unique`: then its type follows, not a list or a value.
    let next = cursor.peek_nth(words.len());
    let is_name = words.len() == 1 && matches!(next, Token::Word(w) if w.quote_style.is_none());
    if is_name && !cursor.at(&["DEFAULT"]) {
        return Ok(());
    }
    let message = format!("a stream cannot keep the constraint {}", words.join(" "));
    let span = span_from_tokens(cursor.peek().span);
    Err(Error::unsupported(message)
        .with_span(Some(span))
        .with_hint("Leave it out; PRIMARY KEY and NOT NULL are understood."))
}

fn twice(what: &str, span: Span) -> Error {
    Error::syntax(format!("{what} is declared twice")).with_span(Some(span))
}
