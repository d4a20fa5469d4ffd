//! The thread that owns a consumer: it moves partitions where readers want them and moves what
//! librdkafka has fetched into the buffers.
//!
//! ```text
//! loop:  go where a buffer wants to go          (assign, seek)
//!        open or close partitions by memory     (budget)
//!        serve logs and errors of the client
//!        take what has arrived, else wait       (batch_queue)
//!        look for new partitions, tell lag tools
//! ```
//! Partitions are assigned one by one with an explicit offset. There is no subscription, so the
//! group never rebalances; its name only serves tools that show lag.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use headwater_core::clock::Clock;
use headwater_core::offset::Partition;
use headwater_core::{Error, Result};
use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::batch_queue::{Arrival, BatchQueue};
use crate::buffer::PartitionBuffer;
use crate::cluster::{ANSWER_TIMEOUT, named};
use crate::discovery::look_for_partitions;
use crate::failure::{Failure, offsets_between};
use crate::options::OnDataLoss;
use crate::reader::Shared;
use crate::topics::TopicChoice;

/// The longest wait for something to arrive: logs and lost wake-ups are served after it.
const WAIT_MAX: Duration = Duration::from_millis(100);
/// How long a partition may need until it can be moved.
const MOVE_WAIT: Duration = Duration::from_millis(10);
const MOVE_TRIES_MAX: u32 = 500;
/// How often an offset may be called out of range although it is not.
const FALSE_ALARMS_MAX: u32 = 3;
/// How often in a row a batch may come damaged: the wire does that once, a disk again and again.
const DAMAGED_MAX: u32 = 3;
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
}

/// The thread's state.
pub(crate) struct PollLoop {
    shared: Arc<Shared>,
    queue: BatchQueue,
    lanes: Vec<Lane>,
    topics: TopicChoice,
    clock: Arc<dyn Clock>,
    discovered_at: Duration,
    group_committed_at: Duration,
}

impl PollLoop {
    pub(crate) fn new(
        shared: Arc<Shared>,
        queue: BatchQueue,
        topics: TopicChoice,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let now = clock.elapsed();
        PollLoop {
            shared,
            queue,
            lanes: Vec::new(),
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
            self.commit_to_group_if_due();
        }
        self.commit_to_group();
    }

    fn serve_requests(&mut self) {
        self.add_lanes();
        let mut must_retry = false;
        for index in 0..self.lanes.len() {
            let Some(wanted) = self.lanes[index].buffer.lock().wanted() else {
                continue;
            };
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
        let list = list_of(partition, offset)?;
        self.queue
            .client()
            .incremental_assign(&list)
            .map_err(|error| client_error("assign", partition, &error))?;
        let lane = &mut self.lanes[index];
        lane.is_assigned = true;
        lane.is_stopped = false;
        Ok(())
    }

    fn reassign(&mut self, index: usize, partition: &Partition, offset: i64) -> Result<()> {
        let list = list_of(partition, offset)?;
        self.queue
            .client()
            .incremental_unassign(&list)
            .map_err(|error| client_error("unassign", partition, &error))?;
        self.lanes[index].is_assigned = false;
        self.lanes[index].must_forward = true;
        self.assign(index, partition, offset)
    }

    /// Opens and closes partitions so that memory stays within its bound.
    fn balance(&mut self) {
        let partitions = self.lanes.len();
        let mut has_closed = false;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let has_memory = self
                .shared
                .budget
                .has_room(lane.buffer.held_bytes(), partitions);
            let is_open = has_memory && lane.buffer.holds_fewer(self.shared.ahead_max);
            if is_open != lane.is_open || lane.must_forward {
                self.queue.set_open(index, is_open);
                lane.is_open = is_open;
            }
            has_closed |= !is_open;
        }
        self.shared.has_closed.store(has_closed, Ordering::Release);
    }

    /// Lets the client's logs, errors and commit answers reach their context.
    fn serve_events(&mut self) {
        for _ in 0..EVENTS_MAX {
            let _ = self.queue.client().poll(Duration::ZERO);
        }
        let refused = self.queue.client().context().refused();
        let mut broken = self.shared.refused.lock();
        if *broken != refused {
            *broken = refused;
            drop(broken);
            self.shared.changed.notify_waiters();
        }
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
        let mut current = None;
        let mut records = 0;
        let visit = |lane: usize, arrival: Arrival<'_>| {
            if current.as_ref().is_none_or(|(at, _)| *at != lane) {
                // The guard before must go before the next lock is taken.
                drop(current.take());
                let Some(found) = lanes.get(lane) else {
                    return;
                };
                seen.push(lane);
                current = Some((lane, found.buffer.lock()));
            }
            let (Some((_, state)), Some(lane_of)) = (&mut current, lanes.get(lane)) else {
                return;
            };
            match arrival {
                Arrival::Record(record) => {
                    records += 1;
                    lane_of.buffer.push(state, &record);
                }
                Arrival::EndOfPartition(offset) => state.reached_end(offset),
                Arrival::Trouble(code, reason) => {
                    if is_damage(code) {
                        state.fetch_again();
                    }
                    troubles.push((lane, code, reason));
                }
            }
        };
        let count = match wait {
            None => self.queue.poll_batch(visit),
            Some(limit) => self.queue.wait(limit, visit),
        };
        drop(current);
        self.shared.fetched.fetch_add(records, Ordering::Relaxed);
        if count == 0 {
            return 0;
        }
        for lane in &seen {
            self.lanes[*lane].must_forward = false;
        }
        if troubles.is_empty() {
            self.queue.client().context().mark_alive();
            for lane in seen {
                self.lanes[lane].trouble = None;
                self.lanes[lane].false_alarms = 0;
                self.lanes[lane].damaged = 0;
            }
        }
        for (lane, code, reason) in troubles {
            self.handle_trouble(lane, code, &reason);
        }
        self.shared.changed.notify_waiters();
        count
    }

    fn handle_trouble(&mut self, index: usize, code: RDKafkaErrorCode, reason: &str) {
        let partition = self.lanes[index].buffer.partition().clone();
        match code {
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
                self.check_range(index, &partition);
            }
            // Its checksum was right. Of a batch in another form that is not known: the checksum of a
            // form that came damaged is not looked at.
            RDKafkaErrorCode::NotImplemented if reason.starts_with("Decompression") => {
                self.fail(index, Failure::unreadable(&partition, reason));
            }
            code if is_damage(code) => self.fetch_again(index, &partition, reason),
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::UnknownTopic => {
                self.fail(index, Failure::gone(&partition, reason));
            }
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::MessageSizeTooLarge => {
                let message = format!("could not read {}", named(&partition));
                self.fail(index, Failure::source(message, Some(format!("{reason}."))));
            }
            _ => {
                if self.lanes[index].trouble != Some(code) {
                    self.lanes[index].trouble = Some(code);
                    tracing::warn!(%partition, %code, reason, "kafka fetch failed, trying again");
                }
            }
        }
    }

    /// A batch came damaged, and its buffer takes nothing more in: librdkafka goes on after it, so
    /// its records would be left out.
    fn fetch_again(&mut self, index: usize, partition: &Partition, reason: &str) {
        self.lanes[index].damaged += 1;
        if self.lanes[index].damaged > DAMAGED_MAX {
            let message = format!("{} holds damaged records", named(partition));
            self.fail(
                index,
                Failure::source(message, Some(format!("librdkafka says: {reason}."))),
            );
            return;
        }
        tracing::warn!(%partition, reason, "kafka records came damaged, fetching them again");
        self.shared.has_requests.store(true, Ordering::Release);
    }

    /// An offset was called out of range: tells loss from a false alarm.
    fn check_range(&mut self, index: usize, partition: &Partition) {
        let position = self.lanes[index].buffer.lock().position();
        let held = self.queue.client().fetch_watermarks(
            &partition.stream,
            partition.index,
            ANSWER_TIMEOUT,
        );
        let (start, end) = match held {
            Ok(held) => held,
            Err(error) => {
                let message = format!("could not read {} at offset {position}", named(partition));
                self.fail(index, Failure::source(message, Some(format!("{error}."))));
                return;
            }
        };
        self.lanes[index].false_alarms += 1;
        let is_false = (start..=end).contains(&position);
        if is_false && self.lanes[index].false_alarms <= FALSE_ALARMS_MAX {
            tracing::warn!(%partition, position, start, end, "kafka offset wrongly out of range");
            if self.reassign(index, partition, position).is_ok() {
                return;
            }
        }
        if is_false {
            // Nothing is lost: its answers, or what it has on its disk, cannot be trusted.
            let message = format!("{} holds damaged records", named(partition));
            let detail = format!(
                "The broker calls offset {position} out of range, and says that it holds {}.",
                offsets_between(start, end)
            );
            self.fail(index, Failure::source(message, Some(detail)));
            return;
        }
        let is_accepted = position < start && self.shared.on_data_loss == OnDataLoss::Skip;
        if is_accepted && self.reassign(index, partition, start).is_ok() {
            tracing::warn!(%partition, position, start, "kafka records are gone, skipping them");
            self.lanes[index].buffer.lock().skip_lost(start);
            self.shared.changed.notify_waiters();
            return;
        }
        self.fail(
            index,
            Failure::out_of_range(partition, position, start, end),
        );
    }

    fn fail(&mut self, index: usize, failure: Failure) {
        self.lanes[index].is_stopped = true;
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

/// Whether records came that are not those that were written: by the checksum of librdkafka, or by
/// that of the broker; or that cannot be decompressed, which librdkafka would try for ever.
fn is_damage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented
    )
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
