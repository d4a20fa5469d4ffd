//! Rankings: the first rows of every key in an order, and the rows without doubles as the case of
//! one row per key.
//!
//! A run of the state is the rows of a key that are among the first, in order, with their rank. New
//! rows are cut to the first ones before they meet the state, and a row behind the last of a full
//! set is dropped as it comes. Rows that the order does not tell apart are put in the order of
//! their contents, so that a replay ranks them the same.
//!
//! | emission | when a row is emitted in append mode | for example |
//! | --- | --- | --- |
//! | [`Emission::AtClose`] | when the watermark closes its key | the first three of every window |
//! | [`Emission::ByTime`] | when no earlier row can come | the first event of every user |
//! | [`Emission::AtOnce`] | in its epoch | `DISTINCT` |
//!
//! In update mode the ranks whose row changed are emitted, by key and rank; in complete mode all.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, UInt64Type};
use arrow::row::OwnedRow;
use datafusion_common::Result;
use datafusion_physical_expr::{PhysicalExpr, PhysicalSortExpr};

use crate::having::Having;
use crate::keyed_runs::{
    Advance, EpochEnd, EpochStart, NO_SLOT, NewRows, RunLogic, Slots, batch_of,
};
use crate::row_order::{RowOrder, sorted_by_slot};
use crate::watermark::as_micros;
use verdict::Verdict;

mod verdict;

/// New rows are cut to the first of every key when they are this many, or twice what is left.
const MOST_NEW_ROWS: usize = 65_536;

/// How rows are numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Numbering {
    /// 1, 2, 3: `row_number()`.
    RowNumber,
    /// 1, 1, 3: `rank()`.
    Rank,
    /// 1, 1, 2: `dense_rank()`.
    DenseRank,
}

/// When a row is emitted in append mode. See the module's page.
#[derive(Debug, Clone)]
pub enum Emission {
    /// When the run is closed.
    AtClose,
    /// When the watermark has passed the row's event time, which the expression gives.
    ByTime(Arc<dyn PhysicalExpr>),
    /// In its epoch.
    AtOnce,
}

/// When the watermark closes a key.
#[derive(Debug, Clone)]
pub struct Closes {
    /// A time that all rows of the key have.
    pub at: Arc<dyn PhysicalExpr>,
    /// How far past it the watermark must be, in microseconds.
    pub past_us: i64,
}

impl Closes {
    /// When the watermark closes the key of every row, in microseconds; `i64::MAX` for never.
    pub(crate) fn times(&self, rows: &RecordBatch) -> Result<Vec<i64>> {
        let times = as_micros(&self.at.evaluate(rows)?.into_array(rows.num_rows())?)?;
        let at = |time: Option<i64>| time.map_or(i64::MAX, |t| t.saturating_add(self.past_us));
        Ok(times.iter().map(at).collect())
    }
}

/// A ranking.
#[derive(Debug)]
pub struct Rank {
    /// The order; rows of a key are in no order without.
    pub order: Vec<PhysicalSortExpr>,
    /// The greatest number that is kept.
    pub limit: u64,
    /// How rows are numbered.
    pub numbering: Numbering,
    /// When rows are emitted.
    pub emission: Emission,
    /// When the watermark closes a key; then it is forgotten.
    pub closes: Option<Closes>,
    /// Columns of the input.
    pub input: SchemaRef,
    /// Columns of a ranked row: those of the input, and the number unless it is not asked for.
    pub schema: SchemaRef,
    /// Which ranked rows are in the output, in update mode; then it says what a row does to the
    /// whole.
    pub having: Option<Having>,
}

/// The logic of a ranking. A row of its state is the keys, the number of a row, and the row.
pub struct RankLogic {
    rank: Arc<Rank>,
    key_count: usize,
    schema: SchemaRef,
}

impl RankLogic {
    /// The logic of a ranking by keys of some types.
    pub fn new(rank: Rank, keys: &Schema) -> Self {
        let mut fields = keys.fields().to_vec();
        fields.push(Arc::new(Field::new("__number", DataType::UInt64, false)));
        fields.extend(rank.input.fields().iter().cloned());
        RankLogic {
            rank: Arc::new(rank),
            key_count: keys.fields().len(),
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl fmt::Debug for RankLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order: Vec<_> = self.rank.order.iter().map(ToString::to_string).collect();
        let (numbering, limit) = (self.rank.numbering, self.rank.limit);
        write!(f, "{numbering:?} <= {limit}, order=[{}]", order.join(", "))?;
        match &self.rank.having {
            Some(having) => write!(f, ", having={having}"),
            None => Ok(()),
        }
    }
}

impl RunLogic for RankLogic {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn new_rows(&self, _: &EpochStart) -> Result<Box<dyn NewRows>> {
        Ok(Box::new(NewRanked {
            order: RowOrder::try_new(&self.rank.order, &self.rank.input)?,
            rank: Arc::clone(&self.rank),
            key_count: self.key_count,
            batches: vec![],
            slots: vec![],
            bounds: vec![],
            next_cut: MOST_NEW_ROWS,
        }))
    }

    fn due(&self, rows: &RecordBatch, past_us: i64) -> Result<Vec<i64>> {
        let input = self
            .rank
            .input_of(&rows.columns()[self.key_count + 1..], rows.num_rows())?;
        let mut due = vec![i64::MAX; rows.num_rows()];
        if let Some(closes) = self.rank.closes_at(&input)? {
            due = closes;
        }
        if let Emission::ByTime(time) = &self.rank.emission {
            let times = as_micros(&time.evaluate(&input)?.into_array(input.num_rows())?)?;
            for (due, time) in due.iter_mut().zip(times.values()) {
                let out = time.saturating_add(1);
                // A row that is out waits for the end of its key.
                if out > past_us {
                    *due = out.min(*due);
                }
            }
        }
        Ok(due)
    }

    fn all(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let (numbers, columns) = (
            rows.column(self.key_count),
            &rows.columns()[self.key_count + 1..],
        );
        let input = self.rank.input_of(columns, rows.num_rows())?;
        Ok(vec![self.rank.output(&input, Arc::clone(numbers))?])
    }

    fn settled_rows(&self) -> u64 {
        match self.rank.emission {
            Emission::AtOnce => self.rank.limit,
            Emission::AtClose | Emission::ByTime(_) => u64::MAX,
        }
    }
}

impl Rank {
    fn input_of(&self, columns: &[ArrayRef], rows: usize) -> Result<RecordBatch> {
        batch_of(&self.input, columns.to_vec(), rows)
    }

    /// When the key of every row is closed.
    fn closes_at(&self, input: &RecordBatch) -> Result<Option<Vec<i64>>> {
        let closes = self.closes.as_ref();
        closes.map(|closes| closes.times(input)).transpose()
    }

    fn output(&self, input: &RecordBatch, numbers: ArrayRef) -> Result<RecordBatch> {
        let mut columns = input.columns().to_vec();
        if columns.len() < self.schema.fields().len() {
            columns.push(numbers);
        }
        batch_of(&self.schema, columns, input.num_rows())
    }

    /// The last row of every old run that has a full set, the runs one after the other.
    fn full(&self, lengths: &[u32], numbers: &[u64]) -> Vec<Option<u32>> {
        let ends = lengths.iter().scan(0, |end, rows| {
            *end += rows;
            Some((*rows, *end))
        });
        let last = ends.map(|(rows, end)| (rows > 0).then(|| end - 1));
        let is_full = |last: &u32| numbers[*last as usize] >= self.limit;
        last.map(|last| last.filter(is_full)).collect()
    }

    /// The numbers of the first rows of a key, rows in order; `is_peer` says whether a row is equal
    /// to the one before it.
    fn numbers(&self, rows: usize, is_peer: impl Fn(usize) -> bool) -> Vec<u64> {
        let mut numbers: Vec<u64> = vec![];
        for row in 0..rows {
            let number = match (self.numbering, numbers.last()) {
                (_, None) => 1,
                (Numbering::Rank | Numbering::DenseRank, Some(last)) if is_peer(row) => *last,
                (Numbering::DenseRank, Some(last)) => last + 1,
                (Numbering::RowNumber | Numbering::Rank, Some(_)) => row as u64 + 1,
            };
            if number > self.limit {
                break;
            }
            numbers.push(number);
        }
        numbers
    }
}

/// The new rows of an epoch.
struct NewRanked {
    rank: Arc<Rank>,
    order: RowOrder,
    key_count: usize,
    batches: Vec<RecordBatch>,
    /// One per row of the batches.
    slots: Vec<u32>,
    /// Per slot that has a full set of new rows, the last of them: rows behind it are dropped.
    bounds: Vec<Option<OwnedRow>>,
    /// The number of rows at which they are cut next: twice what the last cut left.
    next_cut: usize,
}

impl NewRows for NewRanked {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        let order = match self.bounds.is_empty() {
            true => None,
            false => Some(self.order.rows(batch)?),
        };
        let is_among_first = |row: &usize| {
            let slot = slots[*row];
            let bound = || self.bounds.get(slot as usize)?.as_ref();
            slot != NO_SLOT
                && match order.as_ref().and_then(|order| Some((order, bound()?))) {
                    Some((order, bound)) => order.row(*row) <= bound.row(),
                    None => true,
                }
        };
        let kept = (0..batch.num_rows()).filter(is_among_first);
        let kept: Vec<u32> = kept.map(|row| row as u32).collect();
        if kept.is_empty() {
            return Ok(());
        }
        self.slots
            .extend(kept.iter().map(|row| slots[*row as usize]));
        self.batches.push(match kept.len() == batch.num_rows() {
            true => batch.clone(),
            false => take_record_batch(batch, &UInt32Array::from(kept))?,
        });
        if self.slots.len() >= self.next_cut {
            self.cut()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let old = &slots.old.columns()[self.key_count..];
        let rows = slots.old.num_rows();
        let old_numbers = old[0].as_primitive::<UInt64Type>().values();
        let old_rows = self.rank.input_of(&old[1..], rows)?;
        let mut of_row = slots.old_slots();
        of_row.append(&mut self.slots);
        self.slots = of_row;
        self.batches.insert(0, old_rows);
        let bounds = self.rank.full(&slots.old_lengths, old_numbers);
        let first = self.first(slots.old_lengths.len(), rows as u32, &bounds)?;
        self.advance(slots, end, old_numbers, &first)
    }
}

/// The first rows of every slot.
struct First {
    rows: RecordBatch,
    /// Positions of the rows, by slot and in order.
    chosen: Vec<u32>,
    /// Their numbers.
    numbers: Vec<u64>,
    /// How many of them each slot has.
    lengths: Vec<u32>,
}

impl NewRanked {
    /// Cuts the new rows to the first of every slot.
    fn cut(&mut self) -> Result<()> {
        let slot_count = self.slots.iter().max().map_or(0, |slot| *slot as usize + 1);
        let first = self.first(slot_count, 0, &[])?;
        let rows = take_record_batch(&first.rows, &UInt32Array::from(first.chosen.clone()))?;
        let order = self.order.rows(&rows)?;
        self.bounds.resize(slot_count.max(self.bounds.len()), None);
        let mut at = 0;
        for (slot, rows) in first.lengths.iter().enumerate() {
            at += *rows as usize;
            let is_full = *rows > 0 && first.numbers[at - 1] >= self.rank.limit;
            if is_full {
                self.bounds[slot] = Some(order.row(at - 1).owned());
            }
        }
        let chosen = first.chosen.iter().map(|row| self.slots[*row as usize]);
        self.slots = chosen.collect();
        self.batches = vec![rows];
        self.next_cut = MOST_NEW_ROWS.max(2 * self.slots.len());
        Ok(())
    }

    /// The first rows of every slot, of all batches, of which so many rows are old. `bounds` are
    /// the last old rows of the slots that have a full set, if they are known.
    fn first(&mut self, slot_count: usize, old_rows: u32, bounds: &[Option<u32>]) -> Result<First> {
        let rows = concat_batches(&self.rank.input, &self.batches)?;
        let order = self.order.rows(&rows)?;
        // Without an order the rows that are there stay.
        let has_order = !self.rank.order.is_empty();
        let is_new = |row: u32| !has_order && row >= old_rows;
        // Most new rows are behind those that are there, and need not be sorted to know that.
        let new = self.slots.iter_mut().enumerate().skip(old_rows as usize);
        for (row, slot) in new {
            let bound = bounds.get(*slot as usize).copied().flatten();
            if bound.is_some_and(|bound| order.row(row) > order.row(bound as usize)) {
                *slot = NO_SLOT;
            }
        }
        let sorted = sorted_by_slot(&rows, &order, &self.slots, slot_count, is_new);
        let (mut chosen, mut numbers) = (vec![], vec![]);
        let mut lengths = vec![0; slot_count];
        let same_slot = |a: &u32, b: &u32| self.slots[*a as usize] == self.slots[*b as usize];
        for run in sorted.chunk_by(same_slot) {
            let row = |i: usize| order.row(run[i] as usize);
            let of_run = self.rank.numbers(run.len(), |i| row(i) == row(i - 1));
            lengths[self.slots[run[0] as usize] as usize] = of_run.len() as u32;
            chosen.extend(&run[..of_run.len()]);
            numbers.extend(of_run);
        }
        Ok(First {
            rows,
            chosen,
            numbers,
            lengths,
        })
    }

    fn advance(
        &self,
        slots: &Slots,
        end: &EpochEnd,
        old_numbers: &[u64],
        first: &First,
    ) -> Result<Advance> {
        let verdict = Verdict {
            mode: end.mode,
            before: end.step.before.micros(),
            after: end.step.after.micros(),
            emission: &self.rank.emission,
            closes: self.rank.closes_at(&first.rows)?,
            times: match &self.rank.emission {
                Emission::ByTime(time) => {
                    let times = time.evaluate(&first.rows)?;
                    Some(as_micros(&times.into_array(first.rows.num_rows())?)?)
                }
                Emission::AtClose | Emission::AtOnce => None,
            },
        };
        let (mut kept, mut emitted) = (Chosen::default(), Chosen::default());
        // The rows that had the numbers of emitted ones, and which these are.
        let (mut replaced, mut became) = (Chosen::default(), vec![]);
        let mut lengths = Vec::with_capacity(slots.old_lengths.len());
        let (mut at, mut old_at) = (0, 0);
        for (rows, old) in first.lengths.iter().zip(&slots.old_lengths) {
            let mine = at..at + *rows as usize;
            let chosen = &first.chosen[mine.clone()];
            let numbers = &first.numbers[mine];
            let old_run = old_at..old_at + *old;
            let is_old = |i: usize| {
                let old = old_run.start + i as u32;
                old_run.end > old && chosen[i] == old && numbers[i] == old_numbers[old as usize]
            };
            let is_unchanged = rows == old && (0..chosen.len()).all(is_old);
            let is_closed = verdict.is_closed(chosen);
            for (i, row) in chosen.iter().enumerate() {
                let was_there = (*row as usize) < slots.old.num_rows();
                if !verdict.emits(*row, is_closed, is_old(i), was_there) {
                    continue;
                }
                let old = old_run.start + i as u32;
                if self.rank.having.is_some() && old < old_run.end {
                    became.push(emitted.rows.len() as u32);
                    replaced.add(old, old_numbers[old as usize]);
                }
                emitted.add(*row, numbers[i]);
            }
            lengths.push(match (is_closed, is_unchanged) {
                (true, _) => Some(0),
                (false, true) => None,
                (false, false) => {
                    let each = chosen.iter().zip(numbers);
                    each.for_each(|(row, number)| kept.add(*row, *number));
                    Some(*rows)
                }
            });
            at += *rows as usize;
            old_at += *old;
        }
        let mut advance = Advance {
            lengths,
            ..Advance::default()
        };
        advance.output = self.output(emitted, (replaced, &became), &first.rows)?;
        let (rows, numbers) = kept.of(&first.rows)?;
        advance.values = vec![numbers];
        advance.values.extend(rows.columns().iter().cloned());
        Ok(advance)
    }

    /// What is emitted of rows that replace others, which come with what they became.
    fn output(
        &self,
        emitted: Chosen,
        (replaced, became): (Chosen, &[u32]),
        rows: &RecordBatch,
    ) -> Result<Vec<RecordBatch>> {
        if emitted.rows.is_empty() {
            return Ok(vec![]);
        }
        let (new, numbers) = emitted.of(rows)?;
        let new = self.rank.output(&new, numbers)?;
        let Some(having) = &self.rank.having else {
            return Ok(vec![new]);
        };
        let (old, numbers) = replaced.of(rows)?;
        let old = self.rank.output(&old, numbers)?;
        having.changes(&new, Some((&old, became)))
    }
}

/// Rows by position, and their numbers.
#[derive(Debug, Default)]
struct Chosen {
    rows: Vec<u32>,
    numbers: Vec<u64>,
}

impl Chosen {
    fn add(&mut self, row: u32, number: u64) {
        self.rows.push(row);
        self.numbers.push(number);
    }

    fn of(self, rows: &RecordBatch) -> Result<(RecordBatch, ArrayRef)> {
        let rows = take_record_batch(rows, &UInt32Array::from(self.rows))?;
        Ok((rows, Arc::new(UInt64Array::from(self.numbers))))
    }
}
