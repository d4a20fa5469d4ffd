//! The topics of the job: made before it runs, and read as a reader of committed rows sees them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

/// A new topic without a record. Every run has its own.
pub(crate) fn empty(servers: &str, name: &str, partitions: i32) -> String {
    static TOPICS: AtomicU32 = AtomicU32::new(0);
    let number = TOPICS.fetch_add(1, Ordering::Relaxed);
    let topic = format!("{name}-{}-{number}", std::process::id());
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .create()
        .unwrap();
    let new = NewTopic::new(&topic, partitions, TopicReplication::Fixed(1));
    let options = AdminOptions::new();
    let created = futures::executor::block_on(admin.create_topics([&new], &options)).unwrap();
    created.into_iter().for_each(|one| {
        one.unwrap();
    });
    topic
}

/// The values in partition 0 of a topic, without those of open or aborted transactions: at least
/// so many, if they come in time, and what follows them for some seconds.
#[expect(
    clippy::disallowed_methods,
    reason = "a test of load waits for other processes in real time"
)]
pub(crate) fn committed(servers: &str, topic: &str, least: usize, time: Duration) -> Vec<String> {
    const FOLLOWS: Duration = Duration::from_secs(3);
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "load-reader")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut assignment = TopicPartitionList::new();
    let added = assignment.add_partition_offset(topic, 0, Offset::Beginning);
    added.unwrap();
    consumer.assign(&assignment).unwrap();
    let mut values = Vec::new();
    let (started, mut newest) = (Instant::now(), Instant::now());
    loop {
        match consumer.poll(Duration::from_millis(200)) {
            Some(Ok(message)) => {
                let payload = message.payload().unwrap_or_default();
                values.push(String::from_utf8(payload.to_vec()).unwrap());
                newest = Instant::now();
            }
            // What passes is tried again by the client; what does not, leaves too few rows.
            Some(Err(_)) | None => {
                let is_over = values.len() >= least && newest.elapsed() > FOLLOWS;
                if is_over || started.elapsed() > time {
                    return values;
                }
            }
        }
    }
}
