//! Queries of one session over one topic: they fetch it side by side, and each has its rows once,
//! whatever becomes of the others.

use headwater::{Headwater, StreamingQuery};

use crate::kafka::{Cluster, orders, produce, source};

/// Records that are written in a round.
const RECORDS: u32 = 40;

/// Starts a query into a sink of its own, with a folder to go on from.
async fn start(session: &Headwater, name: &str, folder: &std::path::Path) -> StreamingQuery {
    let checkpoint = folder.join(name);
    let text = format!(
        "CREATE STREAMING QUERY {name} WITH (trigger = 'asap', checkpoint = '{}') AS \
         INSERT INTO {name} SELECT id FROM orders",
        checkpoint.display()
    );
    let outcome = session.sql(&text).await.unwrap();
    outcome.into_query().unwrap()
}

fn rows_of(session: &Headwater, name: &str) -> usize {
    let rows = session.memory_sink(name).unwrap().rows();
    rows.iter().map(|batch| batch.num_rows()).sum()
}

#[tokio::test]
async fn queries_over_one_topic_have_every_row_once() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("side-by-side", 2).await;
    let folder = tempfile::tempdir().unwrap();
    let session = Headwater::builder().build().unwrap();
    let declare = source("orders", &cluster.servers, &topic);
    let sinks = ["a", "b", "c"].map(|name| {
        format!("CREATE SINK {name} (id BIGINT, PRIMARY KEY (id)) WITH (connector = 'memory');")
    });
    let declare = format!("{declare} {}", sinks.join(" "));
    session.sql(&declare).await.unwrap();
    let mut queries = vec![
        start(&session, "a", folder.path()).await,
        start(&session, "b", folder.path()).await,
    ];
    for round in 0..12 {
        let from = round * RECORDS;
        for partition in 0..2 {
            let half = RECORDS / 2;
            let begin = from + partition * half;
            let partition = i32::try_from(partition).unwrap();
            let lines = orders(begin, begin + half);
            produce(&cluster.servers, &topic, partition, lines).await;
        }
        match round {
            // One stops, and goes on some rounds later; another begins at the first record.
            4 => queries.remove(0).stop().await.unwrap(),
            6 => queries.push(start(&session, "c", folder.path()).await),
            8 => {
                session.sql("DROP STREAMING QUERY a").await.unwrap();
                queries.push(start(&session, "a", folder.path()).await);
            }
            _ => {}
        }
        for query in &queries {
            query.process_all_available().await.unwrap();
            let expected = ((round + 1) * RECORDS) as usize;
            assert_eq!(
                rows_of(&session, query.name()),
                expected,
                "{}",
                query.name()
            );
        }
    }
    for query in &queries {
        query.stop().await.unwrap();
    }
    // The sinks keep one row for a key; one that has not begun anew also read each once.
    let never_stopped = queries.iter().find(|query| query.name() == "b").unwrap();
    let rows_in = never_stopped.status().totals.rows_in;
    assert_eq!(rows_in, u64::from(12 * RECORDS));
}
