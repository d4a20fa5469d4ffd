//! Lists that sources keep in the checkpoint: append-only, every entry with a number for ever.
//!
//! ```text
//! sources/<name>/00000001.json   {"first":0,"entries":["a","b"]}
//! sources/<name>/00000002.json   {"first":2,"entries":["c"]}
//! ```
//!
//! A file says which number its first entry has. When there are many files, one more file is
//! written that holds everything, and then the others are deleted. A crash in between leaves
//! entries twice; the number tells, so reading is right at any moment:
//!
//! ```text
//! sources/<name>/00000002.json   {"first":2,"entries":["c"]}           not deleted yet
//! sources/<name>/00000003.json   {"first":0,"entries":["a","b","c"]}
//! ```

use std::sync::Arc;

use headwater_core::id::QueryId;
use headwater_core::source::SourceJournal;
use headwater_core::{Error, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::file_store::{FileStore, file_label};
use crate::numbered_log::{numbered_path, numbers_in};
use crate::record::{RecordKind, damaged, encode_json, read_json};

/// Where the files of a source's journal are.
pub(crate) fn journal_folder(source: &str) -> String {
    format!("sources/{}", file_name(source))
}

/// With more files than this, a journal is rewritten as one.
const MAX_FILES: usize = 64;

/// The journal of one source.
#[derive(Debug)]
pub(crate) struct Journal {
    store: Arc<dyn FileStore>,
    query: Option<QueryId>,
    folder: String,
    /// What the files hold; `None` until they are read, and after a failure whose effect is not
    /// known.
    loaded: Mutex<Option<Loaded>>,
}

#[derive(Debug, Default)]
struct Loaded {
    files: Vec<u64>,
    entries: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct JournalPart {
    /// Number of the first entry.
    first: u64,
    entries: Vec<String>,
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn FileStore>, query: Option<QueryId>, source: &str) -> Self {
        Journal {
            store,
            query,
            folder: journal_folder(source),
            loaded: Mutex::new(None),
        }
    }

    fn load(&self) -> Result<Loaded> {
        let files = numbers_in(&*self.store, &self.folder)?;
        let mut parts = Vec::with_capacity(files.len());
        for number in &files {
            let path = numbered_path(&self.folder, *number, "json");
            let (kind, query) = (RecordKind::Journal, self.query.as_ref());
            let part: Option<JournalPart> = read_json(&*self.store, kind, query, &path)?;
            let label = file_label(&*self.store, &path);
            let part = part.ok_or_else(|| damaged(&label, "it vanished while it was read"))?;
            parts.push((label, part));
        }
        let entries = joined(parts)?;
        Ok(Loaded { files, entries })
    }

    /// Writes a part under the next number.
    fn write(&self, loaded: &mut Loaded, part: &JournalPart) -> Result<()> {
        let number = loaded.files.last().map_or(1, |last| last + 1);
        let path = numbered_path(&self.folder, number, "json");
        let bytes = encode_json(RecordKind::Journal, self.query.as_ref(), part)?;
        self.store.create_new(&path, &bytes)?;
        loaded.files.push(number);
        Ok(())
    }

    fn append_to(&self, loaded: &mut Loaded, entries: &[String]) -> Result<()> {
        let part = JournalPart {
            first: loaded.entries.len() as u64,
            entries: entries.to_vec(),
        };
        self.write(loaded, &part)?;
        loaded.entries.extend(part.entries);
        Ok(())
    }

    fn compact(&self, loaded: &mut Loaded) -> Result<()> {
        let part = JournalPart {
            first: 0,
            entries: loaded.entries.clone(),
        };
        self.write(loaded, &part)?;
        while loaded.files.len() > 1 {
            let oldest = loaded.files.first().copied().unwrap_or_default();
            let path = numbered_path(&self.folder, oldest, "json");
            self.store.delete(&path)?;
            loaded.files.remove(0);
        }
        Ok(())
    }
}

/// Puts parts together by the numbers of their entries.
fn joined(mut parts: Vec<(String, JournalPart)>) -> Result<Vec<String>> {
    parts.sort_by_key(|(_, part)| part.first);
    let mut entries: Vec<String> = Vec::new();
    for (label, part) in parts {
        let first = usize::try_from(part.first).unwrap_or(usize::MAX);
        let known = entries.get(first..).ok_or_else(|| {
            let missing = format!("entries {} to {first} before it are missing", entries.len());
            damaged(&label, &missing)
        })?;
        if known.iter().zip(&part.entries).any(|(a, b)| a != b) {
            return Err(damaged(
                &label,
                "it contradicts another file of the journal",
            ));
        }
        let new = part.entries.into_iter().skip(known.len());
        entries.extend(new.collect::<Vec<_>>());
    }
    Ok(entries)
}

impl SourceJournal for Journal {
    fn entries(&self) -> Result<Vec<String>> {
        let mut guard = self.loaded.lock();
        if guard.is_none() {
            *guard = Some(self.load()?);
        }
        Ok(guard.as_ref().map_or_else(Vec::new, |l| l.entries.clone()))
    }

    /// After an error, `entries` tells whether the new ones are in.
    fn append(&self, entries: &[String]) -> Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut guard = self.loaded.lock();
        let mut loaded = match guard.take() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        self.append_to(&mut loaded, entries)?;
        if loaded.files.len() > MAX_FILES
            && let Err(error) = self.compact(&mut loaded)
        {
            // The entries are safe, so `append` has not failed; the next one tries again, from
            // what the files say then.
            report_compaction(&self.folder, &error);
            return Ok(());
        }
        *guard = Some(loaded);
        Ok(())
    }
}

fn report_compaction(folder: &str, error: &Error) {
    tracing::warn!(journal = folder, %error, "a journal could not be compacted");
}

/// A file name for a source's name: letters that are not safe in every file system become `%` and
/// their bytes in hexadecimal, so that different sources have different names.
fn file_name(source: &str) -> String {
    let mut name = String::with_capacity(source.len());
    for byte in source.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failing_files::{Cut, CutKind, CutMoment, FailingFiles};
    use crate::memory_files::MemoryFiles;

    fn journal(store: &MemoryFiles) -> Journal {
        Journal::new(Arc::new(store.clone()), None, "orders")
    }

    fn words(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|n| format!("file-{n}")).collect()
    }

    #[test]
    fn names_of_sources_become_names_of_files() {
        let cases = [
            ("orders_2-b", "orders_2-b"),
            ("../A b", "%2e%2e%2f%41%20b"),
            ("é", "%c3%a9"),
            ("", "%"),
        ];
        for (source, name) in cases {
            assert_eq!(file_name(source), name);
        }
    }

    #[test]
    fn a_new_process_reads_what_an_old_one_appended() {
        let store = MemoryFiles::new();
        for n in 0..200 {
            journal(&store).append(&words(n..n + 1)).unwrap();
            assert_eq!(journal(&store).entries().unwrap(), words(0..n + 1));
            assert!(store.list("sources/orders").unwrap().len() <= MAX_FILES);
        }
    }

    #[test]
    fn cut_anywhere_nothing_appended_is_lost_or_twice() {
        for at in 1..=MAX_FILES as u64 * 2 + 4 {
            for moment in [CutMoment::BeforeEffect, CutMoment::AfterEffect] {
                for kind in [CutKind::Crash, CutKind::Error] {
                    check_cut(Cut { at, moment, kind });
                }
            }
        }
    }

    fn check_cut(cut: Cut) {
        let store = MemoryFiles::new();
        let failing = Arc::new(FailingFiles::cut_at(store.clone(), cut));
        let writer = Journal::new(failing, None, "orders");
        let mut appended = 0;
        for n in 0..MAX_FILES + 3 {
            if writer.append(&words(n..n + 1)).is_err() {
                break;
            }
            appended = n + 1;
        }
        let found = journal(&store).entries().unwrap();
        let expected = words(0..found.len());
        assert_eq!(found, expected, "{cut:?}");
        assert!((appended..=appended + 1).contains(&found.len()), "{cut:?}");
        if cut.kind == CutKind::Error {
            assert_eq!(writer.entries().unwrap(), found, "{cut:?}");
        }
        journal(&store).append(&["more".to_string()]).unwrap();
        assert_eq!(journal(&store).entries().unwrap().last().unwrap(), "more");
    }

    #[test]
    fn holes_and_contradictions_are_refused() {
        let store = MemoryFiles::new();
        let first = journal(&store);
        for n in 0..3 {
            first.append(&words(n..n + 1)).unwrap();
        }
        let rival = Journal::new(Arc::new(store.clone()), None, "orders");
        let part = JournalPart {
            first: 0,
            entries: words(5..6),
        };
        rival.write(&mut rival.load().unwrap(), &part).unwrap();
        let error = journal(&store).entries().unwrap_err();
        assert!(error.message().contains("contradicts"), "{error}");
        store.delete("sources/orders/00000004.json").unwrap();
        store.delete("sources/orders/00000002.json").unwrap();
        let error = journal(&store).entries().unwrap_err();
        assert!(error.message().contains("missing"), "{error}");
    }
}
