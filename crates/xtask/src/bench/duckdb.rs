//! `DuckDB`, which computes the answers of the Nexmark queries from the files that the topics were
//! made of, and compares every row.
//!
//! It is a Python package, pinned by version and hash. A process of its own, `duckdb.py`, runs a
//! script of `sql/bench/nexmark/duckdb` over the views of `tables.sql` there. `DuckDB` is not
//! measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::dataset::Dataset;
use super::measure::PRINTED;
use super::queries::{NexmarkQuery, QueryResult};
use crate::command;
use crate::environment::workspace_root;
use crate::failure::{Context as _, Failure, Result};
use crate::files;
use crate::wheels;

const NAME: &str = "duckdb";
const REQUIREMENTS: &str = include_str!("duckdb-requirements.txt");
const DRIVER: &str = include_str!("duckdb.py");

/// The packages and the driver.
#[derive(Debug)]
pub(super) struct DuckDb {
    packages: PathBuf,
    driver: PathBuf,
    /// A folder for databases.
    scratch: PathBuf,
}

/// The driver's last line.
#[derive(Debug, Deserialize)]
struct Verdict {
    rows: u64,
    wrong: Option<String>,
}

impl DuckDb {
    /// Downloads the package, if it is not in the cache, and writes the driver into `folder`.
    ///
    /// # Errors
    /// If there is no Python with pip, or the download fails or has another hash.
    pub(super) fn prepare(folder: &Path) -> Result<Self> {
        // A module of this name must not lie beside the driver, or it would be taken for DuckDB.
        let driver = folder.join("answer.py");
        files::write(&driver, DRIVER)?;
        Ok(DuckDb {
            packages: wheels::packages(NAME, REQUIREMENTS)?,
            driver,
            scratch: folder.join("answers"),
        })
    }

    /// How many rows the answer of a query has.
    ///
    /// # Errors
    /// If the answer cannot be computed.
    pub(super) fn count(&self, query: &NexmarkQuery, events: &Dataset) -> Result<u64> {
        Ok(self.verdict(query, events, None)?.rows)
    }

    /// Compares every row that a run left in `out`; gives their number.
    ///
    /// # Errors
    /// If the answer cannot be computed, or is not that of the run.
    pub(super) fn compare(
        &self,
        query: &NexmarkQuery,
        events: &Dataset,
        out: &Path,
    ) -> Result<u64> {
        let verdict = self.verdict(query, events, Some(out))?;
        match verdict.wrong {
            None => Ok(verdict.rows),
            Some(wrong) => {
                let name = query.name;
                let text = format!("the answer of {name} is wrong: {wrong}");
                Err(Failure::new(text))
            }
        }
    }

    fn verdict(
        &self,
        query: &NexmarkQuery,
        events: &Dataset,
        out: Option<&Path>,
    ) -> Result<Verdict> {
        files::remove_dir(&self.scratch)?;
        files::create_dir(&self.scratch)?;
        let printed = command::capture(&mut self.command(query, events.folder(), out))?;
        let last = printed.lines().last().unwrap_or_default();
        serde_json::from_str(last).context(|| format!("{NAME} printed \"{last}\""))
    }

    fn command(&self, query: &NexmarkQuery, events: &Path, out: Option<&Path>) -> Command {
        let folder = workspace_root().join("sql/bench/nexmark/duckdb");
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", &self.packages)
            .arg(&self.driver)
            .arg("--tables")
            .arg(folder.join("tables.sql"))
            .arg("--query")
            .arg(folder.join(query.file() + ".sql"))
            .arg("--events")
            .arg(events)
            .arg("--scratch")
            .arg(&self.scratch);
        match (out, query.result) {
            (None, _) => {}
            (Some(out), QueryResult::Appended) => {
                command.arg("--rows").arg(out.join("rows"));
            }
            (Some(out), QueryResult::Updated(key)) => {
                command.arg("--changes").arg(out.join(PRINTED));
                command.args(["--key", &key.join(",")]);
            }
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::super::queries::NEXMARK;
    use super::*;
    use crate::command::describe;

    fn arguments_of(name: &str, out: Option<&Path>) -> String {
        let duckdb = DuckDb {
            packages: PathBuf::from("/packages"),
            driver: PathBuf::from("/run/answer.py"),
            scratch: PathBuf::from("/run/answers"),
        };
        let query = NEXMARK.iter().find(|query| query.file() == name).unwrap();
        let text = describe(&duckdb.command(query, Path::new("/events"), out));
        let (_, arguments) = text.split_once("/events ").unwrap();
        arguments.to_string()
    }

    #[test]
    fn every_requirement_has_hashes() {
        let pins = REQUIREMENTS.lines().filter(|line| line.contains("=="));
        assert!(pins.clone().all(|line| line.ends_with(" \\")));
        assert_eq!(pins.count(), 1);
        assert!(REQUIREMENTS.contains("--hash=sha256:"));
    }

    #[test]
    fn rows_that_stay_are_read_from_files_and_changes_from_what_was_printed() {
        let out = Some(Path::new("/out"));
        assert_eq!(arguments_of("q0", None), "--scratch /run/answers");
        assert_eq!(
            arguments_of("q0", out),
            "--scratch /run/answers --rows /out/rows"
        );
        assert_eq!(
            arguments_of("q18", out),
            "--scratch /run/answers --changes /out/printed --key bidder,auction"
        );
    }

    #[test]
    fn every_query_has_an_answer() {
        let folder = workspace_root().join("sql/bench/nexmark/duckdb");
        for query in &NEXMARK {
            let path = folder.join(query.file() + ".sql");
            assert!(files::read(&path).unwrap().contains("FROM"), "{path:?}");
        }
    }
}
