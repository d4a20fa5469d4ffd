//! The key of a message from the key columns of a row.
//!
//! | key columns | key |
//! | --- | --- |
//! | none | none |
//! | one STRING or BINARY | its bytes; no key if it is NULL |
//! | one number or boolean | its text, as in JSON; no key if it is NULL |
//! | anything else | a JSON object of the columns: `{"symbol":"A","start":"2026-11-01T00:00:00Z"}` |
//!
//! The key columns are in the value too, so a reader needs only one of the two.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::{Error, Result};
use headwater_formats::new_encoder;

/// Makes the keys of batches of one schema.
#[derive(Debug)]
pub(crate) enum KeyMaker {
    None,
    /// The index of a column that has a text of its own.
    Text(usize),
    /// Indices of the columns of a JSON object.
    Object(Vec<usize>, Box<dyn Encoder>),
}

impl KeyMaker {
    pub(crate) fn try_new(owner: &str, schema: &SchemaRef, columns: &[String]) -> Result<Self> {
        let indices = columns
            .iter()
            .map(|column| {
                schema.index_of(column).map_err(|_| {
                    Error::configuration(format!(
                        "{owner} has no column \"{column}\" to use as key"
                    ))
                })
            })
            .collect::<Result<Vec<usize>>>()?;
        match indices.as_slice() {
            [] => Ok(KeyMaker::None),
            [index] if has_text(schema.field(*index).data_type()) => Ok(KeyMaker::Text(*index)),
            _ => {
                let projected = Arc::new(schema.project(&indices)?);
                let encoder = new_encoder(&FormatSpec::named("json"), owner, &projected)?;
                Ok(KeyMaker::Object(indices, encoder))
            }
        }
    }

    /// The keys of all rows; `None` if rows have none.
    pub(crate) fn keys(&mut self, rows: &RecordBatch) -> Result<Option<BinaryArray>> {
        match self {
            KeyMaker::None => Ok(None),
            KeyMaker::Text(index) => {
                let column = rows.column(*index);
                let bytes = match column.data_type() {
                    DataType::Binary => Arc::clone(column),
                    DataType::LargeBinary | DataType::BinaryView => {
                        cast(column, &DataType::Binary)?
                    }
                    _ => cast(&cast(column, &DataType::Utf8)?, &DataType::Binary)?,
                };
                Ok(Some(bytes.as_binary::<i32>().clone()))
            }
            KeyMaker::Object(indices, encoder) => {
                Ok(Some(encoder.encode(&rows.project(indices)?)?))
            }
        }
    }
}

fn has_text(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(
            data_type,
            DataType::Utf8
                | DataType::LargeUtf8
                | DataType::Utf8View
                | DataType::Binary
                | DataType::LargeBinary
                | DataType::BinaryView
                | DataType::Boolean
        )
}

/// The bytes of a row, if it has any.
pub(crate) fn bytes_at(array: &BinaryArray, row: usize) -> Option<&[u8]> {
    array.is_valid(row).then(|| array.value(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Int64Array, StringViewArray};

    fn keys(columns: &[&str]) -> Vec<Option<String>> {
        let symbol: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None]));
        let id: ArrayRef = Arc::new(Int64Array::from(vec![7, 8]));
        let rows =
            RecordBatch::try_from_iter_with_nullable([("symbol", symbol, true), ("id", id, false)])
                .unwrap();
        let columns: Vec<String> = columns.iter().map(|c| (*c).to_string()).collect();
        let mut maker = KeyMaker::try_new("sink \"k\"", &rows.schema(), &columns).unwrap();
        match maker.keys(&rows).unwrap() {
            None => vec![],
            Some(keys) => (0..keys.len())
                .map(|row| bytes_at(&keys, row).map(|b| String::from_utf8_lossy(b).into_owned()))
                .collect(),
        }
    }

    #[test]
    fn keys_follow_the_number_of_columns() {
        assert_eq!(keys(&[]), []);
        assert_eq!(keys(&["symbol"]), [Some("a".into()), None]);
        assert_eq!(keys(&["id"]), [Some("7".into()), Some("8".into())]);
        let both = keys(&["symbol", "id"]);
        assert_eq!(both[0].as_deref(), Some(r#"{"symbol":"a","id":7}"#));
    }

    #[test]
    fn a_key_column_must_exist() {
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        assert!(KeyMaker::try_new("sink \"k\"", &schema, &["x".into()]).is_err());
    }
}
