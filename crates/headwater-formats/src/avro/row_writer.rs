//! Runs a plan of writing over the columns of a batch.
//!
//! The columns are first brought to one type per kind of value, by kernels that work on whole
//! columns; then the rows are written one after the other.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Decimal128Type, FieldRef, Float32Type, Float64Type};
use arrow::error::ArrowError;

use crate::avro::default_value::{write_bytes, write_long};
use crate::avro::reading::Factor;
use crate::avro::writing::{Branches, FieldWriting, Writing, WritingKind};
use crate::column_values::{Unwritable, bytes, integers, no_such_column, text, to};

/// The fields of a record, with the values of a batch.
pub(crate) struct RecordWriter<'p> {
    fields: Vec<FieldWriter<'p>>,
}

enum FieldWriter<'p> {
    Column(ColumnWriter<'p>),
    Constant(&'p [u8]),
}

/// The values of a column.
struct ColumnWriter<'p> {
    plan: &'p Writing,
    nulls: Option<NullBuffer>,
    values: Values<'p>,
}

enum Values<'p> {
    Booleans(BooleanBuffer),
    Ints(ScalarBuffer<i64>, Factor),
    Longs(ScalarBuffer<i64>, Factor),
    Floats(ScalarBuffer<f32>),
    Doubles(ScalarBuffer<f64>),
    Text(StringViewArray),
    Symbols(StringViewArray, &'p std::collections::HashMap<String, i64>),
    Bytes(BinaryViewArray),
    Fixed(BinaryViewArray, usize),
    Decimals(ScalarBuffer<i128>, i128, Option<usize>),
    Record(RecordWriter<'p>),
    List(OffsetBuffer<i32>, Box<ColumnWriter<'p>>),
    Map(OffsetBuffer<i32>, StringViewArray, Box<ColumnWriter<'p>>),
}

impl<'p> RecordWriter<'p> {
    /// The fields of a plan, over the columns that it was made for.
    ///
    /// # Errors
    /// If a column is none of those, or has a number beyond 63 bits.
    pub(crate) fn try_new(
        plan: &'p [FieldWriting],
        columns: &[ArrayRef],
    ) -> Result<Self, ArrowError> {
        let mut fields = Vec::with_capacity(plan.len());
        for field in plan {
            fields.push(match field {
                FieldWriting::Constant(bytes) => FieldWriter::Constant(bytes),
                FieldWriting::Column(place, writing) => {
                    let column = columns.get(*place).ok_or_else(no_such_column)?;
                    FieldWriter::Column(ColumnWriter::try_new(writing, column)?)
                }
            });
        }
        Ok(RecordWriter { fields })
    }

    /// Writes a row.
    ///
    /// # Errors
    /// If a value does not fit its field.
    pub(crate) fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        for field in &self.fields {
            match field {
                FieldWriter::Column(column) => column.write(row, out)?,
                FieldWriter::Constant(bytes) => out.extend_from_slice(bytes),
            }
        }
        Ok(())
    }
}

impl<'p> ColumnWriter<'p> {
    fn try_new(plan: &'p Writing, column: &ArrayRef) -> Result<Self, ArrowError> {
        let values = match &plan.kind {
            WritingKind::Boolean => {
                let booleans = to(column, &DataType::Boolean)?;
                Values::Booleans(booleans.as_boolean().values().clone())
            }
            WritingKind::Int(factor) => Values::Ints(integers(column)?, *factor),
            WritingKind::Long(factor) => Values::Longs(integers(column)?, *factor),
            WritingKind::Float => {
                let floats = to(column, &DataType::Float32)?;
                Values::Floats(floats.as_primitive::<Float32Type>().values().clone())
            }
            WritingKind::Double => {
                let doubles = to(column, &DataType::Float64)?;
                Values::Doubles(doubles.as_primitive::<Float64Type>().values().clone())
            }
            WritingKind::Text => Values::Text(text(column)?),
            WritingKind::Symbols(symbols) => Values::Symbols(text(column)?, symbols),
            WritingKind::Bytes => Values::Bytes(bytes(column)?),
            WritingKind::Fixed(size) => Values::Fixed(bytes(column)?, *size),
            WritingKind::Decimal(factor, size) => {
                let decimals = column.as_primitive_opt::<Decimal128Type>();
                let decimals = decimals.ok_or_else(no_such_column)?;
                Values::Decimals(decimals.values().clone(), *factor, *size)
            }
            WritingKind::Record(fields) => {
                let array = column.as_struct_opt().ok_or_else(no_such_column)?;
                Values::Record(RecordWriter::try_new(fields, array.columns())?)
            }
            WritingKind::List(item) => {
                let element = match column.data_type() {
                    DataType::List(element) | DataType::LargeList(element) => element,
                    _ => return Err(no_such_column()),
                };
                let array = to(column, &DataType::List(FieldRef::clone(element)))?;
                let list = array.as_list::<i32>();
                let items = ColumnWriter::try_new(item, list.values())?;
                Values::List(list.offsets().clone(), Box::new(items))
            }
            WritingKind::Map(value) => {
                let map = column.as_map_opt().ok_or_else(no_such_column)?;
                let values = ColumnWriter::try_new(value, map.values())?;
                Values::Map(map.offsets().clone(), text(map.keys())?, Box::new(values))
            }
        };
        Ok(ColumnWriter {
            plan,
            nulls: column.nulls().cloned(),
            values,
        })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
        let is_null = self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        match (is_null, self.plan.branches) {
            (false, None) => {}
            (false, Some(branches)) => write_long(branches.value, out),
            (
                true,
                Some(Branches {
                    null: Some(null), ..
                }),
            ) => {
                write_long(null, out);
                return Ok(());
            }
            (true, _) => return Err(self.unwritable("it is NULL")),
        }
        self.write_value(row, out)
            .map_err(|unwritten| match unwritten {
                Unwritten::Here(why) => self.unwritable(why),
                Unwritten::Inside(inside) => inside,
            })
    }

    fn unwritable(&self, why: &'static str) -> Unwritable {
        Unwritable {
            column: self.plan.path.clone(),
            described: self.plan.described.clone(),
            why,
        }
    }

    fn write_value(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Unwritten> {
        let gone = Unwritten::Here("there is no such row");
        match &self.values {
            Values::Booleans(values) => out.push(u8::from(values.value(row))),
            Values::Ints(values, factor) => {
                let value = values.get(row).and_then(|value| factor.apply(*value));
                let value = value.and_then(|value| i32::try_from(value).ok());
                write_long(value.ok_or(OUT_OF_RANGE)?.into(), out);
            }
            Values::Longs(values, factor) => {
                let value = values.get(row).and_then(|value| factor.apply(*value));
                write_long(value.ok_or(OUT_OF_RANGE)?, out);
            }
            Values::Floats(values) => {
                out.extend_from_slice(&values.get(row).ok_or(gone)?.to_le_bytes());
            }
            Values::Doubles(values) => {
                out.extend_from_slice(&values.get(row).ok_or(gone)?.to_le_bytes());
            }
            Values::Text(values) => {
                write_bytes(values.value(row).as_bytes(), out).ok_or(OUT_OF_RANGE)?;
            }
            Values::Symbols(values, symbols) => {
                let symbol = symbols.get(values.value(row));
                let wrong = Unwritten::Here("it is none of the symbols");
                write_long(*symbol.ok_or(wrong)?, out);
            }
            Values::Bytes(values) => write_bytes(values.value(row), out).ok_or(OUT_OF_RANGE)?,
            Values::Fixed(values, size) => {
                let value = values.value(row);
                if value.len() != *size {
                    return Err(Unwritten::Here("it has another number of bytes"));
                }
                out.extend_from_slice(value);
            }
            Values::Decimals(values, factor, size) => {
                let value = values.get(row).and_then(|value| value.checked_mul(*factor));
                write_decimal(value.ok_or(OUT_OF_RANGE)?, *size, out).ok_or(OUT_OF_RANGE)?;
            }
            Values::Record(record) => record.write(row, out)?,
            Values::List(offsets, items) => {
                write_items(offsets, row, out, |item, out| items.write(item, out))?;
            }
            Values::Map(offsets, keys, values) => {
                write_items(offsets, row, out, |entry, out| {
                    write_bytes(keys.value(entry).as_bytes(), out);
                    values.write(entry, out)
                })?;
            }
        }
        Ok(())
    }
}

/// A value that was not written: this one, or one inside it.
enum Unwritten {
    Here(&'static str),
    Inside(Unwritable),
}

const OUT_OF_RANGE: Unwritten = Unwritten::Here("it is out of range");

impl From<Unwritable> for Unwritten {
    fn from(inside: Unwritable) -> Self {
        Unwritten::Inside(inside)
    }
}

/// Writes the items of a row as one block.
fn write_items(
    offsets: &OffsetBuffer<i32>,
    row: usize,
    out: &mut Vec<u8>,
    mut write: impl FnMut(usize, &mut Vec<u8>) -> Result<(), Unwritable>,
) -> Result<(), Unwritable> {
    let place = |at: usize| offsets.get(at).and_then(|end| usize::try_from(*end).ok());
    let (start, end) = (place(row).unwrap_or(0), place(row + 1).unwrap_or(0));
    if start < end {
        write_long(i64::try_from(end - start).unwrap_or(i64::MAX), out);
        for item in start..end {
            write(item, out)?;
        }
    }
    out.push(0);
    Ok(())
}

/// Writes a whole number in two's complement, the highest byte first: in as few bytes as it takes,
/// or in so many.
fn write_decimal(value: i128, size: Option<usize>, out: &mut Vec<u8>) -> Option<()> {
    let wide = value.to_be_bytes();
    let fill = if value < 0 { 0xff } else { 0x00 };
    // A byte is needed if it is no mere repetition of the sign in the bit that follows.
    let surplus = wide
        .windows(2)
        .take_while(|pair| matches!(pair, [first, next] if *first == fill && (next ^ fill) < 0x80))
        .count();
    let needed = wide.get(surplus..)?;
    match size {
        None => write_bytes(needed, out),
        Some(size) => {
            let padding = size.checked_sub(needed.len())?;
            out.extend(std::iter::repeat_n(fill, padding));
            out.extend_from_slice(needed);
            Some(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_take_as_few_bytes_as_they_need() {
        let cases: [(i128, &[u8]); 7] = [
            (0, &[2, 0]),
            (-1, &[2, 0xff]),
            (127, &[2, 0x7f]),
            (128, &[4, 0, 0x80]),
            (-128, &[2, 0x80]),
            (-129, &[4, 0xff, 0x7f]),
            (65_535, &[6, 0, 0xff, 0xff]),
        ];
        for (value, expected) in cases {
            let mut out = Vec::new();
            write_decimal(value, None, &mut out).unwrap();
            assert_eq!(out, expected, "{value}");
        }
        let mut out = Vec::new();
        write_decimal(-2, Some(3), &mut out).unwrap();
        assert_eq!(out, [0xff, 0xff, 0xfe]);
        assert_eq!(write_decimal(65_535, Some(2), &mut out), None);
    }
}
