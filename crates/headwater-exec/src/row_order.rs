//! Rows in an order that a replay repeats.

use std::cmp::Ordering;

use arrow::array::{DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_common::Result;
use datafusion_physical_expr::PhysicalSortExpr;

/// Turns rows into bytes that compare as an order does.
pub(crate) struct RowOrder {
    order: Vec<PhysicalSortExpr>,
    converter: RowConverter,
}

impl RowOrder {
    /// An order over an input.
    pub(crate) fn try_new(order: &[PhysicalSortExpr], input: &Schema) -> Result<Self> {
        let fields = order.iter().map(|sort| {
            let data_type = sort.expr.data_type(input)?;
            Ok(SortField::new_with_options(data_type, sort.options))
        });
        let fields = fields.collect::<Result<Vec<_>>>()?;
        Ok(RowOrder {
            order: order.to_vec(),
            converter: RowConverter::new(fields)?,
        })
    }

    /// The rows of a batch as bytes.
    pub(crate) fn rows(&self, batch: &RecordBatch) -> Result<Rows> {
        let columns = self.order.iter();
        let columns = columns.map(|sort| sort.expr.evaluate(batch)?.into_array(batch.num_rows()));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        if !columns.is_empty() {
            return Ok(self.converter.convert_columns(&columns)?);
        }
        let mut rows = self.converter.empty_rows(0, 0);
        let parser = self.converter.parser();
        for _ in 0..batch.num_rows() {
            rows.push(parser.parse(&[]));
        }
        Ok(rows)
    }

    /// Positions of the rows of a batch by group and order. Rows that the order does not tell apart
    /// are put in the order of their contents: in which order they came may differ in a replay.
    pub(crate) fn sorted<G: Ord>(
        &self,
        batch: &RecordBatch,
        group: impl Fn(u32) -> G,
    ) -> Result<Vec<u32>> {
        let order = self.rows(batch)?;
        Ok(sorted_rows(batch, &order, group))
    }
}

/// [`RowOrder::sorted`] with the bytes at hand.
pub(crate) fn sorted_rows<G: Ord>(
    batch: &RecordBatch,
    order: &Rows,
    group: impl Fn(u32) -> G,
) -> Vec<u32> {
    let contents = comparators(batch);
    let mut sorted: Vec<u32> = (0..batch.num_rows() as u32).collect();
    sorted.sort_unstable_by(|a, b| {
        let by_group = || group(*a).cmp(&group(*b));
        let by_position = a.cmp(b);
        let (a, b) = (*a as usize, *b as usize);
        let by_order = || order.row(a).cmp(&order.row(b));
        let by_contents = || {
            let unequal = contents.iter().map(|compare| compare(a, b));
            unequal.fold(Ordering::Equal, Ordering::then)
        };
        let by_order = by_group().then_with(by_order);
        by_order.then_with(by_contents).then(by_position)
    });
    sorted
}

/// One per column whose values can be put in an order.
fn comparators(rows: &RecordBatch) -> Vec<DynComparator> {
    let columns = rows.columns().iter();
    let columns = columns.filter_map(|c| make_comparator(c, c, SortOptions::default()).ok());
    columns.collect()
}
