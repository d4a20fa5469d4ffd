//! The transactions of a query: rows of epochs become visible together with a note of the newest.
//!
//! ```text
//!                begin          commit: note, then end
//!   Idle ────────────────▶ Open ─────────────────────────▶ Idle
//!     ▲                     │ abort ─────────────────────▶ Idle
//!     │ new producer        ▼ a step failed
//!   Unconnected ◀─────── InDoubt          a newer producer has the id ──▶ Fenced, for good
//!             abort, or asked
//! ```
//! Another process cannot go on with an open transaction, so what decides whether an epoch has
//! happened is in Kafka: the note. The transactional id is that of the query for ever. A producer
//! that comes up with it ends what a dead one had open (one way or the other, if its commit was
//! under way) and locks that one out, so after it the note cannot change any more.
//!
//! Everything here blocks; the sink calls it off the async threads. `turn` is held during the
//! calls, `state` never, so that writers can look at it.
//! Source: KIP-98, and `rd_kafka_init_transactions` and its neighbours in librdkafka.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::{Clock, SystemClock};
use headwater_core::id::{EpochId, QueryId};
use headwater_core::{Error, Result};
use parking_lot::Mutex;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::Producer;

use crate::client::KafkaConnection;
use crate::delivery::{RawProducer, RowProducer};

mod call;
mod failure;
mod limits;
mod note;

use call::{CallFailure, Hanging};
use failure::FailedStep;
pub(crate) use limits::{DEFAULTS_MS, TransactionLimits};
use note::Notes;

/// How long to wait before a step that librdkafka lets us repeat.
const REPEAT_WAIT: Duration = Duration::from_millis(50);

/// Whose transactions, and where.
#[derive(Debug, Clone)]
pub(crate) struct TransactionSpec {
    /// The sink as messages name it.
    pub(crate) owner: String,
    pub(crate) connection: KafkaConnection,
    pub(crate) topic: String,
    pub(crate) query: QueryId,
    pub(crate) id_prefix: String,
    /// How long epochs may wait for their commit.
    pub(crate) commit_interval: Option<Duration>,
    /// The newest epoch that this process has had to do with, if it has opened the sink before.
    pub(crate) seen: Option<EpochId>,
}

/// The transactions of one query, one after the other.
#[derive(Debug)]
pub(crate) struct Transactions {
    spec: TransactionSpec,
    /// The transactional id, and the group of the note.
    id: String,
    limits: TransactionLimits,
    notes: Notes,
    clock: SystemClock,
    calls: &'static Hanging,
    turn: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    /// The newest epoch that is known to be committed.
    published: Option<EpochId>,
    /// The newest epoch that this process has had to do with.
    seen: Option<EpochId>,
    /// The newest epoch that is complete in the open transaction.
    prepared: Option<EpochId>,
    /// Whether the producer could not send a row, after which it may refuse all others.
    is_spoilt: bool,
}

#[derive(Debug, Clone, Default)]
enum Phase {
    /// There is no producer, and nothing of this process is open.
    #[default]
    Unconnected,
    /// No transaction is open.
    Idle(Arc<RowProducer>),
    Open {
        producer: Arc<RowProducer>,
        since: Duration,
    },
    /// A step of a transaction failed: the broker may have done it or not.
    InDoubt,
    /// Another process has taken over, which must not be disturbed.
    Fenced,
}

impl Transactions {
    /// Ends what a dead process had open, and locks it out.
    pub(crate) fn open(spec: TransactionSpec) -> Result<Transactions> {
        Self::open_among(spec, &call::OF_THIS_PROCESS)
    }

    fn open_among(spec: TransactionSpec, calls: &'static Hanging) -> Result<Transactions> {
        let limits = TransactionLimits::of(&spec.owner, &spec.connection)?;
        limits.check_interval(&spec.owner, spec.commit_interval)?;
        let id = format!("{}-{}", spec.id_prefix, spec.query);
        let (owner, connection) = (&spec.owner, &spec.connection);
        let notes = Notes::connect(owner, connection, &id, &spec.topic, &spec.query)?;
        let state = State {
            seen: spec.seen,
            ..State::default()
        };
        let opened = Transactions {
            spec,
            id,
            limits,
            notes,
            clock: SystemClock::new(),
            calls,
            turn: Mutex::new(()),
            state: Mutex::new(state),
        };
        opened.connect()?;
        Ok(opened)
    }

    /// The newest epoch of a query that this process has had to do with.
    pub(crate) fn seen_of(&self, query: &QueryId) -> Option<EpochId> {
        let seen = self.state.lock().seen;
        seen.filter(|_| self.spec.query == *query)
    }

    /// The producer, if a transaction is open.
    pub(crate) fn open_producer(&self) -> Option<Arc<RowProducer>> {
        match &self.state.lock().phase {
            Phase::Open { producer, .. } => Some(Arc::clone(producer)),
            _ => None,
        }
    }

    /// The producer of a transaction that is open, or begins now, for rows of an epoch.
    pub(crate) fn begin(&self, epoch: EpochId) -> Result<Arc<RowProducer>> {
        let _turn = self.turn.lock();
        self.begin_in_turn(epoch)
    }

    fn begin_in_turn(&self, epoch: EpochId) -> Result<Arc<RowProducer>> {
        let phase = self.state.lock().phase.clone();
        let producer = match phase {
            Phase::Open { producer, .. } => return Ok(producer),
            Phase::Idle(producer) => producer,
            Phase::Unconnected => self.connect()?,
            Phase::InDoubt => {
                return Err(Error::sink_failed(format!(
                    "a transaction of {} failed before, and what became of it is not known",
                    self.spec.owner
                )));
            }
            Phase::Fenced => return Err(self.fenced()),
        };
        if self.state.lock().published >= Some(epoch) {
            return Err(Error::internal(format!(
                "epoch {epoch} of {} is to be written again after it was published",
                self.spec.owner
            )));
        }
        if let Err(error) = producer.raw().begin_transaction() {
            return Err(self.give_up(&producer, "begin a transaction", &error));
        }
        self.state.lock().phase = Phase::Open {
            producer: Arc::clone(&producer),
            since: self.clock.elapsed(),
        };
        Ok(producer)
    }

    /// Tells that an epoch's rows come. An epoch that is complete in the open transaction cannot be
    /// replaced there.
    pub(crate) fn expect_rows(&self, epoch: EpochId) -> Result<()> {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Fenced) {
            return Err(self.fenced());
        }
        if state.prepared >= Some(epoch) {
            return Err(Error::internal(format!(
                "epoch {epoch} of {} is to be written again before its transaction has ended",
                self.spec.owner
            )));
        }
        state.seen = state.seen.max(Some(epoch));
        Ok(())
    }

    /// Tells that all rows of an epoch are in the open transaction.
    pub(crate) fn prepared(&self, epoch: EpochId) {
        let mut state = self.state.lock();
        state.seen = state.seen.max(Some(epoch));
        state.prepared = state.prepared.max(Some(epoch));
    }

    /// Makes visible what is in the open transaction, if there is one, and notes the epoch.
    pub(crate) fn commit(&self, epoch: EpochId) -> Result<()> {
        let _turn = self.turn.lock();
        {
            let mut state = self.state.lock();
            state.seen = state.seen.max(Some(epoch));
            if matches!(state.phase, Phase::Idle(_)) && state.published >= Some(epoch) {
                return Ok(());
            }
            // A transaction that does not hold the epoch must not note it.
            if state.prepared != Some(epoch)
                && !matches!(state.phase, Phase::Fenced | Phase::InDoubt)
            {
                return Err(Error::internal(format!(
                    "epoch {epoch} of {} is to be committed and was not prepared",
                    self.spec.owner
                )));
            }
        }
        let producer = self.begin_in_turn(epoch)?;
        let note = Arc::new((self.notes.of(epoch)?, self.notes.group()?));
        let step = "note the epoch in a transaction";
        self.repeated(&producer, step, move |producer, left| {
            let (note, group) = &*note;
            producer.send_offsets_to_transaction(note, group, left)
        })?;
        self.repeated(&producer, "commit a transaction", |producer, left| {
            producer.commit_transaction(left)
        })?;
        let mut state = self.state.lock();
        state.phase = Phase::Idle(producer);
        state.published = Some(epoch);
        state.prepared = None;
        Ok(())
    }

    /// Ends the open transaction without effect, or leaves that to the next producer.
    pub(crate) fn abort(&self) -> Result<()> {
        let _turn = self.turn.lock();
        let phase = {
            let mut state = self.state.lock();
            state.prepared = None;
            state.phase.clone()
        };
        let Phase::Open { producer, .. } = phase else {
            self.forget_doubt();
            return Ok(());
        };
        let aborted = self.repeated(&producer, "abort a transaction", |producer, left| {
            producer.abort_transaction(left)
        });
        match aborted {
            Ok(()) => {
                let mut state = self.state.lock();
                state.phase = match state.is_spoilt {
                    true => Phase::Unconnected,
                    false => Phase::Idle(producer),
                };
                Ok(())
            }
            Err(error) if error.kind().is_retryable() => {
                tracing::debug!(owner = %self.spec.owner, %error, "the next producer aborts");
                self.forget_doubt();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn forget_doubt(&self) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::InDoubt) {
            state.phase = Phase::Unconnected;
        }
    }

    /// The newest committed epoch, after ending what is open: this process commits the next, or
    /// none.
    pub(crate) fn last_published(&self) -> Result<Option<EpochId>> {
        let _turn = self.turn.lock();
        let phase = self.state.lock().phase.clone();
        match phase {
            Phase::Idle(_) => {}
            Phase::Fenced => return Err(self.fenced()),
            Phase::Unconnected | Phase::InDoubt => drop(self.connect()?),
            Phase::Open { producer, .. } => {
                self.state.lock().phase = Phase::InDoubt;
                drop(producer);
                self.connect()?;
            }
        }
        Ok(self.state.lock().published)
    }

    /// A new producer, after which no older one can end a transaction, and what is committed then.
    fn connect(&self) -> Result<Arc<RowProducer>> {
        // An instance that has taken over is left alone, as far as its notes show it.
        if self.state.lock().seen.is_some() {
            self.read_note()?;
        }
        let TransactionSpec {
            owner, connection, ..
        } = &self.spec;
        let made = RowProducer::connect_transactional(owner, connection, &self.id, &self.limits)?;
        let producer = Arc::new(made);
        self.repeated(&producer, "start transactions", |producer, left| {
            producer.init_transactions(left)
        })?;
        let published = self.read_note()?;
        let mut state = self.state.lock();
        state.phase = Phase::Idle(Arc::clone(&producer));
        state.published = published;
        state.prepared = None;
        state.is_spoilt = false;
        drop(state);
        Ok(producer)
    }

    /// The newest committed epoch; a conflict if this process has never heard of it.
    fn read_note(&self) -> Result<Option<EpochId>> {
        let note = self.notes.read(self.limits.step).map_err(|error| {
            let step = "read the note of the last epoch";
            self.failed_step(None, step, &error).into_error()
        })?;
        let noted = note.map(|note| self.notes.epoch(&note)).transpose()?;
        let mut state = self.state.lock();
        if state.seen.is_some() && noted > state.seen {
            state.phase = Phase::Fenced;
            drop(state);
            return Err(self.fenced());
        }
        Ok(noted)
    }

    /// Does a step, again and again where librdkafka allows it, for `limits.step` at most. A
    /// producer whose step failed is given up: nobody knows what the broker has done.
    fn repeated(
        &self,
        producer: &Arc<RowProducer>,
        step: &str,
        call: impl Fn(&RawProducer, Duration) -> KafkaResult<()> + Clone + Send + 'static,
    ) -> Result<()> {
        let end = self.clock.elapsed() + self.limits.step;
        loop {
            let left = end.saturating_sub(self.clock.elapsed());
            let (user, call) = (Arc::clone(producer), call.clone());
            let error = match self.calls.answer(left, move || call(user.raw(), left)) {
                Ok(()) => return Ok(()),
                Err(CallFailure::Kafka(error)) => error,
                Err(CallFailure::Panicked(panic)) => {
                    self.give_up(producer, step, &KafkaError::Global(RDKafkaErrorCode::Fail));
                    return Err(failure::panicked(&self.spec.owner, step, &panic));
                }
                Err(CallFailure::TooManyHang) => {
                    self.give_up(producer, step, &KafkaError::Global(RDKafkaErrorCode::Fail));
                    return Err(failure::too_many_hang(&self.spec.owner, step));
                }
            };
            let may_repeat = matches!(&error, KafkaError::Transaction(e) if e.is_retriable());
            if !may_repeat || self.clock.elapsed() + REPEAT_WAIT >= end {
                return Err(self.give_up(producer, step, &error));
            }
            producer.raw().poll(REPEAT_WAIT);
        }
    }

    /// Why a row could not be sent, if the broker refuses this producer; `otherwise` if not.
    pub(crate) fn why_not_sent(&self, producer: &RowProducer, otherwise: Error) -> Error {
        let Some((code, _)) = producer.fatal_error() else {
            self.state.lock().is_spoilt = true;
            return otherwise;
        };
        self.give_up(producer, "write rows", &KafkaError::Global(code))
    }

    /// Gives the producer up, and words why.
    fn give_up(&self, producer: &RowProducer, step: &str, error: &KafkaError) -> Error {
        let failed = self.failed_step(Some(producer), step, error);
        let is_taken_over = failed.is_fenced() && !failed.is_overdue();
        let mut state = self.state.lock();
        state.phase = match &state.phase {
            _ if is_taken_over => Phase::Fenced,
            Phase::Fenced => Phase::Fenced,
            Phase::Open { .. } | Phase::InDoubt => Phase::InDoubt,
            Phase::Idle(_) | Phase::Unconnected => Phase::Unconnected,
        };
        drop(state);
        failed.into_error()
    }

    fn failed_step<'a>(
        &'a self,
        producer: Option<&RowProducer>,
        step: &'a str,
        error: &KafkaError,
    ) -> FailedStep<'a> {
        // After the first fatal error librdkafka says of all calls only that there was one.
        let (code, reason) = match producer.and_then(RowProducer::fatal_error) {
            Some((code, reason)) => (Some(code), reason),
            None => (error.rdkafka_error_code(), error.to_string()),
        };
        let open_for = match &self.state.lock().phase {
            Phase::Open { since, .. } => Some(self.clock.elapsed().saturating_sub(*since)),
            _ => None,
        };
        FailedStep {
            code,
            reason,
            trouble: producer.and_then(RowProducer::last_trouble),
            open_for,
            ..self.step(step)
        }
    }

    fn fenced(&self) -> Error {
        FailedStep {
            code: Some(RDKafkaErrorCode::Fenced),
            ..self.step("let this process go on")
        }
        .into_error()
    }

    fn step<'a>(&'a self, step: &'a str) -> FailedStep<'a> {
        FailedStep {
            owner: &self.spec.owner,
            servers: self.spec.connection.servers(),
            id: &self.id,
            step,
            code: None,
            reason: String::new(),
            trouble: None,
            open_for: None,
            limit: self.limits.transaction,
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;
    use crate::tests::fixture::broker;

    #[test]
    fn with_too_many_calls_that_hang_another_process_may_go_on() {
        static ALL: Hanging = Hanging::none();
        static LATER: Hanging = Hanging::none();
        ALL.fill();
        let broker = broker(&[("out", 1)]);
        let spec = TransactionSpec {
            owner: "sink \"s\"".to_string(),
            connection: KafkaConnection::new(broker.bootstrap_servers()),
            topic: "out".to_string(),
            query: QueryId::new("q"),
            id_prefix: "headwater".to_string(),
            commit_interval: None,
            seen: None,
        };
        let error = Transactions::open_among(spec.clone(), &ALL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Resource);
        assert!(error.may_pass(), "who starts it again must be told so");
        assert_eq!(
            error.message(),
            "sink \"s\" does not start transactions: 16 steps of transactions in this process have \
             had no answer, and hang"
        );
        // A step later, too: it is in doubt then what the broker has done.
        let transactions = Transactions::open_among(spec, &LATER).unwrap();
        transactions.begin(EpochId(0)).unwrap();
        transactions.prepared(EpochId(0));
        LATER.fill();
        let error = transactions.commit(EpochId(0)).unwrap_err();
        assert!(error.may_pass(), "{error:?}");
        let phase = &transactions.state.lock().phase;
        assert!(matches!(phase, Phase::InDoubt), "{phase:?}");
    }
}
