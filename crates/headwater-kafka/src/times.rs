//! Offsets by time, of brokers that can tell them.
//!
//! A broker is asked for the first record of a time or later. One that looks up no times answers that
//! there is none, which is a good answer too: that every record is older. A second question tells the
//! two apart: where the first record of any time is, which must be one of the partition.

use headwater_core::offset::{Offsets, Partition};
use headwater_core::{Error, Result};

use crate::cluster::{Cluster, Held, Place};

/// What a broker says of a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Where the first record of any time is.
    first: Offsets,
    /// Where the first record of the time or later is.
    at: Offsets,
}

impl Told {
    pub(crate) fn ask(cluster: &Cluster, partitions: &[Partition], ms: i64) -> Result<Self> {
        Ok(Told {
            first: cluster.offsets(partitions, Place::Time(0))?,
            at: cluster.offsets(partitions, Place::Time(ms))?,
        })
    }

    /// Where the first record of the time or later is in a partition that ends at `end`, which is its
    /// end if there is none; `None` if the broker cannot tell.
    pub(crate) fn offset(&self, partition: &Partition, end: i64) -> Option<i64> {
        let can_tell = self.first.get(partition).is_some_and(|first| first < end);
        self.at.get(partition).filter(|_| can_tell)
    }

    /// Where the first records of the time or later are. A broker that can tell of one partition can
    /// tell of all, and of those that hold nothing no broker can be wrong.
    fn offsets(self, held: &Held) -> Option<Offsets> {
        let full = |(partition, end): &(&Partition, i64)| {
            held.start.get(partition).is_none_or(|start| start < *end)
        };
        let full: Vec<_> = held.end.iter().filter(full).collect();
        let tells = |(partition, end): &(&Partition, i64)| self.offset(partition, *end).is_some();
        let can_tell = full.is_empty() || full.iter().any(tells);
        can_tell.then_some(self.at)
    }
}

/// The first records of a time or later in all partitions; the ends of those that have none.
///
/// # Errors
/// If the broker looks up no times. What it answers would be taken for the ends.
pub(crate) fn offsets_of_time(
    cluster: &Cluster,
    partitions: &[Partition],
    ms: i64,
) -> Result<Offsets> {
    let held = cluster.held(partitions)?;
    let told = Told::ask(cluster, partitions, ms)?;
    told.offsets(&held).ok_or_else(|| {
        Error::configuration(format!(
            "broker {} answers no lookups of times",
            cluster.servers()
        ))
        .with_detail(
            "Where reading begins or ends was given as a time. The broker holds records, and tells \
             of no time where the first one is; none is told of records without a time, either.",
        )
        .with_hint(
            "Write 'earliest', 'latest' or offsets. `headwater dev-broker` knows no times of records.",
        )
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn at(offsets: &[i64]) -> Offsets {
        let each = (0..).zip(offsets);
        each.map(|(index, offset)| (Partition::new("t", index), *offset))
            .collect()
    }

    pub(crate) fn told(first: &[i64], found: &[i64]) -> Told {
        Told {
            first: at(first),
            at: at(found),
        }
    }

    #[test]
    fn an_answer_is_good_if_the_broker_can_tell_or_cannot_be_wrong() {
        let offsets = |held: [&[i64]; 2], first: &[i64], found: &[i64]| {
            let [start, end] = held.map(at);
            told(first, found).offsets(&Held { start, end })
        };
        // The first partition holds nothing, the second four records.
        let held: [&[i64]; 2] = [&[3, 0], &[3, 4]];
        assert_eq!(offsets(held, &[3, 0], &[3, 2]), Some(at(&[3, 2])));
        assert_eq!(offsets(held, &[3, 0], &[3, 4]), Some(at(&[3, 4])));
        // Every time is after the end.
        assert_eq!(offsets(held, &[3, 4], &[3, 4]), None);
        let empty: [&[i64]; 2] = [&[3, 4], &[3, 4]];
        assert_eq!(offsets(empty, &[3, 4], &[3, 4]), Some(at(&[3, 4])));
        // A partition of records without times, beside one that has some.
        let both: [&[i64]; 2] = [&[0, 0], &[3, 4]];
        assert_eq!(offsets(both, &[3, 1], &[3, 2]), Some(at(&[3, 2])));
    }
}
