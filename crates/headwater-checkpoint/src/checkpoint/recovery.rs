//! Where a query goes on: what the logs of a checkpoint say.

use headwater_core::id::EpochId;
use headwater_core::{Error, Result};

use crate::commit_log::{CommitLog, CommitRecord};
use crate::epoch_log::{EpochLog, EpochRecord};
use crate::file_store::{FileStore, file_label};
use crate::query_metadata;

/// Where a query stands when its checkpoint is opened.
#[derive(Debug, Clone, PartialEq)]
pub struct Recovered {
    /// The newest commit; `None` if no epoch has been committed.
    pub last_commit: Option<CommitRecord>,
    /// The epochs after it that were begun, in order: they must run as their records say.
    pub pending: Vec<EpochRecord>,
    /// Commits of theirs of which only the sink can say whether they have happened, in order. All
    /// but one were discarded before, and a loss of power brought them back.
    pub prepared: Vec<CommitRecord>,
}

impl Recovered {
    /// The same once a prepared commit has happened.
    pub fn after(&self, commit: CommitRecord) -> Recovered {
        let pending = self.pending.iter().filter(|p| p.epoch > commit.epoch);
        let prepared = self.prepared.iter().filter(|p| p.epoch > commit.epoch);
        Recovered {
            pending: pending.cloned().collect(),
            prepared: prepared.cloned().collect(),
            last_commit: Some(commit),
        }
    }

    /// The epoch to run next.
    pub fn next_epoch(&self) -> EpochId {
        next_after(self.last_commit.as_ref().map(|c| c.epoch))
    }
}

pub(super) fn next_after(epoch: Option<EpochId>) -> EpochId {
    epoch.map_or(EpochId(0), EpochId::next)
}

/// Without its metadata a checkpoint would look new and would be given another query's.
pub(crate) fn refuse_lost_metadata(
    store: &dyn FileStore,
    epochs: &EpochLog,
    commits: &CommitLog,
) -> Result<()> {
    if query_metadata::load(store)?.is_some() {
        return Ok(());
    }
    if epochs.epochs()?.is_empty() && commits.epochs()?.is_empty() {
        return Ok(());
    }
    Err(incomplete(
        store,
        "\"metadata.json\" is missing but epochs have run",
    ))
}

/// Reads off the logs where to go on. The two must fit: each committed epoch was logged, and what
/// was logged after the last commit was decided after that commit.
pub(crate) fn recover(
    store: &dyn FileStore,
    epochs: &EpochLog,
    commits: &CommitLog,
) -> Result<Recovered> {
    let last_commit = commits.latest()?;
    let last = last_commit.as_ref().map(|c| c.epoch);
    if let Some(last) = last
        && !epochs.has(last)?
    {
        let (commit, epoch) = (commits.path(last), epochs.path(last));
        let what = format!("\"{commit}\" is there but \"{epoch}\" is missing");
        return Err(incomplete(store, &what));
    }
    let mut pending: Vec<EpochRecord> = Vec::new();
    for record in epochs.after(last)? {
        let expected = next_after(pending.last().map(|p| p.epoch).or(last));
        let missing = |path: String| {
            let found = epochs.path(record.epoch);
            let what = format!("\"{found}\" is there but \"{path}\" is missing");
            incomplete(store, &what)
        };
        if record.epoch != expected {
            return Err(missing(epochs.path(expected)));
        }
        match record.last_committed {
            Some(before) if Some(before) > last => return Err(missing(commits.path(before))),
            _ => pending.push(record),
        }
    }
    let newest = pending.last().map(|p| p.epoch);
    let prepared = commits.prepared_after(last)?;
    if let Some(ahead) = prepared.iter().find(|p| Some(p.epoch) > newest) {
        let what = format!(
            "the commit of epoch {} is prepared but \"{}\" is missing",
            ahead.epoch,
            epochs.path(ahead.epoch)
        );
        return Err(incomplete(store, &what));
    }
    Ok(Recovered {
        last_commit,
        pending,
        prepared,
    })
}

fn incomplete(store: &dyn FileStore, what: &str) -> Error {
    let folder = file_label(store, "");
    let folder = folder.trim_end_matches('/');
    Error::checkpoint(format!("checkpoint \"{folder}\" is incomplete: {what}"))
        .with_detail("Files were removed or only a part of the folder was copied.")
        .with_hint("Restore the checkpoint folder from a copy, or start the query with a new one.")
}
