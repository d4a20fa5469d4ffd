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
    let error = hw.sql("INSERT INTO s VALUES ('x')").await.unwrap_err();
    let report = error.report("it", None);
    assert!(report.contains("BIGINT"), "{report}");
}
