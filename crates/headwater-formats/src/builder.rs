//! The builder of a column: those of the commonest types directly, all others behind a trait.
//!
//! Every value of every record goes through here. A call by a table costs as much as to keep an
//! integer, so BIGINT, TIMESTAMP, DOUBLE and VARCHAR do without.

use arrow::array::{ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use headwater_core::Result;

use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::typed_column::Values;

/// Collects one column, whatever its type.
pub(crate) enum Builder {
    /// BIGINT and TIMESTAMP.
    Long(TypedBuilder<i64>),
    /// DOUBLE.
    Double(TypedBuilder<f64>),
    /// VARCHAR.
    Text(StringViewBuilder),
    /// Everything else.
    Other(Box<dyn ColumnBuilder>),
}

/// Values of one width, and how those are read that come as text.
pub(crate) struct TypedBuilder<T> {
    values: Values<T>,
    read: Box<dyn Fn(Value<'_>) -> Option<T> + Send>,
}

impl Builder {
    /// Of any column.
    pub(crate) fn other(builder: impl ColumnBuilder + 'static) -> Self {
        Builder::Other(Box::new(builder))
    }

    /// Of a column of 64-bit integers or times.
    pub(crate) fn long(
        data_type: &DataType,
        read: impl Fn(Value<'_>) -> Option<i64> + Send + 'static,
    ) -> Self {
        Builder::Long(TypedBuilder {
            values: Values::new(data_type),
            read: Box::new(read),
        })
    }

    /// Of a column of doubles.
    pub(crate) fn double(read: impl Fn(Value<'_>) -> Option<f64> + Send + 'static) -> Self {
        Builder::Double(TypedBuilder {
            values: Values::new(&DataType::Float64),
            read: Box::new(read),
        })
    }
}

impl ColumnBuilder for Builder {
    #[inline]
    fn append(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        match (self, value) {
            (Builder::Long(column), Value::Integer(read) | Value::Time(read)) => {
                column.values.push(read);
                Ok(())
            }
            (Builder::Double(column), Value::Double(read)) => {
                column.values.push(read);
                Ok(())
            }
            (Builder::Long(column), _) => column.read(value),
            (Builder::Double(column), _) => column.read(value),
            (Builder::Text(column), _) => ColumnBuilder::append(column, value),
            (Builder::Other(column), _) => column.append(value),
        }
    }

    #[inline]
    fn append_null(&mut self) {
        match self {
            Builder::Long(column) => column.values.push_null(),
            Builder::Double(column) => column.values.push_null(),
            Builder::Text(column) => column.append_null(),
            Builder::Other(column) => column.append_null(),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        match self {
            Builder::Long(column) => column.values.finish_long(),
            Builder::Double(column) => column.values.finish_double(),
            Builder::Text(column) => ColumnBuilder::finish(column),
            Builder::Other(column) => column.finish(),
        }
    }
}

impl<T: arrow::datatypes::ArrowNativeType> TypedBuilder<T> {
    fn read(&mut self, value: Value<'_>) -> Result<(), Mismatch> {
        if let Some(read) = (self.read)(value) {
            self.values.push(read);
            Ok(())
        } else {
            self.values.push_null();
            Err(Mismatch)
        }
    }
}
