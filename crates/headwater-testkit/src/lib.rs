//! The test language of headwater: streams fed by hand, epochs run one at a time, clocks that
//! stand still, processes that die at a chosen moment.
//!
//! ```text
//! TestSession      a session whose streaming queries do not run by themselves      session.rs
//!   TestQuery      one of them: its files, its ledger, its process                 query.rs
//!     RecordingSink  what was emitted, epoch by epoch, across deaths               recording_sink.rs
//!     Faults       failures that pass                                             faults.rs
//! TestStatement    FEED, EPOCH, CLOCK, RESTART, PROGRESS, REFUSED                  statement.rs
//! SltSession       all of it behind sqllogictest                                   slt.rs
//! Timeline         what a test saw, as a figure for the documentation          timeline.rs
//! check_oracle     folded output = bounded read                                    oracle.rs
//! Simulator        a query in a world of one seed, on a disk that loses power    simulation.rs
//! KafkaProxy       a proxy before a Kafka broker, for faults of the wire             kafka_proxy.rs
//!   Guard          TLS and logins before it                                          kafka_proxy/guard.rs
//! Authority        certificates, good and bad                                        certificates.rs
//! HttpServer       answers to HTTP requests, with TLS                                http_server.rs
//! ```
//!
//! Everything goes through the façade's own planning and the engine's own epoch loop; the kit only
//! decides when an epoch runs and when a process ends.

pub mod certificates;
pub mod faults;
pub mod feed;
pub mod http_server;
pub mod kafka_proxy;
pub mod oracle;
pub mod query;
pub mod recording_sink;
pub mod session;
pub mod simulation;
pub mod slt;
pub mod statement;
pub mod text_rows;
pub mod timeline;

pub use certificates::{Authority, Issued, Lifetime};
pub use faults::{Faults, Moment};
/// The checkpoint crate, for the moments of a crash.
pub use headwater_checkpoint as checkpoint;
pub use headwater_core::crash_point;
/// What a source or a sink of a test's own is made with.
pub mod contract {
    pub use async_trait::async_trait;
    pub use headwater_core::around::{SinkAround, SourceAround};
    pub use headwater_core::id::EpochId;
    pub use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, Staged};
    pub use headwater_core::source::{EpochLimits, ReadRequest, SourceBatch};
}
/// A schema registry in this process.
pub use headwater_formats::DevRegistry;
pub use http_server::{Answer, HttpServer};
pub use kafka_proxy::{Fault, Guard, KafkaProxy, Link, Login, RequestKind};
pub use oracle::check_oracle;
pub use query::TestQuery;
pub use recording_sink::{Ledger, RecordingSink};
pub use session::{RunMode, TestSession};
pub use simulation::{Broken, Scenario, Simulator, Summary};
pub use slt::{FileReport, SltSession, complete_file, run_file};
pub use statement::TestStatement;
pub use timeline::Timeline;
