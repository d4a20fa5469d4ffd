//! State of one shard of an operator that keeps rows by key: versions, deltas, undo and restore.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::{Result, internal_err};

use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::{ChunkKind, OperatorState, StateChunk};
use headwater_core::watermark::Watermark;

use super::table::{IdleRunsUndo, NEVER, NewRuns, Numbers, RunTable, RunUndo, batch};
use super::{Advance, EpochEnd, EpochStart, LateCount, NO_SLOT, NewRows, RunLogic, Slots};
use crate::aggregate_state::no_version;
use crate::idle_keys::StateTtl;
use crate::view_buffers::owning;

mod idle;
mod stored;
#[cfg(test)]
mod tests;

/// State of one shard.
pub struct RunState {
    logic: Arc<dyn RunLogic>,
    key_schema: SchemaRef,
    /// How long keys are kept that no row touches.
    ttl: Option<StateTtl>,
    stored_schema: SchemaRef,
    table: RunTable,
    /// Slot of every group in the running epoch.
    slots: Vec<u32>,
    /// Group of every slot.
    touched: Vec<u32>,
    /// Keys of the touched groups, in slot order.
    key_pieces: Vec<Vec<ArrayRef>>,
    new_rows: Option<Box<dyn NewRows>>,
    /// Groups that rows have touched without a slot.
    refreshed: Vec<u32>,
    /// Keys that the running epoch has forgotten.
    expired: Vec<ArrayRef>,
    expired_count: usize,
    start: EpochStart,
    version: Option<EpochId>,
    newest: Option<Newest>,
}

/// What the newest version changed, kept until it is durable.
#[derive(Debug)]
struct Newest {
    undo: RunUndo,
    idle: Option<IdleRunsUndo>,
    /// Rows of the new runs, and those of keys that were only touched.
    rows: RecordBatch,
    /// What is noted for the key of each of them, if keys are forgotten.
    touched: Vec<i64>,
    /// Keys whose runs are gone.
    removed: Vec<ArrayRef>,
    removed_count: usize,
    /// Nothing is due at or before this any more.
    past_us: i64,
}

impl RunState {
    /// Empty state of an operator. Keys that no row touches are kept for the time to live, or for
    /// ever.
    ///
    /// # Errors
    /// If keys of such types cannot be told apart.
    pub fn try_new(
        logic: Arc<dyn RunLogic>,
        key_schema: SchemaRef,
        ttl: Option<StateTtl>,
    ) -> Result<Self> {
        let schema = Arc::clone(logic.schema());
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let mut fields = vec![Field::new("__present", DataType::Boolean, false)];
        fields.extend(schema.fields().iter().map(nullable));
        if ttl.is_some() {
            fields.push(Field::new("__touched", DataType::Int64, true));
        }
        Ok(RunState {
            table: RunTable::try_new(Arc::clone(&key_schema), schema, ttl)?,
            logic,
            key_schema,
            ttl,
            stored_schema: Arc::new(Schema::new(fields)),
            slots: vec![],
            touched: vec![],
            key_pieces: vec![],
            new_rows: None,
            refreshed: vec![],
            expired: vec![],
            expired_count: 0,
            start: EpochStart {
                before: Watermark::MIN,
                keeps_late_rows: false,
            },
            version: None,
            newest: None,
        })
    }

    /// Starts an epoch on version `epoch − 1`; what a failed attempt left is forgotten.
    ///
    /// # Errors
    /// If the state has another version: the engine must roll back or restore first.
    pub fn begin(&mut self, epoch: EpochId, start: EpochStart) -> Result<()> {
        if self.version != epoch.previous() {
            return internal_err!(
                "state has version {:?} and cannot take epoch {epoch}",
                self.version
            );
        }
        self.abandon();
        self.start = start;
        Ok(())
    }

    /// Forgets what the running epoch added, and brings back what it forgot.
    fn abandon(&mut self) {
        let idle = self.table.finish_idle();
        self.table.undo_idle(idle);
        self.refreshed.clear();
        self.expired.clear();
        self.expired_count = 0;
        for group in self.touched.drain(..) {
            self.slots[group as usize] = NO_SLOT;
        }
        self.key_pieces.clear();
        self.new_rows = None;
    }

    /// Adds rows.
    ///
    /// # Errors
    /// If an expression fails; the epoch can then only be rolled back.
    pub fn add(&mut self, keys: &[ArrayRef], input: &RecordBatch) -> Result<()> {
        let groups = self.table.intern(keys, input.num_rows())?;
        let slots = self.slots_of(&groups, keys)?;
        self.table.reuse(groups);
        if self.new_rows.is_none() {
            self.new_rows = Some(self.logic.new_rows(&self.start)?);
        }
        match &mut self.new_rows {
            Some(rows) => rows.add(input, &slots),
            None => internal_err!("an epoch without new rows"),
        }
    }

    /// Slots of the groups of a batch; those that are seen first take their keys from it.
    fn slots_of(&mut self, groups: &[usize], keys: &[ArrayRef]) -> Result<Vec<u32>> {
        self.slots.resize(self.table.groups(), NO_SLOT);
        let settled = self.logic.settled_rows();
        let mut first_rows: Vec<u32> = vec![];
        let mut slots = Vec::with_capacity(groups.len());
        for (row, group) in groups.iter().enumerate() {
            let slot = &mut self.slots[*group];
            if *slot == NO_SLOT && self.table.rows_in(*group) < settled {
                *slot = self.touched.len() as u32;
                self.touched.push(*group as u32);
                first_rows.push(row as u32);
            } else if *slot == NO_SLOT && self.table.touch(*group as u32) {
                self.refreshed.push(*group as u32);
            }
            slots.push(*slot);
        }
        if !first_rows.is_empty() {
            let first_rows = UInt32Array::from(first_rows);
            let pieces = keys.iter().map(|k| owning(take(k, &first_rows, None)?));
            self.key_pieces.push(pieces.collect::<Result<_>>()?);
        }
        Ok(slots)
    }

    /// Ends the epoch: makes the new version and gives what the mode emits, and the rows that came
    /// too late.
    ///
    /// # Errors
    /// If the runs cannot be made; the state then is what it was before the epoch.
    pub fn finish(
        &mut self,
        epoch: EpochId,
        end: &EpochEnd,
    ) -> Result<(Vec<RecordBatch>, LateCount)> {
        let past_us = match end.mode {
            OutputMode::Complete => {
                // What was restored was put into the calendar.
                self.table.forget_due();
                i64::MIN
            }
            OutputMode::Append | OutputMode::Update => end.step.after.micros(),
        };
        let by_rows = self.touched.len();
        let slots = self.slots(past_us)?;
        let new_rows = match self.new_rows.take() {
            Some(rows) => rows,
            None => self.logic.new_rows(&self.start)?,
        };
        let advance = new_rows.finish(&slots, end)?;
        let late = advance.late.clone();
        let (runs, removed) = self.new_runs(&slots, &advance, end.mode, past_us)?;
        let rows = runs.rows.clone();
        let (removed, removed_count) = self.removed(&slots, removed)?;
        let each = runs
            .groups
            .iter()
            .copied()
            .zip(runs.lengths.iter().copied());
        let changed: Vec<(u32, u32)> = each.collect();
        let undo = self.table.replace(runs);
        let ended = match end.mode {
            OutputMode::Complete => self.table.all_rows().and_then(|rows| self.logic.all(&rows)),
            OutputMode::Append | OutputMode::Update => Ok(advance.output),
        };
        let ended = ended.and_then(|output| {
            let (rows, touched) = self.touch(by_rows, &advance.lengths, rows, &changed)?;
            Ok((output, rows, touched))
        });
        let (output, rows, touched) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                self.table.undo(undo);
                return Err(error);
            }
        };
        let idle = self.table.finish_idle();
        self.abandon();
        self.newest = Some(Newest {
            undo,
            idle,
            rows,
            touched,
            removed,
            removed_count,
            past_us,
        });
        self.version = Some(epoch);
        Ok((output, late))
    }

    /// The slots of the epoch, those that only the watermark looks at among them.
    fn slots(&mut self, due_until_us: i64) -> Result<Slots> {
        self.slots.resize(self.table.groups(), NO_SLOT);
        let due: Vec<u32> = self.table.due_until(due_until_us);
        let new = |group: &u32| self.slots[*group as usize] == NO_SLOT;
        let due: Vec<u32> = due.into_iter().filter(new).collect();
        if !due.is_empty() {
            let (rows, lengths) = self.table.rows_of(&due)?;
            let keys = &rows.columns()[..self.key_schema.fields().len()];
            let firsts = lengths.iter().scan(0, |next, rows| {
                let first = *next;
                *next += rows;
                Some(first)
            });
            let firsts: UInt32Array = firsts.collect::<Vec<u32>>().into();
            let keys = keys.iter().map(|key| Ok(take(key, &firsts, None)?));
            self.key_pieces.push(keys.collect::<Result<_>>()?);
            for group in due {
                self.slots[group as usize] = self.touched.len() as u32;
                self.touched.push(group);
            }
        }
        let (old, old_lengths) = self.table.rows_of(&self.touched)?;
        let keys = (0..self.key_schema.fields().len()).map(|column| {
            let pieces = self.key_pieces.iter().map(|piece| piece[column].as_ref());
            let pieces: Vec<&dyn Array> = pieces.collect();
            match pieces.as_slice() {
                [] => Ok(new_null_array(self.key_schema.field(column).data_type(), 0)),
                _ => Ok(concat(&pieces)?),
            }
        });
        Ok(Slots {
            keys: keys.collect::<Result<_>>()?,
            old,
            old_lengths,
        })
    }

    /// The runs that change, and the slots whose run is gone.
    fn new_runs(
        &self,
        slots: &Slots,
        advance: &Advance,
        mode: OutputMode,
        past_us: i64,
    ) -> Result<(NewRuns, Vec<u32>)> {
        if advance.lengths.len() != self.touched.len() {
            return internal_err!(
                "runs of {} of {}",
                advance.lengths.len(),
                self.touched.len()
            );
        }
        let (mut groups, mut lengths, mut removed, mut slot_of_row) =
            (vec![], vec![], vec![], vec![]);
        for (slot, rows) in advance.lengths.iter().enumerate() {
            let Some(rows) = *rows else { continue };
            if rows == 0 && slots.old_lengths[slot] == 0 {
                continue;
            }
            if rows == 0 {
                removed.push(slot as u32);
            }
            groups.push(self.touched[slot]);
            lengths.push(rows);
            slot_of_row.extend(std::iter::repeat_n(slot as u32, rows as usize));
        }
        let count = slot_of_row.len();
        let slot_of_row = UInt32Array::from(slot_of_row);
        let mut columns = Vec::with_capacity(self.logic.schema().fields().len());
        for key in &slots.keys {
            columns.push(owning(take(key, &slot_of_row, None)?)?);
        }
        for value in &advance.values {
            columns.push(owning(Arc::clone(value))?);
        }
        if count == 0 {
            columns.clear();
            let fields = self.logic.schema().fields().iter();
            columns.extend(fields.map(|f| new_null_array(f.data_type(), 0)));
        }
        let rows = batch(self.logic.schema(), columns, count)?;
        let due = match mode {
            // Nothing waits for the watermark: every epoch shows everything.
            OutputMode::Complete => vec![NEVER; lengths.len()],
            OutputMode::Append | OutputMode::Update => {
                first_due(&self.logic.due(&rows, past_us)?, &lengths, past_us)
            }
        };
        let runs = NewRuns {
            groups,
            lengths,
            due,
            rows,
            rescheduled: self.rescheduled(slots, advance, past_us)?,
        };
        Ok((runs, removed))
    }

    /// The groups that the watermark has looked at and that keep their runs: they are due when
    /// their next row is.
    fn rescheduled(
        &self,
        slots: &Slots,
        advance: &Advance,
        past_us: i64,
    ) -> Result<Vec<(u32, i64)>> {
        let groups = self.touched.iter().copied().enumerate();
        let kept = groups.filter(|(slot, group)| {
            advance.lengths[*slot].is_none() && self.table.is_due(*group, past_us)
        });
        let kept: Vec<(usize, u32)> = kept.collect();
        if kept.is_empty() {
            return Ok(vec![]);
        }
        let due = first_due(
            &self.logic.due(&slots.old, past_us)?,
            &slots.old_lengths,
            past_us,
        );
        Ok(kept
            .into_iter()
            .map(|(slot, group)| (group, due[slot]))
            .collect())
    }

    fn clear(&mut self) -> Result<()> {
        self.abandon();
        self.slots.clear();
        let schema = Arc::clone(self.logic.schema());
        self.table = RunTable::try_new(Arc::clone(&self.key_schema), schema, self.ttl)?;
        Ok(())
    }
}

/// When the runs of some lengths are due, of the times after the past.
fn first_due(row_due: &[i64], lengths: &[u32], past_us: i64) -> Vec<i64> {
    let mut rest = row_due;
    let due = lengths.iter().map(|rows| {
        let (mine, others) = rest.split_at(*rows as usize);
        rest = others;
        let to_come = mine.iter().copied().filter(|at| *at > past_us);
        to_come.min().unwrap_or(i64::MAX)
    });
    due.collect()
}

impl Debug for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RunState({:?}, {:?})", self.logic, self.table)
    }
}

impl OperatorState for RunState {
    fn restore(
        &mut self,
        chunks: &[StateChunk],
        version: Option<EpochId>,
    ) -> headwater_core::Result<()> {
        self.clear()?;
        self.newest = None;
        for chunk in chunks {
            if chunk.kind == ChunkKind::Snapshot {
                self.clear()?;
            }
            self.restore_chunk(chunk)?;
        }
        self.table.compact(i64::MIN)?;
        self.version = version;
        Ok(())
    }

    fn delta(&mut self, epoch: EpochId) -> headwater_core::Result<StateChunk> {
        match &self.newest {
            Some(newest) if self.version == Some(epoch) => Ok(StateChunk {
                kind: ChunkKind::Delta,
                rows: self.stored(
                    &newest.rows,
                    &newest.touched,
                    &newest.removed,
                    newest.removed_count,
                )?,
                dropped_panes: vec![],
            }),
            _ => Err(no_version(epoch, self.version)),
        }
    }

    fn empty(&self) -> headwater_core::Result<Box<dyn OperatorState>> {
        let (logic, keys) = (Arc::clone(&self.logic), Arc::clone(&self.key_schema));
        Ok(Box::new(RunState::try_new(logic, keys, self.ttl)?))
    }

    fn snapshot(&mut self) -> headwater_core::Result<StateChunk> {
        Ok(StateChunk {
            kind: ChunkKind::Snapshot,
            rows: self.stored(
                &self.table.all_rows()?,
                &self.table.touched_of_all(),
                &[],
                0,
            )?,
            dropped_panes: vec![],
        })
    }

    fn rollback(&mut self, to: Option<EpochId>) -> headwater_core::Result<()> {
        self.abandon();
        if self.version == to {
            return Ok(());
        }
        let wanted = to.map_or(EpochId(0), EpochId::next);
        match self.newest.take() {
            Some(newest) if self.version == Some(wanted) => {
                self.table.undo(newest.undo);
                self.table.undo_idle(newest.idle);
            }
            _ => return Err(no_version(wanted, self.version)),
        }
        self.version = to;
        Ok(())
    }

    fn committed(&mut self, epoch: EpochId) -> headwater_core::Result<()> {
        if self.version != Some(epoch) {
            return Err(no_version(epoch, self.version));
        }
        if let Some(newest) = self.newest.take()
            && self.table.compact(newest.past_us)? == Numbers::AreNew
        {
            self.slots.clear();
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.table.memory_bytes() + self.slots.capacity() * size_of::<u32>()
    }

    fn rows(&self) -> usize {
        self.table.live_rows()
    }
}
