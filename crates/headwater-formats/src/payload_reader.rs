//! A column of payloads to a column of what is in them, in a query.
//!
//! ```text
//!   payloads (VARCHAR or BINARY) ──► Decoder (any format) ──► rows + bad records
//!                                                              │
//!                STRUCT of the columns, NULL for a bad record ◄┘
//! ```
//! A source has a policy for bad records; an expression gives a value for every row, so that of a
//! payload that cannot be read is NULL. What was wrong with it is known to nobody.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, StructArray, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use headwater_core::format::{BadRecord, Decoded, Decoder, FormatSpec};
use headwater_core::options::Options;
use headwater_core::{Error, Result};

use crate::file_header::check_messages;
use crate::payload_buffer::PayloadBuffer;
use crate::registry::{new_decoder, new_json_value_decoder};
use crate::row_collector::good_records;

/// Reads payloads of one format.
#[derive(Debug)]
pub struct PayloadReader {
    decoder: Box<dyn Decoder>,
    gives: Gives,
}

/// What the columns of the decoder are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gives {
    /// The fields of a STRUCT.
    Struct,
    /// One, which is the result.
    Column,
}

impl PayloadReader {
    /// Reads every payload as a STRUCT of columns; `owner` says whose they are, for messages.
    ///
    /// # Errors
    /// If an option is wrong, or the format cannot hold a column.
    pub fn of_structs(spec: &FormatSpec, owner: &str, columns: &Fields) -> Result<Self> {
        check_messages(spec, owner)?;
        let schema = Arc::new(Schema::new(columns.clone()));
        let all: Vec<usize> = (0..columns.len()).collect();
        Ok(PayloadReader {
            decoder: new_decoder(spec, owner, &schema, &all)?,
            gives: Gives::Struct,
        })
    }

    /// Reads every payload as one JSON value of a type.
    ///
    /// # Errors
    /// If an option is wrong, or JSON cannot hold the type.
    pub fn of_json_values(options: &Options, owner: &str, data_type: &DataType) -> Result<Self> {
        let field = Field::new("value", data_type.clone(), true);
        Ok(PayloadReader {
            decoder: new_json_value_decoder(options, owner, field)?,
            gives: Gives::Column,
        })
    }

    /// Reads every payload as UTF-8.
    ///
    /// # Errors
    /// Only for a bug.
    pub fn of_texts(owner: &str) -> Result<Self> {
        let field = Field::new("value", DataType::Utf8View, true);
        let schema = Arc::new(Schema::new(vec![field]));
        Ok(PayloadReader {
            decoder: new_decoder(&FormatSpec::named("text"), owner, &schema, &[0])?,
            gives: Gives::Column,
        })
    }

    /// The value of every payload; NULL for one that is NULL or cannot be read.
    ///
    /// # Errors
    /// If the payloads are larger than 2 GiB.
    pub fn read(&mut self, payloads: &ArrayRef) -> Result<ArrayRef> {
        let payloads = as_payloads(payloads)?;
        let Decoded { rows, bad } = self.decoder.decode(&payloads)?;
        let length = payloads.len();
        let columns = match bad.is_empty() {
            true => rows.columns().to_vec(),
            false => spread(rows.columns(), length, &bad)?,
        };
        match self.gives {
            Gives::Struct => {
                let fields = rows.schema_ref().fields().clone();
                let nulls = nulls_of(length, &bad);
                let array = StructArray::try_new_with_length(fields, columns, nulls, length);
                Ok(Arc::new(array.map_err(not_built)?))
            }
            Gives::Column => {
                let column = columns.into_iter().next();
                column.ok_or_else(|| Error::internal("a decoder of values gave no column"))
            }
        }
    }
}

/// Puts NULL into columns where there is a bad record.
fn spread(columns: &[ArrayRef], length: usize, bad: &[BadRecord]) -> Result<Vec<ArrayRef>> {
    let mut bad = bad.iter().map(|bad| bad.record).peekable();
    let mut row = 0;
    let places = (0..length).map(|record| {
        if bad.next_if_eq(&record).is_some() {
            return None;
        }
        row += 1;
        Some(row - 1)
    });
    let places: UInt32Array = places.collect();
    let spread = columns.iter().map(|column| take(column, &places, None));
    spread.collect::<Result<_, _>>().map_err(not_built)
}

fn nulls_of(length: usize, bad: &[BadRecord]) -> Option<NullBuffer> {
    match bad.is_empty() {
        true => None,
        false => Some(good_records(length, bad).values().clone().into()),
    }
}

fn not_built(error: ArrowError) -> Error {
    Error::internal("could not build a column of payloads").with_source(error)
}

/// Whether values of a type are payloads: text or bytes.
pub fn holds_payloads(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Null => true,
        DataType::Dictionary(_, values) => holds_payloads(values),
        _ => false,
    }
}

/// A column of text or bytes as the payloads that decoders read.
///
/// # Errors
/// If it is larger than 2 GiB, or is neither.
pub fn as_payloads(column: &ArrayRef) -> Result<BinaryArray> {
    match column.data_type() {
        DataType::Binary => Ok(column.as_binary::<i32>().clone()),
        DataType::Utf8 => Ok(column.as_string::<i32>().clone().into()),
        _ => gathered(column),
    }
}

/// The values one after the other, as they are not in a view.
fn gathered(column: &ArrayRef) -> Result<BinaryArray> {
    let views = cast(column, &DataType::BinaryView)
        .map_err(|e| Error::internal("a column of payloads is none").with_source(e))?;
    let views = views.as_binary_view();
    let mut payloads = PayloadBuffer::with_capacity(views.len(), views.total_bytes_len());
    for value in views {
        payloads.bytes.extend_from_slice(value.unwrap_or_default());
        payloads.end_payload()?;
    }
    payloads.finish(views.nulls().cloned())
}
