//! Reads the files that a schema is in: a `.proto` file with what it imports, or a compiled set.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use headwater_core::{Error, Result};

use crate::avro::MAX_SCHEMA_BYTES;
use crate::protobuf::schema::{Imports, imports_of, is_builtin};

/// Files that one may import, with those that these import.
const MAX_IMPORTS: usize = 1000;

/// The text of a `.proto` file.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_text(path: &str, owner: &str) -> Result<String> {
    let bytes = read(Path::new(path), "schema file", owner)?;
    String::from_utf8(bytes).map_err(|error| {
        Error::configuration(format!("schema file \"{path}\" of {owner} is not UTF-8"))
            .with_source(error)
            .with_hint("Name a compiled set of files by \"descriptor.file\".")
    })
}

/// The bytes of a compiled set of files.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_descriptors(path: &str, owner: &str) -> Result<Vec<u8>> {
    read(Path::new(path), "descriptor file", owner)
}

fn read(path: &Path, kind: &str, owner: &str) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| {
        Error::configuration(format!(
            "could not read {kind} \"{}\" of {owner}",
            path.display()
        ))
        .with_source(error)
    };
    let mut bytes = Vec::new();
    let longest = u64::try_from(MAX_SCHEMA_BYTES).unwrap_or(u64::MAX) + 1;
    let file = File::open(path).map_err(failed)?;
    file.take(longest).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() > MAX_SCHEMA_BYTES {
        return Err(Error::configuration(format!(
            "{kind} \"{}\" of {owner} is longer than 4 MiB",
            path.display()
        )));
    }
    Ok(bytes)
}

/// The texts of everything that a schema imports. Those that are known are not read again. Others
/// are looked for in the folders of `import_path`, or beside the schema's file.
///
/// # Errors
/// If one is in none of the folders. A text that cannot be understood is left to who compiles it.
pub(crate) fn read_imports(
    text: &str,
    known: Imports,
    file: Option<&str>,
    import_path: Option<&str>,
    owner: &str,
) -> Result<Imports> {
    let folders: Vec<PathBuf> = match (import_path, file.map(|file| Path::new(file).parent())) {
        (Some(path), _) => path.split(',').map(|folder| folder.trim().into()).collect(),
        (None, Some(Some(folder))) => vec![folder.to_path_buf()],
        (None, _) => Vec::new(),
    };
    let mut imports = known;
    let mut wanted: Vec<String> = imports_of("schema.proto", text).unwrap_or_default();
    for (name, text) in &imports {
        wanted.extend(imports_of(name, text).unwrap_or_default());
    }
    while let Some(name) = wanted.pop() {
        if imports.contains_key(&name) || is_builtin(&name) {
            continue;
        }
        if imports.len() >= MAX_IMPORTS {
            return Err(Error::configuration(format!(
                "the schema of {owner} imports more than {MAX_IMPORTS} files"
            )));
        }
        let found = folders.iter().map(|folder| folder.join(&name));
        let found = found.into_iter().find(|path| path.is_file());
        let Some(path) = found else {
            return Err(not_found(&name, &folders, owner));
        };
        let text = read_text(&path.to_string_lossy(), owner)?;
        wanted.extend(imports_of(&name, &text).unwrap_or_default());
        imports.insert(name, text);
    }
    Ok(imports)
}

fn not_found(name: &str, folders: &[PathBuf], owner: &str) -> Error {
    let error = Error::configuration(format!(
        "the schema of {owner} imports \"{name}\", which is not there"
    ));
    let looked: Vec<String> = folders
        .iter()
        .map(|f| format!("\"{}\"", f.display()))
        .collect();
    let error = match looked.is_empty() {
        true => error,
        false => error.with_detail(format!("It was looked for in {}.", looked.join(", "))),
    };
    error.with_hint("Name the folder that the import starts from by \"import.path\".")
}
