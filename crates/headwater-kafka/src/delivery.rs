//! Producers, and the count of what became of every row they were given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use headwater_core::{Error, Result};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use tokio::sync::Notify;

use crate::advice::config_error;
use crate::chunk::Header;
use crate::client::{ClientEvents, DefaultProperty, KafkaConnection};
use crate::cluster::blocking;
use crate::flush::flush_for;
use crate::transaction::TransactionLimits;

pub(crate) const MESSAGE_TIMEOUT: &str = "message.timeout.ms";
/// The longest time until a row that cannot be delivered fails its epoch, unless the user says.
pub(crate) const MESSAGE_TIMEOUT_DEFAULT_MS: &str = "60000";

const LINGER: &str = "linger.ms";
const LINGER_DEFAULT_MS: &str = "5";
/// Another name of it.
const LINGER_ALIAS: &str = "queue.buffering.max.ms";

/// Defaults of a producer.
pub(crate) const DEFAULTS: [DefaultProperty; 7] = [
    (
        LINGER,
        LINGER_DEFAULT_MS,
        "milliseconds that a row waits for others to be sent with it; the last rows of an epoch do \
         not wait",
    ),
    ("batch.num.messages", "10000", "rows sent together, at most"),
    (
        "queue.buffering.max.messages",
        "100000",
        "rows that wait to be sent, at most",
    ),
    (
        "queue.buffering.max.kbytes",
        "65536",
        "KiB of rows that wait to be sent, at most",
    ),
    (
        MESSAGE_TIMEOUT,
        MESSAGE_TIMEOUT_DEFAULT_MS,
        "milliseconds that a row, or a step of a transaction, may wait for the broker; not longer \
         than a transaction",
    ),
    (
        "partitioner",
        "murmur2_random",
        "the partition of a key is the one that Kafka's own clients choose",
    ),
    (
        "topic.metadata.propagation.max.ms",
        "5000",
        "milliseconds that a topic may be unknown after it was made",
    ),
];

/// How long a writer that waits for room serves deliveries before it looks again.
const ROOM_WAIT: Duration = Duration::from_millis(5);

/// The rows of one epoch, or of one call, on their way.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    sent: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
    /// The largest row, if the broker found one of them too large; it will do so again.
    too_large_bytes: Mutex<Option<usize>>,
    changed: Notify,
}

impl Deliveries {
    /// Waits until every row sent is delivered or has failed, which takes `message.timeout.ms`
    /// at most.
    pub(crate) async fn settle(&self) {
        self.wait_until(Self::is_settled).await;
    }

    /// As [`Deliveries::settle`], but returns at the first failure. In a transaction librdkafka then
    /// keeps the other rows until their time is over, although none of them counts any more.
    pub(crate) async fn settle_or_fail(&self) {
        self.wait_until(|own| own.is_settled() || own.failed.load(Ordering::Acquire) > 0)
            .await;
    }

    async fn wait_until(&self, is_over: impl Fn(&Self) -> bool + Send) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if is_over(self) {
                return;
            }
            changed.await;
        }
    }

    fn is_settled(&self) -> bool {
        self.done.load(Ordering::Acquire) >= self.sent.load(Ordering::Acquire)
    }

    /// An error if a row has failed.
    pub(crate) fn check(&self, topic: &str) -> Result<()> {
        let failed = self.failed.load(Ordering::Acquire);
        if failed == 0 {
            return Ok(());
        }
        let sent = self.sent.load(Ordering::Acquire);
        let reason = self.first_failure.lock().clone().unwrap_or_default();
        let message =
            format!("{failed} of {sent} rows could not be delivered to topic \"{topic}\"");
        Err(match *self.too_large_bytes.lock() {
            Some(bytes) => too_large(message).with_detail(format!(
                "The broker found some larger than \"max.message.bytes\" of the topic; the largest \
                 has {bytes} bytes. It says: {reason}."
            )),
            None => {
                Error::sink_failed(message).with_detail(format!("The first failed with: {reason}."))
            }
        })
    }

    fn finished(&self, failure: Option<RowFailure>) {
        let is_first_failure = failure.is_some_and(|failure| {
            if failure.code.is_some_and(is_too_large) {
                let mut largest = self.too_large_bytes.lock();
                *largest = (*largest).max(Some(failure.bytes));
            }
            self.first_failure.lock().get_or_insert(failure.reason);
            self.failed.fetch_add(1, Ordering::AcqRel) == 0
        });
        self.done.fetch_add(1, Ordering::AcqRel);
        if is_first_failure || self.is_settled() {
            self.changed.notify_waiters();
        }
    }
}

/// Why a row was not delivered.
struct RowFailure {
    reason: String,
    code: Option<RDKafkaErrorCode>,
    /// Of its key and its value.
    bytes: usize,
}

/// What librdkafka tells a producer.
#[derive(Debug)]
pub(crate) struct ProducerEvents(ClientEvents);

impl ClientContext for ProducerEvents {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(
        &self,
        config: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.0.generate_oauth_token(config)
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for ProducerEvents {
    type DeliveryOpaque = Arc<Deliveries>;

    fn delivery(&self, result: &DeliveryResult<'_>, deliveries: Arc<Deliveries>) {
        let failure = match result {
            Ok(_) => {
                self.0.mark_alive();
                None
            }
            Err((error, message)) => {
                let reason = match self.0.last_error() {
                    Some(reason) => format!("{error} ({reason})"),
                    None => error.to_string(),
                };
                Some(RowFailure {
                    reason,
                    code: error.rdkafka_error_code(),
                    bytes: message.payload_len() + message.key_len(),
                })
            }
        };
        deliveries.finished(failure);
    }
}

/// librdkafka's producer.
pub(crate) type RawProducer = ThreadedProducer<ProducerEvents>;

/// An idempotent producer with a thread that serves its deliveries.
pub(crate) struct RowProducer {
    producer: ThreadedProducer<ProducerEvents>,
    /// How long a row waits for others to be sent with it.
    linger: Duration,
    /// The bytes that librdkafka takes of a message, at most.
    max_message_bytes: usize,
}

impl std::fmt::Debug for RowProducer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowProducer").finish_non_exhaustive()
    }
}

/// One row as Kafka takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// The partition; `None` lets the key choose.
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [Header],
}

impl Row<'_> {
    /// The bytes of its parts.
    fn bytes(&self) -> usize {
        let of = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| name.len() + of(value.as_deref()));
        of(self.key) + of(self.value) + headers.sum::<usize>()
    }
}

impl RowProducer {
    /// A producer whose rows are visible at once.
    pub(crate) fn connect(owner: &str, connection: &KafkaConnection) -> Result<RowProducer> {
        Self::create(owner, connection, vec![])
    }

    /// A producer whose rows are visible when their transaction is committed. It may be used after
    /// `init_transactions`.
    pub(crate) fn connect_transactional(
        owner: &str,
        connection: &KafkaConnection,
        id: &str,
        limits: &TransactionLimits,
    ) -> Result<RowProducer> {
        let mut own = vec![("transactional.id", id.to_string())];
        own.extend(limits.settings());
        Self::create(owner, connection, own)
    }

    /// `own` is stronger than the defaults and than what the user has set.
    fn create(
        owner: &str,
        connection: &KafkaConnection,
        own: Vec<(&str, String)>,
    ) -> Result<RowProducer> {
        let mut config = connection.config();
        for (name, value, _) in DEFAULTS {
            let is_aliased = name == LINGER && connection.property(LINGER_ALIAS).is_some();
            if connection.property(name).is_none() && !is_aliased {
                config.set(name, value);
            }
        }
        config.set("enable.idempotence", "true").set("acks", "all");
        for (name, value) in own {
            config.set(name, value);
        }
        connection.check_files(owner)?;
        // Its thread hands events on, such as the request for a token.
        let producer = config
            .create_with_context(ProducerEvents(connection.events(owner)))
            .map_err(|error| config_error(owner, &error))?;
        Ok(RowProducer {
            producer,
            linger: linger_of(&config),
            max_message_bytes: connection.max_message_bytes(),
        })
    }

    /// librdkafka's producer, for the calls of a transaction.
    pub(crate) fn raw(&self) -> &RawProducer {
        &self.producer
    }

    /// Why librdkafka will never send anything again, if it has come to that.
    pub(crate) fn fatal_error(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.producer.client().fatal_error()
    }

    /// The newest trouble with a connection.
    pub(crate) fn last_trouble(&self) -> Option<String> {
        self.producer.context().0.last_error()
    }

    /// Hands a row over; waits, without holding an async thread, while librdkafka's queue is full.
    pub(crate) async fn send(
        self: &Arc<Self>,
        topic: &str,
        row: Row<'_>,
        deliveries: &Arc<Deliveries>,
    ) -> Result<()> {
        while !self.try_send(topic, row, deliveries)? {
            let own = Arc::clone(self);
            blocking(move || {
                own.wait_for_room();
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// Sends the rows that wait for others, because no more come. Returns when all are delivered, or
    /// none would have waited any longer.
    pub(crate) async fn send_waiting(self: &Arc<Self>) -> Result<()> {
        if self.linger.is_zero() || self.producer.in_flight_count() == 0 {
            return Ok(());
        }
        let own = Arc::clone(self);
        blocking(move || {
            flush_for(&own.producer, own.linger);
            Ok(())
        })
        .await
    }

    /// Waits until half of what is under way is delivered, so that waits are few and long.
    fn wait_for_room(&self) {
        let enough = self.producer.in_flight_count() / 2;
        while self.producer.in_flight_count() > enough {
            self.producer.poll(ROOM_WAIT);
        }
    }

    /// Hands a row over, unless the queue is full.
    fn try_send(&self, topic: &str, row: Row<'_>, deliveries: &Arc<Deliveries>) -> Result<bool> {
        let mut record: BaseRecord<'_, [u8], [u8], Arc<Deliveries>> =
            BaseRecord::with_opaque_to(topic, Arc::clone(deliveries));
        record.partition = row.partition;
        record.key = row.key;
        record.payload = row.value;
        if !row.headers.is_empty() {
            let mut headers = OwnedHeaders::new_with_capacity(row.headers.len());
            for (key, value) in row.headers {
                let value = value.as_deref();
                headers = headers.insert(rdkafka::message::Header { key, value });
            }
            record.headers = Some(headers);
        }
        // Counted first, because the answer may come before `send` returns.
        deliveries.sent.fetch_add(1, Ordering::AcqRel);
        let Err((error, _)) = self.producer.send(record) else {
            return Ok(true);
        };
        deliveries.sent.fetch_sub(1, Ordering::AcqRel);
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::QueueFull) => Ok(false),
            Some(code) if is_too_large(code) => Err(too_large(format!(
                "a row of {} bytes is too large for topic \"{topic}\"",
                row.bytes()
            ))
            .with_detail(format!(
                "The sink sends messages of {} bytes at most.",
                self.max_message_bytes
            ))),
            _ => Err(Error::sink_failed(format!(
                "could not send a row to topic \"{topic}\": {error}"
            ))),
        }
    }
}

/// How long the settings let a row wait for others, in whole milliseconds.
fn linger_of(config: &ClientConfig) -> Duration {
    let given = config.get(LINGER).or_else(|| config.get(LINGER_ALIAS));
    let milliseconds: Option<f64> = given.and_then(|given| given.trim().parse().ok());
    Duration::from_millis(milliseconds.unwrap_or_default().ceil() as u64)
}

/// Whether a row, or the batch it is in, is larger than the client or the topic takes.
fn is_too_large(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge
    )
}

/// Not tried again: the rows would be too large again, and those beside them doubled.
fn too_large(message: String) -> Error {
    Error::resource(message).with_hint(
        "Raise \"max.message.bytes\" of the topic and 'properties.message.max.bytes' of the sink, \
         or write smaller rows.",
    )
}
