//! What `cargo xtask bench` is asked.

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::queries::{Data, NEXMARK, OrdersQuery, Query};
use crate::failure::{Failure, Result};

/// `cargo xtask bench …`
#[derive(Debug, Args)]
pub(crate) struct BenchArguments {
    /// How often each query is measured; medians and their spread are reported
    #[arg(long, visible_alias = "rounds", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) runs: u32,
    /// Which queries; may be repeated. `nexmark` is all that begin with n
    #[arg(
        long = "query",
        alias = "queries",
        value_name = "QUERY",
        value_delimiter = ',',
        ignore_case = true,
        value_parser = Selection::parser(),
        default_values = OrdersQuery::ALL.map(OrdersQuery::name)
    )]
    queries: Vec<Selection>,
    /// Orders, or events of Nexmark, without those that close the last windows
    #[arg(long, default_value_t = 5_000_000)]
    pub(super) rows: u64,
    /// Let every run write its rows where they can be read, and compare all of them each time
    #[arg(long)]
    pub(super) compare_all: bool,
    /// Let `DuckDB` compute the answers of q1 to q4 too, and compare every row with them
    #[arg(long)]
    pub(super) duckdb: bool,
    /// Measure this executable instead of building one
    #[arg(long, value_name = "PATH")]
    pub(super) binary: Option<PathBuf>,
    /// Measure another engine too, by turns with headwater
    #[arg(long, value_name = "ENGINE", ignore_case = true)]
    vs: Option<Peer>,
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
        for query in self.queries.iter().flat_map(Selection::queries) {
            if !queries.contains(&query) {
                queries.push(query);
            }
        }
        queries
    }

    /// Whether some of them read this.
    pub(super) fn reads(&self, data: Data) -> bool {
        self.queries().iter().any(|query| query.data() == data)
    }

    /// The other engine that is measured.
    ///
    /// # Errors
    /// If it runs none of the queries.
    pub(super) fn vs(&self) -> Result<Option<Peer>> {
        match self.vs {
            Some(Peer::Clink) if !self.reads(Data::Orders) => Err(Failure::new(
                "clink runs q1 to q4, and none of them is asked for: name one, or leave out --vs",
            )),
            vs => Ok(vs),
        }
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

/// What may be named as a query.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Selection {
    One(Query),
    /// All queries of Nexmark.
    Nexmark,
}

/// The name of all queries of Nexmark.
const NEXMARK_NAME: &str = "nexmark";

impl Selection {
    fn queries(&self) -> Vec<Query> {
        match self {
            Selection::One(query) => vec![*query],
            Selection::Nexmark => NEXMARK.iter().map(Query::Nexmark).collect(),
        }
    }

    /// Reads a name, which the command line may write large.
    fn parser() -> impl TypedValueParser<Value = Selection> {
        let names = Query::all().map(Query::name).chain([NEXMARK_NAME]);
        PossibleValuesParser::new(names).map(|name| {
            let is_it = |query: &Query| query.name().eq_ignore_ascii_case(&name);
            let query = Query::all().find(is_it);
            query.map_or(Selection::Nexmark, Selection::One)
        })
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

    fn names(words: &str) -> Vec<&'static str> {
        let queries = parse(words).unwrap().queries().into_iter();
        queries.map(Query::name).collect()
    }

    #[test]
    fn without_arguments_the_four_of_headwater_are_measured() {
        let arguments = parse("").unwrap();
        assert_eq!(names(""), ["q1", "q2", "q3", "q4"]);
        assert!(arguments.reads(Data::Orders) && !arguments.reads(Data::Nexmark));
        assert_eq!((arguments.runs, arguments.rows), (3, 5_000_000));
        assert_eq!(arguments.vs().unwrap(), None);
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
            assert_eq!(names(words), ["q2", "q1"], "{words}");
        }
    }

    #[test]
    fn those_of_nexmark_are_named_one_by_one_or_together() {
        assert_eq!(names("--query n5,N0"), ["n5", "n0"]);
        let arguments = parse("--query n5,n0").unwrap();
        assert!(arguments.reads(Data::Nexmark) && !arguments.reads(Data::Orders));
        assert_eq!(names("--query nexmark").len(), NEXMARK.len());
        let mixed = names("--query n7,q1,Nexmark");
        assert_eq!(mixed[..3], ["n7", "q1", "n0"]);
        assert_eq!(mixed.len(), NEXMARK.len() + 1);
    }

    #[test]
    fn the_other_engine_has_something_to_run() {
        let message = parse("--query n1 --vs clink").unwrap().vs().unwrap_err();
        assert!(message.to_string().starts_with("clink runs q1 to q4"));
        let vs = parse("--query n1,q1 --vs clink").unwrap().vs().unwrap();
        assert_eq!(vs, Some(Peer::Clink));
    }

    #[test]
    fn the_others_are_read() {
        let default = parse("").unwrap();
        assert!(!default.json && !default.compare_all && !default.duckdb);
        let words = "--query q1 --runs 5 --rows 100 --compare-all --duckdb --json --vs clink --binary /bin/headwater";
        let arguments = parse(words).unwrap();
        assert_eq!((arguments.runs, arguments.rows), (5, 100));
        assert_eq!(arguments.vs().unwrap(), Some(Peer::Clink));
        assert_eq!(arguments.binary, Some(PathBuf::from("/bin/headwater")));
        assert!(arguments.json && arguments.compare_all && arguments.duckdb);
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
            ("--query q5", "possible values: q1, q2, q3, q4, n0, n1"),
            ("--query n23", "[possible values: q1"),
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
