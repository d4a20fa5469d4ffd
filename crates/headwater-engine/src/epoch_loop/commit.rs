//! When what ran is committed, one epoch or several together, and what a commit is made of.

use std::sync::Arc;
use std::time::Duration;

use headwater_core::Result;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::id::EpochId;
use headwater_core::state::ChunkKind;
use headwater_exec::state_registry::ShardChunk;

use super::EpochLoop;
use super::committing::{Commit, Committed, Preparing, Steps};
use super::logging::together;
use crate::activity::Step;

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
    epochs: Vec<(EpochId, Preparing)>,
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

    /// The newest of them.
    pub(super) fn last(&self) -> Option<EpochId> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    pub(super) fn push(&mut self, epoch: EpochId, tokens: Preparing, changes: Vec<ShardChunk>) {
        self.bytes += bytes_of(&changes);
        self.changes.extend(changes);
        self.epochs.push((epoch, tokens));
    }

    /// Whether no more epochs may wait with them.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= MAX_WAITING_BYTES || self.epochs.len() >= MAX_WAITING_EPOCHS
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

fn bytes_of(chunks: &[ShardChunk]) -> usize {
    let sizes = chunks.iter();
    sizes
        .map(|(_, _, chunk)| chunk.rows.get_array_memory_size())
        .sum()
}

impl EpochLoop {
    /// Whether what has run is to be committed now.
    pub(super) fn is_commit_due(&self) -> bool {
        self.until_commit() == Some(Duration::ZERO)
    }

    /// How long what has run may wait for its commit; `None` if nothing waits.
    pub(super) fn until_commit(&self) -> Option<Duration> {
        if !self.has_waiting() {
            return None;
        }
        let Some(interval) = self.spec.checkpoint_interval else {
            return Some(Duration::ZERO);
        };
        // An epoch that runs again is committed by itself, so that one that keeps failing cannot
        // take those before it along, time after time.
        if self.uncommitted.is_full() || self.is_replay {
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
        if !self.has_waiting() {
            return Ok(());
        }
        self.end_commit_beside().await?;
        if let Some(last) = self.uncommitted.last() {
            let activity = Arc::clone(&self.activity);
            let commit = self.begin_commit(last, Steps::Of(activity))?;
            let done = commit.run().await?;
            self.state.committed(last)?;
            self.has_committed(done).await;
        }
        self.account_for_memory()
    }

    /// Takes what waits for its commit, `last` being the newest epoch of it.
    pub(super) fn begin_commit(&mut self, last: EpochId, steps: Steps) -> Result<Commit> {
        let waiting = std::mem::take(&mut self.uncommitted);
        let before = self.chain.snapshot();
        if let Some(chain) = self.compactor.finished(&self.chain) {
            self.chain = chain;
        }
        let state = self.state_to_save(waiting.changes, waiting.is_whole)?;
        let is_whole = matches!(state, Some((ChunkKind::Snapshot, _)));
        let has_replaced = is_whole || self.chain.snapshot() != before;
        // Two commits keep their files, and those of the one before the snapshot are not needed when
        // the next has named it.
        let is_due = std::mem::replace(&mut self.has_replaced, has_replaced)
            && self.spec.kept_commits <= FEW_COMMITS;
        self.commits += 1;
        Ok(Commit {
            spec: Arc::clone(&self.spec),
            checkpoint: Arc::clone(&self.checkpoint),
            steps,
            last,
            unlogged: together(std::mem::take(&mut self.unlogged)),
            epochs: waiting.epochs,
            bytes: state.as_ref().map_or(0, |(_, chunks)| bytes_of(chunks)),
            state,
            chain: self.chain.clone(),
            offsets: self.positions.clone(),
            last_records: self.last_records(),
            watermarks: self.watermarks.clone(),
            cleans_up: is_due || self.commits.is_multiple_of(CLEAN_UP_EVERY),
        })
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

    /// Goes on from a commit, and tells the sources of it.
    pub(super) async fn has_committed(&mut self, done: Committed) {
        self.activity.begin(done.last, Step::Telling);
        self.chain = done.chain;
        self.last_commit = self.clock.elapsed();
        for (source, position) in self.sources.iter().zip(&done.offsets) {
            // The epoch has happened, and this only frees what it needed.
            if let Err(error) = source.committed(position).await {
                let epoch = done.last;
                tracing::warn!(%epoch, %error, "a source could not forget a committed epoch");
            }
        }
        let (checkpoint, state) = (&self.checkpoint, &self.state);
        self.compactor.start_if_due(&self.chain, checkpoint, state);
    }

    /// Notes an epoch that ran. If the epochs that wait have changed half of the state or more, their
    /// commit writes all of it: deltas like that would be many copies of it before the next snapshot.
    pub(super) fn let_wait(&mut self, epoch: EpochId, tokens: Preparing, changes: Vec<ShardChunk>) {
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

    /// What the epochs changed, or everything, also if the files have become too many: compaction has
    /// failed for long then.
    fn state_to_save(
        &self,
        changes: Vec<ShardChunk>,
        is_whole: bool,
    ) -> Result<Option<(ChunkKind, Vec<ShardChunk>)>> {
        if changes.is_empty() && !is_whole {
            return Ok(None);
        }
        let is_whole = is_whole || (self.chain.is_full() && self.may_write_whole());
        Ok(Some(match is_whole {
            true => (ChunkKind::Snapshot, self.state.snapshots()?),
            false => (ChunkKind::Delta, changes),
        }))
    }
}
