//! A table of a join, by its keys.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion_common::hash_utils::{RandomState, create_hashes};
use datafusion_common::{NullEquality, Result, resources_datafusion_err};
use datafusion_physical_plan::PhysicalExpr;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

const NONE: u32 = u32::MAX;

/// The rows of a table, and where those of a key are.
///
/// ```text
/// first   hash of a key ──► the first row with it
/// next    row           ──► the next row with the same hash
/// ```
pub(super) struct Table {
    pub(super) rows: RecordBatch,
    pub(super) keys: Vec<ArrayRef>,
    /// Whether a key holds a NULL.
    pub(super) has_null_key: bool,
    first: HashTable<(u64, u32)>,
    next: Vec<u32>,
}

impl Table {
    /// Reads batches into a table. Without keys, every row is found by every row.
    pub(super) fn try_new(
        schema: &SchemaRef,
        batches: &[RecordBatch],
        keys: &[Arc<dyn PhysicalExpr>],
        nulls: NullEquality,
    ) -> Result<Self> {
        let rows = concat_batches(schema, batches)?;
        if rows.num_rows() >= NONE as usize {
            return Err(resources_datafusion_err!(
                "a table in a join can have {} rows, and this one has {}",
                NONE - 1,
                rows.num_rows()
            ));
        }
        let keys = evaluate(keys, &rows)?;
        let nulls_of_keys = null_keys(&keys);
        let mut table = Table {
            has_null_key: nulls_of_keys.as_ref().is_some_and(|n| n.null_count() > 0),
            first: HashTable::with_capacity(if keys.is_empty() { 0 } else { rows.num_rows() }),
            next: vec![NONE; if keys.is_empty() { 0 } else { rows.num_rows() }],
            keys,
            rows,
        };
        let findable = nulls_of_keys.filter(|_| nulls == NullEquality::NullEqualsNothing);
        table.index(findable.as_ref())?;
        Ok(table)
    }

    fn index(&mut self, findable: Option<&NullBuffer>) -> Result<()> {
        if self.keys.is_empty() {
            return Ok(());
        }
        let hashes = hashes(&self.keys, self.rows.num_rows())?;
        // From the end, so that a chain gives rows in the order of the table.
        for (row, hash) in hashes.iter().enumerate().rev() {
            if findable.is_some_and(|findable| findable.is_null(row)) {
                continue;
            }
            let number = row as u32;
            let found = self.first.entry(*hash, |(h, _)| h == hash, |(h, _)| *h);
            match found {
                Entry::Occupied(mut entry) => {
                    self.next[row] = std::mem::replace(&mut entry.get_mut().1, number);
                }
                Entry::Vacant(entry) => {
                    entry.insert((*hash, number));
                }
            }
        }
        Ok(())
    }

    /// The first row that a key of this hash may find.
    pub(super) fn first(&self, hash: u64) -> Option<u32> {
        if self.keys.is_empty() {
            return (self.rows.num_rows() > 0).then_some(0);
        }
        self.first
            .find(hash, |(h, _)| *h == hash)
            .map(|(_, row)| *row)
    }

    /// The row after it.
    pub(super) fn after(&self, row: u32) -> Option<u32> {
        if self.keys.is_empty() {
            return Some(row + 1).filter(|row| (*row as usize) < self.rows.num_rows());
        }
        let next = self.next.get(row as usize).copied();
        next.filter(|next| *next != NONE)
    }
}

/// Key columns of a batch.
pub(super) fn evaluate(
    keys: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    let column = |key: &Arc<dyn PhysicalExpr>| key.evaluate(batch)?.into_array(batch.num_rows());
    keys.iter().map(column).collect()
}

/// A hash per row, the same for the table and the stream; empty without keys.
pub(super) fn hashes(keys: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    if keys.is_empty() {
        return Ok(vec![0; rows]);
    }
    let mut hashes = vec![0; rows];
    create_hashes(keys, &RandomState::with_seed(0), &mut hashes)?;
    Ok(hashes)
}

/// Which rows have a NULL in a key.
pub(super) fn null_keys(keys: &[ArrayRef]) -> Option<NullBuffer> {
    keys.iter().fold(None, |nulls, key| {
        NullBuffer::union(nulls.as_ref(), key.logical_nulls().as_ref())
    })
}
