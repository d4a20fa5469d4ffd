//! A scripted run, cut at every durable step, before and after its effect, once and twice.
//!
//! What this proves: whatever step a crash hits, the checkpoint opens again; no commit that
//! returned is lost; a logged epoch comes back with its decisions; the state of the last commit is
//! there; and the run goes on to the same end as one that was never cut. It does not prove that
//! [`crate::LocalFiles`] makes single steps whole: that is the file system's part.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::clock::ManualClock;
use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::state::ChunkKind;

use crate::checkpoint::{Checkpoint, Recovered};
use crate::epoch_log::EpochRecord;
use crate::failing_files::{Cut, CutKind, CutMoment, FailingFiles};
use crate::file_store::FileStore;
use crate::inspection::{inspect, verify};
use crate::memory_files::MemoryFiles;
use crate::test_data::{Chunks, chunks, commit_record, epoch_record, metadata};

const EPOCHS: u64 = 5;
/// This epoch's commit replaces the deltas before it by a snapshot.
const SNAPSHOT_AT: u64 = 2;

fn open(store: Arc<dyn FileStore>) -> Result<(Checkpoint, Recovered)> {
    let clock = ManualClock::new(EventTime(1));
    Checkpoint::open(store, &metadata(), &clock)
}

/// What a run was told is durable.
#[derive(Debug, Default, Clone)]
struct Acknowledged {
    logged: Option<EpochId>,
    committed: Option<EpochId>,
}

/// Goes on from where the checkpoint stands to the last epoch.
fn run(store: Arc<dyn FileStore>, told: &mut Acknowledged) -> Result<()> {
    let (checkpoint, recovered) = open(store)?;
    let journal = checkpoint.journal("orders");
    let mut files = recovered
        .last_commit
        .as_ref()
        .map(|c| c.state_files.clone())
        .unwrap_or_default();
    for epoch in (recovered.next_epoch().0..EPOCHS).map(EpochId) {
        if !recovered.pending.iter().any(|p| p.epoch == epoch) {
            if journal.entries()?.len() as u64 <= epoch.0 {
                journal.append(&[format!("file-{epoch}")])?;
            }
            checkpoint.log_epoch(&epoch_record(epoch))?;
            told.logged = Some(epoch);
        }
        let write = |epoch, kind| checkpoint.write_state(epoch, kind, &chunks(epoch, kind));
        if epoch.0 == SNAPSHOT_AT {
            files = vec![write(EpochId(SNAPSHOT_AT - 1), ChunkKind::Snapshot)?];
        }
        files.push(write(epoch, ChunkKind::Delta)?);
        checkpoint.commit(&commit_record(epoch, files.clone()))?;
        told.committed = Some(epoch);
        checkpoint.clean_up()?;
    }
    Ok(())
}

/// The chunks of the state after an epoch, in the order of their restoration.
fn expected_state(epoch: EpochId) -> Chunks {
    let deltas = |from: u64| (from..=epoch.0).map(|e| chunks(EpochId(e), ChunkKind::Delta));
    if epoch.0 < SNAPSHOT_AT {
        return deltas(0).flatten().collect();
    }
    let snapshot = chunks(EpochId(SNAPSHOT_AT - 1), ChunkKind::Snapshot);
    std::iter::once(snapshot)
        .chain(deltas(SNAPSHOT_AT))
        .flatten()
        .collect()
}

fn found_state(checkpoint: &Checkpoint, recovered: &Recovered) -> Chunks {
    let Some(commit) = &recovered.last_commit else {
        return Chunks::new();
    };
    let state = checkpoint.load_state(commit).unwrap();
    state
        .into_iter()
        .flat_map(|((operator, shard), chunks)| {
            chunks
                .into_iter()
                .map(move |c| (operator.clone(), shard, c))
        })
        .collect()
}

/// Opens what a crash left and compares it with what the run was told.
fn check_recovery(store: &MemoryFiles, told: &Acknowledged, context: &str) {
    let opened = open(Arc::new(store.clone()));
    let (checkpoint, recovered) = opened.unwrap_or_else(|e| panic!("{context}: {e}"));
    let last = recovered.last_commit.as_ref().map(|c| c.epoch);
    assert!(last >= told.committed, "{context}: commit lost, {last:?}");
    let next = recovered.next_epoch();
    if let Some(logged) = told.logged.filter(|logged| *logged >= next) {
        assert_eq!(logged, next, "{context}");
        assert_eq!(recovered.pending.len(), 1, "{context}: decisions lost");
    }
    for pending in &recovered.pending {
        assert_eq!(*pending, epoch_record(next), "{context}");
    }
    if let Some(last) = last {
        let commit = recovered.last_commit.as_ref().unwrap();
        let expected = commit_record(last, commit.state_files.clone());
        assert_eq!(*commit, expected, "{context}");
        let mut expected = expected_state(last);
        expected.sort_by_key(|(_, shard, _)| *shard);
        assert_eq!(found_state(&checkpoint, &recovered), expected, "{context}");
    }
    let entries = checkpoint.journal("orders").entries().unwrap();
    let expected: Vec<String> = (0..entries.len()).map(|e| format!("file-{e}")).collect();
    assert_eq!(entries, expected, "{context}");
    let logged = recovered.pending.last().map(|p| p.epoch).or(last);
    let least = logged.map_or(0, |l| l.0 + 1);
    assert!(entries.len() as u64 >= least, "{context}: entries lost");
}

fn next_epoch(store: &MemoryFiles) -> EpochId {
    let (_, recovered) = open(Arc::new(store.clone())).unwrap();
    recovered.next_epoch()
}

fn cuts(operations: u64) -> impl Iterator<Item = Cut> {
    let sides = [CutMoment::BeforeEffect, CutMoment::AfterEffect];
    let kinds = [CutKind::Crash, CutKind::Error];
    (1..=operations).flat_map(move |at| {
        sides
            .into_iter()
            .flat_map(move |moment| kinds.map(|kind| Cut { at, moment, kind }))
    })
}

fn cut_run(store: &MemoryFiles, cut: Cut, told: &mut Acknowledged) -> Result<()> {
    run(Arc::new(FailingFiles::cut_at(store.clone(), cut)), told)
}

fn operations_of_a_whole_run() -> u64 {
    let counting = Arc::new(FailingFiles::new(MemoryFiles::new()));
    let store: Arc<dyn FileStore> = Arc::<FailingFiles<MemoryFiles>>::clone(&counting);
    run(store, &mut Acknowledged::default()).unwrap();
    counting.operations()
}

/// Every file with its bytes, except the lock's.
fn contents(store: &MemoryFiles) -> Vec<(String, Vec<u8>)> {
    let folders = ["", "epochs", "commits", "state", "sources/orders"];
    let paths = folders.into_iter().flat_map(|folder| {
        let names = store.list(folder).unwrap();
        names
            .into_iter()
            .map(move |name| format!("{folder}/{name}").trim_matches('/').to_string())
    });
    paths
        .map(|path| (path.clone(), store.read(&path).unwrap().unwrap()))
        .collect()
}

#[test]
fn cut_at_any_step_a_run_recovers_and_ends_the_same() {
    let whole = MemoryFiles::new();
    run(Arc::new(whole.clone()), &mut Acknowledged::default()).unwrap();
    let operations = operations_of_a_whole_run();
    assert!(operations > 30, "the script has only {operations} steps");
    for cut in cuts(operations) {
        let store = MemoryFiles::new();
        let mut told = Acknowledged::default();
        let context = format!("{cut:?}");
        assert!(cut_run(&store, cut, &mut told).is_err(), "{context}");
        check_recovery(&store, &told, &context);
        run(Arc::new(store.clone()), &mut told).unwrap();
        check_recovery(&store, &told, &context);
        assert_eq!(next_epoch(&store), EpochId(EPOCHS), "{context}");
        // A crash after the last commit may leave files that the next clean-up would take.
        if cut.at + 6 < operations {
            assert_eq!(contents(&store), contents(&whole), "{context}");
        }
    }
}

#[test]
fn cut_again_while_it_recovers_a_run_still_recovers() {
    // Enough for the rest of the interrupted epoch and the start of the one after it; cuts after
    // that have been made by the test above.
    let steps_of_recovery = 9;
    let crashes = |cut: &Cut| cut.kind == CutKind::Crash;
    for first in cuts(operations_of_a_whole_run()).filter(crashes) {
        for second in cuts(steps_of_recovery).filter(crashes) {
            let store = MemoryFiles::new();
            let mut told = Acknowledged::default();
            assert!(cut_run(&store, first, &mut told).is_err());
            let is_cut_again = cut_run(&store, second, &mut told).is_err();
            check_recovery(&store, &told, &format!("{first:?}, then {second:?}"));
            if !is_cut_again {
                break;
            }
        }
    }
}

#[test]
fn only_what_two_commits_need_is_kept() {
    let store = MemoryFiles::new();
    run(Arc::new(store.clone()), &mut Acknowledged::default()).unwrap();
    let paths: Vec<String> = contents(&store).into_iter().map(|(path, _)| path).collect();
    let expected = [
        "metadata.json",
        "epochs/00000003.json",
        "epochs/00000004.json",
        "commits/00000003.json",
        "commits/00000004.json",
        "state/00000001.snapshot",
        "state/00000002.delta",
        "state/00000003.delta",
        "state/00000004.delta",
    ];
    assert_eq!(paths[..expected.len()], expected);
    assert_eq!(paths.len(), expected.len() + 5, "{paths:?}");
}

#[test]
fn a_snapshot_in_waiting_survives_a_clean_up() {
    let store = MemoryFiles::new();
    run(Arc::new(store.clone()), &mut Acknowledged::default()).unwrap();
    let write_early = |checkpoint: &Checkpoint| {
        let epoch = EpochId(3);
        let chunks = chunks(epoch, ChunkKind::Snapshot);
        checkpoint
            .write_state(epoch, ChunkKind::Snapshot, &chunks)
            .unwrap()
    };
    let exists = |path: &str| store.size(path).unwrap().is_some();
    let (checkpoint, _) = open(Arc::new(store.clone())).unwrap();
    let file = write_early(&checkpoint);
    store.write_atomic("state/notes.txt", b"a user's").unwrap();
    checkpoint.clean_up().unwrap();
    assert!(exists(&file.path));
    // A new process knows nothing of it, so it is garbage then.
    drop(checkpoint);
    let (checkpoint, _) = open(Arc::new(store.clone())).unwrap();
    checkpoint.clean_up().unwrap();
    assert!(!exists(&file.path));
    assert!(exists("state/notes.txt"));
}

#[test]
fn steps_out_of_order_are_refused() {
    let store = MemoryFiles::new();
    let (checkpoint, _) = open(Arc::new(store)).unwrap();
    let write = |epoch, kind| checkpoint.write_state(epoch, kind, &chunks(epoch, kind));
    let (zero, one, two) = (EpochId(0), EpochId(1), EpochId(2));
    assert!(checkpoint.log_epoch(&epoch_record(one)).is_err());
    assert!(checkpoint.commit(&commit_record(zero, vec![])).is_err());
    checkpoint.log_epoch(&epoch_record(zero)).unwrap();
    assert!(checkpoint.log_epoch(&epoch_record(zero)).is_err());
    let file = write(zero, ChunkKind::Delta).unwrap();
    let mut missing = file.clone();
    missing.path = "state/00000000.snapshot".to_string();
    let commit = commit_record(zero, vec![missing]);
    assert!(checkpoint.commit(&commit).is_err());
    let commit = commit_record(zero, vec![file]);
    checkpoint.commit(&commit).unwrap();
    assert!(checkpoint.commit(&commit).is_err());
    assert!(write(zero, ChunkKind::Delta).is_err(), "it is committed");
    assert!(write(one, ChunkKind::Delta).is_err(), "it is not running");
    checkpoint.log_epoch(&epoch_record(one)).unwrap();
    assert!(write(two, ChunkKind::Delta).is_err(), "it is not running");
    write(one, ChunkKind::Delta).unwrap();
}

/// Epochs 1 to 3, decided after the commit of epoch 0 and committed with epoch 3.
fn log_three(checkpoint: &Checkpoint) {
    for epoch in (1..=3).map(EpochId) {
        let record = EpochRecord {
            last_committed: Some(EpochId(0)),
            ..epoch_record(epoch)
        };
        checkpoint.log_epoch(&record).unwrap();
    }
}

/// A store in which epoch 0 is committed, open.
fn after_epoch_0() -> (MemoryFiles, Checkpoint) {
    let store = MemoryFiles::new();
    let (checkpoint, _) = open(Arc::new(store.clone())).unwrap();
    checkpoint.log_epoch(&epoch_record(EpochId(0))).unwrap();
    checkpoint
        .commit(&commit_record(EpochId(0), vec![]))
        .unwrap();
    (store, checkpoint)
}

/// The same in one file.
fn log_three_together(checkpoint: &Checkpoint) {
    let mut records = (1..=3).map(EpochId).map(|epoch| EpochRecord {
        last_committed: Some(EpochId(0)),
        ..epoch_record(epoch)
    });
    let earlier = vec![records.next().unwrap(), records.next().unwrap()];
    let last = records.next().unwrap();
    let twice = EpochRecord {
        earlier: vec![earlier[0].clone(), earlier[0].clone()],
        ..last.clone()
    };
    assert!(checkpoint.log_epoch(&twice).is_err());
    checkpoint
        .log_epoch(&EpochRecord { earlier, ..last })
        .unwrap();
}

#[test]
fn epochs_that_ran_before_a_crash_may_be_committed_in_other_groups() {
    for log in [log_three, log_three_together] {
        commit_in_other_groups(log);
    }
}

fn commit_in_other_groups(log: fn(&Checkpoint)) {
    let (store, checkpoint) = after_epoch_0();
    log(&checkpoint);
    let reopened = |store: &MemoryFiles| open(Arc::new(store.clone())).unwrap();
    drop(checkpoint);
    let (checkpoint, recovered) = reopened(&store);
    let pending: Vec<u64> = recovered.pending.iter().map(|p| p.epoch.0).collect();
    assert_eq!(pending, [1, 2, 3]);
    assert_eq!(recovered.next_epoch(), EpochId(1));
    // The query may be stopped, or a commit be due, before all of them have run again.
    checkpoint
        .commit(&commit_record(EpochId(2), vec![]))
        .unwrap();
    drop(checkpoint);
    let (checkpoint, recovered) = reopened(&store);
    let pending: Vec<u64> = recovered.pending.iter().map(|p| p.epoch.0).collect();
    assert_eq!(pending, [3]);
    let files: Arc<dyn FileStore> = Arc::new(store.clone());
    assert_eq!(inspect(&files).unwrap().pending, recovered.pending);
    let verified = verify(&files).unwrap();
    assert!(
        verified.iter().all(|file| file.damage.is_none()),
        "{verified:?}"
    );
    checkpoint
        .commit(&commit_record(EpochId(3), vec![]))
        .unwrap();
    drop(checkpoint);
    let (_, recovered) = reopened(&store);
    assert_eq!(recovered.next_epoch(), EpochId(4));
    assert_eq!(recovered.pending, []);
}

#[test]
fn a_hole_in_the_log_is_noticed() {
    let (store, checkpoint) = after_epoch_0();
    log_three(&checkpoint);
    drop(checkpoint);
    store.delete("epochs/00000002.json").unwrap();
    let error = open(Arc::new(store)).unwrap_err();
    let message = error.message();
    assert!(
        message.contains("\"epochs/00000003.json\" is there"),
        "{message}"
    );
    assert!(
        message.contains("\"epochs/00000002.json\" is missing"),
        "{message}"
    );
}

/// The deletion of a discarded record is not synced.
#[test]
fn a_discarded_commit_that_comes_back_is_one_of_several() {
    let (store, checkpoint) = after_epoch_0();
    log_three(&checkpoint);
    let [one, three] = [1, 3].map(|epoch| commit_record(EpochId(epoch), vec![]));
    checkpoint.prepare_commit(&three).unwrap();
    let brought_back = store.read("prepared/00000003.json").unwrap().unwrap();
    checkpoint.discard_commit(&three).unwrap();
    checkpoint.prepare_commit(&one).unwrap();
    drop(checkpoint);
    store
        .write_atomic("prepared/00000003.json", &brought_back)
        .unwrap();
    let (_, recovered) = open(Arc::new(store)).unwrap();
    assert_eq!(recovered.prepared, [one.clone(), three.clone()]);
    let settled = recovered.after(one);
    let pending: Vec<u64> = settled.pending.iter().map(|p| p.epoch.0).collect();
    assert_eq!(pending, [2, 3]);
    assert_eq!(settled.prepared, [three]);
    assert_eq!(settled.next_epoch(), EpochId(2));
}

#[test]
fn a_prepared_commit_waits_for_the_sinks_word() {
    let (store, checkpoint) = after_epoch_0();
    let epoch = EpochId(1);
    checkpoint.log_epoch(&epoch_record(epoch)).unwrap();
    let delta = chunks(epoch, ChunkKind::Delta);
    let file = checkpoint.write_state(epoch, ChunkKind::Delta, &delta);
    let commit = commit_record(epoch, vec![file.unwrap()]);
    checkpoint.prepare_commit(&commit).unwrap();
    drop(checkpoint);
    let (checkpoint, recovered) = open(Arc::new(store.clone())).unwrap();
    assert_eq!(recovered.next_epoch(), EpochId(1));
    assert_eq!(recovered.prepared, std::slice::from_ref(&commit));
    checkpoint.clean_up().unwrap();
    // The sink says no, and the epoch runs again; then it says yes.
    checkpoint.discard_commit(&commit).unwrap();
    checkpoint.prepare_commit(&commit).unwrap();
    checkpoint.finish_commit(&commit).unwrap();
    drop(checkpoint);
    let (_, recovered) = open(Arc::new(store)).unwrap();
    assert_eq!(recovered.next_epoch(), EpochId(2));
    assert_eq!(recovered.prepared, []);
    assert_eq!(recovered.last_commit, Some(commit));
}

/// The process that asks the sink is another one than wrote the state.
#[test]
fn a_prepared_commit_with_state_may_be_finished_by_the_next_process() {
    let (store, checkpoint) = after_epoch_0();
    let epoch = EpochId(1);
    checkpoint.log_epoch(&epoch_record(epoch)).unwrap();
    let kind = ChunkKind::Snapshot;
    let file = checkpoint.write_state(epoch, kind, &chunks(epoch, kind));
    let commit = commit_record(epoch, vec![file.unwrap()]);
    checkpoint.prepare_commit(&commit).unwrap();
    drop(checkpoint);
    let (checkpoint, _) = open(Arc::new(store.clone())).unwrap();
    checkpoint.finish_commit(&commit).unwrap();
    assert!(!checkpoint.load_state(&commit).unwrap().is_empty());
    drop(checkpoint);
    let (_, recovered) = open(Arc::new(store)).unwrap();
    assert_eq!(recovered.last_commit, Some(commit));
}
