//! Rows to one JSON object each, by arrow-json.
//!
//! A NULL is written as `null`, so that every record has every key. Timestamps are written as
//! [`crate::timestamp`] says, by default in UTC with `Z`; a double that is not finite is written
//! as `null`, since JSON has no such number; binary values are strings of hexadecimal digits.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, StructArray, new_empty_array};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder as ValueEncoder, EncoderFactory, EncoderOptions};
use headwater_core::format::Encoder;
use headwater_core::{Error, Result};

use crate::payload_buffer::PayloadBuffer;
use crate::timestamp::TimestampOptions;
use crate::timestamp_array::timestamp_values;

/// Encodes JSON.
#[derive(Debug)]
pub(crate) struct JsonEncoder {
    row: FieldRef,
    options: EncoderOptions,
    bytes_per_row: usize,
}

impl JsonEncoder {
    /// An encoder for rows of a schema.
    ///
    /// # Errors
    /// If a column's type has no form in JSON.
    pub(crate) fn try_new(
        schema: &SchemaRef,
        timestamps: TimestampOptions,
        owner: &str,
    ) -> Result<Self> {
        let mut encoder = JsonEncoder {
            row: Arc::new(Field::new_struct("row", schema.fields().clone(), false)),
            options: options_of(timestamps),
            bytes_per_row: 0,
        };
        // Whether a type has a form is decided when its encoder is made: try it without rows.
        encoder
            .encode(&RecordBatch::new_empty(SchemaRef::clone(schema)))
            .map_err(|e| {
                let message = format!("format \"json\" of {owner} cannot hold these columns");
                Error::unsupported(message).with_source(e)
            })?;
        Ok(encoder)
    }
}

impl Encoder for JsonEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray> {
        let fields = rows.schema_ref().fields().clone();
        let columns = rows.columns().to_vec();
        let array = StructArray::try_new_with_length(fields, columns, None, rows.num_rows())
            .map_err(not_encoded)?;
        let mut values = make_encoder(&self.row, &array, &self.options).map_err(not_encoded)?;
        let expected_bytes = rows.num_rows() * self.bytes_per_row;
        let mut payloads = PayloadBuffer::with_capacity(rows.num_rows(), expected_bytes);
        for row in 0..rows.num_rows() {
            values.encode(row, &mut payloads.bytes);
            payloads.end_payload()?;
        }
        if rows.num_rows() > 0 {
            // A little more than the mean, so that the next batch rarely has to grow its buffer.
            self.bytes_per_row = payloads.bytes.len() / rows.num_rows() + 8;
        }
        payloads.finish(None)
    }
}

/// The JSON text of the values of a column, in the forms that [`JsonEncoder`] has for columns.
#[derive(Debug)]
pub(crate) struct JsonTexts {
    field: FieldRef,
    options: EncoderOptions,
}

impl JsonTexts {
    /// For values of a type.
    ///
    /// # Errors
    /// If JSON has no form for them.
    pub(crate) fn try_new(data_type: &DataType, timestamps: TimestampOptions) -> Result<Self> {
        let texts = JsonTexts {
            field: Arc::new(Field::new("value", data_type.clone(), true)),
            options: options_of(timestamps),
        };
        // As above: it shows without values.
        texts.write(&new_empty_array(data_type))?;
        Ok(texts)
    }

    /// The text of every value; that of NULL is NULL.
    ///
    /// # Errors
    /// If all texts together are larger than 2 GiB.
    pub(crate) fn write(&self, column: &ArrayRef) -> Result<BinaryArray> {
        let mut values = make_encoder(&self.field, column, &self.options).map_err(not_encoded)?;
        let nulls = column.logical_nulls();
        let mut payloads = PayloadBuffer::with_capacity(column.len(), 0);
        for row in 0..column.len() {
            if nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row)) {
                values.encode(row, &mut payloads.bytes);
            }
            payloads.end_payload()?;
        }
        payloads.finish(nulls)
    }
}

fn options_of(timestamps: TimestampOptions) -> EncoderOptions {
    let factory = TimestampFactory {
        timestamps: Arc::new(timestamps),
    };
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(factory))
}

fn not_encoded(error: ArrowError) -> Error {
    Error::unsupported("could not write rows as JSON").with_source(error)
}

/// Puts our form of timestamps in the place of arrow-json's, which leaves out the zone and goes
/// through chrono.
#[derive(Debug)]
struct TimestampFactory {
    timestamps: Arc<TimestampOptions>,
}

impl EncoderFactory for TimestampFactory {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let Some((values, unit)) = timestamp_values(array) else {
            return Ok(None);
        };
        let encoder = TimestampEncoder {
            values,
            unit,
            timestamps: Arc::clone(&self.timestamps),
        };
        let nulls = array.nulls().cloned();
        Ok(Some(NullableEncoder::new(Box::new(encoder), nulls)))
    }
}

struct TimestampEncoder {
    values: ScalarBuffer<i64>,
    unit: TimeUnit,
    timestamps: Arc<TimestampOptions>,
}

impl ValueEncoder for TimestampEncoder {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let Some(value) = self.values.get(row) else {
            return;
        };
        if self.timestamps.has_unit() {
            self.timestamps.write(out, *value, self.unit);
            return;
        }
        out.push(b'"');
        let start = out.len();
        self.timestamps.write(out, *value, self.unit);
        escape_from(out, start);
        out.push(b'"');
    }
}

/// Escapes quotes and backslashes in what was written from `start` on: a user's pattern may hold
/// them. ISO 8601 does not, so that this is a look and no more.
fn escape_from(out: &mut Vec<u8>, start: usize) {
    let written = out.get(start..).unwrap_or_default();
    let is_plain = |byte: &u8| *byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    if written.iter().all(is_plain) {
        return;
    }
    let text = String::from_utf8_lossy(written).into_owned();
    let quoted = serde_json::Value::String(text).to_string();
    let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    out.truncate(start);
    out.extend_from_slice(inner.as_bytes());
}
