//! Topics from the command line: list them, make one, write lines to one.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::Clock;
use headwater_core::offset::Partition;
use headwater_core::{Error, Result};
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;

use crate::admin_client;
use crate::client::KafkaConnection;
use crate::cluster::{ANSWER_TIMEOUT, Cluster, ask};
use crate::delivery::{Deliveries, Row, RowProducer};
use crate::topics::TopicChoice;

const OWNER: &str = "the command";

/// A topic and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Its partitions, in order.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition and the offsets it holds: `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Its number.
    pub index: i32,
    /// The first offset.
    pub start: i64,
    /// The offset after the last committed record.
    pub end: i64,
}

/// All topics of a cluster, ordered by name.
///
/// # Errors
/// If the cluster cannot be reached, naming its address.
pub async fn list_topics(connection: &KafkaConnection) -> Result<Vec<TopicInfo>> {
    let cluster = Cluster::connect(OWNER, connection)?;
    ask(&cluster, describe_topics).await
}

fn describe_topics(cluster: &Cluster) -> Result<Vec<TopicInfo>> {
    let topics = cluster.topics()?;
    let partitions: Vec<Partition> = topics
        .iter()
        .flat_map(|(name, count)| {
            let stream: Arc<str> = name.as_str().into();
            (0..*count).map(move |index| Partition::new(Arc::clone(&stream), index))
        })
        .collect();
    let held = cluster.held(&partitions)?;
    let info = |partition: &Partition| PartitionInfo {
        index: partition.index,
        start: held.start.get(partition).unwrap_or(0),
        end: held.end.get(partition).unwrap_or(0),
    };
    let mut found: Vec<TopicInfo> = topics
        .into_iter()
        .map(|(name, _)| TopicInfo {
            name,
            partitions: Vec::new(),
        })
        .collect();
    for partition in &partitions {
        if let Some(topic) = found
            .iter_mut()
            .find(|topic| topic.name == *partition.stream)
        {
            topic.partitions.push(info(partition));
        }
    }
    Ok(found)
}

/// Makes a topic; `replicas` of `None` takes the broker's default.
///
/// # Errors
/// If it exists, or the broker refuses. The development broker cannot make topics on request:
/// name them when it starts.
pub async fn create_topic(
    connection: &KafkaConnection,
    topic: &str,
    partitions: i32,
    replicas: Option<i32>,
) -> Result<()> {
    // Who cannot come in hears why from this client; the other one would only wait.
    let cluster = Cluster::connect(OWNER, connection)?;
    ask(&cluster, |cluster| cluster.topics()).await?;
    let client = admin_client::connect(OWNER, connection).await?;
    let wanted = NewTopic::new(
        topic,
        partitions,
        TopicReplication::Fixed(replicas.unwrap_or(-1)),
    );
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
    let failed = |reason: String| {
        Error::source_failed(format!(
            "could not create topic \"{topic}\" on broker {}: {reason}",
            connection.servers()
        ))
        .with_hint(
            "A development broker makes topics when it starts: `headwater dev-broker --topic \
             name:partitions`.",
        )
    };
    let results = client.create_topics([&wanted], &options).await;
    admin_client::end(client).await;
    let results = results.map_err(|error| failed(error.to_string()))?;
    match results.into_iter().next() {
        Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Err(Error::configuration(format!(
            "topic \"{topic}\" exists already"
        ))),
        Some(Err((_, code))) => Err(failed(code.to_string())),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// Writes messages, given as optional key and value, and waits until all are safe. They go to
/// `partition`, or to the one their keys choose; `rate` bounds the messages per second. Returns
/// how many there were.
///
/// # Errors
/// If the topic does not exist, or a message could not be delivered.
pub async fn produce_lines(
    connection: &KafkaConnection,
    topic: &str,
    partition: Option<i32>,
    messages: impl Iterator<Item = (Option<Vec<u8>>, Vec<u8>)> + Send,
    rate: Option<f64>,
    clock: &dyn Clock,
) -> Result<u64> {
    let cluster = Cluster::connect(OWNER, connection)?;
    let choice = TopicChoice::Named(vec![topic.to_string()]);
    let known = ask(&cluster, move |cluster| cluster.partitions(&choice)).await?;
    if let Some(wanted) = partition
        && !known.iter().any(|p| p.index == wanted)
    {
        let count = known.len();
        return Err(
            Error::configuration(format!("topic \"{topic}\" has no partition {wanted}"))
                .with_detail(format!("It has {count}, numbered from 0.")),
        );
    }
    let producer = Arc::new(RowProducer::connect(OWNER, connection)?);
    let deliveries = Arc::new(Deliveries::default());
    let started = clock.elapsed();
    let mut sent: u64 = 0;
    for (key, value) in messages {
        if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
            let due = started + Duration::from_secs_f64(sent as f64 / rate);
            let now = clock.elapsed();
            if due > now {
                clock.sleep(due - now).await;
            }
        }
        let row = Row {
            partition,
            key: key.as_deref(),
            value: Some(&value),
            headers: &[],
        };
        producer.send(topic, row, &deliveries).await?;
        sent += 1;
    }
    deliveries.settle().await;
    deliveries.check(topic)?;
    Ok(sent)
}
