//! Which state files a commit refers to: a snapshot and the deltas after it.

use headwater_checkpoint::StateFileRef;
use headwater_core::state::ChunkKind;

/// A chain is not replaced before it has this many deltas, or this many bytes of them: what is
/// smaller than that is not worth a thread.
const MIN_DELTAS: usize = 16;
const MIN_DELTA_BYTES: u64 = 4 << 20;
/// A chain is replaced at this many deltas whatever their size: every commit lists them, and every
/// recovery opens them.
const MANY_DELTAS: usize = 256;
/// A chain never has more deltas: if there is no other snapshot by then, an epoch writes one.
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

    /// The path of the snapshot, if there is one.
    pub(crate) fn snapshot(&self) -> Option<String> {
        let first = self.files.first();
        let first = first.filter(|file| file.kind == ChunkKind::Snapshot);
        first.map(|file| file.path.clone())
    }

    /// Whether it should be replaced by a snapshot: deltas that outweigh half of the snapshot they
    /// follow keep the folder within three times the state while old and new are both there.
    pub(crate) fn is_due(&self) -> bool {
        let is_delta = |f: &&StateFileRef| f.kind == ChunkKind::Delta;
        let deltas = self.deltas();
        let delta_bytes: u64 = self.files.iter().filter(is_delta).map(|f| f.bytes).sum();
        let all_bytes: u64 = self.files.iter().map(|f| f.bytes).sum();
        let snapshot_bytes = all_bytes - delta_bytes;
        let is_worth_it = deltas >= MIN_DELTAS || delta_bytes >= MIN_DELTA_BYTES;
        let outweigh = is_worth_it && delta_bytes > snapshot_bytes / 2;
        outweigh || deltas >= MANY_DELTAS
    }

    /// Whether no delta may be added.
    pub(crate) fn is_full(&self) -> bool {
        self.deltas() >= MAX_DELTAS
    }

    fn deltas(&self) -> usize {
        let files = self.files.iter();
        files.filter(|f| f.kind == ChunkKind::Delta).count()
    }

    /// The chain with a snapshot in place of its first files; `None` if it does not begin with
    /// them.
    pub(crate) fn with_snapshot_of(
        &self,
        replaced: &[StateFileRef],
        snapshot: StateFileRef,
    ) -> Option<StateChain> {
        let later = self.files.strip_prefix(replaced)?;
        let files = std::iter::once(snapshot).chain(later.iter().cloned());
        Some(StateChain {
            files: files.collect(),
        })
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

    fn chain_of(snapshot: u64, deltas: usize, bytes: u64) -> StateChain {
        let chain = StateChain::default().with(file(ChunkKind::Snapshot, snapshot));
        let delta = || file(ChunkKind::Delta, bytes);
        (0..deltas).fold(chain, |chain, _| chain.with(delta()))
    }

    #[test]
    fn a_snapshot_follows_when_the_deltas_outweigh_half_of_the_last() {
        let cases = [
            (1000, 50, 10, false),
            (1000, 51, 10, true),
            (10, 15, 10, false),
            (10, 16, 10, true),
            (9 << 20, 4, 1 << 20, false),
            (9 << 20, 5, 1 << 20, true),
            (7 << 20, 3, 1 << 20, false),
            (7 << 20, 4, 1 << 20, true),
            (1_000_000, 255, 1, false),
            (1_000_000, 256, 1, true),
        ];
        for (snapshot, deltas, bytes, is_due) in cases {
            let chain = chain_of(snapshot, deltas, bytes);
            let case = format!("{snapshot} bytes, then {deltas} deltas of {bytes}");
            assert_eq!(chain.is_due(), is_due, "{case}");
            assert!(!chain.is_full(), "{case}");
        }
        assert!(chain_of(1_000_000, 512, 1).is_full());
    }

    #[test]
    fn a_snapshot_takes_the_place_of_what_it_was_made_of_and_of_nothing_else() {
        let old = chain_of(1000, 3, 10);
        let later = StateFileRef {
            path: "later".into(),
            ..file(ChunkKind::Delta, 10)
        };
        let snapshot = file(ChunkKind::Snapshot, 1010);
        let chain = old.with(later.clone());
        let replaced = chain.with_snapshot_of(old.files(), snapshot.clone());
        assert_eq!(replaced.unwrap().files(), [snapshot.clone(), later.clone()]);
        let other = StateChain::default().with(later);
        assert!(other.with_snapshot_of(old.files(), snapshot).is_none());
    }
}
