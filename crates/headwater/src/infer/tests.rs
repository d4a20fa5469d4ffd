//! What is printed can be run, whatever names and types were found.

use headwater_kafka::DevBroker;
use headwater_kafka::{KafkaConnection, produce_lines};

use super::*;
use crate::{Outcome, SystemClock};

/// A broker whose topic `t` has two partitions, with these messages.
async fn broker(lines: &[&str]) -> DevBroker {
    let lines: Vec<_> = lines.iter().map(|line| (None, *line)).collect();
    keyed_broker(&lines).await
}

/// The same with keys.
async fn keyed_broker(lines: &[(Option<&str>, &str)]) -> DevBroker {
    let broker = DevBroker::start(&[("t".to_string(), 2)]).unwrap();
    let connection = KafkaConnection::new(broker.bootstrap_servers());
    let lines: Vec<_> = lines
        .iter()
        .map(|(key, line)| {
            (
                key.map(|key| key.as_bytes().to_vec()),
                line.as_bytes().to_vec(),
            )
        })
        .collect();
    let clock = SystemClock::new();
    produce_lines(&connection, "t", None, lines.into_iter(), None, &clock)
        .await
        .unwrap();
    broker
}

fn with(broker: &DevBroker, more: &str) -> String {
    let servers = broker.bootstrap_servers();
    format!("WITH (connector = 'kafka', 'bootstrap.servers' = '{servers}', topic = 't'{more})")
}

async fn text_of(session: &Headwater, sql: &str) -> String {
    let Outcome::Rows(rows) = session.sql(sql).await.unwrap() else {
        panic!("no rows: {sql}");
    };
    let batches = rows.collect().await.unwrap();
    arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string()
}

const LINES: [&str; 3] = [
    r#"{"id":1,"userId":"a","at":"2026-01-01T10:00:00Z","items":[{"Sku":"x","n":1}],"odd":1}"#,
    r#"{"id":2,"userId":"b","at":"2026-01-01T10:00:01Z","items":[],"odd":"x"}"#,
    "not JSON",
];

#[tokio::test]
async fn a_source_is_declared_with_the_columns_that_are_found() {
    let broker = broker(&LINES[..2]).await;
    let session = Headwater::builder().build().unwrap();
    let create = "-- all orders\nCREATE SOURCE s FORMAT JSON /* so */ INFER (sample = 10)";
    let watermark = with(&broker, ", watermark = 'at - INTERVAL ''5 seconds'''");
    session
        .sql(&format!("{create} {watermark};"))
        .await
        .unwrap();
    let shown = text_of(&session, "SHOW CREATE SOURCE s").await;
    for part in [
        "CREATE SOURCE s (",
        "id       BIGINT,",
        "\"userId\" VARCHAR,",
        "items    ARRAY<STRUCT<\"Sku\" VARCHAR, n BIGINT>>",
        "-- without odd: 1 numbers and 1 texts, which no one type holds",
        ") FORMAT JSON /* so */ WITH (",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains("INFER"), "{shown}");
    let rows = text_of(
        &session,
        "SELECT id, \"userId\", items[1]['Sku'] AS sku FROM s ORDER BY id",
    )
    .await;
    assert!(rows.contains("| 1  | a      | x   |"), "{rows}");
    let again = format!(
        "CREATE SOURCE IF NOT EXISTS s FORMAT JSON INFER {}",
        with(&broker, "")
    );
    session.sql(&again).await.unwrap();
    assert_eq!(text_of(&session, "SHOW CREATE SOURCE s").await, shown);
}

#[tokio::test]
async fn an_inferred_statement_runs_as_it_is() {
    let broker = broker(&LINES).await;
    let session = Headwater::builder().build().unwrap();
    let option = |key: &str, value: &str| (key.to_string(), value.to_string());
    let request = InferRequest {
        name: "my.orders".to_string(),
        options: vec![
            option("connector", "kafka"),
            option("bootstrap.servers", &broker.bootstrap_servers()),
            option("topic", "t"),
            option("bad_data", "drop"),
        ],
        sample_options: vec![option("start", "latest")],
        ..InferRequest::default()
    };
    let found = session.infer_source(&request).await.unwrap();
    assert_eq!((found.format.as_str(), found.is_guessed), ("JSON", true));
    assert_eq!(found.inferred.records, 3);
    assert_eq!(found.inferred.bad.get("not JSON"), Some(&1));
    let with_watermark = found.statement.replace("-- , WATERMARK", ", WATERMARK");
    assert_ne!(with_watermark, found.statement);
    for statement in [
        found.statement,
        with_watermark.replace("SOURCE", "OR REPLACE SOURCE"),
    ] {
        session.sql(&format!("{statement};")).await.unwrap();
        let rows = text_of(&session, "SELECT count(*) AS n FROM \"my.orders\"").await;
        assert!(rows.contains("| 2 |"), "{rows}");
    }
}

/// What is suggested stands there as a comment, and can be declared as it stands.
#[tokio::test]
async fn keys_and_bad_records_are_suggestions() {
    let keys = [r#"{"region":"eu"}"#, r#"{"region":"us"}"#];
    let broker = keyed_broker(&[
        (Some(keys[0]), r#"{"id":1,"key":"x"}"#),
        (Some(keys[1]), r#"{"id":2}"#),
        (None, "not JSON"),
    ])
    .await;
    let session = Headwater::builder().build().unwrap();
    let option = |key: &str, value: &str| (key.to_string(), value.to_string());
    let request = InferRequest {
        name: "s".to_string(),
        options: vec![
            option("connector", "kafka"),
            option("bootstrap.servers", &broker.bootstrap_servers()),
            option("topic", "t"),
        ],
        ..InferRequest::default()
    };
    let found = session.infer_source(&request).await.unwrap();
    assert_eq!(found.keys.map(|keys| keys.keys), Some(2));
    let statement = found.statement;
    for line in [
        "  -- , message_key VARCHAR METADATA FROM 'key'\n",
        "  -- or columns of the keys: KEY FORMAT JSON after the FORMAT, and 'key.columns' = '…'\n",
        "  -- 1 of 3 records are bad: without bad_data = 'drop' or 'dead_letter' in WITH, a query \
         stops at the first\n",
    ] {
        assert!(statement.contains(line), "{line}{statement}");
    }
    let declared = statement.replace("-- , message_key", ", message_key");
    let declared = declared.replace("WITH (", "WITH (bad_data = 'drop',");
    session.sql(&declared).await.unwrap();
    let rows = text_of(&session, "SELECT message_key FROM s WHERE id = 2").await;
    assert!(rows.contains(keys[1]), "{rows}");
}

#[tokio::test]
async fn secrets_are_references() {
    let request = InferRequest {
        name: "s".to_string(),
        options: vec![
            ("connector".to_string(), "kafka".to_string()),
            (
                "properties.sasl.password".to_string(),
                "hunter2".to_string(),
            ),
            ("properties.x".to_string(), "it's ${env:x}".to_string()),
            (
                "properties.ssl.key.password".to_string(),
                "${file:/key}".to_string(),
            ),
        ],
        format: Some((
            "avro".to_string(),
            vec![(
                "schema.registry.password".to_string(),
                "hunter3".to_string(),
            )],
        )),
        ..InferRequest::default()
    };
    let text = request.statement();
    assert!(
        text.contains("'properties.sasl.password' = '${env:SASL_PASSWORD}'"),
        "{text}"
    );
    assert!(
        text.contains("'schema.registry.password' = '${env:SCHEMA_REGISTRY_PASSWORD}'"),
        "{text}"
    );
    assert!(text.contains("'properties.x' = 'it''s ${env:x}'"), "{text}");
    assert!(
        text.contains("'properties.ssl.key.password' = '${file:/key}'"),
        "{text}"
    );
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_inferred_is_refused() {
    let broker = broker(&[]).await;
    let session = Headwater::builder().build().unwrap();
    let cases = [
        (
            format!("FORMAT JSON INFER {}", with(&broker, "")),
            "there is no record to look at",
        ),
        (format!("INFER {}", with(&broker, "")), "needs a FORMAT"),
        (
            format!("FORMAT JSON INFER {}", with(&broker, ", topik = 'x'")),
            "has no option \"topik\"",
        ),
        (
            "FORMAT JSON INFER WITH (connector = 'datagen')".to_string(),
            "of connector \"datagen\" cannot be inferred",
        ),
    ];
    for (rest, expected) in cases {
        let error = session
            .sql(&format!("CREATE SOURCE s {rest}"))
            .await
            .err()
            .unwrap();
        let report = error.report("a.sql", None);
        assert!(report.contains(expected), "{rest}\n{report}");
    }
}

/// A column of every type, and names that need care.
#[tokio::test]
async fn every_type_is_read_as_it_is_written() {
    let avro = r#"{"type":"record","name":"r","fields":[
        {"name":"i","type":"int"}, {"name":"f","type":"float"}, {"name":"b","type":"bytes"},
        {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
        {"name":"n","type":{"type":"long","logicalType":"timestamp-nanos"}},
        {"name":"t","type":{"type":"int","logicalType":"time-millis"}},
        {"name":"select","type":"string"}, {"name":"watermark","type":"boolean"},
        {"name":"primary","type":{"type":"record","name":"q","fields":[{"name":"Order","type":"double"}]}}]}"#;
    let broker = broker(&[]).await;
    let session = Headwater::builder().build().unwrap();
    let options = [
        ("connector", "kafka"),
        ("bootstrap.servers", "x:1"),
        ("topic", "t"),
    ];
    let mut options: Vec<_> = options
        .map(|(k, v)| (k.to_string(), v.to_string()))
        .into_iter()
        .collect();
    options[1].1 = broker.bootstrap_servers();
    let request = InferRequest {
        name: "select".to_string(),
        options,
        format: Some((
            "avro".to_string(),
            vec![("schema".to_string(), avro.to_string())],
        )),
        ..InferRequest::default()
    };
    let found = session.infer_source(&request).await.unwrap();
    session
        .sql(&found.statement)
        .await
        .unwrap_or_else(|e| panic!("{e}\n{}", found.statement));
    let table = session.context.table_provider("select").await.unwrap();
    let inferred = found.inferred.schema();
    for (declared, inferred) in table.schema().fields().iter().zip(inferred.fields()) {
        assert_eq!(declared.name(), inferred.name());
        let names = (declared.data_type(), inferred.data_type());
        let names = (
            headwater_core::type_name::type_name(names.0),
            headwater_core::type_name::type_name(names.1),
        );
        assert_eq!(names.0, names.1, "{}", found.statement);
    }
    assert_eq!(table.schema().fields().len(), 9);
}

#[tokio::test]
async fn names_and_nesting_are_written_so_that_they_are_read() {
    let inner = (0..15).fold("1".to_string(), |inner, level| match level % 2 {
        0 => format!("[{inner}]"),
        _ => format!("{{\"Order\":{inner},\"a b\":1,\"q\\\"x\":true,\"date\":null,\"é\":1.5}}"),
    });
    let line =
        format!("{{\"deep\":{inner},\"ID\":1,\"id\":2,\"from\":3,\"2x\":4,\"it's -- ;\":5}}");
    let broker = broker(&[&line]).await;
    let session = Headwater::builder().build().unwrap();
    let create = format!("CREATE SOURCE s FORMAT JSON INFER {}", with(&broker, ""));
    session.sql(&create).await.unwrap();
    let rows = text_of(&session, "SELECT \"ID\" + id + \"from\" + \"2x\" + \"it's -- ;\" AS n, deep[1]['Order'][1]['a b'] AS d FROM s").await;
    assert!(rows.contains("| 15 | 1 |"), "{rows}");
}
