//! `INSERT INTO` of rows that are there: written once, before the next statement.

use headwater::Headwater;

use crate::command::Dir;
use crate::kafka::{Cluster, rows};

#[tokio::test]
async fn the_next_statement_reads_what_was_inserted() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("inserted", 2).await;
    let dir = Dir::new();
    let hw = Headwater::builder().build().unwrap();
    // Rows that are written once have nothing to go on with.
    let checkpoints = dir.path().join("checkpoints");
    hw.set("checkpoint", checkpoints.to_str().unwrap()).unwrap();
    let with = format!(
        "(id BIGINT, name VARCHAR) WITH (connector = 'kafka', topic = '{topic}',
          'bootstrap.servers' = '{}') FORMAT JSON",
        cluster.servers
    );
    hw.sql(&format!("CREATE SINK into_topic {with}"))
        .await
        .unwrap();
    hw.sql(&format!("CREATE SOURCE from_topic {with}"))
        .await
        .unwrap();
    let insert = "INSERT INTO into_topic VALUES (1, 'a'), (2, NULL)";
    let said = format!("{:?}", hw.sql(insert).await.unwrap());
    assert!(said.contains("2 rows written"), "{said}");
    hw.sql("CREATE TABLE more AS VALUES (3, 'c')")
        .await
        .unwrap();
    hw.sql("INSERT INTO into_topic SELECT * FROM more WHERE column1 > 2")
        .await
        .unwrap();
    assert_eq!(
        rows(&hw, "SELECT id, name FROM from_topic").await,
        ["1 a", "2 ", "3 c"]
    );
    assert!(!checkpoints.exists());
    assert!(hw.queries().all().is_empty());
    let plan = rows(&hw, &format!("EXPLAIN {insert}")).await;
    assert!(plan.concat().contains("DataSourceExec"), "{plan:?}");
}

#[tokio::test]
async fn what_goes_wrong_is_the_statements_error() {
    let dir = Dir::new();
    dir.create("file", "in the way");
    let path = dir.path().join("file");
    let hw = Headwater::builder().build().unwrap();
    hw.sql(&format!(
        "CREATE SINK s (id BIGINT) WITH (connector = 'filesystem', path = '{}') FORMAT JSON",
        path.display()
    ))
    .await
    .unwrap();
    let insert = "INSERT INTO s VALUES (1)";
    let error = hw.sql(insert).await.unwrap_err();
    let report = error.report("it", None);
    assert!(report.contains("file"), "{report}");
    assert!(hw.queries().all().is_empty());
    // What the sink says when it writes.
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("inserted", 1).await;
    hw.sql(&format!(
        "CREATE SINK k (text VARCHAR) WITH (connector = 'kafka', topic = '{topic}',
          'bootstrap.servers' = '{}') FORMAT JSON",
        cluster.servers
    ))
    .await
    .unwrap();
    let long = "INSERT INTO k SELECT repeat('x', 3000000) AS text";
    let error = hw.sql(long).await.unwrap_err();
    let report = error.report("it", None);
    assert!(report.contains("k"), "{report}");
    assert!(hw.queries().all().is_empty());
    let error = hw.sql("INSERT INTO s VALUES ('x')").await.unwrap_err();
    let report = error.report("it", None);
    assert!(report.contains("BIGINT"), "{report}");
}

#[tokio::test]
async fn what_is_said_of_streams_is_not_said_of_rows() {
    let hw = Headwater::builder().build().unwrap();
    for statement in [
        "CREATE SINK s (id BIGINT) WITH (connector = 'memory')",
        "CREATE SINK late (id BIGINT) WITH (connector = 'memory')",
        "CREATE SOURCE t (id BIGINT) WITH (connector = 'memory')",
        "CREATE TABLE rows AS VALUES (1), (2), (2)",
        "SET 'output-mode' = 'complete'",
        "SET trigger = '1 hour'",
        "INSERT INTO s SELECT count(*) FROM rows GROUP BY column1",
    ] {
        hw.sql(statement).await.unwrap();
    }
    hw.sql("SET 'output-mode' = 'append'").await.unwrap();
    hw.sql("INSERT INTO s SELECT id FROM t").await.unwrap();
    // Beside a query that has the name.
    hw.sql("INSERT INTO s VALUES (7)").await.unwrap();
    let sink = hw.memory_sink("s").unwrap();
    let rows: usize = sink.rows().iter().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, 3);
    for clause in ["EMIT ON WINDOW CLOSE", "LATE ROWS INTO late"] {
        let error = hw.sql(&format!("INSERT INTO s VALUES (1) {clause}")).await;
        let report = error.unwrap_err().report("it", None);
        let expected = "belongs to a query that reads a source";
        assert!(report.contains(expected), "{report}");
    }
}

/// More rows than are held at a time, and a statement that is given up.
#[tokio::test]
async fn a_large_insert_is_whole_and_one_given_up_ends() {
    let hw = Headwater::builder().build().unwrap();
    let many = "INSERT INTO s SELECT value AS id, repeat('x', 100) AS text FROM range(500000)";
    hw.sql("CREATE SINK s (id BIGINT, text VARCHAR) WITH (connector = 'blackhole')")
        .await
        .unwrap();
    let said = format!("{:?}", hw.sql(many).await.unwrap());
    assert!(said.contains("500000 rows"), "{said}");
    let queries = hw.queries().clone();
    let is_running = async {
        while queries.all().is_empty() {
            tokio::task::yield_now().await;
        }
        queries.all().remove(0)
    };
    let query = tokio::select! {
        biased;
        query = is_running => query,
        _ = hw.sql(many) => panic!("it was not given up"),
    };
    assert!(hw.queries().all().is_empty());
    query.await_termination().await.unwrap();
}
