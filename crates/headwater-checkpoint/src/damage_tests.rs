//! Every kind of file, cut short and with every bit flipped.
//!
//! What this proves: damage is an error of kind Checkpoint that names the file, or, in a file that
//! recovery does not need, has no effect. It is never a wrong answer and never a panic.

use std::sync::Arc;

use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::state::ChunkKind;
use headwater_core::{ErrorKind, Result};

use crate::checkpoint::Checkpoint;
use crate::file_store::FileStore;
use crate::inspection::verify;
use crate::local_files::LocalFiles;
use crate::memory_files::MemoryFiles;
use crate::query_metadata::QueryMetadata;
use crate::test_data::{chunks, commit_record, epoch_record, metadata};

/// The files that recovery reads.
const NEEDED: [&str; 6] = [
    "metadata.json",
    "epochs/00000002.json",
    "commits/00000001.json",
    "prepared/00000002.json",
    "state/00000001.delta",
    "sources/0-orders/00000001.json",
];
/// Those that it only looks for, or does not look at.
const NOT_READ: [&str; 2] = ["epochs/00000001.json", "commits/00000000.json"];

/// Two committed epochs and a prepared one.
fn sample() -> MemoryFiles {
    let store = MemoryFiles::new();
    fill(&store, "q");
    store
}

fn fill<F: FileStore + Clone + 'static>(store: &F, query: &str) {
    let clock = ManualClock::new(EventTime(1));
    let metadata = QueryMetadata {
        query_id: QueryId::new(query),
        ..metadata()
    };
    let (checkpoint, _) = Checkpoint::open(Arc::new(store.clone()), &metadata, &clock).unwrap();
    let journal = checkpoint.journal("0-orders");
    journal.append(&["a".to_string(), "b".to_string()]).unwrap();
    for epoch in [EpochId(0), EpochId(1)] {
        checkpoint.log_epoch(&epoch_record(epoch)).unwrap();
        let chunks = chunks(epoch, ChunkKind::Delta);
        let file = checkpoint
            .write_state(epoch, ChunkKind::Delta, &chunks[..1])
            .unwrap();
        checkpoint
            .commit(&commit_record(epoch, vec![file]))
            .unwrap();
    }
    checkpoint.log_epoch(&epoch_record(EpochId(2))).unwrap();
    let commit = commit_record(EpochId(2), vec![]);
    checkpoint.prepare_commit(&commit).unwrap();
}

/// Everything that recovery gives, as text to compare.
fn recover<F: FileStore + Clone + 'static>(store: &F) -> Result<String> {
    let clock = ManualClock::new(EventTime(1));
    let (checkpoint, recovered) = Checkpoint::open(Arc::new(store.clone()), &metadata(), &clock)?;
    let state = match &recovered.last_commit {
        Some(commit) => checkpoint.load_state(commit)?,
        None => Default::default(),
    };
    let entries = checkpoint.journal("0-orders").entries()?;
    let metadata = checkpoint.metadata();
    Ok(format!("{metadata:?} {recovered:?} {state:?} {entries:?}"))
}

/// Replaces a file by damaged bytes and recovers.
fn check(store: &MemoryFiles, path: &str, bytes: &[u8], expected: &str, what: &str) {
    let good = store.read(path).unwrap().unwrap();
    store.write_atomic(path, bytes).unwrap();
    let found = recover(store);
    store.write_atomic(path, &good).unwrap();
    match found {
        Ok(found) => {
            assert_eq!(found, expected, "{path}, {what}: a wrong answer");
            assert!(!NEEDED.contains(&path), "{path}, {what}: not noticed");
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{path}, {what}");
            assert!(error.message().contains(path), "{path}, {what}: {error}");
        }
    }
}

/// Who is sent to `checkpoint verify` by a start that was refused finds there what is damaged.
#[test]
fn verify_names_what_recovery_refuses() {
    let store = sample();
    let checked: Arc<dyn FileStore> = Arc::new(store.clone());
    let damaged = || {
        let files = verify(&checked).unwrap().into_iter();
        let damaged = files.filter(|file| file.damage.is_some());
        damaged.map(|file| file.path).collect::<Vec<_>>()
    };
    assert!(damaged().is_empty());
    for path in NEEDED {
        let good = store.read(path).unwrap().unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        store.write_atomic(path, &bad).unwrap();
        assert!(recover(&store).is_err(), "{path}");
        assert!(damaged().contains(&path.to_string()), "{path}");
        store.write_atomic(path, &good).unwrap();
    }
}

#[test]
fn files_cut_short_are_noticed() {
    let store = sample();
    let expected = recover(&store).unwrap();
    for path in NEEDED.into_iter().chain(NOT_READ) {
        let bytes = store.read(path).unwrap().unwrap();
        for length in 0..bytes.len() {
            let what = format!("{length} bytes of {}", bytes.len());
            check(&store, path, &bytes[..length], &expected, &what);
        }
        let longer = [bytes.as_slice(), b"\n"].concat();
        check(&store, path, &longer, &expected, "one byte more");
    }
}

#[test]
fn every_flipped_bit_is_noticed() {
    let store = sample();
    let expected = recover(&store).unwrap();
    for path in NEEDED.into_iter().chain(NOT_READ) {
        let good = store.read(path).unwrap().unwrap();
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            check(&store, path, &bytes, &expected, &format!("bit {bit}"));
        }
    }
}

#[test]
fn missing_files_are_noticed() {
    let needed = NEEDED.iter().copied().chain(["epochs/00000001.json"]);
    for path in needed.filter(|p| !p.starts_with("sources/")) {
        // Without its record, an epoch was not prepared; if the sink says that it was, the engine
        // refuses to go on.
        if path == "prepared/00000002.json" {
            continue;
        }
        let store = sample();
        store.delete(path).unwrap();
        let error = recover(&store).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Checkpoint, "{path}");
        assert!(error.message().contains(path), "{path}: {error}");
        assert!(error.hint().is_some(), "{path}");
    }
}

#[test]
fn an_epoch_log_that_runs_ahead_is_noticed() {
    let store = sample();
    store.delete("commits/00000001.json").unwrap();
    let error = recover(&store).unwrap_err();
    assert!(error.message().contains("is incomplete"), "{error}");
}

#[test]
fn a_file_in_another_ones_place_is_noticed() {
    let cases = [
        ("epochs/00000001.json", "epochs/00000002.json"),
        ("commits/00000000.json", "commits/00000001.json"),
        ("commits/00000001.json", "epochs/00000002.json"),
        ("epochs/00000002.json", "state/00000001.delta"),
        ("state/00000001.delta", "metadata.json"),
    ];
    for (from, to) in cases {
        let store = sample();
        let bytes = store.read(from).unwrap().unwrap();
        check(&store, to, &bytes, "", from);
    }
}

#[test]
fn a_file_of_another_querys_checkpoint_is_noticed() {
    let (store, other) = (sample(), MemoryFiles::new());
    fill(&other, "other");
    let expected = recover(&store).unwrap();
    for path in NEEDED.into_iter().chain(NOT_READ) {
        let bytes = other.read(path).unwrap().unwrap();
        check(&store, path, &bytes, &expected, "of another query");
    }
    // A state file whose rows are the same is told by its query alone.
    let path = "state/00000001.delta";
    store
        .write_atomic(path, &other.read(path).unwrap().unwrap())
        .unwrap();
    let error = recover(&store).unwrap_err();
    assert!(error.message().contains("is of query \"other\""), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn files_of_a_newer_version_are_refused_as_such() {
    let store = sample();
    for path in NEEDED {
        let good = store.read(path).unwrap().unwrap();
        let text = good.iter().map(|b| char::from(*b)).collect::<String>();
        let newer = text.replacen(" v1 ", " v2 ", 1);
        let newer: Vec<u8> = newer.chars().map(|c| c as u8).collect();
        store.write_atomic(path, &newer).unwrap();
        let error = recover(&store).unwrap_err();
        assert!(error.message().contains(path), "{error}");
        assert!(error.message().contains("newer headwater"), "{error}");
        store.write_atomic(path, &good).unwrap();
    }
}

#[test]
fn copies_under_other_names_change_nothing_or_are_refused() {
    let expected = recover(&sample()).unwrap();
    for path in NEEDED.into_iter().chain(NOT_READ) {
        let store = sample();
        let bytes = store.read(path).unwrap().unwrap();
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for copy in [format!("{name}.bak"), format!("copy of {name}")] {
            let copy = format!("{folder}/{copy}");
            store.write_atomic(copy.trim_matches('/'), &bytes).unwrap();
        }
        assert_eq!(recover(&store).unwrap(), expected, "{path}");
        // Under the name of the next epoch it would be the newest.
        let next = path.replace("0000000", "0000009");
        if next != path && !path.starts_with("state/") {
            store.write_atomic(&next, &bytes).unwrap();
            match recover(&store) {
                Ok(found) => assert_eq!(found, expected, "{next}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Checkpoint, "{next}");
                    assert!(error.message().contains("0000009"), "{next}: {error}");
                }
            }
        }
    }
}

/// On a disk: what a crash, a hasty copy or a wrong mode leaves.
#[test]
fn temporary_files_are_passed_over_and_unreadable_ones_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::try_new(folder.path()).unwrap();
    fill(&store, "q");
    let expected = recover(&store).unwrap();
    for path in NEEDED.into_iter().chain(NOT_READ) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let temp = folder.path().join(parent).join(format!(".{name}.tmp"));
        std::fs::File::create(temp).unwrap();
    }
    assert_eq!(recover(&store).unwrap(), expected);

    for path in NEEDED {
        let file = folder.path().join(path);
        let good = store.read(path).unwrap().unwrap();
        store.delete(path).unwrap();
        // Nobody can read a folder as a file, whoever runs this test.
        std::fs::DirBuilder::new().create(&file).unwrap();
        match recover(&store) {
            Ok(_) => assert!(
                path.starts_with("prepared/") || path.starts_with("sources/"),
                "{path}: these are lists, in which it is not a file"
            ),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Checkpoint, "{path}");
                assert!(error.message().contains(path), "{path}: {error}");
            }
        }
        std::fs::remove_dir(&file).unwrap();
        store.write_atomic(path, &good).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn files_without_the_right_to_read_are_named() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFiles::try_new(folder.path()).unwrap();
    fill(&store, "q");
    for path in NEEDED {
        let file = folder.path().join(path);
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode));
        mode(0o000).unwrap();
        // The administrator may read it all the same.
        if std::fs::read(&file).is_err() {
            let error = recover(&store).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Checkpoint, "{path}");
            assert!(error.message().contains(path), "{path}: {error}");
            assert!(error.hint().unwrap().contains("right to read"), "{error}");
        }
        mode(0o600).unwrap();
    }
}
