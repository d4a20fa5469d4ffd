//! The key of a message from the key columns of a row.
//!
//! | key columns | key |
//! | --- | --- |
//! | none | none |
//! | one VARCHAR or BYTEA | its bytes; no key if it is NULL |
//! | one number or boolean | its text, as in JSON; no key if it is NULL |
//! | anything else | a JSON object of the columns: `{"symbol":"A","start":"2026-11-01T00:00:00Z"}` |
//!
//! With a KEY FORMAT the columns are encoded by it instead. The key columns are in the value too,
//! unless the sink was told otherwise, so a reader needs only one of the two.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use headwater_core::format::{Encoder, FormatSpec};
use headwater_core::{Error, Result};
use headwater_formats::{SinkFormat, new_encoder};

/// Makes the keys of batches of one schema.
#[derive(Debug)]
pub(crate) enum KeyMaker {
    None,
    /// The index of a column that has a text of its own.
    Text(usize),
    /// Indices of the columns of a key that is encoded, their names in it, and the encoder.
    Encoded(Vec<usize>, SchemaRef, Box<dyn Encoder>),
}

/// How keys are encoded, as a sink was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyForm {
    pub(crate) format: FormatSpec,
    /// What the names of the columns begin with and the names in the keys do not.
    pub(crate) prefix: String,
}

impl KeyForm {
    /// The columns of the keys, as these name them, and their places among those of the rows.
    ///
    /// # Errors
    /// If one of them is not there.
    pub(crate) fn columns(
        &self,
        owner: &str,
        rows: &SchemaRef,
        names: &[String],
    ) -> Result<(Vec<usize>, SchemaRef)> {
        let indices = places(owner, rows, names)?;
        let fields = rows.project(&indices)?;
        let fields = fields.fields().iter().map(|field| {
            let name = field.name().strip_prefix(&self.prefix);
            field
                .as_ref()
                .clone()
                .with_name(name.unwrap_or(field.name()))
        });
        let named = Schema::new(fields.collect::<Vec<_>>());
        Ok((indices, Arc::new(named)))
    }
}

/// The places of columns.
fn places(owner: &str, schema: &SchemaRef, columns: &[String]) -> Result<Vec<usize>> {
    let places = columns.iter().map(|column| {
        schema.index_of(column).map_err(|_| {
            Error::configuration(format!("{owner} has no column \"{column}\" to use as key"))
        })
    });
    places.collect()
}

impl KeyMaker {
    /// Keys without a format of their own.
    pub(crate) fn try_new(owner: &str, schema: &SchemaRef, columns: &[String]) -> Result<Self> {
        let indices = places(owner, schema, columns)?;
        match indices.as_slice() {
            [] => Ok(KeyMaker::None),
            [index] if has_text(schema.field(*index).data_type()) => Ok(KeyMaker::Text(*index)),
            _ => {
                let projected = Arc::new(schema.project(&indices)?);
                let encoder = new_encoder(&FormatSpec::named("json"), owner, &projected)?;
                Ok(KeyMaker::Encoded(indices, projected, encoder))
            }
        }
    }

    /// Keys in a format; without `opened` it only checks.
    pub(crate) fn encoded(
        owner: &str,
        schema: &SchemaRef,
        columns: &[String],
        form: &KeyForm,
        opened: Option<&SinkFormat>,
    ) -> Result<Self> {
        let (indices, named) = form.columns(owner, schema, columns)?;
        let encoder = match opened {
            Some(opened) => opened.encoder()?,
            None => new_encoder(&form.format, &key_of(owner), &named)?,
        };
        Ok(KeyMaker::Encoded(indices, named, encoder))
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
            KeyMaker::Encoded(indices, named, encoder) => {
                let columns = rows.project(indices)?.columns().to_vec();
                let keys = RecordBatch::try_new(Arc::clone(named), columns)?;
                Ok(Some(encoder.encode(&keys)?))
            }
        }
    }
}

/// How messages name the keys of a sink.
pub(crate) fn key_of(owner: &str) -> String {
    format!("the key of {owner}")
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
        let schema = Arc::new(Schema::empty());
        assert!(KeyMaker::try_new("sink \"k\"", &schema, &["x".into()]).is_err());
    }
}
