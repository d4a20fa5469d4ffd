//! Statements and clauses that are recognised and refused, so that the message can say so.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use headwater_core::{Error, Result};

use crate::ast::span_from_tokens;

use super::cursor::Cursor;
use super::script::{is_blank, plain_word};

/// First words, how messages call the statement, and what to do instead.
const STATEMENTS: &[(&[&str], &str, &str)] = &[
    (
        &["CREATE", "MATERIALIZED", "VIEW"],
        "CREATE MATERIALIZED VIEW",
        "Write the result to a sink with CREATE STREAMING QUERY … AS INSERT INTO ….",
    ),
    (
        &["DROP", "MATERIALIZED", "VIEW"],
        "DROP MATERIALIZED VIEW",
        "There are no materialized views to drop.",
    ),
    (
        &["CREATE", "STREAMING", "TABLE"],
        "CREATE STREAMING TABLE",
        "Create a sink, and fill it with CREATE STREAMING QUERY … AS INSERT INTO ….",
    ),
    (
        &["CREATE", "STREAMING", "VIEW"],
        "CREATE STREAMING VIEW",
        "Use CREATE VIEW: a view over a source is read by streaming queries too.",
    ),
    (
        &["PAUSE", "STREAMING", "QUERY"],
        "PAUSE STREAMING QUERY",
        "Use STOP STREAMING QUERY and START STREAMING QUERY: a query goes on where it stopped.",
    ),
    (
        &["RESUME", "STREAMING", "QUERY"],
        "RESUME STREAMING QUERY",
        "Use START STREAMING QUERY: a query goes on where it stopped.",
    ),
    (
        &["ALTER", "STREAMING", "QUERY"],
        "ALTER STREAMING QUERY",
        "Use CREATE OR REPLACE STREAMING QUERY.",
    ),
    (
        &["BEGIN", "STATEMENT", "SET"],
        "BEGIN STATEMENT SET",
        "Write the INSERT statements one after the other: queries of a script run side by side.",
    ),
    (
        &["EXECUTE", "STATEMENT", "SET"],
        "EXECUTE STATEMENT SET",
        "Write the INSERT statements one after the other: queries of a script run side by side.",
    ),
    (
        &["SHOW", "TOPICS"],
        "SHOW TOPICS",
        "Run headwater kafka topics: the command lists the topics of a broker.",
    ),
];

/// # Errors
/// If the statement, or a clause in it, is known and not there yet.
pub(super) fn refuse_what_is_not_there_yet(cursor: &Cursor<'_>) -> Result<()> {
    let mut words: Vec<String> = (0..6).map_while(|n| cursor.word(n)).collect();
    // `CREATE OR REPLACE` and `CREATE OR REFRESH` create what `CREATE` creates.
    if words.get(1).is_some_and(|word| word == "OR") && words.len() > 2 {
        words.drain(1..3);
    }
    for (first_words, statement, hint) in STATEMENTS {
        let is_this =
            words.len() >= first_words.len() && first_words.iter().zip(&words).all(|(a, b)| a == b);
        if is_this {
            return Err(Error::unsupported(format!("{statement} is not there yet"))
                .with_span(Some(cursor.statement().span()))
                .with_hint(*hint));
        }
    }
    refuse_patterns(cursor.statement().tokens())?;
    refuse_versions(cursor.statement().tokens())
}

/// DataFusion's planner would print the clause as its parser keeps it.
fn refuse_patterns(tokens: &[TokenWithSpan]) -> Result<()> {
    let solid: Vec<_> = tokens.iter().filter(|t| !is_blank(t)).collect();
    let is_clause = |two: &&[&TokenWithSpan]| {
        let word = plain_word(&two[0].token);
        word.as_deref() == Some("MATCH_RECOGNIZE") && two[1].token == Token::LParen
    };
    match solid.windows(2).find(is_clause) {
        None => Ok(()),
        Some(two) => Err(Error::unsupported("MATCH_RECOGNIZE is not there yet")
            .with_span(Some(span_from_tokens(two[0].span)))
            .with_hint(
                "Compare a row with those before it: lag(x) OVER (PARTITION BY k ORDER BY ts).",
            )),
    }
}

/// DataFusion's planner would read the latest version and say nothing.
fn refuse_versions(tokens: &[TokenWithSpan]) -> Result<()> {
    let solid: Vec<_> = tokens.iter().filter(|t| !is_blank(t)).collect();
    for four in solid.windows(4) {
        let words = four.iter().map(|t| plain_word(&t.token));
        let wanted = ["FOR", "SYSTEM_TIME", "AS", "OF"].map(|w| Some(w.to_string()));
        if words.eq(wanted)
            && let [first, .., last] = four
        {
            let span = first.span.start.span_to(last.span.end);
            return Err(
                Error::unsupported("a join with FOR SYSTEM_TIME AS OF is not there yet")
                    .with_span(Some(span_from_tokens(span)))
                    .with_hint("Join the table as it is, without a version."),
            );
        }
    }
    Ok(())
}
