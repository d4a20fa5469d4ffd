//! Running the engines: over which topics, once to compare the answer, then in rounds.
//!
//! In a round the floor is measured and then every query, headwater and the peer next to each
//! other; who comes first changes from round to round. Each engine runs over a few orders just
//! before it runs over all of them.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Query;
use super::answer::Answer;
use super::clink::{self, Clink};
use super::dataset::{Dataset, Wanted};
use super::figures::{Measured, Round, Run};
use super::headwater::Headwater;
use super::measure::{Cost, measure};
use super::orders::TimeFormat;
use super::output;
use super::script::{Script, Sink, Work};
use crate::failure::{Failure, Result};
use crate::files;
use crate::say::warn;

const START_UP_ROWS: u64 = 1_000;

/// The orders of an engine, all and a few.
#[derive(Debug)]
pub(super) struct Input {
    orders: Dataset,
    start_up: Dataset,
}

impl Input {
    /// Writes the files, unless the cache has them.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(super) fn prepare(rows: u64, times: TimeFormat) -> Result<Self> {
        let [orders, start_up] = match times {
            TimeFormat::Text => ["orders", "orders_start_up"],
            TimeFormat::Milliseconds => ["orders_ms", "orders_ms_start_up"],
        };
        let prepare = |orders, topic| {
            Dataset::prepare(Wanted {
                orders,
                times,
                topic,
            })
        };
        Ok(Input {
            orders: prepare(rows, orders)?,
            start_up: prepare(START_UP_ROWS, start_up)?,
        })
    }

    /// Makes the topics.
    ///
    /// # Errors
    /// If a file cannot be sent.
    fn load(&self, headwater: &Headwater, bootstrap: &str) -> Result<()> {
        self.orders.load(headwater, bootstrap)?;
        self.start_up.load(headwater, bootstrap)
    }
}

/// What every run needs.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) headwater: Headwater,
    pub(super) input: Input,
    /// The peer and its orders, if it was asked for.
    pub(super) clink: Option<(Clink, Input)>,
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
    /// Makes all topics.
    ///
    /// # Errors
    /// If a file cannot be sent.
    pub(super) fn load(&self) -> Result<()> {
        let inputs = self.clink.iter().map(|(_, input)| input);
        let mut inputs = std::iter::once(&self.input).chain(inputs);
        inputs.try_for_each(|input| input.load(&self.headwater, &self.bootstrap))
    }

    /// Runs a query on every engine and compares every row.
    ///
    /// # Errors
    /// If headwater fails, or its answer is wrong. The peer is then left out, with a warning.
    pub(super) fn check(&self, query: Query) -> Result<Subject> {
        let work = Work::Query(query);
        let (_, out) = self.run_headwater(work, &self.input.orders, Sink::Files)?;
        let rows_out = compare(query, &self.input.orders, &out)?;
        let answer = Answer::compute(query, self.input.start_up.orders());
        let mut subject = Subject {
            measured: Measured {
                query,
                rows: self.input.orders.rows(),
                rows_out,
                rounds: Vec::new(),
                clink_failures: 0,
            },
            has_clink: self.clink.is_some(),
            start_up_rows_out: answer.rows(),
        };
        if let Some((clink, input)) = &self.clink {
            let checked = self
                .run_clink(clink, query, &input.orders, rows_out, Sink::Files)
                .and_then(|(_, out)| compare(query, &input.orders, &out));
            if let Err(failure) = checked {
                subject.has_clink = false;
                subject.note_failure(&failure);
            }
        }
        Ok(subject)
    }

    /// Adds a round to every query; the first is number 1.
    ///
    /// # Errors
    /// If headwater fails. A run of the peer that fails is left out, with a warning.
    pub(super) fn measure_round(&self, number: u32, subjects: &mut [Subject]) -> Result<()> {
        let floor = self.measure_headwater(Work::Floor)?;
        tell("floor", &floor);
        for subject in subjects {
            let work = Work::Query(subject.measured.query);
            let (headwater, clink) = match number % 2 {
                1 => {
                    let headwater = self.measure_headwater(work)?;
                    (headwater, self.measure_clink(subject))
                }
                _ => {
                    let clink = self.measure_clink(subject);
                    (self.measure_headwater(work)?, clink)
                }
            };
            let query = subject.measured.query;
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

    fn measure_headwater(&self, work: Work) -> Result<Run> {
        let Input { orders, start_up } = &self.input;
        let (start_up, _) = self.run_headwater(work, start_up, Sink::AsWritten)?;
        let (whole, _) = self.run_headwater(work, orders, Sink::AsWritten)?;
        Ok(Run {
            rows: orders.rows(),
            whole,
            start_up,
        })
    }

    /// A run of the peer, if it is measured and gives as many rows as it should.
    fn measure_clink(&self, subject: &mut Subject) -> Option<Run> {
        let (clink, input) = self.clink.as_ref().filter(|_| subject.has_clink)?;
        let Measured {
            query, rows_out, ..
        } = subject.measured;
        let run = |dataset, rows_out| {
            let ran = self.run_clink(clink, query, dataset, rows_out, Sink::AsWritten);
            ran.map(|(cost, _)| cost)
        };
        let start_up = run(&input.start_up, subject.start_up_rows_out);
        let costs = start_up.and_then(|start_up| Ok((start_up, run(&input.orders, rows_out)?)));
        match costs {
            Ok((start_up, whole)) => Some(Run {
                rows: input.orders.rows(),
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
        query: Query,
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
        let script = Script {
            work,
            bootstrap: &self.bootstrap,
            topic: dataset.topic(),
            out: &out,
            group: &format!("bench-{}", self.runs.get()),
            sink,
        };
        let script = script.write()?;
        let cost = measure(&mut command(&script, &out), &out.join("log"))?;
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

/// Compares every row of a run; gives their number.
fn compare(query: Query, orders: &Dataset, out: &Path) -> Result<u64> {
    let mut answer = Answer::compute(query, orders.orders());
    output::for_each_row(out, |row| answer.take(row))
        .and_then(|()| answer.finish())
        .map_err(|failure| Failure::new(format!("the answer of {query} is wrong: {failure}")))
}

fn tell(name: &str, run: &Run) {
    let Run {
        whole, start_up, ..
    } = run;
    warn(format_args!("{name}: {whole}; of it to start: {start_up}"));
}
