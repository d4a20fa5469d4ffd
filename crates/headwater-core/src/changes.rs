//! Rows that say what they do to the result: the reserved column [`OP_COLUMN`].
//!
//! In update mode a row replaces the one with its key. A query that filters such rows, as `HAVING`
//! does, must also take rows back that no longer pass; then, and only then, its rows have one
//! column more, the last one, and [`SinkContext::has_ops`](crate::sink::SinkContext::has_ops) says
//! so.
//!
//! | `__op` | the row |
//! | --- | --- |
//! | `+U` | in its newest version, new or not: it replaces the row with its key |
//! | `-D` | as it last was: the row with its key is gone |
//!
//! An epoch has one row at most of every key.
//! Source: Flink's `RowKind` names the kinds of rows so.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::{filter_record_batch, not};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};

use crate::{Error, Result};

/// Name of the column; no column of a query may have it.
pub const OP_COLUMN: &str = "__op";

/// A new row, or a row of a whole result.
pub const INSERT: &str = "+I";
/// A row in its newest version.
pub const UPDATE: &str = "+U";
/// A row that is gone.
pub const DELETE: &str = "-D";

/// The column.
pub fn op_field() -> FieldRef {
    Arc::new(Field::new(OP_COLUMN, DataType::Utf8, false))
}

/// So many times the same operation.
pub fn ops(op: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(op, rows)))
}

/// The columns without that of the operations, which is the last one if it is there.
pub fn without_ops(schema: &SchemaRef) -> SchemaRef {
    match schema.fields().split_last() {
        Some((last, fields)) if last.name() == OP_COLUMN => {
            let metadata = schema.metadata().clone();
            Arc::new(Schema::new_with_metadata(fields.to_vec(), metadata))
        }
        _ => Arc::clone(schema),
    }
}

/// Rows and their operations, apart.
///
/// # Errors
/// If the last column does not hold operations.
pub fn split_ops(batch: &RecordBatch) -> Result<(RecordBatch, StringArray)> {
    let schema = batch.schema();
    let rows = without_ops(&schema).fields().len();
    let ops = batch.columns().get(rows);
    let ops = ops.and_then(|ops| ops.as_string_opt::<i32>());
    let ops = ops.ok_or_else(|| Error::internal("rows do not say what they do to the result"))?;
    let columns: Vec<usize> = (0..rows).collect();
    Ok((batch.project(&columns)?, ops.clone()))
}

/// The rows that are there, and those that are gone, without the column of the operations.
///
/// # Errors
/// If the last column does not hold operations.
pub fn updates_and_deletes(batch: &RecordBatch) -> Result<(RecordBatch, RecordBatch)> {
    let (rows, ops) = split_ops(batch)?;
    let gone: BooleanArray = ops.iter().map(|op| Some(op == Some(DELETE))).collect();
    let there = filter_record_batch(&rows, &not(&gone)?)?;
    Ok((there, filter_record_batch(&rows, &gone)?))
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;

    use super::*;

    #[test]
    fn rows_and_what_they_do_come_apart() {
        let values: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let ops: ArrayRef = Arc::new(StringArray::from(vec![UPDATE, DELETE, UPDATE]));
        let batch = RecordBatch::try_from_iter([("v", values), (OP_COLUMN, ops)]).unwrap();
        let (there, gone) = updates_and_deletes(&batch).unwrap();
        let values = |batch: &RecordBatch| {
            let values = batch.column(0);
            values
                .as_primitive::<arrow::datatypes::Int64Type>()
                .values()
                .to_vec()
        };
        assert_eq!((values(&there), values(&gone)), (vec![1, 3], vec![2]));
        assert_eq!(there.num_columns(), 1);
        let (rows, ops) = split_ops(&batch).unwrap();
        assert_eq!((rows.num_rows(), ops.value(1)), (3, DELETE));
        assert!(split_ops(&rows).is_err());
        assert_eq!(without_ops(&rows.schema()), rows.schema());
    }
}
