//! `cargo xtask bench`: the four queries of `sql/bench`, from a Kafka topic to a sink.
//!
//! | query | what | sink when measured |
//! | --- | --- | --- |
//! | Q1 | filter and project | blackhole |
//! | Q2 | tumbling windows of 10 s by symbol | files |
//! | Q3 | hopping windows of 60 s every 10 s by symbol | files |
//! | Q4 | tumbling windows of 100 s by client, nearly every row a group | blackhole |
//!
//! Each query first runs once into files, and every row is compared with an answer that is
//! computed here from the same orders. Then each runs N times over all orders and over a thousand
//! of them; the second is the cost of starting, which is subtracted. The broker shares the machine,
//! so wall rates depend on it; rows per CPU-second count the query's process only.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::broker::{BrokerKind, GuardedBroker};
use crate::environment;
use crate::failure::{Failure, Result};
use crate::files;
use crate::say::say;
use crate::step::step;

mod answer;
mod dataset;
mod headwater;
mod iso_time;
mod measure;
mod orders;
mod output;
mod report;
mod script;

use answer::Answer;
use dataset::Dataset;
use headwater::Headwater;
use measure::{Cost, measure};
use report::Measured;
use script::{Script, Sink};

const START_UP_ROWS: u64 = 1_000;
const ORDERS_TOPIC: &str = "orders";
const START_UP_TOPIC: &str = "orders_start_up";

/// `cargo xtask bench …`
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// How often each query is measured; medians are reported
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Which queries
    #[arg(long, value_delimiter = ',', ignore_case = true, default_values_t = Query::ALL)]
    queries: Vec<Query>,
    /// Orders, without the four that close the last windows
    #[arg(long, default_value_t = 5_000_000)]
    rows: u64,
    /// Measure this executable instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
}

/// One of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Query {
    Q1,
    Q2,
    Q3,
    Q4,
}

impl Query {
    const ALL: [Query; 4] = [Query::Q1, Query::Q2, Query::Q3, Query::Q4];

    fn name(self) -> &'static str {
        match self {
            Query::Q1 => "q1",
            Query::Q2 => "q2",
            Query::Q3 => "q3",
            Query::Q4 => "q4",
        }
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Runs the benchmark and prints its table.
///
/// # Errors
/// If something cannot be built or started, a query fails, or an answer is wrong.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    let headwater = step("build headwater", || match &arguments.binary {
        Some(path) => Headwater::at(path),
        None => Headwater::build(),
    })?;
    let (orders, start_up) = step("prepare orders", || {
        let orders = Dataset::prepare(arguments.rows)?;
        Ok((orders, Dataset::prepare(START_UP_ROWS)?))
    })?;
    let broker = step("start broker", || GuardedBroker::start(BrokerKind::Tansu))?;
    let bench = Bench {
        headwater,
        bootstrap: broker.bootstrap(),
        scratch: Scratch::create()?,
    };
    step("load orders", || {
        let Bench { headwater, .. } = &bench;
        orders.load(headwater, &bench.bootstrap, ORDERS_TOPIC)?;
        start_up.load(headwater, &bench.bootstrap, START_UP_TOPIC)
    })?;
    let mut measured = Vec::new();
    for query in &arguments.queries {
        let name = format!("check {query}");
        let rows_out = step(&name, || bench.check(*query, &orders))?;
        measured.push(Measured::new(*query, orders.rows(), rows_out));
    }
    for run in 1..=arguments.runs {
        step(&format!("measure {run}/{}", arguments.runs), || {
            let mut queries = measured.iter_mut();
            queries.try_for_each(|measured| bench.measure(measured))
        })?;
    }
    say(report::table(&measured));
    Ok(())
}

/// What every run of a query needs.
#[derive(Debug)]
struct Bench {
    headwater: Headwater,
    bootstrap: String,
    scratch: Scratch,
}

impl Bench {
    /// Runs a query into files and compares every row; gives the number of rows.
    fn check(&self, query: Query, orders: &Dataset) -> Result<u64> {
        let (_, out) = self.run_script(query, ORDERS_TOPIC, Sink::Files)?;
        let mut answer = Answer::compute(query, orders.orders());
        output::for_each_row(&out, |row| answer.take(row))?;
        answer
            .finish()
            .map_err(|failure| Failure::new(format!("the answer of {query} is wrong: {failure}")))
    }

    /// Adds one measurement: the cost of starting, then of all orders.
    fn measure(&self, measured: &mut Measured) -> Result<()> {
        let query = measured.query();
        let (start_up, _) = self.run_script(query, START_UP_TOPIC, Sink::AsWritten)?;
        let (whole, _) = self.run_script(query, ORDERS_TOPIC, Sink::AsWritten)?;
        say(format_args!("{query}: {whole}; of it to start: {start_up}"));
        measured.push(whole, start_up);
        Ok(())
    }

    /// Runs a query in an empty folder; gives its cost and the folder.
    fn run_script(&self, query: Query, topic: &str, sink: Sink) -> Result<(Cost, PathBuf)> {
        let out = self.scratch.0.join("out");
        files::remove_dir(&out)?;
        files::create_dir(&out)?;
        let script = Script {
            query,
            bootstrap: &self.bootstrap,
            topic,
            out: &out,
            sink,
        };
        let path = script.write()?;
        let log = out.join("log");
        let cost = measure(&mut self.headwater.run(&path), &log)?;
        Ok((cost, out))
    }
}

/// A folder that goes with the benchmark.
#[derive(Debug)]
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> Result<Self> {
        let name = format!("run-{}", std::process::id());
        let path = environment::cache_dir("bench")?.join(name);
        files::create_dir(&path)?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is found in the cache, by its name.
        let _ = files::remove_dir(&self.0);
    }
}
