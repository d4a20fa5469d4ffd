//! What collects the values of one column, by its declared type, for binary formats.
//!
//! Values come typed, so a column is plain vectors and no parser. A nested column holds the columns
//! inside it. Every value that is read adds one value to its column, whatever becomes of it
//! (`avro/reading.rs` and `protobuf/reading.rs` see to that), so a record that breaks off half-way
//! is filled up and left out.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryBuilder, BinaryViewBuilder, BooleanBuilder, ListArray,
    MapArray, NullBufferBuilder, PrimitiveArray, StringBuilder, StringViewBuilder, StructArray,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowNativeType, DataType, Date32Type, Decimal128Type, FieldRef, Fields, Float32Type,
    Float64Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt64Type,
};
use arrow::error::ArrowError;
use headwater_core::event_time::{FIRST_SECOND, LAST_SECOND};
use headwater_core::{Error, Result};

use crate::time::{SECONDS_PER_DAY, per_second};

/// The values of a column of this chunk.
pub(crate) enum Column {
    Boolean(BooleanBuilder),
    /// INT, DATE, TIME of seconds or milliseconds, with the least and the greatest value.
    Int(Values<i32>, i32, i32),
    /// BIGINT, TIMESTAMP, TIME of microseconds or nanoseconds, with the least and the greatest.
    Long(Values<i64>, i64, i64),
    /// BIGINT UNSIGNED.
    Unsigned(Values<u64>),
    /// Smaller integers: kept wide, with the least and the greatest value.
    Narrow(Values<i64>, i64, i64),
    Float(Values<f32>),
    Double(Values<f64>),
    /// With the first number of too many digits.
    Decimal(Values<i128>, i128),
    TextView(StringViewBuilder),
    Text(StringBuilder),
    BytesView(BinaryViewBuilder),
    Bytes(BinaryBuilder),
    Struct(StructColumn),
    List(ListColumn),
    Map(MapColumn),
}

/// Values of one width.
pub(crate) struct Values<T> {
    values: Vec<T>,
    nulls: NullBufferBuilder,
    data_type: DataType,
}

/// The columns inside a STRUCT.
pub(crate) struct StructColumn {
    pub(crate) fields: Fields,
    pub(crate) children: Vec<Column>,
    pub(crate) nulls: NullBufferBuilder,
}

/// The elements of an ARRAY.
pub(crate) struct ListColumn {
    pub(crate) element: FieldRef,
    pub(crate) values: Box<Column>,
    pub(crate) spans: Spans,
}

/// The keys and the values of a MAP.
pub(crate) struct MapColumn {
    entries: FieldRef,
    fields: Fields,
    /// The keys and the values.
    pub(crate) parts: Box<[Column; 2]>,
    pub(crate) spans: Spans,
}

/// Where the elements of each value end, and which values are NULL.
pub(crate) struct Spans {
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Column {
    /// The column of a type; `None` if binary formats have nothing for it.
    pub(crate) fn of(data_type: &DataType) -> Option<Column> {
        Some(match data_type {
            DataType::Boolean => Column::Boolean(BooleanBuilder::new()),
            DataType::Int32 => Column::Int(Values::new(data_type), i32::MIN, i32::MAX),
            DataType::Int64 => Column::Long(Values::new(data_type), i64::MIN, i64::MAX),
            DataType::Date32 | DataType::Time32(TimeUnit::Second | TimeUnit::Millisecond) => {
                let (least, greatest) = time_range(data_type)?;
                let (least, greatest) = (i32::try_from(least).ok()?, i32::try_from(greatest).ok()?);
                Column::Int(Values::new(data_type), least, greatest)
            }
            DataType::Timestamp(..)
            | DataType::Time64(TimeUnit::Microsecond | TimeUnit::Nanosecond) => {
                let (least, greatest) = time_range(data_type)?;
                Column::Long(Values::new(data_type), least, greatest)
            }
            DataType::Int8
            | DataType::Int16
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => {
                let (least, greatest) = narrow_range(data_type)?;
                Column::Narrow(Values::new(data_type), least, greatest)
            }
            DataType::UInt64 => Column::Unsigned(Values::new(data_type)),
            DataType::Float32 => Column::Float(Values::new(data_type)),
            DataType::Float64 => Column::Double(Values::new(data_type)),
            DataType::Decimal128(precision, _) => {
                let limit = 10_i128.checked_pow(u32::from(*precision))?;
                Column::Decimal(Values::new(data_type), limit)
            }
            DataType::Utf8View => Column::TextView(StringViewBuilder::new()),
            DataType::Utf8 => Column::Text(StringBuilder::new()),
            DataType::BinaryView => Column::BytesView(BinaryViewBuilder::new()),
            DataType::Binary => Column::Bytes(BinaryBuilder::new()),
            DataType::Struct(fields) => Column::Struct(StructColumn {
                children: columns_of(fields)?,
                fields: fields.clone(),
                nulls: NullBufferBuilder::new(0),
            }),
            DataType::List(element) if element.is_nullable() => Column::List(ListColumn {
                values: Box::new(Column::of(element.data_type())?),
                element: Arc::clone(element),
                spans: Spans::new(),
            }),
            DataType::Map(entries, _) => Column::Map(MapColumn::of(entries)?),
            _ => return None,
        })
    }

    /// Values so far.
    pub(crate) fn len(&self) -> usize {
        use arrow::array::ArrayBuilder as Builder;
        match self {
            Column::Boolean(builder) => Builder::len(builder),
            Column::Int(values, ..) => values.values.len(),
            Column::Long(values, ..) | Column::Narrow(values, ..) => values.values.len(),
            Column::Unsigned(values) => values.values.len(),
            Column::Float(values) => values.values.len(),
            Column::Double(values) => values.values.len(),
            Column::Decimal(values, _) => values.values.len(),
            Column::TextView(builder) => Builder::len(builder),
            Column::Text(builder) => Builder::len(builder),
            Column::BytesView(builder) => Builder::len(builder),
            Column::Bytes(builder) => Builder::len(builder),
            Column::Struct(column) => column.nulls.len(),
            Column::List(column) => column.spans.len(),
            Column::Map(column) => column.spans.len(),
        }
    }

    /// Appends NULL.
    pub(crate) fn append_null(&mut self) {
        match self {
            Column::Boolean(builder) => builder.append_null(),
            Column::Int(values, ..) => values.push_null(),
            Column::Long(values, ..) | Column::Narrow(values, ..) => values.push_null(),
            Column::Unsigned(values) => values.push_null(),
            Column::Float(values) => values.push_null(),
            Column::Double(values) => values.push_null(),
            Column::Decimal(values, _) => values.push_null(),
            Column::TextView(builder) => builder.append_null(),
            Column::Text(builder) => builder.append_null(),
            Column::BytesView(builder) => builder.append_null(),
            Column::Bytes(builder) => builder.append_null(),
            Column::Struct(column) => {
                for child in &mut column.children {
                    child.append_null();
                }
                column.nulls.append_null();
            }
            Column::List(column) => column.spans.push(0, false),
            Column::Map(column) => column.spans.push(0, false),
        }
    }

    /// The column so far; starts anew.
    ///
    /// # Errors
    /// Only for a bug: if the parts do not fit.
    pub(crate) fn finish(&mut self) -> Result<ArrayRef> {
        Ok(match self {
            Column::Boolean(builder) => Arc::new(builder.finish()),
            Column::Int(values, ..) => values.finish_int()?,
            Column::Long(values, ..) => values.finish_long()?,
            Column::Narrow(values, ..) => {
                let wide = values.take::<Int64Type>()?;
                cast(&wide, &values.data_type).map_err(not_built)?
            }
            Column::Unsigned(values) => Arc::new(values.take::<UInt64Type>()?),
            Column::Float(values) => Arc::new(values.take::<Float32Type>()?),
            Column::Double(values) => values.finish_double()?,
            Column::Decimal(values, _) => {
                let array = values.take::<Decimal128Type>()?;
                Arc::new(array.with_data_type(values.data_type.clone()))
            }
            // A view builder keeps the block size it has grown to: a fresh one takes its place.
            Column::TextView(builder) => Arc::new(std::mem::take(builder).finish()),
            Column::Text(builder) => Arc::new(builder.finish()),
            Column::BytesView(builder) => Arc::new(std::mem::take(builder).finish()),
            Column::Bytes(builder) => Arc::new(builder.finish()),
            Column::Struct(column) => column.finish()?,
            Column::List(column) => column.finish()?,
            Column::Map(column) => column.finish()?,
        })
    }
}

/// The columns of fields, if each has a type that [`Column::of`] knows.
pub(crate) fn columns_of(fields: &Fields) -> Option<Vec<Column>> {
    let columns = fields.iter().map(|field| Column::of(field.data_type()));
    columns.collect()
}

/// The least and the greatest value of a type of times: years 0 to 9999, and the times of one day.
/// Formats of text refuse others too, and nothing prints a time that no calendar has.
fn time_range(data_type: &DataType) -> Option<(i64, i64)> {
    let of_day = |unit| Some((0, SECONDS_PER_DAY * per_second(unit) - 1));
    match data_type {
        DataType::Date32 => Some((
            FIRST_SECOND / SECONDS_PER_DAY,
            LAST_SECOND / SECONDS_PER_DAY,
        )),
        DataType::Time32(unit) | DataType::Time64(unit) => of_day(*unit),
        DataType::Timestamp(unit, _) => {
            let units = per_second(*unit);
            // Nanoseconds of 64 bits end before these years.
            let least = FIRST_SECOND.saturating_mul(units);
            let end = (LAST_SECOND + 1).saturating_mul(units);
            Some((least, if end == i64::MAX { end } else { end - 1 }))
        }
        _ => None,
    }
}

/// The least and the greatest value of an integer type that is kept wide.
fn narrow_range(data_type: &DataType) -> Option<(i64, i64)> {
    Some(match data_type {
        DataType::Int8 => (i8::MIN.into(), i8::MAX.into()),
        DataType::Int16 => (i16::MIN.into(), i16::MAX.into()),
        DataType::UInt8 => (0, u8::MAX.into()),
        DataType::UInt16 => (0, u16::MAX.into()),
        DataType::UInt32 => (0, u32::MAX.into()),
        _ => return None,
    })
}

impl<T: ArrowNativeType> Values<T> {
    pub(crate) fn new(data_type: &DataType) -> Self {
        Values {
            values: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            data_type: data_type.clone(),
        }
    }

    /// Appends a value.
    #[inline]
    pub(crate) fn push(&mut self, value: T) {
        self.values.push(value);
        self.nulls.append_non_null();
    }

    /// Appends NULL.
    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.values.push(T::default());
        self.nulls.append_null();
    }

    fn take<P>(&mut self) -> Result<PrimitiveArray<P>>
    where
        P: ArrowPrimitiveType<Native = T>,
    {
        let room = self.values.len();
        let values = std::mem::replace(&mut self.values, Vec::with_capacity(room));
        PrimitiveArray::try_new(ScalarBuffer::from(values), self.nulls.finish()).map_err(not_built)
    }
}

impl Values<i32> {
    fn finish_int(&mut self) -> Result<ArrayRef> {
        Ok(match self.data_type {
            DataType::Date32 => Arc::new(self.take::<Date32Type>()?),
            DataType::Time32(TimeUnit::Second) => Arc::new(self.take::<Time32SecondType>()?),
            DataType::Time32(_) => Arc::new(self.take::<Time32MillisecondType>()?),
            _ => Arc::new(self.take::<Int32Type>()?),
        })
    }
}

impl Values<i64> {
    pub(crate) fn finish_long(&mut self) -> Result<ArrayRef> {
        Ok(match self.data_type.clone() {
            DataType::Timestamp(unit, zone) => match unit {
                TimeUnit::Second => {
                    let array = self.take::<TimestampSecondType>()?;
                    Arc::new(array.with_timezone_opt(zone))
                }
                TimeUnit::Millisecond => {
                    let array = self.take::<TimestampMillisecondType>()?;
                    Arc::new(array.with_timezone_opt(zone))
                }
                TimeUnit::Microsecond => {
                    let array = self.take::<TimestampMicrosecondType>()?;
                    Arc::new(array.with_timezone_opt(zone))
                }
                TimeUnit::Nanosecond => {
                    let array = self.take::<TimestampNanosecondType>()?;
                    Arc::new(array.with_timezone_opt(zone))
                }
            },
            DataType::Time64(TimeUnit::Microsecond) => {
                Arc::new(self.take::<Time64MicrosecondType>()?)
            }
            DataType::Time64(_) => Arc::new(self.take::<Time64NanosecondType>()?),
            _ => Arc::new(self.take::<Int64Type>()?),
        })
    }
}

impl Values<f64> {
    pub(crate) fn finish_double(&mut self) -> Result<ArrayRef> {
        Ok(Arc::new(self.take::<Float64Type>()?))
    }
}

impl StructColumn {
    fn finish(&mut self) -> Result<ArrayRef> {
        let mut arrays = Vec::with_capacity(self.children.len());
        for child in &mut self.children {
            arrays.push(child.finish()?);
        }
        let length = self.nulls.len();
        let nulls = self.nulls.finish();
        let array = StructArray::try_new_with_length(self.fields.clone(), arrays, nulls, length);
        Ok(Arc::new(array.map_err(not_built)?))
    }
}

impl ListColumn {
    fn finish(&mut self) -> Result<ArrayRef> {
        let (offsets, nulls) = self.spans.finish();
        let element = Arc::clone(&self.element);
        let array = ListArray::try_new(element, offsets, self.values.finish()?, nulls);
        Ok(Arc::new(array.map_err(not_built)?))
    }
}

impl MapColumn {
    fn of(entries: &FieldRef) -> Option<MapColumn> {
        let DataType::Struct(fields) = entries.data_type() else {
            return None;
        };
        let [key, value] = fields.as_ref() else {
            return None;
        };
        let has_text_keys = matches!(key.data_type(), DataType::Utf8 | DataType::Utf8View);
        if !has_text_keys || !value.is_nullable() {
            return None;
        }
        Some(MapColumn {
            entries: Arc::clone(entries),
            fields: fields.clone(),
            parts: Box::new([Column::of(key.data_type())?, Column::of(value.data_type())?]),
            spans: Spans::new(),
        })
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let (offsets, nulls) = self.spans.finish();
        let [keys, values] = self.parts.as_mut();
        let arrays = vec![keys.finish()?, values.finish()?];
        let entries = StructArray::try_new(self.fields.clone(), arrays, None).map_err(not_built)?;
        let map = MapArray::try_new(Arc::clone(&self.entries), offsets, entries, nulls, false);
        Ok(Arc::new(map.map_err(not_built)?))
    }
}

impl Spans {
    fn new() -> Self {
        Spans {
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Ends a value that has `elements` more elements. What a bad value has left behind stays as
    /// elements of a NULL.
    pub(crate) fn push(&mut self, elements: i32, is_valid: bool) {
        let end = self.ends.last().copied().unwrap_or(0);
        self.ends.push(end.saturating_add(elements));
        self.nulls.append(is_valid);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<arrow::buffer::NullBuffer>) {
        let ends = std::mem::replace(&mut self.ends, vec![0]);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        (offsets, self.nulls.finish())
    }
}

fn not_built(error: ArrowError) -> Error {
    Error::internal("could not build a column of values").with_source(error)
}
