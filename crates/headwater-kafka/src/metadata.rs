//! The columns that come out of the message around the payload.
//!
//! | name | column | NULL when |
//! | --- | --- | --- |
//! | `key` | BYTEA, or VARCHAR of UTF-8 text | there is no key; for a VARCHAR also when it is not UTF-8 |
//! | `topic` | VARCHAR | never |
//! | `partition` | INT or BIGINT | never |
//! | `offset` | BIGINT | never |
//! | `timestamp` | TIMESTAMP | the message has none, or one after the year 9999 |
//! | `timestamp_type` | INT: 0 set by the producer, 1 by the broker, -1 none | never |
//! | `headers` | ARRAY of STRUCT of VARCHAR and BYTEA | never; empty without headers |
//!
//! The names and types are those of Spark's Kafka source. A key that is not UTF-8 is NULL and not
//! a bad record, because the payload may be good and the raw key is there as BYTEA.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int32Array, Int64Array, StringViewBuilder, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use headwater_core::connector::MetadataColumn;
use headwater_core::event_time::LAST_SECOND;
use headwater_core::offset::Partition;
use headwater_core::options::nearest;
use headwater_core::records::headers_type;
use headwater_core::{Error, Result};

use crate::chunk::{Kept, RecordChunk};

/// A part of a message besides its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Topic,
    Partition,
    Offset,
    Timestamp,
    TimestampType,
    Headers,
    /// The payload itself, for the source without declared columns.
    Value,
}

/// What `METADATA FROM '…'` may name.
const NAMES: [(&str, Part); 7] = [
    ("key", Part::Key),
    ("topic", Part::Topic),
    ("partition", Part::Partition),
    ("offset", Part::Offset),
    ("timestamp", Part::Timestamp),
    ("timestamp_type", Part::TimestampType),
    ("headers", Part::Headers),
];

/// A part of a message as a column.
#[derive(Debug, Clone)]
pub(crate) struct PartColumn {
    pub(crate) field: FieldRef,
    pub(crate) part: Part,
}

/// Spark's seven columns, for a source without declared ones.
pub(crate) fn raw_columns() -> Vec<PartColumn> {
    let column = |name: &str, part: Part, is_nullable: bool| PartColumn {
        field: Arc::new(Field::new(name, part.data_type(), is_nullable)),
        part,
    };
    vec![
        column("key", Part::Key, true),
        column("value", Part::Value, true),
        column("topic", Part::Topic, false),
        column("partition", Part::Partition, false),
        column("offset", Part::Offset, false),
        column("timestamp", Part::Timestamp, true),
        column("timestamp_type", Part::TimestampType, false),
    ]
}

/// Checks the metadata columns of a definition.
pub(crate) fn part_columns(owner: &str, columns: &[MetadataColumn]) -> Result<Vec<PartColumn>> {
    columns
        .iter()
        .map(|column| part_column(owner, column))
        .collect()
}

fn part_column(owner: &str, column: &MetadataColumn) -> Result<PartColumn> {
    let from = column.from.trim().to_ascii_lowercase();
    let Some((name, part)) = NAMES.iter().find(|(name, _)| *name == from) else {
        let error = Error::configuration(format!(
            "column \"{}\" of {owner} is metadata from \"{}\", which Kafka does not have",
            column.field.name(),
            column.from
        ));
        let names = NAMES.map(|(name, _)| name);
        return Err(match nearest(&from, names.into_iter()) {
            Some(name) => error.with_hint(format!("Did you mean \"{name}\"?")),
            None => error.with_hint(format!("There are {}.", names.join(", "))),
        });
    };
    if !part.can_be(column.field.data_type()) {
        return Err(Error::configuration(format!(
            "column \"{}\" of {owner} cannot hold the metadata \"{name}\"",
            column.field.name()
        ))
        .with_hint(format!("Declare it as {}.", part.sql_types())));
    }
    Ok(PartColumn {
        field: Arc::clone(&column.field),
        part: *part,
    })
}

/// What must be kept of every message for these columns.
pub(crate) fn kept_for(columns: &[&PartColumn]) -> Kept {
    let has = |part: Part| columns.iter().any(|column| column.part == part);
    Kept {
        key: has(Part::Key),
        timestamp: has(Part::Timestamp) || has(Part::TimestampType),
        headers: has(Part::Headers),
        leaves_values: false,
    }
}

impl Part {
    fn data_type(self) -> DataType {
        match self {
            Part::Key | Part::Value => DataType::Binary,
            Part::Topic => DataType::Utf8View,
            Part::Partition | Part::TimestampType => DataType::Int32,
            Part::Offset => DataType::Int64,
            Part::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Part::Headers => headers_type(),
        }
    }

    fn can_be(self, declared: &DataType) -> bool {
        let is_text = matches!(
            declared,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        match self {
            Part::Key | Part::Value => {
                is_text
                    || matches!(
                        declared,
                        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
                    )
            }
            Part::Topic => is_text,
            Part::Partition | Part::TimestampType => {
                matches!(declared, DataType::Int32 | DataType::Int64)
            }
            Part::Offset => matches!(declared, DataType::Int64),
            Part::Timestamp => matches!(declared, DataType::Timestamp(_, _)),
            Part::Headers => {
                matches!(declared, DataType::List(_)) && can_cast_types(&self.data_type(), declared)
            }
        }
    }

    fn sql_types(self) -> &'static str {
        match self {
            Part::Key | Part::Value => "BYTEA or VARCHAR",
            Part::Topic => "VARCHAR",
            Part::Partition | Part::TimestampType => "INT or BIGINT",
            Part::Offset => "BIGINT",
            Part::Timestamp => "TIMESTAMP",
            Part::Headers => "STRUCT<key VARCHAR, value BYTEA>[]",
        }
    }
}

/// The values of a column for every record of a chunk.
pub(crate) fn part_array(
    column: &PartColumn,
    partition: &Partition,
    chunk: &RecordChunk,
) -> Result<ArrayRef> {
    let array = own_array(column.part, partition, chunk)?;
    let declared = column.field.data_type();
    if array.data_type() == declared {
        return Ok(array);
    }
    // Safe: what has no value in the declared type (a key that is not UTF-8) becomes NULL.
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    Ok(cast_with_options(&array, declared, &options)?)
}

fn own_array(part: Part, partition: &Partition, chunk: &RecordChunk) -> Result<ArrayRef> {
    let rows = chunk.rows();
    let missing = || Error::internal("a part of the messages was not kept");
    Ok(match part {
        Part::Value => Arc::new(chunk.values.clone()),
        Part::Key => Arc::new(chunk.keys.as_ref().ok_or_else(missing)?.clone()),
        Part::Topic => {
            let mut topics = StringViewBuilder::with_capacity(rows).with_deduplicate_strings();
            for _ in 0..rows {
                topics.append_value(&*partition.stream);
            }
            Arc::new(topics.finish())
        }
        Part::Partition => Arc::new(Int32Array::from_value(partition.index, rows)),
        Part::Offset => Arc::new(chunk.offsets.clone()),
        Part::Timestamp => Arc::new(micros(&chunk.timestamps)),
        Part::TimestampType => {
            Arc::new(chunk.timestamp_types.as_ref().ok_or_else(missing)?.clone())
        }
        Part::Headers => chunk.headers().ok_or_else(missing)?,
    })
}

/// What is later is the mistake of a producer, such as microseconds.
const LAST_MS: i64 = LAST_SECOND * 1_000 + 999;

/// Kafka's milliseconds as microseconds; negative ones mean that there is no timestamp, and later
/// ones than [`LAST_MS`] are none.
fn micros(ms: &Int64Array) -> TimestampMicrosecondArray {
    if ms.values().iter().all(|ms| (0..=LAST_MS).contains(ms)) {
        return ms
            .values()
            .iter()
            .map(|ms| ms * 1000)
            .collect::<Vec<i64>>()
            .into();
    }
    ms.values()
        .iter()
        .map(|ms| (0..=LAST_MS).contains(ms).then(|| ms * 1000))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes_column::Pools;
    use crate::chunk::ChunkBuilder;
    use crate::chunk::RawRecord;
    use arrow::array::AsArray;

    fn metadata(from: &str, data_type: DataType) -> MetadataColumn {
        MetadataColumn {
            field: Arc::new(Field::new("c", data_type, true)),
            from: from.into(),
        }
    }

    #[test]
    fn an_unknown_name_is_told_the_nearest() {
        let columns = [metadata("timestmp", DataType::Int64)];
        let error = part_columns("source \"s\"", &columns).unwrap_err();
        assert_eq!(
            error.message(),
            "column \"c\" of source \"s\" is metadata from \"timestmp\", which Kafka does not have"
        );
        assert_eq!(error.hint(), Some("Did you mean \"timestamp\"?"));
    }

    #[test]
    fn a_type_that_cannot_hold_the_part_is_refused() {
        let columns = [metadata("offset", DataType::Utf8View)];
        let error = part_columns("source \"s\"", &columns).unwrap_err();
        assert_eq!(error.hint(), Some("Declare it as BIGINT."));
    }

    #[test]
    fn a_key_that_is_not_text_is_null_as_string() {
        let kept = Kept {
            key: true,
            timestamp: true,
            ..Kept::default()
        };
        let mut builder = ChunkBuilder::new(kept, &Pools::default());
        for (offset, key, ms) in [
            (0, Some(&b"ok"[..]), 5),
            (1, Some(&b"\xff"[..]), -1),
            (2, None, 7),
            (3, None, LAST_MS),
            (4, None, LAST_MS + 1),
            (5, None, i64::MAX),
        ] {
            let value = Some(&b"v"[..]);
            builder.push(&RawRecord {
                offset,
                value,
                key,
                timestamp: (ms, 0),
                headers: vec![],
            });
        }
        let chunk = builder.finish();
        let partition = Partition::new("t", 3);
        for data_type in [DataType::Utf8View, DataType::Utf8] {
            let columns = part_columns("s", &[metadata("KEY", data_type)]).unwrap();
            let array = part_array(&columns[0], &partition, &chunk).unwrap();
            assert_eq!(
                (array.is_null(0), array.is_null(1), array.is_null(2)),
                (false, true, true)
            );
        }
        let raw = raw_columns();
        let times = part_array(&raw[5], &partition, &chunk).unwrap();
        let times = times.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(times.value(0), 5000);
        assert_eq!(times.value(3), LAST_MS * 1000);
        let none: Vec<usize> = (0..6).filter(|row| times.is_null(*row)).collect();
        assert_eq!(none, [1, 4, 5]);
        let topics = part_array(&raw[2], &partition, &chunk).unwrap();
        assert_eq!(topics.as_string_view().value(2), "t");
    }
}
