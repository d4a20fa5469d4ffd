//! Stretches of time of the rows of a key, and the sessions that they make.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit};
use datafusion_common::{Result, exec_err};
use datafusion_physical_expr::PhysicalExpr;
use hashbrown::HashSet;

use headwater_core::mode::OutputMode;

use super::Gap;
use crate::keyed_runs::{EpochEnd, EpochStart, LateCount, Slots};
use crate::watermark::as_micros;

const DAY_US: i64 = 86_400_000_000;

/// A stretch of time of one key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) slot: u32,
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// New rows in it.
    pub(crate) rows: u32,
}

/// The stretch of every row, and the rows that have one: a time, and a gap after it.
pub(crate) fn row_spans(
    batch: &RecordBatch,
    slots: &[u32],
    time: &Arc<dyn PhysicalExpr>,
    gap: &Gap,
) -> Result<(RecordBatch, Vec<Span>)> {
    let times = time.evaluate(batch)?.into_array(batch.num_rows())?;
    let times = as_micros(&times)?;
    let gaps = gap.micros(batch)?;
    let outside = |row: usize| times.is_null(row) || gaps.is_null(row) || gaps.value(row) <= 0;
    let each = slots.iter().zip(times.values()).zip(gaps.values());
    let spans = each.map(|((slot, time), gap)| Span {
        slot: *slot,
        start: *time,
        end: time.saturating_add(*gap),
        rows: 1,
    });
    if !(0..batch.num_rows()).any(outside) {
        return Ok((batch.clone(), spans.collect()));
    }
    let inside = (0..batch.num_rows()).map(|row| Some(!outside(row)));
    let inside: BooleanArray = inside.collect();
    let spans = spans.zip(inside.values()).filter(|(_, inside)| *inside);
    let spans = spans.map(|(span, _)| span).collect();
    Ok((filter_record_batch(batch, &inside)?, spans))
}

/// When sessions that end at some times are due: when the watermark is past their end.
pub(crate) fn due(ends: &ArrayRef) -> Result<Vec<i64>> {
    let ends = ends.as_primitive::<Int64Type>().values().iter();
    Ok(ends.map(|end| end.saturating_add(1)).collect())
}

/// The spans of the old runs.
pub(crate) fn old_spans(slots: &Slots, starts: &ArrayRef, ends: &ArrayRef) -> Vec<Span> {
    let starts = starts.as_primitive::<Int64Type>().values();
    let ends = ends.as_primitive::<Int64Type>().values();
    let each = slots.old_slots().into_iter().zip(starts).zip(ends);
    each.map(|((slot, start), end)| Span {
        slot,
        start: *start,
        end: *end,
        rows: 0,
    })
    .collect()
}

/// Sessions that do not touch each other any more, by slot and time.
pub(crate) struct Merged {
    pub(crate) sessions: Vec<MergedSession>,
    /// Positions of the spans, those of a session side by side.
    pub(crate) order: Vec<u32>,
}

pub(crate) struct MergedSession {
    pub(crate) span: Span,
    /// Whether no open session is part of it.
    pub(crate) is_new: bool,
    pub(crate) parts: Range<usize>,
}

impl MergedSession {
    /// Whether it was made of new rows alone and had ended before the epoch.
    pub(crate) fn is_late(&self, end: &EpochEnd) -> bool {
        let evicts = end.mode != OutputMode::Complete;
        evicts && self.is_new && self.span.end < end.step.before.micros()
    }
}

impl Merged {
    /// The new rows of sessions that are late.
    pub(crate) fn late(
        &self,
        slots: &Slots,
        end: &EpochEnd,
        suspects: &Suspects,
    ) -> Result<LateCount> {
        let old = slots.old.num_rows() as u32;
        let late = self.sessions.iter().filter(|session| session.is_late(end));
        let count = late.clone().map(|s| u64::from(s.span.rows)).sum();
        let parts = late.flat_map(|session| &self.order[session.parts.clone()]);
        let parts = parts.map(|part| part - old).collect();
        Ok(LateCount {
            count,
            rows: suspects.of(&parts)?,
        })
    }
}

/// Merges spans of one slot that touch.
pub(crate) fn merge(spans: &[Span]) -> Merged {
    let mut order: Vec<u32> = (0..spans.len() as u32).collect();
    order.sort_unstable_by_key(|i| {
        let span = &spans[*i as usize];
        (span.slot, span.start, *i)
    });
    let mut sessions: Vec<MergedSession> = Vec::with_capacity(spans.len());
    for (at, index) in order.iter().enumerate() {
        let span = spans[*index as usize];
        let is_new = span.rows > 0;
        match sessions.last_mut() {
            Some(last) if last.span.slot == span.slot && span.start <= last.span.end => {
                last.span.end = last.span.end.max(span.end);
                last.span.rows += span.rows;
                last.is_new &= is_new;
                last.parts.end = at + 1;
            }
            _ => sessions.push(MergedSession {
                span,
                is_new,
                parts: at..at + 1,
            }),
        }
    }
    Merged { sessions, order }
}

/// Rows that are late unless they touch an open session: kept until that is known.
pub(crate) struct Suspects {
    start: EpochStart,
    time: Arc<dyn PhysicalExpr>,
    batches: Vec<(RecordBatch, Vec<u32>)>,
}

impl Suspects {
    pub(crate) fn new(start: &EpochStart, time: &Arc<dyn PhysicalExpr>) -> Self {
        Suspects {
            start: *start,
            time: Arc::clone(time),
            batches: vec![],
        }
    }

    /// Notes the rows of a batch, row `i` in the new session `sessions[i]`.
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        spans: &[Span],
        sessions: impl Fn(usize) -> u32,
    ) -> Result<()> {
        let before = self.start.before.micros();
        if !self.start.keeps_late_rows {
            return Ok(());
        }
        let rows = (0..spans.len()).filter(|row| spans[*row].end < before);
        let rows: Vec<u32> = rows.map(|row| row as u32).collect();
        if !rows.is_empty() {
            let of_row = rows.iter().map(|row| sessions(*row as usize)).collect();
            let rows = take_record_batch(batch, &UInt32Array::from(rows))?;
            self.batches.push((rows, of_row));
        }
        Ok(())
    }

    /// The rows of new sessions that are late, and their event times.
    pub(crate) fn of(&self, late: &HashSet<u32>) -> Result<Vec<(RecordBatch, ArrayRef)>> {
        let pieces = self.batches.iter().map(|(rows, sessions)| {
            let is_late = sessions.iter().map(|session| Some(late.contains(session)));
            let rows = filter_record_batch(rows, &is_late.collect::<BooleanArray>())?;
            let times = self.time.evaluate(&rows)?.into_array(rows.num_rows())?;
            Ok((rows, times))
        });
        pieces.collect()
    }
}

impl Gap {
    /// The gap after every row, in microseconds.
    fn micros(&self, batch: &RecordBatch) -> Result<Int64Array> {
        let gaps = match self {
            Gap::Fixed(us) => return Ok(Int64Array::from_value(*us, batch.num_rows())),
            Gap::OfRow(gap) => gap.evaluate(batch)?.into_array(batch.num_rows())?,
        };
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        let gaps = arrow::compute::cast(&gaps, &interval)?;
        let gaps = gaps.as_primitive::<IntervalMonthDayNanoType>();
        if gaps.iter().flatten().any(|gap| gap.months != 0) {
            return exec_err!("the gap of a session cannot have months: give it in days");
        }
        let micros = gaps.iter().map(|gap| {
            let gap = gap?;
            let days = i64::from(gap.days).saturating_mul(DAY_US);
            Some(days.saturating_add(gap.nanoseconds / 1_000))
        });
        Ok(micros.collect())
    }
}
