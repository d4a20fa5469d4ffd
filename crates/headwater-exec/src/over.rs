//! OVER windows in the order of event time: values of a row over the rows before it.
//!
//! A row is final when the watermark has passed it: every row before it and every row of its time
//! is there. Then DataFusion's own window expressions are evaluated over it and the rows that its
//! frame reaches back to.
//!
//! A run of the state is the rows of a key, in order: first those that were emitted and that a
//! frame of a later row may reach, then those that wait for the watermark. Values over all rows
//! before are carried in a row of their own, ahead of the others: see [`running`]. A key that holds
//! the window of its rows is forgotten with the window.
//!
//! ```text
//!   rows      r  r  r  r  │  n  n  n  │  p  p          r reached back to, n final now, p pending
//!   time ─────────────────┴───────────┴──────►
//!                       W(n−1)       W(n)
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, PrimitiveArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, concat, concat_batches, take, take_arrays, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};
use datafusion_common::{Result, ScalarValue};
use datafusion_physical_expr::window::WindowExpr;
use datafusion_physical_expr::{PhysicalExpr, PhysicalSortExpr};

use crate::keyed_runs::{Advance, EpochEnd, EpochStart, NewRows, RunLogic, Slots, batch_of};
use crate::rank::Closes;
use crate::row_order::{RowOrder, sorted_by_slot};
use crate::watermark::as_micros;
pub use running::Running;
use running::{Before, number_at, peers_of};

mod running;

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

/// One OVER expression.
#[derive(Debug)]
pub enum OverValue {
    /// Evaluated over the rows that its frame reaches back to.
    Reaching(Arc<dyn WindowExpr>, Reach),
    /// Carried along.
    Running(Running, String),
}

impl OverValue {
    fn name(&self) -> &str {
        match self {
            OverValue::Reaching(window, _) => window.name(),
            OverValue::Running(_, name) => name,
        }
    }
}

/// OVER windows of one PARTITION BY and one ORDER BY.
#[derive(Debug)]
pub struct Over {
    /// The event time, which the order begins with.
    pub time: Arc<dyn PhysicalExpr>,
    /// The order.
    pub order: Vec<PhysicalSortExpr>,
    /// The expressions.
    pub values: Vec<OverValue>,
    /// When the watermark closes a key, over the keys: then no row can come that reaches back.
    pub closes: Option<Closes>,
    /// Columns of the input.
    pub input: SchemaRef,
    /// Columns of the output: those of the input, then one per expression.
    pub schema: SchemaRef,
}

/// The logic of OVER windows. A row of its state is the keys, what is carried, and a row of the
/// input; one of the two is NULL.
pub struct OverLogic {
    over: Arc<Over>,
    layout: Layout,
    schema: SchemaRef,
    keys: SchemaRef,
}

/// Columns of a row of state.
#[derive(Debug, Clone, Copy)]
struct Layout {
    keys: usize,
    /// The number of rows so far, that of places in the order, and the states of values.
    carried: usize,
}

impl OverLogic {
    /// The logic of windows by keys of some types.
    ///
    /// # Errors
    /// If a value cannot say what its state is.
    pub fn try_new(over: Over, keys: &Schema) -> Result<Self> {
        let mut fields = keys.fields().to_vec();
        let running = over.running().enumerate();
        let states = running.map(|(i, running)| running.state_fields(i, &over.input));
        let states = states.collect::<Result<Vec<_>>>()?.concat();
        let number = |name: &str| Arc::new(Field::new(name, DataType::UInt64, true));
        if over.running().next().is_some() {
            fields.extend([number("__rows"), number("__places")]);
        }
        fields.extend(states);
        let layout = Layout {
            keys: keys.fields().len(),
            carried: fields.len() - keys.fields().len(),
        };
        let input = over.input.fields().iter();
        fields.extend(input.map(|f| Arc::new(f.as_ref().clone().with_nullable(true))));
        Ok(OverLogic {
            over: Arc::new(over),
            layout,
            schema: Arc::new(Schema::new(fields)),
            keys: Arc::new(keys.clone()),
        })
    }
}

impl fmt::Debug for OverLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.over.values.iter().map(OverValue::name).collect();
        write!(f, "over=[{}]", names.join(", "))?;
        match &self.over.closes {
            Some(closes) => write!(f, ", closed at {}", closes.at),
            None => Ok(()),
        }
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
            layout: self.layout,
            schema: Arc::clone(&self.schema),
            keys: Arc::clone(&self.keys),
            batches: vec![],
            slots: vec![],
        }))
    }

    /// A row that waits is due when the watermark passes it; one that is reached back to, when no
    /// later row can reach it; all of a key when it is closed.
    fn due(&self, rows: &RecordBatch, past_us: i64) -> Result<Vec<i64>> {
        let (carried, input) = self.layout.split(rows, &self.over.input)?;
        let times = self.over.times(&input)?;
        let reach = self.over.reach().map(|reach| match reach {
            Reach::Time(us) => Some(us),
            Reach::Rows(0) => Some(0),
            Reach::Rows(_) | Reach::Everything => None,
        });
        let reach = reach.collect::<Option<Vec<i64>>>();
        let reach = reach.map(|reach| reach.into_iter().max().unwrap_or(0));
        let mut times = times.values().iter();
        let due = carried.into_iter().map(|is_carried| match is_carried {
            true => i64::MAX,
            false => match (times.next(), reach) {
                (Some(time), _) if *time >= past_us => time.saturating_add(1),
                (Some(time), Some(reach)) => time.saturating_add(reach).saturating_add(1),
                (_, None) | (None, _) => i64::MAX,
            },
        });
        let mut due: Vec<i64> = due.collect();
        let keys = &rows.columns()[..self.layout.keys];
        let closes = self.over.closes_at(&self.keys, keys, due.len())?;
        for (due, closes) in due.iter_mut().zip(closes.into_iter().flatten()) {
            *due = closes.min(*due);
        }
        Ok(due)
    }

    fn all(&self, _: &RecordBatch) -> Result<Vec<RecordBatch>> {
        datafusion_common::internal_err!("OVER windows have no whole result")
    }
}

impl Layout {
    /// Which rows of state are carried, and the rows of the input among the others.
    fn split(self, rows: &RecordBatch, input: &SchemaRef) -> Result<(Vec<bool>, RecordBatch)> {
        let columns = rows.columns()[self.keys + self.carried..].to_vec();
        if self.carried == 0 {
            let input = batch_of(input, columns, rows.num_rows())?;
            return Ok((vec![false; rows.num_rows()], input));
        }
        let counts = rows.column(self.keys);
        let is_carried = (0..rows.num_rows())
            .map(|row| counts.is_valid(row))
            .collect();
        let others = (0..rows.num_rows() as u32).filter(|row| counts.is_null(*row as usize));
        let others: UInt32Array = others.collect::<Vec<u32>>().into();
        let columns = take_arrays(&columns, &others, None)?;
        Ok((is_carried, batch_of(input, columns, others.len())?))
    }
}

impl Over {
    fn running(&self) -> impl Iterator<Item = &Running> {
        self.values.iter().filter_map(|value| match value {
            OverValue::Running(running, _) => Some(running),
            OverValue::Reaching(..) => None,
        })
    }

    fn reach(&self) -> impl Iterator<Item = Reach> {
        self.values.iter().filter_map(|value| match value {
            OverValue::Reaching(_, reach) => Some(*reach),
            OverValue::Running(..) => None,
        })
    }

    /// When every one of some keys is closed, if keys are.
    fn closes_at(
        &self,
        schema: &SchemaRef,
        keys: &[ArrayRef],
        count: usize,
    ) -> Result<Option<Vec<i64>>> {
        let times = |closes: &Closes| closes.times(&batch_of(schema, keys.to_vec(), count)?);
        self.closes.as_ref().map(times).transpose()
    }

    fn times(&self, rows: &RecordBatch) -> Result<PrimitiveArray<TimestampMicrosecondType>> {
        Ok(as_micros(
            &self.time.evaluate(rows)?.into_array(rows.num_rows())?,
        )?)
    }

    /// How many rows before a position rows after it may reach, if the watermark is at a time.
    fn reached_rows(&self, times: &[i64], after_us: i64) -> usize {
        let reached = self.reach().map(|reach| match reach {
            Reach::Rows(rows) => times.len().min(rows),
            Reach::Everything => times.len(),
            Reach::Time(us) => {
                let oldest = after_us.saturating_sub(us);
                let newest_first = times.iter().rev();
                newest_first.take_while(|time| **time >= oldest).count()
            }
        });
        reached.max().unwrap_or(0)
    }
}

/// The new rows of an epoch.
struct NewOver {
    over: Arc<Over>,
    order: RowOrder,
    layout: Layout,
    schema: SchemaRef,
    keys: SchemaRef,
    batches: Vec<RecordBatch>,
    /// One per row of the batches.
    slots: Vec<u32>,
}

/// What is carried for a slot.
#[derive(Debug, Clone)]
struct Carried {
    before: Before,
    /// State of every running value.
    states: Vec<Vec<ScalarValue>>,
}

/// All rows of the touched keys, by slot and in order.
struct Sorted {
    rows: RecordBatch,
    /// Rows of every slot.
    lengths: Vec<usize>,
    /// Whether a row has another place in the order than the one before it.
    begins: Vec<bool>,
    /// What was carried for every slot.
    carried: Vec<Option<Carried>>,
    /// When the key of every slot is closed, if keys are.
    closes: Option<Vec<i64>>,
}

impl NewRows for NewOver {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        self.slots.extend(slots);
        self.batches.push(batch.clone());
        Ok(())
    }

    fn finish(mut self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let (is_carried, old) = self.layout.split(&slots.old, &self.over.input)?;
        let mut carried = vec![None; slots.old_lengths.len()];
        let mut of_row = vec![];
        for (row, slot) in slots.old_slots().into_iter().enumerate() {
            match is_carried[row] {
                true => carried[slot as usize] = Some(self.carried_at(&slots.old, row)?),
                false => of_row.push(slot),
            }
        }
        of_row.append(&mut self.slots);
        self.batches.insert(0, old);
        let rows = concat_batches(&self.over.input, &self.batches)?;
        let order = self.order.rows(&rows)?;
        let slot_count = slots.old_lengths.len();
        let sorted = sorted_by_slot(&rows, &order, &of_row, slot_count, |_| false);
        let mut lengths = vec![0; slot_count];
        for slot in of_row {
            lengths[slot as usize] += 1;
        }
        let place = |at: usize| order.row(sorted[at] as usize);
        let begins = (0..sorted.len()).map(|at| at == 0 || place(at) != place(at - 1));
        let sorted = Sorted {
            begins: begins.collect(),
            rows: take_record_batch(&rows, &UInt32Array::from(sorted.clone()))?,
            lengths,
            carried,
            closes: self.over.closes_at(&self.keys, &slots.keys, slot_count)?,
        };
        self.advance(sorted, end)
    }
}

impl NewOver {
    fn carried_at(&self, old: &RecordBatch, row: usize) -> Result<Carried> {
        let columns = &old.columns()[self.layout.keys..self.layout.keys + self.layout.carried];
        let mut rest = columns[2..].iter();
        let states = self.over.running().enumerate().map(|(i, running)| {
            let parts = running.state_fields(i, &self.over.input)?.len();
            let parts = rest.by_ref().take(parts);
            parts
                .map(|column| ScalarValue::try_from_array(column, row))
                .collect()
        });
        Ok(Carried {
            states: states.collect::<Result<_>>()?,
            before: Before {
                rows: number_at(&columns[0], row),
                peers: number_at(&columns[1], row),
            },
        })
    }

    fn advance(&self, sorted: Sorted, end: &EpochEnd) -> Result<Advance> {
        let (before, after) = (end.step.before.micros(), end.step.after.micros());
        let times = self.over.times(&sorted.rows)?;
        let mut emitted: Vec<RecordBatch> = vec![];
        let mut runs = Runs::default();
        let mut first = 0;
        let slots = sorted.lengths.iter().zip(sorted.carried);
        for (slot, (length, mut carried)) in slots.enumerate() {
            let times = &times.values()[first..first + length];
            let is_final = times.partition_point(|time| *time < after);
            let was_final = times.partition_point(|time| *time < before);
            if was_final < is_final {
                let partition = sorted.rows.slice(first, is_final);
                let begins = &sorted.begins[first + was_final..first + is_final];
                emitted.push(self.emit(&partition, was_final, begins, &mut carried)?);
            }
            let closes = sorted.closes.as_ref().map(|closes| closes[slot]);
            if closes.is_some_and(|at| at <= after) {
                runs.add(None, first..first);
            } else {
                let reached = self.over.reached_rows(&times[..is_final], after);
                runs.add(carried, first + is_final - reached..first + length);
            }
            first += length;
        }
        let mut advance = Advance {
            lengths: runs.lengths.iter().map(|rows| Some(*rows)).collect(),
            values: self.values(&sorted.rows, &runs)?,
            ..Advance::default()
        };
        if !emitted.is_empty() {
            advance.output = vec![concat_batches(&self.over.schema, &emitted)?];
        }
        Ok(advance)
    }

    /// The rows of a partition from a position on, with their values; brings what is carried up to
    /// the last of them.
    fn emit(
        &self,
        partition: &RecordBatch,
        from: usize,
        begins: &[bool],
        carried: &mut Option<Carried>,
    ) -> Result<RecordBatch> {
        let count = partition.num_rows() - from;
        let rows = partition.slice(from, count);
        let peers = peers_of(begins);
        let before = carried.as_ref().map(|c| c.before).unwrap_or_default();
        let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
        let mut states = vec![];
        for value in &self.over.values {
            columns.push(match value {
                OverValue::Reaching(window, _) => window.evaluate(partition)?.slice(from, count),
                OverValue::Running(running, _) => {
                    let old = carried.as_ref().map(|c| &c.states[states.len()]);
                    let old = old.map(|state| state.iter().map(ScalarValue::to_array).collect());
                    let old: Option<Vec<ArrayRef>> = old.transpose()?;
                    let (values, state) = running.advance(old.as_deref(), &rows, &peers, before)?;
                    states.push(state);
                    values
                }
            });
        }
        if self.layout.carried > 0 {
            let before = Before {
                rows: before.rows + count as u64,
                peers: before.peers + peers.len() as u64,
            };
            *carried = Some(Carried { before, states });
        }
        batch_of(&self.over.schema, columns, count)
    }

    /// Value columns of the new runs.
    fn values(&self, rows: &RecordBatch, runs: &Runs) -> Result<Vec<ArrayRef>> {
        let fields = &self.schema.fields()[self.layout.keys..];
        let (carried_fields, input_fields) = fields.split_at(self.layout.carried);
        let mut columns = Vec::with_capacity(fields.len());
        // Carried rows lie behind the others, until they are put in their places.
        let places: Vec<u32> = runs
            .places
            .iter()
            .map(|place| match place {
                Place::Row(row) => *row as u32,
                Place::Carried(number) => (rows.num_rows() + number) as u32,
            })
            .collect();
        let places = UInt32Array::from(places);
        let scalars: Vec<Vec<ScalarValue>> = runs.carried.iter().map(Carried::scalars).collect();
        for (i, field) in carried_fields.iter().enumerate() {
            let none = new_null_array(field.data_type(), rows.num_rows());
            let carried = scalars.iter().map(|row| row[i].clone());
            let carried = match scalars.is_empty() {
                true => new_null_array(field.data_type(), 0),
                false => cast(&ScalarValue::iter_to_array(carried)?, field.data_type())?,
            };
            columns.push(take(&concat(&[&none, &carried])?, &places, None)?);
        }
        for (column, field) in rows.columns().iter().zip(input_fields) {
            let none = new_null_array(field.data_type(), runs.carried.len());
            columns.push(take(&concat(&[column, &none])?, &places, None)?);
        }
        Ok(columns)
    }
}

impl Carried {
    fn scalars(&self) -> Vec<ScalarValue> {
        let numbers = [self.before.rows, self.before.peers];
        let numbers = numbers.map(|n| ScalarValue::UInt64(Some(n)));
        numbers.into_iter().chain(self.states.concat()).collect()
    }
}

/// The new runs, as places of rows.
#[derive(Debug, Default)]
struct Runs {
    places: Vec<Place>,
    carried: Vec<Carried>,
    lengths: Vec<u32>,
}

#[derive(Debug)]
enum Place {
    Row(usize),
    Carried(usize),
}

impl Runs {
    fn add(&mut self, carried: Option<Carried>, rows: Range<usize>) {
        let before = self.places.len();
        if let Some(carried) = carried {
            self.places.push(Place::Carried(self.carried.len()));
            self.carried.push(carried);
        }
        self.places.extend(rows.map(Place::Row));
        self.lengths.push((self.places.len() - before) as u32);
    }
}
