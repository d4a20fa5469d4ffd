//! The async side of the fetching thread: buffers by partition, and waiting for them to change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use headwater_core::clock::Clock;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::source::EpochLimits;
use headwater_core::{Error, Result};
use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use crate::batch_queue::{BatchQueue, Waker};
use crate::budget::{Budget, queue_limits};
use crate::buffer::{PartitionBuffer, Reach, ReadClaim};
use crate::chunk::Kept;
use crate::client::{DefaultProperty, KafkaConnection};
use crate::failure::Failure;
use crate::options::OnDataLoss;
use crate::poll_loop::{PollLoop, Sharing};
use crate::security::CHECK_LOGIN;
use crate::share::{ReadLimits, share_records};
use crate::tap::Taps;
use crate::topics::TopicChoice;

/// A broker is asked one thing at a time. While it waits for the next record of partitions that have
/// been read to their end, it is not asked for others that have got room meanwhile, so it must not
/// wait for longer than what is here lasts.
pub(crate) const FETCH_WAIT: DefaultProperty = (
    "fetch.wait.max.ms",
    "50",
    "milliseconds that a broker waits with its answer if there is nothing new",
);

/// How the group of a reader is called, before the name of its source.
pub(crate) const GROUP_PREFIX: &str = "headwater-";

/// What the thread and its users share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) buffers: RwLock<BTreeMap<Partition, Arc<PartitionBuffer>>>,
    pub(crate) budget: Arc<Budget>,
    kept: Kept,
    /// Records kept ahead of their reader in every partition, besides the bound of memory.
    pub(crate) ahead_max: u64,
    /// Records that came by the consumer of this reader.
    pub(crate) fetched: Arc<AtomicU64>,
    /// What becomes of records that are gone before they were read.
    pub(crate) on_data_loss: OnDataLoss,
    /// Something arrived, moved or failed.
    pub(crate) changed: Notify,
    /// A buffer wants to go elsewhere, or is new.
    pub(crate) has_requests: AtomicBool,
    /// A partition waits for memory.
    pub(crate) has_closed: AtomicBool,
    pub(crate) should_stop: AtomicBool,
    /// Why the brokers will not have us.
    pub(crate) refused: Mutex<Option<String>>,
    /// What was found to be lost besides what fetching finds.
    lost: Mutex<Option<Failure>>,
    /// What the consumer group should be told.
    pub(crate) committed: Mutex<Option<Offsets>>,
    /// Records that came by the consumer of another reader.
    pub(crate) heard: AtomicU64,
}

impl Shared {
    /// Adds a partition that appeared while its topic was read, from its first record.
    pub(crate) fn add_appeared(&self, partition: Partition, start: i64) {
        let buffer = PartitionBuffer::new(
            partition.clone(),
            start,
            self.kept,
            Arc::clone(&self.budget),
        );
        self.buffers
            .write()
            .entry(partition)
            .or_insert_with(|| Arc::new(buffer.appeared(start)));
        self.has_requests.store(true, Ordering::Release);
    }
}

/// How a reader is made.
#[derive(Debug)]
pub(crate) struct ReaderSpec<'a> {
    pub(crate) source: &'a str,
    pub(crate) connection: &'a KafkaConnection,
    pub(crate) topics: &'a TopicChoice,
    pub(crate) partitions: usize,
    pub(crate) kept: Kept,
    pub(crate) prefetch_bytes: usize,
    pub(crate) limits: ReadLimits,
    pub(crate) on_data_loss: OnDataLoss,
    pub(crate) taps: &'a Arc<Taps>,
    /// About how many records are wanted, if that is known.
    pub(crate) wanted: Option<usize>,
    /// Where to count the records that are fetched.
    pub(crate) fetched: Arc<AtomicU64>,
}

/// One consumer, its thread and its buffers. The thread ends when this is dropped.
pub(crate) struct Reader {
    shared: Arc<Shared>,
    waker: Waker,
    servers: String,
    limits: ReadLimits,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl Reader {
    /// Starts the thread; no partition is fetched before one is asked for.
    pub(crate) fn start(spec: &ReaderSpec<'_>, clock: Arc<dyn Clock>) -> Result<Reader> {
        let owner = format!("source \"{}\"", spec.source);
        let limits = queue_limits(spec.prefetch_bytes, spec.partitions, spec.wanted);
        let mut config = spec.connection.consumer_config();
        config
            .set("queued.max.messages.kbytes", limits.kbytes.to_string())
            .set("queued.min.messages", limits.messages.to_string())
            .set("fetch.queue.backoff.ms", "5");
        if spec
            .connection
            .property("fetch.message.max.bytes")
            .is_none()
            && spec
                .connection
                .property("max.partition.fetch.bytes")
                .is_none()
        {
            config.set("fetch.message.max.bytes", limits.fetch_bytes.to_string());
        }
        if spec.connection.property(FETCH_WAIT.0).is_none() {
            config.set(FETCH_WAIT.0, FETCH_WAIT.1);
        }
        if spec.connection.property("group.id").is_none() {
            config.set("group.id", format!("{GROUP_PREFIX}{}", spec.source));
        }
        let client = spec.connection.consumer(&owner, &config)?;
        let queue = BatchQueue::new(&Arc::new(client), spec.kept)?;
        let shared = Arc::new(Shared {
            buffers: RwLock::new(BTreeMap::new()),
            budget: Arc::new(Budget::new(spec.prefetch_bytes)),
            kept: spec.kept,
            ahead_max: spec.wanted.map_or(u64::MAX, |wanted| wanted as u64),
            fetched: Arc::clone(&spec.fetched),
            on_data_loss: spec.on_data_loss,
            changed: Notify::new(),
            has_requests: AtomicBool::new(false),
            has_closed: AtomicBool::new(false),
            should_stop: AtomicBool::new(false),
            refused: Mutex::new(None),
            lost: Mutex::new(None),
            committed: Mutex::new(None),
            heard: AtomicU64::new(0),
        });
        let waker = queue.waker();
        let identity = spec.taps.enrol(spec.connection, spec.kept.headers);
        let sharing = Sharing::new(Arc::clone(spec.taps), identity, waker.clone());
        let topics = spec.topics.clone();
        let poll_loop = PollLoop::new(Arc::clone(&shared), queue, sharing, topics, clock);
        std::thread::Builder::new()
            .name(format!("kafka-{}", spec.source))
            .spawn(move || poll_loop.run())
            .map_err(|e| Error::resource("could not start a thread").with_source(e))?;
        Ok(Reader {
            shared,
            waker,
            servers: spec.connection.servers().to_string(),
            limits: spec.limits,
        })
    }

    /// Begins to fetch the partitions that are not fetched yet, and leaves out what nobody will
    /// read of those that are behind.
    pub(crate) fn fetch(&self, from: &Offsets) {
        let mut must_move = false;
        for (partition, offset) in from.iter() {
            let (buffer, is_new) = self.add(partition, offset);
            must_move |= is_new || buffer.skip_to(offset);
        }
        if must_move {
            self.request();
        }
        self.gave_back();
    }

    /// Begins to fetch a partition that was not there when the query started.
    pub(crate) fn fetch_appeared(&self, partition: &Partition, start: i64) {
        self.shared.add_appeared(partition.clone(), start);
        self.request();
    }

    fn add(&self, partition: &Partition, from: i64) -> (Arc<PartitionBuffer>, bool) {
        if let Some(buffer) = self.shared.buffers.read().get(partition) {
            return (Arc::clone(buffer), false);
        }
        let mut buffers = self.shared.buffers.write();
        let mut is_new = false;
        let buffer = buffers.entry(partition.clone()).or_insert_with(|| {
            is_new = true;
            let budget = Arc::clone(&self.shared.budget);
            Arc::new(PartitionBuffer::new(
                partition.clone(),
                from,
                self.shared.kept,
                budget,
            ))
        });
        (Arc::clone(buffer), is_new)
    }

    /// Claims a partition for one stream, and makes it give `start` next.
    pub(crate) fn claim(&self, partition: &Partition, start: i64) -> Result<ReadClaim> {
        let (buffer, is_new) = self.add(partition, start);
        let claim = buffer.claim()?;
        if buffer.prepare(start) || is_new {
            self.request();
        }
        Ok(claim)
    }

    fn request(&self) {
        self.shared.has_requests.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// How far one can read from `from` without waiting, within the limits.
    pub(crate) fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        self.check_usable()?;
        let buffers: Vec<Arc<PartitionBuffer>> =
            self.shared.buffers.read().values().cloned().collect();
        let mut reaches = Vec::with_capacity(buffers.len());
        for buffer in &buffers {
            let start = from.get(buffer.partition()).unwrap_or(0);
            reaches.push((start, self.reach(buffer, start)?));
        }
        let reached: Vec<Reach> = reaches.iter().map(|(_, reach)| *reach).collect();
        let (records, max) = self.limits.applied(&reached, limits);
        let shares = share_records(&records, max);
        let mut end = from.clone();
        for ((buffer, (start, reach)), share) in buffers.iter().zip(reaches).zip(shares) {
            end.set(
                buffer.partition().clone(),
                end_of_share(buffer, start, reach, share),
            );
        }
        Ok(end)
    }

    /// See `Source::stretched`. Offsets are counted for records: gaps make an epoch smaller.
    pub(crate) fn stretched(&self, available: Slice, bound: &Offsets, records: u64) -> Slice {
        let is_there: u64 = available
            .ranges()
            .map(|(_, from, to)| distance(from, to))
            .sum();
        let missing = records.saturating_sub(is_there);
        // What other limits than a number of records allow, only what has been fetched tells.
        if missing == 0 || self.limits.is_any() {
            return available;
        }
        let buffers = self.shared.buffers.read();
        let left = available.end.iter().map(|(partition, end)| {
            let buffer = buffers.get(partition);
            let is_coming = buffer.is_some_and(|buffer| buffer.is_fetching());
            bound
                .get(partition)
                .filter(|_| is_coming)
                .map_or(0, |bound| distance(end, bound))
        });
        let shares = share_records(&left.collect::<Vec<_>>(), missing);
        let ends = available.end.iter().zip(shares);
        let end = ends.map(|((partition, end), share)| {
            (partition.clone(), end.saturating_add_unsigned(share))
        });
        Slice {
            end: end.collect(),
            start: available.start,
        }
    }

    /// How far a buffer reaches. A failure that may pass is told once: then fetching begins anew.
    fn reach(&self, buffer: &PartitionBuffer, start: i64) -> Result<Reach> {
        buffer.reach(start).inspect_err(|_| {
            if buffer.try_again() {
                self.request();
            }
        })
    }

    /// Completes when something can be read after `from`.
    pub(crate) async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_past(from)? {
                return Ok(());
            }
            changed.await;
        }
    }

    fn is_past(&self, from: &Offsets) -> Result<bool> {
        self.check_usable()?;
        let mut is_past = false;
        for (partition, buffer) in self.shared.buffers.read().iter() {
            let start = from.get(partition).unwrap_or(0);
            is_past |= self.reach(buffer, start)?.position > start;
        }
        Ok(is_past)
    }

    /// Completes when something has changed since this was called.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.shared.changed.notified()
    }

    /// Tells that memory was given back.
    pub(crate) fn gave_back(&self) {
        if self.shared.has_closed.load(Ordering::Acquire) {
            self.waker.wake();
        }
    }

    /// Frees what was committed unread, and remembers what to tell lag tools.
    pub(crate) fn committed(&self, up_to: &Offsets) {
        for (partition, offset) in up_to.iter() {
            if let Some(buffer) = self.shared.buffers.read().get(partition) {
                buffer.forget_below(offset);
            }
        }
        self.gave_back();
        *self.shared.committed.lock() = Some(up_to.clone());
    }

    /// Lets nobody read on.
    pub(crate) fn lose(&self, lost: Failure) {
        *self.shared.lost.lock() = Some(lost);
        self.shared.changed.notify_waiters();
    }

    pub(crate) fn check_usable(&self) -> Result<()> {
        if let Some(lost) = &*self.shared.lost.lock() {
            return Err(lost.to_error());
        }
        match &*self.shared.refused.lock() {
            None => Ok(()),
            Some(reason) => Err(Error::source_failed(format!(
                "broker {} refused the connection",
                self.servers
            ))
            .with_detail(format!("librdkafka says: {reason}."))
            .with_hint(CHECK_LOGIN)),
        }
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.shared.budget.held_bytes()
    }

    #[cfg(test)]
    pub(crate) fn fetched_and_heard(&self) -> (u64, u64) {
        let shared = &self.shared;
        let count = |records: &AtomicU64| records.load(Ordering::Relaxed);
        (count(&shared.fetched), count(&shared.heard))
    }
}

/// How many offsets are from one to another that is not before it.
fn distance(from: i64, to: i64) -> u64 {
    to.saturating_sub(from).max(0).unsigned_abs()
}

fn end_of_share(buffer: &PartitionBuffer, start: i64, reach: Reach, share: u64) -> i64 {
    if share >= reach.records {
        reach.position
    } else if share == 0 {
        start
    } else {
        buffer.offset_after(start, share)
    }
}

impl Drop for Reader {
    /// The thread is told, not waited for: closing a consumer may take as long as its broker
    /// takes to answer.
    fn drop(&mut self) {
        self.shared.should_stop.store(true, Ordering::Release);
        self.waker.wake();
    }
}
