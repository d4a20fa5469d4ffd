//! headwater: structured-streaming SQL on Apache Arrow and DataFusion, in one crate.
//!
//! Topics, folders and sockets are declared as sources; a query over them runs as a **bounded
//! read** (what is there now), or as a **streaming query** (epoch by epoch, with windows,
//! watermarks and state that survive a restart). It is the same SQL.
//!
//! ```
//! # async fn example() -> headwater::Result<()> {
//! let hw = headwater::Headwater::builder().build()?;
//! hw.sql(
//!     "CREATE SOURCE orders (id BIGINT, symbol VARCHAR, amount BIGINT, ts TIMESTAMP,
//!        WATERMARK FOR ts AS ts - INTERVAL '5 seconds')
//!      WITH (connector = 'datagen', rows = 1000, seed = 7)",
//! )
//! .await?;
//!
//! // A plain SELECT reads what is there and ends.
//! let rows = hw.sql("SELECT count(*) AS n FROM orders").await?.collect().await?;
//! assert_eq!(rows[0].num_rows(), 1);
//!
//! // The same source as a stream, into memory.
//! let query = hw
//!     .stream("SELECT symbol, window_start, sum(amount) AS volume
//!              FROM tumble(orders, ts, INTERVAL '10 seconds')
//!              GROUP BY symbol, window_start, window_end")
//!     .await?
//!     .write_stream()
//!     .format("memory")
//!     .query_name("volumes")
//!     .start()
//!     .await?;
//! query.await_termination().await?;
//! assert!(!hw.memory_sink("volumes").unwrap().rows().is_empty());
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! Everything else is in [`Headwater`] (statements, sources, queries), [`StreamingQuery`] (the
//! handle of a running query) and [`kafka`] (topics and the in-process development broker).
#![warn(missing_docs)]

mod builder;
mod doctor;
mod explain;
mod frame;
mod infer;
mod insert_rows;
mod inspect;
mod outcome;
mod quote;
mod reader;
mod session;
mod settings;
mod start;
mod statements;
mod tables;
mod writer;

pub use builder::HeadwaterBuilder;
pub use doctor::{Finding, Verdict};
pub use frame::{Frame, StreamFrame};
pub use infer::{InferRequest, InferredSource};
pub use outcome::{Outcome, ReadProgress, ReadWatch, Rows};
pub use reader::{Reader, StreamReader};
pub use session::Headwater;
pub use settings::Settings;
pub use writer::StreamWriter;

/// Looking at checkpoints, and taking a query back to an older commit.
pub mod checkpoint {
    pub use headwater_checkpoint::inspection::{
        CheckpointReport, FileCheck, FileWorth, ShardState, inspect, verify,
    };
    pub use headwater_checkpoint::rewind::{Duplicates, Rewound, rewind};
    pub use headwater_checkpoint::{CommitRecord, LockOwner, open_store};
}

pub use headwater_checkpoint::FileStore;
pub use headwater_connectors::{
    EpochRows, ForeachBatchSink, MemorySink, MemoryStream, Order, OrdersGenerator, OrdersShape,
    Retention, SharedWriter,
};
pub use headwater_core::changes;
pub use headwater_core::clock::{Clock, ManualClock, SystemClock};
pub use headwater_core::connector;
pub use headwater_core::error::Span;
pub use headwater_core::event_time::EventTime;
pub use headwater_core::id::{EpochId, QueryId};
pub use headwater_core::mode::OutputMode;
pub use headwater_core::offset::{Offsets, Partition};
pub use headwater_core::options::Options;
pub use headwater_core::secret;
pub use headwater_core::sink::Sink;
pub use headwater_core::source::Source;
pub use headwater_core::trigger::Trigger;
pub use headwater_core::{Error, ErrorKind, Result};
pub use headwater_engine::progress::{EpochProgress, SourceProgress, StateSize, Totals};
pub use headwater_engine::{
    Backpressure, DRAIN_TIMEOUT, EPOCH_TARGET, EndOfInput, QueryManager, QuerySpec, QueryState,
    QueryStatus, RestartPolicy, Stall, StallAction, StallPolicy, StallReason, StreamingQuery,
};
pub use headwater_formats::infer::{Inferred, InferredColumn};
pub use headwater_sql::parser::is_complete;

/// Arrow, in the version headwater is built with.
pub use arrow;
/// DataFusion, in the version headwater is built with.
pub use datafusion;

/// Kafka without a query: topics, records, and the in-process development broker.
pub mod kafka {
    pub use headwater_kafka::{
        DEV_BROKER_LIMITS, DevBroker, KafkaConnection, PartitionInfo, TailEnd, TailRecord,
        TailStart, TopicInfo, create_topic, list_topics, produce_lines, tail,
    };
}
