//! Rows to one Protobuf message each.

use arrow::array::{BinaryArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use headwater_core::format::Encoder;
use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::column_values::Unwritable;
use crate::payload_buffer::PayloadBuffer;
use crate::protobuf::frame::frame;
use crate::protobuf::options::ProtobufOptions;
use crate::protobuf::row_writer::MessageWriter;
use crate::protobuf::writing::{FieldWriting, WritingProblem, plan_writing};

/// Encodes messages of one type.
#[derive(Debug)]
pub(crate) struct ProtobufEncoder {
    owner: String,
    plan: Vec<FieldWriting>,
    /// What stands before every message; `None` if the schema is not registered yet.
    prefix: Option<Vec<u8>>,
    bytes_per_row: usize,
}

impl ProtobufEncoder {
    /// An encoder for rows of a schema; `id` is that of the schema in the registry. Without the id
    /// that it needs it can be made and writes nothing: a sink is checked before it is open.
    ///
    /// # Errors
    /// If the columns do not fit the message.
    pub(crate) fn try_new(
        options: &ProtobufOptions,
        rows: &SchemaRef,
        owner: &str,
        id: Option<u32>,
    ) -> Result<Self> {
        let written = options.written(rows, owner)?;
        let message = &written.message;
        let plan = plan_writing(message, rows.fields(), "")
            .map_err(|problem| refusal(&problem, message.full_name(), owner))?;
        let prefix = match (&options.registry, id) {
            (None, _) => Some(Vec::new()),
            (Some(_), id) => {
                let (_, path) = written.registered(owner)?;
                id.map(|id| frame(id, &path))
            }
        };
        Ok(ProtobufEncoder {
            owner: owner.to_string(),
            plan,
            prefix,
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
            "{} cannot write a value of column \"{column}\" as Protobuf: {why}",
            self.owner
        ))
        .with_detail(format!("Its field in the message is {described}."))
        .with_hint("Select another value in its place, or give the field another type.")
    }
}

impl Encoder for ProtobufEncoder {
    fn encode(&mut self, rows: &RecordBatch) -> Result<BinaryArray> {
        let Some(prefix) = &self.prefix else {
            return Err(Error::internal(format!(
                "{} writes Protobuf before its schema is registered",
                self.owner
            )));
        };
        let writer = MessageWriter::try_new(&self.plan, rows.columns()).map_err(|e| {
            Error::bad_data(format!("{} cannot write rows as Protobuf", self.owner)).with_source(e)
        })?;
        let expected_bytes = rows.num_rows() * self.bytes_per_row;
        let mut payloads = PayloadBuffer::with_capacity(rows.num_rows(), expected_bytes);
        for row in 0..rows.num_rows() {
            payloads.bytes.extend_from_slice(prefix);
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

fn refusal(problem: &WritingProblem, message: &str, owner: &str) -> Error {
    match problem {
        WritingProblem::NoField { column, fields } => {
            let name = column.rsplit('.').next().unwrap_or_default();
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is not in its Protobuf message \"{message}\""
            ));
            match nearest(name, fields.iter().map(String::as_str)) {
                Some(near) => error.with_hint(format!("Name it \"{near}\", if that is meant.")),
                None => error.with_hint(format!("The fields are {}.", fields.join(", "))),
            }
        }
        WritingProblem::NoColumn { field, described } => Error::plan(format!(
            "field \"{field}\" of Protobuf message \"{message}\" of {owner} is required and has \
             no column"
        ))
        .with_detail(format!("The field is {described}."))
        .with_hint("Add a column of this name."),
        WritingProblem::Type {
            column,
            given,
            described,
        } => Error::plan(format!(
            "column \"{column}\" of {owner} is {}, but its field in Protobuf message \"{message}\" \
             is {described}",
            a_type_name(given)
        ))
        .with_hint("Convert it with CAST, or give the field another type."),
    }
}
