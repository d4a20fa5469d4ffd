//! Rows of state whose columns of fixed width lie side by side.
//!
//! A changed group reads its old row once. In columns that row is a cache line per column, each of
//! them far away when there are millions of groups; packed it is one or two.
//!
//! ```text
//! row     [ nulls, one bit per column | values, the widest first | up to 7 bytes of nothing ]
//! rest    text, lists and all else of no fixed width: Arrow columns, as they came
//! ```

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BooleanArray, RecordBatch, make_array, new_empty_array,
};
use arrow::buffer::{BooleanBuffer, Buffer, MutableBuffer, NullBuffer};
use arrow::compute::interleave;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion_common::Result;

use crate::view_buffers::owning;

#[cfg(test)]
mod tests;

/// So many rows stay in the cache while one column after the other is copied.
const BLOCK_ROWS: usize = 256;

/// Rows begin at multiples of this, so that few of them lie across two cache lines.
const ALIGNMENT: usize = 8;

/// A column of fixed width.
#[derive(Debug, Clone, Copy)]
struct Fixed {
    column: usize,
    /// Bytes; truth values have one.
    width: usize,
    offset: usize,
}

/// Where a column of the schema is.
#[derive(Debug, Clone, Copy)]
enum Column {
    Fixed(usize),
    Rest(usize),
}

/// How the columns of a schema lie in packed rows.
#[derive(Debug)]
pub(crate) struct RowLayout {
    schema: SchemaRef,
    columns: Vec<Column>,
    fixed: Vec<Fixed>,
    null_bytes: usize,
    /// Bytes from one row to the next.
    stride: usize,
}

/// Rows in the layout of their table.
#[derive(Debug)]
pub(crate) struct PackedRows {
    rows: usize,
    bytes: Buffer,
    rest: Vec<ArrayRef>,
}

impl PackedRows {
    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let rest = self.rest.iter().map(|c| c.get_array_memory_size());
        self.bytes.capacity() + rest.sum::<usize>()
    }
}

/// Width of the values of a type in bytes, if all have the same.
fn fixed_width(data_type: &DataType) -> Option<usize> {
    match data_type {
        DataType::Boolean => Some(1),
        other => other.primitive_width(),
    }
}

impl RowLayout {
    /// The layout of rows of a schema.
    pub(crate) fn new(schema: SchemaRef) -> Self {
        let widths = schema.fields().iter().map(|f| fixed_width(f.data_type()));
        let widths: Vec<Option<usize>> = widths.collect();
        let mut fixed: Vec<Fixed> = (0..)
            .zip(&widths)
            .filter_map(|(column, width)| {
                Some(Fixed {
                    column,
                    width: (*width)?,
                    offset: 0,
                })
            })
            .collect();
        fixed.sort_by_key(|f| std::cmp::Reverse(f.width));
        let null_bytes = fixed.len().div_ceil(8);
        let mut end = null_bytes;
        for column in &mut fixed {
            column.offset = end;
            end += column.width;
        }
        let mut columns: Vec<Column> = Vec::with_capacity(widths.len());
        let mut rest = 0;
        for column in 0..widths.len() {
            let place = fixed.iter().position(|f| f.column == column);
            columns.push(place.map_or_else(|| Column::Rest(rest), Column::Fixed));
            rest += usize::from(place.is_none());
        }
        RowLayout {
            schema,
            columns,
            fixed,
            null_bytes,
            stride: end.next_multiple_of(ALIGNMENT),
        }
    }

    /// No rows.
    pub(crate) fn nothing(&self) -> PackedRows {
        self.pack(&RecordBatch::new_empty(Arc::clone(&self.schema)))
    }

    /// Packs the rows of a batch of the layout's schema.
    pub(crate) fn pack(&self, batch: &RecordBatch) -> PackedRows {
        let rows = batch.num_rows();
        let mut bytes = MutableBuffer::from_len_zeroed(rows * self.stride);
        let columns = self.fixed.iter().map(|f| bytes_of(batch.column(f.column)));
        let columns: Vec<Buffer> = columns.collect();
        let mut start = 0;
        for block in bytes.chunks_mut((BLOCK_ROWS * self.stride).max(1)) {
            let end = start + block.len() / self.stride;
            for (column, values) in self.fixed.iter().zip(&columns) {
                let values = &values[start * column.width..end * column.width];
                column.put(values, block.chunks_exact_mut(self.stride));
            }
            start = end;
        }
        for (bit, column) in self.fixed.iter().enumerate() {
            if let Some(nulls) = batch.column(column.column).nulls() {
                for row in (!nulls.inner()).set_indices() {
                    bytes[row * self.stride + bit / 8] |= 1 << (bit % 8);
                }
            }
        }
        let rest = batch.columns().iter().zip(&self.columns);
        let rest = rest.filter(|(_, place)| matches!(place, Column::Rest(_)));
        PackedRows {
            rows,
            bytes: bytes.into(),
            rest: rest.map(|(column, _)| Arc::clone(column)).collect(),
        }
    }

    /// Some columns of the rows at (chunk, row).
    pub(crate) fn gather(
        &self,
        columns: Range<usize>,
        chunks: &[&PackedRows],
        places: &[(usize, usize)],
    ) -> Result<Vec<ArrayRef>> {
        let rows = places.iter();
        let rows: Vec<&[u8]> = rows
            .map(|(chunk, row)| self.row(chunks[*chunk], *row))
            .collect();
        self.columns_of(columns, &rows, |rest| rest_at(rest, chunks, places))
    }

    /// Some columns of rows; `rest` gives those that are not in them.
    fn columns_of(
        &self,
        columns: Range<usize>,
        rows: &[&[u8]],
        rest: impl Fn(usize) -> Result<ArrayRef>,
    ) -> Result<Vec<ArrayRef>> {
        let mut values: Vec<MutableBuffer> = columns
            .clone()
            .map(|column| match self.columns[column] {
                Column::Fixed(bit) => self.fixed[bit].width * rows.len(),
                Column::Rest(_) => 0,
            })
            .map(MutableBuffer::from_len_zeroed)
            .collect();
        // All rows of a block are read for their NULLs first: nothing depends on what is read, so
        // the processor waits for many of them at once.
        let mut has_null = vec![0u8; self.null_bytes];
        let mut start = 0;
        for block in rows.chunks(BLOCK_ROWS) {
            for row in block {
                for (has, row) in has_null.iter_mut().zip(*row) {
                    *has |= row;
                }
            }
            let end = start + block.len();
            for (column, values) in columns.clone().zip(&mut values) {
                if let Column::Fixed(bit) = self.columns[column] {
                    let column = &self.fixed[bit];
                    column.take(block, &mut values[start * column.width..end * column.width]);
                }
            }
            start = end;
        }
        let whole = columns.zip(values).map(|(column, values)| {
            let data_type = self.schema.field(column).data_type();
            match self.columns[column] {
                Column::Fixed(bit) => {
                    let (byte, mask) = (bit / 8, 1 << (bit % 8));
                    let is_valid = |row: usize| rows[row][byte] & mask == 0;
                    let nulls = (has_null[byte] & mask != 0)
                        .then(|| BooleanBuffer::collect_bool(rows.len(), is_valid).into());
                    array(data_type, rows.len(), values.into(), nulls)
                }
                Column::Rest(_) if rows.is_empty() => Ok(new_empty_array(data_type)),
                Column::Rest(number) => rest(number),
            }
        });
        whole.collect()
    }

    /// All rows, as columns.
    pub(crate) fn unpack(&self, packed: &PackedRows) -> Result<Vec<ArrayRef>> {
        let rows: Vec<&[u8]> = (0..packed.rows).map(|row| self.row(packed, row)).collect();
        let rest = |number: usize| Ok(Arc::clone(&packed.rest[number]));
        self.columns_of(0..self.columns.len(), &rows, rest)
    }

    /// The rows at (chunk, row), packed, with no buffer shared.
    pub(crate) fn pick(
        &self,
        chunks: &[&PackedRows],
        places: &[(usize, usize)],
    ) -> Result<PackedRows> {
        let mut bytes = MutableBuffer::with_capacity(places.len() * self.stride);
        for (chunk, row) in places {
            bytes.extend_from_slice(self.row(chunks[*chunk], *row));
        }
        let rest = self.columns.iter().zip(self.schema.fields());
        let rest = rest.filter_map(|(place, field)| match place {
            Column::Rest(_) if places.is_empty() => Some(Ok(new_empty_array(field.data_type()))),
            Column::Rest(rest) => Some(rest_at(*rest, chunks, places).and_then(owning)),
            Column::Fixed(_) => None,
        });
        Ok(PackedRows {
            rows: places.len(),
            rest: rest.collect::<Result<_>>()?,
            bytes: bytes.into(),
        })
    }

    #[inline]
    fn row<'a>(&self, packed: &'a PackedRows, row: usize) -> &'a [u8] {
        &packed.bytes[row * self.stride..(row + 1) * self.stride]
    }
}

impl Fixed {
    /// Puts values, side by side, into rows.
    fn put<'a>(&self, values: &[u8], rows: impl Iterator<Item = &'a mut [u8]>) {
        match self.width {
            1 => put::<1>(values, rows, self.offset),
            2 => put::<2>(values, rows, self.offset),
            4 => put::<4>(values, rows, self.offset),
            8 => put::<8>(values, rows, self.offset),
            16 => put::<16>(values, rows, self.offset),
            _ => put::<32>(values, rows, self.offset),
        }
    }

    /// Takes values out of rows, side by side.
    fn take(&self, rows: &[&[u8]], values: &mut [u8]) {
        match self.width {
            1 => take::<1>(rows, self.offset, values),
            2 => take::<2>(rows, self.offset, values),
            4 => take::<4>(rows, self.offset, values),
            8 => take::<8>(rows, self.offset, values),
            16 => take::<16>(rows, self.offset, values),
            _ => take::<32>(rows, self.offset, values),
        }
    }
}

fn put<'a, const WIDTH: usize>(
    values: &[u8],
    rows: impl Iterator<Item = &'a mut [u8]>,
    offset: usize,
) {
    let (values, _) = values.as_chunks::<WIDTH>();
    for (row, value) in rows.zip(values) {
        row[offset..offset + WIDTH].copy_from_slice(value);
    }
}

fn take<const WIDTH: usize>(rows: &[&[u8]], offset: usize, values: &mut [u8]) {
    let (values, _) = values.as_chunks_mut::<WIDTH>();
    for (value, row) in values.iter_mut().zip(rows) {
        value.copy_from_slice(&row[offset..offset + WIDTH]);
    }
}

/// The values of a column of fixed width, those under NULL too.
fn bytes_of(column: &ArrayRef) -> Buffer {
    if let Some(truths) = column.as_boolean_opt() {
        return truths.values().iter().map(u8::from).collect();
    }
    let data = column.to_data();
    let width = data.data_type().primitive_width().unwrap_or_default();
    data.buffers()[0].slice_with_length(data.offset() * width, data.len() * width)
}

/// The column of that many values.
fn array(
    data_type: &DataType,
    rows: usize,
    values: Buffer,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    if *data_type == DataType::Boolean {
        let truths = BooleanBuffer::collect_bool(rows, |row| values[row] != 0);
        return Ok(Arc::new(BooleanArray::new(truths, nulls)));
    }
    let data = ArrayData::builder(data_type.clone()).len(rows);
    let data = data.add_buffer(values).nulls(nulls).build()?;
    Ok(make_array(data))
}

/// A column of no fixed width at (chunk, row).
fn rest_at(rest: usize, chunks: &[&PackedRows], places: &[(usize, usize)]) -> Result<ArrayRef> {
    let pieces: Vec<&dyn Array> = chunks.iter().map(|c| c.rest[rest].as_ref()).collect();
    Ok(interleave(&pieces, places)?)
}
