//! `CREATE [UNBOUNDED] EXTERNAL TABLE … STORED AS KAFKA`: DataFusion's way to declare a source.
//!
//! The location is where the topic is, and the watermark is an option, so that the statement is
//! one that DataFusion's own parser takes too:
//! `LOCATION 'kafka://host:9092/topic' OPTIONS ('watermark' 'ts - INTERVAL ''10 seconds''')`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, visit_expressions};
use datafusion::sql::sqlparser::parser::Parser;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use headwater_core::error::Span;
use headwater_core::{Error, Result};

use crate::ast::{Name, TableDeclaration, WatermarkClause, span_from_tokens};
use crate::dialect::HeadwaterDialect;

use super::columns::parse_column_list;
use super::create::{Heading, declare};
use super::cursor::Cursor;
use super::option_list::{Between, parse_options};
use super::script::{is_blank, plain_word};

/// Whether `STORED AS KAFKA` is among the clauses.
pub(super) fn is_kafka_table(tokens: &[TokenWithSpan]) -> bool {
    let solid: Vec<_> = tokens.iter().filter(|t| !is_blank(t)).collect();
    let stored = ["STORED", "AS", "KAFKA"].map(|w| Some(w.to_string()));
    solid.windows(3).any(|three| {
        three
            .iter()
            .map(|t| plain_word(&t.token))
            .eq(stored.clone())
    })
}

/// Reads the whole statement.
///
/// # Errors
/// If it cannot be read, or the location is no broker and topic.
pub(super) fn parse_kafka_table(cursor: &mut Cursor<'_>) -> Result<TableDeclaration> {
    let heading = parse_heading(cursor)?;
    let columns = parse_column_list(cursor)?;
    let mut declaration = declare(heading, columns);
    let mut location = None;
    let mut options = Vec::new();
    loop {
        if cursor.take(&["STORED", "AS"]) {
            cursor.expect(&["KAFKA"])?;
        } else if cursor.take(&["LOCATION"]) {
            let span = span_from_tokens(cursor.peek().span);
            location = Some((cursor.string("a quoted location")?, span));
        } else if cursor.take(&["OPTIONS"]) {
            options = parse_options(cursor, Between::Nothing)?;
        } else {
            break;
        }
    }
    cursor.expect_end("STORED AS KAFKA, LOCATION, OPTIONS or the end of the statement")?;
    declaration.options = vec![("connector".to_string(), "kafka".to_string())];
    if let Some((location, span)) = location {
        declaration.options.extend(read_location(&location, span)?);
    }
    for (key, value) in options {
        if key.eq_ignore_ascii_case("watermark") {
            let span = cursor.statement().span();
            if declaration.watermark.is_some() {
                return Err(Error::syntax("the watermark is declared twice").with_span(Some(span)));
            }
            declaration.watermark = Some(read_watermark(&value, span)?);
            continue;
        }
        let known = &declaration.options;
        if known.iter().any(|(k, _)| k.eq_ignore_ascii_case(&key)) {
            return Err(
                Error::configuration(format!("option \"{key}\" is given twice"))
                    .with_span(Some(cursor.statement().span()))
                    .with_detail("STORED AS KAFKA and LOCATION give the connector, the broker and the topic."),
            );
        }
        declaration.options.push((key, value));
    }
    Ok(declaration)
}

fn parse_heading(cursor: &mut Cursor<'_>) -> Result<Heading> {
    cursor.expect(&["CREATE"])?;
    let or_replace = cursor.take(&["OR", "REPLACE"]);
    cursor.take(&["UNBOUNDED"]);
    cursor.expect(&["EXTERNAL", "TABLE"])?;
    let if_not_exists = cursor.take(&["IF", "NOT", "EXISTS"]);
    Ok(Heading {
        name: cursor.name("the name of the table")?,
        or_replace,
        if_not_exists,
    })
}

/// `kafka://host:9092,other:9092/topic` as options.
fn read_location(location: &str, span: Span) -> Result<Vec<(String, String)>> {
    let parts = location
        .strip_prefix("kafka://")
        .and_then(|rest| rest.split_once('/'))
        .filter(|(servers, topic)| !servers.is_empty() && !topic.is_empty());
    let Some((servers, topic)) = parts else {
        return Err(
            Error::configuration(format!("\"{location}\" is not the location of a topic"))
                .with_span(Some(span))
                .with_hint("Write 'kafka://host:9092/topic'."),
        );
    };
    Ok(vec![
        ("bootstrap.servers".to_string(), servers.to_string()),
        ("topic".to_string(), topic.to_string()),
    ])
}

/// Reads `ts - INTERVAL '10 seconds'`; the one column in it is the event-time column.
fn read_watermark(text: &str, span: Span) -> Result<WatermarkClause> {
    let refuse = |detail: String| {
        Error::configuration(format!("\"{text}\" is not a watermark"))
            .with_detail(detail)
            .with_span(Some(span))
            .with_hint("Write 'ts - INTERVAL ''10 seconds''', with the name of your column.")
    };
    // Places in the option's text mean nothing in the script, so tokens without places are read.
    let tokens = Tokenizer::new(&HeadwaterDialect, text)
        .tokenize()
        .map_err(|e| refuse(e.to_string()))?;
    let mut parser = Parser::new(&HeadwaterDialect).with_tokens(tokens);
    let expr = parser.parse_expr().map_err(|e| refuse(e.to_string()))?;
    if parser.peek_token_ref().token != Token::EOF {
        return Err(refuse("Something follows the expression.".to_string()));
    }
    let mut names: Vec<Name> = Vec::new();
    let _ = visit_expressions(&expr, |part| {
        if let Expr::Identifier(ident) = part {
            let name = Name::from_ident(ident);
            if !names.iter().any(|n| n.value == name.value) {
                names.push(name);
            }
        }
        ControlFlow::<()>::Continue(())
    });
    match names.as_slice() {
        [name] => Ok(WatermarkClause {
            column: Name {
                value: name.value.clone(),
                folded_from: None,
                span,
            },
            expr,
            span,
        }),
        _ => Err(refuse("It must name one column.".to_string())),
    }
}
