//! How values become those of a column: made once for the declared columns, and run for every value.
//!
//! # Contract
//! Every call of [`Reader::read`] adds one value to its column, whatever it gives back.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Fields, TimeUnit};

use crate::column::hex_bytes;
use crate::decimal::parse_scaled;
use crate::msgpack::cursor::{Broken, Cursor, Head};
use crate::time::{Instant, parse_date};
use crate::timestamp::{TimestampOptions, to_units};
use crate::typed_column::{Column, ListColumn, MapColumn, StructColumn};
use crate::typed_value::{
    Outcome, append_null, misfit, push_boolean, push_bytes, push_decimal, push_double, push_float,
    push_integer, push_unsigned,
};

/// The type of extensions that are times.
const TIME: i8 = -1;

/// What a column takes.
#[derive(Debug)]
pub(crate) enum Reading {
    Boolean,
    /// Integers, DOUBLE and FLOAT: the column knows its range.
    Number,
    /// With the digits after the point.
    Decimal(i32),
    Text,
    Bytes,
    Date,
    Timestamp(TimeUnit),
    Struct(Members),
    List(Box<Reading>),
    /// The reading of the values.
    Map(Box<Reading>),
}

/// The wanted members of a map.
#[derive(Debug)]
pub(crate) struct Members {
    places: HashMap<Vec<u8>, usize>,
    readings: Vec<Reading>,
    may_be_null: Vec<bool>,
}

/// Reads values, which were passed over before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'o> {
    pub(crate) timestamps: &'o TimestampOptions,
}

impl Reading {
    /// The reading of a type; `None` if MessagePack cannot hold it.
    pub(crate) fn of(data_type: &DataType) -> Option<Reading> {
        Some(match data_type {
            DataType::Boolean => Reading::Boolean,
            data_type if data_type.is_integer() => Reading::Number,
            DataType::Float32 | DataType::Float64 => Reading::Number,
            DataType::Decimal128(_, scale) => Reading::Decimal((*scale).into()),
            DataType::Utf8 | DataType::Utf8View => Reading::Text,
            DataType::Binary | DataType::BinaryView => Reading::Bytes,
            DataType::Date32 => Reading::Date,
            DataType::Timestamp(unit, _) => Reading::Timestamp(*unit),
            DataType::Struct(fields) => Reading::Struct(Members::of(fields)?),
            DataType::List(item) => Reading::List(Box::new(Reading::of(item.data_type())?)),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(parts) => {
                    let value = parts.get(1)?.data_type();
                    Reading::Map(Box::new(Reading::of(value)?))
                }
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl Members {
    /// Those with the names of fields; `None` if MessagePack cannot hold one of these.
    pub(crate) fn of(fields: &Fields) -> Option<Members> {
        let names = fields.iter().map(|field| field.name().as_bytes().to_vec());
        let readings = fields.iter().map(|field| Reading::of(field.data_type()));
        Some(Members {
            places: names.zip(0..).collect(),
            readings: readings.collect::<Option<_>>()?,
            may_be_null: fields.iter().map(|field| field.is_nullable()).collect(),
        })
    }

    /// The bytes of each wanted member; of a key that comes twice the last value counts. Keys that
    /// are no text are none of a column.
    pub(crate) fn find<'a>(
        &self,
        length: u32,
        cursor: &mut Cursor<'a>,
    ) -> Result<Vec<Option<&'a [u8]>>, Broken> {
        let mut found = vec![None; self.readings.len()];
        for _ in 0..length {
            let key = Cursor::new(cursor.value()?).head();
            let value = cursor.value()?;
            let place = match key {
                Ok(Head::Text(key)) => self.places.get(key),
                _ => None,
            };
            if let Some(slot) = place.and_then(|place| found.get_mut(*place)) {
                *slot = Some(value);
            }
        }
        Ok(found)
    }
}

impl Reader<'_> {
    /// Reads members into columns, of which each gets one value. Gives the first that does not fit.
    pub(crate) fn read_members<'a>(
        self,
        members: &Members,
        found: &[Option<&'a [u8]>],
        columns: &mut [Column],
    ) -> Option<(usize, Outcome, &'a [u8])> {
        let mut wrong = None;
        let parts = members.readings.iter().zip(&members.may_be_null);
        for (place, ((reading, may_be_null), column)) in parts.zip(columns).enumerate() {
            let bytes = found.get(place).copied().flatten();
            let outcome = match bytes {
                Some(bytes) => self.read(reading, column, bytes),
                None => append_null(column),
            };
            let is_right = match outcome {
                Outcome::Value => true,
                Outcome::Null => *may_be_null,
                Outcome::Misfit => false,
            };
            if !is_right && wrong.is_none() {
                wrong = Some((place, outcome, bytes.unwrap_or_default()));
            }
        }
        wrong
    }

    /// Reads one value.
    fn read(self, reading: &Reading, column: &mut Column, bytes: &[u8]) -> Outcome {
        let mut cursor = Cursor::new(bytes);
        let Ok(head) = cursor.head() else {
            return misfit(column);
        };
        match (reading, head) {
            (_, Head::Nil) => append_null(column),
            (Reading::Boolean, Head::Boolean(value)) => push_boolean(column, value),
            (Reading::Number, head) => push_number(column, head),
            (Reading::Decimal(scale), head) => push_decimal(column, decimal(head, *scale)),
            (Reading::Text, Head::Text(bytes) | Head::Bytes(bytes))
            | (Reading::Bytes, Head::Bytes(bytes)) => push_bytes(column, bytes),
            (Reading::Bytes, Head::Text(text)) => match text_of(text).and_then(hex_bytes) {
                Some(bytes) => push_bytes(column, &bytes),
                None => misfit(column),
            },
            (Reading::Date, Head::Text(text)) => {
                let days = text_of(text).and_then(parse_date);
                push_integer(column, days.map(i64::from))
            }
            (Reading::Timestamp(unit), head) => push_integer(column, self.time(head, *unit)),
            (Reading::Struct(members), Head::Map(length)) => {
                self.read_struct(members, length, &mut cursor, column)
            }
            (Reading::List(item), Head::List(length)) => {
                self.read_list(item, length, &mut cursor, column)
            }
            (Reading::Map(value), Head::Map(length)) => {
                self.read_map(value, length, &mut cursor, column)
            }
            _ => misfit(column),
        }
    }

    /// A time in units since 1970.
    fn time(self, head: Head<'_>, unit: TimeUnit) -> Option<i64> {
        match head {
            Head::Extension(TIME, bytes) => to_units(instant(bytes)?, unit),
            Head::Text(text) => self.timestamps.read_text(text_of(text)?, unit),
            head => self.timestamps.read_number(&number_text(head)?, unit),
        }
    }

    fn read_struct(
        self,
        members: &Members,
        length: u32,
        cursor: &mut Cursor<'_>,
        column: &mut Column,
    ) -> Outcome {
        let (
            Column::Struct(StructColumn {
                children, nulls, ..
            }),
            Ok(found),
        ) = (&mut *column, members.find(length, cursor))
        else {
            return misfit(column);
        };
        let is_right = self.read_members(members, &found, children).is_none();
        nulls.append(is_right);
        value_if(is_right)
    }

    fn read_list(
        self,
        item: &Reading,
        length: u32,
        cursor: &mut Cursor<'_>,
        column: &mut Column,
    ) -> Outcome {
        let Column::List(ListColumn { values, spans, .. }) = column else {
            return misfit(column);
        };
        let mut is_right = true;
        let mut items = 0;
        for _ in 0..length {
            let Ok(bytes) = cursor.value() else {
                is_right = false;
                break;
            };
            items += 1;
            is_right &= self.read(item, values, bytes) != Outcome::Misfit;
        }
        spans.push(items, is_right);
        value_if(is_right)
    }

    /// A key that comes twice counts once, in its first place and with its last value.
    fn read_map(
        self,
        value: &Reading,
        length: u32,
        cursor: &mut Cursor<'_>,
        column: &mut Column,
    ) -> Outcome {
        let (Column::Map(MapColumn { parts, spans, .. }), Some(entries)) =
            (&mut *column, entries_of(length, cursor))
        else {
            return misfit(column);
        };
        let [keys, values] = parts.as_mut();
        let mut is_right = true;
        let mut added = 0;
        for (key, bytes) in entries {
            added += 1;
            is_right &= push_bytes(keys, key.as_bytes()) == Outcome::Value;
            is_right &= self.read(value, values, bytes) != Outcome::Misfit;
        }
        spans.push(added, is_right);
        value_if(is_right)
    }
}

/// The entries of a map; `None` if a key is no text.
fn entries_of<'a>(length: u32, cursor: &mut Cursor<'a>) -> Option<Vec<(&'a str, &'a [u8])>> {
    let mut entries: Vec<(&str, &[u8])> = Vec::new();
    let mut places = HashMap::new();
    for _ in 0..length {
        let Ok(Head::Text(key)) = cursor.head() else {
            return None;
        };
        let (key, value) = (text_of(key)?, cursor.value().ok()?);
        let place = *places.entry(key).or_insert(entries.len());
        match entries.get_mut(place) {
            Some((_, earlier)) => *earlier = value,
            None => entries.push((key, value)),
        }
    }
    Some(entries)
}

fn value_if(is_right: bool) -> Outcome {
    if is_right {
        Outcome::Value
    } else {
        Outcome::Misfit
    }
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn push_number(column: &mut Column, head: Head<'_>) -> Outcome {
    match head {
        Head::Unsigned(value) => push_unsigned(column, value),
        Head::Integer(value) => push_integer(column, Some(value)),
        Head::Float(value) => match column {
            Column::Float(_) => push_float(column, value),
            _ => push_real(column, value.into()),
        },
        Head::Double(value) => push_real(column, value),
        _ => misfit(column),
    }
}

/// A number that may have a fraction, which columns of integers do not take.
fn push_real(column: &mut Column, value: f64) -> Outcome {
    match column {
        Column::Double(_) => push_double(column, value),
        Column::Float(_) => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a number becomes the nearest float"
            )]
            let near = value as f32;
            match near.is_finite() || !value.is_finite() {
                true => push_float(column, near),
                false => misfit(column),
            }
        }
        _ if value.is_finite() && value.fract() == 0.0 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "what is larger becomes the largest number, which no column takes"
            )]
            let whole = value as i128;
            match (u64::try_from(whole), i64::try_from(whole)) {
                (Ok(whole), _) => push_unsigned(column, whole),
                (_, Ok(whole)) => push_integer(column, Some(whole)),
                _ => misfit(column),
            }
        }
        _ => misfit(column),
    }
}

/// The text of a number, as it is shortest.
fn number_text(head: Head<'_>) -> Option<String> {
    match head {
        Head::Unsigned(value) => Some(value.to_string()),
        Head::Integer(value) => Some(value.to_string()),
        Head::Float(value) => Some(value.to_string()),
        Head::Double(value) => Some(value.to_string()),
        _ => None,
    }
}

fn decimal(head: Head<'_>, scale: i32) -> Option<i128> {
    let scaled = match head {
        Head::Text(text) => parse_scaled(text_of(text)?, scale),
        head => parse_scaled(&number_text(head)?, scale),
    };
    Some(scaled?.rounded())
}

/// The time of an extension: seconds of 32 bits; nanoseconds of 30 and seconds of 34; nanoseconds of
/// 32 and seconds of 64 bits with a sign.
fn instant(bytes: &[u8]) -> Option<Instant> {
    let (seconds, nanos) = match bytes.len() {
        4 => (u32::from_be_bytes(bytes.try_into().ok()?).into(), 0),
        8 => {
            let both = u64::from_be_bytes(bytes.try_into().ok()?);
            let seconds = i64::try_from(both & 0x3_ffff_ffff).ok()?;
            (seconds, u32::try_from(both >> 34).ok()?)
        }
        12 => {
            let (nanos, seconds) = bytes.split_first_chunk()?;
            let seconds = i64::from_be_bytes(seconds.try_into().ok()?);
            (seconds, u32::from_be_bytes(*nanos))
        }
        _ => return None,
    };
    (nanos < 1_000_000_000).then_some(Instant { seconds, nanos })
}
