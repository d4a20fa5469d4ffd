//! What to do about clients that cannot be made, and about brokers that cannot be reached, by
//! librdkafka's words for the last attempt: most often a port speaks TLS and the client does not, or
//! the other way round.

use headwater_core::Error;
use rdkafka::error::KafkaError;

use crate::security::{PROTOCOL, Properties};

/// What librdkafka says of a port that answers a handshake of TLS with something else.
const NO_TLS_THERE: &str = "PLAINTEXT broker listener";
/// What it says of a connection that was ended, and of the time in which it was.
const DISCONNECTED: &str = "Disconnected";
const TIMED_OUT: &str = "imed out";
const IN_HANDSHAKE: &str = "in state SSL_HANDSHAKE";
/// What it says of a port that ends the connection at the first words without TLS.
const TLS_THERE: &str = "SSL listener";
/// What it says of a port that ends it soon after.
const LOGIN_THERE: &str = "might require SASL authentication";

/// What a person can do. `protocol` is `security.protocol`, and `reason` is what librdkafka has said
/// last, if anything.
pub(crate) fn of_unreachable(protocol: &str, reason: Option<&str>) -> String {
    let says = |words: &str| reason.is_some_and(|reason| reason.contains(words));
    let is_login = protocol.starts_with("SASL");
    let set = |with: &str, without: &str| {
        let protocol = if is_login { with } else { without };
        format!("set 'properties.{PROTOCOL}' = '{protocol}'")
    };
    if says(NO_TLS_THERE) || says(DISCONNECTED) && says(IN_HANDSHAKE) {
        return format!(
            "That port does not seem to speak TLS, which '{PROTOCOL}' = '{protocol}' asks for: name the \
             port that does, or {}.",
            set("SASL_PLAINTEXT", "PLAINTEXT")
        );
    }
    if says(TLS_THERE) {
        return format!(
            "That port seems to speak TLS, and '{PROTOCOL}' is '{protocol}': {}, or name the port \
             that speaks no TLS.",
            set("SASL_SSL", "SSL")
        );
    }
    if says(LOGIN_THERE) {
        return format!(
            "That port seems to want a login, and '{PROTOCOL}' is '{protocol}': set it to \
             'SASL_{protocol}', with 'properties.sasl.mechanism'."
        );
    }
    let is_silent = reason.is_none() || says(DISCONNECTED) || says(TIMED_OUT);
    if is_silent && !protocol.ends_with("SSL") {
        return format!(
            "Check that the broker runs and that 'bootstrap.servers' names it. If that port speaks \
             TLS, {}.",
            set("SASL_SSL", "SSL")
        );
    }
    "Check that the broker runs and that 'bootstrap.servers' names it.".to_string()
}

/// The protocol of a connection, in capitals.
pub(crate) fn protocol(properties: &Properties) -> String {
    let given = properties.get(PROTOCOL);
    given.map_or_else(
        || "PLAINTEXT".to_string(),
        |protocol| protocol.trim().to_ascii_uppercase(),
    )
}

/// An error for a property that librdkafka refuses; names the property, never its value.
pub(crate) fn config_error(owner: &str, error: &KafkaError) -> Error {
    match error {
        KafkaError::ClientConfig(_, _, name, _) => {
            Error::configuration(format!("{owner} cannot set the Kafka property \"{name}\""))
                .with_detail("librdkafka does not know the property, or refuses its value.")
                .with_hint(
                    "Write a property of librdkafka as 'properties.<name>' = '<value>'; those of \
                     the Java client, such as serializers, do not exist here.",
                )
        }
        KafkaError::ClientCreation(reason) => {
            Error::configuration(format!("{owner} cannot make a Kafka client: {reason}"))
        }
        other => Error::configuration(format!("{owner} cannot make a Kafka client: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_protocol_is_named() {
        let no_tls = "ssl://b:1/bootstrap: SSL handshake failed: SSL routines::wrong version \
                      number: connecting to a PLAINTEXT broker listener? (after 3ms)";
        let reset = "sasl_ssl://b:1/bootstrap: Disconnected: connection reset by peer (after 1ms in \
                     state SSL_HANDSHAKE)";
        let refused = "b:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused";
        let tls = "b:1/bootstrap: Disconnected: requesting ApiVersion: might be caused by incorrect \
                   security.protocol configuration (connecting to a SSL listener?) or broker version";
        let login = "b:1/bootstrap: Disconnected: verify that security.protocol is correctly \
                     configured, broker might require SASL authentication (after 302ms)";
        for (protocol, reason, expected) in [
            (
                "SSL",
                Some(no_tls),
                "That port does not seem to speak TLS, which 'security.protocol' = 'SSL' asks for: name the \
                 port that does, or set 'properties.security.protocol' = 'PLAINTEXT'.",
            ),
            (
                "SASL_SSL",
                Some(reset),
                "That port does not seem to speak TLS, which 'security.protocol' = 'SASL_SSL' asks for: \
                 name the port that does, or set 'properties.security.protocol' = 'SASL_PLAINTEXT'.",
            ),
            (
                "PLAINTEXT",
                Some(tls),
                "That port seems to speak TLS, and 'security.protocol' is 'PLAINTEXT': set \
                 'properties.security.protocol' = 'SSL', or name the port that speaks no TLS.",
            ),
            (
                "SASL_PLAINTEXT",
                Some(tls),
                "That port seems to speak TLS, and 'security.protocol' is 'SASL_PLAINTEXT': set \
                 'properties.security.protocol' = 'SASL_SSL', or name the port that speaks no TLS.",
            ),
            (
                "PLAINTEXT",
                Some(login),
                "That port seems to want a login, and 'security.protocol' is 'PLAINTEXT': set it to \
                 'SASL_PLAINTEXT', with 'properties.sasl.mechanism'.",
            ),
            (
                "PLAINTEXT",
                None,
                "Check that the broker runs and that 'bootstrap.servers' names it. If that port speaks \
                 TLS, set 'properties.security.protocol' = 'SSL'.",
            ),
            (
                "PLAINTEXT",
                Some(refused),
                "Check that the broker runs and that 'bootstrap.servers' names it.",
            ),
            (
                "SSL",
                None,
                "Check that the broker runs and that 'bootstrap.servers' names it.",
            ),
        ] {
            assert_eq!(of_unreachable(protocol, reason), expected);
        }
    }
}
