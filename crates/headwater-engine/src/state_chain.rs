//! Which state files a commit refers to: a snapshot and the deltas after it.

use headwater_checkpoint::StateFileRef;
use headwater_core::state::ChunkKind;

/// A chain is not replaced before it has this many deltas.
const MIN_DELTAS: usize = 16;
/// A chain is replaced at this many deltas whatever their size: every commit lists them, and every
/// recovery opens them.
const MAX_DELTAS: usize = 512;

/// The newest state files of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct StateChain {
    files: Vec<StateFileRef>,
}

impl StateChain {
    pub(crate) fn new(files: Vec<StateFileRef>) -> Self {
        StateChain { files }
    }

    pub(crate) fn files(&self) -> &[StateFileRef] {
        &self.files
    }

    /// What the next epoch should write: a snapshot once reading the deltas back would cost more
    /// than reading the snapshot they follow.
    pub(crate) fn next_kind(&self) -> ChunkKind {
        let is_delta = |f: &&StateFileRef| f.kind == ChunkKind::Delta;
        let deltas = self.files.iter().filter(is_delta).count();
        let delta_bytes: u64 = self.files.iter().filter(is_delta).map(|f| f.bytes).sum();
        let all_bytes: u64 = self.files.iter().map(|f| f.bytes).sum();
        let snapshot_bytes = all_bytes - delta_bytes;
        let outweigh = deltas >= MIN_DELTAS && delta_bytes > snapshot_bytes;
        if outweigh || deltas >= MAX_DELTAS {
            ChunkKind::Snapshot
        } else {
            ChunkKind::Delta
        }
    }

    /// The chain with a new file at its end.
    pub(crate) fn with(&self, file: StateFileRef) -> StateChain {
        match file.kind {
            ChunkKind::Snapshot => StateChain { files: vec![file] },
            ChunkKind::Delta => {
                let mut files = self.files.clone();
                files.push(file);
                StateChain { files }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::id::EpochId;

    use super::*;

    fn file(kind: ChunkKind, bytes: u64) -> StateFileRef {
        StateFileRef {
            path: "p".into(),
            kind,
            epoch: EpochId(0),
            bytes,
        }
    }

    #[test]
    fn a_snapshot_follows_when_the_deltas_outweigh_the_last() {
        let mut chain = StateChain::default().with(file(ChunkKind::Snapshot, 1000));
        for n in 0..100 {
            assert_eq!(chain.next_kind(), ChunkKind::Delta, "after {n} deltas");
            chain = chain.with(file(ChunkKind::Delta, 10));
        }
        chain = chain.with(file(ChunkKind::Delta, 10));
        assert_eq!(chain.next_kind(), ChunkKind::Snapshot);
        chain = chain.with(file(ChunkKind::Snapshot, 1100));
        assert_eq!(chain.files().len(), 1);
    }
}
