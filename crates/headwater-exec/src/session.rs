//! Sessions: rows of one key that follow each other within a gap, aggregated.
//!
//! A row stretches from its time to its time plus the gap; rows of a key whose stretches touch are
//! one session, `[first, end)`. A run of the state is the open sessions of a key, in order, each
//! with the state of its aggregates:
//!
//! ```text
//! row times      0   4     9  11          30        gap 5
//! stretches     [----)            [0, 5) [4, 9) [9, 14) [11, 16)      [30, 35)
//! sessions      [----------------)  0 … 16         [-----)  30 … 35
//! ```
//!
//! A row exactly a gap after another still belongs to its session, so a session is final when the
//! watermark is past its end, not at it. New rows become sessions of their own first, without
//! sorting: a row that touches the session its key's last row went to joins it. At the end of the
//! epoch all sessions of the touched keys, old and new, are sorted and merged.
//!
//! A session that was made of new rows alone and has ended before `W(n − 1)` is late: its rows
//! could only change what is final. A late row that touches an open session counts in it.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::{concat, take_arrays};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion_common::cast::as_boolean_array;
use datafusion_common::{Result, internal_datafusion_err};
use datafusion_physical_expr::PhysicalExpr;

use headwater_core::mode::OutputMode;

use crate::aggregate_spec::{Accumulators, AggregateSpec};
use crate::keyed_runs::{
    Advance, EpochEnd, EpochStart, NO_SLOT, NewRows, RunLogic, Slots, batch_of,
};
use crate::window_assign::WINDOW_TIME_GAP_US;
use spans::{Merged, MergedSession, Span, Suspects, due, merge, old_spans, row_spans};

pub(crate) mod spans;

/// One output column that is not an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionColumn {
    /// Time of the first row.
    Start,
    /// A gap after the last row.
    End,
    /// One millisecond before the end.
    Time,
    /// A key, by position.
    Key(usize),
}

/// How long after a row its session goes on.
#[derive(Debug, Clone)]
pub enum Gap {
    /// So many microseconds, more than none.
    Fixed(i64),
    /// As an INTERVAL of the row says. A row where it is NULL or not positive is in no session.
    OfRow(Arc<dyn PhysicalExpr>),
}

/// A session aggregation.
#[derive(Debug)]
pub struct Session {
    /// Event time.
    pub time: Arc<dyn PhysicalExpr>,
    /// The gap after a row.
    pub gap: Gap,
    /// Keys and aggregates.
    pub spec: Arc<AggregateSpec>,
    /// FILTER of every aggregate.
    pub filters: Vec<Option<Arc<dyn PhysicalExpr>>>,
    /// Output columns before the aggregates.
    pub outputs: Vec<SessionColumn>,
    /// Schema of the output.
    pub schema: SchemaRef,
}

/// The logic of a session aggregation. A row of its state is the keys, start and end of a session
/// in microseconds, and the states of its aggregates.
pub struct SessionLogic {
    session: Arc<Session>,
    schema: SchemaRef,
}

impl SessionLogic {
    /// The logic of a session aggregation.
    pub fn new(session: Session) -> Self {
        let fields = session.spec.state_schema().fields();
        let (keys, states) = fields.split_at(session.spec.key_count());
        let time = |name: &str| Arc::new(Field::new(name, DataType::Int64, false));
        let mut columns = keys.to_vec();
        columns.extend([time("__start"), time("__end")]);
        columns.extend(states.iter().cloned());
        SessionLogic {
            session: Arc::new(session),
            schema: Arc::new(Schema::new(columns)),
        }
    }
}

impl fmt::Debug for SessionLogic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let aggregates = self.session.spec.aggregates().iter();
        let aggregates: Vec<_> = aggregates.map(|a| a.name()).collect();
        write!(f, "session: gap={}", self.session.gap)?;
        write!(f, ", aggregates=[{}]", aggregates.join(", "))
    }
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gap::Fixed(us) => {
                let gap = std::time::Duration::from_micros(us.unsigned_abs());
                f.write_str(&headwater_core::duration::format_duration(gap))
            }
            Gap::OfRow(expr) => write!(f, "{expr}"),
        }
    }
}

impl RunLogic for SessionLogic {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn new_rows(&self, start: &EpochStart) -> Result<Box<dyn NewRows>> {
        Ok(Box::new(NewSessions {
            accumulators: self.session.spec.accumulators()?,
            session: Arc::clone(&self.session),
            current: vec![],
            spans: vec![],
            suspects: Suspects::new(start, &self.session.time),
        }))
    }

    fn due(&self, rows: &RecordBatch, _: i64) -> Result<Vec<i64>> {
        due(rows.column(self.session.spec.key_count() + 1))
    }

    fn all(&self, rows: &RecordBatch) -> Result<Vec<RecordBatch>> {
        let session = &self.session;
        let (keys, rest) = rows.columns().split_at(session.spec.key_count());
        let [starts, ends, states @ ..] = rest else {
            return Err(internal_datafusion_err!("sessions without times"));
        };
        let starts = starts.as_primitive::<Int64Type>().values();
        let ends = ends.as_primitive::<Int64Type>().values();
        session.output(keys, starts, ends, states)
    }
}

impl Session {
    /// Rows of the output, from the states of sessions.
    fn output(
        &self,
        keys: &[ArrayRef],
        starts: &[i64],
        ends: &[i64],
        states: &[ArrayRef],
    ) -> Result<Vec<RecordBatch>> {
        let rows = starts.len();
        if rows == 0 {
            return Ok(vec![]);
        }
        let instants = |times: &mut dyn Iterator<Item = i64>| {
            Arc::new(TimestampMicrosecondArray::from_iter_values(times)) as ArrayRef
        };
        let outputs = self.outputs.iter().map(|output| match output {
            SessionColumn::Start => instants(&mut starts.iter().copied()),
            SessionColumn::End => instants(&mut ends.iter().copied()),
            SessionColumn::Time => instants(
                &mut ends
                    .iter()
                    .map(|end| end.saturating_sub(WINDOW_TIME_GAP_US)),
            ),
            SessionColumn::Key(index) => Arc::clone(&keys[*index]),
        });
        let mut columns: Vec<ArrayRef> = outputs.collect();
        let mut accumulators = self.spec.accumulators()?;
        let groups: Vec<usize> = (0..rows).collect();
        self.spec.merge(&mut accumulators, states, &groups, rows)?;
        columns.extend(self.spec.evaluate(accumulators, rows)?);
        Ok(vec![batch_of(&self.schema, columns, rows)?])
    }
}

/// Sessions of the new rows of an epoch, each with a group of the accumulators.
struct NewSessions {
    session: Arc<Session>,
    accumulators: Accumulators,
    /// The session that the last row of a slot went to.
    current: Vec<u32>,
    spans: Vec<Span>,
    suspects: Suspects,
}

impl NewRows for NewSessions {
    fn add(&mut self, batch: &RecordBatch, slots: &[u32]) -> Result<()> {
        let (time, gap) = (&self.session.time, &self.session.gap);
        let (batch, spans) = row_spans(batch, slots, time, gap)?;
        let groups = spans.iter().map(|span| self.join(*span));
        let groups: Vec<usize> = groups.collect();
        self.suspects
            .add(&batch, &spans, |row| groups[row] as u32)?;
        self.accumulate(&batch, &groups)
    }

    fn finish(mut self: Box<Self>, slots: &Slots, end: &EpochEnd) -> Result<Advance> {
        let key_count = self.session.spec.key_count();
        let spec = &self.session.spec;
        let new_states = spec.take_states(&mut self.accumulators, self.spans.len())?;
        let old = &slots.old.columns()[key_count..];
        let states: Vec<ArrayRef> = match self.spans.len() {
            0 => old[2..].to_vec(),
            _ => (old[2..].iter().zip(&new_states))
                .map(|(old, new)| Ok(concat(&[old.as_ref(), new.as_ref()])?))
                .collect::<Result<_>>()?,
        };
        let mut spans = old_spans(slots, &old[0], &old[1]);
        spans.append(&mut self.spans);
        let merged = merge(&spans);
        let mut advance = self.advance(slots, end, &states, &merged)?;
        advance.late = merged.late(slots, end, &self.suspects)?;
        Ok(advance)
    }
}

impl NewSessions {
    /// The session of a row.
    #[inline]
    fn join(&mut self, row: Span) -> usize {
        let at = row.slot as usize;
        if at >= self.current.len() {
            self.current.resize(at + 1, NO_SLOT);
        }
        let known = self.current[at];
        if let Some(span) = self.spans.get_mut(known as usize)
            && row.start <= span.end
            && span.start <= row.end
        {
            span.start = span.start.min(row.start);
            span.end = span.end.max(row.end);
            span.rows += 1;
            return known as usize;
        }
        let group = self.spans.len();
        self.current[at] = group as u32;
        self.spans.push(row);
        group
    }

    fn accumulate(&mut self, batch: &RecordBatch, groups: &[usize]) -> Result<()> {
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef> {
            expr.evaluate(batch)?.into_array(batch.num_rows())
        };
        let total = self.spans.len();
        let aggregates = self.session.spec.aggregates().iter();
        let each = aggregates.zip(&self.session.filters);
        for ((aggregate, filter), accumulator) in each.zip(&mut self.accumulators) {
            let all = aggregate.all_expressions();
            let arguments = all.args.iter().chain(&all.order_by_exprs).map(evaluate);
            let arguments = arguments.collect::<Result<Vec<_>>>()?;
            let filter = filter.as_ref().map(evaluate).transpose()?;
            let filter = filter.as_ref().map(|f| as_boolean_array(f)).transpose()?;
            accumulator.update_batch(&arguments, groups, filter, total)?;
        }
        Ok(())
    }

    /// Emits the sessions that are final and keeps the others.
    fn advance(
        &self,
        slots: &Slots,
        end: &EpochEnd,
        states: &[ArrayRef],
        merged: &Merged,
    ) -> Result<Advance> {
        let after = end.step.after.micros();
        let evicts = end.mode != OutputMode::Complete;
        let mut advance = Advance {
            lengths: vec![Some(0); slots.old_lengths.len()],
            ..Advance::default()
        };
        let (mut kept, mut closed) = (vec![], vec![]);
        for session in &merged.sessions {
            if session.is_late(end) {
                continue;
            }
            if evicts && session.span.end < after {
                closed.push(session);
            } else {
                let length = &mut advance.lengths[session.span.slot as usize];
                *length = length.map(|rows| rows + 1);
                kept.push(session);
            }
        }
        let of_slot: UInt32Array = closed.iter().map(|s| Some(s.span.slot)).collect();
        let keys = take_arrays(&slots.keys, &of_slot, None)?;
        let final_states = self.states_of(&closed, &merged.order, states)?;
        let (starts, ends) = times_of(&closed);
        advance.output = self.session.output(&keys, &starts, &ends, &final_states)?;
        let (starts, ends) = times_of(&kept);
        advance.values = vec![
            Arc::new(Int64Array::from(starts)),
            Arc::new(Int64Array::from(ends)),
        ];
        let kept_states = self.states_of(&kept, &merged.order, states)?;
        advance.values.extend(kept_states);
        Ok(advance)
    }

    /// The states of sessions, those of their parts merged.
    fn states_of(
        &self,
        sessions: &[&MergedSession],
        order: &[u32],
        states: &[ArrayRef],
    ) -> Result<Vec<ArrayRef>> {
        let parts = sessions.iter().flat_map(|s| &order[s.parts.clone()]);
        let parts = UInt32Array::from_iter_values(parts.copied());
        let states = take_arrays(states, &parts, None)?;
        if parts.len() == sessions.len() {
            return Ok(states);
        }
        let of_session = sessions.iter().enumerate();
        let groups = of_session.flat_map(|(i, s)| std::iter::repeat_n(i, s.parts.len()));
        let groups: Vec<usize> = groups.collect();
        let mut accumulators = self.session.spec.accumulators()?;
        let spec = &self.session.spec;
        spec.merge(&mut accumulators, &states, &groups, sessions.len())?;
        spec.take_states(&mut accumulators, sessions.len())
    }
}

fn times_of(sessions: &[&MergedSession]) -> (Vec<i64>, Vec<i64>) {
    let times = sessions.iter().map(|s| (s.span.start, s.span.end));
    times.unzip()
}
