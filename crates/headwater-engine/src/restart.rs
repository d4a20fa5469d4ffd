//! Opening a failed query again from its checkpoint.

use std::time::Duration;

use headwater_core::{Error, Result};

use crate::outage::Outage;
use crate::query_spec::RestartPolicy;

/// The longest wait before a restart.
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// How often a query is opened again, whatever its policy, because epochs were lost with their
/// transaction or with a commit that failed while they ran: that is how they are tried again.
const AFTER_LOSS: u32 = 3;

/// Why a query does not go on as it is.
#[derive(Debug)]
pub(crate) struct Failure {
    class: FailureClass,
    error: Error,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureClass {
    /// A transaction with prepared epochs has ended without effect, or nobody knows how, or a commit
    /// has failed while later epochs ran; so is what fails while that is being mended.
    Lost,
    /// Something else, for good or for a reason that may pass: the error's kind says which.
    Failed,
}

impl Failure {
    pub(crate) fn new(class: FailureClass, error: Error) -> Self {
        Failure { class, error }
    }

    pub(crate) fn of(error: Error) -> Self {
        Failure::new(FailureClass::Failed, error)
    }

    pub(crate) fn class(&self) -> FailureClass {
        self.class
    }

    pub(crate) fn into_error(self) -> Error {
        self.error
    }
}

/// The restarts of one query.
#[derive(Debug)]
pub(crate) struct Restarts {
    policy: RestartPolicy,
    made: u32,
}

impl Restarts {
    pub(crate) fn new(policy: RestartPolicy) -> Self {
        Restarts { policy, made: 0 }
    }

    /// Forgets the restarts made so far: the last one was a success.
    pub(crate) fn start_anew(&mut self) {
        self.made = 0;
    }

    /// How long to wait before the query is opened again.
    ///
    /// # Errors
    /// The failure itself, if another attempt cannot help or enough were made.
    pub(crate) fn wait_after(&mut self, failure: Failure, outage: &Outage) -> Result<Duration> {
        let Failure { class, error } = failure;
        let allowed = match class {
            FailureClass::Lost => self.policy.attempts.max(AFTER_LOSS),
            FailureClass::Failed => self.policy.attempts,
        };
        if !error.may_pass() || self.made >= allowed {
            return Err(error);
        }
        let doubled = self.policy.delay.saturating_mul(1 << self.made.min(16));
        self.made += 1;
        let wait = doubled.min(LONGEST_DELAY);
        outage.note(
            &format!("the query failed, and is opened again in {wait:?}"),
            &error,
        );
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use headwater_core::ErrorKind;
    use headwater_core::clock::SystemClock;

    use super::*;

    fn outage() -> Outage {
        Outage::new(Arc::new(SystemClock::new()), "q".to_string())
    }

    fn failed(kind: ErrorKind) -> Failure {
        Failure::of(Error::new(kind, "away"))
    }

    #[test]
    fn the_wait_doubles_until_the_attempts_are_used_up() {
        let delay = Duration::from_secs(20);
        let mut restarts = Restarts::new(RestartPolicy { attempts: 3, delay });
        for expected in [20, 40, 60] {
            let wait = restarts
                .wait_after(failed(ErrorKind::Sink), &outage())
                .unwrap();
            assert_eq!(wait.as_secs(), expected);
        }
        assert!(
            restarts
                .wait_after(failed(ErrorKind::Sink), &outage())
                .is_err()
        );
        restarts.start_anew();
        assert_eq!(
            restarts
                .wait_after(failed(ErrorKind::Sink), &outage())
                .unwrap(),
            delay
        );
    }

    #[test]
    fn what_cannot_pass_is_not_tried_again() {
        let delay = Duration::from_secs(1);
        let mut restarts = Restarts::new(RestartPolicy { attempts: 9, delay });
        assert!(
            restarts
                .wait_after(failed(ErrorKind::Checkpoint), &outage())
                .is_err()
        );
    }

    #[test]
    fn a_limit_that_may_be_raised_is_tried_again() {
        let delay = Duration::from_secs(1);
        let mut restarts = Restarts::new(RestartPolicy { attempts: 1, delay });
        let full = Failure::of(Error::resource("the disk is full").that_may_pass());
        assert_eq!(restarts.wait_after(full, &outage()).unwrap(), delay);
    }

    #[test]
    fn a_lost_transaction_is_tried_again_without_a_policy() {
        let mut restarts = Restarts::new(RestartPolicy::default());
        assert!(
            restarts
                .wait_after(failed(ErrorKind::Sink), &outage())
                .is_err()
        );
        let lost = Failure::new(FailureClass::Lost, Error::sink_failed("away"));
        assert_eq!(
            restarts.wait_after(lost, &outage()).unwrap(),
            Duration::from_secs(1)
        );
    }
}
