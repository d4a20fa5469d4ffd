//! Calls of librdkafka that may never return.
//!
//! The steps of a transaction take a time limit, and librdkafka does not always keep it: noting an
//! offset waits for ever if the coordinator went while the transaction was open, even after it has
//! come back. So each call is made on a thread of its own, which is left to itself, with the
//! producer it uses, if it has no answer in time.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// What librdkafka may take longer than it was told.
const GRACE: Duration = Duration::from_secs(2);

/// What the call answers, or that it timed out.
pub(super) fn answer_within(
    limit: Duration,
    call: impl FnOnce() -> KafkaResult<()> + Send + 'static,
) -> KafkaResult<()> {
    let (answer, answered) = mpsc::sync_channel(1);
    let answering = move || {
        // Nobody waits any more for an answer that comes too late.
        let _ = answer.send(call());
    };
    let thread = thread::Builder::new().name("kafka-transaction".to_string());
    if thread.spawn(answering).is_err() {
        return Err(KafkaError::Global(RDKafkaErrorCode::CriticalSystemResource));
    }
    let timed_out = KafkaError::Global(RDKafkaErrorCode::OperationTimedOut);
    answered
        .recv_timeout(limit + GRACE)
        .unwrap_or(Err(timed_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_answers_times_out() {
        answer_within(Duration::ZERO, || Ok(())).unwrap();
        let refused = || Err(KafkaError::Global(RDKafkaErrorCode::InvalidArgument));
        let error = answer_within(Duration::ZERO, refused).unwrap_err();
        assert_eq!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::InvalidArgument)
        );
        let (never, waits) = mpsc::sync_channel::<()>(1);
        let hangs = move || {
            let _ = waits.recv();
            Ok(())
        };
        let error = answer_within(Duration::ZERO, hangs).unwrap_err();
        assert_eq!(
            error.rdkafka_error_code(),
            Some(RDKafkaErrorCode::OperationTimedOut)
        );
        drop(never);
    }
}
