//! OAUTHBEARER: tokens that a client fetches from an identity provider, or reads from a file, and
//! shows to the brokers.
//!
//! | property | meaning |
//! |---|---|
//! | `sasl.oauthbearer.token.endpoint.url` | where tokens are asked for, by the grant of client credentials |
//! | `sasl.oauthbearer.client.id`, `sasl.oauthbearer.client.secret` | who asks |
//! | `sasl.oauthbearer.scope` | what for, if the provider wants to know |
//! | `https.ca.location` | PEM file of the authorities that the provider's certificate comes from |
//! | `sasl.oauthbearer.token.file` | a file with a token that others keep fresh |
//! | `sasl.oauthbearer.token` | a token |
//!
//! Source: RFC 6749 §4.4 and §2.3.1, RFC 7628. librdkafka asks for a token when it starts and again
//! when most of its life is over; its own HTTP client is not built in, so that asking is here.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::excerpt::excerpt;
use headwater_core::secret::Secret;
use headwater_core::{Error, Result};
use headwater_formats::http::{self, FormClient, HttpTls};
use rdkafka::client::OAuthToken;
use serde_json::Value as Json;

use crate::security::Properties;

const METHOD: &str = "sasl.oauthbearer.method";
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const CLIENT_ID: &str = "sasl.oauthbearer.client.id";
const CLIENT_SECRET: &str = "sasl.oauthbearer.client.secret";
const SCOPE: &str = "sasl.oauthbearer.scope";
const TOKEN: &str = "sasl.oauthbearer.token";
const TOKEN_FILE: &str = "sasl.oauthbearer.token.file";
const AUTHORITIES: &str = "https.ca.location";

/// Every property that is read here.
pub(crate) const OAUTH_PROPERTIES: [&str; 8] = [
    METHOD,
    URL,
    CLIENT_ID,
    CLIENT_SECRET,
    SCOPE,
    TOKEN,
    TOKEN_FILE,
    AUTHORITIES,
];

/// Other names that librdkafka has for some of them.
pub(crate) const OAUTH_ALIASES: [(&str, &str); 2] = [
    ("sasl.oauthbearer.client.credentials.client.id", CLIENT_ID),
    (
        "sasl.oauthbearer.client.credentials.client.secret",
        CLIENT_SECRET,
    ),
];

/// The life of a token that does not say how long it lives: it is asked for again before long.
const UNKNOWN_LIFE_MS: i64 = 300_000;
/// The life of a token that is given once and for all.
const FIXED_LIFE_MS: i64 = 10 * 365 * 86_400_000;

/// Who shows tokens to the brokers.
#[derive(Clone, Debug)]
pub(crate) struct OauthLogin {
    source: TokenSource,
}

impl PartialEq for OauthLogin {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for OauthLogin {}

#[derive(Clone, PartialEq, Eq, Debug)]
enum TokenSource {
    Fixed(Secret),
    File(PathBuf),
    Endpoint(Endpoint),
}

/// A provider of tokens, and who asks it.
#[derive(Clone)]
struct Endpoint {
    url: String,
    client_id: String,
    client_secret: Secret,
    scope: Option<String>,
    tls: HttpTls,
    client: FormClient,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        let key = |e: &Self| (e.url.clone(), e.client_id.clone(), e.scope.clone());
        key(self) == key(other)
            && self.client_secret == other.client_secret
            && self.tls == other.tls
    }
}

impl Eq for Endpoint {}

impl OauthLogin {
    /// Takes the properties of OAUTHBEARER out of those that librdkafka gets.
    ///
    /// # Errors
    /// If something is missing, or asks for what is not there.
    pub(crate) fn take(owner: &str, properties: &mut Properties) -> Result<Option<Self>> {
        let mut take = |name: &str| properties.remove(name);
        let method = take(METHOD).map(|method| method.trim().to_ascii_lowercase());
        if let Some(other) = method.filter(|method| !["oidc", "default"].contains(&&**method)) {
            return Err(Error::configuration(format!(
                "{owner} sets \"{METHOD}\" to {other}, not oidc"
            )));
        }
        for name in ["sasl.oauthbearer.extensions", "sasl.oauthbearer.config"] {
            if take(name).is_some() {
                return Err(Error::unsupported(format!(
                    "{owner} sets \"{name}\", which is not there"
                ))
                .with_hint(format!("Give \"{URL}\", \"{TOKEN_FILE}\" or \"{TOKEN}\".")));
            }
        }
        let (url, token, file) = (take(URL), take(TOKEN), take(TOKEN_FILE));
        let (client_id, client_secret) = (take(CLIENT_ID), take(CLIENT_SECRET));
        let (scope, authorities) = (take(SCOPE), take(AUTHORITIES));
        let source = match (url, token, file) {
            (None, Some(token), None) => TokenSource::Fixed(Secret::new(token.trim())),
            (None, None, Some(file)) => TokenSource::File(PathBuf::from(file)),
            (Some(url), None, None) => {
                let (Some(client_id), Some(client_secret)) = (client_id, client_secret) else {
                    return Err(Error::configuration(format!(
                        "{owner} asks for tokens without \"{CLIENT_ID}\" and \"{CLIENT_SECRET}\""
                    )));
                };
                let tls = match authorities {
                    None => HttpTls::default(),
                    Some(path) => {
                        let whose = format!("property \"{AUTHORITIES}\" of {owner}");
                        let pem = http::read(&whose, Path::new(&path))?;
                        HttpTls::with_authorities(&whose, pem)?
                    }
                };
                TokenSource::Endpoint(Endpoint {
                    url: http::checked_url(&format!("property \"{URL}\" of {owner}"), &url)?,
                    client_id,
                    client_secret: Secret::new(client_secret),
                    scope,
                    client: FormClient::new(&tls),
                    tls,
                })
            }
            _ => {
                return Err(Error::configuration(format!(
                    "{owner} logs in by OAUTHBEARER and needs one source of tokens"
                ))
                .with_hint(format!(
                    "Give one of \"{URL}\", \"{TOKEN_FILE}\" and \"{TOKEN}\"."
                )));
            }
        };
        Ok(Some(OauthLogin { source }))
    }

    /// A token to show from now on. Blocks while it is fetched.
    ///
    /// # Errors
    /// Why there is none, without a secret.
    pub(crate) fn token(&self) -> Result<OAuthToken> {
        let now_ms = SystemClock::new().now().as_millis();
        let (token, life_ms) = match &self.source {
            TokenSource::Fixed(token) => (token.clone(), FIXED_LIFE_MS),
            TokenSource::File(path) => {
                let bytes = http::read(&format!("property \"{TOKEN_FILE}\""), path)?;
                let text = String::from_utf8(bytes).map_err(|_| {
                    Error::configuration(format!("the file of \"{TOKEN_FILE}\" is not UTF-8"))
                })?;
                (Secret::new(text.trim()), UNKNOWN_LIFE_MS)
            }
            TokenSource::Endpoint(endpoint) => endpoint.fetch()?,
        };
        let claims = claims(token.expose());
        let claim = |name: &str| claims.as_ref().and_then(|claims| claims.get(name));
        let ends_ms = claim("exp")
            .and_then(Json::as_i64)
            .map(|s| s.saturating_mul(1_000));
        let principal = claim("sub").and_then(Json::as_str).unwrap_or("headwater");
        Ok(OAuthToken {
            principal_name: principal.to_string(),
            lifetime_ms: ends_ms.unwrap_or_else(|| now_ms.saturating_add(life_ms)),
            token: token.expose().to_string(),
        })
    }
}

impl Endpoint {
    /// A token, and how many milliseconds it lives.
    fn fetch(&self) -> Result<(Secret, i64)> {
        let mut form = "grant_type=client_credentials".to_string();
        if let Some(scope) = &self.scope {
            form.push_str("&scope=");
            form.push_str(&form_encoded(scope));
        }
        let id = form_encoded(&self.client_id);
        let secret = form_encoded(self.client_secret.expose());
        let login = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        let login = Secret::new(format!("Basic {login}"));
        let (status, body) = self.client.post(&self.url, &login, form).map_err(|error| {
            Error::source_failed(format!("could not fetch a token from \"{}\"", self.url))
                .with_source(error)
        })?;
        let json: Json = serde_json::from_str(&body).unwrap_or_default();
        let Some(token) = json.get("access_token").and_then(Json::as_str) else {
            let error = Error::source_failed(format!(
                "\"{}\" gave no token and status {status}",
                self.url
            ));
            // These two say what was wrong with the question, and repeat none of it.
            let why = ["error_description", "error"]
                .iter()
                .find_map(|name| json.get(*name)?.as_str());
            return Err(match why {
                Some(why) => error.with_detail(excerpt(why.as_bytes())),
                None => error,
            });
        };
        let life_s = json.get("expires_in").and_then(Json::as_i64);
        let life_ms = life_s.map_or(UNKNOWN_LIFE_MS, |s| s.saturating_mul(1_000));
        Ok((Secret::new(token), life_ms))
    }
}

/// What a token says about itself, if it is a JSON Web Token. Who it is shown to checks it.
fn claims(token: &str) -> Option<Json> {
    let payload = token.split('.').nth(1)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// A value of a form.
fn form_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                out.push(char::from(byte));
            }
            b' ' => out.push('+'),
            other => {
                out.push('%');
                out.push_str(&format!("{other:02X}"));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded() {
        assert_eq!(form_encoded("a b+c/é"), "a+b%2Bc%2F%C3%A9");
    }

    #[test]
    fn a_token_says_who_and_until_when() {
        let payload = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"job","exp":4102444800}"#);
        let mut properties = Properties::new();
        properties.insert(TOKEN.to_string(), format!("e30.{payload}.x"));
        let login = OauthLogin::take("source \"s\"", &mut properties)
            .unwrap()
            .unwrap();
        assert!(properties.is_empty());
        let token = login.token().unwrap();
        assert_eq!(token.principal_name, "job");
        assert_eq!(token.lifetime_ms, 4_102_444_800_000);
        assert!(!format!("{login:?}").contains(&payload));
    }

    #[test]
    fn a_token_that_says_nothing_is_shown_all_the_same() {
        let mut properties = Properties::new();
        properties.insert(TOKEN.to_string(), "opaque".to_string());
        let login = OauthLogin::take("source \"s\"", &mut properties)
            .unwrap()
            .unwrap();
        let token = login.token().unwrap();
        assert_eq!(
            (token.token.as_str(), token.principal_name.as_str()),
            ("opaque", "headwater")
        );
        assert!(token.lifetime_ms > 4_000_000_000);
    }
}
