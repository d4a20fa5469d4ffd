//! Questions to a cluster: which topics and partitions there are, and which offsets they hold.
//!
//! librdkafka says nothing when a partition of an unknown topic is assigned, so everything is
//! looked up here first, and an unknown topic is an error with its name in a second or two.
//! All calls block; the async side goes through [`ask`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common_runtime::SpawnedTask;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::options::nearest;
use headwater_core::{Error, Result};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::{Offset, TopicPartitionList};

use crate::advice;
use crate::client::{ClientEvents, KafkaConnection};
use crate::security::CHECK_LOGIN;
use crate::topics::{INTERNAL, TopicChoice};

/// How long a broker may take to answer a question.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the first question of a client is asked again while nothing says that it is in vain:
/// names, handshakes and logins may take long.
const FIRST_TRIES_MAX: u32 = 2;

/// How often a question is asked again while a leader is being chosen.
const PASSING_TRIES_MAX: u32 = 10;
const PASSING_WAIT: Duration = Duration::from_millis(200);

/// Events looked at for the reason of a failure.
const EVENTS_MAX: usize = 512;

/// Names listed in a hint before it is cut.
const LISTED_NAMES_MAX: usize = 10;

/// A client that asks and never reads records.
pub(crate) struct Cluster {
    servers: String,
    /// `security.protocol`.
    protocol: String,
    client: BaseConsumer<ClientEvents>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

/// A place in a partition that the broker can look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first offset there is.
    Start,
    /// The offset after the last committed record.
    End,
    /// The first record with this timestamp or a later one, in milliseconds.
    Time(i64),
}

/// The offsets a partition holds: `[start, end)`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) start: Offsets,
    pub(crate) end: Offsets,
}

/// Runs a blocking question off the async threads.
pub(crate) async fn ask<T: Send + 'static>(
    cluster: &Arc<Cluster>,
    question: impl FnOnce(&Cluster) -> Result<T> + Send + 'static,
) -> Result<T> {
    let cluster = Arc::clone(cluster);
    blocking(move || {
        // Hands events on: a client that logs in by tokens asks for one now and then.
        let _ = cluster.client.poll(Duration::ZERO);
        question(&cluster)
    })
    .await
}

/// Runs blocking work off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match SpawnedTask::spawn_blocking(work).join().await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("a kafka call was cut off").with_source(error)),
    }
}

impl Cluster {
    /// Makes the client; nothing is sent yet.
    pub(crate) fn connect(owner: &str, connection: &KafkaConnection) -> Result<Arc<Cluster>> {
        Ok(Arc::new(Cluster {
            servers: connection.servers().to_string(),
            protocol: connection.protocol(),
            client: connection.consumer(owner, &connection.consumer_config())?,
        }))
    }

    /// The addresses as given.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// The partitions that are chosen, ordered by topic and number.
    ///
    /// # Errors
    /// If a topic or a partition does not exist, or no topic matches.
    pub(crate) fn partitions(&self, choice: &TopicChoice) -> Result<Vec<Partition>> {
        match choice {
            TopicChoice::Named(topics) => {
                let counted = topics.iter();
                let counted =
                    counted.map(|topic| Ok((topic.clone(), self.partition_count(topic)?)));
                Ok(partitions_of(&counted.collect::<Result<Vec<_>>>()?))
            }
            TopicChoice::Matching(pattern) => {
                let topics = self.topics()?;
                let matching = topics.iter().filter(|(topic, _)| pattern.matches(topic));
                // Each is asked for by itself: one that has no leader is waited for, not left out.
                let counted =
                    matching.map(|(topic, _)| Ok((topic.clone(), self.partition_count(topic)?)));
                let matching = counted.collect::<Result<Vec<_>>>()?;
                if matching.is_empty() {
                    return Err(Error::configuration(format!(
                        "no topic on broker {} matches the pattern \"{}\"",
                        self.servers,
                        pattern.text()
                    ))
                    .with_hint(listing(&names_of(&topics))));
                }
                Ok(partitions_of(&matching))
            }
            TopicChoice::Assigned(partitions) => {
                let topics: BTreeSet<&str> = partitions.iter().map(|p| &*p.stream).collect();
                for topic in topics {
                    self.check_numbers(topic, partitions)?;
                }
                Ok(partitions.clone())
            }
        }
    }

    /// Refuses partitions that their topic does not have.
    fn check_numbers(&self, topic: &str, partitions: &[Partition]) -> Result<()> {
        let count = self.partition_count(topic)?;
        let mut chosen = partitions.iter().filter(|p| &*p.stream == topic);
        match chosen.find(|p| p.index >= count) {
            Some(missing) => Err(Error::configuration(format!(
                "{} does not exist on broker {}",
                named(missing),
                self.servers
            ))
            .with_hint(format!("The topic has {count} partitions, from 0 on."))),
            None => Ok(()),
        }
    }

    fn partition_count(&self, topic: &str) -> Result<i32> {
        let metadata = self
            .ask_while_passing(
                || self.client.fetch_metadata(Some(topic), ANSWER_TIMEOUT),
                |metadata| {
                    let topics = metadata.topics().iter();
                    topics.filter_map(topic_error).any(passes)
                },
            )
            .map_err(|error| self.failed(&format!("ask for topic \"{topic}\""), &error))?;
        let Some(found) = metadata.topics().iter().find(|t| t.name() == topic) else {
            return Err(self.no_such_topic(topic));
        };
        match topic_error(found) {
            None if found.partitions().is_empty() => Err(self.no_such_topic(topic)),
            None => Ok(i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)),
            Some(
                RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::InvalidTopic,
            ) => Err(self.no_such_topic(topic)),
            Some(code) => Err(Error::source_failed(format!(
                "broker {} refused topic \"{topic}\": {code}",
                self.servers
            ))),
        }
    }

    /// Names of all topics with their numbers of partitions, ordered.
    pub(crate) fn topics(&self) -> Result<Vec<(String, i32)>> {
        let metadata = self
            .ask_while_passing(
                || self.client.fetch_metadata(None, ANSWER_TIMEOUT),
                |_| false,
            )
            .map_err(|error| self.failed("list the topics", &error))?;
        let mut topics: Vec<(String, i32)> = metadata
            .topics()
            .iter()
            .filter(|t| topic_error(t).is_none_or(passes))
            .map(|t| {
                let partitions = i32::try_from(t.partitions().len()).unwrap_or(i32::MAX);
                (t.name().to_string(), partitions)
            })
            .collect();
        topics.sort();
        Ok(topics)
    }

    /// The offset of a place in each of the partitions.
    ///
    /// A time after the last record is the partition's end.
    pub(crate) fn offsets(&self, partitions: &[Partition], place: Place) -> Result<Offsets> {
        let asked = match place {
            Place::Start => Offset::Beginning,
            Place::End => Offset::End,
            Place::Time(ms) => Offset::Offset(ms.max(0)),
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition_offset(&partition.stream, partition.index, asked)
                .map_err(|error| self.failed("ask for offsets", &error))?;
        }
        if partitions.is_empty() {
            return Ok(Offsets::new());
        }
        let answer = self
            .ask_while_passing(
                || self.client.offsets_for_times(list.clone(), ANSWER_TIMEOUT),
                |answer| {
                    let errors = answer.elements().into_iter().map(|e| e.error());
                    errors.filter_map(Result::err).any(|e| error_passes(&e))
                },
            )
            .map_err(|error| self.failed("ask for offsets", &error))?;
        let mut found = Offsets::new();
        let mut after_the_end = Vec::new();
        for element in answer.elements() {
            let partition = Partition::new(element.topic(), element.partition());
            element.error().map_err(|error| {
                self.failed(
                    &format!("ask for the offsets of {}", named(&partition)),
                    &error,
                )
            })?;
            match element.offset() {
                Offset::Offset(offset) => found.set(partition, offset),
                _ => after_the_end.push(partition),
            }
        }
        if !after_the_end.is_empty() {
            if place == Place::End {
                return Err(Error::source_failed(format!(
                    "broker {} did not tell the end of {}",
                    self.servers,
                    named(&after_the_end[0])
                )));
            }
            for (partition, end) in self.offsets(&after_the_end, Place::End)?.iter() {
                found.set(partition.clone(), end);
            }
        }
        Ok(found)
    }

    /// The offsets the partitions hold.
    pub(crate) fn held(&self, partitions: &[Partition]) -> Result<Held> {
        Ok(Held {
            start: self.offsets(partitions, Place::Start)?,
            end: self.offsets(partitions, Place::End)?,
        })
    }

    /// Asks again for a few seconds while the cluster says what will soon not be so, and for a quarter of
    /// a minute until it is reached.
    fn ask_while_passing<T>(
        &self,
        question: impl Fn() -> Result<T, KafkaError>,
        is_passing: impl Fn(&T) -> bool,
    ) -> Result<T, KafkaError> {
        let (mut passing, mut first) = (0, 0);
        loop {
            let answer = question();
            let is_reached = !answer.as_ref().is_err_and(is_unreachable);
            if is_reached {
                self.client.context().mark_answered();
            }
            // What has come meanwhile says whether there is hope.
            self.hand_events_on();
            let is_underway = !is_reached && self.client.context().is_underway();
            let (tries, most) = match &answer {
                Ok(answer) if is_passing(answer) => (&mut passing, PASSING_TRIES_MAX),
                Err(error) if error_passes(error) => (&mut passing, PASSING_TRIES_MAX),
                Err(_) if is_underway => (&mut first, FIRST_TRIES_MAX),
                _ => return answer,
            };
            if *tries == most {
                return answer;
            }
            *tries += 1;
            // Nothing is assigned, so this waits, and hands events on.
            let _ = self.client.poll(PASSING_WAIT);
        }
    }

    /// Events such as "connection refused" wait in the queue until it is polled.
    fn hand_events_on(&self) {
        for _ in 0..EVENTS_MAX {
            let _ = self.client.poll(Duration::ZERO);
        }
    }

    fn no_such_topic(&self, topic: &str) -> Error {
        let error = Error::configuration(format!(
            "topic \"{topic}\" does not exist on broker {}",
            self.servers
        ));
        match self.topics() {
            Ok(topics) => error.with_hint(topic_hint(topic, &topics)),
            Err(_) => error,
        }
    }

    fn failed(&self, what: &str, error: &KafkaError) -> Error {
        self.hand_events_on();
        let unreachable = is_unreachable(error);
        let refused = self.client.context().refused();
        if let Some(reason) = refused.filter(|_| unreachable) {
            return Error::source_failed(format!("broker {} refused the connection", self.servers))
                .with_detail(format!("librdkafka says: {reason}."))
                .with_hint(CHECK_LOGIN);
        }
        let reason = self.client.context().last_error();
        if unreachable {
            let told = Error::source_failed(format!("could not reach broker {}", self.servers));
            let hint = advice::of_unreachable(&self.protocol, reason.as_deref());
            return match reason {
                Some(reason) => told.with_detail(format!("librdkafka says: {reason}.")),
                None => told,
            }
            .with_hint(hint);
        }
        Error::source_failed(format!(
            "could not {what} on broker {}: {error}",
            self.servers
        ))
    }
}

/// All partitions of topics, ordered.
fn partitions_of(topics: &[(String, i32)]) -> Vec<Partition> {
    let mut found = Vec::new();
    for (topic, count) in topics {
        let stream: Arc<str> = topic.as_str().into();
        found.extend((0..*count).map(|index| Partition::new(Arc::clone(&stream), index)));
    }
    found.sort();
    found
}

/// Whether an error is that of a cluster which is moving or choosing a leader.
fn passes(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::LeaderNotAvailable
            | RDKafkaErrorCode::NotLeaderForPartition
            | RDKafkaErrorCode::ReplicaNotAvailable
            | RDKafkaErrorCode::FencedLeaderEpoch
            | RDKafkaErrorCode::UnknownLeaderEpoch
            | RDKafkaErrorCode::OffsetNotAvailable
            | RDKafkaErrorCode::KafkaStorageError
            | RDKafkaErrorCode::RequestTimedOut
    )
}

/// Whether no broker was there to answer.
fn is_unreachable(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::TimedOutQueue
        )
    )
}

fn error_passes(error: &KafkaError) -> bool {
    error.rdkafka_error_code().is_some_and(passes)
}

fn topic_error(topic: &MetadataTopic) -> Option<RDKafkaErrorCode> {
    topic.error().map(RDKafkaErrorCode::from)
}

/// A partition as messages name it.
pub(crate) fn named(partition: &Partition) -> String {
    format!(
        "partition {} of topic \"{}\"",
        partition.index, partition.stream
    )
}

fn topic_hint(topic: &str, topics: &[(String, i32)]) -> String {
    let names = names_of(topics);
    match nearest(topic, names.iter().copied()) {
        Some(name) => format!("Did you mean \"{name}\"?"),
        None => listing(&names),
    }
}

/// Names of topics, without those of the brokers.
fn names_of(topics: &[(String, i32)]) -> Vec<&str> {
    let names = topics.iter().map(|(name, _)| name.as_str());
    names.filter(|name| !name.starts_with(INTERNAL)).collect()
}

/// The topics there are.
fn listing(names: &[&str]) -> String {
    if names.is_empty() {
        return "There are no topics yet.".to_string();
    }
    let listed: Vec<String> = names
        .iter()
        .take(LISTED_NAMES_MAX)
        .map(|name| format!("\"{name}\""))
        .collect();
    let rest = names.len().saturating_sub(LISTED_NAMES_MAX);
    if rest > 0 {
        return format!("There are {} and {rest} more.", listed.join(", "));
    }
    format!("There are {}.", listed.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_names_the_nearest_topic_or_lists_them() {
        let topics = |names: &[&str]| -> Vec<(String, i32)> {
            names.iter().map(|n| ((*n).to_string(), 1)).collect()
        };
        assert_eq!(
            topic_hint("order", &topics(&["orders", "x"])),
            "Did you mean \"orders\"?"
        );
        assert_eq!(
            topic_hint("q", &topics(&["__offsets"])),
            "There are no topics yet."
        );
        assert_eq!(
            topic_hint("q", &topics(&["aa", "bb"])),
            "There are \"aa\", \"bb\"."
        );
    }
}
