//! Every format, both ways, without and with a schema registry: the same rows in every topic.

use headwater::Headwater;
use headwater_testkit::DevRegistry;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use serde_json::{Value as Json, json};

use super::clients::Encoding;
use super::rows::{COLUMNS, declared, read, rows, shown};
use super::{Bench, insert};
use crate::command::Dir;

type Columns = Vec<(&'static str, &'static str)>;

/// A format and what is written in it.
struct Case {
    name: &'static str,
    /// `FORMAT …`, of the sink and of the source.
    clause: String,
    columns: Columns,
    /// The rows that headwater writes, and as they are read.
    input: Vec<Json>,
    rows: Vec<Json>,
    encoding: Encoding,
    /// What the client is given to write, and what it must read.
    sent: Vec<Json>,
    received: Vec<Json>,
}

impl Case {
    /// One in which the client writes and reads the rows themselves.
    fn new(name: &'static str, clause: String, columns: Columns, encoding: Encoding) -> Self {
        Case::of_rows(name, clause, columns, rows(), encoding)
    }

    fn of_rows(
        name: &'static str,
        clause: String,
        columns: Columns,
        rows: Vec<Json>,
        encoding: Encoding,
    ) -> Self {
        Case {
            name,
            clause,
            columns,
            input: rows.clone(),
            rows: rows.clone(),
            encoding,
            sent: rows.clone(),
            received: rows,
        }
    }

    /// One in which the client writes and reads these values.
    fn with_values(self, values: Vec<Json>) -> Self {
        Case {
            sent: values.clone(),
            received: values,
            ..self
        }
    }
}

/// Headwater writes, and the others and itself read; they write, and headwater reads.
async fn check(bench: &Bench, case: &Case) {
    let hw = Headwater::builder().build().unwrap();
    let written = bench.topic(case.name).await;
    let dir = Dir::new();
    let lines: String = case.input.iter().map(|row| format!("{row}\n")).collect();
    dir.create("rows.jsonl", &lines);
    hw.sql(&format!(
        "CREATE SOURCE input ({}) WITH (connector = 'filesystem', path = '{}') FORMAT JSON;
         CREATE SINK output WITH ({}) {}",
        declared(&case.columns),
        dir.path().join("rows.jsonl").display(),
        bench.options(&written),
        case.clause
    ))
    .await
    .unwrap();
    insert(&hw, "INSERT INTO output SELECT * FROM input").await;
    let name = case.name;
    check_read(bench, case, &written, "itself").await;
    if let Some(peer) = &bench.peer {
        let received = peer.consume_values(&written, &case.encoding);
        assert_eq!(received, case.received, "{name}: confluent-kafka reads");
        let topic = bench.topic(name).await;
        peer.produce_values(&topic, &case.encoding, &case.sent);
        check_read(bench, case, &topic, "confluent-kafka").await;
    }
    if let Some(kcat) = &bench.kcat {
        let topic = bench.topic(name).await;
        kcat.copy(&written, &topic, case.input.len(), dir.path());
        check_read(bench, case, &topic, "kcat").await;
    }
}

async fn check_read(bench: &Bench, case: &Case, topic: &str, writer: &str) {
    let found = read_topic(bench, &case.columns, topic, &case.clause).await;
    let name = case.name;
    let expected = shown(&case.columns, &case.rows);
    assert_eq!(found, expected, "{name}: headwater reads {writer}");
}

async fn read_topic(
    bench: &Bench,
    columns: &[(&str, &str)],
    topic: &str,
    clause: &str,
) -> Vec<String> {
    let hw = Headwater::builder().build().unwrap();
    let (columns, options) = (declared(columns), bench.options(topic));
    let source = format!("CREATE SOURCE input ({columns}) WITH ({options}) {clause}");
    hw.sql(&source).await.unwrap();
    let rows = hw.sql("SELECT * FROM input").await.unwrap();
    read(&rows.collect().await.unwrap())
}

/// The first so many columns.
fn first_columns(count: usize) -> Columns {
    COLUMNS[..count].to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json() {
    let Some(bench) = Bench::find() else { return };
    let encoding = Encoding::new("json");
    let mut case = Case::new("json", "FORMAT JSON".into(), COLUMNS.to_vec(), encoding);
    // Headwater writes times with their zone and decimals as numbers.
    for row in &mut case.received {
        if let Some(time) = row["ts"].as_str() {
            row["ts"] = json!(format!("{time}Z"));
        }
        if let Some(number) = row["f"].as_f64() {
            row["f"] = json!(format!("{number:?}"));
        }
    }
    check(&bench, &case).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv() {
    let Some(bench) = Bench::find() else { return };
    let clause = r"FORMAT CSV (null.value = '\N')".to_string();
    let case = Case::new("csv", clause, first_columns(8), Encoding::new("text"));
    let case = case.with_values(vec![
        json!(
            "9223372036854775807,9999999999999999.9999,,true,1.7976931348623157e308,\
             2262-04-11T23:47:16.854775Z,9999-12-31,00ff"
        ),
        json!(
            "-9223372036854775808,-0.0001,\"zażółć \"\"日本\"\", 😀\",false,-0.1,\
             1969-12-31T23:59:59.999999Z,1969-12-31,"
        ),
        json!(r"0,\N,\N,\N,\N,\N,\N,\N"),
    ]);
    check(&bench, &case).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_and_bytes() {
    let Some(bench) = Bench::find() else { return };
    let texts = ["", "zażółć \"日本\", 😀", "two\nlines", "\t ,\u{1f}"];
    let rows = texts.map(|text| json!({ "s": text })).to_vec();
    let columns = vec![("s", "VARCHAR")];
    let encoding = Encoding::new("text");
    let case = Case::of_rows("text", "FORMAT TEXT".into(), columns, rows, encoding);
    let values = texts.map(|text| json!(text)).to_vec();
    check(&bench, &case.with_values(values)).await;

    let bytes = ["", "00", "ff00fe0a", "0000000001"];
    let rows = bytes.map(|hex| json!({ "v": hex })).to_vec();
    let columns = vec![("v", "BYTEA")];
    let encoding = Encoding::new("hex");
    let case = Case::of_rows("raw", "FORMAT RAW".into(), columns, rows, encoding);
    let values = bytes.map(|hex| json!(hex)).to_vec();
    check(&bench, &case.with_values(values)).await;
}

fn avro_schema() -> String {
    let or_null = |kind: Json| json!(["null", kind]);
    let field = |name: &str, kind: Json| json!({ "name": name, "type": kind });
    let record =
        |name: &str, fields: Json| json!({ "type": "record", "name": name, "fields": fields });
    let nullable = |name: &str, kind: Json| field(name, or_null(kind));
    let long = json!("long");
    let decimal = json!({ "type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4 });
    let tags = json!({ "type": "array", "items": ["null", "string"] });
    let p = json!([nullable("x", long.clone()), nullable("y", json!("string"))]);
    let m = json!([
        nullable("key", json!("string")),
        nullable("value", long.clone())
    ]);
    let m = json!({ "type": "array", "items": record("M", m) });
    let fields = json!([
        field("id", long),
        nullable("d", decimal),
        nullable("s", json!("string")),
        nullable("b", json!("boolean")),
        nullable("f", json!("double")),
        nullable(
            "ts",
            json!({ "type": "long", "logicalType": "timestamp-micros" })
        ),
        nullable("day", json!({ "type": "int", "logicalType": "date" })),
        nullable("bin", json!("bytes")),
        nullable("p", record("P", p)),
        nullable("tags", tags),
        nullable("m", m),
    ]);
    record("Row", fields).to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn avro() {
    let Some(bench) = Bench::find() else { return };
    let schema = avro_schema();
    let clause = format!("FORMAT AVRO (schema = '{schema}')");
    let mut encoding = Encoding::new("avro");
    encoding.schema = Some(schema);
    let case = Case::new("avro", clause, COLUMNS.to_vec(), encoding.clone());
    check(&bench, &case).await;

    // Headwater makes a schema of the columns, and the other client registers its own.
    let registry = DevRegistry::start().unwrap();
    encoding.registry = Some(registry.url());
    let clause = format!("FORMAT AVRO (schema.registry = '{}')", registry.url());
    let case = Case::new("avro-registry", clause, COLUMNS.to_vec(), encoding);
    check(&bench, &case).await;
}

const PROTO: &str = r#"syntax = "proto3";
package shop;
import "google/protobuf/timestamp.proto";
message Row {
  message P { optional int64 x = 1; optional string y = 2; }
  message M { optional string key = 1; optional int64 value = 2; }
  optional int64 id = 1;
  optional string d = 2;
  optional string s = 3;
  optional bool b = 4;
  optional double f = 5;
  optional google.protobuf.Timestamp ts = 6;
  optional string day = 7;
  optional bytes bin = 8;
  P p = 9;
  repeated string tags = 10;
  repeated M m = 11;
  map<string, int64> named = 12;
}
"#;

/// One file, under a name.
struct Text(&'static str);

impl FileResolver for Text {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match name {
            "row.proto" => File::from_source(name, self.0),
            _ => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The digits of a `FileDescriptorSet`, which `peer.py` takes as a schema.
fn compiled(text: &'static str) -> String {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Text(text));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler
        .include_imports(true)
        .open_file("row.proto")
        .unwrap();
    let bytes = compiler.encode_file_descriptor_set();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Protobuf has neither DECIMAL nor DATE, no NULL inside a list, and no list that is NULL.
fn protobuf_case(name: &'static str, clause: String, encoding: Encoding) -> Case {
    let mut columns = COLUMNS.to_vec();
    for (name, kind) in &mut columns {
        if matches!(*name, "d" | "day") {
            *kind = "VARCHAR";
        }
    }
    columns.push(("named", "STRUCT<key VARCHAR, value BIGINT>[]"));
    let mut input = rows();
    for row in &mut input {
        row["named"] = json!([{ "key": "ż", "value": i64::MIN }]);
    }
    input[0]["tags"] = json!(["a", "日本", ""]);
    let mut read = input.clone();
    for list in ["tags", "m"] {
        read[2][list] = json!([]);
    }
    Case {
        input,
        ..Case::of_rows(name, clause, columns, read, encoding)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protobuf() {
    let Some(bench) = Bench::find() else { return };
    let mut encoding = Encoding::new("protobuf");
    encoding.schema = Some(compiled(PROTO));
    let clause = format!("FORMAT PROTOBUF (schema = '{PROTO}')");
    check(&bench, &protobuf_case("protobuf", clause, encoding.clone())).await;

    // The schema that headwater makes of the columns has the same fields under the same numbers.
    let registry = DevRegistry::start().unwrap();
    encoding.registry = Some(registry.url());
    let clause = format!("FORMAT PROTOBUF (schema.registry = '{}')", registry.url());
    check(
        &bench,
        &protobuf_case("protobuf-registry", clause, encoding),
    )
    .await;
}

/// Lines of other clients, for formats that headwater does not write.
async fn check_lines(
    name: &str,
    columns: &[(&str, &str)],
    clause: &str,
    lines: &[&str],
    rows: &[Json],
) {
    let Some(bench) = Bench::find() else { return };
    let expected = shown(columns, rows);
    if let Some(peer) = &bench.peer {
        let topic = bench.topic(name).await;
        let values: Vec<Json> = lines.iter().map(|line| json!(line)).collect();
        peer.produce_values(&topic, &Encoding::new("text"), &values);
        let found = read_topic(&bench, columns, &topic, clause).await;
        assert_eq!(found, expected, "headwater reads confluent-kafka");
    }
    if let Some(kcat) = &bench.kcat {
        let topic = bench.topic(name).await;
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_string()).collect();
        kcat.produce_lines(&topic, "none", &lines);
        let found = read_topic(&bench, columns, &topic, clause).await;
        assert_eq!(found, expected, "headwater reads kcat");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn influx() {
    let columns = [
        ("host", "VARCHAR"),
        ("n", "BIGINT"),
        ("f", "DOUBLE"),
        ("s", "VARCHAR"),
        ("ok", "BOOLEAN"),
        ("time", "TIMESTAMP"),
    ];
    let lines = [
        r#"cpu,host=a\ b n=-9223372036854775808i,f=-0.5,s="zażółć \"日本\"",ok=f -1000"#,
        "cpu,host=日本 n=9223372036854775807i 1767225600000001000",
    ];
    let rows = [
        json!({
            "host": "a b", "n": i64::MIN, "f": -0.5, "s": "zażółć \"日本\"", "ok": false,
            "time": "1969-12-31T23:59:59.999999",
        }),
        json!({
            "host": "日本", "n": i64::MAX, "f": null, "s": null, "ok": null,
            "time": "2026-01-01T00:00:00.000001",
        }),
    ];
    check_lines("influx", &columns, "FORMAT INFLUX", &lines, &rows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn debezium() {
    let columns = [
        ("op", "VARCHAR"),
        ("id", "BIGINT"),
        ("name", "VARCHAR"),
        ("before", "STRUCT<name VARCHAR>"),
    ];
    let lines = [
        r#"{"before":null,"after":{"id":9223372036854775807,"name":"日本"},"source":{},"op":"c","ts_ms":1}"#,
        r#"{"schema":{},"payload":{"before":{"id":1,"name":""},"after":{"id":1,"name":null},"op":"u"}}"#,
        r#"{"before":{"id":2,"name":"ż"},"after":null,"op":"d"}"#,
    ];
    let rows = [
        json!({ "op": "c", "id": i64::MAX, "name": "日本", "before": null }),
        json!({ "op": "u", "id": 1, "name": null, "before": { "name": "" } }),
        json!({ "op": "d", "id": 2, "name": "ż", "before": { "name": "ż" } }),
    ];
    check_lines("debezium", &columns, "FORMAT DEBEZIUM JSON", &lines, &rows).await;
}
