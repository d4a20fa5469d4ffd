//! `WITH (key = value, …)`, `OPTIONS ('key' 'value', …)` and `FORMAT name (key = value, …)`.

use datafusion::sql::sqlparser::tokenizer::Token;
use headwater_core::format::FormatSpec;
use headwater_core::secret::is_secret_key;
use headwater_core::{Error, Result};

use super::cursor::Cursor;

/// What stands between a key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// `key = value`.
    EqualsSign,
    /// `'key' 'value'`, as DataFusion's `OPTIONS` has it; an equals sign is taken too.
    Nothing,
}

/// Words that begin the next clause and so end the name of a format.
const CLAUSE_WORDS: &[&str] = &["AS", "COMMENT", "FORMAT", "INFER", "KEY", "VALUE", "WITH"];

/// Reads a list in parentheses, a comma after the last pair allowed.
///
/// # Errors
/// If it cannot be read, or a key is there twice.
pub(super) fn parse_options(
    cursor: &mut Cursor<'_>,
    between: Between,
) -> Result<Vec<(String, String)>> {
    cursor.expect_sign(&Token::LParen, "\"(\"")?;
    let mut options: Vec<(String, String)> = Vec::new();
    while !cursor.take_sign(&Token::RParen) {
        let start = cursor.location();
        let key = parse_key(cursor)?;
        if options.iter().any(|(k, _)| k.eq_ignore_ascii_case(&key)) {
            return Err(
                Error::configuration(format!("option \"{key}\" is given twice"))
                    .with_span(Some(cursor.span_from(start)))
                    .with_hint("Keep one of the two."),
            );
        }
        let equals = cursor.take_sign(&Token::Eq);
        if !equals && between == Between::EqualsSign {
            return Err(untold(
                &key,
                cursor.expected("\"=\" after the name of an option"),
            ));
        }
        let value = parse_value(cursor).map_err(|error| untold(&key, error))?;
        let is_secret = is_secret_key(&key);
        options.push((key, value));
        if !cursor.take_sign(&Token::Comma) && *cursor.peek_nth(0) != Token::RParen {
            let error = cursor.expected("\",\" or \")\" after an option");
            return Err(if is_secret {
                without_found(&error)
            } else {
                error
            });
        }
    }
    Ok(options)
}

/// An error about the value of an option: of a secret it does not say what was found, which is the
/// secret as likely as not.
fn untold(key: &str, error: Error) -> Error {
    if is_secret_key(key) {
        return without_found(&error);
    }
    error
}

fn without_found(error: &Error) -> Error {
    let message = error.message();
    let told = message
        .split_once(", found ")
        .map_or(message, |(told, _)| told);
    Error::syntax(told).with_span(error.span())
}

/// Reads a key: quoted, or words joined by `.` and `-`.
///
/// # Errors
/// If the next token is no key.
pub(super) fn parse_key(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.peek_nth(0) {
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => {
            let text = text.clone();
            cursor.next();
            Ok(text)
        }
        Token::Word(_) => parse_joined_words(cursor, "the name of an option"),
        _ => Err(cursor.expected("the name of an option")),
    }
}

/// Reads a value: quoted, a number, or words such as `true` and `available-now`.
///
/// # Errors
/// If the next token is no value.
pub(super) fn parse_value(cursor: &mut Cursor<'_>) -> Result<String> {
    match cursor.peek_nth(0) {
        Token::SingleQuotedString(text)
        | Token::DoubleQuotedString(text)
        | Token::EscapedStringLiteral(text) => {
            let text = text.clone();
            cursor.next();
            Ok(text)
        }
        Token::Number(..) | Token::Minus | Token::Plus => parse_number(cursor),
        Token::Word(_) if cursor.at(&["INTERVAL"]) => {
            let interval = cursor.parse(|p| p.parse_expr())?;
            Ok(interval.to_string())
        }
        Token::Word(_) => parse_joined_words(cursor, "a value"),
        _ => Err(cursor.expected("a value: a quoted string, a number or a word")),
    }
}

fn parse_number(cursor: &mut Cursor<'_>) -> Result<String> {
    let sign = if cursor.take_sign(&Token::Minus) {
        "-"
    } else {
        cursor.take_sign(&Token::Plus);
        ""
    };
    match cursor.peek_nth(0) {
        Token::Number(digits, _) => {
            let number = format!("{sign}{digits}");
            cursor.next();
            Ok(number)
        }
        _ => Err(cursor.expected("a number")),
    }
}

/// Words as written, joined by `.` or `-`.
fn parse_joined_words(cursor: &mut Cursor<'_>, expected: &str) -> Result<String> {
    let mut joined = String::new();
    loop {
        match cursor.peek_nth(0) {
            Token::Word(word) => joined.push_str(&word.value),
            Token::Number(digits, _) => joined.push_str(digits),
            _ => return Err(cursor.expected(expected)),
        }
        cursor.next();
        if cursor.take_sign(&Token::Period) {
            joined.push('.');
        } else if cursor.take_sign(&Token::Minus) {
            joined.push('-');
        } else {
            return Ok(joined);
        }
    }
}

/// Reads what follows `FORMAT`: `JSON`, `CSV (header = true)`, `DEBEZIUM JSON`, and
/// `PLAIN ENCODE JSON`. Two words are one name with a hyphen, unless the first is `PLAIN`.
///
/// # Errors
/// If there is no name or its options cannot be read.
pub(super) fn parse_format(cursor: &mut Cursor<'_>) -> Result<FormatSpec> {
    let mut name = cursor.name("the name of a format")?.value;
    let encoding = if cursor.take(&["ENCODE"]) {
        Some(cursor.name("the name of an encoding")?.value)
    } else {
        match cursor.word(0) {
            Some(word) if !CLAUSE_WORDS.contains(&word.as_str()) => {
                Some(cursor.name("the name of a format")?.value)
            }
            _ => None,
        }
    };
    if let Some(encoding) = encoding {
        name = match name.as_str() {
            "plain" => encoding,
            _ => format!("{name}-{encoding}"),
        };
    }
    let mut format = FormatSpec::named(name);
    if *cursor.peek_nth(0) == Token::LParen {
        let options = parse_options(cursor, Between::EqualsSign)?;
        format.options = options.into_iter().collect();
    }
    Ok(format)
}
