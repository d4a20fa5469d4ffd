//! Records of one partition as columns of raw bytes, filled message by message and read as Arrow
//! arrays without another copy.
//!
//! ```text
//! offsets     7      8      9          i64
//! values      {"a":1}{"a":2}{"a":3}    bytes in a row + i32 ends + null bits (tombstones);
//!                                      their lengths alone if no column needs them
//! keys        k1k2                     the same, only if a column needs it
//! timestamps  i64 ms
//! their kinds i32                     only if a column needs them
//! key CRCs    u32                     for the fingerprint of the last record read
//! headers     list of (name, bytes)    only if a column needs it
//! ```

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Int32Array, Int64Array, ListArray,
    ListBuilder, StringBuilder, StructBuilder,
};
use arrow::buffer::ScalarBuffer;
use headwater_core::fingerprint::Fingerprint;
use headwater_core::records::header_fields;

use crate::bytes_column::{BytesColumn, Pools};

/// Records in a chunk, at most.
pub(crate) const CHUNK_RECORDS_MAX: usize = 8192;
/// Bytes of values after which a chunk is full; one message may go past it.
pub(crate) const CHUNK_BYTES_FULL: usize = 4 << 20;
/// What a record costs besides its bytes.
const RECORD_OVERHEAD_BYTES: usize = 32;

/// Which parts of a message are kept, besides offset and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    pub(crate) key: bool,
    pub(crate) timestamp: bool,
    pub(crate) headers: bool,
    /// Nothing is made of the values, so they are not copied: every one is as one that is not there.
    pub(crate) leaves_values: bool,
}

/// A header of a message.
pub(crate) type Header = (String, Option<Vec<u8>>);

/// One message, borrowed from librdkafka.
#[derive(Debug, Clone)]
pub(crate) struct RawRecord<'a> {
    pub(crate) offset: i64,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) key: Option<&'a [u8]>,
    /// Milliseconds and Kafka's type: 0 by the producer, 1 by the broker, -1 none.
    pub(crate) timestamp: (i64, i32),
    pub(crate) headers: Vec<Header>,
}

fn header_builder() -> ListBuilder<StructBuilder> {
    let columns: Vec<Box<dyn arrow::array::ArrayBuilder>> = vec![
        Box::new(StringBuilder::new()),
        Box::new(BinaryBuilder::new()),
    ];
    ListBuilder::new(StructBuilder::new(header_fields(), columns))
}

/// A chunk being filled.
#[derive(Debug)]
pub(crate) struct ChunkBuilder {
    offsets: Vec<i64>,
    values: BytesColumn,
    keys: Option<BytesColumn>,
    timestamps: Vec<i64>,
    timestamp_types: Option<Vec<i32>>,
    key_crcs: Vec<u32>,
    headers: Option<ListBuilder<StructBuilder>>,
    header_bytes: usize,
    /// Bytes of values that are not copied.
    left_bytes: Option<usize>,
}

impl ChunkBuilder {
    /// An empty chunk; the memory of its values and keys comes from `pools`.
    pub(crate) fn new(kept: Kept, pools: &Pools) -> Self {
        ChunkBuilder {
            offsets: Vec::new(),
            values: BytesColumn::new(&pools.values),
            keys: kept.key.then(|| BytesColumn::new(&pools.keys)),
            timestamps: Vec::new(),
            timestamp_types: kept.timestamp.then(Vec::new),
            key_crcs: Vec::new(),
            headers: kept.headers.then(header_builder),
            header_bytes: 0,
            left_bytes: kept.leaves_values.then_some(0),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.offsets.len() >= CHUNK_RECORDS_MAX || self.values.bytes() >= CHUNK_BYTES_FULL
    }

    /// Adds a message; returns the memory it takes.
    #[inline]
    pub(crate) fn push(&mut self, record: &RawRecord<'_>) -> usize {
        let mut bytes = RECORD_OVERHEAD_BYTES;
        let value_bytes = record.value.map_or(0, <[u8]>::len);
        self.offsets.push(record.offset);
        if let Some(left_bytes) = &mut self.left_bytes {
            *left_bytes += value_bytes;
            self.values.push(None);
        } else {
            bytes += value_bytes;
            self.values.push(record.value);
        }
        if let Some(keys) = &mut self.keys {
            keys.push(record.key);
            bytes += record.key.map_or(0, <[u8]>::len);
        }
        self.timestamps.push(record.timestamp.0);
        if let Some(kinds) = &mut self.timestamp_types {
            kinds.push(record.timestamp.1);
        }
        // That of no bytes is 0; most topics have no keys.
        let key = record.key.filter(|key| !key.is_empty());
        self.key_crcs.push(key.map_or(0, crc32c::crc32c));
        if let Some(headers) = &mut self.headers {
            let size = push_headers(headers, &record.headers);
            self.header_bytes += size;
            bytes += size;
        }
        bytes
    }

    /// The chunk so far; the next one begins, with room for as much if this one is full.
    pub(crate) fn finish(&mut self) -> RecordChunk {
        let records = self.offsets.len();
        let room = if records < CHUNK_RECORDS_MAX {
            0
        } else {
            records
        };
        RecordChunk {
            offsets: Int64Array::from(replace(&mut self.offsets, room)),
            values: self.values.finish(room),
            keys: self.keys.as_mut().map(|keys| keys.finish(room)),
            timestamps: Int64Array::from(replace(&mut self.timestamps, room)),
            timestamp_types: (self.timestamp_types.as_mut())
                .map(|kinds| Int32Array::from(replace(kinds, room))),
            key_crcs: ScalarBuffer::from(replace(&mut self.key_crcs, room)),
            headers: self.headers.as_mut().map(|headers| headers.finish()),
            header_bytes: std::mem::take(&mut self.header_bytes),
            left_bytes: self.left_bytes.as_mut().map_or(0, std::mem::take),
        }
    }
}

/// What is in a vector, which begins anew with room for so many.
fn replace<T>(values: &mut Vec<T>, room: usize) -> Vec<T> {
    std::mem::replace(values, Vec::with_capacity(room))
}

fn push_headers(builder: &mut ListBuilder<StructBuilder>, headers: &[Header]) -> usize {
    let mut bytes = 0;
    let entry = builder.values();
    for (name, value) in headers {
        if let Some(names) = entry.field_builder::<StringBuilder>(0) {
            names.append_value(name);
        }
        if let Some(values) = entry.field_builder::<BinaryBuilder>(1) {
            values.append_option(value.as_deref());
        }
        entry.append(true);
        bytes += name.len() + value.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD_BYTES;
    }
    builder.append(true);
    bytes
}

/// Records of one partition, in offset order, not empty.
#[derive(Debug, Clone)]
pub(crate) struct RecordChunk {
    pub(crate) offsets: Int64Array,
    pub(crate) values: BinaryArray,
    pub(crate) keys: Option<BinaryArray>,
    pub(crate) timestamps: Int64Array,
    pub(crate) timestamp_types: Option<Int32Array>,
    key_crcs: ScalarBuffer<u32>,
    pub(crate) headers: Option<ListArray>,
    header_bytes: usize,
    left_bytes: usize,
}

impl RecordChunk {
    pub(crate) fn rows(&self) -> usize {
        self.offsets.len()
    }

    /// Offset of the first record.
    pub(crate) fn first(&self) -> i64 {
        self.offsets.values().first().copied().unwrap_or(i64::MAX)
    }

    /// The offset after the last record.
    pub(crate) fn end(&self) -> i64 {
        self.offsets
            .values()
            .last()
            .map_or(i64::MIN, |last| last.saturating_add(1))
    }

    /// What the last record is, for a later process.
    pub(crate) fn last_fingerprint(&self) -> Option<Fingerprint> {
        let last = self.rows().checked_sub(1)?;
        let value = if self.values.is_valid(last) {
            self.values.value(last)
        } else {
            &[]
        };
        Some(Fingerprint {
            offset: *self.offsets.values().get(last)?,
            timestamp_ms: *self.timestamps.values().get(last)?,
            crc: crc32c::crc32c_append(*self.key_crcs.get(last)?, value),
        })
    }

    /// Number of records below an offset.
    pub(crate) fn rows_below(&self, offset: i64) -> usize {
        self.offsets.values().partition_point(|o| *o < offset)
    }

    /// Bytes of the values that are here.
    pub(crate) fn value_bytes(&self) -> usize {
        byte_range(&self.values).len()
    }

    /// Bytes of the values that were not copied.
    pub(crate) fn left_bytes(&self) -> usize {
        self.left_bytes
    }

    /// The memory the records take, as [`ChunkBuilder::push`] counts it.
    pub(crate) fn memory_bytes(&self) -> usize {
        let keys = self.keys.as_ref().map_or(0, |keys| byte_range(keys).len());
        self.rows() * RECORD_OVERHEAD_BYTES + self.value_bytes() + keys + self.header_bytes
    }

    /// Splits off the first `rows` records; both parts share the bytes.
    pub(crate) fn split(&self, rows: usize) -> (RecordChunk, RecordChunk) {
        (self.slice(0, rows), self.slice(rows, self.rows() - rows))
    }

    fn slice(&self, from: usize, rows: usize) -> RecordChunk {
        // Bytes of which only the sum is known are shared out by rows: exact enough for a memory bound, and the
        // last part gets the rest so that the sum stays right.
        let share = |bytes: usize| {
            let upto = |rows: usize| bytes * rows / self.rows().max(1);
            upto(from + rows) - upto(from)
        };
        RecordChunk {
            offsets: self.offsets.slice(from, rows),
            values: self.values.slice(from, rows),
            keys: self.keys.as_ref().map(|a| a.slice(from, rows)),
            timestamps: self.timestamps.slice(from, rows),
            timestamp_types: self.timestamp_types.as_ref().map(|a| a.slice(from, rows)),
            key_crcs: self.key_crcs.slice(from, rows),
            headers: self.headers.as_ref().map(|a| a.slice(from, rows)),
            header_bytes: share(self.header_bytes),
            left_bytes: share(self.left_bytes),
        }
    }

    /// The headers of a record; none if they were not kept.
    pub(crate) fn headers_of(&self, record: usize) -> Vec<Header> {
        let Some(headers) = self.headers.as_ref().filter(|all| record < all.len()) else {
            return vec![];
        };
        headers_in(&headers.value(record))
    }

    /// Headers as an array, if they were kept.
    pub(crate) fn headers(&self) -> Option<ArrayRef> {
        self.headers
            .as_ref()
            .map(|headers| Arc::new(headers.clone()) as ArrayRef)
    }
}

/// Headers out of structs with [`header_fields`].
pub(crate) fn headers_in(entries: &ArrayRef) -> Vec<Header> {
    let Some(entries) = entries.as_struct_opt() else {
        return vec![];
    };
    let [names, values] = entries.columns() else {
        return vec![];
    };
    let (names, values) = (names.as_string_opt::<i32>(), values.as_binary_opt::<i32>());
    let (Some(names), Some(values)) = (names, values) else {
        return vec![];
    };
    let pairs = names.iter().zip(values).enumerate();
    let pairs = pairs.filter(|(entry, _)| entries.is_valid(*entry));
    let pair = |(_, (name, value)): (usize, (Option<&str>, Option<&[u8]>))| {
        let name = name.unwrap_or_default().to_string();
        (name, value.map(<[u8]>::to_vec))
    };
    pairs.map(pair).collect()
}

fn byte_range(array: &BinaryArray) -> std::ops::Range<usize> {
    let ends = array.value_offsets();
    let start = ends.first().copied().unwrap_or(0);
    let end = ends.last().copied().unwrap_or(0);
    start as usize..end as usize
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(offset: i64, value: Option<&[u8]>) -> RawRecord<'_> {
        RawRecord {
            offset,
            value,
            key: Some(b"k"),
            timestamp: (offset * 10, 0),
            headers: vec![("h".into(), Some(vec![1, 2])), ("n".into(), None)],
        }
    }

    const ALL: Kept = Kept {
        key: true,
        timestamp: true,
        headers: true,
        leaves_values: false,
    };

    #[test]
    fn records_become_columns() {
        let mut builder = ChunkBuilder::new(ALL, &Pools::default());
        builder.push(&record(3, Some(b"a")));
        builder.push(&record(5, None));
        builder.push(&record(9, Some(b"")));
        let chunk = builder.finish();
        assert_eq!((chunk.rows(), chunk.first(), chunk.end()), (3, 3, 10));
        assert_eq!(chunk.values.value(0), b"a");
        assert!(chunk.values.is_null(1));
        assert!(chunk.values.is_valid(2));
        assert_eq!(chunk.timestamps.value(2), 90);
        assert_eq!(chunk.headers.as_ref().unwrap().value(0).len(), 2);
        assert_eq!(chunk.rows_below(5), 1);
        assert_eq!(chunk.rows_below(6), 2);
    }

    #[test]
    fn the_memory_of_the_parts_is_that_of_the_whole() {
        let mut builder = ChunkBuilder::new(ALL, &Pools::default());
        let pushed: usize = (0..7).map(|i| builder.push(&record(i, Some(b"abc")))).sum();
        let chunk = builder.finish();
        assert_eq!(chunk.memory_bytes(), pushed);
        let (head, tail) = chunk.split(3);
        assert_eq!((head.rows(), tail.rows()), (3, 4));
        assert_eq!(head.memory_bytes() + tail.memory_bytes(), pushed);
        let (a, b) = tail.split(1);
        assert_eq!(a.memory_bytes() + b.memory_bytes(), tail.memory_bytes());
    }

    #[test]
    fn the_last_record_has_a_fingerprint_whatever_is_kept() {
        let fingerprint = |kept: Kept, last: RawRecord<'_>| {
            let mut builder = ChunkBuilder::new(kept, &Pools::default());
            builder.push(&record(3, Some(b"a")));
            builder.push(&last);
            builder.finish().last_fingerprint().unwrap()
        };
        let last = || record(5, Some(b"b"));
        let known = fingerprint(ALL, last());
        assert_eq!((known.offset, known.timestamp_ms), (5, 50));
        assert_eq!(known.crc, crc32c::crc32c(b"kb"));
        assert_eq!(fingerprint(Kept::default(), last()), known);
        let mut others = [last(), last(), last()];
        others[0].value = Some(b"c");
        others[1].key = Some(b"l");
        others[2].timestamp.0 += 1;
        for other in others {
            assert_ne!(fingerprint(ALL, other), known);
        }
        assert_eq!(fingerprint(ALL, record(5, None)).crc, crc32c::crc32c(b"k"));
        let mut builder = ChunkBuilder::new(ALL, &Pools::default());
        builder.push(&record(3, Some(b"a")));
        builder.push(&last());
        let (head, tail) = builder.finish().split(1);
        assert_eq!(tail.last_fingerprint(), Some(known));
        assert_eq!(head.last_fingerprint().unwrap().offset, 3);
    }

    #[test]
    fn values_that_no_column_needs_are_measured_and_not_copied() {
        let kept = Kept {
            leaves_values: true,
            ..Kept::default()
        };
        let mut builder = ChunkBuilder::new(kept, &Pools::default());
        let values: [Option<&[u8]>; 4] = [Some(b"abc"), None, Some(b""), Some(b"de")];
        let pushed: usize = (0..)
            .zip(values)
            .map(|(i, v)| builder.push(&record(i, v)))
            .sum();
        let chunk = builder.finish();
        assert_eq!((chunk.rows(), chunk.value_bytes()), (4, 0));
        assert_eq!((chunk.left_bytes(), chunk.memory_bytes()), (5, pushed));
        let (head, tail) = chunk.split(1);
        assert_eq!((head.left_bytes(), tail.left_bytes()), (1, 4));
    }

    #[test]
    fn parts_that_no_column_needs_are_not_kept() {
        let mut builder = ChunkBuilder::new(Kept::default(), &Pools::default());
        builder.push(&record(0, Some(b"abc")));
        let chunk = builder.finish();
        assert!(chunk.keys.is_none() && chunk.timestamp_types.is_none() && chunk.headers.is_none());
    }
}
