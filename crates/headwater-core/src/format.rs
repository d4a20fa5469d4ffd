//! Bytes to record batches and back: the contracts of decoders and encoders, and what happens to
//! a record that cannot be decoded.

use std::fmt::Debug;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;

use crate::Result;
use crate::options::Options;

/// A format as the user named it: `FORMAT JSON (…)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatSpec {
    /// Lower-case name, such as `json`.
    pub name: String,
    /// The options in parentheses, and those written with the prefix `<name>.` in `WITH`.
    pub options: Options,
}

impl FormatSpec {
    /// A format without options.
    pub fn named(name: impl Into<String>) -> Self {
        FormatSpec {
            name: name.into().to_ascii_lowercase(),
            options: Options::new(),
        }
    }
}

/// What to do with a record that cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BadDataPolicy {
    /// Stop the query, naming the record and the option to set.
    #[default]
    Fail,
    /// Leave the record out and count it by reason.
    Drop,
    /// Keep the record with NULL in every column of the part that is bad, payload or key, and count
    /// it by reason.
    Null,
    /// Leave the record out, count it by reason, and write it as it was to a sink of its own.
    DeadLetter,
}

/// Why one record could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Index of the record in the chunk.
    pub record: usize,
    /// A short, stable text without data in it, such as `not JSON` or
    /// `column "price" is not a DOUBLE`: counters are kept per reason.
    pub reason: String,
    /// What was found, for the message of [`BadDataPolicy::Fail`].
    pub detail: String,
}

/// The rows of a chunk of records.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One row per good record, in order, in the decoder's schema.
    pub rows: RecordBatch,
    /// The records that gave no row, in order. Row `i` comes from the `i`-th record not listed.
    pub bad: Vec<BadRecord>,
}

/// Bytes to rows, for the columns of one schema.
///
/// # Contract
/// 1. `decode` is a function of its input: no record's result depends on another record or on an
///    earlier call. (checked by the formats crate's properties)
/// 2. Every record is either a row or listed as bad, never both, never neither.
/// 3. Bad input is never an `Err` and never a panic; `Err` is for broken invariants.
/// 4. Columns that `schema()` does not name are not decoded more than it takes to skip them.
/// 5. Who decodes calls `prepare` with the same payloads before; it alone asks anything outside.
#[async_trait]
pub trait Decoder: Debug + Send {
    /// Columns of the rows.
    fn schema(&self) -> SchemaRef;

    /// Fetches what decoding these payloads needs and is not there yet. Dropping the future leaves
    /// the decoder as it was, or knowing more.
    ///
    /// # Errors
    /// A source's error, if what was asked does not answer.
    async fn prepare(&mut self, _payloads: &BinaryArray) -> Result<()> {
        Ok(())
    }

    /// Decodes a chunk; a NULL payload (a Kafka tombstone) is a record too.
    ///
    /// # Errors
    /// Only for a bug: what is wrong with a record is reported in [`Decoded::bad`].
    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded>;
}

/// Rows to bytes, for the columns of one schema.
pub trait Encoder: Debug + Send {
    /// Encodes every row; the result has as many values as the batch has rows.
    ///
    /// # Errors
    /// If a value has no form in this format.
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray>;
}
