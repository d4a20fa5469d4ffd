//! The first rows of every key: of windows, by time, and of everything.
//!
//! Rows that an order does not tell apart may be ranked either way, so the orders here end with
//! everything that is selected.

use super::*;

/// The greatest values of every window.
const TOP_OF_WINDOW: &str = "SELECT window_start, window_end, k, v, ts, rn FROM (
       SELECT *, row_number() OVER (
         PARTITION BY window_start, window_end ORDER BY v DESC NULLS LAST, k, ts) AS rn
       FROM hop(t, ts, '4 seconds', '10 seconds')
     ) WHERE rn <= 2";

/// The greatest groups of every window.
const TOP_GROUPS: &str = "SELECT window_start, k, n, rn FROM (
       SELECT window_start, window_end, k, n,
         row_number() OVER (PARTITION BY window_end ORDER BY n DESC, k) AS rn
       FROM (
         SELECT window_start, window_end, k, count(*) AS n
         FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k
       )
     ) WHERE rn <= 2";

/// The latest rows of every key.
const RUNNING: &str = "SELECT k, v, ts, rn FROM (
       SELECT k, v, ts, row_number() OVER (PARTITION BY k ORDER BY ts DESC, v, k) AS rn FROM t
     ) WHERE rn < 4";

/// In the order of an expression that is given other types.
const BY_EXPRESSION: &str = "SELECT k, v, ts, rn FROM (
       SELECT k, v, ts, row_number() OVER (PARTITION BY k ORDER BY v * 2.5 DESC, ts, v) AS rn FROM t
     ) WHERE rn <= 2";

/// Of keys that are computed.
const OF_EXPRESSION: &str = "SELECT odd, k, v, ts, rn FROM (
       SELECT v % 2 AS odd, k, v, ts,
         row_number() OVER (PARTITION BY v % 2, k ORDER BY v DESC, ts) AS rn FROM t
     ) WHERE rn <= 2";

/// The latest row of every key.
const LATEST: &str = "SELECT k, v, ts FROM (
       SELECT k, v, ts, row_number() OVER (PARTITION BY k ORDER BY ts DESC, v, k) AS rn FROM t
     ) WHERE rn = 1";

/// The earliest rows of every key, which are final when the watermark has passed them.
const EARLIEST: &str = "SELECT k, v, ts, rn FROM (
       SELECT k, v, ts, row_number() OVER (PARTITION BY k ORDER BY ts, v, k) AS rn FROM t
     ) WHERE rn BETWEEN 1 AND 3";

/// Equal rows have equal numbers.
const TIES: &str = "SELECT k, v, window_end, rn FROM (
       SELECT *, dense_rank() OVER (PARTITION BY window_end, k ORDER BY v) AS rn
       FROM tumble(t, ts, '7 seconds')
     ) WHERE rn <= 2";
const GAPS: &str = "SELECT k, v, window_end, rn FROM (
       SELECT *, rank() OVER (PARTITION BY window_end, k ORDER BY v) AS rn
       FROM tumble(t, ts, '7 seconds')
     ) WHERE rn <= 2";

/// The greatest values of buckets of time, some of the numbers.
const TOP_OF_BUCKET: &str = "SELECT bin, k, v, ts, rn FROM (
       SELECT *, row_number() OVER (PARTITION BY bin ORDER BY v DESC NULLS LAST, k, ts) AS rn
       FROM (SELECT date_bin(INTERVAL '7 seconds', ts) AS bin, k, v, ts FROM t WHERE ts IS NOT NULL)
     ) WHERE rn IN (1, 3)";
const TOP_OF_TRUNCATED: &str = "SELECT k, v, ts, rn FROM (
       SELECT *, row_number() OVER (
         PARTITION BY date_trunc('minute', ts), k ORDER BY v DESC NULLS LAST, ts) AS rn
       FROM t WHERE ts IS NOT NULL
     ) WHERE rn = 1 OR rn = 2";

/// The greatest groups of windows that are structs.
const TOP_OF_STRUCT: &str = "SELECT window, k, n, rn FROM (
       SELECT *, row_number() OVER (PARTITION BY window ORDER BY n DESC, k) AS rn FROM (
         SELECT window(ts, '7 seconds') AS window, k, count(*) AS n
         FROM t GROUP BY window(ts, '7 seconds'), k
       )
     ) WHERE rn BETWEEN 2 AND 3";

/// One row of every key and value.
const DISTINCT_ON: &str = "SELECT DISTINCT ON (k) k, v, ts FROM t ORDER BY k, ts, v";

/// Windows over the first rows of every key.
const CHAIN: &str = "SELECT window_start, window_end, count(*) AS n, sum(v) AS total FROM tumble((
       SELECT k, v, ts FROM (
         SELECT *, row_number() OVER (PARTITION BY k, v ORDER BY ts) AS rn FROM t
       ) WHERE rn = 1
     ), ts, '7 seconds') GROUP BY window_start, window_end";

#[test]
fn oracle_top_of_windows() {
    let mut all = queries(&[TOP_OF_WINDOW, TOP_GROUPS], &[FINAL, UPDATE, COMPLETE]);
    all.extend(queries(&[TIES, GAPS], &[FINAL, COMPLETE]));
    check_cases(22, &none_late(all), equals_batch);
}

#[test]
fn oracle_top_of_buckets() {
    let mut all = queries(&[TOP_OF_BUCKET, TOP_OF_STRUCT], &[FINAL, UPDATE, COMPLETE]);
    all.extend(queries(&[TOP_OF_TRUNCATED], &[FINAL, COMPLETE]));
    check_cases(28, &none_late(all), equals_batch);
}

#[test]
fn oracle_first_rows() {
    let mut all = queries(
        &[RUNNING, BY_EXPRESSION, OF_EXPRESSION, LATEST],
        &[UPDATE, COMPLETE],
    );
    all.extend(queries(
        &[EARLIEST, DISTINCT_ON],
        &[FINAL, UPDATE, COMPLETE],
    ));
    check_cases(23, &none_late(all), equals_batch);
}

#[test]
fn oracle_chains_of_first_rows() {
    check_cases(
        24,
        &none_late(queries(&[CHAIN], &[FINAL, UPDATE, COMPLETE])),
        equals_batch,
    );
}
