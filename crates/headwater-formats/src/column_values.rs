//! The columns of a batch as one type per kind of value, for the encoders of binary formats.

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewArray, StringViewArray};
use arrow::buffer::ScalarBuffer;
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;

/// A value that its field cannot hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unwritable {
    pub(crate) column: String,
    /// What the field is, for messages.
    pub(crate) described: String,
    pub(crate) why: &'static str,
}

/// What is said of rows that an encoder was not made for.
pub(crate) fn no_such_column() -> ArrowError {
    ArrowError::SchemaError("rows have other columns than their encoder".to_string())
}

/// A column as another type; what does not fit is an error and not NULL.
pub(crate) fn to(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, data_type, &options)
}

/// Whole numbers, and times as the numbers that they are.
pub(crate) fn integers(column: &ArrayRef) -> Result<ScalarBuffer<i64>, ArrowError> {
    let column = match column.data_type() {
        DataType::Date32 | DataType::Time32(_) => to(column, &DataType::Int32)?,
        _ => ArrayRef::clone(column),
    };
    let integers = to(&column, &DataType::Int64)?;
    Ok(integers.as_primitive::<Int64Type>().values().clone())
}

/// Values of text.
pub(crate) fn text(column: &ArrayRef) -> Result<StringViewArray, ArrowError> {
    Ok(to(column, &DataType::Utf8View)?.as_string_view().clone())
}

/// Values of bytes.
pub(crate) fn bytes(column: &ArrayRef) -> Result<BinaryViewArray, ArrowError> {
    Ok(to(column, &DataType::BinaryView)?.as_binary_view().clone())
}
