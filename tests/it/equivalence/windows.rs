//! Tumbling, hopping and cumulating windows, without and with late rows.

use super::*;

pub(super) const TUMBLE: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k";

const HOP: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k";

const CUMULATE: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM cumulate(t, ts, '3 seconds', '9 seconds') GROUP BY window_start, window_end, k";

/// A row per window, and no panes: a condition looks at the window.
const CUMULATE_ROWS: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM cumulate(t, ts, '3 seconds', '9 seconds')
     WHERE window_end - window_start > INTERVAL '1 second'
     GROUP BY window_start, window_end, k";

/// The results of cumulating windows, aggregated again by them.
const CUMULATE_AGAIN: &str = "SELECT window_end, count(*) AS keys, max(n) AS most
     FROM (
     SELECT window_end, k, count(*) AS n
     FROM cumulate(t, ts, '3 seconds', '9 seconds') GROUP BY window_end, k
     ) GROUP BY window_end";

/// A part of the event time; the bounded read computes it with the function itself.
const BUCKET: &str = "SELECT date_bin(INTERVAL '7 seconds', ts) AS part, k, count(*) AS n
     FROM t GROUP BY part, k";

/// Such a part in a subquery, and a coarser one beside it.
const TWO_BUCKETS: &str = "SELECT part, date_trunc('minute', ts) AS minute, sum(v) AS total
     FROM (SELECT date_bin(INTERVAL '6 seconds', ts, TIMESTAMP '2026-01-01 00:00:01') AS part, ts, v FROM t)
     WHERE v > -4 GROUP BY part, minute";

/// Starts and ends of cumulating windows of a second.
fn cumulating(step: i64, max: i64, time_s: i64) -> Vec<(i64, i64)> {
    let start = time_s.div_euclid(max) * max;
    let ends = (1..=max / step).map(|n| start + n * step);
    let covering = ends.filter(|end| *end > time_s);
    covering.map(|end| (start, end)).collect()
}

#[test]
fn oracle_none_late_buckets() {
    let queries = queries(&[BUCKET, TWO_BUCKETS], &[FINAL, UPDATE, COMPLETE]);
    check_cases(12, &none_late(queries), equals_batch);
}

/// Starts and ends of hopping windows of a second.
fn hopping(slide: i64, size: i64, time_s: i64) -> Vec<(i64, i64)> {
    let last = time_s.div_euclid(slide) * slide;
    let starts = (0..).map(|n| last - n * slide);
    let covering = starts.take_while(|start| start + size > time_s);
    covering.map(|start| (start, start + size)).collect()
}

#[test]
fn oracle_none_late_windows() {
    let queries = queries(&[TUMBLE, HOP], &[FINAL, UPDATE, COMPLETE]);
    check_cases(1, &none_late(queries), equals_batch);
}

#[test]
fn oracle_none_late_cumulating() {
    let selects = [CUMULATE, CUMULATE_ROWS, CUMULATE_AGAIN];
    let queries = queries(&selects, &[FINAL, UPDATE, COMPLETE]);
    check_cases(8, &none_late(queries), equals_batch);
}

#[test]
fn oracle_late() {
    let with_model = |query: Query| Query {
        windows: match query.select {
            TUMBLE => |time_s| hopping(7, 7, time_s),
            CUMULATE | CUMULATE_ROWS => |time_s| cumulating(3, 9, time_s),
            _ => |time_s| hopping(4, 10, time_s),
        },
        ..query
    };
    let selects = [TUMBLE, HOP, CUMULATE, CUMULATE_ROWS];
    let queries = queries(&selects, &[FINAL_AND_LATE, UPDATE_AND_LATE]);
    let queries = queries.into_iter().map(with_model).collect();
    check_cases(4, &case(25, queries), equals_model);
}
