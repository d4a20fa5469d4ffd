//! The end of a process that is asked to end, whatever its queries are waiting for.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::command::{Dir, Finished, Running};

/// What an end may take beyond its drain timeout, on a busy machine.
const SLACK: Duration = Duration::from_secs(4);

/// Sends a signal and waits for the end; it must come in time.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a process takes is measured from outside"
)]
fn ends_after(run: Running, signal: &str, timeout: Duration) -> Finished {
    let asked = Instant::now();
    run.signal(signal);
    let end = run.wait();
    let took = asked.elapsed();
    assert!(took < timeout + SLACK, "{took:?}\n{}", end.stderr);
    end
}

/// One epoch that takes far longer than any test.
fn endless(dir: &Dir) {
    dir.create(
        "job.sql",
        "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 100000000000,
           'max.records.per.epoch' = 100000000000);
         CREATE SINK s WITH (connector = 'console');
         CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint') AS
         INSERT INTO s SELECT n FROM t WHERE n < 0;",
    );
}

/// Waits until an epoch has been decided: the console shows rows before the commit, so its record
/// is written before it runs.
fn wait_for_epoch(dir: &Dir) {
    let folder = dir.path().join("checkpoint/epochs");
    let is_record = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        path.extension()
            .is_some_and(|extension| extension == "json")
    };
    while !std::fs::read_dir(&folder).is_ok_and(|mut files| files.any(is_record)) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_epoch_that_takes_too_long_is_abandoned() {
    for signal in ["TERM", "INT"] {
        let dir = Dir::new();
        endless(&dir);
        let arguments = ["run", "job.sql", "--drain-timeout", "1 second"];
        let mut run = dir.command(&arguments).spawn();
        run.wait_for_stderr("started");
        wait_for_epoch(&dir);
        let end = ends_after(run, signal, Duration::from_secs(1));
        assert_eq!(end.code, Some(0), "{}", end.stderr);
        for part in ["abandoned, 1s after", "query \"q\" ended: 0 epochs"] {
            assert!(end.stderr.contains(part), "{part}: {}", end.stderr);
        }
        // The lock is free and the epoch is there, to be run as it was decided.
        let mut again = dir.command(&arguments).spawn();
        again.wait_for_stderr("started");
        assert_eq!(again.signal_and_wait("TERM").code, Some(0));
    }
}

#[test]
fn the_timeout_of_the_query_goes_before_that_of_the_command() {
    let dir = Dir::new();
    endless(&dir);
    let text = std::fs::read_to_string(dir.path().join("job.sql")).unwrap();
    let text = text.replace(
        "checkpoint = 'checkpoint'",
        "'drain-timeout' = '100 ms', checkpoint = 'checkpoint'",
    );
    dir.create("job.sql", &text);
    let arguments = ["run", "job.sql", "--drain-timeout", "1 hour"];
    let mut run = dir.command(&arguments).spawn();
    run.wait_for_stderr("started");
    wait_for_epoch(&dir);
    let end = ends_after(run, "TERM", Duration::from_millis(100));
    assert_eq!(end.code, Some(0), "{}", end.stderr);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let dir = Dir::new();
    endless(&dir);
    let arguments = ["run", "job.sql", "--drain-timeout", "1 hour"];
    let mut run = dir.command(&arguments).spawn();
    run.wait_for_stderr("started");
    wait_for_epoch(&dir);
    run.signal("TERM");
    run.wait_for_stderr("stopping");
    // Those that come with the first are the same wish, so it may take several.
    let end = run.signal_until_it_ends("TERM");
    assert_eq!(end.code, Some(143), "{}", end.stderr);
}

/// A development broker, and its address.
fn broker(dir: &Dir, topic: &str) -> (Running, String) {
    let mut broker = dir.command(&["dev-broker", "--topic", topic]).spawn();
    let started = broker.read_stdout_line();
    let (_, servers) = started.split_once("bootstrap.servers=").unwrap();
    let servers = servers.to_string();
    (broker, servers)
}

/// A broker that hangs, as one whose machine is gone does, keeps no process from its end; when it
/// is back, the next process goes on where the last commit was.
#[test]
fn a_sink_whose_broker_hangs_keeps_no_process() {
    let dir = Dir::new();
    let (broker, servers) = broker(&dir, "out:1");
    let job = |pace: &str| {
        format!(
            "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 3000,
               'fields.n.kind' = 'sequence', 'max.records.per.epoch' = 200{pace});
             CREATE SINK s (n BIGINT) WITH (connector = 'kafka', topic = 'out',
               'bootstrap.servers' = '{servers}', delivery = 'at-least-once') FORMAT JSON;
             CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint', 'stall-timeout' = '1 s') AS
             INSERT INTO s SELECT n FROM t;"
        )
    };
    dir.create("job.sql", &job(", 'rows.per.second' = 1000"));
    let arguments = ["run", "job.sql", "--drain-timeout=1s", "--progress=always"];
    let mut run = dir.command(&arguments).spawn();
    run.wait_for_stderr("q: epoch ");
    broker.signal("STOP");
    let stall = run.wait_for_stderr("the query makes no progress (sink)");
    assert!(stall.contains("waits for its sink"), "{stall}");
    let end = ends_after(run, "TERM", Duration::from_secs(1));
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    for part in ["abandoned, 1s after", "\n  no progress since "] {
        assert!(end.stderr.contains(part), "{part}: {}", end.stderr);
    }
    broker.signal("CONT");
    let mut again = dir.command(&["run", "job.sql"]).spawn();
    let line = again.wait_for_stderr("query \"q\" ");
    assert!(line.contains("resumed after epoch "), "{line}");
    let end = again.wait();
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    let tail = ["kafka", "tail", "--topic", "out", "--from", "earliest"];
    let tail = [&tail[..], &["--until-end", "--bootstrap", &servers]].concat();
    let rows = dir.command(&tail).stdout();
    let rows: BTreeSet<&str> = rows.lines().collect();
    assert_eq!(rows.len(), 3000);
    broker.signal_and_wait("TERM");
}

#[test]
fn a_source_whose_broker_hangs_keeps_no_process() {
    let dir = Dir::new();
    let (broker, servers) = broker(&dir, "in:1");
    dir.create(
        "job.sql",
        &format!(
            "CREATE SOURCE t (n BIGINT) WITH (connector = 'kafka', topic = 'in',
               'bootstrap.servers' = '{servers}', 'scan.startup.mode' = 'earliest-offset')
             FORMAT JSON;
             CREATE SINK s (n BIGINT) WITH (connector = 'filesystem', path = 'out') FORMAT JSON;
             CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint') AS
             INSERT INTO s SELECT n FROM t;"
        ),
    );
    let produce = |rows: &str| {
        let to = ["kafka", "produce", "--topic", "in", "--bootstrap", &servers];
        dir.command(&to).stdin(rows).stdout();
    };
    produce("{\"n\":1}\n");
    let arguments = ["run", "job.sql", "--drain-timeout=1s", "--progress=always"];
    let mut run = dir.command(&arguments).spawn();
    run.wait_for_stderr("epoch 0");
    broker.signal("STOP");
    let end = ends_after(run, "TERM", Duration::from_secs(1));
    assert_eq!(end.code, Some(0), "{}", end.stderr);
    // A start that waits for its source has nothing to finish.
    let mut waiting = dir.command(&["run", "job.sql", "--verbose"]).spawn();
    waiting.wait_for_stderr("sink");
    let end = ends_after(waiting, "TERM", Duration::ZERO);
    assert_eq!(end.code, Some(143), "{}", end.stderr);
    broker.signal("CONT");
    produce("{\"n\":2}\n");
    let mut again = dir
        .command(&["run", "job.sql", "--progress=always"])
        .spawn();
    again.wait_for_stderr("epoch 1");
    assert_eq!(again.signal_and_wait("TERM").code, Some(0));
    let mut rows = dir.lines_below("out");
    rows.sort();
    assert_eq!(rows, ["{\"n\":1}", "{\"n\":2}"]);
    broker.signal_and_wait("TERM");
}
