//! Rows to one CSV line each, without a line ending.
//!
//! A field is quoted if it holds the delimiter, a quote, an escape or a line ending, if it has
//! spaces at an end, or if it would otherwise be read as NULL. NULL is `null.value`, and nothing
//! if that was not given: a NULL VARCHAR then comes back as an empty one.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_core::format::Encoder;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::csv::options::{CsvOptions, Dialect};
use crate::payload_buffer::PayloadBuffer;
use crate::timestamp_array::timestamp_values;

/// Encodes CSV.
#[derive(Debug)]
pub(crate) struct CsvEncoder {
    options: CsvOptions,
}

impl CsvEncoder {
    /// An encoder for rows of a schema.
    ///
    /// # Errors
    /// If a column's type has no form in a field.
    pub(crate) fn try_new(schema: &SchemaRef, options: CsvOptions, owner: &str) -> Result<Self> {
        let nested = schema.fields().iter().find(|f| f.data_type().is_nested());
        match nested {
            None => Ok(CsvEncoder { options }),
            Some(field) => Err(Error::unsupported(format!(
                "format \"csv\" of {owner} cannot hold column \"{}\", which is {}",
                field.name(),
                a_type_name(field.data_type())
            ))),
        }
    }
}

/// The values of a column, ready to be written.
enum Fields<'a> {
    Strings(Vec<Option<&'a str>>),
    Timestamps(ScalarBuffer<i64>, TimeUnit),
    Formatted(ArrayFormatter<'a>),
}

/// Where a value is written before it is known whether it needs quotes.
#[derive(Debug, Default)]
struct Scratch {
    bytes: Vec<u8>,
    text: String,
}

impl Encoder for CsvEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray> {
        let format = FormatOptions::new().with_display_error(false);
        let mut columns = Vec::with_capacity(rows.num_columns());
        for array in rows.columns() {
            columns.push((array, fields_of(array, &format)?));
        }
        let expected_bytes = rows.num_rows() * rows.num_columns() * 8;
        let mut payloads = PayloadBuffer::with_capacity(rows.num_rows(), expected_bytes);
        let mut scratch = Scratch::default();
        for row in 0..rows.num_rows() {
            for (at, (array, fields)) in columns.iter().enumerate() {
                if at > 0 {
                    payloads.bytes.push(self.options.dialect.delimiter);
                }
                if array.is_null(row) {
                    let null = self.options.null_value.as_deref().unwrap_or_default();
                    payloads.bytes.extend_from_slice(null.as_bytes());
                } else {
                    self.write_field(&mut payloads.bytes, fields, row, &mut scratch)?;
                }
            }
            payloads.end_payload()?;
        }
        payloads.finish(None)
    }
}

impl CsvEncoder {
    /// Writes a field that is not NULL.
    fn write_field(
        &self,
        out: &mut Vec<u8>,
        fields: &Fields<'_>,
        row: usize,
        scratch: &mut Scratch,
    ) -> Result<()> {
        match fields {
            Fields::Strings(values) => {
                let value = values.get(row).copied().flatten().unwrap_or_default();
                self.write_text(out, value.as_bytes());
            }
            Fields::Timestamps(values, unit) => {
                scratch.bytes.clear();
                if let Some(value) = values.get(row) {
                    let timestamps = &self.options.timestamps;
                    timestamps.write(&mut scratch.bytes, *value, *unit);
                }
                self.write_text(out, &scratch.bytes);
            }
            Fields::Formatted(formatter) => {
                scratch.text.clear();
                let shown = formatter.value(row).write(&mut scratch.text);
                shown.map_err(|e| {
                    Error::unsupported("could not write a value as CSV").with_source(e)
                })?;
                self.write_text(out, scratch.text.as_bytes());
            }
        }
        Ok(())
    }

    fn write_text(&self, out: &mut Vec<u8>, text: &[u8]) {
        let Dialect { quote, escape, .. } = self.options.dialect;
        if !self.needs_quotes(text) {
            out.extend_from_slice(text);
            return;
        }
        out.push(quote);
        for byte in text {
            if *byte == quote {
                out.push(quote);
            } else if Some(*byte) == escape {
                out.push(*byte);
            }
            out.push(*byte);
        }
        out.push(quote);
    }

    fn needs_quotes(&self, text: &[u8]) -> bool {
        let Dialect {
            delimiter,
            quote,
            escape,
        } = self.options.dialect;
        let has_meaning = |byte: &u8| {
            *byte == delimiter
                || *byte == quote
                || Some(*byte) == escape
                || matches!(byte, b'\n' | b'\r')
        };
        let null = self.options.null_value.as_deref().unwrap_or_default();
        text == null.as_bytes()
            || text.iter().any(has_meaning)
            || text.trim_ascii().len() != text.len()
    }
}

fn fields_of<'a>(array: &'a ArrayRef, format: &'a FormatOptions<'a>) -> Result<Fields<'a>> {
    if let Some((values, unit)) = timestamp_values(array) {
        return Ok(Fields::Timestamps(values, unit));
    }
    Ok(match array.data_type() {
        DataType::Utf8 => Fields::Strings(array.as_string::<i32>().iter().collect()),
        DataType::Utf8View => Fields::Strings(array.as_string_view().iter().collect()),
        _ => {
            let formatter = ArrayFormatter::try_new(array.as_ref(), format);
            Fields::Formatted(formatter.map_err(|e| {
                Error::unsupported("could not write a column as CSV").with_source(e)
            })?)
        }
    })
}
