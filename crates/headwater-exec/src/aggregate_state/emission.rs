//! What an epoch emits: results of a running aggregation or of windows put together from panes.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion_common::{Result, internal_err};

use super::{AggregateState, RUNNING, WindowResult};
use crate::aggregate_spec::{Accumulators, AggregateSpec, Interner};
use crate::changelog::{WatermarkStep, WindowEmission};
use crate::window::WindowSpec;

impl AggregateState {
    /// The results that `emission` asks for, after an epoch that changed the given state rows.
    pub(super) fn emit(
        &mut self,
        emission: WindowEmission,
        step: WatermarkStep,
        changed: &[(i64, RecordBatch)],
    ) -> Result<Vec<WindowResult>> {
        match self.window {
            None => self.emit_running(emission, changed),
            Some(window) => self.emit_windows(window, emission, step, changed),
        }
    }

    /// Results of a running aggregation.
    fn emit_running(
        &self,
        emission: WindowEmission,
        changed: &[(i64, RecordBatch)],
    ) -> Result<Vec<WindowResult>> {
        match emission {
            // The plan check refuses append mode for a running aggregation: nothing ever closes.
            WindowEmission::Closed => internal_err!("a running aggregation cannot append"),
            WindowEmission::Changed => changed
                .iter()
                .map(|(_, rows)| self.evaluate_rows(None, rows.columns(), rows.num_rows()))
                .collect(),
            WindowEmission::All => {
                let Some(table) = self.panes.get(&RUNNING) else {
                    return Ok(vec![]);
                };
                let columns = table.live_rows(&self.spec)?;
                Ok(vec![self.evaluate_rows(
                    None,
                    &columns,
                    table.live_groups(),
                )?])
            }
        }
    }

    fn emit_windows(
        &mut self,
        window: WindowSpec,
        emission: WindowEmission,
        step: WatermarkStep,
        changed: &[(i64, RecordBatch)],
    ) -> Result<Vec<WindowResult>> {
        let windows_of = |panes: &mut dyn Iterator<Item = i64>| -> BTreeSet<i64> {
            panes
                .flat_map(|pane| window.windows_of_pane(pane))
                .collect()
        };
        match emission {
            WindowEmission::Closed => windows_of(&mut self.panes.keys().copied())
                .into_iter()
                .filter(|start| step.closes(window.end_of_window(*start)))
                .filter_map(|start| self.whole_window(window, start).transpose())
                .collect(),
            WindowEmission::All => windows_of(&mut self.panes.keys().copied())
                .into_iter()
                .filter_map(|start| self.whole_window(window, start).transpose())
                .collect(),
            WindowEmission::Changed => windows_of(&mut changed.iter().map(|(pane, _)| *pane))
                .into_iter()
                .filter(|start| !step.had_closed(window.end_of_window(*start)))
                .map(|start| self.changed_window(window, start, changed))
                .collect(),
        }
    }

    /// All keys of a window; `None` if no pane of it has a group.
    fn whole_window(&self, window: WindowSpec, start: i64) -> Result<Option<WindowResult>> {
        let mut tables = window
            .panes_of_window(start)
            .filter_map(|pane| self.panes.get(&pane))
            .filter(|table| table.live_groups() > 0);
        let Some(first) = tables.next() else {
            return Ok(None);
        };
        let Some(second) = tables.next() else {
            let columns = first.live_rows(&self.spec)?;
            return Ok(Some(self.evaluate_rows(
                Some(start),
                &columns,
                first.live_groups(),
            )?));
        };
        let mut merge = WindowMerge::try_new(&self.spec)?;
        for table in [first, second].into_iter().chain(tables) {
            merge.add(
                &self.spec,
                &table.live_rows(&self.spec)?,
                table.live_groups(),
            )?;
        }
        merge.result(&self.spec, start).map(Some)
    }

    /// Those keys of a window that this epoch changed in one of its panes.
    fn changed_window(
        &mut self,
        window: WindowSpec,
        start: i64,
        changed: &[(i64, RecordBatch)],
    ) -> Result<WindowResult> {
        let end = window.end_of_window(start);
        let inside: Vec<_> = changed
            .iter()
            .filter(|(pane, _)| *pane >= start && *pane < end)
            .collect();
        if window.is_single_pane()
            && let [(_, rows)] = inside.as_slice()
        {
            return self.evaluate_rows(Some(start), rows.columns(), rows.num_rows());
        }
        let mut merge = WindowMerge::try_new(&self.spec)?;
        for (_, rows) in &inside {
            merge.name_keys(&rows.columns()[..self.spec.key_count()], rows.num_rows())?;
        }
        let keys = merge.named_keys()?;
        for pane in window.panes_of_window(start) {
            if let Some(table) = self.panes.get_mut(&pane) {
                let rows = merge.groups;
                let (states, groups) = table.states_of(&self.spec, &keys, rows)?;
                merge.merge_states(&self.spec, &states, &groups)?;
            }
        }
        let rows = merge.groups;
        let values = self.spec.evaluate(merge.accumulators)?;
        Ok(WindowResult {
            window_start_us: Some(start),
            keys,
            values,
            rows,
        })
    }

    /// Evaluates state rows, one group each.
    fn evaluate_rows(
        &self,
        window_start_us: Option<i64>,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<WindowResult> {
        let (keys, states) = columns.split_at(self.spec.key_count());
        let mut accumulators = self.spec.accumulators()?;
        let groups: Vec<usize> = (0..rows).collect();
        self.spec.merge(&mut accumulators, states, &groups, rows)?;
        let values = self.spec.evaluate(accumulators)?;
        Ok(WindowResult {
            window_start_us,
            keys: keys.to_vec(),
            values,
            rows,
        })
    }
}

/// Several panes of a window on their way to one result.
struct WindowMerge {
    interner: Interner,
    accumulators: Accumulators,
    groups: usize,
    scratch: Vec<usize>,
}

impl WindowMerge {
    fn try_new(spec: &AggregateSpec) -> Result<Self> {
        Ok(WindowMerge {
            interner: Interner::try_new(spec.key_schema())?,
            accumulators: spec.accumulators()?,
            groups: 0,
            scratch: Vec::new(),
        })
    }

    /// Adds whole state rows.
    fn add(&mut self, spec: &AggregateSpec, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let (keys, states) = columns.split_at(spec.key_count());
        self.name_keys(keys, rows)?;
        spec.merge(&mut self.accumulators, states, &self.scratch, self.groups)
    }

    /// Gives keys a group; their ids are in `scratch`.
    fn name_keys(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.interner.intern(keys, rows, &mut self.scratch)?;
        self.groups = self.interner.len();
        Ok(())
    }

    /// Takes the keys named so far out; group `i` keeps its number.
    fn named_keys(&mut self) -> Result<Vec<ArrayRef>> {
        std::mem::replace(&mut self.interner, Interner::Global { seen: false }).take_keys()
    }

    fn merge_states(
        &mut self,
        spec: &AggregateSpec,
        states: &[ArrayRef],
        groups: &[usize],
    ) -> Result<()> {
        if groups.is_empty() {
            return Ok(());
        }
        spec.merge(&mut self.accumulators, states, groups, self.groups)
    }

    fn result(self, spec: &AggregateSpec, start: i64) -> Result<WindowResult> {
        Ok(WindowResult {
            window_start_us: Some(start),
            keys: self.interner.take_keys()?,
            values: spec.evaluate(self.accumulators)?,
            rows: self.groups,
        })
    }
}
