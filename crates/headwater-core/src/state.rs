//! The contract of operator state: immutable versions, one per committed epoch.

use std::fmt::Debug;

use arrow::array::RecordBatch;

use crate::Result;
use crate::id::EpochId;

/// What stands between the columns of a state and its time to live, in the text by which the states
/// of two starts are compared.
pub const KEPT_FOR: &str = ", kept for ";

/// Whether a chunk replaces everything before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkKind {
    /// The rows that changed in one epoch.
    Delta,
    /// The whole state.
    Snapshot,
}

/// A piece of state as it is written to a checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct StateChunk {
    /// Whether it replaces what came before.
    pub kind: ChunkKind,
    /// Rows, in the operator's own state schema.
    pub rows: RecordBatch,
    /// Panes removed in this epoch, by start in microseconds.
    pub dropped_panes: Vec<i64>,
}

impl StateChunk {
    /// Whether it says nothing: a delta of an epoch that changed nothing.
    pub fn is_empty(&self) -> bool {
        self.kind == ChunkKind::Delta && self.rows.num_rows() == 0 && self.dropped_panes.is_empty()
    }
}

/// State of one shard of one operator.
///
/// # Contract
/// 1. State has a version: the epoch it includes. An epoch takes version `n − 1` to `n`.
/// 2. `delta(n)` is O(changed rows), `snapshot` is O(all rows); both leave the state as it is.
/// 3. Restoring a snapshot and the deltas after it gives the state they were taken from.
/// 4. `rollback` undoes the newest version only; older ones need a restore.
pub trait OperatorState: Debug + Send {
    /// Replaces the state by chunks in order; afterwards it includes `version`.
    fn restore(&mut self, chunks: &[StateChunk], version: Option<EpochId>) -> Result<()>;
    /// What epoch `epoch`, the newest version, changed.
    fn delta(&mut self, epoch: EpochId) -> Result<StateChunk>;
    /// State of the same kind without rows, for chunks to be restored into beside this one.
    fn empty(&self) -> Result<Box<dyn OperatorState>>;
    /// Everything.
    fn snapshot(&mut self) -> Result<StateChunk>;
    /// Back to the version `to` (`None`: nothing processed yet).
    fn rollback(&mut self, to: Option<EpochId>) -> Result<()>;
    /// Tells that `epoch` is durable: what was kept for its rollback may go.
    fn committed(&mut self, epoch: EpochId) -> Result<()>;
    /// Bytes of memory held.
    fn memory_bytes(&self) -> usize;
    /// Live rows.
    fn rows(&self) -> usize;
}
