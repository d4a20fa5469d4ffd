//! What counts as deep.

use crate::ast::Statement;
use crate::parser::{parse_script, rewrite_windows};

use super::DEEPEST;

/// A part `n` times with something between.
fn chain(part: &str, between: &str, n: usize) -> String {
    vec![part; n].join(between)
}

fn refused(sql: &str) -> Option<String> {
    let error = parse_script(sql).err()?;
    Some(error.report("job.sql", None))
}

fn check_limit(what: &str, of_length: impl Fn(usize) -> String) {
    let fits = refused(&of_length(DEEPEST));
    assert_eq!(fits, None, "{what}");
    // Far more than any stack takes.
    for length in [DEEPEST + 2, 50_000] {
        let report = refused(&of_length(length)).unwrap_or_default();
        let is_it = report.starts_with("error: more than 300 operators in a row");
        assert!(is_it, "{what}: {report}");
    }
}

#[test]
fn what_is_nested_in_each_other_has_a_limit() {
    check_limit("sums", |n| {
        format!("SELECT {} FROM t", chain("1", " + ", n))
    });
    check_limit("texts", |n| format!("SELECT {}", chain("'a'", " || ", n)));
    check_limit("conditions", |n| {
        format!("SELECT a FROM t WHERE {}", chain("a", " OR ", n))
    });
    check_limit("casts", |n| format!("SELECT a{}", "::INT".repeat(n - 1)));
    check_limit("elements", |n| format!("SELECT a{}", "[1]".repeat(n - 1)));
    check_limit("tests", |n| format!("SELECT a{}", " IS NULL".repeat(n - 1)));
    check_limit("unions", |n| chain("SELECT a FROM t", " UNION ALL ", n));
    check_limit("joins", |n| {
        format!("SELECT * FROM {}", chain("t", ", ", n))
    });
    check_limit("names like clauses", |n| {
        format!("SELECT {} FROM t", chain("on", " + ", n))
    });
    check_limit("inserts", |n| {
        format!("INSERT INTO s SELECT {} FROM t", chain("1", " + ", n))
    });
    check_limit("foreign statements", |n| {
        format!("CREATE VIEW v AS SELECT {} FROM t", chain("1", " + ", n))
    });
}

#[test]
fn conditions_count_through_their_parentheses() {
    let group = format!("({})", chain("a", " AND ", 10));
    let fits = format!("SELECT 1 FROM t WHERE {}", chain(&group, " AND ", 30));
    assert_eq!(refused(&fits), None);
    let deep = format!("SELECT 1 FROM t WHERE {}", chain(&group, " AND ", 31));
    assert!(refused(&deep).is_some());
    // Of sums in parentheses the deepest counts.
    let group = format!("({})", chain("a", " + ", 200));
    let sum = format!("SELECT {} FROM t", chain(&group, " + ", 100));
    assert_eq!(refused(&sum), None);
}

#[test]
fn groups_add_up_with_what_is_around_them() {
    let nested = |outer: usize, inner: usize| {
        format!(
            "SELECT abs({}) + {}",
            chain("1", " + ", inner),
            chain("2", " - ", outer)
        )
    };
    assert_eq!(refused(&nested(150, 150)), None);
    assert!(refused(&nested(150, 155)).is_some());
    let inner = format!("(SELECT a FROM t WHERE {})", chain("b", " AND ", 200));
    let around = format!(
        "SELECT a FROM t WHERE {} AND EXISTS {inner}",
        chain("c", " AND ", 102)
    );
    assert!(refused(&around).is_some());
}

#[test]
fn what_stands_beside_each_other_is_not_deep() {
    let rows = chain("(1 + 1, -2, 'a' || 'b')", ", ", 5_000);
    let many = [
        format!("SELECT * FROM (VALUES {rows}) AS v"),
        format!("SELECT a FROM t WHERE a IN ({})", chain("-1", ", ", 5_000)),
        format!("SELECT {} FROM t", chain("a + b * c", ", ", 5_000)),
        format!(
            "SELECT CASE {} END FROM t",
            chain("WHEN a = 1 AND b = 2 THEN a * 2", " ", 5_000)
        ),
        format!(
            "SELECT * FROM t WHERE {} GROUP BY {} HAVING {}",
            chain("a", " AND ", 200),
            chain("1", " + ", 200),
            chain("a", " OR ", 200)
        ),
        format!("SELECT ARRAY[{}]", chain("[a, 1 + 1]", ", ", 5_000)),
        chain(
            &format!("SELECT a FROM t JOIN u ON {}", chain("a = b", " AND ", 100)),
            " UNION ALL ",
            150,
        ),
        chain(
            "SELECT DISTINCT a, w.end, CASE WHEN end > 1 THEN 2 END FROM t WHERE a IS DISTINCT FROM b",
            "; ",
            500,
        ),
        format!(
            "CREATE SOURCE t (k STRING METADATA FROM 'key', {}) WITH (connector = 'memory')",
            (0..500)
                .map(|i| format!("c{i} INT"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    ];
    for sql in many {
        let start: String = sql.chars().take(60).collect();
        assert_eq!(refused(&sql), None, "{start}");
    }
}

#[test]
fn the_place_is_that_of_the_first_operator_too_many() {
    let error = parse_script(&format!("SELECT\n {}", chain("a", "+", 400))).unwrap_err();
    let span = error.span().unwrap();
    assert_eq!((span.line, span.column), (2, 2 * 301 + 1));
}

#[test]
fn windows_are_found_at_the_deepest() {
    let conditions = chain("a = 1", " OR ", DEEPEST - 1);
    let sql = format!("SELECT window FROM t WHERE {conditions} GROUP BY window(ts, '5 m')");
    let Statement::Select(mut select) = parse_script(&sql).unwrap().remove(0).statement else {
        panic!("no query");
    };
    rewrite_windows(&mut select.query).unwrap();
}
