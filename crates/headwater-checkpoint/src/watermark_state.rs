//! What a source's watermark is made of, as the logs keep it.

use std::collections::BTreeSet;

use headwater_core::offset::{Offsets, Partition};
use headwater_core::watermark::Watermark;
use serde::{Deserialize, Serialize};

/// The event-time knowledge about one source at the border of two epochs. With it a new process
/// decides about lateness and idleness exactly as the old one would have.
///
/// ```json
/// {"source_watermark":1767225595000000,
///  "max_event_times":{"orders":{"0":1767225600000000,"1":1767225601000000}},
///  "last_row_at":{"orders":{"0":1767225600120000,"1":1767225601200000}},
///  "idle":{"orders":[1]}}
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WatermarkState {
    /// The source's watermark: its partitions combined, less the delay.
    pub source_watermark: Watermark,
    /// Greatest event time seen per partition, in microseconds; a partition without a row is
    /// missing.
    pub max_event_times: Offsets,
    /// Wall-clock time at which a partition last brought a row, in microseconds.
    pub last_row_at: Offsets,
    /// The partitions that do not hold the watermark because they have been silent for long.
    #[serde(with = "partition_lists")]
    pub idle: BTreeSet<Partition>,
}

/// Partitions as `{"orders":[0,3]}`.
mod partition_lists {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use headwater_core::offset::Partition;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        partitions: &BTreeSet<Partition>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut streams: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            let indices = streams.entry(&partition.stream).or_default();
            indices.push(partition.index);
        }
        streams.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeSet<Partition>, D::Error> {
        let streams = BTreeMap::<String, Vec<i32>>::deserialize(deserializer)?;
        let mut partitions = BTreeSet::new();
        for (stream, indices) in streams {
            let stream: Arc<str> = stream.into();
            partitions.extend(
                indices
                    .into_iter()
                    .map(|index| Partition::new(Arc::clone(&stream), index)),
            );
        }
        Ok(partitions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_partitions_are_lists_of_numbers() {
        let state = WatermarkState {
            idle: [("b", 3), ("a", 10), ("a", 2)]
                .into_iter()
                .map(|(stream, index)| Partition::new(stream, index))
                .collect(),
            ..WatermarkState::default()
        };
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(
            json,
            r#"{"source_watermark":-9223372036854775808,"max_event_times":{},"last_row_at":{},"idle":{"a":[2,10],"b":[3]}}"#
        );
        assert_eq!(
            serde_json::from_str::<WatermarkState>(&json).unwrap(),
            state
        );
    }
}
