//! Totals of no rows. A partial aggregation sends the state of the empty grouping set even if it has
//! seen no row, so that a total is there from the first epoch on. In a later epoch such a state
//! changes nothing, and the total is not to be emitted again for it.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array, make_comparator};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion_common::Result;

use super::{Output, StreamAggregate};
use crate::aggregate_state::AggregateState;

/// The state rows that are of rows, if some are totals of none and need not be merged.
pub(super) fn over_rows(
    aggregate: &StreamAggregate,
    nothing: &[ArrayRef],
    state: &AggregateState,
    keys: &[ArrayRef],
    states: &[ArrayRef],
) -> Result<Option<UInt32Array>> {
    // A total that is kept for some time only lives on by being touched.
    let is_kept = aggregate.ttl.is_none() && state.has_running_groups();
    if nothing.is_empty() || !is_kept {
        return Ok(None);
    }
    let rows = states.first().map_or(0, |column| column.len());
    let totals = totals(aggregate, keys, rows)?;
    if totals.is_empty() {
        return Ok(None);
    }
    let mut is_nothing = vec![false; rows];
    for total in &totals {
        is_nothing[*total] = true;
    }
    for (column, nothing) in states.iter().zip(nothing) {
        let Ok(compare) = make_comparator(column, nothing, SortOptions::default()) else {
            return Ok(None);
        };
        for total in &totals {
            is_nothing[*total] &= compare(*total, 0).is_eq();
        }
    }
    if !is_nothing.contains(&true) {
        return Ok(None);
    }
    let others = (0..rows).filter(|row| !is_nothing[*row]);
    Ok(Some(others.map(|row| row as u32).collect()))
}

/// The rows that are of a grouping set which leaves out every key.
fn totals(aggregate: &StreamAggregate, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
    if keys.is_empty() {
        return Ok((0..rows).collect());
    }
    let id = aggregate.outputs.iter().find_map(|output| match output {
        Output::GroupingId { key, .. } => keys.get(*key),
        _ => None,
    });
    let Some(id) = id else {
        return Ok(vec![]);
    };
    // A bit for every key that is left out; the others tell equal sets apart.
    let all = 1_u64
        .checked_shl(keys.len() as u32 - 1)
        .map_or(u64::MAX, |bit| bit - 1);
    let ids = cast(id, &DataType::UInt64)?;
    let ids = ids.as_primitive::<UInt64Type>().values().iter().enumerate();
    let totals = ids.filter(|(_, id)| **id & all == all);
    Ok(totals.map(|(row, _)| row).collect())
}
