//! Files of one row a line: JSON, CSV and TEXT.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::SchemaRef;

use headwater_checkpoint::{FileStore, FileWriter};
use headwater_core::crash_point::CrashPoint;
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::{Error, Result};
use headwater_formats::{header_quote, new_encoder};

use super::rows_file::{RowsFile, is_gone};

/// Bytes that are copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// A format that writes a line a row.
#[derive(Debug, Clone)]
pub(super) struct LinesFormat {
    spec: FormatSpec,
    owner: String,
    extension: &'static str,
    /// What is around names in the header that files begin with; `None` if they have none.
    header: Option<u8>,
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
            header: header_quote(&spec, owner)?,
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
            let mut header = self.header.filter(|_| number > 0).map(HeaderLine::new);
            let mut offset = 0;
            loop {
                let bytes = store.read_part(part, offset, COPY_BYTES)?;
                let bytes = bytes.ok_or_else(|| is_gone(part))?;
                if bytes.is_empty() {
                    break;
                }
                offset += bytes.len() as u64;
                let mut rows = bytes.as_slice();
                if let Some(line) = &mut header {
                    let after = line.after(rows);
                    if after.is_some() {
                        header = None;
                    }
                    rows = after.unwrap_or_default();
                }
                written += rows.len() as u64;
                into.write_all(rows)?;
            }
        }
        CrashPoint::MidGather.reach();
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
        if self.header.is_some() {
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

/// The way to the end of a header, of which a name may hold a line feed.
#[derive(Debug)]
struct HeaderLine {
    quote: u8,
    is_quoted: bool,
}

impl HeaderLine {
    fn new(quote: u8) -> Self {
        HeaderLine {
            quote,
            is_quoted: false,
        }
    }

    /// What follows the header; `None` if it has not ended yet. A quote inside a name is there
    /// twice, so that it changes nothing.
    fn after<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        for (place, byte) in bytes.iter().enumerate() {
            if *byte == self.quote {
                self.is_quoted = !self.is_quoted;
            } else if *byte == b'\n' && !self.is_quoted {
                return bytes.get(place + 1..);
            }
        }
        None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_ends_at_the_first_line_feed_outside_of_quotes() {
        for (bytes, rows) in [
            ("n\n1\n", "1\n"),
            ("\"a\nb\",c\n1,2\n", "1,2\n"),
            ("\"a\"\"\n\"\"b\"\n1\n", "1\n"),
        ] {
            for cut in 0..bytes.len() {
                let (first, second) = bytes.as_bytes().split_at(cut);
                let mut header = HeaderLine::new(b'"');
                let found = match header.after(first) {
                    Some(rest) => [rest, second].concat(),
                    None => header.after(second).unwrap().to_vec(),
                };
                assert_eq!(found, rows.as_bytes(), "{bytes:?} cut at {cut}");
            }
        }
    }
}
