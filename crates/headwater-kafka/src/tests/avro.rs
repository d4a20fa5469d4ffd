//! Avro in topics, with a schema registry: what a sink registers, a source reads, also after the
//! schema has changed.

use std::sync::Arc;

use arrow::array::{Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::DataType;
use headwater_core::ErrorKind;
use headwater_core::connector::{Connector, SinkDefinition, SourceUse};
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::options::OptionReader;
use headwater_core::sink::Transactions;
use headwater_formats::DevRegistry;

use super::fixture::*;
use super::write::{context, epoch};
use crate::KafkaConnector;

fn avro(registry: &DevRegistry) -> FormatSpec {
    let mut format = FormatSpec::named("avro");
    format.options.set("schema.registry", registry.url());
    format
}

fn source(servers: &str, registry: &DevRegistry, columns: &[(&str, DataType)]) -> Declared {
    let mut declared = raw(servers, "t").payload(columns, "avro");
    declared.definition.format = Some(avro(registry));
    declared
}

/// Writes rows as an epoch of a query that has just started.
async fn write(servers: &str, registry: &DevRegistry, rows: RecordBatch) {
    let definition = SinkDefinition {
        name: "k".into(),
        schema: Some(rows.schema()),
        primary_key: vec![],
        partitioned_by: vec![],
        format: Some(avro(registry)),
        key_format: None,
    };
    let options = [("bootstrap.servers", servers), ("topic", "t")];
    let mut options = OptionReader::new("sink \"k\"", &options.into_iter().collect());
    let declared = KafkaConnector::default()
        .declare_sink(definition, &mut options)
        .unwrap();
    let sink = declared.open().unwrap();
    let mut context = context("q", Transactions::NoCheckpoint);
    context.schema = rows.schema();
    within(20, sink.open(&context)).await.unwrap();
    epoch(&*sink, 0, vec![rows]).await.unwrap();
}

fn numbered(symbols: &[&str]) -> RecordBatch {
    let schema = columns(&[("symbol", DataType::Utf8View), ("n", DataType::Int64)]);
    let numbers: Int64Array = (0..).take(symbols.len()).collect();
    let symbols: StringViewArray = symbols.iter().copied().map(Some).collect();
    RecordBatch::try_new(schema, vec![Arc::new(symbols), Arc::new(numbers)]).unwrap()
}

#[tokio::test]
async fn what_is_written_is_read_through_the_registry() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let registry = DevRegistry::start().unwrap();
    write(&servers, &registry, numbered(&["a", "b"])).await;
    assert!(registry.latest("t-value").unwrap().contains("symbol"));
    let schema = columns(&[("price", DataType::Float64), ("symbol", DataType::Utf8View)]);
    let more = RecordBatch::try_new(
        schema,
        vec![
            Arc::new(Float64Array::from(vec![1.5])),
            Arc::new(StringViewArray::from(vec!["c"])),
        ],
    );
    write(&servers, &registry, more.unwrap()).await;

    // Of both schemas, whatever their columns and their order.
    let all = [
        ("symbol", DataType::Utf8View),
        ("n", DataType::Int64),
        ("price", DataType::Float64),
    ];
    let read = source(&servers, &registry, &all);
    let read = read.try_open(SourceUse::BoundedRead).await.unwrap();
    let rows = read_all(&*read).await.lines();
    assert_eq!(rows, ["a|0|NULL", "b|1|NULL", "c|NULL|1.5"]);
    let asked = registry.requests().len();
    // Each schema is asked for once in the life of a source.
    let (start, end) = (at("t", &[0]), at("t", &[3]));
    assert_eq!(super::fixture::read(&*read, &start, &end).await.rows(), 3);
    assert_eq!(registry.requests().len(), asked);
}

#[tokio::test]
async fn an_id_of_no_schema_is_a_bad_record_and_a_silent_registry_no_fault_of_the_record() {
    let broker = broker(&[("t", 1)]);
    let servers = broker.bootstrap_servers();
    let registry = DevRegistry::start().unwrap();
    write(&servers, &registry, numbered(&["a"])).await;
    put(
        &servers,
        "t",
        &[text(0, b"\0\0\0\x09\x09xyz".to_vec()), text(0, "{}")],
    );
    write(&servers, &registry, numbered(&["z"])).await;
    let columns = [("symbol", DataType::Utf8View)];
    let dropping = || source(&servers, &registry, &columns).bad_data(BadDataPolicy::Drop);
    let open = dropping().try_open(SourceUse::BoundedRead).await.unwrap();
    let read = read_all(&*open).await;
    assert_eq!(read.lines(), ["a", "z"]);
    let bad: Vec<(String, u64)> = read.counters.bad().into_iter().collect();
    assert_eq!(
        bad.iter().map(|(_, records)| records).sum::<u64>(),
        2,
        "{bad:?}"
    );

    registry.fail_with(Some(503));
    let open = dropping().try_open(SourceUse::BoundedRead).await.unwrap();
    let (start, end) = (at("t", &[0]), at("t", &[4]));
    reach(&*open, &start, &end).await;
    let error = try_read(&*open, &start, &end, &[0]).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Source, "{error}");
    registry.fail_with(None);
    assert_eq!(super::fixture::read(&*open, &start, &end).await.rows(), 2);
}
