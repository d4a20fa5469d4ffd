//! A short, printable piece of what was found, for error messages.
//!
//! Data from outside goes to terminals and logs here, so control characters are escaped.

/// Characters of data that a message shows at most.
const MAX_CHARS: usize = 200;

/// The beginning of some bytes, with what does not print escaped.
pub fn excerpt(bytes: &[u8]) -> String {
    // A character has at most four bytes: enough to fill the excerpt and see that there is more.
    let head = bytes.get(..(MAX_CHARS + 1) * 4).unwrap_or(bytes);
    let text = String::from_utf8_lossy(head);
    let mut out = String::with_capacity(text.len().min(MAX_CHARS));
    for (at, character) in text.chars().enumerate() {
        if at == MAX_CHARS {
            out.push('…');
            break;
        }
        if is_printable(character) {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// Controls move the cursor; the bidirectional marks reorder what a reader sees.
fn is_printable(character: char) -> bool {
    let reorders = matches!(
        character,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    );
    !character.is_control() && !reorders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_print_is_escaped_and_length_is_bounded() {
        assert_eq!(excerpt(b"{\"a\":\"\x1b[31m\"}"), "{\"a\":\"\\u{1b}[31m\"}");
        assert_eq!(excerpt(b"\xff"), "\u{fffd}");
        let long = excerpt("é".repeat(1_000).as_bytes());
        assert_eq!(long.chars().count(), MAX_CHARS + 1);
        assert!(long.ends_with('…'));
        assert_eq!(excerpt(&[b'a'; MAX_CHARS]).len(), MAX_CHARS);
    }
}
