//! A folder with one small JSON record per epoch, each written once: what the epoch log and the
//! commit log have in common.
//!
//! ```text
//! epochs/00000041.json
//! epochs/00000042.json    at least eight digits, so that names sort as numbers
//! ```

use std::fmt::Debug;
use std::sync::Arc;

use headwater_core::Result;
use headwater_core::id::{EpochId, QueryId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::file_store::{FileStore, file_label};
use crate::record::{RecordKind, damaged, encode_json, read_json};

/// The records of one folder.
#[derive(Debug)]
pub(crate) struct NumberedLog<T> {
    pub(crate) store: Arc<dyn FileStore>,
    pub(crate) folder: &'static str,
    pub(crate) kind: RecordKind,
    pub(crate) epoch_of: fn(&T) -> EpochId,
    /// Whose records they must be; of any query if there is none.
    pub(crate) query: Option<QueryId>,
}

impl<T: Serialize + DeserializeOwned> NumberedLog<T> {
    pub(crate) fn append(&self, record: &T) -> Result<()> {
        let bytes = encode_json(self.kind, self.query.as_ref(), record)?;
        let path = self.path((self.epoch_of)(record));
        self.store.create_new(&path, &bytes)
    }

    /// Writes a record in place of the one that may be there.
    pub(crate) fn replace(&self, record: &T) -> Result<()> {
        let bytes = encode_json(self.kind, self.query.as_ref(), record)?;
        let path = self.path((self.epoch_of)(record));
        self.store.write_atomic(&path, &bytes)
    }

    pub(crate) fn read(&self, epoch: EpochId) -> Result<Option<T>> {
        let path = self.path(epoch);
        let record: Option<T> = read_json(&*self.store, self.kind, self.query.as_ref(), &path)?;
        if let Some(record) = &record {
            let found = (self.epoch_of)(record);
            if found != epoch {
                let what = format!("it holds the record of epoch {found}");
                return Err(damaged(&file_label(&*self.store, &path), &what));
            }
        }
        Ok(record)
    }

    pub(crate) fn latest(&self) -> Result<Option<T>> {
        match self.epochs()?.last() {
            Some(epoch) => self.read(*epoch),
            None => Ok(None),
        }
    }

    /// The epochs that have a record, in order.
    pub(crate) fn epochs(&self) -> Result<Vec<EpochId>> {
        let numbers = numbers_in(&*self.store, self.folder)?;
        Ok(numbers.into_iter().map(EpochId).collect())
    }

    pub(crate) fn delete(&self, epoch: EpochId) -> Result<()> {
        self.store.delete(&self.path(epoch))
    }

    pub(crate) fn path(&self, epoch: EpochId) -> String {
        numbered_path(self.folder, epoch.0, "json")
    }
}

/// The path of a numbered file.
pub(crate) fn numbered_path(folder: &str, number: u64, extension: &str) -> String {
    format!("{folder}/{number:08}.{extension}")
}

/// The numbers of the JSON files in a folder, in order. Other names are not ours and are ignored.
pub(crate) fn numbers_in(store: &dyn FileStore, folder: &str) -> Result<Vec<u64>> {
    let names = store.list(folder)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|n| number_of(n, "json")).collect();
    // Beyond eight digits the order of names is not that of numbers.
    numbers.sort_unstable();
    Ok(numbers)
}

/// The number in a name, if [`numbered_path`] would write the name like that.
pub(crate) fn number_of(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let number: u64 = digits.parse().ok()?;
    (format!("{number:08}") == digits).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_only_as_they_are_written() {
        let cases = [
            ("00000042.json", Some(42)),
            ("123456789.json", Some(123_456_789)),
            ("42.json", None),
            ("+0000042.json", None),
            ("000000042.json", None),
            ("00000042.json.bak", None),
            ("00000042", None),
            ("json", None),
        ];
        for (name, number) in cases {
            assert_eq!(number_of(name, "json"), number, "{name}");
        }
    }
}
