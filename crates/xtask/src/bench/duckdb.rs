//! `DuckDB`, which computes the answers of queries from the files that the topics were made of, and
//! compares every row.
//!
//! It is a Python package, pinned by version and hash. A process of its own, `duckdb.py`, runs a
//! script of `sql/bench/duckdb` or `sql/bench/nexmark/duckdb` over the views of `tables.sql` there.
//! `DuckDB` is not measured.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::dataset::Dataset;
use super::measure::PRINTED;
use super::queries::{Query, QueryResult};
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
    pub(super) fn count(&self, query: Query, dataset: &Dataset) -> Result<u64> {
        Ok(self.verdict(query, dataset, None)?.rows)
    }

    /// Compares every row that a run left in `out`; gives their number.
    ///
    /// # Errors
    /// If the answer cannot be computed, or is not that of the run.
    pub(super) fn compare(&self, query: Query, dataset: &Dataset, out: &Path) -> Result<u64> {
        let verdict = self.verdict(query, dataset, Some(out))?;
        match verdict.wrong {
            None => Ok(verdict.rows),
            Some(wrong) => Err(Failure::new(format!(
                "the answer of {query} is not DuckDB's: {wrong}"
            ))),
        }
    }

    fn verdict(&self, query: Query, dataset: &Dataset, out: Option<&Path>) -> Result<Verdict> {
        files::remove_dir(&self.scratch)?;
        files::create_dir(&self.scratch)?;
        let printed = command::capture(&mut self.command(query, dataset.folder(), out))?;
        let last = printed.lines().last().unwrap_or_default();
        serde_json::from_str(last).context(|| format!("{NAME} printed \"{last}\""))
    }

    fn command(&self, query: Query, input: &Path, out: Option<&Path>) -> Command {
        let script = workspace_root().join("sql/bench").join(script_of(query));
        let mut command = Command::new("python3");
        command
            .env("PYTHONPATH", &self.packages)
            .arg(&self.driver)
            .arg("--tables")
            .arg(script.with_file_name("tables.sql"))
            .arg("--query")
            .arg(&script)
            .arg("--files")
            .arg(input)
            .arg("--scratch")
            .arg(&self.scratch);
        match (out, query.result()) {
            (None, _) => {}
            (Some(out), QueryResult::Appended) => {
                command.arg("--rows").arg(out.join("rows"));
            }
            (Some(out), QueryResult::Whole) => {
                command.arg("--results").arg(out.join(PRINTED));
            }
            (Some(out), QueryResult::Updated(key)) => {
                command.arg("--changes").arg(out.join(PRINTED));
                command.args(["--key", &key.join(",")]);
            }
        }
        command
    }
}

/// The file below `sql/bench`.
fn script_of(query: Query) -> String {
    match query {
        Query::Orders(query) => format!("duckdb/{query}.sql"),
        Query::Nexmark(query) => format!("nexmark/duckdb/{}.sql", query.file()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::describe;

    fn arguments_of(name: &str, out: Option<&Path>) -> String {
        let duckdb = DuckDb {
            packages: PathBuf::from("/packages"),
            driver: PathBuf::from("/run/answer.py"),
            scratch: PathBuf::from("/run/answers"),
        };
        let query = Query::all().find(|query| query.name() == name).unwrap();
        let text = describe(&duckdb.command(query, Path::new("/files"), out));
        let (_, arguments) = text.split_once("/files ").unwrap();
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
        assert_eq!(arguments_of("n0", None), "--scratch /run/answers");
        assert_eq!(
            arguments_of("n0", out),
            "--scratch /run/answers --rows /out/rows"
        );
        assert_eq!(
            arguments_of("n18", out),
            "--scratch /run/answers --changes /out/printed --key bidder,auction"
        );
        assert_eq!(
            arguments_of("n4", out),
            "--scratch /run/answers --results /out/printed"
        );
    }

    #[test]
    fn every_query_has_an_answer() {
        for query in Query::all() {
            let path = workspace_root().join("sql/bench").join(script_of(query));
            assert!(files::read(&path).unwrap().contains("FROM"), "{path:?}");
            let tables = files::read(&path.with_file_name("tables.sql")).unwrap();
            assert!(tables.contains("${FILES}"), "{tables}");
        }
    }
}
