//! The first epoch of a query that begins at the end of a topic: where that is, is decided once.

use std::time::{Duration, Instant};

use crate::command::Dir;
use crate::kafka::{Cluster, orders, produce};

const PATIENCE: Duration = Duration::from_secs(60);

const JOB: &str = "
CREATE SOURCE orders (symbol VARCHAR, amount BIGINT)
WITH (connector = 'kafka', topic = 'TOPIC', 'bootstrap.servers' = 'SERVERS', start = 'latest') FORMAT JSON;
CREATE SINK out (symbol VARCHAR, amount BIGINT)
WITH (connector = 'filesystem', path = 'DIR/out') FORMAT JSON;
CREATE STREAMING QUERY q WITH (checkpoint = 'DIR/checkpoint', 'checkpoint.interval' = '1 hour')
AS INSERT INTO out SELECT symbol, amount FROM orders;";

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for another process, which has no clock of the test's"
)]
async fn rows_after_latest_are_read_by_the_next_process_if_the_first_dies_before_a_commit() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("first-epoch", 1).await;
    let dir = Dir::new();
    let job = JOB.replace("TOPIC", &topic);
    let job = job.replace("SERVERS", &cluster.servers);
    let folder = dir.path().display().to_string();
    dir.create("job.sql", &job.replace("DIR", &folder));
    let mut first = dir.command(&["run", "job.sql", "-v"]).spawn();
    first.wait_for_stderr("query started");
    let record = dir.path().join("checkpoint/epochs/00000000.json");
    let started = Instant::now();
    let mut rows = 0;
    while !record.exists() {
        assert!(started.elapsed() < PATIENCE, "there is no first epoch");
        produce(&cluster.servers, &topic, 0, orders(rows, rows + 1)).await;
        rows += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    first.kill();
    assert_eq!(dir.lines_below("out"), Vec::<String>::new());
    let to_the_end = ["run", "job.sql", "--set", "trigger=available-now"];
    dir.command(&to_the_end).stdout();
    let read = dir.lines_below("out").len();
    assert!((1..=rows as usize).contains(&read), "{read} of {rows} rows");
}
