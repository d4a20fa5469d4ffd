//! Partitions that several readers of a session read: one fetches, the others listen.
//!
//! ```text
//! reader 1   consumer ──▶ partition 0 ──▶ buffer
//!                              └── tap ──▶ buffer of reader 2, whose consumer has given it up
//! ```
//! A tap gives what its reader fetches, in order, from some offset on. A listener joins with a
//! position at or after it, and its buffer leaves out what it has, so there is no gap and nothing
//! twice. Whoever listens is let go at the first thing that is neither the next record nor the end of
//! the partition, and goes when it has heard nothing for a while: its own consumer goes on where its
//! buffer ends. Decision 26 has the reasons.
//!
//! Locks are taken in this order: a tap, the buffer of its reader, the buffer of a listener. Only
//! older readers are listened to, so there is no circle.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use headwater_core::offset::Partition;
use parking_lot::{Mutex, MutexGuard};

use crate::batch_queue::Waker;
use crate::buffer::PartitionBuffer;
use crate::chunk::RawRecord;
use crate::client::KafkaConnection;
use crate::reader::Shared;

/// By how many offsets a position may be ahead of a tap to join: a moment's worth of records, which its
/// reader is about to fetch.
const OFFSETS_AHEAD_MAX: i64 = 1_000;

/// The taps of a session.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    readers: AtomicU64,
    by_partition: Mutex<HashMap<Partition, Vec<Weak<Tap>>>>,
}

/// Who a reader is, for those who could listen to it.
#[derive(Debug, Clone)]
pub(crate) struct ReaderIdentity {
    connection: KafkaConnection,
    older_readers: u64,
    /// Whether it takes headers out of messages, which costs something.
    has_headers: bool,
}

impl Taps {
    /// A reader that is younger than all before.
    pub(crate) fn enrol(&self, connection: &KafkaConnection, has_headers: bool) -> ReaderIdentity {
        ReaderIdentity {
            connection: connection.clone(),
            older_readers: self.readers.fetch_add(1, Ordering::Relaxed),
            has_headers,
        }
    }

    /// A tap for a partition that a reader fetches. It gives nothing yet.
    pub(crate) fn open(&self, reader: &ReaderIdentity, partition: &Partition) -> OwnTap {
        let tap = Arc::new(Tap {
            reader: reader.clone(),
            flow: Mutex::default(),
        });
        let mut by_partition = self.by_partition.lock();
        let taps = by_partition.entry(partition.clone()).or_default();
        taps.retain(|tap| tap.strong_count() > 0);
        taps.push(Arc::downgrade(&tap));
        OwnTap(tap)
    }

    /// Lets a reader listen to an older one that is where its buffer is, if there is one.
    pub(crate) fn listen(&self, reader: &ReaderIdentity, listener: &Listener) -> Option<Listening> {
        let older = self.older(reader, listener.buffer.partition());
        let hears = Arc::new(AtomicBool::new(true));
        let heard = older.into_iter().find(|tap| {
            let listener = Listener {
                hears: Arc::clone(&hears),
                ..listener.clone()
            };
            tap.flow.lock().join(listener)
        })?;
        Some(Listening {
            tap: heard,
            buffer: Arc::clone(&listener.buffer),
            hears,
            newest: None,
        })
    }

    /// The taps of older readers that fetch the same, the oldest first.
    fn older(&self, reader: &ReaderIdentity, partition: &Partition) -> Vec<Arc<Tap>> {
        let by_partition = self.by_partition.lock();
        let taps = by_partition.get(partition).into_iter().flatten();
        let taps = taps.filter_map(Weak::upgrade);
        let mut older: Vec<_> = taps
            .filter(|tap| {
                let is_enough = tap.reader.has_headers || !reader.has_headers;
                let is_older = tap.reader.older_readers < reader.older_readers;
                is_older && is_enough && tap.reader.connection == reader.connection
            })
            .collect();
        older.sort_by_key(|tap| tap.reader.older_readers);
        older
    }
}

/// Where others can hear what a reader fetches of a partition.
#[derive(Debug)]
struct Tap {
    reader: ReaderIdentity,
    flow: Mutex<Flow>,
}

/// The tap of a reader's own. Everybody is let go when it is dropped.
#[derive(Debug)]
pub(crate) struct OwnTap(Arc<Tap>);

impl OwnTap {
    /// What goes through it now.
    pub(crate) fn flow(&self) -> MutexGuard<'_, Flow> {
        self.0.flow.lock()
    }

    /// What comes next need not follow what came before: everybody is let go.
    pub(crate) fn close(&self) {
        self.flow().close();
    }

    /// Tells the queries of the listeners that something has come.
    pub(crate) fn tell(&self) {
        for listener in &self.flow().listeners {
            listener.reader.changed.notify_waiters();
        }
    }
}

impl Drop for OwnTap {
    fn drop(&mut self) {
        self.close();
    }
}

/// What goes through a tap.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    /// Everything from this offset on will come; `None` if nothing is sure.
    next: Option<i64>,
    listeners: Vec<Listener>,
}

impl Flow {
    /// A record came, which follows the one before.
    #[inline]
    pub(crate) fn record(&mut self, record: &RawRecord<'_>) {
        self.next = Some(record.offset.saturating_add(1));
        if !self.listeners.is_empty() {
            self.listeners.retain(|listener| listener.hear(record));
        }
    }

    /// The broker has nothing before `offset` that did not come.
    pub(crate) fn end_of_partition(&mut self, offset: i64) {
        self.next = self.next.max(Some(offset));
        self.listeners.retain(|listener| listener.hear_end(offset));
    }

    /// Lets everybody go.
    pub(crate) fn close(&mut self) {
        self.next = None;
        for listener in self.listeners.drain(..) {
            listener.let_go();
        }
    }

    fn join(&mut self, listener: Listener) -> bool {
        let Some(next) = self.next else {
            return false;
        };
        let position = listener.buffer.lock().settled_position();
        let is_near =
            position.is_some_and(|p| (next..=next.saturating_add(OFFSETS_AHEAD_MAX)).contains(&p));
        let joins = is_near && listener.has_room();
        if joins {
            self.listeners.push(listener);
        }
        joins
    }
}

/// A buffer that is filled by what another reader fetches.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    pub(crate) reader: Arc<Shared>,
    pub(crate) waker: Waker,
    pub(crate) buffer: Arc<PartitionBuffer>,
    /// Among how many partitions its reader shares its memory out.
    pub(crate) partitions: usize,
    hears: Arc<AtomicBool>,
}

impl Listener {
    /// Who wants to listen.
    pub(crate) fn new(
        reader: Arc<Shared>,
        waker: Waker,
        buffer: Arc<PartitionBuffer>,
        partitions: usize,
    ) -> Self {
        Listener {
            reader,
            waker,
            buffer,
            partitions,
            hears: Arc::default(),
        }
    }

    /// Takes a record in. Returns whether it goes on listening: not without room.
    fn hear(&self, record: &RawRecord<'_>) -> bool {
        if !self.has_room() {
            self.let_go();
            return false;
        }
        let mut state = self.buffer.lock();
        self.buffer.push(&mut state, record);
        self.buffer.count(&mut state);
        self.reader.heard.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// Returns whether it goes on listening: not if it has had more than the partition now holds, of
    /// which it is told what it should if it asks for itself.
    fn hear_end(&self, offset: i64) -> bool {
        let mut state = self.buffer.lock();
        let is_cut_off = state.position() > offset;
        if is_cut_off {
            drop(state);
            self.let_go();
            return false;
        }
        state.reached_end(offset);
        true
    }

    fn has_room(&self) -> bool {
        let held = self.buffer.held_bytes();
        self.reader.budget.has_room(held, self.partitions)
    }

    fn let_go(&self) {
        self.hears.store(false, Ordering::Release);
        self.reader.has_requests.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// That a buffer listens, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listening {
    tap: Arc<Tap>,
    buffer: Arc<PartitionBuffer>,
    hears: Arc<AtomicBool>,
    /// A position of the buffer, and when it was first seen.
    newest: Option<(i64, Duration)>,
}

impl Listening {
    /// Whether it has not been let go.
    pub(crate) fn hears(&self) -> bool {
        self.hears.load(Ordering::Acquire)
    }

    /// For how long nothing has come, as far as who asks now and then can tell.
    pub(crate) fn silence(&mut self, now: Duration) -> Duration {
        let position = self.buffer.lock().position();
        match self.newest {
            Some((newest, since)) if newest == position => now.saturating_sub(since),
            _ => {
                self.newest = Some((position, now));
                Duration::ZERO
            }
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut flow = self.tap.flow.lock();
        flow.listeners
            .retain(|listener| !Arc::ptr_eq(&listener.buffer, &self.buffer));
    }
}
