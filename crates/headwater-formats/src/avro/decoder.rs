//! Records of one Avro datum each, to rows.

use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::{Schema, SchemaRef};
use headwater_core::format::{Decoded, Decoder};
use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, ErrorKind, Result};

use crate::avro::framed_decoder::FramedDecoder;
use crate::avro::options::AvroOptions;
use crate::avro::registry_client::RegistryClient;
use crate::avro::resolve::{Plan, Problem, Wanted, resolve};
use crate::avro::rows::AvroRows;
use crate::avro::schema::AvroSchema;
use crate::avro::schema_cache::SchemaCache;
use crate::typed_column::Column;
use crate::typed_rows::no_value;

/// Decodes Avro whose every record is of one schema.
#[derive(Debug)]
struct AvroDecoder {
    plan: Plan,
    rows: AvroRows,
}

impl AvroDecoder {
    /// A decoder for the columns of `schema`, which were checked.
    fn try_new(written: &Arc<AvroSchema>, schema: SchemaRef, read_for: Wanted) -> Result<Self> {
        let (plan, _) = resolve(written, None, schema.fields(), read_for);
        Ok(AvroDecoder {
            plan,
            rows: rows_of(schema)?,
        })
    }
}

impl Decoder for AvroDecoder {
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

/// The decoder of records of one schema, or of those of a registry.
///
/// # Errors
/// Only for a bug: if the columns were not checked.
pub(crate) fn new_avro_decoder(
    options: AvroOptions,
    owner: &str,
    schema: SchemaRef,
    schemas: &SchemaCache,
    read_for: Wanted,
) -> Result<Box<dyn Decoder>> {
    let given = options.given().cloned();
    match (options.registry, given) {
        (Some(address), given) => {
            let client = RegistryClient::new(address, owner, ErrorKind::Source);
            let decoder = FramedDecoder::try_new(client, schemas.clone(), given, schema, read_for)?;
            Ok(Box::new(decoder))
        }
        (None, Some(written)) => Ok(Box::new(AvroDecoder::try_new(&written, schema, read_for)?)),
        (None, None) => Err(Error::internal("options of Avro without a schema")),
    }
}

/// The collector of rows whose columns were checked.
pub(crate) fn rows_of(schema: SchemaRef) -> Result<AvroRows> {
    AvroRows::new(schema).ok_or_else(|| Error::internal("an Avro column was not checked"))
}

/// Refuses columns of a source that Avro, or the schema that the user gave, cannot fill.
pub(crate) fn check_columns(
    options: &AvroOptions,
    owner: &str,
    declared: &Schema,
    read_for: Wanted,
) -> Result<()> {
    if options.subject.is_some() {
        return Err(
            Error::configuration(format!("{owner} has a \"subject\", which is for sinks"))
                .with_detail("Every record names its schema by an id.")
                .with_hint("Leave it out."),
        );
    }
    for field in declared.fields() {
        if Column::of(field.data_type()).is_none() {
            return Err(Error::unsupported(format!(
                "format \"avro\" of {owner} cannot hold column \"{}\", which is {}",
                field.name(),
                a_type_name(field.data_type())
            )));
        }
    }
    let Some(schema) = options.given() else {
        return Ok(());
    };
    let (_, problems) = resolve(schema, None, declared.fields(), read_for);
    match problems.first() {
        Some(problem) => Err(refusal(problem, owner)),
        None => Ok(()),
    }
}

fn refusal(problem: &Problem, owner: &str) -> Error {
    match problem {
        Problem::NoRecord(found) => Error::configuration(format!(
            "the Avro schema of {owner} is {found}, not a record"
        ))
        .with_hint("The fields of a record are what columns are filled with."),
        Problem::NoEvent(fields) => Error::configuration(format!(
            "the Avro schema of {owner} is not that of an event of Debezium: it has no field \"op\""
        ))
        .with_detail(format!("The fields are {}.", fields.join(", ")))
        .with_hint("Read events that Debezium has flattened with FORMAT AVRO."),
        Problem::Missing { column, fields } => {
            let name = column.rsplit('.').next().unwrap_or_default();
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is not in its Avro schema"
            ));
            match nearest(name, fields.iter().map(String::as_str)) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error.with_hint(format!("The fields are {}.", fields.join(", "))),
            }
        }
        Problem::Type {
            column,
            found,
            wanted,
        } => {
            let error = Error::plan(format!(
                "column \"{column}\" of {owner} is {}, but its field in the Avro schema is {found}",
                a_type_name(wanted)
            ));
            match found.as_str() {
                "a long" => error.with_hint("Declare it as BIGINT, and convert it in the query."),
                _ => error,
            }
        }
    }
}
