//! What `cargo xtask bench` is asked.

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::failure::{Failure, Result};

/// `cargo xtask bench …`
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// How often each query is measured; medians and their spread are reported
    #[arg(long, visible_alias = "rounds", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) runs: u32,
    /// Which queries; may be repeated
    #[arg(
        long = "query",
        alias = "queries",
        value_name = "QUERY",
        value_delimiter = ',',
        ignore_case = true,
        default_values_t = Query::ALL
    )]
    queries: Vec<Query>,
    /// Orders, without the four that close the last windows
    #[arg(long, default_value_t = 5_000_000)]
    pub(super) rows: u64,
    /// Measure this executable instead of building one
    #[arg(long, value_name = "PATH")]
    pub(super) binary: Option<PathBuf>,
    /// Measure another engine too, by turns with headwater
    #[arg(long, value_name = "ENGINE", ignore_case = true)]
    pub(super) vs: Option<Peer>,
    /// Print a line of JSON for each query to stdout, and everything else to stderr
    #[arg(long)]
    pub(super) json: bool,
    /// Draw rows per CPU-second as an SVG
    #[arg(long, value_name = "PATH")]
    chart: Option<PathBuf>,
    /// Measure latencies from a topic through a query to a topic, beside a relay without an engine
    #[arg(long, conflicts_with_all = ["queries", "rows", "binary", "vs", "chart"])]
    pub(super) latency: bool,
    /// Messages a second, of --latency
    #[arg(
        long,
        requires = "latency",
        default_value_t = 10_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(super) rate: u32,
    /// How long each run of --latency is measured, after a warm-up
    #[arg(
        long,
        requires = "latency",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(super) seconds: u32,
    /// Profile of cargo that --latency is built with; only optimised figures mean something
    #[arg(
        long,
        requires = "latency",
        value_name = "NAME",
        default_value = "bench"
    )]
    pub(super) profile: String,
}

impl BenchArguments {
    /// The queries as they were asked for, each once.
    pub(super) fn queries(&self) -> Vec<Query> {
        let mut queries = Vec::new();
        for query in &self.queries {
            if !queries.contains(query) {
                queries.push(*query);
            }
        }
        queries
    }

    /// Where the chart goes.
    ///
    /// # Errors
    /// If its folder does not exist, which is better known before the measurement.
    pub(super) fn chart(&self) -> Result<Option<PathBuf>> {
        let Some(path) = &self.chart else {
            return Ok(None);
        };
        let path = std::path::absolute(path).map_err(|error| Failure::new(error.to_string()))?;
        match path.parent().is_some_and(std::path::Path::is_dir) {
            true => Ok(Some(path)),
            false => Err(Failure::new(format!(
                "the folder of the chart \"{}\" does not exist",
                path.display()
            ))),
        }
    }
}

/// One of the queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Query {
    Q1,
    Q2,
    Q3,
    Q4,
}

impl Query {
    pub(super) const ALL: [Query; 4] = [Query::Q1, Query::Q2, Query::Q3, Query::Q4];

    /// Its name in file names and on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Query::Q1 => "q1",
            Query::Q2 => "q2",
            Query::Q3 => "q3",
            Query::Q4 => "q4",
        }
    }

    /// What it does, in a few words.
    pub(super) fn what(self) -> &'static str {
        match self {
            Query::Q1 => "filter and project",
            Query::Q2 => "tumbling windows, 500 keys",
            Query::Q3 => "hopping windows, 500 keys",
            Query::Q4 => "tumbling windows, 1 M keys",
        }
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An engine that headwater is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Peer {
    /// The C++ engine of the Python package `pyclink`
    Clink,
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArguments,
    }

    fn parse(words: &str) -> std::result::Result<BenchArguments, clap::Error> {
        let words = std::iter::once("bench").chain(words.split_whitespace());
        Ok(Line::try_parse_from(words)?.bench)
    }

    impl BenchArguments {
        /// Those of a command line.
        pub(in super::super) fn of(words: &str) -> Self {
            parse(words).unwrap()
        }
    }

    #[test]
    fn without_arguments_everything_of_headwater_is_measured() {
        let arguments = parse("").unwrap();
        assert_eq!(arguments.queries(), Query::ALL);
        assert_eq!((arguments.runs, arguments.rows), (3, 5_000_000));
        assert_eq!(arguments.vs, None);
        assert!(!arguments.json);
        assert_eq!(arguments.chart().unwrap(), None);
    }

    #[test]
    fn queries_are_repeated_or_listed_under_both_names() {
        for words in [
            "--query q2 --query q1",
            "--query q2,q1",
            "--queries q2,q1",
            "--queries Q2 --query q1,q2",
        ] {
            let queries = parse(words).unwrap().queries();
            assert_eq!(queries, [Query::Q2, Query::Q1], "{words}");
        }
    }

    #[test]
    fn the_others_are_read() {
        let words = "--query q1 --runs 5 --rows 100 --json --vs clink --binary /bin/headwater";
        let arguments = parse(words).unwrap();
        assert_eq!((arguments.runs, arguments.rows), (5, 100));
        assert_eq!(arguments.vs, Some(Peer::Clink));
        assert_eq!(arguments.binary, Some(PathBuf::from("/bin/headwater")));
        assert!(arguments.json);
    }

    #[test]
    fn latencies_have_options_of_their_own() {
        let arguments = parse("--latency").unwrap();
        assert!(arguments.latency);
        assert_eq!((arguments.rate, arguments.seconds), (10_000, 20));
        assert_eq!((arguments.runs, arguments.profile.as_str()), (3, "bench"));
        let words = "--latency --rate 500 --seconds 3 --rounds 2 --profile dev --json";
        let arguments = parse(words).unwrap();
        assert_eq!((arguments.rate, arguments.seconds), (500, 3));
        assert_eq!((arguments.runs, arguments.profile.as_str()), (2, "dev"));
        assert!(arguments.json);
        for (words, reason) in [
            ("--rate 5", "--latency"),
            ("--seconds 5", "--latency"),
            ("--profile dev", "--latency"),
            ("--latency --rate 0", "0 is not in 1.."),
            ("--latency --seconds 0", "0 is not in 1.."),
            ("--latency --query q1", "cannot be used with"),
            ("--latency --rows 5", "cannot be used with"),
            ("--latency --vs clink", "cannot be used with"),
        ] {
            let message = parse(words).unwrap_err().to_string();
            assert!(message.contains(reason), "{words}: {message}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for (words, reason) in [
            ("--query q5", "possible values: q1, q2, q3, q4"),
            ("--runs 0", "0 is not in 1.."),
            ("--vs another", "possible values: clink"),
        ] {
            let message = parse(words).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }

    #[test]
    fn a_chart_needs_a_folder() {
        let arguments = parse("--chart no-such-folder/chart.svg").unwrap();
        let message = arguments.chart().unwrap_err().to_string();
        assert!(message.ends_with("does not exist"), "{message}");
        let arguments = parse("--chart chart.svg").unwrap();
        assert!(arguments.chart().unwrap().is_some());
    }
}
