//! What every format of files has in common: rows go in, and a file is whole when it is finished.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use headwater_checkpoint::{FileStore, FileWriter};
use headwater_core::Result;
use headwater_core::format::FormatSpec;
use headwater_core::{Error, ErrorKind};

use super::lines::LinesFormat;
use super::parquet::ParquetFormat;

/// A file that takes rows.
pub(super) trait RowsFile: Debug + Send {
    /// Appends rows.
    fn write(&mut self, rows: &RecordBatch) -> Result<()>;

    /// How long the file would be if it were finished now, about.
    fn bytes(&self) -> u64;

    /// How many bytes of it are in memory.
    fn held_bytes(&self) -> usize {
        0
    }

    /// Lets go of what is in memory, at the cost of a less compact file.
    fn release(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the file whole and durable, and gives its length.
    fn finish(self: Box<Self>) -> Result<u64>;
}

/// How rows become the bytes of a file.
#[derive(Debug, Clone)]
pub(super) enum FileFormat {
    /// A line a row.
    Lines(LinesFormat),
    /// Row groups of encoded columns.
    Parquet(ParquetFormat),
}

impl FileFormat {
    /// The format of this name; `owner` is the sink's kind and quoted name, for messages.
    ///
    /// # Errors
    /// If files cannot be of this format, or an option of it is wrong.
    pub(super) fn try_new(spec: FormatSpec, owner: &str) -> Result<Self> {
        match spec.name.as_str() {
            "parquet" => ParquetFormat::try_new(&spec, owner).map(FileFormat::Parquet),
            _ => LinesFormat::try_new(spec, owner).map(FileFormat::Lines),
        }
    }

    /// The ending of the files' names.
    pub(super) fn extension(&self) -> &'static str {
        match self {
            FileFormat::Lines(lines) => lines.extension(),
            FileFormat::Parquet(_) => "parquet",
        }
    }

    /// Checks that a file can hold rows of this schema.
    ///
    /// # Errors
    /// If it cannot hold a column.
    pub(super) fn check(&self, schema: &SchemaRef) -> Result<()> {
        match self {
            FileFormat::Lines(lines) => lines.check(schema),
            FileFormat::Parquet(parquet) => parquet.check(schema),
        }
    }

    /// Writes the rows of several files into one, in their order, and gives its length.
    pub(super) fn combine(
        &self,
        store: &Arc<dyn FileStore>,
        parts: &[String],
        into: Box<dyn FileWriter>,
    ) -> Result<u64> {
        match self {
            FileFormat::Lines(lines) => lines.combine(&**store, parts, into),
            FileFormat::Parquet(parquet) => parquet.combine(store, parts, into),
        }
    }

    /// Starts a file.
    pub(super) fn start(
        &self,
        writer: Box<dyn FileWriter>,
        schema: &SchemaRef,
    ) -> Result<Box<dyn RowsFile>> {
        match self {
            FileFormat::Lines(lines) => lines.start(writer, schema),
            FileFormat::Parquet(parquet) => parquet.start(writer, schema),
        }
    }
}

/// The error of a staged file that is not where this process has written it.
pub(super) fn is_gone(path: &str) -> Error {
    Error::sink_failed(format!("file \"{path}\" is gone before it was committed"))
        .with_hint("Leave the folder \".headwater\" of a sink alone while its query runs.")
}

/// A failure of the store, as what it is for the user: a matter of the sink.
pub(super) fn sink_error(error: Error) -> Error {
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
