//! Windows of days and months, over the nights in which a clock is changed.

use super::*;

const DAYS: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM tumble(t, ts, '1 day', time_zone => 'Europe/Berlin')
     GROUP BY window_start, window_end, k";

const HOP: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM hop(t, ts, '2 days', '3 days', INTERVAL '6 hours', time_zone => 'America/Sao_Paulo')
     GROUP BY window_start, window_end, k";

const CUMULATE: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM cumulate(t, ts, '1 day', '7 days', '4 days', time_zone => 'Europe/Berlin')
     GROUP BY window_start, window_end, k";

const MONTHS: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM hop(t, ts, '1 month', '2 months', time_zone => 'Europe/Berlin')
     GROUP BY window_start, window_end, k";

/// 2025-03-29T12:00:00Z, the day before the clocks of Berlin are put forward.
const BEFORE_SUMMER_S: i64 = 1_743_249_600;
/// 2025-03-30T01:00:00Z, when they are.
const SUMMER_S: i64 = 1_743_296_400;
const HOUR_S: i64 = 3_600;

/// Days of Berlin in the spring of 2025.
fn days(time_s: i64) -> Vec<(i64, i64)> {
    let midnight = |day: i64| {
        let as_in_winter = day * 24 * HOUR_S - HOUR_S;
        let is_summer = as_in_winter >= SUMMER_S;
        as_in_winter - if is_summer { HOUR_S } else { 0 }
    };
    let around = time_s.div_euclid(24 * HOUR_S) - 1..;
    let day = around.map(|day| (midnight(day), midnight(day + 1)));
    day.filter(|(_, end)| *end > time_s).take(1).collect()
}

fn by_hours(unit: i64, queries: Vec<Query>) -> Vec<Query> {
    let time = Time {
        start_s: BEFORE_SUMMER_S,
        unit_s: unit * HOUR_S,
    };
    queries.into_iter().map(|q| Query { time, ..q }).collect()
}

#[test]
fn oracle_none_late_days() {
    let queries = queries(&[DAYS, HOP, CUMULATE], &[FINAL, UPDATE, COMPLETE]);
    check_cases(9, &none_late(by_hours(2, queries)), equals_batch);
}

#[test]
fn oracle_none_late_months() {
    let queries = queries(&[MONTHS], &[FINAL, UPDATE, COMPLETE]);
    check_cases(10, &none_late(by_hours(60, queries)), equals_batch);
}

#[test]
fn oracle_late_days() {
    let queries = by_hours(2, queries(&[DAYS], &[FINAL_AND_LATE, UPDATE_AND_LATE]));
    let with_model = |query: Query| Query {
        windows: days,
        ..query
    };
    let queries = queries.into_iter().map(with_model).collect();
    check_cases(11, &case(25, queries), equals_model);
}
