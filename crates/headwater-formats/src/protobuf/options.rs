//! The options of Protobuf.
//!
//! What is in files is kept in options of their own when a source or a sink is declared: `schema`,
//! `schema.imports` (texts by name, as a JSON object) and `descriptor`
//! (in base64).

use arrow::datatypes::SchemaRef;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::{OptionReader, Options, fold, nearest};
use headwater_core::{Error, Result};
use prost_reflect::MessageDescriptor;

use crate::avro::{RegistryAddress, SUBJECT};
use crate::protobuf::schema::{Imports, ProtoSchema, path_of};
use crate::protobuf::schema_files::{read_descriptors, read_imports, read_text};
use crate::protobuf::schema_text::schema_text;

const SCHEMA: &str = "schema";
const SCHEMA_FILE: &str = "schema.file";
const IMPORT_PATH: &str = "import.path";
const IMPORTS: &str = "schema.imports";
const DESCRIPTOR: &str = "descriptor";
const DESCRIPTOR_FILE: &str = "descriptor.file";
/// The full name of a derived message, if the user names none.
const ROW: &str = "Row";

const OF_SCHEMA: OptionDoc = OptionDoc::new(
    SCHEMA,
    OptionValues::Described("the text of a `.proto` file"),
    OptionDefault::Described("required, if there is no other schema and no registry"),
    "the schema of the records; beside a registry that of what a sink writes",
);
const OF_SCHEMA_FILE: OptionDoc = OptionDoc::new(
    SCHEMA_FILE,
    OptionValues::Described("a path"),
    OptionDefault::Nothing,
    "a file that holds the schema, read when the source or sink is declared",
);
const OF_IMPORT_PATH: OptionDoc = OptionDoc::new(
    IMPORT_PATH,
    OptionValues::Described("paths of folders, between commas"),
    OptionDefault::Described("the folder of `schema.file`"),
    "where the imports of the schema start from",
);
const OF_IMPORTS: OptionDoc = OptionDoc::new(
    IMPORTS,
    OptionValues::Described("a JSON object of texts by file names"),
    OptionDefault::Nothing,
    "the texts of the imports, in the place of files",
);
const OF_DESCRIPTOR_FILE: OptionDoc = OptionDoc::new(
    DESCRIPTOR_FILE,
    OptionValues::Described("a path"),
    OptionDefault::Nothing,
    "a compiled set of files instead: `protoc --descriptor_set_out=… --include_imports`",
)
.with_spark(&["descFilePath"])
.with_also(&["desc.file.path"]);
const OF_DESCRIPTOR: OptionDoc = OptionDoc::new(
    DESCRIPTOR,
    OptionValues::Described("base64"),
    OptionDefault::Nothing,
    "the bytes of such a set, in the place of a file",
);
const MESSAGE: OptionDoc = OptionDoc::new(
    "message",
    OptionValues::Described("the full name of a message"),
    OptionDefault::Described("the only one that is in no other; of a schema made for a sink `Row`"),
    "what the records are",
)
.with_spark(&["messageName"])
.with_flink(&["message-class-name"])
.with_also(&["protobuf.message-class-name", "message.name"]);

/// How Protobuf records are written. There is a schema, a registry, or both.
#[derive(Debug, Clone)]
pub(crate) struct ProtobufOptions {
    /// What the user gave.
    pub(crate) given: Option<GivenMessage>,
    /// The full name of the message, if the user names it.
    pub(crate) message: Option<String>,
    /// Who knows the schemas of the records.
    pub(crate) registry: Option<RegistryAddress>,
    /// Where a sink registers its schema.
    pub(crate) subject: Option<String>,
}

/// A message of a schema that the user gave.
#[derive(Debug, Clone)]
pub(crate) struct GivenMessage {
    pub(crate) message: MessageDescriptor,
    schema: ProtoSchema,
    /// The text of the schema; a compiled set has none.
    text: Option<String>,
}

/// A schema as it stands in the options.
#[derive(Debug, Clone, Default)]
struct SchemaOptions {
    text: Option<String>,
    file: Option<String>,
    import_path: Option<String>,
    imports: Option<String>,
    descriptor: Option<String>,
    descriptor_file: Option<String>,
}

/// A schema that can be read.
enum SchemaSource {
    Text(String, Imports),
    Descriptors(Vec<u8>),
}

impl ProtobufOptions {
    /// What it takes, beside the options of a registry.
    pub(crate) const DOCS: [&'static OptionDoc; 8] = [
        &OF_SCHEMA,
        &OF_SCHEMA_FILE,
        &OF_IMPORT_PATH,
        &OF_IMPORTS,
        &OF_DESCRIPTOR_FILE,
        &OF_DESCRIPTOR,
        &MESSAGE,
        &SUBJECT,
    ];

    /// Takes all options of Protobuf.
    ///
    /// # Errors
    /// If one is not valid, or there is no schema and nobody to ask for one.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Self> {
        let options = SchemaOptions {
            text: reader.take(SCHEMA, &[])?,
            file: reader.take(SCHEMA_FILE, &[])?,
            import_path: reader.take(IMPORT_PATH, &[])?,
            imports: reader.take(IMPORTS, &[])?,
            descriptor: reader.take(DESCRIPTOR, &[])?,
            descriptor_file: reader.take(DESCRIPTOR_FILE, &OF_DESCRIPTOR_FILE.aliases())?,
        };
        // A leading dot says that a name is a full one, which it is anyway.
        let message = reader.take(MESSAGE.name, &MESSAGE.aliases())?;
        let message = message.map(|name| name.trim_start_matches('.').to_string());
        let registry = RegistryAddress::take(reader)?;
        let subject = reader.take(SUBJECT.name, &SUBJECT.aliases())?;
        let owner = reader.owner();
        let source = options.source(owner)?;
        if source.is_none() && registry.is_none() {
            return Err(
                Error::configuration(format!("{owner} needs the schema of its records")).with_hint(
                    "Add schema = 'syntax = \"proto3\"; message …', schema.file = '….proto', \
                     descriptor.file = '….desc' or schema.registry = 'http://…'.",
                ),
            );
        }
        if subject.is_some() && registry.is_none() {
            return Err(Error::configuration(format!(
                "{owner} has a \"subject\", but no \"schema.registry\" that knows it"
            )));
        }
        let given = match source {
            Some(source) => Some(GivenMessage::try_new(source, message.as_deref(), owner)?),
            None => None,
        };
        Ok(ProtobufOptions {
            given,
            message,
            registry,
            subject,
        })
    }

    /// The message that rows are written as, and the text of its schema.
    ///
    /// # Errors
    /// If there is none for such rows.
    pub(crate) fn written(&self, rows: &SchemaRef, owner: &str) -> Result<GivenMessage> {
        if let Some(given) = &self.given {
            return Ok(given.clone());
        }
        let name = self.message.as_deref().unwrap_or(ROW);
        let text = schema_text(rows.fields(), name, owner)?;
        let schema = ProtoSchema::from_text(&text, &Imports::new()).map_err(|flaw| {
            Error::plan(format!("columns of {owner} have no Protobuf schema"))
                .with_detail(flaw.0)
                .with_hint("Give them other names, or give a schema.")
        })?;
        let message = schema.message(Some(name)).map_err(|_| {
            Error::internal(format!(
                "a schema made for {owner} has no message \"{name}\""
            ))
        })?;
        Ok(GivenMessage {
            message,
            schema,
            text: Some(text),
        })
    }
}

impl GivenMessage {
    fn try_new(source: SchemaSource, name: Option<&str>, owner: &str) -> Result<Self> {
        let (schema, text) = match source {
            SchemaSource::Text(text, imports) => {
                (ProtoSchema::from_text(&text, &imports), Some(text))
            }
            SchemaSource::Descriptors(bytes) => (ProtoSchema::from_descriptors(&bytes), None),
        };
        let schema = schema.map_err(|flaw| {
            let kind = match &text {
                Some(_) => "the schema",
                None => "the descriptor file",
            };
            Error::configuration(format!("{kind} of {owner} cannot be read as Protobuf"))
                .with_detail(flaw.0)
        })?;
        let message = schema
            .message(name)
            .map_err(|names| no_message(name, &names, owner))?;
        Ok(GivenMessage {
            message,
            schema,
            text,
        })
    }

    /// The text that a registry is given, and where in it the message stands.
    ///
    /// # Errors
    /// If a registry would not understand it.
    pub(crate) fn registered(&self, owner: &str) -> Result<(&str, Vec<usize>)> {
        let Some(text) = &self.text else {
            return Err(
                Error::unsupported(format!("{owner} cannot register a compiled schema"))
                    .with_hint("Give \"schema.file\" in the place of \"descriptor.file\"."),
            );
        };
        if let Some(import) = self.schema.foreign_import() {
            return Err(Error::unsupported(format!(
                "{owner} cannot register a schema that imports \"{import}\""
            ))
            .with_detail("Only files that come with Protobuf may be imported by it.")
            .with_hint("Put the messages into one file, or leave the schema out."));
        }
        Ok((text, path_of(&self.message)))
    }
}

fn no_message(name: Option<&str>, names: &[String], owner: &str) -> Error {
    let listed = names.join(", ");
    let Some(name) = name else {
        let error = Error::configuration(format!(
            "the schema of {owner} has {} messages, and records are of one",
            names.len()
        ));
        return match names.is_empty() {
            true => error,
            false => error.with_hint(format!("Name one by message = '…': {listed}.")),
        };
    };
    let error = Error::configuration(format!("the schema of {owner} has no message \"{name}\""));
    match nearest(name, names.iter().map(String::as_str)) {
        Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
        None => error.with_hint(format!("The messages are {listed}.")),
    }
}

impl SchemaOptions {
    /// The schema, if there is one.
    fn source(self, owner: &str) -> Result<Option<SchemaSource>> {
        let ways = [
            &self.text,
            &self.file,
            &self.descriptor,
            &self.descriptor_file,
        ];
        if ways.iter().filter(|way| way.is_some()).count() > 1 {
            return Err(
                Error::configuration(format!("{owner} has more than one schema"))
                    .with_hint("Keep one of \"schema\", \"schema.file\" and \"descriptor.file\"."),
            );
        }
        let is_text = self.text.is_some() || self.file.is_some();
        if !is_text && (self.import_path.is_some() || self.imports.is_some()) {
            return Err(Error::configuration(format!(
                "{owner} has imports, but no \"schema\" or \"schema.file\" that imports them"
            )));
        }
        if let Some(path) = &self.descriptor_file {
            let bytes = read_descriptors(path, owner)?;
            return Ok(Some(SchemaSource::Descriptors(bytes)));
        }
        if let Some(encoded) = &self.descriptor {
            let bytes = BASE64_STANDARD.decode(encoded).map_err(|error| {
                Error::configuration(format!(
                    "option \"{DESCRIPTOR}\" of {owner} is not in base64"
                ))
                .with_source(error)
                .with_hint("Name the file by \"descriptor.file\".")
            })?;
            return Ok(Some(SchemaSource::Descriptors(bytes)));
        }
        let text = match (self.text, &self.file) {
            (Some(text), _) => text,
            (None, Some(path)) => read_text(path, owner)?,
            (None, None) => return Ok(None),
        };
        let known = match &self.imports {
            Some(imports) => serde_json::from_str(imports).map_err(|error| {
                Error::configuration(format!(
                    "option \"{IMPORTS}\" of {owner} is no JSON object of texts"
                ))
                .with_source(error)
                .with_hint("Name their folder by \"import.path\".")
            })?,
            None => Imports::new(),
        };
        let imports = read_imports(
            &text,
            known,
            self.file.as_deref(),
            self.import_path.as_deref(),
            owner,
        )?;
        Ok(Some(SchemaSource::Text(text, imports)))
    }
}

/// The options with what is in files in the place of the files' names, so that what was declared is
/// what is read, whatever becomes of the files.
///
/// # Errors
/// If a file cannot be read.
pub(crate) fn with_proto_texts(options: &Options, owner: &str) -> Result<Options> {
    let value = |key: &str| options.get(key).map(ToString::to_string);
    let of_descriptor_file = OF_DESCRIPTOR_FILE.names();
    let descriptor_file = of_descriptor_file.iter().find_map(|key| value(key));
    let files = [
        value(SCHEMA_FILE),
        value(IMPORT_PATH),
        descriptor_file.clone(),
    ];
    if files.iter().all(Option::is_none) {
        return Ok(options.clone());
    }
    let source = SchemaOptions {
        text: value(SCHEMA),
        file: value(SCHEMA_FILE),
        import_path: value(IMPORT_PATH),
        imports: value(IMPORTS),
        descriptor: value(DESCRIPTOR),
        descriptor_file,
    };
    let source = source.source(owner)?;
    let replaced = |key: &str| {
        let mut names = of_descriptor_file.iter().chain(&[SCHEMA_FILE, IMPORT_PATH]);
        names.any(|name| fold(name) == fold(key))
    };
    let mut options = options.without(replaced);
    match source {
        Some(SchemaSource::Text(text, imports)) => {
            options.set_literal(SCHEMA, text);
            if !imports.is_empty() {
                let imports = serde_json::to_string(&imports).map_err(|error| {
                    Error::internal("texts have no form in JSON").with_source(error)
                })?;
                options.set_literal(IMPORTS, imports);
            }
        }
        Some(SchemaSource::Descriptors(bytes)) => {
            options.set_literal(DESCRIPTOR, BASE64_STANDARD.encode(bytes));
        }
        None => {}
    }
    Ok(options)
}
