//! The topics of a job: filled before it runs, and read as a reader of committed rows sees them.

use std::time::Duration;

use headwater::kafka::{KafkaConnection, create_topic};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::kafka::fresh_topic;

const PARTITIONS: i32 = 1;
const PATIENCE: Duration = Duration::from_secs(30);

/// A new topic without a record.
pub(super) fn empty(servers: &str, name: &str) -> String {
    let topic = fresh_topic(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let connection = KafkaConnection::new(servers);
    let created = create_topic(&connection, &topic, PARTITIONS, Some(1));
    runtime.block_on(created).unwrap();
    topic
}

/// A new topic that holds these lines, in order.
pub(super) fn filled(servers: &str, name: &str, lines: &[String]) -> String {
    let topic = empty(servers, name);
    let producer: BaseProducer = config(servers)
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    for line in lines {
        let record: BaseRecord<'_, (), String> = BaseRecord::to(&topic).payload(line);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    topic
}

/// The values in a topic, without those of open or aborted transactions; keys stand before them.
pub(super) fn committed(servers: &str, topic: &str) -> Vec<String> {
    let consumer: BaseConsumer = config(servers)
        .set("group.id", "crash-reader")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        let added = assignment.add_partition_offset(topic, partition, Offset::Beginning);
        added.unwrap();
    }
    consumer.assign(&assignment).unwrap();
    let (mut values, mut ended) = (Vec::new(), 0);
    while ended < PARTITIONS {
        match consumer.poll(PATIENCE) {
            Some(Ok(message)) => {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let value = message
                    .payload()
                    .map_or_else(|| "is gone".to_string(), text);
                values.push(match message.key() {
                    Some(key) => format!("{}: {value}", text(key)),
                    None => value,
                });
            }
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => panic!("topic {topic}: {error}"),
            None => panic!("topic {topic} cannot be read to its end"),
        }
    }
    values
}

fn is_passing(error: &KafkaError) -> bool {
    let passing = [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
    ];
    error
        .rdkafka_error_code()
        .is_some_and(|code| passing.contains(&code))
}

fn config(servers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers);
    config
}
