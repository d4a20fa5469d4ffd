//! Looking at a checkpoint without taking it: what it holds, and whether its files are whole.
//!
//! A query may be running meanwhile. A file that it deletes or replaces while one looks can seem to
//! be missing; looking again settles that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use headwater_core::id::{EpochId, OperatorId, QueryId, ShardId};
use headwater_core::{Error, Result};
use serde::Serialize;

use crate::commit_log::{CommitLog, CommitRecord};
use crate::epoch_log::{EpochLog, EpochRecord};
use crate::file_store::{FileStore, file_label};
use crate::journal::journal_folder;
use crate::lock::LockOwner;
use crate::numbered_log::{numbered_path, numbers_in};
use crate::query_metadata::{self, METADATA_FILE, QueryMetadata};
use crate::record::{RecordKind, decode_record};
use crate::state_files::{STATE_FOLDER, is_pack_name, read_pack_of};

/// What a checkpoint holds.
#[derive(Debug, Serialize)]
pub struct CheckpointReport {
    /// Where it is.
    pub location: String,
    /// What the query is.
    pub query: QueryMetadata,
    /// Who runs it now.
    pub held_by: Option<LockOwner>,
    /// The commits that are kept, in order; the last is where the query goes on.
    pub commits: Vec<CommitRecord>,
    /// Epochs that were decided and not committed.
    pub pending: Vec<EpochRecord>,
    /// An epoch of which only the sink knows whether it has happened.
    pub prepared: Option<EpochId>,
    /// The state of the last commit.
    pub state: Vec<ShardState>,
}

/// The state of one shard of an operator, as its files hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShardState {
    /// The operator.
    pub operator: OperatorId,
    /// The shard.
    pub shard: ShardId,
    /// Files with rows of it.
    pub files: usize,
    /// Rows in those files; one that has changed is in several.
    pub rows: usize,
    /// Bytes of those rows in memory.
    pub bytes: usize,
}

impl CheckpointReport {
    /// The report as one line of JSON.
    ///
    /// # Errors
    /// Internal, if it has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string(self);
        json.map_err(|e| Error::internal("a report has no JSON form").with_source(e))
    }
}

/// Reads what a checkpoint holds.
///
/// # Errors
/// Configuration if there is none; Checkpoint if a file that tells it is damaged.
pub fn inspect(store: &Arc<dyn FileStore>) -> Result<CheckpointReport> {
    let query = query_of(&**store)?;
    let (epochs, log) = (
        EpochLog::new(Arc::clone(store)).of_query(&query.query_id),
        CommitLog::new(Arc::clone(store)).of_query(&query.query_id),
    );
    let mut commits = Vec::new();
    for epoch in log.epochs()? {
        commits.extend(log.read(epoch)?);
    }
    let last = commits.last().map(|commit| commit.epoch);
    let pending = epochs.after(last)?;
    let prepared = log.prepared_after(last)?;
    Ok(CheckpointReport {
        location: store.describe(),
        state: match commits.last() {
            Some(commit) => state_of(&**store, &query, commit)?,
            None => vec![],
        },
        query,
        held_by: store.holder()?,
        commits,
        pending,
        prepared: prepared.last().map(|record| record.epoch),
    })
}

/// The metadata of a store that must be a checkpoint.
pub(crate) fn query_of(store: &dyn FileStore) -> Result<QueryMetadata> {
    query_metadata::load(store)?.ok_or_else(|| {
        Error::configuration(format!(
            "there is no checkpoint in \"{}\"",
            store.describe()
        ))
        .with_hint(
            "Name the folder of one query: below the folder that SET 'checkpoint' names, every \
                 query has one of its name.",
        )
    })
}

fn state_of(
    store: &dyn FileStore,
    query: &QueryMetadata,
    commit: &CommitRecord,
) -> Result<Vec<ShardState>> {
    let mut shards: BTreeMap<(OperatorId, ShardId), ShardState> = BTreeMap::new();
    for file in &commit.state_files {
        for (operator, shard, chunk) in read_pack_of(store, Some(&query.query_id), &file.path)? {
            let dropped = query.dropped_state.get(&operator);
            if dropped.is_some_and(|upto| file.epoch <= *upto) {
                continue;
            }
            let key = (operator.clone(), shard);
            let found = shards.entry(key).or_insert_with(|| ShardState {
                operator,
                shard,
                files: 0,
                rows: 0,
                bytes: 0,
            });
            found.files += 1;
            found.rows += chunk.rows.num_rows();
            found.bytes += chunk.rows.get_array_memory_size();
        }
    }
    Ok(shards.into_values().collect())
}

/// What a file is worth, the most first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileWorth {
    /// The query cannot go on without it.
    Needed,
    /// It belongs to an older commit.
    Kept,
    /// Nothing refers to it; a later clean-up removes it.
    LeftOver,
}

impl FileWorth {
    /// As reports show it.
    pub fn as_str(self) -> &'static str {
        match self {
            FileWorth::Needed => "needed",
            FileWorth::Kept => "kept",
            FileWorth::LeftOver => "left over",
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileCheck {
    /// Its path within the checkpoint.
    pub path: String,
    /// What it is worth.
    pub worth: FileWorth,
    /// What is wrong with it; `None` if it is whole.
    pub damage: Option<String>,
}

/// Reads every file of a checkpoint.
///
/// # Errors
/// Configuration if there is none; what the store says if it cannot be read at all. A damaged file
/// is no error: it is in the answer.
pub fn verify(store: &Arc<dyn FileStore>) -> Result<Vec<FileCheck>> {
    verify_within(store, u64::MAX).map(|found| found.files)
}

/// How often files that seem to be missing are looked for again, if the query has committed
/// meanwhile.
const READS_OF_A_RUNNING_QUERY: usize = 20;

/// What [`verify_within`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The files that were read.
    pub files: Vec<FileCheck>,
    /// How many files of state were not.
    pub unread: usize,
}

/// [`verify`], with about this many bytes of state at most: files that are needed come first.
///
/// # Errors
/// Those of [`verify`].
pub fn verify_within(store: &Arc<dyn FileStore>, state_bytes: u64) -> Result<Verified> {
    let log = CommitLog::new(Arc::clone(store));
    let newest = || log.epochs().map(|epochs| epochs.last().copied());
    let mut last = newest()?;
    for _ in 0..READS_OF_A_RUNNING_QUERY {
        let found = verify_once(store, state_bytes)?;
        let is_whole = found.files.iter().all(|file| file.damage.is_none());
        // A query that runs deletes files of older commits while they are read.
        let now = newest()?;
        if is_whole || now == last {
            return Ok(found);
        }
        last = now;
    }
    verify_once(store, state_bytes)
}

fn verify_once(store: &Arc<dyn FileStore>, state_bytes: u64) -> Result<Verified> {
    if store.size(METADATA_FILE)?.is_none() {
        query_of(&**store)?;
    }
    let mut checks = Checks::default();
    let query = query_of(&**store);
    let sources = match &query {
        Ok(query) => query.sources.clone(),
        Err(_) => vec![],
    };
    let owner = query.as_ref().ok().map(|query| query.query_id.clone());
    checks.add(
        METADATA_FILE.to_string(),
        FileWorth::Needed,
        query.map(|_| ()),
    );
    let (mut epochs, mut log) = (
        EpochLog::new(Arc::clone(store)),
        CommitLog::new(Arc::clone(store)),
    );
    if let Some(owner) = &owner {
        (epochs, log) = (epochs.of_query(owner), log.of_query(owner));
    }
    let committed = log.epochs()?;
    let last = committed.last().copied();
    let mut packs: BTreeMap<String, FileWorth> = BTreeMap::new();
    for epoch in &committed {
        let worth = if Some(*epoch) == last {
            FileWorth::Needed
        } else {
            FileWorth::Kept
        };
        let read = log.read(*epoch);
        if let Ok(Some(commit)) = &read {
            let files = commit.state_files.iter().map(|file| file.path.clone());
            packs.extend(files.map(|path| (path, worth)));
        }
        checks.add(log.path(*epoch), worth, read.map(|_| ()));
    }
    // What is prepared happens at the next start, if the sink says so.
    for (path, read) in log.each_prepared_after(last)? {
        if let Ok(Some(commit)) = &read {
            let files = commit.state_files.iter().map(|file| file.path.clone());
            packs.extend(files.map(|path| (path, FileWorth::Needed)));
        }
        checks.add(path, FileWorth::Needed, read.map(|_| ()));
    }
    let mut logged: BTreeSet<EpochId> = epochs.epochs()?.into_iter().collect();
    // A commit without the record of its epoch is a sign that files are missing. A file that cannot
    // be read is looked at below.
    logged.extend(last.filter(|last| !epochs.has(*last).unwrap_or(true)));
    for epoch in logged {
        let worth = match Some(epoch) >= last {
            true => FileWorth::Needed,
            false if committed.contains(&epoch) => FileWorth::Kept,
            false => FileWorth::LeftOver,
        };
        let read = epochs.read(epoch);
        let read = read.and_then(|record| record.ok_or_else(missing));
        checks.add(epochs.path(epoch), worth, read.map(|_| ()));
    }
    let unread = check_packs(&**store, owner.as_ref(), packs, state_bytes, &mut checks)?;
    for (index, source) in sources.iter().enumerate() {
        let folder = journal_folder(&format!("{index}-{}", source.name));
        for number in numbers_in(&**store, &folder)? {
            let path = numbered_path(&folder, number, "json");
            let read = check_frame(&**store, RecordKind::Journal, &path);
            checks.add(path, FileWorth::Needed, read);
        }
    }
    Ok(Verified {
        files: checks.0,
        unread,
    })
}

/// Reads the files of state, those of commits and those that nothing refers to, until so many bytes
/// are read; how many are left.
fn check_packs(
    store: &dyn FileStore,
    owner: Option<&QueryId>,
    mut packs: BTreeMap<String, FileWorth>,
    state_bytes: u64,
    checks: &mut Checks,
) -> Result<usize> {
    for name in store.list(STATE_FOLDER)? {
        if is_pack_name(&name) {
            let path = format!("{STATE_FOLDER}/{name}");
            packs.entry(path).or_insert(FileWorth::LeftOver);
        }
    }
    let (mut unread, mut left) = (0, state_bytes);
    let mut packs: Vec<(String, FileWorth)> = packs.into_iter().collect();
    packs.sort_by_key(|(_, worth)| *worth);
    for (path, worth) in packs {
        let bytes = store.size(&path)?.unwrap_or(0);
        if bytes > left {
            unread += 1;
            continue;
        }
        left -= bytes;
        let read = read_pack_of(store, owner, &path).map(|_| ());
        checks.add(path, worth, read);
    }
    Ok(unread)
}

fn missing() -> Error {
    Error::checkpoint("it is missing")
}

fn check_frame(store: &dyn FileStore, kind: RecordKind, path: &str) -> Result<()> {
    let bytes = store.read(path)?.ok_or_else(missing)?;
    decode_record(kind, &file_label(store, path), &bytes).map(|_| ())
}

#[derive(Default)]
struct Checks(Vec<FileCheck>);

impl Checks {
    fn add(&mut self, path: String, worth: FileWorth, read: Result<()>) {
        self.0.push(FileCheck {
            path,
            worth,
            damage: read.err().map(|error| error.message().to_string()),
        });
    }
}
