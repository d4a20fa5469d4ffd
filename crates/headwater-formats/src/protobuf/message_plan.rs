//! How messages of one type become columns: a plan that is made once per type (`resolve.rs`) and
//! run for every record (`reading.rs`).

use crate::protobuf::wire::WireType;

/// Field numbers below this are looked up by place.
const DIRECT: u32 = 256;

/// How a message becomes columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct MessagePlan {
    /// Fields that are read, and those whose being there changes what is read.
    pub(crate) fields: Vec<FieldPlan>,
    /// Columns that the message has no field for.
    pub(crate) missing: Vec<usize>,
    numbers: FieldNumbers,
}

/// What becomes of a field.
#[derive(Debug, Clone)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    /// The column; `None` for one of a oneof that is not read itself.
    pub(crate) column: Option<usize>,
    /// How a value is written.
    pub(crate) wire: WireType,
    pub(crate) shape: Shape,
    /// How one value is read.
    pub(crate) reading: Reading,
    pub(crate) absent: Absent,
    /// The places of the other fields of its oneof: they are gone when this one comes.
    pub(crate) rivals: Vec<usize>,
}

/// What several values of one field mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The last one counts.
    Single,
    /// They are one message in several parts.
    Message,
    /// They are the elements of a list, numbers also many together.
    Repeated,
    /// They are entries, of which the last one of a key counts.
    Map(MapKey),
}

/// How the key of an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MapKey {
    Text,
    Number(WireType, Number),
}

/// How a value becomes one of its column.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    Number(Number),
    /// A whole number, times a power of ten.
    Decimal(Number, i128),
    /// A number as the name that it has.
    Enum(EnumNames),
    /// `string` or `bytes` for a column of text or bytes.
    Bytes,
    Message(Box<MessagePlan>),
    /// A message whose one field is the value.
    Wrapper(Box<MessagePlan>),
    /// Of so many units a second.
    Timestamp(i64),
    /// In microseconds.
    Duration,
    /// As JSON text.
    Json(JsonKind),
    /// Does not fit the column.
    Misfit,
}

/// What a number of the wire means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Bool,
    Float,
    Double,
}

/// Which of the messages that hold JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonKind {
    Object,
    Value,
    List,
}

/// What a field is that does not come.
#[derive(Debug, Clone)]
pub(crate) enum Absent {
    Null,
    Number(u64),
    Text(Box<[u8]>),
    /// A message without fields.
    EmptyMessage,
}

/// The names of an enum's numbers, in the order of the numbers.
#[derive(Debug, Clone)]
pub(crate) struct EnumNames(Vec<(i32, Box<str>)>);

/// Places of fields by their numbers.
#[derive(Debug, Clone, Default)]
struct FieldNumbers {
    /// By number; one more than the place, or 0.
    direct: Vec<u32>,
    /// Greater numbers, sorted.
    others: Vec<(u32, usize)>,
}

impl MessagePlan {
    /// A plan for these fields.
    pub(crate) fn new(fields: Vec<FieldPlan>, missing: Vec<usize>) -> Self {
        let mut numbers = FieldNumbers::default();
        for (place, field) in fields.iter().enumerate() {
            numbers.add(field.number, place);
        }
        numbers.others.sort_unstable();
        MessagePlan {
            fields,
            missing,
            numbers,
        }
    }

    /// The place of a field.
    #[inline]
    pub(crate) fn find(&self, number: u32) -> Option<usize> {
        self.numbers.find(number)
    }
}

impl FieldNumbers {
    fn add(&mut self, number: u32, place: usize) {
        match (usize::try_from(number), u32::try_from(place + 1)) {
            (Ok(at), Ok(place)) if number < DIRECT => {
                if self.direct.len() <= at {
                    self.direct.resize(at + 1, 0);
                }
                if let Some(slot) = self.direct.get_mut(at) {
                    *slot = place;
                }
            }
            _ => self.others.push((number, place)),
        }
    }

    #[inline]
    fn find(&self, number: u32) -> Option<usize> {
        if number < DIRECT {
            let place = *self.direct.get(usize::try_from(number).ok()?)?;
            return usize::try_from(place).ok()?.checked_sub(1);
        }
        let found = self.others.binary_search_by_key(&number, |other| other.0);
        found.ok().and_then(|at| self.others.get(at)).map(|o| o.1)
    }
}

impl Reading {
    /// Whether values are messages, whose parts are put together.
    pub(crate) fn is_message(&self) -> bool {
        match self {
            Reading::Message(_)
            | Reading::Wrapper(_)
            | Reading::Timestamp(_)
            | Reading::Duration
            | Reading::Json(_) => true,
            Reading::Number(_)
            | Reading::Decimal(..)
            | Reading::Enum(_)
            | Reading::Bytes
            | Reading::Misfit => false,
        }
    }
}

impl EnumNames {
    /// The names of numbers; of several names for one the first counts.
    pub(crate) fn new(names: impl Iterator<Item = (i32, Box<str>)>) -> Self {
        let mut names: Vec<(i32, Box<str>)> = names.collect();
        names.sort_by_key(|(number, _)| *number);
        names.dedup_by_key(|(number, _)| *number);
        EnumNames(names)
    }

    /// The name of a number.
    #[inline]
    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        // Most enums count from zero, so that the place is the number.
        let place = usize::try_from(number).ok();
        let direct = place.and_then(|place| self.0.get(place));
        if let Some((found, name)) = direct
            && *found == number
        {
            return Some(name);
        }
        let found = self.0.binary_search_by_key(&number, |(found, _)| *found);
        let (_, name) = self.0.get(found.ok()?)?;
        Some(name)
    }
}
