//! Tables in streaming queries: which operators keep them, and when they are read again.

use std::path::Path;

use headwater_testkit::session::Answer;
use headwater_testkit::text_rows::{sorted, text_rows};
use headwater_testkit::{RunMode, TestSession};

async fn session() -> TestSession {
    let mut session = TestSession::try_new(RunMode::Straight, 2).unwrap();
    for statement in [
        "CREATE SOURCE t (k VARCHAR, v BIGINT) WITH (connector = 'memory')",
        "CREATE TABLE names (k VARCHAR, name VARCHAR, low BIGINT) AS VALUES ('a', 'Anna', 0)",
        "CREATE SINK out WITH (connector = 'memory')",
    ] {
        session.run(statement).await.unwrap();
    }
    session
}

/// Rows of an answer, each as one line.
async fn lines(session: &mut TestSession, text: &str) -> Vec<String> {
    let answer = session.run(text).await;
    match answer.unwrap_or_else(|e| panic!("{}", e.report(text, Some(text)))) {
        Answer::Rows(_, rows) => {
            let rows = sorted(text_rows(&rows).unwrap());
            rows.iter().map(|row| format!("{row:?}")).collect()
        }
        Answer::Lines(lines) => lines,
        Answer::Done => vec![],
    }
}

/// DataFusion's joins would make their hash table, or collect rows, in every epoch.
#[tokio::test]
async fn every_join_of_a_stream_with_a_table_keeps_the_table() {
    let mut session = session().await;
    for select in [
        "SELECT t.k, name FROM t JOIN names ON t.k = names.k AND v > low",
        "SELECT t.k, name FROM names RIGHT JOIN t ON lower(t.k) = lower(names.k)",
        "SELECT t.k, name FROM names CROSS JOIN t",
        "SELECT t.k, name FROM t LEFT JOIN names ON v > low",
        "SELECT k FROM t WHERE k IN (SELECT k FROM names) OR k IN (SELECT name FROM names)",
        "SELECT k FROM t WHERE k NOT IN (SELECT k FROM names)",
        "SELECT k FROM t WHERE NOT EXISTS (SELECT 1 FROM names WHERE names.k = t.k AND low < v)",
        "SELECT k, (SELECT max(low) FROM names WHERE names.k = t.k) AS m FROM t",
    ] {
        let select = select.replacen("SELECT", "SELECT STREAM", 1);
        let plan = lines(&mut session, &format!("EXPLAIN {select}")).await;
        let plan = plan.join("\n");
        assert!(plan.contains("TableJoinExec"), "{plan}");
        for other in ["HashJoinExec", "NestedLoopJoinExec", "CrossJoinExec"] {
            assert!(!plan.contains(other), "{plan}");
        }
        assert!(!plan.contains("StaticRowsExec"), "kept twice: {plan}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a file of a table, which is not part of a checkpoint"
)]
fn write(folder: &Path, file: &str, rows: &str) {
    std::fs::write(folder.join(file), rows).unwrap();
}

/// A table of files is found anew: a file that was not there is read too.
#[tokio::test]
async fn a_table_of_files_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "one.csv", "a,1\nb,2\n");
    let mut session = session().await;
    let location = folder.path().display();
    for statement in [
        &format!(
            "CREATE EXTERNAL TABLE prices (k VARCHAR, price BIGINT) STORED AS CSV
             LOCATION '{location}/' OPTIONS ('format.has_header' 'false')"
        ),
        "CREATE STREAMING QUERY q WITH ('table.refresh' = '1 hour') AS INSERT INTO out
         SELECT t.k, price FROM t JOIN prices ON t.k = prices.k",
        "FEED t VALUES ('b', 0), ('c', 0)",
    ] {
        session.run(statement).await.unwrap();
    }
    let first = lines(&mut session, "EPOCH q").await;
    assert_eq!(first.len(), 1, "{first:?}");
    write(folder.path(), "two.csv", "c,3\n");
    session.run("FEED t VALUES ('c', 0)").await.unwrap();
    assert!(lines(&mut session, "EPOCH q").await.is_empty(), "not yet");
    session.run("CLOCK +1h").await.unwrap();
    session
        .run("FEED t VALUES ('b', 0), ('c', 0)")
        .await
        .unwrap();
    let later = lines(&mut session, "EPOCH q").await;
    assert_eq!(later.len(), 2, "{later:?}");
}
