//! Calls of librdkafka that may never return.
//!
//! The steps of a transaction take a time limit, and librdkafka does not always keep it: noting an
//! offset waits for ever if the coordinator went while the transaction was open, even after it has
//! come back. So each call is made on a thread of its own, which is left to itself, with the
//! producer it uses, if it has no answer in time.
//!
//! A thread that is left so never ends, as far as anyone knows. There are [`MOST_HANGING`] of them
//! at most in a process; after that nothing is called any more.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// What librdkafka may take longer than it was told.
const GRACE: Duration = Duration::from_secs(2);
/// How many calls may be without an answer after their time.
pub(super) const MOST_HANGING: usize = 16;

/// The calls of this process that have no answer after their time.
pub(super) static OF_THIS_PROCESS: Hanging = Hanging(AtomicUsize::new(0));

/// Why a call has not succeeded.
#[derive(Debug)]
pub(super) enum CallFailure {
    /// What librdkafka says, or that it said nothing in time.
    Kafka(KafkaError),
    /// The call panicked, with this message.
    Panicked(String),
    /// It was not made: too many others have no answer.
    TooManyHang,
}

/// How many calls have no answer after their time.
#[derive(Debug)]
pub(super) struct Hanging(AtomicUsize);

impl Hanging {
    #[cfg(test)]
    pub(super) const fn none() -> Self {
        Hanging(AtomicUsize::new(0))
    }

    /// From now on there are as many as there may be.
    #[cfg(test)]
    pub(super) fn fill(&self) {
        self.0.store(MOST_HANGING, Ordering::Release);
    }

    /// What the call answers, or why it does not.
    pub(super) fn answer(
        &'static self,
        limit: Duration,
        call: impl FnOnce() -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), CallFailure> {
        self.answer_within(limit + GRACE, call)
    }

    fn answer_within(
        &'static self,
        limit: Duration,
        call: impl FnOnce() -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), CallFailure> {
        if self.0.load(Ordering::Acquire) >= MOST_HANGING {
            return Err(CallFailure::TooManyHang);
        }
        let (answer, answered) = mpsc::sync_channel(1);
        // Who comes second of the two sides knows that the other has given up, or has answered.
        let is_over = Arc::new(AtomicUsize::new(0));
        let over = Arc::clone(&is_over);
        let answering = move || {
            let found = catch_unwind(AssertUnwindSafe(call));
            // Nobody waits any more for an answer that comes too late.
            let _ = answer.send(found.map_err(|panic| message_of(&*panic)));
            if over.fetch_add(1, Ordering::AcqRel) > 0 {
                self.0.fetch_sub(1, Ordering::AcqRel);
            }
        };
        let thread = thread::Builder::new().name("kafka-transaction".to_string());
        if thread.spawn(answering).is_err() {
            let code = RDKafkaErrorCode::CriticalSystemResource;
            return Err(CallFailure::Kafka(KafkaError::Global(code)));
        }
        match answered.recv_timeout(limit) {
            Ok(Ok(answer)) => answer.map_err(CallFailure::Kafka),
            Ok(Err(panic)) => Err(CallFailure::Panicked(panic)),
            Err(_) => {
                // Counted first: the thread takes off only what is there.
                self.0.fetch_add(1, Ordering::AcqRel);
                if is_over.fetch_add(1, Ordering::AcqRel) > 0 {
                    self.0.fetch_sub(1, Ordering::AcqRel);
                }
                let code = RDKafkaErrorCode::OperationTimedOut;
                Err(CallFailure::Kafka(KafkaError::Global(code)))
            }
        }
    }
}

/// What a panic says.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "no message".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code_of(failure: CallFailure) -> Option<RDKafkaErrorCode> {
        match failure {
            CallFailure::Kafka(error) => error.rdkafka_error_code(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_never_answers_times_out() {
        OF_THIS_PROCESS.answer(Duration::ZERO, || Ok(())).unwrap();
        let refused = || Err(KafkaError::Global(RDKafkaErrorCode::InvalidArgument));
        let error = OF_THIS_PROCESS.answer(Duration::ZERO, refused).unwrap_err();
        assert_eq!(code_of(error), Some(RDKafkaErrorCode::InvalidArgument));
        let (never, waits) = mpsc::sync_channel::<()>(1);
        let hangs = move || {
            let _ = waits.recv();
            Ok(())
        };
        let error = OF_THIS_PROCESS.answer(Duration::ZERO, hangs).unwrap_err();
        assert_eq!(code_of(error), Some(RDKafkaErrorCode::OperationTimedOut));
        drop(never);
    }

    #[test]
    fn a_panic_is_told_as_one() {
        let failure = OF_THIS_PROCESS
            .answer(Duration::ZERO, || panic!("no such luck"))
            .unwrap_err();
        assert!(
            matches!(&failure, CallFailure::Panicked(text) if text == "no such luck"),
            "{failure:?}"
        );
    }

    #[test]
    fn calls_that_hang_are_bounded_until_they_answer() {
        static CALLS: Hanging = Hanging(AtomicUsize::new(0));
        let mut never = Vec::new();
        let limit = Duration::from_millis(1);
        for _ in 0..MOST_HANGING {
            let (release, waits) = mpsc::sync_channel::<()>(1);
            never.push(release);
            let hangs = move || {
                let _ = waits.recv();
                Ok(())
            };
            let failure = CALLS.answer_within(limit, hangs).unwrap_err();
            assert_eq!(code_of(failure), Some(RDKafkaErrorCode::OperationTimedOut));
        }
        let failure = CALLS.answer_within(limit, || Ok(())).unwrap_err();
        assert!(matches!(failure, CallFailure::TooManyHang), "{failure:?}");
        drop(never);
        while CALLS.0.load(Ordering::Acquire) > 0 {
            thread::yield_now();
        }
        CALLS.answer_within(GRACE, || Ok(())).unwrap();
    }
}
