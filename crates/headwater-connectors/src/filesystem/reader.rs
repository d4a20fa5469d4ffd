//! Files of lines to batches of rows, chunk by chunk.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};

use headwater_core::offset::Partition;
use headwater_core::source::{ReadCounters, ReadRequest, SourceBatch};
use headwater_core::{Error, Result};
use headwater_formats::RowAssembler;

use super::folder::{FileEntry, could_not, modified};
use crate::lines::{LineChunk, append_line, remove_byte_order_mark};
use crate::record_rows::{RecordRows, records_of};

const READ_BYTES: usize = 256 << 10;

/// Reads files one after the other. Its calls block.
#[derive(Debug)]
pub(super) struct FilesReader {
    rows: Arc<RecordRows>,
    files: std::vec::IntoIter<(PathBuf, FileEntry)>,
    current: Option<OpenFile>,
    assembler: RowAssembler,
    counters: Arc<ReadCounters>,
    partition: Partition,
    batch_rows: usize,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    entry: FileEntry,
    lines: BufReader<File>,
    next_line: i64,
    /// Bytes that were counted as done.
    done_bytes: u64,
}

impl FilesReader {
    /// A reader of some files, in their order.
    pub(super) fn try_new(
        rows: &Arc<RecordRows>,
        files: Vec<(PathBuf, FileEntry)>,
        request: &ReadRequest,
        partition: &Partition,
    ) -> Result<Self> {
        Ok(FilesReader {
            rows: Arc::clone(rows),
            files: files.into_iter(),
            current: None,
            assembler: rows.assembler(&request.projection)?,
            counters: Arc::clone(&request.counters),
            partition: partition.clone(),
            batch_rows: request.batch_rows.max(1),
        })
    }

    /// The next rows; `None` after the last file.
    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        loop {
            let Some(mut file) = self.take_file()? else {
                return Ok(None);
            };
            let chunk = file.read_chunk(&self.rows, self.batch_rows)?;
            self.counters.add_done(file.pass());
            if chunk.is_empty() {
                continue;
            }
            let batch = self.assemble(&file, chunk)?;
            self.current = Some(file);
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    fn take_file(&mut self) -> Result<Option<OpenFile>> {
        if let Some(file) = self.current.take() {
            return Ok(Some(file));
        }
        match self.files.next() {
            Some((path, entry)) => OpenFile::open(path, entry, &self.rows).map(Some),
            None => Ok(None),
        }
    }

    fn assemble(&mut self, file: &OpenFile, chunk: LineChunk) -> Result<SourceBatch> {
        let (payloads, numbers) = chunk.into_records();
        let locate = |record: usize| place_of(&file.path, &numbers, record);
        let metadata = |index: usize| {
            self.rows
                .metadata_column(index, |from| file.metadata(from, &numbers))
        };
        let assembled =
            self.assembler
                .assemble(&payloads, None, &metadata, &locate, &self.counters)?;
        let path = file.path.clone();
        let records = records_of(payloads, move |record| place_of(&path, &numbers, record));
        Ok(assembled.into_batch(self.partition.clone(), records))
    }
}

/// The place of a record, from the numbers of the records' lines.
fn place_of(path: &Path, numbers: &[i64], record: usize) -> String {
    let line = numbers.get(record).map_or(0, |number| number + 1);
    format!("line {line} of file \"{}\"", path.display())
}

fn gone(path: &Path) -> Error {
    let path = path.display();
    Error::data_loss(format!("file \"{path}\" is gone before it was read"))
        .with_hint("Put the file back; files may be removed once an epoch has read them.")
}

fn changed(path: &Path, entry: &FileEntry, bytes: u64) -> Error {
    let path = path.display();
    let message = if bytes == entry.size {
        format!("file \"{path}\" was written to since it was found, and not read yet")
    } else {
        let was = entry.size;
        format!("file \"{path}\" has changed from {was} to {bytes} bytes since it was found")
    };
    Error::data_loss(message).with_hint(
        "Write a file under a name that starts with a dot or ends in .tmp, and rename it when it \
         is whole.",
    )
}

/// Whether a file is still what it was when it was given its number, of which nothing was read yet.
pub(super) fn check_unread(path: &Path, entry: &FileEntry) -> Result<()> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(gone(path)),
        Err(error) => return Err(could_not("read", path, error)),
    };
    let is_same = found.len() == entry.size && modified(&found) == entry.mtime;
    if is_same {
        Ok(())
    } else {
        Err(changed(path, entry, found.len()))
    }
}

/// Opens a file that must still be what it was when it was given its number.
pub(super) fn open_unchanged(path: &Path, entry: &FileEntry) -> Result<File> {
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => gone(path),
        _ => could_not("open", path, error),
    })?;
    let found = file.metadata().map_err(|e| could_not("read", path, e))?;
    if found.len() != entry.size {
        return Err(changed(path, entry, found.len()));
    }
    Ok(file)
}

impl OpenFile {
    fn open(path: PathBuf, entry: FileEntry, rows: &RecordRows) -> Result<Self> {
        let file = open_unchanged(&path, &entry)?;
        let mut open = OpenFile {
            lines: BufReader::with_capacity(READ_BYTES, file),
            path,
            entry,
            next_line: 0,
            done_bytes: 0,
        };
        if rows.has_header() {
            open.take_header(rows)?;
        }
        Ok(open)
    }

    /// Reads the first line and checks it; a file without a line has no row that could be wrong.
    fn take_header(&mut self, rows: &RecordRows) -> Result<()> {
        let mut header = Vec::new();
        let has_line = append_line(&mut self.lines, &mut header);
        if has_line.map_err(|e| could_not("read", &self.path, e))? {
            remove_byte_order_mark(&mut header, 0);
            let place = format!("file \"{}\"", self.path.display());
            rows.check_header(&header, &place)?;
            self.next_line = 1;
        }
        Ok(())
    }

    /// Bytes that were read since this was called before. A file that has no position has none.
    fn pass(&mut self) -> u64 {
        let position = self.lines.stream_position().unwrap_or(0);
        let passed = position.saturating_sub(self.done_bytes);
        self.done_bytes += passed;
        passed
    }

    /// Lines up to the chunk's bounds; an empty chunk at the end of the file.
    fn read_chunk(&mut self, rows: &RecordRows, most_lines: usize) -> Result<LineChunk> {
        let passed_over = rows.passed_over();
        let mut chunk = LineChunk::new();
        let lines: &mut dyn BufRead = &mut self.lines;
        while !chunk.is_full(most_lines) {
            let has_line = chunk.read_line(self.next_line, lines, passed_over);
            if !has_line.map_err(|e| could_not("read", &self.path, e))? {
                break;
            }
            self.next_line += 1;
        }
        Ok(chunk)
    }

    fn metadata(&self, from: &str, numbers: &[i64]) -> ArrayRef {
        match from {
            "line" => Arc::new(
                numbers
                    .iter()
                    .map(|number| number + 1)
                    .collect::<Int64Array>(),
            ),
            "modified" => Arc::new(TimestampMicrosecondArray::from_value(
                self.entry.mtime.0,
                numbers.len(),
            )),
            _ => {
                let path = self.path.to_string_lossy();
                let paths = numbers.iter().map(|_| Some(path.as_ref()));
                Arc::new(paths.collect::<StringArray>())
            }
        }
    }
}
