//! The part of a slice that a bounded read needs: its topics, partitions, offsets and times.
//!
//! | column | what is left out | how exact |
//! | --- | --- | --- |
//! | `topic` | other topics | exact |
//! | `partition` | other partitions | exact |
//! | `offset` | records before and after | exact |
//! | `timestamp` | records before the first of that time or later | exact |
//! | `timestamp` | records after the time, where the broker sets times: [`crate::append_times`] | about a minute more is read |
//!
//! Elsewhere nothing is left out after a time: a producer sets timestamps as it likes, so a record of
//! a time that is asked for may follow later ones.

use std::collections::BTreeSet;

use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::{Bound, Interval, ReadBounds};

use crate::metadata::Part;
use crate::row_maker::SourceColumns;
use crate::times::Told;

/// What a read needs of the records of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needed {
    /// `None` is any.
    topics: Option<BTreeSet<String>>,
    partition: Interval,
    offset: Interval,
    /// In microseconds.
    timestamp: Interval,
}

impl Needed {
    /// What is said of the columns that are parts of a message.
    pub(crate) fn of(bounds: &ReadBounds, columns: &SourceColumns) -> Self {
        let parts = bounds.iter();
        Needed::of_parts(parts.filter_map(|(index, said)| Some((columns.part(index)?, said))))
    }

    fn of_parts<'a>(parts: impl Iterator<Item = (Part, &'a Bound)>) -> Self {
        let mut needed = Needed::default();
        for (part, said) in parts {
            match (part, said) {
                (Part::Topic, Bound::OneOf(topics)) => needed.add_topics(topics),
                (Part::Partition, Bound::Within(within)) => needed.partition.narrow(*within),
                (Part::Offset, Bound::Within(within)) => needed.offset.narrow(*within),
                (Part::Timestamp, Bound::Within(within)) => needed.timestamp.narrow(*within),
                _ => {}
            }
        }
        needed
    }

    fn add_topics(&mut self, topics: &BTreeSet<String>) {
        self.topics = Some(match &self.topics {
            Some(known) => known & topics,
            None => topics.clone(),
        });
    }

    /// The partitions and offsets of a slice that are needed.
    pub(crate) fn within(&self, slice: &Slice) -> Slice {
        let chosen = slice.end.iter();
        let is_chosen = |p: &Partition| {
            let topics = self.topics.as_ref();
            let has_topic = topics.is_none_or(|topics| topics.contains(&*p.stream));
            has_topic && self.partition.contains(p.index.into())
        };
        let chosen = chosen.filter(|(p, _)| is_chosen(p));
        let range = |(partition, end): (&Partition, i64)| {
            let start = slice.start.get(partition).unwrap_or(0);
            let after = self.offset.max.map_or(end, |max| max.saturating_add(1));
            let end = end.min(after).max(start);
            let start = self.offset.min.map_or(start, |min| start.max(min)).min(end);
            (partition.clone(), start, end)
        };
        between(chosen.map(range))
    }

    /// The time of the oldest record needed, in milliseconds, as records have it.
    pub(crate) fn earliest_ms(&self) -> Option<i64> {
        let micros = self.timestamp.min?;
        let ms = micros.div_euclid(1_000) + i64::from(micros.rem_euclid(1_000) != 0);
        (ms > 0).then_some(ms)
    }

    /// The first time of which no record is needed any more, in milliseconds.
    pub(crate) fn beyond_ms(&self) -> Option<i64> {
        let micros = self.timestamp.max?;
        Some(micros.div_euclid(1_000).saturating_add(1))
    }
}

/// The part of a slice from the first record of a time or later on, where the broker can tell of it.
pub(crate) fn starting_at(slice: &Slice, told: &Told) -> Slice {
    let each = slice.end.iter().map(|(partition, end)| {
        let start = slice.start.get(partition).unwrap_or(0);
        let from = told.offset(partition, end);
        let later = from.map_or(start, |from| start.max(from));
        (partition.clone(), later.min(end), end)
    });
    between(each)
}

/// The part of a slice before offsets of some of its partitions.
pub(crate) fn ending_at(slice: &Slice, ends: &Offsets) -> Slice {
    let each = slice.end.iter().map(|(partition, end)| {
        let start = slice.start.get(partition).unwrap_or(0);
        let earlier = ends.get(partition).map_or(end, |at| end.min(at));
        (partition.clone(), start, earlier.max(start))
    });
    between(each)
}

fn between(ranges: impl Iterator<Item = (Partition, i64, i64)>) -> Slice {
    let (mut start, mut end) = (Offsets::new(), Offsets::new());
    for (partition, from, to) in ranges {
        start.set(partition.clone(), from);
        end.set(partition, to);
    }
    Slice { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::times::tests::{at, told};

    fn slice() -> Slice {
        Slice::between(&at(&[0, 10, 20]), &at(&[5, 15, 25]))
    }

    fn ranges(slice: &Slice) -> Vec<(i32, i64, i64)> {
        let ranges = slice.ranges();
        ranges
            .map(|(p, start, end)| (p.index, start, end))
            .collect()
    }

    fn needed(parts: &[(Part, Interval)]) -> Needed {
        let parts = parts.iter();
        let parts: Vec<_> = parts
            .map(|(part, said)| (*part, Bound::Within(*said)))
            .collect();
        Needed::of_parts(parts.iter().map(|(part, bound)| (*part, bound)))
    }

    #[test]
    fn partitions_and_offsets_are_left_out_exactly() {
        let all = [(0, 0, 5), (1, 10, 15), (2, 20, 25)];
        for (parts, expected) in [
            (vec![], all.to_vec()),
            (
                vec![(Part::Partition, Interval::exactly(1))],
                vec![(1, 10, 15)],
            ),
            (vec![(Part::Partition, Interval::exactly(7))], vec![]),
            (
                vec![(Part::Offset, Interval::at_least(12))],
                vec![(1, 12, 15), (2, 20, 25)],
            ),
            (
                vec![(Part::Offset, Interval::at_most(12))],
                vec![(0, 0, 5), (1, 10, 13)],
            ),
            (
                vec![
                    (Part::Offset, Interval::at_least(9)),
                    (Part::Offset, Interval::at_most(3)),
                ],
                vec![],
            ),
            (
                vec![(Part::Offset, Interval::at_most(i64::MAX))],
                all.to_vec(),
            ),
            (vec![(Part::Offset, Interval::at_most(-1))], vec![]),
            (vec![(Part::Key, Interval::exactly(1))], all.to_vec()),
        ] {
            let narrowed = needed(&parts).within(&slice());
            assert_eq!(ranges(&narrowed), expected, "{parts:?}");
        }
    }

    #[test]
    fn a_time_is_rounded_up_to_what_records_have() {
        let earliest = |micros| {
            let part = (Part::Timestamp, Interval::at_least(micros));
            needed(&[part]).earliest_ms()
        };
        assert_eq!(earliest(1_000), Some(1));
        assert_eq!(earliest(1_001), Some(2));
        assert_eq!(earliest(-5), None);
        let before = needed(&[(Part::Timestamp, Interval::at_most(9))]);
        assert_eq!(before.earliest_ms(), None);
        let later = starting_at(&slice(), &told(&[0, 10, 20], &[9, 12]));
        assert_eq!(ranges(&later), [(1, 12, 15), (2, 20, 25)]);
        // A broker that knows no times says that every time is after the end.
        let all = starting_at(&slice(), &told(&[5, 15, 25], &[5, 15, 25]));
        assert_eq!(ranges(&all), ranges(&slice()));
    }

    #[test]
    fn other_topics_are_left_out() {
        let partitions = ["a", "b", "c"].map(|topic| Partition::new(topic, 0));
        let (start, end) = (
            partitions.iter().map(|p| (p.clone(), 0)).collect(),
            partitions.iter().map(|p| (p.clone(), 9)).collect(),
        );
        let slice = Slice::between(&start, &end);
        let topics = |said: &[&[&str]]| {
            let texts =
                |texts: &&[&str]| Bound::OneOf(texts.iter().map(ToString::to_string).collect());
            let bounds: Vec<Bound> = said.iter().map(texts).collect();
            let needed = Needed::of_parts(bounds.iter().map(|bound| (Part::Topic, bound)));
            let left = needed.within(&slice);
            let left = left.ranges().map(|(p, _, _)| p.stream.to_string());
            left.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(topics(&[]), "a b c");
        assert_eq!(topics(&[&["c", "a", "x"]]), "a c");
        assert_eq!(topics(&[&["c", "a"], &["c", "b"]]), "c");
        assert_eq!(topics(&[&[]]), "");
    }

    #[test]
    fn a_time_is_over_in_the_next_millisecond() {
        let beyond = |micros| needed(&[(Part::Timestamp, Interval::at_most(micros))]).beyond_ms();
        assert_eq!(beyond(1_000), Some(2));
        assert_eq!(beyond(1_999), Some(2));
        assert_eq!(beyond(-1), Some(0));
        assert_eq!(beyond(i64::MAX), Some(i64::MAX / 1_000 + 1));
        let after = needed(&[(Part::Timestamp, Interval::at_least(9))]);
        assert_eq!(after.beyond_ms(), None);
        // Not beyond the end, not before the start, and not where nothing is said.
        let ended = ending_at(&slice(), &at(&[9, 12]));
        assert_eq!(ranges(&ended), [(0, 0, 5), (1, 10, 12), (2, 20, 25)]);
        let ended = ending_at(&slice(), &at(&[0, 3, 21]));
        assert_eq!(ranges(&ended), [(2, 20, 21)]);
    }
}
