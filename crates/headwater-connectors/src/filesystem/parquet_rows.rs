//! Parquet files as a source: what their rows are, by the declaration, and how a file is read.
//!
//! Columns are found by their names. One that a file does not have is NULL, as a member that is
//! missing in JSON; a file with none of them, or with a column of another kind, stops the query,
//! whatever `bad_data` says, because every row would be wrong.
//!
//! Only the columns that a query names are read.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{CastOptions, can_cast_types, cast, cast_with_options, filter_record_batch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use headwater_core::connector::{MetadataColumn, SourceDefinition};
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::offset::Partition;
use headwater_core::options::OptionReader;
use headwater_core::source::{ReadCounters, ReadRequest, RowPlaces, SourceBatch};
use headwater_core::type_name::{a_type_name, type_name};
use headwater_core::{Error, Result};

use super::folder::FileEntry;
use super::reader::open_unchanged;
use crate::record_rows::{KnownMetadata, check_metadata};

/// The rows of a declared source.
#[derive(Debug)]
pub(super) struct ParquetRows {
    owner: String,
    payload: SchemaRef,
    metadata: Vec<MetadataColumn>,
    schema: SchemaRef,
    bad_data: BadDataPolicy,
}

impl ParquetRows {
    /// Checks a definition; `owner` is the source's kind and quoted name, for messages.
    ///
    /// # Errors
    /// If it declares no columns, metadata that is not there, or an option that is unknown.
    pub(super) fn try_new(
        definition: SourceDefinition,
        format: &FormatSpec,
        known: &[KnownMetadata],
        owner: &str,
    ) -> Result<Self> {
        let whose = format!("format \"parquet\" of {owner}");
        OptionReader::new(whose, &format.options).finish()?;
        let payload = definition.payload.ok_or_else(|| {
            Error::plan(format!(
                "{owner} declares no columns, and format PARQUET needs them"
            ))
            .with_hint("List the columns that are to be read.")
        })?;
        check_metadata(&definition.metadata, known, owner)?;
        let not_null = payload.fields().iter().find(|f| !f.is_nullable());
        if let (BadDataPolicy::Null, Some(field)) = (definition.bad_data, not_null) {
            return Err(Error::configuration(format!(
                "option \"bad_data\" of {owner} is \"null\", but column \"{}\" is NOT NULL",
                field.name()
            ))
            .with_hint("Declare the column without NOT NULL, or set bad_data = 'drop'."));
        }
        let metadata = definition.metadata.iter().map(|m| &m.field);
        let fields: Vec<FieldRef> = payload.fields().iter().chain(metadata).cloned().collect();
        Ok(ParquetRows {
            owner: owner.to_string(),
            schema: Arc::new(Schema::new(fields)),
            payload,
            metadata: definition.metadata,
            bad_data: definition.bad_data,
        })
    }

    pub(super) fn owner(&self) -> &str {
        &self.owner
    }

    /// Payload columns, then metadata columns.
    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Refuses a file of other columns.
    fn check_file(&self, file: &Schema, wanted: &[usize], place: &str) -> Result<()> {
        let has = |field: &FieldRef| file.column_with_name(field.name()).is_some();
        if !self.payload.fields().iter().any(has) {
            let names: Vec<&str> = file.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(Error::bad_data(format!(
                "{place} has none of the columns of {}",
                self.owner
            ))
            .with_hint(format!("Its columns are {}.", names.join(", "))));
        }
        for declared in wanted.iter().filter_map(|i| self.payload.fields().get(*i)) {
            let Some((_, found)) = file.column_with_name(declared.name()) else {
                continue;
            };
            if !is_of_a_kind(found.data_type(), declared.data_type()) {
                return Err(Error::bad_data(format!(
                    "column \"{}\" of {place} is {}, and {} declares it as {}",
                    declared.name(),
                    a_type_name(found.data_type()),
                    self.owner,
                    type_name(declared.data_type())
                ))
                .with_hint(format!(
                    "Declare it as {}, and CAST it in the query.",
                    type_name(found.data_type())
                )));
            }
        }
        Ok(())
    }
}

/// Whether values of the one type are values of the other, as far as they are not too large.
fn is_of_a_kind(found: &DataType, declared: &DataType) -> bool {
    let is_text = |t: &DataType| {
        let plain = matches!(t, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        plain || matches!(t, DataType::Dictionary(_, v) if v.is_string())
    };
    let both = |is: &dyn Fn(&DataType) -> bool| is(found) && is(declared);
    found == declared
        || both(&is_text)
        || both(&DataType::is_integer)
        || both(&DataType::is_floating)
        || both(&DataType::is_binary)
        || both(&DataType::is_decimal)
        || both(&|t| matches!(t, DataType::Date32 | DataType::Date64))
        || both(&|t| matches!(t, DataType::Time32(_) | DataType::Time64(_)))
        || both(&|t| matches!(t, DataType::Timestamp(..)))
        || both(&DataType::is_nested) && can_cast_types(found, declared)
}

/// Reads files one after the other. Its calls block.
#[derive(Debug)]
pub(super) struct ParquetReader {
    rows: Arc<ParquetRows>,
    files: std::vec::IntoIter<(PathBuf, FileEntry)>,
    current: Option<OpenParquet>,
    projection: Vec<usize>,
    schema: SchemaRef,
    counters: Arc<ReadCounters>,
    partition: Partition,
    batch_rows: usize,
}

#[derive(Debug)]
struct OpenParquet {
    path: PathBuf,
    entry: FileEntry,
    batches: ParquetRecordBatchReader,
    rows_read: i64,
}

impl ParquetReader {
    /// A reader of some files, in their order.
    pub(super) fn try_new(
        rows: &Arc<ParquetRows>,
        files: Vec<(PathBuf, FileEntry)>,
        request: &ReadRequest,
        partition: &Partition,
    ) -> Result<Self> {
        Ok(ParquetReader {
            schema: Arc::new(rows.schema.project(&request.projection)?),
            rows: Arc::clone(rows),
            files: files.into_iter(),
            current: None,
            projection: request.projection.clone(),
            counters: Arc::clone(&request.counters),
            partition: partition.clone(),
            batch_rows: request.batch_rows.max(1),
        })
    }

    /// The next rows; `None` after the last file.
    pub(super) fn next_batch(&mut self) -> Result<Option<SourceBatch>> {
        loop {
            let mut file = match self.current.take() {
                Some(file) => file,
                None => match self.files.next() {
                    Some((path, entry)) => self.open(path, entry)?,
                    None => return Ok(None),
                },
            };
            let Some(batch) = file.batches.next() else {
                continue;
            };
            let batch = batch.map_err(|error| not_readable(&file.path).with_source(error))?;
            let made = self.batch_of(&file, &batch)?;
            file.rows_read += i64::try_from(batch.num_rows()).unwrap_or(i64::MAX);
            self.current = Some(file);
            if made.rows.num_rows() > 0 {
                return Ok(Some(made));
            }
        }
    }

    fn open(&self, path: PathBuf, entry: FileEntry) -> Result<OpenParquet> {
        let file: File = open_unchanged(&path, &entry)?;
        let failed = |error| not_readable(&path).with_source(error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(failed)?;
        let place = format!("file \"{}\"", path.display());
        let schema = Arc::clone(builder.schema());
        self.rows.check_file(&schema, &self.projection, &place)?;
        let fields = self.projection.iter();
        let fields = fields.filter_map(|index| self.rows.payload.fields().get(*index));
        let columns = fields.filter_map(|field| schema.index_of(field.name()).ok());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns);
        let batches = builder
            .with_projection(mask)
            .with_batch_size(self.batch_rows)
            .build()
            .map_err(|error| not_readable(&path).with_source(error))?;
        self.counters.add_records(0, entry.size);
        Ok(OpenParquet {
            path,
            entry,
            batches,
            rows_read: 0,
        })
    }

    /// The rows as they were declared.
    fn batch_of(&self, file: &OpenParquet, batch: &RecordBatch) -> Result<SourceBatch> {
        let count = batch.num_rows();
        self.counters.add_records(count as u64, 0);
        let mut columns = Vec::with_capacity(self.projection.len());
        let mut bad: Option<BooleanArray> = None;
        for (index, field) in self.projection.iter().zip(self.schema.fields()) {
            let column = match index.checked_sub(self.rows.payload.fields().len()) {
                None => self.payload_column(file, batch, field)?,
                Some(metadata) => self.metadata_column(file, metadata, count)?,
            };
            if !field.is_nullable() && column.null_count() > 0 {
                let nulls = self.judge_nulls(file, field, &column)?;
                bad = Some(match bad {
                    None => nulls,
                    Some(bad) => arrow::compute::or(&bad, &nulls)?,
                });
            }
            columns.push(column);
        }
        let numbers = (file.rows_read..).take(count);
        let (rows, numbers) = match bad {
            None => (self.declared(columns, count)?, numbers.collect()),
            Some(bad) => {
                let fields = self.schema.fields().iter();
                let nullable = fields.map(|f| f.as_ref().clone().with_nullable(true));
                let nullable = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
                let good = arrow::compute::not(&bad)?;
                let all = RecordBatch::try_new(nullable, columns)?;
                let kept = filter_record_batch(&all, &good)?;
                let numbers = numbers.zip(good.values().iter());
                let numbers = numbers.filter(|(_, is_good)| *is_good).map(|(n, _)| n);
                let rows = self.declared(kept.columns().to_vec(), kept.num_rows())?;
                (rows, numbers.collect::<Vec<i64>>())
            }
        };
        let path = file.path.clone();
        Ok(SourceBatch {
            places: RowPlaces::named_by(move |row| {
                let number = numbers.get(row).map_or(0, |number| number + 1);
                format!("row {number} of file \"{}\"", path.display())
            }),
            ..SourceBatch::new(self.partition.clone(), rows)
        })
    }

    fn declared(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let schema = Arc::clone(&self.schema);
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    fn payload_column(
        &self,
        file: &OpenParquet,
        batch: &RecordBatch,
        field: &Field,
    ) -> Result<ArrayRef> {
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        let options = CastOptions {
            safe: false,
            ..CastOptions::default()
        };
        cast_with_options(column, field.data_type(), &options).map_err(|error| {
            Error::bad_data(format!(
                "column \"{}\" of file \"{}\" has a value that is no {}, as {} declares it",
                field.name(),
                file.path.display(),
                type_name(field.data_type()),
                self.rows.owner
            ))
            .with_source(error)
            .with_hint(format!("Declare it as {}.", type_name(column.data_type())))
        })
    }

    fn metadata_column(&self, file: &OpenParquet, index: usize, rows: usize) -> Result<ArrayRef> {
        let column = self.rows.metadata.get(index).ok_or_else(|| {
            Error::internal(format!(
                "{} has no metadata column {index}",
                self.rows.owner
            ))
        })?;
        let values: ArrayRef = match column.from.as_str() {
            "line" => {
                let numbers = (file.rows_read + 1..).take(rows);
                Arc::new(Int64Array::from_iter_values(numbers))
            }
            "modified" => Arc::new(TimestampMicrosecondArray::from_value(
                file.entry.mtime.0,
                rows,
            )),
            _ => {
                let path = file.path.to_string_lossy();
                let paths = std::iter::repeat_n(Some(path.as_ref()), rows);
                Arc::new(paths.collect::<StringArray>())
            }
        };
        Ok(cast(&values, column.field.data_type())?)
    }

    /// The rows that are bad because a column is NOT NULL, if they may be left out.
    fn judge_nulls(
        &self,
        file: &OpenParquet,
        field: &Field,
        column: &ArrayRef,
    ) -> Result<BooleanArray> {
        let nulls = arrow::compute::is_null(column)?;
        let reason = format!("column \"{}\" is NULL and declared NOT NULL", field.name());
        self.counters.add_bad(&reason, column.null_count() as u64);
        if self.rows.bad_data == BadDataPolicy::Drop {
            return Ok(nulls);
        }
        let first = nulls.values().iter().position(|is_null| is_null);
        let number = file.rows_read + 1 + i64::try_from(first.unwrap_or(0)).unwrap_or(0);
        Err(Error::bad_data(format!(
            "could not take row {number} of file \"{}\" for {}: {reason}",
            file.path.display(),
            self.rows.owner
        ))
        .with_hint(format!(
            "Declare the column without NOT NULL, or set bad_data = 'drop' on {} to leave such \
             rows out.",
            self.rows.owner
        )))
    }
}

fn not_readable(path: &std::path::Path) -> Error {
    let path = path.display();
    Error::bad_data(format!("file \"{path}\" cannot be read as Parquet"))
        .with_hint("Set the option \"pattern\" if not all files of the folder are Parquet files.")
}
