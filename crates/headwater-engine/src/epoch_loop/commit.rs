//! Committing what ran: one epoch, or several together.

use std::sync::Arc;
use std::time::Duration;

use headwater_checkpoint::{Checkpoint, CommitRecord, EarlierEpoch, HEADWATER_VERSION};
use headwater_core::Result;
use headwater_core::crash_point::CrashPoint;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::id::EpochId;
use headwater_core::state::ChunkKind;
use headwater_exec::state_registry::ShardChunk;

use super::EpochLoop;
use crate::activity::Step;
use crate::execute::blocking;
use crate::outputs::{self, Tokens};
use crate::state_chain::StateChain;

/// Old files are deleted every so many commits: deleting costs more than a small epoch.
const CLEAN_UP_EVERY: u64 = 16;
/// They are deleted earlier if a snapshot has replaced them, unless so many commits stay that the
/// files of a few more are little beside theirs.
const FEW_COMMITS: usize = 4;
/// Changes of state that wait for a commit are held in memory, or all of the state is about to be; a
/// commit is due at this many bytes whatever the interval says.
const MAX_WAITING_BYTES: usize = 64 << 20;
/// Fewer changed rows than that are written as such, whatever the state is: copies of so little do
/// not fill a disk.
const MIN_WHOLE_ROWS: usize = 1_000;
/// A commit names every epoch in it, and after a crash all of them run again.
const MAX_WAITING_EPOCHS: usize = 1_000;

/// Epochs that have run and are not committed yet.
#[derive(Debug, Default)]
pub(super) struct Uncommitted {
    epochs: Vec<(EpochId, Tokens)>,
    /// What they changed, in order.
    changes: Vec<ShardChunk>,
    bytes: usize,
    /// Whether their commit writes the whole state, so that nobody needs to know what they changed.
    is_whole: bool,
}

impl Uncommitted {
    pub(super) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    pub(super) fn push(&mut self, epoch: EpochId, tokens: Tokens, changes: Vec<ShardChunk>) {
        let sizes = changes.iter();
        self.bytes += sizes
            .map(|(_, _, chunk)| chunk.rows.get_array_memory_size())
            .sum::<usize>();
        self.changes.extend(changes);
        self.epochs.push((epoch, tokens));
    }

    /// Bytes of what they changed, or of the whole state that their commit writes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether their commit writes the whole state.
    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Lets their commit write the whole state, which has so many bytes.
    fn be_whole(&mut self, bytes: usize) {
        self.changes.clear();
        self.bytes = bytes;
        self.is_whole = true;
    }
}

impl EpochLoop {
    /// Whether what has run is to be committed now.
    pub(super) fn is_commit_due(&self) -> bool {
        self.until_commit() == Some(Duration::ZERO)
    }

    /// How long what has run may wait for its commit; `None` if nothing waits.
    pub(super) fn until_commit(&self) -> Option<Duration> {
        if self.uncommitted.is_empty() {
            return None;
        }
        let is_full = self.uncommitted.bytes >= MAX_WAITING_BYTES
            || self.uncommitted.epochs.len() >= MAX_WAITING_EPOCHS;
        let Some(interval) = self.spec.checkpoint_interval else {
            return Some(Duration::ZERO);
        };
        // An epoch that runs again is committed by itself, so that one that keeps failing cannot
        // take those before it along, time after time.
        if is_full || self.is_replay {
            return Some(Duration::ZERO);
        }
        let since = self.clock.elapsed().saturating_sub(self.last_commit);
        Some(interval.saturating_sub(since))
    }

    /// Commits what has run, if anything waits for that.
    ///
    /// # Errors
    /// What the checkpoint or a sink says, and Resource if the query then holds more than it may.
    /// Whether the epochs have happened, the checkpoint says.
    pub async fn commit(&mut self) -> Result<()> {
        let waiting = std::mem::take(&mut self.uncommitted);
        let mut epochs = waiting.epochs;
        let Some(epoch) = epochs.last().map(|(epoch, _)| *epoch) else {
            return Ok(());
        };
        self.log_uncommitted().await?;
        self.activity.begin(epoch, Step::Saving);
        outputs::gather(&self.spec, &mut epochs, self.activity.outage()).await?;
        CrashPoint::SinkGathered.reach();
        let Some((epoch, tokens)) = epochs.pop() else {
            return Ok(());
        };
        let earlier = epochs.into_iter();
        let earlier: Vec<EarlierEpoch> = earlier.map(|(e, tokens)| tokens.of_earlier(e)).collect();
        let before = self.chain.snapshot();
        if let Some(chain) = self.compactor.finished(&self.chain) {
            self.chain = chain;
        }
        let chain = self
            .save_state(epoch, waiting.changes, waiting.is_whole)
            .await?;
        let has_replaced = chain.snapshot() != before;
        let record = CommitRecord {
            epoch,
            offsets: self.positions.clone(),
            last_records: self.last_records(),
            watermarks: self.watermarks.clone(),
            state_files: chain.files().to_vec(),
            earlier,
            sink_token: tokens.result,
            beside: tokens.beside,
            is_transaction: outputs::decides_by_transaction(&self.spec),
            rewound_to: None,
            version: HEADWATER_VERSION.to_string(),
        };
        self.write_commit(&record).await?;
        CrashPoint::BeforeFinish.reach();
        self.activity.begin(epoch, Step::Publishing);
        outputs::publish(&self.spec, &record, self.activity.outage()).await?;
        self.chain = chain;
        self.last_commit = self.clock.elapsed();
        self.commits += 1;
        self.after_commit(epoch, has_replaced).await?;
        self.account_for_memory()
    }

    /// The last records that the sources have read, if any source tells them.
    fn last_records(&self) -> Vec<Fingerprints> {
        let sources = self.sources.iter().zip(&self.positions);
        let last: Vec<_> = sources
            .map(|(source, position)| source.fingerprints(position))
            .collect();
        if last.iter().all(Fingerprints::is_empty) {
            return vec![];
        }
        last
    }

    /// Lets the epochs have happened.
    async fn write_commit(&self, record: &CommitRecord) -> Result<()> {
        CrashPoint::BeforeCommitRecord.reach();
        let step = |step: fn(&Checkpoint, &CommitRecord) -> Result<()>| {
            let (checkpoint, record) = (Arc::clone(&self.checkpoint), record.clone());
            blocking(move || step(&checkpoint, &record))
        };
        if !record.is_transaction {
            return step(|checkpoint, record| checkpoint.commit(record)).await;
        }
        step(|checkpoint, record| checkpoint.prepare_commit(record)).await?;
        CrashPoint::CommitPrepared.reach();
        self.activity.begin(record.epoch, Step::Committing);
        let (token, outage) = (&record.sink_token, self.activity.outage());
        outputs::commit_transaction(&self.spec, record.epoch, token, outage).await?;
        step(|checkpoint, record| checkpoint.finish_commit(record)).await
    }

    /// Tells everybody that the epochs have happened, and frees what they needed. `has_replaced` if
    /// files of state have given way to a snapshot.
    async fn after_commit(&mut self, epoch: EpochId, has_replaced: bool) -> Result<()> {
        self.activity.begin(epoch, Step::Telling);
        self.state.committed(epoch)?;
        for (source, position) in self.sources.iter().zip(&self.positions) {
            // The epoch has happened, and this only frees what it needed.
            if let Err(error) = source.committed(position).await {
                tracing::warn!(%epoch, %error, "a source could not forget a committed epoch");
            }
        }
        let (checkpoint, state) = (&self.checkpoint, &self.state);
        self.compactor.start_if_due(&self.chain, checkpoint, state);
        // Two commits keep their files, and those of the one before the snapshot are not needed when
        // the next has named it.
        let is_due = std::mem::replace(&mut self.has_replaced, has_replaced)
            && self.spec.kept_commits <= FEW_COMMITS;
        if is_due || self.commits.is_multiple_of(CLEAN_UP_EVERY) {
            CrashPoint::BeforeCleanup.reach();
            let checkpoint = Arc::clone(&self.checkpoint);
            let kept = self.spec.kept_commits;
            // Files that are left over cost room, not correctness.
            if let Err(error) = blocking(move || checkpoint.clean_up_keeping(kept)).await {
                tracing::warn!(%error, "old checkpoint files could not be deleted");
            }
        }
        Ok(())
    }

    /// Notes an epoch that ran. If the epochs that wait have changed half of the state or more, their
    /// commit writes all of it: deltas like that would be many copies of it before the next snapshot.
    pub(super) fn let_wait(&mut self, epoch: EpochId, tokens: Tokens, changes: Vec<ShardChunk>) {
        self.uncommitted.push(epoch, tokens, changes);
        let changes = &self.uncommitted.changes;
        let changed = changes.iter().map(|(_, _, chunk)| chunk.rows.num_rows());
        let changed: usize = changed.sum();
        let is_whole = self.uncommitted.is_whole;
        if !is_whole && (changed < MIN_WHOLE_ROWS || !self.may_write_whole()) {
            return;
        }
        let sizes = self.state.sizes().into_values();
        let (live, bytes) = sizes.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1));
        if is_whole || 2 * changed >= live {
            self.uncommitted.be_whole(bytes);
        }
    }

    /// Whether a commit may write the whole state: not if a compaction is about to do the same.
    fn may_write_whole(&self) -> bool {
        !self.compactor.is_running() && !self.state.is_restoring()
    }

    /// Writes what the epochs changed, or everything, also if the files have become too many:
    /// compaction has failed for long then.
    async fn save_state(
        &self,
        epoch: EpochId,
        changes: Vec<ShardChunk>,
        is_whole: bool,
    ) -> Result<StateChain> {
        if changes.is_empty() && !is_whole {
            return Ok(self.chain.clone());
        }
        let is_whole = is_whole || (self.chain.is_full() && self.may_write_whole());
        let (kind, chunks) = match is_whole {
            true => (ChunkKind::Snapshot, self.state.snapshots()?),
            false => (ChunkKind::Delta, changes),
        };
        let checkpoint = Arc::clone(&self.checkpoint);
        let file = blocking(move || checkpoint.write_state(epoch, kind, &chunks)).await?;
        Ok(self.chain.with(file))
    }
}
