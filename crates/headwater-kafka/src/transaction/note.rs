//! The note of the last committed epoch, which a transaction writes with its rows.
//!
//! It is an offset of a consumer group, because that is the one thing besides rows that a
//! transaction can hold: offset `epoch + 1` of partition 0 of the sink's topic, with the query and
//! the epoch as text beside it. No consumer reads from there; the group has no members.

use std::time::Duration;

use headwater_core::id::{EpochId, QueryId};
use headwater_core::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value, json};

use crate::client::{ClientEvents, KafkaConnection};

/// The partition of the sink's topic that has the note: every topic has this one.
const NOTE_PARTITION: i32 = 0;

/// A note as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    offset: i64,
    text: String,
}

/// Where the notes of a query are.
pub(crate) struct Notes {
    group: String,
    topic: String,
    query: QueryId,
    servers: String,
    client: BaseConsumer<ClientEvents>,
}

impl std::fmt::Debug for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notes")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl Notes {
    /// Makes the client; nothing is sent yet.
    pub(crate) fn connect(
        owner: &str,
        connection: &KafkaConnection,
        group: &str,
        topic: &str,
        query: &QueryId,
    ) -> Result<Notes> {
        let mut config = connection.consumer_config();
        config.set("group.id", group);
        let client = connection.consumer(owner, &config)?;
        Ok(Notes {
            group: group.to_string(),
            topic: topic.to_string(),
            query: query.clone(),
            servers: connection.servers().to_string(),
            client,
        })
    }

    /// The group as a transaction names it.
    pub(crate) fn group(&self) -> Result<ConsumerGroupMetadata> {
        let group = self.client.group_metadata();
        group.ok_or_else(|| Error::internal("a client with a group has no group"))
    }

    /// The note of an epoch.
    pub(crate) fn of(&self, epoch: EpochId) -> Result<TopicPartitionList> {
        let failed = || Error::internal(format!("epoch {epoch} cannot be noted"));
        let offset = i64::try_from(epoch.next().0).map_err(|_| failed())?;
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.topic, NOTE_PARTITION, Offset::Offset(offset))
            .map_err(|error| failed().with_source(error))?;
        let text = json!({"query": self.query.as_str(), "epoch": epoch.0}).to_string();
        for mut element in list.elements() {
            element.set_metadata(&text);
        }
        Ok(list)
    }

    /// Asks the broker for the newest committed note. Blocks.
    pub(crate) fn read(&self, wait: Duration) -> Result<Option<Note>, KafkaError> {
        // Nothing is assigned: this hands events on, such as the request for a token.
        let _ = self.client.poll(Duration::ZERO);
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, NOTE_PARTITION);
        let answer = self.client.committed_offsets(list, wait)?;
        let Some(element) = answer.find_partition(&self.topic, NOTE_PARTITION) else {
            return Ok(None);
        };
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(Note {
                offset,
                text: element.metadata().to_string(),
            }),
            _ => None,
        })
    }

    /// The epoch of a note.
    pub(crate) fn epoch(&self, note: &Note) -> Result<EpochId> {
        let Note { offset, text } = note;
        let json: Option<Value> = serde_json::from_str(text).ok();
        let query = json.as_ref().and_then(|json| json.get("query")?.as_str());
        let epoch = json.as_ref().and_then(|json| json.get("epoch")?.as_u64());
        let detail = match (query, epoch) {
            (Some(query), _) if query != self.query.as_str() => {
                format!("It is of query {query}, and this is {}.", self.query)
            }
            (Some(_), Some(epoch)) => {
                if i64::try_from(epoch).ok().and_then(|e| e.checked_add(1)) == Some(*offset) {
                    return Ok(EpochId(epoch));
                }
                format!("It says epoch {epoch}, but its offset is {offset}.")
            }
            _ => format!("It is offset {offset} with the text \"{text}\", which names no epoch."),
        };
        Err(Error::conflict(format!(
            "the note of the last epoch in group \"{}\" on broker {} is not of this query",
            self.group, self.servers
        ))
        .with_detail(detail)
        .with_hint(
            "Nothing but this query may commit offsets in that group. Look at who did, then delete \
             the group to go on after the checkpoint, or start with a new checkpoint.",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::ErrorKind;

    fn notes() -> Notes {
        let connection = KafkaConnection::new("127.0.0.1:1");
        Notes::connect("sink \"k\"", &connection, "g", "t", &QueryId::new("q")).unwrap()
    }

    #[test]
    fn what_is_written_is_read() {
        let notes = notes();
        for epoch in [0, 7, i64::MAX as u64 - 1] {
            let list = notes.of(EpochId(epoch)).unwrap();
            let element = list.find_partition("t", 0).unwrap();
            let Offset::Offset(offset) = element.offset() else {
                panic!("{:?}", element.offset());
            };
            let text = element.metadata().to_string();
            assert_eq!(notes.epoch(&Note { offset, text }).unwrap(), EpochId(epoch));
        }
        notes.of(EpochId(u64::MAX - 1)).unwrap_err();
    }

    #[test]
    fn what_is_not_of_the_query_is_refused() {
        let notes = notes();
        for (offset, text, detail) in [
            (
                4,
                r#"{"query":"p","epoch":3}"#,
                "It is of query p, and this is q.",
            ),
            (
                5,
                r#"{"query":"q","epoch":3}"#,
                "It says epoch 3, but its offset is 5.",
            ),
            (
                5,
                "",
                "It is offset 5 with the text \"\", which names no epoch.",
            ),
            (
                5,
                "[]",
                "It is offset 5 with the text \"[]\", which names no epoch.",
            ),
            (
                5,
                r#"{"query":"q"}"#,
                "It is offset 5 with the text \"{\"query\":\"q\"}\", which names no epoch.",
            ),
        ] {
            let text = text.to_string();
            let error = notes.epoch(&Note { offset, text }).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert_eq!(error.detail(), Some(detail));
        }
    }
}
