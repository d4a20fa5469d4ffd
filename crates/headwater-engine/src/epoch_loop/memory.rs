//! What a query holds between two epochs, in the account of its session.

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryReservation};

use headwater_core::{Error, Result};

use super::EpochLoop;
use super::beside::Beside;
use crate::query_spec::QuerySpec;

/// The account of a query that holds nothing yet.
pub(super) fn account(spec: &QuerySpec) -> MemoryReservation {
    let who = format!("query \"{}\"", spec.name);
    MemoryConsumer::new(who).register(&spec.environment.runtime.memory_pool)
}

impl EpochLoop {
    /// Takes into account what the query holds now: its state, what waits for a commit, and what its
    /// sources may fetch ahead.
    ///
    /// # Errors
    /// Resource if that is more than the session may hold. It may pass if it is because of what others
    /// hold.
    pub(super) fn account_for_memory(&self) -> Result<()> {
        let sources = self.sources.iter().map(|source| source.memory_bytes());
        let bytes = sources.fold(self.state.memory_bytes(), usize::saturating_add);
        let beside = self.beside.as_ref().map_or(0, Beside::bytes);
        let waiting = self.uncommitted.bytes().saturating_add(beside);
        let bytes = bytes.saturating_add(waiting);
        self.memory.try_resize(bytes).map_err(|error| {
            let error = Error::from(error);
            match self.runtime.memory_pool.memory_limit() {
                MemoryLimit::Finite(limit) if bytes <= limit => error.that_may_pass(),
                _ => error,
            }
        })
    }
}
