//! Descriptors of messages: from the text of `.proto` files, or from a compiled set of them.
//!
//! `protox` reads the text and `prost-reflect` holds the descriptors. Records are read by our own
//! code, see `reading.rs`.

use std::collections::BTreeMap;

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::avro::{MAX_SCHEMA_BYTES, SchemaFlaw};

/// The name of a file that has none.
const NO_NAME: &str = "schema.proto";

/// Texts of `.proto` files by the names under which others import them.
pub(crate) type Imports = BTreeMap<String, String>;

/// The messages of one `.proto` file, with what it imports.
#[derive(Debug, Clone)]
pub(crate) struct ProtoSchema {
    pool: DescriptorPool,
    /// The file whose messages records are; `None` if it is one of several.
    main: Option<FileDescriptor>,
}

/// Files that are there as text.
struct Texts(Imports);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

impl ProtoSchema {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// What is wrong with it, or with an import.
    pub(crate) fn from_text(text: &str, imports: &Imports) -> Result<Self, SchemaFlaw> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(SchemaFlaw("It is longer than 4 MiB.".to_string()));
        }
        let mut texts = imports.clone();
        let mut name = NO_NAME.to_string();
        while texts.contains_key(&name) {
            name.insert(0, '_');
        }
        texts.insert(name.clone(), text.to_string());
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(texts));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler
            .open_file(&name)
            .map_err(|error| unreadable(&error))?;
        let pool = compiler.descriptor_pool();
        let main = pool.get_file_by_name(&name);
        Ok(ProtoSchema { pool, main })
    }

    /// Reads what a registry answers: a text, and those that it refers to by their names.
    ///
    /// # Errors
    /// As [`ProtoSchema::from_text`].
    pub(crate) fn from_registry(
        text: &str,
        references: Vec<(String, String)>,
    ) -> Result<Self, SchemaFlaw> {
        Self::from_text(text, &references.into_iter().collect())
    }

    /// Reads a compiled set of files: the bytes of a `FileDescriptorSet`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn from_descriptors(bytes: &[u8]) -> Result<Self, SchemaFlaw> {
        let pool = DescriptorPool::decode(bytes).map_err(|error| {
            SchemaFlaw(format!(
                "{error}. Write it with protoc --descriptor_set_out and --include_imports."
            ))
        })?;
        Ok(ProtoSchema { pool, main: None })
    }

    /// The message of a full name, or the only one that there is.
    ///
    /// # Errors
    /// The names that there are, if it is none of them or one has to be chosen.
    pub(crate) fn message(&self, name: Option<&str>) -> Result<MessageDescriptor, Vec<String>> {
        let found = match name {
            Some(name) => self.pool.get_message_by_name(name),
            None => self.only_message(),
        };
        found
            .filter(|message| !message.is_map_entry())
            .ok_or_else(|| self.message_names())
    }

    fn only_message(&self) -> Option<MessageDescriptor> {
        let mut messages = self.top_messages().into_iter();
        let first = messages.next()?;
        messages.next().is_none().then_some(first)
    }

    /// Messages that are in no other, without those that come with Protobuf.
    fn top_messages(&self) -> Vec<MessageDescriptor> {
        let files: Vec<FileDescriptor> = match &self.main {
            Some(main) => vec![main.clone()],
            None => self
                .pool
                .files()
                .filter(|file| !is_builtin(file.name()))
                .collect(),
        };
        files.iter().flat_map(FileDescriptor::messages).collect()
    }

    fn message_names(&self) -> Vec<String> {
        let messages = self.top_messages();
        messages.iter().map(|m| m.full_name().to_string()).collect()
    }

    /// The message that a record of a registry names: the place among the messages of the file,
    /// then among those inside it.
    pub(crate) fn message_at(&self, path: &[usize]) -> Option<MessageDescriptor> {
        let (first, inner) = path.split_first()?;
        let mut message = self.main.as_ref()?.messages().nth(*first)?;
        for place in inner {
            let child = message.child_messages().nth(*place);
            message = child?;
        }
        Some(message)
    }

    /// The file that the schema is the text of.
    pub(crate) fn main_file(&self) -> Option<&FileDescriptor> {
        self.main.as_ref()
    }

    /// The first import that does not come with Protobuf.
    pub(crate) fn foreign_import(&self) -> Option<String> {
        let mut imports = self.main.as_ref()?.dependencies();
        let foreign = imports.find(|file| !is_builtin(file.name()));
        foreign.map(|file| file.name().to_string())
    }
}

/// Where a message stands in its file: what [`ProtoSchema::message_at`] takes.
pub(crate) fn path_of(message: &MessageDescriptor) -> Vec<usize> {
    // A path of descriptors names the list before each place in it.
    let places = message.path().iter().skip(1).step_by(2);
    places
        .filter_map(|place| usize::try_from(*place).ok())
        .collect()
}

/// Names that a text imports, whether they come with Protobuf or not.
///
/// # Errors
/// If the text cannot be read.
pub(crate) fn imports_of(name: &str, text: &str) -> Result<Vec<String>, SchemaFlaw> {
    let file = File::from_source(name, text).map_err(|error| unreadable(&error))?;
    Ok(file.file_descriptor_proto().dependency.clone())
}

/// Whether a file comes with Protobuf.
pub(crate) fn is_builtin(name: &str) -> bool {
    name.starts_with("google/protobuf/") && GoogleFileResolver::new().open_file(name).is_ok()
}

/// What is wrong, with its file, line and column, which `Debug` alone shows.
fn unreadable(error: &protox::Error) -> SchemaFlaw {
    SchemaFlaw(format!("{error:?}."))
}
