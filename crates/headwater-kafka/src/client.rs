//! How librdkafka's clients are made: the user's properties, the settings that headwater owns,
//! and one context that turns librdkafka's logs and events into a few tracing lines.
//!
//! Every client of the crate is made here, so that no secret of the properties is ever printed
//! and no client differs from another by accident.

use std::error::Error as StdError;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use headwater_core::clock::{Clock, SystemClock};
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::{OptionReader, Options, fold};
use headwater_core::{Error, Result, secret};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaConfRes;

use crate::advice;
use crate::advice::config_error;
use crate::oauth::OauthLogin;
use crate::security::{self, Properties};
use crate::servers::refuse_schemes;

/// Where a Kafka cluster is and how to talk to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaConnection {
    servers: String,
    properties: Properties,
    /// Who fetches tokens, if the brokers want them.
    oauth: Option<OauthLogin>,
}

/// Names the servers and the properties; the values may hold passwords.
impl fmt::Debug for KafkaConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.properties.keys().collect();
        f.debug_struct("KafkaConnection")
            .field("servers", &self.servers)
            .field("properties", &names)
            .finish()
    }
}

/// The version of librdkafka that is built in.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}

const SERVERS: OptionDoc = OptionDoc::new(
    "bootstrap.servers",
    OptionValues::Described("`host:port`, several between commas"),
    OptionDefault::Required,
    "the brokers that are asked first",
)
.with_spark(&["kafka.bootstrap.servers"])
.with_flink(&["properties.bootstrap.servers"])
.with_also(&["properties.bootstrap.server", "kafka.bootstrap.server"]);
const PROPERTY: OptionDoc = OptionDoc::new(
    "properties.<name>",
    OptionValues::Described("of the property"),
    OptionDefault::Described("see below"),
    "a property of librdkafka; TLS and logins: [security](../security.md)",
)
.with_spark(&["kafka.<name>"])
.with_flink(&["properties.<name>"]);
/// How names of properties begin among the options.
const PREFIXES: [&str; 2] = ["properties.", "kafka."];

const MAX_MESSAGE_BYTES: &str = "message.max.bytes";
/// What librdkafka takes for it when nobody says.
const MAX_MESSAGE_BYTES_DEFAULT: usize = 1_000_000;

/// How librdkafka says that there is no token, and that it is no broker who refused one.
const NO_TOKEN: &str = "Failed to acquire SASL OAUTHBEARER token";

const WHERE_OFFSETS_LIVE: &str = "offsets are kept in the query's checkpoint";
const WHERE_MEMORY_LIVES: &str = "the option \"prefetch.bytes\" bounds memory";
const NO_WRONG_ROWS: &str = "anything else could give wrong rows";
const ONE_WAY_TO_SERVERS: &str = "the option \"bootstrap.servers\" names the brokers";

/// librdkafka settings of a reader that headwater sets itself, and why.
pub(crate) const OWNED_BY_SOURCE: &[(&str, &str)] = &[
    ("bootstrap.servers", ONE_WAY_TO_SERVERS),
    ("metadata.broker.list", ONE_WAY_TO_SERVERS),
    ("enable.auto.commit", WHERE_OFFSETS_LIVE),
    ("enable.auto.offset.store", WHERE_OFFSETS_LIVE),
    (
        "auto.offset.reset",
        "the option \"start\" says where to begin, and a lost position is never skipped in silence",
    ),
    ("check.crcs", NO_WRONG_ROWS),
    ("isolation.level", NO_WRONG_ROWS),
    ("enable.partition.eof", "the end of a slice is found by it"),
    (
        "allow.auto.create.topics",
        "reading must not create a topic",
    ),
    ("queued.max.messages.kbytes", WHERE_MEMORY_LIVES),
    ("queued.min.messages", WHERE_MEMORY_LIVES),
    ("fetch.queue.backoff.ms", WHERE_MEMORY_LIVES),
];

/// librdkafka settings of a writer that headwater sets itself, and why.
pub(crate) const OWNED_BY_SINK: &[(&str, &str)] = &[
    ("bootstrap.servers", ONE_WAY_TO_SERVERS),
    ("metadata.broker.list", ONE_WAY_TO_SERVERS),
    (
        "enable.idempotence",
        "a retried request must not double rows",
    ),
    ("acks", "an epoch is done when its rows are safe"),
    (
        "request.required.acks",
        "an epoch is done when its rows are safe",
    ),
    (
        "transactional.id",
        "it names the query, and the option \"transactional.id.prefix\" says how it begins",
    ),
    (
        "group.id",
        "the group that notes the last epoch has the name of the transactional id",
    ),
    (
        "allow.auto.create.topics",
        "writing must not create a topic",
    ),
];

/// A property of librdkafka that a user may change, what it is if not, and what it does.
pub(crate) type DefaultProperty = (&'static str, &'static str, &'static str);

/// Defaults of every client.
pub(crate) const DEFAULTS: [DefaultProperty; 3] = [
    (
        "client.id",
        "headwater",
        "the name in the logs of the brokers",
    ),
    (
        "socket.keepalive.enable",
        "true",
        "a connection that has silently gone is noticed",
    ),
    (
        "topic.metadata.refresh.interval.ms",
        "30000",
        "milliseconds between two questions which broker leads a partition",
    ),
];

impl KafkaConnection {
    /// The options of a connection.
    pub(crate) const DOCS: [&'static OptionDoc; 2] = [&SERVERS, &PROPERTY];

    /// A connection with librdkafka's defaults; `servers` is `host:port[,host:port]`.
    pub fn new(servers: impl Into<String>) -> Self {
        KafkaConnection {
            servers: servers.into(),
            properties: Properties::new(),
            oauth: None,
        }
    }

    /// Sets properties, such as `security.protocol`, in librdkafka's spelling or the Java client's.
    /// Their values may hold references, see [`headwater_core::secret`]. `owner` is who asks, for
    /// messages.
    ///
    /// # Errors
    /// If a property is unknown, or they do not fit together.
    pub fn with_properties<'a>(
        mut self,
        owner: &str,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        for (name, written) in properties {
            let whose = format!("property \"{name}\" of {owner}");
            let value = secret::resolve(&whose, written)?;
            self.properties.insert(property_name(name), value);
        }
        self.oauth = security::arrange(owner, &mut self.properties)?;
        // A name that librdkafka does not know is found here, and not in the middle of a run.
        let checked = self.config().create_native_config();
        checked.map_err(|error| config_error(owner, &error))?;
        Ok(self)
    }

    /// The servers as given.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// The protocol to talk by, in capitals.
    pub(crate) fn protocol(&self) -> String {
        advice::protocol(&self.properties)
    }

    /// The bytes that a message may have at most before it is sent.
    pub(crate) fn max_message_bytes(&self) -> usize {
        let given = self.property(MAX_MESSAGE_BYTES).map(str::trim);
        given
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or(MAX_MESSAGE_BYTES_DEFAULT)
    }

    /// A property the user has set.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// Reads the connection of a source.
    pub(crate) fn of_source(options: &mut OptionReader) -> Result<Self> {
        Self::from_options(options, OWNED_BY_SOURCE)
    }

    /// Reads the connection of a sink.
    pub(crate) fn of_sink(options: &mut OptionReader) -> Result<Self> {
        Self::from_options(options, OWNED_BY_SINK)
    }

    fn from_options(options: &mut OptionReader, owned: &[(&str, &str)]) -> Result<Self> {
        let servers = options.require(SERVERS.name, &SERVERS.aliases(), "localhost:9092")?;
        if servers.trim().is_empty() {
            return Err(options.bad_value(SERVERS.name, &servers, "host:port[,host:port]"));
        }
        refuse_schemes(options, SERVERS.name, &servers)?;
        let mut properties: Vec<(String, String)> = Vec::new();
        for prefix in PREFIXES {
            let given: Options = options.take_prefixed(prefix);
            for (key, value) in given.iter() {
                let name = property_name(key);
                let option = format!("{prefix}{key}");
                refuse_owned(options.owner(), &option, &name, owned)?;
                properties.push((name, value.to_string()));
            }
        }
        let properties = properties.iter();
        let properties = properties.map(|(name, value)| (name.as_str(), value.as_str()));
        KafkaConnection::new(servers.trim()).with_properties(options.owner(), properties)
    }

    /// Makes a consumer. One that logs in by tokens asks for them when it is polled, which may take
    /// as long as a call over the network: who uses it polls it before, off the async threads.
    pub(crate) fn consumer(
        &self,
        owner: &str,
        config: &ClientConfig,
    ) -> Result<BaseConsumer<ClientEvents>> {
        self.check_files(owner)?;
        config
            .create_with_context(self.events(owner))
            .map_err(|error| config_error(owner, &error))
    }

    /// Refuses files of certificates and keys that cannot be read.
    pub(crate) fn check_files(&self, owner: &str) -> Result<()> {
        security::check_files(owner, &self.properties)
    }

    /// What a client of this connection reports to.
    pub(crate) fn events(&self, owner: &str) -> ClientEvents {
        ClientEvents {
            owner: owner.to_string(),
            oauth: self.oauth.clone(),
            ..ClientEvents::default()
        }
    }

    /// The settings all clients share.
    pub(crate) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.servers)
            .set("allow.auto.create.topics", "false")
            .set_log_level(RDKafkaLogLevel::Info);
        for (name, value, _) in DEFAULTS {
            config.set(name, value);
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
    }

    /// The settings of a consumer that reads records or asks for offsets.
    pub(crate) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.config();
        config
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("isolation.level", "read_committed")
            .set("enable.partition.eof", "true");
        config
    }
}

/// Refuses options that nobody will read, before one that is missing hides them; of those that are
/// properties without their prefix it says so.
///
/// # Errors
/// For the first of them.
pub(crate) fn refuse_unknown(
    options: &OptionReader,
    docs: &[&OptionDoc],
    owned: &[(&str, &str)],
) -> Result<()> {
    let names: Vec<&str> = docs.iter().flat_map(|doc| doc.names()).collect();
    let is_option = |key: &str| {
        PREFIXES.iter().any(|prefix| key.starts_with(prefix))
            || names.iter().any(|name| fold(name) == key)
    };
    for (key, _) in options.left().filter(|(key, _)| !is_option(key)) {
        let (name, owner) = (property_name(key), options.owner());
        if is_property(&name) {
            refuse_owned(owner, key, &name, owned)?;
            return Err(
                Error::configuration(format!("{owner} has no option \"{key}\"")).with_hint(
                    format!("It is a property of Kafka's clients: write 'properties.{name}'."),
                ),
            );
        }
    }
    options.refuse_others(&names)
}

/// Refuses a property that headwater sets.
fn refuse_owned(owner: &str, option: &str, name: &str, owned: &[(&str, &str)]) -> Result<()> {
    let Some((_, why)) = owned.iter().find(|(owned, _)| *owned == name) else {
        return Ok(());
    };
    Err(Error::configuration(format!(
        "option \"{option}\" of {owner} is set by headwater"
    ))
    .with_detail(format!("It cannot be changed: {why}."))
    .with_hint("Leave it out."))
}

/// Whether a name is that of a property, of librdkafka's or of a login's in the Java client.
fn is_property(name: &str) -> bool {
    let is_of_login = ["sasl.", "ssl.", "security."]
        .iter()
        .any(|start| name.starts_with(start));
    let mut config = ClientConfig::new();
    config.set(name, "");
    let unknown = RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
    let is_known = || match config.create_native_config() {
        Err(KafkaError::ClientConfig(why, ..)) => why != unknown,
        _ => true,
    };
    is_of_login || is_known()
}

/// librdkafka's own spelling of a property: lower case with dots.
fn property_name(key: &str) -> String {
    let name = key.trim().to_ascii_lowercase().replace(['_', '-'], ".");
    match name.as_str() {
        // Two names of one property: only one may be set.
        "delivery.timeout.ms" => "message.timeout.ms".to_string(),
        _ => name,
    }
}

/// Receives what librdkafka reports outside of messages.
///
/// librdkafka reports every failed attempt to connect; a person needs to hear of it once when the
/// brokers are gone and once when they are back.
#[derive(Debug, Default)]
pub(crate) struct ClientEvents {
    owner: String,
    oauth: Option<OauthLogin>,
    /// When the newest token ends, in milliseconds since 1970.
    token_ends_ms: AtomicI64,
    is_down: AtomicBool,
    has_answered: AtomicBool,
    last_error: Mutex<Option<String>>,
    refused: Mutex<Option<String>>,
}

impl ClientEvents {
    /// The newest trouble in librdkafka's words.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last_error.lock().clone()
    }

    /// Why the brokers will not have us, if they said so since data last came.
    pub(crate) fn refused(&self) -> Option<String> {
        self.refused.lock().clone()
    }

    /// A token, if clients need one. Its provider may be asked over the network.
    pub(crate) fn new_token(&self) -> Result<Option<OAuthToken>> {
        let Some(login) = &self.oauth else {
            return Ok(None);
        };
        let token = login.token()?;
        self.token_ends_ms
            .store(token.lifetime_ms, Ordering::Relaxed);
        *self.refused.lock() = None;
        Ok(Some(token))
    }

    /// Whether there is a token that has not come to its end.
    fn has_token(&self) -> bool {
        self.token_ends_ms.load(Ordering::Relaxed) > SystemClock::new().now().as_millis()
    }

    /// Tells that the brokers have answered: what they refused before is over.
    pub(crate) fn mark_answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
        *self.refused.lock() = None;
    }

    /// Whether the brokers have neither answered yet nor failed: the client is still on its way to
    /// them.
    pub(crate) fn is_underway(&self) -> bool {
        let has_answered = self.has_answered.load(Ordering::Relaxed);
        !has_answered && self.refused().is_none() && self.last_error().is_none()
    }

    /// Tells that data came: the brokers are there.
    pub(crate) fn mark_alive(&self) {
        if self.is_down.swap(false, Ordering::Relaxed) {
            *self.refused.lock() = None;
            tracing::info!(owner = %self.owner, "kafka brokers reached again");
        }
    }

    fn mark_down(&self, code: RDKafkaErrorCode, reason: &str) {
        if !self.is_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(owner = %self.owner, %code, reason, "kafka brokers not reachable");
        }
    }
}

impl ClientContext for ClientEvents {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn StdError>> {
        match self.new_token() {
            Ok(Some(token)) => Ok(token),
            Ok(None) => Err("there is no login by tokens".into()),
            // One line without a NUL: librdkafka puts it into a message of its own.
            Err(error) => Err(error.report("", None).replace(['\n', '\0'], " ").into()),
        }
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(owner = %self.owner, ?level, facility, message, "librdkafka");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = match &error {
            KafkaError::Global(code) => *code,
            other => other
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown),
        };
        tracing::debug!(owner = %self.owner, %code, reason, "librdkafka error");
        // "All brokers down" says less than the attempt before it.
        if code != RDKafkaErrorCode::AllBrokersDown {
            *self.last_error.lock() = Some(reason.to_string());
        }
        match code {
            // The brokers know the last one still; librdkafka asks for another in a few seconds.
            RDKafkaErrorCode::Authentication
                if reason.starts_with(NO_TOKEN) && self.has_token() =>
            {
                tracing::warn!(owner = %self.owner, reason, "no new token yet");
            }
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::SSL => {
                *self.refused.lock() = Some(reason.to_string());
                self.mark_down(code, reason);
            }
            RDKafkaErrorCode::AllBrokersDown => self.mark_down(code, reason),
            _ => {}
        }
    }
}

impl ConsumerContext for ClientEvents {}

#[cfg(test)]
mod tests {
    use super::*;
    use headwater_core::ErrorKind;

    fn reader(pairs: &[(&str, &str)]) -> OptionReader {
        OptionReader::new("source \"s\"", &pairs.iter().copied().collect())
    }

    #[test]
    fn every_spelling_of_the_servers_is_read() {
        for name in SERVERS.names().iter().chain(&["bootstrap_servers"]) {
            let mut options = reader(&[(name, "b:1")]);
            let connection = KafkaConnection::of_source(&mut options).unwrap();
            assert_eq!(connection.servers(), "b:1", "{name}");
            options.finish().unwrap();
        }
    }

    #[test]
    fn properties_pass_through_under_both_prefixes() {
        let mut options = reader(&[
            ("bootstrap.servers", "b:1"),
            ("properties.fetch.wait.max.ms", "7"),
            ("kafka.client_id", "me"),
        ]);
        let connection = KafkaConnection::of_source(&mut options).unwrap();
        let config = connection.consumer_config();
        assert_eq!(config.get("fetch.wait.max.ms"), Some("7"));
        assert_eq!(config.get("client.id"), Some("me"));
        options.finish().unwrap();
    }

    #[test]
    fn settings_of_our_own_are_refused_with_the_reason() {
        let mut options = reader(&[
            ("bootstrap.servers", "b:1"),
            ("properties.auto.offset.reset", "latest"),
        ]);
        let error = KafkaConnection::of_source(&mut options).unwrap_err();
        assert_eq!(
            error.message(),
            "option \"properties.auto.offset.reset\" of source \"s\" is set by headwater"
        );
        assert!(error.detail().unwrap().contains("\"start\""));
    }

    #[test]
    fn no_value_of_a_property_is_printed() {
        let secret = "hunter2";
        let properties = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.username", "me"),
            ("sasl.password", secret),
        ];
        let connection = KafkaConnection::new("b:1");
        let connection = connection.with_properties("it", properties).unwrap();
        assert!(!format!("{connection:?}").contains(secret));
        let mut options = reader(&[
            ("bootstrap.servers", "b:1"),
            ("properties.sasl.pasword", secret),
        ]);
        let error = KafkaConnection::of_source(&mut options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.message().contains("sasl.pasword"), "{error}");
        assert!(!error.report("a", None).contains(secret));
    }
}
