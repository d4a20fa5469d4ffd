//! A column of bytes that is filled value by value, in memory that is used again.
//!
//! A chunk's values are a megabyte or so, filled by the thread that fetches and let go by one that
//! decodes. An allocator keeps such memory for the thread that asked for it, or gives it back to the
//! system, and both cost more than a list of our own: several times the memory that is in use, or
//! pages that are cleared again for every chunk.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{BinaryArray, NullBufferBuilder};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::chunk::CHUNK_BYTES_FULL;

/// Buffers that wait to be used again take so much together, at most: two of chunks that are full by
/// their bytes, with room to spare.
const WAITING_BYTES_MAX: usize = 10 << 20;
/// The most that room is made for before it is needed.
const ROOM_BYTES_MAX: usize = CHUNK_BYTES_FULL;
/// A buffer of less is not worth keeping.
const KEPT_BYTES_MIN: usize = 64 << 10;

/// Buffers of a reader that nobody reads any more.
#[derive(Debug, Default)]
pub(crate) struct BufferPool {
    waiting: Mutex<Vec<Vec<u8>>>,
    /// The most that a buffer has held.
    largest_bytes: AtomicUsize,
}

impl BufferPool {
    /// The buffer that was given back last, empty; a new one if there is none, with room for a little
    /// more than any has held: one that grows is copied and leaves what it had behind, and room that
    /// is not used costs nothing.
    fn take(&self) -> Vec<u8> {
        let waiting = self.waiting.lock().pop();
        waiting.unwrap_or_else(|| {
            let largest = self.largest_bytes.load(Ordering::Relaxed);
            Vec::with_capacity(largest + largest / 8)
        })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        let held = buffer.len().min(ROOM_BYTES_MAX);
        self.largest_bytes.fetch_max(held, Ordering::Relaxed);
        if buffer.capacity() < KEPT_BYTES_MIN {
            return;
        }
        buffer.clear();
        let mut waiting = self.waiting.lock();
        let bytes: usize = waiting.iter().map(Vec::capacity).sum();
        if bytes + buffer.capacity() <= WAITING_BYTES_MAX {
            waiting.push(buffer);
        }
    }
}

/// The pools of a reader. Keys are a fraction of the values, and would hold their buffers for it.
#[derive(Debug, Default)]
pub(crate) struct Pools {
    pub(crate) keys: Arc<BufferPool>,
    pub(crate) values: Arc<BufferPool>,
}

/// Bytes that are read; given back to their pool by who reads them last.
struct Lent {
    bytes: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

/// Values one after the other, some of them NULL.
#[derive(Debug)]
pub(crate) struct BytesColumn {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    nulls: NullBufferBuilder,
    pool: Arc<BufferPool>,
}

impl BytesColumn {
    /// An empty column, whose memory comes from `pool`.
    pub(crate) fn new(pool: &Arc<BufferPool>) -> Self {
        BytesColumn {
            bytes: Vec::new(),
            ends: vec![0],
            nulls: NullBufferBuilder::new(0),
            pool: Arc::clone(pool),
        }
    }

    /// Bytes of all values.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    #[inline]
    pub(crate) fn push(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                if self.bytes.capacity() == 0 {
                    self.bytes = self.pool.take();
                }
                self.bytes.extend_from_slice(value);
                self.nulls.append_non_null();
            }
            None => self.nulls.append_null(),
        }
        // A chunk is full long before 2 GiB, and librdkafka's largest message is below 1 GB.
        self.ends.push(self.bytes.len() as i32);
    }

    /// The column so far; starts anew, with room for so many values.
    pub(crate) fn finish(&mut self, room: usize) -> BinaryArray {
        let mut ends = Vec::with_capacity(room + 1);
        ends.push(0);
        let ends = std::mem::replace(&mut self.ends, ends);
        let bytes = std::mem::take(&mut self.bytes);
        let nulls = std::mem::replace(&mut self.nulls, NullBufferBuilder::new(room)).finish();
        let lent = Lent {
            bytes,
            pool: Arc::clone(&self.pool),
        };
        let bytes = Buffer::from(Bytes::from_owner(lent));
        BinaryArray::new(OffsetBuffer::new(ScalarBuffer::from(ends)), bytes, nulls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pool: &BufferPool) -> Vec<usize> {
        pool.waiting.lock().iter().map(Vec::capacity).collect()
    }

    fn filled(column: &mut BytesColumn, bytes: usize) -> BinaryArray {
        column.push(Some(&vec![b'x'; bytes]));
        column.push(None);
        column.finish(0)
    }

    #[test]
    fn memory_comes_back_when_nobody_reads_it() {
        let pool = Arc::new(BufferPool::default());
        let mut column = BytesColumn::new(&pool);
        let first = filled(&mut column, KEPT_BYTES_MIN);
        let part = first.slice(0, 1);
        let place = first.value_data().as_ptr();
        drop(first);
        assert_eq!(waiting(&pool), [] as [usize; 0], "a part is read still");
        drop(part);
        assert_eq!(waiting(&pool).len(), 1);
        let second = filled(&mut column, KEPT_BYTES_MIN);
        assert_eq!(second.value_data().as_ptr(), place);
        assert_eq!(second.value(0), vec![b'x'; KEPT_BYTES_MIN]);
        assert_eq!(waiting(&pool), [] as [usize; 0]);
    }

    #[test]
    fn little_is_kept_and_not_too_much() {
        let pool = Arc::new(BufferPool::default());
        let mut column = BytesColumn::new(&pool);
        drop(filled(&mut column, 10));
        assert_eq!(waiting(&pool), [] as [usize; 0]);
        let mut arrays = vec![];
        for _ in 0..20 {
            arrays.push(filled(&mut column, 1 << 20));
        }
        drop(arrays);
        let kept = waiting(&pool);
        assert!((8..=10).contains(&kept.len()), "{kept:?}");
        assert!(kept.iter().sum::<usize>() <= WAITING_BYTES_MAX);
    }

    #[test]
    fn two_chunks_that_are_full_by_their_bytes_are_kept() {
        let pool = Arc::new(BufferPool::default());
        let mut column = BytesColumn::new(&pool);
        for round in 0..3 {
            let arrays = [(); 2].map(|()| filled(&mut column, CHUNK_BYTES_FULL + 300));
            drop(arrays);
            assert_eq!(waiting(&pool).len(), 2, "{round}");
        }
    }
}
