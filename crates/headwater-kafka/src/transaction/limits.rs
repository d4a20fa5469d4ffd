//! How long a transaction, and a step of it, may take.
//!
//! ```text
//! message.timeout.ms ≤ transaction.timeout.ms ≤ transaction.max.timeout.ms of the broker
//! socket.timeout.ms  ≤ transaction.timeout.ms + 100
//! ```
//! librdkafka refuses other settings, and its own defaults would let a request hang for as long as
//! a transaction may last.

use std::time::Duration;

use headwater_core::duration::format_duration;
use headwater_core::{Error, Result};

use crate::client::KafkaConnection;
use crate::delivery::{MESSAGE_TIMEOUT, MESSAGE_TIMEOUT_DEFAULT_MS};

pub(crate) const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";
const SOCKET_TIMEOUT: &str = "socket.timeout.ms";

/// Many times what an epoch takes, and below the 15 minutes that brokers allow unless told.
const TRANSACTION_TIMEOUT_DEFAULT_MS: u64 = 600_000;
const SOCKET_TIMEOUT_DEFAULT_MS: u64 = 60_000;
/// The properties of transactions: their defaults, unless another limit is shorter, and what they
/// bound.
pub(crate) const DEFAULTS_MS: [(&str, u64, &str); 2] = [
    (
        TRANSACTION_TIMEOUT,
        TRANSACTION_TIMEOUT_DEFAULT_MS,
        "milliseconds that a transaction may be open, which is to say the time of the epochs in \
         one commit; it must be twice `checkpoint.interval` at least; the broker allows 15 minutes \
         unless told otherwise (`transaction.max.timeout.ms`), and a longer time is an error when \
         the query starts",
    ),
    (
        SOCKET_TIMEOUT,
        SOCKET_TIMEOUT_DEFAULT_MS,
        "milliseconds that one request may take; not longer than a transaction",
    ),
];
/// How many times the interval of commits a transaction must be able to last.
const INTERVALS: u32 = 2;
/// What librdkafka lets a request outlive its transaction.
const SOCKET_TIMEOUT_MORE_MS: u64 = 100;

/// The times of a transactional producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionLimits {
    /// After this, the broker ends an open transaction without effect.
    pub(crate) transaction: Duration,
    /// How long a row, or a step of a transaction, may take; `message.timeout.ms`.
    pub(crate) step: Duration,
    transaction_ms: u64,
    message_ms: u64,
    socket_ms: u64,
}

impl TransactionLimits {
    /// Those the user has set, and defaults that fit to them.
    pub(crate) fn of(owner: &str, connection: &KafkaConnection) -> Result<Self> {
        let given = |name: &str| -> Result<Option<u64>> {
            connection
                .property(name)
                .map(|text| text.trim().parse())
                .transpose()
                .map_err(|_| {
                    Error::configuration(format!(
                        "{owner} cannot set the Kafka property \"{name}\""
                    ))
                    .with_detail("It is a number of milliseconds.")
                })
        };
        let transaction_ms = given(TRANSACTION_TIMEOUT)?.unwrap_or(TRANSACTION_TIMEOUT_DEFAULT_MS);
        let within = |name: &str, default_ms: u64, limit_ms: u64| match given(name)? {
            None => Ok(default_ms.min(transaction_ms)),
            Some(ms) if ms <= limit_ms => Ok(ms),
            Some(ms) => Err(Error::configuration(format!(
                "{owner} has a longer '{name}' than '{TRANSACTION_TIMEOUT}'"
            ))
            .with_detail(format!(
                "A request of {ms} ms does not fit into a transaction of {transaction_ms} ms."
            ))
            .with_hint(format!(
                "Set 'properties.{name}' to {transaction_ms} or less, or \
                 'properties.{TRANSACTION_TIMEOUT}' to more."
            ))),
        };
        let message_default_ms = MESSAGE_TIMEOUT_DEFAULT_MS.parse().unwrap_or(transaction_ms);
        let message_ms = within(MESSAGE_TIMEOUT, message_default_ms, transaction_ms)?;
        let socket_limit_ms = transaction_ms.saturating_add(SOCKET_TIMEOUT_MORE_MS);
        let socket_ms = within(SOCKET_TIMEOUT, SOCKET_TIMEOUT_DEFAULT_MS, socket_limit_ms)?;
        let transaction = Duration::from_millis(transaction_ms);
        let step = match message_ms {
            // Rows that wait for ever wait as long as their transaction.
            0 => transaction,
            ms => Duration::from_millis(ms),
        };
        Ok(TransactionLimits {
            transaction,
            step,
            transaction_ms,
            message_ms,
            socket_ms,
        })
    }

    /// Refuses a query whose transactions could be open for longer than the broker keeps one: each
    /// would hold the epochs of a whole interval, and end without effect. A transaction is open for
    /// the interval, and then for the epoch that runs and for the commit.
    pub(crate) fn check_interval(&self, owner: &str, interval: Option<Duration>) -> Result<()> {
        let least = |interval: &Duration| interval.saturating_mul(INTERVALS);
        let Some(interval) = interval.filter(|interval| least(interval) > self.transaction) else {
            return Ok(());
        };
        let (written, limit) = (format_duration(interval), format_duration(self.transaction));
        let (longest, shortest) = (
            format_duration(self.transaction / INTERVALS),
            least(&interval).as_millis(),
        );
        Err(Error::configuration(format!(
            "a 'checkpoint.interval' of {written} does not fit into the '{TRANSACTION_TIMEOUT}' of \
             {owner}, which is {limit}"
        ))
        .with_detail(
            "A transaction is open from the first epoch to the commit of them all, and the broker \
             ends one that is open for longer: twice the interval leaves time for an epoch and the \
             commit.",
        )
        .with_hint(format!(
            "Set 'checkpoint.interval' to {longest} or less, or 'properties.{TRANSACTION_TIMEOUT}' \
             to {shortest} or more, which the broker limits by transaction.max.timeout.ms."
        )))
    }

    /// The limits as librdkafka takes them.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        [
            (TRANSACTION_TIMEOUT, self.transaction_ms.to_string()),
            (MESSAGE_TIMEOUT, self.message_ms.to_string()),
            (SOCKET_TIMEOUT, self.socket_ms.to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(properties: &[(&str, &str)]) -> Result<TransactionLimits> {
        let properties = properties.iter().copied();
        let connection = KafkaConnection::new("b:1").with_properties("sink \"k\"", properties)?;
        TransactionLimits::of("sink \"k\"", &connection)
    }

    #[test]
    fn what_is_not_set_fits_to_what_is() {
        let check = |properties: &[(&str, &str)], expected: [u64; 3], step: u64| {
            let limits = limits(properties).unwrap();
            let found: [u64; 3] = limits.settings().map(|(_, value)| value.parse().unwrap());
            assert_eq!(found, expected, "{properties:?}");
            assert_eq!(limits.step, Duration::from_millis(step), "{properties:?}");
        };
        check(&[], [600_000, 60_000, 60_000], 60_000);
        let short = ("transaction.timeout.ms", "20000");
        check(&[short], [20_000, 20_000, 20_000], 20_000);
        check(
            &[short, ("message.timeout.ms", "0")],
            [20_000, 0, 20_000],
            20_000,
        );
        check(
            &[
                short,
                ("message.timeout.ms", "20000"),
                ("socket.timeout.ms", "20100"),
            ],
            [20_000, 20_000, 20_100],
            20_000,
        );
    }

    #[test]
    fn an_interval_has_to_fit_into_a_transaction() {
        let limits = limits(&[("transaction.timeout.ms", "20000")]).unwrap();
        let check = |interval: Option<u64>| {
            limits.check_interval("sink \"k\"", interval.map(Duration::from_secs))
        };
        check(None).unwrap();
        check(Some(10)).unwrap();
        for seconds in [11, 19, 20, 3600] {
            let report = check(Some(seconds)).unwrap_err().report("a", None);
            assert!(report.contains("sink \"k\""), "{report}");
            assert!(report.contains("'checkpoint.interval'"), "{report}");
            assert!(report.contains("'transaction.timeout.ms'"), "{report}");
            assert!(report.contains("which is 20 seconds"), "{report}");
            assert!(report.contains("to 10 seconds or less"), "{report}");
            let least = format!("to {} or more", seconds * 2000);
            assert!(report.contains(&least), "{report}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_names() {
        for (name, value) in [
            ("message.timeout.ms", "20001"),
            ("socket.timeout.ms", "20101"),
        ] {
            let error = limits(&[("transaction.timeout.ms", "20000"), (name, value)]).unwrap_err();
            assert_eq!(
                error.message(),
                format!("sink \"k\" has a longer '{name}' than 'transaction.timeout.ms'")
            );
        }
        let error = limits(&[("transaction.timeout.ms", "soon")]).unwrap_err();
        assert!(
            error.message().contains("transaction.timeout.ms"),
            "{error}"
        );
    }
}
