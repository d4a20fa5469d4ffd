//! What an error of a partition means: data that is gone, a false alarm, damage on the wire, or
//! something that passes.

use std::sync::atomic::Ordering;

use headwater_core::offset::Partition;
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::PollLoop;
use crate::cluster::{ANSWER_TIMEOUT, named};
use crate::failure::{Failure, offsets_between};
use crate::options::OnDataLoss;

/// How often an offset may be called out of range although it is not.
const FALSE_ALARMS_MAX: u32 = 3;
/// How often in a row a batch may come damaged: the wire does that once, a disk again and again.
const DAMAGED_MAX: u32 = 3;

impl PollLoop {
    pub(super) fn handle_trouble(&mut self, index: usize, code: RDKafkaErrorCode, reason: &str) {
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
        self.let_all_go();
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
}

/// Whether records came that are not those that were written: by the checksum of librdkafka, or by
/// that of the broker; or that cannot be decompressed, which librdkafka would try for ever.
pub(super) fn is_damage(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BadMessage
            | RDKafkaErrorCode::InvalidMessage
            | RDKafkaErrorCode::BadCompression
            | RDKafkaErrorCode::NotImplemented
    )
}
