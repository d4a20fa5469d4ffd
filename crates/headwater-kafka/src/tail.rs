//! Messages of a topic as they are, one by one, for a person to look at.

use std::ops::ControlFlow;
use std::sync::Arc;

use headwater_core::clock::Clock;
use headwater_core::event_time::EventTime;
use headwater_core::offset::{Offsets, Partition};
use headwater_core::{Error, Result};

use crate::chunk::RecordChunk;
use crate::client::KafkaConnection;
use crate::cluster::{Cluster, Place, ask};
use crate::message_key::bytes_at;
use crate::topics::TopicChoice;
use crate::walk::{Stretch, WalkSpec, walk};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailStart {
    /// At the first record there is.
    Earliest,
    /// After the last record there is.
    Latest,
    /// This many offsets before the end of every partition.
    Last(u64),
}

/// Where to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailEnd {
    /// At the end of every partition as it is now.
    Now,
    /// Never; the callback stops it.
    Never,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TailRecord<'a> {
    /// Number of its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its time, if it has one.
    pub timestamp: Option<EventTime>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
}

/// Shows the messages of a topic to `show`, until it breaks or the end is reached. Messages of one
/// partition come in order.
///
/// # Errors
/// If the topic does not exist or cannot be read.
pub async fn tail(
    connection: &KafkaConnection,
    topic: &str,
    start: TailStart,
    end: TailEnd,
    clock: Arc<dyn Clock>,
    mut show: impl FnMut(&TailRecord<'_>) -> ControlFlow<()> + Send,
) -> Result<()> {
    let cluster = Cluster::connect("the command", connection)?;
    let topics = TopicChoice::Named(vec![topic.to_string()]);
    let (from, bound) = {
        let topics = topics.clone();
        ask(&cluster, move |cluster| bounds(cluster, &topics, start)).await?
    };
    let spec = WalkSpec {
        owner: "tail",
        connection,
        topics: &topics,
        has_key: true,
        from,
        wanted: None,
    };
    let stretch = |partition: &Partition| Stretch {
        end: match end {
            TailEnd::Now => bound.get(partition).unwrap_or(0),
            TailEnd::Never => i64::MAX,
        },
        messages: usize::MAX,
    };
    walk(spec, stretch, clock, |partition, chunk| {
        show_chunk(partition.index, chunk, &mut show)
    })
    .await
}

fn bounds(cluster: &Cluster, topics: &TopicChoice, start: TailStart) -> Result<(Offsets, Offsets)> {
    let partitions = cluster.partitions(topics)?;
    let first = cluster.offsets(&partitions, Place::Start)?;
    let end = cluster.offsets(&partitions, Place::End)?;
    let from = match start {
        TailStart::Earliest => first,
        TailStart::Latest => end.clone(),
        TailStart::Last(count) => end
            .iter()
            .map(|(partition, end)| {
                let first = first.get(partition).unwrap_or(0);
                (
                    partition.clone(),
                    end.saturating_sub_unsigned(count).max(first),
                )
            })
            .collect(),
    };
    Ok((from, end))
}

fn show_chunk(
    partition: i32,
    chunk: &RecordChunk,
    show: &mut impl FnMut(&TailRecord<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let Some(keys) = &chunk.keys else {
        return Err(Error::internal("a part of the messages was not kept"));
    };
    for (row, offset) in chunk.offsets.values().iter().enumerate() {
        let ms = chunk.timestamps.value(row);
        let record = TailRecord {
            partition,
            offset: *offset,
            timestamp: (ms >= 0).then(|| EventTime::from_millis(ms)),
            key: bytes_at(keys, row),
            value: bytes_at(&chunk.values, row),
        };
        if show(&record).is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
