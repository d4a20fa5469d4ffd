//! Where a time ends a read: in topics whose records get their times from the broker.
//!
//! With `message.timestamp.type=LogAppendTime` times go up with offsets, as the clock of the broker
//! does, so after the first record of a later time there is none of an earlier one. With `CreateTime`
//! they are as producers say, and nothing follows from one of them.
//!
//! ```text
//! times     10:00  10:01  10:02  10:03  10:04      WHERE "timestamp" < 10:02
//!           ── read ──────────────────▶│ left out  a minute later, and stamped by the broker
//! ```
//!
//! Nothing is left out unless
//!
//! 1. the broker says, by `DescribeConfigs`, that it sets the times of the topic: of its own setting,
//!    or of the default of the brokers. One that does not answer, or may not be asked, says nothing;
//! 2. it can tell offsets by time;
//! 3. the first record that is left out has its time from the broker. A topic that was changed may hold
//!    times of producers, of which one that is far ahead would end the read too early.
//!
//! A read ends [`CLOCKS_APART_MS`] later than it would have to: a partition moves between brokers,
//! and their clocks are not the same.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use headwater_core::clock::Clock;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::{Error, Result};
use rdkafka::admin::{AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};

use crate::admin_client;
use crate::client::KafkaConnection;
use crate::cluster::{ANSWER_TIMEOUT, Cluster, ask};
use crate::narrow::ending_at;
use crate::source::KafkaSourceSpec;
use crate::times::Told;
use crate::walk::{Stretch, WalkSpec, walk};

/// How much less the clock of one broker may show than that of another one before it.
const CLOCKS_APART_MS: i64 = 60_000;

/// What topics call the way their records get times, and that by the broker.
const TIMESTAMP_TYPE: &str = "message.timestamp.type";
const BY_BROKER: &str = "LogAppendTime";
/// The same of a record.
const STAMPED_BY_BROKER: i32 = 1;

/// The part of a slice that may have records before a time, in milliseconds.
///
/// # Errors
/// If the broker does not tell offsets.
pub(crate) async fn before_time(
    spec: &KafkaSourceSpec,
    cluster: &Arc<Cluster>,
    clock: &Arc<dyn Clock>,
    slice: Slice,
    beyond_ms: i64,
) -> Result<Slice> {
    let ranges = slice.ranges();
    let mut partitions: Vec<Partition> = ranges.map(|(p, _, _)| p.clone()).collect();
    if partitions.is_empty() {
        return Ok(slice);
    }
    let topics = partitions.iter().map(|p| p.stream.to_string()).collect();
    let stamped = stamped_topics(&spec.name, &spec.options.connection, &topics).await;
    partitions.retain(|p| stamped.contains(&*p.stream));
    if partitions.is_empty() {
        return Ok(slice);
    }
    let beyond_ms = beyond_ms.saturating_add(CLOCKS_APART_MS);
    let told = ask(cluster, move |cluster| {
        Told::ask(cluster, &partitions, beyond_ms)
    });
    let told = told.await?;
    let ends = slice.ranges();
    let ends = ends.filter_map(|(p, _, end)| {
        let at = told.offset(p, end)?;
        (at < end).then(|| (p.clone(), at))
    });
    let ends: Offsets = ends.collect();
    if ends.is_empty() {
        return Ok(slice);
    }
    let ends = stamped_records(spec, clock, &slice, ends).await;
    Ok(ending_at(&slice, &ends))
}

/// The topics of which the broker says that it sets the times of their records.
async fn stamped_topics(
    source: &str,
    connection: &KafkaConnection,
    topics: &BTreeSet<String>,
) -> BTreeSet<String> {
    let answer = match describe(source, connection, topics).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(source, %error, "could not ask who sets the times of records");
            return BTreeSet::new();
        }
    };
    answer.iter().filter_map(stamped_topic).collect()
}

async fn describe(
    source: &str,
    connection: &KafkaConnection,
    topics: &BTreeSet<String>,
) -> Result<Vec<ConfigResource>> {
    let client = admin_client::connect(&format!("source \"{source}\""), connection).await?;
    let asked: Vec<_> = topics.iter().map(|t| ResourceSpecifier::Topic(t)).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIMEOUT));
    let answer = client.describe_configs(&asked, &options).await;
    admin_client::end(client).await;
    let answer = answer.map_err(|error| Error::source_failed(error.to_string()))?;
    // A topic that may not be described says nothing.
    Ok(answer.into_iter().filter_map(Result::ok).collect())
}

fn stamped_topic(described: &ConfigResource) -> Option<String> {
    let OwnedResourceSpecifier::Topic(topic) = &described.specifier else {
        return None;
    };
    let mut entries = described.entries.iter();
    let set = entries.find(|entry| entry.name == TIMESTAMP_TYPE)?;
    (set.value.as_deref() == Some(BY_BROKER)).then(|| topic.clone())
}

/// Those of some offsets whose records have their times from the broker; none of which that cannot be
/// seen.
async fn stamped_records(
    spec: &KafkaSourceSpec,
    clock: &Arc<dyn Clock>,
    slice: &Slice,
    offsets: Offsets,
) -> Offsets {
    let mut stamped = Offsets::new();
    let walk_spec = WalkSpec {
        owner: &spec.name,
        connection: &spec.options.connection,
        topics: &spec.options.topics,
        has_key: false,
        from: offsets.clone(),
        wanted: Some(1),
    };
    let stretch = |partition: &Partition| Stretch {
        end: slice.end.get(partition).unwrap_or(0),
        messages: 1,
    };
    let walked = walk(walk_spec, stretch, Arc::clone(clock), |partition, chunk| {
        let kinds = chunk.timestamp_types.as_ref();
        let kind = kinds.and_then(|kinds| kinds.values().first().copied());
        if let (Some(STAMPED_BY_BROKER), Some(offset)) = (kind, offsets.get(partition)) {
            stamped.set(partition.clone(), offset);
        }
        Ok(ControlFlow::Continue(()))
    });
    if let Err(error) = walked.await {
        tracing::debug!(source = %spec.name, %error, "could not look at the times of records");
    }
    stamped
}

#[cfg(test)]
mod tests {
    use rdkafka::admin::{ConfigEntry, ConfigSource};

    use super::*;

    #[test]
    fn only_a_topic_that_says_so_has_times_of_the_broker() {
        let described = |specifier, name: &str, value: Option<&str>| {
            let entry = ConfigEntry {
                name: name.into(),
                value: value.map(Into::into),
                source: ConfigSource::Default,
                is_read_only: false,
                is_default: true,
                is_sensitive: false,
            };
            stamped_topic(&ConfigResource {
                specifier,
                entries: vec![entry],
            })
        };
        let topic = || OwnedResourceSpecifier::Topic("t".into());
        let known = "message.timestamp.type";
        assert_eq!(
            described(topic(), known, Some("LogAppendTime")),
            Some("t".to_string())
        );
        assert_eq!(described(topic(), known, Some("CreateTime")), None);
        assert_eq!(described(topic(), known, None), None);
        assert_eq!(described(topic(), "another", Some("LogAppendTime")), None);
        let broker = OwnedResourceSpecifier::Broker(1);
        assert_eq!(described(broker, known, Some("LogAppendTime")), None);
    }
}
