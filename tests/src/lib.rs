//! What the test binaries of the workspace have in common.

use std::path::PathBuf;

/// The root of the tree under test. Two clones may share a folder of build results, so the folder
/// that the tests run in counts, and not the one that they were compiled in.
#[expect(
    clippy::disallowed_methods,
    reason = "the folder is a matter of the environment, and cargo sets it for every test"
)]
pub fn workspace_root() -> PathBuf {
    let package = std::env::var("CARGO_MANIFEST_DIR");
    let package = package.unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_string());
    PathBuf::from(package).join("..")
}
