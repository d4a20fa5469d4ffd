//! What an epoch emits: results of a running aggregation or of windows put together from panes.

use std::collections::BTreeSet;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;
use datafusion_common::{Result, internal_err};

use super::{AggregateState, RUNNING, WindowResult};
use crate::aggregate_spec::{Accumulators, AggregateSpec, Interner};
use crate::changelog::{WatermarkStep, WindowEmission};
use crate::window::{Window, WindowSpec};

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
            WindowEmission::Closed if !self.spec.aggregates().is_empty() => {
                internal_err!("a running aggregation cannot append")
            }
            // A group without aggregates is final when it is there.
            WindowEmission::Closed | WindowEmission::Changed => changed
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
        let windows_of = |panes: &mut dyn Iterator<Item = i64>| -> BTreeSet<Window> {
            panes
                .flat_map(|pane| window.windows_of_pane(pane))
                .collect()
        };
        match emission {
            WindowEmission::Closed => self
                .closing_windows(window, step)
                .into_iter()
                .filter_map(|one| self.whole_window(window, one).transpose())
                .collect(),
            WindowEmission::All => windows_of(&mut self.panes.keys().copied())
                .into_iter()
                .filter_map(|one| self.whole_window(window, one).transpose())
                .collect(),
            WindowEmission::Changed => windows_of(&mut changed.iter().map(|(pane, _)| *pane))
                .into_iter()
                .filter(|one| !step.had_closed(one.end_us))
                .map(|one| self.changed_window(window, one, changed))
                .collect(),
        }
    }

    /// The windows with a pane that this epoch finishes, in order. Takes as long as there are panes
    /// and finished windows: the windows that stay open are not looked at.
    fn closing_windows(&self, window: WindowSpec, step: WatermarkStep) -> Vec<Window> {
        let (before, after) = (step.before.micros(), step.after.micros());
        let mut found: Vec<Window> = Vec::new();
        if after <= before {
            return found;
        }
        for pane in self.panes.range(..=after).map(|(pane, _)| *pane) {
            // Panes are in order, and so are their windows: what an earlier pane has is behind.
            let (known, last) = (found.len(), found.last().copied());
            let ending = window.windows_of_pane_ending(pane, before, after);
            found.extend(ending.take_while(|one| last.is_none_or(|last| *one > last)));
            found[known..].reverse();
        }
        found
    }

    /// All keys of a window; `None` if no pane of it has a group.
    fn whole_window(&self, window: WindowSpec, one: Window) -> Result<Option<WindowResult>> {
        let mut tables = window
            .panes_of_window(one)
            .filter_map(|pane| self.panes.get(&pane))
            .filter(|table| table.live_groups() > 0);
        let Some(first) = tables.next() else {
            return Ok(None);
        };
        let Some(second) = tables.next() else {
            let columns = first.live_rows(&self.spec)?;
            return Ok(Some(self.evaluate_rows(
                Some(one),
                &columns,
                first.live_groups(),
            )?));
        };
        let mut merge = PaneMerge::try_new(&self.spec)?;
        for table in [first, second].into_iter().chain(tables) {
            merge.add(
                &self.spec,
                &table.live_rows(&self.spec)?,
                table.live_groups(),
            )?;
        }
        merge.result(&self.spec, one).map(Some)
    }

    /// Those keys of a window that this epoch changed in one of its panes.
    fn changed_window(
        &mut self,
        window: WindowSpec,
        one: Window,
        changed: &[(i64, RecordBatch)],
    ) -> Result<WindowResult> {
        let is_part = |pane: i64| window.is_part(pane, one);
        let inside: Vec<_> = changed.iter().filter(|(pane, _)| is_part(*pane)).collect();
        if window.is_single_pane()
            && let [(_, rows)] = inside.as_slice()
        {
            return self.evaluate_rows(Some(one), rows.columns(), rows.num_rows());
        }
        let mut keys = KeySet::try_new(&self.spec)?;
        for (_, rows) in &inside {
            keys.add(&rows.columns()[..self.spec.key_count()], rows.num_rows())?;
        }
        let mut merge = KeyMerge::try_new(&self.spec, keys)?;
        for pane in window.panes_of_window(one) {
            if let Some(table) = self.panes.get_mut(&pane) {
                let (states, which) = table.states_of(&self.spec, &merge.keys, merge.key_count)?;
                merge.add(&self.spec, &states, &which)?;
            }
        }
        merge.result(&self.spec, one)
    }

    /// Evaluates state rows, one group each.
    fn evaluate_rows(
        &self,
        window: Option<Window>,
        columns: &[ArrayRef],
        rows: usize,
    ) -> Result<WindowResult> {
        let (keys, states) = columns.split_at(self.spec.key_count());
        let mut accumulators = self.spec.accumulators()?;
        let groups: Vec<usize> = (0..rows).collect();
        self.spec.merge(&mut accumulators, states, &groups, rows)?;
        let values = self.spec.evaluate(accumulators, rows)?;
        Ok(WindowResult {
            window,
            keys: keys.to_vec(),
            values,
            rows,
        })
    }
}

/// Distinct keys, numbered from 0 in the order of their first row.
struct KeySet {
    interner: Interner,
    scratch: Vec<usize>,
}

impl KeySet {
    fn try_new(spec: &AggregateSpec) -> Result<Self> {
        Ok(KeySet {
            interner: Interner::try_new(spec.key_schema())?,
            scratch: Vec::new(),
        })
    }

    /// Adds the keys of some rows; their numbers are in `scratch`.
    fn add(&mut self, keys: &[ArrayRef], rows: usize) -> Result<()> {
        self.interner.intern(keys, rows, &mut self.scratch)
    }
}

/// Whole panes of a window on their way to one result.
struct PaneMerge {
    keys: KeySet,
    accumulators: Accumulators,
}

impl PaneMerge {
    fn try_new(spec: &AggregateSpec) -> Result<Self> {
        Ok(PaneMerge {
            keys: KeySet::try_new(spec)?,
            accumulators: spec.accumulators()?,
        })
    }

    fn add(&mut self, spec: &AggregateSpec, columns: &[ArrayRef], rows: usize) -> Result<()> {
        let (keys, states) = columns.split_at(spec.key_count());
        self.keys.add(keys, rows)?;
        let total = self.keys.interner.len();
        spec.merge(&mut self.accumulators, states, &self.keys.scratch, total)
    }

    fn result(self, spec: &AggregateSpec, window: Window) -> Result<WindowResult> {
        let rows = self.keys.interner.len();
        Ok(WindowResult {
            window: Some(window),
            keys: self.keys.interner.take_keys()?,
            values: spec.evaluate(self.accumulators, rows)?,
            rows,
        })
    }
}

/// Some keys of the panes of a window on their way to one result.
///
/// A pane need not have all of them. Accumulators take it that a group below the total has had a
/// row, so a key gets its group from the first pane that has it.
struct KeyMerge {
    keys: Vec<ArrayRef>,
    key_count: usize,
    /// Group of every key that was found.
    groups: Vec<Option<usize>>,
    /// Key of every group.
    found: Vec<u32>,
    accumulators: Accumulators,
}

impl KeyMerge {
    fn try_new(spec: &AggregateSpec, keys: KeySet) -> Result<Self> {
        let key_count = keys.interner.len();
        Ok(KeyMerge {
            keys: keys.interner.take_keys()?,
            key_count,
            groups: vec![None; key_count],
            found: Vec::with_capacity(key_count),
            accumulators: spec.accumulators()?,
        })
    }

    /// Adds state rows, row `i` of the key with number `which[i]`.
    fn add(&mut self, spec: &AggregateSpec, states: &[ArrayRef], which: &[usize]) -> Result<()> {
        if which.is_empty() {
            return Ok(());
        }
        let mut groups = Vec::with_capacity(which.len());
        for key in which {
            let group = self.groups[*key].unwrap_or(self.found.len());
            if group == self.found.len() {
                self.groups[*key] = Some(group);
                self.found.push(*key as u32);
            }
            groups.push(group);
        }
        spec.merge(&mut self.accumulators, states, &groups, self.found.len())
    }

    fn result(self, spec: &AggregateSpec, window: Window) -> Result<WindowResult> {
        let rows = self.found.len();
        Ok(WindowResult {
            window: Some(window),
            keys: take_arrays(&self.keys, &UInt32Array::from(self.found), None)?,
            values: spec.evaluate(self.accumulators, rows)?,
            rows,
        })
    }
}
