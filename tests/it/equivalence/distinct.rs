//! Rows without doubles.

use super::*;

const DISTINCT: &str = "SELECT DISTINCT k, v FROM t";

/// Rows that hold their event time are forgotten behind the watermark.
const IN_TIME: &str = "SELECT DISTINCT k, ts FROM t";

#[test]
fn oracle_distinct() {
    let queries = queries(&[DISTINCT, IN_TIME], &[FINAL, UPDATE, COMPLETE]);
    check_cases(6, &none_late(queries), equals_batch);
}
