//! Aggregations without a window, and rows without state.

use super::*;

const STATELESS: &str = "SELECT k, v * 2 AS twice, ts FROM t WHERE v > 0";

const RUNNING: &str = "SELECT k, count(*) AS n, sum(v) AS total, min(v) AS low, max(v) AS high,
     count(DISTINCT v) AS different, array_agg(v ORDER BY v) AS all_v
     FROM t GROUP BY k";

const GLOBAL: &str = "SELECT count(*) AS n, sum(v) AS total, median(v) AS middle FROM t";

#[test]
fn oracle_none_late_running() {
    let mut all = queries(&[RUNNING], &[UPDATE, COMPLETE]);
    all.extend(queries(&[STATELESS], &[FINAL, UPDATE]));
    check_cases(2, &none_late(all), equals_batch);
}

/// How many combinations there are, of which those with a NULL do not count.
const COMBINATIONS: &str = "SELECT v % 2 AS odd, count(DISTINCT k, v) AS pairs,
     count(DISTINCT k, v, ts) FILTER (WHERE v > 0) AS triples
     FROM t GROUP BY odd";

const WINDOWED_COMBINATIONS: &str = "SELECT window_start, window_end,
     count(DISTINCT k, v) AS pairs FROM tumble(t, ts, '7 seconds')
     GROUP BY window_start, window_end HAVING count(DISTINCT v, k) > 1";

const COMBINATIONS_SO_FAR: &str = "SELECT ts, v,
     count(DISTINCT k, v) OVER (
       ORDER BY ts RANGE BETWEEN INTERVAL '5 seconds' PRECEDING AND CURRENT ROW) AS pairs
     FROM t";

#[test]
fn oracle_none_late_combinations() {
    let mut all = queries(&[COMBINATIONS], &[UPDATE, COMPLETE]);
    all.extend(queries(
        &[WINDOWED_COMBINATIONS],
        &[FINAL, UPDATE, COMPLETE],
    ));
    all.extend(queries(&[COMBINATIONS_SO_FAR], &[FINAL]));
    check_cases(53, &none_late(all), equals_batch);
}

#[test]
fn oracle_none_late_global() {
    check_cases(3, &none_late(queries(&[GLOBAL], &[COMPLETE])), equals_batch);
}
