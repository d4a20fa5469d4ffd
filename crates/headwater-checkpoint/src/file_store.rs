//! Where recovery files live: the contract of file stores, and the way from a URL to one.
//!
//! Everything durable goes through [`FileStore`], so that a test double can cut a run at every
//! single step ([`crate::FailingFiles`]). The steps are few and whole: a file is there with all
//! its bytes or it is not there.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use headwater_core::{Error, Result};

use crate::local_files::LocalFiles;
use crate::lock::{LockGuard, LockOwner};

/// A folder of files that survive a crash.
///
/// Paths are relative to the store's root, with `/` between names: `epochs/00000042.json`.
/// Folders come into being with the first file in them.
///
/// # Contract
/// 1. A call that returned `Ok` survives a crash and a loss of power; only [`FileStore::delete`]
///    may be undone by one. A call that returned `Err` had its whole effect or none.
/// 2. A reader sees the old file or the new one, never a part of either.
/// 3. Temporary files are invisible to every method.
/// 4. One process writes a path at a time; [`FileStore::lock`] sees to it.
///
/// (1 is checked by the crash tests, 2 and 3 by the store tests, which run on every store.)
pub trait FileStore: Debug + Send + Sync {
    /// Where the files are, for messages: a folder, or `memory`.
    fn describe(&self) -> String;

    /// The bytes of a file; `None` if it does not exist.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>>;

    /// A part of a file, shorter if the file ends before; `None` if it does not exist.
    fn read_part(&self, path: &str, offset: u64, length: u64) -> Result<Option<Vec<u8>>> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let part = |bytes: Vec<u8>| bytes.into_iter().skip(from).take(length).collect();
        Ok(self.read(path)?.map(part))
    }

    /// Writes a file, in place of the one that may be there.
    fn write_atomic(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Writes a file that must not be there yet.
    ///
    /// # Errors
    /// [`headwater_core::ErrorKind::Conflict`] if the file exists; it is left as it is.
    fn create_new(&self, path: &str, bytes: &[u8]) -> Result<()>;

    /// Starts a file that is too big to hold in memory. It appears at `path`, in place of the one
    /// that may be there, when [`FileWriter::finish`] returns.
    fn create_file(&self, path: &str) -> Result<Box<dyn FileWriter>>;

    /// Moves a file, over the one that may be at `to`. Succeeds without effect if `from` is gone
    /// and `to` is there: the move was made before.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// The names of the files directly in a folder, sorted. A folder that does not exist is
    /// empty; the root is `""`.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// The names of the folders directly in a folder, sorted. A folder that does not exist has none;
    /// one without files need not be named.
    fn folders(&self, folder: &str) -> Result<Vec<String>>;

    /// Removes a file; succeeds if it is not there.
    fn delete(&self, path: &str) -> Result<()>;

    /// Removes what processes that died have left in a folder of files they had not finished, if
    /// these were to have a name that `is_ours` knows. Nobody may be writing them now.
    fn remove_unfinished(&self, folder: &str, is_ours: &dyn Fn(&str) -> bool) -> Result<()> {
        let _ = (folder, is_ours);
        Ok(())
    }

    /// The length of a file in bytes; `None` if it does not exist.
    fn size(&self, path: &str) -> Result<Option<u64>>;

    /// Takes the store for one owner, until the guard is dropped or the process ends.
    ///
    /// # Errors
    /// [`headwater_core::ErrorKind::Conflict`] naming the owner, if there is one.
    fn lock(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>>;

    /// [`FileStore::lock`], but an owner that is there is fenced: its next change of a file, through
    /// the store that gave it the lock, fails. A store that only one process can reach does without.
    ///
    /// # Errors
    /// [`headwater_core::ErrorKind::Conflict`] if the lock is held for another query.
    fn take_over(&self, owner: &LockOwner) -> Result<Box<dyn LockGuard>>;

    /// Who has the store now; `None` if nobody has, or if it cannot be told without taking it.
    fn holder(&self) -> Result<Option<LockOwner>>;
}

/// A file being written. Dropping it unfinished leaves no file.
pub trait FileWriter: Debug + Send {
    /// Appends bytes.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;
    /// Makes the file durable and lets it appear under its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// Opens the store that a user named: a path or `file:///path`.
///
/// # Errors
/// Unsupported for any other scheme; what [`LocalFiles::try_new`] says of the folder.
pub fn open_store(url: &str) -> Result<Arc<dyn FileStore>> {
    Ok(Arc::new(LocalFiles::try_new(&folder_of(url)?)?))
}

/// The folder of [`open_store`], which is not touched.
///
/// # Errors
/// Unsupported for any other scheme; Configuration if it names no folder.
pub fn folder_of(url: &str) -> Result<PathBuf> {
    let url = url.trim();
    let Some((scheme, rest)) = url.split_once("://") else {
        if url.is_empty() {
            return Err(Error::configuration("the checkpoint folder is empty")
                .with_hint("Name a folder, for example '/var/lib/headwater/orders'."));
        }
        return Ok(PathBuf::from(url));
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(Error::unsupported(format!(
            "a checkpoint cannot be kept at \"{url}\": scheme \"{scheme}\" is not supported"
        ))
        .with_hint(
            "Use a folder on a local disk, for example '/var/lib/headwater/orders' or \
             'file:///var/lib/headwater/orders'.",
        ));
    }
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    let path = percent_decoded(rest).filter(|p| p.starts_with('/') && p.len() > 1);
    match path {
        Some(path) => Ok(PathBuf::from(path)),
        None => Err(Error::configuration(format!(
            "\"{url}\" does not name a folder of this machine"
        ))
        .with_hint("Write three slashes and a full path: 'file:///var/lib/headwater'.")),
    }
}

/// `a%20b` as `a b`; `None` if an escape is not two hexadecimal digits or the bytes are not UTF-8.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// Whether a name is one of [`temp_name`]'s.
pub(crate) fn is_temp_name(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".tmp")
}

/// The hidden name under which `name` is written before it is whole.
pub(crate) fn temp_name(name: &str) -> String {
    format!(".{name}.tmp")
}

/// The name that a file with this temporary one was to have.
pub(crate) fn finished_name(temp: &str) -> Option<&str> {
    temp.strip_prefix('.')?.strip_suffix(".tmp")
}

/// Refuses a path that would leave the store or could be taken for a temporary file.
pub(crate) fn check_path(path: &str) -> Result<()> {
    let is_fine = |name: &str| {
        !name.is_empty()
            && name != "."
            && name != ".."
            && !name.contains(['\\', '\0'])
            && !is_temp_name(name)
    };
    if path.split('/').all(is_fine) {
        Ok(())
    } else {
        Err(Error::internal(format!(
            "\"{}\" is not a path within a file store",
            path.escape_debug()
        )))
    }
}

/// [`check_path`] for folders, where `""` is the root.
pub(crate) fn check_folder(folder: &str) -> Result<()> {
    if folder.is_empty() {
        Ok(())
    } else {
        check_path(folder)
    }
}

/// How a message names a file of a store.
pub(crate) fn file_label(store: &dyn FileStore, path: &str) -> String {
    format!("{}/{path}", store.describe())
}

/// The error of [`FileStore::create_new`] on a file that exists.
pub(crate) fn exists_already(store: &dyn FileStore, path: &str) -> Error {
    Error::conflict(format!(
        "file \"{}\" exists already",
        file_label(store, path)
    ))
    .with_detail("Another process has written to this folder since it was opened.")
    .with_hint("Make sure that only one process uses the folder, then start this query again.")
}

/// The error of [`FileStore::rename`] when neither file exists.
pub(crate) fn nothing_to_rename(store: &dyn FileStore, from: &str, to: &str) -> Error {
    Error::checkpoint(format!(
        "cannot rename file \"{}\" to \"{to}\": neither exists",
        file_label(store, from)
    ))
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;

    #[test]
    fn urls_lead_to_folders_or_to_a_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        for url in [
            format!("{path}/a"),
            format!("file://{path}/b%20c"),
            format!("FILE://localhost{path}/d"),
        ] {
            open_store(&url).unwrap();
        }
        assert!(folder.path().join("b c").is_dir());
        let cases = [
            ("s3://bucket/x", ErrorKind::Unsupported),
            ("file://relative/x", ErrorKind::Configuration),
            ("file:///%zz", ErrorKind::Configuration),
            ("file:///", ErrorKind::Configuration),
            ("  ", ErrorKind::Configuration),
        ];
        for (url, kind) in cases {
            let error = open_store(url).unwrap_err();
            assert_eq!(error.kind(), kind, "{url}");
            assert!(error.hint().is_some(), "{url}");
        }
    }

    #[test]
    fn paths_stay_within_the_store() {
        for path in ["a", "a/b.json", ".hidden", "a/.b.staged", "..."] {
            check_path(path).unwrap();
        }
        for path in [
            "", "/a", "a/", "a//b", "..", "a/../b", "./a", "a\\b", "a\0", ".a.tmp",
        ] {
            assert!(check_path(path).is_err(), "{path:?}");
        }
    }
}
