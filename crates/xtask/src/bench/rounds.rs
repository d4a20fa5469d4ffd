//! Running the engines: over which topics, once to compare the answer, then in rounds.
//!
//! In a round the floor is measured and then every query, headwater and the peer next to each
//! other; who comes first changes from round to round. Each engine runs over a few orders just
//! before it runs over all of them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::answer::Answer;
use super::clink::{self, Clink};
use super::dataset::{Dataset, Extent, Generator, Topic};
use super::duckdb::DuckDb;
use super::figures::{Measured, Round, Run};
use super::headwater::{Headwater, Summary};
use super::measure::{Cost, LOG, measure};
use super::output;
use super::queries::{Data, OrdersQuery, Query, QueryResult};
use super::script::{Script, Sink, Work};
use crate::failure::{Failure, Result};
use crate::files;
use crate::say::warn;

const START_UP_ROWS: u64 = 1_000;

/// What queries read, all of it and a little.
#[derive(Debug)]
pub(super) struct Input {
    whole: Dataset,
    start_up: Dataset,
}

impl Input {
    /// Writes the files, unless the cache has them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn prepare(generator: Generator, rows: u64) -> Result<Self> {
        Ok(Input {
            whole: Dataset::prepare(generator, Extent::Whole, rows)?,
            start_up: Dataset::prepare(generator, Extent::StartUp, START_UP_ROWS)?,
        })
    }

    /// Makes the topics that one of the queries reads, or the floor.
    ///
    /// # Errors
    /// If a file cannot be sent.
    fn load(&self, headwater: &Headwater, bootstrap: &str, queries: &[Query]) -> Result<()> {
        for dataset in [&self.whole, &self.start_up] {
            let mut read: Vec<Topic> = dataset.largest().cloned().into_iter().collect();
            for query in queries {
                read.extend(topics_of(Work::Query(*query), dataset)?);
            }
            dataset.load(headwater, bootstrap, |topic| read.contains(topic))?;
        }
        Ok(())
    }
}

/// What is compared in the runs that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// How many rows went in and came out.
    Numbers,
    /// Every row too, which goes where it can be read.
    Rows,
}

/// What every run needs.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) headwater: Headwater,
    /// If a query over orders was asked for.
    pub(super) orders: Option<Input>,
    /// If a query of Nexmark was.
    pub(super) nexmark: Option<Input>,
    /// What computes the answers of Nexmark, and of the others if it was asked for.
    pub(super) duckdb: Option<DuckDb>,
    /// The peer and its orders, if it was asked for.
    pub(super) clink: Option<(Clink, Input)>,
    pub(super) compared: Compared,
    pub(super) bootstrap: String,
    /// A folder for the files of runs.
    pub(super) scratch: PathBuf,
    /// How many there were.
    pub(super) runs: Cell<u64>,
}

/// A query, and what its rounds gave.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) measured: Measured,
    /// Whether the peer's answer was right, so that it is measured.
    has_clink: bool,
    start_up_rows_out: u64,
}

impl Bench {
    /// Makes the topics of the queries.
    ///
    /// # Errors
    /// If a file cannot be sent.
    pub(super) fn load(&self, queries: &[Query]) -> Result<()> {
        let load = |input: &Input, queries: &[Query]| {
            input.load(&self.headwater, &self.bootstrap, queries)
        };
        let of = |data| {
            let queries = queries.iter().copied();
            queries.filter(move |query| query.data() == data).collect()
        };
        let (orders, nexmark): (Vec<Query>, Vec<Query>) = (of(Data::Orders), of(Data::Nexmark));
        let clink = self.clink.iter().map(|(_, input)| input);
        (self.orders.iter().chain(clink)).try_for_each(|input| load(input, &orders))?;
        (self.nexmark.iter()).try_for_each(|input| load(input, &nexmark))
    }

    /// What a query reads.
    fn input(&self, data: Data) -> Result<&Input> {
        let input = match data {
            Data::Orders => self.orders.as_ref(),
            Data::Nexmark => self.nexmark.as_ref(),
        };
        input.ok_or_else(|| Failure::new("what the query reads was not generated"))
    }

    /// Runs a query on every engine and compares every row.
    ///
    /// # Errors
    /// If headwater fails, or its answer is wrong. The peer is then left out, with a warning.
    pub(super) fn check(&self, query: Query) -> Result<Subject> {
        let work = Work::Query(query);
        let Input { whole, start_up } = self.input(query.data())?;
        let (_, out) = self.run_headwater(work, whole, Sink::to_compare(query))?;
        let rows_out = self.compare(query, whole, &out)?;
        let mut subject = Subject {
            measured: Measured {
                query,
                rows: rows_of(&topics_of(work, whole)?),
                rows_out,
                rounds: Vec::new(),
                clink_failures: 0,
            },
            has_clink: false,
            start_up_rows_out: self.count(query, start_up)?,
        };
        if let (Query::Orders(query), Some((clink, input))) = (query, &self.clink) {
            subject.has_clink = true;
            let checked = self
                .run_clink(clink, query, &input.whole, rows_out, Sink::Files)
                .and_then(|(_, out)| compare_orders(query, &input.whole, &out));
            if let Err(failure) = checked {
                subject.has_clink = false;
                subject.note_failure(&failure);
            }
        }
        Ok(subject)
    }

    /// Compares every row of a run; gives their number.
    fn compare(&self, query: Query, dataset: &Dataset, out: &Path) -> Result<u64> {
        match query {
            Query::Orders(orders_query) => {
                let rows = compare_orders(orders_query, dataset, out)?;
                let duckdb = self.duckdb.as_ref();
                duckdb.map_or(Ok(rows), |duckdb| duckdb.compare(query, dataset, out))
            }
            Query::Nexmark(_) => self.duckdb()?.compare(query, dataset, out),
        }
    }

    /// How many rows the answer of a query has.
    fn count(&self, query: Query, dataset: &Dataset) -> Result<u64> {
        match query {
            Query::Orders(query) => Ok(Answer::compute(query, dataset.orders()).rows()),
            Query::Nexmark(_) => self.duckdb()?.count(query, dataset),
        }
    }

    fn duckdb(&self) -> Result<&DuckDb> {
        let duckdb = self.duckdb.as_ref();
        duckdb.ok_or_else(|| Failure::new("DuckDB was not prepared"))
    }

    /// Adds a round to every query; the first is number 1.
    ///
    /// # Errors
    /// If headwater fails. A run of the peer that fails is left out, with a warning.
    pub(super) fn measure_round(&self, number: u32, subjects: &mut [Subject]) -> Result<()> {
        let mut floors = Floors::default();
        for subject in subjects {
            let query = subject.measured.query;
            let floor = floors.of(query.data(), || self.measure_floor(query.data()))?;
            let (headwater, clink) = match number % 2 {
                1 => {
                    let headwater = self.measure_query(subject)?;
                    (headwater, self.measure_clink(subject))
                }
                _ => {
                    let clink = self.measure_clink(subject);
                    (self.measure_query(subject)?, clink)
                }
            };
            tell(&format!("{query} headwater"), &headwater);
            if let Some(run) = &clink {
                tell(&format!("{query} {}", clink::NAME), run);
            }
            subject.measured.rounds.push(Round {
                floor,
                headwater,
                clink,
            });
        }
        Ok(())
    }

    fn measure_floor(&self, data: Data) -> Result<Run> {
        let Input { whole, start_up } = self.input(data)?;
        let cost = |dataset| {
            let (cost, _) = self.run_headwater(Work::Floor, dataset, Sink::AsWritten)?;
            Ok(cost)
        };
        let (start_up, cost) = (cost(start_up)?, cost(whole)?);
        let floor = Run {
            rows: whole.largest().map_or(0, |topic| topic.rows),
            whole: cost,
            start_up,
        };
        tell("floor", &floor);
        Ok(floor)
    }

    /// A run of headwater, whose rows are compared with the answer: all of them, or their number.
    fn measure_query(&self, subject: &Subject) -> Result<Run> {
        let Measured {
            query,
            rows,
            rows_out,
            ..
        } = subject.measured;
        let work = Work::Query(query);
        let Input { whole, start_up } = self.input(query.data())?;
        let sink = match self.compared {
            Compared::Numbers => Sink::AsWritten,
            Compared::Rows => Sink::to_compare(query),
        };
        let cost = |dataset, expected| {
            let (cost, out) = self.run_headwater(work, dataset, sink)?;
            check_numbers(query, Summary::read(&out.join(LOG))?, expected)?;
            if self.compared == Compared::Rows {
                self.compare(query, dataset, &out)?;
            }
            Ok(cost)
        };
        let few = Summary {
            rows_in: rows_of(&topics_of(work, start_up)?),
            rows_out: subject.start_up_rows_out,
        };
        let start_up = cost(start_up, few)?;
        let all = Summary {
            rows_in: rows,
            rows_out,
        };
        Ok(Run {
            rows,
            whole: cost(whole, all)?,
            start_up,
        })
    }

    /// A run of the peer, if it is measured and gives as many rows as it should.
    fn measure_clink(&self, subject: &mut Subject) -> Option<Run> {
        let (clink, input) = self.clink.as_ref().filter(|_| subject.has_clink)?;
        let Measured {
            query,
            rows,
            rows_out,
            ..
        } = subject.measured;
        let Query::Orders(query) = query else {
            return None;
        };
        let run = |dataset, rows_out| {
            let ran = self.run_clink(clink, query, dataset, rows_out, Sink::AsWritten);
            ran.map(|(cost, _)| cost)
        };
        let start_up = run(&input.start_up, subject.start_up_rows_out);
        let costs = start_up.and_then(|start_up| Ok((start_up, run(&input.whole, rows_out)?)));
        match costs {
            Ok((start_up, whole)) => Some(Run {
                rows,
                whole,
                start_up,
            }),
            Err(failure) => {
                subject.note_failure(&failure);
                None
            }
        }
    }

    fn run_headwater(&self, work: Work, dataset: &Dataset, sink: Sink) -> Result<(Cost, PathBuf)> {
        self.run(work, dataset, sink, |script, _| self.headwater.run(script))
    }

    fn run_clink(
        &self,
        clink: &Clink,
        query: OrdersQuery,
        dataset: &Dataset,
        rows_out: u64,
        sink: Sink,
    ) -> Result<(Cost, PathBuf)> {
        self.run(Work::OnClink(query), dataset, sink, |script, out| {
            clink.run(script, rows_out, out, sink)
        })
    }

    /// Runs a script in an empty folder; gives its cost and the folder.
    fn run(
        &self,
        work: Work,
        dataset: &Dataset,
        sink: Sink,
        command: impl FnOnce(&Path, &Path) -> Command,
    ) -> Result<(Cost, PathBuf)> {
        let out = self.scratch.join("out");
        files::remove_dir(&out)?;
        files::create_dir(&out)?;
        self.runs.set(self.runs.get() + 1);
        let topics: Vec<_> = match work {
            Work::Floor => (dataset.largest().into_iter())
                .map(|topic| ("TOPIC", topic.name.as_str()))
                .collect(),
            Work::Query(_) | Work::OnClink(_) => (dataset.topics().iter())
                .map(|topic| (topic.place, topic.name.as_str()))
                .collect(),
        };
        let script = Script {
            work,
            bootstrap: &self.bootstrap,
            topics: &topics,
            out: &out,
            group: &format!("bench-{}", self.runs.get()),
            sink,
        };
        let script = script.write()?;
        let cost = measure(&mut command(&script, &out), &out)?;
        Ok((cost, out))
    }
}

impl Subject {
    fn note_failure(&mut self, failure: &Failure) {
        self.measured.clink_failures += 1;
        let query = self.measured.query;
        let (name, what) = (clink::NAME, "it is not counted");
        warn(format_args!(
            "warning: {query} on {name}: {failure}; {what}"
        ));
    }
}

/// The floors of a round, one for each data that is read.
#[derive(Debug, Default)]
struct Floors(Vec<(Data, Run)>);

impl Floors {
    fn of(&mut self, data: Data, measure: impl FnOnce() -> Result<Run>) -> Result<Run> {
        if let Some((_, floor)) = self.0.iter().find(|(of, _)| *of == data) {
            return Ok(*floor);
        }
        let floor = measure()?;
        self.0.push((data, floor));
        Ok(floor)
    }
}

/// Those topics that the script reads.
fn topics_of(work: Work, dataset: &Dataset) -> Result<Vec<Topic>> {
    let mut topics = Vec::new();
    for topic in dataset.topics() {
        if work.reads(topic)? {
            topics.push(topic.clone());
        }
    }
    Ok(topics)
}

/// Compares every row of a run over orders; gives their number.
fn compare_orders(query: OrdersQuery, orders: &Dataset, out: &Path) -> Result<u64> {
    let mut answer = Answer::compute(query, orders.orders());
    output::for_each_row(out, |row| answer.take(row))
        .and_then(|()| answer.finish())
        .map_err(|failure| Failure::new(format!("the answer of {query} is wrong: {failure}")))
}

fn rows_of(topics: &[Topic]) -> u64 {
    topics.iter().map(|topic| topic.rows).sum()
}

/// Compares the numbers of rows of a run with those there should be. A row that replaces others
/// comes out as often as an epoch changes it, so there the answer's number is the least.
fn check_numbers(query: Query, found: Summary, expected: Summary) -> Result<()> {
    let (is_right, at_least) = match query.result() {
        QueryResult::Appended => (found.rows_out == expected.rows_out, ""),
        QueryResult::Updated(_) | QueryResult::Whole => {
            (found.rows_out >= expected.rows_out, "at least ")
        }
    };
    if is_right && found.rows_in == expected.rows_in {
        return Ok(());
    }
    let Summary { rows_in, rows_out } = found;
    Err(Failure::new(format!(
        "a run of {query} read {rows_in} rows and gave {rows_out}; it should read {} and give \
         {at_least}{}",
        expected.rows_in, expected.rows_out
    )))
}

fn tell(name: &str, run: &Run) {
    let Run {
        whole, start_up, ..
    } = run;
    warn(format_args!("{name}: {whole}; of it to start: {start_up}"));
}

#[cfg(test)]
mod tests {
    use super::super::figures::example;
    use super::super::queries::{NEXMARK, NexmarkQuery};
    use super::*;

    #[test]
    fn a_run_reads_all_and_gives_the_answer_or_more_rows_if_they_replace_others() {
        let appended = Query::Orders(OrdersQuery::Q2);
        let is_updated = |query: &&NexmarkQuery| query.result != QueryResult::Appended;
        let updated = Query::Nexmark(NEXMARK.iter().find(is_updated).unwrap());
        for (query, rows_in, rows_out, is_right) in [
            (appended, 20, 7, true),
            (appended, 19, 7, false),
            (appended, 20, 6, false),
            (appended, 20, 8, false),
            (updated, 20, 7, true),
            (updated, 19, 7, false),
            (updated, 20, 6, false),
            (updated, 20, 8, true),
        ] {
            let found = Summary { rows_in, rows_out };
            let expected = Summary {
                rows_in: 20,
                rows_out: 7,
            };
            let checked = check_numbers(query, found, expected);
            assert_eq!(checked.is_ok(), is_right, "{query} {found:?}");
        }
    }

    #[test]
    fn a_floor_is_measured_once_for_each_data() {
        let mut floors = Floors::default();
        let mut measured = Vec::new();
        for data in [Data::Orders, Data::Nexmark, Data::Orders] {
            let run = floors.of(data, || {
                measured.push(data);
                Ok(example::run(7, 1.0, 1.0))
            });
            assert_eq!(run.unwrap().rows, 7);
        }
        assert_eq!(measured, [Data::Orders, Data::Nexmark]);
    }
}
