//! Bounded reads of a topic that say which partitions, offsets and times they want, or how many rows:
//! the answer is that of a read of everything, and what is not wanted is not read.

use std::time::Duration;

use headwater::{Clock, Headwater, Outcome, SystemClock};
use headwater_tests::real_broker;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::{Cluster, fresh_topic, produce, text};

const RECORDS: i64 = 60;

/// In each of two partitions a record a second; every tenth is five seconds older than its place.
fn put(servers: &str, topic: &str, start_ms: i64) {
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", servers).create().unwrap();
    for partition in 0..2 {
        for number in 0..RECORDS {
            let behind = if number % 10 == 9 { 5 } else { 0 };
            let value = format!("{{\"n\":{number}}}");
            let record = BaseRecord::<(), str>::to(topic)
                .partition(partition)
                .timestamp(start_ms + (number - behind) * 1_000)
                .payload(&value);
            producer.send(record).unwrap();
        }
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// The rows of a query, sorted, and how many records it has read.
async fn read(hw: &Headwater, sql: &str) -> (Vec<String>, u64) {
    let Outcome::Rows(mut rows) = hw.sql(sql).await.unwrap() else {
        panic!("{sql} gave no rows")
    };
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await.unwrap() {
        batches.push(batch);
    }
    (text(&batches), rows.records_read())
}

pub(crate) async fn bounded_reads_leave_out_what_they_need_not(cluster: &Cluster) {
    let servers = &cluster.servers;
    let topic = cluster.new_topic("narrowed", 2).await;
    // Older records would be removed by the retention of a broker.
    let start_ms = SystemClock::new().now().as_millis() - 3_600_000;
    put(servers, &topic, start_ms);
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE t (n BIGINT, p INT METADATA FROM 'partition', o BIGINT METADATA FROM 'offset',
           at TIMESTAMP METADATA FROM 'timestamp')
         WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}') FORMAT JSON;
         CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    // A broker that cannot tell offsets by time is read whole.
    let can_tell = cluster.mock.is_none();
    let at = |op: &str, ms: i64| format!("at {op} to_timestamp_millis({})", start_ms + ms);
    for (filter, records) in [
        ("p = 1".to_string(), 60),
        ("o BETWEEN 10 AND 14".to_string(), 10),
        ("p = 0 AND o >= 50".to_string(), 10),
        ("p IN (1, 7) AND o < 3".to_string(), 3),
        ("p = 1 OR n = 3".to_string(), 120),
        ("p = 5".to_string(), 0),
        (at(">=", 50_000), if can_tell { 20 } else { 120 }),
        (
            format!("{} AND p = 1", at(">", 53_500)),
            if can_tell { 6 } else { 60 },
        ),
        (at("<", 5_000), 120),
        ("n < 3".to_string(), 120),
    ] {
        let narrowed = read(&hw, &format!("SELECT n, p, o, at FROM t WHERE {filter}")).await;
        // No filter is moved below a LIMIT.
        let all = "(SELECT n, p, o, at FROM t LIMIT 1000000) AS t";
        let whole = read(
            &hw,
            &format!("SELECT n, p, o, at FROM {all} WHERE {filter}"),
        )
        .await;
        assert_eq!(narrowed.0, whole.0, "{filter}");
        assert_eq!(narrowed.1, records, "{filter}");
    }
    let (rows, records) = read(&hw, "SELECT count(*) FROM raw WHERE \"partition\" = 1").await;
    assert_eq!((rows, records), (vec!["60".to_string()], 60));
    // Both sides of a join have bounds of their own.
    let joined = "SELECT count(*) FROM t AS a JOIN t AS b ON a.n = b.n WHERE a.p = 0 AND b.p = 1 AND b.o < 5";
    let (rows, records) = read(&hw, joined).await;
    assert_eq!((rows, records), (vec!["5".to_string()], 65));
}

/// A start and an end that are times are what the broker says, or an error: never everything or
/// nothing without a word.
pub(crate) async fn times_are_looked_up_or_refused(cluster: &Cluster) {
    let servers = &cluster.servers;
    let topic = cluster.new_topic("times", 2).await;
    let empty = cluster.new_topic("times-empty", 2).await;
    let start_ms = SystemClock::new().now().as_millis() - 3_600_000;
    put(servers, &topic, start_ms);
    let time = (start_ms + 50_000).to_string();
    let (start, end) = (
        format!("start = 'timestamp:{time}'"),
        format!("'end' = 'timestamp:{time}'"),
    );
    for (index, (options, count)) in [
        (start.clone(), 20),
        (format!("startingTimestamp = '{time}'"), 20),
        (
            format!(
                "'scan.startup.mode' = 'timestamp', 'scan.startup.timestamp-millis' = '{time}'"
            ),
            20,
        ),
        (end, 100),
        (format!("endingTimestamp = '{time}'"), 100),
        (
            format!(
                "'scan.bounded.mode' = 'timestamp', 'scan.bounded.timestamp-millis' = '{time}'"
            ),
            100,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let hw = Headwater::builder().build().unwrap();
        for (name, topic) in [("t", &topic), ("none", &empty)] {
            hw.sql(&format!(
                "CREATE SOURCE {name} WITH (connector = 'kafka', topic = '{topic}',
                   'bootstrap.servers' = '{servers}', {options})"
            ))
            .await
            .unwrap();
        }
        // No answer about a topic that holds nothing can be wrong.
        let (rows, _) = read(&hw, "SELECT count(*) FROM none").await;
        assert_eq!(rows, ["0"], "{options}");
        let counted = hw.sql("SELECT count(*) FROM t").await;
        if cluster.mock.is_some() {
            let told = counted.unwrap_err().report("it", None);
            assert!(told.contains("answers no lookups of times"), "{told}");
            assert!(told.contains("hint: Write 'earliest'"), "{told}");
            if index == 0 {
                let told = match hw.sql("SELECT STREAM value FROM t").await {
                    Ok(started) => {
                        let query = started.into_query().unwrap();
                        query.await_termination().await.unwrap_err()
                    }
                    Err(error) => error,
                };
                let told = told.report("it", None);
                assert!(told.contains("answers no lookups of times"), "{told}");
            }
        } else {
            let counted = text(&counted.unwrap().collect().await.unwrap());
            assert_eq!(counted, [count.to_string()], "{options}");
        }
    }
}

/// A topic with settings.
async fn new_topic_with(servers: &str, name: &str, settings: &[(&str, &str)]) -> String {
    let topic = fresh_topic(name);
    let mut config = ClientConfig::new();
    let client: AdminClient<_> = config.set("bootstrap.servers", servers).create().unwrap();
    let mut wanted = NewTopic::new(&topic, 2, TopicReplication::Fixed(1));
    for (name, value) in settings {
        wanted = wanted.set(name, value);
    }
    let made = client.create_topics([&wanted], &AdminOptions::new()).await;
    made.unwrap().pop().unwrap().unwrap();
    topic
}

/// Where the broker sets the times of records, nothing is read after a time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn times_of_the_broker_end_a_read() {
    let Some(servers) = real_broker() else { return };
    let settings = [("message.timestamp.type", "LogAppendTime")];
    let topic = new_topic_with(&servers, "stamped", &settings).await;
    let now_ms = SystemClock::new().now().as_millis();
    put(&servers, &topic, now_ms - 86_400_000);
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    let (kinds, _) = read(&hw, "SELECT DISTINCT timestamp_type FROM raw").await;
    assert_eq!(kinds, ["1"], "the broker sets times");
    for (minutes, rows, records) in [(-10, 0, 0), (10, 120, 120)] {
        let time = format!("to_timestamp_millis({})", now_ms + minutes * 60_000);
        let sql = format!("SELECT value FROM raw WHERE \"timestamp\" < {time}");
        let (found, read) = read(&hw, &sql).await;
        assert_eq!((found.len(), read), (rows, records), "{minutes} minutes");
    }
}

/// A count is that of the records that are there, not that of their offsets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compaction_leaves_gaps_that_are_not_counted() {
    const RECORDS: i64 = 2_000;
    let Some(servers) = real_broker() else { return };
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "500"),
        ("segment.bytes", "10000"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("max.compaction.lag.ms", "500"),
    ];
    let topic = new_topic_with(&servers, "compacted", &settings).await;
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config.set("bootstrap.servers", &servers).create().unwrap();
    let send = |key: &str| {
        let record = BaseRecord::<str, str>::to(&topic).partition(0);
        producer.send(record.key(key).payload("a value")).unwrap();
    };
    send("first");
    for number in 1..RECORDS {
        send(["a", "b", "c"][usize::try_from(number % 3).unwrap()]);
    }
    producer.flush(Duration::from_secs(20)).unwrap();
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    let number = async |sql: &str| read(&hw, sql).await.0[0].parse::<i64>().unwrap();
    let all = number("SELECT count(*) FROM raw").await;
    assert!(all <= RECORDS, "{all}");
    // The brokers compact when they like, and a segment after another one has begun.
    for _ in 0..60 {
        if number("SELECT count(*) FROM raw").await < RECORDS / 2 {
            break;
        }
        SystemClock::new().sleep(Duration::from_secs(1)).await;
        send("d");
        producer.flush(Duration::from_secs(20)).unwrap();
    }
    let before = number("SELECT count(*) FROM raw").await;
    let values = number("SELECT count(value) FROM raw").await;
    let offsets = number("SELECT max(\"offset\") - min(\"offset\") + 1 FROM raw").await;
    let after = number("SELECT count(*) FROM raw").await;
    // It may go on meanwhile.
    assert!(
        before >= values && values >= after,
        "{before} {values} {after}"
    );
    assert!(offsets > before, "{offsets} offsets of {before} records");
}

#[tokio::test]
async fn topics_that_are_not_asked_for_are_not_read() {
    let cluster = Cluster::mock();
    let servers = &cluster.servers;
    let start_ms = SystemClock::new().now().as_millis();
    let prefix = cluster.new_topic("chosen", 1).await;
    for name in ["a", "b", "c"] {
        let topic = format!("{prefix}-{name}");
        cluster
            .mock
            .as_ref()
            .unwrap()
            .create_topic(&topic, 2)
            .unwrap();
        put(servers, &topic, start_ms);
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE t (n BIGINT, topic VARCHAR METADATA FROM 'topic', p INT METADATA FROM 'partition')
         WITH (connector = 'kafka', topic.pattern = '{prefix}-.', 'bootstrap.servers' = '{servers}')
         FORMAT JSON"
    ))
    .await
    .unwrap();
    let named = |name: &str| format!("topic = '{prefix}-{name}'");
    for (filter, records) in [
        (named("a"), 120),
        (format!("{} AND p = 1", named("b")), 60),
        (format!("{} OR {}", named("a"), named("c")), 240),
        (format!("topic IN ('{prefix}-c', '{prefix}-a', 'x')"), 240),
        (format!("{} AND {}", named("a"), named("c")), 0),
        (named("x"), 0),
        (format!("{} OR n = 3", named("a")), 360),
        (format!("topic > '{prefix}-b'"), 360),
    ] {
        let narrowed = read(&hw, &format!("SELECT n, topic FROM t WHERE {filter}")).await;
        let all = "(SELECT n, topic, p FROM t LIMIT 1000000) AS t";
        let whole = read(&hw, &format!("SELECT n, topic FROM {all} WHERE {filter}")).await;
        assert_eq!(narrowed.0, whole.0, "{filter}");
        assert_eq!(narrowed.1, records, "{filter}");
    }
    let explained = format!("EXPLAIN SELECT n FROM t WHERE {}", named("a"));
    let (plan, _) = read(&hw, &explained).await;
    let reads = format!("reads=[#1 in {{\"{prefix}-a\"}}]");
    assert!(plan.join("\n").contains(&reads), "{plan:?}");
}

/// How many rows a query gives, and how many records it has read.
async fn counted(hw: &Headwater, sql: &str) -> (usize, u64) {
    let (rows, records) = read(hw, sql).await;
    (rows.len(), records)
}

#[tokio::test]
async fn a_limit_ends_the_read() {
    const PER_PARTITION: u64 = 3_000;
    let cluster = Cluster::mock();
    let (servers, topic) = (&cluster.servers, cluster.new_topic("limits", 3).await);
    for partition in 0..3 {
        let numbers = (0..PER_PARTITION).map(|n| match n % 5 {
            4 => "?".to_string(),
            _ => format!("{{\"n\":{n}}}"),
        });
        produce(servers, &topic, partition, numbers.collect()).await;
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "SET 'datafusion.execution.batch_size' = '20';
         CREATE SOURCE t (n BIGINT, p INT METADATA FROM 'partition')
         WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}',
           bad_data = 'drop') FORMAT JSON;
         CREATE SOURCE raw WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{servers}')"
    ))
    .await
    .unwrap();
    for (sql, rows, records) in [
        ("SELECT value FROM raw LIMIT 7", 7, 7..=7),
        ("SELECT value FROM raw LIMIT 5 OFFSET 3", 5, 8..=8),
        ("SELECT value FROM raw LIMIT 0", 0, 0..=0),
        // One in five records is no row.
        ("SELECT n FROM t LIMIT 7", 7, 8..=14),
        ("SELECT n + 1 FROM t LIMIT 8", 8, 9..=16),
        // More than one partition has, and more than a batch holds.
        ("SELECT n FROM t LIMIT 5000", 5_000, 6_250..=9_000),
        ("SELECT n FROM t LIMIT 100000", 7_200, 9_000..=9_000),
        // How much a filter lets through is not known.
        ("SELECT n FROM t WHERE n > 30 LIMIT 7", 7, 7..=3_000),
        (
            "SELECT n FROM t WHERE p = 2 AND n > 30 LIMIT 7",
            7,
            7..=1_500,
        ),
        ("SELECT n FROM t WHERE n < 0 LIMIT 7", 0, 9_000..=9_000),
        // What needs everything reads everything.
        ("SELECT n FROM t ORDER BY n LIMIT 7", 7, 9_000..=9_000),
        (
            "SELECT n, count(*) FROM t GROUP BY n LIMIT 7",
            7,
            9_000..=9_000,
        ),
    ] {
        let (given, read) = counted(&hw, sql).await;
        assert_eq!(given, rows, "{sql}");
        assert!(records.contains(&read), "{sql} has read {read}");
    }
    for (sql, limit) in [
        ("SELECT n FROM t LIMIT 7", Some("limit=7")),
        ("SELECT n FROM t WHERE n > 30 LIMIT 7", Some("limit=above")),
        ("SELECT n FROM t ORDER BY n LIMIT 7", None),
    ] {
        let (plan, _) = read(&hw, &format!("EXPLAIN {sql}")).await;
        let mut lines = plan.iter().flat_map(|plan| plan.lines());
        let scan = lines.find(|line| line.contains("EpochScanExec")).unwrap();
        match limit {
            Some(limit) => assert!(scan.contains(limit), "{scan}"),
            None => assert!(!scan.contains("limit="), "{scan}"),
        }
    }
}
