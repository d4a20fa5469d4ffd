//! What tasks read from the environment: variables, and the two folders that follow from them.

use std::path::PathBuf;

use crate::failure::{Failure, Result};

/// A variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks have no settings file, and the façade's settings are not theirs"
)]
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether this is a build machine, where nothing may be left out quietly.
pub(crate) fn is_ci() -> bool {
    variable("CI").is_some_and(|value| value != "false" && value != "0")
}

/// The root of the workspace. Two clones may share a folder of build results, so the folder that
/// cargo runs this in counts before the one that it was compiled in.
pub(crate) fn workspace_root() -> PathBuf {
    let running = variable("CARGO_MANIFEST_DIR");
    let manifest_dir = running.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").to_string());
    let manifest_dir = PathBuf::from(manifest_dir);
    let root = manifest_dir.ancestors().nth(2).map(PathBuf::from);
    root.unwrap_or(manifest_dir)
}

/// A folder below the user's cache folder; it may not exist yet.
///
/// # Errors
/// If neither `XDG_CACHE_HOME` nor `HOME` says where the cache folder is.
pub(crate) fn cache_dir(name: &str) -> Result<PathBuf> {
    let home = || variable("HOME").map(|home| PathBuf::from(home).join(".cache"));
    variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home)
        .map(|cache| cache.join("headwater").join(name))
        .ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))
}
