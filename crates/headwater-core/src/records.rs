//! Records as a source read them: where they are, what they held, and which of them were bad.
//!
//! ```text
//!   records of a batch   0     1     2     3     4
//!   rows                 0           1     2           bad: 1 and 4, which gave none
//! ```
//!
//! Rows know nothing of the records they were made of. Who must name one, in a message or in a
//! dead letter, asks the batch, which asks its [`Records`].

use std::collections::VecDeque;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields};
use serde::{Deserialize, Serialize};

use crate::format::BadRecord;

/// How many bad records are kept as samples.
pub const BAD_SAMPLES_MAX: usize = 10;
/// What a dead letter takes in memory besides its texts.
const LETTER_OVERHEAD_BYTES: usize = 256;

/// Fields of the struct that a header is in a column.
pub fn header_fields() -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, true),
        Field::new("value", DataType::Binary, true),
    ])
}

/// The type of a column of headers.
pub fn headers_type() -> DataType {
    let header = DataType::Struct(header_fields());
    DataType::List(Arc::new(Field::new("item", header, true)))
}

/// A record as it was read. What its source does not have is `None`, or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawRecord {
    /// The payload; `None` for a tombstone, and for a source whose records are not bytes.
    pub value: Option<Vec<u8>>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// Name of the topic.
    pub topic: Option<String>,
    /// Number of the partition.
    pub partition: Option<i32>,
    /// Its offset there.
    pub offset: Option<i64>,
    /// Its own time, in milliseconds since 1970-01-01T00:00:00Z.
    pub timestamp_ms: Option<i64>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// The records that a batch was made of, by their position in it.
pub trait Records: Send + Sync {
    /// Where a record is: `partition 3 of topic "orders" at offset 1042`.
    fn place(&self, record: usize) -> String;

    /// The record as it was read.
    fn raw(&self, record: usize) -> RawRecord {
        let _ = record;
        RawRecord::default()
    }
}

/// The records of a batch, if they are known.
#[derive(Clone, Default)]
pub struct BatchRecords(Option<Arc<dyn Records>>);

impl BatchRecords {
    /// These records.
    pub fn new(records: impl Records + 'static) -> Self {
        BatchRecords(Some(Arc::new(records)))
    }

    /// Records without bytes, whose places `place` names.
    pub fn named_by(place: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        struct Named<F>(F);
        impl<F: Fn(usize) -> String + Send + Sync> Records for Named<F> {
            fn place(&self, record: usize) -> String {
                (self.0)(record)
            }
        }
        BatchRecords::new(Named(place))
    }

    /// Where a record is, if that is known.
    pub fn place(&self, record: usize) -> Option<String> {
        self.0.as_ref().map(|records| records.place(record))
    }

    /// The record as it was read.
    pub fn raw(&self, record: usize) -> RawRecord {
        let known = self.0.as_ref();
        known.map_or_else(RawRecord::default, |records| records.raw(record))
    }
}

impl Debug for BatchRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchRecords").finish_non_exhaustive()
    }
}

/// The record that a row was made of, if some records gave no row, which are in ascending order.
pub fn record_of(row: usize, left_out: &[BadRecord]) -> usize {
    let passed = |record, gone: &BadRecord| record + usize::from(gone.record <= record);
    left_out.iter().fold(row, passed)
}

/// A bad record on its way to the sink of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where it was.
    pub place: String,
    /// Why it is bad, a short, stable text.
    pub reason: String,
    /// What was found; may be empty.
    pub detail: String,
    /// The record.
    pub record: RawRecord,
}

impl DeadLetter {
    /// About the memory it takes.
    pub fn memory_bytes(&self) -> usize {
        let RawRecord {
            value,
            key,
            headers,
            ..
        } = &self.record;
        let bytes = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
        let header = |(name, value): &(String, Option<Vec<u8>>)| name.len() + bytes(value);
        let texts = self.place.len() + self.reason.len() + self.detail.len();
        let headers: usize = headers.iter().map(header).sum();
        LETTER_OVERHEAD_BYTES + texts + bytes(value) + bytes(key) + headers
    }
}

/// A bad record, to show to a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadSample {
    /// Where it is.
    pub place: String,
    /// Why it is bad.
    pub reason: String,
    /// What was found; may be empty.
    pub detail: String,
}

/// The newest bad records.
#[derive(Debug, Clone, Default)]
pub struct BadSamples(VecDeque<BadSample>);

impl BadSamples {
    /// Adds one, and forgets the oldest if there are [`BAD_SAMPLES_MAX`].
    pub fn push(&mut self, sample: BadSample) {
        if self.0.len() == BAD_SAMPLES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(sample);
    }

    /// All of them, oldest first.
    pub fn to_vec(&self) -> Vec<BadSample> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_past_the_records_that_gave_none() {
        let bad = |record| BadRecord {
            record,
            reason: "x".into(),
            detail: String::new(),
        };
        let left_out = [bad(0), bad(2), bad(3)];
        let records: Vec<usize> = (0..3).map(|row| record_of(row, &left_out)).collect();
        assert_eq!(records, [1, 4, 5]);
        assert_eq!(record_of(7, &[]), 7);
    }

    #[test]
    fn the_newest_samples_are_kept() {
        let mut samples = BadSamples::default();
        for number in 0..BAD_SAMPLES_MAX + 3 {
            samples.push(BadSample {
                place: format!("line {number}"),
                reason: "not JSON".into(),
                detail: String::new(),
            });
        }
        let kept = samples.to_vec();
        assert_eq!(kept.len(), BAD_SAMPLES_MAX);
        assert_eq!(kept[0].place, "line 3");
    }
}
