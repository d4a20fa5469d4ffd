//! What a query holds between two epochs, in the account of its session.

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use headwater_core::{Error, Result};

use super::EpochLoop;
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
    /// Resource if that is more than the session may hold.
    pub(super) fn account_for_memory(&self) -> Result<()> {
        let state = self.state.sizes().into_values();
        let state: usize = state.map(|(_, bytes)| bytes).sum();
        let sources = self.sources.iter().map(|source| source.memory_bytes());
        let bytes = sources.fold(state, usize::saturating_add);
        let bytes = bytes.saturating_add(self.uncommitted.bytes());
        self.memory.try_resize(bytes).map_err(Error::from)
    }
}
