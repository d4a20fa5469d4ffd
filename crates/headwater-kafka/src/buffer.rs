//! The unread records of one partition, between the thread that fetches and the stream that
//! decodes.
//!
//! ```text
//!            base                      position
//!   ── read ──│── chunk ── chunk ── open ──│── not fetched yet ──▶ offsets
//! ```
//! Everything in `[base, position)` is here; `position` also moves past gaps (transaction markers,
//! compacted records) when the broker reports the end of the partition. Reading takes records out
//! for good: a slice that is read again is fetched again, which costs a fetch in a rare case and
//! no memory in the common one.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use headwater_core::offset::Partition;
use headwater_core::{Error, Result};
use parking_lot::{Mutex, MutexGuard};

use crate::budget::Budget;
use crate::chunk::{ChunkBuilder, Kept, RawRecord, RecordChunk};
use crate::cluster::named;
use crate::failure::Failure;

/// The buffer of one partition.
#[derive(Debug)]
pub(crate) struct PartitionBuffer {
    partition: Partition,
    kept: Kept,
    budget: Arc<Budget>,
    held_bytes: AtomicUsize,
    is_being_read: AtomicBool,
    state: Mutex<State>,
}

/// What is in a [`PartitionBuffer`], for whoever holds its lock.
#[derive(Debug)]
pub(crate) struct State {
    chunks: VecDeque<RecordChunk>,
    open: ChunkBuilder,
    base: i64,
    position: i64,
    records: u64,
    /// Bytes of records that have been taken in since the last count.
    uncounted_bytes: usize,
    /// Nothing below exists: where a partition that appeared later begins.
    floor: i64,
    /// Where the fetching thread is to go on instead; until it has, nothing is taken in.
    wanted: Option<i64>,
    failure: Option<Failure>,
    /// Offsets whose records were gone when they were asked for, in order and apart.
    lost: Vec<Range<i64>>,
}

/// What [`PartitionBuffer::take`] found.
#[derive(Debug)]
pub(crate) enum Taken {
    /// Records, at least one.
    Records(Box<RecordChunk>),
    /// The end of the slice is reached.
    End,
    /// Records of the slice are still to come.
    NotYet,
}

/// How far a partition can be read from some offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The offset up to which there is something to read.
    pub(crate) position: i64,
    /// Records in between.
    pub(crate) records: u64,
    /// About the memory that these take.
    pub(crate) bytes: u64,
}

impl PartitionBuffer {
    /// A buffer that wants its first record at `from`.
    pub(crate) fn new(partition: Partition, from: i64, kept: Kept, budget: Arc<Budget>) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            open: ChunkBuilder::new(kept, budget.pools()),
            base: from,
            position: from,
            records: 0,
            uncounted_bytes: 0,
            floor: 0,
            wanted: Some(from),
            failure: None,
            lost: Vec::new(),
        };
        PartitionBuffer {
            partition,
            kept,
            budget,
            held_bytes: AtomicUsize::new(0),
            is_being_read: AtomicBool::new(false),
            state: Mutex::new(state),
        }
    }

    /// A buffer for a partition that appeared while its topic was read.
    pub(crate) fn appeared(self, floor: i64) -> Self {
        self.state.lock().floor = floor;
        self
    }

    pub(crate) fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Bytes of the records in here.
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Whether fewer records than so many are in here.
    pub(crate) fn holds_fewer(&self, records_max: u64) -> bool {
        records_max == u64::MAX || self.state.lock().records < records_max
    }

    /// How far one can read from `from` without waiting. A failure is told when nothing is left of
    /// what came before it.
    pub(crate) fn reach(&self, from: i64) -> Result<Reach> {
        let state = self.state.lock();
        let is_moving = state.wanted.is_some() && state.records == 0;
        if is_moving || state.position <= from {
            if let Some(failure) = &state.failure {
                return Err(failure.to_error());
            }
            return Ok(Reach {
                position: from,
                records: 0,
                bytes: 0,
            });
        }
        // Offsets below the base must be fetched again; how many records that gives is not
        // known, and never more than this.
        let behind = state
            .base
            .saturating_sub(from.max(state.floor))
            .max(0)
            .unsigned_abs();
        let skipped: usize = state
            .chunks
            .iter()
            .take_while(|chunk| chunk.first() < from)
            .map(|chunk| chunk.rows_below(from))
            .sum();
        let records = behind + state.records.saturating_sub(skipped as u64);
        // Those that are not there yet are taken for as large as those that are.
        let held = self.held_bytes.load(Ordering::Relaxed) as u128;
        let bytes = held * u128::from(records) / u128::from(state.records.max(1));
        Ok(Reach {
            position: state.position,
            records,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
        })
    }

    /// Whether more is on its way: what comes after a failure waits until that has been told.
    pub(crate) fn is_fetching(&self) -> bool {
        self.state.lock().failure.is_none()
    }

    /// The offset after the first `records` records at or after `from`.
    pub(crate) fn offset_after(&self, from: i64, records: u64) -> i64 {
        let mut state = self.state.lock();
        state.seal();
        let behind = state
            .base
            .saturating_sub(from.max(state.floor))
            .max(0)
            .unsigned_abs();
        if records <= behind {
            return from.max(state.floor).saturating_add_unsigned(records);
        }
        let mut left = records - behind;
        for chunk in &state.chunks {
            let skip = chunk.rows_below(from);
            let rows = (chunk.rows() - skip) as u64;
            if left <= rows {
                let last = skip + usize::try_from(left).unwrap_or(usize::MAX);
                let offset = chunk.offsets.values().get(last.saturating_sub(1));
                return offset.map_or(from, |offset| offset + 1);
            }
            left -= rows;
        }
        state.position.max(from)
    }

    /// Leaves out what is before `from`, fetched or not, if nobody reads there: it would hold memory
    /// that what comes next needs.
    /// Returns whether fetching must begin anew.
    pub(crate) fn skip_to(&self, from: i64) -> bool {
        let mut state = self.state.lock();
        // Looked at under the lock: a claim that comes later prepares its own start after this.
        let is_free = !self.is_being_read.load(Ordering::Acquire);
        if !is_free || state.wanted.is_some() || state.failure.is_some() {
            return false;
        }
        if state.position < from {
            self.restart(&mut state, from);
            return true;
        }
        if state.base < from {
            self.drop_below(&mut state, from);
        }
        false
    }

    /// Forgets a failure that has been told and may pass, and what came before it. Returns whether
    /// fetching must begin anew.
    pub(crate) fn try_again(&self) -> bool {
        let mut state = self.state.lock();
        let is_free = !self.is_being_read.load(Ordering::Acquire);
        let may_pass = state.failure.as_ref().is_some_and(Failure::may_pass);
        if !is_free || !may_pass {
            return false;
        }
        let base = state.base;
        self.restart(&mut state, base);
        true
    }

    /// Frees records below `offset` that nobody will read: those of a committed slice whose stream
    /// was dropped before its end.
    pub(crate) fn forget_below(&self, offset: i64) {
        let mut state = self.state.lock();
        state.lost.retain(|lost| lost.end > offset);
        let is_free = !self.is_being_read.load(Ordering::Acquire);
        if is_free && state.wanted.is_none() && state.base < offset {
            let upto = offset.min(state.position);
            self.drop_below(&mut state, upto);
        }
    }

    /// Makes `start` the next record to take. Returns whether fetching must begin there anew.
    pub(crate) fn prepare(&self, start: i64) -> bool {
        let mut state = self.state.lock();
        let start = start.max(state.floor);
        if let Some(wanted) = state.wanted
            && wanted == start
        {
            return false;
        }
        let is_held = (state.base..state.position).contains(&start);
        let is_next = start == state.position && state.failure.is_none();
        let is_settled = state.wanted.is_none();
        // One that fetches again where it is keeps what came before.
        if (is_held && (is_settled || state.records > 0)) || (is_next && is_settled) {
            self.drop_below(&mut state, start);
            return false;
        }
        self.restart(&mut state, start);
        true
    }

    fn restart(&self, state: &mut State, start: i64) {
        self.release(self.held_bytes());
        state.chunks.clear();
        state.open = ChunkBuilder::new(self.kept, self.budget.pools());
        state.records = 0;
        state.base = start;
        state.position = start;
        state.failure = None;
        state.wanted = Some(start);
    }

    /// Takes records below `end` out, `rows_max` at most.
    pub(crate) fn take(&self, end: i64, rows_max: usize) -> Result<Taken> {
        let mut state = self.state.lock();
        if state.chunks.is_empty() {
            state.seal();
        }
        if let Some(chunk) = state.chunks.pop_front() {
            let rows = chunk.rows_below(end).min(rows_max.max(1));
            if rows == 0 {
                state.base = state.base.max(end);
                state.chunks.push_front(chunk);
                return Ok(Taken::End);
            }
            let taken = if rows < chunk.rows() {
                let (taken, rest) = chunk.split(rows);
                state.chunks.push_front(rest);
                taken
            } else {
                chunk
            };
            state.base = taken.end();
            state.records = state.records.saturating_sub(taken.rows() as u64);
            self.release(taken.memory_bytes());
            return Ok(Taken::Records(Box::new(taken)));
        }
        if state.position >= end {
            state.base = state.base.max(end);
            return Ok(Taken::End);
        }
        match &state.failure {
            Some(failure) => Err(failure.to_error()),
            None => Ok(Taken::NotYet),
        }
    }

    /// How many offsets of a slice were lost.
    pub(crate) fn lost_in(&self, start: i64, end: i64) -> u64 {
        let state = self.state.lock();
        let lost = state.lost.iter();
        lost.map(|lost| lost.end.min(end) - lost.start.max(start))
            .map(|offsets| offsets.max(0).unsigned_abs())
            .sum()
    }

    /// Claims the partition for one stream.
    pub(crate) fn claim(self: &Arc<Self>) -> Result<ReadClaim> {
        if self.is_being_read.swap(true, Ordering::Acquire) {
            return Err(Error::internal(format!(
                "{} is read twice at the same time",
                named(&self.partition)
            )));
        }
        Ok(ReadClaim(Arc::clone(self)))
    }

    /// The state, for the fetching thread.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Takes a fetched record in, unless it comes from before a change of position. It has yet to be
    /// [counted](PartitionBuffer::count).
    #[inline]
    pub(crate) fn push(&self, state: &mut State, record: &RawRecord<'_>) {
        if !state.takes_in() || record.offset < state.position {
            return;
        }
        state.uncounted_bytes += state.open.push(record);
        state.position = record.offset + 1;
        state.records += 1;
        if state.open.is_full() {
            state.seal();
        }
    }

    /// Counts what has been taken in, to be called before the lock is given back: counting every record
    /// would cost as much as taking it in.
    pub(crate) fn count(&self, state: &mut State) {
        let bytes = std::mem::take(&mut state.uncounted_bytes);
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.budget.add(bytes);
    }

    fn release(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.budget.remove(bytes);
    }

    fn drop_below(&self, state: &mut State, start: i64) {
        state.seal();
        while let Some(chunk) = state.chunks.pop_front() {
            let rows = chunk.rows_below(start);
            if rows < chunk.rows() {
                let (dropped, rest) = chunk.split(rows);
                state.chunks.push_front(rest);
                self.release(dropped.memory_bytes());
                state.records = state.records.saturating_sub(rows as u64);
                break;
            }
            self.release(chunk.memory_bytes());
            state.records = state.records.saturating_sub(rows as u64);
        }
        state.base = state.base.max(start);
    }
}

impl Drop for PartitionBuffer {
    fn drop(&mut self) {
        self.budget.remove(self.held_bytes());
    }
}

impl State {
    /// Makes the open chunk readable.
    fn seal(&mut self) {
        if !self.open.is_empty() {
            self.chunks.push_back(self.open.finish());
        }
    }

    /// Where the fetching thread is to go on, if it is asked to.
    pub(crate) fn wanted(&self) -> Option<i64> {
        self.wanted
    }

    /// Offset of the next record to fetch.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Whether what is fetched next follows what is here. After a failure it need not.
    #[inline]
    fn takes_in(&self) -> bool {
        self.wanted.is_none() && self.failure.is_none()
    }

    /// Offset of the next record to fetch, if nothing stands in the way of fetching it.
    pub(crate) fn settled_position(&self) -> Option<i64> {
        self.takes_in().then_some(self.position)
    }

    /// Fetching goes on where it is now, and what has been fetched beyond is not taken in.
    pub(crate) fn fetch_again(&mut self) {
        self.wanted.get_or_insert(self.position);
    }

    /// The fetching thread is where it was asked to be, unless that has changed again.
    pub(crate) fn moved_to(&mut self, offset: i64) {
        if self.wanted == Some(offset) {
            self.wanted = None;
        }
    }

    /// The broker has nothing before `offset` that was not delivered.
    pub(crate) fn reached_end(&mut self, offset: i64) {
        if self.takes_in() {
            self.position = self.position.max(offset);
        }
    }

    /// The records up to `start` are gone, and that is accepted: fetching goes on there.
    pub(crate) fn skip_lost(&mut self, start: i64) {
        let mut lost = self.position..start;
        self.lost.retain(|known| {
            let is_apart = known.end < lost.start || lost.end < known.start;
            if !is_apart {
                lost = lost.start.min(known.start)..lost.end.max(known.end);
            }
            is_apart
        });
        self.lost.push(lost);
        self.position = start;
        if self.wanted.is_some() {
            self.wanted = Some(start);
        }
    }

    /// Reading cannot go on.
    pub(crate) fn fail(&mut self, failure: Failure) {
        self.failure = Some(failure);
    }
}

/// The right to take records of a partition, given back when dropped.
#[derive(Debug)]
pub(crate) struct ReadClaim(Arc<PartitionBuffer>);

impl ReadClaim {
    pub(crate) fn buffer(&self) -> &PartitionBuffer {
        &self.0
    }
}

impl Drop for ReadClaim {
    fn drop(&mut self) {
        self.0.is_being_read.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
