//! Records of Kafka without a time, where their time is the event time.

use std::time::Duration;

use headwater::{ErrorKind, Headwater, StreamingQuery};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::{Cluster, rows, text};

/// What a producer sets that sets no time.
const NO_TIME: i64 = -1;
/// 2026-01-01T00:00:00Z
const TIME_MS: i64 = 1_767_225_600_000;

async fn topic(cluster: &Cluster) -> String {
    let topic = cluster.new_topic("times", 1).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.servers);
    let producer: BaseProducer = config.create().unwrap();
    for (id, time_ms) in [(1, TIME_MS), (2, NO_TIME), (3, TIME_MS + 60_000)] {
        let value = format!("{{\"id\":{id}}}");
        let record = BaseRecord::<str, str>::to(&topic).partition(0);
        producer
            .send(record.payload(&value).timestamp(time_ms))
            .unwrap();
        // A batch has one kind of times.
        producer.flush(Duration::from_secs(20)).unwrap();
    }
    topic
}

async fn session(cluster: &Cluster, topic: &str, watermark: &str, more: &str) -> Headwater {
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SINK bad (\"offset\" BIGINT, reason VARCHAR, \"timestamp\" TIMESTAMP)
         WITH (connector = 'memory');
         CREATE SINK late WITH (connector = 'memory');
         CREATE SINK out WITH (connector = 'memory');
         CREATE SOURCE t (id BIGINT, ts TIMESTAMP METADATA FROM 'timestamp'{watermark})
         WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{}'{more}) FORMAT JSON;
         SET trigger = 'available-now';",
        cluster.servers
    ))
    .await
    .unwrap();
    hw
}

async fn run(hw: &Headwater) -> (StreamingQuery, headwater::Result<()>) {
    let query = "INSERT INTO out SELECT count(*) AS n, window_start
         FROM tumble(t, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end
         LATE ROWS INTO late";
    let query = hw.sql(query).await.unwrap().into_query().unwrap();
    let end = query.await_termination().await;
    (query, end)
}

#[tokio::test]
async fn a_record_without_a_time_is_a_bad_record_and_never_a_late_one() {
    let cluster = Cluster::mock();
    let topic = topic(&cluster).await;
    let watermark = ", WATERMARK FOR ts AS ts - INTERVAL '1 second'";
    let letters = ", bad_data = 'dead_letter', 'dead_letter.sink' = 'bad'";
    for more in [", bad_data = 'drop'", ", bad_data = 'null'", letters] {
        let hw = session(&cluster, &topic, watermark, more).await;
        let (query, end) = run(&hw).await;
        end.unwrap();
        let sink = |name: &str| text(&hw.memory_sink(name).unwrap().rows());
        assert_eq!(
            sink("out"),
            ["1 2026-01-01T00:00:00", "1 2026-01-01T00:01:00"],
            "{more}"
        );
        let totals = query.status().totals;
        assert_eq!(totals.rows_bad.get("no event time"), Some(&1), "{more}");
        assert_eq!(totals.rows_late, 0);
        assert!(sink("late").is_empty());
        let expected = if more == letters { 1 } else { 0 };
        assert_eq!(totals.dead_letters, expected);
        if more == letters {
            assert_eq!(sink("bad"), ["1 no event time "]);
        }
    }
    let hw = session(&cluster, &topic, watermark, "").await;
    let error = run(&hw).await.1.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadData);
    let told = error.report("it", None);
    assert!(told.contains("no event time"), "{told}");
    assert!(told.contains("at offset 1"), "{told}");
}

/// Where it is no event time, it is NULL like any other value.
#[tokio::test]
async fn a_record_without_a_time_has_null() {
    let cluster = Cluster::mock();
    let topic = topic(&cluster).await;
    let hw = session(&cluster, &topic, "", "").await;
    assert_eq!(
        rows(&hw, "SELECT id, ts FROM t").await,
        ["1 2026-01-01T00:00:00", "2 ", "3 2026-01-01T00:01:00"]
    );
}
