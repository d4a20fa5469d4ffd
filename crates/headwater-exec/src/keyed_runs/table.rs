//! The run table: per key a run of rows, in immutable chunks.
//!
//! ```text
//! keys ── intern ──► group ──► runs[group] = (chunk, first row, rows)
//!
//! chunks   [ a a a | b | c c ]   [ b b | d ]   ← one more per epoch
//!            live    dead  live    live
//! ```
//!
//! An epoch replaces whole runs: what it appends is its checkpoint delta. Nothing is changed in
//! place, so undoing an epoch is putting the old places back. Chunks are written again as
//! [`crate::chunks`] says once the epoch that made them is durable, and keys without rows are
//! forgotten once they are the greater part.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_common::{Result, internal_datafusion_err};

use crate::aggregate_spec::Interner;
use crate::chunks::{Chunks, Rewrite};
use crate::idle_keys::StateTtl;
use crate::view_buffers::owning;

use calendar::Calendar;
use idle::IdleRuns;
pub(super) use idle::IdleRunsUndo;

mod calendar;
mod idle;
#[cfg(test)]
mod tests;

/// No chunk, no slot.
const NOWHERE: u32 = u32::MAX;

/// No time at which a group is due.
pub(super) const NEVER: i64 = i64::MAX;

/// Keys below this number are not worth forgetting.
const FEW_KEYS: usize = 1_024;

/// Where the rows of a group are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    chunk: u32,
    first: u32,
    rows: u32,
}

impl Run {
    const NONE: Run = Run {
        chunk: NOWHERE,
        first: 0,
        rows: 0,
    };
}

/// What forgetting keys leaves of the numbers of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Groups have the numbers they had.
    AreOld,
    /// Groups have other numbers.
    AreNew,
}

/// New runs of some groups.
#[derive(Debug)]
pub(super) struct NewRuns {
    /// The groups.
    pub(super) groups: Vec<u32>,
    /// Rows of each of them.
    pub(super) lengths: Vec<u32>,
    /// When each of them is due; [`NEVER`] if only a new row can change it.
    pub(super) due: Vec<i64>,
    /// All rows, in the order of the groups: keys, then values.
    pub(super) rows: RecordBatch,
    /// Other groups that keep their runs, and when they are due from now on.
    pub(super) rescheduled: Vec<(u32, i64)>,
}

/// What it takes to undo the newest epoch.
#[derive(Debug)]
pub(super) struct RunUndo {
    /// The chunk it added, if there is a row.
    chunk: Option<u32>,
    before: Vec<(u32, Run, i64)>,
}

/// Rows by key. See the module's page.
pub(super) struct RunTable {
    schema: SchemaRef,
    key_schema: SchemaRef,
    interner: Interner,
    runs: Vec<Run>,
    calendar: Calendar,
    chunks: Chunks,
    live_groups: usize,
    live_rows: usize,
    /// When groups were touched, if they are forgotten some time after.
    idle: Option<IdleRuns>,
    scratch: Vec<usize>,
}

impl RunTable {
    /// An empty table; `schema` is that of its rows, keys first. Keys that no row touches are kept
    /// for the time to live, or for ever.
    pub(super) fn try_new(
        key_schema: SchemaRef,
        schema: SchemaRef,
        ttl: Option<StateTtl>,
    ) -> Result<Self> {
        Ok(RunTable {
            interner: Interner::try_new(&key_schema)?,
            chunks: Chunks::new(Arc::clone(&schema)),
            schema,
            key_schema,
            runs: vec![],
            calendar: Calendar::default(),
            live_groups: 0,
            live_rows: 0,
            idle: ttl.map(IdleRuns::new),
            scratch: vec![],
        })
    }

    pub(super) fn live_rows(&self) -> usize {
        self.live_rows
    }

    /// Number of groups, those without rows among them.
    pub(super) fn groups(&self) -> usize {
        self.runs.len()
    }

    /// How many rows a group has.
    #[inline]
    pub(super) fn rows_in(&self, group: usize) -> u64 {
        u64::from(self.runs[group].rows)
    }

    /// The group of every row.
    pub(super) fn intern(&mut self, keys: &[ArrayRef], rows: usize) -> Result<Vec<usize>> {
        let mut groups = std::mem::take(&mut self.scratch);
        self.interner.intern(keys, rows, &mut groups)?;
        self.runs.resize(self.interner.len(), Run::NONE);
        self.calendar.resize(self.interner.len());
        Ok(groups)
    }

    /// Gives the vector of [`RunTable::intern`] back for the next batch.
    pub(super) fn reuse(&mut self, groups: Vec<usize>) {
        self.scratch = groups;
    }

    /// Whether a group is due at or before a time.
    pub(super) fn is_due(&self, group: u32, time_us: i64) -> bool {
        self.calendar.due(group) <= time_us
    }

    /// Groups that are due at or before a time.
    pub(super) fn due_until(&mut self, time_us: i64) -> Vec<u32> {
        self.calendar.due_until(time_us)
    }

    /// Forgets when groups are due: nothing will ask.
    pub(super) fn forget_due(&mut self) {
        if self.calendar.entries() > 0 {
            self.calendar.clear();
        }
    }

    /// Bytes of the rows, for tests.
    #[cfg(test)]
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunks.memory_bytes()
    }

    /// How many entries the calendar has, for tests.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.calendar.entries()
    }

    /// The rows of some groups, in their order, and how many each of them has.
    pub(super) fn rows_of(&self, groups: &[u32]) -> Result<(RecordBatch, Vec<u32>)> {
        let runs = groups.iter().map(|group| self.runs[*group as usize]);
        let lengths: Vec<u32> = runs.clone().map(|run| run.rows).collect();
        let places: Vec<(usize, usize)> = runs.flat_map(places).collect();
        Ok((self.gather(&places)?, lengths))
    }

    /// All rows, in no order but that of their runs.
    pub(super) fn all_rows(&self) -> Result<RecordBatch> {
        if let Some(columns) = self.chunks.whole_columns(self.live_rows)? {
            return batch(&self.schema, columns, self.live_rows);
        }
        let runs = self.runs.iter().filter(|run| run.chunk != NOWHERE);
        let places: Vec<_> = runs.flat_map(|run| places(*run)).collect();
        self.gather(&places)
    }

    /// Replaces runs.
    pub(super) fn replace(&mut self, new: NewRuns) -> RunUndo {
        let rescheduled = new.rescheduled.iter().map(|(group, _)| group);
        let before = new.groups.iter().chain(rescheduled).map(|group| {
            let at = *group as usize;
            (*group, self.runs[at], self.calendar.due(*group))
        });
        let before = before.collect();
        let chunk = self.append(new);
        RunUndo { chunk, before }
    }

    /// Places runs in a new chunk and gives its number; `None` if there is no row.
    fn append(&mut self, new: NewRuns) -> Option<u32> {
        let chunk = match new.rows.num_rows() {
            0 => None,
            _ => Some(self.chunks.push(new.rows)),
        };
        let due = new.due.iter().copied();
        self.settle_in(chunk, new.groups.iter().copied().zip(new.lengths).zip(due));
        for (group, due) in new.rescheduled {
            self.place(group, self.runs[group as usize], due);
        }
        chunk
    }

    /// Places runs that are in a chunk, in their order.
    fn settle_in(&mut self, chunk: Option<u32>, runs: impl Iterator<Item = ((u32, u32), i64)>) {
        let (mut first, mut groups) = (0, vec![]);
        for ((group, rows), due) in runs {
            let run = match chunk {
                Some(chunk) if rows > 0 => Run { chunk, first, rows },
                _ => Run::NONE,
            };
            first += run.rows;
            let old = self.place(group, run, due);
            // Restored rows may have a group twice.
            if run.chunk != NOWHERE && old.chunk != run.chunk {
                groups.push(group);
            }
        }
        if let Some(chunk) = chunk {
            self.chunks.belongs_to(chunk, groups);
        }
    }

    /// Says where the run of a group is from now on and when the group is due, and gives where the
    /// run was: the chunks know how many of their rows are live.
    fn place(&mut self, group: u32, run: Run, due: i64) -> Run {
        let at = group as usize;
        let old = std::mem::replace(&mut self.runs[at], run);
        if old.chunk != NOWHERE {
            self.chunks.went(old.chunk, old.first, old.rows);
            self.live_groups -= 1;
            self.live_rows -= old.rows as usize;
        }
        if run.chunk != NOWHERE {
            self.chunks.came(run.chunk, run.first, run.rows);
            self.live_groups += 1;
            self.live_rows += run.rows as usize;
        }
        let due = if run.chunk == NOWHERE { NEVER } else { due };
        self.calendar.set(group, due);
        old
    }

    /// Undoes the newest epoch.
    pub(super) fn undo(&mut self, undo: RunUndo) {
        for (group, run, due) in undo.before {
            self.place(group, run, due);
        }
        if let Some(chunk) = undo.chunk {
            self.chunks.remove(chunk);
        }
    }

    /// Moves calendar entries of the past on, merges chunks and drops keys without rows. Must not be
    /// called while an epoch can still be undone.
    pub(super) fn compact(&mut self, past_us: i64) -> Result<Numbers> {
        self.calendar.pass(past_us);
        if self.runs.len() > FEW_KEYS && self.runs.len() > 2 * self.live_groups {
            self.rebuild()?;
            return Ok(Numbers::AreNew);
        }
        debug_assert!(self.chunks.are_counted(self.live_by_chunk()));
        while let Some(rewrite) = self.chunks.rewrite() {
            self.write_again(&rewrite)?;
        }
        self.chunks.settle();
        Ok(Numbers::AreOld)
    }

    fn write_again(&mut self, rewrite: &Rewrite) -> Result<()> {
        let (mut at, mut runs) = (vec![], vec![]);
        for part in &rewrite.parts {
            let (chunk, _, of_part) = self.chunks.part(*part);
            for group in of_part {
                let run = self.runs[*group as usize];
                if run.chunk == chunk {
                    at.extend(places(run));
                    runs.push(((*group, run.rows), self.calendar.due(*group)));
                }
            }
        }
        let rows = self.chunks.pick(&at)?;
        let chunk = self.chunks.add_rewritten(rewrite, rows);
        self.settle_in(chunk, runs.into_iter());
        self.chunks.retire(rewrite);
        Ok(())
    }

    /// The chunk of every run, and how many rows it has.
    fn live_by_chunk(&self) -> impl Iterator<Item = (u32, usize)> {
        let live = self.runs.iter().filter(|run| run.chunk != NOWHERE);
        live.map(|run| (run.chunk, run.rows as usize))
    }

    /// A table with the same rows and no other keys.
    fn rebuild(&mut self) -> Result<()> {
        let live: Vec<u32> = (0..self.runs.len() as u32)
            .filter(|group| self.runs[*group as usize].chunk != NOWHERE)
            .collect();
        let (rows, lengths) = self.rows_of(&live)?;
        let touched = self.touched_by_row(live.iter().copied().zip(lengths.iter().copied()));
        let of_group = live.iter().map(|group| self.calendar.due(*group));
        let due: Vec<i64> = of_group
            .zip(lengths)
            .flat_map(|(due, rows)| std::iter::repeat_n(due, rows as usize))
            .collect();
        let (key_schema, schema) = (Arc::clone(&self.key_schema), Arc::clone(&self.schema));
        let mut fresh = RunTable::try_new(key_schema, schema, self.ttl())?;
        fresh.load(rows, &due, &touched)?;
        *self = fresh;
        Ok(())
    }

    /// Adds runs of keys that come with their rows, the rows of a key side by side, each with the
    /// time at which it is due and with what is noted for its key if that can be forgotten; later
    /// runs of a key replace earlier ones.
    pub(super) fn load(
        &mut self,
        rows: RecordBatch,
        row_due: &[i64],
        touched: &[i64],
    ) -> Result<()> {
        let keys = &rows.columns()[..self.key_schema.fields().len()];
        let ids = self.intern(keys, rows.num_rows())?;
        let (mut groups, mut lengths, mut due, mut first) = (vec![], vec![], vec![], 0);
        for run in ids.chunk_by(|a, b| a == b) {
            let times = row_due[first..first + run.len()].iter().copied();
            if let (Some(idle), Some(touched)) = (&mut self.idle, touched.get(first)) {
                idle.note(run[0] as u32, *touched);
            }
            first += run.len();
            groups.push(run[0] as u32);
            due.push(times.min().unwrap_or(NEVER));
            lengths.push(run.len() as u32);
        }
        self.reuse(ids);
        self.append(NewRuns {
            groups,
            lengths,
            due,
            rows,
            rescheduled: vec![],
        });
        Ok(())
    }

    /// Removes the rows of some keys.
    pub(super) fn remove(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        let groups = self.intern(keys, rows)?;
        for group in &groups {
            self.place(*group as u32, Run::NONE, NEVER);
        }
        self.reuse(groups);
        Ok(())
    }

    fn gather(&self, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let columns = self.chunks.gather(0..self.schema.fields().len(), places)?;
        let columns = columns.into_iter().map(owning).collect::<Result<_>>()?;
        batch(&self.schema, columns, places.len())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.memory_bytes();
        let runs = self.runs.capacity() * size_of::<Run>() + self.calendar.memory_bytes();
        let scratch = self.scratch.capacity() * size_of::<usize>();
        let idle = self.idle.as_ref().map_or(0, IdleRuns::memory_bytes);
        self.interner.memory_bytes() + runs + scratch + chunks + idle
    }
}

impl std::fmt::Debug for RunTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "RunTable({} rows of {} keys in {} chunks)",
            self.live_rows,
            self.live_groups,
            self.chunks.count()
        )
    }
}

fn places(run: Run) -> impl Iterator<Item = (usize, usize)> {
    let rows = run.first..run.first + run.rows;
    rows.map(move |row| (run.chunk as usize, row as usize))
}

/// A batch that may have no columns.
pub(crate) fn batch(
    schema: &SchemaRef,
    columns: Vec<ArrayRef>,
    rows: usize,
) -> Result<RecordBatch> {
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|e| internal_datafusion_err!("rows of state: {e}"))
}
