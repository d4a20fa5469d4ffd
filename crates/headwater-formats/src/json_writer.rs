//! A column of values to a column of their JSON text, in a query.

use std::sync::Arc;

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::DataType;
use headwater_core::Result;
use headwater_core::options::Options;

use crate::json::JsonTexts;
use crate::raw::as_text;
use crate::registry::new_json_texts;

/// Writes values of one type as JSON, in the forms that the format has in sinks.
#[derive(Debug)]
pub struct JsonWriter(JsonTexts);

impl JsonWriter {
    /// For values of a type, with the options of the format JSON; `owner` says whose they are, for
    /// messages.
    ///
    /// # Errors
    /// If an option is wrong, or JSON has no form for the type.
    pub fn try_new(options: &Options, owner: &str, data_type: &DataType) -> Result<Self> {
        new_json_texts(options, owner, data_type).map(JsonWriter)
    }

    /// The text of every value; that of NULL is NULL.
    ///
    /// # Errors
    /// If all texts together are larger than 2 GiB.
    pub fn write(&self, values: &ArrayRef) -> Result<ArrayRef> {
        let texts = as_text(&self.0.write(values)?)?;
        Ok(Arc::new(StringViewArray::from(&texts)))
    }
}
