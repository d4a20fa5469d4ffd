//! A server that gives made-up answers to HTTP requests, with TLS if wanted: a token service, or
//! the way to another server behind TLS.

use std::net::Ipv4Addr;
use std::sync::Arc;

use headwater_core::{Error, Result};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::certificates::Issued;
use crate::kafka_proxy::ServerTls;

/// A request longer than this is nonsense.
const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A status and a body of JSON.
    Json(u16, String),
    /// Whatever the server at this `host:port` answers.
    Of(String),
}

/// A running server; it ends when this is dropped.
pub struct HttpServer {
    port: u16,
    has_tls: bool,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: Mutex<Vec<String>>,
    tls: Option<ServerTls>,
}

impl HttpServer {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// If no port can be opened, or OpenSSL refuses the certificate.
    pub fn start(answer: Answer, tls: Option<&Issued>) -> Result<HttpServer> {
        let failed = |error| Error::resource("could not start a server").with_source(error);
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("http-server")
            .enable_all()
            .build()
            .map_err(failed)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let listener = {
            // A listener of tokio belongs to the runtime that it is made in.
            let _inside = runtime.handle().enter();
            TcpListener::from_std(listener).map_err(failed)?
        };
        let shared = Arc::new(Shared {
            answer: Mutex::new(answer),
            requests: Mutex::new(Vec::new()),
            tls: tls.map(|tls| ServerTls::new(tls, None)).transpose()?,
        });
        runtime.spawn(accept(Arc::clone(&shared), listener));
        Ok(HttpServer {
            port,
            has_tls: tls.is_some(),
            shared,
            runtime: Some(runtime),
        })
    }

    /// Where it is.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls { "https" } else { "http" };
        format!("{scheme}://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Changes what is answered from now on.
    pub fn set_answer(&self, answer: Answer) {
        *self.shared.answer.lock() = answer;
    }

    /// The requests that came, heads and bodies.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().clone()
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its threads is not allowed inside another runtime.
            runtime.shutdown_background();
        }
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    // The tasks end with the runtime.
    let handle = Handle::current();
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        handle.spawn(async move {
            // A client that goes away is no matter of ours.
            let _ = match &shared.tls {
                None => serve(&shared, client).await,
                Some(tls) => match tls.accept(client).await {
                    Ok(client) => serve(&shared, client).await,
                    Err(error) => Err(error),
                },
            };
        });
    }
}

async fn serve(
    shared: &Shared,
    mut client: impl AsyncRead + AsyncWrite + Unpin,
) -> std::io::Result<()> {
    let answer = shared.answer.lock().clone();
    let (status, body) = match answer {
        Answer::Of(server) => {
            let mut upstream = TcpStream::connect(server).await?;
            copy_bidirectional(&mut client, &mut upstream).await?;
            return Ok(());
        }
        Answer::Json(status, body) => (status, body),
    };
    let request = read_request(&mut client).await?;
    shared.requests.lock().push(request);
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} It\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    client.write_all(head.as_bytes()).await?;
    client.write_all(body.as_bytes()).await?;
    client.shutdown().await
}

/// A head, and as much of a body as it announces.
async fn read_request(client: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.lines().map(str::to_ascii_lowercase);
            let length = lines
                .filter_map(|line| Some(line.strip_prefix("content-length:")?.trim().to_string()))
                .find_map(|length| length.parse::<usize>().ok());
            if body.len() >= length.unwrap_or(0) {
                return Ok(text);
            }
        }
        if request.len() > REQUEST_BYTES_MAX || client.read_buf(&mut request).await? == 0 {
            return Ok(text);
        }
    }
}
