//! `MAP(k, v)` beside `MAP<k, v>`, as different systems write the type, and Flink's `ROW(…)` and
//! `ROW<…>` for STRUCT: sqlparser reads one of them only, so the parentheses of the first become the
//! brackets of the second, and the word that of the type.
//!
//! ```text
//! STRUCT<a MAP(VARCHAR, DECIMAL(10, 2))>  ─►  STRUCT<a MAP<VARCHAR, DECIMAL(10, 2)>>
//! ROW(a INT, b ROW<c INT>)                ─►  STRUCT<a INT, b STRUCT<c INT>>
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::script::{is_blank, plain_word};

/// The parentheses of maps and rows, and the word of the latter, in the type with which these tokens
/// begin: their places, and what they become.
pub(super) fn brackets_of_maps<'t>(
    tokens: impl Iterator<Item = (usize, &'t TokenWithSpan)>,
) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    // Of every bracket that is open, whether it is a parenthesis of these.
    let mut open = Vec::new();
    let mut before: Option<(usize, &Token)> = None;
    for (place, token) in tokens.filter(|(_, token)| !is_blank(token)) {
        let is_within = match &token.token {
            Token::LParen => {
                let is_row = is_word(before, "ROW");
                let is_ours = is_row || is_word(before, "MAP");
                open.push(is_ours);
                found.extend(struct_in_place(before.filter(|_| is_row)));
                found.extend(is_ours.then_some((place, Token::Lt)));
                true
            }
            Token::RParen => match open.pop() {
                Some(is_ours) => {
                    found.extend(is_ours.then_some((place, Token::Gt)));
                    true
                }
                None => false,
            },
            Token::Lt => {
                let row = before.filter(|_| is_word(before, "ROW"));
                found.extend(struct_in_place(row));
                open.push(false);
                true
            }
            Token::Gt => open.pop().is_some(),
            Token::ShiftRight => open.pop().and_then(|_| open.pop()).is_some(),
            Token::EOF => false,
            Token::Word(_) | Token::Comma => !open.is_empty() || before.is_none(),
            _ => true,
        };
        if !is_within {
            break;
        }
        before = Some((place, &token.token));
    }
    found
}

fn is_word(token: Option<(usize, &Token)>, word: &str) -> bool {
    let found = token.and_then(|(_, token)| plain_word(token));
    found.as_deref() == Some(word)
}

/// The word STRUCT where a token is.
fn struct_in_place(token: Option<(usize, &Token)>) -> Option<(usize, Token)> {
    token.map(|(place, _)| (place, Token::make_word("STRUCT", None)))
}
