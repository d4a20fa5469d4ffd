//! Messages taken from librdkafka many at a time. `flush.rs` and `admin_client.rs` have the rest of the
//! `unsafe` of the crate, a call each.
//!
//! rdkafka's safe `poll` makes an event object per message and forgets topic and offset of an
//! end-of-partition event, which the end of a slice hangs on. librdkafka's
//! `rd_kafka_consume_batch_queue` costs a third of that per message and tells both. So partitions
//! are forwarded to one queue of our own, and what it holds is handed to a visitor:
//!
//! ```text
//! partition 0 ──forward──┐
//! partition 1 ──forward──┼──▶ own queue ──poll_batch──▶ visitor
//! partition 2 ──(closed)─┘    logs, errors and the like stay on the consumer's queue
//! ```
//! A closed partition keeps its messages on its own queue, which is bounded, and does not hold
//! the others up; opening it again loses nothing. (Pausing it instead would throw its fetched
//! messages away.)
#![expect(
    unsafe_code,
    reason = "batch consume and end-of-partition offsets are only in librdkafka's C interface"
)]

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use headwater_core::offset::Partition;
use headwater_core::{Error, Result};
use rdkafka::bindings as ffi;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use crate::chunk::{Header, Kept, RawRecord};
use crate::client::ClientEvents;

/// Messages asked for in one call.
const BATCH_MESSAGES_MAX: usize = 2048;

/// The consumer every queue belongs to.
pub(crate) type Client = BaseConsumer<ClientEvents>;

/// What came from a partition; `lane` is the number that [`BatchQueue::add`] gave it.
#[derive(Debug)]
pub(crate) enum Arrival<'a> {
    /// A message.
    Record(RawRecord<'a>),
    /// Nothing more before this offset.
    EndOfPartition(i64),
    /// An error of the partition.
    Trouble(RDKafkaErrorCode, String),
}

/// A queue handle of librdkafka, given back on drop.
///
/// Invariant: `queue` is not null, and the client it belongs to lives as long as it does.
struct OwnedQueue {
    queue: *mut ffi::rd_kafka_queue_t,
    client: Arc<Client>,
}

// SAFETY: librdkafka's queues lock themselves; every function called on `queue` in this file is
// documented as callable from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: as above.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    fn new(queue: *mut ffi::rd_kafka_queue_t, client: &Arc<Client>) -> Result<Self> {
        if queue.is_null() {
            return Err(Error::internal("librdkafka gave no queue"));
        }
        Ok(OwnedQueue {
            queue,
            client: Arc::clone(client),
        })
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: `queue` came from librdkafka and is given back once; the client, a field of
        // self, is dropped after this.
        unsafe { ffi::rd_kafka_queue_destroy(self.queue) };
    }
}

/// Ends the wait of [`BatchQueue::poll_batch`] from another thread.
#[derive(Clone)]
pub(crate) struct Waker(Weak<OwnedQueue>);

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}

impl Waker {
    pub(crate) fn wake(&self) {
        let Some(owned) = self.0.upgrade() else {
            return;
        };
        // SAFETY: the queue is alive while `owned` is.
        unsafe { ffi::rd_kafka_queue_yield(owned.queue) };
        // Its thread may have ended meanwhile. Closing a consumer takes time, which who wakes has not.
        if let Some(last) = Arc::into_inner(owned) {
            std::thread::spawn(move || drop(last));
        }
    }
}

/// The queue to which open partitions are forwarded.
pub(crate) struct BatchQueue {
    // Dropped before `own`, as they may point to it.
    lanes: Vec<OwnedQueue>,
    own: Arc<OwnedQueue>,
    numbers: HashMap<Partition, usize>,
    /// Numbers by librdkafka's topic handle, which is stable while a partition is assigned.
    handles: HashMap<(usize, i32), usize>,
    newest: Option<((usize, i32), usize)>,
    kept: Kept,
    batch: Vec<*mut ffi::rd_kafka_message_t>,
}

// SAFETY: the pointers in `batch` are used within one call of `poll_batch` only; everything else
// is Send.
unsafe impl Send for BatchQueue {}

impl BatchQueue {
    pub(crate) fn new(client: &Arc<Client>, kept: Kept) -> Result<Self> {
        // SAFETY: the native client is alive while `client` is.
        let queue = unsafe { ffi::rd_kafka_queue_new(client.client().native_ptr()) };
        Ok(BatchQueue {
            lanes: Vec::new(),
            own: Arc::new(OwnedQueue::new(queue, client)?),
            numbers: HashMap::new(),
            handles: HashMap::new(),
            newest: None,
            kept,
            batch: vec![ptr::null_mut(); BATCH_MESSAGES_MAX],
        })
    }

    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.own.client
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker(Arc::downgrade(&self.own))
    }

    /// Routes a partition here, open; to be called before the partition is assigned.
    pub(crate) fn add(&mut self, partition: &Partition) -> Result<usize> {
        let lane = self.lanes.len();
        self.lanes.push(self.queue_of(partition)?);
        self.numbers.insert(partition.clone(), lane);
        self.set_open(lane, true);
        Ok(lane)
    }

    /// Routes a partition here again, open; to be called before it is assigned again. librdkafka may
    /// have forgotten one that was not assigned, and its queue with it.
    pub(crate) fn renew(&mut self, lane: usize, partition: &Partition) -> Result<()> {
        let queue = self.queue_of(partition)?;
        if let Some(old) = self.lanes.get_mut(lane) {
            *old = queue;
        }
        self.handles.clear();
        self.newest = None;
        self.set_open(lane, true);
        Ok(())
    }

    /// librdkafka's own queue of a partition.
    fn queue_of(&self, partition: &Partition) -> Result<OwnedQueue> {
        let topic = CString::new(&*partition.stream)
            .map_err(|e| Error::configuration("a topic's name holds a NUL").with_source(e))?;
        // SAFETY: the client is alive and `topic` ends with NUL; librdkafka copies it.
        let queue = unsafe {
            ffi::rd_kafka_queue_get_partition(
                self.client().client().native_ptr(),
                topic.as_ptr(),
                partition.index,
            )
        };
        OwnedQueue::new(queue, self.client())
    }

    /// Lets the messages of a partition through, or keeps them on the partition's own queue.
    pub(crate) fn set_open(&self, lane: usize, is_open: bool) {
        let target = if is_open {
            self.own.queue
        } else {
            ptr::null_mut()
        };
        if let Some(source) = self.lanes.get(lane) {
            // SAFETY: both queues are alive; a null target ends the forwarding.
            unsafe { ffi::rd_kafka_queue_forward(source.queue, target) };
        }
    }

    /// Hands what has arrived to `visit`, without waiting. Returns how much it was.
    pub(crate) fn poll_batch(&mut self, visit: impl FnMut(usize, Arrival<'_>)) -> usize {
        let max = self.batch.len();
        self.consume(Duration::ZERO, max, visit)
    }

    /// Waits for one arrival or for the [`Waker`].
    pub(crate) fn wait(&mut self, limit: Duration, visit: impl FnMut(usize, Arrival<'_>)) -> usize {
        // librdkafka waits until all asked for is there, so more than one must not be asked for.
        self.consume(limit, 1, visit)
    }

    fn consume(
        &mut self,
        limit: Duration,
        max: usize,
        mut visit: impl FnMut(usize, Arrival<'_>),
    ) -> usize {
        let limit_ms = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the queue is alive, and `batch` has room for `max` pointers.
        let count = unsafe {
            ffi::rd_kafka_consume_batch_queue(
                self.own.queue,
                limit_ms,
                self.batch.as_mut_ptr(),
                max.min(self.batch.len()),
            )
        };
        let count = usize::try_from(count).unwrap_or(0).min(self.batch.len());
        for slot in 0..count {
            let message = self.batch[slot];
            // SAFETY: librdkafka filled the first `count` slots with messages that are ours
            // until they are destroyed, which happens once, below, after the last use.
            let read = unsafe { &*message };
            if let Some(lane) = self.lane_of(read) {
                visit(lane, arrival(read, self.kept));
            }
            // SAFETY: as above; `read` is not used any more.
            unsafe { ffi::rd_kafka_message_destroy(message) };
        }
        count
    }

    /// The number of the partition a message belongs to; `None` if it belongs to none.
    #[inline]
    fn lane_of(&mut self, message: &ffi::rd_kafka_message_t) -> Option<usize> {
        let handle = (message.rkt as usize, message.partition);
        match self.newest {
            Some((newest, lane)) if newest == handle => Some(lane),
            _ => self.find_lane(message, handle),
        }
    }

    #[cold]
    fn find_lane(
        &mut self,
        message: &ffi::rd_kafka_message_t,
        handle: (usize, i32),
    ) -> Option<usize> {
        let lane = match self.handles.get(&handle) {
            Some(lane) => *lane,
            None => {
                if message.rkt.is_null() {
                    return None;
                }
                // SAFETY: a message holds its topic; the name ends with NUL and is copied here.
                let topic = unsafe { CStr::from_ptr(ffi::rd_kafka_topic_name(message.rkt)) };
                let topic = topic.to_string_lossy().into_owned();
                let lane = *self
                    .numbers
                    .get(&Partition::new(topic, message.partition))?;
                self.handles.insert(handle, lane);
                lane
            }
        };
        self.newest = Some((handle, lane));
        Some(lane)
    }
}

#[inline]
fn arrival(message: &ffi::rd_kafka_message_t, kept: Kept) -> Arrival<'_> {
    match message.err {
        ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Arrival::Record(RawRecord {
            offset: message.offset,
            // SAFETY: librdkafka gives pointer and length of the message's own bytes.
            value: unsafe { bytes(message.payload, message.len) },
            // SAFETY: as above.
            key: unsafe { bytes(message.key, message.key_len) },
            timestamp: timestamp(message),
            headers: if kept.headers {
                headers(message)
            } else {
                Vec::new()
            },
        }),
        ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
            Arrival::EndOfPartition(message.offset)
        }
        code => {
            // SAFETY: for an error, the payload is the reason, with its length.
            let reason = unsafe { bytes(message.payload, message.len) }.unwrap_or_default();
            let reason = String::from_utf8_lossy(reason).into_owned();
            Arrival::Trouble(RDKafkaErrorCode::from(code), reason)
        }
    }
}

/// The bytes at `start`; `None` for a null pointer.
///
/// # Safety
/// If `start` is not null, `len` bytes there must be readable for `'a`.
#[inline]
unsafe fn bytes<'a>(start: *const c_void, len: usize) -> Option<&'a [u8]> {
    if start.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    Some(unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

/// The time of a record that has none, and the type of that time.
const NO_TIME: i64 = -1;
const NO_TIME_TYPE: i32 = -1;

fn timestamp(message: &ffi::rd_kafka_message_t) -> (i64, i32) {
    let mut kind = ffi::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: both pointers are valid for the call.
    let ms = unsafe { ffi::rd_kafka_message_timestamp(message, &mut kind) };
    match ms {
        // A batch says of all its records who has set their times, also if nobody has.
        NO_TIME => (ms, NO_TIME_TYPE),
        // Kafka counts from -1 for "none", librdkafka from 0.
        _ => (ms, kind as i32 - 1),
    }
}

fn headers(message: &ffi::rd_kafka_message_t) -> Vec<Header> {
    let mut list: *mut ffi::rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: the message is valid; the list stays its property.
    let code = unsafe { ffi::rd_kafka_message_headers(message, &mut list) };
    let mut found = Vec::new();
    if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return found;
    }
    loop {
        let mut name: *const c_char = ptr::null();
        let mut value: *const c_void = ptr::null();
        let mut size = 0;
        // SAFETY: the list is valid as long as the message is; all out-pointers are valid.
        let code = unsafe {
            ffi::rd_kafka_header_get_all(list, found.len(), &mut name, &mut value, &mut size)
        };
        if code != ffi::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return found;
        }
        // SAFETY: a header's name ends with NUL, its value has `size` bytes; both are copied.
        let (name, value) = unsafe { (CStr::from_ptr(name), bytes(value, size)) };
        found.push((
            name.to_string_lossy().into_owned(),
            value.map(<[u8]>::to_vec),
        ));
    }
}
