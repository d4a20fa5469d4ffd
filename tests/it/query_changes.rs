//! What may change in a query between two runs on one checkpoint, and what is said of the rest.
//!
//! Each case runs a query to the end of its input, changes it, gives it more input and runs it
//! again, once as it is and once allowed to drop state.

use std::io::Write;

use std::path::Path;

use headwater::{Error, ErrorKind, Headwater};

/// The parts of a script that cases change.
#[derive(Clone)]
struct Query {
    columns: &'static str,
    source_options: &'static str,
    input: &'static str,
    sink: &'static str,
    name: &'static str,
    options: &'static str,
    select: &'static str,
}

const STATELESS: Query = Query {
    columns: "id BIGINT, symbol VARCHAR, amount BIGINT, ts TIMESTAMP, \
              WATERMARK FOR ts AS ts - INTERVAL '1 second'",
    source_options: "",
    input: "in",
    sink: "out",
    name: "q",
    options: "",
    select: "SELECT id, amount FROM orders WHERE amount > 1",
};

const WINDOWS: Query = Query {
    select: "SELECT symbol, sum(amount) AS volume FROM tumble(orders, ts, INTERVAL '10 seconds') \
             WHERE amount > 1 GROUP BY symbol, window_start, window_end",
    ..STATELESS
};

/// What becomes of a change.
enum Outcome {
    /// The query goes on.
    GoesOn,
    /// It is refused with this in the message, and goes on if it may drop state.
    DropsState(&'static str),
    /// It is refused with this in the message.
    Refused(&'static str),
}
use Outcome::{DropsState, GoesOn, Refused};

type Change = fn(&mut Query);

/// Runs a query to the end of its input; each run is a session of its own.
async fn run(folder: &Path, query: &Query) -> Result<(), Error> {
    let hw = Headwater::builder().target_partitions(1).build()?;
    let path = |name: &str| folder.join(name).display().to_string();
    hw.sql(&format!(
        "CREATE SOURCE orders ({}) WITH (connector = 'filesystem', path = '{}' {}) FORMAT JSON;
         CREATE SINK kept WITH (connector = 'filesystem', path = '{}') FORMAT JSON;",
        query.columns,
        path(query.input),
        query.source_options,
        path(query.sink),
    ))
    .await?;
    let started = hw
        .sql(&format!(
            "CREATE STREAMING QUERY {} WITH (trigger = 'available-now', checkpoint = '{}' {})
             AS INSERT INTO kept {}",
            query.name,
            path("checkpoint"),
            query.options,
            query.select
        ))
        .await?;
    started.into_query()?.await_termination().await
}

/// Two rows a second, of two symbols.
fn write_input(folder: &Path, from: u32, to: u32) {
    for input in ["in", "other"] {
        let lines = (from..to).map(|i| {
            let symbol = ["A", "B"][i as usize % 2];
            format!(
                "{{\"id\":{i},\"symbol\":\"{symbol}\",\"amount\":{},\"ts\":\"2026-01-01T00:00:{:02}Z\"}}\n",
                i % 5,
                i / 2
            )
        });
        std::fs::DirBuilder::new()
            .recursive(true)
            .create(folder.join(input))
            .unwrap();
        let file = folder.join(input).join(format!("{from}.json"));
        let mut file = std::fs::File::create(file).unwrap();
        file.write_all(lines.collect::<String>().as_bytes())
            .unwrap();
    }
}

async fn check(base: &Query, what: &str, change: Change, outcome: &Outcome) {
    for may_drop in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        write_input(folder.path(), 0, 50);
        run(folder.path(), base).await.unwrap();
        let mut changed = base.clone();
        change(&mut changed);
        if may_drop {
            changed.options = match changed.options {
                "" => ", 'checkpoint.allow-state-drop' = 'true'",
                other => panic!("{what}: {other} is lost"),
            };
        }
        write_input(folder.path(), 50, 100);
        let ran = run(folder.path(), &changed).await;
        let expected = match outcome {
            GoesOn => None,
            DropsState(_) if may_drop => None,
            DropsState(text) | Refused(text) => Some(text),
        };
        match (ran, expected) {
            (Ok(()), None) => {}
            (Err(error), Some(text)) => {
                assert_eq!(error.kind(), ErrorKind::Checkpoint, "{what}: {error}");
                assert!(
                    error.message().contains(text),
                    "{what}: {error}\nlacks {text}"
                );
                let offers = error.hint().unwrap().contains("allow-state-drop");
                assert_eq!(offers, matches!(outcome, DropsState(_)), "{what}");
            }
            (ran, expected) => panic!("{what}: {ran:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_query_without_state_may_change_what_it_computes() {
    let cases: [(&str, Change, Outcome); 9] = [
        ("nothing", |_| {}, GoesOn),
        ("the name", |q| q.name = "renamed", GoesOn),
        (
            "the layout of the text",
            |q| q.select = "select id,\n  amount from orders\nwhere amount>1",
            GoesOn,
        ),
        (
            "the filter",
            |q| q.select = "SELECT id, amount FROM orders WHERE amount > 2",
            GoesOn,
        ),
        (
            "the projection",
            |q| q.select = "SELECT id, amount * 2 AS amount FROM orders WHERE amount > 1",
            GoesOn,
        ),
        (
            "an added column",
            |q| {
                q.columns = "id BIGINT, symbol VARCHAR, amount BIGINT, more BIGINT, ts TIMESTAMP, \
                             WATERMARK FOR ts AS ts - INTERVAL '1 second'";
                q.select = "SELECT id, amount, more FROM orders WHERE amount > 1";
            },
            GoesOn,
        ),
        (
            "a limit of the source",
            |q| q.source_options = ", 'max.files.per.epoch' = '1'",
            GoesOn,
        ),
        (
            "the place of the source",
            |q| q.input = "other",
            Refused("the path of source \"orders\" (was "),
        ),
        (
            "a sum",
            |q| q.select = "SELECT id, lag(amount) OVER (ORDER BY ts) AS before FROM orders",
            DropsState("the operators (\""),
        ),
    ];
    for (what, change, outcome) in cases {
        check(&STATELESS, what, change, &outcome).await;
    }
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table of changes")]
async fn a_query_with_state_is_told_what_has_changed() {
    let cases: [(&str, Change, Outcome); 11] = [
        ("nothing", |_| {}, GoesOn),
        ("the name", |q| q.name = "renamed", GoesOn),
        (
            "the filter",
            |q| {
                q.select = "SELECT symbol, sum(amount) AS volume \
                            FROM tumble(orders, ts, INTERVAL '10 seconds') \
                            WHERE amount > 2 GROUP BY symbol, window_start, window_end";
            },
            DropsState(
                "the filter (was `orders.amount > Int64(1)`, is `orders.amount > Int64(2)`)",
            ),
        ),
        (
            "the projection",
            |q| {
                q.select = "SELECT symbol, sum(amount) * 2 AS volume \
                            FROM tumble(orders, ts, INTERVAL '10 seconds') \
                            WHERE amount > 1 GROUP BY symbol, window_start, window_end";
            },
            DropsState("the projection ("),
        ),
        (
            "the size of the window",
            |q| {
                q.select = "SELECT symbol, sum(amount) AS volume \
                            FROM tumble(orders, ts, INTERVAL '20 seconds') \
                            WHERE amount > 1 GROUP BY symbol, window_start, window_end";
            },
            DropsState("the aggregation (window was `"),
        ),
        (
            "a key",
            |q| {
                q.select = "SELECT symbol, sum(amount) AS volume \
                            FROM tumble(orders, ts, INTERVAL '10 seconds') \
                            WHERE amount > 1 GROUP BY symbol, id, window_start, window_end";
            },
            DropsState("the aggregation (keys was `["),
        ),
        (
            "an aggregate",
            |q| {
                q.select = "SELECT symbol, sum(amount) AS volume, max(amount) AS largest \
                            FROM tumble(orders, ts, INTERVAL '10 seconds') \
                            WHERE amount > 1 GROUP BY symbol, window_start, window_end";
            },
            DropsState("max(orders.amount)"),
        ),
        (
            "an operator that is gone",
            |q| q.select = STATELESS.select,
            DropsState("the aggregation (`"),
        ),
        (
            "the sink",
            |q| q.sink = "elsewhere",
            Refused("the path of the sink (was "),
        ),
        (
            "the type of a column",
            |q| {
                q.columns = "id BIGINT, symbol VARCHAR, amount INT, ts TIMESTAMP, \
                             WATERMARK FOR ts AS ts - INTERVAL '1 second'";
            },
            Refused("the column \"amount\" of source \"orders\" (was BIGINT, is INT)"),
        ),
        (
            "the event time",
            |q| {
                q.columns = "id BIGINT, symbol VARCHAR, amount BIGINT, ts TIMESTAMP, \
                             t TIMESTAMP AS ts, WATERMARK FOR t AS t - INTERVAL '1 second'";
                q.select = "SELECT symbol, sum(amount) AS volume \
                            FROM tumble(orders, t, INTERVAL '10 seconds') \
                            WHERE amount > 1 GROUP BY symbol, window_start, window_end";
            },
            Refused("the event time of source \"orders\" (was ts, is t)"),
        ),
    ];
    for (what, change, outcome) in cases {
        check(&WINDOWS, what, change, &outcome).await;
    }
}

/// The sums that a query over the rows from `first` on comes to, windows closed by time 49.
fn sums(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for file in std::fs::read_dir(folder.join("out")).unwrap() {
        let path = file.unwrap().path();
        if path
            .extension()
            .is_some_and(|e| e == "json" || e == "jsonl")
        {
            let text = std::fs::read_to_string(path).unwrap();
            lines.extend(text.lines().map(str::to_string));
        }
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn dropped_state_stays_dropped_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let counts = Query {
        select: "SELECT window_start, count(*) AS n \
                 FROM tumble(orders, ts, INTERVAL '10 seconds') GROUP BY window_start, window_end",
        ..STATELESS
    };
    // Rows 0 to 49 end at second 24: the window that begins at 20 holds ten of them.
    write_input(folder.path(), 0, 50);
    run(folder.path(), &counts).await.unwrap();
    let changed = Query {
        select: "SELECT window_start, count(*) AS n \
                 FROM tumble(orders, ts, INTERVAL '10 seconds') WHERE amount >= 0 \
                 GROUP BY window_start, window_end",
        ..counts.clone()
    };
    let dropping = Query {
        options: ", 'checkpoint.allow-state-drop' = 'true'",
        ..changed.clone()
    };
    write_input(folder.path(), 50, 55);
    run(folder.path(), &dropping).await.unwrap();
    // From here on the changed query is the query: five rows were counted, and they are kept.
    write_input(folder.path(), 55, 100);
    run(folder.path(), &changed).await.unwrap();
    let error = run(folder.path(), &counts).await.unwrap_err();
    assert!(error.message().contains("the filter ("), "{error}");
    let expected = [
        "{\"window_start\":\"2026-01-01T00:00:00Z\",\"n\":20}",
        "{\"window_start\":\"2026-01-01T00:00:10Z\",\"n\":20}",
        "{\"window_start\":\"2026-01-01T00:00:20Z\",\"n\":10}",
        "{\"window_start\":\"2026-01-01T00:00:30Z\",\"n\":20}",
    ];
    assert_eq!(sums(folder.path()), expected);
}
