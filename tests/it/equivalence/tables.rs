//! Streams with tables that do not change, and rows made of rows.

use super::*;

/// Rows with those of a table, and those that find none.
const TABLE: &str =
    "SELECT t.k, v, ts, label FROM t LEFT JOIN labels ON t.k = labels.k AND v > low";

/// The stream on the right, and several tables in a row.
const TABLES: &str = "SELECT t.k, v, ts, a.label, b.low, c.n
     FROM labels AS a RIGHT JOIN t ON t.k = a.k AND a.low < t.v
     LEFT JOIN labels AS b ON b.label = a.label
     CROSS JOIN (SELECT count(*) AS n FROM labels) AS c";

/// No column is equal to another.
const BETWEEN: &str = "SELECT t.k, v, label FROM t JOIN labels ON v > low AND t.k <> label";

/// Windows over rows with those of a table.
const CHAIN: &str = "SELECT window_start, window_end, label, count(*) AS n, sum(v) AS total
     FROM tumble((
     SELECT v, ts, label FROM labels JOIN t ON t.k = labels.k
     ), ts, '7 seconds') GROUP BY window_start, window_end, label";

/// Rows tested by subqueries, at the top of WHERE and below an OR.
const TESTED: &str = "SELECT k, v, ts FROM t
     WHERE k IN (SELECT k FROM labels WHERE low < 1) OR v < (SELECT min(low) FROM labels) + 5
     OR NOT EXISTS (SELECT 1 FROM labels WHERE labels.k = t.k AND low < v)";

/// A NULL in the table, and none.
const NOT_IN: &str = "SELECT k, v FROM t WHERE v NOT IN (SELECT low FROM labels WHERE low > -9)
     AND (k NOT IN (SELECT k FROM labels WHERE k IS NOT NULL) OR k IN (SELECT k FROM labels))";
const NOT_IN_NULLS: &str = "SELECT k, v FROM t WHERE k NOT IN (SELECT k FROM labels)";
const NOT_IN_NOTHING: &str =
    "SELECT k, v FROM t WHERE k NOT IN (SELECT k FROM labels WHERE low > 99)";

/// Semi and anti joins on several columns, one of them compared by another operator.
const EXISTS: &str = "SELECT k, v FROM t WHERE EXISTS
     (SELECT 1 FROM labels WHERE labels.k = t.k AND low < t.v) AND NOT EXISTS
     (SELECT 1 FROM labels WHERE labels.k = t.k AND low = t.v)";

/// Values of the table for every row.
const VALUES: &str = "SELECT k, v, (SELECT count(*) FROM labels WHERE labels.k = t.k) AS n,
     (SELECT max(label) FROM labels WHERE labels.k = t.k AND low < 1) AS label,
     v + (SELECT max(low) FROM labels) AS more FROM t";

/// Subqueries around windows.
const AROUND: &str = "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
     FROM tumble((SELECT * FROM t WHERE k IN (SELECT k FROM labels) OR k IS NULL), ts, '7 seconds')
     AS w GROUP BY window_start, window_end, k";
const HAVING: &str = "SELECT window_start, window_end, k, count(*) AS n
     FROM tumble(t, ts, '7 seconds') AS w GROUP BY window_start, window_end, k
     HAVING count(*) > (SELECT min(low) FROM labels) + 10
     OR k NOT IN (SELECT k FROM labels WHERE k IS NOT NULL)";

/// Groups with what a table says of their keys.
const GROUPS: &str = "SELECT c.k, n, total,
     (SELECT max(label) FROM labels WHERE labels.k = c.k) AS label
     FROM (SELECT k, count(*) AS n, sum(v) AS total FROM t GROUP BY k) AS c";
const KNOWN_GROUPS: &str = "SELECT k, count(*) AS n, sum(v) AS total FROM t
     WHERE v > -4 GROUP BY k HAVING k IN (SELECT k FROM labels) OR count(*) > 3";

/// Rows of tables beside those of the stream.
const UNION: &str = "SELECT k, v FROM t UNION ALL SELECT k, low FROM labels
     UNION ALL VALUES ('key9', 9), (NULL, NULL)";
const UNION_TOTALS: &str = "SELECT k, count(*) AS n, sum(v) AS total FROM
     (SELECT k, v FROM t UNION ALL SELECT k, low FROM labels) AS u GROUP BY k";

/// Elements of lists.
const UNNEST: &str = "SELECT k, v, ts, unnest([v, v * 2, 7]) AS u FROM t WHERE v > 0";
const LATERAL: &str = "SELECT s.k, x.k AS u FROM
     (SELECT k, ts, CASE WHEN v > 0 THEN [v, NULL, v + 1] WHEN v < 0 THEN [] END AS a FROM t) AS s
     CROSS JOIN UNNEST(s.a) AS x(k)";
const UNNEST_CHAIN: &str = "SELECT window_start, window_end, u, count(*) AS n
     FROM hop((SELECT s.ts, x.u FROM (SELECT ts, [v, 1, NULL] AS a FROM t) AS s, UNNEST(s.a) AS x(u)),
     ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, u";

#[test]
fn oracle_join_with_table() {
    let mut all = queries(&[TABLE, TABLES, BETWEEN], &[FINAL]);
    all.extend(queries(&[CHAIN], &[FINAL, UPDATE, COMPLETE]));
    check_cases(7, &none_late(all), equals_batch);
}

#[test]
fn oracle_union_with_table() {
    let mut all = queries(&[UNION], &[FINAL, UPDATE]);
    all.extend(queries(&[UNION_TOTALS], &[UPDATE, COMPLETE]));
    check_cases(23, &none_late(all), equals_batch);
}

#[test]
fn oracle_subqueries() {
    let rows = [TESTED, NOT_IN, NOT_IN_NULLS, NOT_IN_NOTHING, EXISTS, VALUES];
    let mut all = queries(&rows, &[FINAL, UPDATE]);
    all.extend(queries(&[AROUND], &[FINAL, UPDATE, COMPLETE]));
    all.extend(queries(&[HAVING], &[FINAL, COMPLETE]));
    all.extend(queries(&[GROUPS, KNOWN_GROUPS], &[COMPLETE]));
    check_cases(21, &none_late(all), equals_batch);
}

#[test]
fn oracle_unnest() {
    let mut all = queries(&[UNNEST, LATERAL], &[FINAL]);
    all.extend(queries(&[UNNEST_CHAIN], &[FINAL, UPDATE, COMPLETE]));
    check_cases(22, &none_late(all), equals_batch);
}
