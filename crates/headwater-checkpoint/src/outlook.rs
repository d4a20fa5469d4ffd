//! What a start would find in a checkpoint, found without taking it and without changing a file.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::id::QueryId;
use headwater_core::source::SourceJournal;

use crate::checkpoint::{Recovered, recover, refuse_lost_metadata};
use crate::commit_log::CommitLog;
use crate::epoch_log::EpochLog;
use crate::file_store::FileStore;
use crate::journal::Journal;
use crate::memory_files::MemoryFiles;
use crate::query_metadata::{self, OnStateChange, QueryChange, QueryMetadata};

/// What [`crate::Checkpoint::open`] would find.
#[derive(Debug)]
pub struct Outlook {
    /// The identity of the query.
    pub query: QueryId,
    /// What has changed since it last ran, if it may go on all the same.
    pub change: Option<QueryChange>,
    /// Where it stands.
    pub recovered: Recovered,
}

impl Outlook {
    /// Compares the query as it would start today with the one of the checkpoint; `None` if the
    /// store holds none, so that it would begin anew.
    ///
    /// # Errors
    /// Those of [`crate::Checkpoint::open_by`] but the conflict.
    pub fn of(
        store: &Arc<dyn FileStore>,
        metadata: &QueryMetadata,
        on_change: OnStateChange,
    ) -> Result<Option<Outlook>> {
        let epochs = EpochLog::new(Arc::clone(store));
        let commits = CommitLog::new(Arc::clone(store));
        refuse_lost_metadata(&**store, &epochs, &commits)?;
        let Some(stored) = query_metadata::load(&**store)? else {
            return Ok(None);
        };
        let change = query_metadata::compared(&**store, &stored, metadata, on_change)?;
        let epochs = epochs.of_query(&stored.query_id);
        let commits = commits.of_query(&stored.query_id);
        Ok(Some(Outlook {
            recovered: recover(&**store, &epochs, &commits)?,
            query: stored.query_id,
            change,
        }))
    }
}

/// The list of a source as a checkpoint holds it: what is appended to the copy stays there.
///
/// # Errors
/// Checkpoint if the list is damaged.
pub fn journal_copy(
    store: &Arc<dyn FileStore>,
    query: &QueryId,
    source: &str,
) -> Result<Arc<dyn SourceJournal>> {
    let kept = Journal::new(Arc::clone(store), Some(query.clone()), source);
    let copy = Journal::new(Arc::new(MemoryFiles::new()), None, source);
    copy.append(&kept.entries()?)?;
    Ok(Arc::new(copy))
}
