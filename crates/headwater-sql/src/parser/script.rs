//! A script as tokens, split into statements, and the way back from a token to its text.

use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word};
use headwater_core::Result;
use headwater_core::error::Span;

use crate::ast::span_from_tokens;
use crate::dialect::HeadwaterDialect;

use super::syntax_error;

/// The tokens of a whole script.
#[derive(Debug)]
pub(super) struct Script<'s> {
    sql: &'s str,
    line_starts: Vec<usize>,
    tokens: Vec<TokenWithSpan>,
    end: TokenWithSpan,
}

/// The tokens of one statement, from its first word to its last.
#[derive(Debug)]
pub(super) struct StatementTokens<'s> {
    tokens: &'s [TokenWithSpan],
    terminator: &'s TokenWithSpan,
    end: Location,
    script: &'s Script<'s>,
}

impl<'s> Script<'s> {
    /// # Errors
    /// If a quotation or a comment has no end.
    pub(super) fn read(sql: &'s str) -> Result<Self> {
        let mut tokens = Tokenizer::new(&HeadwaterDialect, sql)
            .tokenize_with_location()
            .map_err(|e| syntax_error::from_tokenizer(&e))?;
        tokens.iter_mut().for_each(read_question_mark);
        let starts = sql.match_indices('\n').map(|(at, _)| at + 1);
        let end = tokens
            .last()
            .map_or(Location { line: 1, column: 1 }, |t| t.span.end);
        Ok(Script {
            sql,
            line_starts: std::iter::once(0).chain(starts).collect(),
            tokens,
            end: TokenWithSpan::at(Token::EOF, end, end),
        })
    }

    /// The statements in order; empty ones are left out.
    pub(super) fn statements(&'s self) -> Vec<StatementTokens<'s>> {
        let mut statements = Vec::new();
        let mut start = 0;
        for (index, token) in self.tokens.iter().enumerate() {
            if token.token == Token::SemiColon {
                statements.extend(self.statement(start, index));
                start = index + 1;
            }
        }
        statements.extend(self.statement(start, self.tokens.len()));
        statements
    }

    fn statement(&'s self, from: usize, to: usize) -> Option<StatementTokens<'s>> {
        let tokens = self.tokens.get(from..to)?;
        let first = tokens.iter().position(|t| !is_blank(t))?;
        let last = tokens.iter().rposition(|t| !is_blank(t))?;
        let after = self.tokens.get(from + last + 1).unwrap_or(&self.end);
        Some(StatementTokens {
            tokens: tokens.get(first..=last)?,
            terminator: self.tokens.get(to).unwrap_or(&self.end),
            end: after.span.start,
            script: self,
        })
    }

    /// The text from one location up to another.
    fn slice(&self, from: Location, to: Location) -> &'s str {
        self.sql
            .get(self.offset(from)..self.offset(to))
            .unwrap_or_default()
    }

    /// The byte at a location; columns count characters.
    fn offset(&self, at: Location) -> usize {
        let line = usize::try_from(at.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let column = usize::try_from(at.column.saturating_sub(1)).unwrap_or(usize::MAX);
        let start = self.line_starts.get(line).copied();
        let start = start.unwrap_or(self.sql.len());
        let rest = self.sql.get(start..).unwrap_or_default();
        let within = rest.char_indices().nth(column).map(|(at, _)| at);
        start + within.unwrap_or(rest.len())
    }
}

impl<'s> StatementTokens<'s> {
    /// The tokens, comments and blanks among them.
    pub(super) fn tokens(&self) -> &'s [TokenWithSpan] {
        self.tokens
    }

    /// What ends the statement: `;` or the end of the script.
    pub(super) fn terminator(&self) -> &'s TokenWithSpan {
        self.terminator
    }

    /// The text of the statement.
    pub(super) fn text(&self) -> &'s str {
        self.script.slice(self.start(), self.end)
    }

    /// The text from a location to the end of the statement.
    pub(super) fn text_from(&self, from: Location) -> &'s str {
        self.script.slice(from, self.end)
    }

    /// Where the statement stands.
    pub(super) fn span(&self) -> Span {
        self.span_from(self.start())
    }

    /// From a location to the end of the statement.
    pub(super) fn span_from(&self, from: Location) -> Span {
        span_from_tokens(from.span_to(self.end))
    }

    /// The words of the statement that are not quoted, in upper case, up to the first other
    /// token.
    pub(super) fn leading_words(&self) -> impl Iterator<Item = String> {
        let solid = self.tokens.iter().filter(|t| !is_blank(t));
        solid.map_while(|t| plain_word(&t.token))
    }

    fn start(&self) -> Location {
        self.tokens
            .first()
            .map_or(self.end, |token| token.span.start)
    }
}

/// Makes an operator of `?`, which asks whether JSON has a key. The generic dialect takes it for a
/// parameter, of which there are none.
fn read_question_mark(token: &mut TokenWithSpan) {
    if matches!(&token.token, Token::Placeholder(name) if name == "?") {
        token.token = Token::Question;
    }
}

/// Whether a token is white space or a comment.
pub(super) fn is_blank(token: &TokenWithSpan) -> bool {
    matches!(token.token, Token::Whitespace(_))
}

/// A word that is not quoted, in upper case.
pub(super) fn plain_word(token: &Token) -> Option<String> {
    match token {
        Token::Word(Word {
            value,
            quote_style: None,
            ..
        }) => Some(value.to_ascii_uppercase()),
        _ => None,
    }
}

/// Whether a text typed line by line is complete: its last statement ends with `;`, outside
/// quotations and comments.
pub fn is_complete(sql: &str) -> bool {
    match Tokenizer::new(&HeadwaterDialect, sql).tokenize() {
        Ok(tokens) => {
            let solid = |t: &&Token| !matches!(t, Token::Whitespace(_));
            tokens.iter().rfind(solid) == Some(&Token::SemiColon)
        }
        // An open quotation waits for its end. Any other error is best shown at once.
        Err(error) => {
            let text = error.message.to_ascii_lowercase();
            let is_open = ["untermin", "unexpected eof", "close delimiter"];
            !is_open.iter().any(|part| text.contains(part)) && sql.trim_end().ends_with(';')
        }
    }
}
