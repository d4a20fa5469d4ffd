//! Compaction: state files of committed epochs, put together as one snapshot.
//!
//! ```text
//! before   40.snapshot  41.delta  42.delta … 60.delta │ 61.delta     the newest commit
//!          └──────────── read, shard by shard ───────┘
//! after    60.snapshot                                │ 61.delta     the next one
//! ```
//!
//! Everything that is read is immutable and stays until a commit without it, so this may run beside
//! the query. One shard is in memory at a time, beside what is written: that, compressed.

use std::collections::BTreeSet;

use headwater_core::id::{OperatorId, ShardId};
use headwater_core::state::{ChunkKind, StateChunk};
use headwater_core::{Error, Result};

use super::Checkpoint;
use crate::state_files::{Pack, PackIndex, StateFileRef};

/// Makes one chunk of those of a shard.
pub type Rebuild<'a> = dyn Fn(&OperatorId, ShardId, &[StateChunk]) -> Result<StateChunk> + 'a;

impl Checkpoint {
    /// Writes a snapshot of what files of the newest commit make up, which are its first ones, up
    /// to any. A later commit may name it in their place.
    ///
    /// `rebuild` gives the whole state of a shard from its chunks. `None` if `is_over` said so
    /// meanwhile; nothing is written then.
    ///
    /// # Errors
    /// If files are damaged, or what `rebuild` says.
    pub fn compact(
        &self,
        files: &[StateFileRef],
        rebuild: &Rebuild<'_>,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Option<StateFileRef>> {
        let last = files.last();
        let epoch = last.ok_or_else(|| Error::internal("there is nothing to compact"))?;
        let query = &self.metadata.query_id;
        let mut packs = Vec::with_capacity(files.len());
        for file in files {
            if is_over() {
                return Ok(None);
            }
            packs.push(PackIndex::read(&*self.store, query, &file.path)?);
        }
        let shards: BTreeSet<_> = packs.iter().flat_map(PackIndex::shards).collect();
        let mut snapshot = Pack::new(Some(query), epoch.epoch, ChunkKind::Snapshot);
        for (operator, shard) in shards {
            let mut chunks = Vec::new();
            for (pack, file) in packs.iter().zip(files) {
                if is_over() {
                    return Ok(None);
                }
                if !self.is_dropped(operator, file) {
                    chunks.extend(pack.chunks_of(&*self.store, operator, shard)?);
                }
            }
            if chunks.is_empty() {
                continue;
            }
            snapshot.push(operator, shard, &rebuild(operator, shard, &chunks)?)?;
        }
        self.announce(epoch.epoch, ChunkKind::Snapshot)?;
        snapshot.write(&*self.store).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::compute::concat_batches;
    use headwater_core::ErrorKind;
    use headwater_core::clock::ManualClock;
    use headwater_core::event_time::EventTime;
    use headwater_core::id::EpochId;

    use super::*;
    use crate::commit_log::CommitRecord;
    use crate::file_store::FileStore;
    use crate::memory_files::MemoryFiles;
    use crate::test_data::{chunks, commit_record, epoch_record, metadata};

    const SNAPSHOT: &str = "state/00000002.snapshot";

    fn open(store: &MemoryFiles) -> Checkpoint {
        let clock = ManualClock::new(EventTime(1));
        let opened = Checkpoint::open(Arc::new(store.clone()), &metadata(), &clock);
        opened.unwrap().0
    }

    fn run(checkpoint: &Checkpoint, epoch: EpochId, before: &[StateFileRef]) -> Vec<StateFileRef> {
        checkpoint.log_epoch(&epoch_record(epoch)).unwrap();
        let mut chunks = chunks(epoch, ChunkKind::Delta);
        // The second shard changes in the first epoch only.
        chunks.truncate(if epoch.0 == 0 { 2 } else { 1 });
        let file = checkpoint.write_state(epoch, ChunkKind::Delta, &chunks);
        let files = [before, &[file.unwrap()]].concat();
        let commit = commit_record(epoch, files.clone());
        checkpoint.commit(&commit).unwrap();
        files
    }

    /// All rows of all chunks: enough to see what was read, and in which order.
    fn joined(chunks: &[StateChunk]) -> StateChunk {
        let rows = chunks.iter().map(|c| &c.rows);
        StateChunk {
            kind: ChunkKind::Snapshot,
            rows: concat_batches(chunks[0].rows.schema_ref(), rows).unwrap(),
            dropped_panes: chunks
                .iter()
                .flat_map(|c| c.dropped_panes.clone())
                .collect(),
        }
    }

    fn compact(checkpoint: &Checkpoint, files: &[StateFileRef]) -> Result<Option<StateFileRef>> {
        checkpoint.compact(files, &|_, _, chunks| Ok(joined(chunks)), &|| false)
    }

    fn three_epochs() -> (MemoryFiles, Checkpoint, Vec<StateFileRef>) {
        let store = MemoryFiles::new();
        let checkpoint = open(&store);
        let files = (0..3).fold(vec![], |files, epoch| {
            run(&checkpoint, EpochId(epoch), &files)
        });
        (store, checkpoint, files)
    }

    #[test]
    fn a_snapshot_of_committed_epochs_takes_their_place_in_a_later_commit() {
        let (store, checkpoint, files) = three_epochs();
        let commit = |files| CommitRecord {
            state_files: files,
            ..commit_record(EpochId(9), vec![])
        };
        let before = checkpoint.load_state(&commit(files.clone())).unwrap();
        let snapshot = compact(&checkpoint, &files).unwrap().unwrap();
        assert_eq!(
            (snapshot.path.as_str(), snapshot.epoch),
            (SNAPSHOT, EpochId(2))
        );
        assert_eq!(store.size(SNAPSHOT).unwrap(), Some(snapshot.bytes));
        let after = checkpoint
            .load_state(&commit(vec![snapshot.clone()]))
            .unwrap();
        let expected = before
            .into_iter()
            .map(|(shard, c)| (shard, vec![joined(&c)]));
        assert_eq!(after, expected.collect());

        checkpoint.clean_up().unwrap();
        assert!(store.size(SNAPSHOT).unwrap().is_some(), "it waits");
        let files = run(&checkpoint, EpochId(3), &[snapshot]);
        run(&checkpoint, EpochId(4), &files);
        checkpoint.clean_up().unwrap();
        let left = store.list("state").unwrap();
        assert_eq!(
            left,
            ["00000002.snapshot", "00000003.delta", "00000004.delta"]
        );
    }

    #[test]
    fn one_that_is_over_or_fails_leaves_no_file() {
        let (store, checkpoint, files) = three_epochs();
        let rebuild = |_: &OperatorId, _, chunks: &[StateChunk]| Ok(joined(chunks));
        for looks in 0..9 {
            let left = std::cell::Cell::new(looks);
            let is_over = || left.replace(left.get() - 1) == 0;
            assert_eq!(
                checkpoint.compact(&files, &rebuild, &is_over).unwrap(),
                None
            );
            assert_eq!(store.size(SNAPSHOT).unwrap(), None, "after {looks} looks");
        }
        let refuse = |_: &OperatorId, _, _: &[StateChunk]| Err(Error::internal("no"));
        assert!(checkpoint.compact(&files, &refuse, &|| false).is_err());
        assert!(checkpoint.compact(&[], &rebuild, &|| false).is_err());
        assert_eq!(store.size(SNAPSHOT).unwrap(), None);
    }

    #[test]
    fn damage_ends_it_and_is_not_written_into_a_snapshot() {
        let (store, checkpoint, files) = three_epochs();
        for file in &files {
            let good = store.read(&file.path).unwrap().unwrap();
            for bit in (0..good.len() * 8).step_by(29) {
                let mut bytes = good.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                store.write_atomic(&file.path, &bytes).unwrap();
                let error = compact(&checkpoint, &files).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Checkpoint);
                assert!(error.message().contains(&file.path), "{error}");
            }
            store.write_atomic(&file.path, &good).unwrap();
        }
        assert_eq!(store.size(SNAPSHOT).unwrap(), None);
    }
}
