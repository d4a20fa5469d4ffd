//! The checkpoint of one query: the steps of an epoch that touch the disk, and recovery.
//!
//! ```text
//! log_epoch ─▶ (run) ─▶ write_state, sink prepared ─▶ commit ─▶ sink commits ─▶ clean_up
//!     │                                                 │
//!     └ a crash after this: the same epoch again        └ a crash after this: the next epoch
//!
//! The first two may change places, or be done beside each other, where nobody sees an epoch before
//! its commit, or nobody can tell which rows are of which epoch.
//! ```
//!
//! Several epochs may be logged and run before one commit; after a crash they run again, each as
//! it was decided. If a transaction of the sink decides what happens, `commit` has two halves:
//!
//! ```text
//! prepare_commit ─▶ sink commits ─▶ finish_commit
//!     └ a crash after this: the sink is asked
//! ```
//!
//! State is found through commit records only, never by looking for the newest file: what a
//! crashed epoch left behind is overwritten or cleaned up, and is never taken for state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use headwater_core::clock::Clock;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::{EpochId, OperatorId, ShardId};
use headwater_core::source::SourceJournal;
use headwater_core::state::{ChunkKind, StateChunk};
use headwater_core::{Error, Result};
use parking_lot::Mutex;

use crate::commit_log::{CommitLog, CommitRecord};
use crate::epoch_log::{EpochLog, EpochRecord};
use crate::file_store::FileStore;
use crate::journal::Journal;
use crate::lock::{LockGuard, LockOwner};
use crate::query_metadata::{self, OnStateChange, QueryChange, QueryMetadata};
use crate::state_files::{
    STATE_FOLDER, StateFileRef, is_pack_name, pack_path, read_pack_of, write_pack,
};

mod compact;
mod recovery;

pub use compact::Rebuild;
pub use recovery::Recovered;
use recovery::next_after;
pub(crate) use recovery::{recover, refuse_lost_metadata};

/// How many of the newest commits keep all their files. The last one is needed to go on, the one
/// before is there for the case that the last is lost.
pub const KEPT_COMMITS: usize = 2;

/// What every shard of every operator restores, in order.
pub type LoadedState = BTreeMap<(OperatorId, ShardId), Vec<StateChunk>>;

/// How far the state of a commit has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoadProgress {
    /// State files that were read.
    pub files: usize,
    /// How many there are.
    pub all_files: usize,
    /// Their bytes that were read.
    pub bytes: u64,
    /// How many there are.
    pub all_bytes: u64,
    /// Rows of state in them.
    pub rows: usize,
}

/// How a checkpoint is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening {
    /// Whether a process that has it is fenced: it fails with a conflict before it changes the next
    /// file.
    pub takes_over: bool,
    /// What happens if the query has changed so that its state does not fit.
    pub on_change: OnStateChange,
}

/// The open checkpoint of a query. It is this process's until it is dropped.
#[derive(Debug)]
pub struct Checkpoint {
    store: Arc<dyn FileStore>,
    metadata: QueryMetadata,
    change: Option<QueryChange>,
    /// The metadata after the change was adopted.
    adopted: OnceLock<QueryMetadata>,
    epochs: EpochLog,
    commits: CommitLog,
    /// Not locked while a disk is waited for: an epoch is logged while an earlier one is committed.
    /// Two epochs are never logged at once, nor two commits written.
    progress: Mutex<Progress>,
    lock: Box<dyn LockGuard>,
}

/// What this process knows of the files without looking.
#[derive(Debug)]
struct Progress {
    last_committed: Option<EpochId>,
    last_logged: Option<EpochId>,
    /// State files that the newest commit refers to.
    committed_files: BTreeSet<String>,
    /// State files that are durable and that no commit has referred to yet: a delta of the running
    /// epoch, a snapshot that the next commit will use, those of prepared commits.
    fresh_files: BTreeSet<String>,
}

impl Checkpoint {
    /// Takes the checkpoint for this process and finds out where the query stands.
    ///
    /// `metadata` is that of the query as it would start today; if the checkpoint has its own,
    /// that must fit and counts.
    ///
    /// # Errors
    /// Conflict if another process has the checkpoint; Checkpoint if it is damaged or another
    /// query's.
    pub fn open(
        store: Arc<dyn FileStore>,
        metadata: &QueryMetadata,
        clock: &dyn Clock,
    ) -> Result<(Checkpoint, Recovered)> {
        Checkpoint::open_by(store, metadata, Opening::default(), clock)
    }

    /// The same for a query that may have changed, see [`Checkpoint::change`], or that another
    /// process runs.
    ///
    /// # Errors
    /// As those of [`Checkpoint::open`]; a process that is to be fenced is no conflict.
    pub fn open_by(
        store: Arc<dyn FileStore>,
        metadata: &QueryMetadata,
        opening: Opening,
        clock: &dyn Clock,
    ) -> Result<(Checkpoint, Recovered)> {
        let owner = LockOwner::this_process(clock);
        let lock = match opening.takes_over {
            true => store.take_over(&owner)?,
            false => store.lock(&owner)?,
        };
        let epochs = EpochLog::new(Arc::clone(&store));
        let commits = CommitLog::new(Arc::clone(&store));
        refuse_lost_metadata(&*store, &epochs, &commits)?;
        let (metadata, change) =
            query_metadata::load_or_create(&*store, metadata, opening.on_change)?;
        let (epochs, commits) = (
            epochs.of_query(&metadata.query_id),
            commits.of_query(&metadata.query_id),
        );
        let recovered = recover(&*store, &epochs, &commits)?;
        let last_committed = recovered.last_commit.as_ref().map(|c| c.epoch);
        let last_logged = recovered.pending.last().map(|p| p.epoch);
        let progress = Progress {
            last_committed,
            last_logged: last_logged.or(last_committed),
            committed_files: recovered
                .last_commit
                .as_ref()
                .map(paths_of)
                .unwrap_or_default(),
            fresh_files: recovered.prepared.iter().flat_map(paths_of).collect(),
        };
        let checkpoint = Checkpoint {
            store,
            metadata,
            change,
            adopted: OnceLock::new(),
            epochs,
            commits,
            progress: Mutex::new(progress),
            lock,
        };
        Ok((checkpoint, recovered))
    }

    /// What the query is; its id is the one that the first start gave it.
    pub fn metadata(&self) -> &QueryMetadata {
        self.adopted.get().unwrap_or(&self.metadata)
    }

    /// What has changed since the query last ran, if it may go on all the same. It must be adopted
    /// before state is loaded.
    pub fn change(&self) -> Option<&QueryChange> {
        self.change.as_ref()
    }

    /// Lets the checkpoint be that of the changed query. State of operators that are dropped counts
    /// no more: that of epochs up to the last commit.
    pub fn adopt_change(&self) -> Result<()> {
        let Some(change) = &self.change else {
            return Ok(());
        };
        let mut metadata = change.metadata.clone();
        if let Some(last) = self.last_committed() {
            let dropped = change
                .dropped
                .iter()
                .map(|operator| (operator.clone(), last));
            metadata.dropped_state.extend(dropped);
        }
        query_metadata::replace(&*self.store, &metadata)?;
        self.adopted.get_or_init(|| metadata);
        Ok(())
    }

    /// A number greater than that of every process that had the checkpoint before.
    pub fn fencing_token(&self) -> u64 {
        self.lock.token()
    }

    /// The newest committed epoch.
    pub fn last_committed(&self) -> Option<EpochId> {
        self.progress.lock().last_committed
    }

    /// Where the checkpoint is, for messages.
    pub fn describe(&self) -> String {
        self.store.describe()
    }

    /// Step 1: decides an epoch, and those in its `earlier`. Not for a pending epoch, which is
    /// decided already.
    ///
    /// Must be done before anybody sees something of the epoch that would be another if it were
    /// decided anew; before its commit in any case.
    pub fn log_epoch(&self, record: &EpochRecord) -> Result<()> {
        let last = self.progress.lock().check_log(record)?;
        self.epochs.append(record)?;
        self.progress.lock().last_logged = last;
        Ok(())
    }

    /// Step 2: makes state durable, as one file per epoch and kind. Give all chunks at once: a
    /// second call for the same epoch and kind replaces the first.
    ///
    /// A delta holds the changes of all epochs since the last commit and has the number of the
    /// newest. A snapshot may also be that of a committed epoch, made while later ones ran; it
    /// counts from the commit that refers to it.
    pub fn write_state(
        &self,
        epoch: EpochId,
        kind: ChunkKind,
        chunks: &[(OperatorId, ShardId, StateChunk)],
    ) -> Result<StateFileRef> {
        self.announce(epoch, kind)?;
        let query = Some(&self.metadata.query_id);
        write_pack(&*self.store, query, epoch, kind, chunks)
    }

    /// Notes that a state file is about to be written, so that a clean-up at the same time leaves
    /// it alone.
    fn announce(&self, epoch: EpochId, kind: ChunkKind) -> Result<()> {
        let path = pack_path(epoch, kind);
        let mut progress = self.progress.lock();
        let is_too_late = kind == ChunkKind::Delta && Some(epoch) <= progress.last_committed;
        let is_committed = progress.committed_files.contains(&path);
        if is_too_late || is_committed || Some(epoch) > progress.last_logged {
            return Err(progress.out_of_order(epoch, "saved"));
        }
        progress.fresh_files.insert(path);
        Ok(())
    }

    /// Step 3: the epoch has happened, and those before it that were not committed yet.
    pub fn commit(&self, record: &CommitRecord) -> Result<()> {
        self.progress.lock().check_commit(record)?;
        self.commits.append(record)?;
        self.progress.lock().committed(record);
        Ok(())
    }

    /// First half of step 3 if the sink decides: everything is durable but what the sink says.
    pub fn prepare_commit(&self, record: &CommitRecord) -> Result<()> {
        self.progress.lock().check_commit(record)?;
        self.commits.prepare(record)
    }

    /// Second half of step 3 if the sink decides: it has said yes.
    pub fn finish_commit(&self, record: &CommitRecord) -> Result<()> {
        self.progress.lock().check_commit(record)?;
        self.commits.commit_prepared(record.epoch)?;
        self.progress.lock().committed(record);
        Ok(())
    }

    /// In place of the second half: the sink has said no. The epochs are still to be run.
    pub fn discard_commit(&self, record: &CommitRecord) -> Result<()> {
        self.commits.discard_prepared(record.epoch)
    }

    /// Whether a file's state of an operator belongs to a query that was changed since.
    fn is_dropped(&self, operator: &OperatorId, file: &StateFileRef) -> bool {
        let upto = self.metadata().dropped_state.get(operator);
        upto.is_some_and(|upto| file.epoch <= *upto)
    }

    /// The state after a commit: what every shard of every operator restores, in order. What a
    /// later snapshot replaces is left out.
    pub fn load_state(&self, commit: &CommitRecord) -> Result<LoadedState> {
        self.load_state_watched(commit, &mut |_| {})
    }

    /// [`Checkpoint::load_state`], which tells how far it is after every file.
    ///
    /// # Errors
    /// Checkpoint if a file is missing or damaged.
    pub fn load_state_watched(
        &self,
        commit: &CommitRecord,
        watch: &mut dyn FnMut(&LoadProgress),
    ) -> Result<LoadedState> {
        let mut progress = LoadProgress {
            all_files: commit.state_files.len(),
            all_bytes: commit.state_files.iter().map(|f| f.bytes).sum(),
            ..LoadProgress::default()
        };
        let mut state: BTreeMap<_, Vec<StateChunk>> = BTreeMap::new();
        let query = Some(&self.metadata.query_id);
        for file in &commit.state_files {
            for (operator, shard, chunk) in read_pack_of(&*self.store, query, &file.path)? {
                if self.is_dropped(&operator, file) {
                    continue;
                }
                progress.rows += chunk.rows.num_rows();
                let chunks = state.entry((operator, shard)).or_default();
                if chunk.kind == ChunkKind::Snapshot {
                    chunks.clear();
                }
                chunks.push(chunk);
            }
            progress.files += 1;
            progress.bytes += file.bytes;
            watch(&progress);
        }
        Ok(state)
    }

    /// Step 4: deletes what the two newest commits do not need. Records go before the files they
    /// refer to and old records before new ones, so that a crash leaves nothing half there.
    pub fn clean_up(&self) -> Result<()> {
        self.clean_up_keeping(KEPT_COMMITS)
    }

    /// The same with another number of newest commits, two at least.
    pub fn clean_up_keeping(&self, commits_kept: usize) -> Result<()> {
        let commits = self.commits.epochs()?;
        let kept = commits.len().saturating_sub(commits_kept.max(KEPT_COMMITS));
        let (old, kept) = commits.split_at(kept);
        let Some(oldest_kept) = kept.first() else {
            return Ok(());
        };
        let mut needed = BTreeSet::new();
        for epoch in kept {
            if let Some(commit) = self.commits.read(*epoch)? {
                needed.extend(paths_of(&commit));
            }
        }
        self.commits.discard_prepared_before(*oldest_kept)?;
        for epoch in old {
            self.commits.delete(*epoch)?;
            CrashPoint::MidCleanup.reach();
        }
        for epoch in self.epochs.epochs()? {
            if epoch < *oldest_kept {
                self.epochs.delete(epoch)?;
            }
        }
        for name in self.store.list(STATE_FOLDER)? {
            let path = format!("{STATE_FOLDER}/{name}");
            let is_needed = needed.contains(&path) || self.progress.lock().protects(&path);
            if is_pack_name(&name) && !is_needed {
                self.store.delete(&path)?;
            }
        }
        Ok(())
    }

    /// The list that a source keeps. `source` must be unique among the query's sources and the
    /// same at every start; ask once per source.
    pub fn journal(&self, source: &str) -> Arc<dyn SourceJournal> {
        let query = Some(self.metadata.query_id.clone());
        Arc::new(Journal::new(Arc::clone(&self.store), query, source))
    }
}

impl Progress {
    /// Refuses to decide an epoch that is not next. Gives the newest that will be decided.
    fn check_log(&self, record: &EpochRecord) -> Result<Option<EpochId>> {
        let mut last = self.last_logged;
        for epoch in record.earlier.iter().chain([record]).map(|r| r.epoch) {
            if epoch != next_after(last) {
                return Err(self.out_of_order(epoch, "logged"));
            }
            last = Some(epoch);
        }
        Ok(last)
    }

    /// Refuses a commit that is not next, or that refers to what is not there.
    fn check_commit(&self, record: &CommitRecord) -> Result<()> {
        let is_new = Some(record.epoch) > self.last_committed;
        // Later epochs may be logged already: a dead process had run them too.
        if !is_new || Some(record.epoch) > self.last_logged {
            return Err(self.out_of_order(record.epoch, "committed"));
        }
        let files = paths_of(record);
        let is_durable =
            |p: &&String| self.committed_files.contains(*p) || self.fresh_files.contains(*p);
        match files.iter().find(|path| !is_durable(path)) {
            None => Ok(()),
            Some(path) => Err(Error::internal(format!(
                "the commit of epoch {} refers to \"{path}\", which was not written",
                record.epoch
            ))),
        }
    }

    fn committed(&mut self, record: &CommitRecord) {
        let files = paths_of(record);
        self.last_committed = Some(record.epoch);
        self.fresh_files.retain(|path| !files.contains(path));
        self.committed_files = files;
    }

    fn out_of_order(&self, epoch: EpochId, action: &str) -> Error {
        let state = self.describe();
        Error::internal(format!("epoch {epoch} cannot be {action}: {state}"))
    }

    fn describe(&self) -> String {
        let committed = match self.last_committed {
            Some(last) => format!("the last committed epoch is {last}"),
            None => "no epoch has been committed".to_string(),
        };
        match self.last_logged {
            Some(last) => format!("{committed}, and the last logged one is {last}"),
            None => committed,
        }
    }

    fn protects(&self, path: &str) -> bool {
        self.committed_files.contains(path) || self.fresh_files.contains(path)
    }
}

fn paths_of(commit: &CommitRecord) -> BTreeSet<String> {
    commit.state_files.iter().map(|f| f.path.clone()).collect()
}
