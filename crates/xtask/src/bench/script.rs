//! What the engines run: a file of `sql/bench` with its places filled in.
//!
//! | place | meaning |
//! | --- | --- |
//! | `${BOOTSTRAP}` | address of the broker |
//! | `${TOPIC}` | topic of the orders |
//! | `${OUT}` | folder of the run: `rows/` of the sink, `checkpoint/` of the query |
//! | `${GROUP}` | group of consumers, one for each run, of engines that want one |

use std::path::{Path, PathBuf};

use super::Query;
use crate::environment::workspace_root;
use crate::failure::{Failure, Result};
use crate::files;

const BLACKHOLE: &str = "connector = 'blackhole'";
const FILES: &str = "connector = 'filesystem', path = '${OUT}/rows', format = 'json'";

/// Where the rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// Where the file says.
    AsWritten,
    /// Into files, to be compared.
    Files,
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A query by headwater.
    Query(Query),
    /// Reading alone, by headwater.
    Floor,
    /// A query by clink, whose driver is told where the rows go.
    OnClink(Query),
}

impl Work {
    /// The file below `sql/bench`.
    fn file(self) -> String {
        match self {
            Work::Query(query) => format!("{query}.sql"),
            Work::Floor => "floor.sql".to_string(),
            Work::OnClink(query) => format!("clink/{query}.sql"),
        }
    }
}

/// One run.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) work: Work,
    pub(super) bootstrap: &'a str,
    pub(super) topic: &'a str,
    pub(super) out: &'a Path,
    pub(super) group: &'a str,
    pub(super) sink: Sink,
}

impl Script<'_> {
    /// Writes the script into the folder of the run.
    ///
    /// # Errors
    /// If the file cannot be read, or has places that have no meaning.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let template = workspace_root().join("sql/bench").join(self.work.file());
        let path = self.out.join("script.sql");
        files::write(&path, &self.fill(&files::read(&template)?)?)?;
        Ok(path)
    }

    fn fill(&self, template: &str) -> Result<String> {
        let template = match self.sink {
            Sink::AsWritten => template.to_string(),
            Sink::Files => template.replace(BLACKHOLE, FILES),
        };
        // What is filled in is said in a comment of the file, which would be in the way.
        let lines = template.lines().filter(|line| !line.starts_with("--"));
        let filled = lines
            .fold(String::new(), |text, line| text + line + "\n")
            .replace("${BOOTSTRAP}", self.bootstrap)
            .replace("${TOPIC}", self.topic)
            .replace("${OUT}", &self.out.to_string_lossy())
            .replace("${GROUP}", self.group);
        match filled.find("${") {
            None => Ok(filled),
            Some(_) => Err(Failure::new(format!(
                "the script \"{}\" has a place that is not known",
                self.work.file()
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(work: Work, sink: Sink) -> String {
        let path = workspace_root().join("sql/bench").join(work.file());
        let script = Script {
            work,
            bootstrap: "127.0.0.1:9092",
            topic: "orders",
            out: Path::new("/tmp/out"),
            group: "bench-7",
            sink,
        };
        script.fill(&files::read(&path).unwrap()).unwrap()
    }

    #[test]
    fn the_sql_of_every_query_can_be_filled_in() {
        for query in Query::ALL {
            let filled = fill(Work::Query(query), Sink::Files);
            assert!(filled.contains("path = '/tmp/out/rows'"), "{filled}");
            assert!(filled.contains("topic = 'orders'"), "{filled}");
            let filled = fill(Work::OnClink(query), Sink::Files);
            assert!(filled.contains("group_id='bench-7'"), "{filled}");
            assert!(filled.contains("topic='orders'"), "{filled}");
        }
    }

    #[test]
    fn the_floor_decodes_nothing_and_writes_nothing() {
        let filled = fill(Work::Floor, Sink::AsWritten);
        assert!(filled.contains("FORMAT RAW"), "{filled}");
        assert!(filled.contains(BLACKHOLE), "{filled}");
    }
}
