//! Cuts a line of the line protocol into its elements, without copying and without converting.
//!
//! | element | ends before | a backslash takes literally |
//! | --- | --- | --- |
//! | measurement | `,` space | `,` space |
//! | key, value of a tag | `,` `=` space | `,` `=` space |
//! | text of a field, in quotes | `"` | `"` `\` |
//! | any other value of a field, time | `,` space | nothing |
//!
//! A backslash before anything else stands for itself. A line feed ends every element but a text
//! in quotes.

use crate::influx::cell::{Escapes, InfluxCell};

/// Why a record is bad; see [`headwater_core::format::BadRecord::reason`].
pub(crate) type Reason = &'static str;

/// A value of a field is of none of the types there are.
const NO_TYPE: Reason = "a field value that is no number, boolean or text in quotes";

/// A position in a record.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A piece of the line, with its escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) text: &'a str,
    pub(crate) has_escapes: bool,
}

/// What a byte means to an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It stands for itself.
    Plain,
    /// It ends the element, unless a backslash is before it.
    End,
    /// It ends the element, whatever is before it.
    LineEnd,
    /// It takes an `End` literally.
    Escape,
}

type Meanings = [Meaning; 256];

const fn meanings(ends: &[u8], line_ends: &[u8], escape: Option<u8>) -> Meanings {
    let mut table = [Meaning::Plain; 256];
    let mut at = 0;
    while at < ends.len() {
        table[ends[at] as usize] = Meaning::End;
        at += 1;
    }
    at = 0;
    while at < line_ends.len() {
        table[line_ends[at] as usize] = Meaning::LineEnd;
        at += 1;
    }
    if let Some(escape) = escape {
        table[escape as usize] = Meaning::Escape;
    }
    table
}

const IN_MEASUREMENT: Meanings = meanings(b", ", b"\n", Some(b'\\'));
const IN_TAG: Meanings = meanings(b",= ", b"\n", Some(b'\\'));
const IN_VALUE: Meanings = meanings(b", ", b"\r\n", None);

impl<'a> Scanner<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    #[inline]
    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// The byte at the position.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Moves past `expected` if it is what comes next.
    #[inline]
    pub(crate) fn take(&mut self, expected: &str) -> bool {
        let is_next = self.rest().starts_with(expected.as_bytes());
        if is_next {
            self.at += expected.len();
        }
        is_next
    }

    /// Moves past spaces; whether there was one.
    #[inline]
    pub(crate) fn take_spaces(&mut self) -> bool {
        let spaces = self.rest().iter().take_while(|b| **b == b' ').count();
        self.at += spaces;
        spaces > 0
    }

    /// Moves past blank lines and comments to the first byte of a line with something in it;
    /// whether there is one.
    pub(crate) fn find_line(&mut self) -> bool {
        loop {
            let is_space = |byte: &&u8| byte.is_ascii_whitespace();
            self.at += self.rest().iter().take_while(is_space).count();
            match self.peek() {
                None => return false,
                Some(b'#') => {
                    let rest = self.rest();
                    let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
                    self.at += length;
                }
                Some(_) => return true,
            }
        }
    }

    /// Whether the line ends here.
    pub(crate) fn is_at_line_end(&self) -> bool {
        matches!(self.rest(), [] | [b'\n', ..] | [b'\r'] | [b'\r', b'\n', ..])
    }

    /// The name of what was measured.
    pub(crate) fn measurement(&mut self) -> Result<InfluxCell<'a>, Reason> {
        let piece = self.piece(&IN_MEASUREMENT);
        if piece.text.is_empty() {
            return Err("no measurement");
        }
        Ok(InfluxCell::Name {
            text: piece.text,
            escapes: Escapes::in_measurement(piece.has_escapes),
        })
    }

    /// A key with its equals sign; `None` if it is not one.
    pub(crate) fn key(&mut self) -> Option<Piece<'a>> {
        let piece = self.piece(&IN_TAG);
        (!piece.text.is_empty() && self.take("=")).then_some(piece)
    }

    /// The value of a tag; `None` if it has none, or one with an equals sign in it.
    pub(crate) fn tag_value(&mut self) -> Option<InfluxCell<'a>> {
        let piece = self.piece(&IN_TAG);
        let is_whole = !piece.text.is_empty() && self.peek() != Some(b'=');
        is_whole.then_some(InfluxCell::Name {
            text: piece.text,
            escapes: Escapes::in_tag(piece.has_escapes),
        })
    }

    /// The value of a field.
    pub(crate) fn field_value(&mut self) -> Result<InfluxCell<'a>, Reason> {
        if self.take("\"") {
            return self.quoted();
        }
        let Piece { text, .. } = self.piece(&IN_VALUE);
        if text.is_empty() {
            return Err("a field without a value");
        }
        match text {
            "t" | "T" | "true" | "True" | "TRUE" => Ok(InfluxCell::Boolean(true)),
            "f" | "F" | "false" | "False" | "FALSE" => Ok(InfluxCell::Boolean(false)),
            _ => number(text).map(InfluxCell::Number).ok_or(NO_TYPE),
        }
    }

    /// Whether the value of a field comes next that has the letter of whole numbers.
    pub(crate) fn is_at_whole_number(&self) -> bool {
        let Piece { text, .. } = self.clone().piece(&IN_VALUE);
        text.ends_with(['i', 'u'])
    }

    /// The time at the end of the line, which must be a whole number.
    pub(crate) fn time(&mut self) -> Result<InfluxCell<'a>, Reason> {
        let Piece { text, .. } = self.piece(&IN_VALUE);
        if is_whole(text) {
            Ok(InfluxCell::Number(text))
        } else {
            Err("a time that is no whole number")
        }
    }

    /// The text of a field, after its opening quote.
    fn quoted(&mut self) -> Result<InfluxCell<'a>, Reason> {
        let start = self.at;
        let mut has_escapes = false;
        loop {
            let rest = self.rest();
            let special = rest.iter().position(|b| matches!(b, b'"' | b'\\'));
            let special = special.ok_or("quote not closed")?;
            match rest.get(special..).unwrap_or_default() {
                [b'\\', b'"' | b'\\', ..] => {
                    has_escapes = true;
                    self.at += special + 2;
                }
                [b'\\', ..] => self.at += special + 1,
                _ => {
                    self.at += special + 1;
                    break;
                }
            }
        }
        if !matches!(self.peek(), None | Some(b',' | b' ' | b'\r' | b'\n')) {
            return Err("more after a closing quote");
        }
        // Both quotes are ASCII, so that there is a character's border on either side.
        let text = self.text.get(start..self.at - 1).unwrap_or_default();
        Ok(InfluxCell::Text {
            text,
            escapes: Escapes::in_quotes(has_escapes),
        })
    }

    /// Moves to the first byte that ends an element.
    #[inline]
    fn piece(&mut self, meanings: &Meanings) -> Piece<'a> {
        let rest = self.rest();
        let meaning_at = |at: usize| rest.get(at).map(|byte| meanings[usize::from(*byte)]);
        let mut length = 0;
        let mut has_escapes = false;
        loop {
            match meaning_at(length) {
                Some(Meaning::Plain) => length += 1,
                Some(Meaning::Escape) if meaning_at(length + 1) == Some(Meaning::End) => {
                    has_escapes = true;
                    length += 2;
                }
                Some(Meaning::Escape) => length += 1,
                Some(Meaning::End | Meaning::LineEnd) | None => break,
            }
        }
        let start = self.at;
        self.at += length;
        // What ends an element is ASCII, so that there is a character's border on either side.
        Piece {
            text: self.text.get(start..self.at).unwrap_or_default(),
            has_escapes,
        }
    }
}

/// The text of a number without the letter of its type: `12` of `12i`, `12u` and `12`.
fn number(text: &str) -> Option<&str> {
    if let Some(integer) = text.strip_suffix('i') {
        return is_whole(integer).then_some(integer);
    }
    if let Some(integer) = text.strip_suffix('u') {
        return is_digits(integer.as_bytes()).then_some(integer);
    }
    is_float(text.as_bytes()).then_some(text)
}

/// Digits with an optional minus sign.
fn is_whole(text: &str) -> bool {
    is_digits(text.strip_prefix('-').unwrap_or(text).as_bytes())
}

fn is_digits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

/// `[-]digits[.digits][e[+-]digits]`, where digits may be missing on one side of the point.
fn is_float(bytes: &[u8]) -> bool {
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let (mantissa, exponent) = match unsigned.iter().position(|b| matches!(b, b'e' | b'E')) {
        Some(at) => (unsigned.get(..at), unsigned.get(at + 1..)),
        None => (Some(unsigned), None),
    };
    let mut has_point = false;
    let mut has_digits = false;
    for byte in mantissa.unwrap_or_default() {
        match byte {
            b'0'..=b'9' => has_digits = true,
            b'.' if !has_point => has_point = true,
            _ => return false,
        }
    }
    let has_exponent = exponent.is_none_or(|exponent| match exponent {
        [b'+' | b'-', digits @ ..] | digits => is_digits(digits),
    });
    has_digits && has_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lose_their_letter_and_keep_their_digits() {
        let cases = [
            ("1", Some("1")),
            ("-1.5", Some("-1.5")),
            (".5", Some(".5")),
            ("5.", Some("5.")),
            ("1e5", Some("1e5")),
            ("-1.234456E+78", Some("-1.234456E+78")),
            ("12i", Some("12")),
            ("-12i", Some("-12")),
            ("12u", Some("12")),
            ("-12u", None),
            ("1.5i", None),
            ("1e5i", None),
            ("i", None),
            ("u", None),
            ("-i", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1e+", None),
            ("1.1.1", None),
            ("1e5.5", None),
            ("+1", None),
            ("0x1", None),
            ("1I", None),
            ("NaN", None),
            ("inf", None),
            ("1\u{661}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), expected, "{text}");
        }
    }

    #[test]
    fn elements_end_where_nothing_takes_the_end_literally() {
        let cases = [
            ("a,b", "a", false),
            ("a\\,b c", "a\\,b", true),
            ("a\\\\,b", "a\\\\,b", true),
            ("a\\x=", "a\\x", false),
            ("a\\", "a\\", false),
            ("a\\\nb", "a\\", false),
            ("é\\=ü=1", "é\\=ü", true),
        ];
        for (line, text, has_escapes) in cases {
            let piece = Scanner::new(line).piece(&IN_TAG);
            assert_eq!(piece, Piece { text, has_escapes }, "{line}");
        }
    }
}
