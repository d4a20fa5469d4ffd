//! Tasks that need more than cargo: `cargo xtask test`, `cargo xtask bench`, `cargo xtask figures`,
//! `cargo xtask fuzz`, `cargo xtask broker`, `cargo xtask peers`.
//!
//! This crate knows the other crates only by their names on cargo's command line, so that it
//! builds in seconds. Data goes to stdout, notices and errors go to stderr.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::bench::BenchArguments;
use crate::broker::BrokerCommand;
use crate::failure::Result;
use crate::fuzz::FuzzArguments;
use crate::test::TestArguments;

mod bench;
mod broker;
mod command;
mod environment;
mod failure;
mod figures;
mod files;
mod fuzz;
mod peers;
mod say;
mod step;
mod stopwatch;
mod test;
mod wheels;

/// Tasks of this workspace.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build and run the tests, with a real broker beside them
    Test(TestArguments),
    /// Measure the queries of sql/bench from end to end
    Bench(BenchArguments),
    /// Write the figures and tables of the documentation that tests make
    Figures,
    /// Look for inputs that make decoders, the checkpoint reader or the SQL front end fail
    Fuzz(FuzzArguments),
    /// Start or stop a broker to develop against
    #[command(subcommand)]
    Broker(BrokerCommand),
    /// Print the variables that tell tests of the other Kafka clients, which are fetched if need be
    Peers,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say::warn(format_args!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Test(arguments) => test::run(&arguments),
        Task::Bench(arguments) => bench::run(&arguments),
        Task::Figures => figures::run(),
        Task::Fuzz(arguments) => fuzz::run(&arguments),
        Task::Broker(command) => broker::run(command),
        Task::Peers => peers::run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
