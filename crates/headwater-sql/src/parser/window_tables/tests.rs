//! Every spelling of a window function is taken apart alike, and DataFusion finds its table.

use std::collections::BTreeSet;

use datafusion::sql::parser::Statement as DFStatement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use expect_test::{Expect, expect};

use crate::ast::Statement;
use crate::parser::{parse_script, rewrite_windows};

use super::*;

fn query(sql: &str) -> Box<Query> {
    let parsed = parse_script(sql).unwrap().remove(0);
    match parsed.statement {
        Statement::Select(select) => select.query,
        other => panic!("{other:?}"),
    }
}

fn factor(query: &Query) -> &TableFactor {
    let SetExpr::Select(select) = query.body.as_ref() else {
        panic!("{query}");
    };
    &select.from[0].relation
}

/// The function of `SELECT * FROM <call>`, before and after the rewrite, as one line.
fn show(call: &str) -> String {
    let mut query = query(&format!("SELECT * FROM {call}"));
    let line = |query: &Query| match window_table_function(factor(query)) {
        Ok(None) => "none".to_string(),
        Err(error) => format!("{error}\nhint: {}", error.hint().unwrap_or_default()),
        Ok(Some(f)) => {
            let or_dash = |e: &Option<Expr>| e.as_ref().map_or_else(|| "-".into(), Expr::to_string);
            let alias = f.alias.map_or_else(|| "-".into(), |a| a.to_string());
            let keys: Vec<_> = f.partition_by.iter().map(Expr::to_string).collect();
            format!(
                "{:?} {} by {} size {} slide {} offset {} keys {keys:?} alias {alias}",
                f.kind,
                f.input,
                f.time_column,
                f.size,
                or_dash(&f.slide),
                or_dash(&f.offset),
            )
        }
    };
    let before = line(&query);
    if rewrite_windows(&mut query).is_ok() {
        assert_eq!(line(&query), before, "{call}");
    }
    before
}

fn check(calls: &[&str], expected: &Expect) {
    let lines: Vec<_> = calls.iter().map(|call| show(call)).collect();
    expected.assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn every_spelling() {
    check(
        &[
            "tumble(orders, ts, INTERVAL '10 seconds')",
            "tumble(a.orders, o.ts, '10 seconds', '-1 hour') AS w",
            "tumble((SELECT * FROM orders WHERE x > 1), ts, INTERVAL '1 hour') w",
            "hop(orders, ts, INTERVAL '5 minutes', INTERVAL '10 minutes')",
            "hop(orders, ts, slide => INTERVAL '5 minutes', size => INTERVAL '10 minutes')",
            "hop(orders, ts, size => INTERVAL '10 minutes', slide => INTERVAL '5 minutes')",
            "TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' SECOND))",
            "TABLE(HOP(TABLE t, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '10' SECOND)) AS w (a, b)",
            "TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
            "HOP(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SLIDE => INTERVAL '5' SECOND, SIZE => INTERVAL '10' SECOND)",
            "CUMULATE(TABLE t, DESCRIPTOR(ts), INTERVAL '2' MINUTES, INTERVAL '10' MINUTES)",
            "SESSION(TABLE t PARTITION BY (a, b), DESCRIPTOR(ts), INTERVAL '5' MINUTES)",
            "SESSION(TABLE t PARTITION BY a, DESCRIPTOR(ts), GAP => '5 minutes')",
            "\"Tumble\"(\"Orders\", \"Ts\", '1 s')",
            "tumble",
            "generate_series(1, 10)",
            "a.tumble(t, ts, '1 s')",
        ],
        &expect![[r#"
            Tumble orders by ts size INTERVAL '10 seconds' slide - offset - keys [] alias -
            Tumble a.orders by ts size '10 seconds' slide - offset '-1 hour' keys [] alias AS w
            Tumble (SELECT * FROM orders WHERE x > 1) by ts size INTERVAL '1 hour' slide - offset - keys [] alias w
            Hop orders by ts size INTERVAL '10 minutes' slide INTERVAL '5 minutes' offset - keys [] alias -
            Hop orders by ts size INTERVAL '10 minutes' slide INTERVAL '5 minutes' offset - keys [] alias -
            Hop orders by ts size INTERVAL '10 minutes' slide INTERVAL '5 minutes' offset - keys [] alias -
            Tumble t by ts size INTERVAL '10' SECOND slide - offset INTERVAL '1' SECOND keys [] alias -
            Hop t by ts size INTERVAL '10' SECOND slide INTERVAL '5' SECOND offset - keys [] alias AS w (a, b)
            Tumble t by ts size INTERVAL '10' SECOND slide - offset - keys [] alias -
            Hop t by ts size INTERVAL '10' SECOND slide INTERVAL '5' SECOND offset - keys [] alias -
            Cumulate t by ts size INTERVAL '10' MINUTES slide INTERVAL '2' MINUTES offset - keys [] alias -
            Session t by ts size INTERVAL '5' MINUTES slide - offset - keys ["a", "b"] alias -
            Session t by ts size '5 minutes' slide - offset - keys ["a"] alias -
            Tumble "Orders" by "Ts" size '1 s' slide - offset - keys [] alias -
            none
            none
            none
        "#]],
    );
}

#[test]
fn wrong_arguments() {
    check(
        &[
            "tumble()",
            "tumble(orders)",
            "tumble(orders, ts)",
            "tumble(orders, 'ts', '1 s')",
            "tumble(orders, DESCRIPTOR(a, b), '1 s')",
            "tumble('orders', ts, '1 s')",
            "tumble(orders, ts, '1 s', '2 s', '3 s')",
            "hop(orders, ts, '1 s')",
            "hop(orders, ts, '1 s', slide => '2 s')",
            "tumble(orders, ts, width => '1 s')",
            "tumble(orders, ts, *)",
            "tumble(TABLE t PARTITION BY k, DESCRIPTOR(ts), '1 s')",
        ],
        &expect![[r#"
            window function "tumble" needs the argument "data"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" needs the argument "timecol"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" needs the argument "size"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" needs the name of the event-time column, not "'ts'"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" needs the name of the event-time column, not "DESCRIPTOR(a, b)"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" needs a table or a subquery first, not "'orders'"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" takes at most 4 arguments
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "hop" needs the argument "size"
            hint: Write hop(table, time column, slide, size[, offset][, time_zone => name]).
            window function "hop" is given the argument "slide" twice
            hint: Write hop(table, time column, slide, size[, offset][, time_zone => name]).
            window function "tumble" has no argument "width"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" does not take "*"
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
            window function "tumble" takes no PARTITION BY: only session windows depend on it
            hint: Write tumble(table, time column, size[, offset][, time_zone => name]).
        "#]],
    );
}

#[test]
fn the_rewrite_refuses_wrong_arguments_with_their_place() {
    let mut query = query("SELECT 1\nFROM tumble(orders, ts)");
    let error = rewrite_windows(&mut query).unwrap_err();
    assert_eq!(error.span().map(|s| (s.line, s.column)), Some((2, 6)));
}

/// The names DataFusion's search finds, without those of the window functions themselves.
fn tables_found(query: &Query) -> BTreeSet<String> {
    let statement = DFStatement::Statement(Box::new(SqlStatement::Query(Box::new(query.clone()))));
    let (tables, _) = resolve_table_references(&statement, true).unwrap();
    let names = tables.iter().map(ToString::to_string);
    names.filter(|n| n != "tumble" && n != "hop").collect()
}

#[test]
fn datafusion_finds_tables_named_in_arguments() {
    let mut plain = query("SELECT * FROM tumble(orders, ts, '1 s')");
    assert_eq!(
        tables_found(&plain),
        BTreeSet::new(),
        "why the rewrite exists"
    );
    rewrite_windows(&mut plain).unwrap();
    assert_eq!(tables_found(&plain), BTreeSet::from(["orders".to_string()]));

    let cases = [
        "SELECT * FROM hop(orders, ts, slide => '1 s', size => '2 s')",
        "SELECT * FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '10' SECOND))",
        "SELECT * FROM TUMBLE(DATA => orders, TIMECOL => ts, SIZE => '1 s')",
        "SELECT * FROM TUMBLE(DATA => TABLE orders, TIMECOL => DESCRIPTOR(ts), SIZE => '1 s')",
        "SELECT * FROM tumble((SELECT * FROM orders), ts, '1 s')",
        "SELECT * FROM (SELECT * FROM tumble(orders, ts, '1 s')) AS s",
        "WITH x AS (SELECT * FROM tumble(orders, ts, '1 s')) SELECT * FROM x",
        "SELECT 1 WHERE 1 IN (SELECT a FROM tumble(orders, ts, '1 s'))",
        "SELECT * FROM tumble(tumble(orders, ts, '1 s'), ts, '1 s')",
        "WITH o AS (SELECT * FROM orders) SELECT * FROM tumble(o, ts, '1 s')",
    ];
    for sql in cases {
        let mut query = query(sql);
        if rewrite_windows(&mut query).is_err() {
            assert!(sql.contains("tumble(tumble"), "{sql}");
            continue;
        }
        let found = tables_found(&query);
        assert_eq!(found, BTreeSet::from(["orders".to_string()]), "{sql}");
    }
}
