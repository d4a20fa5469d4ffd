//! What was seen of the values of one name, and the type that holds them all.
//!
//! | seen | type |
//! | --- | --- |
//! | nothing but NULL | VARCHAR |
//! | whole numbers of 64 bits | BIGINT |
//! | whole numbers of up to 38 digits | DECIMAL(38,0) |
//! | other numbers, or both | DOUBLE |
//! | true and false | BOOLEAN |
//! | texts that are all days | DATE |
//! | texts that are all times, as the format reads them | TIMESTAMP |
//! | other texts | VARCHAR |
//! | objects | STRUCT of their members |
//! | arrays | ARRAY of what is in all of them |
//! | several of these | VARCHAR if the format has texts without types (CSV), else no type |

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use super::MAX_DEPTH;
use super::members::{Members, Room};
use super::notes::looks_like_time;
use crate::json::{JsonCell, unescape, walk_elements};
use crate::number::{parse_double, parse_integer, parse_not_finite};
use crate::time::parse_date;
use crate::timestamp::TimestampOptions;

/// The greatest number of a DECIMAL(38,0), and one more.
const DECIMAL_END: u128 = 10_u128.pow(38);

/// Values of one name, counted by kind.
#[derive(Debug, Default)]
pub(super) struct Seen {
    booleans: usize,
    integers: usize,
    /// The least and the greatest of the integers.
    range: Option<(i64, i64)>,
    /// Integers of more than 64 bits.
    large: usize,
    doubles: usize,
    texts: usize,
    /// Those of the texts that are a day.
    days: usize,
    /// Those of the texts that are a time.
    times: usize,
    objects: usize,
    members: Members,
    lists: usize,
    element: Option<Box<Seen>>,
    /// Numbers that no double holds, texts that are not Unicode.
    unreadable: usize,
    too_deep: usize,
}

/// What becomes of values of several kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mixed {
    /// They are texts, as everything is in the format.
    AreTexts,
    /// No column can hold them.
    HaveNoType,
}

/// A type with what is to be known of it, or the reason why there is none.
pub(super) type Typed = Result<(DataType, Option<String>), String>;

impl Seen {
    /// Adds a value of JSON at a depth.
    pub(super) fn add_json(
        &mut self,
        cell: JsonCell<'_>,
        depth: usize,
        timestamps: &TimestampOptions,
        room: &mut Room,
    ) {
        match cell {
            JsonCell::Null => {}
            JsonCell::Boolean(_) => self.booleans += 1,
            JsonCell::Number(text) => self.add_number(text),
            // Nobody has said of a column here, for which a value would be read.
            JsonCell::Integer(number) | JsonCell::Time(number) => {
                self.add_number(&number.to_string());
            }
            JsonCell::Double(number) => self.add_number(&number.to_string()),
            JsonCell::String {
                text,
                has_escapes: false,
            } => self.add_text(text, timestamps),
            JsonCell::String { text, .. } => match unescape(text) {
                Some(text) => self.add_text(&text, timestamps),
                None => self.unreadable += 1,
            },
            JsonCell::Object(_) | JsonCell::List(_) if depth >= MAX_DEPTH => self.too_deep += 1,
            JsonCell::Object(text) => {
                self.objects += 1;
                self.members.add_object(text, depth + 1, timestamps, room);
            }
            JsonCell::List(text) => {
                self.lists += 1;
                let element = self.element.get_or_insert_default();
                let add = |cell| element.add_json(cell, depth + 1, timestamps, room);
                if walk_elements(text, add).is_err() {
                    self.unreadable += 1;
                }
            }
        }
    }

    /// Adds true or false.
    pub(super) fn add_boolean(&mut self) {
        self.booleans += 1;
    }

    /// Adds a number as written.
    pub(super) fn add_number(&mut self, text: &str) {
        let is_whole = !text.contains(['.', 'e', 'E']);
        match parse_integer(text).filter(|_| is_whole) {
            Some(value) => self.add_integer(value),
            // Also whole numbers of so many digits that nothing else holds them.
            None if parse_double(text).is_some() => self.doubles += 1,
            None => self.unreadable += 1,
        }
    }

    fn add_integer(&mut self, value: i128) {
        match i64::try_from(value) {
            Ok(value) => {
                self.integers += 1;
                let (least, greatest) = self.range.unwrap_or((value, value));
                self.range = Some((least.min(value), greatest.max(value)));
            }
            Err(_) if value.unsigned_abs() < DECIMAL_END => self.large += 1,
            Err(_) => self.doubles += 1,
        }
    }

    /// Adds a number that is a double whatever it looks like.
    pub(super) fn add_double(&mut self, text: &str) {
        match parse_double(text) {
            Some(_) => self.doubles += 1,
            None => self.unreadable += 1,
        }
    }

    /// Adds a text that may be a time.
    pub(super) fn add_text(&mut self, text: &str, timestamps: &TimestampOptions) {
        self.texts += 1;
        self.days += usize::from(parse_date(text).is_some());
        self.times += usize::from(timestamps.read_text(text, TimeUnit::Microsecond).is_some());
    }

    /// Adds a text that is nothing else.
    pub(super) fn add_plain_text(&mut self) {
        self.texts += 1;
    }

    /// Adds a text without a type of its own, a field of CSV. One that begins with zeros is an
    /// identifier and no number.
    pub(super) fn add_field(&mut self, text: &str, timestamps: &TimestampOptions) {
        let text = text.trim_ascii();
        let is_word = |word: &str| text.eq_ignore_ascii_case(word);
        let digits = text.strip_prefix('-').unwrap_or(text);
        let has_zeros =
            digits.starts_with('0') && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') && !has_zeros;
        if is_word("true") || is_word("false") {
            self.booleans += 1;
        } else if is_number && (parse_double(text).is_some() || parse_integer(text).is_some()) {
            self.add_number(text);
        } else if parse_not_finite(text).is_some() {
            self.doubles += 1;
        } else {
            self.add_text(text, timestamps);
        }
    }

    fn numbers(&self) -> usize {
        self.integers + self.large + self.doubles
    }

    /// The type that holds what was seen of `name`.
    pub(super) fn data_type(&self, name: &str, mixed: Mixed) -> Typed {
        if self.unreadable > 0 {
            return Err("values that no type holds".to_string());
        }
        if self.too_deep > 0 {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let kinds = [
            ("numbers", self.numbers()),
            ("texts", self.texts),
            ("BOOLEAN", self.booleans),
            ("objects", self.objects),
            ("arrays", self.lists),
        ];
        let kinds: Vec<_> = kinds.into_iter().filter(|(_, count)| *count > 0).collect();
        match kinds.as_slice() {
            [] => Ok((
                DataType::Utf8View,
                Some("no value in the sample, so the type is not known".to_string()),
            )),
            [("numbers", _)] => Ok(self.number_type(name)),
            [("texts", _)] => Ok((self.text_type(), None)),
            [("BOOLEAN", _)] => Ok((DataType::Boolean, None)),
            [("objects", _)] => self.members.struct_type(mixed),
            [_] => self.list_type(name, mixed),
            _ => {
                let counted = kinds.iter().map(|(kind, count)| format!("{count} {kind}"));
                let counted = counted.collect::<Vec<_>>().join(" and ");
                match mixed {
                    Mixed::AreTexts => Ok((DataType::Utf8View, Some(format!("holds {counted}")))),
                    Mixed::HaveNoType => Err(format!("{counted}, which no one type holds")),
                }
            }
        }
    }

    fn number_type(&self, name: &str) -> (DataType, Option<String>) {
        if self.doubles > 0 {
            let note = "some numbers have more digits than a DOUBLE keeps";
            let is_cut = self.large > 0;
            return (DataType::Float64, is_cut.then(|| note.to_string()));
        }
        if self.large > 0 {
            return (DataType::Decimal128(38, 0), None);
        }
        let note = self.range.and_then(|range| looks_like_time(name, range));
        (DataType::Int64, note)
    }

    fn text_type(&self) -> DataType {
        if self.days == self.texts {
            DataType::Date32
        } else if self.times == self.texts {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        } else {
            DataType::Utf8View
        }
    }

    fn list_type(&self, name: &str, mixed: Mixed) -> Typed {
        let typed = match &self.element {
            Some(element) => element.data_type(name, mixed),
            None => Seen::default().data_type(name, mixed),
        };
        let (data_type, note) = typed.map_err(|why| format!("arrays of {why}"))?;
        let element = Arc::new(Field::new_list_field(data_type, true));
        Ok((DataType::List(element), note))
    }
}
