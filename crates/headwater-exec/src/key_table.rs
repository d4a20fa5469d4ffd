//! Keys to dense group ids, many at a time.
//!
//! With millions of groups nearly every key waits for memory. What makes a lookup cheap is thus to
//! touch few cache lines, and to ask for those of many keys before any of them is needed:
//!
//! ```text
//! hashes ──► slots, all of a block ──► groups ──► keys of the groups, all of a block
//!
//! slot    [ tag: 32 bits of the hash | group + 1 ]   eight of them share a cache line
//! ```
//!
//! The upper bits of a tag say where its slot is, or after which slots to look for it, so that a
//! table doubles by walking once through the old slots and once through the new.

use arrow::array::{ArrayRef, BooleanBufferBuilder, downcast_primitive};
use arrow::datatypes::{BinaryViewType, DataType, Field, Schema, StringViewType};
use datafusion_common::hash_utils::{RandomState, create_hashes};
use datafusion_common::{Result, resources_err};
use datafusion_physical_plan::aggregates::group_values::multi_group_by::GroupColumn;
use datafusion_physical_plan::aggregates::group_values::multi_group_by::bytes_view::ByteViewGroupValueBuilder;
use datafusion_physical_plan::aggregates::group_values::multi_group_by::primitive::PrimitiveGroupValueBuilder;

#[cfg(test)]
mod tests;

/// Rows that are looked up together: their slots stay in the nearest cache.
const BLOCK_ROWS: usize = 1_024;

/// Batches of up to so many rows leave their hashes' room to the next.
const MOST_KEPT_ROWS: usize = 64 * BLOCK_ROWS;

/// Slots of the smallest table.
const FEW_SLOTS: usize = 16;

/// So many slots are near, whatever else is: room is cheaper than looking farther on.
const NEAR_SLOTS: usize = 1 << 16;

/// How many of so many slots may be taken.
fn most_taken(slots: usize) -> usize {
    let eighths = if slots <= NEAR_SLOTS { 3 } else { 5 };
    slots / 8 * eighths
}

/// Another seed than that which deals keys to shards: all keys of a shard have much in common
/// under that one.
const SEED: u64 = 0x6865_6164_7761_7465;

/// Keys of groups, and the group of every key. See the module's page.
pub(crate) struct KeyTable {
    /// The keys, in the order of their groups.
    columns: Vec<Box<dyn GroupColumn>>,
    /// A power of two of them; 0 is free.
    slots: Vec<u64>,
    /// By how much a tag is shifted to be a slot.
    shift: u32,
    groups: usize,
    hash: RandomState,
    scratch: Scratch,
}

/// What one call leaves to the next, so that it need not be allocated.
#[derive(Default)]
struct Scratch {
    hashes: Vec<u64>,
    tags: Vec<u32>,
    first: Vec<u64>,
    rows: Vec<usize>,
    new_rows: Vec<usize>,
}

impl KeyTable {
    /// A table of keys; `None` if one of their types is not among those that are kept in columns.
    pub(crate) fn try_new(keys: &Schema) -> Option<Self> {
        let columns = keys.fields().iter().map(|field| key_column(field));
        let columns = columns.collect::<Option<Vec<_>>>()?;
        (!columns.is_empty()).then(|| KeyTable {
            columns,
            slots: vec![0; FEW_SLOTS],
            shift: u32::BITS - FEW_SLOTS.ilog2(),
            groups: 0,
            hash: RandomState::with_seed(SEED),
            scratch: Scratch::default(),
        })
    }

    /// Number of groups.
    pub(crate) fn len(&self) -> usize {
        self.groups
    }

    /// The keys of all groups, in the order of their ids.
    pub(crate) fn into_keys(self) -> Vec<ArrayRef> {
        self.columns.into_iter().map(GroupColumn::build).collect()
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|c| c.size()).sum();
        columns + self.slots.len() * size_of::<u64>() + self.scratch.memory_bytes()
    }

    /// The groups of rows of keys; a key that was not there gets the next id. In a block of rows, keys
    /// whose tag another key has come after the others.
    ///
    /// # Errors
    /// If there are more groups than ids. The table is of no use then.
    pub(crate) fn intern(&mut self, keys: &[ArrayRef], groups: &mut Vec<usize>) -> Result<()> {
        let rows = keys.first().map_or(0, |key| key.len());
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.hashes.clear();
        scratch.hashes.resize(rows, 0);
        create_hashes(keys, &self.hash, &mut scratch.hashes)?;
        groups.resize(rows, 0);
        let mut start = 0;
        for block in groups.chunks_mut(BLOCK_ROWS) {
            scratch.take_tags(start, start + block.len());
            self.find_block(keys, start, &mut scratch, block)?;
            start += block.len();
        }
        // Restoring state brings all keys at once: what that takes is not kept.
        if rows <= MOST_KEPT_ROWS {
            self.scratch = scratch;
        }
        Ok(())
    }

    /// Finds the groups of a block: the rows from `start` on, whose tags are in the scratch.
    fn find_block(
        &mut self,
        keys: &[ArrayRef],
        start: usize,
        scratch: &mut Scratch,
        groups: &mut [usize],
    ) -> Result<()> {
        // No read depends on another one, so the processor waits for many of them at once.
        let first = scratch.tags.iter().map(|tag| self.slots[self.home(*tag)]);
        scratch.first.clear();
        scratch.first.extend(first);
        scratch.new_rows.clear();
        let each = groups.iter_mut().zip(&scratch.tags).zip(&scratch.first);
        for (at, ((group, tag), first)) in each.enumerate() {
            // A tag is nearly always that of one key; whether it is this one is seen below.
            *group = match group_of(*first, *tag) {
                Some(group) => group,
                None => match self.find(*tag) {
                    Some(group) => group,
                    None => {
                        scratch.new_rows.push(start + at);
                        self.insert(*tag)?
                    }
                },
            };
        }
        if !scratch.new_rows.is_empty() {
            for (column, key) in self.columns.iter_mut().zip(keys) {
                column.vectorized_append(key, &scratch.new_rows)?;
            }
        }
        scratch.rows.clear();
        scratch.rows.extend(start..start + groups.len());
        let mut equal = BooleanBufferBuilder::new(groups.len());
        equal.append_n(groups.len(), true);
        for (column, key) in self.columns.iter().zip(keys) {
            column.vectorized_equal_to(groups, key, &scratch.rows, &mut equal);
        }
        let equal = equal.finish();
        if equal.count_set_bits() < groups.len() {
            for other in (!&equal).set_indices() {
                groups[other] = self.find_exactly(keys, start + other, scratch.tags[other])?;
            }
        }
        Ok(())
    }

    /// Where the slot of a tag is, if it is not farther on.
    #[inline]
    fn home(&self, tag: u32) -> usize {
        (tag >> self.shift) as usize
    }

    /// The first group of a tag.
    #[inline]
    fn find(&self, tag: u32) -> Option<usize> {
        self.find_from(self.home(tag), tag).map(|(_, group)| group)
    }

    /// The next group of a tag and its slot, from some slot on.
    #[inline]
    fn find_from(&self, from: usize, tag: u32) -> Option<(usize, usize)> {
        let mut at = from;
        loop {
            let slot = self.slots[at];
            if slot == 0 {
                return None;
            }
            if let Some(group) = group_of(slot, tag) {
                return Some((at, group));
            }
            at = self.after(at);
        }
    }

    #[inline]
    fn after(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// Gives a tag the next group.
    fn insert(&mut self, tag: u32) -> Result<usize> {
        let group = self.groups;
        if group >= most_taken(self.slots.len()) {
            if self.shift == 0 {
                return resources_err!("an operator can keep {group} keys per shard and no more");
            }
            self.double();
        }
        self.put((u64::from(tag) << u32::BITS) | (group as u64 + 1));
        self.groups += 1;
        Ok(group)
    }

    fn put(&mut self, slot: u64) {
        let mut at = self.home((slot >> u32::BITS) as u32);
        while self.slots[at] != 0 {
            at = self.after(at);
        }
        self.slots[at] = slot;
    }

    fn double(&mut self) {
        let twice = vec![0; self.slots.len() * 2];
        let old = std::mem::replace(&mut self.slots, twice);
        self.shift -= 1;
        for slot in old {
            if slot != 0 {
                self.put(slot);
            }
        }
    }

    /// The group of a key whose tag another key has too.
    #[cold]
    fn find_exactly(&mut self, keys: &[ArrayRef], row: usize, tag: u32) -> Result<usize> {
        let mut at = self.home(tag);
        while let Some((slot, group)) = self.find_from(at, tag) {
            let mut columns = self.columns.iter().zip(keys);
            if columns.all(|(column, key)| column.equal_to(group, key, row)) {
                return Ok(group);
            }
            at = self.after(slot);
        }
        let group = self.insert(tag)?;
        for (column, key) in self.columns.iter_mut().zip(keys) {
            column.append_val(key, row)?;
        }
        Ok(group)
    }
}

impl Scratch {
    fn memory_bytes(&self) -> usize {
        let words = self.hashes.capacity() + self.first.capacity();
        let rows = self.rows.capacity() + self.new_rows.capacity();
        let tags = self.tags.capacity() * size_of::<u32>();
        words * size_of::<u64>() + rows * size_of::<usize>() + tags
    }

    /// The tags of the rows from one to another.
    fn take_tags(&mut self, start: usize, end: usize) {
        // The upper half of the product depends on all bits of the hash.
        let tag = |hash: &u64| (hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> u32::BITS) as u32;
        self.tags.clear();
        self.tags.extend(self.hashes[start..end].iter().map(tag));
    }
}

/// The group in a slot, if it is one of that tag.
#[inline]
fn group_of(slot: u64, tag: u32) -> Option<usize> {
    let group = slot as u32;
    (group != 0 && (slot >> u32::BITS) as u32 == tag).then(|| group as usize - 1)
}

/// A column of keys, for the types of nearly all of them.
fn key_column(field: &Field) -> Option<Box<dyn GroupColumn>> {
    macro_rules! primitive {
        ($type:ty) => {
            match field.is_nullable() {
                true => Some(Box::new(PrimitiveGroupValueBuilder::<$type, true>::new(
                    field.data_type().clone(),
                ))),
                false => Some(Box::new(PrimitiveGroupValueBuilder::<$type, false>::new(
                    field.data_type().clone(),
                ))),
            }
        };
    }
    downcast_primitive! {
        field.data_type() => (primitive),
        DataType::Utf8View => Some(Box::new(ByteViewGroupValueBuilder::<StringViewType>::new())),
        DataType::BinaryView => Some(Box::new(ByteViewGroupValueBuilder::<BinaryViewType>::new())),
        _ => None,
    }
}
