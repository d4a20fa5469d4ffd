//! Rows without doubles.

use super::*;

const DISTINCT: &str = "SELECT DISTINCT k, v FROM t";

#[test]
fn oracle_distinct() {
    let queries = queries(&[DISTINCT], &[FINAL, UPDATE, COMPLETE]);
    check_cases(6, &none_late(queries), equals_batch);
}
