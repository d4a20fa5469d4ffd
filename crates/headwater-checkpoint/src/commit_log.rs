//! The commit log: what an epoch did. An epoch has happened when, and only when, its record is
//! here, or that of a later epoch which was committed together with it.
//!
//! If a transaction of the sink decides what has happened, the record is written to `prepared`
//! before the transaction is committed, and moved here after. A process that finds one in
//! `prepared` asks the sink.
//!
//! ```text
//! commits/00000042.json
//! headwater commit v1 <query> <length> <crc32c>
//! {"epoch":42,"offsets":[{"orders":{"0":20}}],"watermarks":[…],
//!  "state_files":[{"path":"state/00000040.snapshot","kind":"snapshot","epoch":40,"bytes":1200},
//!                 {"path":"state/00000041.delta","kind":"delta","epoch":41,"bytes":90},…],
//!  "sink_token":{…},"version":"0.1.0"}
//! ```

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::offset::Offsets;
use headwater_core::sink::CommitToken;
use serde::{Deserialize, Serialize};

use crate::file_store::FileStore;
use crate::numbered_log::NumberedLog;
use crate::record::RecordKind;
use crate::side_commits::SideCommits;
use crate::state_files::StateFileRef;
use crate::watermark_state::WatermarkState;

/// Everything a new process needs to go on after an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Number of the epoch.
    pub epoch: EpochId,
    /// Where every source stands after the epoch, in the order of `SourceIndex`.
    pub offsets: Vec<Offsets>,
    /// The last records read of every source, in the order of `SourceIndex`; empty if no source
    /// tells any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_records: Vec<Fingerprints>,
    /// What is known of every source's event time after the epoch, in the order of
    /// `SourceIndex`.
    pub watermarks: Vec<WatermarkState>,
    /// The files that make up the state after the epoch: a snapshot, if there is one, and the
    /// deltas after it, in the order in which they are restored.
    pub state_files: Vec<StateFileRef>,
    /// Epochs before this one that are committed with it, in order: those since the record before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EarlierEpoch>,
    /// What the sink needs to publish the epoch, now or after a crash.
    pub sink_token: CommitToken,
    /// The same for the sinks of late rows and dead letters, if the query has any.
    #[serde(flatten)]
    pub beside: SideCommits,
    /// Whether a transaction of the sink made the rows visible, and not the tokens.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_transaction: bool,
    /// The epoch whose offsets and state these are, if the query was taken back to it; then the
    /// tokens take back what the epochs after it made visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewound_to: Option<EpochId>,
    /// The headwater that ran the epoch.
    pub version: String,
}

/// An epoch that is committed by the record of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierEpoch {
    /// Number of the epoch.
    pub epoch: EpochId,
    /// What the sink needs to publish it.
    pub sink_token: CommitToken,
    /// The same for the sinks of late rows and dead letters.
    #[serde(flatten)]
    pub beside: SideCommits,
}

/// The commits' records.
#[derive(Debug)]
pub struct CommitLog {
    records: NumberedLog<CommitRecord>,
    prepared: NumberedLog<CommitRecord>,
}

impl CommitLog {
    /// The log in a store.
    pub fn new(store: Arc<dyn FileStore>) -> Self {
        let log_in = |folder, store| NumberedLog {
            store,
            folder,
            kind: RecordKind::Commit,
            epoch_of: |record: &CommitRecord| record.epoch,
            query: None,
        };
        CommitLog {
            prepared: log_in("prepared", Arc::clone(&store)),
            records: log_in("commits", store),
        }
    }

    /// The same log, which must be a query's.
    pub fn of_query(mut self, query: &QueryId) -> Self {
        self.records.query = Some(query.clone());
        self.prepared.query = Some(query.clone());
        self
    }

    /// Writes the record of an epoch that has none.
    ///
    /// # Errors
    /// Conflict if it has one.
    pub fn append(&self, record: &CommitRecord) -> Result<()> {
        self.records.append(record)
    }

    /// Writes the record of an epoch of which the sink has still to say whether it happens.
    pub(crate) fn prepare(&self, record: &CommitRecord) -> Result<()> {
        self.prepared.replace(record)
    }

    /// The prepared records after a commit, in order; those before it mean nothing.
    pub(crate) fn prepared_after(&self, last: Option<EpochId>) -> Result<Vec<CommitRecord>> {
        let records = self.each_prepared_after(last)?.into_iter();
        records.filter_map(|(_, read)| read.transpose()).collect()
    }

    /// The same with the path of each, and what there is to say against it.
    pub(crate) fn each_prepared_after(
        &self,
        last: Option<EpochId>,
    ) -> Result<Vec<(String, Result<Option<CommitRecord>>)>> {
        let epochs = self.prepared.epochs()?.into_iter();
        let after = epochs.filter(|epoch| Some(*epoch) > last);
        let each = after.map(|epoch| (self.prepared.path(epoch), self.prepared.read(epoch)));
        Ok(each.collect())
    }

    /// Lets a prepared epoch have happened.
    pub(crate) fn commit_prepared(&self, epoch: EpochId) -> Result<()> {
        let (from, to) = (self.prepared.path(epoch), self.records.path(epoch));
        self.records.store.rename(&from, &to)
    }

    /// Forgets that an epoch was prepared.
    pub(crate) fn discard_prepared(&self, epoch: EpochId) -> Result<()> {
        self.prepared.delete(epoch)
    }

    /// Forgets prepared records that nobody will ask for.
    pub(crate) fn discard_prepared_before(&self, epoch: EpochId) -> Result<()> {
        let epochs = self.prepared.epochs()?.into_iter();
        epochs
            .filter(|prepared| *prepared < epoch)
            .try_for_each(|prepared| self.prepared.delete(prepared))
    }

    /// The record of an epoch; `None` if it has none.
    pub fn read(&self, epoch: EpochId) -> Result<Option<CommitRecord>> {
        self.records.read(epoch)
    }

    /// The record with the highest number. A damaged one is an error, never passed over: going
    /// back to an older one would publish rows twice.
    pub fn latest(&self) -> Result<Option<CommitRecord>> {
        self.records.latest()
    }

    /// The epochs that have a record, in order.
    pub fn epochs(&self) -> Result<Vec<EpochId>> {
        self.records.epochs()
    }

    /// Removes an epoch's record.
    pub(crate) fn delete(&self, epoch: EpochId) -> Result<()> {
        self.records.delete(epoch)
    }

    /// The file of an epoch's record.
    pub(crate) fn path(&self, epoch: EpochId) -> String {
        self.records.path(epoch)
    }
}
