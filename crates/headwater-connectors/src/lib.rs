//! The small connectors: what a script, a test or a demonstration reads from and writes to without
//! an outside system.
//!
//! | connector | source | sink |
//! | --- | --- | --- |
//! | [`memory`] | rows pushed by hand | rows kept to be looked at |
//! | [`filesystem`] | the new files of a folder | a file per epoch and partition, exactly once |
//! | [`datagen`] | rows made from a seed | |
//! | [`stdin`], [`socket`] | lines | |
//! | [`console`] (`print`) | | tables or JSON lines |
//! | [`blackhole`] | | a count |
//! | [`foreach_batch`] | | a function of the caller; not in SQL |
//!
//! Each implements `Connector`, and its source or sink keeps the numbered contract of
//! `headwater_core`. [`orders`] is the generator behind `preset = 'orders'`, for tools that fill
//! topics and files.

use std::sync::Arc;

use headwater_core::connector::Connector;

pub mod blackhole;
mod blocking;
mod budget;
mod change_columns;
pub mod console;
pub mod datagen;
pub mod event_shape;
pub mod filesystem;
pub mod foreach_batch;
mod line_stream;
mod lines;
pub mod memory;
mod options;
pub mod orders;
mod record_rows;
mod seeded;
pub mod socket;
mod staging;
pub mod stdin;
#[cfg(test)]
mod test_support;

pub use blackhole::{BlackholeConnector, BlackholeSink};
pub use console::{ConsoleConnector, ConsoleSink, SharedWriter, stdout_writer};
pub use datagen::DatagenConnector;
pub use event_shape::EventShape;
pub use filesystem::{FilesystemConnector, FilesystemSink};
pub use foreach_batch::ForeachBatchSink;
pub use memory::{EpochRows, MemoryConnector, MemoryRegistry, MemorySink, MemoryStream, Retention};
pub use orders::{Order, OrdersGenerator, OrdersShape};
pub use socket::SocketConnector;
pub use stdin::StdinConnector;

/// Every connector of this crate; `memory` keeps its streams and sinks in `registry`, `console`
/// prints to `console`.
pub fn all_connectors(
    registry: Arc<MemoryRegistry>,
    console: SharedWriter,
) -> Vec<Arc<dyn Connector>> {
    vec![
        Arc::new(MemoryConnector::new(registry)),
        Arc::new(FilesystemConnector),
        Arc::new(DatagenConnector),
        Arc::new(StdinConnector::default()),
        Arc::new(SocketConnector),
        Arc::new(ConsoleConnector::new(console)),
        Arc::new(BlackholeConnector),
    ]
}
