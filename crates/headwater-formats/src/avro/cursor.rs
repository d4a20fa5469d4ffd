//! The bytes of one record, read from the front: every primitive of Avro's binary encoding, with
//! the limits that keep a hostile record from costing more than its bytes.

/// Items without a byte, such as those of an array of nulls, that one record may have. Their number
/// is not held by the length of the record, so without a limit four bytes would make memory
/// without end.
const MAX_EMPTY_ITEMS: u64 = 256;
/// Records, arrays and maps inside each other: a type that holds itself lets the data say
/// how deep, and the reader's stack has an end.
const MAX_DEPTH: u32 = 256;

/// Why bytes are no datum of their schema. Each has one text, without data in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The record ends in the middle of a value.
    CutShort,
    /// There are bytes after the record.
    More,
    /// A number of more bits than its type has.
    LongNumber,
    /// A length or a number of items below zero.
    NegativeLength,
    /// A union without such a branch.
    Branch,
    /// An enum without such a symbol.
    Symbol,
    /// A boolean that is neither 0 nor 1.
    Boolean,
    /// A block of items of another size than it says.
    Block,
    /// More levels than [`MAX_DEPTH`].
    Deep,
    /// More items without bytes than [`MAX_EMPTY_ITEMS`].
    EmptyItems,
}

impl Broken {
    /// The reason for the counters.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Broken::CutShort => "Avro data ends too early",
            Broken::More => "more after the Avro record",
            Broken::LongNumber => "Avro number is too long",
            Broken::NegativeLength => "negative length in Avro data",
            Broken::Branch => "unknown branch of an Avro union",
            Broken::Symbol => "unknown symbol of an Avro enum",
            Broken::Boolean => "Avro boolean is neither 0 nor 1",
            Broken::Block => "Avro block has another size than it says",
            Broken::Deep => "Avro data is nested too deep",
            Broken::EmptyItems => "too many empty items in Avro data",
        }
    }
}

/// The bytes that are left of a record, and what else it may still use.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    left: &'a [u8],
    empty_items: u64,
    depth: u32,
}

impl<'a> Cursor<'a> {
    /// The whole record.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor {
            left: bytes,
            empty_items: MAX_EMPTY_ITEMS,
            depth: MAX_DEPTH,
        }
    }

    /// What is left.
    pub(crate) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Passes over all that is left, of which nothing is known.
    pub(crate) fn pass_all(&mut self) {
        self.left = &[];
    }

    /// Reads what is one level down: in a record, an array or a map. A union is no level: it holds
    /// no other.
    pub(crate) fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let depth = self.depth;
        self.depth = depth.checked_sub(1).ok_or(Broken::Deep)?;
        let read = read(self)?;
        self.depth = depth;
        Ok(read)
    }

    /// A `boolean`.
    #[inline]
    pub(crate) fn boolean(&mut self) -> Result<bool, Broken> {
        match self.left.split_first() {
            Some((0, left)) => {
                self.left = left;
                Ok(false)
            }
            Some((1, left)) => {
                self.left = left;
                Ok(true)
            }
            Some(_) => Err(Broken::Boolean),
            None => Err(Broken::CutShort),
        }
    }

    /// A `long`.
    #[inline]
    pub(crate) fn long(&mut self) -> Result<i64, Broken> {
        // Most numbers in records are lengths, branches and small values: one byte or two.
        match *self.left {
            [first, ref left @ ..] if first < 0x80 => {
                self.left = left;
                Ok(unzigzag(u64::from(first)))
            }
            [first, second, ref left @ ..] if second < 0x80 => {
                self.left = left;
                Ok(unzigzag(u64::from(first & 0x7f) | u64::from(second) << 7))
            }
            _ => self.any_long(),
        }
    }

    fn any_long(&mut self) -> Result<i64, Broken> {
        let mut value = 0_u64;
        let mut shift = 0_u32;
        for (at, byte) in self.left.iter().enumerate() {
            // The tenth byte holds the last bit.
            if shift == 63 && *byte > 1 {
                return Err(Broken::LongNumber);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.left = self.left.get(at + 1..).unwrap_or_default();
                return Ok(unzigzag(value));
            }
            shift += 7;
        }
        Err(Broken::CutShort)
    }

    /// An `int`.
    #[inline]
    pub(crate) fn int(&mut self) -> Result<i32, Broken> {
        i32::try_from(self.long()?).map_err(|_| Broken::LongNumber)
    }

    /// Bytes of a fixed number.
    #[inline]
    pub(crate) fn fixed(&mut self, size: usize) -> Result<&'a [u8], Broken> {
        let (value, left) = self.left.split_at_checked(size).ok_or(Broken::CutShort)?;
        self.left = left;
        Ok(value)
    }

    /// Bytes of a known number as an array.
    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (value, left) = self.left.split_first_chunk().ok_or(Broken::CutShort)?;
        self.left = left;
        Ok(*value)
    }

    /// A `float`.
    #[inline]
    pub(crate) fn float(&mut self) -> Result<f32, Broken> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// A `double`.
    #[inline]
    pub(crate) fn double(&mut self) -> Result<f64, Broken> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// `bytes` or a `string`, whose text is not looked at.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| Broken::NegativeLength)?;
        self.fixed(length)
    }

    /// The number of a branch or of a symbol, of which there are some.
    #[inline]
    pub(crate) fn choice(&mut self, choices: usize, wrong: Broken) -> Result<usize, Broken> {
        let choice = usize::try_from(self.long()?).map_err(|_| wrong)?;
        if choice < choices {
            Ok(choice)
        } else {
            Err(wrong)
        }
    }

    /// Reads the blocks of an array or a map: `item` is called for each item. `takes_bytes` says
    /// whether an item has a byte at least.
    pub(crate) fn items(
        &mut self,
        takes_bytes: bool,
        item: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        self.deeper(|cursor| cursor.blocks(takes_bytes, item))
    }

    fn blocks(
        &mut self,
        takes_bytes: bool,
        mut item: impl FnMut(&mut Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        loop {
            let count = self.long()?;
            let size = match count {
                0 => return Ok(()),
                1.. => None,
                // A block that says its size, so that it could be skipped as a whole. It is not:
                // whether the size is right would then depend on who reads.
                _ => Some(usize::try_from(self.long()?).map_err(|_| Broken::NegativeLength)?),
            };
            let count = count.unsigned_abs();
            if !takes_bytes {
                let left = self.empty_items.checked_sub(count);
                self.empty_items = left.ok_or(Broken::EmptyItems)?;
            }
            let before = self.left.len();
            for _ in 0..count {
                item(self)?;
            }
            if size.is_some_and(|size| size != before - self.left.len()) {
                return Err(Broken::Block);
            }
        }
    }
}

/// Undoes the zigzag in which small negative numbers are short.
#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_bounded() {
        let cases: [(&[u8], Result<i64, Broken>); 12] = [
            (&[0], Ok(0)),
            (&[1], Ok(-1)),
            (&[2], Ok(1)),
            (&[0x7f], Ok(-64)),
            (&[0x80, 0x01], Ok(64)),
            (&[0xfe, 0xff, 0xff, 0xff, 0x0f], Ok(2_147_483_647)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Ok(i64::MIN),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                Err(Broken::LongNumber),
            ),
            (&[0xff; 11], Err(Broken::LongNumber)),
            // Longer than it must be, which no rule forbids.
            (&[0x80, 0x80, 0x00], Ok(0)),
            (&[0x80], Err(Broken::CutShort)),
            (&[], Err(Broken::CutShort)),
        ];
        for (bytes, expected) in cases {
            let mut cursor = Cursor::new(bytes);
            assert_eq!(cursor.long(), expected, "{bytes:?}");
            if expected.is_ok() {
                assert!(cursor.left().is_empty(), "{bytes:?}");
            }
        }
        let wide = [0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(Cursor::new(&wide).int(), Err(Broken::LongNumber));
    }

    #[test]
    fn lengths_are_bounded_by_what_is_there() {
        let huge = [
            0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0,
        ];
        assert_eq!(Cursor::new(&huge).bytes(), Err(Broken::CutShort));
        assert_eq!(Cursor::new(&[1, 0]).bytes(), Err(Broken::NegativeLength));
        assert_eq!(Cursor::new(&[2, b'a']).bytes(), Ok(&b"a"[..]));
    }
}
