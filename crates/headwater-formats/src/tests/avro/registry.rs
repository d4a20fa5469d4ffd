//! Avro with a schema registry: framing, evolution, and what becomes of a registry that is away.

use std::time::Duration;

use arrow::array::Int64Array;
use headwater_core::clock::{Clock, ManualClock};
use headwater_core::event_time::EventTime;
use headwater_core::format::BadDataPolicy;
use headwater_core::source::ReadCounters;

use super::*;
use crate::{DevRegistry, RowAssembler, RowDefinition, SchemaCache, SinkFormat};

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], id.to_be_bytes().as_slice(), datum].concat()
}

fn record_of(fields: &str) -> String {
    format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)
}

fn with_registry(registry: &DevRegistry, options: &[(&str, &str)]) -> FormatSpec {
    let mut spec = spec("avro", options);
    spec.options.set("schema.registry", registry.url());
    spec
}

#[test]
fn records_of_several_schemas_are_read_side_by_side() {
    let registry = DevRegistry::start().unwrap();
    let first = registry.register("orders-value", &record_of(r#"{"name":"a","type":"int"}"#));
    let second = registry.register(
        "orders-value",
        &record_of(r#"{"name":"new","type":"string"},{"name":"a","type":["null","long"]}"#),
    );
    let columns = schema(&[("a", DataType::Int64), ("new", DataType::Utf8View)]);
    let other = registry.register_body(
        "other",
        serde_json::json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"}),
    );
    let strange = registry.register("strange", "{\"type\":\"nothing\"}");
    let text = registry.register("text", "\"string\"");
    let union = registry.register(
        "union",
        r#"["null",{"type":"record","name":"A","fields":[{"name":"a","type":"long"}]},
            {"type":"record","name":"B","fields":[{"name":"new","type":"string"}]}]"#,
    );
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (framed(first, &[2]), "1|∅"),
        (framed(second, &[2, b'x', 2, 4]), "2|x"),
        (framed(first, &[6]), "3|∅"),
        (framed(second, &[2, b'y', 0]), "∅|y"),
        (framed(77, &[2]), "bad: unknown schema id"),
        (framed(other, &[2]), "bad: schema is not of Avro"),
        (framed(strange, &[2]), "bad: schema is not of Avro"),
        (framed(text, &[2, b'x']), "bad: not an Avro record"),
        (framed(union, &[2, 8]), "4|∅"),
        (framed(union, &[4, 2, b'z']), "∅|z"),
        (framed(union, &[0]), "bad: no value"),
        (vec![], "bad: empty value"),
        (vec![0, 0, 0, 0], "bad: no schema id"),
        (vec![1, 0, 0, 0, 1, 2], "bad: no schema id"),
        (b"{\"a\":1}".to_vec(), "bad: no schema id"),
        (framed(first, &[]), "bad: empty value"),
        (framed(first, &[2, 2]), "bad: more after the Avro record"),
        (framed(first, &[10]), "5|∅"),
    ];
    let payloads: Vec<&[u8]> = cases.iter().map(|(bytes, _)| bytes.as_slice()).collect();
    let found = try_decode_framed(
        &with_registry(&registry, &[]),
        &columns,
        &records(&payloads),
    );
    let expected: Vec<&str> = cases.iter().map(|(_, expected)| *expected).collect();
    assert_eq!(found.unwrap(), expected);
}

/// The writer's fields, the reader's schema if one is given, the datum, the columns and the row.
type Evolution = (
    &'static str,
    &'static str,
    &'static [u8],
    DataType,
    &'static str,
);

const EVOLUTIONS: [Evolution; 20] = [
    // Numbers are widened, and never narrowed.
    (
        r#"{"name":"a","type":"int"}"#,
        "",
        &[3],
        DataType::Int64,
        "-2",
    ),
    (
        r#"{"name":"a","type":"int"}"#,
        "",
        &[4],
        DataType::Float32,
        "2.0",
    ),
    (
        r#"{"name":"a","type":"long"}"#,
        "",
        &[4],
        DataType::Float64,
        "2.0",
    ),
    (
        r#"{"name":"a","type":"float"}"#,
        "",
        &[0, 0, 0xc0, 0x3f],
        DataType::Float64,
        "1.5",
    ),
    (
        r#"{"name":"a","type":"long"}"#,
        "",
        &[4],
        DataType::Int32,
        "bad: column \"a\" is not an INT",
    ),
    (
        r#"{"name":"a","type":"string"}"#,
        "",
        &[2, b'x'],
        DataType::Float64,
        "bad: column \"a\" is not a DOUBLE",
    ),
    // Text and bytes are each other.
    (
        r#"{"name":"a","type":"string"}"#,
        "",
        &[2, b'x'],
        DataType::Binary,
        "78",
    ),
    (
        r#"{"name":"a","type":"bytes"}"#,
        "",
        &[2, b'x'],
        DataType::Utf8View,
        "x",
    ),
    // Branches that do not fit cost the records that have them.
    (
        r#"{"name":"a","type":["string","long"]}"#,
        "",
        &[2, 4],
        DataType::Int64,
        "2",
    ),
    (
        r#"{"name":"a","type":["string","long"]}"#,
        "",
        &[0, 2, b'x'],
        DataType::Int64,
        "bad: column \"a\" is not a BIGINT",
    ),
    // Fields that were not written.
    (
        r#"{"name":"b","type":"long"}"#,
        "",
        &[4],
        DataType::Int64,
        "∅",
    ),
    (
        r#"{"name":"b","type":"long"}"#,
        r#"{"name":"a","type":"long","default":7}"#,
        &[4],
        DataType::Int64,
        "7",
    ),
    (
        r#"{"name":"b","type":"long"}"#,
        r#"{"name":"a","type":["null","long"],"default":null}"#,
        &[4],
        DataType::Int64,
        "∅",
    ),
    (
        r#"{"name":"b","type":"long"}"#,
        r#"{"name":"a","type":{"type":"array","items":"int"},"default":[1,-1]}"#,
        &[4],
        DataType::Null,
        "[1, -1]",
    ),
    // The reader's names.
    (
        r#"{"name":"old","type":"long"}"#,
        r#"{"name":"a","aliases":["older","old"],"type":"long"}"#,
        &[4],
        DataType::Int64,
        "2",
    ),
    (
        r#"{"name":"old","type":"long"},{"name":"a","type":"long"}"#,
        r#"{"name":"a","aliases":["old"],"type":"long"}"#,
        &[4, 6],
        DataType::Int64,
        "3",
    ),
    // Another order, and fields that nobody wants.
    (
        r#"{"name":"x","type":{"type":"map","values":"string"}},{"name":"a","type":"long"},{"name":"y","type":"double"}"#,
        "",
        &[2, 2, b'k', 2, b'v', 0, 4, 0, 0, 0, 0, 0, 0, 0, 0],
        DataType::Int64,
        "2",
    ),
    // Symbols.
    ("enum A, B", "", &[2], DataType::Utf8View, "B"),
    (
        "enum A, B",
        "enum A, U default U",
        &[2],
        DataType::Utf8View,
        "U",
    ),
    (
        "enum A, B",
        "enum A",
        &[2],
        DataType::Utf8View,
        "bad: column \"a\" is not a VARCHAR",
    ),
];

#[test]
fn records_are_resolved_to_the_columns() {
    let enum_of = |symbols: &str| format!(r#"{{"type":"enum","name":"E","symbols":[{symbols}]}}"#);
    let registry = DevRegistry::start().unwrap();
    let fields = |text: &str| match text.strip_prefix("enum ") {
        None => text.to_string(),
        Some(text) => {
            let (symbols, default) = text.split_once(" default ").unwrap_or((text, ""));
            let symbols: Vec<String> = symbols.split(", ").map(|s| format!("\"{s}\"")).collect();
            let mut avro_type = enum_of(&symbols.join(","));
            if !default.is_empty() {
                avro_type = avro_type.replace('}', &format!(r#","default":"{default}"}}"#));
            }
            format!(r#"{{"name":"a","type":{avro_type}}}"#)
        }
    };
    for (writer, reader, datum, data_type, expected) in EVOLUTIONS {
        let id = registry.register("s", &record_of(&fields(writer)));
        let reader = record_of(&fields(reader));
        let options = match reader.contains("\"fields\":[]") {
            true => vec![],
            false => vec![("schema", reader.as_str())],
        };
        // A list is no constant.
        let data_type = match data_type {
            DataType::Null => DataType::new_list(DataType::Int64, true),
            other => other,
        };
        let columns = schema(&[("a", data_type)]);
        let payloads = records(&[framed(id, datum)]);
        let found = try_decode_framed(&with_registry(&registry, &options), &columns, &payloads);
        assert_eq!(found.unwrap(), [expected], "{writer} as {reader}");
    }
}

#[test]
fn schemas_may_refer_to_others() {
    let registry = DevRegistry::start().unwrap();
    let inner =
        r#"{"type":"record","name":"shop.Money","fields":[{"name":"cents","type":"long"}]}"#;
    registry.register("money", inner);
    let outer = record_of(r#"{"name":"a","type":"shop.Money"}"#);
    let reference = serde_json::json!([{"name": "shop.Money", "subject": "money", "version": 1}]);
    let body = serde_json::json!({"schema": outer, "references": reference});
    let id = registry.register_body("orders-value", body);
    let missing = serde_json::json!([{"name": "x", "subject": "none", "version": 1}]);
    let body = serde_json::json!({"schema": "\"x\"", "references": missing});
    let lost = registry.register_body("orders-value", body);
    let money = DataType::Struct(vec![Field::new("cents", DataType::Int64, true)].into());
    let payloads = records(&[framed(id, &[8]), framed(lost, &[8])]);
    let spec = with_registry(&registry, &[]);
    let found = try_decode_framed(&spec, &schema(&[("a", money)]), &payloads).unwrap();
    assert_eq!(found, ["{cents: 4}", "bad: schema is not of Avro"]);
}

fn definition(format: FormatSpec) -> RowDefinition {
    RowDefinition {
        keys: None,
        payload: schema(&[("a", DataType::Int64)]),
        metadata: vec![],
        projection: vec![0],
        format,
        bad_data: BadDataPolicy::Drop,
    }
}

#[test]
fn a_schema_is_asked_for_once_in_the_life_of_a_source() {
    let registry = DevRegistry::start().unwrap();
    let id = registry.register("s", &record_of(r#"{"name":"a","type":"long"}"#));
    let payloads = records(&[framed(id, &[2]), framed(id, &[4]), framed(900, &[4])]);
    let clock = ManualClock::new(EventTime(0));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let cache = SchemaCache::timed_by(&shared);
    let definition = definition(with_registry(&registry, &[]));
    for _epoch in 0..3 {
        let mut rows = RowAssembler::sharing(&definition, OWNER, &cache).unwrap();
        let counters = ReadCounters::default();
        let assembled = on_a_runtime(async {
            rows.prepare(&payloads, None).await.unwrap();
            rows.prepare(&payloads, None).await.unwrap();
            let metadata = |_| Err(headwater_core::Error::internal("none"));
            rows.assemble(&payloads, None, &metadata, &|at| at.to_string(), &counters)
        });
        assert_eq!(rows_as_text(&assembled.unwrap().rows), ["1", "2"]);
        assert_eq!(counters.bad().get("unknown schema id"), Some(&1));
    }
    let asked = registry.requests();
    let of = |path: &str| {
        asked
            .iter()
            .filter(|request| request.ends_with(path))
            .count()
    };
    assert_eq!((of(&format!("/ids/{id}")), of("/ids/900")), (1, 1));
    // One that nobody knew may be known some time later.
    let read_again = || {
        let mut rows = RowAssembler::sharing(&definition, OWNER, &cache).unwrap();
        on_a_runtime(rows.prepare(&payloads, None)).unwrap();
        let asked = registry.requests();
        asked
            .iter()
            .filter(|path| path.ends_with("/ids/900"))
            .count()
    };
    clock.advance(Duration::from_secs(29));
    assert_eq!(read_again(), 1);
    clock.advance(Duration::from_secs(2));
    assert_eq!(read_again(), 2);
}

/// Records that are noise name a schema each: the registry is asked for some of them.
#[test]
fn a_chunk_of_unknown_ids_asks_a_bounded_number_of_times() {
    let registry = DevRegistry::start().unwrap();
    let id = registry.register("s", &record_of(r#"{"name":"a","type":"long"}"#));
    let mut noise: Vec<_> = (1_000..2_000).map(|id| framed(id, &[2])).collect();
    noise.push(framed(id, &[2]));
    let payloads = records(&noise);
    let columns = schema(&[("a", DataType::Int64)]);
    let spec = with_registry(&registry, &[]);
    let mut decoder = new_decoder(&spec, OWNER, &columns, &[0]).unwrap();
    on_a_runtime(decoder.prepare(&payloads)).unwrap();
    let decoded = decoder.decode(&payloads).unwrap();
    // The lowest ids are asked for first, and a registry counts from 1.
    assert_eq!(rows_as_text(&decoded.rows), ["1"]);
    assert_eq!(decoded.bad.len(), 1_000);
    assert!(
        decoded
            .bad
            .iter()
            .all(|bad| bad.reason == "unknown schema id")
    );
    assert_eq!(decoded.bad[0].detail, "schema id 1000");
    assert_eq!(
        decoded.bad[999].detail,
        "schema id 1999, not looked up after many unknown ones"
    );
    let asked = registry.requests();
    let asked = asked.iter().filter(|path| path.contains("/schemas/ids/"));
    assert_eq!(asked.count(), 101);
}

#[test]
fn a_registry_that_is_away_is_a_failure_that_may_pass() {
    let registry = DevRegistry::start().unwrap();
    let id = registry.register("s", &record_of(r#"{"name":"a","type":"long"}"#));
    let payloads = records(&[framed(id, &[2])]);
    let columns = schema(&[("a", DataType::Int64)]);
    let spec = with_registry(&registry, &[]);
    registry.fail_with(Some(503));
    let error = try_decode_framed(&spec, &columns, &payloads).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    assert!(
        error
            .message()
            .ends_with("refused schema 1 with status 503"),
        "{error}"
    );
    registry.fail_with(None);
    assert_eq!(
        try_decode_framed(&spec, &columns, &payloads).unwrap(),
        ["1"]
    );
    let url = registry.url();
    drop(registry);
    let error = try_decode_framed(&spec, &columns, &payloads).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    let expected = format!("could not reach schema registry \"{url}\" of {OWNER}");
    assert_eq!(error.message(), expected);
}

#[test]
fn a_chunk_that_was_not_prepared_is_a_bug() {
    let registry = DevRegistry::start().unwrap();
    let columns = schema(&[("a", DataType::Int64)]);
    let mut decoder = new_decoder(&with_registry(&registry, &[]), OWNER, &columns, &[0]).unwrap();
    let error = decoder.decode(&records(&[framed(1, &[2])])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    // Other formats have nothing to prepare.
    let mut json = new_decoder(&spec("json", &[]), OWNER, &columns, &[0]).unwrap();
    on_a_runtime(json.prepare(&records(&["{}"]))).unwrap();
}

#[test]
fn passwords_are_sent_and_never_shown() {
    let secret = "hunter2";
    let registry = DevRegistry::start().unwrap();
    let id = registry.register("s", &record_of(r#"{"name":"a","type":"long"}"#));
    registry.require_login("me", secret);
    let columns = schema(&[("a", DataType::Int64)]);
    let payloads = records(&[framed(id, &[2])]);
    let login = [
        ("schema.registry.user", "me"),
        ("schema.registry.password", secret),
    ];
    let spec = with_registry(&registry, &login);
    assert_eq!(
        try_decode_framed(&spec, &columns, &payloads).unwrap(),
        ["1"]
    );
    assert!(!format!("{spec:?}").contains(secret));
    let decoder = new_decoder(&spec, OWNER, &columns, &[0]).unwrap();
    let shown = format!("{decoder:?}");
    assert!(
        shown.contains(&registry.url()) && !shown.contains(secret),
        "{shown}"
    );
    let shown = format!(
        "{:?}",
        on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "t")).unwrap()
    );
    assert!(!shown.contains(secret), "{shown}");

    let login = [
        ("schema.registry.user", "you"),
        ("schema.registry.password", secret),
    ];
    let spec = with_registry(&registry, &login);
    let error = try_decode_framed(&spec, &columns, &payloads).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let report = error.report("a", None);
    assert!(
        report.contains("status 401") && !report.contains(secret),
        "{report}"
    );
    let in_url = super::spec("avro", &[("schema.registry", "http://me:hunter2@there:1")]);
    let error = check_format(&in_url, OWNER, &columns).unwrap_err();
    assert!(!error.report("a", None).contains(secret));
}

#[test]
fn what_a_registry_cannot_be_is_refused() {
    let cases: [(&[(&str, &str)], &str); 6] = [
        (
            &[
                ("schema.registry", "https://there:8081"),
                ("schema.registry.ssl.key.location", "/no/such/key"),
            ],
            "option \"schema.registry.ssl.key.location\" of format \"avro\" of source \"orders\" \
             names \"/no/such/key\", which cannot be read",
        ),
        (
            &[("schema.registry", "there:8081")],
            "option \"schema.registry\" of format \"avro\" of source \"orders\" is \"there:8081\", \
             not a URL such as 'https://server:8081'",
        ),
        (
            &[
                ("schema.registry", "http://there"),
                ("schema.registry.user", "me"),
            ],
            "format \"avro\" of source \"orders\" has half a login for its schema registry, or two",
        ),
        (
            &[
                ("schema", "\"long\""),
                ("schema.registry.user", "me"),
                ("schema.registry.password", "x"),
            ],
            "format \"avro\" of source \"orders\" has a login for a schema registry, but no \
             \"schema.registry\"",
        ),
        (
            &[("schema", "\"long\""), ("subject", "x")],
            "format \"avro\" of source \"orders\" has a \"subject\", but no \"schema.registry\" \
             that knows it",
        ),
        (
            &[
                ("schema.registri", "http://there"),
                ("schema.registry", "http://there"),
            ],
            "format \"avro\" of source \"orders\" has no option \"schema.registri\"",
        ),
    ];
    for (options, expected) in cases {
        let error = check_format(&spec("avro", options), OWNER, &schema(&[])).unwrap_err();
        assert_eq!(error.message(), expected);
    }
}

#[test]
fn a_sink_registers_its_schema_and_writes_its_id() {
    let registry = DevRegistry::start().unwrap();
    registry.register("before", "\"long\"");
    let inner = DataType::Struct(vec![Field::new("x", DataType::Int32, true)].into());
    let columns: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, false),
        Field::new("t", micros(), true),
        Field::new("p", DataType::Decimal128(10, 2), true),
        Field::new("l", DataType::new_list(inner, true), true),
        Field::new("m", map_of(DataType::Utf8View), true),
    ]));
    let spec = with_registry(&registry, &[]);
    // Declaring asks nobody, and what is declared writes nothing.
    let mut declared = new_encoder(&spec, OWNER, &columns).unwrap();
    assert_eq!(registry.requests(), [""; 0]);
    let none = RecordBatch::new_empty(Arc::clone(&columns));
    assert_eq!(
        declared.encode(&none).unwrap_err().kind(),
        ErrorKind::Internal
    );

    let format = on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "orders-value")).unwrap();
    assert_eq!(
        registry.requests(),
        ["POST /subjects/orders-value/versions"]
    );
    assert_eq!(
        registry.latest("orders-value").unwrap(),
        r#"{"fields":[{"name":"a","type":"long"},{"default":null,"name":"t","type":["null",{"logicalType":"timestamp-micros","type":"long"}]},{"default":null,"name":"p","type":["null",{"logicalType":"decimal","precision":10,"scale":2,"type":"bytes"}]},{"default":null,"name":"l","type":["null",{"items":["null",{"fields":[{"default":null,"name":"x","type":["null","int"]}],"name":"row_l","type":"record"}],"type":"array"}]},{"default":null,"name":"m","type":["null",{"type":"map","values":["null","string"]}]}],"name":"row","type":"record"}"#
    );
    let json = r#"{"a":1,"t":"2026-01-01","p":1.5,"l":[{"x":1},null],"m":{"k":"v"}}"#;
    let rows = decode(&super::spec("json", &[]), &columns, &records(&[json])).rows;
    let encoded = format.encoder().unwrap().encode(&rows).unwrap();
    assert_eq!(encoded.value(0)[..5], [0, 0, 0, 0, 2]);
    let found = try_decode_framed(&spec, &columns, &encoded).unwrap();
    assert_eq!(found, rows_as_text(&rows));

    // Opened again, it has the same id; elsewhere if the user says so.
    on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "orders-value")).unwrap();
    let spec = with_registry(&registry, &[("subject", "mine")]);
    on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "orders-value")).unwrap();
    assert_eq!(registry.latest("mine"), registry.latest("orders-value"));
}

#[test]
fn a_sink_says_what_the_registry_refuses() {
    let registry = DevRegistry::start().unwrap();
    let columns = schema(&[("a", DataType::Int64)]);
    let spec = with_registry(&registry, &[]);
    let open = || on_a_runtime(SinkFormat::open(&spec, "sink \"s\"", &columns, "t-value"));
    registry.fail_with(Some(409));
    let error = open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(
        error
            .message()
            .ends_with("of sink \"s\" refused a schema for subject \"t-value\" with status 409"),
        "{error}"
    );
    registry.fail_with(Some(500));
    assert_eq!(open().unwrap_err().kind(), ErrorKind::Sink);
    let named = schema(&[("count(*)", DataType::Int64)]);
    let error = new_encoder(&spec, OWNER, &named).unwrap_err();
    assert_eq!(
        error.message(),
        "column \"count(*)\" of source \"orders\" has no name that an Avro field may have"
    );
    // A format without a registry has nothing to open.
    let json = super::spec("json", &[]);
    let opened = on_a_runtime(SinkFormat::open(&json, OWNER, &named, "t")).unwrap();
    opened.encoder().unwrap();
}

/// The branches of a UNION ALL hand on batches that say of a column that it has no NULL, although the
/// column of all may have one.
#[test]
fn a_batch_without_nulls_is_written_in_the_schema_that_is_registered() {
    let registry = DevRegistry::start().unwrap();
    let spec = with_registry(&registry, &[]);
    let all = schema(&[("a", DataType::Int64)]);
    let opened = on_a_runtime(SinkFormat::open(&spec, OWNER, &all, "t-value")).unwrap();
    let strict = Schema::new(vec![Field::new("a", DataType::Int64, false)]);
    let rows =
        RecordBatch::try_new(Arc::new(strict), vec![Arc::new(Int64Array::from(vec![7]))]).unwrap();
    let written = opened.encoder().unwrap().encode(&rows).unwrap();
    // The frame, the branch of the union that is not null, and the number.
    assert_eq!(written.value(0), [0, 0, 0, 0, 1, 2, 14]);
}

#[test]
fn a_page_that_is_not_there_is_no_answer_about_a_schema() {
    let registry = DevRegistry::start().unwrap();
    let wrong = format!("{}/elsewhere", registry.url());
    let columns = schema(&[("a", DataType::Int64)]);
    let spec = spec("avro", &[("schema.registry", wrong.as_str())]);
    let definition = RowDefinition {
        keys: None,
        payload: columns,
        metadata: vec![],
        projection: vec![0],
        format: spec,
        bad_data: BadDataPolicy::Drop,
    };
    let mut rows = RowAssembler::try_new(&definition, OWNER).unwrap();
    let record = BinaryArray::from_vec(vec![&[0, 0, 0, 0, 1, 14]]);
    let error = on_a_runtime(rows.prepare(&record, None)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
}

#[test]
fn a_subject_is_for_sinks() {
    let registry = DevRegistry::start().unwrap();
    let spec = with_registry(&registry, &[("subject", "s")]);
    let columns = schema(&[("a", DataType::Int64)]);
    let error = check_format(&spec, OWNER, &columns).unwrap_err();
    assert!(error.message().ends_with("which is for sinks"), "{error}");
}

#[test]
fn flinks_spellings_are_read() {
    let registry = DevRegistry::start().unwrap();
    registry.require_login("me", "x");
    let url = registry.url();
    let spec = spec(
        "avro-confluent",
        &[
            ("url", url.as_str()),
            ("subject", "s"),
            ("basic-auth.credentials-source", "USER_INFO"),
            ("basic-auth.user-info", "me:x"),
        ],
    );
    let columns = schema(&[("a", DataType::Int64)]);
    on_a_runtime(SinkFormat::open(&spec, OWNER, &columns, "t")).unwrap();
    assert!(registry.latest("s").is_some());
}
