//! Files of one row a line: JSON, CSV and TEXT.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use headwater_checkpoint::{FileStore, FileWriter};
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::{Error, Result};
use headwater_formats::{has_header, new_encoder};

use super::rows_file::{RowsFile, is_gone};

/// Bytes that are copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// A format that writes a line a row.
#[derive(Debug, Clone)]
pub(super) struct LinesFormat {
    spec: FormatSpec,
    owner: String,
    extension: &'static str,
    has_header: bool,
}

impl LinesFormat {
    /// The format of this name.
    ///
    /// # Errors
    /// If it is none of lines, or an option of it is wrong.
    pub(super) fn try_new(spec: FormatSpec, owner: &str) -> Result<Self> {
        let extension = match spec.name.as_str() {
            "json" => "jsonl",
            "csv" => "csv",
            "text" => "txt",
            other => {
                return Err(Error::unsupported(format!(
                    "{owner} cannot write format \"{other}\" to files"
                ))
                .with_hint("Use json, csv, parquet or text."));
            }
        };
        Ok(LinesFormat {
            has_header: has_header(&spec, owner)?,
            spec,
            owner: owner.to_string(),
            extension,
        })
    }

    pub(super) fn extension(&self) -> &'static str {
        self.extension
    }

    pub(super) fn check(&self, schema: &SchemaRef) -> Result<()> {
        self.encoder(schema).map(|_| ())
    }

    fn encoder(&self, schema: &SchemaRef) -> Result<Box<dyn Encoder>> {
        new_encoder(&self.spec, &self.owner, schema)
    }

    /// Copies files one after the other, with the header of the first.
    pub(super) fn combine(
        &self,
        store: &dyn FileStore,
        parts: &[String],
        mut into: Box<dyn FileWriter>,
    ) -> Result<u64> {
        let mut written = 0;
        for (number, part) in parts.iter().enumerate() {
            let mut in_header = self.has_header && number > 0;
            let mut offset = 0;
            loop {
                let bytes = store.read_part(part, offset, COPY_BYTES)?;
                let bytes = bytes.ok_or_else(|| is_gone(part))?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                let mut rows = bytes.as_slice();
                if in_header {
                    let end = rows.iter().position(|byte| *byte == b'\n');
                    rows = end.and_then(|end| rows.get(end + 1..)).unwrap_or_default();
                    in_header = end.is_none();
                }
                written += rows.len() as u64;
                into.write_all(rows)?;
            }
        }
        into.finish()?;
        Ok(written)
    }

    pub(super) fn start(
        &self,
        writer: Box<dyn FileWriter>,
        schema: &SchemaRef,
    ) -> Result<Box<dyn RowsFile>> {
        let mut file = LinesFile {
            encoder: self.encoder(schema)?,
            writer,
            lines: Vec::new(),
            bytes: 0,
        };
        if self.has_header {
            let names = schema.fields().iter().map(|field| {
                let name: ArrayRef = Arc::new(StringArray::from(vec![field.name().as_str()]));
                (field.name(), name)
            });
            let names = RecordBatch::try_from_iter(names)?;
            let mut encoder = self.encoder(names.schema_ref())?;
            file.append(encoder.encode(&names)?.iter())?;
        }
        Ok(Box::new(file))
    }
}

#[derive(Debug)]
struct LinesFile {
    encoder: Box<dyn Encoder>,
    writer: Box<dyn FileWriter>,
    lines: Vec<u8>,
    bytes: u64,
}

impl LinesFile {
    /// A NULL record, which only formats of one column have, is an empty line.
    fn append<'a>(&mut self, records: impl Iterator<Item = Option<&'a [u8]>>) -> Result<()> {
        self.lines.clear();
        for record in records {
            self.lines.extend_from_slice(record.unwrap_or_default());
            self.lines.push(b'\n');
        }
        self.bytes += self.lines.len() as u64;
        self.writer.write_all(&self.lines)
    }
}

impl RowsFile for LinesFile {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let records = self.encoder.encode(rows)?;
        self.lines
            .reserve(records.value_data().len() + records.len());
        self.append(records.iter())
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        self.writer.finish()?;
        Ok(self.bytes)
    }
}
