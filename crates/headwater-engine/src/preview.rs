//! What a start of a query would find in its checkpoint and in its sources, found without a start:
//! nothing is locked, made or written.

use std::sync::Arc;

use headwater_checkpoint::{FileStore, OnStateChange, Outlook, QueryChange, journal_copy};
use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::connector::{SourceContext, SourceUse};
use headwater_core::id::EpochId;
use headwater_core::offset::Offsets;
use headwater_plan::stream_table::StreamDefinition;

use crate::execute::blocking;
use crate::outline::{QueryOutline, journal_name};
use crate::outputs::{SideIdentities, check_identities};
use crate::recover::{check_source, lost_rows, read_before};

/// Where a query would go on.
#[derive(Debug)]
pub struct Preview {
    store: Arc<dyn FileStore>,
    outlook: Outlook,
}

/// What a source has for a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftToRead {
    /// How many partitions it has.
    pub partitions: usize,
    /// Offsets after those that are committed.
    pub offsets: i64,
}

impl Preview {
    /// Compares a query with its checkpoint, as a start does; `None` if it would begin anew.
    /// `beside` is what its sinks for late rows and dead letters say of themselves.
    ///
    /// # Errors
    /// Why a start would be refused.
    pub async fn of(
        store: Arc<dyn FileStore>,
        query: &QueryOutline<'_>,
        beside: &SideIdentities,
        on_change: OnStateChange,
    ) -> Result<Option<Preview>> {
        let (files, metadata) = (Arc::clone(&store), query.metadata());
        let found = blocking(move || Outlook::of(&files, &metadata, on_change)).await?;
        let Some(outlook) = found else {
            return Ok(None);
        };
        if let Some(commit) = &outlook.recovered.last_commit {
            check_identities(query.name, beside, commit)?;
        }
        Ok(Some(Preview { store, outlook }))
    }

    /// What has changed in the query, if it may go on all the same.
    pub fn change(&self) -> Option<&QueryChange> {
        self.outlook.change.as_ref()
    }

    /// The newest commit.
    pub fn last_committed(&self) -> Option<EpochId> {
        let last = self.outlook.recovered.last_commit.as_ref();
        last.map(|commit| commit.epoch)
    }

    /// Epochs that were decided and not committed: they run first.
    pub fn pending(&self) -> usize {
        self.outlook.recovered.pending.len()
    }

    /// Looks whether a source still is what it was and holds what comes next, and how much that is;
    /// `None` if it is heard live. `index` is its place among the sources of the plan.
    ///
    /// # Errors
    /// Why a start would be refused.
    pub async fn left_to_read(
        &self,
        index: usize,
        definition: &StreamDefinition,
        clock: Arc<dyn Clock>,
    ) -> Result<Option<LeftToRead>> {
        let recovered = &self.outlook.recovered;
        let (last, pending) = (recovered.last_commit.as_ref(), &recovered.pending);
        let (store, query) = (Arc::clone(&self.store), self.outlook.query.clone());
        let name = journal_name(index, &definition.name);
        let journal = blocking(move || journal_copy(&store, &query, &name)).await?;
        let context = SourceContext {
            clock,
            journal,
            use_of: SourceUse::Stream,
            read_before: read_before(index, last, pending),
        };
        let source = definition.declared.open(context).await?;
        if !source.is_replayable() {
            let read = |record: &&headwater_checkpoint::EpochRecord| {
                record.slices.get(index).is_some_and(|s| !s.is_empty())
            };
            return match pending.iter().find(read) {
                Some(record) => Err(lost_rows(&definition.name, record.epoch)),
                None => Ok(None),
            };
        }
        check_source(index, &*source, last, pending).await?;
        let committed = last.and_then(|commit| commit.offsets.get(index).cloned());
        let from = match committed {
            Some(committed) => committed,
            None => source.initial().await?,
        };
        Ok(Some(LeftToRead::between(&from, &source.latest().await?)))
    }
}

impl LeftToRead {
    /// What is between two positions.
    pub fn between(from: &Offsets, to: &Offsets) -> LeftToRead {
        let left = to.iter().map(|(partition, end)| {
            let start = from.get(partition).unwrap_or(0);
            end.saturating_sub(start).max(0)
        });
        LeftToRead {
            partitions: to.iter().count(),
            offsets: left.fold(0, i64::saturating_add),
        }
    }
}
