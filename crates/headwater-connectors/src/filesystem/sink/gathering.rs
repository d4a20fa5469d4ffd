//! Putting together the small files of epochs that share a commit.
//!
//! ```text
//! epochs   40        41        42           a commit
//! staged   part-40   part-41   part-42      of one folder, each small
//! seen     part-42-from-40                  when the commit has happened
//! ```
//!
//! The epochs are seen together, so their rows may be in one file, and the manifest of the last lists
//! what all of them added. A file of half of the target size or more stays what it is. The small ones
//! are removed when the epochs are seen: until then nothing is lost if a process dies.

use std::collections::BTreeMap;

use headwater_core::Result;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::EpochId;

use super::names::{gathered_name, path_in, staged_path};
use super::publication::{Files, ShownFile};
use super::task_files::FileMaker;

/// Puts the files of some epochs together, as far as they are small; gives the token of every epoch.
/// That of the last has everything.
pub(super) fn gather(maker: &FileMaker, prepared: &[(EpochId, Files)]) -> Result<Vec<Files>> {
    let ends = prepared.first().zip(prepared.last());
    let Some(epochs) = ends.map(|((first, _), (last, _))| (*first, *last)) else {
        return Ok(vec![]);
    };
    let mut folders: BTreeMap<String, Vec<ShownFile>> = BTreeMap::new();
    for (_, files) in prepared {
        for file in files.shown() {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            let files = folders.entry(folder.to_string()).or_default();
            files.push(file);
        }
    }
    let mut gathering = Gathering {
        maker,
        epochs,
        made: 0,
        shown: Vec::new(),
    };
    for (folder, files) in folders {
        gathering.add_folder(&folder, files)?;
    }
    let mut tokens: Vec<Files> = prepared.iter().map(|_| Files::default()).collect();
    if let Some(last) = tokens.last_mut() {
        *last = Files {
            first_epoch: Some(epochs.0),
            ..Files::of(gathering.shown)
        };
    }
    Ok(tokens)
}

/// What is becoming of the files.
struct Gathering<'a> {
    maker: &'a FileMaker,
    /// The first epoch and the last.
    epochs: (EpochId, EpochId),
    /// How many files were made of others.
    made: usize,
    shown: Vec<ShownFile>,
}

impl Gathering<'_> {
    fn add_folder(&mut self, folder: &str, files: Vec<ShownFile>) -> Result<()> {
        let target = self.maker.style.files.target_bytes;
        let mut small: Vec<ShownFile> = Vec::new();
        let mut bytes = 0;
        for file in files {
            if file.bytes >= target / 2 {
                self.shown.push(file);
                continue;
            }
            if bytes + file.bytes > target {
                self.combine(folder, std::mem::take(&mut small))?;
                bytes = 0;
            }
            bytes += file.bytes;
            small.push(file);
        }
        self.combine(folder, small)
    }

    fn combine(&mut self, folder: &str, files: Vec<ShownFile>) -> Result<()> {
        if files.len() < 2 {
            self.shown.extend(files);
            return Ok(());
        }
        let format = &self.maker.style.format;
        let name = gathered_name(self.epochs, self.made, format.extension());
        self.made += 1;
        let path = path_in(folder, &name);
        let parts: Vec<String> = files.iter().map(|file| staged_path(&file.path)).collect();
        let into = self.maker.store.create_file(&staged_path(&path))?;
        let bytes = format.combine(&self.maker.store, &parts, into)?;
        CrashPoint::FileGathered.reach();
        let rows = files.iter().map(|file| file.rows).sum();
        self.shown.push(ShownFile { path, rows, bytes });
        Ok(())
    }
}
