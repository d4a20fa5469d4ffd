//! GROUPING SETS, ROLLUP and CUBE, with and without windows.

use super::*;

const RUNNING: &str =
    "SELECT k, v, grouping(k) AS no_k, grouping(v) AS no_v, count(*) AS n, sum(v) AS total,
     count(DISTINCT v) AS different, array_agg(v ORDER BY v) AS all_v
     FROM t GROUP BY CUBE(k, v)";

const FILTERED: &str = "SELECT k, grouping(k) AS no_k, count(*) AS n, avg(v) AS mean
     FROM t WHERE v > 3 GROUP BY ROLLUP(k)";

const WINDOWS: &str = "SELECT window_start, k, grouping(k) AS no_k, count(*) AS n, sum(v) AS total
     FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, ROLLUP(k)";

const SETS: &str = "SELECT window_end, k, v, grouping(k, v) AS level, count(*) AS n
     FROM hop(t, ts, '4 seconds', '10 seconds')
     GROUP BY GROUPING SETS ((k, window_end), (window_end, v), (window_end))";

const SOME_WINDOWS: &str = "SELECT window_start, k, sum(v) AS total
     FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY CUBE(window_start, k)";

const BUCKETS: &str = "SELECT date_bin(INTERVAL '8 seconds', ts) AS bucket, k, count(*) AS n
     FROM t GROUP BY date_bin(INTERVAL '8 seconds', ts), CUBE(k)";

/// The struct of a window among what is rolled up.
const STRUCTS: &str = "SELECT window.start AS s, window.end AS e, k, count(*) AS n, sum(v) AS total
     FROM t GROUP BY ROLLUP(window(ts, '7 seconds'), k)";

#[test]
fn oracle_grouping_sets() {
    let mut all = queries(&[RUNNING, FILTERED], &[UPDATE, COMPLETE]);
    all.extend(queries(&[WINDOWS, SETS], &[FINAL, UPDATE, COMPLETE]));
    all.extend(queries(&[BUCKETS], &[FINAL, COMPLETE]));
    all.extend(queries(&[SOME_WINDOWS, STRUCTS], &[COMPLETE]));
    check_cases(30, &none_late(all), equals_batch);
}
