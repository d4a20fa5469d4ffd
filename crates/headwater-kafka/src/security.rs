//! How a client shows who it is and whom it trusts: the properties of TLS and SASL, in librdkafka's
//! spelling and in that of the Java client, which Spark's and Flink's users have in their files.
//!
//! ```text
//! properties as given ──▶ translate (jaas, keystores, truststores) ──▶ check what does not fit
//!                                                                   └──▶ oauth: who fetches tokens
//! ```
//! What librdkafka would take and then fail with in the middle of a run is refused when the source
//! or the sink is declared.

use std::collections::BTreeMap;
use std::fs::File;

use headwater_core::{Error, Result};

use crate::jaas::JaasConfig;
use crate::oauth::{OAUTH_ALIASES, OAUTH_PROPERTIES, OauthLogin};

/// What to do when the brokers will not have us.
pub(crate) const CHECK_LOGIN: &str = "Check 'properties.security.protocol' and the 'properties.sasl.*' and 'properties.ssl.*' \
     options.";

/// Properties of librdkafka by their names, as the user gave them and as librdkafka gets them.
pub(crate) type Properties = BTreeMap<String, String>;

pub(crate) const PROTOCOL: &str = "security.protocol";
const MECHANISM: &str = "sasl.mechanism";
/// The authorities that this machine trusts, wherever it keeps them.
const PROBE: &str = "probe";
const USERNAME: &str = "sasl.username";
const PASSWORD: &str = "sasl.password";
const MECHANISMS: &str = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
const SCRAM: [&str; 2] = ["SCRAM-SHA-256", "SCRAM-SHA-512"];
const TO_PEM: &str = "Export it as PEM: keytool -exportcert -rfc for certificates, or openssl \
                      pkcs12 -in store.p12 -out store.pem; then set 'properties.ssl.ca.location', \
                      'properties.ssl.certificate.location' and 'properties.ssl.key.location'.";

/// Makes the properties those of librdkafka, and takes out what fetches tokens.
///
/// # Errors
/// If they do not fit together, or ask for what is not built in. No value is shown.
pub(crate) fn arrange(owner: &str, properties: &mut Properties) -> Result<Option<OauthLogin>> {
    let refusal = Refusal { owner };
    one_name(properties, "sasl.mechanisms", MECHANISM);
    for (other, name) in OAUTH_ALIASES {
        one_name(properties, other, name);
    }
    translate_jaas(&refusal, properties)?;
    translate_truststore(&refusal, properties)?;
    translate_keystore(&refusal, properties)?;
    // Java writes "no check" as an empty text.
    if let Some(check) = properties.get_mut("ssl.endpoint.identification.algorithm")
        && check.trim().is_empty()
    {
        *check = "none".to_string();
    }
    let protocol = properties
        .get(PROTOCOL)
        .map(|p| p.trim().to_ascii_lowercase());
    let protocol = protocol.as_deref().unwrap_or("plaintext");
    check_protocol(&refusal, protocol)?;
    refuse_unused(&refusal, protocol, properties)?;
    refuse_half_a_certificate(&refusal, properties)?;
    warn_of_weakness(owner, protocol, properties);
    if protocol.ends_with("ssl") && !has_authorities(properties) {
        // OpenSSL is built in and does not know where this machine keeps them.
        properties.insert("ssl.ca.location".to_string(), PROBE.to_string());
    }
    match protocol.starts_with("sasl") {
        true => check_login(&refusal, properties),
        false => Ok(None),
    }
}

/// Says no, with the owner's name.
struct Refusal<'a> {
    owner: &'a str,
}

impl Refusal<'_> {
    fn wrong(&self, what: &str) -> Error {
        Error::configuration(format!("{} {what}", self.owner))
    }

    fn unsupported(&self, what: &str) -> Error {
        Error::unsupported(format!("{} {what}", self.owner))
    }
}

/// Refuses a protocol that there is not, and names the one that was meant.
fn check_protocol(refusal: &Refusal<'_>, protocol: &str) -> Result<()> {
    const PROTOCOLS: [&str; 4] = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"];
    if PROTOCOLS
        .iter()
        .any(|known| known.eq_ignore_ascii_case(protocol))
    {
        return Ok(());
    }
    let words: Vec<&str> = protocol.split(['_', '-', '+', ' ']).collect();
    let is_tls = words
        .iter()
        .any(|word| ["tls", "ssl", "mtls", "https"].contains(word));
    let hint = match (is_tls, words.contains(&"sasl")) {
        (true, true) => "Kafka's name for a login over TLS is SASL_SSL.".to_string(),
        (true, false) => "Kafka's name for TLS is SSL; with a login it is SASL_SSL.".to_string(),
        (false, true) => "With TLS it is SASL_SSL, without it SASL_PLAINTEXT.".to_string(),
        (false, false) => format!("It is one of {}.", PROTOCOLS.join(", ")),
    };
    Err(refusal
        .wrong(&format!(
            "names an unknown \"{PROTOCOL}\": {}",
            protocol.to_ascii_uppercase()
        ))
        .with_hint(hint))
}

/// Refuses files that cannot be read: librdkafka's words for them name no file.
///
/// # Errors
/// For the first of them.
pub(crate) fn check_files(owner: &str, properties: &Properties) -> Result<()> {
    const FILES: [&str; 5] = [
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.keystore.location",
        "ssl.crl.location",
    ];
    let given = FILES
        .iter()
        .filter_map(|name| Some((*name, properties.get(*name)?)));
    for (name, path) in given.filter(|(_, path)| *path != PROBE) {
        File::open(path).map_err(|error| {
            Error::configuration(format!(
                "{owner} cannot read \"{path}\", which \"{name}\" names: {error}"
            ))
            .with_hint(format!(
                "Set 'properties.{name}' to a file that is there; a path without a slash at its \
                 beginning is below the folder in which headwater was started."
            ))
        })?;
    }
    Ok(())
}

/// Moves a property to the name that is looked for.
fn one_name(properties: &mut Properties, other: &str, name: &str) {
    if let Some(value) = properties.remove(other) {
        properties.entry(name.to_string()).or_insert(value);
    }
}

/// The classes of Java's clients that fetch tokens; no other can be loaded.
fn translate_handlers(refusal: &Refusal<'_>, properties: &mut Properties) -> Result<()> {
    for handler in [
        "sasl.login.callback.handler.class",
        "sasl.client.callback.handler.class",
    ] {
        let Some(class) = properties.remove(handler) else {
            continue;
        };
        if !class.trim().ends_with("OAuthBearerLoginCallbackHandler") {
            let what = format!("sets the Kafka property \"{handler}\" to a class of Java");
            return Err(refusal.unsupported(&what).with_hint(format!(
                "Classes cannot be loaded here. Log in by {MECHANISMS}."
            )));
        }
        let method = properties.entry("sasl.oauthbearer.method".to_string());
        method.or_insert_with(|| "oidc".to_string());
    }
    Ok(())
}

/// Java's `sasl.jaas.config`, and the classes that belong to it.
fn translate_jaas(refusal: &Refusal<'_>, properties: &mut Properties) -> Result<()> {
    translate_handlers(refusal, properties)?;
    let Some(text) = properties.remove("sasl.jaas.config") else {
        return Ok(());
    };
    let config = JaasConfig::parse(&text).ok_or_else(|| unreadable_jaas(refusal))?;
    let (mechanisms, names): (&[&str], &[(&str, &str)]) = match config.module() {
        "PlainLoginModule" => (
            &["PLAIN"],
            &[("username", USERNAME), ("password", PASSWORD)],
        ),
        "ScramLoginModule" => (&SCRAM, &[("username", USERNAME), ("password", PASSWORD)]),
        "OAuthBearerLoginModule" => (
            &["OAUTHBEARER"],
            &[
                ("clientId", "sasl.oauthbearer.client.id"),
                ("clientSecret", "sasl.oauthbearer.client.secret"),
                ("scope", "sasl.oauthbearer.scope"),
            ],
        ),
        module => {
            let what = format!("names the login module \"{module}\" in \"sasl.jaas.config\"");
            return Err(refusal
                .unsupported(&what)
                .with_hint(format!("Log in by {MECHANISMS}.")));
        }
    };
    match (mechanisms, properties.get(MECHANISM)) {
        (_, Some(given)) => check_module(refusal, config.module(), mechanisms, given)?,
        ([only], None) => {
            properties.insert(MECHANISM.to_string(), (*only).to_string());
        }
        // Which of them, the property "sasl.mechanism" says.
        (_, None) => {}
    }
    for (option, value) in config.options() {
        match names.iter().find(|(name, _)| *name == option) {
            Some((_, property)) => {
                let entry = properties.entry((*property).to_string());
                entry.or_insert_with(|| value.clone());
            }
            None => {
                let what = format!("has the option \"{option}\" in \"sasl.jaas.config\"");
                let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
                return Err(refusal
                    .unsupported(&what)
                    .with_hint(format!("The options here are {}.", known.join(", "))));
            }
        }
    }
    Ok(())
}

fn unreadable_jaas(refusal: &Refusal<'_>) -> Error {
    refusal
        .wrong("has a property \"sasl.jaas.config\" that cannot be read")
        .with_hint(
            "Write <module> required username=\"…\" password=\"…\"; or set \
             'properties.sasl.username' and 'properties.sasl.password'.",
        )
}

/// Refuses a login module that is for other mechanisms than the one that is named.
fn check_module(
    refusal: &Refusal<'_>,
    module: &str,
    mechanisms: &[&str],
    given: &str,
) -> Result<()> {
    let given = given.trim();
    if mechanisms.iter().any(|of| of.eq_ignore_ascii_case(given)) {
        return Ok(());
    }
    Err(refusal
        .wrong(&format!(
            "logs in by {} with \"{module}\", which is for {}",
            given.to_ascii_uppercase(),
            mechanisms.join(" and ")
        ))
        .with_detail("\"sasl.mechanism\" says one and \"sasl.jaas.config\" the other.")
        .with_hint(format!(
            "Set 'properties.{MECHANISM}' = '{}', or name the module of {}.",
            mechanisms.first().unwrap_or(&""),
            given.to_ascii_uppercase()
        )))
}

/// Java's truststore, if it is PEM.
fn translate_truststore(refusal: &Refusal<'_>, properties: &mut Properties) -> Result<()> {
    let kind = properties.remove("ssl.truststore.type");
    properties.remove("ssl.truststore.password");
    if let Some(pem) = properties.remove("ssl.truststore.certificates") {
        properties.entry("ssl.ca.pem".to_string()).or_insert(pem);
    }
    let Some(location) = properties.remove("ssl.truststore.location") else {
        return Ok(());
    };
    if !is_pem(kind.as_deref(), &location) {
        return Err(refusal
            .unsupported("has a truststore that is not PEM in \"ssl.truststore.location\"")
            .with_hint(TO_PEM));
    }
    let entry = properties.entry("ssl.ca.location".to_string());
    entry.or_insert(location);
    Ok(())
}

/// Java's keystore: PEM and PKCS#12 can be read, its own form cannot.
fn translate_keystore(refusal: &Refusal<'_>, properties: &mut Properties) -> Result<()> {
    let kind = properties.remove("ssl.keystore.type");
    for (java, here) in [
        ("ssl.keystore.certificate.chain", "ssl.certificate.pem"),
        ("ssl.keystore.key", "ssl.key.pem"),
    ] {
        if let Some(pem) = properties.remove(java) {
            properties.entry(here.to_string()).or_insert(pem);
        }
    }
    let Some(location) = properties.get("ssl.keystore.location").cloned() else {
        return Ok(());
    };
    if is_pem(kind.as_deref(), &location) {
        properties.remove("ssl.keystore.location");
        for name in ["ssl.certificate.location", "ssl.key.location"] {
            let entry = properties.entry(name.to_string());
            entry.or_insert_with(|| location.clone());
        }
        return Ok(());
    }
    let kind = kind.map(|kind| kind.trim().to_ascii_uppercase());
    let is_java = match kind.as_deref() {
        Some(kind) => kind != "PKCS12",
        None => location.to_ascii_lowercase().ends_with(".jks"),
    };
    if is_java {
        return Err(refusal
            .unsupported("has a keystore of Java in \"ssl.keystore.location\"")
            .with_hint(TO_PEM));
    }
    Ok(())
}

fn is_pem(kind: Option<&str>, location: &str) -> bool {
    let ends = [".pem", ".crt", ".cer"];
    match kind {
        Some(kind) => kind.trim().eq_ignore_ascii_case("pem"),
        None => ends
            .iter()
            .any(|end| location.to_ascii_lowercase().ends_with(end)),
    }
}

fn has_authorities(properties: &Properties) -> bool {
    let names = ["ssl.ca.location", "ssl.ca.pem", "ssl.ca.certificate.stores"];
    names.iter().any(|name| properties.contains_key(*name))
}

/// Refuses a login or a certificate that would not be used: the connection would be open, or shown
/// to nobody, and the user would not know.
fn refuse_unused(refusal: &Refusal<'_>, protocol: &str, properties: &Properties) -> Result<()> {
    const OF_TLS: [&str; 8] = [
        "ssl.ca.location",
        "ssl.ca.pem",
        "ssl.certificate.location",
        "ssl.certificate.pem",
        "ssl.key.location",
        "ssl.key.pem",
        "ssl.key.password",
        "ssl.keystore.location",
    ];
    let of_login: Vec<&'static str> = [MECHANISM, USERNAME, PASSWORD]
        .into_iter()
        .chain(OAUTH_PROPERTIES)
        .collect();
    let given = |names: &[&'static str]| -> Option<&'static str> {
        let mut names = names.iter();
        names.find(|name| properties.contains_key(**name)).copied()
    };
    let unused = match protocol {
        "plaintext" => given(&of_login).or_else(|| given(&OF_TLS)),
        "sasl_plaintext" => given(&OF_TLS),
        "ssl" => given(&of_login),
        _ => None,
    };
    let Some(name) = unused else { return Ok(()) };
    let needed = match (name.starts_with("ssl"), protocol) {
        (true, "plaintext") => "ssl",
        _ => "sasl_ssl",
    };
    let what = format!(
        "sets \"{name}\", which is not used: \"{PROTOCOL}\" is {}",
        protocol.to_ascii_uppercase()
    );
    Err(refusal
        .wrong(&what)
        .with_hint(format!("Add 'properties.{PROTOCOL}' = '{needed}'.")))
}

/// Refuses a certificate without its key, which librdkafka would not show.
fn refuse_half_a_certificate(refusal: &Refusal<'_>, properties: &Properties) -> Result<()> {
    let has = |names: [&str; 2]| names.iter().any(|name| properties.contains_key(*name));
    let certificate = has(["ssl.certificate.location", "ssl.certificate.pem"]);
    let key = has(["ssl.key.location", "ssl.key.pem"]);
    match (certificate, key) {
        (true, false) | (false, true) => Err(refusal
            .wrong("has one of a certificate and its key, and a client shows both")
            .with_hint(
                "Set 'properties.ssl.certificate.location' and 'properties.ssl.key.location'.",
            )),
        _ => Ok(()),
    }
}

/// Says in the log what is dangerous and allowed.
fn warn_of_weakness(owner: &str, protocol: &str, properties: &Properties) {
    let is = |name: &str, value: &str| {
        let found = properties.get(name);
        found.is_some_and(|found| found.trim().eq_ignore_ascii_case(value))
    };
    if protocol == "sasl_plaintext" && !SCRAM.iter().any(|scram| is(MECHANISM, scram)) {
        tracing::warn!(owner, "the login is sent to the brokers unencrypted");
    }
    if protocol.ends_with("ssl") && is("enable.ssl.certificate.verification", "false") {
        tracing::warn!(owner, "the certificates of the brokers are not checked");
    }
    if protocol.ends_with("ssl") && is("ssl.endpoint.identification.algorithm", "none") {
        tracing::warn!(
            owner,
            "the host names of the brokers are not compared with certificates"
        );
    }
}

fn check_login(refusal: &Refusal<'_>, properties: &mut Properties) -> Result<Option<OauthLogin>> {
    let Some(mechanism) = properties
        .get(MECHANISM)
        .map(|m| m.trim().to_ascii_uppercase())
    else {
        return Err(refusal
            .wrong(&format!("logs in without \"{MECHANISM}\""))
            .with_hint(format!("Set 'properties.{MECHANISM}' to {MECHANISMS}.")));
    };
    properties.insert(MECHANISM.to_string(), mechanism.clone());
    match mechanism.as_str() {
        "OAUTHBEARER" => return OauthLogin::take(refusal.owner, properties),
        "PLAIN" => {}
        scram if SCRAM.contains(&scram) => {}
        "GSSAPI" => {
            return Err(refusal
                .unsupported("logs in by Kerberos (GSSAPI), which is not built in")
                .with_hint(format!("Log in by {MECHANISMS}.")));
        }
        other => {
            return Err(refusal
                .wrong(&format!("names an unknown \"{MECHANISM}\": {other}"))
                .with_hint(format!("It is {MECHANISMS}.")));
        }
    }
    for name in [USERNAME, PASSWORD] {
        if !properties.contains_key(name) {
            return Err(refusal
                .wrong(&format!("logs in by {mechanism} without \"{name}\""))
                .with_hint(format!(
                    "Set 'properties.{name}'; '${{env:NAME}}' reads it from the environment."
                )));
        }
    }
    if let Some(name) = OAUTH_PROPERTIES
        .iter()
        .find(|name| properties.contains_key(**name))
    {
        return Err(refusal
            .wrong(&format!("sets \"{name}\", but logs in by {mechanism}"))
            .with_hint(format!(
                "Set 'properties.{MECHANISM}' = 'OAUTHBEARER', or leave it out."
            )));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arranged(pairs: &[(&str, &str)]) -> Result<Properties> {
        let pairs = pairs.iter();
        let mut properties: Properties = pairs
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect();
        arrange("source \"s\"", &mut properties)?;
        Ok(properties)
    }

    fn refused(pairs: &[(&str, &str)]) -> (String, String) {
        let error = arranged(pairs).unwrap_err();
        let hint = error.hint().unwrap_or_default().to_string();
        (error.message().to_string(), hint)
    }

    fn value<'a>(properties: &'a Properties, name: &str) -> &'a str {
        properties.get(name).map_or("", String::as_str)
    }

    #[test]
    fn the_java_clients_login_is_read() {
        let jaas = "org.apache.kafka.common.security.scram.ScramLoginModule required \
                    username=\"me\" password=\"pw\";";
        let properties = arranged(&[
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "scram-sha-512"),
            ("sasl.jaas.config", jaas),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", "/ca"),
            ("ssl.endpoint.identification.algorithm", ""),
        ])
        .unwrap();
        assert_eq!(value(&properties, "sasl.username"), "me");
        assert_eq!(value(&properties, "sasl.password"), "pw");
        assert_eq!(value(&properties, "sasl.mechanism"), "SCRAM-SHA-512");
        assert_eq!(value(&properties, "ssl.ca.location"), "/ca");
        assert_eq!(
            value(&properties, "ssl.endpoint.identification.algorithm"),
            "none"
        );
        let left = [
            "sasl.jaas.config",
            "ssl.truststore.type",
            "ssl.truststore.location",
        ];
        assert!(left.iter().all(|name| !properties.contains_key(*name)));
    }

    #[test]
    fn a_keystore_of_pem_is_certificate_and_key() {
        let properties = arranged(&[
            ("security.protocol", "ssl"),
            ("ssl.keystore.location", "/me.pem"),
        ])
        .unwrap();
        assert_eq!(value(&properties, "ssl.certificate.location"), "/me.pem");
        assert_eq!(value(&properties, "ssl.key.location"), "/me.pem");
        assert_eq!(value(&properties, "ssl.ca.location"), "probe");
        let other = arranged(&[
            ("security.protocol", "ssl"),
            ("ssl.keystore.type", "pkcs12"),
            ("ssl.keystore.location", "/me.p12"),
        ]);
        assert_eq!(value(&other.unwrap(), "ssl.keystore.location"), "/me.p12");
    }

    #[test]
    fn a_login_that_would_not_be_used_is_refused() {
        assert_eq!(
            refused(&[("sasl.username", "me")]),
            (
                "source \"s\" sets \"sasl.username\", which is not used: \"security.protocol\" is \
                 PLAINTEXT"
                    .to_string(),
                "Add 'properties.security.protocol' = 'sasl_ssl'.".to_string()
            )
        );
        assert_eq!(
            refused(&[("ssl.ca.location", "/ca")]).1,
            "Add 'properties.security.protocol' = 'ssl'."
        );
    }

    #[test]
    fn a_protocol_that_there_is_not_is_refused_with_the_one_that_was_meant() {
        for (given, hint) in [
            (
                "TLS",
                "Kafka's name for TLS is SSL; with a login it is SASL_SSL.",
            ),
            (
                "mtls",
                "Kafka's name for TLS is SSL; with a login it is SASL_SSL.",
            ),
            ("SASL_TLS", "Kafka's name for a login over TLS is SASL_SSL."),
            ("sasl-ssl", "Kafka's name for a login over TLS is SASL_SSL."),
            (
                "SASL",
                "With TLS it is SASL_SSL, without it SASL_PLAINTEXT.",
            ),
            (
                "plain",
                "It is one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL.",
            ),
        ] {
            let (message, told) = refused(&[("security.protocol", given)]);
            assert_eq!(
                message,
                format!(
                    "source \"s\" names an unknown \"security.protocol\": {}",
                    given.to_ascii_uppercase()
                )
            );
            assert_eq!(told, hint);
        }
    }

    #[test]
    fn a_login_module_of_another_mechanism_is_refused() {
        let plain = "a.PlainLoginModule required username=\"me\" password=\"hunter2\";";
        let scram = "a.ScramLoginModule required username=\"me\" password=\"hunter2\";";
        for (mechanism, jaas, message, hint) in [
            (
                "SCRAM-SHA-512",
                plain,
                "source \"s\" logs in by SCRAM-SHA-512 with \"PlainLoginModule\", which is for PLAIN",
                "Set 'properties.sasl.mechanism' = 'PLAIN', or name the module of SCRAM-SHA-512.",
            ),
            (
                "plain",
                scram,
                "source \"s\" logs in by PLAIN with \"ScramLoginModule\", which is for \
                 SCRAM-SHA-256 and SCRAM-SHA-512",
                "Set 'properties.sasl.mechanism' = 'SCRAM-SHA-256', or name the module of PLAIN.",
            ),
        ] {
            let told = refused(&[
                ("security.protocol", "SASL_SSL"),
                ("sasl.mechanism", mechanism),
                ("sasl.jaas.config", jaas),
            ]);
            assert_eq!(told, (message.to_string(), hint.to_string()));
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let properties = arranged(&[
            ("security.protocol", "ssl"),
            ("ssl.ca.location", "/no/such/ca.pem"),
        ]);
        let error = check_files("source \"s\"", &properties.unwrap()).unwrap_err();
        assert_eq!(
            error.message(),
            "source \"s\" cannot read \"/no/such/ca.pem\", which \"ssl.ca.location\" names: No \
             such file or directory (os error 2)"
        );
        assert!(error.hint().unwrap().contains("a file that is there"));
        let machine = arranged(&[("security.protocol", "ssl")]).unwrap();
        check_files("source \"s\"", &machine).unwrap();
    }

    #[test]
    fn half_a_login_is_refused() {
        let plain = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "PLAIN"),
        ];
        let (message, hint) = refused(&plain);
        assert_eq!(
            message,
            "source \"s\" logs in by PLAIN without \"sasl.username\""
        );
        assert_eq!(
            hint,
            "Set 'properties.sasl.username'; '${env:NAME}' reads it from the environment."
        );
        let (message, hint) = refused(&[("security.protocol", "sasl_ssl")]);
        assert_eq!(message, "source \"s\" logs in without \"sasl.mechanism\"");
        assert_eq!(
            hint,
            "Set 'properties.sasl.mechanism' to PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER."
        );
    }

    #[test]
    fn what_is_not_built_in_is_refused() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (
                &[
                    ("security.protocol", "sasl_ssl"),
                    ("sasl.mechanism", "GSSAPI"),
                ],
                "source \"s\" logs in by Kerberos (GSSAPI), which is not built in",
            ),
            (
                &[("ssl.truststore.location", "/trust.jks")],
                "source \"s\" has a truststore that is not PEM in \"ssl.truststore.location\"",
            ),
            (
                &[("ssl.keystore.location", "/me.jks")],
                "source \"s\" has a keystore of Java in \"ssl.keystore.location\"",
            ),
            (
                &[("sasl.jaas.config", "a.Krb5LoginModule required x=y;")],
                "source \"s\" names the login module \"Krb5LoginModule\" in \"sasl.jaas.config\"",
            ),
            (
                &[(
                    "sasl.client.callback.handler.class",
                    "a.IAMClientCallbackHandler",
                )],
                "source \"s\" sets the Kafka property \"sasl.client.callback.handler.class\" to a \
                 class of Java",
            ),
        ];
        for (pairs, expected) in cases {
            let (message, hint) = refused(pairs);
            assert_eq!(message, expected);
            assert!(!hint.is_empty(), "{message}");
        }
    }

    #[test]
    fn tokens_need_one_source() {
        let sasl = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "OAUTHBEARER"),
        ];
        let (message, _) = refused(&sasl);
        assert_eq!(
            message,
            "source \"s\" logs in by OAUTHBEARER and needs one source of tokens"
        );
        let url = ("sasl.oauthbearer.token.endpoint.url", "http://there/token");
        let (message, _) = refused(&[sasl[0], sasl[1], url]);
        assert_eq!(
            message,
            "source \"s\" asks for tokens without \"sasl.oauthbearer.client.id\" and \
             \"sasl.oauthbearer.client.secret\""
        );
        let other = ("sasl.oauthbearer.config", "x");
        let (message, _) = refused(&[sasl[0], sasl[1], other]);
        assert_eq!(
            message,
            "source \"s\" sets \"sasl.oauthbearer.config\", which is not there"
        );
    }
}
