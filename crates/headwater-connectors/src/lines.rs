//! Lines out of bytes, with bounds.

use std::io::{self, BufRead, Read};

use arrow::array::BinaryArray;
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

/// Lines per chunk, at most.
pub(crate) const CHUNK_LINES: usize = 8192;
/// A chunk takes no further line when it has this many bytes.
const CHUNK_BYTES: usize = 4 << 20;
/// A line may be this long.
pub(crate) const MAX_LINE_BYTES: usize = 64 << 20;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Appends the next line to `line`, without its end (`\n` or `\r\n`); `false` at the end of the
/// input. A last line needs no end.
///
/// # Errors
/// `InvalidData` for a line longer than [`MAX_LINE_BYTES`]; what the reader says.
pub(crate) fn append_line(reader: &mut dyn BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let start = line.len();
    let most = MAX_LINE_BYTES as u64 + 2;
    let bytes = reader.take(most).read_until(b'\n', line)?;
    if bytes == 0 {
        return Ok(false);
    }
    for end in *b"\n\r" {
        if line.len() > start && line.last() == Some(&end) {
            line.pop();
        } else if end == b'\n' {
            break;
        }
    }
    if line.len() - start > MAX_LINE_BYTES {
        let text = format!("a line is longer than {} MiB", MAX_LINE_BYTES >> 20);
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(true)
}

/// Removes a byte order mark that stands at `start`.
pub(crate) fn remove_byte_order_mark(bytes: &mut Vec<u8>, start: usize) {
    if bytes
        .get(start..)
        .is_some_and(|b| b.starts_with(BYTE_ORDER_MARK))
    {
        bytes.drain(start..start + BYTE_ORDER_MARK.len());
    }
}

/// Which lines hold no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PassedOver {
    /// Every line is a record.
    Nothing,
    /// Lines without a character.
    Blank,
    /// Those, and lines that begin with `#`.
    BlankAndComments,
}

impl PassedOver {
    /// Whether a line is one of them.
    pub(crate) fn includes(self, line: &[u8]) -> bool {
        let text = line.trim_ascii_start();
        match self {
            PassedOver::Nothing => false,
            PassedOver::Blank => text.is_empty(),
            PassedOver::BlankAndComments => text.is_empty() || text.starts_with(b"#"),
        }
    }
}

/// Lines end to end, each with its number in whatever it came from.
#[derive(Debug)]
pub(crate) struct LineChunk {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    numbers: Vec<i64>,
}

impl LineChunk {
    /// A chunk without lines.
    pub(crate) fn new() -> Self {
        LineChunk {
            bytes: Vec::new(),
            ends: vec![0],
            numbers: Vec::new(),
        }
    }

    /// Whether the chunk should take no further line.
    pub(crate) fn is_full(&self, most_lines: usize) -> bool {
        self.numbers.len() >= most_lines.min(CHUNK_LINES) || self.bytes.len() >= CHUNK_BYTES
    }

    /// Whether there are no lines.
    pub(crate) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Adds a line.
    pub(crate) fn push(&mut self, number: i64, line: &[u8]) {
        self.bytes.extend_from_slice(line);
        self.close_line(number);
    }

    /// Reads a line; `false` at the end of the input. A line that is passed over is left out.
    pub(crate) fn read_line(
        &mut self,
        number: i64,
        reader: &mut dyn BufRead,
        passed_over: PassedOver,
    ) -> io::Result<bool> {
        let start = self.bytes.len();
        if !append_line(reader, &mut self.bytes)? {
            return Ok(false);
        }
        if number == 0 {
            remove_byte_order_mark(&mut self.bytes, start);
        }
        let line = self.bytes.get(start..).unwrap_or_default();
        if passed_over.includes(line) {
            self.bytes.truncate(start);
        } else {
            self.close_line(number);
        }
        Ok(true)
    }

    /// `bytes` is below `CHUNK_BYTES` before a line and `MAX_LINE_BYTES` bounds the line, so the
    /// sum fits the offsets of a [`BinaryArray`].
    fn close_line(&mut self, number: i64) {
        debug_assert!(self.bytes.len() < i32::MAX as usize);
        self.ends.push(self.bytes.len() as i32);
        self.numbers.push(number);
    }

    /// The lines as records, and their numbers.
    pub(crate) fn into_records(self) -> (BinaryArray, Vec<i64>) {
        let ends = OffsetBuffer::new(ScalarBuffer::from(self.ends));
        let payloads = BinaryArray::new(ends, Buffer::from_vec(self.bytes), None);
        (payloads, self.numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], passed_over: PassedOver) -> Vec<(i64, String)> {
        let mut reader = text;
        let mut chunk = LineChunk::new();
        let mut number = 0;
        while chunk.read_line(number, &mut reader, passed_over).unwrap() {
            number += 1;
        }
        let (payloads, numbers) = chunk.into_records();
        let texts = payloads.iter().flatten();
        let texts = texts.map(|b| String::from_utf8(b.to_vec()).unwrap());
        numbers.into_iter().zip(texts).collect()
    }

    #[test]
    fn ends_marks_and_blanks() {
        let line = |number, text: &str| (number, text.to_string());
        assert_eq!(lines(b"", PassedOver::Nothing), []);
        assert_eq!(
            lines(b"a\r\nb\n\nc", PassedOver::Nothing),
            [line(0, "a"), line(1, "b"), line(2, ""), line(3, "c")]
        );
        assert_eq!(
            lines(b"\xEF\xBB\xBFa\n \r\n#c\n", PassedOver::Blank),
            [line(0, "a"), line(2, "#c")]
        );
        assert_eq!(
            lines(
                b"\xEF\xBB\xBF# a\nb#\n \n #\nc\n",
                PassedOver::BlankAndComments
            ),
            [line(1, "b#"), line(4, "c")]
        );
        let marks = lines(b"a\r\r\n\xEF\xBB\xBF", PassedOver::Nothing);
        assert_eq!(marks[0], line(0, "a\r"));
    }

    #[test]
    fn a_line_has_a_bound() {
        let long = vec![b'x'; MAX_LINE_BYTES + 3];
        let error = append_line(&mut &long[..], &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut fits = Vec::new();
        assert!(append_line(&mut &long[3..], &mut fits).unwrap());
        assert_eq!(fits.len(), MAX_LINE_BYTES);
    }
}
