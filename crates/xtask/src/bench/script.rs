//! What the engines run: a file of `sql/bench` with its places filled in.
//!
//! | place | meaning |
//! | --- | --- |
//! | `${BOOTSTRAP}` | address of the broker |
//! | `${TOPIC}` | topic of the orders; of the floor, the topic that it reads |
//! | `${PERSONS}`, `${AUCTIONS}`, `${BIDS}` | topics of Nexmark |
//! | `${OUT}` | folder of the run: `rows/` of the sink, `checkpoint/` of the query |
//! | `${GROUP}` | group of consumers, one for each run, of engines that want one |

use std::path::{Path, PathBuf};

use super::dataset::Topic;
use super::queries::{OrdersQuery, Query, QueryResult};
use crate::environment::workspace_root;
use crate::failure::{Failure, Result};
use crate::files;

const BLACKHOLE: &str = "connector = 'blackhole'";
const CONSOLE: &str = "connector = 'console', format = 'json'";
const FILES: &str = "connector = 'filesystem', path = '${OUT}/rows', format = 'json'";

/// Where the rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sink {
    /// Where the file says.
    AsWritten,
    /// Into files, to be compared.
    Files,
    /// To standard output, with the epoch of every row, to be compared.
    Console,
}

impl Sink {
    /// Where rows can be compared.
    pub(super) fn to_compare(query: Query) -> Self {
        match query.result() {
            QueryResult::Appended => Sink::Files,
            // Files do not take rows that replace others.
            QueryResult::Updated(_) | QueryResult::Whole => Sink::Console,
        }
    }
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// A query by headwater.
    Query(Query),
    /// Reading alone, by headwater.
    Floor,
    /// A query by clink, whose driver is told where the rows go.
    OnClink(OrdersQuery),
}

impl Work {
    /// Whether its script has a place for the name of the topic.
    ///
    /// # Errors
    /// If the script cannot be read.
    pub(super) fn reads(self, topic: &Topic) -> Result<bool> {
        Ok(self.template()?.contains(&place(topic.place)))
    }

    fn template(self) -> Result<String> {
        files::read(&workspace_root().join("sql/bench").join(self.file()))
    }

    /// The file below `sql/bench`.
    fn file(self) -> String {
        match self {
            Work::Query(Query::Orders(query)) => format!("{query}.sql"),
            Work::Query(Query::Nexmark(query)) => format!("nexmark/{}.sql", query.file()),
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
    /// Places, and the names of topics that are filled in there.
    pub(super) topics: &'a [(&'static str, &'a str)],
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
        let path = self.out.join("script.sql");
        files::write(&path, &self.fill(&self.work.template()?)?)?;
        Ok(path)
    }

    fn fill(&self, template: &str) -> Result<String> {
        let template = match self.sink {
            Sink::AsWritten => template.to_string(),
            Sink::Files => template.replace(BLACKHOLE, FILES),
            Sink::Console => template.replace(BLACKHOLE, CONSOLE),
        };
        // What is filled in is said in a comment of the file, which would be in the way.
        let lines = template.lines().filter(|line| !line.starts_with("--"));
        let filled = lines
            .fold(String::new(), |text, line| text + line + "\n")
            .replace("${BOOTSTRAP}", self.bootstrap)
            .replace("${OUT}", &self.out.to_string_lossy())
            .replace("${GROUP}", self.group);
        let topics = self.topics.iter();
        let filled = topics.fold(filled, |text, (name, topic)| {
            text.replace(&place(name), topic)
        });
        match filled.find("${") {
            None => Ok(filled),
            Some(_) => Err(Failure::new(format!(
                "the script \"{}\" has a place that is not known",
                self.work.file()
            ))),
        }
    }
}

fn place(name: &str) -> String {
    format!("${{{name}}}")
}

#[cfg(test)]
mod tests {
    use super::super::dataset::{Extent, Generator};
    use super::super::queries::NEXMARK;
    use super::*;

    const TOPICS: [(&str, &str); 4] = [
        ("TOPIC", "orders"),
        ("PERSONS", "persons"),
        ("AUCTIONS", "auctions"),
        ("BIDS", "bids"),
    ];

    fn fill(work: Work, sink: Sink) -> String {
        let script = Script {
            work,
            bootstrap: "127.0.0.1:9092",
            topics: &TOPICS,
            out: Path::new("/tmp/out"),
            group: "bench-7",
            sink,
        };
        script.fill(&work.template().unwrap()).unwrap()
    }

    #[test]
    fn the_sql_of_every_query_can_be_filled_in() {
        for query in Query::all() {
            let sink = Sink::to_compare(query);
            let filled = fill(Work::Query(query), sink);
            let connector = match sink {
                Sink::Console => "connector = 'console', format = 'json'",
                Sink::Files | Sink::AsWritten => "path = '/tmp/out/rows'",
            };
            assert!(filled.contains(connector), "{filled}");
            let has_topic = |(_, topic)| filled.contains(&format!("topic = '{topic}'"));
            assert!(TOPICS.into_iter().any(has_topic), "{filled}");
            let name = format!("CREATE STREAMING QUERY {query}\n");
            assert!(filled.contains(&name), "{filled}");
        }
    }

    #[test]
    fn so_can_that_of_clink() {
        for query in OrdersQuery::ALL {
            let filled = fill(Work::OnClink(query), Sink::Files);
            assert!(filled.contains("group_id='bench-7'"), "{filled}");
            assert!(filled.contains("topic='orders'"), "{filled}");
        }
    }

    #[test]
    fn every_script_of_nexmark_is_one_of_the_queries() {
        let folder = workspace_root().join("sql/bench/nexmark");
        let scripts = files::list(&folder).unwrap();
        let mut scripts: Vec<_> = scripts
            .iter()
            .map(|path| path.file_name().unwrap().to_string_lossy())
            .collect();
        scripts.retain(|name| name != "duckdb");
        let mut names: Vec<_> = NEXMARK.iter().map(|q| q.file() + ".sql").collect();
        names.sort();
        assert_eq!(scripts, names);
    }

    #[test]
    fn a_script_says_which_topics_it_reads() {
        let topics = Generator::Nexmark.topics(Extent::Whole, 100);
        let read_by = |name| {
            let query = Query::all().find(|query| query.name() == name).unwrap();
            let reads = |topic: &&Topic| Work::Query(query).reads(topic).unwrap();
            let places = topics.iter().filter(reads).map(|topic| topic.place);
            places.collect::<Vec<_>>()
        };
        assert_eq!(read_by("n0"), ["BIDS"]);
        assert_eq!(read_by("n8"), ["PERSONS", "AUCTIONS"]);
    }

    #[test]
    fn the_floor_decodes_nothing_and_writes_nothing() {
        let filled = fill(Work::Floor, Sink::AsWritten);
        assert!(filled.contains("FORMAT RAW"), "{filled}");
        assert!(filled.contains(BLACKHOLE), "{filled}");
    }
}
