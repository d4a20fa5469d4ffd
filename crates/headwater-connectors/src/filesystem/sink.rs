//! A folder as a sink: files for every epoch and task, exactly once.
//!
//! ```text
//! write    .headwater/staged/part-00000042-000.jsonl   durable, hidden
//! commit   part-00000042-000.jsonl                     by a rename
//!          _headwater_log/00000042.json                the manifest: what the epoch added
//! ended    _SUCCESS                                    if asked for
//! ```
//!
//! Input: append mode. Output: no file for a task without rows.
//! Replay: names carry the epoch, so a re-run overwrites itself, and a rename made twice is made
//! once. Who reads the folder sees whole files of committed epochs only; who reads the manifests
//! sees whole epochs only.
//! One query at a time: the lock in `.headwater/` is held from the opening to the end. A process
//! that takes the query over takes the lock too, and no file of the first gets a name after that.
//! Source: Spark's `FileStreamSink` needs a log beside the files to tell committed ones; here the
//! name tells.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{BoxStream, TryStreamExt};

use headwater_checkpoint::{FileStore, LocalFiles, LockGuard, LockOwner, Readers};
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::connector::DeclaredSink;
use headwater_core::format::FormatSpec;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::{RwLock, RwLockWriteGuard};

use super::permanent::not_writable;
use crate::blocking::blocking;

mod file_style;
mod gathering;
mod left_behind;
mod lines;
mod names;
mod options;
mod parquet;
mod partition_folders;
mod publication;
mod rows_file;
mod stored_file;
mod task_files;

pub(super) use options::SinkFiles;

use file_style::FileStyle;
use left_behind::{check_visible, clear};
use names::SUCCESS;
use publication::{Files, publish, remove_staged};
use rows_file::sink_error;
use task_files::{FileMaker, TaskFiles};

/// Where the lock of the query that writes a folder of results is, below that folder.
pub const CLAIM_FOLDER: &str = ".headwater";

/// How long a call that writes may go on after its epoch was given up. The watchdog of stalls has
/// waited for longer before.
const IDLE_WAIT_MAX: Duration = Duration::from_secs(30);

/// Checks the declaration of a sink.
pub(super) fn declare(
    path: PathBuf,
    format: FormatSpec,
    files: SinkFiles,
    owner: String,
    schema: Option<&SchemaRef>,
) -> Result<Arc<dyn DeclaredSink>> {
    let style = FileStyle::try_new(format, files, &owner)?;
    if let Some(schema) = schema {
        style.check(schema)?;
    }
    Ok(Arc::new(DeclaredFolder { path, style, owner }))
}

fn folder_capabilities() -> SinkCapabilities {
    SinkCapabilities {
        modes: vec![OutputMode::Append],
        key: Vec::new(),
        loses_null_keys: false,
        takes_deletes: false,
        is_idempotent: true,
        overlaps: false,
    }
}

#[derive(Debug)]
struct DeclaredFolder {
    path: PathBuf,
    style: FileStyle,
    owner: String,
}

impl DeclaredSink for DeclaredFolder {
    fn open(&self) -> Result<Arc<dyn Sink>> {
        let store = LocalFiles::readable_by(Readers::ByUmask, &self.path);
        let store = store.and_then(|s| s.with_lock_in(CLAIM_FOLDER));
        let store = store.map_err(sink_error);
        if let Some(error) = not_writable(&self.path, &self.owner) {
            return Err(error);
        }
        let store: Arc<dyn FileStore> = Arc::new(store?);
        let sink = FilesystemSink::new(Arc::clone(&store), self.style.clone(), &self.owner);
        Ok(Arc::new(sink.claiming(store)))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(folder_capabilities())
    }

    fn identity(&self) -> Result<Vec<(&'static str, String)>> {
        // As the store that is opened there describes itself.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        Ok(vec![("path", path.display().to_string())])
    }
}

/// A sink that writes the files of one folder.
#[derive(Debug)]
pub struct FilesystemSink {
    store: Arc<dyn FileStore>,
    maker: Arc<FileMaker>,
    owner: String,
    /// What tasks have staged of epochs that are not committed: it is replaced if they do it again.
    staged: Mutex<BTreeMap<(EpochId, usize), Vec<String>>>,
    /// Held by every task that has files open: what one has begun goes on if nobody waits for it any
    /// more.
    working: Arc<RwLock<()>>,
    clock: Arc<dyn Clock>,
    /// Where the lock is that keeps other queries out, if there can be any.
    claim: Option<Arc<dyn FileStore>>,
    /// The lock, from the opening to the end of the sink.
    held: Mutex<Option<Box<dyn LockGuard>>>,
}

impl FilesystemSink {
    /// A sink into the root of `store`; `owner` is its kind and quoted name, for messages.
    ///
    /// # Errors
    /// If files cannot be of this format.
    pub fn try_new(store: Arc<dyn FileStore>, format: FormatSpec, owner: &str) -> Result<Self> {
        let style = FileStyle::try_new(format, SinkFiles::default(), owner)?;
        Ok(Self::new(store, style, owner))
    }

    fn new(store: Arc<dyn FileStore>, style: FileStyle, owner: &str) -> Self {
        let maker = FileMaker {
            store: Arc::clone(&store),
            style,
            owner: owner.to_string(),
        };
        FilesystemSink {
            store,
            maker: Arc::new(maker),
            owner: owner.to_string(),
            staged: Mutex::default(),
            working: Arc::default(),
            clock: Arc::new(SystemClock::new()),
            claim: None,
            held: Mutex::new(None),
        }
    }

    /// The sink of a folder that other queries can reach, whose lock is kept in `claim`.
    fn claiming(self, claim: Arc<dyn FileStore>) -> Self {
        FilesystemSink {
            claim: Some(claim),
            ..self
        }
    }

    /// Keeps other queries out while this one writes: file names say the epoch and not the query,
    /// so two would replace each other's files.
    fn take_claim(&self, context: &SinkContext) -> Result<()> {
        let Some(claim) = &self.claim else {
            return Ok(());
        };
        let mut held = self.held.lock();
        if held.is_some() {
            return Ok(());
        }
        let owner = LockOwner::this_process(&SystemClock::new()).of_query(context.query.clone());
        let guard = match context.is_takeover {
            true => claim.take_over(&owner),
            false => claim.lock(&owner),
        };
        let guard = guard.map_err(|error| match error.kind() {
            ErrorKind::Conflict => Error::conflict(format!(
                "folder \"{}\" of {} is being written by another query",
                self.store.describe(),
                self.owner
            ))
            .with_hint("Give every query a folder of its own."),
            _ => sink_error(error),
        })?;
        *held = Some(guard);
        Ok(())
    }

    /// Waits until what tasks that were dropped had begun has ended, so that it leaves nothing behind
    /// and does not meet the next try, which gives its files the same names.
    async fn idle(&self) -> Result<RwLockWriteGuard<'_, ()>> {
        tokio::select! {
            idle = self.working.write() => Ok(idle),
            () = self.clock.sleep(IDLE_WAIT_MAX) => Err(self.still_writes()),
        }
    }

    fn still_writes(&self) -> Error {
        Error::sink_failed(format!(
            "{} still writes a file of an epoch that was given up",
            self.owner
        ))
        .with_detail(format!(
            "A call that writes to \"{}\" hangs: it has not come back within {} seconds.",
            self.store.describe(),
            IDLE_WAIT_MAX.as_secs()
        ))
        .with_hint("Look at the disk, or at the server that has the folder, then start again.")
    }

    /// Forgets what tasks have staged of an epoch.
    fn forget(&self, epoch: EpochId) {
        self.staged.lock().retain(|(staged, _), _| *staged != epoch);
    }
}

#[async_trait]
impl Sink for FilesystemSink {
    fn capabilities(&self) -> SinkCapabilities {
        folder_capabilities()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.store.describe())]
    }

    fn publication(&self) -> Publication {
        Publication::AfterRecord
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        Ok(None)
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        self.maker.style.check(&context.schema)?;
        let _idle = self.idle().await?;
        self.take_claim(context)?;
        self.staged.lock().clear();
        let (maker, last) = (Arc::clone(&self.maker), context.last_committed);
        let opened = blocking(move || {
            check_visible(&*maker.store, &maker.owner, last)?;
            clear(&*maker.store, last)
        });
        opened.await.map_err(sink_error)
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let before = self.staged.lock().remove(&(epoch, partition));
        let working = Arc::clone(&self.working).read_owned().await;
        let mut files = TaskFiles::new(Arc::clone(&self.maker), epoch, partition, working);
        if let Some(before) = before {
            files = blocking(move || files.remove(&before).map(|()| files)).await?;
        }
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() > 0 {
                files = blocking(move || files.write(&batch).map(|()| files)).await?;
            }
        }
        let files = blocking(move || files.finish()).await?;
        let rows = files.iter().map(|file| file.rows).sum();
        let files = Files::of(files);
        let note = files.to_note()?;
        let mut staged = self.staged.lock();
        staged.insert((epoch, partition), files.files);
        Ok(Staged { rows, note })
    }

    /// The files are durable already; what is left is to remember their names.
    async fn prepare(&self, _epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let mut files = Files::default();
        for staged in staged {
            files.extend(Files::from_note(staged.note)?);
        }
        Ok(CommitToken(files.to_note()?))
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        let mut files = Vec::with_capacity(prepared.len());
        for (epoch, token) in prepared {
            files.push((epoch, Files::from_note(token.0)?));
        }
        let maker = Arc::clone(&self.maker);
        let gathered = blocking(move || gathering::gather(&maker, &files)).await;
        let gathered = gathered.map_err(sink_error)?.into_iter();
        gathered
            .map(|files| Ok(CommitToken(files.to_note()?)))
            .collect()
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        let token = Files::from_note(token.0)?;
        let store = Arc::clone(&self.store);
        let published = blocking(move || publish(&*store, epoch, &token)).await;
        published.map_err(sink_error)?;
        self.forget(epoch);
        Ok(())
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        let _idle = self.idle().await?;
        self.forget(epoch);
        let store = Arc::clone(&self.store);
        let removed = blocking(move || remove_staged(&*store, |staged| staged == epoch)).await;
        removed.map_err(sink_error)
    }

    async fn ended(&self) -> Result<()> {
        if !self.maker.style.files.marks_success {
            return Ok(());
        }
        let store = Arc::clone(&self.store);
        let marked = blocking(move || store.write_atomic(SUCCESS, b"")).await;
        marked.map_err(sink_error)
    }
}

#[cfg(test)]
mod tests;
