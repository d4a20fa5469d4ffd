//! What records have besides their values, and how they are compressed.

use headwater::{Clock, Headwater, SystemClock};
use serde_json::{Value as Json, json};

use super::clients::Encoding;
use super::rows::read;
use super::{Bench, insert};
use crate::command::Dir;

const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// Keys, none and empty ones; values, none and empty ones; headers that come twice, have no value
/// or an empty one. They are a day old, and older ones the retention might remove.
fn records() -> Vec<Json> {
    let old_ms = SystemClock::new().now().as_millis() - 24 * 60 * 60 * 1000;
    let mut records = vec![
        json!({"key": "k", "value": "v", "headers": [["h", "1"], ["h", null]]}),
        json!({"key": null, "value": "", "headers": []}),
        json!({"key": "", "value": null, "headers": [["ż", ""], ["h", "日本"]]}),
        json!({"key": "日本", "value": null, "headers": []}),
        json!({"key": null, "value": null, "headers": []}),
    ];
    for (record, place) in records.iter_mut().zip(0..) {
        record["timestamp"] = json!(old_ms + place);
    }
    records
}

const RAW_COLUMNS: &str = "value VARCHAR, key VARCHAR METADATA FROM 'key',
    headers STRUCT<key VARCHAR, value BYTEA>[] METADATA FROM 'headers',
    ts TIMESTAMP METADATA FROM 'timestamp'";

const COPY: &str = "INSERT INTO output SELECT key, value, headers FROM input";

async fn session(bench: &Bench, from: &str, to: &str) -> Headwater {
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE input ({RAW_COLUMNS}) WITH ({}) FORMAT TEXT;
         CREATE SINK output WITH ({})",
        bench.options(from),
        bench.options(to)
    ))
    .await
    .unwrap();
    hw
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_headers_and_times_of_confluent_kafka() {
    let Some(bench) = Bench::find() else { return };
    let Some(peer) = &bench.peer else { return };
    let (from, to) = (bench.topic("records").await, bench.topic("copies").await);
    let text = Encoding::new("text");
    let records = records();
    peer.produce(&from, &text, "none", &records);
    let hw = session(&bench, &from, &to).await;
    let times = records
        .iter()
        .map(|r| r["timestamp"].as_i64().unwrap() * 1000);
    let rows = [
        "k | v | [{key: h, value: 31}, {key: h, value: NULL}]",
        "NULL |  | []",
        " | NULL | [{key: ż, value: }, {key: h, value: e697a5e69cac}]",
        "日本 | NULL | []",
        "NULL | NULL | []",
    ];
    let expected = times.zip(rows).map(|(time, row)| format!("{time} | {row}"));
    let found = hw
        .sql("SELECT CAST(ts AS BIGINT), key, value, headers FROM input")
        .await;
    let found = read(&found.unwrap().collect().await.unwrap());
    assert_eq!(found, expected.collect::<Vec<String>>());

    insert(&hw, COPY).await;
    let mut found = peer.consume(&to, &text);
    let mut written = records;
    for record in found.iter_mut().chain(&mut written) {
        // The sink sets its own.
        record["timestamp"].take();
    }
    assert_eq!(found, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_headers_of_kcat() {
    let Some(bench) = Bench::find() else { return };
    let Some(kcat) = &bench.kcat else { return };
    let (from, to) = (bench.topic("records").await, bench.topic("copies").await);
    kcat.produce_record(&from, "k", "v", &["h=1", "h=日本", "none"]);
    kcat.produce_record(&from, "", "v", &[]);
    kcat.produce_record(&from, "k", "", &[]);
    let hw = session(&bench, &from, &to).await;
    let found = hw.sql("SELECT key, value, headers FROM input").await;
    let found = read(&found.unwrap().collect().await.unwrap());
    let expected = [
        "NULL | v | []",
        "k | NULL | []",
        "k | v | [{key: h, value: 31}, {key: h, value: e697a5e69cac}, {key: none, value: NULL}]",
    ];
    assert_eq!(found, expected);

    insert(&hw, COPY).await;
    let found: Vec<Json> = kcat
        .consume(&to)
        .iter()
        .map(|r| json!([r["key"], r["payload"], r["headers"]]))
        .collect();
    let expected = [
        json!(["k", "v", ["h", "1", "h", "日本", "none", null]]),
        json!([null, "v", null]),
        json!(["k", null, null]),
    ];
    assert_eq!(found, expected);
}

/// A key column is the record's key, as text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_columns() {
    let Some(bench) = Bench::find() else { return };
    let Some(peer) = &bench.peer else { return };
    let (from, to) = (bench.topic("values").await, bench.topic("keyed").await);
    let values = [
        r#"{"k":"日本","n":1}"#,
        r#"{"k":null,"n":2}"#,
        r#"{"k":"","n":-3}"#,
    ];
    let values = values.map(Json::from);
    peer.produce_values(&from, &Encoding::new("text"), &values);
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE input (k VARCHAR, n BIGINT) WITH ({}) FORMAT JSON;
         CREATE SINK output (k VARCHAR, n BIGINT, PRIMARY KEY (k)) WITH ({}) FORMAT JSON",
        bench.options(&from),
        bench.options(&to)
    ))
    .await
    .unwrap();
    insert(&hw, "INSERT INTO output SELECT k, n FROM input").await;
    let found = peer.consume(&to, &Encoding::new("text"));
    let found: Vec<&Json> = found.iter().map(|record| &record["key"]).collect();
    assert_eq!(found, [&json!("日本"), &Json::Null, &json!("")]);
    assert_eq!(peer.consume_values(&to, &Encoding::new("text")), values);
}

/// Enough lines of one kind that every codec makes them shorter.
fn lines() -> Vec<String> {
    (0..300).map(|id| format!("{{\"id\":{id}}}")).collect()
}

async fn ids(bench: &Bench, topic: &str) -> Vec<String> {
    let hw = Headwater::builder().build().unwrap();
    let options = bench.options(topic);
    let source = format!("CREATE SOURCE input (id BIGINT) WITH ({options}) FORMAT JSON");
    hw.sql(&source).await.unwrap();
    let summed = "SELECT count(*), count(DISTINCT id), sum(id) FROM input";
    read(&hw.sql(summed).await.unwrap().collect().await.unwrap())
}

const ALL_IDS: &str = "300 | 300 | 44850";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codecs_of_headwater() {
    let Some(bench) = Bench::find() else { return };
    let dir = Dir::new();
    dir.create("lines.jsonl", &(lines().join("\n") + "\n"));
    let expected: Vec<Json> = lines().into_iter().map(Json::from).collect();
    for codec in CODECS {
        let topic = bench.topic(codec).await;
        let hw = Headwater::builder().build().unwrap();
        hw.sql(&format!(
            "CREATE SOURCE input (id BIGINT) WITH (connector = 'filesystem', path = '{}') FORMAT JSON;
             CREATE SINK output WITH ({}, properties.compression.type = '{codec}') FORMAT JSON",
            dir.path().join("lines.jsonl").display(),
            bench.options(&topic)
        ))
        .await
        .unwrap();
        insert(&hw, "INSERT INTO output SELECT id FROM input").await;
        assert_eq!(ids(&bench, &topic).await, [ALL_IDS], "{codec}: headwater");
        if let Some(peer) = &bench.peer {
            let found = peer.consume_values(&topic, &Encoding::new("text"));
            assert_eq!(found, expected, "{codec}: confluent-kafka");
        }
        if let Some(kcat) = &bench.kcat {
            let records = kcat.consume(&topic).into_iter();
            let found: Vec<Json> = records.map(|mut r| r["payload"].take()).collect();
            assert_eq!(found, expected, "{codec}: kcat");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codecs_of_others() {
    let Some(bench) = Bench::find() else { return };
    let records: Vec<Json> = lines()
        .iter()
        .map(|line| json!({ "value": line }))
        .collect();
    for codec in CODECS {
        if let Some(peer) = &bench.peer {
            let topic = bench.topic(codec).await;
            peer.produce(&topic, &Encoding::new("text"), codec, &records);
            let found = ids(&bench, &topic).await;
            assert_eq!(found, [ALL_IDS], "{codec}: confluent-kafka");
        }
        if let Some(kcat) = &bench.kcat {
            let topic = bench.topic(codec).await;
            kcat.produce_lines(&topic, codec, &lines());
            assert_eq!(ids(&bench, &topic).await, [ALL_IDS], "{codec}: kcat");
        }
    }
}
