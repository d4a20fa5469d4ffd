//! `cargo xtask bench --latency`: how long a message takes from a topic through a query to another
//! topic, beside a relay of the same clients without an engine.
//!
//! ```text
//! load ──▶ topic ──▶ relay, or a query ──▶ topic ──▶ arrivals
//! ```
//! Kafka's clients are in a benchmark of the library, `crates/headwater/benches/latency`, which
//! this task builds, gives a broker and a folder on the disk of the cache, and runs. It prints every
//! latency; quantiles, medians over the rounds and tables are made here.
//!
//! The broker is noida: its transactions hold, and the relay is fastest through it. It answers
//! every consumer at once, whether there is a record or not, and so costs processor time that
//! the relay and the queries lack alike. Through Tansu a relay of 10,000 messages a second takes
//! ten times as long and more. The mock cluster of librdkafka answers a consumer that found nothing
//! after all of `fetch.wait.max.ms`, whatever comes meanwhile, and shows open transactions.

use std::process::Command;

use super::machine::Machine;
use super::{BenchArguments, Scratch};
use crate::broker::{BrokerKind, GuardedBroker};
use crate::command::{capture, cargo, run as run_command};
use crate::failure::Result;
use crate::say::{say, warn};
use crate::step::step;

mod figures;
mod json_line;
mod report;
mod runs;

use figures::{Figures, figures};

/// The version of all crates of the workspace.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Runs the benchmark and prints its table, or its lines of JSON.
///
/// # Errors
/// If something cannot be built or started, or a message is lost or comes twice.
pub(super) fn run(arguments: &BenchArguments) -> Result<()> {
    let scratch = Scratch::create()?;
    let bench = |more: &[&str]| {
        let profile = ["bench", "--profile", &arguments.profile];
        let target = ["--package", "headwater", "--bench", "latency"];
        let mut command = cargo(profile);
        command.args(target).args(more);
        command
    };
    step("build benchmark", || run_command(&mut bench(&["--no-run"])))?;
    let broker = step("start broker", || GuardedBroker::start(BrokerKind::Noida))?;
    let mut command = bench(&["--"]);
    asked(&mut command, arguments, &broker.bootstrap());
    // Its checkpoints are files for temporary use, and have to be on a disk.
    command.env("TMPDIR", &scratch.0);
    let printed = step("measure", || capture(&mut command))?;
    let figures: Vec<Figures> = figures(runs::read(&printed)?)?;
    let table = report::table(&figures, arguments.rate);
    if !arguments.json {
        say(table);
        return Ok(());
    }
    warn(table);
    let machine = Machine::this();
    for figures in &figures {
        say(json_line::line(figures, arguments, VERSION, &machine)?);
    }
    Ok(())
}

/// What the benchmark is asked.
fn asked(command: &mut Command, arguments: &BenchArguments, bootstrap: &str) {
    command.args(["--bootstrap", bootstrap]);
    for (option, number) in [
        ("--rate", arguments.rate),
        ("--seconds", arguments.seconds),
        ("--rounds", arguments.runs),
    ] {
        command.arg(option).arg(number.to_string());
    }
}
