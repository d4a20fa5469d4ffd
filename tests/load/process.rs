//! The command, seen from outside: what it says, and what the system says of it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headwater_tests::command_binary;

use crate::job::{Job, Query};
use crate::verdict::{Folder, QuerySample, Sample};

/// From one look at the process to the next.
const PERIOD: Duration = Duration::from_millis(900);

/// What the command says of a query.
#[derive(Debug, Clone, Copy)]
struct Standing {
    started: Instant,
    epoch: Option<u64>,
    /// When that epoch was first told.
    since: Instant,
    /// Rows that are left to read.
    lag: u64,
    ended: Option<Instant>,
}

#[derive(Debug, Default)]
struct Heard {
    queries: BTreeMap<String, Standing>,
    /// All but the lines of progress.
    log: String,
}

/// The command while it runs. It is killed if the test ends before it.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    started: Instant,
    heard: Arc<Mutex<Heard>>,
    listener: Option<JoinHandle<()>>,
    queries: Vec<Query>,
    /// The folders of their checkpoints, which hold what has to be there and no more.
    checkpoints: Vec<PathBuf>,
    staged: PathBuf,
}

/// What the command has said when it has ended.
#[derive(Debug)]
pub(crate) struct Said {
    code: Option<i32>,
    heard: Heard,
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test of load looks at another process in real time"
)]
fn now() -> Instant {
    Instant::now()
}

impl Process {
    pub(crate) fn start(job: &Job) -> Self {
        std::fs::create_dir(job.folder().join("out")).unwrap();
        let script = job.folder().join("job.sql");
        let mut file = std::fs::File::create(&script).unwrap();
        std::io::Write::write_all(&mut file, job.script().as_bytes()).unwrap();
        let mut child = Command::new(command_binary())
            .args(["run", "--progress=always"])
            .arg(&script)
            .current_dir(job.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = child.stderr.take().unwrap();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let listener = std::thread::spawn({
            let heard = Arc::clone(&heard);
            move || listen(stderr, &heard)
        });
        Process {
            child,
            started: now(),
            heard,
            listener: Some(listener),
            queries: job.queries(),
            checkpoints: job.checkpoints(),
            staged: job.staged(),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Waits for the next moment to look at it. Those drift through the second in which an epoch
    /// starts, so that all parts of an epoch are seen.
    pub(crate) fn wait(&self) {
        let elapsed_ns = self.started.elapsed().as_nanos();
        let since_last = Duration::from_nanos((elapsed_ns % PERIOD.as_nanos()) as u64);
        std::thread::sleep(PERIOD - since_last);
    }

    /// Whether the queries that read from generators are done.
    pub(crate) fn has_ended_those_of_generators(&mut self) -> bool {
        let heard = self.heard.lock().unwrap();
        let mut generators = self.queries.iter().filter(|query| query.rows.is_some());
        let has_ended = |query: &Query| {
            let standing = heard.queries.get(query.name);
            standing.is_some_and(|standing| standing.ended.is_some())
        };
        let is_done = generators.all(has_ended);
        if !is_done && let Some(status) = self.child.try_wait().unwrap() {
            panic!("it ended with {status}:\n{}", heard.log);
        }
        is_done
    }

    /// What can be seen now; nothing before all queries have started, or after one has ended.
    pub(crate) fn sample(&self) -> Option<Sample> {
        let heard = self.heard.lock().unwrap();
        let mut queries = Vec::with_capacity(self.queries.len());
        let mut at_s = f64::MAX;
        for (query, folder) in self.queries.iter().zip(&self.checkpoints) {
            let standing = heard.queries.get(query.name)?;
            if standing.ended.is_some() {
                return None;
            }
            at_s = at_s.min(standing.started.elapsed().as_secs_f64());
            let mut checkpoint = Folder::default();
            count_below(folder, &mut checkpoint);
            queries.push(QuerySample {
                name: query.name,
                seconds_behind: seconds_behind(*query, *standing),
                checkpoint,
            });
        }
        let folder = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = std::fs::read_to_string(folder.join("status")).ok()?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        let mut staged = Folder::default();
        count_below(&self.staged, &mut staged);
        Some(Sample {
            at_s,
            memory_mb: number("RssAnon:")? as f64 / 1024.0,
            resident_mb: number("VmRSS:")? as f64 / 1024.0,
            threads: number("Threads:")?,
            open_files: std::fs::read_dir(folder.join("fd")).ok()?.count() as u64,
            staged_files: staged.files,
            queries,
        })
    }

    /// Asks it to end and waits until it has.
    pub(crate) fn stop(mut self) -> Said {
        if self.child.try_wait().unwrap().is_none() {
            let id = self.child.id().to_string();
            let asked = Command::new("kill").args(["-s", "TERM", &id]).status();
            assert!(asked.unwrap().success());
        }
        let status = self.child.wait().unwrap();
        self.listener.take().unwrap().join().unwrap();
        Said {
            code: status.code(),
            heard: std::mem::take(&mut self.heard.lock().unwrap()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing to kill if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Said {
    /// How many rows the queries have read, and how fast.
    pub(crate) fn table(&self, job: &Job) -> String {
        let mut text = format!("{:<9}  {:>12}  {:>8}", "query", "rows", "rows/s");
        for query in job.queries() {
            let Some(rows) = query.rows else { continue };
            let standing = self.heard.queries[query.name];
            let ended = standing.ended.unwrap_or(standing.started);
            let seconds = (ended - standing.started).as_secs_f64();
            let rate = rows as f64 / seconds;
            text += &format!("\n{:<9}  {rows:>12}  {rate:>8.0}", query.name);
        }
        text
    }

    /// All queries have ended well, and none has left a row out.
    pub(crate) fn check(&self, job: &Job) {
        let log = &self.heard.log;
        assert_eq!(self.code, Some(0), "{log}");
        let all_counted =
            log.matches("0 late, 0 bad, 0 dead letters, 0 ahead of the clock, 0 lost");
        assert_eq!(all_counted.count(), job.queries().len(), "{log}");
    }
}

/// By how many seconds a query is behind what it could have read.
fn seconds_behind(query: Query, standing: Standing) -> f64 {
    let rate = query.rate as f64;
    match query.rows {
        Some(rows) => {
            let since = standing.started.elapsed().as_secs_f64();
            let due = (since * rate).min(rows as f64);
            let read = match standing.epoch {
                Some(_) => rows.saturating_sub(standing.lag),
                None => 0,
            };
            (due - read as f64).max(0.0) / rate
        }
        // The lag is that at the end of the newest epoch.
        None => standing.lag as f64 / rate + standing.since.elapsed().as_secs_f64(),
    }
}

fn listen(stderr: ChildStderr, heard: &Mutex<Heard>) {
    for line in BufReader::new(stderr).lines() {
        let line = line.unwrap();
        heard.lock().unwrap().take(&line);
    }
}

impl Heard {
    fn take(&mut self, line: &str) {
        let mut is_progress = false;
        for part in line.split(" | ") {
            if let Some((name, epoch, lag)) = progress_in(part)
                && let Some(standing) = self.queries.get_mut(name)
            {
                is_progress = true;
                if standing.epoch != Some(epoch) {
                    standing.since = now();
                }
                (standing.epoch, standing.lag) = (Some(epoch), lag);
            }
        }
        if is_progress {
            return;
        }
        self.log.push_str(line);
        self.log.push('\n');
        let Some((name, rest)) = line
            .strip_prefix("query \"")
            .and_then(|rest| rest.split_once('"'))
        else {
            return;
        };
        if rest.starts_with(" started") {
            let standing = Standing {
                started: now(),
                epoch: None,
                since: now(),
                lag: 0,
                ended: None,
            };
            self.queries.insert(name.to_string(), standing);
        } else if let Some(standing) = self.queries.get_mut(name) {
            standing.ended = Some(now());
        }
    }
}

/// Query, epoch and lag in `windows: epoch 7, 50,000 rows/s, watermark …, lag 1,200`.
fn progress_in(part: &str) -> Option<(&str, u64, u64)> {
    let (name, rest) = part.split_once(": epoch ")?;
    let epoch = rest.split(',').next()?.parse().ok()?;
    let (_, lag) = rest.split_once(", lag ")?;
    let digits = lag.chars().take_while(|c| c.is_ascii_digit() || *c == ',');
    let digits: String = digits.filter(char::is_ascii_digit).collect();
    Some((name, epoch, digits.parse().ok()?))
}

#[test]
fn progress_is_read_from_its_line() {
    let cases = [
        (
            "windows: epoch 7, 50,000 rows/s, watermark 2026-01-01T00:00:00Z, lag 1,200",
            Some(("windows", 7, 1_200)),
        ),
        (
            "sums: epoch 0, 3 rows/s, lag 9, no progress",
            Some(("sums", 0, 9)),
        ),
        (
            "sums: epoch 3, 3 rows/s, lag 1,209 (900 of them in t/2), limited to 1,000 rows",
            Some(("sums", 3, 1_209)),
        ),
        ("query \"sums\" started, no checkpoint", None),
    ];
    for (line, expected) in cases {
        assert_eq!(progress_in(line), expected, "{line}");
    }
}

/// Counts the files in a folder and below, which may change meanwhile.
fn count_below(folder: &Path, into: &mut Folder) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        let path = entry.path();
        if metadata.is_dir() {
            count_below(&path, into);
            continue;
        }
        into.files += 1;
        into.bytes += metadata.len();
        let is_state = path
            .extension()
            .is_some_and(|kind| kind == "snapshot" || kind == "delta");
        if is_state {
            into.state_bytes += metadata.len();
            into.largest_state = into.largest_state.max(metadata.len());
        }
    }
}
