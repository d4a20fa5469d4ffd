//! A folder for the rows of every combination of values of some columns, as Hive names them.
//!
//! ```text
//! PARTITIONED BY (day, symbol)
//! day=2026-01-01/symbol=A%2FB/part-00000042-000.parquet
//! day=2026-01-01/symbol=__HIVE_DEFAULT_PARTITION__/part-00000042-000_001.parquet
//! ```
//!
//! The columns are in the names of the folders and not in the files. NULL and the empty text have
//! the same folder, because a folder cannot be named by nothing.
//! Source: Hive's `FileUtils.escapePathName`, which Spark and `DuckDB` read too.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{Row, RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use headwater_core::options::nearest;
use headwater_core::type_name::a_type_name;
use headwater_core::{Error, Result};

/// The value of NULL.
const NO_VALUE: &str = "__HIVE_DEFAULT_PARTITION__";
/// File systems do not take longer names.
const LONGEST_NAME: usize = 255;

/// The columns whose values name folders.
#[derive(Debug, Clone)]
pub(super) struct PartitionFolders {
    columns: Vec<String>,
    owner: String,
}

impl PartitionFolders {
    /// Folders by the values of these columns; `owner` is the sink's kind and quoted name.
    ///
    /// # Errors
    /// If a column is named twice.
    pub(super) fn try_new(columns: Vec<String>, owner: &str) -> Result<Self> {
        for (place, column) in columns.iter().enumerate() {
            if columns.iter().skip(place + 1).any(|later| later == column) {
                return Err(Error::configuration(format!(
                    "{owner} is partitioned by column \"{column}\" twice"
                ))
                .with_hint("Name every column once."));
            }
        }
        Ok(PartitionFolders {
            columns,
            owner: owner.to_string(),
        })
    }

    /// Checks that rows of a schema can be dealt to folders.
    ///
    /// # Errors
    /// If a column is not there, cannot name a folder, or if none is left for the files.
    pub(super) fn check(&self, schema: &Schema) -> Result<()> {
        for column in &self.columns {
            let Some((_, field)) = schema.column_with_name(column) else {
                return Err(self.no_such_column(column, schema));
            };
            if !can_name_a_folder(field.data_type()) {
                return Err(Error::unsupported(format!(
                    "{} cannot be partitioned by column \"{column}\", which is {}",
                    self.owner,
                    a_type_name(field.data_type())
                ))
                .with_hint(
                    "Columns that name folders are texts, integers, decimals, booleans, dates and \
                     timestamps.",
                ));
            }
        }
        if schema.fields().len() == self.columns.len() {
            return Err(Error::configuration(format!(
                "{} is partitioned by all of its columns, and none is left for the files",
                self.owner
            ))
            .with_hint(
                "The files hold the columns that are not in PARTITIONED BY: leave one out.",
            ));
        }
        Ok(())
    }

    fn no_such_column(&self, column: &str, schema: &Schema) -> Error {
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let error = Error::plan(format!(
            "{} is partitioned by \"{column}\", which is not a column",
            self.owner
        ));
        match nearest(column, names.iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(format!("The columns are {}.", names.join(", "))),
        }
    }

    /// The columns of the files.
    pub(super) fn file_schema(&self, schema: &SchemaRef) -> SchemaRef {
        let kept = schema
            .fields()
            .iter()
            .filter(|field| self.is_in_file(field));
        Arc::new(Schema::new(kept.cloned().collect::<Vec<_>>()))
    }

    fn is_in_file(&self, field: &Field) -> bool {
        !self.columns.contains(field.name())
    }

    /// The rows of every folder, as the files have them, in the order in which folders first
    /// appear.
    pub(super) fn split(&self, batch: &RecordBatch) -> Result<Vec<(String, RecordBatch)>> {
        let values = self.columns.iter().map(|column| {
            let found = batch.column_by_name(column).cloned();
            found.ok_or_else(|| self.no_such_column(column, batch.schema_ref()))
        });
        let values: Vec<ArrayRef> = values.collect::<Result<_>>()?;
        let fields = batch.schema_ref().fields().iter().enumerate();
        let kept = fields.filter(|(_, field)| self.is_in_file(field));
        let kept: Vec<usize> = kept.map(|(place, _)| place).collect();
        let batch = batch.project(&kept)?;
        let folders = rows_by_value(&values)?;
        if let [only] = folders.as_slice() {
            let first = only.first().copied().unwrap_or_default();
            return Ok(vec![(self.folder(&values, first)?, batch)]);
        }
        let mut parts = Vec::with_capacity(folders.len());
        for rows in folders {
            let first = rows.first().copied().unwrap_or_default();
            let folder = self.folder(&values, first)?;
            let rows = take_record_batch(&batch, &UInt32Array::from(rows))?;
            parts.push((folder, rows));
        }
        Ok(parts)
    }

    /// The folder of a row.
    fn folder(&self, values: &[ArrayRef], row: u32) -> Result<String> {
        let options = FormatOptions::new()
            .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
            .with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.f%:z"));
        let mut path = String::new();
        for (column, values) in self.columns.iter().zip(values) {
            let row = row as usize;
            let value = match values.is_null(row) {
                true => String::new(),
                false => ArrayFormatter::try_new(values, &options)?
                    .value(row)
                    .try_to_string()?,
            };
            let name = format!("{}={}", column_in_name(column), value_in_name(&value));
            if name.len() > LONGEST_NAME {
                return Err(Error::bad_data(format!(
                    "a value of partition column \"{column}\" of {} makes a folder name of {} \
                     bytes, and {LONGEST_NAME} is the most",
                    self.owner,
                    name.len()
                ))
                .with_hint("Partition by something shorter, such as left(column, 50)."));
            }
            if !path.is_empty() {
                path.push('/');
            }
            path.push_str(&name);
        }
        Ok(path)
    }
}

/// The rows of every combination of values, in the order in which these first appear.
fn rows_by_value(values: &[ArrayRef]) -> Result<Vec<Vec<u32>>> {
    let types = values.iter().map(|v| SortField::new(v.data_type().clone()));
    let converter = RowConverter::new(types.collect())?;
    let keys = converter.convert_columns(values)?;
    let mut places: HashMap<Row<'_>, usize> = HashMap::new();
    let mut folders: Vec<Vec<u32>> = Vec::new();
    for (row, key) in (0_u32..).zip(keys.iter()) {
        let place = *places.entry(key).or_insert_with(|| {
            folders.push(Vec::new());
            folders.len() - 1
        });
        if let Some(rows) = folders.get_mut(place) {
            rows.push(row);
        }
    }
    Ok(folders)
}

/// Whether equal values have equal texts, and others have others.
fn can_name_a_folder(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Date32
                | DataType::Date64
                | DataType::Timestamp(_, _)
                | DataType::Decimal32(_, _)
                | DataType::Decimal64(_, _)
                | DataType::Decimal128(_, _)
                | DataType::Decimal256(_, _)
        )
}

/// A folder whose name begins with a dot is hidden.
fn column_in_name(column: &str) -> String {
    let escaped = escaped(column);
    match escaped.strip_prefix('.') {
        Some(rest) => format!("%2E{rest}"),
        None => escaped,
    }
}

fn value_in_name(value: &str) -> String {
    match value {
        "" => NO_VALUE.to_string(),
        value => escaped(value),
    }
}

/// Hive's escapes: `%` and two hexadecimal digits for what paths, shells and URLs give a meaning.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_special = c.is_ascii_control()
            || matches!(
                c,
                '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^'
            );
        if is_special {
            // Writing to a text cannot fail.
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use arrow::array::{Date32Array, Int64Array, StringArray, TimestampMicrosecondArray};

    use super::*;

    fn folders(columns: &[&str]) -> PartitionFolders {
        let columns = columns.iter().map(ToString::to_string).collect();
        PartitionFolders::try_new(columns, "sink \"s\"").unwrap()
    }

    fn rows() -> RecordBatch {
        let days: ArrayRef = Arc::new(Date32Array::from(vec![Some(20_454), None, Some(20_454)]));
        let names: ArrayRef = Arc::new(StringArray::from(vec!["a/b", "", "a/b"]));
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        RecordBatch::try_from_iter_with_nullable([
            ("day", days, true),
            ("name", names, false),
            ("n", numbers, false),
        ])
        .unwrap()
    }

    #[test]
    fn rows_go_to_the_folders_of_their_values() {
        let parts = folders(&["name", "day"]).split(&rows()).unwrap();
        let parts: Vec<(&str, Vec<i64>)> = parts
            .iter()
            .map(|(folder, rows)| {
                assert_eq!(rows.num_columns(), 1);
                let n = rows.column(0).as_any().downcast_ref::<Int64Array>();
                (folder.as_str(), n.unwrap().values().to_vec())
            })
            .collect();
        let none = "__HIVE_DEFAULT_PARTITION__";
        let expected = [
            ("name=a%2Fb/day=2026-01-01".to_string(), vec![1, 3]),
            (format!("name={none}/day={none}"), vec![2]),
        ];
        let parts: Vec<_> = parts
            .iter()
            .map(|(f, n)| (f.to_string(), n.clone()))
            .collect();
        assert_eq!(parts, expected);
    }

    #[test]
    fn values_are_escaped_as_hive_does() {
        let cases = [
            ("plain text", "plain text"),
            ("100%", "100%25"),
            ("a=b:c", "a%3Db%3Ac"),
            ("..", ".."),
            ("tab\t", "tab%09"),
            ("Zürich", "Zürich"),
            ("\u{0}{}[]^", "%00%7B}%5B%5D%5E"),
        ];
        for (value, expected) in cases {
            assert_eq!(value_in_name(value), expected, "{value:?}");
        }
        assert_eq!(column_in_name(".x"), "%2Ex");
    }

    #[test]
    fn times_have_the_form_that_spark_reads() {
        let at = |micros| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(vec![micros])) };
        let n: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        for (micros, expected) in [
            (1_767_225_600_000_000, "ts=2026-01-01 00%3A00%3A00"),
            (1_767_225_600_500_000, "ts=2026-01-01 00%3A00%3A00.500"),
        ] {
            let batch = RecordBatch::try_from_iter([("ts", at(micros)), ("n", Arc::clone(&n))]);
            let parts = folders(&["ts"]).split(&batch.unwrap()).unwrap();
            assert_eq!(parts[0].0, expected);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let long = "x".repeat(300);
        let names: ArrayRef = Arc::new(StringArray::from(vec![long.as_str()]));
        let n: ArrayRef = Arc::new(Int64Array::from(vec![1]));
        let batch = RecordBatch::try_from_iter([("name", names), ("n", n)]).unwrap();
        let error = folders(&["name"]).split(&batch).unwrap_err();
        assert!(
            error.message().contains("a folder name of 305 bytes"),
            "{error}"
        );

        let fields = vec![
            Field::new("a", DataType::Utf8, true),
            Field::new("x", DataType::Float64, true),
        ];
        let schema = Schema::new(fields);
        let cases: [(&[&str], &str); 3] = [
            (&["b"], "is partitioned by \"b\", which is not a column"),
            (
                &["x"],
                "cannot be partitioned by column \"x\", which is a DOUBLE",
            ),
            (&["a"], ""),
        ];
        for (columns, expected) in cases {
            match folders(columns).check(&schema) {
                Ok(()) => assert_eq!(expected, ""),
                Err(error) => assert!(error.message().contains(expected), "{error}"),
            }
        }
        let twice = vec!["a".to_string(), "a".to_string()];
        PartitionFolders::try_new(twice, "sink \"s\"").unwrap_err();
    }
}
