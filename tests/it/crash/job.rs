//! A job that is killed: its source, its sink, and the folder in which it runs.

use std::fmt;
use std::time::Duration;

use headwater_testkit::crash_point::CrashPoint;

use super::{folders, topics};
use crate::command::Dir;

/// Epochs of a whole run: enough for two snapshots and two clean-ups.
const EPOCHS: usize = 44;
const ROWS_PER_EPOCH: usize = 10;

/// What a job reads and writes.
#[derive(Debug, Clone)]
pub(super) struct JobKind {
    source: Source,
    sink: Sink,
    /// The servers of a broker, if one of the two is a topic.
    servers: Option<String>,
    /// How many epochs share a commit: as many as the interval lets, or one.
    commits: Commits,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Generator,
    Files,
    Topic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sink {
    Files,
    Folders,
    Topic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Commits {
    EveryEpoch,
    Grouped,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, sink) = (self.source, self.sink);
        let commits = match self.commits {
            Commits::EveryEpoch => "",
            Commits::Grouped => ", commits of several epochs",
        };
        let text = format!("{source:?} to {sink:?}{commits}");
        f.write_str(&text.to_lowercase())
    }
}

impl JobKind {
    /// The jobs of the matrix; those with topics only if there is a broker.
    pub(super) fn all(servers: Option<&str>) -> Vec<JobKind> {
        let kind = |source, sink, commits| JobKind {
            source,
            sink,
            servers: servers.map(ToString::to_string),
            commits,
        };
        let mut kinds = vec![
            Self::generator_to_files(),
            kind(Source::Files, Sink::Files, Commits::Grouped),
            kind(Source::Generator, Sink::Folders, Commits::Grouped),
        ];
        if servers.is_some() {
            kinds.push(kind(Source::Topic, Sink::Topic, Commits::EveryEpoch));
            kinds.push(kind(Source::Files, Sink::Topic, Commits::Grouped));
            kinds.push(kind(Source::Topic, Sink::Files, Commits::EveryEpoch));
        }
        kinds
    }

    pub(super) fn generator_to_files() -> Self {
        JobKind {
            source: Source::Generator,
            sink: Sink::Files,
            servers: None,
            commits: Commits::EveryEpoch,
        }
    }

    fn source(&self, topic: &str) -> String {
        let options = match self.source {
            Source::Generator => "connector = 'datagen', preset = 'orders', rows = 440,
                 'time.step' = '500 ms', symbols = 3, 'max.records.per.epoch' = 10)"
                .to_string(),
            Source::Files => "connector = 'filesystem', path = 'DIR/in',
                 'max.files.per.epoch' = 1) FORMAT JSON"
                .to_string(),
            Source::Topic => format!(
                "connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = 'SERVERS',
                 'max.records.per.epoch' = 10) FORMAT JSON"
            ),
        };
        format!(
            "CREATE SOURCE orders (time TIMESTAMP, symbol VARCHAR, amount INT,
               WATERMARK FOR time AS time - INTERVAL '1 second') WITH ({options};"
        )
    }

    fn sink(&self, topic: &str) -> String {
        let options = match self.sink {
            Sink::Files => "connector = 'filesystem', path = 'DIR/out'".to_string(),
            Sink::Folders => return folders::SINK.to_string(),
            Sink::Topic => format!(
                "connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = 'SERVERS',
                 delivery = 'exactly-once'"
            ),
        };
        format!(
            "CREATE SINK out (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT)
             WITH ({options}) FORMAT JSON;"
        )
    }

    fn query(&self) -> String {
        let interval = match self.commits {
            Commits::EveryEpoch => "",
            Commits::Grouped => ", 'checkpoint.interval' = '30 ms'",
        };
        // Windows shorter than an epoch, so that most epochs emit.
        format!(
            "CREATE STREAMING QUERY windows
             WITH (checkpoint = 'DIR/checkpoint', trigger = 'available-now'{interval})
             AS INSERT INTO out
             SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
             FROM tumble(orders, time, INTERVAL '3 seconds')
             GROUP BY window_start, window_end, symbol;"
        )
    }
}

/// A job in a folder of its own, with topics of its own.
pub(super) struct Job {
    dir: Dir,
    kind: JobKind,
    topic_out: String,
}

impl Job {
    pub(super) fn new(kind: &JobKind) -> Self {
        let dir = Dir::new();
        let lines: Vec<String> = (0..EPOCHS * ROWS_PER_EPOCH).map(order).collect();
        let (mut topic_in, mut topic_out) = (String::new(), String::new());
        if let Some(servers) = &kind.servers {
            if kind.source == Source::Topic {
                topic_in = topics::filled(servers, "crash-in", &lines);
            }
            if kind.sink == Sink::Topic {
                topic_out = topics::empty(servers, "crash-out");
            }
        }
        std::fs::create_dir(dir.path().join("in")).unwrap();
        if kind.source == Source::Files {
            for (file, lines) in lines.chunks(ROWS_PER_EPOCH).enumerate() {
                dir.create(&format!("in/{file:03}.jsonl"), &(lines.join("\n") + "\n"));
            }
        }
        let script = [kind.source(&topic_in), kind.sink(&topic_out), kind.query()].join("\n");
        let servers = kind.servers.as_deref().unwrap_or_default();
        let script = script.replace("SERVERS", servers);
        let folder = dir.path().display().to_string();
        dir.create("job.sql", &script.replace("DIR", &folder));
        Job {
            dir,
            kind: kind.clone(),
            topic_out,
        }
    }

    /// Lets it run until it comes by a point for the `nth` time, and kills it there. False if it
    /// never did and ended.
    pub(super) fn killed_at(&self, point: CrashPoint, nth: u32) -> bool {
        let command = self.dir.command(&["run", "job.sql"]);
        let at = format!("{point}:{nth}");
        let mut running = command.env("HEADWATER_CRASH_AT", &at).spawn();
        if running.says(&format!("crash point {point} reached")) {
            running.kill();
            return true;
        }
        let end = running.wait();
        assert_eq!(end.code, Some(0), "at {at}: {}", end.stderr);
        false
    }

    /// Lets it run for a while and kills it.
    pub(super) fn killed_after(&self, time: Duration) {
        let running = self.dir.command(&["run", "job.sql"]).spawn();
        std::thread::sleep(time);
        running.kill();
    }

    /// Lets it run to its end.
    pub(super) fn finish(&self) {
        let end = self.dir.command(&["run", "job.sql"]).output();
        assert_eq!(end.code, Some(0), "{}", end.stderr);
    }

    /// The rows in the sink that a reader of committed rows sees, in order.
    pub(super) fn output(&self) -> Vec<String> {
        let mut lines = match (self.kind.sink, &self.kind.servers) {
            (Sink::Topic, Some(servers)) => topics::committed(servers, &self.topic_out),
            (Sink::Folders, _) => folders::rows(&self.dir),
            _ => self.dir.lines_below("out"),
        };
        lines.sort();
        lines
    }
}

/// An order: two a second.
fn order(number: usize) -> String {
    let (minute, second, half) = (number / 120, number / 2 % 60, number % 2 * 5);
    let symbol = ["A", "B", "C"][number % 3];
    let amount = number % 7;
    format!(
        "{{\"time\":\"2026-01-01T00:{minute:02}:{second:02}.{half}00Z\",\"symbol\":\"{symbol}\",\"amount\":{amount}}}"
    )
}
