//! Kafka end to end, through the library: topic → windows → files, topic → topic, raw reads,
//! restarts. Every scenario runs on librdkafka's mock cluster and on a real broker.
//!
//! `HEADWATER_TEST_BOOTSTRAP` names the real broker; `cargo xtask test` starts one and sets it.
//! Unset, the tests on a real broker fail: a broker that is not there is no reason to pass.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow::util::display::array_value_to_string;
use headwater::kafka::{DevBroker, KafkaConnection, create_topic, produce_lines};
use headwater::{ErrorKind, Headwater, SystemClock};
use headwater_tests::real_broker;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::dead_letters::dead_letters_reach_a_topic;
use crate::narrowed_reads::{
    bounded_reads_leave_out_what_they_need_not, times_are_looked_up_or_refused,
};

/// A topic nobody else uses.
pub(crate) fn fresh_topic(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{name}-{}-{count}", std::process::id())
}

/// A broker to test on. The mock cluster makes topics by a call, not by the protocol.
pub(crate) struct Cluster {
    pub(crate) servers: String,
    pub(crate) mock: Option<DevBroker>,
}

impl Cluster {
    pub(crate) fn mock() -> Self {
        let broker = DevBroker::start(&[]).unwrap();
        Cluster {
            servers: broker.bootstrap_servers(),
            mock: Some(broker),
        }
    }

    pub(crate) async fn new_topic(&self, name: &str, partitions: i32) -> String {
        let topic = fresh_topic(name);
        match &self.mock {
            Some(broker) => broker.create_topic(&topic, partitions).unwrap(),
            None => {
                let connection = KafkaConnection::new(&self.servers);
                create_topic(&connection, &topic, partitions, Some(1))
                    .await
                    .unwrap();
            }
        }
        topic
    }
}

pub(crate) async fn produce(servers: &str, topic: &str, partition: i32, lines: Vec<String>) {
    let connection = KafkaConnection::new(servers);
    let messages = lines.into_iter().map(|line| (None, line.into_bytes()));
    let clock = SystemClock::new();
    produce_lines(&connection, topic, Some(partition), messages, None, &clock)
        .await
        .unwrap();
}

/// Orders of one partition: one per second, symbols in turn.
pub(crate) fn orders(from: u32, to: u32) -> Vec<String> {
    (from..to)
        .map(|i| {
            let (symbol, minute, second) = (["A", "B", "C"][i as usize % 3], i / 60, i % 60);
            format!(
                r#"{{"id":{i},"symbol":"{symbol}","amount":{},"ts":"2026-01-01T00:{minute:02}:{second:02}Z"}}"#,
                i % 7
            )
        })
        .collect()
}

pub(crate) fn source(name: &str, servers: &str, topic: &str) -> String {
    format!(
        "CREATE SOURCE {name} (id BIGINT, symbol VARCHAR, amount BIGINT, ts TIMESTAMP,
           p INT METADATA FROM 'partition', o BIGINT METADATA FROM 'offset',
           WATERMARK FOR ts AS ts - INTERVAL '5 seconds')
         WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}') FORMAT JSON;"
    )
}

pub(crate) fn text(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            let cells = batch
                .columns()
                .iter()
                .map(|c| array_value_to_string(c, row).unwrap());
            rows.push(cells.collect::<Vec<_>>().join(" "));
        }
    }
    rows.sort();
    rows
}

pub(crate) async fn rows(hw: &Headwater, sql: &str) -> Vec<String> {
    text(&hw.sql(sql).await.unwrap().collect().await.unwrap())
}

const WINDOWS: &str = "SELECT symbol, window_start, count(*) AS n, sum(amount) AS volume
    FROM tumble(orders, ts, INTERVAL '10 seconds') GROUP BY symbol, window_start, window_end";

/// Reads JSON lines of all files of a folder: how often each line is there.
fn lines_of(folder: &std::path::Path) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("part-") {
            for line in std::fs::read_to_string(&path).unwrap().lines() {
                *lines.entry(line.to_string()).or_default() += 1;
            }
        }
    }
    lines
}

async fn windows_reach_files_once_across_restarts(cluster: &Cluster) {
    let servers = &cluster.servers;
    let topic = cluster.new_topic("windows", 4).await;
    let folder = tempfile::tempdir().unwrap();
    let (out, checkpoint) = (folder.path().join("out"), folder.path().join("checkpoint"));
    let setup = format!(
        "{} CREATE SINK volumes WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
        source("orders", servers, &topic),
        out.display()
    );
    let query = |end: &str| {
        format!(
            "CREATE STREAMING QUERY v WITH (trigger = 'available-now', checkpoint = '{}', \
             'end-of-input' = '{end}') AS INSERT INTO volumes {WINDOWS}",
            checkpoint.display()
        )
    };
    // Three runs of three processes' worth of sessions; partitions are skewed by minutes.
    for (run, end) in [(0, "hold"), (1, "hold"), (2, "flush")] {
        for partition in 0..4 {
            let from = run * 40 + u32::try_from(partition).unwrap() * 3;
            produce(servers, &topic, partition, orders(from, from + 40)).await;
        }
        let hw = Headwater::builder().target_partitions(2).build().unwrap();
        hw.sql(&setup).await.unwrap();
        let started = hw.sql(&query(end)).await.unwrap().into_query().unwrap();
        started.await_termination().await.unwrap();
        assert_eq!(started.status().totals.rows_late, 0);
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&setup).await.unwrap();
    let expected = rows(&hw, &format!("SELECT count(*), sum(n) FROM ({WINDOWS}) w")).await;
    let lines = lines_of(&out);
    let counted: i64 = lines
        .keys()
        .map(|l| {
            serde_json::from_str::<serde_json::Value>(l).unwrap()["n"]
                .as_i64()
                .unwrap()
        })
        .sum();
    assert!(lines.values().all(|n| *n == 1), "doubled: {lines:?}");
    assert_eq!(vec![format!("{} {counted}", lines.len())], expected);
    assert_eq!(counted, 480);
}

/// Partitions of very different sizes, up to an hour apart, read from the beginning in small
/// epochs; one is empty.
async fn partitions_hours_apart_lose_no_row(cluster: &Cluster) {
    let servers = &cluster.servers;
    let topic = cluster.new_topic("skew", 4).await;
    for (partition, from, to) in [(0, 0, 400), (1, 3000, 3100), (2, 1500, 1505)] {
        produce(servers, &topic, partition, orders(from, to)).await;
    }
    let hw = Headwater::builder().target_partitions(2).build().unwrap();
    let small = "WITH ('max.records.per.epoch' = 30, ";
    let source = source("orders", servers, &topic).replace("WITH (", small);
    hw.sql(&source).await.unwrap();
    let writer = hw.stream(WINDOWS).await.unwrap().write_stream();
    let query = writer
        .format("memory")
        .query_name("volumes")
        .trigger(headwater::Trigger::AvailableNow)
        .end_of_input(headwater::EndOfInput::Flush)
        .start()
        .await
        .unwrap();
    query.await_termination().await.unwrap();
    let totals = query.status().totals;
    assert_eq!((totals.rows_in, totals.rows_late), (505, 0));
    assert!(totals.epochs > 10, "{} epochs", totals.epochs);
    let emitted = text(&hw.memory_sink("volumes").unwrap().rows());
    assert_eq!(emitted, rows(&hw, WINDOWS).await);
}

async fn rows_go_from_topic_to_topic(cluster: &Cluster) {
    let servers = &cluster.servers;
    let (input, output) = (
        cluster.new_topic("in", 2).await,
        cluster.new_topic("out", 2).await,
    );
    produce(servers, &input, 0, orders(0, 50)).await;
    produce(servers, &input, 1, orders(50, 100)).await;
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&source("orders", servers, &input)).await.unwrap();
    hw.sql(&format!(
        "CREATE SINK big (id BIGINT, symbol VARCHAR, double BIGINT, PRIMARY KEY (symbol))
         WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}') FORMAT JSON;
         CREATE SOURCE written (id BIGINT, symbol VARCHAR, double BIGINT, k VARCHAR METADATA FROM 'key')
         WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}') FORMAT JSON;
         SET trigger = 'available-now';"
    ))
    .await
    .unwrap();
    let query = hw
        .sql("INSERT INTO big SELECT id, symbol, amount * 2 FROM orders WHERE amount > 4")
        .await
        .unwrap()
        .into_query()
        .unwrap();
    query.await_termination().await.unwrap();
    let written = rows(
        &hw,
        "SELECT id, symbol, double FROM written WHERE k = symbol",
    )
    .await;
    let expected = rows(
        &hw,
        "SELECT id, symbol, amount * 2 FROM orders WHERE amount > 4",
    )
    .await;
    assert_eq!(written, expected);
    assert!(!written.is_empty());
}

/// With a checkpoint rows are delivered in transactions, and every run goes on after the note of
/// the one before.
async fn rows_are_delivered_once_across_restarts(cluster: &Cluster) {
    let servers = &cluster.servers;
    let (input, output) = (
        cluster.new_topic("in", 2).await,
        cluster.new_topic("out", 2).await,
    );
    let folder = tempfile::tempdir().unwrap();
    let setup = format!(
        "{} CREATE SINK volumes (symbol VARCHAR, window_start TIMESTAMP, n BIGINT, volume BIGINT)
         WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}',
               delivery = 'exactly-once') FORMAT JSON;
         CREATE SOURCE written (symbol VARCHAR, window_start TIMESTAMP, n BIGINT, volume BIGINT)
         WITH (connector = 'kafka', topic = '{output}', 'bootstrap.servers' = '{servers}') FORMAT JSON;",
        source("orders", servers, &input),
    );
    for (run, end) in [(0, "hold"), (1, "hold"), (2, "flush")] {
        for partition in 0..2 {
            let lines = orders(run * 40, run * 40 + 40);
            produce(servers, &input, partition, lines).await;
        }
        let hw = Headwater::builder().build().unwrap();
        hw.sql(&setup).await.unwrap();
        let query = format!(
            "CREATE STREAMING QUERY v WITH (trigger = 'available-now', checkpoint = '{}',
             'end-of-input' = '{end}') AS INSERT INTO volumes {WINDOWS}",
            folder.path().display()
        );
        let query = hw.sql(&query).await.unwrap().into_query().unwrap();
        query.await_termination().await.unwrap();
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&setup).await.unwrap();
    let written = rows(&hw, "SELECT * FROM written").await;
    assert_eq!(written, rows(&hw, WINDOWS).await);
    assert!(!written.is_empty());
    // Without a checkpoint nobody could go on after the note.
    let refused = hw
        .sql(&format!(
            "SET trigger = 'available-now'; INSERT INTO volumes {WINDOWS}"
        ))
        .await;
    let error = refused.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(
        error.message(),
        "sink \"volumes\" delivers exactly once only what a query with a checkpoint writes"
    );
}

async fn a_topic_without_columns_is_read_raw(cluster: &Cluster) {
    let servers = &cluster.servers;
    let topic = cluster.new_topic("raw", 1).await;
    produce(servers, &topic, 0, orders(0, 20)).await;
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    let columns = rows(
        &hw,
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'raw'",
    );
    assert_eq!(
        columns.await,
        [
            "key",
            "offset",
            "partition",
            "timestamp",
            "timestamp_type",
            "topic",
            "value"
        ]
    );
    assert_eq!(rows(&hw, "SELECT count(*) FROM raw").await, ["20"]);
    let newest = "SELECT \"offset\" FROM raw ORDER BY timestamp DESC, \"offset\" DESC LIMIT 5";
    assert_eq!(rows(&hw, newest).await, ["15", "16", "17", "18", "19"]);
    let newest = hw.sql(newest).await.unwrap().collect().await.unwrap();
    let first = newest[0].column(0).as_primitive::<Int64Type>().value(0);
    assert_eq!(first, 19, "newest first");
}

async fn an_unknown_topic_is_named(cluster: &Cluster) {
    let servers = &cluster.servers;
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&source("orders", servers, "nobody-made-this"))
        .await
        .unwrap();
    let error = hw.sql("SELECT count(*) FROM orders").await.unwrap_err();
    assert!(error.message().contains("nobody-made-this"), "{error}");
    assert_ne!(error.kind(), ErrorKind::Internal);
}

macro_rules! on_every_broker {
    ($($test:ident => $scenario:ident),+ $(,)?) => {
        mod mock {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$scenario(&super::Cluster::mock()).await;
            })+
        }
        mod real {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some(servers) = super::real_broker() {
                    super::$scenario(&super::Cluster { servers, mock: None }).await;
                }
            })+
        }
    };
}

on_every_broker! {
    windows_once => windows_reach_files_once_across_restarts,
    topic_to_topic => rows_go_from_topic_to_topic,
    delivered_once => rows_are_delivered_once_across_restarts,
    raw => a_topic_without_columns_is_read_raw,
    unknown_topic => an_unknown_topic_is_named,
    skew => partitions_hours_apart_lose_no_row,
    dead_letters => dead_letters_reach_a_topic,
    narrowed => bounded_reads_leave_out_what_they_need_not,
    times => times_are_looked_up_or_refused,
}

/// Transaction markers make gaps in the offsets, and aborted rows are not there. The mock cluster
/// shows aborted rows, so this runs on a real broker alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_leave_gaps_and_aborted_rows_are_not_read() {
    let Some(servers) = real_broker() else { return };
    let cluster = Cluster {
        servers: servers.clone(),
        mock: None,
    };
    let topic = cluster.new_topic("transactions", 1).await;
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("transactional.id", format!("{topic}-writer"))
        .create()
        .unwrap();
    let wait = std::time::Duration::from_secs(20);
    producer.init_transactions(wait).unwrap();
    for (round, lines) in orders(0, 60).chunks(10).enumerate() {
        producer.begin_transaction().unwrap();
        for line in lines {
            let record = BaseRecord::<str, str>::to(&topic)
                .partition(0)
                .payload(line);
            producer.send(record).unwrap();
        }
        producer.flush(wait).unwrap();
        match round % 2 {
            0 => producer.commit_transaction(wait).unwrap(),
            _ => producer.abort_transaction(wait).unwrap(),
        }
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&source("orders", &servers, &topic)).await.unwrap();
    assert_eq!(
        rows(&hw, "SELECT count(*), max(id) FROM orders").await,
        ["30 49"]
    );
    let gaps = rows(&hw, "SELECT max(o) > 40 FROM orders").await;
    assert_eq!(gaps, ["true"], "markers and aborted rows take offsets");
    // Nor are they counted where nothing is made of the records.
    hw.sql(&format!(
        "CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    assert_eq!(rows(&hw, "SELECT count(*) FROM raw").await, ["30"]);
    assert_eq!(rows(&hw, "SELECT count(value) FROM raw").await, ["30"]);

    let query = hw
        .stream("SELECT id, o FROM orders")
        .await
        .unwrap()
        .write_stream()
        .format("memory")
        .query_name("ids")
        .trigger(headwater::Trigger::AvailableNow)
        .start()
        .await
        .unwrap();
    query.await_termination().await.unwrap();
    assert_eq!(text(&hw.memory_sink("ids").unwrap().rows()).len(), 30);
}

#[tokio::test]
async fn a_query_does_not_go_on_in_a_topic_that_holds_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let run = async |cluster: &Cluster, topic: &str, options: &str| {
        let hw = Headwater::builder().target_partitions(1).build().unwrap();
        let declared = format!(
            "CREATE SOURCE orders (id BIGINT) WITH (connector = 'kafka', topic = '{topic}',
               'bootstrap.servers' = '{}' {options}) FORMAT JSON;
             CREATE SINK kept WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
            cluster.servers,
            folder.path().join("rows").display(),
        );
        hw.sql(&declared).await.unwrap();
        let insert = format!(
            "CREATE STREAMING QUERY q WITH (checkpoint = '{}', 'trigger' = 'available-now')
             AS INSERT INTO kept SELECT id FROM orders",
            folder.path().join("checkpoint").display()
        );
        let query = hw.sql(&insert).await?.into_query()?;
        query.await_termination().await
    };
    let lines = |range: std::ops::Range<u32>| range.map(|id| format!("{{\"id\":{id}}}")).collect();
    let first = Cluster::mock();
    let topic = first.new_topic("again", 1).await;
    produce(&first.servers, &topic, 0, lines(0..10)).await;
    run(&first, &topic, "").await.unwrap();
    let second = DevBroker::start(&[(topic.clone(), 1)]).unwrap();
    let second = Cluster {
        servers: second.bootstrap_servers(),
        mock: Some(second),
    };
    produce(&second.servers, &topic, 0, lines(100..120)).await;
    for options in ["", ", 'on.data.loss' = 'skip'"] {
        let error = run(&second, &topic, options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        let expected = format!(
            "offset 9 of partition 0 of topic \"{topic}\" holds another record than this \
             checkpoint has read"
        );
        assert_eq!(error.message(), expected);
    }
    produce(&first.servers, &topic, 0, lines(10..12)).await;
    run(&first, &topic, "").await.unwrap();
    let kept = lines_of(&folder.path().join("rows"));
    assert_eq!(kept.len(), 12, "{kept:?}");
    assert!(kept.values().all(|times| *times == 1));
}
