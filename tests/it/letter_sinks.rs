//! Sinks of dead letters: which sources write to which, what a checkpoint holds a query to, and what
//! is there after a crash, a rewind, or a record that is too large for its letter.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater::{ErrorKind, Headwater};
use headwater_testkit::crash_point::CrashPoint;
use headwater_tests::real_broker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::cli::sorted;
use crate::command::Dir;
use crate::kafka::{Cluster, produce, rows, text};

async fn session(setup: &str) -> Headwater {
    let hw = Headwater::builder().build().unwrap();
    hw.sql(setup).await.unwrap();
    hw
}

/// A source of a file, whose bad records go to a sink.
fn file_source(dir: &Dir, name: &str, sink: &str) -> String {
    format!(
        "CREATE SOURCE {name} (id BIGINT) WITH (connector = 'filesystem', path = '{}',
           bad_data = 'dead_letter', 'dead_letter.sink' = '{sink}') FORMAT JSON;",
        dir.path().join(format!("{name}.jsonl")).display()
    )
}

/// Two sources share a sink, and a third one of the same query has its own.
#[tokio::test]
async fn sources_of_a_query_share_a_letter_sink_or_have_their_own() {
    let dir = Dir::new();
    let mut setup =
        "CREATE SINK shared (source VARCHAR, value VARCHAR) WITH (connector = 'memory');
         CREATE SINK own (source VARCHAR, value VARCHAR) WITH (connector = 'memory');
         CREATE SINK out WITH (connector = 'memory');
         SET trigger = 'available-now';"
            .to_string();
    for (place, (name, sink)) in [("a", "shared"), ("b", "shared"), ("c", "own")]
        .into_iter()
        .enumerate()
    {
        let lines = format!("{{\"id\":{place}}}\nbad {name}\n");
        dir.create(&format!("{name}.jsonl"), &lines);
        setup += &file_source(&dir, name, sink);
    }
    let hw = session(&setup).await;
    let query =
        "INSERT INTO out SELECT id FROM a UNION ALL SELECT id FROM b UNION ALL SELECT id FROM c";
    let query = hw.sql(query).await.unwrap().into_query().unwrap();
    query.await_termination().await.unwrap();
    let of = |sink: &str| text(&hw.memory_sink(sink).unwrap().rows());
    assert_eq!(of("out"), ["0", "1", "2"]);
    assert_eq!(of("shared"), ["a bad a", "b bad b"]);
    assert_eq!(of("own"), ["c bad c"]);
    assert_eq!(query.status().totals.dead_letters, 3);
}

/// The letters of the last commit may not have been published when the process died.
#[tokio::test]
async fn another_letter_sink_is_refused_while_letters_may_be_unpublished() {
    let dir = Dir::new();
    dir.create("a.jsonl", "{\"id\":1}\nbad\n");
    let folder = |name: &str| {
        let path = dir.path().join(name);
        format!(
            "(value VARCHAR) WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
            path.display()
        )
    };
    let start = async |sinks: &str, source: &str| {
        let out = format!(
            "CREATE SINK out {}",
            folder("out").replace("(value VARCHAR)", "")
        );
        let hw = session(&format!("{sinks}{out}{source}")).await;
        let query = format!(
            "CREATE STREAMING QUERY q WITH (trigger = 'available-now', checkpoint = '{}') AS
             INSERT INTO out SELECT id FROM a",
            dir.path().join("checkpoint").display()
        );
        let query = hw.sql(&query).await?.into_query().unwrap();
        query.await_termination().await
    };
    let bad = format!("CREATE SINK bad {}", folder("bad"));
    let source = file_source(&dir, "a", "bad");
    start(&bad, &source).await.unwrap();
    for (sinks, source, message, detail) in [
        (
            format!("CREATE SINK other {}", folder("other")),
            file_source(&dir, "a", "other"),
            "query \"q\" is not the one that wrote this checkpoint: no source writes dead letters to \
             sink \"bad\" any more"
                .to_string(),
            Some("Dead letters of epoch 0 may not have been handed to their sink yet."),
        ),
        (
            format!("CREATE SINK bad {}", folder("moved")),
            source.clone(),
            format!(
                "query \"q\" is not the one that wrote this checkpoint: it differs in the path of the \
                 sink for dead letters in \"bad\" (was {0}/bad, is {0}/moved)",
                dir.path().display()
            ),
            None,
        ),
    ] {
        let error = start(&sinks, &source).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint, "{error}");
        assert_eq!(error.message(), message);
        assert_eq!(error.detail(), detail);
        assert_eq!(
            error.hint(),
            Some("Use a new checkpoint folder or restore the old query.")
        );
    }
    start(&bad, &source).await.unwrap();
    assert_eq!(dir.lines_below("bad"), ["{\"value\":\"bad\"}"]);
}

const REWOUND: &str = "
CREATE SINK bad (value VARCHAR) WITH (connector = 'filesystem', path = 'DIR/bad') FORMAT JSON;
CREATE SOURCE orders (id BIGINT) WITH (connector = 'filesystem', path = 'DIR/in',
  'max.files.per.epoch' = 1, bad_data = 'dead_letter', 'dead_letter.sink' = 'bad') FORMAT JSON;
CREATE SINK out WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;
CREATE STREAMING QUERY copy WITH (checkpoint = 'DIR/checkpoint', trigger = 'available-now',
  'checkpoint.retain' = 10) AS INSERT INTO out SELECT id FROM orders;";

/// Through the command, whose last lines say how many letters there were.
///
/// Needs the binary: `cargo build -p headwater-cli`.
#[test]
fn letters_of_a_query_that_is_taken_back_are_there_once() {
    let dir = Dir::new();
    std::fs::create_dir(dir.path().join("in")).unwrap();
    for id in 0..4 {
        let lines = format!("{{\"id\":{id}}}\nbad {id}\n");
        dir.create(&format!("in/{id}.json"), &lines);
    }
    let script = REWOUND.replace("DIR", &dir.path().display().to_string());
    dir.create("copy.sql", &script);
    let letters: Vec<String> = (0..4)
        .map(|id| format!("{{\"value\":\"bad {id}\"}}"))
        .collect();
    let first = dir.command(&["run", "copy.sql"]).output();
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let told = "0 late, 4 bad (not JSON: 4), 4 dead letters, 0 ahead of the clock";
    assert!(first.stderr.contains(told), "{}", first.stderr);
    assert_eq!(sorted(dir.lines_below("bad")), letters);
    let rewind = ["checkpoint", "rewind", "checkpoint", "--to", "1"];
    dir.command(&rewind).stdout();
    let second = dir.command(&["run", "copy.sql"]).output();
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(
        second.stderr.contains(", 2 dead letters, "),
        "{}",
        second.stderr
    );
    assert_eq!(sorted(dir.lines_below("bad")), letters);
    assert_eq!(dir.lines_below("out").len(), 4);
}

/// How often each letter is there, by its value.
async fn letters(servers: &str, topic: &str) -> BTreeMap<String, usize> {
    let hw = session(&format!(
        "CREATE SOURCE letters WITH (connector = 'kafka', topic = '{topic}',
           'bootstrap.servers' = '{servers}')"
    ))
    .await;
    let mut found = BTreeMap::new();
    for value in rows(&hw, "SELECT arrow_cast(value, 'Utf8') FROM letters").await {
        *found.entry(value).or_default() += 1;
    }
    found
}

/// The process dies around the write of letters and around the commit: each bad record has a letter
/// at least, and each good one is there once.
///
/// Needs the binary: `cargo build -p headwater-cli`.
#[tokio::test]
async fn letters_reach_a_topic_though_the_process_dies() {
    let Some(servers) = real_broker() else {
        return;
    };
    let cluster = Cluster {
        servers,
        mock: None,
    };
    let servers = &cluster.servers;
    for point in [
        CrashPoint::MidSinkWrite,
        CrashPoint::SinkPrepared,
        CrashPoint::BeforeCommitRecord,
        CrashPoint::CommitRecordRenamed,
    ] {
        let input = cluster.new_topic("crash-orders", 1).await;
        let dead = cluster.new_topic("crash-letters", 1).await;
        let lines = (0..20).map(|n| match n % 2 {
            0 => format!("{{\"id\":{n}}}"),
            _ => format!("bad {n}"),
        });
        produce(servers, &input, 0, lines.collect()).await;
        let dir = Dir::new();
        let script = format!(
            "CREATE SINK bad WITH (connector = 'kafka', topic = '{dead}',
               'bootstrap.servers' = '{servers}');
             CREATE SOURCE orders (id BIGINT) WITH (connector = 'kafka', topic = '{input}',
               'bootstrap.servers' = '{servers}', 'max.records.per.epoch' = 5,
               bad_data = 'dead_letter', 'dead_letter.sink' = 'bad') FORMAT JSON;
             CREATE SINK out WITH (connector = 'filesystem', path = 'out') FORMAT JSON;
             CREATE STREAMING QUERY q WITH (checkpoint = 'checkpoint', trigger = 'available-now') AS
             INSERT INTO out SELECT id FROM orders;"
        );
        dir.create("job.sql", &script);
        let at = format!("{point}:2");
        let command = dir.command(&["run", "job.sql"]);
        let mut running = command.env("HEADWATER_CRASH_AT", &at).spawn();
        assert!(
            running.says(&format!("crash point {point} reached")),
            "{at}"
        );
        running.kill();
        dir.command(&["run", "job.sql"]).stdout();
        let found = letters(servers, &dead).await;
        let expected: Vec<String> = (0..20)
            .filter(|n| n % 2 == 1)
            .map(|n| format!("bad {n}"))
            .collect();
        assert_eq!(sorted(found.keys().cloned()), sorted(expected), "{at}");
        assert!(
            found.values().all(|times| (1..=2).contains(times)),
            "{found:?}"
        );
        assert_eq!(dir.lines_below("out").len(), 10, "{at}");
    }
}

/// Writes messages that may be large to a topic.
fn produce_large(servers: &str, topic: &str, messages: &[(&str, Vec<u8>)]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config.set("message.max.bytes", "100000000");
    let producer: BaseProducer = config.create().unwrap();
    for (key, value) in messages {
        let record = BaseRecord::<str, [u8]>::to(topic).partition(0);
        producer.send(record.key(*key).payload(value)).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// A bad record of a size that no letter may have costs its end, and not the query.
#[tokio::test]
async fn a_letter_that_is_too_large_is_cut_and_says_so() {
    let cluster = Cluster::mock();
    let servers = &cluster.servers;
    let input = cluster.new_topic("large", 1).await;
    let dead = cluster.new_topic("large-bad", 1).await;
    let encoded = cluster.new_topic("large-bad-json", 1).await;
    let large = vec![b'\"'; 2_000_000];
    let messages = [
        ("a", b"{\"id\":1}".to_vec()),
        ("b", large.clone()),
        ("c", b"small".to_vec()),
        ("d", b"{\"id\":2}".to_vec()),
    ];
    produce_large(servers, &input, &messages);
    let hw = session(&format!(
        "CREATE SINK bad WITH (connector = 'kafka', topic = '{dead}', 'bootstrap.servers' = '{servers}');
         CREATE SINK bad_json (value VARCHAR, detail VARCHAR, topic VARCHAR, \"offset\" BIGINT)
         WITH (connector = 'kafka', topic = '{encoded}', 'bootstrap.servers' = '{servers}') FORMAT JSON;
         CREATE SINK good WITH (connector = 'memory');
         CREATE SINK good_again WITH (connector = 'memory');
         SET trigger = 'available-now';"
    ))
    .await;
    for (sink, good) in [("bad", "good"), ("bad_json", "good_again")] {
        hw.sql(&format!(
            "CREATE OR REPLACE SOURCE orders (id BIGINT) WITH (connector = 'kafka', topic = '{input}',
               'bootstrap.servers' = '{servers}', bad_data = 'dead_letter',
               'dead_letter.sink' = '{sink}') FORMAT JSON"
        ))
        .await
        .unwrap();
        let query = format!("INSERT INTO {good} SELECT id FROM orders");
        let query = hw.sql(&query).await.unwrap().into_query().unwrap();
        query.await_termination().await.unwrap();
        assert_eq!(query.status().totals.dead_letters, 2);
        assert_eq!(text(&hw.memory_sink(good).unwrap().rows()), ["1", "2"]);
    }
    hw.sql(&format!(
        "CREATE SOURCE letters (value BYTEA, key VARCHAR METADATA FROM 'key',
           headers STRUCT<key VARCHAR, value BYTEA>[] METADATA FROM 'headers')
         WITH (connector = 'kafka', topic = '{dead}', 'bootstrap.servers' = '{servers}') FORMAT RAW;
         CREATE SOURCE encoded (value VARCHAR, detail VARCHAR, \"offset\" BIGINT)
         WITH (connector = 'kafka', topic = '{encoded}', 'bootstrap.servers' = '{servers}') FORMAT JSON;"
    ))
    .await
    .unwrap();
    let found = rows(
        &hw,
        "SELECT key, length(encode(value, 'hex')) / 2 BETWEEN 900000 AND 1000000
         FROM letters",
    );
    assert_eq!(found.await, ["b true", "c false"]);
    let headers = "SELECT h['key'], arrow_cast(h['value'], 'Utf8') FROM
        (SELECT unnest(headers) AS h FROM letters WHERE key = 'b')";
    let headers = rows(&hw, headers).await;
    let cut = headers
        .iter()
        .find(|header| header.starts_with("headwater.cut value cut from 2000000 to "));
    assert!(cut.is_some(), "{headers:?}");
    assert!(
        headers.contains(&"headwater.offset 1".to_string()),
        "{headers:?}"
    );
    // In JSON a quote is two bytes.
    let found = rows(
        &hw,
        "SELECT \"offset\", length(value) BETWEEN 200000 AND 500000, detail LIKE '%value cut from 2000000 to %'
         FROM encoded",
    );
    assert_eq!(found.await, ["1 true true", "2 false false"]);
}
