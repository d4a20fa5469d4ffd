//! A cursor over the tokens of one statement: sqlparser's parser for what SQL has, word by word
//! reading for what headwater adds.

use datafusion::common::DataFusionError;
use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::ast::{DataType, Ident};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Token, TokenWithSpan};
use headwater_core::error::Span;
use headwater_core::{Error, Result};

use crate::ast::{Name, Statement, span_from_tokens};
use crate::dialect::HeadwaterDialect;

use super::map_type::brackets_of_maps;
use super::query::without_stream_words;
use super::script::{StatementTokens, is_blank, plain_word};
use super::syntax_error;

/// Words that begin a clause and therefore are no names of objects unless quoted.
const NO_NAMES: &[&str] = &["AS", "FROM", "IF", "INSERT", "INTO", "SELECT", "WITH"];

/// A position in a statement.
pub(super) struct Cursor<'s> {
    statement: &'s StatementTokens<'s>,
    parser: Parser<'static>,
    has_stream: bool,
}

impl<'s> Cursor<'s> {
    /// Stands before the first word.
    pub(super) fn new(statement: &'s StatementTokens<'s>) -> Self {
        let tokens = without_stream_words(statement.tokens());
        let has_stream = tokens.len() < statement.tokens().len();
        Cursor {
            statement,
            parser: Parser::new(&HeadwaterDialect).with_tokens_with_locations(tokens),
            has_stream,
        }
    }

    /// The statement as a whole.
    pub(super) fn statement(&self) -> &'s StatementTokens<'s> {
        self.statement
    }

    /// Whether a `SELECT` of the statement is followed by `STREAM`; the cursor passes over it.
    pub(super) fn has_stream(&self) -> bool {
        self.has_stream
    }

    /// The next token; at the end, what ends the statement.
    pub(super) fn peek(&self) -> &TokenWithSpan {
        match self.parser.peek_token_ref() {
            token if token.token == Token::EOF => self.statement.terminator(),
            token => token,
        }
    }

    /// The `n`-th token from here, comments and blanks not counted.
    pub(super) fn peek_nth(&self, n: usize) -> &Token {
        &self.parser.peek_nth_token_ref(n).token
    }

    /// The `n`-th token from here as a word without quotes, in upper case.
    pub(super) fn word(&self, n: usize) -> Option<String> {
        plain_word(self.peek_nth(n))
    }

    /// Where the next token begins.
    pub(super) fn location(&self) -> Location {
        self.peek().span.start
    }

    /// Whether these words come next.
    pub(super) fn at(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| self.word(n).as_deref() == Some(word))
    }

    /// Passes over these words if they come next.
    pub(super) fn take(&mut self, words: &[&str]) -> bool {
        let found = self.at(words);
        if found {
            words.iter().for_each(|_| self.parser.advance_token());
        }
        found
    }

    /// Passes over these words.
    ///
    /// # Errors
    /// If they do not come next.
    pub(super) fn expect(&mut self, words: &[&str]) -> Result<()> {
        for word in words {
            if !self.take(&[word]) {
                return Err(self.expected(&words.join(" ")));
            }
        }
        Ok(())
    }

    /// Passes over a sign if it comes next.
    pub(super) fn take_sign(&mut self, sign: &Token) -> bool {
        self.parser.consume_token(sign)
    }

    /// Passes over a sign.
    ///
    /// # Errors
    /// If it does not come next; `expected` says what was expected.
    pub(super) fn expect_sign(&mut self, sign: &Token, expected: &str) -> Result<()> {
        if self.take_sign(sign) {
            return Ok(());
        }
        Err(self.expected(expected))
    }

    /// Takes the next token whatever it is.
    pub(super) fn next(&mut self) -> TokenWithSpan {
        self.parser.next_token()
    }

    /// Reads the name of an object; `expected` says of what.
    ///
    /// # Errors
    /// If the next token is no name.
    pub(super) fn name(&mut self, expected: &str) -> Result<Name> {
        match self.word(0) {
            Some(word) if NO_NAMES.contains(&word.as_str()) => Err(self.expected(expected)),
            _ => self.any_name(expected),
        }
    }

    /// Reads a name where no clause can begin, so that every word is one.
    ///
    /// # Errors
    /// If the next token is no word.
    pub(super) fn any_name(&mut self, expected: &str) -> Result<Name> {
        let ident = match self.peek() {
            TokenWithSpan {
                token: Token::Word(word),
                span,
            } => word.to_ident(*span),
            TokenWithSpan {
                token: Token::DoubleQuotedString(text),
                span,
            } => Ident::with_quote_and_span('"', *span, text.clone()),
            _ => return Err(self.expected(expected)),
        };
        self.parser.advance_token();
        Ok(Name::from_ident(&ident))
    }

    /// Reads a string in single quotes.
    ///
    /// # Errors
    /// If the next token is none.
    pub(super) fn string(&mut self, expected: &str) -> Result<String> {
        match self.peek_nth(0) {
            Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => {
                let text = text.clone();
                self.parser.advance_token();
                Ok(text)
            }
            _ => Err(self.expected(expected)),
        }
    }

    /// Reads with sqlparser.
    ///
    /// # Errors
    /// What sqlparser says, in headwater's words.
    pub(super) fn parse<T>(
        &mut self,
        read: impl FnOnce(&mut Parser<'static>) -> Result<T, ParserError>,
    ) -> Result<T> {
        read(&mut self.parser).map_err(|e| syntax_error::from_parser(&e, self.statement))
    }

    /// Reads a type.
    ///
    /// # Errors
    /// What sqlparser says, in headwater's words.
    pub(super) fn data_type(&mut self) -> Result<DataType> {
        let at = self.parser.index();
        let ahead = (at..).map(|place| (place, self.parser.token_at(place)));
        let brackets = brackets_of_maps(ahead);
        if !brackets.is_empty() {
            let parser = std::mem::replace(&mut self.parser, Parser::new(&HeadwaterDialect));
            let mut tokens = parser.into_tokens();
            for (place, bracket) in brackets {
                if let Some(token) = tokens.get_mut(place) {
                    token.token = bracket;
                }
            }
            self.parser = Parser::new(&HeadwaterDialect).with_tokens_with_locations(tokens);
            while self.parser.index() < at {
                self.parser.next_token_no_skip();
            }
        }
        self.parse(|p| p.parse_data_type())
    }

    /// From a location to the end of the last token that was passed over.
    pub(super) fn span_from(&self, start: Location) -> Span {
        let mut index = self.parser.index();
        while index > 0 {
            index -= 1;
            let token = self.parser.token_at(index);
            if !is_blank(token) && token.token != Token::EOF {
                return span_from_tokens(start.span_to(token.span.end));
            }
        }
        self.statement.span_from(start)
    }

    /// Whether the last words that were passed over since a location are `NOT NULL`, without `IS`.
    pub(super) fn has_passed_not_null(&self, start: Location) -> bool {
        let (tokens, here) = (self.statement.tokens(), self.location());
        let passed = tokens
            .iter()
            .filter(|t| t.span.start >= start && t.span.start < here);
        let solid: Vec<_> = passed.filter(|t| !is_blank(t)).collect();
        let word = |back: usize| {
            let token = solid.len().checked_sub(back).and_then(|at| solid.get(at));
            token.and_then(|t| plain_word(&t.token))
        };
        word(1).as_deref() == Some("NULL")
            && word(2).as_deref() == Some("NOT")
            && word(3).as_deref() != Some("IS")
    }

    /// Whether the last word that was passed over is this one.
    pub(super) fn has_passed(&self, word: &str) -> bool {
        let mut index = self.parser.index();
        while index > 0 {
            index -= 1;
            let token = self.parser.token_at(index);
            if !is_blank(token) && token.token != Token::EOF {
                return plain_word(&token.token).as_deref() == Some(word);
            }
        }
        false
    }

    /// An error at the next token.
    pub(super) fn expected(&self, what: &str) -> Error {
        syntax_error::expected_but_found(what, self.peek())
    }

    /// # Errors
    /// If something follows; `expected` says what else could stand here.
    pub(super) fn expect_end(&self, expected: &str) -> Result<()> {
        match self.parser.peek_token_ref().token {
            Token::EOF => Ok(()),
            _ => Err(self.expected(expected)),
        }
    }

    /// Hands the rest of the statement on to DataFusion's parser, as it was written.
    ///
    /// # Errors
    /// What DataFusion's parser says, in headwater's words.
    pub(super) fn parse_datafusion(&mut self) -> Result<Statement> {
        let from = self.location();
        let tokens = self.statement.tokens();
        let start = tokens.iter().position(|t| t.span.start == from);
        let rest = tokens.get(start.unwrap_or(0)..).unwrap_or_default();
        let in_words = |e: DataFusionError| syntax_error::from_datafusion(&e, self.statement);
        let mut parser = DFParserBuilder::new(rest.to_vec())
            .with_dialect(&HeadwaterDialect)
            .build()
            .map_err(in_words)?;
        let statement = parser.parse_statement().map_err(in_words)?;
        let left = parser.parser.peek_token_ref();
        if plain_word(&left.token).as_deref() == Some("EMIT") {
            return Err(Error::syntax("this statement has no EMIT clause")
                .with_span(Some(span_from_tokens(left.span)))
                .with_hint("EMIT stands at the end of INSERT INTO … SELECT and of SELECT."));
        }
        if left.token != Token::EOF {
            return Err(syntax_error::expected_but_found("end of statement", left));
        }
        Ok(Statement::DataFusion(Box::new(statement)))
    }

    /// Whether `AS` comes next; sqlparser's data types never begin with it.
    pub(super) fn at_as(&self) -> bool {
        self.parser.peek_keyword(Keyword::AS)
    }
}
