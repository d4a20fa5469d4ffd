//! What the test binaries of the workspace have in common.

use std::path::{Path, PathBuf};

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

/// The command, next to the tests in the target folder.
pub fn command_binary() -> PathBuf {
    let tests = std::env::current_exe().unwrap_or_default();
    let folder = tests.parent().and_then(Path::parent);
    let binary = folder.map(|folder| folder.join("headwater"));
    let binary = binary.unwrap_or_default();
    assert!(
        binary.is_file(),
        "there is no {}: run cargo build -p headwater-cli first",
        binary.display()
    );
    binary
}

/// The broker that the tests run against, or nothing if the run was told to do without.
#[expect(
    clippy::disallowed_methods,
    reason = "a test run is told by its environment"
)]
#[expect(clippy::panic, reason = "a missing broker is never a silent skip")]
pub fn real_broker() -> Option<String> {
    match std::env::var("HEADWATER_TEST_BOOTSTRAP") {
        Ok(none) if none == "none" => None,
        Ok(servers) => Some(servers),
        Err(_) => panic!(
            "HEADWATER_TEST_BOOTSTRAP is not set: run `cargo xtask test`, which starts a broker, \
             or set it to a cluster of yours, or to `none` to leave these tests out"
        ),
    }
}

/// The folder of the Python packages of other Kafka clients, or nothing if the run was told to do
/// without.
pub fn python_packages() -> Option<String> {
    other_client("HEADWATER_TEST_PEERS")
}

/// The command `kcat`, or nothing if the run was told to do without.
pub fn kcat() -> Option<String> {
    other_client("HEADWATER_TEST_KCAT")
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test run is told by its environment"
)]
#[expect(clippy::panic, reason = "a missing client is never a silent skip")]
fn other_client(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(none) if none == "none" => None,
        Ok(place) => Some(place),
        Err(_) => panic!(
            "{variable} is not set: run `cargo xtask test`, or set what `cargo xtask peers` \
             prints, or `none` to leave these tests out"
        ),
    }
}
