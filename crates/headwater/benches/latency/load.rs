//! The messages: so many a second, one after the other at even distances.
//!
//! ```json
//! {"id":4711,"client":"c711","amount":3,"sent":1200345678}
//! ```
//! Clients take turns, so that message `id` is number `id / CLIENTS + 1` of client `id % CLIENTS`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use headwater::Result;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::broken;
use crate::clients::{Cluster, Producer};

/// Groups of the aggregate.
pub(crate) const CLIENTS: usize = 1_000;
/// How long messages are sent before those that are measured.
const WARM_UP_SECONDS: u32 = 5;
const FLUSH_MAX: Duration = Duration::from_secs(30);

/// The messages of one run and when they were sent.
#[derive(Debug)]
pub(crate) struct Load {
    rate: u32,
    /// The first message that is measured.
    first_measured: usize,
    started: Instant,
    /// Nanoseconds from the start, by message; 0 before it is sent.
    sent_ns: Vec<AtomicU64>,
}

impl Load {
    pub(crate) fn new(rate: u32, seconds: u32) -> Self {
        let messages = rate as usize * (WARM_UP_SECONDS + seconds) as usize;
        let mut sent_ns = Vec::new();
        sent_ns.resize_with(messages, AtomicU64::default);
        Load {
            rate,
            first_measured: rate as usize * WARM_UP_SECONDS as usize,
            started: Instant::now(),
            sent_ns,
        }
    }

    pub(crate) fn messages(&self) -> usize {
        self.sent_ns.len()
    }

    /// Nanoseconds since the start.
    pub(crate) fn now_ns(&self) -> u64 {
        let elapsed = self.started.elapsed().as_nanos();
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }

    /// When a message was sent; `None` if it was not, or there is no such message.
    pub(crate) fn sent_ns(&self, id: usize) -> Option<u64> {
        let sent = self.sent_ns.get(id)?.load(Ordering::Acquire);
        (sent > 0).then_some(sent)
    }

    pub(crate) fn is_measured(&self, id: usize) -> bool {
        id >= self.first_measured
    }

    /// Sends all messages, and gives how many a second those were that are measured.
    pub(crate) fn send(&self, cluster: &Cluster, topic: &str) -> Result<f64> {
        let producer = cluster.producer()?;
        let begun_ns = self.now_ns();
        for (id, slot) in self.sent_ns.iter().enumerate() {
            let due_ns = begun_ns + id as u64 * 1_000_000_000 / u64::from(self.rate);
            while let Some(early) = due_ns.checked_sub(self.now_ns()).filter(|ns| *ns > 0) {
                thread::sleep(Duration::from_nanos(early));
            }
            let sent_ns = self.now_ns();
            slot.store(sent_ns, Ordering::Release);
            let client = format!("c{}", id % CLIENTS);
            let amount = id % 7;
            let payload =
                format!(r#"{{"id":{id},"client":"{client}","amount":{amount},"sent":{sent_ns}}}"#);
            forward(&producer, topic, client.as_bytes(), payload.as_bytes())?;
        }
        let flushed = producer.flush(FLUSH_MAX);
        flushed.map_err(|e| broken("send all messages", &e))?;
        let measured = self.sent_ns.len() - self.first_measured;
        let first_ns = self.sent_ns(self.first_measured).unwrap_or_default();
        let last_ns = self.sent_ns(self.sent_ns.len() - 1).unwrap_or_default();
        Ok((measured - 1) as f64 * 1e9 / (last_ns - first_ns).max(1) as f64)
    }
}

/// Hands a message to a producer, which may have to make room first.
pub(crate) fn forward(producer: &Producer, topic: &str, key: &[u8], payload: &[u8]) -> Result<()> {
    let mut record = BaseRecord::to(topic).key(key).payload(payload);
    loop {
        let Err((error, refused)) = producer.send(record) else {
            return Ok(());
        };
        if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
            return Err(broken("send a message", &error));
        }
        thread::sleep(Duration::from_millis(1));
        record = refused;
    }
}
