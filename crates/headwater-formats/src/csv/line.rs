//! Splits a line into fields, without copying but for fields with quotes in them.

use std::borrow::Cow;

use crate::byte_order_mark::check_no_mark;
use crate::csv::options::Dialect;

/// A field as found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CsvField<'a> {
    /// The text without quotes and escapes.
    pub(crate) text: Cow<'a, str>,
    /// Whether it stood in quotes.
    pub(crate) is_quoted: bool,
}

/// Splits a line; `place` is called with every field's position and the field.
///
/// One line ending after the last field is allowed, none between fields but in quotes.
///
/// # Errors
/// The reason why it is no CSV line.
pub(crate) fn split_line<'a>(
    line: &'a str,
    dialect: Dialect,
    mut place: impl FnMut(usize, CsvField<'a>),
) -> Result<usize, &'static str> {
    check_no_mark(line)?;
    let line = line.strip_suffix('\n').unwrap_or(line);
    let mut rest = line.strip_suffix('\r').unwrap_or(line);
    let mut fields = 0;
    loop {
        let (field, after) = if rest.as_bytes().first() == Some(&dialect.quote) {
            take_quoted(rest, dialect)?
        } else {
            take_plain(rest, dialect)?
        };
        place(fields, field);
        fields += 1;
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field and what follows its delimiter, if there is one.
type Taken<'a> = (CsvField<'a>, Option<&'a str>);

fn take_plain(line: &str, dialect: Dialect) -> Result<Taken<'_>, &'static str> {
    let ends = |byte: &u8| *byte == dialect.delimiter || *byte == b'\n';
    let end = line.as_bytes().iter().position(ends).unwrap_or(line.len());
    // Both bytes are ASCII, so that there is a character's border on either side.
    let (text, rest) = line.split_at_checked(end).unwrap_or((line, ""));
    if rest.as_bytes().first() == Some(&b'\n') {
        return Err("more than one line");
    }
    let field = CsvField {
        text: Cow::Borrowed(text),
        is_quoted: false,
    };
    Ok((field, rest.get(1..)))
}

fn take_quoted(line: &str, dialect: Dialect) -> Result<Taken<'_>, &'static str> {
    let mut text = Cow::Borrowed("");
    let mut rest = line.get(1..).unwrap_or_default();
    loop {
        let is_special = |byte: &u8| *byte == dialect.quote || Some(*byte) == dialect.escape;
        let at = rest.as_bytes().iter().position(is_special);
        let (piece, after) = at
            .and_then(|at| rest.split_at_checked(at))
            .ok_or("quote not closed")?;
        add(&mut text, piece);
        let special = after.as_bytes().first();
        let after = after.get(1..).unwrap_or_default();
        let is_escape = special != Some(&dialect.quote);
        if is_escape || after.as_bytes().first() == Some(&dialect.quote) {
            // The next character stands for itself, a second quote too.
            let length = after.chars().next().map_or(0, char::len_utf8);
            let (literal, remainder) = after.split_at_checked(length).unwrap_or((after, ""));
            add(&mut text, literal);
            rest = remainder;
            continue;
        }
        let rest = match after.as_bytes().first() {
            None => None,
            Some(byte) if *byte == dialect.delimiter => after.get(1..),
            Some(b'\n') => return Err("more than one line"),
            Some(_) => return Err("more after a closing quote"),
        };
        let field = CsvField {
            text,
            is_quoted: true,
        };
        return Ok((field, rest));
    }
}

/// Appends a piece; the first one is borrowed.
fn add<'a>(text: &mut Cow<'a, str>, piece: &'a str) {
    if text.is_empty() {
        *text = Cow::Borrowed(piece);
    } else if !piece.is_empty() {
        text.to_mut().push_str(piece);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMMA: Dialect = Dialect {
        delimiter: b',',
        quote: b'"',
        escape: None,
    };

    fn split(line: &str, dialect: Dialect) -> Result<Vec<String>, &'static str> {
        let mut fields = Vec::new();
        split_line(line, dialect, |_, field| {
            let mark = if field.is_quoted { "q:" } else { "" };
            fields.push(format!("{mark}{}", field.text));
        })?;
        Ok(fields)
    }

    #[test]
    fn lines_are_split() {
        let cases: [(&str, Result<&[&str], &str>); 14] = [
            ("", Ok(&[""])),
            ("a,b", Ok(&["a", "b"])),
            ("a,,", Ok(&["a", "", ""])),
            ("a,b\r\n", Ok(&["a", "b"])),
            ("a\nb,c", Err("more than one line")),
            ("\"a,b\",c", Ok(&["q:a,b", "c"])),
            ("\"a\"\"b\",\"\"", Ok(&["q:a\"b", "q:"])),
            ("\"a\nb\",c", Ok(&["q:a\nb", "c"])),
            ("\"a", Err("quote not closed")),
            ("\"a\"b", Err("more after a closing quote")),
            ("\"a\"\n\"b\"", Err("more than one line")),
            ("a\"b\",c", Ok(&["a\"b\"", "c"])),
            (" a , b ", Ok(&[" a ", " b "])),
            ("é,\"é\"", Ok(&["é", "q:é"])),
        ];
        for (line, expected) in cases {
            let expected = expected.map(|fields| fields.iter().map(ToString::to_string).collect());
            assert_eq!(split(line, COMMA), expected, "{line:?}");
        }
    }

    #[test]
    fn an_escape_takes_the_next_character() {
        let dialect = Dialect {
            delimiter: b';',
            quote: b'\'',
            escape: Some(b'\\'),
        };
        let fields = split("'a\\'é\\\\';b", dialect);
        assert_eq!(fields, Ok(vec!["q:a'é\\".to_string(), "b".to_string()]));
        assert_eq!(split("'a\\", dialect), Err("quote not closed"));
        assert_eq!(split("'a\\'", dialect), Err("quote not closed"));
    }

    proptest! {
        #[test]
        fn any_text_is_split_or_refused(line in "[a,\"\n\r\u{e9}]{0,16}") {
            let _ = split(&line, COMMA);
        }
    }
}
