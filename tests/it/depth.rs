//! Long chains of operators, in one SELECT and through many: those within the limit run, as a stream
//! and as a bounded read, and those beyond it are refused. A test has a stack of 2 MiB, as Tokio gives it to its threads.

use headwater::{ErrorKind, Headwater};
use headwater_testkit::oracle::check_oracle;
use headwater_testkit::{RunMode, TestSession};

/// As many operands as the parser lets through.
const OPERANDS: usize = 300;

fn chain(part: impl Fn(usize) -> String, between: &str, n: usize) -> String {
    let parts: Vec<String> = (0..n).map(part).collect();
    parts.join(between)
}

fn longest(n: usize) -> Vec<String> {
    let equals = |i| format!("v = {i}");
    let both = |i| format!("(v = {i} AND k = 'k{i}')");
    vec![
        format!(
            "SELECT {} AS x FROM t",
            chain(|i| format!("v % {}", i + 1), " + ", n / 2)
        ),
        format!(
            "SELECT {} AS x FROM t",
            chain(|_| "v".to_string(), " + ", n)
        ),
        format!(
            "SELECT {} AS x FROM t",
            chain(|_| "k".to_string(), " || ", n)
        ),
        format!("SELECT v FROM t WHERE {}", chain(equals, " OR ", n - 1)),
        format!("SELECT v FROM t WHERE {}", chain(both, " OR ", n - 2)),
        format!(
            "SELECT v FROM t WHERE {}",
            chain(|i| format!("v <> {i}"), " AND ", n - 1)
        ),
        format!(
            "SELECT v{} AS x FROM t",
            "::INT::BIGINT".repeat((n - 1) / 2)
        ),
        chain(|i| format!("SELECT {i} AS i, v FROM t"), " UNION ALL ", n),
    ]
}

/// A SELECT over SELECTs over each other, each made from its number and the name of the one below.
fn levels(n: usize, select: impl Fn(usize, &str) -> String) -> String {
    let name = |i| {
        if i == 0 {
            "t".to_string()
        } else {
            format!("c{i}")
        }
    };
    let cte = |i| format!("{} AS ({})", name(i + 1), select(i, &name(i)));
    format!("WITH {} SELECT v FROM c{n}", chain(cte, ", ", n))
}

fn sums(n: usize, operators: usize) -> String {
    let more = |i: usize| chain(|_| format!(" + {i}"), "", operators);
    levels(n, |i, below| {
        format!("SELECT k, v{} AS v FROM {below}", more(i))
    })
}

fn conditions(n: usize, operators: usize) -> String {
    let all = |i: usize| chain(|j| format!("v <> {}", 1_000 * i + j), " AND ", operators);
    levels(n, |i, below| {
        format!("SELECT k, v FROM {below} WHERE {}", all(i))
    })
}

async fn runs_everywhere(select: &str) {
    let start: String = select.chars().take(60).collect();
    let mut session = TestSession::try_new(RunMode::Straight, 2).unwrap();
    let create = format!("CREATE STREAMING QUERY q AS INSERT INTO out {select}");
    for statement in [
        "CREATE SOURCE t (k VARCHAR, v BIGINT) WITH (connector = 'memory')",
        "CREATE SINK out WITH (connector = 'memory')",
        create.as_str(),
        "FEED t VALUES ('k1', 1), ('k2', 2), ('k3', NULL), (NULL, 4000)",
    ] {
        let done = session.run(statement).await;
        done.unwrap_or_else(|e| panic!("{}", e.report(&start, None)));
    }
    session.run_to_end("q").await.unwrap();
    check_oracle(&mut session).await.unwrap();
}

#[tokio::test]
async fn chains_within_the_limit_run() {
    for select in longest(OPERANDS) {
        runs_everywhere(&select).await;
    }
}

#[tokio::test]
async fn levels_within_the_limit_run() {
    for select in [
        sums(39, 10),
        conditions(39, 10),
        levels(300, |i, below| {
            format!("SELECT k, v FROM {below} WHERE v <> {i}")
        }),
        levels(50, |_, below| format!("SELECT DISTINCT k, v FROM {below}")),
        levels(100, |i, below| {
            format!("SELECT * FROM {below} UNION ALL SELECT 'new', {i} FROM t")
        }),
    ] {
        runs_everywhere(&select).await;
    }
}

#[tokio::test]
async fn levels_beyond_it_are_refused() {
    let session = Headwater::builder().build().unwrap();
    let create = "CREATE SOURCE t (k VARCHAR, v BIGINT) WITH (connector = 'memory')";
    session.sql(create).await.unwrap();
    let doubled =
        |_: usize, below: &str| format!("SELECT * FROM {below} UNION ALL SELECT * FROM {below}");
    for (select, refused) in [
        (sums(40, 250), "more than 400 operators in a row"),
        (sums(2, 250), "more than 400 operators in a row"),
        (conditions(20, 250), "more than 400 operators in a row"),
        (conditions(250, 2), "more than 400 operators in a row"),
        (
            levels(600, |_, below| format!("SELECT k, v FROM {below}")),
            "more than 1000 steps on each other",
        ),
        (
            levels(60, |_, below| format!("SELECT DISTINCT k, v FROM {below}")),
            "more than 50 joins, groupings",
        ),
        (levels(10, doubled), "more than 1000 tables in one query"),
        (levels(200, doubled), "more than 1000 tables in one query"),
    ] {
        let error = session.sql(&select).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.message().starts_with(refused), "{error}");
    }
    let select = sums(2, 250);
    for statement in [
        format!("EXPLAIN {select}"),
        format!("CREATE VIEW w AS {select}"),
        select.replacen("SELECT v", "SELECT STREAM v", 1),
    ] {
        let error = session.sql(&statement).await.unwrap_err();
        assert!(error.message().starts_with("more than 400"), "{error}");
    }
    // Each level of views is a text of its own, and the plan of all of them is one.
    let many = chain(|_| "SELECT * FROM t".to_string(), " UNION ALL ", 300);
    session
        .sql(&format!("CREATE VIEW u0 AS {many}"))
        .await
        .unwrap();
    let many = chain(|_| "SELECT * FROM u0".to_string(), " UNION ALL ", 100);
    let error = session
        .sql(&format!("CREATE VIEW u1 AS {many}"))
        .await
        .unwrap_err();
    assert!(
        error.message().starts_with("more than 20000 steps in all"),
        "{error}"
    );
    let view = |name: &str, below: &str| {
        let sum = chain(|_| "v".to_string(), " + ", 250);
        format!("CREATE VIEW {name} AS SELECT {sum} AS v FROM {below}")
    };
    session.sql(&view("once", "t")).await.unwrap();
    let error = session.sql(&view("twice", "once")).await.unwrap_err();
    assert!(error.message().starts_with("more than 400"), "{error}");
}

#[tokio::test]
async fn lists_have_no_limit() {
    let list = chain(|i| (2 * i).to_string(), ", ", 5_000);
    runs_everywhere(&format!("SELECT v FROM t WHERE v IN ({list})")).await;
    runs_everywhere(&format!("SELECT v FROM t WHERE v NOT IN ({list})")).await;
    let cases = chain(|i| format!("WHEN v = {i} THEN '{i}'"), " ", 500);
    runs_everywhere(&format!("SELECT CASE {cases} END AS x FROM t")).await;
}

#[tokio::test]
async fn chains_beyond_it_are_refused() {
    let session = Headwater::builder().build().unwrap();
    for select in longest(20_000) {
        for statement in [
            select.clone(),
            select.replacen("SELECT", "SELECT STREAM", 1),
            format!("EXPLAIN {select}"),
            format!("CREATE VIEW w AS {select}"),
            format!("CREATE STREAMING QUERY q AS INSERT INTO out {select}"),
        ] {
            let error = session.sql(&statement).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().starts_with("more than 300"), "{error}");
        }
    }
}
