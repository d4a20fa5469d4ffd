//! clink, the engine of the Python package `pyclink`, which headwater is compared with.
//!
//! It runs in a Python process of its own, `clink.py`, over a topic whose times are milliseconds,
//! as it takes event times. Rows go as Arrow batches to that process, which
//! counts them; there is no checkpoint. Partitions that a task shares have one watermark there, so
//! that a backlog loses rows: there are as many tasks as partitions.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::orders::PARTITIONS;
use super::script::Sink;
use crate::failure::Result;
use crate::files;
use crate::wheels;

pub(super) const NAME: &str = "clink";
/// That of `clink-requirements.txt`.
pub(super) const VERSION: &str = "0.12.2";
const REQUIREMENTS: &str = include_str!("clink-requirements.txt");
const DRIVER: &str = include_str!("clink.py");
/// When no row has come for so long, none will.
const IDLE_MAX_S: u32 = 30;

/// The packages and the driver.
#[derive(Debug)]
pub(super) struct Clink {
    packages: PathBuf,
    driver: PathBuf,
}

impl Clink {
    /// Downloads the packages, if they are not in the cache, and writes the driver into `folder`.
    ///
    /// # Errors
    /// If there is no Python with pip, or a download fails or has another hash.
    pub(super) fn prepare(folder: &Path) -> Result<Self> {
        let packages = wheels::packages(NAME, REQUIREMENTS)?;
        let driver = folder.join("clink.py");
        files::write(&driver, DRIVER)?;
        Ok(Clink { packages, driver })
    }

    /// The command that runs a script until `rows` rows have come out.
    pub(super) fn run(&self, script: &Path, rows: u64, out: &Path, sink: Sink) -> Command {
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", &self.packages)
            .arg(&self.driver)
            .arg(script)
            .args(["--expect", &rows.to_string()])
            .args(["--parallelism", &PARTITIONS.to_string()])
            .args(["--idle", &IDLE_MAX_S.to_string()]);
        if sink == Sink::Files {
            command.arg("--rows").arg(out.join("rows"));
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::describe;

    #[test]
    fn the_version_that_is_named_is_the_one_that_is_pinned() {
        let pin = format!("\npyclink=={VERSION} \\\n    --hash=sha256:");
        assert!(REQUIREMENTS.contains(&pin), "{REQUIREMENTS}");
    }

    #[test]
    fn every_requirement_has_a_hash() {
        let is_pin = |line: &&str| line.contains("==");
        for line in REQUIREMENTS.lines().filter(is_pin) {
            assert!(line.ends_with(" \\"), "{line}");
        }
    }

    #[test]
    fn rows_are_written_only_to_be_compared() {
        let clink = Clink {
            packages: PathBuf::from("/packages"),
            driver: PathBuf::from("/run/clink.py"),
        };
        let of = |sink| describe(&clink.run(Path::new("/s.sql"), 7, Path::new("/out"), sink));
        assert_eq!(
            of(Sink::AsWritten),
            "python3 /run/clink.py /s.sql --expect 7 --parallelism 4 --idle 30"
        );
        assert!(of(Sink::Files).ends_with(" --rows /out/rows"));
    }
}
