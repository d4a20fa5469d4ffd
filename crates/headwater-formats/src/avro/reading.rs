//! How the values of one schema are read into the columns of another: a plan that is made once per
//! schema (`resolve.rs`) and run for every record.
//!
//! # Contract
//! Every call of [`Reader::read`] adds one value to its column, whatever it returns. So a record
//! that breaks off in the middle of an array in a struct leaves every column one value longer, and
//! no column half of one.

use std::sync::Arc;

use arrow::datatypes::TimeUnit;

use crate::avro::cursor::{Broken, Cursor};
use crate::avro::schema::{AvroSchema, TypeId};
use crate::avro::skip::skip;
use crate::timestamp::TimestampOptions;
use crate::typed_column::{Column, ListColumn, MapColumn, StructColumn};
use crate::typed_value::{
    Outcome, append_null, big_endian, misfit, push_boolean, push_bytes, push_decimal, push_double,
    push_float, push_integer, push_uuid,
};

/// How a value becomes one of its column.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// Nothing is read: the value is NULL.
    Null,
    Boolean,
    /// An `int` or a `long` for a column of numbers or times.
    Int(Factor),
    Long(Factor),
    Float,
    Double,
    /// `bytes` or a `string` for a column of text or bytes.
    Bytes,
    Fixed(usize),
    /// 16 bytes as the text of a UUID.
    UuidBytes,
    /// A `string` with a time as ISO 8601 has it, for a TIMESTAMP of this unit.
    TimeText(TimeUnit),
    /// An `enum` as text: what the reader takes for each symbol, if anything.
    Symbols(Vec<Option<String>>),
    /// A decimal of this size, or of the size that it says.
    Decimal(Option<usize>, Rescale),
    Struct(RecordReading),
    List(Box<Reading>, ItemBytes),
    Map(Box<Reading>),
    /// The reading of each branch.
    Union(Vec<Reading>),
    /// Nothing is read: the value is a default, as it would be written.
    Constant(Arc<Constant>),
    /// Passed over: its type does not fit the column.
    Misfit(TypeId),
}

/// A default: bytes with their schema.
#[derive(Debug)]
pub(crate) struct Constant {
    pub(crate) schema: Arc<AvroSchema>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) reading: Reading,
}

/// Whether the items of an array have a byte each at least.
pub(crate) type ItemBytes = bool;

/// How a number changes on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Factor {
    Same,
    Times(i64),
    /// The remainder is cut off towards the past.
    Over(i64),
}

/// How the digits of a decimal change on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rescale {
    Same,
    Times(i128),
    /// Rounded half away from zero, as everywhere in SQL.
    Over(i128),
}

/// How a record becomes columns.
#[derive(Debug, Clone, Default)]
pub(crate) struct RecordReading {
    /// The fields in the order in which they are written.
    pub(crate) steps: Vec<Step>,
    /// Columns that the record does not have, and what they hold.
    pub(crate) absent: Vec<(usize, Reading)>,
}

/// What becomes of a field.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Skip(TypeId),
    /// Goes into a column.
    Read(usize, Reading),
}

/// What is wrong with a column of a record, and the bytes in which it was found.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WrongColumn<'a> {
    pub(crate) column: usize,
    pub(crate) outcome: Outcome,
    pub(crate) bytes: &'a [u8],
}

/// Reads the records of one schema.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'s> {
    pub(crate) schema: &'s AvroSchema,
}

impl Factor {
    /// The number on its other side; `None` if it has no place there.
    pub(crate) fn apply(self, value: i64) -> Option<i64> {
        match self {
            Factor::Same => Some(value),
            Factor::Times(factor) => value.checked_mul(factor),
            Factor::Over(factor) => Some(value.div_euclid(factor)),
        }
    }
}

impl Rescale {
    fn apply(self, value: i128) -> Option<i128> {
        match self {
            Rescale::Same => Some(value),
            Rescale::Times(factor) => value.checked_mul(factor),
            Rescale::Over(factor) => {
                let (whole, rest) = (value / factor, value % factor);
                let is_half = rest.unsigned_abs() >= factor.unsigned_abs().div_ceil(2);
                whole.checked_add(if is_half { value.signum() } else { 0 })
            }
        }
    }
}

impl Reader<'_> {
    /// Reads a record into columns, of which each gets one value. `is_nullable` says of each column
    /// whether it may be NULL. Gives the first column that does not fit.
    pub(crate) fn read_record<'a>(
        self,
        record: &RecordReading,
        columns: &mut [Column],
        is_nullable: impl Fn(usize) -> bool,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<WrongColumn<'a>>, Broken> {
        let before = columns.first().map_or(0, Column::len);
        let read = self.read_fields(record, columns, is_nullable, cursor);
        if read.is_err() {
            let missing = columns.iter_mut().filter(|column| column.len() == before);
            missing.for_each(Column::append_null);
        }
        read
    }

    fn read_fields<'a>(
        self,
        record: &RecordReading,
        columns: &mut [Column],
        is_nullable: impl Fn(usize) -> bool,
        cursor: &mut Cursor<'a>,
    ) -> Result<Option<WrongColumn<'a>>, Broken> {
        let mut wrong: Option<WrongColumn<'a>> = None;
        let mut judge = |column: usize, outcome: Outcome, bytes: &'a [u8]| {
            let is_right = match outcome {
                Outcome::Value => true,
                Outcome::Null => is_nullable(column),
                Outcome::Misfit => false,
            };
            if !is_right && wrong.is_none_or(|wrong| column < wrong.column) {
                wrong = Some(WrongColumn {
                    column,
                    outcome,
                    bytes,
                });
            }
        };
        for step in &record.steps {
            match step {
                Step::Skip(id) => skip(self.schema, *id, cursor)?,
                Step::Read(place, reading) => {
                    let Some(column) = columns.get_mut(*place) else {
                        continue;
                    };
                    let bytes = cursor.left();
                    let outcome = self.read(reading, column, cursor)?;
                    if outcome != Outcome::Value {
                        let length = bytes.len() - cursor.left().len();
                        judge(*place, outcome, bytes.get(..length).unwrap_or_default());
                    }
                }
            }
        }
        for (place, reading) in &record.absent {
            if let Some(column) = columns.get_mut(*place) {
                judge(*place, self.read(reading, column, cursor)?, &[]);
            }
        }
        Ok(wrong)
    }

    /// Reads one value.
    pub(crate) fn read(
        self,
        reading: &Reading,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
    ) -> Result<Outcome, Broken> {
        let read = match reading {
            Reading::Null => Ok(append_null(column)),
            Reading::Boolean => cursor.boolean().map(|value| push_boolean(column, value)),
            Reading::Int(factor) => {
                let value = cursor.int();
                value.map(|value| push_integer(column, factor.apply(value.into())))
            }
            Reading::Long(factor) => {
                let value = cursor.long();
                value.map(|value| push_integer(column, factor.apply(value)))
            }
            Reading::Float => cursor.float().map(|value| push_float(column, value)),
            Reading::Double => cursor.double().map(|value| push_double(column, value)),
            Reading::Bytes => cursor.bytes().map(|bytes| push_bytes(column, bytes)),
            Reading::Fixed(size) => cursor.fixed(*size).map(|bytes| push_bytes(column, bytes)),
            Reading::UuidBytes => cursor.fixed(16).map(|bytes| push_uuid(column, bytes)),
            Reading::TimeText(unit) => {
                let bytes = cursor.bytes();
                bytes.map(|bytes| push_integer(column, read_time(bytes, *unit)))
            }
            Reading::Symbols(symbols) => {
                let symbol = cursor.choice(symbols.len(), Broken::Symbol);
                symbol.map(|symbol| match symbols.get(symbol) {
                    Some(Some(text)) => push_bytes(column, text.as_bytes()),
                    _ => misfit(column),
                })
            }
            Reading::Decimal(size, rescale) => {
                let bytes = match size {
                    Some(size) => cursor.fixed(*size),
                    None => cursor.bytes(),
                };
                bytes.map(|bytes| {
                    let value = big_endian(bytes).and_then(|value| rescale.apply(value));
                    push_decimal(column, value)
                })
            }
            Reading::Misfit(id) => skip(self.schema, *id, cursor).map(|()| misfit(column)),
            // These add their value themselves.
            Reading::Struct(record) => return self.read_struct(record, column, cursor),
            Reading::List(item, takes_bytes) => {
                return self.read_list(item, *takes_bytes, column, cursor);
            }
            Reading::Map(value) => return self.read_map(value, column, cursor),
            Reading::Constant(constant) => return constant.read(column),
            Reading::Union(branches) => match cursor.choice(branches.len(), Broken::Branch) {
                Ok(branch) => match branches.get(branch) {
                    None | Some(Reading::Null) => Ok(append_null(column)),
                    Some(branch) => return self.read(branch, column, cursor),
                },
                Err(broken) => Err(broken),
            },
        };
        if read.is_err() {
            column.append_null();
        }
        read
    }

    fn read_struct(
        self,
        record: &RecordReading,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
    ) -> Result<Outcome, Broken> {
        let Column::Struct(StructColumn {
            fields,
            children,
            nulls,
        }) = column
        else {
            return Ok(misfit(column));
        };
        let is_nullable = |child: usize| fields.get(child).is_none_or(|f| f.is_nullable());
        let read = cursor.deeper(|cursor| {
            self.read_record(record, children, is_nullable, cursor)
                .map(|wrong| wrong.is_none())
        });
        if children
            .first()
            .is_some_and(|child| child.len() == nulls.len())
        {
            children.iter_mut().for_each(Column::append_null);
        }
        nulls.append(read == Ok(true));
        read.map(|is_right| match is_right {
            true => Outcome::Value,
            false => Outcome::Misfit,
        })
    }

    fn read_list(
        self,
        item: &Reading,
        takes_bytes: ItemBytes,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
    ) -> Result<Outcome, Broken> {
        let Column::List(ListColumn { values, spans, .. }) = column else {
            return Ok(misfit(column));
        };
        let mut elements = 0_i32;
        let mut is_right = true;
        let read = cursor.items(takes_bytes, |cursor| {
            elements = elements.saturating_add(1);
            is_right &= self.read(item, values, cursor)? != Outcome::Misfit;
            Ok(())
        });
        spans.push(elements, read.is_ok() && is_right);
        read.map(|()| {
            if is_right {
                Outcome::Value
            } else {
                Outcome::Misfit
            }
        })
    }

    /// A key that comes twice does not fit a MAP: which of its values counts is nowhere said.
    fn read_map(
        self,
        value: &Reading,
        column: &mut Column,
        cursor: &mut Cursor<'_>,
    ) -> Result<Outcome, Broken> {
        let Column::Map(MapColumn { parts, spans, .. }) = column else {
            return Ok(misfit(column));
        };
        let [keys, values] = parts.as_mut();
        let mut seen: Vec<&[u8]> = Vec::new();
        let mut is_right = true;
        let mut entries = 0_i32;
        let read = cursor.items(true, |cursor| {
            // A key is never NULL, not even in what is left out in the end.
            let key = cursor.bytes()?;
            seen.push(key);
            entries = entries.saturating_add(1);
            if push_bytes(keys, key) == Outcome::Misfit {
                is_right = false;
            }
            is_right &= self.read(value, values, cursor)? != Outcome::Misfit;
            Ok(())
        });
        seen.sort_unstable();
        is_right &= seen.windows(2).all(|pair| pair.first() != pair.last());
        spans.push(entries, read.is_ok() && is_right);
        read.map(|()| {
            if is_right {
                Outcome::Value
            } else {
                Outcome::Misfit
            }
        })
    }
}

/// A time of a text, in units since 1970.
fn read_time(bytes: &[u8], unit: TimeUnit) -> Option<i64> {
    TimestampOptions::default().read_text(std::str::from_utf8(bytes).ok()?, unit)
}

impl Constant {
    fn read(&self, column: &mut Column) -> Result<Outcome, Broken> {
        let reader = Reader {
            schema: &self.schema,
        };
        reader.read(&self.reading, column, &mut Cursor::new(&self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_rounded_half_away_from_zero() {
        let cases = [
            (14, 1),
            (15, 2),
            (-14, -1),
            (-15, -2),
            (4, 0),
            (-5, -1),
            (25, 3),
        ];
        for (value, expected) in cases {
            assert_eq!(Rescale::Over(10).apply(value), Some(expected), "{value}");
        }
        assert_eq!(Rescale::Times(10).apply(i128::MAX), None);
        assert_eq!(Factor::Over(1000).apply(-1), Some(-1));
        assert_eq!(Factor::Times(1000).apply(i64::MAX), None);
    }
}
