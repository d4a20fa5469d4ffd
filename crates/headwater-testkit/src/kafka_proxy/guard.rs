//! What a client has to show before it gets to the broker: TLS, its certificate, a login.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use headwater_core::{Error, Result};
use openssl::error::ErrorStack;
use openssl::ssl::{Ssl, SslAcceptor, SslMethod, SslVerifyMode};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::certificates::{Authority, Issued};

/// The way in; the default is open to all.
#[derive(Clone, Default)]
pub struct Guard {
    tls: Option<ServerTls>,
    login: Option<Arc<Login>>,
}

/// Who may log in, by any mechanism of SASL that is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512.
    Password {
        /// Who.
        user: String,
        /// Only with this.
        password: String,
    },
    /// OAUTHBEARER, with this token.
    Token(String),
}

impl Guard {
    /// Connections are encrypted, and the server shows this certificate.
    ///
    /// # Errors
    /// If OpenSSL refuses it.
    pub fn with_tls(mut self, server: &Issued) -> Result<Self> {
        self.tls = Some(ServerTls::new(server, None)?);
        Ok(self)
    }

    /// As [`Guard::with_tls`], and clients show a certificate of this authority.
    ///
    /// # Errors
    /// If OpenSSL refuses it.
    pub fn with_mutual_tls(mut self, server: &Issued, clients: &Authority) -> Result<Self> {
        self.tls = Some(ServerTls::new(server, Some(clients))?);
        Ok(self)
    }

    /// Clients log in.
    pub fn with_login(mut self, login: Login) -> Self {
        self.login = Some(Arc::new(login));
        self
    }

    pub(super) fn tls(&self) -> Option<&ServerTls> {
        self.tls.as_ref()
    }

    pub(super) fn login(&self) -> Option<&Login> {
        self.login.as_deref()
    }
}

/// The server's side of TLS.
#[derive(Clone)]
pub(crate) struct ServerTls(SslAcceptor);

impl ServerTls {
    /// Shows a certificate, and wants one of `clients` if there is one.
    pub(crate) fn new(server: &Issued, clients: Option<&Authority>) -> Result<Self> {
        let acceptor = acceptor(server, clients)
            .map_err(|error| Error::internal("OpenSSL makes no server").with_source(error))?;
        Ok(ServerTls(acceptor))
    }

    /// Shakes hands.
    pub(crate) async fn accept(&self, client: TcpStream) -> io::Result<SslStream<TcpStream>> {
        let ssl = Ssl::new(self.0.context())?;
        let mut stream = SslStream::new(ssl, client)?;
        let shaken = Pin::new(&mut stream).accept().await;
        shaken.map_err(io::Error::other)?;
        Ok(stream)
    }
}

fn acceptor(
    server: &Issued,
    clients: Option<&Authority>,
) -> std::result::Result<SslAcceptor, ErrorStack> {
    let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
    builder.set_certificate(&server.certificate)?;
    builder.set_private_key(&server.key)?;
    builder.check_private_key()?;
    if let Some(clients) = clients {
        let store = builder.cert_store_mut();
        store.add_cert(clients.certificate.clone())?;
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    }
    Ok(builder.build())
}
