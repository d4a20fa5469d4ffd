//! Columns found in samples, per format, and the property that they hold what was sampled.

use headwater_core::sample::Sample;
use headwater_core::type_name::type_name;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::infer::{Guess, Inferred, SeenKeys, guess_format, infer, seen_keys};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn sample(records: &[impl AsRef<[u8]>]) -> Sample {
    Sample {
        payloads: records.iter().map(|r| Some(r.as_ref())).collect(),
        keys: None,
        header: None,
    }
}

fn infer_in(format: &FormatSpec, sample: &Sample) -> headwater_core::Result<Inferred> {
    runtime().block_on(infer(format, "source \"s\"", sample))
}

/// The columns as text, those left out below a line, then what is bad.
fn shown(format: &FormatSpec, sample: &Sample) -> String {
    let found = match infer_in(format, sample) {
        Ok(found) => found,
        Err(error) => return error.report("", None),
    };
    let mut out = String::new();
    for column in &found.columns {
        let null = if column.is_nullable { "" } else { " NOT NULL" };
        let note = column.note.iter().map(|note| format!(" -- {note}"));
        let note: String = note.collect();
        out += &format!(
            "{} {}{null}{note}\n",
            column.name,
            type_name(&column.data_type)
        );
    }
    for (name, why) in &found.left_out {
        out += &format!("without {name}: {why}\n");
    }
    for (reason, records) in &found.bad {
        out += &format!("bad: {reason}: {records}\n");
    }
    for note in &found.notes {
        out += &format!("note: {note}\n");
    }
    out
}

fn check(format: &FormatSpec, records: &[&str], expected: &[&str]) {
    let found = shown(format, &sample(records));
    assert_eq!(found.lines().collect::<Vec<_>>(), expected, "{records:?}");
}

#[test]
fn json_values_have_types() {
    check(
        &spec("json", &[]),
        &[
            r#"{"i":1,"d":1,"big":18446744073709551615,"s":"a","b":true,"day":"2026-01-01","at":"2026-01-01T10:00:00Z","n":null}"#,
            r#"{"i":-2,"d":1.5,"big":1,"s":"2026-01-01","b":false,"day":"2026-01-02","at":"2026-01-01","ID":2,"id":1}"#,
            r#"{"ts":1767225600000}"#,
        ],
        &[
            "i BIGINT",
            "d DOUBLE",
            "big DECIMAL(38,0)",
            "s VARCHAR",
            "b BOOLEAN",
            "day DATE",
            "at TIMESTAMP",
            "n VARCHAR -- no value in the sample, so the type is not known",
            "ID BIGINT",
            "id BIGINT -- differs from \"ID\" by case only",
            "ts BIGINT -- looks like milliseconds since 1970: to_timestamp_millis makes a TIMESTAMP of it",
        ],
    );
}

#[test]
fn json_values_may_hold_others() {
    check(
        &spec("json", &[]),
        &[
            r#"{"user":{"id":1,"Name":"a"},"tags":["a"],"points":[{"x":1},{"x":1.5,"y":null}],"none":[],"mixed":1}"#,
            r#"{"user":{"id":2,"odd":1},"tags":[null],"mixed":"1","list":[1,"a"],"empty":{}}"#,
            r#"{"user":{"odd":"x"}}"#,
        ],
        &[
            "user STRUCT<id BIGINT, Name VARCHAR> -- without \"odd\" (1 numbers and 1 texts, which no one type holds)",
            "tags ARRAY<VARCHAR>",
            "points ARRAY<STRUCT<x DOUBLE, y VARCHAR>>",
            "none ARRAY<VARCHAR> -- no value in the sample, so the type is not known",
            "without mixed: 1 numbers and 1 texts, which no one type holds",
            "without list: arrays of 1 numbers and 1 texts, which no one type holds",
            "without empty: objects that hold nothing",
        ],
    );
}

#[test]
fn bad_records_are_counted_by_reason() {
    check(
        &spec("json", &[]),
        &[r#"{"a":1}"#, "{", "[]", "", "{\"a\":2"],
        &[
            "a BIGINT",
            "bad: empty value: 1",
            "bad: not JSON: 2",
            "bad: not a JSON object: 1",
        ],
    );
    let found = shown(&spec("json", &[]), &sample(&["x", "[1]"]));
    assert!(
        found.contains("none of 2 records can be read in format \"json\""),
        "{found}"
    );
    assert!(
        found.contains("not JSON: 1; not a JSON object: 1. One is `x`."),
        "{found}"
    );
    let nothing: [&str; 0] = [];
    let found = shown(&spec("json", &[]), &sample(&nothing));
    assert!(found.contains("there is no record to look at"), "{found}");
    let found = shown(&spec("json", &[]), &sample(&["{}"]));
    assert!(found.contains("no value that a column can hold"), "{found}");
}

#[test]
fn names_and_depth_have_bounds() {
    let many: Map<String, Value> = (0..1_100).map(|n| (format!("k{n}"), json!(n))).collect();
    let found = infer_in(
        &spec("json", &[]),
        &sample(&[Value::from(many).to_string()]),
    )
    .unwrap();
    assert_eq!(found.columns.len(), 1_000);
    assert_eq!(found.notes.len(), 1);
    let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let found = infer_in(&spec("json", &[]), &sample(&[deep(15)])).unwrap();
    assert_eq!(found.columns.len(), 1);
    let text = shown(
        &spec("json", &[]),
        &sample(&[deep(16), "{\"b\":1}".to_string()]),
    );
    assert!(text.starts_with("b BIGINT\nwithout a: arrays of"), "{text}");
    assert!(text.contains("nested deeper than 16"), "{text}");
    let text = shown(
        &spec("json", &[]),
        &sample(&[deep(100_000), "{\"b\":1}".to_string()]),
    );
    assert!(text.starts_with("b BIGINT\nwithout a"), "{text}");
}

#[test]
fn csv_fields_have_types_by_place() {
    check(
        &spec("csv", &[]),
        &[
            "1,a,1.5,2026-01-01,true,007,,x",
            "2,,2,2026-01-02,FALSE,1,,\"\"",
            "1,2",
        ],
        &[
            "c1 BIGINT",
            "c2 VARCHAR",
            "c3 DOUBLE",
            "c4 DATE",
            "c5 BOOLEAN",
            "c6 VARCHAR -- holds 1 numbers and 1 texts",
            "c7 VARCHAR -- no value in the sample, so the type is not known",
            "c8 VARCHAR",
            "bad: wrong number of fields: 1",
        ],
    );
    check(
        &spec("csv", &[("delimiter", ";"), ("null.value", "NA")]),
        &["1;NA", "NA;2026-01-01 10:00:00"],
        &["c1 BIGINT", "c2 TIMESTAMP"],
    );
}

/// A file that was written to a topic line by line has its header there, too.
#[test]
fn a_line_of_names_among_the_records_is_seen() {
    let csv = spec("csv", &[]);
    let note = "note: the line of names \"Id,name\" is no record: bad_data = 'drop' leaves it out, and \
                of files csv.header = 'true'";
    for lines in [["Id,name", "1,a", "2,b"], ["1,a", "Id,name", "2,b"]] {
        check(
            &csv,
            &lines,
            &[
                "id BIGINT",
                "name VARCHAR",
                "bad: column \"id\" is not a BIGINT: 1",
                note,
            ],
        );
    }
    // Where all columns are texts, a line of names looks like any other.
    check(
        &csv,
        &["id,name", "x,a", "y,b"],
        &["c1 VARCHAR", "c2 VARCHAR"],
    );
    // These are no names.
    for odd in ["a,a", "true,x", "a,", "*,b"] {
        let found = shown(&csv, &sample(&[odd, "1,x", "2,y"]));
        assert!(found.starts_with("c1 "), "{odd}: {found}");
    }
}

#[test]
fn keys_are_looked_at() {
    let seen = |keys: &[Option<&[u8]>]| {
        let keys = keys.iter().copied().collect();
        runtime()
            .block_on(seen_keys("source \"s\"", &keys))
            .unwrap()
    };
    assert_eq!(seen(&[None, None]), None);
    let found = |keys, are_texts, format| {
        Some(SeenKeys {
            keys,
            are_texts,
            format,
        })
    };
    assert_eq!(seen(&[Some(b"a"), None]), found(1, true, None));
    assert_eq!(seen(&[Some(b"a"), Some(b"\xff")]), found(2, false, None));
    let json: &[u8] = b"{\"id\":1}";
    assert_eq!(seen(&[Some(json)]), found(1, true, Some("JSON")));
    let framed: &[u8] = &[0, 0, 0, 0, 1, 2];
    assert_eq!(seen(&[Some(framed)]), found(1, true, Some("AVRO")));
}

#[test]
fn csv_headers_name_columns() {
    let named = |options: &[(&str, &str)], header: &str| {
        let sample = Sample {
            header: Some(header.into()),
            ..sample(&["1,a"])
        };
        shown(&spec("csv", options), &sample)
    };
    assert_eq!(
        named(&[("header", "true")], "Id, \"Name\""),
        "id BIGINT\nname VARCHAR\n"
    );
    assert_eq!(
        named(&[("header", "true")], "a,A"),
        "a BIGINT\nA VARCHAR -- differs from \"a\" by case only\n"
    );
    assert_eq!(
        named(&[("header", "skip")], "a,a"),
        "c1 BIGINT\nc2 VARCHAR\n"
    );
    assert!(named(&[("header", "true")], "a,a").contains("does not name 2 columns"));
}

#[test]
fn lines_of_influx_have_tags_fields_and_a_time() {
    check(
        &spec("influx", &[]),
        &[
            r#"cpu,host=1,cpu=cpu0 usage=1,n=5i,big=18446744073709551615u,ok=t,note="x" 1626600024000000000"#,
            "mem,host=b usage=2.5,used=1i,time=3i,odd=1i",
            "mem odd=\"x\"",
            "mem",
        ],
        &[
            "measurement VARCHAR NOT NULL",
            "host VARCHAR",
            "cpu VARCHAR",
            "usage DOUBLE",
            "n BIGINT",
            "big DECIMAL(38,0)",
            "ok BOOLEAN",
            "note VARCHAR",
            "used BIGINT",
            "time TIMESTAMP",
            "without time: the format has a column of its own under this name",
            "without odd: 1 numbers and 1 texts, which no one type holds",
            "bad: no fields: 1",
        ],
    );
    check(
        &spec("influx", &[("time", "at"), ("measurement", "m")]),
        &["cpu time=1i 1"],
        &["m VARCHAR NOT NULL", "time BIGINT", "at TIMESTAMP"],
    );
}

#[test]
fn events_of_debezium_have_the_columns_of_their_rows() {
    check(
        &spec("debezium-json", &[]),
        &[
            r#"{"op":"c","before":null,"after":{"id":1,"name":"a"},"source":{"db":"x"}}"#,
            r#"{"payload":{"op":"u","before":{"id":1},"after":{"id":1,"name":"b","price":1.5}}}"#,
            r#"{"op":"d","before":{"id":1,"gone":true},"after":null}"#,
            r#"{"op":"t"}"#,
        ],
        &[
            "id BIGINT",
            "name VARCHAR",
            "price DOUBLE",
            "gone BOOLEAN",
            "op VARCHAR NOT NULL -- c created, u updated, d deleted, r read by a snapshot",
            "before STRUCT<id BIGINT, gone BOOLEAN> -- the row before the change",
            "bad: a truncate event, which has no row: 1",
        ],
    );
    check(
        &spec("debezium-json", &[("source.column", "src")]),
        &[r#"{"op":"c","after":{"id":1},"source":{"db":"x"}}"#],
        &[
            "id BIGINT",
            "op VARCHAR NOT NULL -- c created, u updated, d deleted, r read by a snapshot",
            "src STRUCT<db VARCHAR> -- where the change came from",
        ],
    );
}

#[test]
fn avro_columns_are_those_of_the_schema() {
    let schema = r#"{"type":"record","name":"r","fields":[
        {"name":"id","type":"long"},
        {"name":"n","type":["null","int"]},
        {"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"price","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},
        {"name":"tags","type":{"type":"array","items":"string"}},
        {"name":"extra","type":{"type":"map","values":"double"}},
        {"name":"of","type":{"type":"record","name":"o","fields":[{"name":"e","type":{"type":"enum","name":"k","symbols":["A"]}}]}},
        {"name":"odd","type":["string","int"]},
        {"name":"self","type":["null","r"]}]}"#;
    let nothing: [&str; 0] = [];
    let found = shown(&spec("avro", &[("schema", schema)]), &sample(&nothing));
    let expected = "id BIGINT\nn INT\nat TIMESTAMP\nprice DECIMAL(10,2)\ntags ARRAY<VARCHAR>\n\
                    extra MAP<VARCHAR, DOUBLE>\n\
                    of STRUCT<e VARCHAR>\n\
                    self STRUCT\n\
                    without odd: a union of string and int\n";
    // The type of a record in itself is as long as it is deep.
    let cut = |line: &str| match line.split_once("self STRUCT<") {
        Some(_) => "self STRUCT".to_string(),
        None => line.to_string(),
    };
    let lines: Vec<String> = found.lines().map(cut).collect();
    assert_eq!(lines.join("\n") + "\n", expected);
    let list = r#"{"type":"record","name":"l","fields":[
        {"name":"id","type":"long"},{"name":"next","type":["null","l"]}]}"#;
    let found = shown(&spec("avro", &[("schema", list)]), &sample(&nothing));
    assert_eq!(found.matches("id BIGINT").count(), 8, "{found}");
    assert!(
        found.contains("-- without \"id\" (nested deeper than 16)"),
        "{found}"
    );
}

#[test]
fn avro_columns_are_those_of_the_ids() {
    let registry = crate::DevRegistry::start().unwrap();
    let record =
        |fields: &str| format!("{{\"type\":\"record\",\"name\":\"r\",\"fields\":[{fields}]}}");
    let first = registry.register("a", &record(r#"{"name":"id","type":"int"}"#));
    let second = registry.register(
        "b",
        &record(r#"{"name":"id","type":"long"},{"name":"s","type":"string"}"#),
    );
    let framed = |id: u32, datum: &[u8]| [&[0][..], &id.to_be_bytes(), datum].concat();
    let records = [framed(first, &[2]), framed(second, &[2, 2, b'a']), vec![1]];
    let url = registry.url();
    let found = shown(
        &spec("avro", &[("schema.registry", &url)]),
        &sample(&records),
    );
    assert!(
        found.starts_with("id BIGINT\ns VARCHAR\nbad: no schema id: 1\n"),
        "{found}"
    );
}

#[test]
fn raw_and_text_have_one_column() {
    check(&spec("raw", &[]), &["x"], &["value BYTEA"]);
    check(&spec("text", &[]), &["x"], &["value VARCHAR"]);
}

#[test]
fn formats_are_guessed() {
    let guess = |records: &[&[u8]]| {
        let payloads = records.iter().map(|r| Some(*r)).collect();
        match runtime().block_on(guess_format("topic \"t\"", &payloads)) {
            Ok(Guess::Format(spec)) => {
                let options: Vec<_> = spec.options.iter().collect();
                format!("{} {options:?}", spec.name)
            }
            Ok(Guess::Registered { schema_id }) => format!("id {schema_id}"),
            Err(error) => error.message().to_string(),
        }
    };
    let json: &[u8] = b"{\"a\":1}";
    let cases: [(&[&[u8]], &str); 10] = [
        (&[json, json, b"x"], "json []"),
        (&[b"{\"op\":\"c\",\"after\":{}}"], "debezium-json []"),
        (&[b"cpu,host=a v=1 1"], "influx []"),
        (&[b"1,a", b"2,b"], "csv []"),
        (&[b"1;a,b", b"2;b"], "csv [(\"delimiter\", \";\")]"),
        (&[b"1\ta", b"2\tb"], "csv [(\"delimiter\", \"\\\\t\")]"),
        (&[b"hello", b"a, b and c"], "text []"),
        (&[b"\xff\xfe", b"\xff"], "raw []"),
        (&[b"\0\0\0\0\x07ab"], "id 7"),
        (
            &[],
            "the format of topic \"t\" cannot be guessed: there is no record with a value",
        ),
    ];
    for (records, expected) in cases {
        assert_eq!(guess(records), expected, "{records:?}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(20[0-9]{2}-0[1-9]-[12][0-9](T10:00:00Z)?|[a-z]{0,3})".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec(("[a-c\"\\\\]{0,2}", inner), 0..4)
                .prop_map(|members| Value::from(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn every_good_record_can_be_read_with_what_was_inferred(
        objects in vec(vec(("[a-cA]{0,2}", any_value()), 0..5), 1..12),
    ) {
        let records: Vec<String> = objects
            .into_iter()
            .map(|members| Value::from(members.into_iter().collect::<Map<_, _>>()).to_string())
            .collect();
        // Records without a value that a column can hold are refused.
        if let Ok(found) = infer_in(&spec("json", &[]), &sample(&records)) {
            prop_assert_eq!(found.bad_records(), 0, "{:?}\n{:?}", records, found);
        }
    }

    #[test]
    fn every_line_can_be_read_with_what_was_inferred(
        lines in vec(vec("(-?[0-9]{0,25}|[0-9.e]{0,5}|true|NaN|\"[a-z,]*\"|20[0-9]{2}-01-01|[a-z ]{0,3})", 3..4), 1..12),
    ) {
        let records: Vec<String> = lines.iter().map(|fields| fields.join(",")).collect();
        let found = infer_in(&spec("csv", &[]), &sample(&records)).unwrap();
        // A line that names the columns is no record, and is said to be none.
        let is_names = |line: &&String| {
            let said = format!("the line of names \"{line}\" is no record");
            found.notes.iter().any(|note| note.starts_with(&said))
        };
        let names = records.iter().filter(is_names).count();
        prop_assert!(found.bad_records() <= names, "{:?}\n{:?}", records, found);
    }

    #[test]
    fn every_field_can_be_read_with_what_was_inferred(
        lines in vec(vec(("[a-c]", "(-?[0-9]{1,25}[iu]?|[0-9]{1,3}\\.[0-9]|t|\"[a-z]*\"|\"20[0-9]{2}-01-01\")"), 1..4), 1..12),
    ) {
        let line = |fields: &Vec<(String, String)>| {
            let fields: Vec<_> = fields.iter().map(|(k, v)| format!("{k}={v}")).collect();
            format!("m,a=1 {}", fields.join(","))
        };
        let records: Vec<String> = lines.iter().map(line).collect();
        if let Ok(found) = infer_in(&spec("influx", &[]), &sample(&records)) {
            let bad = found.bad.keys().filter(|reason| reason.starts_with("column"));
            prop_assert_eq!(bad.count(), 0, "{:?}\n{:?}", records, found);
        }
    }
}
