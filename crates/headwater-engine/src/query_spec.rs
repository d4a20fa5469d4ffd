//! A query, ready to start: what to run, from where to where, and how.

use std::sync::Arc;
use std::time::Duration;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;

use headwater_checkpoint::{FileStore, OnStateChange};
use headwater_core::clock::Clock;
use headwater_core::sink::Sink;
use headwater_core::trigger::Trigger;
use headwater_plan::StreamPlan;

use crate::dead_letter_sink::DeadLetterSink;
use crate::intake::Backpressure;
use crate::late_sink::LateSink;
use crate::stall_watchdog::StallPolicy;

/// What a query takes from its surroundings.
#[derive(Debug, Clone)]
pub struct QueryEnvironment {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Settings of the operators: batch size, target partitions.
    pub config: SessionConfig,
    /// Memory pool and temporary files.
    pub runtime: Arc<RuntimeEnv>,
}

impl QueryEnvironment {
    /// Number of readers and of shards.
    pub fn target_partitions(&self) -> usize {
        self.config.target_partitions()
    }
}

/// What happens to open windows when the input has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndOfInput {
    /// They wait in the checkpoint for the next run.
    Hold,
    /// They are finished: the watermark goes to the end of time.
    Flush,
}

/// Whether a query can be started from its store again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The store is a checkpoint: state is written to it with every epoch.
    Checkpoint,
    /// The store ends with the query: only the logs are kept, for the protocol's sake.
    InMemory,
}

/// How long a query may go on after it was asked to stop, unless it is told otherwise.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What happens to a query that failed, after the retries of its epoch, for a reason that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestartPolicy {
    /// How often it is opened again from its checkpoint before the failure counts; an epoch that
    /// succeeds starts the count anew.
    pub attempts: u32,
    /// The wait before the first attempt; it doubles with each, up to a minute.
    pub delay: Duration,
}

impl Default for RestartPolicy {
    /// Never; one second.
    fn default() -> Self {
        RestartPolicy {
            attempts: 0,
            delay: Duration::from_secs(1),
        }
    }
}

/// A query, ready to start.
#[derive(Debug, Clone)]
pub struct QuerySpec {
    /// The user's name of it.
    pub name: String,
    /// Its text.
    pub sql: String,
    /// What to run.
    pub plan: StreamPlan,
    /// Where rows go.
    pub sink: Arc<dyn Sink>,
    /// Where late rows go; `None` if they are counted only.
    pub late_rows: Option<LateSink>,
    /// Where bad records go, of the sources that say so.
    pub dead_letters: Vec<DeadLetterSink>,
    /// Where it is kept.
    pub store: Arc<dyn FileStore>,
    /// Whether the store is there to be started from again.
    pub durability: Durability,
    /// Whether it is taken from a process that runs it, which is fenced: once, at the first start.
    pub is_takeover: bool,
    /// How many of the newest commits stay in the checkpoint with all their files.
    pub kept_commits: usize,
    /// What happens if the query has changed so that state of its checkpoint does not fit.
    pub on_state_change: OnStateChange,
    /// When epochs start.
    pub trigger: Trigger,
    /// Whether epochs take in less when they take too long.
    pub backpressure: Backpressure,
    /// How long what epochs wrote may wait for one commit of them all; `None` commits every epoch
    /// by itself.
    pub checkpoint_interval: Option<Duration>,
    /// Whether the record of an epoch may be written while the epoch runs, and commits while later
    /// ones do. Tests that must do the same steps in the same order say no: one comes after the
    /// other then.
    pub overlaps: bool,
    /// How often a query that failed for a reason that may pass is opened again.
    pub restarts: RestartPolicy,
    /// How long it may be without progress, and what is done then.
    pub stalls: StallPolicy,
    /// How long the query may go on after it was asked to stop: what it is doing then is abandoned.
    pub drain_timeout: Duration,
    /// What happens at the end; `None` flushes if the sources have ended by themselves.
    pub end_of_input: Option<EndOfInput>,
    /// Its surroundings.
    pub environment: QueryEnvironment,
}
