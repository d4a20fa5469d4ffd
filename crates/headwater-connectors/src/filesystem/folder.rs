//! The files of a folder that count as input.

use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use headwater_core::event_time::{EventTime, micros};
use headwater_core::{Error, Result};

use super::permanent::not_readable;

/// A file as it was when it was found; also its entry in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileEntry {
    /// Name within the folder.
    pub(super) path: String,
    /// Length in bytes.
    pub(super) size: u64,
    /// Modification time in microseconds since the epoch.
    pub(super) mtime: EventTime,
}

/// Names with `*` for any run of characters.
#[derive(Debug, Clone, Default)]
pub(super) struct NamePattern(Option<String>);

impl NamePattern {
    /// The pattern that a user wrote; `None` matches every name.
    pub(super) fn new(text: Option<&str>) -> Self {
        NamePattern(text.map(str::to_string))
    }

    fn matches(&self, name: &str) -> bool {
        let Some(pattern) = &self.0 else { return true };
        let mut pieces = pattern.split('*');
        let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = rest.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A folder whose files are read, or one file.
#[derive(Debug, Clone)]
pub(super) enum Input {
    /// Every file directly in the folder that is not hidden and whose name matches. Of folders below
    /// it, those by value are refused if their names match, and others do not count.
    Folder(PathBuf, NamePattern),
    /// The file of this name in a folder.
    File(PathBuf, String),
}

impl Input {
    /// Looks at what a path is.
    ///
    /// # Errors
    /// If there is nothing, or nothing that may be read.
    pub(super) fn find(path: &Path, pattern: &NamePattern, owner: &str) -> Result<Self> {
        let found = fs::metadata(path).map_err(|error| {
            let text = format!("could not find \"{}\" of {owner}", path.display());
            let hint = "Make the folder before the query starts, or correct the option \"path\".";
            match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
                    let missing = Error::configuration(text).with_hint(hint);
                    missing.with_source(error)
                }
                _ => not_readable(text, error),
            }
        })?;
        check_opens(path, &found).map_err(|error| {
            let text = format!("could not open \"{}\" of {owner}", path.display());
            not_readable(text, error)
        })?;
        if found.is_dir() {
            return Ok(Input::Folder(path.to_path_buf(), pattern.clone()));
        }
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| not_utf8(path))?;
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        Ok(Input::File(folder, name.to_string()))
    }

    /// The full path of an entry.
    pub(super) fn path_of(&self, entry: &FileEntry) -> PathBuf {
        match self {
            Input::Folder(folder, _) | Input::File(folder, _) => folder.join(&entry.path),
        }
    }

    /// Whether no file can be added.
    pub(super) fn is_single(&self) -> bool {
        matches!(self, Input::File(..))
    }

    /// The files there are now, by modification time, then name.
    pub(super) fn list(&self) -> Result<Vec<FileEntry>> {
        match self {
            Input::File(folder, name) => {
                let path = folder.join(name);
                let found = fs::metadata(&path).map_err(|e| could_not("read", &path, e))?;
                Ok(vec![entry(name, &found)])
            }
            Input::Folder(folder, pattern) => list_folder(folder, pattern),
        }
    }
}

/// Opens what is there, so that a query does not start in vain. Opening a pipe would take it from
/// the reader.
fn check_opens(path: &Path, found: &Metadata) -> io::Result<()> {
    if found.is_dir() {
        fs::read_dir(path).map(|_| ())
    } else if found.is_file() {
        File::open(path).map(|_| ())
    } else {
        Ok(())
    }
}

fn list_folder(folder: &Path, pattern: &NamePattern) -> Result<Vec<FileEntry>> {
    let failed = |error| could_not("list", folder, error);
    let mut entries = Vec::new();
    for found in fs::read_dir(folder).map_err(failed)? {
        let path = found.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default();
        let Some(name) = name.to_str() else {
            return Err(not_utf8(&path));
        };
        if is_ignored(name) || !pattern.matches(name) {
            continue;
        }
        // Follows links. A file that is gone by now was never seen.
        match fs::metadata(&path) {
            Ok(found) if found.is_file() => entries.push(entry(name, &found)),
            Ok(found) if found.is_dir() && name.contains('=') => {
                return Err(has_folders_by_value(folder, name));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(could_not("read", &path, error)),
        }
    }
    entries.sort_unstable_by(|a, b| (a.mtime, &a.path).cmp(&(b.mtime, &b.path)));
    Ok(entries)
}

/// Rows in folders by value would be left out without a word.
fn has_folders_by_value(folder: &Path, name: &str) -> Error {
    let column = name.split('=').next().unwrap_or_default();
    let folder = folder.display();
    Error::configuration(format!(
        "folder \"{folder}\" has its rows in folders by value, such as \"{name}\""
    ))
    .with_detail("A source reads the files that are directly in its folder.")
    .with_hint(format!(
        "Read them as a table: CREATE EXTERNAL TABLE … PARTITIONED BY ({column}) LOCATION \
         '{folder}/'. Or declare a source for each of the folders, or leave them out with the option \
         \"pattern\"."
    ))
}

/// Names that programs give to files that are not for others, or not yet.
fn is_ignored(name: &str) -> bool {
    name.starts_with(['.', '_']) || name.ends_with(".tmp")
}

fn entry(name: &str, found: &Metadata) -> FileEntry {
    FileEntry {
        path: name.to_string(),
        size: found.len(),
        mtime: modified(found),
    }
}

/// When a file was written to last; the epoch where that is not known.
pub(super) fn modified(found: &Metadata) -> EventTime {
    let modified = found.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    EventTime(micros(since.unwrap_or_default()))
}

fn not_utf8(path: &Path) -> Error {
    let message = format!("the name of file \"{}\" is not UTF-8", path.display());
    Error::configuration(message).with_hint("Rename the file.")
}

/// The error of a failed call on a file or folder.
pub(super) fn could_not(what: &str, path: &Path, error: io::Error) -> Error {
    not_readable(format!("could not {what} \"{}\"", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        let cases = [
            ("*.json", "a.json", true),
            ("*.json", "a.json.gz", false),
            ("part-*", "part-1", true),
            ("part-*", "apart-1", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
            ("*", "x", true),
        ];
        for (pattern, name, expected) in cases {
            let matches = NamePattern::new(Some(pattern)).matches(name);
            assert_eq!(matches, expected, "{pattern} {name}");
        }
        assert!(NamePattern::default().matches("any"));
    }

    #[test]
    fn hidden_and_unfinished_files_do_not_count() {
        for name in [".a", "_SUCCESS", "a.tmp"] {
            assert!(is_ignored(name), "{name}");
        }
        assert!(!is_ignored("a.json"));
    }
}
