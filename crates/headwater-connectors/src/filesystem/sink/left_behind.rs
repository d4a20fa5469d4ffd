//! What is in a folder of results when a query begins there.

use headwater_checkpoint::FileStore;
use headwater_core::id::EpochId;
use headwater_core::{Error, Result};

use super::names::{
    MANIFESTS, STAGED, SUCCESS, file_epoch, is_partition_folder, manifest_epoch, path_in,
};
use super::publication::remove_staged;

/// Refuses a folder with files of epochs that this query has not committed: it would overwrite some
/// of them and leave others among its own. `owner` is the sink's kind and quoted name.
pub(super) fn check_visible(
    store: &dyn FileStore,
    owner: &str,
    last_committed: Option<EpochId>,
) -> Result<()> {
    let is_foreign = |epoch: Option<EpochId>| epoch.is_some_and(|e| Some(e) > last_committed);
    let file = find_file(store, "", &|name| is_foreign(file_epoch(name)))?;
    let manifests = store.list(MANIFESTS)?;
    let mut manifests = manifests.into_iter();
    let manifest = manifests.find(|n| is_foreign(manifest_epoch(n)));
    let manifest = manifest.map(|name| path_in(MANIFESTS, &name));
    match file.or(manifest) {
        None => Ok(()),
        Some(name) => Err(Error::conflict(format!(
            "folder \"{}\" of {owner} holds results of another query or of an earlier start",
            store.describe(),
        ))
        .with_detail(format!(
            "File \"{name}\" is not from this query's checkpoint."
        ))
        .with_hint(
            "Start the query with the checkpoint it had, empty the folder, or write to another.",
        )),
    }
}

/// A file whose name is wanted, in a folder and in the folders of values below it.
fn find_file(
    store: &dyn FileStore,
    folder: &str,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Option<String>> {
    let names = store.list(folder)?;
    if let Some(name) = names.iter().find(|name| is_wanted(name)) {
        return Ok(Some(path_in(folder, name)));
    }
    let below = store.folders(folder)?.into_iter();
    let mut below = below.filter(|name| is_partition_folder(name));
    let found = below.find_map(|name| {
        let found = find_file(store, &path_in(folder, &name), is_wanted);
        found.transpose()
    });
    found.transpose()
}

/// Removes what was not committed, and the mark of a query that has ended: this one has not.
pub(super) fn clear(store: &dyn FileStore, last_committed: Option<EpochId>) -> Result<()> {
    let is_left = |epoch: EpochId| Some(epoch) > last_committed;
    remove_staged(store, is_left)?;
    let is_ours = |name: &str| file_epoch(name).is_some();
    store.remove_unfinished(STAGED, &is_ours)?;
    // Also if this start does not ask for one: it would be that of an earlier one.
    store.delete(SUCCESS)
}
