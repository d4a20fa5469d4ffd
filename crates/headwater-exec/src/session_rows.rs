//! Sessions without an aggregation: every row of a session with the session's start and end, once
//! it is final.
//!
//! A run of the state is the rows of the open sessions of a key, each with the session as it is
//! now; see [`crate::session`] for what a session is.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat, concat_batches, take_arrays};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::Result;
use datafusion_physical_expr::PhysicalExpr;

use headwater_core::mode::OutputMode;

use crate::keyed_runs::{Advance, EpochEnd, EpochStart, NewRows, RunLogic, Slots, batch_of};
use crate::session::Gap;
use crate::session::spans::{Merged, Span, Suspects, due, merge, old_spans, row_spans};
use crate::window_assign::WINDOW_TIME_GAP_US;

/// Rows with the session that each is in.
#[derive(Debug)]
pub struct SessionRows {
    /// Event time.
    pub time: Arc<dyn PhysicalExpr>,
    /// The gap after a row.
    pub gap: Gap,
    /// Schema of the output: the input's columns, then start, end and time of the session.
    pub schema: SchemaRef,
}

/// The logic of [`SessionRows`]. A row of its state is the keys, start and end of the row's session
/// in microseconds, and the row.
pub struct SessionRowsLogic {
    rows: Arc<SessionRows>,
    key_count: usize,
    schema: SchemaRef,
    input: SchemaRef,
}

impl SessionRowsLogic {
    /// The logic over an input with keys of some types.
    pub fn new(rows: SessionRows, keys: &Schema, input: SchemaRef) -> Self {
        let time = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        let mut fields = keys.fields().to_vec();
        fields.extend([time("__start"), time("__end")]);
        fields.extend(input.fields().iter().cloned());
        SessionRowsLogic {
            rows: Arc::new(rows),
            key_count: keys.fields().len(),
            schema: Arc::new(Schema::new(fields)),
            input,
        }
    }
}

impl fmt::Debug for SessionRowsLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rows of sessions: gap={}", self.rows.gap)
    }
}

impl RunLogic for SessionRowsLogic {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn new_rows(&self, start: &EpochStart) -> Result<Box<dyn NewRows>> {
        Ok(Box::new(NewSessionRows {
            rows: Arc::clone(&self.rows),
            key_count: self.key_count,
            batches: vec![RecordBatch::new_empty(Arc::clone(&self.input))],
            spans: vec![],
            suspects: Suspects::new(start, &self.rows.time),
        }))
    }

    fn due(&self, rows: &RecordBatch, _: i64) -> Result<Vec<i64>> {
        due(rows.column(self.key_count + 1))
    }

    fn all(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let values = &rows.columns()[self.key_count..];
        let spans = spans_of(&values[0], &values[1]);
        Ok(vec![self.rows.output(&spans, &values[2..])?])
    }
}

impl SessionRows {
    /// Rows of the output.
    fn output(&self, sessions: &[(i64, i64)], columns: &[ArrayRef]) -> Result<RecordBatch> {
        let instants = |of: fn(&(i64, i64)) -> i64| {
            let times = TimestampMicrosecondArray::from_iter_values(sessions.iter().map(of));
            Arc::new(times) as ArrayRef
        };
        let mut columns = columns.to_vec();
        columns.extend([
            instants(|(start, _)| *start),
            instants(|(_, end)| *end),
            instants(|(_, end)| end.saturating_sub(WINDOW_TIME_GAP_US)),
        ]);
        batch_of(&self.schema, columns, sessions.len())
    }
}

fn spans_of(starts: &ArrayRef, ends: &ArrayRef) -> Vec<(i64, i64)> {
    let slots = Slots {
        keys: vec![],
        old: RecordBatch::new_empty(Arc::new(Schema::empty())),
        old_lengths: vec![starts.len() as u32],
    };
    let spans = old_spans(&slots, starts, ends).into_iter();
    spans.map(|span| (span.start, span.end)).collect()
}

/// The new rows of an epoch.
struct NewSessionRows {
    rows: Arc<SessionRows>,
    key_count: usize,
    batches: Vec<RecordBatch>,
    /// One per row of the batches.
    spans: Vec<Span>,
    suspects: Suspects,
}

impl NewRows for NewSessionRows {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        let (batch, spans) = row_spans(batch, slots, &self.rows.time, &self.rows.gap)?;
        let first = self.spans.len() as u32;
        self.suspects
            .add(&batch, &spans, |row| first + row as u32)?;
        self.spans.extend(spans);
        self.batches.push(batch);
        Ok(())
    }

    fn finish(mut self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let new = concat_batches(&self.batches[0].schema(), &self.batches)?;
        let old = &slots.old.columns()[self.key_count..];
        let columns = old[2..].iter().zip(new.columns());
        let columns = columns.map(|(old, new)| Ok(concat(&[old.as_ref(), new.as_ref()])?));
        let columns = columns.collect::<Result<Vec<_>>>()?;
        let mut spans = old_spans(slots, &old[0], &old[1]);
        spans.append(&mut self.spans);
        let merged = merge(&spans);
        let mut advance = self.advance(slots, end, &columns, &merged)?;
        advance.late = merged.late(slots, end, &self.suspects)?;
        Ok(advance)
    }
}

impl NewSessionRows {
    fn advance(
        &self,
        slots: &Slots,
        end: &EpochEnd,
        columns: &[ArrayRef],
        merged: &Merged,
    ) -> Result<Advance> {
        let after = end.step.after.micros();
        let evicts = end.mode != OutputMode::Complete;
        let mut advance = Advance {
            lengths: vec![Some(0); slots.old_lengths.len()],
            ..Advance::default()
        };
        let (mut kept, mut closed) = (Chosen::default(), Chosen::default());
        for session in &merged.sessions {
            let parts = &merged.order[session.parts.clone()];
            let times = (session.span.start, session.span.end);
            if session.is_late(end) {
                continue;
            }
            if evicts && session.span.end < after {
                closed.add(times, parts);
            } else {
                let length = &mut advance.lengths[session.span.slot as usize];
                *length = length.map(|rows| rows + parts.len() as u32);
                kept.add(times, parts);
            }
        }
        if !closed.rows.is_empty() {
            let rows = take_arrays(columns, &UInt32Array::from(closed.rows), None)?;
            advance.output = vec![self.rows.output(&closed.sessions, &rows)?];
        }
        let (starts, ends): (Vec<i64>, Vec<i64>) = kept.sessions.into_iter().unzip();
        advance.values = vec![
            Arc::new(Int64Array::from(starts)),
            Arc::new(Int64Array::from(ends)),
        ];
        let rows = take_arrays(columns, &UInt32Array::from(kept.rows), None)?;
        advance.values.extend(rows);
        Ok(advance)
    }
}

/// Rows by position, and the session of each.
#[derive(Debug, Default)]
struct Chosen {
    rows: Vec<u32>,
    sessions: Vec<(i64, i64)>,
}

impl Chosen {
    fn add(&mut self, session: (i64, i64), rows: &[u32]) {
        self.rows.extend(rows);
        self.sessions
            .extend(std::iter::repeat_n(session, rows.len()));
    }
}
