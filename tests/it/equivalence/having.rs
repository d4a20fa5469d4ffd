//! Filters over rows that replace each other: what was emitted and not taken back is what passes.

use super::*;

/// A group comes and goes with its sum, which may be NULL.
const RUNNING: &str =
    "SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k HAVING sum(v) > 0";

/// Through renamings, expressions and two filters.
const ABOVE: &str = "SELECT name, twice FROM (
       SELECT k AS name, total * 2 AS twice, n FROM (
         SELECT k, count(DISTINCT v) AS n, sum(v) AS total FROM t GROUP BY k HAVING count(*) < 9
       ) WHERE total IS DISTINCT FROM 3
     ) WHERE twice % 4 = 0 OR n = 2 OR name = 'key1'";

const TUMBLE: &str = "SELECT window_start, k, sum(v) AS total FROM tumble(t, ts, '7 seconds')
     GROUP BY window_start, window_end, k HAVING sum(v) BETWEEN -2 AND 2";

/// Windows of several panes, each before the epoch and after it.
const HOP: &str = "SELECT window_end, k, n, low FROM (
       SELECT window_end, k, count(*) AS n, min(v) AS low
       FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k
     ) WHERE n % 2 = 1 AND low < 0";

const CUMULATE: &str = "SELECT window_end, k, avg(v) AS mean
     FROM cumulate(t, ts, '3 seconds', '9 seconds') GROUP BY window_start, window_end, k
     HAVING avg(v) > 0";

/// A row per window, and no panes.
const CUMULATE_ROWS: &str = "SELECT window_end, k, sum(v) AS total
     FROM cumulate(t, ts, '3 seconds', '9 seconds')
     WHERE window_end - window_start > INTERVAL '1 second'
     GROUP BY window_start, window_end, k HAVING sum(v) < 2";

const ROLLUP: &str = "SELECT k, v, grouping(k, v) AS which, count(*) AS n FROM t
     GROUP BY ROLLUP(k, v) HAVING count(*) % 2 = 1";

/// The latest row of every key, while its value is positive.
const LATEST: &str = "SELECT k, v, ts FROM (
       SELECT k, v, ts, row_number() OVER (PARTITION BY k ORDER BY ts DESC, v, k) AS rn FROM t
     ) WHERE rn = 1 AND v > 0";

/// The greatest rows of windows, without some.
const TOP: &str = "SELECT window_start, k, v, ts, rn FROM (
       SELECT *, row_number() OVER (
         PARTITION BY window_start, window_end ORDER BY v DESC NULLS LAST, k, ts) AS rn
       FROM hop(t, ts, '4 seconds', '10 seconds')
     ) WHERE rn <= 3 AND v % 2 = 0";

const FIRST_OF_KEY: &str = "SELECT k, v, ts FROM (
       SELECT DISTINCT ON (k) k, v, ts FROM t ORDER BY k, v, ts
     ) WHERE v < -2";

/// Groups that a table has, of those that pass.
const OF_TABLE: &str = "SELECT k, total FROM (
       SELECT k, sum(v) AS total FROM t GROUP BY k HAVING k IN (SELECT k FROM labels)
     ) WHERE total > 0";

#[test]
fn oracle_none_late_having() {
    let mut all = queries(&[RUNNING, ABOVE, ROLLUP, OF_TABLE], &[UPDATE, COMPLETE]);
    all.extend(queries(
        &[TUMBLE, HOP, CUMULATE, CUMULATE_ROWS],
        &[FINAL, UPDATE, COMPLETE],
    ));
    check_cases(51, &none_late(all), equals_batch);
}

#[test]
fn oracle_none_late_having_of_rankings() {
    let mut all = queries(&[LATEST, FIRST_OF_KEY], &[UPDATE, COMPLETE]);
    all.extend(queries(&[TOP], &[FINAL, UPDATE, COMPLETE]));
    check_cases(52, &none_late(all), equals_batch);
}
