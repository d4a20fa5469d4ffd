//! The format of a sink that is open: what its encoders need and the outside world decides.
//!
//! ```text
//!   declare   new_encoder      checks, asks nobody
//!   open      SinkFormat::open registers the schema, if the format has a registry
//!   write     encoder          one per writer, as often as wanted
//! ```

use arrow::datatypes::SchemaRef;
use datafusion_common_runtime::SpawnedTask;
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::{Error, ErrorKind, Result};

use crate::avro::{RegistryAddress, RegistryClient, SchemaKind};
use crate::registry::{Format, encoder_of};

/// A sink's format, ready to write.
#[derive(Debug, Clone)]
pub struct SinkFormat {
    spec: FormatSpec,
    owner: String,
    /// The columns that it was opened for, which are those of the schema that is registered.
    rows: SchemaRef,
    /// The id under which the schema of the rows is registered.
    schema_id: Option<u32>,
}

impl SinkFormat {
    /// Opens a format for rows of a schema. With a schema registry it registers the schema, which
    /// changes nothing if it is there already; `subject` is where, unless the user names another:
    /// for a Kafka topic its name and `-value`.
    ///
    /// # Errors
    /// If the definition is wrong; a sink's error if the registry does not answer; a configuration's
    /// if it refuses the schema.
    pub async fn open(
        spec: &FormatSpec,
        owner: &str,
        rows: &SchemaRef,
        subject: &str,
    ) -> Result<Self> {
        // Refuses what cannot be written before anything is registered.
        encoder_of(spec, owner, rows, None)?;
        let mut opened = SinkFormat {
            spec: spec.clone(),
            owner: owner.to_string(),
            rows: SchemaRef::clone(rows),
            schema_id: None,
        };
        let Some(registered) = Registered::of(spec, owner, rows)? else {
            return Ok(opened);
        };
        let client = RegistryClient::new(registered.registry, owner, ErrorKind::Sink);
        let (kind, text) = (registered.kind, registered.text);
        let subject = registered.subject.unwrap_or_else(|| subject.to_string());
        let call = move || client.register(&subject, kind, &text);
        let id = SpawnedTask::spawn_blocking(call).await.map_err(|e| {
            Error::internal("the call of a schema registry did not finish").with_source(e)
        })?;
        opened.schema_id = Some(id?);
        Ok(opened)
    }

    /// An encoder for rows of the columns that the format was opened for. A batch may say more
    /// of its columns, such as that one has no NULL; it is written in the schema of all.
    ///
    /// # Errors
    /// Only for a bug: the definition was checked when it was opened.
    pub fn encoder(&self) -> Result<Box<dyn Encoder>> {
        encoder_of(&self.spec, &self.owner, &self.rows, self.schema_id)
    }
}

/// What a registry is told of a sink's rows.
struct Registered {
    registry: RegistryAddress,
    kind: SchemaKind,
    text: String,
    /// Where, if the user says so.
    subject: Option<String>,
}

impl Registered {
    /// What to register; `None` if the format has no registry.
    fn of(spec: &FormatSpec, owner: &str, rows: &SchemaRef) -> Result<Option<Self>> {
        match Format::from_spec(spec, owner)? {
            Format::Avro(options) => {
                let Some(registry) = &options.registry else {
                    return Ok(None);
                };
                Ok(Some(Registered {
                    registry: registry.clone(),
                    kind: SchemaKind::Avro,
                    text: options.text_for(rows, owner)?,
                    subject: options.subject,
                }))
            }
            Format::Protobuf(options) => {
                let Some(registry) = &options.registry else {
                    return Ok(None);
                };
                let written = options.written(rows, owner)?;
                let (text, _) = written.registered(owner)?;
                Ok(Some(Registered {
                    registry: registry.clone(),
                    kind: SchemaKind::Protobuf,
                    text: text.to_string(),
                    subject: options.subject,
                }))
            }
            Format::Json(_)
            | Format::Csv(_)
            | Format::Raw
            | Format::Text
            | Format::Influx(_)
            | Format::Msgpack(_)
            | Format::Debezium(_)
            | Format::DebeziumAvro(_) => Ok(None),
        }
    }
}
