//! The files that one task of an epoch writes: one that is open for every folder that has rows.
//!
//! ```text
//! rows ─▶ folders ─▶ open files ── large enough, or too many ─▶ full ─▶ durable, hidden
//! ```
//!
//! A file gets no more rows once it has the target size, which is looked at after every batch.
//! Of more open files than [`MOST_OPEN`] the one that has waited longest for rows is finished; its
//! folder begins another one when it has rows again.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tokio::sync::OwnedRwLockReadGuard;

use headwater_checkpoint::FileStore;
use headwater_core::id::EpochId;
use headwater_core::{Error, Result};

use super::file_style::FileStyle;
use super::names::{file_name, path_in, staged_path};
use super::publication::ShownFile;
use super::rows_file::{RowsFile, sink_error};

/// Open files of one task: each holds a handle of the system and some memory.
const MOST_OPEN: usize = 64;
/// Files of one task in one epoch. Columns with more values than this are no columns to have
/// folders for.
const MOST_FILES: usize = 10_000;
/// Rows in memory that wait for their group to be full, of all open files.
const MOST_HELD_BYTES: usize = 128 << 20;

/// Where files go and what they are like.
#[derive(Debug)]
pub(super) struct FileMaker {
    pub(super) store: Arc<dyn FileStore>,
    pub(super) style: FileStyle,
    /// The sink's kind and quoted name.
    pub(super) owner: String,
}

/// The files of one task in one epoch. Its calls block: rows are encoded and written to the disk.
#[derive(Debug)]
pub(super) struct TaskFiles {
    maker: Arc<FileMaker>,
    epoch: EpochId,
    task: usize,
    /// By folder.
    open: BTreeMap<String, OpenFile>,
    /// What gets no more rows and is to be finished.
    full: Vec<OpenFile>,
    finished: Vec<ShownFile>,
    started: usize,
    /// Counts batches of folders, to know which file has waited longest.
    writes: u64,
    /// Let go of when nothing of the above is being written any more.
    _working: OwnedRwLockReadGuard<()>,
}

#[derive(Debug)]
struct OpenFile {
    path: String,
    rows: u64,
    last_write: u64,
    file: Box<dyn RowsFile>,
}

impl TaskFiles {
    /// No files yet; `working` is held as long as there may be any.
    pub(super) fn new(
        maker: Arc<FileMaker>,
        epoch: EpochId,
        task: usize,
        working: OwnedRwLockReadGuard<()>,
    ) -> Self {
        TaskFiles {
            maker,
            epoch,
            task,
            open: BTreeMap::new(),
            full: Vec::new(),
            finished: Vec::new(),
            started: 0,
            writes: 0,
            _working: working,
        }
    }

    /// Removes what the task has staged of the epoch before.
    pub(super) fn remove(&self, paths: &[String]) -> Result<()> {
        let store = &self.maker.store;
        let mut paths = paths.iter();
        let removed = paths.try_for_each(|path| store.delete(&staged_path(path)));
        removed.map_err(sink_error)
    }

    /// Takes rows, and finishes the files that are full.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        for (folder, rows) in self.maker.style.split(batch)? {
            self.append(folder, &rows)?;
            self.finish_full()?;
        }
        Ok(())
    }

    fn append(&mut self, folder: String, rows: &RecordBatch) -> Result<()> {
        let mut open = match self.open.remove(&folder) {
            Some(open) => open,
            None => self.start(&folder, &rows.schema())?,
        };
        open.file.write(rows).map_err(sink_error)?;
        open.rows += rows.num_rows() as u64;
        self.writes += 1;
        open.last_write = self.writes;
        if open.file.bytes() >= self.maker.style.files.target_bytes {
            self.full.push(open);
        } else {
            self.open.insert(folder, open);
        }
        self.keep_to_limits()
    }

    fn start(&mut self, folder: &str, schema: &SchemaRef) -> Result<OpenFile> {
        if self.started == MOST_FILES {
            return Err(Error::resource(format!(
                "{} needs more than {MOST_FILES} files for epoch {}",
                self.maker.owner, self.epoch
            ))
            .with_detail("Every combination of values of the partition columns is a folder.")
            .with_hint(
                "Partition by columns with fewer values, such as a day instead of a time; or let \
                 an epoch read less.",
            ));
        }
        let format = &self.maker.style.format;
        let name = file_name(self.epoch, self.task, self.started, format.extension());
        let path = path_in(folder, &name);
        let writer = self.maker.store.create_file(&staged_path(&path));
        let file = writer.and_then(|writer| format.start(writer, schema));
        self.started += 1;
        Ok(OpenFile {
            path,
            rows: 0,
            last_write: 0,
            file: file.map_err(sink_error)?,
        })
    }

    fn keep_to_limits(&mut self) -> Result<()> {
        if self.open.len() > MOST_OPEN {
            let oldest = self.open.iter().min_by_key(|(_, open)| open.last_write);
            let oldest = oldest.map(|(folder, _)| folder.clone());
            self.full.extend(oldest.and_then(|f| self.open.remove(&f)));
        }
        let held: usize = self.open.values().map(|o| o.file.held_bytes()).sum();
        if held > MOST_HELD_BYTES {
            let files = self.open.values_mut();
            if let Some(largest) = files.max_by_key(|open| open.file.held_bytes()) {
                largest.file.release().map_err(sink_error)?;
            }
        }
        Ok(())
    }

    fn finish_full(&mut self) -> Result<()> {
        for OpenFile {
            path, rows, file, ..
        } in std::mem::take(&mut self.full)
        {
            let bytes = file.finish().map_err(sink_error)?;
            self.finished.push(ShownFile { path, rows, bytes });
        }
        Ok(())
    }

    /// Finishes what is open. Gives all files, in the order of their names.
    pub(super) fn finish(mut self) -> Result<Vec<ShownFile>> {
        self.full
            .extend(std::mem::take(&mut self.open).into_values());
        self.finish_full()?;
        self.finished.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(self.finished)
    }
}
