//! Values over the rows before each row, in the order of event time.

use super::*;

const RANGES: &str = "SELECT k, v, ts, sum(v) OVER w AS total, count(*) OVER w AS n,
       min(v) OVER w AS low
     FROM t WINDOW w AS (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '4 seconds' PRECEDING
       AND CURRENT ROW)";

const ROWS: &str = "SELECT k, v, ts,
       sum(v) OVER (PARTITION BY k ORDER BY ts, v ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS total,
       lag(v, 2) OVER (PARTITION BY k ORDER BY ts, v) AS before
     FROM t";

/// All rows, of all keys and by key: carried along.
const EVERYTHING: &str = "SELECT k, v, ts, count(*) OVER (ORDER BY ts, k, v) AS so_far,
       row_number() OVER w AS rn,
       rank() OVER (PARTITION BY k ORDER BY ts) AS place,
       dense_rank() OVER (PARTITION BY k ORDER BY ts) AS dense,
       first_value(v) OVER w AS earliest, last_value(v) OVER w AS latest,
       sum(v) OVER w AS total, avg(v) OVER (PARTITION BY k ORDER BY ts) AS middle,
       max(v) FILTER (WHERE v < 3) OVER (PARTITION BY k ORDER BY ts, v
         ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS small
     FROM t WINDOW w AS (PARTITION BY k ORDER BY ts, v)";

/// What is carried beside what is reached back to.
const MIXED: &str = "SELECT k, v, ts, count(v) OVER (PARTITION BY k ORDER BY ts) AS so_far,
       count(DISTINCT v) OVER (PARTITION BY k ORDER BY ts) AS different,
       sum(v) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '3 seconds' PRECEDING
         AND CURRENT ROW) AS recent,
       first_value(v) IGNORE NULLS OVER (PARTITION BY k ORDER BY ts, v) AS known
     FROM t";

/// Windows of rows with the change since the row before.
const CHAIN: &str = "SELECT window_start, window_end, k, sum(step) AS steps FROM tumble((
       SELECT k, ts, v - lag(v) OVER (PARTITION BY k ORDER BY ts, v) AS step FROM t
     ), ts, '7 seconds') GROUP BY window_start, window_end, k";

/// Values over the results of windows.
const OVER_WINDOWS: &str = "SELECT k, at, n, sum(n) OVER (PARTITION BY k ORDER BY at
       ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS of_two FROM (
       SELECT window_time AS at, k, count(*) AS n
       FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, window_time, k
     )";

#[test]
fn oracle_over() {
    let all = queries(
        &[RANGES, ROWS, EVERYTHING, MIXED, CHAIN, OVER_WINDOWS],
        &[FINAL],
    );
    check_cases(25, &none_late(all), equals_batch);
}

/// Within windows that close: in any order or in none, and looking ahead.
const OF_GROUPS: &str =
    "SELECT window_start, k, n, sum(n) OVER w AS total, count(*) OVER w AS keys,
       lead(n) OVER (PARTITION BY window_start, window_end ORDER BY n DESC, k) AS less,
       rank() OVER (PARTITION BY window_start, window_end ORDER BY n DESC) AS place
     FROM (
       SELECT window_start, window_end, k, count(*) AS n
       FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k
     ) WINDOW w AS (PARTITION BY window_start, window_end)";

const OF_ROWS: &str =
    "SELECT window_end, k, v, ts, count(*) OVER (PARTITION BY window_end, k) AS n,
       max(v) OVER (PARTITION BY window_end ORDER BY v DESC NULLS LAST, k, ts
         ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING) AS near
     FROM hop(t, ts, '4 seconds', '10 seconds')";

const OF_BUCKETS: &str = "SELECT k, v, ts,
       sum(v) OVER w AS total, dense_rank() OVER w AS place, lead(v) OVER w AS more
     FROM t WHERE ts IS NOT NULL
     WINDOW w AS (PARTITION BY date_bin(INTERVAL '7 seconds', ts), k ORDER BY v, ts)";

/// Several numberings of which one is bounded.
const NUMBERINGS: &str = "SELECT window_end, k, v, ts, rn, place FROM (
       SELECT *, row_number() OVER (PARTITION BY window_end ORDER BY v, k, ts) AS rn,
         rank() OVER (PARTITION BY window_end ORDER BY v, k) AS place
       FROM tumble(t, ts, '7 seconds')
     ) WHERE rn <= 3 AND place < 3";

/// Windows over rows that were within windows.
const ABOVE: &str = "SELECT window_start, window_end, sum(share) AS total FROM tumble((
       SELECT window_time AS at, v - min(v) OVER (PARTITION BY window_start, window_end) AS share
       FROM (SELECT window_start, window_end, window_time, v FROM tumble(t, ts, '4 seconds'))
     ), at, '12 seconds') GROUP BY window_start, window_end";

#[test]
fn oracle_over_within_windows() {
    let selects = [OF_GROUPS, OF_ROWS, OF_BUCKETS, NUMBERINGS, ABOVE];
    check_cases(27, &none_late(queries(&selects, &[FINAL])), equals_batch);
}

/// Over the whole result of every epoch.
const OF_WHOLE_RESULT: &str = "SELECT k, n, rank() OVER (ORDER BY n DESC) AS place FROM (
       SELECT k, count(*) AS n FROM t GROUP BY k
     )";
const AGGREGATE_OF_AGGREGATE: &str = "SELECT n, count(*) AS keys FROM (
       SELECT k, count(*) AS n FROM t GROUP BY k
     ) GROUP BY n";
const TOP_OF_WHOLE_RESULT: &str = "SELECT k, n FROM (
       SELECT k, n, row_number() OVER (ORDER BY n DESC, k) AS rn FROM (
         SELECT k, count(*) AS n FROM t GROUP BY k
       )
     ) WHERE rn <= 2";

#[test]
fn oracle_of_whole_result() {
    let selects = [OF_WHOLE_RESULT, AGGREGATE_OF_AGGREGATE, TOP_OF_WHOLE_RESULT];
    check_cases(26, &none_late(queries(&selects, &[COMPLETE])), equals_batch);
}
