//! How schema registries and token services are asked: HTTP, with TLS on the OpenSSL that is built
//! in, and an end to every call.

use std::error::Error as StdError;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use headwater_core::options::OptionReader;
use headwater_core::secret::Secret;
use headwater_core::{Error, Result};
use ureq::Agent;
use ureq::tls::{
    Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem,
};

/// From the first byte asked to the last one answered.
const TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const FORM_ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Whom a client trusts, and how it shows who it is. The default trusts the authorities that this
/// machine trusts, and shows nothing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HttpTls {
    /// PEM, one or several certificates.
    authorities: Option<Vec<u8>>,
    /// PEM of the certificates and of the key.
    client: Option<(Vec<u8>, Vec<u8>)>,
}

impl fmt::Debug for HttpTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTls")
            .field("has_authorities", &self.authorities.is_some())
            .field("has_client", &self.client.is_some())
            .finish()
    }
}

impl HttpTls {
    /// Takes `{prefix}ca.location`, `{prefix}certificate.location` and `{prefix}key.location`,
    /// which name PEM files, and reads these.
    ///
    /// # Errors
    /// If a file cannot be read or holds something else, or one of certificate and key is missing.
    pub fn take(reader: &mut OptionReader, prefix: &str) -> Result<Self> {
        let mut file = |name: &str| -> Result<Option<(String, Vec<u8>)>> {
            let option = format!("{prefix}{name}");
            let Some(path) = reader.take(&option, &[])? else {
                return Ok(None);
            };
            let whose = format!("option \"{option}\" of {}", reader.owner());
            let bytes = read(&whose, Path::new(&path))?;
            Ok(Some((whose, bytes)))
        };
        let authorities = file("ca.location")?;
        let certificate = file("certificate.location")?;
        let key = file("key.location")?;
        let authorities = match authorities {
            None => None,
            Some((whose, bytes)) => Some(Self::authorities(&whose, bytes)?),
        };
        let client = match (certificate, key) {
            (None, None) => None,
            (Some((whose, chain)), Some((whose_key, key))) => {
                if certificates(&chain).is_empty() {
                    return Err(not_pem(&whose, "a certificate"));
                }
                if PrivateKey::from_pem(&key).is_err() {
                    return Err(not_pem(&whose_key, "a private key without a password"));
                }
                Some((chain, key))
            }
            _ => {
                return Err(Error::configuration(format!(
                    "{} has one of \"{prefix}certificate.location\" and \"{prefix}key.location\", \
                     and a client shows both",
                    reader.owner()
                )));
            }
        };
        Ok(HttpTls {
            authorities,
            client,
        })
    }

    /// Trusts the authorities of a PEM text alone; `whose` names the option it comes from.
    ///
    /// # Errors
    /// If it holds no certificate.
    pub fn with_authorities(whose: &str, pem: Vec<u8>) -> Result<Self> {
        Ok(HttpTls {
            authorities: Some(Self::authorities(whose, pem)?),
            client: None,
        })
    }

    fn authorities(whose: &str, pem: Vec<u8>) -> Result<Vec<u8>> {
        match certificates(&pem).is_empty() {
            true => Err(not_pem(whose, "a certificate")),
            false => Ok(pem),
        }
    }

    fn config(&self) -> TlsConfig {
        let roots = match &self.authorities {
            Some(pem) => RootCerts::new_with_certs(&certificates(pem)),
            None => RootCerts::PlatformVerifier,
        };
        let client = self.client.as_ref().and_then(|(chain, key)| {
            let key = PrivateKey::from_pem(key).ok()?;
            Some(ClientCert::new_with_certs(&certificates(chain), key))
        });
        TlsConfig::builder()
            .provider(TlsProvider::NativeTls)
            .root_certs(roots)
            .client_cert(client)
            .build()
    }
}

/// A URL of a server, without a slash at its end. `whose` names the option it comes from.
///
/// # Errors
/// If it is none, or holds a user or a query: these may be secrets, so that it is not shown then.
pub fn checked_url(whose: &str, url: &str) -> Result<String> {
    let url = url.trim().trim_end_matches('/');
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_http = scheme.eq_ignore_ascii_case("http");
    if host.contains('@') || rest.contains(['?', '#']) {
        return Err(Error::configuration(format!(
            "{whose} is a URL with a user, a query or a fragment"
        ))
        .with_hint("Give who asks by options of their own, which are in no message."));
    }
    if !(is_http || scheme.eq_ignore_ascii_case("https")) || host.is_empty() || rest.contains(' ') {
        return Err(Error::configuration(format!(
            "{whose} is \"{url}\", not a URL such as 'https://server:8081'"
        )));
    }
    let is_near = ["localhost", "127.", "[::1]"]
        .iter()
        .any(|near| host.starts_with(near));
    if is_http && !is_near {
        tracing::warn!(
            url,
            "{whose} has no TLS: what is asked can be read on the way"
        );
    }
    Ok(url.to_string())
}

/// The file that an option names.
///
/// # Errors
/// If it cannot be read.
pub fn read(whose: &str, path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|error| {
        let shown = path.display();
        Error::configuration(format!("{whose} names \"{shown}\", which cannot be read"))
            .with_source(error)
    })
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let items = parse_pem(pem).map_while(std::result::Result::ok);
    let certificates = items.filter_map(|item| match item {
        PemItem::Certificate(certificate) => Some(certificate),
        _ => None,
    });
    certificates.collect()
}

fn not_pem(whose: &str, what: &str) -> Error {
    Error::configuration(format!("{whose} names a file that does not hold {what}"))
        .with_hint("Name a PEM file, which begins with a line such as -----BEGIN CERTIFICATE-----.")
}

/// A client; statuses are answers and no errors.
pub(crate) fn agent(tls: &HttpTls) -> Agent {
    let config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .http_status_as_error(false)
        .user_agent("headwater")
        // Options say where to ask; the environment is not asked.
        .proxy(None)
        .tls_config(tls.config())
        .build();
    Agent::new_with_config(config)
}

/// Asks a service that takes forms and answers with JSON.
#[derive(Debug, Clone)]
pub struct FormClient(Agent);

impl FormClient {
    /// A client; nothing is sent yet.
    pub fn new(tls: &HttpTls) -> Self {
        FormClient(agent(tls))
    }

    /// Sends a form; blocks. Gives the status and the answer's body.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn post(
        &self,
        url: &str,
        authorization: &Secret,
        form: String,
    ) -> std::result::Result<(u16, String), Box<dyn StdError + Send + Sync>> {
        let mut answer = self
            .0
            .post(url)
            .header("authorization", authorization.expose())
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .send(form)?;
        let status = answer.status().as_u16();
        let body = answer.body_mut().with_config().limit(FORM_ANSWER_BYTES_MAX);
        Ok((status, body.read_to_string()?))
    }
}
