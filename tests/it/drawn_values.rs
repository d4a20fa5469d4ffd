//! Filters by `random()`: they draw where they stand, once for every row that comes to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use headwater::Headwater;

const KEYS: i64 = 400;
const ROWS_OF_A_KEY: i64 = 5;

/// What a query gives of five rows of every key in one window: columns of BIGINT.
async fn results(select: &str) -> Vec<Vec<i64>> {
    let session = Headwater::builder().build().unwrap();
    for statement in [
        "CREATE SOURCE t (k BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
         WITH (connector = 'memory')",
        "CREATE TABLE names AS SELECT value AS k FROM generate_series(0, 399)",
        "CREATE SINK out WITH (connector = 'memory')",
    ] {
        session.sql(statement).await.unwrap();
    }
    let stream = session.memory_stream("t").unwrap();
    for at in 0..ROWS_OF_A_KEY {
        let keys: Int64Array = (0..KEYS).map(Some).collect();
        let times = (0..KEYS).map(|_| Some(at * 1_000_000));
        let times: TimestampMicrosecondArray = times.collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(times)];
        let rows = RecordBatch::try_new(stream.schema(), columns).unwrap();
        stream.push(0, rows).unwrap();
    }
    let create = format!(
        "CREATE STREAMING QUERY q WITH (trigger = 'available-now') AS INSERT INTO out {select}"
    );
    session.sql(&create).await.unwrap();
    let query = session.queries().by_name("q").unwrap();
    query.await_termination().await.unwrap();
    let batches = session.memory_sink("out").unwrap().rows();
    let rows = concat_batches(&batches[0].schema(), &batches).unwrap();
    let columns = rows.columns().iter();
    let columns: Vec<_> = columns.map(|c| c.as_primitive::<Int64Type>()).collect();
    (0..rows.num_rows())
        .map(|row| columns.iter().map(|column| column.value(row)).collect())
        .collect()
}

/// Half of so many, as far as ten standard deviations let it be.
fn is_half_of(count: usize, all: i64) -> bool {
    (count as f64 - all as f64 / 2.0).abs() < 5.0 * (all as f64).sqrt()
}

#[tokio::test]
async fn having_draws_for_groups_and_not_for_their_rows() {
    let rows = results(
        "SELECT k, count(*) AS n FROM tumble(t, ts, '1 minute')
         GROUP BY window_start, window_end, k HAVING random() < 0.5 AND count(*) > 0",
    )
    .await;
    assert!(rows.iter().all(|row| row[1] == ROWS_OF_A_KEY), "{rows:?}");
    assert!(is_half_of(rows.len(), KEYS), "{} groups", rows.len());
}

#[tokio::test]
async fn where_draws_for_joined_rows_and_not_for_those_of_the_table() {
    let rows = results("SELECT t.k FROM names JOIN t ON t.k = names.k WHERE random() < 0.5").await;
    let mut found: BTreeMap<i64, i64> = BTreeMap::new();
    for row in &rows {
        *found.entry(row[0]).or_default() += 1;
    }
    assert!(
        is_half_of(rows.len(), KEYS * ROWS_OF_A_KEY),
        "{}",
        rows.len()
    );
    let whole = found.values().filter(|n| **n == ROWS_OF_A_KEY).count();
    assert!(whole < 100, "{whole} keys have all their rows");
}

#[tokio::test]
async fn conditions_of_two_levels_are_drawn_twice() {
    let rows =
        results("SELECT k FROM (SELECT k FROM t WHERE random() < 0.5) AS s WHERE random() < 0.5")
            .await;
    let all = KEYS * ROWS_OF_A_KEY / 2;
    assert!(is_half_of(rows.len(), all), "{} of {all}", rows.len());
}
