//! A proxy in front of a Kafka broker that knows the protocol's frames, and fails on demand.
//!
//! ```text
//! client ──▶ door ──▶ requests ──▶ broker          kafka_proxy/connection.rs
//!              │  ◀── answers  ◀──
//!              │          │
//!              │       rules: lose, withhold, tear, flip     kafka_proxy/rules.rs
//!              │       addresses: brokers' addresses are replaced by ours   …/addresses.rs
//!              └─ open, refusing or silent; a link is slow or narrow
//! ```
//! A mock broker can answer with an error; only something between can lose an answer of a request
//! that was carried out, cut a frame in two, or change a bit of it. Every broker of the cluster
//! gets a port of the proxy as soon as an answer names it, so clients never leave the proxy.
//!
//! Everything that was done to a client is counted, so that a test can show that its fault took
//! place: a fault that never happened proves nothing.
//!
//! Time: the machine's. Randomness: the jitter, from a fixed seed.
//!
//! A guard before it wants TLS, a client's certificate or a login; the broker has none of these.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use headwater_core::clock::{Clock, SystemClock};
use headwater_core::{Error, Result};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio_openssl::SslStream;

mod addresses;
mod connection;
mod frame;
mod guard;
mod rules;
mod sasl;

#[cfg(test)]
mod tests;

pub(crate) use guard::ServerTls;
pub use guard::{Guard, Login};
pub use rules::{Counts, Fault, Link, RequestKind};

use addresses::Place;
use rules::Rules;

/// A running proxy; it ends, with all its connections, when this is dropped.
pub struct KafkaProxy {
    shared: Arc<Shared>,
    port: u16,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for KafkaProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProxy")
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// What a client finds when it comes to the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// It gets to the broker.
    Open,
    /// Its connection is reset.
    Refusing,
    /// It is connected, and nothing passes in either direction.
    Silent,
}

/// What all connections know.
struct Shared {
    rules: Mutex<Rules>,
    door: watch::Sender<Door>,
    /// Counts up; a connection ends when it does.
    cuts: watch::Sender<u64>,
    /// The proxy's port of every broker that was named.
    ports: Mutex<BTreeMap<Place, u16>>,
    guard: Mutex<Guard>,
    handle: Handle,
    clock: SystemClock,
}

impl KafkaProxy {
    /// A proxy in front of the broker at `host:port`; of a list with commas, the first.
    ///
    /// # Errors
    /// If the address cannot be read, or no port can be opened.
    pub fn start(broker: &str) -> Result<KafkaProxy> {
        Self::guarded(broker, Guard::default())
    }

    /// As [`KafkaProxy::start`], with TLS or a login before the broker.
    ///
    /// # Errors
    /// As there.
    pub fn guarded(broker: &str, guard: Guard) -> Result<KafkaProxy> {
        let first = broker.split(',').next().unwrap_or(broker);
        let place = Place::parse(first).ok_or_else(|| {
            Error::configuration(format!("\"{broker}\" is not the address of a broker"))
        })?;
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("kafka-proxy")
            .enable_all()
            .build()
            .map_err(|error| Error::resource("could not start a proxy").with_source(error))?;
        let shared = Arc::new(Shared {
            rules: Mutex::new(Rules::new()),
            door: watch::Sender::new(Door::Open),
            cuts: watch::Sender::new(0),
            ports: Mutex::new(BTreeMap::new()),
            guard: Mutex::new(guard),
            handle: runtime.handle().clone(),
            clock: SystemClock::new(),
        });
        let port = shared
            .port_of(place)
            .map_err(|error| Error::resource("could not open a port").with_source(error))?;
        Ok(KafkaProxy {
            shared,
            port,
            runtime: Some(runtime),
        })
    }

    /// The address for `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> String {
        format!("{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// Changes what new connections have to show.
    pub fn set_guard(&self, guard: Guard) {
        *self.shared.guard.lock() = guard;
    }

    /// Lets a fault happen to the next `times` requests of a kind that it fits.
    pub fn arrange(&self, request: RequestKind, fault: Fault, times: u32) {
        self.shared.rules.lock().arrange(request, fault, times);
    }

    /// How many arranged faults have not happened yet.
    pub fn outstanding(&self) -> u32 {
        self.shared.rules.lock().outstanding()
    }

    /// Makes answers late and the way narrow; [`Link::default`] is neither.
    pub fn set_link(&self, link: Link) {
        self.shared.rules.lock().link = link;
    }

    /// Ends all connections with a reset, once.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Ends all connections and refuses new ones until [`KafkaProxy::recover`].
    pub fn go_down(&self) {
        self.shared.door.send_replace(Door::Refusing);
        self.cut();
    }

    /// Passes nothing on, and takes new connections without a word, until
    /// [`KafkaProxy::recover`]; then goes on where it was.
    pub fn hang(&self) {
        self.shared.door.send_replace(Door::Silent);
    }

    /// Lets everything pass again.
    pub fn recover(&self) {
        self.shared.door.send_replace(Door::Open);
    }

    /// Goes down for a time. Returns at once.
    pub fn outage(&self, length: Duration) {
        self.go_down();
        self.recover_after(length);
    }

    /// Hangs for a time. Returns at once.
    pub fn silence(&self, length: Duration) {
        self.hang();
        self.recover_after(length);
    }

    fn recover_after(&self, length: Duration) {
        let shared = Arc::clone(&self.shared);
        // The task ends with the runtime.
        self.shared.handle.spawn(async move {
            shared.clock.sleep(length).await;
            shared.door.send_replace(Door::Open);
        });
    }

    /// What has been done to clients so far.
    pub fn counts(&self) -> Counts {
        self.shared.rules.lock().counts
    }

    /// How many requests of a kind came so far.
    pub fn requests(&self, request: RequestKind) -> u64 {
        self.shared.rules.lock().requests(request)
    }
}

impl Drop for KafkaProxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting for its threads is not allowed inside another runtime.
            runtime.shutdown_background();
        }
    }
}

impl Shared {
    /// The proxy's port of a broker, which is opened if there is none yet.
    fn port_of(self: &Arc<Self>, broker: Place) -> std::io::Result<u16> {
        let mut ports = self.ports.lock();
        if let Some(port) = ports.get(&broker) {
            return Ok(*port);
        }
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        // A listener of tokio belongs to the runtime that it is made in.
        let _inside = self.handle.enter();
        let listener = TcpListener::from_std(listener)?;
        self.handle
            .spawn(accept(Arc::clone(self), listener, broker.clone()));
        ports.insert(broker, port);
        Ok(port)
    }
}

async fn accept(shared: Arc<Shared>, listener: TcpListener, broker: Place) {
    while let Ok((client, _)) = listener.accept().await {
        let handle = shared.handle.clone();
        handle.spawn(serve(Arc::clone(&shared), client, broker.clone()));
    }
}

/// A connection from its first byte to its last.
async fn serve(shared: Arc<Shared>, client: TcpStream, broker: Place) {
    if *shared.door.borrow() == Door::Refusing {
        shared.rules.lock().counts.refused += 1;
        let _ = client.set_zero_linger();
        return;
    }
    let _ = client.set_nodelay(true);
    let guard = shared.guard.lock().clone();
    match guard.tls() {
        None => pass(&shared, client, &broker, &guard, |client| client).await,
        Some(tls) => {
            if let Ok(client) = tls.accept(client).await {
                pass(&shared, client, &broker, &guard, SslStream::get_ref).await;
            }
        }
    }
}

/// A connection once it can be read: the login, then all else.
async fn pass<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared>,
    mut client: S,
    broker: &Place,
    guard: &Guard,
    socket: impl Fn(&S) -> &TcpStream,
) {
    let mut cuts = shared.cuts.subscribe();
    let Ok(mut upstream) = TcpStream::connect((broker.host.as_str(), broker.port)).await else {
        let _ = socket(&client).set_zero_linger();
        return;
    };
    let _ = upstream.set_nodelay(true);
    if let Some(login) = guard.login()
        && sasl::log_in(login, &mut client, &mut upstream)
            .await
            .is_err()
    {
        return;
    }
    tokio::select! {
        () = connection::run(shared, &mut client, &mut upstream) => {}
        _ = cuts.changed() => {
            shared.rules.lock().counts.cut += 1;
            let _ = socket(&client).set_zero_linger();
        }
    }
}

/// Where a socket of this machine listens.
impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Place {
            host: address.ip().to_string(),
            port: address.port(),
        }
    }
}
