//! A job that is killed: its source, its sinks, its query, and the folder in which it runs.

use std::fmt;
use std::time::Duration;

use headwater_testkit::crash_point::CrashPoint;

use super::{folders, topics};
use crate::command::{Dir, Running, TestCommand};

/// Epochs of a whole run: enough for two snapshots and two clean-ups.
const EPOCHS: usize = 44;
const ROWS_PER_EPOCH: usize = 10;
/// What a job that fails on its way says of its first error.
const FAILS: &str = "failed, trying again";

/// Where a sink of files has those that are not committed.
const STAGED: &str = ".headwater/staged";

/// Points that need many commits. How many there are is a matter of time if epochs share them.
const MANY_COMMITS: [CrashPoint; 4] = [
    CrashPoint::BeforeCleanup,
    CrashPoint::MidCleanup,
    CrashPoint::MidSnapshot,
    CrashPoint::SnapshotRenamed,
];

/// What a job reads and writes.
#[derive(Debug, Clone)]
pub(super) struct JobKind {
    source: Source,
    sink: Sink,
    task: Task,
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

/// What a job does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Task {
    /// It sums windows.
    Windows,
    /// The same, and the rows that are late for them go to files.
    LateRows,
    /// It keeps sums by key, and takes back those that are not even.
    Updates,
    /// It removes doubles, and forgets before every epoch what it has seen.
    Expiry,
    /// It sums windows; its sink fails in every process until the query is opened again.
    Restarts,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, sink) = (self.source, self.sink);
        let commits = match self.commits {
            Commits::EveryEpoch => "",
            Commits::Grouped => ", commits of several epochs",
        };
        let task = match self.task {
            Task::Windows => "",
            Task::LateRows => ", late rows to files",
            Task::Updates => ", update mode",
            Task::Expiry => ", state that expires",
            Task::Restarts => ", opened again after errors",
        };
        let text = format!("{source:?} to {sink:?}{task}{commits}");
        f.write_str(&text.to_lowercase())
    }
}

impl JobKind {
    /// The jobs of the matrix; those with topics only if there is a broker.
    pub(super) fn all(servers: Option<&str>) -> Vec<JobKind> {
        let kind = |source, sink, task, commits| JobKind {
            source,
            sink,
            task,
            servers: servers.map(ToString::to_string),
            commits,
        };
        use Commits::{EveryEpoch, Grouped};
        let mut kinds = vec![
            Self::generator_to_files(),
            kind(Source::Files, Sink::Files, Task::Windows, Grouped),
            kind(Source::Generator, Sink::Folders, Task::Windows, Grouped),
            kind(Source::Files, Sink::Files, Task::Expiry, EveryEpoch),
            kind(Source::Files, Sink::Files, Task::Restarts, EveryEpoch),
        ];
        if servers.is_some() {
            kinds.extend([
                kind(Source::Topic, Sink::Topic, Task::Windows, EveryEpoch),
                kind(Source::Generator, Sink::Topic, Task::Windows, EveryEpoch),
                kind(Source::Files, Sink::Topic, Task::Windows, Grouped),
                kind(Source::Topic, Sink::Files, Task::Windows, EveryEpoch),
                kind(Source::Files, Sink::Topic, Task::LateRows, EveryEpoch),
                kind(Source::Files, Sink::Topic, Task::Updates, Grouped),
            ]);
        }
        kinds
    }

    pub(super) fn generator_to_files() -> Self {
        JobKind {
            source: Source::Generator,
            sink: Sink::Files,
            task: Task::Windows,
            servers: None,
            commits: Commits::EveryEpoch,
        }
    }

    /// Whether every point is taken in a job of its own, several times in a row; the other kinds
    /// go through all points in one life.
    pub(super) fn is_taken_apart(&self) -> bool {
        self.task == Task::Windows
    }

    pub(super) fn is_grouped(&self) -> bool {
        self.commits == Commits::Grouped
    }

    /// The points that it comes by, those first at which it is killed first. A job that does not
    /// come by one of them, or by another one, fails the test.
    pub(super) fn points(&self) -> Vec<CrashPoint> {
        use CrashPoint as P;
        let mut first = vec![];
        let mut left_out = vec![];
        if self.is_grouped() {
            left_out.extend(MANY_COMMITS);
        }
        if !self.gathers() {
            left_out.extend([P::MidGather, P::FileGathered]);
        }
        match self.sink {
            Sink::Files | Sink::Folders => left_out.extend([
                P::CommitPrepared,
                P::BeforeTransactionCommit,
                P::TransactionCommittedNotRecorded,
            ]),
            Sink::Topic => {
                first.push(P::TransactionCommittedNotRecorded);
                // The record moves from its waiting place.
                left_out.push(P::CommitRecordTmp);
                if self.task != Task::LateRows {
                    left_out.extend([P::MidFinish, P::BeforeManifest]);
                }
            }
        }
        // These come after some commits of one process, so a life has to begin with them.
        first.extend([P::BeforeCleanup, P::MidCleanup]);
        first.retain(|point| !left_out.contains(point));
        let others = P::ALL.iter().filter(|point| !first.contains(point));
        let points: Vec<P> = first.iter().chain(others).copied().collect();
        points
            .into_iter()
            .filter(|p| !left_out.contains(p))
            .collect()
    }

    /// Points that it comes by if it is slow.
    pub(super) fn rare_points(&self) -> Vec<&'static str> {
        let rare: &[CrashPoint] = if self.is_grouped() {
            &MANY_COMMITS
        } else {
            &[]
        };
        rare.iter().map(|point| point.name()).collect()
    }

    /// Whether its sink puts the files of several epochs together.
    fn gathers(&self) -> bool {
        self.is_grouped() && self.sink != Sink::Topic
    }

    /// How many commits a job has before it is first killed.
    pub(super) fn commits_before(&self) -> u32 {
        if self.is_grouped() { 1 } else { 3 }
    }

    pub(super) fn has_late_rows(&self) -> bool {
        self.task == Task::LateRows
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
        let columns = match self.task {
            Task::Windows | Task::LateRows | Task::Restarts => {
                "window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT"
            }
            Task::Updates => "symbol VARCHAR, orders BIGINT, volume BIGINT, PRIMARY KEY (symbol)",
            Task::Expiry => "symbol VARCHAR",
        };
        let options = match self.sink {
            Sink::Files => "connector = 'filesystem', path = 'DIR/out'".to_string(),
            Sink::Folders => return folders::SINK.to_string(),
            Sink::Topic => format!(
                "connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = 'SERVERS',
                 delivery = 'exactly-once'"
            ),
        };
        let late = match self.task {
            Task::LateRows => {
                "CREATE SINK late (watermark TIMESTAMP, time TIMESTAMP, symbol VARCHAR)
                 WITH (connector = 'filesystem', path = 'DIR/late') FORMAT JSON;"
            }
            _ => "",
        };
        format!("CREATE SINK out ({columns}) WITH ({options}) FORMAT JSON; {late}")
    }

    fn query(&self) -> String {
        let interval = match self.commits {
            Commits::EveryEpoch => "",
            Commits::Grouped => ", 'checkpoint.interval' = '100 ms'",
        };
        // Windows shorter than an epoch, so that most epochs emit.
        let windows = "SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
             FROM tumble(orders, time, INTERVAL '3 seconds')
             GROUP BY window_start, window_end, symbol";
        let (options, select, end) = match self.task {
            Task::Windows => ("", windows, ""),
            Task::LateRows => ("", windows, "LATE ROWS INTO late"),
            Task::Updates => (
                ", 'output-mode' = 'update'",
                "SELECT symbol, count(*) AS orders, sum(amount) AS volume FROM orders
                 GROUP BY symbol HAVING sum(amount) % 2 = 0",
                "",
            ),
            // No two epochs are decided within a millisecond.
            Task::Expiry => (
                ", 'state.ttl' = '1 ms'",
                "SELECT DISTINCT symbol FROM orders",
                "",
            ),
            Task::Restarts => (
                ", 'restart.attempts' = 20, 'restart.delay' = '50 ms'",
                windows,
                "",
            ),
        };
        format!(
            "CREATE STREAMING QUERY q
             WITH (checkpoint = 'DIR/checkpoint', trigger = 'available-now'{interval}{options})
             AS INSERT INTO out {select} {end};"
        )
    }

    /// An order: two a second, and some half a minute late.
    fn order(&self, number: usize) -> String {
        let is_late = self.task == Task::LateRows && number > 100 && number.is_multiple_of(9);
        let time = if is_late { number - 60 } else { number };
        let (minute, second, half) = (time / 120, time / 2 % 60, time % 2 * 5);
        let symbol = ["A", "B", "C"][number % 3];
        let amount = number % 7;
        format!(
            "{{\"time\":\"2026-01-01T00:{minute:02}:{second:02}.{half}00Z\",\"symbol\":\"{symbol}\",\"amount\":{amount}}}"
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
        let lines = (0..EPOCHS * ROWS_PER_EPOCH).map(|number| kind.order(number));
        let lines: Vec<String> = lines.collect();
        let (mut topic_in, mut topic_out) = (String::new(), String::new());
        if let Some(servers) = &kind.servers {
            if kind.source == Source::Topic {
                topic_in = topics::filled(servers, "crash-in", &lines);
            }
            if kind.sink == Sink::Topic {
                topic_out = topics::empty(servers, "crash-out");
            }
        }
        for folder in ["in", "out", "late"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
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

    fn command(&self) -> TestCommand {
        self.dir.command(&["run", "job.sql"])
    }

    /// Lets it run until it comes by a point for the `nth` time, and kills it there. False if it
    /// never did and ended.
    pub(super) fn killed_at(&self, point: CrashPoint, nth: u32) -> bool {
        let at = format!("{point}:{nth}");
        let command = self.command().env("HEADWATER_CRASH_AT", &at);
        let mut running = match self.kind.task {
            Task::Restarts => self.after_an_error(command, Some(point)),
            _ => command.spawn(),
        };
        let stopped = running.says(&format!("crash point {point} reached"));
        if stopped {
            running.kill();
            if self.kind.task == Task::Restarts {
                self.remove_obstacles();
            }
            return true;
        }
        let end = running.wait();
        assert_eq!(end.code, Some(0), "at {at}: {}", end.stderr);
        false
    }

    /// Starts it with obstacles in the way of its sink, and takes them away when it is opened again
    /// for the first time; the point to stop at counts from then on. Those of that opening count
    /// from the first error on.
    fn after_an_error(&self, command: TestCommand, point: Option<CrashPoint>) -> Running {
        let when = self.dir.path().join("failed");
        // It is there from the kill before.
        let _ = std::fs::remove_file(&when);
        self.put_obstacles();
        let path = when.display().to_string();
        let mut running = command.env("HEADWATER_CRASH_WHEN", &path).spawn();
        let of_opening = [CrashPoint::MidRecovery, CrashPoint::RecoveryPublished];
        let is_of_opening = point.is_some_and(|point| of_opening.contains(&point));
        let has_failed = running.says(FAILS);
        if has_failed && !is_of_opening {
            running.says(&format!("crash point {} passed", of_opening[0]));
        }
        if has_failed {
            self.dir.create("failed", "");
        }
        // Whatever is in its way, it comes by its opening.
        if !is_of_opening {
            self.remove_obstacles();
        }
        running
    }

    /// Puts folders where the sink wants to write files, of all epochs but the next two.
    fn put_obstacles(&self) {
        let out = self.dir.path().join("out");
        let entries = std::fs::read_dir(&out).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let epochs = names.filter_map(|name| name.strip_prefix("part-")?.get(..8)?.parse().ok());
        let last: usize = epochs.max().unwrap_or_default();
        let staged = out.join(STAGED);
        for folder in [staged.parent().unwrap(), staged.as_path()] {
            // It is there from the kill before.
            let _ = std::fs::create_dir(folder);
        }
        for epoch in last + 2..EPOCHS {
            // Whichever task has the rows. Where a file is already, it stays.
            for task in 0..8 {
                let name = format!("part-{epoch:08}-{task:03}.jsonl");
                let _ = std::fs::create_dir(staged.join(name));
            }
        }
    }

    fn remove_obstacles(&self) {
        let staged = self.dir.path().join("out").join(STAGED);
        for entry in std::fs::read_dir(staged).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                std::fs::remove_dir(path).unwrap();
            }
        }
    }

    /// Lets it run for a while and kills it.
    pub(super) fn killed_after(&self, time: Duration) {
        let running = self.command().spawn();
        std::thread::sleep(time);
        running.kill();
    }

    /// Lets it run to its end.
    pub(super) fn finish(&self) {
        let end = self.command().output();
        assert_eq!(end.code, Some(0), "{}", end.stderr);
    }

    /// Lets it run to its end, and gives the points that it came by, each time.
    pub(super) fn finish_telling(&self) -> Vec<String> {
        let command = self.command().env("HEADWATER_CRASH_AT", "every");
        let end = match self.kind.task {
            Task::Restarts => self.after_an_error(command, None).wait(),
            _ => command.output(),
        };
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        let point = |line: &str| {
            let point = line.strip_prefix("crash point ")?.strip_suffix(" passed")?;
            Some(point.to_string())
        };
        end.stderr.lines().filter_map(point).collect()
    }

    /// The rows in the sinks that a reader of committed rows sees, in order.
    pub(super) fn output(&self) -> Vec<String> {
        let mut lines = match (self.kind.sink, &self.kind.servers) {
            (Sink::Topic, Some(servers)) => topics::committed(servers, &self.topic_out),
            (Sink::Folders, _) => folders::rows(&self.dir),
            _ => self.dir.lines_below("out"),
        };
        lines.extend(self.dir.lines_below("late"));
        lines.sort();
        lines
    }

    /// How many late rows are in their sink.
    pub(super) fn late_rows(&self) -> usize {
        self.dir.lines_below("late").len()
    }
}
