//! Rows to one Avro datum each.

use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use headwater_core::format::Encoder;
use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::avro::options::AvroOptions;
use crate::avro::row_writer::RecordWriter;
use crate::avro::writing::{FieldWriting, WritingProblem, plan_writing};
use crate::column_values::Unwritable;
use crate::payload_buffer::PayloadBuffer;

/// Encodes Avro with one schema.
#[derive(Debug)]
pub(crate) struct AvroEncoder {
    owner: String,
    plan: Arc<Vec<FieldWriting>>,
    framing: Framing,
    bytes_per_row: usize,
}

/// What stands before every datum.
#[derive(Debug, Clone, Copy)]
enum Framing {
    Nothing,
    /// A byte of zero and the id of the schema.
    Id(u32),
    /// An id that is not there yet.
    Missing,
}

impl AvroEncoder {
    /// An encoder for rows of a schema; `id` is that of the schema in the registry. Without the id
    /// that it needs it can be made and writes nothing: a sink is checked before it is open.
    ///
    /// # Errors
    /// If the columns do not fit the Avro schema.
    pub(crate) fn try_new(
        options: &AvroOptions,
        rows: &SchemaRef,
        owner: &str,
        id: Option<u32>,
    ) -> Result<Self> {
        let written = options.schema_for(rows, owner)?;
        let plan = plan_writing(&written, rows.fields());
        Ok(AvroEncoder {
            plan: Arc::new(plan.map_err(|problem| refusal(&problem, owner))?),
            owner: owner.to_string(),
            framing: match (&options.registry, id) {
                (None, _) => Framing::Nothing,
                (Some(_), Some(id)) => Framing::Id(id),
                (Some(_), None) => Framing::Missing,
            },
            bytes_per_row: 0,
        })
    }

    fn not_written(&self, unwritable: &Unwritable) -> Error {
        let Unwritable {
            column,
            described,
            why,
        } = unwritable;
        Error::bad_data(format!(
            "{} cannot write a value of column \"{column}\" as Avro: {why}",
            self.owner
        ))
        .with_detail(format!("Its field in the Avro schema is {described}."))
        .with_hint("Select another value in its place, or give the field another type.")
    }
}

impl Encoder for AvroEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray> {
        let mut prefix = vec![0];
        match self.framing {
            Framing::Nothing => prefix.clear(),
            Framing::Id(id) => prefix.extend(id.to_be_bytes()),
            Framing::Missing => {
                return Err(Error::internal(format!(
                    "{} writes Avro before its schema is registered",
                    self.owner
                )));
            }
        }
        let writer = RecordWriter::try_new(&self.plan, rows.columns()).map_err(|e| {
            Error::bad_data(format!("{} cannot write rows as Avro", self.owner)).with_source(e)
        })?;
        let expected_bytes = rows.num_rows() * self.bytes_per_row;
        let mut payloads = PayloadBuffer::with_capacity(rows.num_rows(), expected_bytes);
        for row in 0..rows.num_rows() {
            payloads.bytes.extend_from_slice(&prefix);
            let written = writer.write(row, &mut payloads.bytes);
            written.map_err(|unwritable| self.not_written(&unwritable))?;
            payloads.end_payload()?;
        }
        if rows.num_rows() > 0 {
            // A little more than the mean, so that the next batch rarely has to grow its buffer.
            self.bytes_per_row = payloads.bytes.len() / rows.num_rows() + 8;
        }
        payloads.finish(None)
    }
}

fn refusal(problem: &WritingProblem, owner: &str) -> Error {
    match problem {
        WritingProblem::NoRecord(found) => Error::configuration(format!(
            "the Avro schema of {owner} is {found}, not a record"
        ))
        .with_hint("The fields of a record are what columns are written to."),
        WritingProblem::NoField { column, fields } => {
            let name = column.rsplit('.').next().unwrap_or_default();
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is not in its Avro schema"
            ));
            match nearest(name, fields.iter().map(String::as_str)) {
                Some(near) => error.with_hint(format!("Name it \"{near}\", if that is meant.")),
                None => error.with_hint(format!("The fields are {}.", fields.join(", "))),
            }
        }
        WritingProblem::NoColumn { field, described } => Error::plan(format!(
            "field \"{field}\" of the Avro schema of {owner} has no column and no default"
        ))
        .with_detail(format!("The field is {described}."))
        .with_hint("Add a column of this name, or a default to the field."),
        WritingProblem::Type {
            column,
            given,
            described,
        } => Error::plan(format!(
            "column \"{column}\" of {owner} is {}, but its field in the Avro schema is {described}",
            a_type_name(given)
        ))
        .with_hint("Convert it with CAST, or give the field another type."),
    }
}
