//! A strict JSON scanner (RFC 8259) that finds where values begin and end.
//!
//! It never recurses, so depth costs heap and not stack, and never converts: a value is a piece of
//! the record's text until a column asks for it.

use crate::json::cell::JsonCell;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// A position in a text.
#[derive(Debug, Clone)]
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// Bytes that stand for themselves in a string.
const PLAIN: [bool; 256] = {
    let mut plain = [true; 256];
    let mut byte = 0;
    while byte < 0x20 {
        plain[byte] = false;
        byte += 1;
    }
    plain[b'"' as usize] = false;
    plain[b'\\' as usize] = false;
    plain
};

/// How many bytes at the beginning stand for themselves in a string: eight at a time, as strings
/// are most of what a record has.
#[inline]
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = first_not_plain(u64::from_le_bytes(*word));
        if let Some(byte) = found {
            return index * 8 + byte;
        }
    }
    let is_plain = |byte: &&u8| PLAIN[usize::from(**byte)];
    words.len() * 8 + rest.iter().take_while(is_plain).count()
}

/// The first of eight bytes, the lowest first, that does not stand for itself.
///
/// Subtracting from all bytes at once borrows from the next one only where a byte is what is looked
/// for, so bits above the lowest that is set may be wrong, and that one is right.
#[inline]
fn first_not_plain(word: u64) -> Option<usize> {
    const EACH: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let quote = word ^ (EACH * b'"' as u64);
    let backslash = word ^ (EACH * b'\\' as u64);
    let is_quote = quote.wrapping_sub(EACH) & !quote;
    let is_backslash = backslash.wrapping_sub(EACH) & !backslash;
    let is_control = word.wrapping_sub(EACH * 0x20) & !word;
    let found = (is_quote | is_backslash | is_control) & HIGH;
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

/// Whether two runs of bytes of the same length are the same: those of up to sixteen, as keys mostly
/// are, by their first and their last word, which saves a call.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    match a.len() {
        8..=16 => {
            a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk()
        }
        4..8 => {
            a.first_chunk::<4>() == b.first_chunk::<4>() && a.last_chunk::<4>() == b.last_chunk()
        }
        _ => a == b,
    }
}

impl<'a> Scanner<'a> {
    /// Starts at the first byte.
    pub(crate) fn new(text: &'a str) -> Self {
        Scanner { text, at: 0 }
    }

    /// What comes from the position on.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    /// Moves to where `rest`, a part of [`Scanner::rest`] up to its end, begins.
    #[inline]
    pub(crate) fn skip_to(&mut self, rest: &[u8]) {
        self.at = self.text.len().saturating_sub(rest.len());
    }

    /// The byte at the position.
    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The byte at the position, which moves on.
    #[inline]
    pub(crate) fn next_byte(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Moves past white space.
    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
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

    /// As [`Scanner::take`] of a few bytes that nearly always come next.
    #[inline]
    pub(crate) fn take_known(&mut self, expected: &[u8]) -> bool {
        let rest = self.rest();
        let next = rest.get(..expected.len());
        let is_next = next.is_some_and(|next| is_same(next, expected));
        if is_next {
            self.at += expected.len();
        }
        is_next
    }

    /// Whether nothing but white space is left.
    pub(crate) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.text.len()
    }

    /// Scans any value; the position must be at its first byte.
    pub(crate) fn value(&mut self) -> Result<JsonCell<'a>, NotJson> {
        match self.peek() {
            Some(b'"') => {
                let (text, has_escapes) = self.string()?;
                Ok(JsonCell::String { text, has_escapes })
            }
            Some(b'-' | b'0'..=b'9') => Ok(JsonCell::Number(self.number()?)),
            Some(b'{') => Ok(JsonCell::Object(self.nested()?)),
            Some(b'[') => Ok(JsonCell::List(self.nested()?)),
            _ if self.take("true") => Ok(JsonCell::Boolean(true)),
            _ if self.take("false") => Ok(JsonCell::Boolean(false)),
            _ if self.take("null") => Ok(JsonCell::Null),
            _ => Err(NotJson),
        }
    }

    /// Scans a string; gives what is between the quotes and whether escapes are in it.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<(&'a str, bool), NotJson> {
        if self.next_byte() != Some(b'"') {
            return Err(NotJson);
        }
        let start = self.at;
        let mut has_escapes = false;
        loop {
            self.at += plain_prefix(self.rest());
            match self.next_byte() {
                Some(b'"') => break,
                Some(b'\\') => {
                    has_escapes = true;
                    self.escape()?;
                }
                _ => return Err(NotJson),
            }
        }
        let text = self.text.get(start..self.at - 1).ok_or(NotJson)?;
        Ok((text, has_escapes))
    }

    fn escape(&mut self) -> Result<(), NotJson> {
        match self.next_byte() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => {
                let digits = self.text.as_bytes().get(self.at..self.at + 4);
                self.at += 4;
                let is_hex = digits.is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit));
                if is_hex { Ok(()) } else { Err(NotJson) }
            }
            _ => Err(NotJson),
        }
    }

    #[inline]
    fn number(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        self.take("-");
        match self.next_byte() {
            Some(b'0') => {}
            Some(b'1'..=b'9') => self.skip_digits(),
            _ => return Err(NotJson),
        }
        if self.take(".") {
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.some_digits()?;
        }
        self.text.get(start..self.at).ok_or(NotJson)
    }

    fn some_digits(&mut self) -> Result<(), NotJson> {
        let start = self.at;
        self.skip_digits();
        if self.at > start {
            Ok(())
        } else {
            Err(NotJson)
        }
    }

    #[inline]
    fn skip_digits(&mut self) {
        self.at += self
            .rest()
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
    }

    /// Moves past an object's key and the colon after it, white space around both included.
    fn skip_key(&mut self) -> Result<(), NotJson> {
        self.skip_space();
        self.string()?;
        self.colon()
    }

    /// Moves past a colon and the white space around it.
    #[inline]
    pub(crate) fn colon(&mut self) -> Result<(), NotJson> {
        self.skip_space();
        if self.next_byte() != Some(b':') {
            return Err(NotJson);
        }
        self.skip_space();
        Ok(())
    }

    /// Moves past an opening bracket; says whether the closing one follows at once, and moves past
    /// that too.
    fn open(&mut self, closing: &str) -> bool {
        self.at += 1;
        self.skip_space();
        self.take(closing)
    }

    /// Scans an object or an array with all that is in it; gives its text.
    fn nested(&mut self) -> Result<&'a str, NotJson> {
        let start = self.at;
        // The closing brackets that are still to come, innermost last.
        let mut pending: Vec<u8> = Vec::new();
        loop {
            match self.peek() {
                Some(b'{') => {
                    if !self.open("}") {
                        pending.push(b'}');
                        self.skip_key()?;
                        continue;
                    }
                }
                Some(b'[') => {
                    if !self.open("]") {
                        pending.push(b']');
                        continue;
                    }
                }
                _ => {
                    self.value()?;
                }
            }
            if self.close(&mut pending)? {
                return self.text.get(start..self.at).ok_or(NotJson);
            }
        }
    }

    /// After a value: closes what ends here and moves to the next value; `true` if there is none.
    fn close(&mut self, pending: &mut Vec<u8>) -> Result<bool, NotJson> {
        while let Some(closing) = pending.last().copied() {
            self.skip_space();
            match self.next_byte() {
                Some(b',') => {
                    self.skip_space();
                    if closing == b'}' {
                        self.skip_key()?;
                    }
                    return Ok(false);
                }
                Some(byte) if byte == closing => {
                    pending.pop();
                }
                _ => return Err(NotJson),
            }
        }
        Ok(true)
    }
}

/// The text of a string without its escapes; `None` if a surrogate stands alone.
pub(crate) fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at)?);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        out.push(match escape {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, after) = unicode_escape(rest)?;
                rest = after;
                character
            }
            other => char::from(other),
        });
    }
    out.push_str(rest);
    Some(out)
}

fn unicode_escape(text: &str) -> Option<(char, &str)> {
    let unit = hex(text)?;
    let after = text.get(4..)?;
    if let Some(character) = char::from_u32(unit) {
        return Some((character, after));
    }
    let low = hex(after.strip_prefix("\\u")?)?;
    let is_pair = (0xd800..0xdc00).contains(&unit) && (0xdc00..0xe000).contains(&low);
    let code = is_pair.then(|| 0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))?;
    Some((char::from_u32(code)?, after.get(6..)?))
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn is_json(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip_space();
        scanner.value().is_ok() && scanner.is_at_end()
    }

    /// A number too large for a double is still JSON, though `serde_json` has no value for it.
    fn serde_json_takes(text: &str) -> bool {
        match serde_json::from_str::<serde_json::Value>(text) {
            Ok(_) => true,
            Err(error) => error.to_string().starts_with("number out of range"),
        }
    }

    #[test]
    fn syntax_is_what_serde_json_takes() {
        let texts = [
            "{}",
            "[]",
            "[1,2]",
            "[1,,2]",
            "[1,]",
            "[,1]",
            "{\"a\":1}",
            "{\"a\":1,}",
            "{,}",
            "{\"a\" : [ { } , [ ] ] }",
            "{\"a\":1 \"b\":2}",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":}",
            "01",
            "-",
            "-0",
            "1.",
            ".1",
            "1e",
            "1e+",
            "1E-2",
            "+1",
            "1-2",
            "--1",
            "0x1",
            "NaN",
            "tru",
            "truex",
            "nul",
            "null",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u1234\"",
            "\"\\",
            "\"",
            "\"a\nb\"",
            "\"a\u{7f}b\"",
            "[[[]]",
            "[]]",
            "[}",
            "{]",
            "",
            " ",
            "\u{feff}{}",
            "\0",
            "{\"a\":1}{\"b\":2}",
            "[1 2]",
            "\"\\u1\"",
            "1 2",
        ];
        for text in texts {
            let expected = serde_json_takes(text);
            assert_eq!(is_json(text), expected, "{text:?}");
        }
    }

    #[test]
    fn every_byte_is_found_wherever_it_is() {
        for byte in 0..=u8::MAX {
            for length in 1..=24 {
                for at in 0..length {
                    let mut bytes = vec![b'a'; length];
                    bytes[at] = byte;
                    let expected = if PLAIN[usize::from(byte)] { length } else { at };
                    assert_eq!(plain_prefix(&bytes), expected, "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn keys_of_every_length_are_told_apart() {
        for length in 1..=40 {
            let key: Vec<u8> = (b'0'..).take(length).collect();
            assert!(is_same(&key, &key));
            for at in 0..length {
                let mut other = key.clone();
                other[at] ^= 0x20;
                assert!(!is_same(&key, &other), "{at} of {length}");
            }
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = 1_000_000;
        assert!(is_json(&("[".repeat(deep) + &"]".repeat(deep))));
        assert!(is_json(&("{\"a\":".repeat(deep) + "1" + &"}".repeat(deep))));
        assert!(!is_json(&"[".repeat(deep)));
        assert!(!is_json(&"{\"a\":[".repeat(deep)));
    }

    #[test]
    fn escapes_are_undone() {
        let cases = [
            ("a\\n\\t\\\\\\\"\\/b", Some("a\n\t\\\"/b")),
            ("\\u00e9\\uD83D\\uDE00!", Some("é😀!")),
            ("\\ud800", None),
            ("\\ud800\\u0041", None),
            ("\\udc00\\ud800", None),
        ];
        for (text, expected) in cases {
            assert_eq!(unescape(text).as_deref(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_first_byte_that_is_not_plain_is_found(bytes in vec(any::<u8>(), 0..40)) {
            let plain = bytes.iter().take_while(|byte| PLAIN[usize::from(**byte)]);
            prop_assert_eq!(plain_prefix(&bytes), plain.count());
        }

        #[test]
        fn any_text_gets_serde_jsons_answer(text in "[\\[\\]{},:\" 0-9eE.+\\-\\\\utrfalsn\u{e9}\n]{0,24}") {
            let expected = serde_json_takes(&text);
            prop_assert_eq!(is_json(&text), expected);
        }

        #[test]
        fn any_string_survives(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let (inner, _) = Scanner::new(&json).string().unwrap();
            prop_assert_eq!(unescape(inner), Some(text));
        }
    }
}
