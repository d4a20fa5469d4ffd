//! One line a row, as JSON or as CSV, with the row's epoch and with what the row is.
//!
//! ```text
//! {"epoch":3,"op":"+I","row":{"symbol":"EPE","count":3}}
//! 3,+I,EPE,3
//! ```
//!
//! `op` is `+I` for a row that is new (append) or part of the whole result (complete), and `+U`
//! for a row in its newest version (update). A row that is gone, in update mode, has `-D` and is
//! shown as it last was.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use headwater_core::Result;
use headwater_core::changes::{DELETE, ops, split_ops};
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::id::EpochId;
use headwater_core::sink::SinkContext;
use headwater_formats::{has_header, new_encoder};

use crate::change_columns::{EPOCH, OP, op_of};

/// Lines are held up to this many bytes.
const FULL_BYTES: usize = 8 << 20;

/// The line of names before all rows, in formats that are asked for one.
///
/// # Errors
/// If the format cannot hold a column.
pub(super) fn names(format: &FormatSpec, context: &SinkContext) -> Result<Vec<u8>> {
    let owner = owner_of(context);
    if !has_header(format, &owner)? {
        return Ok(Vec::new());
    }
    let schema = with_epoch_and_op(context);
    let names = schema.fields().iter().map(|field| {
        let name: ArrayRef = Arc::new(StringArray::from(vec![field.name().as_str()]));
        (field.name(), name)
    });
    let names = RecordBatch::try_from_iter(names)?;
    let mut encoder = new_encoder(format, &owner, names.schema_ref())?;
    let mut line = encoder.encode(&names)?.value(0).to_vec();
    line.push(b'\n');
    Ok(line)
}

fn owner_of(context: &SinkContext) -> String {
    format!("the console of query \"{}\"", context.query_name)
}

/// The columns of the rows, after those that CSV needs to say as much as JSON.
fn with_epoch_and_op(context: &SinkContext) -> SchemaRef {
    let epoch: FieldRef = Arc::new(Field::new(EPOCH, DataType::UInt64, false));
    let op: FieldRef = Arc::new(Field::new(OP, DataType::Utf8, false));
    let fields = [epoch, op];
    let rows = context.row_schema();
    let fields = fields.iter().chain(rows.fields()).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The lines of one partition of an epoch.
#[derive(Debug)]
pub(super) struct RowLines {
    encoder: Box<dyn Encoder>,
    form: LineForm,
    has_ops: bool,
    lines: Vec<u8>,
    rows: u64,
}

/// Where a line has its epoch and what its row is.
#[derive(Debug)]
enum LineForm {
    /// In an object around that of the row, before which stands the first text, or the second if
    /// the row is gone.
    Object(String, String),
    /// In columns before those of the row.
    Columns {
        epoch: EpochId,
        op: &'static str,
        schema: SchemaRef,
    },
}

impl RowLines {
    /// Lines for rows of the sink's schema, in format `json` or `csv`.
    ///
    /// # Errors
    /// If the format cannot hold a column.
    pub(super) fn try_new(
        format: &FormatSpec,
        epoch: EpochId,
        context: &SinkContext,
    ) -> Result<Self> {
        let op = op_of(context.mode);
        let (form, schema) = if format.name == "csv" {
            let schema = with_epoch_and_op(context);
            let columns = LineForm::Columns {
                epoch,
                op,
                schema: Arc::clone(&schema),
            };
            (columns, schema)
        } else {
            let head = |op: &str| format!("{{\"epoch\":{epoch},\"op\":\"{op}\",\"row\":");
            let form = LineForm::Object(head(op), head(DELETE));
            (form, context.row_schema())
        };
        Ok(RowLines {
            encoder: new_encoder(format, &owner_of(context), &schema)?,
            form,
            has_ops: context.has_ops,
            lines: Vec::new(),
            rows: 0,
        })
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let (batch, ops_of_rows) = match self.has_ops {
            true => split_ops(batch).map(|(rows, ops)| (rows, Some(ops)))?,
            false => (batch.clone(), None),
        };
        match &self.form {
            LineForm::Object(head, head_gone) => {
                let is_gone = |row| {
                    ops_of_rows
                        .as_ref()
                        .is_some_and(|ops| ops.value(row) == DELETE)
                };
                let head_of = |row| match is_gone(row) {
                    true => head_gone.as_str(),
                    false => head.as_str(),
                };
                let objects = self.encoder.encode(&batch)?;
                append(&mut self.lines, &objects, head_of, "}\n");
            }
            LineForm::Columns { epoch, op, schema } => {
                let epochs: ArrayRef = Arc::new(UInt64Array::from_value(epoch.0, batch.num_rows()));
                let ops = match ops_of_rows {
                    Some(ops) => Arc::new(ops),
                    None => ops(op, batch.num_rows()),
                };
                let columns = [epochs, ops];
                let columns = columns.iter().chain(batch.columns()).cloned().collect();
                let batch = RecordBatch::try_new(Arc::clone(schema), columns)?;
                let records = self.encoder.encode(&batch)?;
                append(&mut self.lines, &records, |_| "", "\n");
            }
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// The lines so far, if there are as many as should be held.
    pub(super) fn take_full(&mut self) -> Option<Vec<u8>> {
        (self.lines.len() >= FULL_BYTES).then(|| std::mem::take(&mut self.lines))
    }

    /// The number of all rows added, and the lines that were not taken.
    pub(super) fn finish(self) -> (u64, Vec<u8>) {
        (self.rows, self.lines)
    }
}

/// Appends records, each between the text of its row and another.
fn append<'a>(
    lines: &mut Vec<u8>,
    records: &BinaryArray,
    before: impl Fn(usize) -> &'a str,
    after: &str,
) {
    lines.reserve(records.value_data().len());
    for (row, record) in records.iter().enumerate() {
        let Some(record) = record else { continue };
        lines.extend_from_slice(before(row).as_bytes());
        lines.extend_from_slice(record);
        lines.extend_from_slice(after.as_bytes());
    }
}
