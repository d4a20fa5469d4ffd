//! Sessions, aggregated and as rows.

use super::*;

/// One state per session.
const AGGREGATED: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total,
       min(v) AS low, count(DISTINCT v) AS different, array_agg(v ORDER BY v) AS all_v
     FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND))
     GROUP BY window_start, window_end, k";

/// All rows are of one key.
const GLOBAL: &str = "SELECT window_start, window_end, count(*) AS n
     FROM session(t, ts, '2 seconds') GROUP BY window_start, window_end";

/// The gap depends on the row; some rows are in no session.
const DYNAMIC: &str = "SELECT session_window.start AS s, session_window.\"end\" AS e, k,
       count(*) AS n, sum(v) AS total
     FROM t GROUP BY session_window(ts, CASE WHEN v > 2 THEN '5 seconds' WHEN v = 0 THEN NULL
       WHEN v = 1 THEN '-1 second' ELSE '1 second' END), k";

/// Rows keep their sessions.
const ROWS: &str = "SELECT k, v, ts, window_start, window_end
     FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND))";

/// Grouped by more than the session's keys, and filtered after the sessions were made.
const FINER: &str = "SELECT window_start, window_end, k, v % 2 AS odd, count(*) AS n
     FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND))
     WHERE v <> 1 GROUP BY window_start, window_end, k, v % 2";

/// Sessions of windows, and windows of sessions.
const CHAIN: &str = "SELECT window_start, window_end, count(*) AS sessions, sum(n) AS n
     FROM tumble((
       SELECT window_time AS at, k, count(*) AS n
       FROM TABLE(SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '3' SECOND))
       GROUP BY window_start, window_end, window_time, k
     ), at, '6 seconds') GROUP BY window_start, window_end";

#[test]
fn oracle_sessions() {
    let all = queries(
        &[AGGREGATED, GLOBAL, DYNAMIC, ROWS, FINER],
        &[FINAL, COMPLETE],
    );
    check_cases(20, &none_late(all), equals_batch);
}

#[test]
fn oracle_chains_of_sessions() {
    check_cases(
        21,
        &none_late(queries(&[CHAIN], &[FINAL, UPDATE, COMPLETE])),
        equals_batch,
    );
}
