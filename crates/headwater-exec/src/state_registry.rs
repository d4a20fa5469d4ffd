//! Where operators find their state: by operator and shard, made at first use.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use datafusion_common::utils::memory::RecordBatchMemoryCounter;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};

use headwater_core::id::{EpochId, OperatorId, ShardId};
use headwater_core::state::{OperatorState, StateChunk};
use headwater_core::{Error, Result};

/// State of one shard, shared between the operator that runs and the engine that saves it.
pub type SharedState<S> = Arc<Mutex<S>>;

/// State of one shard as the registry keeps it: of any operator.
trait AnyShard: Debug + Send + Sync {
    fn lock_state(&self) -> MappedMutexGuard<'_, dyn OperatorState>;
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
}

impl<S: OperatorState + 'static> AnyShard for Mutex<S> {
    fn lock_state(&self) -> MappedMutexGuard<'_, dyn OperatorState> {
        MutexGuard::map(self.lock(), |state| state as &mut dyn OperatorState)
    }

    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync> {
        self
    }
}

/// All keyed state of a query in this process.
#[derive(Debug, Default)]
pub struct StateRegistry {
    shards: Mutex<Shards>,
}

#[derive(Debug, Default)]
struct Shards {
    states: BTreeMap<(OperatorId, ShardId), Arc<dyn AnyShard>>,
    /// Chunks of a checkpoint, until the operator that knows their layout asks for them.
    restored: BTreeMap<(OperatorId, ShardId), Vec<StateChunk>>,
    version: Option<EpochId>,
}

/// A chunk of one shard of one operator.
pub type ShardChunk = (OperatorId, ShardId, StateChunk);

impl StateRegistry {
    /// A registry that continues a checkpoint: each shard takes its chunks when it is first used.
    pub fn restored(chunks: Vec<ShardChunk>, version: Option<EpochId>) -> Self {
        let mut restored: BTreeMap<_, Vec<StateChunk>> = BTreeMap::new();
        for (operator, shard, chunk) in chunks {
            restored.entry((operator, shard)).or_default().push(chunk);
        }
        StateRegistry {
            shards: Mutex::new(Shards {
                states: BTreeMap::new(),
                restored,
                version,
            }),
        }
    }

    /// The state of a shard, made by `make` if this is its first use.
    ///
    /// # Errors
    /// If chunks of a checkpoint do not fit, or another kind of operator has the same identity.
    pub fn shard<S: OperatorState + 'static>(
        &self,
        operator: &OperatorId,
        shard: ShardId,
        make: impl FnOnce() -> S,
    ) -> Result<SharedState<S>> {
        let mut shards = self.shards.lock();
        let key = (operator.clone(), shard);
        if let Some(state) = shards.states.get(&key) {
            let state = Arc::clone(state).into_any().downcast();
            return state.map_err(|_| {
                Error::internal(format!("operator {operator} has state of another kind"))
            });
        }
        let mut state = make();
        // They stay until they are taken over: the epoch may be tried again.
        let chunks = shards.restored.get(&key);
        state.restore(chunks.map_or(&[], Vec::as_slice), shards.version)?;
        shards.restored.remove(&key);
        let state = Arc::new(Mutex::new(state));
        let kept: Arc<dyn AnyShard> = Arc::clone(&state) as _;
        shards.states.insert(key, kept);
        Ok(state)
    }

    /// Ends an epoch for the registry: shards that are first used later start at this version.
    pub fn advance(&self, epoch: EpochId) {
        self.shards.lock().version = Some(epoch);
    }

    /// What an epoch changed, over all shards.
    ///
    /// # Errors
    /// If a shard has not run the epoch.
    pub fn deltas(&self, epoch: EpochId) -> Result<Vec<ShardChunk>> {
        let shards = self.shards.lock();
        let each = shards.states.iter();
        each.map(|((operator, shard), state)| {
            Ok((operator.clone(), *shard, state.lock_state().delta(epoch)?))
        })
        .collect()
    }

    /// Everything, over all shards.
    ///
    /// # Errors
    /// If state rows cannot be gathered.
    pub fn snapshots(&self) -> Result<Vec<ShardChunk>> {
        let shards = self.shards.lock();
        if !shards.restored.is_empty() {
            return Err(Error::internal(
                "a snapshot was asked for before all state was restored",
            ));
        }
        let each = shards.states.iter();
        each.map(|((operator, shard), state)| {
            Ok((operator.clone(), *shard, state.lock_state().snapshot()?))
        })
        .collect()
    }

    /// Whether chunks of a checkpoint still wait for the operators that know their layout.
    pub fn is_restoring(&self) -> bool {
        !self.shards.lock().restored.is_empty()
    }

    /// The whole state that chunks of a shard make up, restored beside the state that is running
    /// and as of a version of their own.
    ///
    /// # Errors
    /// If the shard has not been used yet, or chunks do not fit.
    pub fn rebuilt(
        &self,
        operator: &OperatorId,
        shard: ShardId,
        chunks: &[StateChunk],
    ) -> Result<StateChunk> {
        let key = (operator.clone(), shard);
        let used = self.shards.lock().states.get(&key).map(Arc::clone);
        let used = used.ok_or_else(|| {
            let shard = shard.0;
            Error::internal(format!("operator {operator} has not used shard {shard}"))
        })?;
        let mut state = used.lock_state().empty()?;
        state.restore(chunks, None)?;
        state.snapshot()
    }

    /// Back to the version before a failed epoch.
    ///
    /// # Errors
    /// If a shard is more than one version ahead.
    pub fn rollback(&self, to: Option<EpochId>) -> Result<()> {
        let mut shards = self.shards.lock();
        shards.version = to;
        shards
            .states
            .values()
            .try_for_each(|state| state.lock_state().rollback(to))
    }

    /// Tells every shard that an epoch is durable.
    ///
    /// # Errors
    /// If compaction fails.
    pub fn committed(&self, epoch: EpochId) -> Result<()> {
        let shards = self.shards.lock();
        shards
            .states
            .values()
            .try_for_each(|state| state.lock_state().committed(epoch))
    }

    /// Bytes held, those included that wait for the operators that know their layout.
    pub fn memory_bytes(&self) -> usize {
        let shards = self.shards.lock();
        let states = shards.states.values();
        let states: usize = states.map(|state| state.lock_state().memory_bytes()).sum();
        // The columns of a chunk that was read from a file share its bytes.
        let mut counter = RecordBatchMemoryCounter::new();
        let chunks = shards.restored.values().flatten();
        let chunks = chunks.map(|chunk| counter.count_batch(&chunk.rows));
        states + chunks.sum::<usize>()
    }

    /// Live rows and bytes held, by operator.
    pub fn sizes(&self) -> BTreeMap<OperatorId, (usize, usize)> {
        let shards = self.shards.lock();
        let mut sizes: BTreeMap<OperatorId, (usize, usize)> = BTreeMap::new();
        for ((operator, _), state) in &shards.states {
            let state = state.lock_state();
            let size = sizes.entry(operator.clone()).or_default();
            size.0 += state.rows();
            size.1 += state.memory_bytes();
        }
        sizes
    }
}
