//! What comes out, and when: every message once.
//!
//! Of an aggregate, a message has arrived with the first row that counts it. The rows of a client
//! come in order, with the time of its newest message, which says whether the right ones were counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use headwater::{Error, Result};
use rdkafka::Message as _;
use rdkafka::consumer::BaseConsumer;
use serde_json::Value;

use crate::clients::Cluster;
use crate::load::{CLIENTS, Load};
use crate::{Subject, broken, joined};

const POLL_MAX: Duration = Duration::from_millis(100);
/// How long no message may arrive before the rest is taken for lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long is waited at the end for messages that come a second time.
const DOUBLES_WAIT: Duration = Duration::from_secs(1);

/// The thread that reads the output.
pub(crate) struct Arrivals {
    load: Arc<Load>,
    arrived: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Arrivals {
    pub(crate) fn start(
        cluster: &Cluster,
        topic: &str,
        subject: Subject,
        load: &Arc<Load>,
    ) -> Result<Self> {
        let consumer = cluster.consumer(topic)?;
        let (arrived, is_over) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let mut seen = Seen {
            is_aggregate: subject.is_aggregate(),
            load: Arc::clone(load),
            latencies_ns: vec![None; load.messages()],
            counted: vec![0; CLIENTS],
            arrived: Arc::clone(&arrived),
        };
        let over = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            seen.read(&consumer, &over)?;
            Ok(seen)
        });
        Ok(Arrivals {
            load: Arc::clone(load),
            arrived,
            is_over,
            thread,
        })
    }

    /// Waits until every message has arrived, while `check` says that they still may.
    pub(crate) fn wait_for_all(&self, check: impl Fn() -> Result<()>) -> Result<()> {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let arrived = self.arrived.load(Ordering::Acquire);
            if arrived >= self.load.messages() || self.thread.is_finished() {
                return Ok(());
            }
            check()?;
            if arrived > before {
                (before, since) = (arrived, Instant::now());
            } else if since.elapsed() > SILENCE_MAX {
                return Ok(());
            }
            thread::sleep(POLL_MAX);
        }
    }

    /// Microseconds of every message that is measured, when nothing writes any more.
    ///
    /// # Errors
    /// If a message did not arrive, or arrived twice.
    pub(crate) fn latencies_us(self) -> Result<Vec<u64>> {
        thread::sleep(DOUBLES_WAIT);
        self.is_over.store(true, Ordering::Release);
        let seen = joined(self.thread)?;
        let missing = seen.latencies_ns.iter().filter(|l| l.is_none()).count();
        if missing > 0 {
            return Err(Error::internal(format!(
                "{missing} of {} messages did not arrive",
                self.load.messages()
            )));
        }
        let each = seen.latencies_ns.iter().enumerate();
        let measured = each.filter(|(id, _)| self.load.is_measured(*id));
        Ok(measured
            .filter_map(|(_, ns)| Some((*ns)? / 1_000))
            .collect())
    }
}

/// What the thread has seen.
struct Seen {
    is_aggregate: bool,
    load: Arc<Load>,
    /// By message.
    latencies_ns: Vec<Option<u64>>,
    /// Messages that the newest row of each client counts.
    counted: Vec<usize>,
    /// How many messages, for those who wait.
    arrived: Arc<AtomicUsize>,
}

impl Seen {
    fn read(&mut self, consumer: &BaseConsumer, is_over: &AtomicBool) -> Result<()> {
        loop {
            match consumer.poll(POLL_MAX) {
                Some(Ok(message)) => {
                    let now_ns = self.load.now_ns();
                    self.take(message.payload().unwrap_or_default(), now_ns)?;
                }
                Some(Err(error)) => return Err(broken("read the output", &error)),
                None if is_over.load(Ordering::Acquire) => return Ok(()),
                None => {}
            }
        }
    }

    fn take(&mut self, payload: &[u8], now_ns: u64) -> Result<()> {
        let row: Value =
            serde_json::from_slice(payload).map_err(|e| broken("read the output", &e))?;
        let taken = match self.is_aggregate {
            true => self.take_row(&row, now_ns),
            false => self.take_message(&row, now_ns),
        };
        match taken {
            Some(()) => Ok(()),
            None => Err(Error::internal(format!(
                "a row is wrong or came twice: {row}"
            ))),
        }
    }

    /// A message; `None` if it is wrong or was there already.
    fn take_message(&mut self, row: &Value, now_ns: u64) -> Option<()> {
        let id = number(row, "id")?;
        (number(row, "sent")? as u64 == self.load.sent_ns(id)?).then_some(())?;
        self.arrive(id, now_ns)
    }

    /// A row that counts messages; `None` if it is wrong, or counts none that were not counted.
    fn take_row(&mut self, row: &Value, now_ns: u64) -> Option<()> {
        let client: usize = row["client"].as_str()?.strip_prefix('c')?.parse().ok()?;
        let messages = number(row, "messages")?;
        let before = std::mem::replace(self.counted.get_mut(client)?, messages);
        let newest = messages.checked_sub(1)? * CLIENTS + client;
        (messages > before).then_some(())?;
        (number(row, "newest")? as u64 == self.load.sent_ns(newest)?).then_some(())?;
        for number in before..messages {
            self.arrive(number * CLIENTS + client, now_ns)?;
        }
        Some(())
    }

    fn arrive(&mut self, id: usize, now_ns: u64) -> Option<()> {
        let latency = self.latencies_ns.get_mut(id)?;
        if latency.is_some() {
            return None;
        }
        *latency = Some(now_ns.saturating_sub(self.load.sent_ns(id)?));
        self.arrived.fetch_add(1, Ordering::AcqRel);
        Some(())
    }
}

fn number(row: &Value, column: &str) -> Option<usize> {
    usize::try_from(row[column].as_u64()?).ok()
}
