//! Every kind of file, cut short and with every bit flipped.
//!
//! What this proves: damage is an error of kind Checkpoint that names the file, or, in a file that
//! recovery does not need, has no effect. It is never a wrong answer and never a panic.

use std::sync::Arc;

use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::state::ChunkKind;
use headwater_core::{ErrorKind, Result};

use crate::checkpoint::Checkpoint;
use crate::file_store::FileStore;
use crate::memory_files::MemoryFiles;
use crate::test_data::{chunks, commit_record, epoch_record, metadata};

/// The files that recovery reads.
const NEEDED: [&str; 6] = [
    "metadata.json",
    "epochs/00000002.json",
    "commits/00000001.json",
    "prepared/00000002.json",
    "state/00000001.delta",
    "sources/orders/00000001.json",
];
/// Those that it only looks for, or does not look at.
const NOT_READ: [&str; 2] = ["epochs/00000001.json", "commits/00000000.json"];

/// Two committed epochs and a prepared one.
fn sample() -> MemoryFiles {
    let store = MemoryFiles::new();
    let clock = ManualClock::new(EventTime(1));
    let (checkpoint, _) = Checkpoint::open(Arc::new(store.clone()), &metadata(), &clock).unwrap();
    let journal = checkpoint.journal("orders");
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
    store
}

/// Everything that recovery gives, as text to compare.
fn recover(store: &MemoryFiles) -> Result<String> {
    let clock = ManualClock::new(EventTime(1));
    let (checkpoint, recovered) = Checkpoint::open(Arc::new(store.clone()), &metadata(), &clock)?;
    let state = match &recovered.last_commit {
        Some(commit) => checkpoint.load_state(commit)?,
        None => Default::default(),
    };
    let entries = checkpoint.journal("orders").entries()?;
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
