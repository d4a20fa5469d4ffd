//! The values inside a JSON value, one after the other, without knowing which are wanted.

use crate::json::cell::JsonCell;
use crate::json::scanner::{NotJson, Scanner, unescape};

/// Hands every member of an object to `each`, in order; a key that is not Unicode is `None`.
pub(crate) fn walk_members<'a>(
    text: &'a str,
    mut each: impl FnMut(Option<String>, JsonCell<'a>),
) -> Result<(), NotJson> {
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    scanner.next_byte();
    scanner.skip_space();
    if scanner.take("}") {
        return Ok(());
    }
    loop {
        let (key, has_escapes) = scanner.string()?;
        scanner.colon()?;
        let cell = scanner.value()?;
        let key = match has_escapes {
            true => unescape(key),
            false => Some(key.to_string()),
        };
        each(key, cell);
        if ends(&mut scanner, b'}')? {
            return Ok(());
        }
    }
}

/// Hands every element of an array to `each`, in order.
pub(crate) fn walk_elements<'a>(
    text: &'a str,
    mut each: impl FnMut(JsonCell<'a>),
) -> Result<(), NotJson> {
    let mut scanner = Scanner::new(text);
    scanner.next_byte();
    scanner.skip_space();
    if scanner.take("]") {
        return Ok(());
    }
    loop {
        each(scanner.value()?);
        if ends(&mut scanner, b']')? {
            return Ok(());
        }
    }
}

/// After a value: whether it was the last one.
fn ends(scanner: &mut Scanner<'_>, closing: u8) -> Result<bool, NotJson> {
    scanner.skip_space();
    match scanner.next_byte() {
        Some(b',') => {
            scanner.skip_space();
            Ok(false)
        }
        Some(byte) if byte == closing => Ok(true),
        _ => Err(NotJson),
    }
}
