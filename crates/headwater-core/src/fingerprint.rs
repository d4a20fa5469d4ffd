//! What a source remembers of the last record it has read of every partition.
//!
//! A partition that was deleted and made again has the same name, and may be longer than before.
//! Its offsets say nothing then; the record at the last offset read does.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::offset::{Offsets, Partition};

/// What tells one record from another that could be at the same offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// Where the record is. The position after it may be further on: offsets have gaps.
    pub offset: i64,
    /// Its timestamp in milliseconds; negative if it has none.
    pub timestamp_ms: i64,
    /// CRC-32C of its key and its value.
    pub crc: u32,
}

/// The last record read of every partition of a source; partitions of which none was read are not
/// in it.
///
/// In JSON, as in the commit log: `[{"stream":"orders","partition":0,"offset":41,…}]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Entry>", into = "Vec<Entry>")]
pub struct Fingerprints(BTreeMap<Partition, Fingerprint>);

#[derive(Serialize, Deserialize)]
struct Entry {
    stream: Arc<str>,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    crc: u32,
}

impl Fingerprints {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the last record of a partition.
    pub fn set(&mut self, partition: Partition, last: Fingerprint) {
        self.0.insert(partition, last);
    }

    /// The last record of a partition.
    pub fn get(&self, partition: &Partition) -> Option<Fingerprint> {
        self.0.get(partition).copied()
    }

    /// Partitions with their last records, ordered.
    pub fn iter(&self) -> impl Iterator<Item = (&Partition, Fingerprint)> {
        self.0.iter().map(|(p, last)| (p, *last))
    }

    /// Those of records before a position.
    pub fn before(&self, position: &Offsets) -> Fingerprints {
        let is_before = |(p, last): &(&Partition, Fingerprint)| position.get(p) > Some(last.offset);
        let kept = self.iter().filter(is_before);
        Fingerprints(kept.map(|(p, last)| (p.clone(), last)).collect())
    }
}

impl From<Vec<Entry>> for Fingerprints {
    fn from(entries: Vec<Entry>) -> Self {
        let each = entries.into_iter().map(|entry| {
            let last = Fingerprint {
                offset: entry.offset,
                timestamp_ms: entry.timestamp_ms,
                crc: entry.crc,
            };
            (Partition::new(entry.stream, entry.partition), last)
        });
        Fingerprints(each.collect())
    }
}

impl From<Fingerprints> for Vec<Entry> {
    fn from(fingerprints: Fingerprints) -> Self {
        let each = fingerprints.0.into_iter().map(|(partition, last)| Entry {
            stream: partition.stream,
            partition: partition.index,
            offset: last.offset,
            timestamp_ms: last.timestamp_ms,
            crc: last.crc,
        });
        each.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(offset: i64) -> Fingerprint {
        Fingerprint {
            offset,
            timestamp_ms: 1_700_000_000_000,
            crc: 7,
        }
    }

    #[test]
    fn fingerprints_round_trip_as_a_list() {
        let mut seen = Fingerprints::default();
        seen.set(Partition::new("t", 10), last(4));
        seen.set(Partition::new("t", 2), last(9));
        let json = serde_json::to_string(&seen).unwrap();
        assert!(
            json.starts_with(r#"[{"stream":"t","partition":2,"offset":9,"#),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<Fingerprints>(&json).unwrap(), seen);
    }

    #[test]
    fn only_records_before_the_position_have_been_read() {
        let mut seen = Fingerprints::default();
        seen.set(Partition::new("t", 0), last(4));
        seen.set(Partition::new("t", 1), last(5));
        seen.set(Partition::new("t", 2), last(6));
        let position = [0, 1].map(|index| (Partition::new("t", index), 5));
        let kept = seen.before(&Offsets::from_iter(position));
        let kept: Vec<i32> = kept.iter().map(|(p, _)| p.index).collect();
        assert_eq!(kept, [0]);
    }
}
