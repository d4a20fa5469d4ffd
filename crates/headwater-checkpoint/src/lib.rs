//! Everything that is written for recovery: the checkpoint folder of a streaming query, the
//! framing of its files, and the file stores that keep them.
//!
//! ```text
//! <checkpoint>/metadata.json               what the query is           query_metadata.rs
//!              lock                        who runs it                 lock.rs
//!              epochs/00000042.json        what epoch 42 will do       epoch_log.rs
//!              commits/00000042.json       what epoch 42 did           commit_log.rs
//!              prepared/00000042.json      the same, if the sink decides   commit_log.rs
//!              state/00000042.delta        rows that 42 changed        state_files.rs
//!              state/00000040.snapshot     all rows after 40           state_files.rs
//!              sources/<name>/00000001.json  lists kept by sources     journal.rs
//! ```
//!
//! An epoch is one record in `epochs`, then state and sink made durable, then one record in
//! `commits`. Whatever a crash leaves behind, the two logs say where to go on, and
//! [`Checkpoint::open`] reads it off them. Every file is framed by [`record`]: damage is found
//! when the file is read, never later.
//!
//! Calls are synchronous and wait for the disk: from asynchronous code, make them on a thread
//! that may block.
#![warn(missing_docs)]

pub mod checkpoint;
pub mod commit_log;
mod compact_views;
pub mod disk;
pub mod epoch_log;
pub mod failing_files;
pub mod file_store;
pub mod inspection;
mod journal;
pub mod local_files;
pub mod lock;
pub mod memory_files;
mod numbered_log;
mod outlook;
mod plan_changes;
mod probe;
pub mod query_metadata;
pub mod record;
pub mod rewind;
mod side_commits;
pub mod sim_disk;
pub mod state_files;
pub mod watermark_state;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod damage_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_data;

pub use checkpoint::{Checkpoint, LoadProgress, LoadedState, Opening, Rebuild, Recovered};
pub use commit_log::{CommitLog, CommitRecord, EarlierEpoch};
pub use disk::{Disk, DiskFile, LockFile};
pub use epoch_log::{EpochLog, EpochRecord};
pub use failing_files::{Cut, CutKind, CutMoment, FailingFiles};
pub use file_store::{FileStore, FileWriter, folder_of, open_store};
pub use local_files::{LocalFiles, Readers};
pub use lock::{LockGuard, LockOwner};
pub use memory_files::MemoryFiles;
pub use outlook::{Outlook, journal_copy};
pub use probe::{FolderProbe, Holder, lock_holder, probe_folder};
pub use query_metadata::{
    OnStateChange, OperatorMetadata, QueryChange, QueryMetadata, SourceMetadata, compatibility,
};
pub use side_commits::{SideCommit, SideCommits, SideOutput};
pub use sim_disk::{Lies, SimDisk};
pub use state_files::{StateFileRef, read_pack, write_pack};
pub use watermark_state::WatermarkState;

/// The version of headwater that is running, as it is written into records.
pub const HEADWATER_VERSION: &str = env!("CARGO_PKG_VERSION");
/// The version of the files that this crate writes.
pub const CHECKPOINT_FORMAT_VERSION: u32 = record::FORMAT_VERSION;

/// The list of a source in a store of its own, for reads that have no checkpoint.
pub fn journal(
    store: std::sync::Arc<dyn FileStore>,
    source: &str,
) -> std::sync::Arc<dyn headwater_core::source::SourceJournal> {
    std::sync::Arc::new(journal::Journal::new(store, None, source))
}
