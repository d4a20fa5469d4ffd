//! Where a query starts: anew, or where its checkpoint ends.

use std::sync::Arc;

use futures::future;

use headwater_checkpoint::{
    Checkpoint, CommitRecord, EpochRecord, FileStore, Opening, Recovered, WatermarkState,
};
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::crash_point::CrashPoint;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::id::{EpochId, OperatorId};
use headwater_core::offset::Offsets;
use headwater_core::sink::{SinkContext, Transactions};
use headwater_core::source::{ResumePoint, Source};
use headwater_core::{Error, Result};
use headwater_exec::state_registry::StateRegistry;

use crate::execute::blocking;
use crate::outage::Outage;
use crate::outline::{QueryOutline, journal_name};
use crate::outputs;
use crate::query_spec::{Durability, QuerySpec};
use crate::recovery_log::RecoveryLog;
use crate::settle::settle;
use crate::state_chain::StateChain;

/// Where a bounded query stops, per source; a source without a bound is read to its end.
pub(crate) type Bounds = Vec<Option<Offsets>>;

/// Everything the loop needs to go on.
#[derive(Debug)]
pub(crate) struct StartingPoint {
    pub(crate) checkpoint: Arc<Checkpoint>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    pub(crate) positions: Vec<Offsets>,
    pub(crate) watermarks: Vec<WatermarkState>,
    pub(crate) state: Arc<StateRegistry>,
    pub(crate) chain: StateChain,
    pub(crate) next: EpochId,
    /// Epochs that were decided and not committed: they run first, as they were decided.
    pub(crate) pending: Vec<EpochRecord>,
    pub(crate) bounds: Option<Bounds>,
}

/// Opens checkpoint, sources and sink; finishes what a dead process had decided. A bounded query
/// that has started before in this process keeps its bounds.
pub(crate) async fn starting_point(
    spec: &QuerySpec,
    outage: &Outage,
    bounds: Option<Bounds>,
) -> Result<StartingPoint> {
    let (checkpoint, recovered) = open_checkpoint(spec).await?;
    let checkpoint = Arc::new(checkpoint);
    let sources = open_sources(spec, &checkpoint, &recovered).await?;
    let recovered = open_sinks(spec, &checkpoint, recovered, outage).await?;
    adopt_change(spec, &checkpoint).await?;
    let next = recovered.next_epoch();
    let standing = match &recovered.last_commit {
        None => Standing::at_the_start(&sources).await?,
        Some(commit) => Standing::after(spec, &checkpoint, commit, outage).await?,
    };
    let pending = pending_epochs(spec, &sources, recovered.pending)?;
    check_resume(&sources, recovered.last_commit.as_ref(), &pending).await?;
    let bounds = match bounds {
        None if spec.trigger.is_bounded() => {
            Some(future::try_join_all(sources.iter().map(bound_of)).await?)
        }
        kept => kept,
    };
    Ok(StartingPoint {
        checkpoint,
        sources,
        positions: standing.positions,
        watermarks: standing.watermarks,
        state: Arc::new(standing.state),
        chain: standing.chain,
        next,
        pending,
        bounds,
    })
}

/// Lets the checkpoint be that of the query as it is now, if that may go on although it has changed.
async fn adopt_change(spec: &QuerySpec, checkpoint: &Arc<Checkpoint>) -> Result<()> {
    let Some(change) = checkpoint.change() else {
        return Ok(());
    };
    let changed = change.in_words.join(", ");
    if change.dropped.is_empty() {
        tracing::warn!(query = %spec.name, "the query goes on although it has changed: {changed}");
    } else {
        let dropped: Vec<_> = change.dropped.iter().map(OperatorId::as_str).collect();
        tracing::warn!(
            query = %spec.name,
            "the query goes on without the state of {}, because it has changed: {changed}",
            dropped.join(", ")
        );
    }
    let checkpoint = Arc::clone(checkpoint);
    blocking(move || checkpoint.adopt_change()).await
}

/// Opens the sinks, and finds out what that of the result has decided in between: that of the late
/// rows goes by it.
async fn open_sinks(
    spec: &QuerySpec,
    checkpoint: &Arc<Checkpoint>,
    recovered: Recovered,
    outage: &Outage,
) -> Result<Recovered> {
    let context = SinkContext {
        query: checkpoint.metadata().query_id.clone(),
        query_name: spec.name.clone(),
        schema: Arc::clone(&spec.plan.schema),
        mode: spec.plan.mode,
        has_ops: spec.plan.has_ops,
        last_committed: recovered.last_commit.as_ref().map(|c| c.epoch),
        commit_interval: spec.checkpoint_interval,
        transactions: match spec.durability {
            Durability::Checkpoint => Transactions::Allowed,
            Durability::InMemory => Transactions::NoCheckpoint,
        },
        is_takeover: spec.is_takeover,
    };
    spec.sink.open(&context).await?;
    let settled = settle(spec, checkpoint, recovered, outage).await?;
    let last = settled.last_commit.as_ref();
    if let Some(commit) = last {
        outputs::check_beside(spec, commit)?;
    }
    let context = SinkContext {
        last_committed: last.map(|c| c.epoch),
        ..context
    };
    outputs::open_beside(spec, context).await?;
    Ok(settled)
}

/// What a query knows between two epochs.
struct Standing {
    positions: Vec<Offsets>,
    watermarks: Vec<WatermarkState>,
    state: StateRegistry,
    chain: StateChain,
}

impl Standing {
    async fn at_the_start(sources: &[Arc<dyn Source>]) -> Result<Standing> {
        let mut positions = Vec::with_capacity(sources.len());
        for source in sources {
            positions.push(source.initial().await?);
        }
        Ok(Standing {
            positions,
            watermarks: vec![WatermarkState::default(); sources.len()],
            state: StateRegistry::default(),
            chain: StateChain::default(),
        })
    }

    async fn after(
        spec: &QuerySpec,
        checkpoint: &Arc<Checkpoint>,
        commit: &CommitRecord,
        outage: &Outage,
    ) -> Result<Standing> {
        CrashPoint::MidRecovery.reach();
        // The commit record may be the last thing the dead process did.
        outputs::publish(spec, commit, outage).await?;
        CrashPoint::RecoveryPublished.reach();
        let (reader, record) = (Arc::clone(checkpoint), commit.clone());
        let log = RecoveryLog::start(&spec.name, Arc::clone(&spec.environment.clock));
        let state = blocking(move || log.load_state(&reader, &record)).await?;
        let chunks = state.into_iter().flat_map(|((operator, shard), chunks)| {
            let chunks = chunks.into_iter();
            chunks.map(move |chunk| (operator.clone(), shard, chunk))
        });
        Ok(Standing {
            positions: commit.offsets.clone(),
            watermarks: commit.watermarks.clone(),
            state: StateRegistry::restored(chunks.collect(), Some(commit.epoch)),
            chain: StateChain::new(commit.state_files.clone()),
        })
    }
}

async fn open_checkpoint(spec: &QuerySpec) -> Result<(Checkpoint, Recovered)> {
    let outline = QueryOutline {
        name: &spec.name,
        sql: &spec.sql,
        plan: &spec.plan,
        sink: spec.sink.identity(),
        shard_count: spec.environment.target_partitions(),
    };
    let metadata = outline.metadata();
    let (store, clock) = (Arc::clone(&spec.store), Arc::clone(&spec.environment.clock));
    let opening = Opening {
        takes_over: spec.is_takeover,
        on_change: spec.on_state_change,
    };
    blocking(move || {
        let store = store as Arc<dyn FileStore>;
        Checkpoint::open_by(store, &metadata, opening, &*clock)
    })
    .await
}

async fn open_sources(
    spec: &QuerySpec,
    checkpoint: &Checkpoint,
    recovered: &Recovered,
) -> Result<Vec<Arc<dyn Source>>> {
    let (last, pending) = (recovered.last_commit.as_ref(), &recovered.pending);
    let mut sources = Vec::with_capacity(spec.plan.sources.len());
    for (index, definition) in spec.plan.sources.iter().enumerate() {
        let context = SourceContext {
            clock: Arc::clone(&spec.environment.clock),
            journal: checkpoint.journal(&journal_name(index, &definition.name)),
            use_of: SourceUse::Stream,
            read_before: read_before(index, last, pending),
        };
        sources.push(definition.declared.open(context).await?);
    }
    Ok(sources)
}

/// How far epochs that were committed or decided have read a source; `None` if there are none.
pub(crate) fn read_before(
    index: usize,
    last_commit: Option<&CommitRecord>,
    pending: &[EpochRecord],
) -> Option<Offsets> {
    let decided = pending.last().map(|record| record.slices.get(index));
    let decided = decided.map(|slice| slice.map(|slice| slice.end.clone()));
    let committed = last_commit.map(|commit| commit.offsets.get(index).cloned());
    decided.or(committed).map(Option::unwrap_or_default)
}

/// Lets every source that was read look whether it still is what it was.
async fn check_resume(
    sources: &[Arc<dyn Source>],
    last_commit: Option<&CommitRecord>,
    pending: &[EpochRecord],
) -> Result<()> {
    for (index, source) in sources.iter().enumerate() {
        check_source(index, &**source, last_commit, pending).await?;
    }
    Ok(())
}

/// Lets a source, if it was read, look whether it still is what it was.
pub(crate) async fn check_source(
    index: usize,
    source: &dyn Source,
    last_commit: Option<&CommitRecord>,
    pending: &[EpochRecord],
) -> Result<()> {
    let none_seen = Fingerprints::default();
    let slice = |record: &EpochRecord| record.slices.get(index).cloned();
    let first = pending.first().and_then(slice).map(|slice| slice.start);
    let committed = last_commit.and_then(|commit| commit.offsets.get(index).cloned());
    let Some(committed) = committed.or(first) else {
        return Ok(());
    };
    let decided = pending.last().and_then(slice).map(|slice| slice.end);
    let seen = last_commit.and_then(|commit| commit.last_records.get(index));
    source
        .check_resume(ResumePoint {
            committed: &committed,
            decided: decided.as_ref().unwrap_or(&committed),
            seen: seen.unwrap_or(&none_seen),
        })
        .await
}

/// Where a bounded run stops: the end of now, or the end for good for a source that is only
/// heard live.
async fn bound_of(source: &Arc<dyn Source>) -> Result<Option<Offsets>> {
    if source.is_replayable() {
        source.latest().await.map(Some)
    } else {
        Ok(None)
    }
}

/// The epochs that a dead process had decided, if their rows can be read again.
fn pending_epochs(
    spec: &QuerySpec,
    sources: &[Arc<dyn Source>],
    pending: Vec<EpochRecord>,
) -> Result<Vec<EpochRecord>> {
    for record in &pending {
        if record.slices.len() != sources.len() {
            return Err(Error::checkpoint(format!(
                "epoch {} of the checkpoint reads {} sources, and the query has {}",
                record.epoch,
                record.slices.len(),
                sources.len()
            )));
        }
        let read = sources.iter().zip(&record.slices);
        for ((source, slice), definition) in read.zip(&spec.plan.sources) {
            if !source.is_replayable() && !slice.is_empty() {
                return Err(lost_rows(&definition.name, record.epoch));
            }
        }
    }
    Ok(pending)
}

/// The error of an epoch that was decided and whose rows cannot be read again.
pub(crate) fn lost_rows(source: &str, epoch: EpochId) -> Error {
    Error::data_loss(format!(
        "source \"{source}\" cannot be read again, and epoch {epoch} was interrupted while it was \
         read"
    ))
    .with_hint(
        "Start with a new checkpoint folder; to survive a crash, put the input into a file or a \
         topic.",
    )
}
