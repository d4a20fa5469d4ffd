//! Payloads that only others write, from Kafka to rows: events of Debezium as Confluent's converter
//! writes them, and maps of MessagePack.

use headwater::Headwater;
use headwater_testkit::DevRegistry;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::{Cluster, rows};

const ENVELOPE: &str = r#"{"type":"record","name":"Envelope","namespace":"shop.customers","fields":[
  {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
    {"name":"id","type":"long"},
    {"name":"name","type":["null","string"],"default":null},
    {"name":"at","type":{"type":"long","connect.version":1,"connect.name":"io.debezium.time.MicroTimestamp"}}]}]},
  {"name":"after","type":["null","Value"]},
  {"name":"source","type":{"type":"record","name":"Source","fields":[{"name":"table","type":"string"}]}},
  {"name":"op","type":"string"},
  {"name":"ts_ms","type":["null","long"],"default":null}]}"#;

fn long(number: i64) -> Vec<u8> {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut bytes = Vec::new();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [long(i64::try_from(text.len()).unwrap()), text.into()].concat()
}

fn row(id: i64, name: &str) -> Vec<u8> {
    let at = long(1_767_225_600_000_000 + id);
    [vec![2], long(id), vec![2], text(name), at].concat()
}

fn event(schema: u32, before: Option<Vec<u8>>, after: Option<Vec<u8>>, op: &str) -> Vec<u8> {
    let no_row = || vec![0];
    let parts = [
        vec![0],
        schema.to_be_bytes().to_vec(),
        before.unwrap_or_else(no_row),
        after.unwrap_or_else(no_row),
        text("customers"),
        text(op),
        vec![0],
    ];
    parts.concat()
}

/// Writes payloads into a topic.
fn put(cluster: &Cluster, topic: &str, payloads: &[Vec<u8>]) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.servers);
    let producer: BaseProducer = config.create().unwrap();
    for payload in payloads {
        let record = BaseRecord::<(), [u8]>::to(topic)
            .partition(0)
            .payload(payload);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
}

#[tokio::test]
async fn events_of_avro_are_rows_with_what_has_happened() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("debezium-avro", 1).await;
    let registry = DevRegistry::start().unwrap();
    let id = registry.register(&format!("{topic}-value"), ENVELOPE);
    put(
        &cluster,
        &topic,
        &[
            event(id, None, Some(row(1, "a")), "c"),
            event(id, None, Some(row(2, "b")), "r"),
            event(id, Some(row(1, "a")), Some(row(1, "changed")), "u"),
            event(id, Some(row(2, "b")), None, "d"),
            event(id, None, None, "t"),
            b"{\"op\":\"c\"}".to_vec(),
        ],
    );
    let hw = Headwater::builder().build().unwrap();
    let url = registry.url();
    let with = format!(
        "connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{}', bad_data = 'drop'",
        cluster.servers
    );
    let columns = "op VARCHAR, id BIGINT, name VARCHAR, at TIMESTAMP, before STRUCT<name VARCHAR>";
    let ours = format!(
        "CREATE SOURCE ours ({columns}) WITH ({with}) FORMAT DEBEZIUM AVRO (schema.registry = '{url}')"
    );
    hw.sql(&ours).await.unwrap();
    hw.sql(&format!(
        "CREATE SOURCE flinks ({columns}) WITH ({with}, 'format' = 'debezium-avro-confluent',
           'debezium-avro-confluent.url' = '{url}')"
    ))
    .await
    .unwrap();
    for source in ["ours", "flinks"] {
        let sql = format!("SELECT op, id, name, before['name'] AS old, at FROM {source}");
        assert_eq!(
            rows(&hw, &sql).await,
            [
                "c 1 a  2026-01-01T00:00:00.000001",
                "d 2 b b 2026-01-01T00:00:00.000002",
                "r 2 b  2026-01-01T00:00:00.000002",
                "u 1 changed a 2026-01-01T00:00:00.000001",
            ]
        );
    }
}

#[tokio::test]
async fn maps_of_messagepack_are_rows() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("msgpack", 1).await;
    put(
        &cluster,
        &topic,
        &[
            b"\x84\xa1s\xa1a\xa1v\xca\x3f\xc0\x00\x00\xa2at\xd6\xff\x69\x55\xb9\x00\xa1m\x82\xa1k\x01\xa1j\xc0".to_vec(),
            b"\x82\xa1s\xa1b\xa1v\x02".to_vec(),
            b"\x82\xa1s\x01\xa1v\x02".to_vec(),
            b"\xc1".to_vec(),
        ],
    );
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE readings (s VARCHAR, v DOUBLE, at TIMESTAMP, m MAP<VARCHAR, BIGINT>)
         WITH (connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{}', bad_data = 'drop')
         FORMAT MSGPACK",
        cluster.servers
    ))
    .await
    .unwrap();
    assert_eq!(
        rows(&hw, "SELECT s, v, at, m, m['k'] AS k FROM readings").await,
        ["a 1.5 2026-01-01T00:00:00 {k: 1, j: } 1", "b 2.0   "]
    );
}
