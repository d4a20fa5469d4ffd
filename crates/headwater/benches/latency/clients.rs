//! The Kafka clients: those of the relay have the settings that those of the queries have.

use headwater::Result;
use headwater::kafka::{KafkaConnection, create_topic};
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{DefaultProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;

use crate::broken;

/// Of every topic.
pub(crate) const PARTITIONS: i32 = 4;
/// Milliseconds that a broker may wait for records before it answers a consumer.
pub(crate) const FETCH_WAIT_MS: &str = "5";
/// Milliseconds that a message waits for others to be sent with it.
pub(crate) const LINGER_MS: &str = "0";

/// A producer that serves its deliveries by itself.
pub(crate) type Producer = ThreadedProducer<DefaultProducerContext>;

/// Where the topics are.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    bootstrap: String,
}

impl Cluster {
    pub(crate) fn new(bootstrap: &str) -> Self {
        Cluster {
            bootstrap: bootstrap.to_string(),
        }
    }

    pub(crate) fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    pub(crate) async fn create_topic(&self, topic: &str) -> Result<()> {
        let connection = KafkaConnection::new(&self.bootstrap);
        create_topic(&connection, topic, PARTITIONS, Some(1)).await
    }

    /// A consumer of all partitions of a topic, from their first record, as a source has it.
    pub(crate) fn consumer(&self, topic: &str) -> Result<BaseConsumer> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("group.id", "headwater-latency")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("isolation.level", "read_committed")
            .set("fetch.queue.backoff.ms", "5")
            .set("fetch.wait.max.ms", FETCH_WAIT_MS);
        let consumer: BaseConsumer = config.create().map_err(|e| broken("read", &e))?;
        let mut partitions = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            let added = partitions.add_partition_offset(topic, partition, Offset::Beginning);
            added.map_err(|e| broken("read", &e))?;
        }
        consumer
            .assign(&partitions)
            .map_err(|e| broken("read", &e))?;
        Ok(consumer)
    }

    /// A producer as a sink has it.
    pub(crate) fn producer(&self) -> Result<Producer> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("partitioner", "murmur2_random")
            .set("linger.ms", LINGER_MS);
        config.create().map_err(|e| broken("write", &e))
    }
}
