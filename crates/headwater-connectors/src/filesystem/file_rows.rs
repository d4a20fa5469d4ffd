//! The two kinds of files of a source: of lines, and of columns.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef, TimeUnit};

use headwater_core::Result;
use headwater_core::connector::SourceDefinition;
use headwater_core::offset::Partition;
use headwater_core::options::OptionReader;
use headwater_core::source::{ReadRequest, SourceBatch};

use super::arrivals::Arrivals;
use super::folder::FileEntry;
use super::parquet_rows::{ParquetReader, ParquetRows};
use super::reader::FilesReader;
use crate::options::take_format;
use crate::record_rows::RecordRows;

/// How the files of a declared source become rows.
#[derive(Debug, Clone)]
pub(super) enum FileRows {
    /// A record a line.
    Lines(Arc<RecordRows>),
    /// Columns.
    Parquet(Arc<ParquetRows>),
}

impl FileRows {
    /// Checks a definition.
    ///
    /// # Errors
    /// If the format, a column or a metadata column does not fit.
    pub(super) fn try_new(
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Self> {
        let known = [
            ("path", DataType::Utf8),
            ("line", DataType::Int64),
            ("modified", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ];
        let format = take_format(definition.format.clone(), options, "text")?;
        let owner = options.owner();
        Ok(match format.name.as_str() {
            "parquet" => {
                let rows = ParquetRows::try_new(definition, &format, &known, owner)?;
                FileRows::Parquet(Arc::new(rows))
            }
            _ => {
                let rows = RecordRows::of_format(definition, format, &known, owner)?;
                FileRows::Lines(Arc::new(rows))
            }
        })
    }

    /// The source's kind and quoted name.
    pub(super) fn owner(&self) -> &str {
        match self {
            FileRows::Lines(rows) => rows.owner(),
            FileRows::Parquet(rows) => rows.owner(),
        }
    }

    /// Payload columns, then metadata columns.
    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            FileRows::Lines(rows) => rows.schema(),
            FileRows::Parquet(rows) => rows.schema(),
        }
    }

    /// A reader of the files `[start, end)`.
    pub(super) fn reader(
        &self,
        arrivals: &Arrivals,
        request: &ReadRequest,
        (partition, start, end): (&Partition, i64, i64),
    ) -> Result<FileReader> {
        let files = arrivals.range(start.max(0) as usize, end.max(0) as usize)?;
        let files = files.into_iter();
        let files: Vec<(PathBuf, FileEntry)> = files
            .map(|entry| (arrivals.input().path_of(&entry), entry))
            .collect();
        if request.rows_wanted.is_none() {
            let bytes = files.iter().map(|(_, entry)| entry.size);
            request.counters.add_expected(bytes.sum());
        }
        Ok(match self {
            FileRows::Lines(rows) => {
                FileReader::Lines(FilesReader::try_new(rows, files, request, partition)?)
            }
            FileRows::Parquet(rows) => {
                FileReader::Parquet(ParquetReader::try_new(rows, files, request, partition)?)
            }
        })
    }
}

/// Reads files one after the other. Its calls block.
#[derive(Debug)]
pub(super) enum FileReader {
    /// Of lines.
    Lines(FilesReader),
    /// Of columns.
    Parquet(ParquetReader),
}

impl FileReader {
    /// The next rows; `None` after the last file.
    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        match self {
            FileReader::Lines(reader) => reader.next_batch(),
            FileReader::Parquet(reader) => reader.next_batch(),
        }
    }
}
