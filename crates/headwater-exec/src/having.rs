//! A predicate over rows that replace each other: which of them are in the result, and which are no
//! more.
//!
//! | passed before | passes now | emitted |
//! | --- | --- | --- |
//! | | yes | the new row, `+U` |
//! | yes | no | the old row, `-D` |
//! | no | no | nothing |
//!
//! An operator that replaces rows knows the old one: it is a function of the state before the epoch,
//! so nothing is kept for this, and a replay emits the same. NULL does not pass. What the operator
//! has forgotten stays as it was.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion_common::Result;
use datafusion_common::cast::as_boolean_array;
use datafusion_physical_expr::PhysicalExpr;

use headwater_core::changes::{DELETE, UPDATE, ops};

/// The rows of an operator that are in the result.
#[derive(Debug, Clone)]
pub struct Having {
    predicate: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
}

impl Having {
    /// The rows that pass a predicate. `schema` is that of the output: the columns of the rows, then
    /// that of the operations.
    pub fn new(predicate: Arc<dyn PhysicalExpr>, schema: SchemaRef) -> Self {
        Having { predicate, schema }
    }

    /// Columns of the output.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// What new rows do to the result. `old` are rows that some of them replace, and which ones
    /// these are.
    ///
    /// # Errors
    /// If the predicate fails.
    pub fn changes(
        &self,
        new: &RecordBatch,
        old: Option<(&RecordBatch, &[u32])>,
    ) -> Result<Vec<RecordBatch>> {
        let passes = self.passing(new)?;
        let mut changes = Vec::with_capacity(2);
        if let Some((old, became)) = old {
            let passed = self.passing(old)?;
            let is_gone =
                |(row, new): (usize, &u32)| Some(passed.value(row) && !passes.value(*new as usize));
            let gone: BooleanArray = became.iter().enumerate().map(is_gone).collect();
            changes.extend(self.output(old, &gone, DELETE)?);
        }
        changes.extend(self.output(new, &passes, UPDATE)?);
        Ok(changes)
    }

    /// The rows that pass; none is NULL.
    fn passing(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let passes = self.predicate.evaluate(rows)?;
        let passes = passes.into_array(rows.num_rows())?;
        let passes = as_boolean_array(&passes)?.iter();
        Ok(passes.map(|passes| Some(passes == Some(true))).collect())
    }

    fn output(
        &self,
        rows: &RecordBatch,
        which: &BooleanArray,
        op: &str,
    ) -> Result<Option<RecordBatch>> {
        if which.true_count() == 0 {
            return Ok(None);
        }
        let rows = filter_record_batch(rows, which)?;
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        columns.push(ops(op, rows.num_rows()));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        Ok(Some(batch))
    }
}

impl fmt::Display for Having {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.predicate.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};
    use datafusion_expr::Operator;
    use datafusion_physical_expr::expressions::{binary, col, lit};

    use headwater_core::changes::op_field;

    use super::*;

    fn rows(values: &[Option<i64>]) -> RecordBatch {
        let values: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter_with_nullable([("v", values, true)]).unwrap()
    }

    /// What passes `v > 0` does.
    fn changes(new: &[Option<i64>], old: &[Option<i64>], became: &[u32]) -> Vec<String> {
        let v = Field::new("v", DataType::Int64, true);
        let schema = Schema::new(vec![v.clone()]);
        let is_positive = binary(col("v", &schema).unwrap(), Operator::Gt, lit(0i64), &schema);
        let with_op = Schema::new(vec![Arc::new(v), op_field()]);
        let having = Having::new(is_positive.unwrap(), Arc::new(with_op));
        let (new, old) = (rows(new), rows(old));
        let changes = having.changes(&new, Some((&old, became))).unwrap();
        let lines = changes.iter().flat_map(|batch| {
            let values = batch.column(0).as_primitive::<Int64Type>().values().iter();
            let ops = batch.column(1).as_string::<i32>().iter().flatten();
            values.zip(ops).map(|(v, op)| format!("{op} {v}"))
        });
        lines.collect()
    }

    #[test]
    fn a_row_is_taken_back_if_it_passed_and_passes_no_more() {
        // New, still there, gone, gone to NULL, never there, back.
        let new = [Some(1), Some(2), Some(-3), None, Some(-5), Some(6)];
        let old = [Some(20), Some(30), Some(40), None, Some(-60)];
        let became = [1, 2, 3, 4, 5];
        assert_eq!(
            changes(&new, &old, &became),
            ["-D 30", "-D 40", "+U 1", "+U 2", "+U 6"]
        );
        assert!(changes(&[], &[], &[]).is_empty());
        assert!(changes(&[Some(-1)], &[None], &[0]).is_empty());
    }
}
