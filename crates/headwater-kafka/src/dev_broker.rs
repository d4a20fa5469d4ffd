//! A Kafka broker inside the process, for first steps and for tests: librdkafka's mock cluster.
//!
//! It speaks the protocol on a port of the loopback interface, so other processes and other
//! clients reach it too. [`DEV_BROKER_LIMITS`] says what it is not.

use std::time::Duration;

use headwater_core::{Error, Result};
use rdkafka::error::KafkaError;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

/// What a user of the development broker has to know.
pub const DEV_BROKER_LIMITS: &str = "\
This is librdkafka's mock broker, for trying things out. It is not a Kafka broker:
- everything is in memory and gone when the process ends;
- a partition keeps its newest 5 MiB or 100,000 records, whichever is less;
- rows of open and aborted transactions are visible to every reader, and the notes that transactions
  carry are not kept: sinks that shall survive a crash need 'delivery' = 'at-least-once';
- there is no authentication, no compaction and no way to look up an offset by time.";

/// A request that a test can make fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevRequest {
    /// A producer sends records.
    Produce,
    /// A consumer asks for records.
    Fetch,
    /// A client asks for first and last offsets.
    ListOffsets,
    /// A client asks which topics there are.
    Metadata,
    /// A transactional producer commits or aborts.
    EndTransaction,
    /// A transactional producer comes up.
    StartTransactions,
}

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevFault {
    /// The connection is closed without an answer.
    Disconnect,
    /// The broker is not the leader of the partition any more.
    NotLeader,
    /// There is no leader for now.
    NoLeader,
    /// The request took too long.
    TimedOut,
    /// The records were written and the replicas did not follow.
    NotEnoughReplicas,
    /// The offset is not in the partition.
    OffsetOutOfRange,
    /// The topic is not known.
    UnknownTopic,
    /// The client may not use the topic.
    NotAuthorized,
    /// The message is too large.
    MessageTooLarge,
    /// The coordinator is still loading.
    CoordinatorLoading,
    /// Another producer has taken the transactional id over.
    Fenced,
    /// Transactions may not be open for as long as the producer wants.
    TransactionTooLong,
    /// The producer may not use its transactional id.
    TransactionNotAuthorized,
}

/// A broker inside the process; it stops when this is dropped.
pub struct DevBroker {
    mock: MockCluster<'static, DefaultProducerContext>,
}

impl std::fmt::Debug for DevBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DevBroker")
            .field("servers", &self.bootstrap_servers())
            .finish()
    }
}

impl DevBroker {
    /// Starts a broker with these topics, given as names with numbers of partitions.
    ///
    /// # Errors
    /// If no port can be opened, or a topic cannot be made.
    pub fn start(topics: &[(String, i32)]) -> Result<DevBroker> {
        Self::start_cluster(1, topics)
    }

    /// Starts several brokers, numbered from 1, for tests that move or stop one of them.
    ///
    /// # Errors
    /// As [`DevBroker::start`].
    pub fn start_cluster(brokers: i32, topics: &[(String, i32)]) -> Result<DevBroker> {
        let mock = MockCluster::new(brokers).map_err(|error| failed("start", &error))?;
        let broker = DevBroker { mock };
        for (topic, partitions) in topics {
            if *partitions < 1 {
                return Err(Error::configuration(format!(
                    "topic \"{topic}\" cannot have {partitions} partitions"
                )));
            }
            broker.create_topic(topic, *partitions)?;
        }
        Ok(broker)
    }

    /// `host:port` of the brokers, with commas.
    pub fn bootstrap_servers(&self) -> String {
        self.mock.bootstrap_servers()
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// If it exists.
    pub fn create_topic(&self, topic: &str, partitions: i32) -> Result<()> {
        self.mock
            .create_topic(topic, partitions, 1)
            .map_err(|error| failed(&format!("create topic \"{topic}\" on"), &error))
    }

    /// Makes the next requests of a kind fail, one after the other.
    pub fn fail_requests(&self, request: DevRequest, faults: &[DevFault]) {
        let codes: Vec<RDKafkaRespErr> = faults.iter().map(|fault| fault.code()).collect();
        self.mock.request_errors(request.key(), &codes);
    }

    /// The mock cluster, for errors that have no name here.
    #[cfg(test)]
    pub(crate) fn mock(&self) -> &MockCluster<'static, DefaultProducerContext> {
        &self.mock
    }

    /// Lets requests of a kind succeed again.
    pub fn clear_faults(&self, request: DevRequest) {
        self.mock.clear_request_errors(request.key());
    }

    /// Stops a broker, or all of them; leaders do not move.
    ///
    /// # Errors
    /// If there is no such broker.
    pub fn take_down(&self, broker: Option<i32>) -> Result<()> {
        let down = self.mock.broker_down(broker.unwrap_or(-1));
        down.map_err(|error| failed("take down", &error))
    }

    /// Starts a stopped broker, or all of them.
    ///
    /// # Errors
    /// If there is no such broker.
    pub fn bring_up(&self, broker: Option<i32>) -> Result<()> {
        let up = self.mock.broker_up(broker.unwrap_or(-1));
        up.map_err(|error| failed("bring up", &error))
    }

    /// Makes every answer take this long.
    ///
    /// # Errors
    /// If the broker refuses.
    pub fn set_round_trip(&self, time: Duration) -> Result<()> {
        let set = self.mock.broker_round_trip_time(-1, time);
        set.map_err(|error| failed("slow down", &error))
    }

    /// Makes another broker the leader of a partition.
    ///
    /// # Errors
    /// If there is no such broker or partition.
    pub fn move_leader(&self, topic: &str, partition: i32, broker: i32) -> Result<()> {
        let moved = self.mock.partition_leader(topic, partition, Some(broker));
        moved.map_err(|error| failed("move a leader on", &error))
    }
}

fn failed(what: &str, error: &KafkaError) -> Error {
    Error::source_failed(format!("could not {what} the development broker: {error}"))
}

impl DevRequest {
    fn key(self) -> RDKafkaApiKey {
        match self {
            DevRequest::Produce => RDKafkaApiKey::Produce,
            DevRequest::Fetch => RDKafkaApiKey::Fetch,
            DevRequest::ListOffsets => RDKafkaApiKey::ListOffsets,
            DevRequest::Metadata => RDKafkaApiKey::Metadata,
            DevRequest::EndTransaction => RDKafkaApiKey::EndTxn,
            DevRequest::StartTransactions => RDKafkaApiKey::InitProducerId,
        }
    }
}

impl DevFault {
    fn code(self) -> RDKafkaRespErr {
        use RDKafkaRespErr as E;
        match self {
            DevFault::Disconnect => E::RD_KAFKA_RESP_ERR__TRANSPORT,
            DevFault::NotLeader => E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
            DevFault::NoLeader => E::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
            DevFault::TimedOut => E::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
            DevFault::NotEnoughReplicas => E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
            DevFault::OffsetOutOfRange => E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
            DevFault::UnknownTopic => E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            DevFault::NotAuthorized => E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
            DevFault::MessageTooLarge => E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
            DevFault::CoordinatorLoading => E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
            DevFault::Fenced => E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
            DevFault::TransactionTooLong => E::RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT,
            DevFault::TransactionNotAuthorized => {
                E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            }
        }
    }
}
