//! Parquet files: columns, encoded and compressed, in groups of rows.
//!
//! A group of rows is in memory until it is written, 64 MiB of it at most. The names of the columns
//! and their types are those of the rows; a TIMESTAMP has microseconds and no time zone.

use std::io;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, IntervalUnit, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use headwater_checkpoint::{FileStore, FileWriter};
use headwater_core::crash_point::CrashPoint;
use headwater_core::format::FormatSpec;
use headwater_core::options::OptionReader;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

use super::rows_file::RowsFile;
use super::stored_file::{Output, StoreFailure, StoredFile};

/// The most bytes of a group of rows.
const GROUP_BYTES: usize = 64 << 20;
/// Rows that are copied at a time.
const COPY_ROWS: usize = 8192;

/// What the options of the format say.
#[derive(Debug, Clone)]
pub(super) struct ParquetFormat {
    compression: Compression,
    owner: String,
}

impl ParquetFormat {
    /// Takes `compression`: `zstd`, `snappy` or `none`.
    ///
    /// # Errors
    /// If an option is unknown or wrong.
    pub(super) fn try_new(spec: &FormatSpec, owner: &str) -> Result<Self> {
        let whose = format!("format \"parquet\" of {owner}");
        let mut options = OptionReader::new(whose, &spec.options);
        let zstd = Compression::ZSTD(ZstdLevel::default());
        let choices = [
            ("zstd", zstd),
            ("snappy", Compression::SNAPPY),
            ("none", Compression::UNCOMPRESSED),
        ];
        let compression = options.take_choice("compression", &[], &choices)?;
        options.finish()?;
        Ok(ParquetFormat {
            compression: compression.unwrap_or(zstd),
            owner: owner.to_string(),
        })
    }

    pub(super) fn check(&self, schema: &SchemaRef) -> Result<()> {
        match schema.fields().iter().find(|f| !can_hold(f.data_type())) {
            None => Ok(()),
            Some(field) => Err(Error::unsupported(format!(
                "format \"parquet\" of {} cannot hold column \"{}\", which is {}",
                self.owner,
                field.name(),
                a_type_name(field.data_type())
            ))
            .with_hint("CAST it to a text or a number in the query.")),
        }
    }

    /// Reads files one after the other and writes their rows again: groups of rows that are full
    /// are what makes a Parquet file small and fast.
    pub(super) fn combine(
        &self,
        store: &Arc<dyn FileStore>,
        parts: &[String],
        into: Box<dyn FileWriter>,
    ) -> Result<u64> {
        let mut parts = parts.iter();
        let open = |part: &String| StoredRows::open(store, part, &self.owner);
        let first = parts.next().map(open).transpose()?;
        let Some(first) = first else {
            return Err(Error::internal("there is no file to put together"));
        };
        let mut file = self.start(into, &first.schema)?;
        first.copy_into(&mut *file)?;
        for part in parts {
            open(part)?.copy_into(&mut *file)?;
        }
        CrashPoint::MidGather.reach();
        file.finish()
    }

    pub(super) fn start(
        &self,
        writer: Box<dyn FileWriter>,
        schema: &SchemaRef,
    ) -> Result<Box<dyn RowsFile>> {
        let properties = WriterProperties::builder()
            .set_compression(self.compression)
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("headwater version ", env!("CARGO_PKG_VERSION")).to_string())
            .build();
        let out = Output { writer, bytes: 0 };
        let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties));
        Ok(Box::new(ParquetFile {
            writer: writer.map_err(|error| failed(&self.owner, error))?,
            owner: self.owner.clone(),
        }))
    }
}

/// The rows of a file that was written before.
struct StoredRows<'a> {
    file: StoredFile,
    schema: SchemaRef,
    rows: ParquetRecordBatchReader,
    owner: &'a str,
}

impl<'a> StoredRows<'a> {
    fn open(store: &Arc<dyn FileStore>, part: &str, owner: &'a str) -> Result<Self> {
        let file = StoredFile::open(store, part)?;
        let rows = ParquetRecordBatchReaderBuilder::try_new(file.clone());
        let rows = rows.map_err(|error| failed(owner, error))?;
        let schema = SchemaRef::clone(rows.schema());
        let rows = rows.with_batch_size(COPY_ROWS).build();
        Ok(StoredRows {
            file,
            schema,
            rows: rows.map_err(|error| failed(owner, error))?,
            owner,
        })
    }

    fn copy_into(self, into: &mut dyn RowsFile) -> Result<()> {
        for batch in self.rows {
            let batch = batch.map_err(|error| match self.file.take_failure() {
                Some(failure) => failure,
                None => failed(self.owner, error.into()),
            });
            into.write(&batch?)?;
        }
        Ok(())
    }
}

/// Whether there is a type of Parquet for it.
fn can_hold(data_type: &DataType) -> bool {
    let holds = |field: &Field| can_hold(field.data_type());
    match data_type {
        DataType::Union(..)
        | DataType::RunEndEncoded(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Interval(IntervalUnit::MonthDayNano) => false,
        DataType::Struct(fields) => !fields.is_empty() && fields.iter().all(|f| holds(f)),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => holds(item),
        DataType::Dictionary(_, value) => can_hold(value),
        _ => true,
    }
}

/// A failure of the encoder, or of the store below it as the store said it.
fn failed(owner: &str, error: ParquetError) -> Error {
    let could_not = || Error::sink_failed(format!("{owner} could not write a Parquet file"));
    let source = match error {
        ParquetError::External(source) => source,
        error => return could_not().with_source(error),
    };
    let source = match source.downcast::<io::Error>() {
        Ok(failure) => *failure,
        Err(source) => return could_not().with_source(source),
    };
    match source.downcast::<StoreFailure>() {
        Ok(StoreFailure(error)) => error,
        Err(source) => could_not().with_source(source),
    }
}

#[derive(Debug)]
struct ParquetFile {
    writer: ArrowWriter<Output>,
    owner: String,
}

impl RowsFile for ParquetFile {
    fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let written = self.writer.write(rows);
        written.map_err(|error| failed(&self.owner, error))
    }

    fn bytes(&self) -> u64 {
        (self.writer.bytes_written() + self.writer.in_progress_size()) as u64
    }

    fn held_bytes(&self) -> usize {
        self.writer.memory_size()
    }

    fn release(&mut self) -> Result<()> {
        let written = self.writer.flush();
        written.map_err(|error| failed(&self.owner, error))
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        let out = self.writer.into_inner();
        let Output { writer, bytes } = out.map_err(|error| failed(&self.owner, error))?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;

    use super::*;

    fn format(options: &[(&str, &str)]) -> Result<ParquetFormat> {
        let mut spec = FormatSpec::named("parquet");
        for (key, value) in options {
            spec.options.set(*key, *value);
        }
        ParquetFormat::try_new(&spec, "sink \"s\"")
    }

    #[test]
    fn compression_has_a_name() {
        for (name, expected) in [
            ("snappy", Compression::SNAPPY),
            ("NONE", Compression::UNCOMPRESSED),
            ("zstd", Compression::ZSTD(ZstdLevel::default())),
        ] {
            let format = format(&[("compression", name)]).unwrap();
            assert_eq!(format.compression, expected, "{name}");
        }
        let error = format(&[("compression", "lzo")]).unwrap_err();
        assert_eq!(
            error.message(),
            "option \"compression\" of format \"parquet\" of sink \"s\" is \"lzo\", not 'zstd' or \
             'snappy' or 'none'"
        );
        format(&[("level", "3")]).unwrap_err();
    }

    #[test]
    fn types_without_a_form_are_refused() {
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let list = DataType::List(Arc::new(Field::new_list_field(interval.clone(), true)));
        for (data_type, is_fine) in [
            (DataType::Utf8View, true),
            (DataType::Decimal128(38, 10), true),
            (DataType::Struct(arrow::datatypes::Fields::empty()), false),
            (interval, false),
            (list, false),
        ] {
            let fields = vec![Field::new("c", data_type.clone(), true)];
            let schema = Arc::new(Schema::new(fields));
            let checked = format(&[]).unwrap().check(&schema);
            assert_eq!(checked.is_ok(), is_fine, "{data_type}");
        }
    }
}
