//! Letters that are larger than their sink takes: what is left of them.
//!
//! A letter is its record and where that comes from, so it is larger than the record, and a record of
//! the greatest size would make a letter that nobody takes. Then the value is cut, and the letter says
//! so. If that is not enough, the record's headers are left out, and at last its key. Where the record
//! comes from is always there, so that it can be looked at in its place.

use headwater_core::records::{DeadLetter, RawRecord};

/// What a message has around its parts, and a letter besides what is counted.
const AROUND_BYTES: usize = 1024;
/// What a header has around its name and its value.
const AROUND_HEADER_BYTES: usize = 40;

/// How large a letter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterLimit {
    /// Of what is written for a row, at most.
    pub bytes: usize,
    /// Whether rows are written in a format, in which values grow.
    pub is_encoded: bool,
}

/// What of a letter is left, and what is not, in words.
pub(super) struct Fitted {
    pub(super) letter: DeadLetter,
    pub(super) cut: String,
}

impl LetterLimit {
    /// The letter without what makes it too large; `None` if nothing does. Of `around` bytes is what
    /// is written with it. `is_text` says whether the value is written as a text.
    pub(super) fn fit(self, letter: &DeadLetter, around: usize, is_text: bool) -> Option<Fitted> {
        let value = letter.record.value.as_deref().unwrap_or_default();
        let rest = |record: &RawRecord| self.rest(letter, record) + around;
        let value_bytes = self.written(value, is_text);
        if rest(&letter.record) + value_bytes <= self.bytes {
            return None;
        }
        let mut record = letter.record.clone();
        let mut cut = Vec::new();
        // Half of the room is for the value, as long as there is something else to leave out.
        if rest(&record) > self.bytes / 2 && !record.headers.is_empty() {
            record.headers.clear();
            cut.push("headers left out".to_string());
        }
        if rest(&record) > self.bytes / 2 && record.key.take().is_some() {
            cut.push("key left out".to_string());
        }
        let room = self.bytes.saturating_sub(rest(&record));
        let mut kept = value.len().min(room);
        while self.written(value.get(..kept).unwrap_or_default(), is_text) > room {
            kept /= 2;
        }
        kept = whole_characters(value, kept);
        if kept < value.len() {
            let text = format!("value cut from {} to {kept} bytes", value.len());
            cut.insert(0, text);
            record.value = value.get(..kept).map(<[u8]>::to_vec);
        }
        let cut = cut.join(", ");
        let detail = match letter.detail.as_str() {
            "" => cut.clone(),
            detail => format!("{detail}; {cut}"),
        };
        let letter = DeadLetter {
            place: letter.place.clone(),
            reason: letter.reason.clone(),
            detail,
            record,
        };
        Some(Fitted { letter, cut })
    }

    /// What is written besides the value, at most.
    fn rest(self, letter: &DeadLetter, record: &RawRecord) -> usize {
        let texts = [&letter.place, &letter.reason, &letter.detail];
        // Each is in a column and in a header, if there are both.
        let texts: usize = texts
            .map(|text| self.written(text.as_bytes(), true))
            .iter()
            .sum();
        let key = record.key.as_deref().unwrap_or_default();
        let headers = record.headers.iter().map(|(name, value)| {
            let value = value.as_deref().unwrap_or_default();
            AROUND_HEADER_BYTES + self.written(name.as_bytes(), true) + self.written(value, false)
        });
        // A key may be in the message's key and in its value.
        AROUND_BYTES + 2 * texts + 2 * self.written(key, true) + headers.sum::<usize>()
    }

    /// How many bytes a value takes where it is written, at most.
    fn written(self, bytes: &[u8], is_text: bool) -> usize {
        match (is_text, self.is_encoded) {
            (true, false) => String::from_utf8_lossy(bytes).len(),
            (true, true) => {
                let text = String::from_utf8_lossy(bytes);
                text.chars().map(escaped_bytes).sum()
            }
            (false, false) => bytes.len(),
            // Two digits for each.
            (false, true) => 2 * bytes.len(),
        }
    }
}

/// Bytes of a character in JSON, or in CSV.
fn escaped_bytes(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    }
}

/// A number of bytes at which no character of a text is cut; that of bytes is as given.
fn whole_characters(bytes: &[u8], mut kept: usize) -> usize {
    if kept == bytes.len() || std::str::from_utf8(bytes).is_err() {
        return kept;
    }
    let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    while kept > 0 && is_inside(kept) {
        kept -= 1;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(value: &[u8]) -> DeadLetter {
        DeadLetter {
            place: "partition 0 of topic \"t\" at offset 7".to_string(),
            reason: "not JSON".to_string(),
            detail: "xxx".to_string(),
            record: RawRecord {
                value: Some(value.to_vec()),
                key: Some(b"key".to_vec()),
                headers: vec![("trace".to_string(), Some(vec![1; 100]))],
                ..RawRecord::default()
            },
        }
    }

    fn limit(bytes: usize, is_encoded: bool) -> LetterLimit {
        LetterLimit { bytes, is_encoded }
    }

    #[test]
    fn what_fits_is_left_alone() {
        for is_encoded in [false, true] {
            let fitted = limit(10_000, is_encoded).fit(&letter(&[b'x'; 4_000]), 100, true);
            assert!(fitted.is_none());
        }
    }

    #[test]
    fn the_value_is_cut_to_what_is_left() {
        let value = vec![b'x'; 20_000];
        for (is_encoded, is_text) in [(false, false), (false, true), (true, false), (true, true)] {
            let limit = limit(10_000, is_encoded);
            let fitted = limit.fit(&letter(&value), 100, is_text).unwrap();
            let record = fitted.letter.record;
            let kept = record.value.as_ref().unwrap().len();
            assert!((2_000..10_000).contains(&kept), "{kept}");
            assert_eq!(fitted.cut, format!("value cut from 20000 to {kept} bytes"));
            assert_eq!(fitted.letter.detail, format!("xxx; {}", fitted.cut));
            assert_eq!((record.key.is_some(), record.headers.len()), (true, 1));
            // And then it fits.
            let again = letter(record.value.as_deref().unwrap());
            assert!(limit.fit(&again, 100, is_text).is_none());
        }
    }

    #[test]
    fn characters_are_not_cut() {
        let value = "é".repeat(10_000);
        let fitted = limit(10_000, false).fit(&letter(value.as_bytes()), 0, true);
        let value = fitted.unwrap().letter.record.value.unwrap();
        assert!(std::str::from_utf8(&value).is_ok());
        // Escapes are counted: a quote is two bytes in JSON.
        let quotes = "\"".repeat(9_000);
        let encoded = limit(10_000, true).fit(&letter(quotes.as_bytes()), 0, true);
        assert!(encoded.is_some());
        assert!(
            limit(11_000, false)
                .fit(&letter(quotes.as_bytes()), 0, true)
                .is_none()
        );
    }

    #[test]
    fn headers_and_key_go_only_if_they_must() {
        let mut large = letter(&[b'x'; 5_000]);
        large.record.headers = vec![("h".to_string(), Some(vec![0; 9_000]))];
        let fitted = limit(10_000, false).fit(&large, 0, false).unwrap();
        assert_eq!(fitted.cut, "headers left out");
        assert_eq!(fitted.letter.record.value, large.record.value);
        large.record.key = Some(vec![b'k'; 9_000]);
        large.record.value = Some(vec![b'x'; 50_000]);
        let fitted = limit(10_000, false).fit(&large, 0, false).unwrap();
        let (cut, record) = (fitted.cut, fitted.letter.record);
        assert!(cut.starts_with("value cut from 50000 to "), "{cut}");
        assert!(
            cut.ends_with(" bytes, headers left out, key left out"),
            "{cut}"
        );
        assert_eq!((record.key, record.headers.len()), (None, 0));
        // What cannot be helped is left for the sink to say.
        let fitted = limit(100, false).fit(&large, 0, false).unwrap();
        assert_eq!(fitted.letter.record.value, Some(vec![]));
    }
}
