//! Rows in an order that a replay repeats.

use std::cmp::Ordering;

use arrow::array::{DynComparator, RecordBatch, make_comparator};
use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion_common::Result;
use datafusion_physical_expr::PhysicalSortExpr;

use crate::keyed_runs::NO_SLOT;

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
}

/// Positions of the rows of a batch by slot and order, row `i` in `slots[i]`, or nowhere if that is
/// [`NO_SLOT`]; `comes_later` puts rows of a slot behind the others.
///
/// Rows are dealt to their slots first and sorted there: slots have few rows. Rows that the order
/// does not tell apart are put in the order of their contents: in which order they came may differ
/// in a replay.
pub(crate) fn sorted_by_slot(
    batch: &RecordBatch,
    order: &Rows,
    slots: &[u32],
    slot_count: usize,
    comes_later: impl Fn(u32) -> bool,
) -> Vec<u32> {
    let mut starts = vec![0usize; slot_count + 1];
    for slot in slots.iter().filter(|slot| **slot != NO_SLOT) {
        starts[*slot as usize + 1] += 1;
    }
    for slot in 1..starts.len() {
        starts[slot] += starts[slot - 1];
    }
    let mut next = starts.clone();
    let mut sorted = vec![0u32; starts[slot_count]];
    let dealt = slots.iter().enumerate();
    for (row, slot) in dealt.filter(|(_, slot)| **slot != NO_SLOT) {
        let at = &mut next[*slot as usize];
        sorted[*at] = row as u32;
        *at += 1;
    }
    let prefixes: Vec<u64> = order.iter().map(|row| prefix(row.as_ref())).collect();
    let contents = comparators(batch);
    let compare = |a: &u32, b: &u32| {
        let (left, right) = (*a as usize, *b as usize);
        let by_order = || order.row(left).cmp(&order.row(right));
        let by_contents = || {
            let unequal = contents.iter().map(|compare| compare(left, right));
            unequal.fold(Ordering::Equal, Ordering::then)
        };
        let by_age = comes_later(*a).cmp(&comes_later(*b));
        let by_prefix = by_age.then(prefixes[left].cmp(&prefixes[right]));
        let by_order = by_prefix.then_with(by_order);
        by_order.then_with(by_contents).then(a.cmp(b))
    };
    for bounds in starts.windows(2) {
        if bounds[1] - bounds[0] > 1 {
            sorted[bounds[0]..bounds[1]].sort_unstable_by(compare);
        }
    }
    sorted
}

/// The first bytes of a row, which compare as it does.
fn prefix(row: &[u8]) -> u64 {
    let mut bytes = [0; 8];
    let length = row.len().min(bytes.len());
    bytes[..length].copy_from_slice(&row[..length]);
    u64::from_be_bytes(bytes)
}

/// One per column whose values can be put in an order.
fn comparators(rows: &RecordBatch) -> Vec<DynComparator> {
    let columns = rows.columns().iter();
    let columns = columns.filter_map(|c| make_comparator(c, c, SortOptions::default()).ok());
    columns.collect()
}
