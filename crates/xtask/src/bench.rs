//! `cargo xtask bench`: four queries over orders, and those of Nexmark, from a Kafka topic to a sink.
//!
//! | query | what | sink when measured |
//! | --- | --- | --- |
//! | Q1 | filter and project | blackhole |
//! | Q2 | tumbling windows of 10 s by symbol | files |
//! | Q3 | hopping windows of 60 s every 10 s by symbol | files |
//! | Q4 | tumbling windows of 100 s by client, nearly every row a group | blackhole |
//!
//! Those of Nexmark are in `queries`, their scripts in `sql/bench/nexmark`.
//!
//! Each query first runs once into files, and every row is compared with an answer that is
//! computed here from the same orders, or by `DuckDB` from the same events. Then each runs N times
//! over all rows and over a thousand of them; the second is the cost of starting, which is
//! subtracted. The number of rows of these runs is compared too, or every row. The broker shares the machine, so
//! wall rates depend on it; rows per CPU-second count the query's process only.
//!
//! Two things are measured beside them, in the same rounds and by the same code. The floor reads
//! the topic with headwater's client and decodes nothing: no query can cost less. With `--vs`
//! another engine runs the same queries over the same orders, and its answers are compared too.
//!
//! `--latency` measures something else, with another broker: see [`latency`].

use std::cell::Cell;
use std::path::PathBuf;

use crate::broker::{BrokerKind, GuardedBroker};
use crate::environment;
use crate::failure::Result;
use crate::files;
use crate::say::{say, warn};
use crate::step::step;

mod answer;
mod arguments;
mod chart;
mod clink;
mod dataset;
mod duckdb;
mod figures;
mod headwater;
mod iso_time;
mod json_line;
mod latency;
mod machine;
mod measure;
mod nexmark;
mod orders;
mod output;
mod queries;
mod random;
mod report;
mod rounds;
mod script;
mod spread;

pub(crate) use arguments::BenchArguments;
use arguments::Peer;
use clink::Clink;
use dataset::Generator;
use duckdb::DuckDb;
use figures::QueryFigures;
use headwater::Headwater;
use machine::Machine;
use orders::TimeFormat;
use queries::Data;
use rounds::{Bench, Compared, Input, Subject};

/// Runs the benchmark and prints its table, or its lines of JSON.
///
/// # Errors
/// If something cannot be built or started, a query fails, or an answer is wrong.
pub(crate) fn run(arguments: &BenchArguments) -> Result<()> {
    if arguments.latency {
        return latency::run(arguments);
    }
    let chart = arguments.chart()?;
    let vs = arguments.vs()?;
    let scratch = Scratch::create()?;
    let headwater = step("build headwater", || match &arguments.binary {
        Some(path) => Headwater::at(path),
        None => Headwater::build(),
    })?;
    let version = headwater.version()?;
    let prepare = |generator| {
        let name = format!("prepare {generator}");
        step(&name, || Input::prepare(generator, arguments.rows))
    };
    let orders = arguments.reads(Data::Orders);
    let orders = orders.then(|| prepare(Generator::Orders(TimeFormat::Text)));
    let clink = vs.map(|Peer::Clink| {
        let clink = step("prepare clink", || Clink::prepare(&scratch.0))?;
        Ok((clink, prepare(Generator::Orders(TimeFormat::Milliseconds))?))
    });
    let nexmark = arguments.reads(Data::Nexmark);
    let duckdb = (nexmark || arguments.duckdb)
        .then(|| step("prepare DuckDB", || DuckDb::prepare(&scratch.0)));
    let duckdb = duckdb.transpose()?;
    let nexmark = nexmark.then(|| prepare(Generator::Nexmark));
    let (orders, clink, nexmark) = (
        orders.transpose()?,
        clink.transpose()?,
        nexmark.transpose()?,
    );
    let broker = step("start broker", || GuardedBroker::start(BrokerKind::Tansu))?;
    let bench = Bench {
        headwater,
        orders,
        nexmark,
        duckdb,
        clink,
        compared: match arguments.compare_all {
            true => Compared::Rows,
            false => Compared::Numbers,
        },
        bootstrap: broker.bootstrap(),
        scratch: scratch.0.clone(),
        runs: Cell::new(0),
    };
    step("load topics", || bench.load(&arguments.queries()))?;
    let subjects = measure(&bench, arguments)?;
    let subjects = subjects.iter();
    let figures: Vec<QueryFigures> = subjects.filter_map(|s| s.measured.figures()).collect();
    let machine = Machine::this();
    if let Some(path) = chart {
        files::write(&path, &chart::svg(&figures, &version, &machine))?;
    }
    if !arguments.json {
        say(report::table(&figures));
        return Ok(());
    }
    warn(report::table(&figures));
    for figures in &figures {
        say(json_line::line(figures, &version, &machine)?);
    }
    Ok(())
}

/// Checks the answers of all queries, and measures them in rounds.
fn measure(bench: &Bench, arguments: &BenchArguments) -> Result<Vec<Subject>> {
    let mut subjects = Vec::new();
    for query in arguments.queries() {
        subjects.push(step(&format!("check {query}"), || bench.check(query))?);
    }
    for round in 1..=arguments.runs {
        step(&format!("measure {round}/{}", arguments.runs), || {
            bench.measure_round(round, &mut subjects)
        })?;
    }
    Ok(subjects)
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
