//! The bytes of one record, field by field: Protobuf's wire format, and nothing of any schema.
//!
//! ```text
//!   field    tag │ value         tag = number << 3 | wire type, a varint
//!   0        varint              7 bits a byte, the lowest first; ten bytes at most
//!   1, 5     8 bytes, 4 bytes    the lowest first
//!   2        length │ bytes      text, bytes, messages, packed numbers
//!   3 … 4    fields              a group, up to the end tag of the same number
//! ```

/// Groups inside each other. The data says how many there are, and the reader's stack has an end.
const MAX_DEPTH: u32 = 100;

/// Why bytes are no message. Each has one text, without data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The bytes end in the middle of a field.
    CutShort,
    /// A varint of more than 64 bits.
    LongNumber,
    /// A field number of 0, or one above 2²⁹ − 1.
    FieldNumber,
    /// A wire type of 6 or 7.
    WireType,
    /// The end of a group that has not begun.
    EndOfGroup,
    /// More groups inside each other than [`MAX_DEPTH`].
    Deep,
}

impl Broken {
    /// The reason for the counters.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Broken::CutShort => "Protobuf data ends too early",
            Broken::LongNumber => "Protobuf number is too long",
            Broken::FieldNumber => "Protobuf field number is out of range",
            Broken::WireType => "unknown Protobuf wire type",
            Broken::EndOfGroup => "unexpected end of a Protobuf group",
            Broken::Deep => "Protobuf data is nested too deep",
        }
    }
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    Group,
    Fixed32,
}

/// A part of a record: `start` and `end` count from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// No bytes.
    pub(crate) const EMPTY: Span = Span { start: 0, end: 0 };

    /// Its bytes.
    pub(crate) fn of(self, record: &[u8]) -> &[u8] {
        record.get(self.start..self.end).unwrap_or_default()
    }
}

/// A value as it is written: a number of any wire type, or where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw {
    Number(u64),
    Span(Span),
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) number: u32,
    pub(crate) wire: WireType,
}

/// Reads a part of a record from its front.
#[derive(Debug, Clone)]
pub(crate) struct Wire<'a> {
    /// The record up to the end of the part.
    bytes: &'a [u8],
    at: usize,
}

/// A tag, or the end of the group around it.
enum TagOrEnd {
    Tag(Tag),
    EndOfGroup(u32),
}

impl<'a> Wire<'a> {
    /// A part of a record.
    pub(crate) fn new(record: &'a [u8], span: Span) -> Self {
        Wire {
            bytes: record.get(..span.end).unwrap_or_default(),
            at: span.start,
        }
    }

    /// Where the next byte is.
    pub(crate) fn place(&self) -> usize {
        self.at
    }

    /// Whether everything has been read.
    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next tag; `None` at the end.
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<Option<Tag>, Broken> {
        if self.is_at_end() {
            return Ok(None);
        }
        match self.tag_or_end()? {
            TagOrEnd::Tag(tag) => Ok(Some(tag)),
            TagOrEnd::EndOfGroup(_) => Err(Broken::EndOfGroup),
        }
    }

    #[inline]
    fn tag_or_end(&mut self) -> Result<TagOrEnd, Broken> {
        let key = u32::try_from(self.varint()?).map_err(|_| Broken::FieldNumber)?;
        let number = key >> 3;
        let wire = match key & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::Group,
            4 => return Ok(TagOrEnd::EndOfGroup(number)),
            5 => WireType::Fixed32,
            _ => return Err(Broken::WireType),
        };
        if number == 0 {
            return Err(Broken::FieldNumber);
        }
        Ok(TagOrEnd::Tag(Tag { number, wire }))
    }

    /// The value after a tag. Of a group it is what is inside, which has been looked through.
    #[inline]
    pub(crate) fn value(&mut self, tag: Tag) -> Result<Raw, Broken> {
        match tag.wire {
            WireType::Bytes => self.span().map(Raw::Span),
            WireType::Group => self.group(tag.number, MAX_DEPTH).map(Raw::Span),
            WireType::Varint | WireType::Fixed64 | WireType::Fixed32 => {
                self.number(tag.wire).map(Raw::Number)
            }
        }
    }

    /// A number of a wire type of numbers; of any other there is none.
    #[inline]
    pub(crate) fn number(&mut self, wire: WireType) -> Result<u64, Broken> {
        match wire {
            WireType::Varint => self.varint(),
            WireType::Fixed64 => self.fixed().map(u64::from_le_bytes),
            WireType::Fixed32 => self.fixed().map(|bytes| u32::from_le_bytes(bytes).into()),
            WireType::Bytes | WireType::Group => Err(Broken::WireType),
        }
    }

    /// A varint.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, Broken> {
        // Most tags, lengths and small values are one byte or two.
        match self.bytes.get(self.at..) {
            Some([first, ..]) if *first < 0x80 => {
                self.at += 1;
                Ok(u64::from(*first))
            }
            Some([first, second, ..]) if *second < 0x80 => {
                self.at += 2;
                Ok(u64::from(first & 0x7f) | u64::from(*second) << 7)
            }
            left => self.any_varint(left.unwrap_or_default()),
        }
    }

    fn any_varint(&mut self, left: &[u8]) -> Result<u64, Broken> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        for (at, byte) in left.iter().enumerate() {
            // The tenth byte holds the last bit.
            if shift == 63 && *byte > 1 {
                return Err(Broken::LongNumber);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.at += at + 1;
                return Ok(value);
            }
            shift += 7;
        }
        Err(Broken::CutShort)
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = left.first_chunk().ok_or(Broken::CutShort)?;
        self.at += N;
        Ok(*bytes)
    }

    /// A length and as many bytes.
    #[inline]
    fn span(&mut self) -> Result<Span, Broken> {
        let length = usize::try_from(self.varint()?).map_err(|_| Broken::CutShort)?;
        let start = self.at;
        let end = start.checked_add(length).ok_or(Broken::CutShort)?;
        if end > self.bytes.len() {
            return Err(Broken::CutShort);
        }
        self.at = end;
        Ok(Span { start, end })
    }

    fn group(&mut self, number: u32, depth: u32) -> Result<Span, Broken> {
        let depth = depth.checked_sub(1).ok_or(Broken::Deep)?;
        let start = self.at;
        loop {
            let end = self.at;
            match self.tag_or_end()? {
                TagOrEnd::EndOfGroup(ended) if ended == number => return Ok(Span { start, end }),
                TagOrEnd::EndOfGroup(_) => return Err(Broken::EndOfGroup),
                TagOrEnd::Tag(Tag {
                    number,
                    wire: WireType::Group,
                }) => {
                    self.group(number, depth)?;
                }
                TagOrEnd::Tag(tag) => {
                    self.value(tag)?;
                }
            }
        }
    }
}

/// Undoes the zigzag in which small negative numbers are short.
#[inline]
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf::wire_writing::{write_varint, zigzag};

    fn all_of(bytes: &[u8]) -> Wire<'_> {
        let span = Span {
            start: 0,
            end: bytes.len(),
        };
        Wire::new(bytes, span)
    }

    /// Every field of a message, or why it is none.
    fn fields(bytes: &[u8]) -> Result<Fields, Broken> {
        let mut wire = all_of(bytes);
        let mut fields = Vec::new();
        while let Some(tag) = wire.tag()? {
            fields.push((tag.number, wire.value(tag)?));
        }
        Ok(fields)
    }

    #[test]
    fn varints_are_read_and_bounded() {
        let most = [0xff; 9];
        let with_tenth = |tenth: u8| [most.as_slice(), &[tenth]].concat();
        let cases: [(&[u8], Result<u64, Broken>); 9] = [
            (&[0], Ok(0)),
            (&[0x7f], Ok(127)),
            (&[0x80, 0x01], Ok(128)),
            // Longer than it must be, which no rule forbids.
            (&[0x80, 0x80, 0x00], Ok(0)),
            (&with_tenth(1), Ok(u64::MAX)),
            (&with_tenth(2), Err(Broken::LongNumber)),
            (&[0xff; 11], Err(Broken::LongNumber)),
            (&[0x80], Err(Broken::CutShort)),
            (&[], Err(Broken::CutShort)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(all_of(bytes).varint(), expected, "{bytes:?}");
            if let Ok(value) = expected {
                let mut out = Vec::new();
                write_varint(value, &mut out);
                assert_eq!(all_of(&out).varint(), expected);
            }
        }
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }

    type Fields = Vec<(u32, Raw)>;

    #[test]
    fn fields_are_read() {
        let number = |number, value| (number, Raw::Number(value));
        let span = |number, start, end| (number, Raw::Span(Span { start, end }));
        let cases: [(&[u8], Fields); 6] = [
            (&[], vec![]),
            (&[0x08, 0x96, 0x01], vec![number(1, 150)]),
            (
                &[0x12, 2, b'h', b'i', 0x15, 1, 0, 0, 0],
                vec![span(2, 2, 4), number(2, 1)],
            ),
            (
                &[0x09, 1, 0, 0, 0, 0, 0, 0, 0x80],
                vec![number(1, 0x8000_0000_0000_0001)],
            ),
            // A group that holds a number and a group.
            (&[0x0b, 0x08, 1, 0x13, 0x14, 0x0c], vec![span(1, 1, 5)]),
            (
                &[0xf8, 0xff, 0xff, 0xff, 0x0f, 7],
                vec![number((1 << 29) - 1, 7)],
            ),
        ];
        for (bytes, expected) in cases {
            assert_eq!(fields(bytes), Ok(expected), "{bytes:?}");
        }
    }

    #[test]
    fn what_is_no_message_has_a_reason() {
        let cases: [(&[u8], Broken); 17] = [
            (&[0x80], Broken::CutShort),
            (&[0x08], Broken::CutShort),
            (&[0x08, 0x80], Broken::CutShort),
            (&[0x08, 1, 0x10], Broken::CutShort),
            (&[0x09, 1, 2, 3, 4, 5, 6, 7], Broken::CutShort),
            (&[0x0d, 1, 2, 3], Broken::CutShort),
            (&[0x0a, 2, b'x'], Broken::CutShort),
            (
                &[
                    0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
                ],
                Broken::CutShort,
            ),
            (&[0x0b, 0x08, 1], Broken::CutShort),
            (
                &[
                    0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02,
                ],
                Broken::LongNumber,
            ),
            (&[0x00, 0x01], Broken::FieldNumber),
            (&[0x80, 0x80, 0x80, 0x80, 0x10, 0x01], Broken::FieldNumber),
            (&[0x0e], Broken::WireType),
            (&[0x0f], Broken::WireType),
            (&[0x0c], Broken::EndOfGroup),
            (&[0x0b, 0x14], Broken::EndOfGroup),
            (&[0x0b; 101], Broken::Deep),
        ];
        for (bytes, expected) in cases {
            assert_eq!(fields(bytes), Err(expected), "{bytes:?}");
        }
        assert_eq!(fields(&[0x0b; 100]), Err(Broken::CutShort));
    }
}
