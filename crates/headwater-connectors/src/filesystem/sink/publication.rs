//! Letting the files of an epoch be seen, and taking them back.
//!
//! ```text
//! .headwater/staged/part-00000042-000.parquet ─ rename ─▶ day=…/part-00000042-000.parquet
//! …                                                       and all other files of the epoch
//! _headwater_log/00000042.json                            the manifest
//! ```
//!
//! A file that has its name is whole. The manifest lists all files of its epoch and is there when
//! all of them are: who reads the manifests and the files they list sees whole epochs only, in
//! their order. Both steps may be made twice.

use serde::{Deserialize, Serialize};

use headwater_checkpoint::FileStore;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::EpochId;
use headwater_core::{Error, Result};

use super::names::{MANIFESTS, STAGED, file_epoch, manifest_epoch, manifest_path, staged_path};

/// The version of a manifest's form.
const MANIFEST_VERSION: u32 = 1;

/// A file as it will be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShownFile {
    /// Below the folder of the results, with `/` between names.
    pub(super) path: String,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// The note of a task and the token of an epoch: paths of visible files.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Files {
    /// A rewind of the checkpoint reads these, and writes those that are removed.
    pub(super) files: Vec<String>,
    /// Rows and bytes of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) sizes: Vec<(u64, u64)>,
    /// Files of epochs that the query was taken back from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) removed: Vec<String>,
    /// The first epoch whose rows are here, if that is not the one of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first_epoch: Option<EpochId>,
}

impl Files {
    /// These files.
    pub(super) fn of(shown: Vec<ShownFile>) -> Self {
        Files {
            sizes: shown.iter().map(|file| (file.rows, file.bytes)).collect(),
            files: shown.into_iter().map(|file| file.path).collect(),
            ..Files::default()
        }
    }

    /// These files.
    pub(super) fn shown(&self) -> impl Iterator<Item = ShownFile> {
        let files = self.files.iter().zip(&self.sizes);
        files.map(|(path, (rows, bytes))| ShownFile {
            path: path.clone(),
            rows: *rows,
            bytes: *bytes,
        })
    }

    /// The files of all tasks.
    pub(super) fn extend(&mut self, other: Files) {
        self.files.extend(other.files);
        self.sizes.extend(other.sizes);
        self.removed.extend(other.removed);
    }

    pub(super) fn from_note(note: serde_json::Value) -> Result<Self> {
        if note.is_null() {
            return Ok(Files::default());
        }
        let damaged = || Error::checkpoint("the note of a filesystem sink is damaged");
        let files: Files =
            serde_json::from_value(note).map_err(|error| damaged().with_source(error))?;
        match files.files.len() == files.sizes.len() {
            true => Ok(files),
            false => Err(damaged()),
        }
    }

    pub(super) fn to_note(&self) -> Result<serde_json::Value> {
        serde_json::to_value(self)
            .map_err(|error| Error::internal("could not write a sink's note").with_source(error))
    }

    /// What says that these were added by an epoch.
    fn manifest(&self, epoch: EpochId) -> Result<Vec<u8>> {
        let files: Vec<ShownFile> = self.shown().collect();
        let manifest = Manifest {
            version: MANIFEST_VERSION,
            first_epoch: self.first_epoch.unwrap_or(epoch).0,
            epoch: epoch.0,
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        };
        let text = serde_json::to_vec_pretty(&manifest);
        text.map_err(|e| Error::internal("could not write a manifest").with_source(e))
    }
}

/// What an epoch, or the epochs of a commit, added to the folder.
#[derive(Debug, Serialize)]
struct Manifest {
    version: u32,
    first_epoch: u64,
    epoch: u64,
    rows: u64,
    bytes: u64,
    files: Vec<ShownFile>,
}

/// Lets the files of an epoch be seen, and takes back what is to be removed.
pub(super) fn publish(store: &dyn FileStore, epoch: EpochId, token: &Files) -> Result<()> {
    take_back(store, epoch, &token.removed)?;
    if token.files.is_empty() {
        // Its rows may be among those of a later epoch of the commit, so nothing is removed.
        return Ok(());
    }
    let manifest = token.manifest(epoch)?;
    let path = manifest_path(epoch);
    if store.read(&path)?.as_ref() == Some(&manifest) {
        // All of it was seen, and whoever has read the files may have moved them since.
        return Ok(());
    }
    for file in &token.files {
        store.rename(&staged_path(file), file)?;
        CrashPoint::MidFinish.reach();
    }
    // Files whose rows were put into others, and those that a task has finished after its epoch had
    // failed and was tried again.
    remove_staged(store, |staged| staged <= epoch)?;
    CrashPoint::BeforeManifest.reach();
    store.write_atomic(&path, &manifest)
}

/// Removes the files of epochs that the query was taken back from, and what those that were only
/// decided have left. Manifests go first: what one lists is there. Those of all epochs from the
/// first that has a file to remove are of epochs that were taken back.
fn take_back(store: &dyn FileStore, epoch: EpochId, removed: &[String]) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    let names = removed.iter().filter_map(|path| path.rsplit('/').next());
    if let Some(first) = names.filter_map(file_epoch).min() {
        for name in store.list(MANIFESTS)? {
            let of = manifest_epoch(&name).filter(|of| *of >= first && *of < epoch);
            if let Some(of) = of {
                store.delete(&manifest_path(of))?;
            }
        }
    }
    removed.iter().try_for_each(|name| store.delete(name))?;
    remove_staged(store, |staged| staged <= epoch)
}

/// Removes the staged files whose epoch is chosen.
pub(super) fn remove_staged(
    store: &dyn FileStore,
    is_chosen: impl Fn(EpochId) -> bool,
) -> Result<()> {
    for name in store.list(STAGED)? {
        if file_epoch(&name).is_some_and(&is_chosen) {
            store.delete(&staged_path(&name))?;
        }
    }
    Ok(())
}
