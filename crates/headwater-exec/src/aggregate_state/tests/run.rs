//! Runs a case against the state, through everything that happens to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};

use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::{OperatorState, StateChunk};
use headwater_core::watermark::Watermark;

use super::super::{AggregateState, WindowResult};
use super::case::{Batch, Case, CaseWindow, Epoch, Fate, Input, Row};
use super::oracle::{Bounds, ResultRow, end};
use crate::aggregate_spec::AggregateSpec;
use crate::changelog::WatermarkStep;
use crate::testing::aggregates::{evaluated, value_fields};
use crate::window::{Bound, WindowSpec};

/// State rows after every epoch.
pub(super) type Live = Vec<usize>;

/// What a case did.
pub(super) struct Done {
    pub(super) epochs: Vec<Vec<ResultRow>>,
    pub(super) live_rows: Live,
}

/// Runs a case; with `unpaned`, over a row per window.
pub(super) fn run(case: &Case, unpaned: bool) -> Result<Done, String> {
    let mut query = Query::new(case, unpaned);
    let mut done = Done {
        epochs: vec![],
        live_rows: vec![],
    };
    for (number, (epoch, step)) in case.epochs.iter().zip(case.watermarks()).enumerate() {
        let rows = query.epoch(EpochId(number as u64), epoch, step);
        done.epochs
            .push(rows.map_err(|e| format!("epoch {number}: {e}"))?);
        done.live_rows.push(query.state.rows());
    }
    Ok(done)
}

struct Query<'a> {
    case: &'a Case,
    unpaned: bool,
    spec: Arc<AggregateSpec>,
    window: Option<WindowSpec>,
    state: AggregateState,
    checkpoint: Vec<StateChunk>,
}

type AnyResult<T> = Result<T, datafusion_common::DataFusionError>;

impl<'a> Query<'a> {
    fn new(case: &'a Case, unpaned: bool) -> Self {
        let us = |us: i64| Duration::from_micros(us as u64);
        let window = case.window.map(|window| {
            let window = match window {
                CaseWindow::Hop(slide, size, at) => WindowSpec::hop(us(slide), us(size), at),
                CaseWindow::Cumulate(step, max, at) => WindowSpec::cumulate(us(step), us(max), at),
            };
            let window = window.unwrap();
            if unpaned { window.unpaned() } else { window }
        });
        let schema = input_schema();
        let keys = schema.fields()[..case.keys].to_vec();
        let aggregates = case.kinds.iter().map(|k| k.aggregate(&schema)).collect();
        let spec = Arc::new(AggregateSpec::try_new(keys, aggregates).unwrap());
        Query {
            case,
            unpaned,
            state: AggregateState::new(Arc::clone(&spec), window),
            spec,
            window,
            checkpoint: vec![],
        }
    }

    /// One epoch with everything that happens to it.
    fn epoch(&mut self, id: EpochId, epoch: &Epoch, step: (i64, i64)) -> AnyResult<Vec<ResultRow>> {
        match epoch.fate {
            Fate::Abandon => self.begin_only(id, epoch, step)?,
            Fate::AbandonAndRollBack => {
                self.begin_only(id, epoch, step)?;
                self.state.rollback(id.previous())?;
            }
            Fate::RollBack => {
                self.attempt(id, epoch, step)?;
                self.state.rollback(id.previous())?;
            }
            Fate::CrashBeforeCommit => {
                self.attempt(id, epoch, step)?;
                self.restart(id.previous())?;
            }
            Fate::Commit | Fate::CrashAfterCommit | Fate::Snapshot | Fate::SnapshotAndCrash => {}
        }
        let rows = self.attempt(id, epoch, step)?;
        let delta = self.state.delta(id)?;
        match epoch.fate {
            Fate::Snapshot | Fate::SnapshotAndCrash => {
                self.checkpoint = vec![self.state.snapshot()?];
            }
            _ => self.checkpoint.push(delta),
        }
        match epoch.fate {
            Fate::CrashAfterCommit | Fate::SnapshotAndCrash => self.restart(Some(id))?,
            _ => self.state.committed(id)?,
        }
        Ok(rows)
    }

    fn restart(&mut self, version: Option<EpochId>) -> AnyResult<()> {
        self.state = AggregateState::new(Arc::clone(&self.spec), self.window);
        Ok(self.state.restore(&self.checkpoint, version)?)
    }

    /// An attempt that dies before its last batch.
    fn begin_only(&mut self, id: EpochId, epoch: &Epoch, step: (i64, i64)) -> AnyResult<()> {
        self.state.begin(id)?;
        let most = epoch.batches.len().saturating_sub(1);
        epoch.batches[..most]
            .iter()
            .try_for_each(|batch| self.add(batch, step.0))
    }

    fn attempt(
        &mut self,
        id: EpochId,
        epoch: &Epoch,
        (before, after): (i64, i64),
    ) -> AnyResult<Vec<ResultRow>> {
        self.state.begin(id)?;
        for batch in &epoch.batches {
            self.add(batch, before)?;
        }
        if self.case.window.is_none() && self.case.keys == 0 {
            let columns = input_schema();
            let columns = columns
                .fields()
                .iter()
                .map(|f| new_null_array(f.data_type(), 1));
            let row = RecordBatch::try_new(input_schema(), columns.collect())?;
            self.state
                .ensure_global_group(&evaluated(&self.case.kinds, &row).0)?;
        }
        let watermark = |us| Watermark::at(EventTime(us));
        let step = WatermarkStep {
            before: watermark(before),
            after: watermark(after),
        };
        let results = self.state.finish(id, self.case.mode, step)?;
        let mut rows: Vec<_> = results.iter().flat_map(result_rows).collect();
        rows.sort();
        Ok(rows)
    }

    /// Deals a batch to its panes, without what is late.
    fn add(&mut self, batch: &Batch, before: i64) -> AnyResult<()> {
        let mut panes: BTreeMap<Option<i64>, Vec<&Row>> = BTreeMap::new();
        for row in &batch.rows {
            for pane in self.panes_of(row, before) {
                panes.entry(pane).or_default().push(row);
            }
        }
        panes
            .into_iter()
            .try_for_each(|(pane, rows)| self.add_pane(pane, &rows, batch.input))
    }

    fn panes_of(&self, row: &Row, before: i64) -> Vec<Option<i64>> {
        let case = self.case;
        let is_open =
            |w: &Bounds| case.mode == OutputMode::Complete || w.is_none() || end(*w) > before;
        let mut open = case.windows_at(row.time);
        open.retain(is_open);
        match self.window {
            Some(window) if !self.unpaned && !open.is_empty() => {
                vec![Some(window.pane_of(row.time))]
            }
            // A window is its own pane, known by the bound that tells it from others.
            Some(window) => open
                .into_iter()
                .map(|w| match window.told_by() {
                    Bound::Start => w.map(|(start, _)| start),
                    Bound::End => w.map(|(_, end)| end),
                })
                .collect(),
            None => open.iter().map(|_| None).collect(),
        }
    }

    fn add_pane(&mut self, pane: Option<i64>, rows: &[&Row], input: Input) -> AnyResult<()> {
        let batch = batch(rows);
        let keys = &batch.columns()[..self.case.keys];
        let (arguments, filters) = evaluated(&self.case.kinds, &batch);
        if input == Input::Rows {
            return self
                .state
                .update(pane, keys, rows.len(), &arguments, &filters);
        }
        let mut groups: Vec<usize> = Vec::new();
        let mut firsts: Vec<&Row> = Vec::new();
        for row in rows {
            let key = self.case.key(row);
            let known = firsts.iter().position(|first| self.case.key(first) == key);
            groups.push(known.unwrap_or_else(|| {
                firsts.push(row);
                firsts.len() - 1
            }));
        }
        let mut partial = self.spec.accumulators()?;
        for ((accumulator, arguments), filter) in partial.iter_mut().zip(&arguments).zip(&filters) {
            accumulator.update_batch(arguments, &groups, filter.as_ref(), firsts.len())?;
        }
        let states = self.spec.take_states(&mut partial, firsts.len())?;
        let firsts_batch = self::batch(&firsts);
        let keys = &firsts_batch.columns()[..self.case.keys];
        self.state.merge(pane, keys, firsts.len(), &states)
    }
}

/// `k VARCHAR, n BIGINT` and the values.
pub(super) fn input_schema() -> SchemaRef {
    let mut fields = vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("n", DataType::Int64, true),
    ];
    fields.extend(value_fields());
    Arc::new(Schema::new(fields))
}

/// Rows as a batch.
pub(super) fn batch(rows: &[&Row]) -> RecordBatch {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringViewArray::from_iter(
            rows.iter().map(|r| r.k.as_deref()),
        )),
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.n))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|r| r.values.x))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.values.y))),
        Arc::new(StringViewArray::from_iter(
            rows.iter().map(|r| r.values.s.as_deref()),
        )),
    ];
    RecordBatch::try_new(input_schema(), columns).unwrap()
}

/// Results as text.
pub(super) fn result_rows(result: &WindowResult) -> Vec<ResultRow> {
    let options = FormatOptions::new().with_null("NULL");
    let texts = |columns: &[ArrayRef], row: usize| -> Vec<String> {
        let formatter = |c| ArrayFormatter::try_new(c, &options).unwrap();
        columns
            .iter()
            .map(|c| formatter(c.as_ref()).value(row).to_string())
            .collect()
    };
    (0..result.rows)
        .map(|row| {
            let (keys, values) = (texts(&result.keys, row), texts(&result.values, row));
            let window = result.window.map(|w| (w.start_us, w.end_us));
            (window, keys, values)
        })
        .collect()
}
