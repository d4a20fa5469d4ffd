//! The epoch loop and the life of running queries.
//!
//! `query` is the handle users hold; `epoch_loop` is the protocol; `next_epoch`, `trigger`, `intake`
//! and `watermark_tracker` decide by pure functions of facts; `recover` says where a query goes on;
//! `activity` knows what a query is doing, and `stall_watchdog` when that takes too long.

mod activity;
pub mod batch;
mod compaction;
pub mod dead_letter_sink;
mod epoch_loop;
mod epoch_report;
mod execute;
mod held_rows;
mod intake;
pub mod late_sink;
mod next_epoch;
mod outage;
mod outline;
mod outputs;
pub mod preview;
pub mod progress;
pub mod query;
pub mod query_manager;
mod query_spec;
mod recover;
mod recovery_log;
mod restart;
mod retry;
mod settle;
pub mod stall_watchdog;
mod state_chain;
mod step_times;
mod trigger;
mod watched;
mod watermark_tracker;

pub use batch::{BatchRun, run_batch};
pub use dead_letter_sink::DeadLetterSink;
pub use epoch_loop::{EpochLoop, Step};
pub use intake::{Backpressure, EPOCH_TARGET};
pub use late_sink::LateSink;
pub use outline::QueryOutline;
pub use outputs::SideIdentities;
pub use preview::{LeftToRead, Preview};
pub use progress::EpochProgress;
pub use query::{QueryState, QueryStatus, StreamingQuery};
pub use query_manager::QueryManager;
pub use query_spec::{
    DRAIN_TIMEOUT, Durability, EndOfInput, QueryEnvironment, QuerySpec, RestartPolicy,
};
pub use stall_watchdog::{Stall, StallAction, StallPolicy, StallReason};
