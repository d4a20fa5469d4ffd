//! The contract between a format's parser and the columns it fills.

use arrow::array::ArrayRef;
use headwater_core::Result;

/// A value as the format found it, never NULL.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// Text that is a text: a JSON string without its quotes and escapes.
    String(&'a str),
    /// The text of a number.
    Number(&'a str),
    /// An integer that has been read for an integer column.
    Integer(i64),
    /// A number that has been read for a column of doubles.
    Double(f64),
    /// A time that has been read for a TIMESTAMP column, in units of the column.
    Time(i64),
    /// True or false.
    Boolean(bool),
    /// The text of a JSON object, its syntax checked.
    Object(&'a str),
    /// The text of a JSON array, its syntax checked.
    List(&'a str),
    /// Text without a type of its own: a field of CSV, a tag of INFLUX.
    Field(&'a str),
}

/// A value was not of the column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mismatch;

/// Collects one column.
///
/// # Contract
/// 1. Every call of `append` or `append_null` adds exactly one value, whatever it returns: a row
///    found to be bad half-way is filled up with NULL and filtered out at the end.
/// 2. `finish` gives an array of the column's declared type and starts anew.
pub(crate) trait ColumnBuilder: Send {
    /// Appends a value, or NULL and says that the value was not of the column's type.
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch>;

    /// Appends NULL.
    fn append_null(&mut self);

    /// The column so far.
    fn finish(&mut self) -> Result<ArrayRef>;
}
