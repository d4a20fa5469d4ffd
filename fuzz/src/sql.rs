//! SQL text to statements and plans.

use std::sync::LazyLock;

use headwater::{Error, Headwater, Outcome};
use headwater_sql::ast::Statement;
use headwater_sql::parser::parse_script;
use tokio::runtime::{Builder, Runtime};

/// What queries may name. Nothing is started, and nothing but memory is written to.
const DECLARATIONS: &str = "
  CREATE SOURCE t (k VARCHAR, v BIGINT, d DOUBLE, n DECIMAL(10, 2), l BIGINT[], r STRUCT<x BIGINT, y VARCHAR>,
    ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) WITH (connector = 'memory');
  CREATE SOURCE u (k VARCHAR, v BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory');
  CREATE SINK o WITH (connector = 'memory');";

static SESSION: LazyLock<(Runtime, Headwater)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime can be made");
    let session = Headwater::builder().build();
    let session = session.expect("a session can be made");
    let declared = runtime.block_on(session.sql(DECLARATIONS));
    declared.expect("the declarations are right");
    (runtime, session)
});

/// Reads a script, and plans its queries.
///
/// What is refused is refused with a message that can be shown in its text; the text of a statement
/// stands where its span says.
pub fn sql(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let statements = match parse_script(text) {
        Ok(statements) => statements,
        Err(error) => return check_error(&error, text),
    };
    for statement in statements {
        let is_query = matches!(
            statement.statement,
            Statement::Select(_) | Statement::Insert(_)
        );
        if is_query {
            let explained = format!("EXPLAIN {}", statement.text);
            if let Err(error) = run(&explained) {
                check_error(&error, &explained);
            }
        }
    }
}

fn run(text: &str) -> Result<Outcome, Error> {
    let (runtime, session) = &*SESSION;
    runtime.block_on(session.sql(text))
}

fn check_error(error: &Error, text: &str) {
    assert!(!error.message().is_empty(), "an error says nothing");
    let report = error.report("fuzzed.sql", Some(text));
    assert!(report.starts_with("error: "), "{report}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_planned() {
        for query in [
            "SELECT k, v + 1 AS x FROM t WHERE r['x'] > 0",
            "INSERT INTO o SELECT window_start, k, sum(v) FROM TUMBLE(t, ts, INTERVAL '1' MINUTE) \
             GROUP BY window_start, window_end, k",
        ] {
            let plan = run(&format!("EXPLAIN {query}"));
            plan.unwrap_or_else(|error| panic!("{}", error.report(query, None)));
        }
    }
}
