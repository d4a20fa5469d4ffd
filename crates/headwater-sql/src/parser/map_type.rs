//! `MAP(k, v)` beside `MAP<k, v>`, as different systems write the type: sqlparser reads one of them
//! only, so the parentheses of the first become the brackets of the second.
//!
//! ```text
//! STRUCT<a MAP(VARCHAR, DECIMAL(10, 2))>  ─►  STRUCT<a MAP<VARCHAR, DECIMAL(10, 2)>>
//! ```

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::script::{is_blank, plain_word};

/// The parentheses of maps in the type with which these tokens begin: their places, and what they
/// become.
pub(super) fn brackets_of_maps<'t>(
    tokens: impl Iterator<Item = (usize, &'t TokenWithSpan)>,
) -> Vec<(usize, Token)> {
    let mut found = Vec::new();
    // Of every bracket that is open, whether it is that of a map.
    let mut open = Vec::new();
    let mut before: Option<&Token> = None;
    for (place, token) in tokens.filter(|(_, token)| !is_blank(token)) {
        let is_within = match &token.token {
            Token::LParen => {
                let is_map = before.and_then(plain_word).as_deref() == Some("MAP");
                open.push(is_map);
                found.extend(is_map.then_some((place, Token::Lt)));
                true
            }
            Token::RParen => match open.pop() {
                Some(is_map) => {
                    found.extend(is_map.then_some((place, Token::Gt)));
                    true
                }
                None => false,
            },
            Token::Lt => {
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
        before = Some(&token.token);
    }
    found
}
