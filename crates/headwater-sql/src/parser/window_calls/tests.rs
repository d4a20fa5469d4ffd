//! Names of windows become the calls they stand for, and DataFusion can plan the result.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::SessionContext;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;

use crate::ast::Statement;
use crate::parser::parse_script;

use super::*;

fn rewritten(sql: &str) -> Box<Query> {
    let parsed = parse_script(sql).unwrap().remove(0);
    let Statement::Select(mut select) = parsed.statement else {
        panic!("{sql}");
    };
    rewrite_windows(&mut select.query).unwrap();
    select.query
}

#[test]
fn names_become_calls() {
    let w = "window(ts, '10 minutes')";
    let start = format!("get_field({w}, 'start')");
    let end = format!("get_field({w}, 'end')");
    let cases = [
        (
            format!("SELECT window, count(*) FROM t GROUP BY {w}"),
            format!("SELECT {w} AS \"window\", count(*) FROM t GROUP BY {w}"),
        ),
        (
            format!("SELECT window.start, WINDOW.END AS e FROM t GROUP BY a, {w}"),
            format!("SELECT {start} AS \"start\", {end} AS e FROM t GROUP BY a, {w}"),
        ),
        (
            format!("SELECT window.* FROM t GROUP BY {w}"),
            format!("SELECT {start} AS \"start\", {end} AS \"end\" FROM t GROUP BY {w}"),
        ),
        (
            format!("SELECT {w}, {w}.start, window_time(window) FROM t GROUP BY {w}"),
            format!(
                "SELECT {w} AS \"window\", {start} AS \"start\", window_time({w}) AS \"window_time\" FROM t GROUP BY {w}"
            ),
        ),
        (
            format!("SELECT a FROM t GROUP BY a, {w} HAVING window.end > a ORDER BY window.start, window DESC"),
            format!("SELECT a FROM t GROUP BY a, {w} HAVING {end} > a ORDER BY {start}, {w} DESC"),
        ),
        (
            "SELECT session_window.start FROM t GROUP BY session_window(ts, '5 minutes')".to_string(),
            "SELECT get_field(session_window(ts, '5 minutes'), 'start') AS \"start\" FROM t GROUP BY session_window(ts, '5 minutes')".to_string(),
        ),
        (
            format!("SELECT window FROM a GROUP BY {w} UNION ALL SELECT window FROM b"),
            format!("SELECT {w} AS \"window\" FROM a GROUP BY {w} UNION ALL SELECT window FROM b"),
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(rewritten(&sql).to_string(), expected, "{sql}");
    }
}

#[test]
fn other_engines_windows_become_calls() {
    let minute = "INTERVAL '1' MINUTE";
    let hour = "INTERVAL '1' HOUR";
    let w = format!("window(ts, {minute})");
    let free = format!("window(window_event_time(), {minute})");
    let cases = [
        (
            format!(
                "SELECT TUMBLE_START(ts, {minute}), TUMBLE_ROWTIME(ts, {minute}) AS r FROM t GROUP BY TUMBLE(ts, {minute})"
            ),
            format!(
                "SELECT get_field({w}, 'start') AS \"tumble_start\", window_time({w}) AS r FROM t GROUP BY {w}"
            ),
        ),
        (
            format!(
                "SELECT a FROM t GROUP BY a, HOP(ts, {minute}, {hour}) ORDER BY HOP_END(ts, {minute}, {hour})"
            ),
            format!(
                "SELECT a FROM t GROUP BY a, window(ts, {hour}, {minute}) ORDER BY get_field(window(ts, {hour}, {minute}), 'end')"
            ),
        ),
        (
            format!("SELECT tumble({minute}) AS w, w.start FROM t GROUP BY w"),
            format!(
                "SELECT {free} AS w, get_field({free}, 'start') AS \"start\" FROM t GROUP BY w"
            ),
        ),
        (
            format!("SELECT tumble({minute}), count(*) FROM t GROUP BY 1"),
            format!("SELECT {free} AS \"window\", count(*) FROM t GROUP BY 1"),
        ),
        (
            "SELECT a FROM t GROUP BY a, window(ts, '1 day', time_zone => 'Asia/Tokyo')"
                .to_string(),
            "SELECT a FROM t GROUP BY a, window(ts, '1 day', '1 day', '0 seconds', 'Asia/Tokyo')"
                .to_string(),
        ),
        (
            format!(
                "SELECT a FROM t GROUP BY a, hop(slide => {minute}, size => {hour}, offset => '1 s')"
            ),
            format!(
                "SELECT a FROM t GROUP BY a, window(window_event_time(), {hour}, {minute}, '1 s')"
            ),
        ),
        // In FROM they are table functions, and a name of no window is a name.
        (
            format!("SELECT a AS w, w.b FROM tumble(w, ts, {minute}) GROUP BY w"),
            format!("SELECT a AS w, w.b FROM tumble((SELECT * FROM w), ts, {minute}) GROUP BY w"),
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(rewritten(&sql).to_string(), expected, "{sql}");
    }
}

#[test]
fn every_select_is_its_own_world() {
    let cases = [
        (
            "SELECT window.start FROM (SELECT window FROM t GROUP BY window(ts, '5 m')) AS s",
            "SELECT window.start FROM (SELECT window(ts, '5 m') AS \"window\" FROM t GROUP BY window(ts, '5 m')) AS s",
        ),
        (
            "WITH s AS (SELECT window FROM t GROUP BY window(ts, '5 m')) SELECT window, max(c) FROM s GROUP BY window(window, '1 h')",
            "WITH s AS (SELECT window(ts, '5 m') AS \"window\" FROM t GROUP BY window(ts, '5 m')) SELECT window(window, '1 h') AS \"window\", max(c) FROM s GROUP BY window(window, '1 h')",
        ),
        (
            "SELECT window, (SELECT max(window) FROM u) AS m FROM t GROUP BY window(ts, '5 m')",
            "SELECT window(ts, '5 m') AS \"window\", (SELECT max(window) FROM u) AS m FROM t GROUP BY window(ts, '5 m')",
        ),
        (
            "SELECT window FROM t WHERE window > 1 GROUP BY window",
            "SELECT window FROM t WHERE window > 1 GROUP BY window",
        ),
        (
            "SELECT other.start, \"Window\" FROM t AS other GROUP BY window(ts, '5 m')",
            "SELECT other.start, \"Window\" FROM t AS other GROUP BY window(ts, '5 m')",
        ),
    ];
    for (sql, expected) in cases {
        assert_eq!(rewritten(sql).to_string(), expected, "{sql}");
    }
}

#[test]
fn views_are_rewritten_too() {
    let sql = "CREATE VIEW v AS SELECT window.end FROM t GROUP BY window(ts, '5 m')";
    let parsed = parse_script(sql).unwrap().remove(0);
    let Statement::DataFusion(mut statement) = parsed.statement else {
        panic!("{sql}");
    };
    rewrite_statement_windows(&mut statement).unwrap();
    let text = statement.to_string();
    assert!(
        text.contains("get_field(window(ts, '5 m'), 'end') AS \"end\""),
        "{text}"
    );
}

/// A session with a table `t (a, ts)` and a function `window` of the right type.
fn session() -> SessionContext {
    let context = SessionContext::new();
    let ts = DataType::Timestamp(TimeUnit::Millisecond, None);
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("ts", ts.clone(), true),
    ]);
    let table = Arc::new(EmptyTable::new(Arc::new(schema)));
    context.register_table("t", table).unwrap();
    let fields = Fields::from(vec![
        Field::new("start", ts.clone(), false),
        Field::new("end", ts.clone(), false),
    ]);
    context.register_udf(create_udf(
        "window",
        vec![ts, DataType::Utf8View],
        DataType::Struct(fields),
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| Ok(arguments[0].clone())),
    ));
    context
}

#[tokio::test]
async fn datafusion_finds_the_group_again() {
    let cases = [
        (
            "SELECT window, count(*) AS n FROM t GROUP BY window(ts, '10 minutes')",
            "window,n",
        ),
        (
            "SELECT a, window.start, window.end, sum(a) AS s FROM t GROUP BY a, window(ts, '10 minutes')",
            "a,start,end,s",
        ),
        (
            "SELECT window.*, count(*) AS n FROM t GROUP BY window(ts, '10 minutes') HAVING window.end > now() ORDER BY window.start DESC",
            "start,end,n",
        ),
        (
            "SELECT window, count(*) AS n FROM t GROUP BY window(ts, '10 minutes') ORDER BY window",
            "window,n",
        ),
        (
            "SELECT max(s.window.end) AS m FROM (SELECT window FROM t GROUP BY window(ts, '10 minutes')) AS s",
            "m",
        ),
    ];
    let state = session().state();
    for (sql, columns) in cases {
        let query = SqlStatement::Query(rewritten(sql));
        let statement = DFStatement::Statement(Box::new(query));
        let plan = state.statement_to_plan(statement).await;
        let plan = plan.unwrap_or_else(|e| panic!("{sql}: {e}"));
        let fields = plan.schema().fields().iter();
        let names: Vec<_> = fields.map(|f| f.name().as_str()).collect();
        assert_eq!(names.join(","), columns, "{sql}");
    }
}
