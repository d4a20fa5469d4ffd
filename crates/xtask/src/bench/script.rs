//! The queries' SQL: a file of `sql/bench` with its places filled in.
//!
//! | place | meaning |
//! | --- | --- |
//! | `${BOOTSTRAP}` | address of the broker |
//! | `${TOPIC}` | topic of the orders |
//! | `${OUT}` | folder of the run: `rows/` of the sink, `checkpoint/` of the query |

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

/// One run of a query.
#[derive(Debug)]
pub(super) struct Script<'a> {
    pub(super) query: Query,
    pub(super) bootstrap: &'a str,
    pub(super) topic: &'a str,
    pub(super) out: &'a Path,
    pub(super) sink: Sink,
}

impl Script<'_> {
    /// Writes the script into the folder of the run.
    ///
    /// # Errors
    /// If the query's file cannot be read, or has places that have no meaning.
    pub(super) fn write(&self) -> Result<PathBuf> {
        let name = format!("{}.sql", self.query);
        let template = files::read(&workspace_root().join("sql/bench").join(&name))?;
        let path = self.out.join(&name);
        files::write(&path, &self.fill(&template)?)?;
        Ok(path)
    }

    fn fill(&self, template: &str) -> Result<String> {
        let template = match self.sink {
            Sink::AsWritten => template.to_string(),
            Sink::Files => template.replace(BLACKHOLE, FILES),
        };
        let filled = template
            .replace("${BOOTSTRAP}", self.bootstrap)
            .replace("${TOPIC}", self.topic)
            .replace("${OUT}", &self.out.to_string_lossy());
        match filled.find("${") {
            None => Ok(filled),
            Some(_) => Err(Failure::new(format!(
                "the script of {} has a place that is not known",
                self.query
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sql_of_every_query_can_be_filled_in() {
        for query in Query::ALL {
            let path = workspace_root().join(format!("sql/bench/{query}.sql"));
            let template = files::read(&path).unwrap();
            let script = Script {
                query,
                bootstrap: "127.0.0.1:9092",
                topic: "orders",
                out: Path::new("/tmp/out"),
                sink: Sink::Files,
            };
            let filled = script.fill(&template).unwrap();
            assert!(filled.contains("path = '/tmp/out/rows'"), "{filled}");
            assert!(filled.contains("topic = 'orders'"), "{filled}");
        }
    }
}
