//! `headwater kafka`: topics, and messages to and from one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use headwater::arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use headwater::datafusion::common::runtime::SpawnedTask;
use headwater::kafka::{
    KafkaConnection, TailEnd, TailRecord, TailStart, TopicInfo, create_topic, list_topics,
    produce_lines, tail,
};
use headwater::{Error, Result};
use tokio::sync::watch;

use crate::args::{
    ConnectionArgs, From, KafkaArgs, KafkaCommand, MessageFormat, ProduceArgs, TailArgs, TopicsArgs,
};
use crate::context::Context;
use crate::exit_code::Exit;
use crate::kafka_infer::infer;
use crate::print::print_batch;
use crate::progress::counted;
use crate::screen::print_line;
use crate::signals::Signals;

/// How long a signal waits for a reader that may be stuck in a line that never comes.
const STUCK_AFTER: Duration = Duration::from_secs(1);

/// Runs the command.
///
/// # Errors
/// If the cluster cannot be reached, or refuses.
pub(crate) async fn kafka(args: KafkaArgs, context: &Context) -> Result<Exit> {
    let signals = Signals::listen()?;
    match args.command {
        KafkaCommand::Produce(args) => produce(args, context, &signals).await,
        KafkaCommand::Topics(args) => tokio::select! {
            done = topics(&args, context) => done.map(|()| Exit::Done),
            exit = signals.first() => Ok(exit),
        },
        KafkaCommand::Infer(args) => tokio::select! {
            done = infer(&args, context) => done.map(|()| Exit::Done),
            exit = signals.first() => Ok(exit),
        },
        KafkaCommand::Tail(args) => tokio::select! {
            done = show_messages(&args, context) => done.map(|()| Exit::Done),
            // Looking at a topic has no end but this one.
            _ = signals.first() => Ok(Exit::Done),
        },
    }
}

fn connection(args: &ConnectionArgs) -> Result<KafkaConnection> {
    let properties = args.property.iter();
    let properties = properties.map(|(name, value)| (name.as_str(), value.as_str()));
    KafkaConnection::new(&args.bootstrap).with_properties("the command", properties)
}

async fn topics(args: &TopicsArgs, context: &Context) -> Result<()> {
    let topics = list_topics(&connection(&args.connection)?).await?;
    print_batch(topics_batch(&topics)?, args.format, context)
}

/// A row for every partition.
fn topics_batch(topics: &[TopicInfo]) -> Result<RecordBatch> {
    let rows: Vec<_> = topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.name.as_str(), p)))
        .collect();
    let offsets = |offset: fn(i64, i64) -> i64| -> ArrayRef {
        let values = rows.iter().map(|(_, p)| offset(p.start, p.end));
        Arc::new(values.collect::<Int64Array>())
    };
    let names: StringArray = rows.iter().map(|(name, _)| Some(*name)).collect();
    let partitions: Int32Array = rows.iter().map(|(_, p)| p.index).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("topic", Arc::new(names)),
        ("partition", Arc::new(partitions)),
        ("start", offsets(|start, _| start)),
        ("end", offsets(|_, end| end)),
    ];
    Ok(RecordBatch::try_from_iter(columns)?)
}

async fn produce(args: ProduceArgs, context: &Context, signals: &Signals) -> Result<Exit> {
    let connection = connection(&args.connection)?;
    if args.create {
        create_topic(&connection, args.topic.name(), args.partitions, None).await?;
    }
    let failure = Arc::new(Mutex::new(None));
    let lines = Lines {
        input: open_input(&args)?,
        separator: args.key_separator.clone().map(String::into_bytes),
        stopped: signals.watcher(),
        failure: Arc::clone(&failure),
    };
    let topic = args.topic.name().to_string();
    let clock = Arc::clone(&context.clock);
    let sending = SpawnedTask::spawn(async move {
        produce_lines(
            &connection,
            &topic,
            args.partition,
            lines,
            args.rate,
            &*clock,
        )
        .await
    });
    let given_up = async {
        let exit = signals.first().await;
        context.clock.sleep(STUCK_AFTER).await;
        exit
    };
    let sent = tokio::select! {
        sent = sending.join() => sent.map_err(|_| Error::internal("sending panicked"))??,
        exit = given_up => return Ok(exit),
    };
    context.note(&format!(
        "{} written to topic \"{}\"",
        counted(sent, "message"),
        args.topic.name()
    ));
    let failure = failure
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    match failure {
        Some(error) => Err(Error::configuration("could not read the input").with_source(error)),
        None => Ok(Exit::Done),
    }
}

fn open_input(args: &ProduceArgs) -> Result<Box<dyn BufRead + Send>> {
    let Some(path) = &args.file else {
        return Ok(Box::new(BufReader::new(io::stdin())));
    };
    let file = File::open(path).map_err(|error| {
        Error::configuration(format!("could not open \"{}\"", path.display())).with_source(error)
    })?;
    Ok(Box::new(BufReader::new(file)))
}

/// The lines of an input as key and value, until its end or a signal.
struct Lines {
    input: Box<dyn BufRead + Send>,
    separator: Option<Vec<u8>>,
    stopped: watch::Receiver<Option<u8>>,
    /// Why the input ended before its end.
    failure: Arc<Mutex<Option<io::Error>>>,
}

impl Iterator for Lines {
    type Item = (Option<Vec<u8>>, Vec<u8>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.stopped.borrow().is_some() {
            return None;
        }
        let mut line = Vec::new();
        match self.input.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => {
                if line.last() == Some(&b'\n') {
                    line.pop();
                }
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                Some(split_key(line, self.separator.as_deref()))
            }
            Err(error) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                *failure = Some(error);
                None
            }
        }
    }
}

/// The line without its key; a line without the separator has no key.
fn split_key(line: Vec<u8>, separator: Option<&[u8]>) -> (Option<Vec<u8>>, Vec<u8>) {
    let Some(separator) = separator.filter(|s| !s.is_empty()) else {
        return (None, line);
    };
    let place = line.windows(separator.len()).position(|w| w == separator);
    match place {
        Some(at) => {
            let value = line
                .get(at + separator.len()..)
                .unwrap_or_default()
                .to_vec();
            let key = line.get(..at).unwrap_or_default().to_vec();
            (Some(key), value)
        }
        None => (None, line),
    }
}

async fn show_messages(args: &TailArgs, context: &Context) -> Result<()> {
    let start = match args.from {
        From::Earliest => TailStart::Earliest,
        From::Latest => TailStart::Latest,
    };
    let end = if args.until_end {
        TailEnd::Now
    } else {
        TailEnd::Never
    };
    if args.max == Some(0) {
        return Ok(());
    }
    let mut shown: u64 = 0;
    let mut failure = None;
    let show = |record: &TailRecord<'_>| {
        let line = match args.format {
            MessageFormat::Text => text(record.value.unwrap_or_default()),
            MessageFormat::Json => json(record),
        };
        if let Err(error) = print_line(&context.screen, &line) {
            failure = Some(error);
            return ControlFlow::Break(());
        }
        shown += 1;
        if args.max.is_some_and(|max| shown >= max) {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let connection = connection(&args.connection)?;
    let clock = Arc::clone(&context.clock);
    tail(&connection, args.topic.name(), start, end, clock, show).await?;
    failure.map_or(Ok(()), Err)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `{"partition":0,"offset":7,"timestamp":"…","key":"…","value":"…"}`.
fn json(record: &TailRecord<'_>) -> String {
    let quoted = |bytes: Option<&[u8]>| match bytes {
        Some(bytes) => json_text(&text(bytes)),
        None => "null".to_string(),
    };
    let timestamp = record.timestamp.map(|time| time.to_string());
    format!(
        "{{\"partition\":{},\"offset\":{},\"timestamp\":{},\"key\":{},\"value\":{}}}",
        record.partition,
        record.offset,
        quoted(timestamp.as_deref().map(str::as_bytes)),
        quoted(record.key),
        quoted(record.value),
    )
}

fn json_text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_split_off() {
        let split = |line: &str, separator: Option<&[u8]>| {
            let (key, value) = split_key(line.as_bytes().to_vec(), separator);
            (key.map(|k| text(&k)), text(&value))
        };
        assert_eq!(split("a:b", None), (None, "a:b".into()));
        assert_eq!(split("a::b", Some(b"::")), (Some("a".into()), "b".into()));
        assert_eq!(split("ab", Some(b":")), (None, "ab".into()));
        assert_eq!(split(":b:", Some(b":")), (Some(String::new()), "b:".into()));
    }

    #[test]
    fn json_is_escaped() {
        assert_eq!(json_text("a\"\\\n\u{1}é"), "\"a\\\"\\\\\\n\\u0001é\"");
    }
}
