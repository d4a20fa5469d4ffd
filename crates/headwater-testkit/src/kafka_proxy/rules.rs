//! What is to be done to which request, how often, and how often it was done.

use std::collections::BTreeMap;
use std::time::Duration;

/// A request of the Kafka protocol that faults can be arranged for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestKind {
    /// A producer sends records.
    Produce,
    /// A consumer asks for records.
    Fetch,
    /// A client asks for first and last offsets.
    ListOffsets,
    /// A client asks for topics and brokers.
    Metadata,
    /// A client asks who coordinates a group or a transaction.
    FindCoordinator,
    /// A producer asks for its number, or takes a transactional id over.
    InitProducerId,
    /// A transaction will write to partitions.
    AddPartitionsToTxn,
    /// A transaction will hold offsets of a group.
    AddOffsetsToTxn,
    /// A transaction ends.
    EndTxn,
    /// Offsets of a group are put into a transaction.
    TxnOffsetCommit,
}

impl RequestKind {
    /// The protocol's number of the request.
    pub(super) fn api_key(self) -> i16 {
        match self {
            RequestKind::Produce => 0,
            RequestKind::Fetch => 1,
            RequestKind::ListOffsets => 2,
            RequestKind::Metadata => 3,
            RequestKind::FindCoordinator => 10,
            RequestKind::InitProducerId => 22,
            RequestKind::AddPartitionsToTxn => 24,
            RequestKind::AddOffsetsToTxn => 25,
            RequestKind::EndTxn => 26,
            RequestKind::TxnOffsetCommit => 28,
        }
    }
}

/// What happens to a request or to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The broker does not get it; the connection ends.
    LoseRequest,
    /// The broker carries it out; the connection ends before the answer.
    LoseAnswer,
    /// The broker carries it out; neither this answer nor a later one of the connection comes.
    WithholdAnswer,
    /// The first `at` bytes of the answer come, then the connection ends. Only an answer that
    /// is longer is torn.
    TearAnswer {
        /// How many bytes come.
        at: usize,
    },
    /// One bit of the byte that has `from_end` bytes after it is changed. Only an answer of at
    /// least `min_bytes` is changed: an answer without records has nothing to damage.
    FlipBit {
        /// How many bytes of the answer come after the changed one.
        from_end: usize,
        /// The shortest answer that is changed.
        min_bytes: usize,
    },
}

impl Fault {
    /// Whether it can happen to an answer of `bytes` bytes.
    fn fits_answer(self, bytes: usize) -> bool {
        match self {
            Fault::LoseRequest => false,
            Fault::LoseAnswer | Fault::WithholdAnswer => true,
            Fault::TearAnswer { at } => bytes > at,
            Fault::FlipBit {
                from_end,
                min_bytes,
            } => bytes > from_end && bytes >= min_bytes,
        }
    }
}

/// How slow and narrow the way to the broker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Link {
    /// How late an answer comes.
    pub latency: Duration,
    /// How much later it may come, at random.
    pub jitter: Duration,
    /// The most bytes per second and connection in each direction; `None` is no limit.
    pub bytes_per_second: Option<u32>,
}

/// What was done to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Requests that the broker did not get.
    pub lost_requests: u64,
    /// Answers that were lost with their connection.
    pub lost_answers: u64,
    /// Answers that never came on a connection that stayed.
    pub withheld_answers: u64,
    /// Answers that ended in the middle.
    pub torn_answers: u64,
    /// Answers with a changed bit.
    pub flipped_bits: u64,
    /// Connections that were not let in.
    pub refused: u64,
    /// Connections that were reset.
    pub cut: u64,
    /// Requests and answers that waited for the end of a silence.
    pub held: u64,
    /// Answers that came late.
    pub delayed: u64,
    /// Pieces that waited for a narrow way.
    pub paced: u64,
}

/// A fault that is still to happen.
#[derive(Debug, Clone, Copy)]
struct Arranged {
    api_key: i16,
    fault: Fault,
    left: u32,
}

/// Everything a connection asks before it passes something on.
#[derive(Debug)]
pub(super) struct Rules {
    arranged: Vec<Arranged>,
    requests: BTreeMap<i16, u64>,
    random: fastrand::Rng,
    pub(super) link: Link,
    pub(super) counts: Counts,
}

impl Rules {
    pub(super) fn new() -> Self {
        Rules {
            arranged: Vec::new(),
            requests: BTreeMap::new(),
            random: fastrand::Rng::with_seed(1),
            link: Link::default(),
            counts: Counts::default(),
        }
    }

    pub(super) fn arrange(&mut self, request: RequestKind, fault: Fault, times: u32) {
        self.arranged.push(Arranged {
            api_key: request.api_key(),
            fault,
            left: times,
        });
    }

    pub(super) fn outstanding(&self) -> u32 {
        self.arranged.iter().map(|arranged| arranged.left).sum()
    }

    pub(super) fn requests(&self, request: RequestKind) -> u64 {
        let seen = self.requests.get(&request.api_key());
        seen.copied().unwrap_or(0)
    }

    /// Whether a request that has come is lost.
    pub(super) fn loses_request(&mut self, api_key: i16) -> bool {
        *self.requests.entry(api_key).or_default() += 1;
        let is_lost = self
            .take(api_key, |fault| fault == Fault::LoseRequest)
            .is_some();
        self.counts.lost_requests += u64::from(is_lost);
        is_lost
    }

    /// What happens to an answer that has come; it is counted.
    pub(super) fn take_for_answer(&mut self, api_key: i16, bytes: usize) -> Option<Fault> {
        let fault = self.take(api_key, |fault| fault.fits_answer(bytes))?;
        match fault {
            Fault::LoseRequest => {}
            Fault::LoseAnswer => self.counts.lost_answers += 1,
            Fault::WithholdAnswer => self.counts.withheld_answers += 1,
            Fault::TearAnswer { .. } => self.counts.torn_answers += 1,
            Fault::FlipBit { .. } => self.counts.flipped_bits += 1,
        }
        Some(fault)
    }

    fn take(&mut self, api_key: i16, fits: impl Fn(Fault) -> bool) -> Option<Fault> {
        let found = self
            .arranged
            .iter_mut()
            .find(|a| a.api_key == api_key && a.left > 0 && fits(a.fault))?;
        found.left -= 1;
        Some(found.fault)
    }

    /// How late the next answer comes.
    pub(super) fn next_delay(&mut self) -> Duration {
        let delay = self.link.latency + self.link.jitter.mul_f64(self.random.f64());
        self.counts.delayed += u64::from(!delay.is_zero());
        delay
    }
}
