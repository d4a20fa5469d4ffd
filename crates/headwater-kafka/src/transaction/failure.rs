//! What a failed step of a transaction means, and what to do about it.
//!
//! | librdkafka says | kind | then |
//! | --- | --- | --- |
//! | fenced, soon after the transaction began | `Conflict` | another instance writes: stop |
//! | fenced, later than the broker keeps a transaction | `Resource` | the broker ended it: stop |
//! | not allowed, not supported, too long a timeout | `Configuration` | stop |
//! | no answer in time, and everything else | `Sink` | ask what was published, and run again |

use std::time::Duration;

use headwater_core::Error;
use rdkafka::error::RDKafkaErrorCode;

use super::call::MOST_HANGING;
use super::limits::TRANSACTION_TIMEOUT;

/// A step that failed, with what is needed to word it.
#[derive(Debug, Clone)]
pub(crate) struct FailedStep<'a> {
    pub(crate) owner: &'a str,
    pub(crate) servers: &'a str,
    pub(crate) id: &'a str,
    /// Such as "commit a transaction".
    pub(crate) step: &'a str,
    pub(crate) code: Option<RDKafkaErrorCode>,
    pub(crate) reason: String,
    /// The newest trouble with a connection.
    pub(crate) trouble: Option<String>,
    /// Since when the transaction is open, if one is.
    pub(crate) open_for: Option<Duration>,
    /// How long the broker keeps it.
    pub(crate) limit: Duration,
}

/// The error of a step in which something panicked.
pub(crate) fn panicked(owner: &str, step: &str, panic: &str) -> Error {
    Error::internal(format!("{owner} could not {step}: it panicked: {panic}"))
}

/// The error of a step that is not tried, because others before it hang for good. It passes with
/// the process: who starts that again when an error may pass does what the hint says.
pub(crate) fn too_many_hang(owner: &str, step: &str) -> Error {
    Error::resource(format!(
        "{owner} does not {step}: {MOST_HANGING} steps of transactions in this process have had no \
         answer, and hang"
    ))
    .with_detail("Each holds a thread and a producer that librdkafka does not give back.")
    .with_hint(
        "Look at the transaction coordinator of the cluster, then start the process again: nothing \
         is lost.",
    )
    .that_may_pass()
}

impl FailedStep<'_> {
    /// Whether the broker refuses this producer for a newer one with its id.
    pub(crate) fn is_fenced(&self) -> bool {
        matches!(
            self.code,
            Some(
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        )
    }

    /// Whether the broker may have done so because the transaction took too long.
    pub(crate) fn is_overdue(&self) -> bool {
        self.open_for.is_some_and(|time| time >= self.limit)
    }

    pub(crate) fn into_error(self) -> Error {
        use RDKafkaErrorCode as Code;
        if self.is_fenced() {
            return match self.open_for {
                Some(time) if self.is_overdue() => self.overdue(time),
                _ => self.taken_over(),
            };
        }
        match self.code {
            Some(Code::InvalidTransactionTimeout) => self.timeout_refused(),
            Some(
                Code::TransactionalIdAuthorizationFailed
                | Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::ClusterAuthorizationFailed,
            ) => self.not_allowed(),
            Some(Code::UnsupportedFeature | Code::UnsupportedVersion) => self.not_supported(),
            Some(Code::OperationTimedOut | Code::BrokerTransportFailure | Code::AllBrokersDown) => {
                self.no_answer()
            }
            _ => Error::sink_failed(format!(
                "{} could not {} on broker {}: {}",
                self.owner, self.step, self.servers, self.reason
            )),
        }
    }

    fn taken_over(&self) -> Error {
        Error::conflict(format!(
            "another instance of the query has taken over {}",
            self.owner
        ))
        .with_detail(format!(
            "Broker {} refused to {}: a newer producer has the transactional id \"{}\".",
            self.servers, self.step, self.id
        ))
        .with_hint("Only one process at a time may run a query. Stop one of the two.")
    }

    fn overdue(&self, open_for: Duration) -> Error {
        let (open_s, limit_s) = (open_for.as_secs(), self.limit.as_secs());
        Error::resource(format!(
            "a transaction of {} took longer than the broker keeps one",
            self.owner
        ))
        .with_detail(format!(
            "It was open for {open_s} s, and '{TRANSACTION_TIMEOUT}' is {limit_s} s; so broker {} \
             refused to {}.",
            self.servers, self.step
        ))
        .with_hint(format!(
            "Make epochs smaller, for Kafka with 'max.records.per.epoch', or set \
             'properties.{TRANSACTION_TIMEOUT}' to more, which the broker limits by \
             transaction.max.timeout.ms."
        ))
    }

    fn timeout_refused(&self) -> Error {
        Error::configuration(format!(
            "{} has a longer '{TRANSACTION_TIMEOUT}' than broker {} allows",
            self.owner, self.servers
        ))
        .with_detail(format!("It is {} ms.", self.limit.as_millis()))
        .with_hint(format!(
            "Set 'properties.{TRANSACTION_TIMEOUT}' to the broker's transaction.max.timeout.ms or \
             less, or raise that of the broker."
        ))
    }

    fn not_allowed(&self) -> Error {
        Error::configuration(format!(
            "{} may not {} on broker {}",
            self.owner, self.step, self.servers
        ))
        .with_detail(format!("The broker says: {}.", self.reason))
        .with_hint(format!(
            "Allow WRITE and DESCRIBE for the transactional id \"{0}\", READ for the group \"{0}\", \
             and WRITE, DESCRIBE and READ for the topic; 'transactional.id.prefix' chooses how the \
             two begin. Or use 'delivery' = 'at-least-once'.",
            self.id
        ))
    }

    fn not_supported(&self) -> Error {
        Error::configuration(format!(
            "broker {} has no transactions, which {} needs to deliver exactly once",
            self.servers, self.owner
        ))
        .with_detail(format!("librdkafka says: {}.", self.reason))
        .with_hint("Use 'delivery' = 'at-least-once'.")
    }

    fn no_answer(&self) -> Error {
        let error = Error::sink_failed(format!(
            "{} could not {}: broker {} did not answer in time",
            self.owner, self.step, self.servers
        ));
        match self.trouble.as_ref().or(Some(&self.reason)) {
            Some(reason) => error.with_detail(format!("librdkafka says: {reason}.")),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RDKafkaErrorCode as Code;
    use headwater_core::ErrorKind;

    fn failed(code: Code, open_for_s: Option<u64>) -> Error {
        FailedStep {
            owner: "sink \"k\"",
            servers: "b:1",
            id: "headwater-q",
            step: "commit a transaction",
            code: Some(code),
            reason: "because".into(),
            trouble: Some("connection refused".into()),
            open_for: open_for_s.map(Duration::from_secs),
            limit: Duration::from_secs(600),
        }
        .into_error()
    }

    #[test]
    fn the_kind_says_what_to_do() {
        let table = [
            (Code::Fenced, None, ErrorKind::Conflict),
            (Code::Fenced, Some(599), ErrorKind::Conflict),
            (Code::InvalidProducerEpoch, Some(1), ErrorKind::Conflict),
            (Code::ProducerFenced, Some(600), ErrorKind::Resource),
            (
                Code::InvalidTransactionTimeout,
                None,
                ErrorKind::Configuration,
            ),
            (
                Code::TransactionalIdAuthorizationFailed,
                None,
                ErrorKind::Configuration,
            ),
            (
                Code::GroupAuthorizationFailed,
                Some(1),
                ErrorKind::Configuration,
            ),
            (Code::UnsupportedFeature, None, ErrorKind::Configuration),
            (Code::OperationTimedOut, Some(700), ErrorKind::Sink),
            (Code::CoordinatorLoadInProgress, None, ErrorKind::Sink),
        ];
        for (code, open_for_s, kind) in table {
            assert_eq!(failed(code, open_for_s).kind(), kind, "{code:?}");
        }
    }

    #[test]
    fn every_text_names_the_sink_and_the_broker() {
        let codes = [
            Code::Fenced,
            Code::InvalidTransactionTimeout,
            Code::TransactionalIdAuthorizationFailed,
            Code::UnsupportedFeature,
            Code::OperationTimedOut,
            Code::Unknown,
        ];
        for open_for_s in [None, Some(601)] {
            for code in codes {
                let report = failed(code, open_for_s).report("a", None);
                assert!(report.contains("sink \"k\""), "{report}");
                assert!(report.contains("roker b:1"), "{report}");
            }
        }
        assert_eq!(
            failed(Code::Fenced, Some(601)).report("a", None),
            "error: a transaction of sink \"k\" took longer than the broker keeps one\n\
             detail: It was open for 601 s, and 'transaction.timeout.ms' is 600 s; so broker b:1 \
             refused to commit a transaction.\n\
             hint: Make epochs smaller, for Kafka with 'max.records.per.epoch', or set \
             'properties.transaction.timeout.ms' to more, which the broker limits by \
             transaction.max.timeout.ms."
        );
    }
}
