//! A job that is killed: its source, its sink, and the folder in which it runs.

use std::fmt;
use std::time::Duration;

use headwater_testkit::crash_point::CrashPoint;

use crate::command::Dir;

/// Epochs of a whole run: enough for two snapshots and two clean-ups.
const EPOCHS: usize = 44;
const ROWS_PER_EPOCH: usize = 10;

/// What a job reads and writes.
#[derive(Debug, Clone)]
pub(super) struct JobKind {
    name: &'static str,
    source: &'static str,
    sink: &'static str,
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const GENERATOR: &str = "
CREATE SOURCE orders (time TIMESTAMP, symbol VARCHAR, amount INT,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'datagen', preset = 'orders', rows = 440, 'time.step' = '500 ms', symbols = 3,
  'max.records.per.epoch' = 10);";

const FILES_IN: &str = "
CREATE SOURCE orders (time TIMESTAMP, symbol VARCHAR, amount INT,
  WATERMARK FOR time AS time - INTERVAL '1 second')
WITH (connector = 'filesystem', path = 'DIR/in', 'max.files.per.epoch' = 1) FORMAT JSON;";

const FILES_OUT: &str = "
CREATE SINK out (window_start TIMESTAMP, symbol VARCHAR, orders BIGINT, volume BIGINT)
WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;";

/// Windows shorter than an epoch, so that most epochs emit; and a running sum of every row, so
/// that the state outgrows its snapshots.
const QUERY: &str = "
CREATE STREAMING QUERY windows WITH (checkpoint = 'DIR/checkpoint', trigger = 'available-now')
AS INSERT INTO out
SELECT window_start, symbol, count(*) AS orders, sum(amount) AS volume
FROM tumble(orders, time, INTERVAL '3 seconds')
GROUP BY window_start, window_end, symbol;";

impl JobKind {
    pub(super) fn all() -> Vec<JobKind> {
        vec![Self::generator_to_files(), Self::files_to_files()]
    }

    pub(super) fn generator_to_files() -> Self {
        JobKind {
            name: "generator to files",
            source: GENERATOR,
            sink: FILES_OUT,
        }
    }

    pub(super) fn files_to_files() -> Self {
        JobKind {
            name: "files to files",
            source: FILES_IN,
            sink: FILES_OUT,
        }
    }
}

/// A job in a folder of its own.
pub(super) struct Job {
    dir: Dir,
}

impl Job {
    pub(super) fn new(kind: &JobKind) -> Self {
        let dir = Dir::new();
        let folder = dir.path().display().to_string();
        let script = [kind.source, kind.sink, QUERY].concat();
        dir.create("job.sql", &script.replace("DIR", &folder));
        std::fs::create_dir(dir.path().join("in")).unwrap();
        for file in 0..EPOCHS {
            let lines = (0..ROWS_PER_EPOCH).map(|row| order(file * ROWS_PER_EPOCH + row));
            dir.create(&format!("in/{file:03}.jsonl"), &lines.collect::<String>());
        }
        Job { dir }
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

    /// The rows in the sink, in order.
    pub(super) fn output(&self) -> Vec<String> {
        let mut lines = self.dir.lines_below("out");
        lines.sort();
        lines
    }
}

/// A row of the files: two a second.
fn order(number: usize) -> String {
    let (minute, second, half) = (number / 120, number / 2 % 60, number % 2 * 5);
    let symbol = ["A", "B", "C"][number % 3];
    let amount = number % 7;
    format!(
        "{{\"time\":\"2026-01-01T00:{minute:02}:{second:02}.{half}00Z\",\"symbol\":\"{symbol}\",\"amount\":{amount}}}\n"
    )
}
