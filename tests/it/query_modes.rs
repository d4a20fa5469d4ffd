//! The table of `docs/reference/sql.md`: which kind of query takes which output mode.
//!
//! Planning itself is asked, for a query of every kind in every mode. A cell is `yes`, or what the
//! refusal says; and every refusal has its whole report in `sql/error/`.

use std::fmt::Write as _;
use std::fs;

use headwater::{Headwater, Result};
use headwater_tests::workspace_root;

use crate::committed::check_committed_part;

/// What the queries read and write; the names are those of `sql/error/mode.slt`.
const DECLARATIONS: [&str; 4] = [
    "CREATE SOURCE t (k VARCHAR, v INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5 seconds')
     WITH (connector = 'memory')",
    "CREATE SOURCE nowm (k VARCHAR, v INT, ts TIMESTAMP) WITH (connector = 'memory')",
    "CREATE TABLE prices (k VARCHAR, price INT) AS VALUES ('a', 1)",
    "CREATE SINK out WITH (connector = 'memory')",
];

const MODES: [&str; 3] = ["EMIT ON WINDOW CLOSE", "EMIT ON UPDATE", "EMIT COMPLETE"];

/// Kinds of queries, each with one of them. `t` has a watermark, `nowm` has none.
const KINDS: &[(&str, &[(&str, &str)])] = &[
    (
        "Row by row",
        &[
            (
                "filter, projection",
                "SELECT k, v + 1 AS w FROM t WHERE v > 0",
            ),
            ("unnest", "SELECT k, unnest([v, 1]) AS n FROM t"),
            (
                "UNION ALL",
                "SELECT k, v FROM t UNION ALL SELECT k, v FROM nowm",
            ),
            (
                "inner join with a table",
                "SELECT t.k, price FROM t JOIN prices ON t.k = prices.k",
            ),
            (
                "LEFT JOIN of the stream with a table",
                "SELECT t.k, price FROM t LEFT JOIN prices ON t.k = prices.k",
            ),
            (
                "rows that a table has: EXISTS, IN, SEMI JOIN",
                "SELECT k FROM t LEFT SEMI JOIN prices ON t.k = prices.k",
            ),
            (
                "rows that a table has not: NOT EXISTS, ANTI JOIN",
                "SELECT k FROM t LEFT ANTI JOIN prices ON t.k = prices.k",
            ),
            (
                "LEFT JOIN of a table with the stream",
                "SELECT prices.k, price FROM prices LEFT JOIN t ON t.k = prices.k",
            ),
            (
                "join of two streams",
                "SELECT a.k FROM t AS a JOIN nowm AS b ON a.k = b.k",
            ),
        ],
    ),
    (
        "Aggregations",
        &[
            (
                "by windows, with a watermark",
                "SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                 GROUP BY window_start",
            ),
            (
                "by windows, without a watermark",
                "SELECT window_start, count(*) AS n FROM tumble(nowm, ts, '10 seconds')
                 GROUP BY window_start",
            ),
            (
                "by sessions, with a watermark",
                "SELECT k, session_window.start, count(*) AS n FROM t
                 GROUP BY k, session_window(ts, '10 seconds')",
            ),
            (
                "by sessions, without a watermark",
                "SELECT k, session_window.start, count(*) AS n FROM nowm
                 GROUP BY k, session_window(ts, '10 seconds')",
            ),
            (
                "by keys alone (running)",
                "SELECT k, count(*) AS n FROM t GROUP BY k",
            ),
            ("of everything", "SELECT count(*) AS n FROM t"),
            (
                "of final windows, by windows",
                "SELECT window_start, sum(n) AS n FROM tumble((
                   SELECT window_time AS at, count(*) AS n FROM tumble(t, ts, '10 seconds')
                   GROUP BY window_start, window_time), at, '1 minute') GROUP BY window_start",
            ),
            (
                "of final windows, by keys",
                "SELECT k, max(n) AS n FROM (
                   SELECT k, window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                   GROUP BY k, window_start) GROUP BY k",
            ),
            (
                "of a running aggregation",
                "SELECT max(n) AS n FROM (SELECT k, count(*) AS n FROM t GROUP BY k)",
            ),
            (
                "HAVING, over windows with a watermark",
                "SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                 GROUP BY window_start HAVING count(*) > 1",
            ),
            (
                "HAVING, running",
                "SELECT k, count(*) AS n FROM t GROUP BY k HAVING count(*) > 1",
            ),
            (
                "GROUPING SETS, ROLLUP, CUBE",
                "SELECT k, v, count(*) AS n FROM t GROUP BY ROLLUP (k, v)",
            ),
        ],
    ),
    (
        "Rows without doubles",
        &[
            ("DISTINCT", "SELECT DISTINCT k, v FROM t"),
            (
                "DISTINCT that holds the event time",
                "SELECT DISTINCT k, ts FROM t",
            ),
            (
                "DISTINCT ON, the first by event time",
                "SELECT DISTINCT ON (k) k, v, ts FROM t ORDER BY k, ts",
            ),
            (
                "DISTINCT ON, by anything else",
                "SELECT DISTINCT ON (k) k, v FROM t ORDER BY k, v",
            ),
            (
                "DISTINCT ON without ORDER BY",
                "SELECT DISTINCT ON (k) k, v FROM t",
            ),
            (
                "`row_number() = 1`, the first by event time",
                "SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts) AS rn
                 FROM t) WHERE rn = 1",
            ),
            (
                "`row_number() = 1`, the last by event time",
                "SELECT k, v FROM (SELECT *, row_number() OVER (PARTITION BY k ORDER BY ts DESC)
                 AS rn FROM t) WHERE rn = 1",
            ),
        ],
    ),
    (
        "Rankings, OVER, ORDER BY, LIMIT",
        &[
            (
                "first rows of windows",
                "SELECT window_start, k, v, rn FROM (SELECT *, row_number() OVER (
                   PARTITION BY window_start, window_end ORDER BY v DESC) AS rn
                 FROM tumble(t, ts, '10 seconds')) WHERE rn <= 3",
            ),
            (
                "first groups of windows",
                "SELECT window_start, k, n, rn FROM (SELECT *, row_number() OVER (
                   PARTITION BY window_start, window_end ORDER BY n DESC) AS rn
                 FROM (SELECT window_start, window_end, k, count(*) AS n
                   FROM tumble(t, ts, '10 seconds') GROUP BY window_start, window_end, k))
                 WHERE rn <= 3",
            ),
            (
                "first rows of keys (running)",
                "SELECT k, v, rn FROM (SELECT *, row_number() OVER (
                   PARTITION BY k ORDER BY v DESC) AS rn FROM t) WHERE rn <= 3",
            ),
            (
                "the same with `rank()` or `dense_rank()`",
                "SELECT k, v, rn FROM (SELECT *, rank() OVER (
                   PARTITION BY k ORDER BY v DESC) AS rn FROM t) WHERE rn <= 3",
            ),
            (
                "first groups of a running aggregation, by `row_number()`",
                "SELECT k, n, rn FROM (SELECT *, row_number() OVER (ORDER BY n DESC) AS rn
                 FROM (SELECT k, count(*) AS n FROM t GROUP BY k)) WHERE rn <= 3",
            ),
            (
                "OVER in the order of event time",
                "SELECT k, sum(v) OVER (PARTITION BY k ORDER BY ts) AS total FROM t",
            ),
            (
                "OVER in another order",
                "SELECT k, sum(v) OVER (PARTITION BY k ORDER BY v) AS total FROM t",
            ),
            (
                "OVER within windows, in any order or in none",
                "SELECT window_start, k, v, sum(v) OVER (PARTITION BY window_start, window_end)
                   AS total FROM tumble(t, ts, '10 seconds')",
            ),
            (
                "OVER within windows, above their aggregation",
                "SELECT window_start, k, n, sum(n) OVER (PARTITION BY window_start, window_end)
                   AS total FROM (SELECT window_start, window_end, k, count(*) AS n
                   FROM tumble(t, ts, '10 seconds') GROUP BY window_start, window_end, k)",
            ),
            (
                "OVER above an aggregation",
                "SELECT k, n, sum(n) OVER (ORDER BY n) AS total
                 FROM (SELECT k, count(*) AS n FROM t GROUP BY k)",
            ),
            ("LIMIT of rows", "SELECT k FROM t LIMIT 3"),
            ("ORDER BY of rows", "SELECT k FROM t ORDER BY k"),
            (
                "ORDER BY, with or without LIMIT, of windows",
                "SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                 GROUP BY window_start ORDER BY n DESC LIMIT 3",
            ),
            (
                "ORDER BY, with or without LIMIT, of a running aggregation",
                "SELECT k, count(*) AS n FROM t GROUP BY k ORDER BY n DESC LIMIT 3",
            ),
            (
                "LIMIT of a running aggregation",
                "SELECT k, count(*) AS n FROM t GROUP BY k LIMIT 3",
            ),
        ],
    ),
    (
        "Windows over final rows",
        &[
            (
                "of DISTINCT rows",
                "SELECT window_start, count(*) AS n
                 FROM tumble((SELECT DISTINCT k, ts FROM t), ts, '10 seconds')
                 GROUP BY window_start",
            ),
            (
                "of the first rows of keys by event time",
                "SELECT window_start, count(*) AS n FROM tumble((
                   SELECT DISTINCT ON (k) k, ts FROM t ORDER BY k, ts), ts, '10 seconds')
                 GROUP BY window_start",
            ),
            (
                "of sessions",
                "SELECT window_start, count(*) AS n FROM tumble((
                   SELECT k, window_time(session_window) AS at FROM t
                   GROUP BY k, session_window(ts, '10 seconds')), at, '1 minute')
                 GROUP BY window_start",
            ),
            (
                "of OVER rows",
                "SELECT window_start, max(total) AS n FROM tumble((
                   SELECT ts, sum(v) OVER (PARTITION BY k ORDER BY ts) AS total FROM t),
                   ts, '10 seconds') GROUP BY window_start",
            ),
        ],
    ),
    (
        "Above final windows",
        &[
            (
                "filter by the key, projection",
                "SELECT window_start, n + 1 AS m FROM (
                   SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                   GROUP BY window_start) WHERE window_start > '2026-01-01'",
            ),
            (
                "join with a table",
                "SELECT c.k, n, price FROM (
                   SELECT k, window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                   GROUP BY k, window_start) AS c JOIN prices ON c.k = prices.k",
            ),
            (
                "UNION ALL",
                "SELECT window_start, count(*) AS n FROM tumble(t, ts, '10 seconds')
                 GROUP BY window_start UNION ALL SELECT ts, v FROM t",
            ),
            (
                "unnest",
                "SELECT window_start, unnest(n) AS n FROM (
                   SELECT window_start, array_agg(v) AS n FROM tumble(t, ts, '10 seconds')
                   GROUP BY window_start)",
            ),
        ],
    ),
];

async fn session() -> Headwater {
    let session = Headwater::builder().target_partitions(2).build().unwrap();
    for declaration in DECLARATIONS {
        session.sql(declaration).await.unwrap();
    }
    session
}

/// Plans a query and does not start it.
async fn plan(session: &Headwater, select: &str, emit: &str) -> Result<()> {
    let statement = format!("CREATE STREAMING QUERY q AS INSERT INTO out {select} {emit}");
    session.prepare(&statement, None).await.map(drop)
}

/// The first lines of all reports in `sql/error`.
fn reported() -> String {
    let mut texts = String::new();
    for entry in fs::read_dir(workspace_root().join("sql/error")).unwrap() {
        texts.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let errors = texts
        .lines()
        .filter_map(|line| line.strip_prefix("error: "));
    errors.fold(String::new(), |all, line| all + line + "\n")
}

#[tokio::test]
async fn the_table_of_queries_and_modes_is_that_of_the_check() {
    let session = session().await;
    let reported = reported();
    let mut unreported = Vec::new();
    let mut table = String::new();
    for (group, kinds) in KINDS {
        let _ = write!(table, "\n#### {group}\n\n");
        table.push_str("| query | append | update | complete |\n| --- | --- | --- | --- |\n");
        for (name, select) in *kinds {
            let _ = write!(table, "| {name} |");
            for emit in MODES {
                let cell = match plan(&session, select, emit).await {
                    Ok(()) => "yes".to_string(),
                    Err(error) => {
                        let message = error.message();
                        if !reported.lines().any(|line| line == message) {
                            unreported.push(format!("{name}, {emit}: {message}"));
                        }
                        format!("no: {message}")
                    }
                };
                let _ = write!(table, " {cell} |");
            }
            table.push('\n');
        }
    }
    table.push('\n');
    check_committed_part("docs/reference/sql.md", "queries and modes", &table);
    assert!(
        unreported.is_empty(),
        "refusals without a report in sql/error:\n{}",
        unreported.join("\n")
    );
}
