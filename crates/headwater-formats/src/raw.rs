//! RAW and TEXT: the payload as it is, in one column.
//!
//! RAW has one BYTEA or VARCHAR column, TEXT one VARCHAR column. A payload that is not UTF-8 is bad
//! in a VARCHAR column. A record without a value (a Kafka tombstone) is a row with NULL, unless the
//! column is NOT NULL: nothing is malformed about it. An empty payload is an empty value.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryViewArray, RecordBatch, StringArray,
    StringViewArray,
};
use arrow::compute::{cast, filter};
use arrow::datatypes::{DataType, SchemaRef};
use headwater_core::format::{BadRecord, Decoded, Decoder, Encoder};
use headwater_core::{Error, Result};

use crate::row_collector::{good_records, record_batch};
use headwater_core::excerpt::excerpt;

/// Whether a type holds bytes as they are.
pub(crate) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::BinaryView)
}

/// Whether a type holds text as it is.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View)
}

/// Decodes RAW and TEXT, without copying what is good.
#[derive(Debug)]
pub(crate) struct RawDecoder {
    declared: DataType,
    no_value: Option<String>,
    schema: SchemaRef,
}

impl RawDecoder {
    /// A decoder for the one declared column; `schema` has it, or nothing.
    pub(crate) fn new(declared: &arrow::datatypes::Field, schema: SchemaRef) -> Self {
        let no_value = format!("column \"{}\" has no value", declared.name());
        RawDecoder {
            declared: declared.data_type().clone(),
            no_value: (!declared.is_nullable()).then_some(no_value),
            schema,
        }
    }

    fn find_bad(&self, payloads: &BinaryArray) -> Vec<BadRecord> {
        let must_be_text = is_text(&self.declared);
        let judge = |payload: Option<&[u8]>| match (payload, &self.no_value) {
            (None, Some(reason)) => Some((reason.clone(), String::new())),
            (Some(bytes), _) if must_be_text && std::str::from_utf8(bytes).is_err() => {
                Some(("not UTF-8".to_string(), excerpt(bytes)))
            }
            _ => None,
        };
        let judged = payloads.iter().enumerate().filter_map(|(record, payload)| {
            let (reason, detail) = judge(payload)?;
            Some(BadRecord {
                record,
                reason,
                detail,
            })
        });
        judged.collect()
    }

    fn column(&self, payloads: &BinaryArray) -> Result<ArrayRef> {
        let column: ArrayRef = match &self.declared {
            DataType::Binary => Arc::new(payloads.clone()),
            DataType::BinaryView => Arc::new(BinaryViewArray::from(payloads)),
            DataType::Utf8 => Arc::new(as_text(payloads)?),
            _ => Arc::new(StringViewArray::from(&as_text(payloads)?)),
        };
        Ok(column)
    }
}

/// Payloads that are UTF-8 as text.
///
/// # Errors
/// Only for a bug: if they are not.
pub(crate) fn as_text(payloads: &BinaryArray) -> Result<StringArray> {
    // This looks at the whole buffer, which a slice shares with records that may be no text.
    if let Ok(text) = StringArray::try_from_binary(payloads.clone()) {
        return Ok(text);
    }
    let texts = payloads
        .iter()
        .map(|payload| payload.map(std::str::from_utf8).transpose());
    texts
        .collect::<std::result::Result<_, _>>()
        .map_err(|e| Error::internal("payloads judged to be UTF-8 are not").with_source(e))
}

impl Decoder for RawDecoder {
    fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let bad = self.find_bad(payloads);
        let kept = if bad.is_empty() {
            payloads.clone()
        } else {
            let good = filter(payloads, &good_records(payloads.len(), &bad))
                .map_err(|e| Error::internal("could not leave out bad records").with_source(e))?;
            good.as_binary::<i32>().clone()
        };
        let arrays = if self.schema.fields().is_empty() {
            Vec::new()
        } else {
            vec![self.column(&kept)?]
        };
        let rows = record_batch(self.schema(), arrays, kept.len())?;
        Ok(Decoded { rows, bad })
    }
}

/// Encodes RAW and TEXT; NULL becomes a payload that is NULL.
#[derive(Debug)]
pub(crate) struct RawEncoder;

impl Encoder for RawEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray> {
        let Some(column) = rows.columns().first() else {
            return Err(Error::internal("rows of a raw format have no column"));
        };
        let bytes = cast(column, &DataType::Binary)
            .map_err(|e| Error::unsupported("could not write a value as bytes").with_source(e))?;
        Ok(bytes.as_binary::<i32>().clone())
    }
}
