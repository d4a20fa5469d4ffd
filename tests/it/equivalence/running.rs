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

#[test]
fn oracle_none_late_global() {
    check_cases(3, &none_late(queries(&[GLOBAL], &[COMPLETE])), equals_batch);
}
