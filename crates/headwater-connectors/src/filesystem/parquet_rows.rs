//! Parquet files as a source: what their rows are, by the declaration, and how a file is read.
//!
//! Columns are found by their names. One that a file does not have is NULL, as a member that is
//! missing in JSON; a file with none of them, or with a column of another kind, stops the query,
//! whatever `bad_data` says, because every row would be wrong. A value that the declared type does
//! not hold makes its row bad, see [`super::parquet_values`].
//!
//! Only the columns that a query names are read.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use arrow::compute::{cast, filter, not, nullif};
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

use headwater_core::connector::{MetadataColumn, SourceDefinition};
use headwater_core::format::{BadDataPolicy, BadRecord, FormatSpec};
use headwater_core::offset::Partition;
use headwater_core::options::OptionReader;
use headwater_core::records::BatchRecords;
use headwater_core::source::{ReadCounters, ReadRequest, SourceBatch};
use headwater_core::type_name::{a_type_name, type_name};
use headwater_core::{Error, Result};

use super::folder::FileEntry;
use super::parquet_values::{as_declared, is_of_a_kind};
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
    rows: i64,
    rows_read: i64,
    /// Bytes that were counted as done.
    done_bytes: u64,
}

impl OpenParquet {
    /// Bytes of the rows that were read since this was called before: a file is read by columns, so
    /// that its rows share its bytes.
    fn pass(&mut self) -> u64 {
        let share = self.rows_read.min(self.rows) as f64 / self.rows.max(1) as f64;
        let passed = ((self.entry.size as f64 * share) as u64).saturating_sub(self.done_bytes);
        self.done_bytes += passed;
        passed
    }
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
            self.counters.add_done(file.pass());
            self.current = Some(file);
            if !made.is_empty() {
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
        let rows = builder.metadata().file_metadata().num_rows();
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
            rows,
            rows_read: 0,
            done_bytes: 0,
        })
    }

    /// The rows as they were declared.
    fn batch_of(&self, file: &OpenParquet, batch: &RecordBatch) -> Result<SourceBatch> {
        let count = batch.num_rows();
        self.counters.add_records(count as u64, 0);
        let payload = self.rows.payload.fields().len();
        let mut columns = Vec::with_capacity(self.projection.len());
        let mut bad = BadRows::default();
        for (index, field) in self.projection.iter().zip(self.schema.fields()) {
            columns.push(match index.checked_sub(payload) {
                None => self.payload_column(file, batch, field, &mut bad)?,
                Some(metadata) => self.metadata_column(file, metadata, count)?,
            });
        }
        let (left_out, bad_rows) = self.apply_policy(file, &bad)?;
        if !bad_rows.is_empty() {
            let is_bad = bad.mask(count);
            for (index, column) in self.projection.iter().zip(&mut columns) {
                if *index < payload {
                    *column = nullif(column, &is_bad)?;
                }
            }
        }
        if !left_out.is_empty() {
            let is_good = not(&bad.mask(count))?;
            for column in &mut columns {
                *column = filter(column, &is_good)?;
            }
        }
        let rows = self.declared(columns, count - left_out.len())?;
        let (path, first) = (file.path.clone(), file.rows_read);
        Ok(SourceBatch {
            records: BatchRecords::named_by(move |row| place_of(&path, first, row)),
            left_out,
            bad_rows,
            ..SourceBatch::new(self.partition.clone(), rows)
        })
    }

    /// Counts the bad rows, each once; gives those that are left out, and those that are kept with
    /// NULL.
    fn apply_policy(
        &self,
        file: &OpenParquet,
        bad: &BadRows,
    ) -> Result<(Vec<BadRecord>, Vec<usize>)> {
        let Some((row, first)) = bad.first() else {
            return Ok((vec![], vec![]));
        };
        if self.rows.bad_data == BadDataPolicy::Fail {
            self.counters.add_bad(&first.reason, 1);
            return Err(self.not_taken(file, row, first));
        }
        let records = bad.records();
        let place = |row| place_of(&file.path, file.rows_read, row);
        self.counters.add_bad_records(&records, place);
        Ok(match self.rows.bad_data {
            BadDataPolicy::Null => (vec![], bad.rows.keys().copied().collect()),
            BadDataPolicy::Fail | BadDataPolicy::Drop | BadDataPolicy::DeadLetter => {
                (records, vec![])
            }
        })
    }

    fn not_taken(&self, file: &OpenParquet, row: usize, why: &BadColumn) -> Error {
        let owner = &self.rows.owner;
        let error = Error::bad_data(format!(
            "could not take {} for {owner}: {}",
            place_of(&file.path, file.rows_read, row),
            why.reason
        ))
        .with_hint(format!(
            "{}, or set bad_data = 'drop' on {owner} to leave such rows out.",
            why.remedy
        ));
        match why.shown(row) {
            Some(value) => error.with_detail(format!("Found: {value}")),
            None => error,
        }
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
        bad: &mut BadRows,
    ) -> Result<ArrayRef> {
        let declared = field.data_type();
        let found = match batch.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(declared, batch.num_rows()),
        };
        let (column, is_lost) = as_declared(&found, declared).map_err(|error| {
            Error::bad_data(format!(
                "column \"{}\" of file \"{}\" has a value that is no {}, as {} declares it",
                field.name(),
                file.path.display(),
                type_name(declared),
                self.rows.owner
            ))
            .with_source(error)
            .with_hint(format!("Declare it as {}.", type_name(found.data_type())))
        })?;
        if let Some(is_lost) = is_lost {
            let is_lost = is_lost.values().set_indices();
            bad.add(is_lost, || BadColumn {
                reason: format!(
                    "column \"{}\" has a value that {} does not hold",
                    field.name(),
                    a_type_name(declared)
                ),
                remedy: format!(
                    "Declare it as {}, and CAST it in the query",
                    type_name(found.data_type())
                ),
                values: Arc::clone(&found),
            });
        }
        if !field.is_nullable() && found.null_count() > 0 {
            let nulls = arrow::compute::is_null(&found)?;
            bad.add(nulls.values().set_indices(), || BadColumn {
                reason: format!("column \"{}\" is NULL and declared NOT NULL", field.name()),
                remedy: "Declare the column without NOT NULL".to_string(),
                values: Arc::clone(&found),
            });
        }
        Ok(column)
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
}

/// Rows of a batch that are none of the declared ones, each for the first reason found.
#[derive(Debug, Default)]
struct BadRows {
    columns: Vec<BadColumn>,
    /// Which of the reasons, by row.
    rows: BTreeMap<usize, usize>,
}

/// Why rows are bad.
#[derive(Debug)]
struct BadColumn {
    reason: String,
    remedy: String,
    /// What the file has.
    values: ArrayRef,
}

impl BadRows {
    fn add(&mut self, rows: impl Iterator<Item = usize>, why: impl FnOnce() -> BadColumn) {
        for row in rows {
            self.rows.entry(row).or_insert(self.columns.len());
        }
        self.columns.push(why());
    }

    fn first(&self) -> Option<(usize, &BadColumn)> {
        let (row, column) = self.rows.first_key_value()?;
        Some((*row, self.columns.get(*column)?))
    }

    fn mask(&self, rows: usize) -> BooleanArray {
        let is_bad = (0..rows).map(|row| Some(self.rows.contains_key(&row)));
        is_bad.collect()
    }

    /// The rows with their reasons, in ascending order.
    fn records(&self) -> Vec<BadRecord> {
        let why = |(row, number): (&usize, &usize)| {
            let column = self.columns.get(*number)?;
            Some(BadRecord {
                record: *row,
                reason: column.reason.clone(),
                detail: column.shown(*row).unwrap_or_default(),
            })
        };
        self.rows.iter().filter_map(why).collect()
    }
}

impl BadColumn {
    /// The value of a row as text, if it has one.
    fn shown(&self, row: usize) -> Option<String> {
        let values = ArrayFormatter::try_new(&self.values, &FormatOptions::default()).ok()?;
        let text = values.value(row).try_to_string().ok()?;
        self.values.is_valid(row).then_some(text)
    }
}

/// The place of a row that is so many after the first.
fn place_of(path: &Path, first: i64, row: usize) -> String {
    let number = first + 1 + i64::try_from(row).unwrap_or(i64::MAX);
    format!("row {number} of file \"{}\"", path.display())
}

fn not_readable(path: &Path) -> Error {
    let path = path.display();
    Error::bad_data(format!("file \"{path}\" cannot be read as Parquet"))
        .with_hint("Set the option \"pattern\" if not all files of the folder are Parquet files.")
}
