//! How brokers are named.

use headwater_core::Result;
use headwater_core::options::OptionReader;

/// What librdkafka takes before a broker and `://`.
const SCHEMES: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];

/// Refuses brokers with a scheme that librdkafka does not know: `kafka://host:9092`.
///
/// # Errors
/// If one has; `name` is the option.
pub(crate) fn refuse_schemes(options: &OptionReader, name: &str, servers: &str) -> Result<()> {
    let scheme_of = |server: &str| Some(server.split_once("://")?.0.trim().to_ascii_uppercase());
    let mut schemes = servers.split(',').filter_map(scheme_of);
    if schemes.all(|scheme| SCHEMES.contains(&scheme.as_str())) {
        return Ok(());
    }
    let error = options.bad_value(name, servers, "host:port[,host:port]");
    Err(error.with_hint(
        "Leave the scheme out: 'host:9092'. How to connect is said by \
         'properties.security.protocol'.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::KafkaConnection;

    #[test]
    fn servers_have_no_scheme_but_those_of_protocols() {
        let read = |servers: &str| {
            let given = [("kafka.bootstrap.servers", servers)];
            let mut options = OptionReader::new("source \"s\"", &given.into_iter().collect());
            KafkaConnection::of_source(&mut options).map(|connection| connection.servers().len())
        };
        let taken = [
            "b:1",
            "PLAINTEXT://b:1, ssl://c:2",
            "SASL_PLAINTEXT://b:1,SASL_SSL://b:2,b",
        ];
        for servers in taken {
            assert_eq!(read(servers).unwrap(), servers.len());
        }
        for servers in ["kafka://b:1", "b:1,http://c:2"] {
            let error = read(servers).unwrap_err();
            let expected = format!(
                "option \"kafka.bootstrap.servers\" of source \"s\" is \"{servers}\", not \
                 host:port[,host:port]"
            );
            assert_eq!(error.message(), expected);
            assert!(error.hint().unwrap().starts_with("Leave the scheme out"));
        }
    }
}
