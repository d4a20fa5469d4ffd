//! The touch-slot table: keyed aggregate state as immutable chunks of state rows.
//!
//! DataFusion's accumulators give their state up when they are read, so they are only scratch.
//! What lasts is `chunks` of state rows that never change, and the place of every group, which says
//! where its current row is:
//!
//! ```text
//! keys ── intern ──► group id ──► groups[id].place = (chunk, row)
//!
//! chunks   [ k s s | k s s | k s s ]   [ k s s | k s s ]   ← one more per epoch
//!            dead     live    live        live    live
//! ```
//!
//! In an epoch, the first row of a group *touches* it: the group gets a slot in the scratch
//! accumulators and its old state row is merged in. At the end the scratch gives up the new state
//! rows of exactly the touched groups, and that batch is appended: it is the checkpoint delta and,
//! evaluated, the update-mode output. Cost follows the touched groups, never the table.
//!
//! Nothing is changed in place, so undoing an epoch is restoring the touched places and dropping
//! the newest chunk. Chunks are written again as [`crate::chunks`] says, once the epoch that made
//! them is durable.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use datafusion_common::{Result, internal_datafusion_err};

use crate::aggregate_spec::{Accumulators, AggregateSpec, Interner, canonical_keys};
use crate::chunks::{Chunks, Rewrite};
use crate::idle_keys::StateTtl;
use crate::view_buffers::owning;

pub(crate) use before::PlacesBefore;
use columns::{concat_pieces, gather};
pub(crate) use idle::IdleChange;
use idle::IdleGroups;
use place::{Group, NOWHERE, Place};

mod before;
mod columns;
mod idle;
mod place;

#[cfg(test)]
mod tests;

/// The scratch of the running epoch.
struct Touch {
    /// Group of every slot.
    groups: Vec<u32>,
    /// Key columns of the touched groups, in pieces, in slot order.
    key_pieces: Vec<Vec<ArrayRef>>,
    accumulators: Accumulators,
}

/// What it takes to undo the newest epoch.
#[derive(Debug)]
pub(crate) struct TableUndo {
    chunk: u32,
    places_before: Vec<(u32, Place)>,
}

/// What a batch brings to a table.
pub(crate) enum Rows<'a> {
    /// Argument columns per aggregate, and its FILTER.
    Raw {
        arguments: &'a [Vec<ArrayRef>],
        filters: &'a [Option<BooleanArray>],
    },
    /// State columns as a partial aggregation made them.
    States(&'a [ArrayRef]),
}

/// What becomes of a group that has state when a row of it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KnownGroups {
    /// It is touched: the row changes it.
    Touched,
    /// Nothing: without aggregates it is what it was. An epoch touches the groups that it brings.
    LeftAlone,
}

/// Aggregate state by key.
pub(crate) struct GroupTable {
    known_groups: KnownGroups,
    interner: Interner,
    groups: Vec<Group>,
    chunks: Chunks,
    live: usize,
    touch: Option<Touch>,
    /// When groups were touched, if they are forgotten some time after.
    idle: Option<IdleGroups>,
    group_scratch: Vec<usize>,
}

impl GroupTable {
    /// An empty table; groups that no row touches are kept for the time to live, or for ever.
    pub(crate) fn try_new(
        spec: &AggregateSpec,
        known_groups: KnownGroups,
        ttl: Option<StateTtl>,
    ) -> Result<Self> {
        Ok(GroupTable {
            known_groups,
            interner: Interner::try_new(spec.key_schema())?,
            groups: Vec::new(),
            chunks: Chunks::new(Arc::clone(spec.state_schema())),
            live: 0,
            touch: None,
            idle: ttl.map(IdleGroups::new),
            group_scratch: Vec::new(),
        })
    }

    /// Number of groups with state.
    pub(crate) fn live_groups(&self) -> usize {
        self.live
    }

    /// Adds rows to the scratch of the running epoch.
    pub(crate) fn add(
        &mut self,
        spec: &AggregateSpec,
        keys: &[ArrayRef],
        rows: usize,
        values: &Rows<'_>,
    ) -> Result<()> {
        if rows == 0 {
            return Ok(());
        }
        let keys = canonical_keys(keys);
        self.intern(&keys, rows)?;
        let mut groups = std::mem::take(&mut self.group_scratch);
        let added = self.touch_groups(spec, &keys, &mut groups).and_then(|()| {
            let touch = self.touch.as_mut().ok_or_else(untouched)?;
            let total = touch.groups.len();
            match values {
                Rows::States(columns) => {
                    spec.merge(&mut touch.accumulators, columns, &groups, total)
                }
                Rows::Raw { arguments, filters } => {
                    let each = touch
                        .accumulators
                        .iter_mut()
                        .zip(arguments.iter())
                        .zip(*filters);
                    for ((accumulator, values), filter) in each {
                        accumulator.update_batch(values, &groups, filter.as_ref(), total)?;
                    }
                    Ok(())
                }
            }
        });
        self.group_scratch = groups;
        added
    }

    /// Makes sure the one group of a global aggregate exists, so that it has a result over no
    /// rows. `arguments` are those of any one row; the row itself is filtered out.
    pub(crate) fn ensure_global_group(
        &mut self,
        spec: &AggregateSpec,
        arguments: &[Vec<ArrayRef>],
    ) -> Result<()> {
        if spec.key_count() > 0 || self.live > 0 || self.touch.is_some() {
            return Ok(());
        }
        // Merging the state of an accumulator that has seen nothing would not do: `avg` of it is
        // 0 by 0 and not NULL.
        let filters = vec![Some(BooleanArray::from(vec![false])); arguments.len()];
        let filters = filters.as_slice();
        self.add(spec, &[], 1, &Rows::Raw { arguments, filters })
    }

    fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.interner.intern(keys, rows, &mut self.group_scratch)?;
        self.groups.resize(self.interner.len(), Group::NEW);
        Ok(())
    }

    /// Brings groups near. The loops that need them decide something for each, so that they wait for
    /// one group after the other; here the processor waits for many at once.
    fn ask_for(&self, groups: &[usize]) {
        let all = groups.iter().map(|group| self.groups[*group].slot);
        std::hint::black_box(all.fold(0, |all, slot| all ^ slot));
    }

    /// Turns group ids into slots, touching what was not touched yet: takes its key from the
    /// batch and merges its old state into the scratch.
    fn touch_groups(
        &mut self,
        spec: &AggregateSpec,
        keys: &[ArrayRef],
        groups: &mut [usize],
    ) -> Result<()> {
        if self.touch.is_none() {
            let accumulators = spec.accumulators()?;
            self.touch = Some(Touch {
                groups: vec![],
                key_pieces: vec![],
                accumulators,
            });
        }
        self.ask_for(groups);
        let touch = self.touch.as_mut().ok_or_else(untouched)?;
        let first_new = touch.groups.len();
        let mut new_rows: Vec<u32> = Vec::new();
        let mut old: Vec<(usize, usize)> = Vec::new();
        let mut stateless: Vec<u32> = Vec::new();
        for (row, group) in groups.iter_mut().enumerate() {
            let Group { place, slot } = &mut self.groups[*group];
            if *slot == NOWHERE {
                let place = *place;
                if place.is_none() {
                    stateless.push(row as u32);
                    continue;
                }
                if self.known_groups == KnownGroups::LeftAlone {
                    if let Some(idle) = &mut self.idle {
                        idle.refresh(*group as u32);
                    }
                    continue;
                }
                *slot = touch.groups.len() as u32;
                touch.groups.push(*group as u32);
                new_rows.push(row as u32);
                old.push(place.indices());
            }
            *group = *slot as usize;
        }
        // Accumulators take it that a group below the total has had a row, and would give `sum`
        // of a group whose values are all NULL the value 0. So groups that bring old state are
        // numbered first and merged before the others count.
        let with_state = touch.groups.len();
        for row in stateless {
            let group = &mut groups[row as usize];
            let slot = &mut self.groups[*group].slot;
            if *slot == NOWHERE {
                *slot = touch.groups.len() as u32;
                touch.groups.push(*group as u32);
                new_rows.push(row);
            }
            *group = *slot as usize;
        }
        if new_rows.is_empty() {
            return Ok(());
        }
        let new_rows = UInt32Array::from(new_rows);
        let pieces = keys
            .iter()
            .map(|k| owning(take(k, &new_rows, None)?))
            .collect::<Result<Vec<_>>>()?;
        touch.key_pieces.push(pieces);
        if old.is_empty() {
            return Ok(());
        }
        let old_slots: Vec<usize> = (first_new..with_state).collect();
        let states = gather(&self.chunks, spec.key_count(), spec, &old)?;
        spec.merge(&mut touch.accumulators, &states, &old_slots, with_state)
    }

    /// Ends the epoch: appends the new state rows of the touched groups and returns them with
    /// what it takes to undo that. `None` if nothing was touched.
    pub(crate) fn finish(
        &mut self,
        spec: &AggregateSpec,
    ) -> Result<Option<(RecordBatch, TableUndo)>> {
        let Some(mut touch) = self.touch.take().filter(|t| !t.groups.is_empty()) else {
            return Ok(None);
        };
        // The slots are free again whatever happens below.
        for group in &touch.groups {
            self.groups[*group as usize].slot = NOWHERE;
        }
        let mut columns = concat_pieces(&touch.key_pieces, spec.key_count())?;
        for states in spec.take_states(&mut touch.accumulators, touch.groups.len())? {
            columns.push(owning(states)?);
        }
        let rows = spec.state_batch(columns, touch.groups.len())?;
        let places_before = touch
            .groups
            .iter()
            .map(|g| (*g, self.groups[*g as usize].place))
            .collect();
        if let Some(idle) = &mut self.idle {
            idle.touch(&touch.groups);
        }
        let undo = TableUndo {
            chunk: self.append(rows.clone(), touch.groups),
            places_before,
        };
        Ok(Some((rows, undo)))
    }

    /// Forgets what the running epoch added, and brings back what it forgot.
    pub(crate) fn abandon(&mut self) {
        self.abandon_idle();
        if let Some(touch) = self.touch.take() {
            for group in touch.groups {
                self.groups[group as usize].slot = NOWHERE;
            }
        }
    }

    /// Undoes the newest epoch.
    pub(crate) fn undo(&mut self, undo: TableUndo) {
        for (group, before) in undo.places_before {
            self.move_to(group, before);
        }
        self.chunks.remove(undo.chunk);
    }

    /// Says where the row of a group is from now on, and gives where it was. Nothing else moves a
    /// group, so that the chunks know how many of their rows are live.
    fn move_to(&mut self, group: u32, place: Place) -> Place {
        let old = std::mem::replace(&mut self.groups[group as usize].place, place);
        if !old.is_none() {
            self.chunks.went(old.chunk, old.row, 1);
            self.live -= 1;
        }
        if !place.is_none() {
            self.chunks.came(place.chunk, place.row, 1);
            self.live += 1;
        }
        old
    }

    /// Adds restored state rows; later rows of a key replace earlier ones.
    /// `touched` says what was noted for each of them, if they are forgotten some time after.
    pub(crate) fn restore(
        &mut self,
        spec: &AggregateSpec,
        rows: &RecordBatch,
        touched: &[i64],
    ) -> Result<()> {
        let keys = &rows.columns()[..spec.key_count()];
        self.intern(keys, rows.num_rows())?;
        let groups: Vec<u32> = self.group_scratch.iter().map(|g| *g as u32).collect();
        if let Some(idle) = &mut self.idle {
            idle.note(&groups, touched);
        }
        self.append(rows.clone(), groups);
        self.compact()
    }

    /// Adds a chunk and gives its number.
    fn append(&mut self, rows: RecordBatch, groups: Vec<u32>) -> u32 {
        let chunk = self.chunks.push(rows);
        self.settle_in(chunk, groups);
        chunk
    }

    fn settle_in(&mut self, chunk: u32, groups: Vec<u32>) {
        for (row, group) in groups.iter().enumerate() {
            let row = row as u32;
            self.move_to(*group, Place { chunk, row });
        }
        self.chunks.belongs_to(chunk, groups);
    }

    /// Writes again what is worth it, without the dead rows. Must not be called while an epoch can
    /// still be undone.
    pub(crate) fn compact(&mut self) -> Result<()> {
        debug_assert!(self.chunks.are_counted(self.live_by_chunk()));
        while let Some(rewrite) = self.chunks.rewrite() {
            self.write_again(&rewrite)?;
        }
        self.chunks.settle();
        Ok(())
    }

    fn write_again(&mut self, rewrite: &Rewrite) -> Result<()> {
        let (mut live, mut groups) = (Vec::new(), Vec::new());
        for part in &rewrite.parts {
            let chunk = part.0 as usize;
            for (row, group) in self.chunks.live_in(*part) {
                live.push((chunk, row));
                groups.push(group);
            }
        }
        let rows = self.chunks.pick(&live)?;
        if let Some(chunk) = self.chunks.add_rewritten(rewrite, rows) {
            self.settle_in(chunk, groups);
        }
        self.chunks.retire(rewrite);
        Ok(())
    }

    /// The chunk of every live row, and one row.
    fn live_by_chunk(&self) -> impl Iterator<Item = (u32, usize)> {
        let places = self.groups.iter().map(|group| group.place);
        let live = places.filter(|place| !place.is_none());
        live.map(|place| (place.chunk, 1))
    }

    /// All live state rows, as columns.
    pub(crate) fn live_rows(&self, spec: &AggregateSpec) -> Result<Vec<ArrayRef>> {
        if let Some(columns) = self.chunks.whole_columns(self.live)? {
            return Ok(columns);
        }
        let live: Vec<_> = self
            .groups
            .iter()
            .filter(|group| !group.place.is_none())
            .map(|group| group.place.indices())
            .collect();
        gather(&self.chunks, 0, spec, &live)
    }

    /// State columns of those of the given keys that this table has, or had `before` its newest
    /// epoch, and which keys these are.
    pub(crate) fn states_of(
        &mut self,
        spec: &AggregateSpec,
        keys: &[ArrayRef],
        rows: usize,
        before: Option<&PlacesBefore>,
    ) -> Result<(Vec<ArrayRef>, Vec<usize>)> {
        // Keys that are not there get a group without state: memory bounded by the keys touched
        // while the pane lives, and no second index.
        self.intern(keys, rows)?;
        let (mut found, mut which) = (Vec::new(), Vec::new());
        for (row, group) in self.group_scratch.iter().enumerate() {
            let was = before.and_then(|before| before.of(*group));
            let place = was.unwrap_or(self.groups[*group].place);
            if !place.is_none() {
                found.push(place.indices());
                which.push(row);
            }
        }
        if found.is_empty() {
            return Ok((vec![], which));
        }
        Ok((gather(&self.chunks, spec.key_count(), spec, &found)?, which))
    }

    /// Bytes of memory held.
    pub(crate) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.memory_bytes();
        let scratch: usize = self
            .touch
            .iter()
            .flat_map(|t| t.accumulators.iter().map(|a| a.size()))
            .sum();
        let idle = self.idle.as_ref().map_or(0, IdleGroups::memory_bytes);
        self.interner.memory_bytes()
            + self.groups.capacity() * size_of::<Group>()
            + chunks
            + scratch
            + idle
            + self.group_scratch.capacity() * size_of::<usize>()
    }
}

impl std::fmt::Debug for GroupTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "GroupTable({} groups in {} chunks)",
            self.live,
            self.chunks.count()
        )
    }
}

fn untouched() -> datafusion_common::DataFusionError {
    internal_datafusion_err!("a group table was used before a group was touched")
}
