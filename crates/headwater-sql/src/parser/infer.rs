//! `INFER [(sample = n)]`, and where the columns go that are found.

use datafusion::sql::sqlparser::tokenizer::{Location, Token};
use headwater_core::options::OptionReader;
use headwater_core::sample::SampleLimits;
use headwater_core::{Error, Result};

use crate::ast::{InferClause, TableDeclaration};

use super::cursor::Cursor;
use super::option_list::{Between, parse_options};

/// Reads the clause; `columns_at` is where a list of columns could stand.
///
/// # Errors
/// If it cannot be read, or there is a list of columns.
pub(super) fn parse_infer(
    cursor: &mut Cursor<'_>,
    columns_at: Location,
    declaration: &TableDeclaration,
) -> Result<InferClause> {
    let from = cursor.location();
    cursor.expect(&["INFER"])?;
    let pairs = match *cursor.peek_nth(0) {
        Token::LParen => parse_options(cursor, Between::EqualsSign)?,
        _ => Vec::new(),
    };
    let span = cursor.span_from(from);
    let name = &declaration.name.value;
    if !declaration.columns.is_empty() {
        return Err(Error::plan(format!(
            "source \"{name}\" declares columns, and INFER is to find them"
        ))
        .with_span(Some(span))
        .with_hint("Leave INFER out, or the list of columns."));
    }
    let mut options =
        OptionReader::new(format!("INFER of \"{name}\""), &pairs.into_iter().collect());
    let sample = options.take_parsed::<usize>("sample", &[], "a number of records");
    let sample = sample.map_err(|e| e.with_span(Some(span)))?;
    if let Some(wrong) = sample.filter(|n| !(1..=SampleLimits::RECORDS_MAX).contains(n)) {
        let expected = format!("a number from 1 to {}", SampleLimits::RECORDS_MAX);
        let error = options.bad_value("sample", &wrong.to_string(), &expected);
        return Err(error.with_span(Some(span)));
    }
    options.finish().map_err(|e| e.with_span(Some(span)))?;
    let statement = cursor.statement();
    let length = statement.text().len();
    let byte = |at: Location| length.saturating_sub(statement.text_from(at).len());
    // The clause may be the last one: then what follows is the end of the statement.
    let end = byte(cursor.location()).max(byte(from));
    Ok(InferClause {
        sample,
        columns_at: byte(columns_at),
        start: byte(from),
        end,
        span,
    })
}

/// Refuses the clause where nothing is read.
///
/// # Errors
/// If it is there.
pub(super) fn refuse_infer(declaration: &TableDeclaration) -> Result<()> {
    match declaration.infer {
        None => Ok(()),
        Some(infer) => Err(Error::unsupported(format!(
            "the columns of \"{}\" cannot be inferred: INFER is for CREATE SOURCE",
            declaration.name.value
        ))
        .with_hint("Write CREATE SOURCE, or leave INFER out.")
        .with_span(Some(infer.span))),
    }
}
