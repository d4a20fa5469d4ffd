//! The newest row of every key.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Schema;
use arrow::row::{RowConverter, SortField};

use headwater_core::changes::{DELETE, split_ops};
use headwater_core::{Error, Result};

/// Positions of the key columns in a schema.
pub(super) fn key_columns(schema: &Schema, key: &[String]) -> Result<Vec<usize>> {
    key.iter()
        .map(|name| {
            schema.index_of(name).map_err(|_| {
                Error::plan(format!(
                    "key column \"{name}\" is not among the sink's columns"
                ))
            })
        })
        .collect()
}

/// One batch with the last row of every key, in the order in which the keys first came; `None`
/// if there are no batches. Without a key nothing is merged: `None` too. With operations in the
/// last column, a key whose last row is gone has none.
pub(super) fn newest_by_key(
    batches: &[RecordBatch],
    key: &[String],
    has_ops: bool,
) -> Result<Option<RecordBatch>> {
    let Some(first) = batches.first().filter(|_| !key.is_empty()) else {
        return Ok(None);
    };
    let columns = key_columns(first.schema_ref(), key)?;
    let fields = columns
        .iter()
        .map(|i| SortField::new(first.column(*i).data_type().clone()))
        .collect();
    let converter = RowConverter::new(fields)?;
    let mut slots: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut newest: Vec<Option<(usize, usize)>> = Vec::new();
    for (number, batch) in batches.iter().enumerate() {
        let keys: Vec<_> = columns
            .iter()
            .filter_map(|i| batch.columns().get(*i).cloned())
            .collect();
        let keys = converter.convert_columns(&keys)?;
        let ops = match has_ops {
            true => Some(split_ops(batch)?.1),
            false => None,
        };
        for (row, key) in keys.iter().enumerate() {
            let is_gone = ops.as_ref().is_some_and(|ops| ops.value(row) == DELETE);
            if is_gone {
                if let Some(slot) = slots.remove(key.data()) {
                    newest[slot] = None;
                }
                continue;
            }
            match slots.get(key.data()) {
                Some(slot) => newest[*slot] = Some((number, row)),
                None => {
                    slots.insert(key.data().to_vec(), newest.len());
                    newest.push(Some((number, row)));
                }
            }
        }
    }
    let newest: Vec<_> = newest.into_iter().flatten().collect();
    let batches: Vec<&RecordBatch> = batches.iter().collect();
    Ok(Some(interleave_record_batch(&batches, &newest)?))
}
