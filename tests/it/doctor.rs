//! `headwater doctor`: what is wrong before the start, in every place where something can be.
//!
//! Needs the binary: `cargo build -p headwater-cli`.

use std::io::Write;
use std::time::Duration;

use headwater_tests::real_broker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;

use crate::command::{Dir, Running};
use crate::kafka::Cluster;

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
    dir.create("job.sql", &job(&servers, "inn", "out"));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    assert_eq!(finding(&rows, "source \"t\" offsets")[0], "fail");
    let row = finding(&rows, "source \"t\" topic");
    assert_eq!(row[2], "\"inn\" is not there");
    assert!(row[3].contains("Did you mean \"in\"?"), "{row:?}");
    broker.signal_and_wait("TERM");
    // Now the whole broker is away.
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    for about in [
        "source \"t\" offsets",
        "source \"t\" broker",
        "sink \"s\" broker",
    ] {
        let row = finding(&rows, about);
        assert_eq!(row[0], "fail", "{row:?}");
    }
    assert_eq!(finding(&rows, "query \"q\" lock")[0], "ok");
}

/// Writes a transaction of so many records to a partition, and takes it back or not.
fn transact(producer: &BaseProducer, topic: &str, partition: i32, records: usize, aborts: bool) {
    let wait = Duration::from_secs(20);
    producer.begin_transaction().unwrap();
    for _ in 0..records {
        let record = BaseRecord::<str, str>::to(topic).partition(partition);
        producer.send(record.payload("{\"n\":1}")).unwrap();
    }
    producer.flush(wait).unwrap();
    match aborts {
        false => producer.commit_transaction(wait).unwrap(),
        true => producer.abort_transaction(wait).unwrap(),
    }
}

/// The mock cluster writes no ends of transactions, so this runs on a real broker alone.
#[tokio::test]
async fn records_are_found_before_the_ends_of_transactions() {
    let Some(servers) = real_broker() else { return };
    let cluster = Cluster {
        servers: servers.clone(),
        mock: None,
    };
    let topic = cluster.new_topic("doctor", 4).await;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("transactional.id", format!("{topic}-writer"))
        .create()
        .unwrap();
    producer.init_transactions(Duration::from_secs(20)).unwrap();
    transact(&producer, &topic, 0, 1, false);
    transact(&producer, &topic, 1, 3, false);
    transact(&producer, &topic, 1, 5, true);
    let dir = Dir::new();
    let records = || {
        let (code, rows) = findings(&dir);
        assert_eq!(code, Some(0), "{rows:#?}");
        assert!(finding(&rows, "source \"t\" clock")[2].contains("not ahead"));
        finding(&rows, "source \"t\" records")[2].clone()
    };
    dir.create(
        "job.sql",
        &format!(
            "CREATE SOURCE t (n BIGINT) WITH (connector = 'kafka', topic = '{topic}',
               'bootstrap.servers' = '{servers}') FORMAT JSON;"
        ),
    );
    assert_eq!(records(), "the newest of 2 partitions can be read");
    transact(&producer, &topic, 2, 70, true);
    assert_eq!(
        records(),
        "the newest of 2 partitions can be read; the last 64 offsets of 1 more hold none that is \
         committed"
    );
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

/// A query with state over generated rows, run to its end: `select` is what it selects.
fn sums(dir: &Dir, select: &str, sink: &str) {
    let text = format!(
        "CREATE SOURCE t (k VARCHAR, n BIGINT) WITH (connector = 'datagen', rows = 100);
         CREATE SINK s WITH ({sink});
         CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint', trigger = 'available-now') AS
         INSERT INTO s SELECT {select} FROM t GROUP BY k EMIT ON UPDATE;"
    );
    dir.create("job.sql", &text);
}

#[test]
fn a_query_is_compared_with_its_checkpoint_as_a_start_does() {
    let dir = Dir::new();
    let blackhole = "connector = 'blackhole'";
    sums(&dir, "k, sum(n) AS n", blackhole);
    assert_eq!(dir.command(&["run", "job.sql"]).output().code, Some(0));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(0), "{rows:#?}");
    let row = finding(&rows, "query \"q\" resume");
    assert_eq!(row[2], "it goes on after epoch 0");
    let row = finding(&rows, "query \"q\" files");
    assert!(row[2].ends_with("read, all whole"), "{row:?}");
    let row = finding(&rows, "source \"t\" offsets");
    let left = "1 partitions, 0 offsets after the checkpoint of query \"q\"";
    assert_eq!(row[2], left);
    // Another aggregate: what the doctor says is what the start says.
    sums(&dir, "k, max(n) AS n", blackhole);
    let before = dir.command(&["checkpoint", "inspect", "checkpoint", "--format", "json"]);
    let before = before.stdout();
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "query \"q\" resume");
    assert!(
        row[2].contains("the aggregation (aggregates was `[sum("),
        "{row:?}"
    );
    assert!(row[3].contains("allow-state-drop"), "{row:?}");
    let refused = dir.command(&["run", "job.sql"]).fails_with(5);
    assert!(refused.contains(&row[2]), "{refused}");
    let dropping = ["doctor", "job.sql", "--allow-state-drop"];
    let told = dir.command(&dropping).stdout();
    assert!(told.contains("goes on without the state of"), "{told}");
    let after = dir.command(&["checkpoint", "inspect", "checkpoint", "--format", "json"]);
    assert_eq!(before, after.stdout(), "nothing was changed");
    // Another sink: its folder is not made.
    let files = "connector = 'filesystem', path = 'results'";
    let text = format!(
        "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 100);
         CREATE SINK s WITH ({files}) FORMAT JSON;
         CREATE STREAMING QUERY f WITH (checkpoint = 'files', trigger = 'available-now') AS
         INSERT INTO s SELECT n FROM t;"
    );
    dir.create("job.sql", &text);
    assert_eq!(findings(&dir).0, Some(0));
    assert!(!dir.path().join("results").exists());
    assert_eq!(dir.command(&["run", "job.sql"]).output().code, Some(0));
    assert_eq!(findings(&dir).0, Some(0));
    dir.create("job.sql", &text.replace("'results'", "'others'"));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "query \"f\" resume");
    assert!(row[2].contains("the path of the sink (was "), "{row:?}");
    assert!(!dir.path().join("others").exists());
}

#[test]
fn damaged_files_of_a_checkpoint_are_found() {
    let dir = Dir::new();
    sums(&dir, "k, sum(n) AS n", "connector = 'blackhole'");
    assert_eq!(dir.command(&["run", "job.sql"]).output().code, Some(0));
    let state = dir.path().join("checkpoint/state/00000000.delta");
    let mut bytes = std::fs::read(&state).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut file = std::fs::File::create(&state).unwrap();
    file.write_all(&bytes).unwrap();
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "query \"q\" files");
    assert!(row[2].contains("1 damaged that are needed"), "{row:?}");
    assert!(row[2].contains("state/00000000.delta"), "{row:?}");
    assert!(row[3].contains("checkpoint rewind"), "{row:?}");
}

#[test]
fn the_folder_of_a_sink_that_is_written_is_told_and_an_endless_source_is_well() {
    let dir = Dir::new();
    let job = "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', 'rows.per.second' = 100);
         CREATE SINK s WITH (connector = 'filesystem', path = 'results') FORMAT JSON;
         CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint') AS
         INSERT INTO s SELECT n FROM t;";
    dir.create("job.sql", job);
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(0), "{rows:#?}");
    let row = finding(&rows, "source \"t\" offsets");
    assert_eq!(row[..1], ["ok"]);
    assert_eq!(row[2], "1 partitions without an end");
    assert_eq!(finding(&rows, "sink \"s\" lock")[2], "free");
    let mut run = dir.command(&["run", "job.sql"]).spawn();
    run.wait_for_stderr("started");
    // Another query that would write there.
    dir.create("job.sql", &job.replace("'checkpoint'", "'another'"));
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "sink \"s\" lock");
    assert_eq!(row[0], "fail");
    assert!(row[2].starts_with("held by process "), "{row:?}");
    assert_eq!(finding(&rows, "query \"q\" lock")[2], "free");
    let taking = ["doctor", "job.sql", "--takeover", "--format", "csv"];
    let told = dir.command(&taking).stdout();
    assert!(told.contains("warn,\"sink \"\"s\"\"\",lock"), "{told}");
    assert_eq!(run.signal_and_wait("TERM").code, Some(0));
}

#[test]
fn what_is_wrong_with_one_thing_hides_no_other() {
    let dir = Dir::new();
    dir.create("file", "");
    let job = |select: &str| {
        let text = format!(
            "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 10);
             CREATE SINK s WITH (connector = 'filesystem', path = 'file/below') FORMAT JSON;
             CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint') AS
             INSERT INTO s SELECT {select} FROM t;"
        );
        dir.create("job.sql", &text);
    };
    for (select, plan) in [("n", "ok"), ("nowhere", "fail")] {
        job(select);
        let (code, rows) = findings(&dir);
        assert_eq!(code, Some(1));
        assert_eq!(finding(&rows, "sink \"s\" disk")[0], "fail");
        assert_eq!(finding(&rows, "query \"q\" plan")[0], plan);
        for about in ["disk", "room", "lock"] {
            let row = finding(&rows, &format!("query \"q\" {about}"));
            assert_ne!(row[0], "fail", "{row:?}");
        }
    }
}

#[test]
fn two_queries_have_two_checkpoints() {
    let dir = Dir::new();
    dir.create(
        "job.sql",
        "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 10);
         CREATE SINK s WITH (connector = 'blackhole');
         CREATE STREAMING QUERY a WITH (checkpoint = 'checkpoint') AS INSERT INTO s SELECT n FROM t;
         CREATE STREAMING QUERY b WITH (checkpoint = './checkpoint') AS
         INSERT INTO s SELECT n FROM t;",
    );
    let message = "streaming queries \"a\" and \"b\" have the same checkpoint";
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let row = finding(&rows, "query \"b\" checkpoint");
    assert_eq!((row[0].as_str(), row[2].as_str()), ("fail", message));
    assert_eq!(finding(&rows, "query \"b\" plan")[0], "ok");
    let stderr = dir.command(&["run", "job.sql"]).fails_with(2);
    assert!(stderr.contains(message), "{stderr}");
}

#[test]
fn tables_of_a_script_are_known_and_no_row_of_a_source_is_read_for_them() {
    let dir = Dir::new();
    dir.create(
        "job.sql",
        "CREATE SOURCE t (n BIGINT) WITH (connector = 'datagen', rows = 10);
         CREATE SOURCE endless (n BIGINT) WITH (connector = 'datagen', 'rows.per.second' = 1);
         CREATE SINK s WITH (connector = 'blackhole');
         -- A table that is written down.
         CREATE TABLE companies (n BIGINT, name VARCHAR) AS VALUES (1, 'one'), (2, 'two');
         CREATE TABLE later (n BIGINT, name VARCHAR);
         create or replace table companies as values (3, 'three');
         CREATE TABLE companies_again AS SELECT column1 AS n, column2 AS name FROM companies;
         CREATE VIEW names AS SELECT n, name FROM companies_again;
         CREATE TABLE counted AS SELECT n, count(*) AS rows FROM t GROUP BY n;
         CREATE TABLE gone AS VALUES (1);
         DROP TABLE gone;
         CREATE TABLE gone (n BIGINT);
         CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint', trigger = 'available-now') AS
         INSERT INTO s SELECT t.n, names.name, counted.rows FROM t
         LEFT JOIN names ON t.n = names.n LEFT JOIN counted ON t.n = counted.n
         LEFT JOIN gone ON t.n = gone.n;",
    );
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(0), "{rows:#?}");
    assert_eq!(finding(&rows, "query \"q\" plan")[0], "ok");
    let run = dir.command(&["run", "job.sql"]).output();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    // A script that fails is no worse for being looked at first.
    dir.create(
        "job.sql",
        "CREATE SOURCE endless (n BIGINT) WITH (connector = 'datagen', 'rows.per.second' = 1);
         CREATE TABLE read AS SELECT n FROM endless;
         CREATE TABLE twice AS VALUES (1);
         CREATE TABLE twice AS SELECT n FROM endless;
         CREATE TABLE wrong (n BIGINT) AS VALUES ('x');",
    );
    let (code, rows) = findings(&dir);
    assert_eq!(code, Some(1));
    let failed = rows.iter().filter(|row| row[0] == "fail");
    let failed: Vec<&str> = failed.map(|row| row[1].as_str()).collect();
    assert_eq!(
        failed,
        [
            "statement \"CREATE TABLE twice AS SELECT n FROM endless\" statement",
            "statement \"CREATE TABLE wrong (n BIGINT) AS VALUES ('x')\" statement"
        ],
        "{rows:#?}"
    );
}
