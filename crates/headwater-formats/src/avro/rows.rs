//! Gathers the columns of a chunk of Avro records; what is bad is left out at the end.

use std::fmt::{self, Write as _};

use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use headwater_core::format::{BadRecord, Decoded};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::avro::column::{Column, columns_of};
use crate::avro::cursor::{Broken, Cursor};
use crate::avro::reading::{Outcome, Reader, WrongColumn};
use crate::avro::resolve::{Plan, RootReading};
use crate::avro::schema::Shape;
use crate::row_collector::{Flaw, good_records, record_batch};

/// Bytes of a record that a message shows.
const SHOWN_BYTES: usize = 24;

/// The rows of the chunk that is being decoded.
///
/// Every record takes one place in every column. The places of bad records are filtered out at the
/// end, which costs nothing while there are none.
pub(crate) struct AvroRows {
    schema: SchemaRef,
    columns: Vec<Column>,
    reasons: Vec<ColumnReasons>,
    records: usize,
    bad: Vec<BadRecord>,
}

/// What is said of a column's values.
struct ColumnReasons {
    is_nullable: bool,
    wrong_type: String,
    no_value: String,
}

/// Why a record gives no row.
enum Bad<'a> {
    Broken(Broken),
    NoRecord,
    NoValue,
    Column(WrongColumn<'a>),
}

impl fmt::Debug for AvroRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AvroRows")
            .field("schema", &self.schema)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl AvroRows {
    /// Collects rows of a schema; `None` if Avro cannot hold one of its columns.
    pub(crate) fn new(schema: SchemaRef) -> Option<Self> {
        let reasons = schema.fields().iter().map(|field| ColumnReasons {
            is_nullable: field.is_nullable(),
            wrong_type: format!(
                "column \"{}\" is not {}",
                field.name(),
                a_type_name(field.data_type())
            ),
            no_value: format!("column \"{}\" has no value", field.name()),
        });
        Some(AvroRows {
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

    /// Adds a record of a schema.
    pub(crate) fn push(&mut self, plan: &Plan, bytes: &[u8]) {
        if bytes.is_empty() && plan.schema.takes_bytes(plan.schema.root()) {
            self.push_flaw(Flaw {
                reason: "empty value",
                detail: String::new(),
            });
            return;
        }
        let mut cursor = Cursor::new(bytes);
        let mut bad = self.read(plan, &plan.root, &mut cursor).err();
        if !matches!(bad, Some(Bad::Broken(_) | Bad::NoRecord)) && !cursor.left().is_empty() {
            bad = Some(Bad::Broken(Broken::More));
        }
        if let Some(bad) = bad {
            self.bad.push(self.describe(&bad, bytes));
        }
        self.records += 1;
    }

    /// Reads a record; gives every column a value, whatever it returns.
    fn read<'a>(
        &mut self,
        plan: &Plan,
        root: &RootReading,
        cursor: &mut Cursor<'a>,
    ) -> Result<(), Bad<'a>> {
        let bad = match root {
            RootReading::Record(record) => {
                let reader = Reader {
                    schema: &plan.schema,
                };
                let reasons = &self.reasons;
                let is_nullable = |column: usize| reasons.get(column).is_none_or(|c| c.is_nullable);
                let read = reader.read_record(record, &mut self.columns, is_nullable, cursor);
                return match read {
                    Ok(None) => Ok(()),
                    Ok(Some(wrong)) => Err(Bad::Column(wrong)),
                    Err(broken) => Err(Bad::Broken(broken)),
                };
            }
            RootReading::Union(branches) => {
                let branch = cursor.choice(branches.len(), Broken::Branch);
                match branch.map(|branch| branches.get(branch)) {
                    Ok(Some(root)) => return self.read(plan, root, cursor),
                    Ok(None) => Bad::NoRecord,
                    Err(broken) => Bad::Broken(broken),
                }
            }
            RootReading::Other(id) => match plan.schema.shape(*id) {
                Shape::Null => Bad::NoValue,
                _ => Bad::NoRecord,
            },
        };
        self.append_nulls();
        Err(bad)
    }

    /// Adds a record that gives no values.
    pub(crate) fn push_flaw(&mut self, flaw: Flaw) {
        self.append_nulls();
        self.bad.push(BadRecord {
            record: self.records,
            reason: flaw.reason.to_string(),
            detail: flaw.detail,
        });
        self.records += 1;
    }

    fn append_nulls(&mut self) {
        for column in &mut self.columns {
            column.append_null();
        }
    }

    fn describe(&self, bad: &Bad<'_>, record: &[u8]) -> BadRecord {
        let (reason, found) = match bad {
            Bad::Broken(broken) => (broken.reason(), record),
            Bad::NoRecord => ("not an Avro record", record),
            Bad::NoValue => ("no value", record),
            Bad::Column(wrong) => {
                let reasons = self.reasons.get(wrong.column);
                let reason = reasons.map_or("", |reasons| match wrong.outcome {
                    Outcome::Null => &reasons.no_value,
                    Outcome::Value | Outcome::Misfit => &reasons.wrong_type,
                });
                (reason, wrong.bytes)
            }
        };
        BadRecord {
            record: self.records,
            reason: reason.to_string(),
            detail: shown_bytes(found),
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
