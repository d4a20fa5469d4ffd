//! A folder as a sink: a file per epoch and partition, one row a line, exactly once.
//!
//! ```text
//! write    .part-00000042-000.jsonl.staged     durable, hidden
//! commit   part-00000042-000.jsonl             by a rename
//! ```
//!
//! Input: append mode. Output: no file for a partition without rows.
//! Replay: names carry the epoch, so a re-run overwrites itself, and a rename made twice is made
//! once. Who reads the folder sees whole files of committed epochs only.
//! One query at a time: the lock in `.headwater/` is held from the opening to the end. A process
//! that takes the query over takes the lock too, and no file of the first gets a name after that.
//! Source: Spark's `FileStreamSink` needs a log beside the files to tell committed ones; here the
//! name tells.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{BoxStream, TryStreamExt};
use serde::{Deserialize, Serialize};

use headwater_checkpoint::{FileStore, FileWriter, LocalFiles, LockGuard, LockOwner, Readers};
use headwater_core::clock::SystemClock;
use headwater_core::connector::DeclaredSink;
use headwater_core::crash_point::CrashPoint;
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, ErrorKind, Result};
use headwater_formats::{has_header, new_encoder};
use parking_lot::Mutex;

use super::permanent::not_writable;
use crate::blocking::blocking;

const STAGED_SUFFIX: &str = ".staged";
/// Where the lock of the query that writes is, below the folder of the results.
const CLAIM_FOLDER: &str = ".headwater";

/// Checks the declaration of a sink.
pub(super) fn declare(
    path: PathBuf,
    format: FormatSpec,
    owner: String,
    schema: Option<&SchemaRef>,
) -> Result<Arc<dyn DeclaredSink>> {
    extension(&format, &owner)?;
    has_header(&format, &owner)?;
    if let Some(schema) = schema {
        new_encoder(&format, &owner, schema)?;
    }
    Ok(Arc::new(DeclaredFolder {
        path,
        format,
        owner,
    }))
}

fn extension(format: &FormatSpec, owner: &str) -> Result<&'static str> {
    match format.name.as_str() {
        "json" => Ok("jsonl"),
        "csv" => Ok("csv"),
        "text" => Ok("txt"),
        other => Err(Error::unsupported(format!(
            "{owner} cannot write format \"{other}\" to files"
        ))
        .with_hint("Use json, csv or text.")),
    }
}

fn folder_capabilities() -> SinkCapabilities {
    SinkCapabilities {
        modes: vec![OutputMode::Append],
        key: Vec::new(),
        takes_deletes: false,
        is_idempotent: true,
    }
}

#[derive(Debug)]
struct DeclaredFolder {
    path: PathBuf,
    format: FormatSpec,
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
        let sink = FilesystemSink::try_new(Arc::clone(&store), self.format.clone(), &self.owner)?;
        Ok(Arc::new(sink.claiming(store)))
    }

    fn capabilities(&self) -> Result<SinkCapabilities> {
        Ok(folder_capabilities())
    }
}

/// A sink that writes the files of one folder.
#[derive(Debug)]
pub struct FilesystemSink {
    store: Arc<dyn FileStore>,
    format: FormatSpec,
    owner: String,
    extension: &'static str,
    /// Where the lock is that keeps other queries out, if there can be any.
    claim: Option<Arc<dyn FileStore>>,
    /// The lock, from the opening to the end of the sink.
    held: Mutex<Option<Box<dyn LockGuard>>>,
}

/// The note of a partition and the token of an epoch: names of visible files.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Files {
    files: Vec<String>,
    /// Files of epochs that the query was taken back from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    removed: Vec<String>,
}

impl FilesystemSink {
    /// A sink into the root of `store`; `owner` is its kind and quoted name, for messages.
    ///
    /// # Errors
    /// If files cannot be of this format.
    pub fn try_new(store: Arc<dyn FileStore>, format: FormatSpec, owner: &str) -> Result<Self> {
        Ok(FilesystemSink {
            extension: extension(&format, owner)?,
            store,
            format,
            owner: owner.to_string(),
            claim: None,
            held: Mutex::new(None),
        })
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

    fn file_name(&self, epoch: EpochId, partition: usize) -> String {
        format!("part-{:08}-{partition:03}.{}", epoch.0, self.extension)
    }

    /// Removes the hidden files whose epoch is chosen.
    fn remove_staged(&self, is_chosen: impl Fn(EpochId) -> bool) -> Result<()> {
        for name in self.store.list("")? {
            if staged_epoch(&name).is_some_and(&is_chosen) {
                self.store.delete(&name)?;
            }
        }
        Ok(())
    }

    /// Refuses a folder with files of epochs that this query has not committed: it would overwrite
    /// some of them and leave others among its own.
    fn check_visible(&self, last_committed: Option<EpochId>) -> Result<()> {
        let names = self.store.list("")?;
        let foreign = names.iter().find(|name| {
            let epoch = visible_epoch(name);
            epoch.is_some_and(|epoch| Some(epoch) > last_committed)
        });
        match foreign {
            None => Ok(()),
            Some(name) => Err(Error::conflict(format!(
                "folder \"{}\" of {} holds results of another query or of an earlier start",
                self.store.describe(),
                self.owner
            ))
            .with_detail(format!(
                "File \"{name}\" is not from this query's checkpoint."
            ))
            .with_hint(
                "Start the query with the checkpoint it had, empty the folder, or write to \
                 another.",
            )),
        }
    }

    fn start_file(&self, name: &str, schema: &SchemaRef) -> Result<PartFile> {
        let mut file = PartFile {
            encoder: new_encoder(&self.format, &self.owner, schema)?,
            writer: self.store.create_file(&staged_name(name))?,
            lines: Vec::new(),
        };
        if has_header(&self.format, &self.owner)? {
            let names = schema.fields().iter().map(|field| {
                let name: ArrayRef = Arc::new(StringArray::from(vec![field.name().as_str()]));
                (field.name(), name)
            });
            let names = RecordBatch::try_from_iter(names)?;
            let mut encoder = new_encoder(&self.format, &self.owner, names.schema_ref())?;
            file.append(encoder.encode(&names)?.iter())?;
        }
        Ok(file)
    }
}

/// A hidden file that is being written.
#[derive(Debug)]
struct PartFile {
    encoder: Box<dyn Encoder>,
    writer: Box<dyn FileWriter>,
    lines: Vec<u8>,
}

impl PartFile {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let records = self.encoder.encode(batch)?;
        self.lines
            .reserve(records.value_data().len() + records.len());
        self.append(records.iter())
    }

    /// A NULL record, which only formats of one column have, is an empty line.
    fn append<'a>(&mut self, records: impl Iterator<Item = Option<&'a [u8]>>) -> Result<()> {
        self.lines.clear();
        for record in records {
            self.lines.extend_from_slice(record.unwrap_or_default());
            self.lines.push(b'\n');
        }
        self.writer.write_all(&self.lines)
    }
}

fn staged_name(name: &str) -> String {
    format!(".{name}{STAGED_SUFFIX}")
}

/// The epoch of a hidden file's name.
fn staged_epoch(name: &str) -> Option<EpochId> {
    visible_epoch(name.strip_prefix('.')?.strip_suffix(STAGED_SUFFIX)?)
}

/// The epoch of a visible file's name.
fn visible_epoch(name: &str) -> Option<EpochId> {
    let (epoch, _) = name.strip_prefix("part-")?.split_once('-')?;
    let is_number = epoch.len() >= 8 && epoch.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(EpochId(epoch.parse().ok()?))
}

/// A failure of the store, as what it is for the user: a matter of the sink.
fn sink_error(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Checkpoint => {
            let hint = error.hint().map(str::to_string);
            let wrapped = Error::sink_failed(error.message());
            match hint {
                Some(hint) => wrapped.with_hint(hint),
                None => wrapped,
            }
        }
        _ => error,
    }
}

/// Removes the files of epochs that the query was taken back from, and what those that were only
/// decided have left.
fn take_back(store: &dyn FileStore, epoch: EpochId, removed: &[String]) -> Result<()> {
    if removed.is_empty() {
        return Ok(());
    }
    removed.iter().try_for_each(|name| store.delete(name))?;
    for name in store.list("")? {
        if staged_epoch(&name).is_some_and(|staged| staged <= epoch) {
            store.delete(&name)?;
        }
    }
    Ok(())
}

fn read_note(note: serde_json::Value) -> Result<Files> {
    if note.is_null() {
        return Ok(Files::default());
    }
    serde_json::from_value(note).map_err(|error| {
        Error::checkpoint("the note of a filesystem sink is damaged").with_source(error)
    })
}

fn write_note(files: Vec<String>) -> Result<serde_json::Value> {
    let removed = Vec::new();
    serde_json::to_value(Files { files, removed })
        .map_err(|error| Error::internal("could not write a sink's note").with_source(error))
}

#[async_trait]
impl Sink for FilesystemSink {
    fn capabilities(&self) -> SinkCapabilities {
        folder_capabilities()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![("path", self.store.describe())]
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        new_encoder(&self.format, &self.owner, &context.schema)?;
        self.take_claim(context)?;
        self.check_visible(context.last_committed)
            .map_err(sink_error)?;
        self.remove_staged(|epoch| Some(epoch) > context.last_committed)
            .map_err(sink_error)
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        mut rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let name = self.file_name(epoch, partition);
        let mut file: Option<PartFile> = None;
        let mut count = 0;
        while let Some(batch) = rows.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            let mut open = match file.take() {
                Some(open) => open,
                None => self
                    .start_file(&name, batch.schema_ref())
                    .map_err(sink_error)?,
            };
            open.write(&batch).map_err(sink_error)?;
            count += batch.num_rows() as u64;
            file = Some(open);
        }
        let files = match file {
            Some(file) => {
                let writer = file.writer;
                blocking(move || writer.finish())
                    .await
                    .map_err(sink_error)?;
                vec![name]
            }
            None => {
                let staged = staged_name(&name);
                self.store.delete(&staged).map_err(sink_error)?;
                Vec::new()
            }
        };
        Ok(Staged {
            rows: count,
            note: write_note(files)?,
        })
    }

    /// The files are durable already; what is left is to remember their names.
    async fn prepare(&self, _epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let mut files = Vec::new();
        for staged in staged {
            files.extend(read_note(staged.note)?.files);
        }
        Ok(CommitToken(write_note(files)?))
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        let Files { files, removed } = read_note(token.0)?;
        let store = Arc::clone(&self.store);
        let renamed = blocking(move || {
            take_back(&*store, epoch, &removed)?;
            let mut names = files.iter();
            names.try_for_each(|name| {
                store.rename(&staged_name(name), name)?;
                CrashPoint::MidFinish.reach();
                Ok(())
            })
        });
        renamed.await.map_err(sink_error)
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.remove_staged(|staged| staged == epoch)
            .map_err(sink_error)
    }
}

#[cfg(test)]
mod tests;
