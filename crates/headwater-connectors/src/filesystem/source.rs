//! A folder as a source: its new files, each read whole and once.
//!
//! Input: lines of files, or rows of Parquet files, in the order of [`super::arrivals`].
//! Output: the declared columns; metadata `path`, `line` (from 1) and `modified`.
//! State: the journal of files in the checkpoint; the names in memory.
//! Replay: an offset is a number of files; a number means the same file for ever. A file that is
//! gone or has another length than when it was found is data loss; a query that goes on looks at
//! those that were found and not read yet, and at when they were written to, before it reads.
//! Source: Spark's `FileStreamSource`; there files are ordered by time alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};

use headwater_core::Result;
use headwater_core::clock::Clock;
use headwater_core::connector::{DeclaredSource, SourceContext};
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};

use super::arrivals::Arrivals;
use super::file_rows::{FileReader, FileRows};
use super::folder::{Input, NamePattern};
use crate::blocking::blocking;

/// What the options of a source say about its files.
#[derive(Debug, Clone)]
pub(super) struct FilesOptions {
    pub(super) max_files: Option<u64>,
    pub(super) pattern: NamePattern,
    pub(super) poll_interval: Duration,
}

/// A declared source of files.
#[derive(Debug)]
pub(super) struct DeclaredFiles {
    path: PathBuf,
    rows: FileRows,
    options: FilesOptions,
}

impl DeclaredFiles {
    pub(super) fn new(path: PathBuf, rows: FileRows, options: FilesOptions) -> Self {
        DeclaredFiles {
            path,
            rows,
            options,
        }
    }
}

#[async_trait]
impl DeclaredSource for DeclaredFiles {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        // Without a current folder the path is told as it was written.
        let path = std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone());
        vec![("path", path.display().to_string())]
    }

    /// Files are read whole, so records are not limited; the source counts files itself.
    fn limits(&self) -> EpochLimits {
        EpochLimits::default()
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        let path = self.path.clone();
        let pattern = self.options.pattern.clone();
        let owner = self.rows.owner().to_string();
        let input = blocking(move || Input::find(&path, &pattern, &owner)).await?;
        let poll_interval = self.options.poll_interval;
        let clock = Arc::clone(&context.clock);
        let arrivals = Arrivals::new(input, context.journal, clock, poll_interval);
        Ok(Arc::new(FilesSource {
            rows: self.rows.clone(),
            arrivals: Arc::new(arrivals),
            clock: context.clock,
            max_files: self.options.max_files,
            poll_interval,
        }))
    }
}

/// An opened source of files.
#[derive(Debug)]
struct FilesSource {
    rows: FileRows,
    arrivals: Arc<Arrivals>,
    clock: Arc<dyn Clock>,
    max_files: Option<u64>,
    poll_interval: Duration,
}

fn partition() -> Partition {
    Partition::new("files", 0)
}

fn position(files: u64) -> Offsets {
    let files = i64::try_from(files).unwrap_or(i64::MAX);
    Offsets::from_iter([(partition(), files)])
}

fn files_of(offsets: &Offsets) -> u64 {
    let files = offsets.get(&partition()).unwrap_or(0);
    u64::try_from(files).unwrap_or(0)
}

impl FilesSource {
    async fn number_up_to(&self, most: u64) -> Result<u64> {
        let arrivals = Arc::clone(&self.arrivals);
        blocking(move || arrivals.number_up_to(most)).await
    }
}

#[async_trait]
impl Source for FilesSource {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn is_replayable(&self) -> bool {
        true
    }

    async fn initial(&self) -> Result<Offsets> {
        Ok(position(0))
    }

    /// Files that were read may be gone; those that were found and not read yet must be as they
    /// were.
    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()> {
        let (arrivals, first) = (Arc::clone(&self.arrivals), files_of(point.committed));
        let decided = usize::try_from(files_of(point.decided)).unwrap_or(usize::MAX);
        blocking(move || {
            arrivals.range(0, decided)?;
            arrivals.check_unread(first)
        })
        .await
    }

    fn fingerprints(&self, _up_to: &Offsets) -> Fingerprints {
        Fingerprints::default()
    }

    /// Gives every file of now its number: what comes later comes after.
    async fn latest(&self) -> Result<Offsets> {
        Ok(position(self.number_up_to(u64::MAX).await?))
    }

    async fn narrow(&self, slice: Slice, _: &ReadBounds) -> Result<Slice> {
        Ok(slice)
    }

    async fn available(&self, from: &Offsets, _limits: &EpochLimits) -> Result<Offsets> {
        let start = files_of(from);
        let most = self
            .max_files
            .map_or(u64::MAX, |max| start.saturating_add(max));
        let known = self.number_up_to(most).await?;
        Ok(position(known.min(most).max(start)))
    }

    /// A folder tells nobody of new files, so it is listed every poll interval.
    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        let number = files_of(from);
        loop {
            let arrivals = Arc::clone(&self.arrivals);
            if self.has_ended(from) || blocking(move || arrivals.has(number)).await? {
                return Ok(());
            }
            self.clock.sleep(self.poll_interval).await;
        }
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        self.arrivals.input().is_single() && files_of(from) >= 1
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let readers: Vec<FileReader> = request
            .slice
            .ranges()
            .map(|range| self.rows.reader(&self.arrivals, &request, range))
            .collect::<Result<_>>()?;
        let streams = readers.into_iter().map(|reader| {
            stream::try_unfold(reader, |mut reader| {
                blocking(move || Ok(reader.next_batch()?.map(|batch| (batch, reader))))
            })
        });
        Ok(stream::iter(streams).flatten().boxed())
    }

    async fn committed(&self, _up_to: &Offsets) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
