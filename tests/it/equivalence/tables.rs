//! Streams with tables that do not change.

use super::*;

/// Rows with those of a table, and those that find none.
const TABLE: &str =
    "SELECT t.k, v, ts, label FROM t LEFT JOIN labels ON t.k = labels.k AND v > low";

/// Windows over rows with those of a table.
const CHAIN: &str = "SELECT window_start, window_end, label, count(*) AS n, sum(v) AS total
     FROM tumble((
     SELECT v, ts, label FROM labels JOIN t ON t.k = labels.k
     ), ts, '7 seconds') GROUP BY window_start, window_end, label";

#[test]
fn oracle_join_with_table() {
    let mut all = queries(&[TABLE], &[FINAL]);
    all.extend(queries(&[CHAIN], &[FINAL, UPDATE, COMPLETE]));
    check_cases(7, &none_late(all), equals_batch);
}
