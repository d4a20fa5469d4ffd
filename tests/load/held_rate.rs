//! The test: a rate is held, and nothing grows meanwhile.

use std::io::Write;
use std::time::Duration;

use headwater_tests::real_broker;

use crate::job::{Job, Length};
use crate::process::Process;
use crate::verdict::{Sample, Shortfall, Verdict};

/// How long the rows that are under way at the end may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is a matter of the environment"
)]
fn length() -> Length {
    match std::env::var("HEADWATER_TEST_LONG") {
        Ok(_) => Length::LONG,
        Err(_) => Length::SHORT,
    }
}

/// Says something to whoever runs the test: the harness keeps what is printed in the usual way.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").unwrap();
}

#[test]
fn a_rate_is_held_without_growth() {
    let mut length = length();
    let mut has_grown = false;
    loop {
        match hold(length) {
            Ok(()) => return,
            // What grows does so again; what only looked so does not.
            Err(Shortfall::Grows(why)) if has_grown => panic!("{why}"),
            Err(Shortfall::Grows(why)) => {
                say(&format!("again, for longer, because {why}"));
                length = length.again();
                has_grown = true;
            }
            Err(Shortfall::Lags(why)) => {
                say(&format!("{} rows/s are too many here: {why}", length.rate));
                length = length.slower().unwrap_or_else(|| panic!("{why}"));
            }
        }
    }
}

/// Runs the job. What it writes must be right at any rate.
///
/// # Errors
/// What grows or lags.
fn hold(length: Length) -> Result<(), Shortfall> {
    let job = Job::new(length, real_broker());
    if job.servers().is_none() {
        say("there is no broker: the queries with topics are left out");
    }
    let mut process = Process::start(&job);
    let mut samples: Vec<Sample> = Vec::new();
    while !process.has_ended_those_of_generators() {
        process.wait();
        samples.extend(process.sample());
        if let Some(sample) = samples.last().filter(|_| samples.len() % 10 == 1) {
            say(&sample.line());
        }
        let seconds = process.seconds();
        let most = job.length().seconds as f64 + PATIENCE.as_secs_f64();
        if seconds > most {
            return Err(Shortfall::Lags(format!("not done after {seconds:.0} s")));
        }
    }
    let sums = job.read_sums();
    let said = process.stop();
    let verdict = Verdict::of(job.length(), &samples);
    say(&said.table(&job));
    say(&verdict.table());
    job.check_files();
    job.check_sums(&sums);
    said.check(&job);
    verdict.check()
}
