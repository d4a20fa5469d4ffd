//! Tumbling and hopping windows, without and with late rows.

use super::*;

pub(super) const TUMBLE: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k";

const HOP: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k";

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
fn oracle_late() {
    let with_model = |query: Query| Query {
        windows: match query.select {
            TUMBLE => |time_s| hopping(7, 7, time_s),
            _ => |time_s| hopping(4, 10, time_s),
        },
        ..query
    };
    let queries = queries(&[TUMBLE, HOP], &[FINAL_AND_LATE, UPDATE_AND_LATE]);
    let queries = queries.into_iter().map(with_model).collect();
    check_cases(4, &case(25, queries), equals_model);
}
