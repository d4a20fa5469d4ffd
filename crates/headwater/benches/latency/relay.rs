//! The floor: the same clients without an engine. What one reads the other writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use headwater::{Error, Result};
use rdkafka::Message as _;
use rdkafka::consumer::BaseConsumer;
use rdkafka::producer::Producer as _;

use crate::clients::{Cluster, Producer};
use crate::load::forward;
use crate::{broken, joined};

const POLL_MAX: Duration = Duration::from_millis(100);
const FLUSH_MAX: Duration = Duration::from_secs(30);

/// A running relay.
#[derive(Debug)]
pub(crate) struct Relay {
    should_stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Relay {
    pub(crate) fn start(cluster: &Cluster, [input, output]: [&str; 2]) -> Result<Self> {
        let (consumer, producer) = (cluster.consumer(input)?, cluster.producer()?);
        let should_stop = Arc::new(AtomicBool::new(false));
        let (stop, output) = (Arc::clone(&should_stop), output.to_string());
        let thread = thread::spawn(move || relay(&consumer, &producer, &output, &stop));
        Ok(Relay {
            should_stop,
            thread,
        })
    }

    pub(crate) fn check(&self) -> Result<()> {
        match self.thread.is_finished() {
            true => Err(Error::internal("the relay has ended")),
            false => Ok(()),
        }
    }

    pub(crate) fn stop(self) -> Result<()> {
        self.should_stop.store(true, Ordering::Release);
        joined(self.thread)
    }
}

fn relay(
    consumer: &BaseConsumer,
    producer: &Producer,
    output: &str,
    should_stop: &AtomicBool,
) -> Result<()> {
    while !should_stop.load(Ordering::Acquire) {
        let Some(polled) = consumer.poll(POLL_MAX) else {
            continue;
        };
        let message = polled.map_err(|e| broken("relay", &e))?;
        let (key, payload) = (message.key(), message.payload());
        forward(
            producer,
            output,
            key.unwrap_or_default(),
            payload.unwrap_or_default(),
        )?;
    }
    let flushed = producer.flush(FLUSH_MAX);
    flushed.map_err(|e| broken("relay", &e))
}
