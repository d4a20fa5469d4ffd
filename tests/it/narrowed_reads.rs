//! Bounded reads of a topic that say which partitions, offsets and times they want: the answer is
//! that of a read of everything, and what is not wanted is not read.

use std::time::Duration;

use headwater::{Clock, Headwater, Outcome, SystemClock};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::{Cluster, text};

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
