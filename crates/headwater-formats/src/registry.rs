//! The formats by name, and how a definition becomes a decoder or an encoder.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use headwater_core::format::{Decoder, Encoder, FormatSpec};
use headwater_core::options::{OptionReader, Options, nearest};
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use crate::avro::{
    self, AvroEncoder, AvroOptions, EventPlaces, SchemaCache, Wanted, new_avro_decoder,
};
use crate::builder::Builder;
use crate::column::scalar_column;
use crate::csv::{CsvDecoder, CsvEncoder, CsvOptions, Header};
use crate::debezium::{self, DebeziumAvroOptions, DebeziumDecoder, DebeziumOptions, WrittenAs};
use crate::influx::{InfluxDecoder, InfluxOptions};
use crate::json::{JsonDecoder, JsonEncoder, JsonTexts, JsonValueDecoder, json_column};
use crate::msgpack::{self, MsgpackDecoder};
use crate::option_tables::formats_with;
use crate::protobuf::{self, ProtobufEncoder, ProtobufOptions, new_protobuf_decoder};
use crate::raw::{RawDecoder, RawEncoder, is_bytes, is_text};
use crate::timestamp::TimestampOptions;

/// Formats that can be read; MSGPACK, INFLUX and those of DEBEZIUM cannot be written.
pub(crate) const KNOWN: [&str; 10] = [
    "json",
    "csv",
    "avro",
    "protobuf",
    "msgpack",
    "raw",
    "text",
    "influx",
    "debezium-json",
    "debezium-avro",
];

/// A format with its options read.
#[derive(Debug)]
pub(crate) enum Format {
    Json(TimestampOptions),
    Csv(Box<CsvOptions>),
    Avro(Box<AvroOptions>),
    Protobuf(Box<ProtobufOptions>),
    Msgpack(TimestampOptions),
    Raw,
    Text,
    Influx(Box<InfluxOptions>),
    Debezium(Box<DebeziumOptions>),
    DebeziumAvro(Box<DebeziumAvroOptions>),
}

impl Format {
    /// Reads the options of a format.
    ///
    /// # Errors
    /// If there is no such format, or one of its options is wrong.
    pub(crate) fn from_spec(spec: &FormatSpec, owner: &str) -> Result<Self> {
        let name = spec.name.to_ascii_lowercase();
        let whose = format!("format \"{name}\" of {owner}");
        let mut reader = OptionReader::new(whose, &spec.options);
        let format = Self::take(&name, owner, &mut reader)?;
        let left = reader.left().next().map(|(key, _)| formats_with(key));
        match (reader.finish(), left.as_deref()) {
            (Ok(()), _) => Ok(format),
            (Err(error), None | Some([])) => Err(error),
            (Err(error), Some(others)) => Err(error.with_hint(format!(
                "It is an option of FORMAT {}.",
                others.join(", ").to_ascii_uppercase()
            ))),
        }
    }

    /// Takes the options of the format of a name.
    ///
    /// # Errors
    /// As [`Format::from_spec`].
    pub(crate) fn take(name: &str, owner: &str, reader: &mut OptionReader) -> Result<Self> {
        Ok(match name {
            "json" => Format::Json(TimestampOptions::take(reader)?),
            "csv" => Format::Csv(Box::new(CsvOptions::take(reader)?)),
            // The second is Flink's name for Avro with a registry.
            "avro" | "avro-confluent" => Format::Avro(Box::new(AvroOptions::take(reader)?)),
            // As for Avro; Flink itself calls the one with a registry that.
            "protobuf" | "protobuf-confluent" => {
                Format::Protobuf(Box::new(ProtobufOptions::take(reader)?))
            }
            "msgpack" => Format::Msgpack(TimestampOptions::take(reader)?),
            "raw" => Format::Raw,
            "text" => Format::Text,
            "influx" => Format::Influx(Box::new(InfluxOptions::take(reader)?)),
            // The last is Flink's name for the one with a registry.
            "debezium" | "debezium-json" | "debezium-avro" | "debezium-avro-confluent" => {
                match WrittenAs::take(name, reader)? {
                    WrittenAs::Json => Format::Debezium(Box::new(DebeziumOptions::take(reader)?)),
                    WrittenAs::Avro => {
                        Format::DebeziumAvro(Box::new(DebeziumAvroOptions::take(reader)?))
                    }
                }
            }
            _ => return Err(unknown(name, owner)),
        })
    }

    /// Whether its columns are known before there is a record.
    pub(crate) fn knows_its_columns(&self) -> bool {
        match self {
            Format::Avro(options) => options.schema.is_some(),
            Format::DebeziumAvro(options) => options.avro.schema.is_some(),
            Format::Protobuf(_) | Format::Raw | Format::Text => true,
            Format::Json(_)
            | Format::Csv(_)
            | Format::Msgpack(_)
            | Format::Influx(_)
            | Format::Debezium(_) => false,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Format::Json(_) => "json",
            Format::Csv(_) => "csv",
            Format::Avro(_) => "avro",
            Format::Protobuf(_) => "protobuf",
            Format::Msgpack(_) => "msgpack",
            Format::Raw => "raw",
            Format::Text => "text",
            Format::Influx(_) => "influx",
            Format::Debezium(_) => "debezium-json",
            Format::DebeziumAvro(_) => "debezium-avro",
        }
    }

    /// The builder of a column, for the formats that have several.
    fn column(&self, field: &Field) -> Option<Builder> {
        match self {
            Format::Json(timestamps) => json_column(field, timestamps),
            Format::Csv(options) => scalar_column(field, &options.timestamps),
            Format::Influx(options) => options.column(field),
            Format::Debezium(options) => options.column(field),
            Format::Avro(_)
            | Format::DebeziumAvro(_)
            | Format::Protobuf(_)
            | Format::Msgpack(_)
            | Format::Raw
            | Format::Text => None,
        }
    }

    fn check_columns(&self, owner: &str, declared: &Schema) -> Result<()> {
        match self {
            Format::Json(_) | Format::Csv(_) => self.check_each(owner, declared),
            Format::Influx(options) => {
                options.check_named(&self.of(owner), declared)?;
                self.check_each(owner, declared)
            }
            Format::Debezium(options) => {
                options.columns.check_named(&self.of(owner), declared)?;
                self.check_each(owner, declared)
            }
            Format::Avro(options) => avro::check_columns(options, owner, declared, Wanted::Row),
            Format::DebeziumAvro(options) => {
                let columns = &options.columns;
                columns.check_named(&self.of(owner), declared)?;
                let mut fields = declared.fields().iter();
                if let Some(field) = fields.find(|field| !columns.can_hold(field)) {
                    return Err(self.cannot_hold(field, owner));
                }
                let wanted = Wanted::Event(EventPlaces::of(columns, declared));
                avro::check_columns(&options.avro, owner, declared, wanted)
            }
            Format::Protobuf(options) => protobuf::check_columns(options, owner, declared),
            Format::Msgpack(_) => {
                let mut fields = declared.fields().iter();
                match fields.find(|field| !msgpack::can_hold(field)) {
                    None => Ok(()),
                    Some(field) => Err(self.cannot_hold(field, owner)),
                }
            }
            Format::Raw | Format::Text => self.only_column(owner, declared).map(|_| ()),
        }
    }

    /// The format and its owner, for messages.
    fn of(&self, owner: &str) -> String {
        format!("format \"{}\" of {owner}", self.name())
    }

    fn check_each(&self, owner: &str, declared: &Schema) -> Result<()> {
        let mut fields = declared.fields().iter();
        match fields.find(|field| self.column(field).is_none()) {
            None => Ok(()),
            Some(field) => Err(self.cannot_hold(field, owner)),
        }
    }

    /// The one column of RAW or TEXT.
    fn only_column<'a>(&self, owner: &str, declared: &'a Schema) -> Result<&'a Field> {
        let expected = match self {
            Format::Text => "one VARCHAR column",
            _ => "one BYTEA or VARCHAR column",
        };
        let [field] = declared.fields().as_ref() else {
            let columns = declared.fields().len();
            return Err(Error::plan(format!(
                "{} needs {expected}, not {columns} columns",
                self.of(owner)
            )));
        };
        let takes_bytes = matches!(self, Format::Raw) && is_bytes(field.data_type());
        if takes_bytes || is_text(field.data_type()) {
            Ok(field)
        } else {
            Err(self.cannot_hold(field, owner))
        }
    }

    fn cannot_hold(&self, field: &Field, owner: &str) -> Error {
        let error = Error::unsupported(format!(
            "{} cannot hold column \"{}\", which is {}",
            self.of(owner),
            field.name(),
            a_type_name(field.data_type())
        ));
        match self {
            Format::Json(_) | Format::Avro(_) | Format::Protobuf(_) | Format::Msgpack(_) => {
                let is_map = matches!(field.data_type(), DataType::Map(..));
                let hint = "The keys of a MAP are VARCHAR.";
                with_any_hint(error, is_map.then_some(hint))
            }
            Format::Csv(_) => error.with_hint("A CSV field holds one value: use format \"json\"."),
            Format::Raw => error.with_hint("Declare the column as BYTEA or VARCHAR."),
            Format::Text => error.with_hint("Declare the column as VARCHAR."),
            Format::Influx(options) => error.with_hint(options.hint_for(field)),
            Format::Debezium(options) => with_any_hint(error, options.columns.hint_for(field)),
            Format::DebeziumAvro(options) => with_any_hint(error, options.columns.hint_for(field)),
        }
    }
}

fn with_any_hint(error: Error, hint: Option<&str>) -> Error {
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn unknown(name: &str, owner: &str) -> Error {
    if name == "parquet" {
        return Error::unsupported(format!(
            "format \"parquet\" of {owner} is a format of whole files, not of single records"
        ))
        .with_hint(format!(
            "Use the connector \"filesystem\", or one of the formats {}.",
            KNOWN.join(", ")
        ));
    }
    let error = Error::configuration(format!("{owner} names an unknown format \"{name}\""));
    match nearest(name, KNOWN.into_iter()) {
        Some(near) => error.with_hint(format!(
            "Did you mean \"{near}\"? The formats are {}.",
            KNOWN.join(", ")
        )),
        None => error.with_hint(format!("The formats are {}.", KNOWN.join(", "))),
    }
}

/// Checks a source's format: its name, its options, and whether it can hold the declared columns.
/// `owner` is the object's kind and quoted name, for messages.
///
/// A sink checks its format by making its encoder.
///
/// # Errors
/// What is wrong with the definition.
pub fn check_format(spec: &FormatSpec, owner: &str, declared: &SchemaRef) -> Result<()> {
    Format::from_spec(spec, owner)?.check_columns(owner, declared)
}

/// The format with what its options refer to and what they name in files in the options themselves.
/// A connector whose sources and
/// sinks can have such a format calls it once, when one is declared: every epoch then reads what was
/// declared, whatever becomes of the files.
///
/// # Errors
/// If a file cannot be read.
pub fn with_files(spec: FormatSpec, owner: &str) -> Result<FormatSpec> {
    let whose = format!("format \"{}\" of {owner}", spec.name);
    let spec = FormatSpec {
        options: spec.options.looked_up(&whose)?,
        name: spec.name,
    };
    let format = spec.options.get(debezium::FORMAT.name);
    let is_avro = match spec.name.as_str() {
        "avro" | "avro-confluent" | "debezium-avro" | "debezium-avro-confluent" => true,
        "debezium" => format.is_some_and(|format| format.trim().eq_ignore_ascii_case("avro")),
        _ => false,
    };
    match spec.name.as_str() {
        _ if is_avro => Ok(FormatSpec {
            options: avro::with_schema_text(&spec.options, &whose)?,
            name: spec.name,
        }),
        "protobuf" | "protobuf-confluent" => Ok(FormatSpec {
            options: protobuf::with_proto_texts(&spec.options, &whose)?,
            name: spec.name,
        }),
        _ => Ok(spec),
    }
}

/// Refuses a format that is for sources alone; of a sink it may be all that is known when it is
/// declared.
///
/// # Errors
/// If the definition is wrong or the format cannot be written.
pub fn check_written(spec: &FormatSpec, owner: &str) -> Result<()> {
    match Format::from_spec(spec, owner)? {
        format @ (Format::Msgpack(_)
        | Format::Influx(_)
        | Format::Debezium(_)
        | Format::DebeziumAvro(_)) => Err(not_written(&format, owner)),
        _ => Ok(()),
    }
}

fn not_written(format: &Format, owner: &str) -> Error {
    Error::unsupported(format!(
        "{} is for sources: rows are not written in it",
        format.of(owner)
    ))
    .with_hint("Write format \"json\" or \"csv\".")
}

/// Refuses a format whose records are no lines, for connectors that part records by line feeds.
///
/// # Errors
/// If the definition is wrong or its records may hold any byte.
pub fn check_lines(spec: &FormatSpec, owner: &str) -> Result<()> {
    match Format::from_spec(spec, owner)? {
        format @ (Format::Avro(_)
        | Format::DebeziumAvro(_)
        | Format::Protobuf(_)
        | Format::Msgpack(_)) => Err(Error::unsupported(format!(
            "{} needs records that may hold any byte, and this connector parts them by lines",
            format.of(owner)
        ))
        .with_hint("Use the connector \"kafka\", or one of the formats json, csv, text.")),
        _ => Ok(()),
    }
}

/// Makes a decoder of JSON whose every record is one value of a type: an array, say.
///
/// # Errors
/// If the definition is wrong, or JSON cannot hold the type.
pub(crate) fn new_json_value_decoder(
    options: &Options,
    owner: &str,
    field: Field,
) -> Result<Box<dyn Decoder>> {
    let spec = FormatSpec {
        options: options.clone(),
        ..FormatSpec::named("json")
    };
    let format = Format::from_spec(&spec, owner)?;
    let Some(builder) = format.column(&field) else {
        return Err(format.cannot_hold(&field, owner));
    };
    let schema = Schema::new(vec![field]);
    Ok(Box::new(JsonValueDecoder::new(schema, builder)))
}

/// Makes what writes values of a type as JSON.
///
/// # Errors
/// If the definition is wrong, or JSON cannot hold the type.
pub(crate) fn new_json_texts(
    options: &Options,
    owner: &str,
    data_type: &DataType,
) -> Result<JsonTexts> {
    let mut reader = OptionReader::new(format!("format \"json\" of {owner}"), options);
    let timestamps = TimestampOptions::take(&mut reader)?;
    reader.finish()?;
    JsonTexts::try_new(data_type, timestamps).map_err(|e| {
        let message = format!("{owner} cannot write {}", a_type_name(data_type));
        Error::unsupported(message).with_source(e)
    })
}

/// Makes a decoder for some of the declared columns: `projection` has their indices, in the order
/// wanted. It may be empty: the decoder then judges the records' syntax alone.
///
/// # Errors
/// If the definition is wrong, as [`check_format`] finds it.
pub fn new_decoder(
    spec: &FormatSpec,
    owner: &str,
    declared: &SchemaRef,
    projection: &[usize],
) -> Result<Box<dyn Decoder>> {
    new_sharing_decoder(spec, owner, declared, projection, &SchemaCache::default())
}

/// As [`new_decoder`], with schemas of a registry that the decoders of a source share.
///
/// # Errors
/// As [`new_decoder`].
pub(crate) fn new_sharing_decoder(
    spec: &FormatSpec,
    owner: &str,
    declared: &SchemaRef,
    projection: &[usize],
    schemas: &SchemaCache,
) -> Result<Box<dyn Decoder>> {
    let format = Format::from_spec(spec, owner)?;
    format.check_columns(owner, declared)?;
    let schema = declared.project(projection).map_err(|e| {
        Error::internal(format!("projection of {owner} is out of range")).with_source(e)
    })?;
    let schema = Arc::new(schema);
    let fields = schema.fields();
    let builders = fields.iter().filter_map(|field| format.column(field));
    let builders: Vec<_> = builders.collect();
    Ok(match format {
        Format::Json(timestamps) => Box::new(JsonDecoder::new(schema, builders, &timestamps)),
        Format::Csv(options) => {
            let mut places = vec![None; declared.fields().len()];
            for (place, column) in projection.iter().enumerate() {
                if let Some(slot) = places.get_mut(*column) {
                    *slot = Some(place);
                }
            }
            Box::new(CsvDecoder::new(*options, places, schema, builders))
        }
        Format::Avro(options) => new_avro_decoder(*options, owner, schema, schemas, Wanted::Row)?,
        Format::DebeziumAvro(options) => {
            let wanted = Wanted::Event(EventPlaces::of(&options.columns, &schema));
            new_avro_decoder(options.avro, owner, schema, schemas, wanted)?
        }
        Format::Protobuf(options) => new_protobuf_decoder(*options, owner, schema, schemas)?,
        Format::Msgpack(timestamps) => Box::new(MsgpackDecoder::try_new(timestamps, schema)?),
        Format::Raw | Format::Text => {
            let declared = format.only_column(owner, declared)?;
            Box::new(RawDecoder::new(declared, schema))
        }
        Format::Influx(options) => Box::new(InfluxDecoder::new(&options, schema, builders)),
        Format::Debezium(options) => Box::new(DebeziumDecoder::new(&options, schema, builders)),
    })
}

/// Makes an encoder for rows of a schema. Where a registry must know the schema first, it can be
/// made and writes nothing: [`crate::SinkFormat`] has those that write.
///
/// # Errors
/// If the definition is wrong, or the format cannot hold a column.
pub fn new_encoder(spec: &FormatSpec, owner: &str, schema: &SchemaRef) -> Result<Box<dyn Encoder>> {
    encoder_of(spec, owner, schema, None)
}

/// Makes an encoder for rows of a schema that is registered under an id, if there is a registry.
///
/// # Errors
/// As [`new_encoder`].
pub(crate) fn encoder_of(
    spec: &FormatSpec,
    owner: &str,
    schema: &SchemaRef,
    id: Option<u32>,
) -> Result<Box<dyn Encoder>> {
    let format = Format::from_spec(spec, owner)?;
    Ok(match format {
        Format::Json(timestamps) => Box::new(JsonEncoder::try_new(schema, timestamps, owner)?),
        Format::Csv(options) if options.header == Header::Skipped => {
            return Err(Error::configuration(format!(
                "option \"header\" of {owner} is \"skip\", and a sink has nothing to skip"
            ))
            .with_hint("Set it to 'true' to write the names of the columns, or to 'false'."));
        }
        Format::Csv(options) => Box::new(CsvEncoder::try_new(schema, *options, owner)?),
        Format::Avro(options) => Box::new(AvroEncoder::try_new(&options, schema, owner, id)?),
        Format::Protobuf(options) => {
            Box::new(ProtobufEncoder::try_new(&options, schema, owner, id)?)
        }
        Format::Raw | Format::Text => {
            format.only_column(owner, schema)?;
            Box::new(RawEncoder)
        }
        Format::Msgpack(_) | Format::Influx(_) | Format::Debezium(_) | Format::DebeziumAvro(_) => {
            return Err(not_written(&format, owner));
        }
    })
}
