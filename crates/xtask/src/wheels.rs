//! Python wheels, pinned by their hashes: downloaded by pip and unpacked, never installed, so that
//! they change nothing outside of their folder.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command;
use crate::environment::cache_dir;
use crate::failure::{Failure, Result};
use crate::files;

/// Unpacks archives, in one process for all of them.
const UNPACK: &str = "import sys, zipfile
for archive in sys.argv[2:]:
    zipfile.ZipFile(archive).extractall(sys.argv[1])";

/// A folder below the cache folder `name` with the packages of a requirements file, downloaded if
/// they are not there yet. Other requirements and another Python have a folder of their own.
///
/// # Errors
/// As [`unpack`].
pub(crate) fn packages(name: &str, requirements: &str) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    requirements.hash(&mut hasher);
    let folder = format!("{}-{:016x}", python_tag()?, hasher.finish());
    let folder = cache_dir(name)?.join(folder);
    files::create_whole(&folder, |partial| unpack(requirements, partial))?;
    Ok(folder)
}

/// Unpacks into a folder the wheels of a requirements file, which has to name all of them with
/// their hashes.
///
/// # Errors
/// If there is no Python with pip, or a download fails or has another hash.
pub(crate) fn unpack(requirements: &str, folder: &Path) -> Result<()> {
    let file = folder.join("requirements.txt");
    files::write(&file, requirements)?;
    let downloads = folder.join("wheels");
    command::run(
        python(["-m", "pip", "download"])
            .args(["--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--require-hashes"])
            .arg("--dest")
            .arg(&downloads)
            .arg("--requirement")
            .arg(&file),
    )?;
    let archives = files::list(&downloads)?;
    if archives.is_empty() {
        return Err(Failure::new("pip downloaded nothing"));
    }
    command::capture(python(["-c", UNPACK]).arg(folder).args(archives))?;
    files::remove_dir(&downloads)
}

/// What tells one Python from another that needs other wheels: `cpython-311`.
///
/// # Errors
/// If there is no Python.
fn python_tag() -> Result<String> {
    let print = "import sys; print(sys.implementation.cache_tag)";
    let tag = command::capture(&mut python(["-c", print]))?;
    Ok(tag.trim().to_string())
}

fn python<const N: usize>(arguments: [&str; N]) -> Command {
    let mut command = Command::new("python3");
    command.args(arguments);
    command
}
