//! Streams of topics that end where they are told to: every row before the end comes out once, none
//! behind it does, and a restart ends at the same place.

use headwater::{Headwater, Result};

use crate::command::Dir;
use crate::kafka::{Cluster, orders, produce, rows, source};

/// Declares the topic with an end, runs the query to its own end, and gives what came out so far.
async fn run(cluster: &Cluster, topic: &str, dir: &Dir, end: &str) -> Vec<String> {
    try_run(cluster, topic, dir, end).await.unwrap()
}

async fn try_run(cluster: &Cluster, topic: &str, dir: &Dir, end: &str) -> Result<Vec<String>> {
    let hw = Headwater::builder().build().unwrap();
    let declared = source("orders", &cluster.servers, topic);
    let declared = declared.replace(
        "connector = 'kafka'",
        &format!("connector = 'kafka', start = 'earliest', 'end' = '{end}'"),
    );
    let (checkpoint, out) = (dir.path().join("checkpoint"), dir.path().join("out"));
    hw.sql(&format!(
        "{declared}
         CREATE SINK out WITH (connector = 'filesystem', path = '{}') FORMAT JSON",
        out.display()
    ))
    .await
    .unwrap();
    let query = hw
        .sql(&format!(
            "CREATE STREAMING QUERY q WITH (checkpoint = '{}', trigger = 'asap') AS INSERT INTO out
             SELECT symbol, window_start, count(*) AS n
             FROM tumble(orders, ts, INTERVAL '10 seconds') GROUP BY symbol, window_start",
            checkpoint.display()
        ))
        .await?
        .into_query()?;
    query.await_termination().await?;
    hw.sql(&format!(
        "CREATE SOURCE done (n BIGINT) WITH (connector = 'filesystem', path = '{}') FORMAT JSON",
        out.display()
    ))
    .await
    .unwrap();
    Ok(rows(&hw, "SELECT count(*), sum(n) FROM done").await)
}

#[tokio::test]
async fn a_stream_ends_where_it_is_told() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("ends", 2).await;
    produce(&cluster.servers, &topic, 0, orders(0, 30)).await;
    produce(&cluster.servers, &topic, 1, orders(0, 20)).await;
    let dir = Dir::new();
    // The last windows come out too, as the source has ended: three of partition 0, which hold those
    // of partition 1, for each of three symbols.
    assert_eq!(run(&cluster, &topic, &dir, "latest").await, ["9 50"]);
    produce(&cluster.servers, &topic, 0, orders(30, 60)).await;
    assert_eq!(run(&cluster, &topic, &dir, "latest").await, ["9 50"]);
    // Its windows are finished, so that it cannot go on behind its end.
    let later = format!("offsets:{{\"{topic}\":{{\"0\":60}}}}");
    let error = try_run(&cluster, &topic, &dir, &later).await.unwrap_err();
    let told = error.report("it", None);
    assert!(
        told.contains("another one than when the query was started"),
        "{told}"
    );
    assert!(told.contains("hint: Leave it as it was"), "{told}");
}

#[tokio::test]
async fn a_stream_ends_at_offsets() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("ends", 2).await;
    produce(&cluster.servers, &topic, 0, orders(0, 30)).await;
    produce(&cluster.servers, &topic, 1, orders(0, 20)).await;
    let end = format!("offsets:{{\"{topic}\":{{\"0\":12,\"1\":-2}}}}");
    let found = run(&cluster, &topic, &Dir::new(), &end).await;
    assert!(found[0].ends_with(" 12"), "{found:?}");
}
