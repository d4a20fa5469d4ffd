//! The job: how much it reads for how long, its script, and its output.

use std::path::{Path, PathBuf};

use crate::held_rate::PATIENCE;
use crate::rows::{KEYS, WINDOW_S, check_sums};
use crate::topics;

/// How long the load lasts, how much it is, and what memory may grow by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    pub(crate) seconds: u64,
    /// What is not looked at in the beginning: as many epochs as a query keeps reports of, and the
    /// heaps of the threads, fill up in that time whatever the queries do.
    pub(crate) warm_up_s: f64,
    /// Rows a second of the query that writes files.
    pub(crate) rate: u64,
    /// Rows a second through the topic: the broker of the tests is one for right answers, and not
    /// for much data.
    pub(crate) topic_rate: u64,
    pub(crate) memory_mb_per_minute_max: f64,
    /// Whether a machine that cannot hold the rate is asked for less.
    pub(crate) may_be_slower: bool,
}

/// How far apart epochs start, in seconds.
pub(crate) const EPOCH_S: f64 = 1.0;

impl Length {
    pub(crate) const SHORT: Length = Length {
        seconds: 180,
        warm_up_s: 120.0,
        rate: 50_000,
        topic_rate: 2_000,
        memory_mb_per_minute_max: 2.0,
        may_be_slower: true,
    };
    pub(crate) const LONG: Length = Length {
        seconds: 1_800,
        warm_up_s: 120.0,
        rate: 100_000,
        topic_rate: 1_000,
        memory_mb_per_minute_max: 0.5,
        may_be_slower: false,
    };

    /// To look again at what seems to grow: four times as long, after the same warm-up. A heap that
    /// breathes has its ups and downs in that time, and what leaks is four times as much.
    pub(crate) fn again(self) -> Length {
        let judged_s = self.seconds - self.warm_up_s as u64;
        Length {
            seconds: self.warm_up_s as u64 + 4 * judged_s,
            ..self
        }
    }

    /// A machine that is slow, or busy with others, holds no such rate. It is asked for half of it, and
    /// for a quarter; who lags then has stopped.
    pub(crate) fn slower(self) -> Option<Length> {
        let is_least = self.rate <= Length::SHORT.rate / 4;
        (self.may_be_slower && !is_least).then_some(Length {
            rate: self.rate / 2,
            topic_rate: self.topic_rate / 2,
            ..self
        })
    }
}

/// A query of the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) name: &'static str,
    /// Rows a second that come to it.
    pub(crate) rate: u64,
    /// Rows in all, if it reads from a generator.
    pub(crate) rows: Option<u64>,
}

/// A job in a folder of its own.
#[derive(Debug)]
pub(crate) struct Job {
    dir: tempfile::TempDir,
    length: Length,
    topics: Option<Topics>,
}

#[derive(Debug)]
struct Topics {
    servers: String,
    records: String,
    sums: String,
}

impl Job {
    pub(crate) fn new(length: Length, servers: Option<String>) -> Self {
        let topics = servers.map(|servers| Topics {
            records: topics::empty(&servers, "load-records", 2),
            sums: topics::empty(&servers, "load-sums", 1),
            servers,
        });
        let dir = tempfile::tempdir().unwrap();
        Job {
            dir,
            length,
            topics,
        }
    }

    pub(crate) fn length(&self) -> Length {
        self.length
    }

    pub(crate) fn servers(&self) -> Option<&str> {
        self.topics.as_ref().map(|topics| topics.servers.as_str())
    }

    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// The folders of the checkpoints, in the order of the queries.
    pub(crate) fn checkpoints(&self) -> Vec<PathBuf> {
        let queries = self.queries();
        let names = queries.iter().map(|query| query.name);
        names.map(|name| self.folder().join(name)).collect()
    }

    /// Where the sink of files keeps those that are not to be seen yet.
    pub(crate) fn staged(&self) -> PathBuf {
        self.folder().join("out/.headwater/staged")
    }

    pub(crate) fn queries(&self) -> Vec<Query> {
        let Length {
            seconds,
            rate,
            topic_rate,
            ..
        } = self.length;
        let query = |name, rate, rows| Query { name, rate, rows };
        let mut queries = vec![query("windows", rate, Some(rate * seconds))];
        if self.topics.is_some() {
            queries.push(query("feed", topic_rate, Some(topic_rate * seconds)));
            queries.push(query("sums", topic_rate, None));
        }
        queries
    }

    /// The statements.
    pub(crate) fn script(&self) -> String {
        let Length {
            rate, topic_rate, ..
        } = self.length;
        let dir = self.folder().display();
        let mut script = self.generator("generated", rate, "partitions = 2");
        script += &format!(
            "CREATE SINK files (at BIGINT, k BIGINT, n BIGINT, total BIGINT)
             WITH (connector = 'filesystem', path = '{dir}/out') FORMAT JSON;"
        );
        script += &self.query("windows", &sums_by_window("files", "generated"));
        let Some(topics) = &self.topics else {
            return script;
        };
        let Topics {
            servers,
            records,
            sums,
        } = topics;
        let sink = |name: &str, columns: &str, topic: &str| {
            format!(
                "CREATE SINK {name} ({columns}) WITH (connector = 'kafka', topic = '{topic}',
                   'bootstrap.servers' = '{servers}', 'key.columns' = 'k',
                   delivery = 'exactly-once') FORMAT JSON;"
            )
        };
        script += &self.generator("fed", topic_rate, "partitions = 1");
        script += &sink("records_in", "k BIGINT, v BIGINT, ts TIMESTAMP", records);
        script += &self.query("feed", "INSERT INTO records_in SELECT k, v, ts FROM fed");
        script += &format!(
            "CREATE SOURCE records (k BIGINT, v BIGINT, ts TIMESTAMP,
               WATERMARK FOR ts AS ts - INTERVAL '{DELAY_S} seconds')
             WITH (connector = 'kafka', topic = '{records}', 'bootstrap.servers' = '{servers}')
             FORMAT JSON;"
        );
        let columns = "at BIGINT, k BIGINT, n BIGINT, total BIGINT";
        script += &sink("sums_out", columns, sums);
        script + &self.query("sums", &sums_by_window("sums_out", "records"))
    }

    fn generator(&self, name: &str, rate: u64, options: &str) -> String {
        let rows = rate * self.length.seconds;
        let step_us = 1_000_000 / rate;
        format!(
            "CREATE SOURCE {name} (k BIGINT, v BIGINT, ts TIMESTAMP,
               WATERMARK FOR ts AS ts - INTERVAL '1 second')
             WITH (connector = 'datagen', rows = {rows}, 'rows.per.second' = {rate},
               'time.step' = '{step_us} us', {options}, 'max.records.per.epoch' = {most},
               'fields.k.kind' = 'sequence', 'fields.k.max' = {last_key},
               'fields.v.kind' = 'sequence');",
            most = rate * 10,
            last_key = KEYS - 1,
        )
    }

    fn query(&self, name: &str, insert: &str) -> String {
        let dir = self.folder().display();
        format!(
            "CREATE STREAMING QUERY {name}
             WITH (checkpoint = '{dir}/{name}', trigger = '{EPOCH_S} second') AS {insert};"
        )
    }

    /// Checks the files: the source has ended, so every window is there.
    pub(crate) fn check_files(&self) {
        let Length { seconds, rate, .. } = self.length;
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(self.folder().join("out")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_file() && !name.starts_with(['.', '_']) {
                let text = std::fs::read_to_string(&path).unwrap();
                lines.extend(text.lines().map(ToString::to_string));
            }
        }
        check_sums("windows to files", &lines, rate, seconds / WINDOW_S);
    }

    /// How many windows the watermark has passed at the end of the topic, which does not end.
    fn windows_of_topic(&self) -> u64 {
        // The last row is a moment before the end.
        (self.length.seconds - DELAY_S - 1) / WINDOW_S
    }

    /// The rows of the query that reads the topic, once those are there that must be.
    pub(crate) fn read_sums(&self) -> Vec<String> {
        let Some(Topics { servers, sums, .. }) = &self.topics else {
            return Vec::new();
        };
        let rows = self.windows_of_topic() * KEYS;
        topics::committed(servers, sums, rows as usize, PATIENCE)
    }

    pub(crate) fn check_sums(&self, lines: &[String]) {
        if self.topics.is_some() {
            let rate = self.length.topic_rate;
            check_sums("topic to topic", lines, rate, self.windows_of_topic());
        }
    }
}

/// How old a record of the topic may be: those of one epoch come in any order.
const DELAY_S: u64 = 5;

fn sums_by_window(sink: &str, source: &str) -> String {
    format!(
        "INSERT INTO {sink}
         SELECT CAST(to_unixtime(window_start) AS BIGINT) AS at, k, count(*) AS n, sum(v) AS total
         FROM tumble({source}, ts, INTERVAL '{WINDOW_S} seconds')
         GROUP BY window_start, window_end, k"
    )
}
