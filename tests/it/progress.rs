//! What the progress of a query says of its sources: where an epoch began and ended, how far the
//! log goes, and how far behind every partition is.

use headwater::{EpochProgress, Headwater, Offsets, Partition, StreamingQuery};

use crate::kafka::{Cluster, orders, produce};

fn at(topic: &str, offsets: [i64; 2]) -> Offsets {
    let each = offsets.into_iter().enumerate();
    each.map(|(index, offset)| (Partition::new(topic, index as i32), offset))
        .collect()
}

/// A query over a topic with 30 records in one partition and 6 in the other, 12 records an epoch.
async fn epochs_of_a_topic(cluster: &Cluster, topic: &str) -> Vec<EpochProgress> {
    produce(&cluster.servers, topic, 0, orders(0, 30)).await;
    produce(&cluster.servers, topic, 1, orders(30, 36)).await;
    let session = Headwater::builder().build().unwrap();
    let declare = format!(
        "CREATE SOURCE t (id BIGINT) WITH (connector = 'kafka', topic = '{topic}', \
           'bootstrap.servers' = '{}', 'max.records.per.epoch' = 12) FORMAT JSON; \
         CREATE SINK out WITH (connector = 'blackhole')",
        cluster.servers
    );
    session.sql(&declare).await.unwrap();
    let text = "INSERT INTO out SELECT id FROM t";
    let spec = session.prepare(text, None).await.unwrap();
    let query = StreamingQuery::start(spec).await.unwrap();
    query.process_all_available().await.unwrap();
    query.stop().await.unwrap();
    query.recent_progress()
}

#[tokio::test]
async fn every_partition_has_its_start_its_end_and_its_lag() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("lag", 2).await;
    let epochs = epochs_of_a_topic(&cluster, &topic).await;
    let mut position = at(&topic, [0, 0]);
    let end = at(&topic, [30, 6]);
    for progress in &epochs {
        let source = &progress.sources[0];
        assert_eq!(source.slice.start, position);
        assert!(source.rows_in <= 12, "{source:?}");
        assert_eq!(source.latest, Some(end.clone()));
        position = source.slice.end.clone();
        let behind = |index: usize| {
            let partition = Partition::new(topic.as_str(), index as i32);
            end.get(&partition).unwrap() - position.get(&partition).unwrap()
        };
        let lags = [behind(0), behind(1)];
        assert_eq!(source.lag_by_partition, Some(at(&topic, lags)));
        assert_eq!(source.lag, Some(lags[0] + lags[1]));
        assert_eq!(source.lag_max, lags.iter().max().copied());
        assert_eq!(source.lag_min, lags.iter().min().copied());
        assert_eq!(source.lag_mean, Some((lags[0] + lags[1]) as f64 / 2.0));
    }
    assert_eq!(position, end);
    let total: u64 = epochs.iter().map(|progress| progress.rows_in).sum();
    assert_eq!(total, 36);
    // Nothing was held back but by the option.
    assert!(epochs.iter().all(|progress| progress.intake_max.is_none()));
}
