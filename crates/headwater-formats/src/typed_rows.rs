//! Gathers the columns of a chunk of records of a binary format; what is bad is left out at the
//! end.

use std::fmt::{self, Write as _};

use arrow::compute::filter;
use arrow::datatypes::{Fields, SchemaRef};
use headwater_core::format::{BadRecord, Decoded};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::row_collector::{Flaw, good_records, record_batch};
use crate::typed_column::{Column, columns_of};
use crate::typed_value::Outcome;

/// Bytes of a record that a message shows.
const SHOWN_BYTES: usize = 24;

/// The rows of the chunk that is being decoded.
///
/// Every record takes one place in every column. The places of bad records are filtered out at the
/// end, which costs nothing while there are none.
pub(crate) struct TypedRows {
    schema: SchemaRef,
    columns: Vec<Column>,
    reasons: Vec<ColumnReasons>,
    records: usize,
    bad: Vec<BadRecord>,
}

/// What is said of a column's values.
struct ColumnReasons {
    wrong_type: String,
    no_value: String,
}

impl fmt::Debug for TypedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedRows")
            .field("schema", &self.schema)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl TypedRows {
    /// Collects rows of a schema; `None` if one of its columns has a type that no binary format
    /// has.
    pub(crate) fn new(schema: SchemaRef) -> Option<Self> {
        let reasons = schema.fields().iter().map(|field| ColumnReasons {
            wrong_type: format!(
                "column \"{}\" is not {}",
                field.name(),
                a_type_name(field.data_type())
            ),
            no_value: format!("column \"{}\" has no value", field.name()),
        });
        Some(TypedRows {
            columns: columns_of(schema.fields())?,
            reasons: reasons.collect(),
            schema,
            records: 0,
            bad: Vec::new(),
        })
    }

    /// The columns of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// The columns and their fields. Every record gives each of them one value.
    pub(crate) fn columns(&mut self) -> (&Fields, &mut [Column]) {
        (self.schema.fields(), &mut self.columns)
    }

    /// Ends a record that has given every column a value, all of them good.
    pub(crate) fn end_good(&mut self) {
        self.records += 1;
    }

    /// Ends a record that has given every column a value, and is bad.
    pub(crate) fn end_bad(&mut self, reason: impl Into<String>, detail: String) {
        self.bad.push(BadRecord {
            record: self.records,
            reason: reason.into(),
            detail,
        });
        self.records += 1;
    }

    /// Ends a record that has given every column a value, of which this one is wrong.
    pub(crate) fn end_wrong(&mut self, column: usize, outcome: Outcome, detail: String) {
        let reasons = self.reasons.get(column);
        let reason = reasons.map_or("", |reasons| match outcome {
            Outcome::Null => &reasons.no_value,
            Outcome::Value | Outcome::Misfit => &reasons.wrong_type,
        });
        self.end_bad(reason.to_string(), detail);
    }

    /// Adds a record that gives no values.
    pub(crate) fn push_flaw(&mut self, flaw: Flaw) {
        self.append_nulls();
        self.end_bad(flaw.reason, flaw.detail);
    }

    /// Gives every column a NULL.
    pub(crate) fn append_nulls(&mut self) {
        for column in &mut self.columns {
            column.append_null();
        }
    }

    /// Ends the chunk and starts the next.
    ///
    /// # Errors
    /// Only for a bug: if a column is of another length than agreed.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        let records = std::mem::take(&mut self.records);
        let bad = std::mem::take(&mut self.bad);
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            arrays.push(column.finish()?);
        }
        if !bad.is_empty() {
            let good = good_records(records, &bad);
            for array in &mut arrays {
                *array = filter(array, &good).map_err(|e| {
                    Error::internal("could not leave out bad records").with_source(e)
                })?;
            }
        }
        let rows = record_batch(self.schema(), arrays, records - bad.len())?;
        Ok(Decoded { rows, bad })
    }
}

/// What is said of a record without a value.
pub(crate) fn no_value() -> Flaw {
    Flaw {
        reason: "no value",
        detail: String::new(),
    }
}

/// The beginning of some bytes as hexadecimal digits, and how many there are.
pub(crate) fn shown_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "no bytes".to_string();
    }
    let mut out = String::new();
    for byte in bytes.iter().take(SHOWN_BYTES) {
        let _ = write!(out, "{byte:02x} ");
    }
    if bytes.len() > SHOWN_BYTES {
        out.push('…');
    }
    let _ = write!(out, "({} bytes)", bytes.len());
    out.replace("…(", "… (")
}
