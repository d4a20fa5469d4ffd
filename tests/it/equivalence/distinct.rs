//! Rows without doubles.

use super::*;

const DISTINCT: &str = "SELECT DISTINCT k, v FROM t";

/// Rows that hold their event time are forgotten behind the watermark.
const IN_TIME: &str = "SELECT DISTINCT k, ts FROM t";

#[test]
fn oracle_distinct() {
    let queries = queries(&[DISTINCT, IN_TIME], &[FINAL, UPDATE, COMPLETE]);
    check_cases(6, &none_late(queries), equals_batch);
}

/// Doubles of a key are of one minute of the clock, which no case comes back to.
const FIRST_TO_ARRIVE: &str = "SELECT DISTINCT ON (k, date_part('minute', ts)) k, date_part('minute', ts) AS of_minute FROM t";

const FIRST_IN_TIME: &str = "SELECT k, of_minute, v, ts
     FROM (SELECT *, date_part('minute', ts) AS of_minute FROM t)
     QUALIFY row_number() OVER (PARTITION BY k, of_minute ORDER BY ts, v) = 1";

#[test]
fn oracle_none_late_first_rows_that_are_remembered_for_a_time() {
    let mut all = queries(&[FIRST_TO_ARRIVE], &[FINAL]);
    all.extend(queries(&[FIRST_IN_TIME], &[FINAL, UPDATE]));
    for query in &mut all {
        query.with = "WITH ('dedup.retention' = '60 seconds')";
        query.time.unit_s = 7;
    }
    check_cases(42, &none_late(all), equals_batch);
}
