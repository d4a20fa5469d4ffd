//! `cargo xtask test`: build, start a real broker, run every test, stop the broker.
//!
//! Every step runs even if one before it failed, and the failed ones are named at the end, so
//! that one run shows all there is to mend. Without a name, all suites run; names choose tests.

use std::path::Path;

use clap::Args;

use crate::command::{cargo, run as run_command, succeeds};
use crate::environment::is_ci;
use crate::failure::{Failure, Result};
use crate::files;
use crate::peers;
use crate::say::say;
use crate::step::step;
use crate::stopwatch::Stopwatch;

mod cluster;
mod plan;

use cluster::{BOOTSTRAP_VARIABLE, Cluster, NO_CLUSTER};
use plan::{Needs, Profile, Runner, TestStep, plan};

/// What `--long` sets: the first is for our own tests, which then take more seeds, crashes and
/// rows; the second is read by proptest.
const LONG_VARIABLES: [(&str, &str); 2] =
    [("HEADWATER_TEST_LONG", "1"), ("PROPTEST_CASES", "4096")];

/// Names the file into which the crash matrix writes what it did: a runner of tests keeps what they
/// print, or says more after it.
const CRASH_SUMMARY_VARIABLE: &str = "HEADWATER_TEST_CRASH_SUMMARY";

/// `cargo xtask test …`
#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Run the random tests and the load for longer: more cases, more patience
    #[arg(long)]
    long: bool,
    /// Run the tests whose names contain one of these; `slt NAME…`, `it NAME…`, `crash`
    /// and `load` choose a suite
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl TestArguments {
    fn profile(&self) -> Profile {
        match (self.long, is_ci()) {
            (true, _) => Profile::Long,
            (false, true) => Profile::Ci,
            (false, false) => Profile::Default,
        }
    }
}

/// Runs the tests.
///
/// # Errors
/// If something does not build, a test fails, or the broker is missing on a build machine.
pub(crate) fn run(arguments: &TestArguments) -> Result<()> {
    let stopwatch = Stopwatch::start();
    let profile = arguments.profile();
    let runner = if succeeds(&mut cargo(["nextest", "--version"])) {
        Runner::Nextest
    } else {
        Runner::Cargo
    };
    let steps = plan(&arguments.names, runner, profile);
    step("build tests", || {
        let targets = ["--bins", "--tests", "--examples"];
        run_command(cargo(["build", "--workspace"]).args(targets))
    })?;
    let crash_summary = std::env::temp_dir();
    let crash_summary = crash_summary.join(format!("headwater-crash-{}", std::process::id()));
    let mut failed: Vec<&str> = Vec::new();
    let mut left_out: Vec<&str> = Vec::new();
    for test_step in &steps {
        match run_step(test_step, profile, &crash_summary) {
            Ok(missing) => left_out.extend(missing),
            Err(failure) => {
                say(format_args!("{failure}"));
                failed.push(test_step.name);
            }
        }
    }
    let summary = files::take(&crash_summary)?;
    let elapsed_s = stopwatch.elapsed().as_secs_f64();
    if !failed.is_empty() {
        say_crashes(summary.as_deref());
        let failed = failed.join(", ");
        return Err(Failure::new(format!(
            "failed after {elapsed_s:.1} s: {failed}"
        )));
    }
    left_out.sort_unstable();
    left_out.dedup();
    let what = match left_out.as_slice() {
        [] => "tests passed".to_string(),
        missing => format!(
            "tests passed; THOSE OF {} WERE LEFT OUT;",
            missing.join(", ")
        ),
    };
    say(format_args!("{what} in {elapsed_s:.1} s"));
    say_crashes(summary.as_deref());
    Ok(())
}

/// Says as the last thing what the crash matrix did, if it ran.
fn say_crashes(summary: Option<&str>) {
    if let Some(summary) = summary {
        say(format_args!("crash matrix: {}", summary.trim_end()));
    }
}

/// Runs one step, with a cluster beside it if it needs one; the cluster ends with the step. Gives
/// what could not be had, so that its tests were left out.
fn run_step(
    test_step: &TestStep,
    profile: Profile,
    crash_summary: &Path,
) -> Result<Vec<&'static str>> {
    let mut command = cargo(&test_step.arguments);
    command.env(CRASH_SUMMARY_VARIABLE, crash_summary);
    if profile == Profile::Long {
        command.envs(LONG_VARIABLES);
    }
    let mut missing = Vec::new();
    if test_step.needs == Needs::Nothing {
        step(test_step.name, || run_command(&mut command))?;
        return Ok(missing);
    }
    if test_step.needs == Needs::ClusterAndPeers {
        for peer in step("find other clients", peers::find)? {
            command.env(peer.variable, &peer.place);
            if peer.is_missing() {
                missing.push(peer.name);
            }
        }
    }
    let cluster = step("find broker", Cluster::find_or_start)?;
    let bootstrap = cluster.bootstrap();
    command.env(BOOTSTRAP_VARIABLE, &bootstrap);
    if bootstrap == NO_CLUSTER {
        missing.push("a real broker");
    }
    let result = step(test_step.name, || run_command(&mut command));
    step("stop broker", || {
        drop(cluster);
        Ok(())
    })?;
    result.map(|()| missing)
}
