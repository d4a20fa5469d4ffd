//! Keys with a format of their own: what is written with one is read with one, and a key that
//! cannot be read costs its own record and no other.

use headwater::Headwater;
use headwater_testkit::DevRegistry;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::kafka::{Cluster, rows};

async fn session() -> Headwater {
    let hw = Headwater::builder().build().unwrap();
    hw.sql(
        "CREATE SOURCE made (n BIGINT) WITH (connector = 'datagen', rows = 6,
           'fields.n.kind' = 'sequence', 'fields.n.start' = '0', 'fields.n.end' = '5')",
    )
    .await
    .unwrap();
    hw
}

async fn write(hw: &Headwater, sink: &str, select: &str) {
    let query = format!(
        "CREATE STREAMING QUERY to_{sink} WITH (trigger = 'available-now')
           AS INSERT INTO {sink} {select}"
    );
    let query = hw.sql(&query).await.unwrap().into_query().unwrap();
    query.await_termination().await.unwrap();
}

fn options(cluster: &Cluster, topic: &str, more: &str) -> String {
    format!(
        "connector = 'kafka', topic = '{topic}', 'bootstrap.servers' = '{}'{more}",
        cluster.servers
    )
}

/// Keys and values as they are in a topic.
async fn raw(hw: &Headwater, options: &str) -> Vec<String> {
    hw.sql(&format!("CREATE OR REPLACE SOURCE raw WITH ({options})"))
        .await
        .unwrap();
    let sql = "SELECT CAST(key AS VARCHAR) AS k, CAST(value AS VARCHAR) AS v FROM raw";
    rows(hw, sql).await
}

#[tokio::test]
async fn keys_of_json_are_written_and_read() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("keys", 1).await;
    let hw = session().await;
    let keys = ", 'key.columns' = 'k_id, k_side', 'key.columns.prefix' = 'k_', \
                'value.columns' = 'EXCEPT_KEY'";
    let with = options(&cluster, &topic, keys);
    hw.sql(&format!(
        "CREATE SINK out WITH ({with}) FORMAT JSON KEY FORMAT JSON"
    ))
    .await
    .unwrap();
    let side = "CASE WHEN n % 2 = 0 THEN 'buy' END AS k_side";
    write(
        &hw,
        "out",
        &format!("SELECT n AS k_id, {side}, n * 10 AS v FROM made WHERE n < 2"),
    )
    .await;
    let plain = options(&cluster, &topic, "");
    assert_eq!(
        raw(&hw, &plain).await,
        [
            r#"{"id":0,"side":"buy"} {"v":0}"#,
            r#"{"id":1,"side":null} {"v":10}"#
        ]
    );
    // As Flink writes it.
    hw.sql(&format!(
        "CREATE SOURCE back (v BIGINT, k_id BIGINT, k_side VARCHAR) WITH ({plain},
           'format' = 'json', 'key.format' = 'json', 'key.fields' = 'k_id;k_side',
           'key.fields-prefix' = 'k_', 'value.fields-include' = 'EXCEPT_KEY')"
    ))
    .await
    .unwrap();
    assert_eq!(
        rows(&hw, "SELECT k_id, v, k_side FROM back").await,
        ["0 0 buy", "1 10 "]
    );
    // Columns of one part alone.
    assert_eq!(rows(&hw, "SELECT k_id FROM back").await, ["0", "1"]);
    assert_eq!(rows(&hw, "SELECT v FROM back WHERE v > 0").await, ["10"]);
}

#[tokio::test]
async fn keys_and_values_have_schemas_in_a_registry() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("avro-keys", 1).await;
    let hw = session().await;
    let registry = DevRegistry::start().unwrap();
    let url = registry.url();
    let formats = format!(
        "FORMAT AVRO ('schema.registry' = '{url}') KEY FORMAT AVRO ('schema.registry' = '{url}')"
    );
    let with = options(&cluster, &topic, ", 'key.columns' = 'id'");
    hw.sql(&format!("CREATE SINK out WITH ({with}) {formats}"))
        .await
        .unwrap();
    write(&hw, "out", "SELECT n AS id, n * 2 AS v FROM made").await;
    assert!(registry.latest(&format!("{topic}-key")).is_some());
    assert!(registry.latest(&format!("{topic}-value")).is_some());
    hw.sql(&format!(
        "CREATE SOURCE back (id BIGINT, v BIGINT) WITH ({with}) {formats}"
    ))
    .await
    .unwrap();
    assert_eq!(
        rows(&hw, "SELECT count(*), sum(id), sum(v) FROM back").await,
        ["6 15 30"]
    );
}

#[tokio::test]
async fn a_bad_key_costs_its_own_record() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("bad-keys", 1).await;
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.servers);
    let producer: BaseProducer = config.create().unwrap();
    for (key, value) in [
        (Some("1"), "{\"v\":1}"),
        (Some("x"), "{\"v\":2}"),
        (None, "{\"v\":3}"),
        (Some("4"), "no JSON"),
        (Some("y"), "no JSON"),
        (Some("6"), "{\"v\":6}"),
    ] {
        let record = BaseRecord::<str, str>::to(&topic)
            .partition(0)
            .payload(value);
        let record = match key {
            Some(key) => record.key(key),
            None => record,
        };
        producer.send(record).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
    let hw = session().await;
    let declare = async |name: &str, id: &str, policy: &str| {
        let more = format!(", 'key.columns' = 'id', bad_data = '{policy}'");
        let with = options(&cluster, &topic, &more);
        let sql = format!(
            "CREATE SOURCE {name} (id BIGINT{id}, v BIGINT) WITH ({with})
               FORMAT JSON KEY FORMAT CSV"
        );
        hw.sql(&sql).await.unwrap();
    };
    declare("dropped", "", "drop").await;
    assert_eq!(
        rows(&hw, "SELECT id, v FROM dropped").await,
        [" 3", "1 1", "6 6"]
    );
    // Of what is not wanted the syntax alone is judged: any line is CSV.
    assert_eq!(rows(&hw, "SELECT count(*) FROM dropped").await, ["4"]);
    declare("nulls", "", "null").await;
    assert_eq!(
        rows(&hw, "SELECT id, v FROM nulls").await,
        [" ", " 2", " 3", "1 1", "4 ", "6 6"]
    );
    declare("keyed", " NOT NULL", "drop").await;
    assert_eq!(rows(&hw, "SELECT id, v FROM keyed").await, ["1 1", "6 6"]);
    declare("strict", "", "fail").await;
    let error = hw
        .sql("SELECT id FROM strict")
        .await
        .unwrap()
        .collect()
        .await
        .unwrap_err();
    let told = error.report("it", None);
    assert!(
        told.contains("key: column \"id\" is not a BIGINT"),
        "{told}"
    );
    assert!(told.contains("at offset 1"), "{told}");
}

/// Sends values to their topics.
fn send<'a>(cluster: &Cluster, values: impl Iterator<Item = (&'a String, &'a [u8])>) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &cluster.servers);
    let producer: BaseProducer = config.create().unwrap();
    for (topic, value) in values {
        let record = BaseRecord::<str, [u8]>::to(topic).partition(0);
        producer.send(record.payload(value)).unwrap();
    }
    producer.flush(std::time::Duration::from_secs(20)).unwrap();
}

/// What stands in a key is what was written, in every format.
#[tokio::test]
async fn odd_keys_come_back_from_every_format() {
    const TEXTS: [&str; 6] = [
        "it's \"quoted\"",
        "two\nlines\r\n",
        "a,b;c|d\te\\f",
        "",
        "\u{0}",
        "\u{e9} \u{1f600} \u{feff}",
    ];
    const BYTES: [&[u8]; 4] = [b"\xff\xfe", b"\"\n\x00'", b"", b"text"];
    let cluster = Cluster::mock();
    let registry = DevRegistry::start().unwrap();
    let with_registry = format!("('schema.registry' = '{}')", registry.url());
    let (texts, bytes) = (
        cluster.new_topic("odd-texts", 1).await,
        cluster.new_topic("odd-bytes", 1).await,
    );
    let all = TEXTS.iter().map(|text| (&texts, text.as_bytes()));
    send(
        &cluster,
        all.chain(BYTES.iter().map(|value| (&bytes, *value))),
    );
    for (data_type, from, read_as, formats) in [
        (
            "VARCHAR",
            &texts,
            "TEXT",
            &["JSON", "CSV", "AVRO", "PROTOBUF", "TEXT", "RAW"][..],
        ),
        (
            "BYTEA",
            &bytes,
            "RAW",
            &["JSON", "CSV", "AVRO", "PROTOBUF", "RAW"],
        ),
    ] {
        let hw = Headwater::builder().build().unwrap();
        let given = options(&cluster, from, "");
        hw.sql(&format!(
            "CREATE SOURCE given (k {data_type}) WITH ({given}) FORMAT {read_as}"
        ))
        .await
        .unwrap();
        let shown = |source: &str| format!("SELECT encode(k, 'hex') FROM {source}");
        let expected = rows(&hw, &shown("given")).await;
        for format in formats {
            let name = format.to_lowercase();
            let topic = cluster
                .new_topic(&format!("odd-{name}-{data_type}"), 1)
                .await;
            let key = match *format {
                "AVRO" | "PROTOBUF" => format!("{format} {with_registry}"),
                format => format.to_string(),
            };
            let more = ", 'key.columns' = 'k', 'value.columns' = 'EXCEPT_KEY'";
            let with = options(&cluster, &topic, more);
            hw.sql(&format!(
                "CREATE SINK {name} WITH ({with}) FORMAT JSON KEY FORMAT {key};
                 CREATE SOURCE {name}_back (k {data_type}, v BIGINT) WITH ({with})
                   FORMAT JSON KEY FORMAT {key}"
            ))
            .await
            .unwrap();
            write(&hw, &name, "SELECT k, 1 AS v FROM given").await;
            let back = rows(&hw, &shown(&format!("{name}_back"))).await;
            assert_eq!(back, expected, "{data_type} in {format}");
        }
    }
}
