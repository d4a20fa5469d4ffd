//! The thread that owns a consumer: it moves partitions where readers want them and moves what
//! librdkafka has fetched into the buffers.
//!
//! ```text
//! loop:  go where a buffer wants to go          (assign, seek)
//!        open or close partitions by memory     (budget)
//!        serve logs and errors of the client
//!        take what has arrived, else wait       (batch_queue)
//!        look for new partitions, tell lag tools, take back what others do not fetch on
//! ```
//! Partitions are assigned one by one with an explicit offset. There is no subscription, so the
//! group never rebalances; its name only serves tools that show lag. [`listening`] has what becomes of
//! a partition that another reader fetches, [`trouble`] what errors of a partition mean.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::clock::Clock;
use headwater_core::offset::Partition;
use headwater_core::{Error, Result};
use parking_lot::MutexGuard;
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};

use crate::batch_queue::{Arrival, BatchQueue};
use crate::buffer::{PartitionBuffer, State};
use crate::cluster::{ANSWER_TIMEOUT, named};
use crate::discovery::look_for_partitions;
use crate::failure::Failure;
use crate::reader::Shared;
use crate::tap::{Flow, Listening, OwnTap};
use crate::topics::TopicChoice;

mod listening;
mod trouble;

pub(crate) use listening::Sharing;
use trouble::is_damage;

/// The longest wait for something to arrive: logs and lost wake-ups are served after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How long a partition may need until it can be moved.
const MOVE_WAIT: Duration = Duration::from_millis(10);
const MOVE_TRIES_MAX: u32 = 500;
/// Client events served in one round.
const EVENTS_MAX: usize = 4;
const DISCOVERY_INTERVAL: Duration = Duration::from_secs(30);
const GROUP_COMMIT_INTERVAL: Duration = Duration::from_secs(5);

/// A partition as the thread knows it.
struct Lane {
    buffer: Arc<PartitionBuffer>,
    is_assigned: bool,
    is_open: bool,
    /// Its forwarding may be lost: unassigning ends it, at some time of librdkafka's choice.
    must_forward: bool,
    /// librdkafka has given the partition up: a seek would not revive it.
    is_stopped: bool,
    move_tries: u32,
    false_alarms: u32,
    damaged: u32,
    trouble: Option<RDKafkaErrorCode>,
    /// Where other readers hear what is fetched.
    tap: OwnTap,
    /// That another reader fetches it; it is not assigned then.
    listening: Option<Listening>,
    /// No other reader is looked for before.
    listens_after: Duration,
}

/// The partition that arrivals are moved into, locked.
struct Current<'a> {
    lane: usize,
    buffer: &'a PartitionBuffer,
    state: MutexGuard<'a, State>,
    flow: MutexGuard<'a, Flow>,
}

impl Drop for Current<'_> {
    fn drop(&mut self) {
        self.buffer.count(&mut self.state);
    }
}

impl Current<'_> {
    /// Moves something in, and counts it if it is a record. Returns an error of the partition.
    #[inline]
    fn take_in(
        &mut self,
        lane: &Lane,
        arrival: Arrival<'_>,
        fetched: &mut u64,
    ) -> Option<(RDKafkaErrorCode, String)> {
        let Current {
            buffer,
            state,
            flow,
            ..
        } = self;
        match arrival {
            Arrival::Record(record) => {
                *fetched += 1;
                buffer.push(state, &record);
                // Of a closed partition only this is sure: nothing comes for some time.
                match lane.is_open {
                    true => flow.record(&record),
                    false => flow.close(),
                }
                None
            }
            Arrival::EndOfPartition(offset) => {
                state.reached_end(offset);
                if lane.is_open {
                    flow.end_of_partition(offset);
                }
                None
            }
            Arrival::Trouble(code, reason) => {
                flow.close();
                if is_damage(code) {
                    state.fetch_again();
                }
                Some((code, reason))
            }
        }
    }
}

/// The thread's state.
pub(crate) struct PollLoop {
    // Dropped before the queue: closing a consumer takes time, and others may listen.
    lanes: Vec<Lane>,
    shared: Arc<Shared>,
    queue: BatchQueue,
    sharing: Sharing,
    topics: TopicChoice,
    clock: Arc<dyn Clock>,
    discovered_at: Duration,
    group_committed_at: Duration,
}

impl PollLoop {
    pub(crate) fn new(
        shared: Arc<Shared>,
        queue: BatchQueue,
        sharing: Sharing,
        topics: TopicChoice,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.elapsed();
        PollLoop {
            shared,
            queue,
            lanes: Vec::new(),
            sharing,
            topics,
            clock,
            discovered_at: now,
            group_committed_at: now,
        }
    }

    /// Runs until the reader is dropped.
    pub(crate) fn run(mut self) {
        while !self.shared.should_stop.load(Ordering::Acquire) {
            if self.shared.has_requests.swap(false, Ordering::AcqRel) {
                self.serve_requests();
            }
            self.balance();
            self.serve_events();
            self.move_arrivals();
            self.discover_if_due();
            self.look_for_silence_if_due();
            self.commit_to_group_if_due();
        }
        self.let_all_go();
        self.commit_to_group();
    }

    fn serve_requests(&mut self) {
        self.add_lanes();
        self.end_listening_where_needed();
        let mut must_retry = false;
        for index in 0..self.lanes.len() {
            let Some(wanted) = self.lanes[index].buffer.lock().wanted() else {
                continue;
            };
            if self.lanes[index].listening.is_some() {
                // It has been asked to go elsewhere just now, and would get what comes next here.
                must_retry = true;
                continue;
            }
            match self.move_lane(index, wanted) {
                Ok(true) => {
                    let lane = &mut self.lanes[index];
                    lane.move_tries = 0;
                    lane.buffer.lock().moved_to(wanted);
                }
                Ok(false) => must_retry = true,
                Err(error) => {
                    let message = format!(
                        "could not read {}",
                        named(self.lanes[index].buffer.partition())
                    );
                    self.fail(index, Failure::source(message, Some(format!("{error}."))));
                }
            }
        }
        if must_retry {
            self.shared.has_requests.store(true, Ordering::Release);
            self.take_arrivals(Some(MOVE_WAIT));
        }
        self.shared.changed.notify_waiters();
    }

    fn add_lanes(&mut self) {
        let buffers: Vec<Arc<PartitionBuffer>> =
            self.shared.buffers.read().values().cloned().collect();
        for buffer in buffers {
            if self
                .lanes
                .iter()
                .any(|lane| Arc::ptr_eq(&lane.buffer, &buffer))
            {
                continue;
            }
            match self.queue.add(buffer.partition()) {
                // Lanes are numbered in the order they are added, here as in the queue.
                Ok(_) => self.lanes.push(Lane {
                    tap: self.sharing.open(buffer.partition()),
                    listening: None,
                    listens_after: Duration::ZERO,
                    buffer,
                    is_assigned: false,
                    is_open: true,
                    must_forward: false,
                    is_stopped: false,
                    move_tries: 0,
                    false_alarms: 0,
                    damaged: 0,
                    trouble: None,
                }),
                Err(error) => {
                    let failure = Failure::source(error.message(), None);
                    buffer.lock().fail(failure);
                }
            }
        }
    }

    /// Makes a partition go on at `offset`. Returns whether it does; if not, try again.
    fn move_lane(&mut self, index: usize, offset: i64) -> Result<bool> {
        let lane = &mut self.lanes[index];
        let partition = lane.buffer.partition().clone();
        if !lane.is_assigned {
            self.assign(index, &partition, offset)?;
            return Ok(true);
        }
        if lane.is_stopped || lane.move_tries > MOVE_TRIES_MAX {
            self.reassign(index, &partition, offset)?;
            return Ok(true);
        }
        lane.move_tries += 1;
        // A move takes a moment, and nobody else is to wait for it.
        self.let_all_go();
        let list = list_of(&partition, offset)?;
        let moved = self
            .queue
            .client()
            .seek_partitions(list, ANSWER_TIMEOUT)
            .map_err(|error| client_error("move", &partition, &error))?;
        // A partition that is not fetching yet cannot be moved yet.
        Ok(moved
            .elements()
            .iter()
            .all(|element| element.error().is_ok()))
    }

    fn assign(&mut self, index: usize, partition: &Partition, offset: i64) -> Result<()> {
        self.lanes[index].tap.close();
        self.queue.renew(index, partition)?;
        let list = list_of(partition, offset)?;
        self.queue
            .client()
            .incremental_assign(&list)
            .map_err(|error| client_error("assign", partition, &error))?;
        let lane = &mut self.lanes[index];
        lane.is_assigned = true;
        lane.is_open = true;
        lane.is_stopped = false;
        Ok(())
    }

    fn reassign(&mut self, index: usize, partition: &Partition, offset: i64) -> Result<()> {
        self.unassign(index, partition)?;
        self.assign(index, partition, offset)
    }

    fn unassign(&mut self, index: usize, partition: &Partition) -> Result<()> {
        self.lanes[index].tap.close();
        let list = list_of(partition, 0)?;
        self.queue
            .client()
            .incremental_unassign(&list)
            .map_err(|error| client_error("unassign", partition, &error))?;
        self.lanes[index].is_assigned = false;
        self.lanes[index].must_forward = true;
        Ok(())
    }

    /// Opens and closes partitions so that memory stays within its bound.
    fn balance(&mut self) {
        let partitions = self.lanes.len();
        let mut has_closed = false;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            if lane.listening.is_some() {
                continue;
            }
            let has_memory = self
                .shared
                .budget
                .has_room(lane.buffer.held_bytes(), partitions);
            let is_open = has_memory && lane.buffer.holds_fewer(self.shared.ahead_max);
            if is_open != lane.is_open || lane.must_forward {
                self.queue.set_open(index, is_open);
                if !is_open {
                    lane.tap.close();
                }
                lane.is_open = is_open;
            }
            has_closed |= !is_open;
        }
        self.shared.has_closed.store(has_closed, Ordering::Release);
    }

    /// Lets the client's logs, errors and commit answers reach their context.
    fn serve_events(&mut self) {
        for _ in 0..EVENTS_MAX {
            let client = Arc::clone(self.queue.client());
            if let Some(Ok(astray)) = client.poll(Duration::ZERO) {
                let partition = Partition::new(astray.topic(), astray.partition());
                self.fetch_where_it_was(&partition);
            }
        }
        let refused = self.queue.client().context().refused();
        let mut broken = self.shared.refused.lock();
        if *broken != refused {
            *broken = refused;
            drop(broken);
            self.shared.changed.notify_waiters();
        }
    }

    /// A message came by a way on which nobody reads messages. None is left out: its partition is
    /// fetched from where its buffer ends.
    fn fetch_where_it_was(&mut self, partition: &Partition) {
        let mut lanes = self.lanes.iter_mut();
        let Some(lane) = lanes.find(|lane| lane.buffer.partition() == partition) else {
            return;
        };
        if lane.listening.is_some() {
            return;
        }
        tracing::debug!(%partition, "kafka messages went astray, fetching them again");
        lane.must_forward = true;
        lane.tap.close();
        lane.buffer.lock().fetch_again();
        self.shared.has_requests.store(true, Ordering::Release);
    }

    fn move_arrivals(&mut self) {
        if self.take_arrivals(None) > 0 {
            return;
        }
        let is_needed = self.shared.has_requests.load(Ordering::Acquire)
            || self.shared.should_stop.load(Ordering::Acquire);
        if !is_needed {
            self.take_arrivals(Some(WAIT_MAX));
        }
    }

    /// Moves arrivals into the buffers, waiting for the first if `wait` says so.
    fn take_arrivals(&mut self, wait: Option<Duration>) -> usize {
        let lanes = &self.lanes;
        let mut troubles = Vec::new();
        let mut seen = Vec::new();
        let mut current: Option<Current<'_>> = None;
        let mut fetched = 0;
        let visit = |lane: usize, arrival: Arrival<'_>| {
            let Some(lane_of) = lanes.get(lane).filter(|l| l.listening.is_none()) else {
                // What was on its way when the partition was given up.
                return;
            };
            if current.as_ref().is_none_or(|current| current.lane != lane) {
                // The guards before must go before the next locks are taken.
                drop(current.take());
                seen.push(lane);
                let flow = lane_of.tap.flow();
                let state = lane_of.buffer.lock();
                current = Some(Current {
                    lane,
                    buffer: &lane_of.buffer,
                    state,
                    flow,
                });
            }
            let Some(current) = &mut current else {
                return;
            };
            if let Some((code, reason)) = current.take_in(lane_of, arrival, &mut fetched) {
                troubles.push((lane, code, reason));
            }
        };
        let count = match wait {
            None => self.queue.poll_batch(visit),
            Some(limit) => self.queue.wait(limit, visit),
        };
        self.shared.fetched.fetch_add(fetched, Ordering::Relaxed);
        drop(current);
        if count == 0 {
            return 0;
        }
        for lane in &seen {
            self.lanes[*lane].must_forward = false;
            self.lanes[*lane].tap.tell();
        }
        if troubles.is_empty() {
            self.queue.client().context().mark_alive();
            for lane in seen {
                self.lanes[lane].trouble = None;
                self.lanes[lane].false_alarms = 0;
                self.lanes[lane].damaged = 0;
                self.listen_if_due(lane);
            }
        }
        for (lane, code, reason) in troubles {
            self.handle_trouble(lane, code, &reason);
        }
        self.shared.changed.notify_waiters();
        count
    }

    fn fail(&mut self, index: usize, failure: Failure) {
        self.lanes[index].is_stopped = true;
        self.lanes[index].tap.close();
        self.lanes[index].buffer.lock().fail(failure);
        self.shared.changed.notify_waiters();
    }

    /// Topics can be given more partitions while they are read, and topics can be made that match.
    fn discover_if_due(&mut self) {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.discovered_at) < DISCOVERY_INTERVAL {
            return;
        }
        self.discovered_at = now;
        look_for_partitions(self.queue.client(), &self.topics, &self.shared);
    }

    fn commit_to_group_if_due(&mut self) {
        let now = self.clock.elapsed();
        if now.saturating_sub(self.group_committed_at) >= GROUP_COMMIT_INTERVAL {
            self.group_committed_at = now;
            self.commit_to_group();
        }
    }

    /// Tells the committed position to the group, for tools that show lag; nothing reads it back.
    fn commit_to_group(&mut self) {
        let Some(offsets) = self.shared.committed.lock().take() else {
            return;
        };
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, offset) in offsets.iter() {
            let offset = Offset::Offset(offset);
            let _ = list.add_partition_offset(&partition.stream, partition.index, offset);
        }
        if let Err(error) = self.queue.client().commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "could not tell the consumer group its position");
        }
    }
}

fn list_of(partition: &Partition, offset: i64) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition_offset(&partition.stream, partition.index, Offset::Offset(offset))
        .map_err(|error| client_error("place", partition, &error))?;
    Ok(list)
}

fn client_error(what: &str, partition: &Partition, error: &KafkaError) -> Error {
    Error::source_failed(format!("could not {what} {}: {error}", named(partition)))
}
