//! The options of Avro.
//!
//! There is a schema, in the options or in a file, a registry that knows schemas, or both. Flink's
//! `avro-confluent` has the same under names of its own.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::{OptionReader, Options, fold};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::avro::parser::{MAX_SCHEMA_BYTES, parse_given_schema, parse_schema};
use crate::avro::registry_address::RegistryAddress;
use crate::avro::schema::AvroSchema;
use crate::avro::schema_text::{NoSchema, schema_text};

const SCHEMA: OptionDoc = OptionDoc::new(
    "schema",
    OptionValues::Described("a schema as JSON text"),
    OptionDefault::Described("required, if there is no registry"),
    "the schema of the records; beside a registry that of the reader, or of what a sink writes",
)
.with_flink(&["schema"])
.with_also(&["avro.schema"]);
const SCHEMA_FILE: OptionDoc = OptionDoc::new(
    "schema.file",
    OptionValues::Described("a path"),
    OptionDefault::Nothing,
    "a file that holds the schema, read when the source or sink is declared",
);
/// Of Protobuf, too.
pub(crate) const SUBJECT: OptionDoc = OptionDoc::new(
    "subject",
    OptionValues::Described("a name"),
    OptionDefault::Described("for a Kafka topic `<topic>-value`"),
    "where a sink registers its schema",
)
.with_flink(&["subject", "schema-registry.subject"]);

/// How Avro records are written. There is a schema, a registry, or both.
#[derive(Debug, Clone)]
pub(crate) struct AvroOptions {
    /// The schema that the user gave, and its text.
    pub(crate) schema: Option<(Arc<AvroSchema>, String)>,
    /// Who knows the schemas of the records.
    pub(crate) registry: Option<RegistryAddress>,
    /// Where a sink registers its schema.
    pub(crate) subject: Option<String>,
}

impl AvroOptions {
    /// What it takes, beside the options of a registry.
    pub(crate) const DOCS: [&'static OptionDoc; 3] = [&SCHEMA, &SCHEMA_FILE, &SUBJECT];

    /// Takes all options of Avro.
    ///
    /// # Errors
    /// If one is not valid, or there is no schema and nobody to ask for one.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let text = reader.take(SCHEMA.name, &SCHEMA.aliases())?;
        let file = reader.take(SCHEMA_FILE.name, &[])?;
        let registry = RegistryAddress::take(reader)?;
        let subject = reader.take(SUBJECT.name, &SUBJECT.aliases())?;
        let owner = reader.owner();
        let (text, name) = match (text, file) {
            (Some(_), Some(_)) => return Err(two_schemas(owner)),
            (Some(text), None) => (Some(text), "schema".to_string()),
            (None, Some(path)) => {
                let text = read_schema_file(&path, owner)?;
                (Some(text), format!("schema file \"{path}\""))
            }
            (None, None) => (None, String::new()),
        };
        if text.is_none() && registry.is_none() {
            return Err(
                Error::configuration(format!("{owner} needs the schema of its records")).with_hint(
                    "Add schema = '{\"type\": \"record\", …}', schema.file = '….avsc' or \
                     schema.registry = 'http://…'.",
                ),
            );
        }
        if subject.is_some() && registry.is_none() {
            return Err(Error::configuration(format!(
                "{owner} has a \"subject\", but no \"schema.registry\" that knows it"
            )));
        }
        let schema = match text {
            None => None,
            Some(text) => {
                let schema = parse_given_schema(&text).map_err(|flaw| {
                    Error::configuration(format!("the {name} of {owner} is no Avro schema"))
                        .with_detail(flaw.0)
                })?;
                Some((Arc::new(schema), text))
            }
        };
        Ok(AvroOptions {
            schema,
            registry,
            subject,
        })
    }

    /// The schema that the user gave.
    pub(crate) fn given(&self) -> Option<&Arc<AvroSchema>> {
        self.schema.as_ref().map(|(schema, _)| schema)
    }

    /// The text of the schema for rows: the one given, or one made for them.
    ///
    /// # Errors
    /// If none can be made.
    pub(crate) fn text_for(&self, rows: &SchemaRef, owner: &str) -> Result<String> {
        if let Some((_, text)) = &self.schema {
            return Ok(text.clone());
        }
        schema_text(rows.fields()).map_err(|problem| match problem {
            NoSchema::Name(name) => Error::plan(format!(
                "column \"{name}\" of {owner} has no name that an Avro field may have"
            ))
            .with_hint("Name it with letters, digits and underscores: SELECT … AS name."),
            NoSchema::Type(name, data_type) => Error::unsupported(format!(
                "format \"avro\" of {owner} cannot hold column \"{name}\", which is {}",
                a_type_name(&data_type)
            )),
        })
    }

    /// The schema that rows are written with.
    ///
    /// # Errors
    /// As [`AvroOptions::text_for`].
    pub(crate) fn schema_for(&self, rows: &SchemaRef, owner: &str) -> Result<Arc<AvroSchema>> {
        if let Some(schema) = self.given() {
            return Ok(Arc::clone(schema));
        }
        let text = self.text_for(rows, owner)?;
        let schema = parse_schema(&text, &[]).map_err(|flaw| {
            Error::internal("a schema made for rows is none").with_detail(flaw.0)
        })?;
        Ok(Arc::new(schema))
    }
}

/// The options with the text of a schema in the place of its file's name, so that what was declared
/// is what is read, whatever becomes of the file.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn with_schema_text(options: &Options, owner: &str) -> Result<Options> {
    let Some(path) = options.get(SCHEMA_FILE.name) else {
        return Ok(options.clone());
    };
    let text = read_schema_file(path, owner)?;
    let mut options = options.without(|key| fold(key) == SCHEMA_FILE.name);
    // Both are refused, as they would be without this.
    if options.set_literal(SCHEMA.name, text).is_some() {
        return Err(two_schemas(owner));
    }
    Ok(options)
}

fn two_schemas(owner: &str) -> Error {
    Error::configuration(format!("{owner} has a schema and a file with one"))
        .with_hint("Keep \"schema\" or \"schema.file\", not both.")
}

/// The text of a schema's file.
fn read_schema_file(path: &str, owner: &str) -> Result<String> {
    let failed = |error: std::io::Error| {
        Error::configuration(format!("could not read schema file \"{path}\" of {owner}"))
            .with_source(error)
    };
    let mut text = String::new();
    let longest = u64::try_from(MAX_SCHEMA_BYTES).unwrap_or(u64::MAX) + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(longest)
        .read_to_string(&mut text)
        .map_err(failed)?;
    Ok(text)
}
