//! `headwater doctor`: what is wrong before the start, in every place where something can be.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use serde_json::Value;

use crate::command::{Dir, Running};

fn broker(dir: &Dir) -> (Running, String) {
    let topics = ["dev-broker", "--topic", "in:2", "--topic", "out:1"];
    let mut broker = dir.command(&topics).spawn();
    let started = broker.read_stdout_line();
    let (_, servers) = started.split_once("bootstrap.servers=").unwrap();
    let servers = servers.to_string();
    (broker, servers)
}

fn job(servers: &str, input: &str, output: &str) -> String {
    format!(
        "CREATE SOURCE t (n BIGINT) WITH (connector = 'kafka', topic = '{input}',
           'bootstrap.servers' = '{servers}') FORMAT JSON;
         CREATE SINK s (n BIGINT) WITH (connector = 'kafka', topic = '{output}',
           'bootstrap.servers' = '{servers}') FORMAT JSON;
         CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint') AS
         INSERT INTO s SELECT n FROM t;"
    )
}

/// Runs the doctor: its code, and of each finding the verdict, the object with the check, what was
/// found, and what to do.
fn findings(dir: &Dir) -> (Option<i32>, Vec<[String; 4]>) {
    let run = dir
        .command(&["doctor", "job.sql", "--format", "json"])
        .output();
    let text = |row: &Value, key: &str| row[key].as_str().unwrap().to_string();
    let rows = run.stdout.lines().map(|line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let about = format!("{} {}", text(&row, "object"), text(&row, "check"));
        let (found, advice) = (text(&row, "found"), text(&row, "what_to_do"));
        [text(&row, "verdict"), about, found, advice]
    });
    let rows: Vec<_> = rows.collect();
    assert!(!rows.is_empty(), "{}", run.stderr);
    (run.code, rows)
}

fn finding<'a>(rows: &'a [[String; 4]], about: &str) -> &'a [String; 4] {
    let found = rows.iter().find(|row| row[1] == about);
    found.unwrap_or_else(|| panic!("nothing about {about}: {rows:#?}"))
}

#[test]
fn a_script_that_can_run_is_found_well_and_left_alone() {
    let dir = Dir::new();
    let (broker, servers) = broker(&dir);
    dir.create("job.sql", &job(&servers, "in", "out"));
    let to = ["kafka", "produce", "--topic", "in", "--bootstrap", &servers];
    dir.command(&to).stdin("{\"n\":1}\n{\"n\":2}\n").stdout();
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(0), "{rows:#?}");
    for (about, found) in [
        ("headwater versions", "librdkafka "),
        ("query \"q\" plan", "append mode"),
        ("query \"q\" disk", "is not there yet"),
        ("query \"q\" fsync", "durable after"),
        ("query \"q\" room", " MiB are free"),
        ("query \"q\" lock", "free"),
        ("source \"t\" offsets", "2 partitions, 2 offsets to read"),
        ("source \"t\" topic", "\"in\" has 2 partitions"),
        ("source \"t\" records", "can be read"),
        ("source \"t\" clock", "not ahead"),
        ("sink \"s\" topic", "\"out\" has 1 partitions"),
    ] {
        let row = finding(&rows, about);
        assert!(row[2].contains(found), "{row:?}");
        assert_ne!(row[0], "fail", "{row:?}");
    }
    assert!(!dir.path().join("checkpoint").exists(), "nothing was made");
    let table = dir.command(&["doctor", "job.sql"]).stdout();
    assert!(table.contains("| verdict | object "), "{table}");
    broker.signal_and_wait("TERM");
}

#[test]
fn topics_that_are_not_there_are_named_with_the_nearest() {
    let dir = Dir::new();
    let (broker, servers) = broker(&dir);
    dir.create("job.sql", &job(&servers, "in", "ouy"));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "sink \"s\" topic");
    assert_eq!(
        row[..3],
        ["fail", "sink \"s\" topic", "\"ouy\" is not there"]
    );
    assert!(row[3].contains("Did you mean \"out\"?"), "{row:?}");
    broker.signal_and_wait("TERM");
    // Now the whole broker is away.
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    assert_eq!(finding(&rows, "source \"t\" offsets")[0], "fail");
    assert_eq!(finding(&rows, "sink \"s\" broker")[0], "fail");
    assert_eq!(finding(&rows, "query \"q\" lock")[0], "ok");
}

#[test]
fn a_checkpoint_that_is_held_and_a_folder_that_cannot_be_are_told() {
    let dir = Dir::new();
    let script = |checkpoint: &str, select: &str| {
        let text = format!(
            "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 100000,
               'rows.per.second' = 100);
             CREATE SINK s WITH (connector = 'blackhole');
             CREATE STREAMING QUERY q WITH (checkpoint = '{checkpoint}') AS
             INSERT INTO s SELECT {select} FROM t;"
        );
        dir.create("job.sql", &text);
    };
    script("checkpoint", "n");
    let mut run = dir.command(&["run", "job.sql"]).spawn();
    run.wait_for_stderr("started");
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "query \"q\" lock");
    assert!(row[2].starts_with("held by process "), "{row:?}");
    assert!(row[3].starts_with("Stop that process"), "{row:?}");
    assert_eq!(run.signal_and_wait("TERM").code, Some(0));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(0), "{rows:#?}");
    dir.create("file", "");
    script("file/below", "n");
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    assert_eq!(finding(&rows, "query \"q\" disk")[0], "fail");
    // A query that cannot be planned is a finding, and text that is no SQL an error of its place.
    script("checkpoint", "nowhere");
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    assert!(
        rows.iter()
            .any(|row| row[0] == "fail" && row[2].contains("nowhere"))
    );
    dir.create("job.sql", "CREATE SOURCE;");
    let stderr = dir.command(&["doctor", "job.sql"]).fails_with(2);
    assert!(stderr.contains("--> job.sql:1:"), "{stderr}");
}
