//! Runs a plan of writing over the columns of a batch.
//!
//! The columns are first brought to one type per kind of value, by kernels that work on whole
//! columns; then the rows are written one after the other.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type, UInt64Type};
use arrow::error::ArrowError;

use crate::column_values::{Unwritable, bytes, integers, no_such_column, text, to};
use crate::protobuf::json_text::write_json_text;
use crate::protobuf::message_plan::Number;
use crate::protobuf::wire::WireType;
use crate::protobuf::wire_writing::{write_bytes, write_varint, write_with_length, zigzag};
use crate::protobuf::writing::{FieldWriting, Presence, WritingKind, WritingShape};

/// The fields of a message, with the values of a batch.
pub(crate) struct MessageWriter<'p>(Vec<ColumnWriter<'p>>);

/// The values of a column, or of the elements inside it.
struct ColumnWriter<'p> {
    plan: &'p FieldWriting,
    nulls: Option<NullBuffer>,
    values: Values<'p>,
}

enum Values<'p> {
    Booleans(BooleanBuffer),
    Integers(ScalarBuffer<i64>),
    Unsigned(ScalarBuffer<u64>),
    Floats(ScalarBuffer<f32>),
    Doubles(ScalarBuffer<f64>),
    Text(StringViewArray),
    Bytes(BinaryViewArray),
    Message(MessageWriter<'p>),
    Wrapper(Box<ColumnWriter<'p>>),
    List(OffsetBuffer<i32>, Box<ColumnWriter<'p>>),
    Map(OffsetBuffer<i32>, Box<[ColumnWriter<'p>; 2]>),
}

/// A value that was not written: this one, or one inside it.
enum Unwritten {
    Here(&'static str),
    Inside(Unwritable),
}

const OUT_OF_RANGE: Unwritten = Unwritten::Here("it is out of range");
const NULL_INSIDE: Unwritten = Unwritten::Here("it holds NULL");

impl From<Unwritable> for Unwritten {
    fn from(inside: Unwritable) -> Self {
        Unwritten::Inside(inside)
    }
}

impl<'p> MessageWriter<'p> {
    /// The fields of a plan, over the columns that it was made for.
    ///
    /// # Errors
    /// If a column is none of those.
    pub(crate) fn try_new(
        plan: &'p [FieldWriting],
        columns: &[ArrayRef],
    ) -> Result<Self, ArrowError> {
        let mut fields = Vec::with_capacity(plan.len());
        for field in plan {
            let column = columns.get(field.column).ok_or_else(no_such_column)?;
            fields.push(ColumnWriter::try_new(field, column)?);
        }
        Ok(MessageWriter(fields))
    }

    /// Writes a row.
    ///
    /// # Errors
    /// If a value does not fit its field.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        for field in &self.0 {
            field.write(row, out)?;
        }
        Ok(())
    }
}

impl<'p> ColumnWriter<'p> {
    fn try_new(plan: &'p FieldWriting, column: &ArrayRef) -> Result<Self, ArrowError> {
        let values = match &plan.shape {
            WritingShape::Single => Values::of(plan, column)?,
            WritingShape::List | WritingShape::Packed => {
                let element = match column.data_type() {
                    DataType::List(element) | DataType::LargeList(element) => element,
                    _ => return Err(no_such_column()),
                };
                let array = to(column, &DataType::List(FieldRef::clone(element)))?;
                let list = array.as_list::<i32>();
                let items = ColumnWriter::of_values(plan, list.values())?;
                Values::List(list.offsets().clone(), Box::new(items))
            }
            WritingShape::Map(parts) => {
                let map = column.as_map_opt().ok_or_else(no_such_column)?;
                let [key, value] = parts.as_ref();
                let keys = ColumnWriter::try_new(key, map.keys())?;
                let values = ColumnWriter::try_new(value, map.values())?;
                Values::Map(map.offsets().clone(), Box::new([keys, values]))
            }
        };
        Ok(ColumnWriter {
            plan,
            nulls: column.nulls().cloned(),
            values,
        })
    }

    /// The elements of a list.
    fn of_values(plan: &'p FieldWriting, column: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(ColumnWriter {
            plan,
            nulls: column.nulls().cloned(),
            values: Values::of(plan, column)?,
        })
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Writes the field of a row, with its tag.
    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        self.write_field(row, out)
            .map_err(|unwritten| match unwritten {
                Unwritten::Inside(inside) => inside,
                Unwritten::Here(why) => Unwritable {
                    column: self.plan.path.clone(),
                    described: self.plan.described.clone(),
                    why,
                },
            })
    }

    fn write_field(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        if self.is_null(row) {
            return match self.plan.presence {
                Presence::Required => Err(Unwritten::Here("it is NULL")),
                Presence::Implicit | Presence::Explicit => Ok(()),
            };
        }
        let tag = &self.plan.tag;
        match &self.values {
            Values::List(offsets, items) => {
                let places = places(offsets, row);
                if self.plan_is_packed() {
                    if !places.is_empty() {
                        out.extend_from_slice(tag);
                        return write_with_length(out, |out| {
                            places
                                .into_iter()
                                .try_for_each(|at| items.write_item(at, out))
                        });
                    }
                    return Ok(());
                }
                for at in places {
                    out.extend_from_slice(tag);
                    items.write_item(at, out)?;
                }
                Ok(())
            }
            Values::Map(offsets, parts) => {
                let [keys, values] = parts.as_ref();
                for at in places(offsets, row) {
                    out.extend_from_slice(tag);
                    write_with_length(out, |out| {
                        keys.write(at, out)?;
                        values.write(at, out)
                    })?;
                }
                Ok(())
            }
            _ => {
                let start = out.len();
                out.extend_from_slice(tag);
                self.write_value(row, out)?;
                // Zero, false and no bytes are written with bytes of zero, and nothing else is.
                let written = out.get(start + tag.len()..).unwrap_or_default();
                let is_default = written.iter().all(|byte| *byte == 0);
                if is_default && self.plan.presence == Presence::Implicit {
                    out.truncate(start);
                }
                Ok(())
            }
        }
    }

    fn plan_is_packed(&self) -> bool {
        matches!(self.plan.shape, WritingShape::Packed)
    }

    /// Writes an element, which has no way to be NULL.
    fn write_item(&self, at: usize, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        if self.is_null(at) {
            return Err(NULL_INSIDE);
        }
        self.write_value(at, out)
    }

    /// Writes a value that is not NULL, without its tag.
    fn write_value(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        let gone = Unwritten::Here("it is not there");
        match (&self.values, &self.plan.kind) {
            (Values::Booleans(values), _) => out.push(u8::from(values.value(row))),
            (Values::Floats(values), _) => {
                out.extend_from_slice(&values.get(row).ok_or(gone)?.to_le_bytes());
            }
            (Values::Doubles(values), _) => {
                out.extend_from_slice(&values.get(row).ok_or(gone)?.to_le_bytes());
            }
            (Values::Integers(values), kind) => {
                let value = *values.get(row).ok_or(gone)?;
                match kind {
                    WritingKind::Timestamp(units) => {
                        let nanos = value.rem_euclid(*units) * (1_000_000_000 / units);
                        write_time(value.div_euclid(*units), nanos, out);
                    }
                    WritingKind::Duration => {
                        write_time(value / 1_000_000, value % 1_000_000 * 1000, out);
                    }
                    kind => write_whole(kind, value.into(), out).ok_or(OUT_OF_RANGE)?,
                }
            }
            (Values::Unsigned(values), kind) => {
                let value = *values.get(row).ok_or(gone)?;
                write_whole(kind, value.into(), out).ok_or(OUT_OF_RANGE)?;
            }
            (Values::Text(values), WritingKind::Enum(numbers)) => {
                let name = values.value(row);
                // A number without a name is read as its digits.
                let number = numbers.get(name).copied().or_else(|| name.parse().ok());
                let wrong = Unwritten::Here("it is none of the enum's names");
                let number = i64::from(number.ok_or(wrong)?);
                write_varint(number.cast_unsigned(), out);
            }
            (Values::Text(values), WritingKind::Json(kind)) => {
                let written =
                    write_with_length(out, |out| write_json_text(*kind, values.value(row), out));
                written.ok_or(Unwritten::Here("it is not JSON of this kind"))?;
            }
            (Values::Text(values), _) => write_bytes(values.value(row).as_bytes(), out),
            (Values::Bytes(values), _) => write_bytes(values.value(row), out),
            (Values::Message(message), WritingKind::Group(_, end)) => {
                message.write(row, out)?;
                out.extend_from_slice(end);
            }
            (Values::Message(message), _) => {
                write_with_length(out, |out| message.write(row, out))?;
            }
            (Values::Wrapper(inner), _) => {
                write_with_length(out, |out| inner.write(row, out))?;
            }
            (Values::List(..) | Values::Map(..), _) => return Err(gone),
        }
        Ok(())
    }
}

impl<'p> Values<'p> {
    /// The values of a column as their kind needs them.
    fn of(plan: &'p FieldWriting, column: &ArrayRef) -> Result<Self, ArrowError> {
        Ok(match &plan.kind {
            WritingKind::Number(_, Number::Bool) => Values::Booleans(
                to(column, &DataType::Boolean)?
                    .as_boolean()
                    .values()
                    .clone(),
            ),
            WritingKind::Number(_, Number::Float) => {
                let floats = to(column, &DataType::Float32)?;
                Values::Floats(floats.as_primitive::<Float32Type>().values().clone())
            }
            WritingKind::Number(_, Number::Double) => {
                let doubles = to(column, &DataType::Float64)?;
                Values::Doubles(doubles.as_primitive::<Float64Type>().values().clone())
            }
            WritingKind::Number(..) if *column.data_type() == DataType::UInt64 => {
                Values::Unsigned(column.as_primitive::<UInt64Type>().values().clone())
            }
            WritingKind::Number(..) | WritingKind::Timestamp(_) | WritingKind::Duration => {
                Values::Integers(integers(column)?)
            }
            WritingKind::Enum(_) | WritingKind::Text | WritingKind::Json(_) => {
                Values::Text(text(column)?)
            }
            WritingKind::Bytes => Values::Bytes(bytes(column)?),
            WritingKind::Message(fields) | WritingKind::Group(fields, _) => {
                let array = column.as_struct_opt().ok_or_else(no_such_column)?;
                Values::Message(MessageWriter::try_new(fields, array.columns())?)
            }
            WritingKind::Wrapper(inner) => {
                Values::Wrapper(Box::new(ColumnWriter::try_new(inner, column)?))
            }
        })
    }
}

/// The places of a row's elements.
fn places(offsets: &OffsetBuffer<i32>, row: usize) -> std::ops::Range<usize> {
    let place = |at: usize| offsets.get(at).and_then(|end| usize::try_from(*end).ok());
    place(row).unwrap_or(0)..place(row + 1).unwrap_or(0)
}

/// Writes a whole number; `None` if it is out of its field's range.
fn write_whole(kind: &WritingKind, value: i128, out: &mut Vec<u8>) -> Option<()> {
    let WritingKind::Number(wire, number) = kind else {
        return None;
    };
    let raw = match number {
        Number::Int32 => i64::from(i32::try_from(value).ok()?).cast_unsigned(),
        Number::Int64 => i64::try_from(value).ok()?.cast_unsigned(),
        Number::Uint32 => u32::try_from(value).ok()?.into(),
        Number::Uint64 => u64::try_from(value).ok()?,
        Number::Sint32 => zigzag(i32::try_from(value).ok()?.into()),
        Number::Sint64 => zigzag(i64::try_from(value).ok()?),
        Number::Bool | Number::Float | Number::Double => return None,
    };
    match wire {
        WireType::Varint => write_varint(raw, out),
        WireType::Fixed64 => out.extend(raw.to_le_bytes()),
        WireType::Fixed32 => out.extend(raw.to_le_bytes().first_chunk::<4>()?),
        WireType::Bytes | WireType::Group => return None,
    }
    Some(())
}

/// Writes a `Timestamp` or a `Duration`.
fn write_time(seconds: i64, nanos: i64, out: &mut Vec<u8>) {
    write_with_length(out, |out| {
        for (tag, value) in [(1 << 3, seconds), (2 << 3, nanos)] {
            if value != 0 {
                out.push(tag);
                write_varint(value.cast_unsigned(), out);
            }
        }
    });
}
