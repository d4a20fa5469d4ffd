//! The dialect reads what the generic dialect reads, and its own clauses besides.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Statement, VisitMut, VisitorMut};
use datafusion::sql::sqlparser::dialect::Dialect;

use super::*;

fn read(dialect: &dyn Dialect, sql: &str) -> Result<Vec<Statement>, String> {
    Parser::parse_sql(dialect, sql).map_err(|e| e.to_string())
}

/// One statement for every group of questions that the generic dialect answers with yes, and
/// some that it refuses: a refusal must be the same refusal.
const CORPUS: &[&str] = &[
    "SELECT * FROM t MATCH_RECOGNIZE (PARTITION BY a ORDER BY b MEASURES FINAL LAST(c) AS d ONE ROW PER MATCH PATTERN (x y+) DEFINE y AS y.c > 1)",
    "SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.k = b.k",
    "SELECT list_filter(xs, lambda x : x > 2) FROM t",
    "SELECT * FROM t PIVOT (sum(v) FOR k IN ('a', 'b')) AS p",
    "SELECT * FROM t UNPIVOT (v FOR k IN (a, b))",
    "SELECT * EXCEPT (a) FROM t",
    "SELECT * EXCLUDE (a, b) FROM t",
    "SELECT * REPLACE (a + 1 AS a) FROM t",
    "SELECT * RENAME (a AS b) FROM t",
    "SELECT * ILIKE '%a%' FROM t",
    "SELECT a, b, FROM t",
    "SELECT FROM t",
    "FROM t SELECT a",
    "FROM t",
    "SELECT a FROM t LIMIT 1, 2",
    "SELECT a FROM t LIMIT 3 BY b",
    "SELECT a FROM t ORDER BY a WITH FILL FROM 1 TO 5 STEP 1 INTERPOLATE (b AS b + 1)",
    "SELECT a FROM t PREWHERE a > 1 WHERE b > 2 SETTINGS max_threads = 1",
    "SELECT a FROM t FORMAT JSON",
    "FROM t |> WHERE a > 1 |> SELECT a",
    "SELECT a FROM t ARRAY JOIN xs AS x",
    "SELECT a FROM t GROUP BY GROUPING SETS ((a), ()), ROLLUP (b)",
    "SELECT a FROM t GROUP BY a WITH ROLLUP",
    "SELECT a FROM t START WITH a = 1 CONNECT BY PRIOR a = b",
    "SELECT first_value(a IGNORE NULLS) OVER w FROM t WINDOW w AS (PARTITION BY b), v AS w",
    "SELECT sum(a) FILTER (WHERE b > 1) FROM t",
    "SELECT {'a': 1, 'b': 2}",
    "SELECT MAP {'a': 1}",
    "SELECT STRUCT(1 AS a, 2 AS b)",
    "SELECT f(a := 1, b => 2)",
    "SELECT 1 << 2, 3 >> 1",
    "SELECT E'a\\nb', U&'\\0041', q'[it's]'",
    "SELECT EXTRACT('year' FROM ts), EXTRACT(quarter_of FROM ts), trim(a, b)",
    "SELECT TRY_CONVERT(INT, '1')",
    "SELECT MATCH (a) AGAINST ('x' IN BOOLEAN MODE) FROM t",
    "SELECT xml '<a/>', xmlelement(name a)",
    "SELECT a FROM (t) JOIN (SELECT 1 AS a) AS s USING (a)",
    "SELECT * FROM VALUES (1, 'a'), (2, 'b') AS v (n, s)",
    "SELECT * FROM a LEFT JOIN b INNER JOIN c ON b.x = c.x ON a.x = b.x",
    "SELECT * FROM UNNEST([1, 2, 3]) WITH ORDINALITY AS u",
    "SELECT * FROM generate_series(1, 10) AS g (n)",
    "SELECT * FROM t TABLESAMPLE BERNOULLI (10)",
    "WITH x (a) AS (SELECT 1) SELECT * FROM x UNION ALL BY NAME SELECT 2",
    "WITH x (SELECT 1 AS a) SELECT a FROM x",
    "CREATE TABLE t (a INT PRIMARY KEY ASC, b VARCHAR[] NOT NULL, c INTEGER SIGNED, CONSTRAINT UNIQUE (b))",
    "CREATE VIEW v COMMENT = 'x' AS SELECT 1",
    "CREATE MATERIALIZED VIEW v AS SELECT 1",
    "CREATE TABLE t (a INT) WITH (connector = 'kafka', 'a.b' = 'x')",
    "CREATE INDEX i ON t (a) WITH (fillfactor = 70)",
    "CREATE EXTERNAL TABLE t (a INT) STORED AS PARQUET LOCATION 'x'",
    "INSERT INTO t (a, b) VALUES (1, 2) ON CONFLICT (a) DO NOTHING RETURNING a",
    "INSERT OVERWRITE t PARTITION (d = 1) SELECT 1",
    "UPDATE t SET a = 1 WHERE b = 2 ORDER BY a",
    "DELETE FROM t WHERE a IN (SELECT 1)",
    "MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = 1 WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
    "SET a = 1, b = 2",
    "SET (a, b) = (1, 2)",
    "SET NAMES 'utf8'",
    "COMMENT ON TABLE t IS 'x'",
    "GRANT SELECT ON t TO 'u'@'%'",
    "BEGIN IMMEDIATE TRANSACTION",
    "EXPLAIN (ANALYZE, VERBOSE TRUE) SELECT 1",
    "INSTALL tpch; LOAD tpch; DETACH DATABASE d; OPTIMIZE TABLE t FINAL",
    "/* a /* nested */ comment */ SELECT /*+ hint(a) */ 1 -- end",
    "SELECT table FROM t",
    "SELECT a, table b, c FROM t",
    "SELECT x FROM (TABLE t) AS s WHERE y IN (TABLE u)",
    "SELECT emit FROM emit WHERE emit.emit > 1",
    "SELECT a emit FROM t emit, u late JOIN w late ON late.x = emit.x",
    "SELECT a AS emit FROM t AS emit WHERE rows > 1",
];

#[test]
fn reads_what_the_generic_dialect_reads() {
    for sql in CORPUS {
        assert_eq!(
            read(&HeadwaterDialect, sql),
            read(&GenericDialect, sql),
            "{sql}"
        );
    }
    let readable = CORPUS.iter().filter(|s| read(&GenericDialect, s).is_ok());
    let refused: Vec<_> = CORPUS
        .iter()
        .filter_map(|s| {
            read(&GenericDialect, s)
                .err()
                .map(|e| format!("{s}\n  {e}"))
        })
        .collect();
    assert!(readable.count() >= 55, "{}", refused.join("\n"));
}

#[test]
fn a_table_argument_is_a_subquery() {
    let cases = [
        (
            "SELECT * FROM TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
            "SELECT * FROM TUMBLE((SELECT * FROM orders), DESCRIPTOR(ts), INTERVAL '10' SECOND)",
        ),
        (
            "SELECT * FROM TABLE(HOP(DATA => TABLE a.orders, SLIDE => x))",
            "SELECT * FROM TABLE(HOP(DATA => (SELECT * FROM a.orders), SLIDE => x))",
        ),
        (
            "SELECT * FROM SESSION(TABLE t PARTITION BY (a, b), DESCRIPTOR(ts), g) AS s",
            "SELECT * FROM SESSION((SELECT * FROM t DISTRIBUTE BY a, b), DESCRIPTOR(ts), g) AS s",
        ),
    ];
    for (sql, expected) in cases {
        let statements = read(&HeadwaterDialect, sql).unwrap();
        assert_eq!(statements[0].to_string(), expected);
    }
}

#[test]
fn clauses_after_a_query_are_no_aliases() {
    for sql in [
        "SELECT a FROM t EMIT CHANGES",
        "SELECT a FROM t emit on window close",
        "SELECT a FROM (SELECT 1 AS a) EMIT ON UPDATE",
        "SELECT a EMIT FINAL",
        "SELECT a FROM t EMIT PER EPOCH",
        "SELECT a FROM t EMIT sometimes",
        "SELECT a FROM t LATE ROWS INTO u",
    ] {
        let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
        let query = parser.parse_query().unwrap().to_string();
        assert!(!query.to_lowercase().contains("emit"), "{query}");
        assert!(!query.to_lowercase().contains("late"), "{query}");
    }
}

#[test]
fn arrows_bind_as_subscripts_do() {
    let cases = [
        ("j ->> 'a' || 'z'", "(j ->> 'a') || 'z'"),
        ("'z' || j ->> 'a'", "'z' || (j ->> 'a')"),
        ("j ->> 'a' = 'x' AND k", "((j ->> 'a') = 'x') AND k"),
        ("j ->> 'a' LIKE 'x%'", "(j ->> 'a') LIKE 'x%'"),
        ("j ->> 'a' IS NULL", "(j ->> 'a') IS NULL"),
        ("j ->> 'a' IN ('x')", "(j ->> 'a') IN ('x')"),
        (
            "j ->> 'a' BETWEEN 'x' AND 'y'",
            "(j ->> 'a') BETWEEN 'x' AND 'y'",
        ),
        ("j -> 'a' ->> 'b'::INT", "((j -> 'a') ->> 'b')::INT"),
        ("1 + j ->> 'a'::INT * 2", "1 + (((j ->> 'a')::INT) * 2)"),
        ("NOT j -> 'a' -> 0", "NOT ((j -> 'a') -> 0)"),
        ("j[0] ->> 'a'", "(j[0]) ->> 'a'"),
        ("x -> x * 2", "(x -> x) * 2"),
    ];
    for (sql, expected) in cases {
        let shape = |sql: &str| {
            let mut parser = Parser::new(&HeadwaterDialect).try_with_sql(sql).unwrap();
            shape_of(parser.parse_expr().unwrap())
        };
        assert_eq!(shape(sql), shape(expected), "{sql}");
    }
}

/// An expression with parentheses around every operator.
fn shape_of(mut expr: Expr) -> String {
    let _ = expr.visit(&mut Parentheses);
    expr.to_string()
}

struct Parentheses;

impl VisitorMut for Parentheses {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        *expr = match &*expr {
            Expr::Nested(inner) if matches!(**inner, Expr::Nested(_)) => (**inner).clone(),
            Expr::Nested(_) | Expr::Identifier(_) | Expr::Value(_) => {
                return ControlFlow::Continue(());
            }
            other => Expr::Nested(Box::new(other.clone())),
        };
        ControlFlow::Continue(())
    }
}
