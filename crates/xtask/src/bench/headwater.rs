//! The executable that is measured, and what it is asked to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::orders::PARTITIONS;
use crate::command::{capture, cargo, run};
use crate::failure::{Context as _, Failure, Result};
use crate::files;

/// Its name, which the library has too.
const EXECUTABLE: &str = "headwater";

/// The executable `headwater`.
#[derive(Debug)]
pub(super) struct Headwater(PathBuf);

/// Whether the topic is created first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CreateTopic {
    Yes,
    No,
}

/// A file of lines that become the records of a partition.
#[derive(Debug)]
pub(super) struct Produce<'a> {
    pub(super) bootstrap: &'a str,
    pub(super) topic: &'a str,
    pub(super) partition: u64,
    pub(super) file: &'a Path,
    pub(super) create: CreateTopic,
}

impl Headwater {
    /// Builds it as users get it.
    ///
    /// # Errors
    /// If it does not build.
    pub(super) fn build() -> Result<Self> {
        let build = ["build", "--profile", "dist", "--package", "headwater-cli"];
        let messages = capture(cargo(build).arg("--message-format=json-render-diagnostics"))?;
        let executable = messages.lines().find_map(executable_in);
        let executable = executable.ok_or_else(|| Failure::new("cargo built no executable"))?;
        Ok(Headwater(executable))
    }

    /// One that was built before.
    ///
    /// # Errors
    /// If it is not there.
    pub(super) fn at(path: &Path) -> Result<Self> {
        let path = path.canonicalize();
        path.map(Headwater)
            .context(|| "could not find the executable".to_string())
    }

    /// The number of its version.
    ///
    /// # Errors
    /// If it cannot be run.
    pub(super) fn version(&self) -> Result<String> {
        let version = capture(Command::new(&self.0).arg("--version"))?;
        let number = version.split_whitespace().nth(1);
        let number = number.ok_or_else(|| Failure::new("headwater does not say its version"));
        number.map(str::to_string)
    }

    /// Sends a file.
    ///
    /// # Errors
    /// If not all of it was acknowledged.
    pub(super) fn produce(&self, produce: &Produce<'_>) -> Result<()> {
        let mut command = Command::new(&self.0);
        command
            .args(["kafka", "produce", "--bootstrap", produce.bootstrap])
            .args(["--topic", produce.topic])
            .args(["--partition", &produce.partition.to_string()])
            .arg("--file")
            .arg(produce.file);
        if produce.create == CreateTopic::Yes {
            command.args(["--create", "--partitions", &PARTITIONS.to_string()]);
        }
        run(&mut command)
    }

    /// The command that runs a script of SQL.
    pub(super) fn run(&self, script: &Path) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("run").arg(script);
        command
    }
}

/// What a query says of itself when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
}

impl Summary {
    /// That in what headwater logged.
    ///
    /// # Errors
    /// If there is none.
    pub(super) fn read(log: &Path) -> Result<Self> {
        let summary = files::read(log)?.lines().find_map(Self::in_line);
        summary.ok_or_else(|| Failure::new("headwater does not say how many rows came out"))
    }

    /// `query "q1" ended: 2 epochs, 1,000 rows in, 1 row out`.
    fn in_line(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("\" ended: ")?;
        let counted = |what| {
            let mut counts = counts.split(", ");
            let number = counts.find_map(|count| {
                let (number, counted) = count.split_once(' ')?;
                let is_it = counted.starts_with("row") && counted.ends_with(what);
                is_it.then_some(number)
            })?;
            number.replace(',', "").parse().ok()
        };
        Some(Summary {
            rows_in: counted(" in")?,
            rows_out: counted(" out")?,
        })
    }
}

/// The path in a line of cargo's messages, if the line tells of the executable.
fn executable_in(line: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(line).ok()?;
    let is_ours = message.pointer("/target/name")?.as_str()? == EXECUTABLE;
    let path = message.get("executable")?.as_str()?;
    is_ours.then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_told_from_libraries_and_others() {
        let lines = [
            r#"{"reason":"compiler-artifact","target":{"name":"headwater"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"headwater"},"executable":"/t/headwater"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "no JSON",
        ];
        let found: Vec<_> = lines.into_iter().filter_map(executable_in).collect();
        assert_eq!(found, [PathBuf::from("/t/headwater")]);
    }

    #[test]
    fn the_summary_says_how_many_rows_went_in_and_came_out() {
        for (line, rows) in [
            (
                "query \"q1\" ended: 2 epochs, 2,000,000 rows in, 1,234,567 rows out",
                Some((2_000_000, 1_234_567)),
            ),
            (
                "query \"q1\" ended: 1 epoch, 1 row in, 1 row out",
                Some((1, 1)),
            ),
            ("query \"q1\" started, checkpoint /tmp/1 rows out", None),
        ] {
            let summary = Summary::in_line(line);
            let found = summary.map(|summary| (summary.rows_in, summary.rows_out));
            assert_eq!(found, rows, "{line}");
        }
    }
}
