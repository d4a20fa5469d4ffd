//! Bad records in sinks of their own: what is written of them, and that no good record is lost.

use std::fmt::Write;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use headwater::{Headwater, StreamingQuery};

use crate::command::Dir;
use crate::kafka::{Cluster, produce, rows, text};

/// Of so many records every hundredth is bad.
const RECORDS: i64 = 1_000_000;
const EVERY: i64 = 100;

/// What a record of JSON can be, and is not.
const WRONG: [&str; 6] = [
    "{\"id\":",
    "not JSON",
    "[1,2]",
    "{\"id\":\"text\",\"v\":1}",
    "{\"id\":1.5,\"v\":2}",
    "\u{feff}{}{}",
];

/// A million lines, one in a hundred of them bad, and the sum of the good ids.
fn lines() -> (String, i64) {
    let mut lines = String::new();
    let mut sum = 0;
    for id in 0..RECORDS {
        if id % EVERY == 7 {
            let wrong = WRONG[usize::try_from(id / EVERY).unwrap() % WRONG.len()];
            writeln!(lines, "{wrong}").unwrap();
        } else {
            sum += id;
            writeln!(lines, "{{\"id\":{id},\"v\":{}}}", id % 13).unwrap();
        }
    }
    (lines, sum)
}

async fn run(hw: &Headwater, sql: &str) -> StreamingQuery {
    let query = hw.sql(sql).await.unwrap().into_query().unwrap();
    query.await_termination().await.unwrap();
    query
}

/// Three runs over the same million, of which each has its own policy.
#[tokio::test]
async fn one_bad_record_in_a_hundred_costs_no_good_one() {
    let dir = Dir::new();
    let (lines, sum) = lines();
    dir.create("in.jsonl", &lines);
    let input = dir.path().join("in.jsonl");
    let (bad, good) = (RECORDS / EVERY, RECORDS - RECORDS / EVERY);
    for policy in ["drop", "null", "dead_letter"] {
        let hw = Headwater::builder().build().unwrap();
        let letters = match policy {
            "dead_letter" => ", 'dead_letter.sink' = 'bad'",
            _ => "",
        };
        hw.sql(&format!(
            "CREATE SINK bad WITH (connector = 'memory');
             CREATE SINK total WITH (connector = 'memory');
             CREATE SOURCE t (id BIGINT, v BIGINT)
             WITH (connector = 'filesystem', path = '{}', bad_data = '{policy}'{letters}) FORMAT JSON",
            input.display()
        ))
        .await
        .unwrap();
        let query = run(
            &hw,
            "CREATE STREAMING QUERY q WITH (trigger = 'available-now') AS
             INSERT INTO total SELECT sum(id), count(id), count(*) FROM t EMIT COMPLETE",
        )
        .await;
        let rows = hw.memory_sink("total").unwrap().rows();
        let column = |index: usize| rows[0].column(index).as_primitive::<Int64Type>().value(0);
        let all = if policy == "null" { RECORDS } else { good };
        assert_eq!(
            (column(0), column(1), column(2)),
            (sum, good, all),
            "{policy}"
        );
        let totals = query.status().totals;
        let counted: u64 = totals.rows_bad.values().sum();
        assert_eq!(i64::try_from(counted).unwrap(), bad, "{policy}");
        assert_eq!(totals.bad_samples.len(), 10, "{policy}");
        assert!(totals.bad_samples[9].place.contains("line 999908 of file"));
        if policy == "dead_letter" {
            let letters = hw.memory_sink("bad").unwrap().rows();
            let letters: usize = letters.iter().map(RecordBatch::num_rows).sum();
            assert_eq!(i64::try_from(letters).unwrap(), bad);
        }
    }
}

/// Through a restart: what is in files of committed epochs is there once.
#[tokio::test]
async fn dead_letters_are_in_files_as_they_were_and_once() {
    let dir = Dir::new();
    let out = dir.path().join("out");
    let (bad, checkpoint) = (dir.path().join("bad"), dir.path().join("checkpoint"));
    let setup = format!(
        "CREATE SINK bad (value VARCHAR, place VARCHAR, reason VARCHAR, source VARCHAR, query VARCHAR)
         WITH (connector = 'filesystem', path = '{}') FORMAT JSON;
         CREATE SINK out WITH (connector = 'filesystem', path = '{}') FORMAT JSON;
         CREATE SOURCE t (id BIGINT, tenth BIGINT AS 10 / id)
         WITH (connector = 'filesystem', path = '{}', pattern = '*.jsonl', bad_data = 'dead_letter',
               'dead_letter.sink' = 'bad') FORMAT JSON;",
        bad.display(),
        out.display(),
        dir.path().display()
    );
    let query = format!(
        "CREATE STREAMING QUERY q WITH (trigger = 'available-now', checkpoint = '{}') AS
         INSERT INTO out SELECT id, tenth FROM t",
        checkpoint.display()
    );
    for (name, lines) in [
        ("1.jsonl", "{\"id\":2}\nnot \\u0000 JSON\n{\"id\":0}\n"),
        ("2.jsonl", "{\"id\":5}\n{\"id\":\"x\"}\n"),
    ] {
        dir.create(name, lines);
        let hw = Headwater::builder().build().unwrap();
        hw.sql(&setup).await.unwrap();
        run(&hw, &query).await;
    }
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SOURCE letters (value VARCHAR, place VARCHAR, reason VARCHAR, source VARCHAR, query VARCHAR)
         WITH (connector = 'filesystem', path = '{}') FORMAT JSON;
         CREATE SOURCE good (id BIGINT, tenth BIGINT)
         WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
        bad.display(),
        out.display()
    ))
    .await
    .unwrap();
    assert_eq!(rows(&hw, "SELECT * FROM good").await, ["2 5", "5 2"]);
    let of = rows(&hw, "SELECT value, reason, source, query FROM letters");
    assert_eq!(
        of.await,
        [
            "not \\u0000 JSON not JSON t q",
            "{\"id\":\"x\"} column \"id\" is not a BIGINT t q",
            "{\"id\":0} column \"tenth\" cannot be computed t q",
        ]
    );
    // An epoch without letters later, the query may do something else with bad records.
    dir.create("3.jsonl", "{\"id\":10}\n");
    let again = Headwater::builder().build().unwrap();
    again.sql(&setup).await.unwrap();
    run(&again, &query).await;
    dir.create("4.jsonl", "not JSON\n{\"id\":1}\n");
    let dropping = Headwater::builder().build().unwrap();
    let setup = setup
        .replace("'dead_letter',", "'drop'")
        .replace("'dead_letter.sink' = 'bad'", "");
    dropping.sql(&setup).await.unwrap();
    run(&dropping, &query).await;
    assert_eq!(rows(&hw, "SELECT count(*) FROM good").await, ["4"]);
    assert_eq!(rows(&hw, "SELECT count(*) FROM letters").await, ["3"]);
    let places = rows(&hw, "SELECT split_part(place, ' of ', 1) FROM letters");
    assert_eq!(places.await, ["line 2", "line 2", "line 3"]);
}

/// A topic of dead letters holds the records as they were, and says in headers where they come from.
pub(crate) async fn dead_letters_reach_a_topic(cluster: &Cluster) {
    let servers = &cluster.servers;
    let input = cluster.new_topic("orders", 1).await;
    let dead = cluster.new_topic("orders-bad", 1).await;
    let lines = ["{\"id\":1}", "{\"id\":", "\"\u{e9}\"", "{\"id\":2}"];
    produce(servers, &input, 0, lines.map(str::to_string).to_vec()).await;
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SINK bad WITH (connector = 'kafka', topic = '{dead}', 'bootstrap.servers' = '{servers}');
         CREATE SINK good WITH (connector = 'memory');
         CREATE SOURCE orders (id BIGINT) WITH (connector = 'kafka', topic = '{input}',
           'bootstrap.servers' = '{servers}', bad_data = 'dead_letter', 'dead_letter.sink' = 'bad')
         FORMAT JSON;
         CREATE SOURCE letters (value BYTEA, h STRUCT<key VARCHAR, value BYTEA>[] METADATA FROM 'headers',
           k BYTEA METADATA FROM 'key')
         WITH (connector = 'kafka', topic = '{dead}', 'bootstrap.servers' = '{servers}') FORMAT RAW;
         SET trigger = 'available-now';"
    ))
    .await
    .unwrap();
    run(&hw, "INSERT INTO good SELECT id FROM orders").await;
    let good = hw.memory_sink("good").unwrap().rows();
    assert_eq!(text(&good), ["1", "2"]);
    let values = rows(&hw, "SELECT arrow_cast(value, 'Utf8') AS v FROM letters");
    assert_eq!(values.await, ["\"\u{e9}\"", "{\"id\":"]);
    let headers = "SELECT h['key'], arrow_cast(h['value'], 'Utf8')
        FROM (SELECT unnest(h) AS h FROM letters WHERE arrow_cast(value, 'Utf8') = '{\"id\":')";
    let headers = rows(&hw, headers).await;
    let has = |name: &str, value: &str| {
        let wanted = format!("headwater.{name} {value}");
        assert!(headers.contains(&wanted), "{wanted}: {headers:?}");
    };
    has("source", "orders");
    has("topic", &input);
    has("partition", "0");
    has("offset", "1");
    has("reason", "not JSON");
    assert!(
        headers
            .iter()
            .any(|header| header.starts_with("headwater.timestamp "))
    );
}
