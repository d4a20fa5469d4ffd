//! A walk through the bytes of a record. Nothing is taken for granted: a length may say more than
//! there is, and what is nested deep costs no stack.

/// The rest of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a> {
    left: &'a [u8],
}

/// A value that holds no others, or the beginning of one that does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Head<'a> {
    Nil,
    Boolean(bool),
    Unsigned(u64),
    Integer(i64),
    Float(f32),
    Double(f64),
    /// What should be UTF-8, and is not looked at.
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    /// So many values follow.
    List(u32),
    /// So many keys follow, each with its value.
    Map(u32),
    /// A value of an application's type, or of one of the specification's, which are negative.
    Extension(i8, &'a [u8]),
}

/// Why bytes are no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    CutShort,
    /// The one first byte that begins nothing.
    NoKind,
}

impl Broken {
    /// For messages.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Broken::CutShort => "cut short",
            Broken::NoKind => "not MessagePack",
        }
    }
}

impl<'a> Cursor<'a> {
    /// Stands at the beginning.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Cursor { left: bytes }
    }

    /// What is left.
    pub(crate) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// Passes over a value with all that it holds, and gives its bytes.
    pub(crate) fn value(&mut self) -> Result<&'a [u8], Broken> {
        let from = self.left;
        let mut values = 1_u64;
        while values > 0 {
            values -= 1;
            values += match self.head()? {
                Head::List(length) => u64::from(length),
                Head::Map(length) => 2 * u64::from(length),
                _ => 0,
            };
            // Each of them takes a byte at least.
            if usize::try_from(values).map_or(true, |values| values > self.left.len()) {
                return Err(Broken::CutShort);
            }
        }
        let length = from.len() - self.left.len();
        Ok(from.get(..length).unwrap_or_default())
    }

    /// Reads a value, or the beginning of one that holds others.
    pub(crate) fn head(&mut self) -> Result<Head<'a>, Broken> {
        let [kind] = self.array()?;
        Ok(match kind {
            0x00..=0x7f => Head::Unsigned(kind.into()),
            0x80..=0x8f => Head::Map((kind & 0x0f).into()),
            0x90..=0x9f => Head::List((kind & 0x0f).into()),
            0xa0..=0xbf => Head::Text(self.take(usize::from(kind & 0x1f))?),
            0xc0 => Head::Nil,
            0xc1 => return Err(Broken::NoKind),
            0xc2 => Head::Boolean(false),
            0xc3 => Head::Boolean(true),
            0xc4..=0xc6 => {
                let length = self.length(kind - 0xc4)?;
                Head::Bytes(self.take_long(length)?)
            }
            0xc7..=0xc9 => {
                let length = self.length(kind - 0xc7)?;
                self.extension(length)?
            }
            0xca => Head::Float(f32::from_be_bytes(self.array()?)),
            0xcb => Head::Double(f64::from_be_bytes(self.array()?)),
            0xcc => Head::Unsigned(u8::from_be_bytes(self.array()?).into()),
            0xcd => Head::Unsigned(u16::from_be_bytes(self.array()?).into()),
            0xce => Head::Unsigned(u32::from_be_bytes(self.array()?).into()),
            0xcf => Head::Unsigned(u64::from_be_bytes(self.array()?)),
            0xd0 => Head::Integer(i8::from_be_bytes(self.array()?).into()),
            0xd1 => Head::Integer(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Head::Integer(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Head::Integer(i64::from_be_bytes(self.array()?)),
            // 1, 2, 4, 8 and 16 bytes.
            0xd4..=0xd8 => self.extension(1 << (kind - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(kind - 0xd9)?;
                Head::Text(self.take_long(length)?)
            }
            0xdc | 0xdd => Head::List(self.length(kind - 0xdc + 1)?),
            0xde | 0xdf => Head::Map(self.length(kind - 0xde + 1)?),
            0xe0..=0xff => Head::Integer(i8::from_be_bytes([kind]).into()),
        })
    }

    /// A length of one byte, of two or of four.
    fn length(&mut self, size: u8) -> Result<u32, Broken> {
        Ok(match size {
            0 => u8::from_be_bytes(self.array()?).into(),
            1 => u16::from_be_bytes(self.array()?).into(),
            _ => u32::from_be_bytes(self.array()?),
        })
    }

    fn extension(&mut self, length: u32) -> Result<Head<'a>, Broken> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Head::Extension(kind, self.take_long(length)?))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let (bytes, left) = self.left.split_first_chunk().ok_or(Broken::CutShort)?;
        self.left = left;
        Ok(*bytes)
    }

    fn take_long(&mut self, length: u32) -> Result<&'a [u8], Broken> {
        self.take(usize::try_from(length).map_err(|_| Broken::CutShort)?)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (bytes, left) = self.left.split_at_checked(length).ok_or(Broken::CutShort)?;
        self.left = left;
        Ok(bytes)
    }
}
