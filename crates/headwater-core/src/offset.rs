//! Positions in partitions, and half-open slices between two of them.
//!
//! Offsets may have gaps (transaction markers, compaction): nothing here counts rows by
//! subtracting offsets, and a gap is never loss.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::Deserializer;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use crate::unique_map::UniqueMap;

/// One ordered log of a source: a topic and a partition number, or a name with number 0.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic, or the connector's own name for what it reads.
    pub stream: Arc<str>,
    /// Number within the stream, from 0.
    pub index: i32,
}

impl Partition {
    /// A partition of a stream.
    pub fn new(stream: impl Into<Arc<str>>, index: i32) -> Self {
        Partition {
            stream: stream.into(),
            index,
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stream, self.index)
    }
}

/// A position in every partition of a source: the offset of the next record to read.
///
/// In JSON, as in the epoch log and the `start` option: `{"orders":{"0":23,"1":17}}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offsets(BTreeMap<Partition, i64>);

impl Offsets {
    /// A position in no partition.
    pub fn new() -> Self {
        Self::default()
    }

    /// The offset of the next record of a partition, if the partition is known.
    pub fn get(&self, partition: &Partition) -> Option<i64> {
        self.0.get(partition).copied()
    }

    /// Sets the offset of the next record of a partition.
    pub fn set(&mut self, partition: Partition, offset: i64) {
        self.0.insert(partition, offset);
    }

    /// Partitions with their offsets, ordered by stream and number.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, i64)> {
        self.0.iter().map(|(p, o)| (p, *o))
    }

    /// Number of partitions.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no partition is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smaller offset per partition of `self`; partitions that `bound` lacks are left out.
    pub fn clipped_to(&self, bound: &Offsets) -> Offsets {
        self.iter()
            .filter_map(|(p, o)| bound.get(p).map(|b| (p.clone(), o.min(b))))
            .collect()
    }

    /// Whether every partition of `bound` has been read up to it.
    pub fn has_reached(&self, bound: &Offsets) -> bool {
        bound
            .iter()
            .all(|(p, b)| self.get(p).is_some_and(|o| o >= b))
    }
}

impl FromIterator<(Partition, i64)> for Offsets {
    fn from_iter<I: IntoIterator<Item = (Partition, i64)>>(items: I) -> Self {
        Offsets(items.into_iter().collect())
    }
}

impl Serialize for Offsets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut streams: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
        for (partition, offset) in self.iter() {
            streams
                .entry(&partition.stream)
                .or_default()
                .insert(partition.index, offset);
        }
        let mut map = serializer.serialize_map(Some(streams.len()))?;
        for (stream, partitions) in streams {
            map.serialize_entry(stream, &partitions)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Offsets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let streams = UniqueMap::<String, UniqueMap<i32, i64>>::deserialize(deserializer)?;
        let mut offsets = Offsets::new();
        for (stream, partitions) in streams.0 {
            let stream: Arc<str> = stream.into();
            for (index, offset) in partitions.0 {
                offsets.set(
                    Partition {
                        stream: Arc::clone(&stream),
                        index,
                    },
                    offset,
                );
            }
        }
        Ok(offsets)
    }
}

/// What one epoch reads of one source: `[start, end)` per partition.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slice {
    /// First offset to read, per partition.
    pub start: Offsets,
    /// Offset after the last to read, per partition; has the same partitions as `start`.
    pub end: Offsets,
}

impl Slice {
    /// The slice between two positions. Partitions that `end` adds start at offset 0.
    pub fn between(start: &Offsets, end: &Offsets) -> Slice {
        let start = end
            .iter()
            .map(|(p, _)| (p.clone(), start.get(p).unwrap_or(0)))
            .collect();
        Slice {
            start,
            end: end.clone(),
        }
    }

    /// The partitions with something to read, as (partition, start, end).
    pub fn ranges(&self) -> impl Iterator<Item = (&Partition, i64, i64)> {
        self.end.iter().filter_map(|(p, end)| {
            let start = self.start.get(p).unwrap_or(end);
            (start < end).then_some((p, start, end))
        })
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.ranges().next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pairs: &[(i32, i64)]) -> Offsets {
        pairs
            .iter()
            .map(|(p, o)| (Partition::new("t", *p), *o))
            .collect()
    }

    #[test]
    fn offsets_round_trip_as_nested_json() {
        let offsets = at(&[(0, 23), (10, 1), (2, 7)]);
        let json = serde_json::to_string(&offsets).unwrap();
        assert_eq!(json, r#"{"t":{"0":23,"2":7,"10":1}}"#);
        assert_eq!(serde_json::from_str::<Offsets>(&json).unwrap(), offsets);
    }

    #[test]
    fn a_slice_lists_only_partitions_with_something_to_read() {
        let slice = Slice::between(&at(&[(0, 5), (1, 5)]), &at(&[(0, 5), (1, 9), (2, 3)]));
        let ranges: Vec<_> = slice.ranges().map(|(p, s, e)| (p.index, s, e)).collect();
        assert_eq!(ranges, [(1, 5, 9), (2, 0, 3)]);
        assert!(!slice.is_empty());
    }

    #[test]
    fn clipping_keeps_the_smaller_offset() {
        let clipped = at(&[(0, 5), (1, 9), (2, 1)]).clipped_to(&at(&[(0, 7), (1, 4)]));
        assert_eq!(clipped, at(&[(0, 5), (1, 4)]));
        assert!(clipped.has_reached(&at(&[(1, 4)])));
        assert!(!clipped.has_reached(&at(&[(0, 6)])));
    }
}
