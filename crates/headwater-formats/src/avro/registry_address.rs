//! Where a schema registry is and who asks. Nothing here shows a password.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headwater_core::option_doc::{OptionDefault, OptionDoc, OptionValues};
use headwater_core::options::OptionReader;
use headwater_core::secret::Secret;
use headwater_core::{Error, Result};

use crate::http::{HttpTls, checked_url};

/// The option that names a registry.
const URL: &str = "schema.registry";
const REGISTRY: OptionDoc = OptionDoc::new(
    URL,
    OptionValues::Described("a URL: `http://host:port`, `https://host:port`"),
    OptionDefault::Nothing,
    "the schema registry; records then begin with the id of their schema",
)
.with_flink(&["url", "schema-registry.url"]);
const USER: OptionDoc = OptionDoc::new(
    "schema.registry.user",
    OptionValues::Described("a text"),
    OptionDefault::Described("nobody"),
    "who asks the registry",
);
const PASSWORD: OptionDoc = OptionDoc::new(
    "schema.registry.password",
    OptionValues::Described("a text"),
    OptionDefault::Nothing,
    "the password of the user",
);
const USER_INFO: OptionDoc = OptionDoc::new(
    "basic-auth.user-info",
    OptionValues::Described("`user:password`"),
    OptionDefault::Nothing,
    "both in one",
)
.with_flink(&["basic-auth.user-info"]);
const CREDENTIALS_SOURCE: OptionDoc = OptionDoc::new(
    "basic-auth.credentials-source",
    OptionValues::Words(&["USER_INFO"]),
    OptionDefault::Nothing,
    "where user and password are; there is no other place",
)
.with_flink(&["basic-auth.credentials-source"]);
const TOKEN: OptionDoc = OptionDoc::new(
    "schema.registry.token",
    OptionValues::Described("a text"),
    OptionDefault::Nothing,
    "a token that says who asks, in the place of user and password",
)
.with_flink(&["bearer-auth.token"]);
/// How the options of TLS begin.
const TLS_PREFIX: &str = "schema.registry.ssl.";
const AUTHORITIES: OptionDoc = OptionDoc::new(
    "schema.registry.ssl.ca.location",
    OptionValues::Described("a path of a PEM file"),
    OptionDefault::Described("those of the machine"),
    "the authorities to trust",
);
const CERTIFICATE: OptionDoc = OptionDoc::new(
    "schema.registry.ssl.certificate.location",
    OptionValues::Described("a path of a PEM file"),
    OptionDefault::Nothing,
    "certificates that show who asks; together with the key",
);
const KEY: OptionDoc = OptionDoc::new(
    "schema.registry.ssl.key.location",
    OptionValues::Described("a path of a PEM file"),
    OptionDefault::Nothing,
    "the key of the certificate, in PKCS#8 and without a password",
);

/// A schema registry.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RegistryAddress {
    /// Without a slash at its end and without a user.
    url: String,
    /// The header of every request, if one logs in.
    authorization: Option<Secret>,
    tls: HttpTls,
}

impl fmt::Debug for RegistryAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAddress")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl RegistryAddress {
    /// What it takes.
    pub(crate) const DOCS: [&'static OptionDoc; 9] = [
        &REGISTRY,
        &USER,
        &PASSWORD,
        &USER_INFO,
        &CREDENTIALS_SOURCE,
        &TOKEN,
        &AUTHORITIES,
        &CERTIFICATE,
        &KEY,
    ];

    /// Takes the options of a registry, if one is named.
    ///
    /// # Errors
    /// If it is no URL of a server, half a login is given, or a file of TLS cannot be read.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Option<Self>> {
        let url = reader.take(URL, &REGISTRY.aliases())?;
        let user = reader.take(USER.name, &[])?;
        let password = reader.take(PASSWORD.name, &[])?;
        reader.take_choice(CREDENTIALS_SOURCE.name, &[], &[("USER_INFO", ())])?;
        let both = reader.take(USER_INFO.name, &[])?;
        let bearer = reader.take(TOKEN.name, &TOKEN.aliases())?;
        let tls = HttpTls::take(reader, TLS_PREFIX)?;
        let owner = reader.owner();
        let bearer = bearer.map(|token| Secret::new(format!("Bearer {token}")));
        let basic = |login: String| Secret::new(format!("Basic {}", BASE64_STANDARD.encode(login)));
        let login = match (user, password, both, bearer) {
            (None, None, None, bearer) => bearer,
            (Some(user), Some(password), None, None) => Some(basic(format!("{user}:{password}"))),
            (None, None, Some(both), None) => Some(basic(both)),
            _ => {
                return Err(Error::configuration(format!(
                    "{owner} has half a login for its schema registry, or two"
                ))
                .with_hint(
                    "Give \"schema.registry.user\" and \"schema.registry.password\", or \
                     \"schema.registry.token\".",
                ));
            }
        };
        match (url, login) {
            (Some(url), authorization) => Ok(Some(RegistryAddress {
                url: checked_url(&format!("option \"{URL}\" of {owner}"), &url)?,
                authorization,
                tls,
            })),
            (None, None) => Ok(None),
            (None, Some(_)) => Err(Error::configuration(format!(
                "{owner} has a login for a schema registry, but no \"{URL}\""
            ))),
        }
    }

    /// The URL, for messages.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The header `Authorization`, if one logs in.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(Secret::expose)
    }

    /// Whom to trust, and how to show who asks.
    pub(crate) fn tls(&self) -> &HttpTls {
        &self.tls
    }
}
