//! Partitions that appear while a source is read: those that are added to a topic, and those of
//! topics that come to match a pattern.

use headwater_core::offset::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use crate::client::ClientEvents;
use crate::cluster::ANSWER_TIMEOUT;
use crate::reader::Shared;
use crate::topics::TopicChoice;

/// Adds the partitions of a choice that are not read yet. What cannot be looked up hides nothing
/// else, and is looked up again the next time.
pub(crate) fn look_for_partitions(
    client: &BaseConsumer<ClientEvents>,
    choice: &TopicChoice,
    shared: &Shared,
) {
    let names: Vec<Option<&str>> = match choice {
        TopicChoice::Named(topics) => topics.iter().map(|topic| Some(topic.as_str())).collect(),
        // All topics there are.
        TopicChoice::Matching(_) => vec![None],
        TopicChoice::Assigned(_) => vec![],
    };
    for name in names {
        if let Err(error) = look_at(client, name, choice, shared) {
            tracing::debug!(topic = name, %error, "could not look for new partitions");
        }
    }
}

fn look_at(
    client: &BaseConsumer<ClientEvents>,
    name: Option<&str>,
    choice: &TopicChoice,
    shared: &Shared,
) -> Result<(), KafkaError> {
    let metadata = client.fetch_metadata(name, ANSWER_TIMEOUT)?;
    let chosen = metadata
        .topics()
        .iter()
        .filter(|t| choice.includes(t.name()));
    let found = chosen.flat_map(|t| t.partitions().iter().map(move |p| (t.name(), p.id())));
    let mut failed = Ok(());
    for (topic, index) in found {
        let partition = Partition::new(topic, index);
        if shared.buffers.read().contains_key(&partition) {
            continue;
        }
        match client.fetch_watermarks(topic, index, ANSWER_TIMEOUT) {
            Ok((start, _)) => {
                tracing::info!(%partition, start, "kafka topic has a new partition");
                shared.add_appeared(partition, start);
            }
            Err(error) => failed = Err(error),
        }
    }
    failed
}
