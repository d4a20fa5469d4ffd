//! The write-ahead log: what epochs do, written before anything of it is seen.
//!
//! ```text
//! epochs/00000042.json
//! headwater epoch v1 <query> <length> <crc32c>
//! {"epoch":42,"slices":[{"start":{"orders":{"0":10}},"end":{"orders":{"0":20}}}],…}
//! ```
//!
//! Epochs that are committed together and that nobody has seen before have one file, with the number
//! of the last: the others are in its `earlier`.
//!
//! A record holds every decision of its epoch. Running the epoch again from its record, in another
//! process and at another time, gives the same rows. This is Spark's `OffsetSeqLog`; on purpose
//! more is decided up front: the watermarks, the idle partitions, the time and the seed.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, QueryId};
use headwater_core::offset::Slice;
use serde::{Deserialize, Serialize};

use crate::file_store::FileStore;
use crate::numbered_log::NumberedLog;
use crate::record::RecordKind;
use crate::watermark_state::WatermarkState;

/// Every decision of one epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the epoch.
    pub epoch: EpochId,
    /// The newest committed epoch when this one was decided; `None` if there was none. Epochs
    /// between the two are committed together with this one.
    pub last_committed: Option<EpochId>,
    /// What is read of every source, in the order of `SourceIndex`.
    pub slices: Vec<Slice>,
    /// What is known of every source's event time before the epoch, in the order of
    /// `SourceIndex`. The epoch runs with these watermarks.
    pub watermarks: Vec<WatermarkState>,
    /// The instant that `now()` means in the epoch.
    pub processing_time: EventTime,
    /// What the epoch's random numbers start from.
    pub seed: u64,
    /// Whether nothing follows: the epoch closes every window.
    pub end_of_input: bool,
    /// Fingerprint of the plan that made the decisions.
    pub plan_fingerprint: String,
    /// The headwater that made them.
    pub version: String,
    /// The records of epochs right before this one that have no file of their own, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<EpochRecord>,
}

impl EpochRecord {
    /// All records of its file, in order, each by itself.
    pub fn each(mut self) -> Vec<EpochRecord> {
        let mut each = std::mem::take(&mut self.earlier);
        each.push(self);
        each
    }
}

/// The epochs' records.
#[derive(Debug)]
pub struct EpochLog {
    records: NumberedLog<EpochRecord>,
}

impl EpochLog {
    /// The log in a store.
    pub fn new(store: Arc<dyn FileStore>) -> Self {
        EpochLog {
            records: NumberedLog {
                store,
                folder: "epochs",
                kind: RecordKind::Epoch,
                epoch_of: |record| record.epoch,
                query: None,
            },
        }
    }

    /// The same log, which must be a query's.
    pub fn of_query(mut self, query: &QueryId) -> Self {
        self.records.query = Some(query.clone());
        self
    }

    /// Writes the record of an epoch that has none.
    ///
    /// # Errors
    /// Conflict if it has one.
    pub fn append(&self, record: &EpochRecord) -> Result<()> {
        self.records.append(record)
    }

    /// The records of epochs after one, or all: each by itself, as they are in the files.
    ///
    /// # Errors
    /// If one cannot be read.
    pub fn after(&self, epoch: Option<EpochId>) -> Result<Vec<EpochRecord>> {
        let mut records = Vec::new();
        for file in self
            .epochs()?
            .into_iter()
            .filter(|file| Some(*file) > epoch)
        {
            let read = self.read(file)?.into_iter();
            records.extend(read.flat_map(EpochRecord::each));
        }
        records.retain(|record| Some(record.epoch) > epoch);
        Ok(records)
    }

    /// Whether an epoch has a record: a file, or a place in that of a later epoch.
    ///
    /// # Errors
    /// If that file cannot be read.
    pub fn has(&self, epoch: EpochId) -> Result<bool> {
        let file = self.epochs()?.into_iter().find(|file| *file >= epoch);
        let record = match file {
            Some(file) if file > epoch => self.read(file)?,
            found => return Ok(found.is_some()),
        };
        let mut earlier = record.into_iter().flat_map(|record| record.earlier);
        Ok(earlier.any(|record| record.epoch == epoch))
    }

    /// The record in the file of an epoch, with those of earlier ones; `None` if it has no file.
    pub fn read(&self, epoch: EpochId) -> Result<Option<EpochRecord>> {
        self.records.read(epoch)
    }

    /// The record with the highest number. A damaged one is an error, never passed over.
    pub fn latest(&self) -> Result<Option<EpochRecord>> {
        self.records.latest()
    }

    /// The epochs that have a file, in order.
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
