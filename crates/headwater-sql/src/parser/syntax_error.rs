//! sqlparser's messages in headwater's words, with the place taken out of the text, and hints
//! for misspelt first words.

use datafusion::error::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, TokenizerError};
use headwater_core::error::Span;
use headwater_core::options::nearest;
use headwater_core::{Error, ErrorKind};

use crate::ast::span_from_tokens;

use super::script::StatementTokens;

/// An error of the tokenizer: it knows its place.
pub(super) fn from_tokenizer(error: &TokenizerError) -> Error {
    Error::syntax(lower_first(&error.message)).with_span(Some(one_character(error.location)))
}

/// An error of sqlparser: the place is in its text.
pub(super) fn from_parser(error: &ParserError, statement: &StatementTokens<'_>) -> Error {
    let text = match error {
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
        ParserError::RecursionLimitExceeded => {
            return Error::syntax("statement is nested too deeply")
                .with_span(Some(statement.span()))
                .with_hint("Split it with WITH or a view.");
        }
    };
    let (text, location) = split_location(text);
    let Some((expected, found)) = split_expectation(text) else {
        let place = location.map(|at| place_of(at, statement));
        return Error::syntax(lower_first(text))
            .with_span(place.or_else(|| Some(statement.span())));
    };
    let token = location.and_then(|at| token_at(at, statement));
    match (token, location) {
        (Some(token), _) => expected_but_found(expected, token),
        (None, _) if found == "EOF" => expected_but_found(expected, statement.terminator()),
        (None, location) => {
            let message = format!("expected {}, found \"{found}\"", in_words(expected));
            let place = location.map(one_character);
            Error::syntax(message).with_span(place.or_else(|| Some(statement.span())))
        }
    }
}

/// An error of DataFusion's parser, which wraps sqlparser's.
pub(super) fn from_datafusion(error: &DataFusionError, statement: &StatementTokens<'_>) -> Error {
    match error.find_root() {
        DataFusionError::SQL(inner, _) => from_parser(inner, statement),
        _ => Error::from_datafusion(error).with_span(Some(statement.span())),
    }
}

/// `expected …, found …`, placed at what was found.
pub(super) fn expected_but_found(expected: &str, found: &TokenWithSpan) -> Error {
    let what = match &found.token {
        Token::EOF => "the end of the text".to_string(),
        token => format!("\"{token}\""),
    };
    Error::syntax(format!("expected {}, found {what}", in_words(expected)))
        .with_span(Some(span_from_tokens(found.span)))
}

/// Splits `… at Line: 3, Column: 7` into the message and the place.
fn split_location(text: &str) -> (&str, Option<Location>) {
    let Some((message, place)) = text.rsplit_once(" at Line: ") else {
        return (text, None);
    };
    let location = place.split_once(", Column: ").and_then(|(line, column)| {
        Some(Location {
            line: line.trim().parse().ok()?,
            column: column.trim().parse().ok()?,
        })
    });
    (message, location)
}

/// Splits `Expected: a name, found: FROM` into its two halves.
fn split_expectation(text: &str) -> Option<(&str, &str)> {
    let rest = text.strip_prefix("Expected: ").or_else(|| {
        // Some of sqlparser's messages leave the colons out.
        text.strip_prefix("Expected ")
    })?;
    rest.rsplit_once(", found: ")
        .or_else(|| rest.rsplit_once(", found "))
        .map(|(expected, found)| (expected.trim_end_matches(','), found))
}

/// What was expected, as a sentence has it: signs in quotes, nouns with an article.
fn in_words(expected: &str) -> String {
    match expected {
        "identifier" => "an identifier".to_string(),
        "literal string" => "a quoted string".to_string(),
        "end of statement" | "end of statement or ;" => "the end of the statement".to_string(),
        quoted if quoted.starts_with('"') => quoted.to_string(),
        sign if !sign.chars().any(char::is_alphanumeric) => format!("\"{sign}\""),
        words => lower_first(words),
    }
}

fn token_at<'s>(at: Location, statement: &StatementTokens<'s>) -> Option<&'s TokenWithSpan> {
    statement.tokens().iter().find(|t| t.span.start == at)
}

fn place_of(at: Location, statement: &StatementTokens<'_>) -> Span {
    token_at(at, statement).map_or_else(|| one_character(at), |t| span_from_tokens(t.span))
}

fn one_character(at: Location) -> Span {
    Span {
        line: at.line,
        column: at.column,
        end_line: at.line,
        end_column: at.column + 1,
    }
}

/// Lowers the first letter unless the first word is an abbreviation or a keyword.
fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(first), second) if second.is_none_or(|c| !c.is_uppercase()) => {
            first.to_lowercase().collect::<String>() + text.get(first.len_utf8()..).unwrap_or("")
        }
        _ => text.to_string(),
    }
}

/// Words a statement can begin with.
const FIRST_WORDS: &[&str] = &[
    "ALTER", "ANALYZE", "BEGIN", "COMMIT", "COPY", "CREATE", "DELETE", "DESCRIBE", "DROP",
    "EXECUTE", "EXPLAIN", "FROM", "INSERT", "PAUSE", "PREPARE", "RESET", "RESUME", "ROLLBACK",
    "SELECT", "SET", "SHOW", "START", "STOP", "TRUNCATE", "UPDATE", "USE", "VALUES", "WITH",
];

/// Words that can follow `CREATE [OR REPLACE] [TEMPORARY]`, `DROP` and `ALTER`.
const OBJECT_WORDS: &[&str] = &[
    "CATALOG",
    "DATABASE",
    "EXTERNAL",
    "FUNCTION",
    "INDEX",
    "MATERIALIZED",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "SINK",
    "SOURCE",
    "STREAMING",
    "TABLE",
    "TYPE",
    "UNBOUNDED",
    "VIEW",
];

/// Words that say more about `CREATE` and are followed by what it creates.
const CREATE_MODIFIERS: &[&str] = &["OR", "REPLACE", "REFRESH", "TEMP", "TEMPORARY", "GLOBAL"];

/// Adds `Did you mean …?` to a syntax error if one of the first words is nearly a known one.
pub(super) fn with_spelling_hint(error: Error, statement: &StatementTokens<'_>) -> Error {
    if error.kind() != ErrorKind::Syntax || error.hint().is_some() {
        return error;
    }
    let words: Vec<_> = statement.leading_words().take(6).collect();
    let mut words = words.iter().map(String::as_str);
    let Some(first) = words.next() else {
        return error;
    };
    let object = words.find(|w| !CREATE_MODIFIERS.contains(w));
    let suspect = match (first, object) {
        ("CREATE" | "DROP" | "ALTER", Some(object)) => (object, OBJECT_WORDS),
        ("START" | "STOP" | "PAUSE" | "RESUME", Some(object)) => (object, &["STREAMING"][..]),
        _ => (first, FIRST_WORDS),
    };
    let (word, known) = suspect;
    match nearest(word, known.iter().copied()) {
        Some(meant) if !known.contains(&word) => {
            error.with_hint(format!("Did you mean \"{meant}\"?"))
        }
        _ => error,
    }
}
