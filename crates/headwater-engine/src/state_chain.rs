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
        let snapshot_bytes = bytes_of(&self.files) - delta_bytes;
        let outweigh = is_worth_it(deltas, delta_bytes) && delta_bytes > snapshot_bytes / 2;
        outweigh || deltas >= MANY_DELTAS
    }

    /// Whether what came after the files that are being replaced is so much that the folder would
    /// not stay within three times the state: those are half as much again as the state, and the
    /// snapshot that is made of them lies beside them.
    pub(crate) fn is_far_ahead_of(&self, replaced: &[StateFileRef]) -> bool {
        let later = self.files.strip_prefix(replaced).unwrap_or_default();
        let later_bytes = bytes_of(later);
        is_worth_it(later.len(), later_bytes) && later_bytes > bytes_of(replaced) / 4
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

fn bytes_of(files: &[StateFileRef]) -> u64 {
    files.iter().map(|f| f.bytes).sum()
}

/// Whether so many deltas of so many bytes are worth a thread.
fn is_worth_it(deltas: usize, bytes: u64) -> bool {
    deltas >= MIN_DELTAS || bytes >= MIN_DELTA_BYTES
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
    fn a_quarter_of_what_is_being_replaced_is_far_ahead_of_it() {
        let old = chain_of(1000, 20, 30);
        let with = |deltas: usize, bytes| {
            let later = (0..deltas).map(|_| file(ChunkKind::Delta, bytes));
            later.fold(old.clone(), |chain, delta| chain.with(delta))
        };
        let cases = [
            (0, 0, false),
            (15, 100, false),
            (16, 25, false),
            (16, 26, true),
        ];
        for (deltas, bytes, is_far) in cases {
            let is_far_ahead = with(deltas, bytes).is_far_ahead_of(old.files());
            assert_eq!(is_far_ahead, is_far, "{deltas} deltas of {bytes}");
        }
        // What does not begin with them replaces nothing.
        assert!(!StateChain::default().is_far_ahead_of(old.files()));
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
