//! Records of one Protobuf message each, to rows.

use arrow::array::BinaryArray;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use headwater_core::format::{Decoded, Decoder};
use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, ErrorKind, Result};

use crate::avro::{RegistryClient, SchemaCache};
use crate::protobuf::framed_decoder::FramedDecoder;
use crate::protobuf::message_plan::MessagePlan;
use crate::protobuf::options::ProtobufOptions;
use crate::protobuf::resolve::{Problem, resolve};
use crate::protobuf::rows::ProtobufRows;
use crate::typed_column::Column;
use crate::typed_rows::no_value;

/// Decodes records of one message type.
#[derive(Debug)]
struct ProtobufDecoder {
    plan: MessagePlan,
    rows: ProtobufRows,
}

impl Decoder for ProtobufDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        for payload in payloads {
            match payload {
                Some(bytes) => self.rows.push(&self.plan, bytes),
                None => self.rows.push_flaw(no_value()),
            }
        }
        self.rows.finish()
    }
}

/// The decoder of records of one message type, or of those of a registry.
///
/// # Errors
/// Only for a bug: if the columns were not checked.
pub(crate) fn new_protobuf_decoder(
    options: ProtobufOptions,
    owner: &str,
    schema: SchemaRef,
    schemas: &SchemaCache,
) -> Result<Box<dyn Decoder>> {
    let rows = ProtobufRows::try_new(schema)?;
    match (options.registry, options.given) {
        (Some(address), _) => {
            let client = RegistryClient::new(address, owner, ErrorKind::Source);
            let wanted = options.message;
            let decoder = FramedDecoder::new(client, schemas.clone(), wanted, rows);
            Ok(Box::new(decoder))
        }
        (None, Some(given)) => {
            let columns = rows.schema();
            let (plan, _) = resolve(&given.message, columns.fields());
            Ok(Box::new(ProtobufDecoder { plan, rows }))
        }
        (None, None) => Err(Error::internal("options of Protobuf without a schema")),
    }
}

/// Refuses columns of a source that Protobuf, or the schema that the user gave, cannot fill.
pub(crate) fn check_columns(
    options: &ProtobufOptions,
    owner: &str,
    declared: &Schema,
) -> Result<()> {
    if options.subject.is_some() {
        return Err(
            Error::configuration(format!("{owner} has a \"subject\", which is for sinks"))
                .with_detail("Every record names its schema by an id.")
                .with_hint("Leave it out."),
        );
    }
    if options.registry.is_some() && options.given.is_some() {
        return Err(Error::configuration(format!(
            "{owner} has a schema of its own and a \"schema.registry\""
        ))
        .with_detail("Every record names its schema by an id.")
        .with_hint("Leave the schema out; \"message\" alone chooses among messages."));
    }
    for field in declared.fields() {
        if Column::of(field.data_type()).is_none() {
            return Err(Error::unsupported(format!(
                "format \"protobuf\" of {owner} cannot hold column \"{}\", which is {}",
                field.name(),
                a_type_name(field.data_type())
            )));
        }
    }
    let Some(given) = &options.given else {
        return Ok(());
    };
    let (_, problems) = resolve(&given.message, declared.fields());
    match problems.first() {
        Some(problem) => Err(refusal(problem, given.message.full_name(), owner)),
        None => Ok(()),
    }
}

fn refusal(problem: &Problem, message: &str, owner: &str) -> Error {
    match problem {
        Problem::Missing { column, fields } => {
            let name = column.rsplit('.').next().unwrap_or_default();
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is not in its Protobuf message \"{message}\""
            ));
            match nearest(name, fields.iter().map(String::as_str)) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None if fields.is_empty() => error.with_hint("The message has no fields."),
                None => error.with_hint(format!("The fields are {}.", fields.join(", "))),
            }
        }
        Problem::Type {
            column,
            found,
            wanted,
        } => {
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is {}, but its field in Protobuf message \
                 \"{message}\" is {found}",
                a_type_name(wanted)
            ));
            match hint_for(found, wanted) {
                Some(hint) => error.with_hint(hint),
                None => error,
            }
        }
    }
}

/// What to declare in the place of a type that does not fit.
fn hint_for(found: &str, wanted: &DataType) -> Option<&'static str> {
    let is_whole = found.contains("int") || found.contains("fixed");
    if found.starts_with("a map<") {
        Some("Declare it as ARRAY<STRUCT<key …, value …>>.")
    } else if found.starts_with("a repeated") {
        Some("Declare it as an ARRAY.")
    } else if matches!(wanted, DataType::List(_)) {
        Some("An ARRAY is for a repeated field.")
    } else if found.ends_with("google.protobuf.Timestamp") {
        Some("Declare it as TIMESTAMP.")
    } else if found.ends_with("google.protobuf.Duration") {
        Some("Declare it as BIGINT: it is in microseconds.")
    } else if found.starts_with("a message") || found.starts_with("a group") {
        Some("Declare it as a STRUCT of the fields that you need.")
    } else if is_whole && !wanted.is_nested() {
        Some("Declare it as BIGINT, and convert it in the query.")
    } else {
        None
    }
}
