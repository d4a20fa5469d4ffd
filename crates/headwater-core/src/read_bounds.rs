//! What a bounded read needs of a source, so that a source may leave out what it need not read.
//!
//! ```text
//! WHERE "partition" = 2 AND "offset" >= 100 AND price > 5
//!       └─ column 3 in [2, 2] ┘  └─ column 4 in [100, ∞) ┘    └ says nothing
//! ```
//!
//! The filter stays above the read: a source that reads more than it must gives the same answer.

use std::collections::{BTreeMap, BTreeSet};

/// Values from `min` to `max`, both included; `None` is without a bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Interval {
    /// The least value.
    pub min: Option<i64>,
    /// The greatest value.
    pub max: Option<i64>,
}

impl Interval {
    /// One value.
    pub fn exactly(value: i64) -> Self {
        Interval {
            min: Some(value),
            max: Some(value),
        }
    }

    /// Values from `min` on.
    pub fn at_least(min: i64) -> Self {
        Interval {
            min: Some(min),
            max: None,
        }
    }

    /// Values up to `max`.
    pub fn at_most(max: i64) -> Self {
        Interval {
            min: None,
            max: Some(max),
        }
    }

    /// The values that are in both.
    pub fn and(self, other: Interval) -> Self {
        let both = |a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (one, other) => one.or(other),
        };
        Interval {
            min: both(self.min, other.min, i64::max),
            max: both(self.max, other.max, i64::min),
        }
    }

    /// Keeps the values that are in another one, too.
    pub fn narrow(&mut self, other: Interval) {
        *self = self.and(other);
    }

    /// The least interval around both.
    pub fn or(self, other: Interval) -> Self {
        Interval {
            min: self.min.zip(other.min).map(|(a, b)| a.min(b)),
            max: self.max.zip(other.max).map(|(a, b)| a.max(b)),
        }
    }

    /// Whether a value is in it.
    pub fn contains(self, value: i64) -> bool {
        self.min.is_none_or(|min| min <= value) && self.max.is_none_or(|max| value <= max)
    }
}

/// What is said of the values of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// A number or a time.
    Within(Interval),
    /// One of these texts.
    OneOf(BTreeSet<String>),
}

impl Bound {
    /// One text.
    pub fn text(text: impl Into<String>) -> Self {
        Bound::OneOf(BTreeSet::from([text.into()]))
    }

    /// What is said of values of which both are said.
    #[must_use]
    pub fn and(self, other: Bound) -> Self {
        match (self, other) {
            (Bound::Within(a), Bound::Within(b)) => Bound::Within(a.and(b)),
            (Bound::OneOf(a), Bound::OneOf(b)) => Bound::OneOf(&a & &b),
            // A column has one type; each of the two is true.
            (one, _) => one,
        }
    }

    /// What is said of values of which one of both is said, if anything is.
    pub fn or(self, other: &Bound) -> Option<Self> {
        match (self, other) {
            (Bound::Within(a), Bound::Within(b)) => Some(Bound::Within(a.or(*b))),
            (Bound::OneOf(a), Bound::OneOf(b)) => Some(Bound::OneOf(&a | b)),
            _ => None,
        }
    }
}

/// The values that columns of a source must have, by position in its schema: integers and texts as they
/// are, timestamps in microseconds since 1970-01-01T00:00:00Z. Rows with other values, or with NULL, are
/// not wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadBounds(BTreeMap<usize, Bound>);

impl ReadBounds {
    /// Bounds a column, besides what is said of it already.
    pub fn add(&mut self, column: usize, bound: Bound) {
        let all = match self.0.remove(&column) {
            Some(known) => known.and(bound),
            None => bound,
        };
        self.0.insert(column, all);
    }

    /// Columns and what is said of them.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Bound)> {
        self.0.iter().map(|(column, bound)| (*column, bound))
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_column_is_said_together() {
        let mut bounds = ReadBounds::default();
        bounds.add(3, Bound::Within(Interval::at_least(5)));
        bounds.add(3, Bound::Within(Interval::at_most(9)));
        bounds.add(3, Bound::Within(Interval::at_least(7)));
        let [(3, Bound::Within(interval))] = bounds.iter().collect::<Vec<_>>()[..] else {
            panic!("{bounds:?}")
        };
        assert_eq!((interval.min, interval.max), (Some(7), Some(9)));
        assert!(interval.contains(7) && !interval.contains(10));
    }

    #[test]
    fn either_of_two_is_in_what_is_around_both() {
        let either = Interval::exactly(2).or(Interval::exactly(9));
        assert_eq!((either.min, either.max), (Some(2), Some(9)));
        let open = Interval::exactly(2).or(Interval::at_least(9));
        assert_eq!((open.min, open.max), (Some(2), None));
    }

    #[test]
    fn texts_are_those_of_both_or_of_either() {
        let texts = |texts: &[&str]| Bound::OneOf(texts.iter().map(ToString::to_string).collect());
        assert_eq!(texts(&["a", "b"]).and(texts(&["b", "c"])), Bound::text("b"));
        assert_eq!(texts(&["a"]).or(&texts(&["c"])), Some(texts(&["a", "c"])));
        let number = Bound::Within(Interval::exactly(1));
        assert_eq!(texts(&["a"]).or(&number), None);
    }
}
