//! The tags and fields of a line, one after the other, without knowing which are wanted.

use crate::influx::cell::{Escapes, InfluxCell};
use crate::influx::scanner::Scanner;

/// A tag or a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinePart<'a> {
    /// A tag, which is a text.
    Tag,
    /// A field in quotes, without them.
    Text(&'a str),
    /// A number with the letter of whole ones, without it.
    Integer(&'a str),
    /// Any other number.
    Float(&'a str),
    /// A word for true or false.
    Boolean,
}

/// Hands every tag and field of a good line to `each` with its key; of a bad one those before what
/// is wrong.
pub(crate) fn walk_line(text: &str, mut each: impl FnMut(&str, LinePart<'_>)) {
    let mut scanner = Scanner::new(text);
    if !scanner.find_line() || scanner.measurement().is_err() {
        return;
    }
    while scanner.take(",") {
        let Some(key) = key(&mut scanner) else { return };
        if scanner.tag_value().is_none() {
            return;
        }
        each(&key, LinePart::Tag);
    }
    scanner.take_spaces();
    loop {
        let Some(key) = key(&mut scanner) else { return };
        let is_whole = scanner.is_at_whole_number();
        match scanner.field_value() {
            Ok(InfluxCell::Number(text)) if is_whole => each(&key, LinePart::Integer(text)),
            Ok(InfluxCell::Number(text)) => each(&key, LinePart::Float(text)),
            Ok(InfluxCell::Boolean(_)) => each(&key, LinePart::Boolean),
            Ok(InfluxCell::Text { text, escapes }) => {
                each(&key, LinePart::Text(&escapes.undo(text)));
            }
            Ok(InfluxCell::Name { .. } | InfluxCell::Null) | Err(_) => return,
        }
        if !scanner.take(",") {
            return;
        }
    }
}

fn key(scanner: &mut Scanner<'_>) -> Option<String> {
    let key = scanner.key()?;
    Some(match key.has_escapes {
        true => Escapes::in_tag(true).undo(key.text),
        false => key.text.to_string(),
    })
}
