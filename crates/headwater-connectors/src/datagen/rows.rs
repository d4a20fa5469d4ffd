//! The rows of a generator as batches.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use headwater_core::Result;

use super::column::ColumnGenerator;
use super::preset::OrdersColumns;
use crate::event_shape::EventShape;

/// Numbers of rows: `count` of them from `first`, `step` apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowNumbers {
    pub(super) first: u64,
    pub(super) step: u64,
    pub(super) count: usize,
}

impl RowNumbers {
    pub(super) fn iter(self) -> impl Iterator<Item = u64> {
        (0..self.count as u64).map(move |n| self.first + n * self.step)
    }
}

/// What makes rows.
#[derive(Debug)]
pub(super) enum RowMaker {
    /// Each column by itself.
    Columns {
        schema: SchemaRef,
        columns: Vec<ColumnGenerator>,
        times: EventShape,
        seed: u64,
    },
    /// The preset `orders`.
    Orders(OrdersColumns),
}

impl RowMaker {
    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            RowMaker::Columns { schema, .. } => Arc::clone(schema),
            RowMaker::Orders(orders) => orders.schema(),
        }
    }

    /// The seed of all randomness.
    pub(super) fn seed(&self) -> u64 {
        match self {
            RowMaker::Columns { seed, .. } => *seed,
            RowMaker::Orders(orders) => orders.seed(),
        }
    }

    /// The rows with some of the columns.
    pub(super) fn batch(&self, rows: RowNumbers, projection: &[usize]) -> Result<RecordBatch> {
        match self {
            RowMaker::Columns {
                schema,
                columns,
                times,
                seed,
            } => {
                let schema = Arc::new(schema.project(projection)?);
                let columns: Vec<ArrayRef> = projection
                    .iter()
                    .filter_map(|index| columns.get(*index))
                    .map(|column| column.make(rows, *seed, times))
                    .collect::<Result<_>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows.count));
                Ok(RecordBatch::try_new_with_options(
                    schema, columns, &options,
                )?)
            }
            RowMaker::Orders(orders) => orders.batch(rows, projection),
        }
    }
}
