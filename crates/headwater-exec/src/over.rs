//! OVER windows in the order of event time: values of a row over the rows before it.
//!
//! A row is final when the watermark has passed it: every row before it and every row of its time
//! is there. Then DataFusion's own window expressions are evaluated over it and the rows that its
//! frame reaches back to.
//!
//! A run of the state is the rows of a key, in order: first those that were emitted and that a
//! frame of a later row may reach, then those that wait for the watermark.
//!
//! ```text
//!   rows      r  r  r  r  │  n  n  n  │  p  p          r reached back to, n final now, p pending
//!   time ─────────────────┴───────────┴──────►
//!                       W(n−1)       W(n)
//! ```

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, PrimitiveArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::{Schema, SchemaRef, TimestampMicrosecondType};
use datafusion_common::Result;
use datafusion_physical_expr::window::WindowExpr;
use datafusion_physical_expr::{PhysicalExpr, PhysicalSortExpr};

use crate::keyed_runs::{Advance, EpochEnd, EpochStart, NewRows, RunLogic, Slots, batch_of};
use crate::row_order::{RowOrder, sorted_by_slot};
use crate::watermark::as_micros;

/// What later rows may still reach back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// So many rows.
    Rows(usize),
    /// Rows that are at most so many microseconds older.
    Time(i64),
    /// All rows.
    Everything,
}

impl Reach {
    /// Whether rows are out of reach after some time.
    pub fn is_of_time(&self) -> bool {
        matches!(self, Reach::Time(_) | Reach::Rows(0))
    }
}

/// OVER windows of one PARTITION BY and one ORDER BY.
#[derive(Debug)]
pub struct Over {
    /// The event time, which the order begins with.
    pub time: Arc<dyn PhysicalExpr>,
    /// The order.
    pub order: Vec<PhysicalSortExpr>,
    /// The expressions, and how far each of them reaches back.
    pub windows: Vec<(Arc<dyn WindowExpr>, Reach)>,
    /// Columns of the input.
    pub input: SchemaRef,
    /// Columns of the output: those of the input, then one per expression.
    pub schema: SchemaRef,
}

/// The logic of OVER windows. A row of its state is the keys and the row.
pub struct OverLogic {
    over: Arc<Over>,
    key_count: usize,
    schema: SchemaRef,
}

impl OverLogic {
    /// The logic of windows by keys of some types.
    pub fn new(over: Over, keys: &Schema) -> Self {
        let mut fields = keys.fields().to_vec();
        fields.extend(over.input.fields().iter().cloned());
        OverLogic {
            over: Arc::new(over),
            key_count: keys.fields().len(),
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

impl fmt::Debug for OverLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.over.windows.iter().map(|(w, _)| w.name()).collect();
        write!(f, "over=[{}]", names.join(", "))
    }
}

impl RunLogic for OverLogic {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn new_rows(&self, _: &EpochStart) -> Result<Box<dyn NewRows>> {
        Ok(Box::new(NewOver {
            order: RowOrder::try_new(&self.over.order, &self.over.input)?,
            over: Arc::clone(&self.over),
            key_count: self.key_count,
            batches: vec![],
            slots: vec![],
        }))
    }

    /// A row that waits is due when the watermark passes it; one that is reached back to, when no
    /// later row can reach it.
    fn due(&self, rows: &RecordBatch, past_us: i64) -> Result<Vec<i64>> {
        let rows = batch_of(
            &self.over.input,
            rows.columns()[self.key_count..].to_vec(),
            rows.num_rows(),
        )?;
        let times = self.over.times(&rows)?;
        let reach = self.over.windows.iter().map(|(_, reach)| match reach {
            Reach::Time(us) => Some(*us),
            Reach::Rows(0) => Some(0),
            Reach::Rows(_) | Reach::Everything => None,
        });
        let reach = reach.collect::<Option<Vec<i64>>>();
        let reach = reach.map(|reach| reach.into_iter().max().unwrap_or(0));
        let due = times.values().iter().map(|time| match reach {
            _ if *time >= past_us => time.saturating_add(1),
            Some(reach) => time.saturating_add(reach).saturating_add(1),
            None => i64::MAX,
        });
        Ok(due.collect())
    }

    fn all(&self, _: &RecordBatch) -> Result<Vec<RecordBatch>> {
        datafusion_common::internal_err!("OVER windows have no whole result")
    }
}

impl Over {
    fn times(&self, rows: &RecordBatch) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
        Ok(as_micros(
            &self.time.evaluate(rows)?.into_array(rows.num_rows())?,
        )?)
    }

    /// How many rows before a position rows after it may reach, if the watermark is at a time.
    fn reached_rows(&self, times: &[i64], after_us: i64) -> usize {
        let reached = self.windows.iter().map(|(_, reach)| match reach {
            Reach::Rows(rows) => times.len().min(*rows),
            Reach::Everything => times.len(),
            Reach::Time(us) => {
                let oldest = after_us.saturating_sub(*us);
                times
                    .iter()
                    .rev()
                    .take_while(|time| **time >= oldest)
                    .count()
            }
        });
        reached.max().unwrap_or(0)
    }
}

/// The new rows of an epoch.
struct NewOver {
    over: Arc<Over>,
    order: RowOrder,
    key_count: usize,
    batches: Vec<RecordBatch>,
    /// One per row of the batches.
    slots: Vec<u32>,
}

impl NewRows for NewOver {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        self.slots.extend(slots);
        self.batches.push(batch.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let old = slots.old.columns()[self.key_count..].to_vec();
        let old = batch_of(&self.over.input, old, slots.old.num_rows())?;
        let mut of_row = slots.old_slots();
        of_row.append(&mut self.slots);
        self.batches.insert(0, old);
        let rows = concat_batches(&self.over.input, &self.batches)?;
        let order = self.order.rows(&rows)?;
        let slot_count = slots.old_lengths.len();
        let sorted = sorted_by_slot(&rows, &order, &of_row, slot_count, |_| false);
        let rows = take_record_batch(&rows, &UInt32Array::from(sorted.clone()))?;
        let mut lengths = vec![0; slots.old_lengths.len()];
        for row in sorted {
            lengths[of_row[row as usize] as usize] += 1;
        }
        self.advance(&rows, &lengths, end)
    }
}

impl NewOver {
    fn advance(&self, rows: &RecordBatch, lengths: &[usize], end: &EpochEnd) -> Result<Advance> {
        let (before, after) = (end.step.before.micros(), end.step.after.micros());
        let times = self.over.times(rows)?;
        let mut advance = Advance::default();
        let mut emitted: Vec<RecordBatch> = vec![];
        let mut kept: Vec<u32> = vec![];
        let mut first = 0;
        for length in lengths {
            let times = &times.values()[first..first + length];
            let is_final = times.partition_point(|time| *time < after);
            let was_final = times.partition_point(|time| *time < before);
            if was_final < is_final {
                let partition = rows.slice(first, is_final);
                emitted.push(self.emit(&partition, was_final)?);
            }
            let reached = self.over.reached_rows(&times[..is_final], after);
            let run = first + is_final - reached..first + length;
            advance.lengths.push(Some(run.len() as u32));
            kept.extend(run.map(|row| row as u32));
            first += length;
        }
        if !emitted.is_empty() {
            advance.output = vec![concat_batches(&self.over.schema, &emitted)?];
        }
        let kept = take_record_batch(rows, &UInt32Array::from(kept))?;
        advance.values = kept.columns().to_vec();
        Ok(advance)
    }

    /// The rows of a partition from a position on, with their values.
    fn emit(&self, partition: &RecordBatch, from: usize) -> Result<RecordBatch> {
        let count = partition.num_rows() - from;
        let rows = partition.slice(from, count);
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        for (window, _) in &self.over.windows {
            columns.push(window.evaluate(partition)?.slice(from, count));
        }
        batch_of(&self.over.schema, columns, count)
    }
}
