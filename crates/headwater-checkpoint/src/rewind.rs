//! Taking a query back to a commit that is still kept.
//!
//! Nothing is deleted: a new commit is appended that holds what the old one held.
//!
//! ```text
//! commits    40    41    42    43 = 40
//!            ▲                  │  offsets, watermarks and state files of 40
//!            └──────────────────┘
//! ```
//!
//! Before it the record of its epoch is written, which reads nothing. So a crash leaves either the
//! old end or the new one, no epoch has the number of another one, and
//! a sink that remembers epoch 42 has seen nothing newer than the checkpoint. What became visible in
//! epochs 41 and 42 is for the sink to take back: files are named in the token of the new commit, and
//! the sink removes them when the query starts. What cannot be taken back is written again.

use std::collections::BTreeMap;
use std::sync::Arc;

use headwater_core::clock::Clock;
use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::offset::Slice;
use headwater_core::sink::CommitToken;
use headwater_core::{Error, ErrorKind, Result};
use serde_json::{Value, json};

use crate::commit_log::{CommitLog, CommitRecord};
use crate::epoch_log::{EpochLog, EpochRecord};
use crate::file_store::FileStore;
use crate::inspection::query_of;
use crate::lock::LockOwner;
use crate::side_commits::{SideCommit, SideCommits, SideOutput};
use crate::state_files::read_pack_of;

/// Whether rows may be written a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Only what the sink can take back may have been written.
    Refused,
    /// Rows that cannot be taken back are written again.
    Allowed,
}

/// What a rewind has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewound {
    /// The epoch that the query goes on after.
    pub to: EpochId,
    /// The newest epoch whose effects were taken back.
    pub from: EpochId,
    /// The epoch that was appended.
    pub appended: EpochId,
    /// Files of the sinks that are removed when the query starts.
    pub removed_files: usize,
}

/// Lets the query go on as after epoch `to`.
///
/// # Errors
/// Conflict if the query runs; Configuration if `to` is not kept, or if rows would be written twice
/// and that is not allowed; Checkpoint if a file that is needed is damaged.
pub fn rewind(
    store: &Arc<dyn FileStore>,
    to: EpochId,
    duplicates: Duplicates,
    clock: &dyn Clock,
) -> Result<Rewound> {
    let query = query_of(&**store)?.query_id;
    let _lock = store
        .lock(&LockOwner::this_process(clock))
        .map_err(|error| match error.kind() {
            ErrorKind::Conflict => error
                .with_detail("A running query would go on after what is taken back.")
                .with_hint("Stop the query, rewind, and start it again."),
            _ => error,
        })?;
    let (epochs, log) = (
        EpochLog::new(Arc::clone(store)).of_query(&query),
        CommitLog::new(Arc::clone(store)).of_query(&query),
    );
    let kept = log.epochs()?;
    let (Some(last), true) = (kept.last().copied(), kept.contains(&to)) else {
        return Err(not_kept(&**store, to, &kept));
    };
    let standing = standing_on(&log, &kept)?;
    check_start(&log, to, last, &standing)?;
    let mut later = Vec::new();
    for epoch in kept.iter().filter(|epoch| **epoch > to) {
        later.extend(log.read(*epoch)?);
    }
    let target = log.read(to)?.ok_or_else(|| not_kept(&**store, to, &kept))?;
    for file in &target.state_files {
        read_pack_of(&**store, Some(&query), &file.path)?;
    }
    let result: Vec<&CommitToken> = later.iter().flat_map(tokens).collect();
    let removed = visible_files(&result);
    let beside = written_beside(&later);
    let has_files = removed.is_some() || beside.values().any(|side| side.files.is_some());
    if has_files && !standing.contains(&to) {
        return Err(taken_back(to, &standing));
    }
    let is_lost = removed.is_none() || beside.values().any(|side| side.files.is_none());
    if is_lost && duplicates == Duplicates::Refused {
        return Err(written_twice(to, last));
    }
    let appended = last.next();
    let files = removed.as_ref().map_or(0, Vec::len);
    let files_beside = beside.values().filter_map(|side| side.files.as_ref());
    let files_beside: usize = files_beside.map(Vec::len).sum();
    let commit = CommitRecord {
        epoch: appended,
        sink_token: taking_back(removed),
        beside: taking_back_beside(beside),
        earlier: vec![],
        rewound_to: Some(to),
        ..target
    };
    forget_pending(&epochs, last)?;
    let Some(standing) = later.last() else {
        return Err(not_kept(&**store, last, &kept));
    };
    let fingerprint = epochs.read(last)?.map(|record| record.plan_fingerprint);
    let nothing = EpochRecord {
        processing_time: clock.now(),
        plan_fingerprint: fingerprint.unwrap_or_default(),
        ..reading_nothing(appended, standing)
    };
    epochs.append(&nothing)?;
    log.append(&commit)?;
    Ok(Rewound {
        to,
        from: last,
        appended,
        removed_files: files + files_beside,
    })
}

/// What was decided and has not happened is decided anew. The record of the last commit's epoch may be
/// in the same file as others.
fn forget_pending(epochs: &EpochLog, last: EpochId) -> Result<()> {
    let logged = epochs.epochs()?;
    if !logged.contains(&last) {
        let records = epochs.after(last.previous())?.into_iter();
        for record in records.filter(|record| record.epoch == last) {
            epochs.append(&record)?;
        }
    }
    for pending in logged.into_iter().rev() {
        if pending > last {
            epochs.delete(pending)?;
        }
    }
    Ok(())
}

/// The commits whose results are what the query stands on, oldest first: not those that a rewind
/// took back.
fn standing_on(log: &CommitLog, kept: &[EpochId]) -> Result<Vec<EpochId>> {
    let (mut standing, mut next) = (vec![], kept.last().copied());
    while let Some(epoch) = next {
        standing.push(epoch);
        let rewound_to = log.read(epoch)?.and_then(|commit| commit.rewound_to);
        let before = kept.iter().copied().rev().find(|before| *before < epoch);
        next = rewound_to.or(before);
    }
    standing.reverse();
    Ok(standing)
}

/// Refuses a query that stands at `to`, or of which only the sink knows where it stands.
fn check_start(log: &CommitLog, to: EpochId, last: EpochId, standing: &[EpochId]) -> Result<()> {
    if to == last {
        let stands = format!("the query stands after epoch {to} already");
        return Err(Error::configuration(stands).with_hint(kept_hint(standing)));
    }
    match log.prepared_after(Some(last))?.last() {
        None => Ok(()),
        Some(prepared) => Err(Error::configuration(format!(
            "nobody but the sink knows whether epoch {} has happened",
            prepared.epoch
        ))
        .with_hint("Start the query once, which settles it, stop it, and rewind then.")),
    }
}

/// An epoch that reads nothing where the query stands: that is what the new one is until its commit
/// is there.
fn reading_nothing(epoch: EpochId, standing: &CommitRecord) -> EpochRecord {
    let offsets = standing.offsets.iter();
    EpochRecord {
        epoch,
        last_committed: Some(standing.epoch),
        slices: offsets.map(|at| Slice::between(at, at)).collect(),
        watermarks: standing.watermarks.clone(),
        processing_time: EventTime(0),
        seed: 0,
        end_of_input: false,
        plan_fingerprint: String::new(),
        version: crate::HEADWATER_VERSION.to_string(),
        earlier: vec![],
    }
}

/// The tokens of the result, of every epoch that a record commits.
fn tokens(commit: &CommitRecord) -> Vec<&CommitToken> {
    let earlier = commit.earlier.iter().map(|epoch| &epoch.sink_token);
    earlier.chain([&commit.sink_token]).collect()
}

/// The files that tokens made visible; `None` if a token is of a sink that has no files. Nothing
/// tells of a sink without tokens whether it has written.
fn visible_files(tokens: &[&CommitToken]) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for token in tokens {
        let files = token.0.get("files").and_then(Value::as_array)?;
        // What an earlier rewind has named and no start of the query has removed yet.
        let removed = token.0.get("removed").and_then(Value::as_array);
        let all = files.iter().chain(removed.into_iter().flatten());
        names.extend(all.filter_map(Value::as_str).map(str::to_string));
    }
    Some(names)
}

/// A token with which a sink of files removes them; that of any other sink is empty.
fn taking_back(files: Option<Vec<String>>) -> CommitToken {
    match files {
        Some(files) => CommitToken(json!({ "files": [], "removed": files })),
        None => CommitToken::default(),
    }
}

/// What epochs gave to a sink beside that of the result.
struct WrittenBeside {
    /// What that sink says of itself.
    sink: BTreeMap<String, String>,
    /// `None` if it has no files.
    files: Option<Vec<String>>,
}

/// What the epochs of some commits gave to the sinks of late rows and dead letters.
fn written_beside(later: &[CommitRecord]) -> BTreeMap<SideOutput, WrittenBeside> {
    let mut commits: BTreeMap<SideOutput, Vec<&SideCommit>> = BTreeMap::new();
    for commit in later {
        let earlier = commit.earlier.iter().map(|epoch| &epoch.beside);
        for (output, side) in earlier.chain([&commit.beside]).flat_map(SideCommits::iter) {
            commits.entry(output).or_default().push(side);
        }
    }
    let written = |(output, commits): (SideOutput, Vec<&SideCommit>)| {
        let tokens: Vec<&CommitToken> = commits.iter().map(|side| &side.sink_token).collect();
        let sink = commits.last()?.sink.clone();
        let files = visible_files(&tokens);
        Some((output, WrittenBeside { sink, files }))
    };
    commits.into_iter().filter_map(written).collect()
}

fn taking_back_beside(written: BTreeMap<SideOutput, WrittenBeside>) -> SideCommits {
    let mut beside = SideCommits::default();
    for (output, WrittenBeside { sink, files }) in written {
        let sink_token = taking_back(files);
        beside.insert(output, SideCommit { sink, sink_token });
    }
    beside
}

fn kept_hint(kept: &[EpochId]) -> String {
    let older: Vec<String> = kept.iter().rev().skip(1).map(ToString::to_string).collect();
    if older.is_empty() {
        return "No older commit is kept; 'checkpoint.retain' says how many are.".to_string();
    }
    format!("The older commits that are kept: {}.", older.join(", "))
}

fn taken_back(to: EpochId, standing: &[EpochId]) -> Error {
    Error::configuration(format!("an earlier rewind took epoch {to} back"))
        .with_detail("The files of its results are removed, or will be when the query starts.")
        .with_hint(kept_hint(standing))
}

fn not_kept(store: &dyn FileStore, to: EpochId, kept: &[EpochId]) -> Error {
    Error::configuration(format!(
        "checkpoint \"{}\" keeps no commit of epoch {to}",
        store.describe()
    ))
    .with_hint(kept_hint(kept))
}

fn written_twice(to: EpochId, last: EpochId) -> Error {
    Error::configuration(format!(
        "the rows of the epochs from {} to {last} cannot be taken back from the sink",
        to.next()
    ))
    .with_detail(
        "They stay where they are, and the query writes them again. Only a filesystem sink takes \
         its rows back.",
    )
    .with_hint("If rows that are there twice do no harm, add --allow-duplicates.")
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;
    use headwater_core::clock::ManualClock;
    use headwater_core::event_time::EventTime;
    use headwater_core::state::ChunkKind;

    use super::*;
    use crate::checkpoint::{Checkpoint, Recovered};
    use crate::failing_files::{Cut, CutKind, CutMoment, FailingFiles};
    use crate::inspection::{FileWorth, inspect, verify};
    use crate::memory_files::MemoryFiles;
    use crate::test_data::{chunks, commit_record, epoch_record, metadata};

    fn clock() -> ManualClock {
        ManualClock::new(EventTime(1))
    }

    fn open(store: &MemoryFiles) -> (Checkpoint, Recovered) {
        Checkpoint::open(Arc::new(store.clone()), &metadata(), &clock()).unwrap()
    }

    fn files_of(epoch: u64) -> CommitToken {
        CommitToken(json!({ "files": [format!("part-{epoch}")] }))
    }

    /// Four commits with the state of every epoch, and a fifth epoch that was only decided.
    fn checkpoint(token: fn(u64) -> CommitToken) -> MemoryFiles {
        let store = MemoryFiles::new();
        let (checkpoint, _) = open(&store);
        let mut files = vec![];
        for epoch in (0..4).map(EpochId) {
            checkpoint.log_epoch(&epoch_record(epoch)).unwrap();
            let written = chunks(epoch, ChunkKind::Delta);
            files.push(
                checkpoint
                    .write_state(epoch, ChunkKind::Delta, &written)
                    .unwrap(),
            );
            checkpoint
                .commit(&CommitRecord {
                    sink_token: token(epoch.0),
                    beside: SideCommits::default(),
                    ..commit_record(epoch, files.clone())
                })
                .unwrap();
        }
        checkpoint.log_epoch(&epoch_record(EpochId(4))).unwrap();
        store
    }

    fn back_to(store: MemoryFiles, to: u64, duplicates: Duplicates) -> Result<Rewound> {
        let store: Arc<dyn FileStore> = Arc::new(store);
        rewind(&store, EpochId(to), duplicates, &clock())
    }

    #[test]
    fn the_query_goes_on_as_after_the_old_commit() {
        let store = checkpoint(files_of);
        let rewound = back_to(store.clone(), 1, Duplicates::Refused).unwrap();
        assert_eq!((rewound.from, rewound.appended), (EpochId(3), EpochId(4)));
        assert_eq!(rewound.removed_files, 2);
        let (checkpoint, recovered) = open(&store);
        assert_eq!(recovered.pending, []);
        let last = recovered.last_commit.unwrap();
        let target = commit_record(EpochId(1), vec![]);
        assert_eq!(
            (last.epoch, last.rewound_to),
            (EpochId(4), Some(EpochId(1)))
        );
        assert_eq!(
            (&last.offsets, &last.watermarks),
            (&target.offsets, &target.watermarks)
        );
        let removed = json!({ "files": [], "removed": ["part-2", "part-3"] });
        assert_eq!(last.sink_token, CommitToken(removed));
        let state = checkpoint.load_state(&last).unwrap();
        assert!(
            state.values().all(|chunks| chunks.len() == 2),
            "epochs 0 and 1"
        );
        // And the checkpoint is whole: the next epoch is logged and committed as ever.
        checkpoint.log_epoch(&epoch_record(EpochId(5))).unwrap();
        checkpoint.clean_up().unwrap();
        let store: Arc<dyn FileStore> = Arc::new(store);
        assert!(
            verify(&store)
                .unwrap()
                .iter()
                .all(|file| file.damage.is_none())
        );
        assert_eq!(inspect(&store).unwrap().pending.len(), 1);
    }

    #[test]
    fn what_a_rewind_took_back_is_nothing_to_go_back_to() {
        let store = checkpoint(files_of);
        back_to(store.clone(), 1, Duplicates::Refused).unwrap();
        let error = back_to(store.clone(), 3, Duplicates::Refused).unwrap_err();
        assert_eq!(error.message(), "an earlier rewind took epoch 3 back");
        assert_eq!(error.hint(), Some("The older commits that are kept: 1, 0."));
        // A commit before what was taken back is as good as ever.
        let rewound = back_to(store.clone(), 0, Duplicates::Refused).unwrap();
        assert_eq!(rewound.appended, EpochId(5));
        let (_, recovered) = open(&store);
        let removed = recovered.last_commit.unwrap().sink_token.0["removed"].clone();
        for part in ["part-1", "part-2", "part-3"] {
            assert!(
                removed.as_array().unwrap().contains(&json!(part)),
                "{removed}"
            );
        }
        // Rows that stay where they are can be gone over again and again.
        let store = checkpoint(|_| CommitToken::default());
        back_to(store.clone(), 1, Duplicates::Allowed).unwrap();
        back_to(store, 3, Duplicates::Allowed).unwrap();
    }

    #[test]
    fn cut_at_any_step_a_rewind_has_happened_or_has_not() {
        let counting = Arc::new(FailingFiles::new(checkpoint(files_of)));
        let store: Arc<dyn FileStore> = Arc::<FailingFiles<MemoryFiles>>::clone(&counting);
        rewind(&store, EpochId(1), Duplicates::Refused, &clock()).unwrap();
        let mut ends = (0, 0);
        for at in 1..=counting.operations() {
            for moment in [CutMoment::BeforeEffect, CutMoment::AfterEffect] {
                let files = checkpoint(files_of);
                let kind = CutKind::Crash;
                let cut = FailingFiles::cut_at(files.clone(), Cut { at, moment, kind });
                let store: Arc<dyn FileStore> = Arc::new(cut);
                let _ = rewind(&store, EpochId(1), Duplicates::Refused, &clock());
                let (_, recovered) = open(&files);
                let last = recovered.last_commit.unwrap();
                match last.rewound_to {
                    Some(_) => ends.0 += 1,
                    None => {
                        ends.1 += 1;
                        assert_eq!(last.epoch, EpochId(3));
                        // What would run next takes nothing back, and reads nothing twice.
                        for pending in recovered.pending {
                            let slice = &pending.slices[0];
                            assert!(slice.is_empty() || pending == epoch_record(EpochId(4)));
                            assert_eq!(slice.start, last.offsets[0]);
                        }
                    }
                }
            }
        }
        assert!(ends.0 > 0 && ends.1 > 0, "{ends:?}");
    }

    #[test]
    fn what_cannot_be_taken_back_must_be_asked_for() {
        let without = |_| CommitToken::default();
        let error = back_to(checkpoint(without), 1, Duplicates::Refused).unwrap_err();
        assert_eq!(
            error.message(),
            "the rows of the epochs from 2 to 3 cannot be taken back from the sink"
        );
        let rewound = back_to(checkpoint(without), 1, Duplicates::Allowed).unwrap();
        assert_eq!(rewound.removed_files, 0);
        for (to, text) in [
            (7, "keeps no commit of epoch 7"),
            (3, "stands after epoch 3 already"),
        ] {
            let error = back_to(checkpoint(files_of), to, Duplicates::Refused).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(text), "{error}");
            assert_eq!(
                error.hint(),
                Some("The older commits that are kept: 2, 1, 0.")
            );
        }
        let store = checkpoint(files_of);
        let _running = open(&store);
        let error = back_to(store.clone(), 1, Duplicates::Refused).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
    }

    #[test]
    fn verify_says_which_file_is_damaged_and_whether_it_is_needed() {
        let check = |path: &str, change: fn(&MemoryFiles, &str)| {
            let files = checkpoint(files_of);
            files
                .write_atomic("state/00000009.delta", b"of nobody")
                .unwrap();
            change(&files, path);
            let store: Arc<dyn FileStore> = Arc::new(files);
            let checks = verify(&store).unwrap();
            let damaged = checks.into_iter().filter(|file| file.damage.is_some());
            damaged
                .map(|file| (file.path, file.worth))
                .collect::<Vec<_>>()
        };
        let left_over = ("state/00000009.delta".to_string(), FileWorth::LeftOver);
        assert_eq!(check("", |_, _| {}), [left_over]);
        let flip = |files: &MemoryFiles, path: &str| {
            let mut bytes = files.read(path).unwrap().unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            files.write_atomic(path, &bytes).unwrap();
        };
        let delete = |files: &MemoryFiles, path: &str| files.delete(path).unwrap();
        let cases = [
            ("metadata.json", FileWorth::Needed),
            ("commits/00000003.json", FileWorth::Needed),
            ("commits/00000001.json", FileWorth::Kept),
            ("epochs/00000003.json", FileWorth::Needed),
            ("epochs/00000004.json", FileWorth::Needed),
            ("epochs/00000001.json", FileWorth::Kept),
            ("state/00000000.delta", FileWorth::Needed),
        ];
        for (path, worth) in cases {
            let found = check(path, flip);
            assert!(
                found.contains(&(path.to_string(), worth)),
                "{path}: {found:?}"
            );
        }
        for path in ["epochs/00000003.json", "state/00000002.delta"] {
            let found = check(path, delete);
            assert!(
                found.contains(&(path.to_string(), FileWorth::Needed)),
                "{path}: {found:?}"
            );
        }
    }
}
