//! Where a schema registry is and who asks. Nothing here shows a password.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headwater_core::options::OptionReader;
use headwater_core::secret::Secret;
use headwater_core::{Error, Result};

use crate::http::{HttpTls, checked_url};

/// The option that names a registry.
const URL: &str = "schema.registry";

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
    /// Takes the options of a registry, if one is named.
    ///
    /// # Errors
    /// If it is no URL of a server, half a login is given, or a file of TLS cannot be read.
    pub(crate) fn take(reader: &mut OptionReader) -> Result<Option<Self>> {
        let url = reader.take(URL, &["schema.registry.url", "url"])?;
        let user = reader.take("schema.registry.user", &[])?;
        let password = reader.take("schema.registry.password", &[])?;
        let source = "basic-auth.credentials-source";
        reader.take_choice(source, &[], &[("USER_INFO", ())])?;
        let both = reader.take("basic-auth.user-info", &[])?;
        let bearer = reader.take("schema.registry.token", &["bearer-auth.token"])?;
        let tls = HttpTls::take(reader, "schema.registry.ssl.")?;
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
