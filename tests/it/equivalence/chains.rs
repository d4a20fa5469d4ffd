//! Stateful operators over the final rows of others.

use super::*;

/// Windows over the results of smaller windows.
const CHAIN: &str = "SELECT window_start, window_end, count(*) AS inner_rows, sum(n) AS n,
     sum(total) AS total
     FROM hop((
     SELECT window_time AS at, k, count(*) AS n, sum(v) AS total
     FROM tumble(t, ts, '3 seconds') GROUP BY window_start, window_time, k
     ), at, '6 seconds', '12 seconds') GROUP BY window_start, window_end";

/// Results of a window, aggregated again by that window.
const REGROUPED: &str = "SELECT window_start, count(*) AS keys, max(n) AS most
     FROM (
     SELECT window_start, window_end, k, count(*) AS n
     FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k
     ) GROUP BY window_start, window_end";

/// Windows over rows without doubles.
const DISTINCT: &str = "SELECT window_start, window_end, count(*) AS n, count(k) AS keyed
     FROM tumble((SELECT DISTINCT k, ts FROM t), ts, '7 seconds')
     GROUP BY window_start, window_end";

#[test]
fn oracle_none_late_chains() {
    let queries = queries(&[CHAIN, REGROUPED, DISTINCT], &[FINAL, UPDATE, COMPLETE]);
    check_cases(5, &none_late(queries), equals_batch);
}
