//! Gathers the values of records column by column, keeps a good record's row and drops a bad
//! record's, whichever column turned out to be wrong.

use std::fmt;

use arrow::array::{ArrayRef, BooleanArray, BooleanBufferBuilder, RecordBatch, RecordBatchOptions};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use headwater_core::format::{BadRecord, Decoded};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::builder::Builder;
use crate::column_builder::{ColumnBuilder, Mismatch};

/// What a format found for one column of one record.
pub(crate) trait Cell {
    /// Whether it is NULL, or was not there at all.
    fn is_null(&self) -> bool;

    /// Appends it; NULL as NULL.
    fn append_to(&self, builder: &mut Builder) -> Result<(), Mismatch>;

    /// What it looked like, for a message.
    fn describe(&self) -> String;
}

/// Why a record as a whole is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// See [`BadRecord::reason`].
    pub(crate) reason: &'static str,
    /// See [`BadRecord::detail`].
    pub(crate) detail: String,
}

/// The rows of the chunk that is being decoded.
///
/// Every record takes one place in every builder. The places of bad records are filtered out at
/// the end, which costs nothing while there are none.
pub(crate) struct RowCollector {
    schema: SchemaRef,
    columns: Vec<Column>,
    records: usize,
    bad: Vec<BadRecord>,
}

struct Column {
    builder: Builder,
    is_nullable: bool,
    wrong_type: String,
    no_value: String,
}

impl fmt::Debug for RowCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowCollector")
            .field("schema", &self.schema)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl RowCollector {
    /// Collects rows of a schema, with one builder per column.
    pub(crate) fn new(schema: SchemaRef, builders: Vec<Builder>) -> Self {
        let columns = schema
            .fields()
            .iter()
            .zip(builders)
            .map(|(field, builder)| Column {
                builder,
                is_nullable: field.is_nullable(),
                wrong_type: format!(
                    "column \"{}\" is not {}",
                    field.name(),
                    a_type_name(field.data_type())
                ),
                no_value: format!("column \"{}\" has no value", field.name()),
            })
            .collect();
        RowCollector {
            schema,
            columns,
            records: 0,
            bad: Vec::new(),
        }
    }

    /// The columns of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Adds a record whose syntax is right, one cell per column.
    pub(crate) fn push_row<C: Cell>(&mut self, cells: &[C]) {
        let mut wrong = None;
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            let reason = if cell.is_null() {
                column.builder.append_null();
                (!column.is_nullable).then_some(&column.no_value)
            } else {
                let appended = cell.append_to(&mut column.builder);
                appended.is_err().then_some(&column.wrong_type)
            };
            if wrong.is_none() {
                wrong = reason.map(|reason| (reason.clone(), cell.describe()));
            }
        }
        if let Some((reason, detail)) = wrong {
            self.bad.push(BadRecord {
                record: self.records,
                reason,
                detail,
            });
        }
        self.records += 1;
    }

    /// Adds a record that gives no cells.
    pub(crate) fn push_flaw(&mut self, flaw: Flaw) {
        for column in &mut self.columns {
            column.builder.append_null();
        }
        self.bad.push(BadRecord {
            record: self.records,
            reason: flaw.reason.to_string(),
            detail: flaw.detail,
        });
        self.records += 1;
    }

    /// Ends the chunk and starts the next.
    ///
    /// # Errors
    /// Only for a bug: if a builder gave another type or length than agreed.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        let records = std::mem::take(&mut self.records);
        let bad = std::mem::take(&mut self.bad);
        let mut arrays = Vec::with_capacity(self.columns.len());
        for column in &mut self.columns {
            arrays.push(column.builder.finish()?);
        }
        if !bad.is_empty() {
            arrays = keep_good(&arrays, records, &bad)?;
        }
        let rows = record_batch(self.schema(), arrays, records - bad.len())?;
        Ok(Decoded { rows, bad })
    }
}

fn keep_good(arrays: &[ArrayRef], records: usize, bad: &[BadRecord]) -> Result<Vec<ArrayRef>> {
    let good = good_records(records, bad);
    arrays
        .iter()
        .map(|array| filter(array, &good))
        .collect::<Result<_, _>>()
        .map_err(|e| Error::internal("could not leave out bad records").with_source(e))
}

/// For every record of a chunk whether it is good.
pub(crate) fn good_records(records: usize, bad: &[BadRecord]) -> BooleanArray {
    let mut good = BooleanBufferBuilder::new(records);
    good.append_n(records, true);
    for record in bad {
        // A record out of range would be a bug of the decoder; the row count then shows it.
        if record.record < records {
            good.set_bit(record.record, false);
        }
    }
    BooleanArray::new(good.finish(), None)
}

/// A batch that keeps its row count when it has no columns.
pub(crate) fn record_batch(
    schema: SchemaRef,
    arrays: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, arrays, &options)
        .map_err(|e| Error::internal("decoded columns do not fit their schema").with_source(e))
}
