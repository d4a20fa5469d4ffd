//! The arguments as typed. Nothing here touches the environment; each command makes sense of its
//! own arguments in its own file.

use std::path::PathBuf;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::exit_code::EXIT_CODES_HELP;
use crate::print::Showing;

/// Streaming SQL over Kafka topics, files and more.
#[derive(Debug, Parser)]
#[command(name = "headwater", version, max_term_width = 100, after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES_HELP}"), propagate_version = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) messages: MessageArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  headwater demo brokerage                    see it work, with nothing installed
  headwater sql -e 'SELECT 1 + 1'             one statement
  headwater sql                               a prompt
  headwater run job.sql --define SERVERS=localhost:9092
                                              the statements of a file, until its queries end
  headwater doctor job.sql                    what a file needs, before it is run
  headwater dev-broker --topic orders:4       a Kafka broker to try things with";

/// What is said on standard error.
#[derive(Debug, ClapArgs)]
pub(crate) struct MessageArgs {
    /// Say more; twice, say everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Which log lines to show, such as `info` or `headwater_kafka=debug,warn`
    #[arg(long, global = true, value_name = "FILTER")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the statements of a file, and its queries until they end
    Run(RunArgs),
    /// Run statements given as text, or ask for them at a prompt
    Sql(SqlArgs),
    /// Look at what a script needs before it is run: topics, rights, clocks, disks, checkpoints
    Doctor(DoctorArgs),
    /// Run a Kafka broker inside this process, for trying things out
    DevBroker(DevBrokerArgs),
    /// List topics, write lines to one, look at one, find the columns of one
    Kafka(KafkaArgs),
    /// Look at the checkpoint of a query, check its files, or take the query back
    Checkpoint(CheckpointArgs),
    /// Show a whole pipeline at work, with its own broker and its own data
    Demo(DemoArgs),
}

/// How rows of a SELECT are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A table with a frame
    Table,
    /// One JSON object a row
    Json,
    /// Comma-separated values after a line of names
    Csv,
}

/// When a line of progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressWhen {
    /// If standard error is a terminal
    Auto,
    /// Always; a line each if standard error is no terminal
    Always,
    /// Never
    Never,
}

/// What is set before statements are run or looked at.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SettingArgs {
    /// Set a default for the queries, as the statement SET does
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) set: Vec<(String, String)>,
    /// Let a query that has changed go on without the state that does not fit any more; the log
    /// names what is dropped
    #[arg(long)]
    pub(crate) allow_state_drop: bool,
    /// Take the checkpoints of the queries from a process that has them, because it hangs; it stops
    /// before it writes again
    #[arg(long)]
    pub(crate) takeover: bool,
    /// How rows are printed; those of a SELECT STREAM with the epoch and with `+I` for a new row,
    /// `+U` for a row in its newest version
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: RowFormat,
}

/// How statements are run, wherever they come from.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SessionArgs {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// How long queries may go on after the first signal; what they are doing then is abandoned, and
    /// done again at the next start [default: 5 seconds]
    #[arg(long, value_name = "INTERVAL")]
    pub(crate) drain_timeout: Option<String>,
    /// Show a line of progress on standard error while queries run and rows are read
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", num_args = 0..=1,
        default_missing_value = "always", require_equals = true)]
    pub(crate) progress: ProgressWhen,
}

impl SessionArgs {
    /// How rows of a bounded read are shown.
    pub(crate) fn showing(&self) -> Showing {
        Showing {
            format: self.settings.format,
            progress: self.progress,
        }
    }
}

const RUN_HELP: &str = "\
Statements run in order; the streaming queries they start run side by side. The command ends when
all have ended, or at the first signal (Ctrl-C, SIGTERM), after the running epochs: an epoch that
does not end within --drain-timeout is abandoned, and run again at the next start. A second signal
ends the command at once.

Examples:
  headwater run job.sql
  headwater run job.sql --set trigger=available-now --set checkpoint=/var/lib/headwater
  headwater run sql/batch-read.sql --define BOOTSTRAP=localhost:9092
  cat lines.csv | headwater run from-stdin.sql";

#[derive(Debug, ClapArgs)]
#[command(after_help = RUN_HELP, after_long_help = format!("{RUN_HELP}\n\n{EXIT_CODES_HELP}"))]
pub(crate) struct RunArgs {
    /// The script; `-` is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
    /// Replace `${NAME}` in the script
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) define: Vec<(String, String)>,
}

const DOCTOR_HELP: &str = "\
Runs the declarations of the script, plans its queries, and starts none. Compares every query with
its checkpoint as a start does, and reads its files. Looks whether every source and sink is there and
may be used, how much is left to read, whose clock is ahead, whether the disk under a checkpoint can
be written, how fast and how much, and who holds the checkpoint and the folder of a sink. Nothing is
changed.

The options are those of `run` that say what a start would do. Prints a line a check, `ok`, `warn` or
`fail`, with what to do. Ends with 1 if one failed, with 2 if the script is not SQL, else with 0.

Examples:
  headwater doctor job.sql
  headwater doctor job.sql --define BOOTSTRAP=localhost:9092
  headwater doctor job.sql --format json";

#[derive(Debug, ClapArgs)]
#[command(after_help = DOCTOR_HELP, after_long_help = DOCTOR_HELP)]
pub(crate) struct DoctorArgs {
    /// The script; `-` is standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Replace `${NAME}` in the script
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) define: Vec<(String, String)>,
}

const SQL_HELP: &str = "\
Without -e, statements are read from standard input if that is no terminal, and from a prompt if it
is one. At the prompt, a statement ends with `;`, and `\\?` lists the commands.

Examples:
  headwater sql -e 'SELECT 1 AS n' --format json
  headwater sql < statements.sql
  headwater sql";

#[derive(Debug, ClapArgs)]
#[command(after_help = SQL_HELP, after_long_help = format!("{SQL_HELP}\n\n{EXIT_CODES_HELP}"))]
pub(crate) struct SqlArgs {
    /// Statements to run; may be given more than once
    #[arg(
        short = 'e',
        long = "execute",
        value_name = "TEXT",
        allow_hyphen_values = true
    )]
    pub(crate) execute: Vec<String>,
    #[command(flatten)]
    pub(crate) session: SessionArgs,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Prints `bootstrap.servers=HOST:PORT` on standard output and runs until a signal.

Examples:
  headwater dev-broker --topic orders:4 --topic metrics:1")]
pub(crate) struct DevBrokerArgs {
    /// A topic and its number of partitions
    #[arg(long = "topic", value_name = "NAME:PARTITIONS", value_parser = topic_partitions)]
    pub(crate) topics: Vec<(String, i32)>,
    /// Refused: the broker cannot choose its port, and prints the one it got
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct KafkaArgs {
    #[command(subcommand)]
    pub(crate) command: KafkaCommand,
}

/// Where the cluster is.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ConnectionArgs {
    /// Brokers to ask first
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092")]
    pub(crate) bootstrap: String,
    /// A property of librdkafka, such as `security.protocol=ssl`
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value)]
    pub(crate) property: Vec<(String, String)>,
}

/// A topic, in its place or by `--topic`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct TopicArg {
    /// The topic
    #[arg(value_name = "TOPIC", required_unless_present = "named")]
    place: Option<String>,
    /// The topic, too
    #[arg(long = "topic", value_name = "TOPIC", conflicts_with = "place")]
    named: Option<String>,
}

impl TopicArg {
    pub(crate) fn name(&self) -> &str {
        let given = self.place.as_deref().or(self.named.as_deref());
        given.unwrap_or_default()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum KafkaCommand {
    /// List the topics and the offsets they hold
    #[command(after_help = "Examples:\n  headwater kafka topics --bootstrap localhost:9092")]
    Topics(TopicsArgs),
    /// Write lines to a topic, one message a line
    #[command(after_help = "\
Examples:
  seq 1 10 | headwater kafka produce numbers
  headwater kafka produce --topic orders --file orders.csv --rate 1000
  headwater kafka produce --topic orders --key-separator ':' --create --partitions 4")]
    Produce(ProduceArgs),
    /// Show the messages of a topic
    #[command(after_help = "\
Examples:
  headwater kafka tail metrics
  headwater kafka tail --topic metrics --from earliest --until-end --format json
  headwater kafka tail --topic metrics --from earliest --max 10")]
    Tail(TailArgs),
    /// Look at messages of a topic, and print the CREATE SOURCE that declares it
    #[command(after_help = INFER_HELP)]
    Infer(InferArgs),
}

const INFER_HELP: &str = "\
Prints the statement on standard output, and what was seen on standard error. Columns are nullable,
and as wide as the messages need; names that no one type holds are left out, and noted. Values of
passwords are printed as references to environment variables.

Without --format it is guessed: debezium-json, json, influx, csv, text or raw. Avro needs a schema.

Examples:
  headwater kafka infer orders --bootstrap localhost:9092 --sample 10000 > orders.sql
  headwater kafka infer trades --format csv --format-option 'delimiter=;'
  headwater kafka infer events --format avro --format-option schema.registry=http://localhost:8081";

#[derive(Debug, ClapArgs)]
pub(crate) struct InferArgs {
    #[command(flatten)]
    pub(crate) topic: TopicArg,
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// The format of the messages, such as json, csv, avro, influx, debezium-json
    #[arg(long, value_name = "NAME")]
    pub(crate) format: Option<String>,
    /// An option of the format, as in the parentheses after FORMAT
    #[arg(long, value_name = "NAME=VALUE", value_parser = key_value, requires = "format")]
    pub(crate) format_option: Vec<(String, String)>,
    /// Messages to look at, at most
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = sample_size)]
    pub(crate) sample: usize,
    /// Whether to look at the first messages there are, or at the last ones
    #[arg(long, value_enum, default_value = "earliest")]
    pub(crate) from: From,
    /// The name of the source in the statement; without it, the topic's
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TopicsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// How the list is printed
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: RowFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct ProduceArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) topic: TopicArg,
    /// Write to this partition; without it, the key chooses
    #[arg(long, value_name = "N")]
    pub(crate) partition: Option<i32>,
    /// Read lines from here; without it, from standard input
    #[arg(long)]
    pub(crate) file: Option<PathBuf>,
    /// What stands before this text in a line is the key
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_separator: Option<String>,
    /// Messages a second, at most
    #[arg(long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Create the topic first
    #[arg(long)]
    pub(crate) create: bool,
    /// How many partitions the created topic has
    #[arg(long, value_name = "N", default_value = "1", requires = "create")]
    pub(crate) partitions: i32,
}

/// Where `tail` begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum From {
    /// At the first message there is
    Earliest,
    /// After the last message there is
    Latest,
}

/// How `tail` prints messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum MessageFormat {
    /// The value alone
    Text,
    /// One JSON object a message, with partition, offset, timestamp, key and value
    Json,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct TailArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(flatten)]
    pub(crate) topic: TopicArg,
    /// Where to begin
    #[arg(long, value_enum, default_value = "latest")]
    pub(crate) from: From,
    /// End after this many messages
    #[arg(long, value_name = "N")]
    pub(crate) max: Option<u64>,
    /// End at the end of the topic as it is now
    #[arg(long)]
    pub(crate) until_end: bool,
    /// How messages are printed
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: MessageFormat,
}

#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  headwater demo                              which demos there are
  headwater demo brokerage
  headwater demo brokerage --rows 20000 --keep")]
pub(crate) struct DemoArgs {
    /// Which one; without it, they are listed
    pub(crate) name: Option<String>,
    /// How many rows it makes
    #[arg(long, default_value_t = 500_000, value_parser = clap::value_parser!(u64).range(1..=20_000_000))]
    pub(crate) rows: u64,
    /// Keep its broker at the end, until a signal
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct CheckpointArgs {
    #[command(subcommand)]
    pub(crate) command: CheckpointCommand,
}

const REWIND_HELP: &str = "\
The query must be stopped. It goes on as after the epoch: with its offsets, its watermarks and its
state. `inspect` lists the epochs that are kept; the setting checkpoint.retain says how many are.

What the epochs after it wrote: a filesystem sink removes its files when the query starts again.
Every other sink keeps its rows, and gets them a second time; then --allow-duplicates must say that
this does no harm.

Examples:
  headwater checkpoint rewind /var/lib/headwater/windows --to 40
  headwater checkpoint rewind /var/lib/headwater/alerts --to 40 --allow-duplicates";

#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Show what the query is, where it stands, how large its state is and who runs it
    #[command(after_help = "\
A running query is not disturbed. JSON is one object, with every kept commit as it is on disk.

Examples:
  headwater checkpoint inspect /var/lib/headwater/windows
  headwater checkpoint inspect /var/lib/headwater/windows --format json")]
    Inspect(InspectArgs),
    /// Read every file, and say which are whole, damaged or left over
    #[command(after_help = "\
Ends with exit code 5 if a file is damaged that the query needs to go on. Damage to files of older
commits, and files that nothing refers to, do no harm.

Examples:
  headwater checkpoint verify /var/lib/headwater/windows")]
    Verify(InspectArgs),
    /// Let a stopped query go on from an older epoch
    #[command(after_help = REWIND_HELP)]
    Rewind(RewindArgs),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct InspectArgs {
    /// The folder of the query
    pub(crate) folder: PathBuf,
    /// How the lists are printed
    #[arg(long, value_enum, default_value = "table")]
    pub(crate) format: RowFormat,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct RewindArgs {
    /// The folder of the query
    pub(crate) folder: PathBuf,
    /// The epoch after which the query goes on
    #[arg(long, value_name = "EPOCH")]
    pub(crate) to: u64,
    /// Write rows again that the sink cannot take back
    #[arg(long)]
    pub(crate) allow_duplicates: bool,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_string(), value.to_string()))
        }
        _ => Err("expected a name, `=` and a value".to_string()),
    }
}

fn topic_partitions(text: &str) -> Result<(String, i32), String> {
    let (name, partitions) = text.rsplit_once(':').unwrap_or((text, "1"));
    match partitions.parse() {
        Ok(partitions) if (1..=1000).contains(&partitions) && !name.is_empty() => {
            Ok((name.to_string(), partitions))
        }
        _ => Err("expected a name, `:` and a number of partitions from 1 to 1000".to_string()),
    }
}

fn sample_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(sample) if (1..=100_000).contains(&sample) => Ok(sample),
        _ => Err("expected a number from 1 to 100000".to_string()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("expected a number above 0, such as 1000 or 1000/s".to_string()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Args::command().debug_assert();
    }

    /// The options of a command that the others do not have.
    fn own_options(name: &str) -> Vec<String> {
        let mut all = Args::command();
        all.build();
        let command = all.find_subcommand(name).unwrap();
        let own = command.get_arguments().filter(|a| !a.is_global_set());
        let own = own.filter_map(|a| Some(format!("--{}", a.get_long()?)));
        own.filter(|long| !["--help", "--version"].contains(&long.as_str()))
            .collect()
    }

    #[test]
    fn the_page_of_the_doctor_names_its_options() {
        let page = include_str!("../../../docs/reference/doctor.md");
        let row = |line: &str| line.strip_prefix("| `").map(ToString::to_string);
        let rows = page.lines().filter_map(row);
        let named: std::collections::BTreeSet<String> = rows
            .filter_map(|row| Some(row.split(['`', ' ', '=']).next()?.to_string()))
            .filter(|name| name.starts_with("--"))
            .collect();
        assert_eq!(named, own_options("doctor").into_iter().collect());
        // What a start would do is what `run` can be told.
        let run = own_options("run");
        assert!(named.iter().all(|option| run.contains(option)), "{run:?}");
    }

    #[test]
    fn topics_are_named_in_two_ways() {
        for command in ["tail", "produce", "infer"] {
            let read = |args: &[&str]| {
                let args = [&["headwater", "kafka", command], args].concat();
                let read = Args::try_parse_from(args).map_err(|error| error.to_string())?;
                let Command::Kafka(args) = read.command else {
                    panic!("another command")
                };
                Ok::<_, String>(match args.command {
                    KafkaCommand::Tail(args) => args.topic.name().to_string(),
                    KafkaCommand::Produce(args) => args.topic.name().to_string(),
                    KafkaCommand::Infer(args) => args.topic.name().to_string(),
                    KafkaCommand::Topics(_) => panic!("another command"),
                })
            };
            assert_eq!(read(&["t"]), Ok("t".to_string()));
            assert_eq!(read(&["--topic", "t"]), Ok("t".to_string()));
            assert!(read(&[]).unwrap_err().contains("<TOPIC>"));
            assert!(read(&["t", "--topic", "t"]).is_err());
        }
    }

    #[test]
    fn a_created_topic_has_one_partition_unless_it_is_told() {
        let read = |args: &[&str]| {
            let args = [&["headwater", "kafka", "produce", "t"], args].concat();
            let read = Args::try_parse_from(args).map_err(|error| error.to_string())?;
            let Command::Kafka(KafkaArgs {
                command: KafkaCommand::Produce(args),
            }) = read.command
            else {
                panic!("another command")
            };
            Ok::<_, String>((args.create, args.partitions))
        };
        assert_eq!(read(&[]), Ok((false, 1)));
        assert_eq!(read(&["--create"]), Ok((true, 1)));
        assert_eq!(read(&["--create", "--partitions", "4"]), Ok((true, 4)));
        assert!(
            read(&["--partitions", "4"])
                .unwrap_err()
                .contains("--create")
        );
    }

    #[test]
    fn values_are_read() {
        assert_eq!(topic_partitions("a:b:3"), Ok(("a:b".to_string(), 3)));
        assert_eq!(topic_partitions("a"), Ok(("a".to_string(), 1)));
        assert!(topic_partitions("a:0").is_err());
        assert_eq!(rate("10/s"), Ok(10.0));
        assert!(rate("-1").is_err());
        assert_eq!(key_value("a=b=c"), Ok(("a".to_string(), "b=c".to_string())));
        assert!(key_value("=c").is_err());
    }
}
