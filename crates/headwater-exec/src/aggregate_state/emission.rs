//! What an epoch emits: results of a running aggregation or of windows put together from panes.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;
use datafusion_common::{Result, internal_err};

use super::{AggregateState, RUNNING, ResultBefore, WindowResult};
use crate::aggregate_spec::{Accumulators, AggregateSpec, Interner};
use crate::changelog::{WatermarkStep, WindowEmission};
use crate::group_table::{PlacesBefore, TableUndo};
use crate::window::{Window, WindowSpec};

impl AggregateState {
    /// The results that `emission` asks for, after an epoch that changed the given state rows. Those
    /// of the tables in `before` come with what they were.
    pub(super) fn emit(
        &mut self,
        emission: WindowEmission,
        step: WatermarkStep,
        changed: &[(i64, RecordBatch)],
        before: &[(i64, TableUndo)],
    ) -> Result<Vec<WindowResult>> {
        match self.window {
            None => self.emit_running(emission, changed, before),
            Some(window) => self.emit_windows(window, emission, step, changed, before),
        }
    }

    /// Results of a running aggregation.
    fn emit_running(
        &self,
        emission: WindowEmission,
        changed: &[(i64, RecordBatch)],
        before: &[(i64, TableUndo)],
    ) -> Result<Vec<WindowResult>> {
        match emission {
            // The plan check refuses append mode for a running aggregation: nothing ever closes.
            WindowEmission::Closed if !self.spec.aggregates().is_empty() => {
                internal_err!("a running aggregation cannot append")
            }
            // A group without aggregates is final when it is there.
            WindowEmission::Closed | WindowEmission::Changed => changed
                .iter()
                .map(|(pane, rows)| self.changed_rows(None, *pane, rows, before))
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
        before: &[(i64, TableUndo)],
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
            WindowEmission::Changed => {
                let changed = Changed {
                    rows: changed,
                    before,
                    places: match window.is_single_pane() {
                        true => BTreeMap::new(),
                        false => before.iter().map(|(p, undo)| (*p, undo.places())).collect(),
                    },
                };
                windows_of(&mut changed.rows.iter().map(|(pane, _)| *pane))
                    .into_iter()
                    .filter(|one| !step.had_closed(one.end_us))
                    .map(|one| self.changed_window(window, one, &changed))
                    .collect()
            }
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
        changed: &Changed<'_>,
    ) -> Result<WindowResult> {
        let is_part = |pane: i64| window.is_part(pane, one);
        let inside = changed.rows.iter().filter(|(pane, _)| is_part(*pane));
        let inside: Vec<_> = inside.collect();
        if window.is_single_pane()
            && let [(pane, rows)] = inside.as_slice()
        {
            return self.changed_rows(Some(one), *pane, rows, changed.before);
        }
        let mut keys = KeySet::try_new(&self.spec)?;
        for (_, rows) in &inside {
            keys.add(&rows.columns()[..self.spec.key_count()], rows.num_rows())?;
        }
        let key_count = keys.interner.len();
        let keys = keys.interner.take_keys()?;
        let none = BTreeMap::new();
        let (mut result, keys_now) = self.merged(window, one, &keys, key_count, &none)?;
        if changed.places.is_empty() {
            return Ok(result);
        }
        let places = &changed.places;
        let (rows, keys_before) = self.merged(window, one, &keys, key_count, places)?;
        let mut row_of_key = vec![0; key_count];
        for (row, key) in keys_now.iter().enumerate() {
            row_of_key[*key as usize] = row as u32;
        }
        let became = keys_before.iter().map(|key| row_of_key[*key as usize]);
        let became = became.collect();
        result.before = Some(Box::new(ResultBefore { rows, became }));
        Ok(result)
    }

    /// Results of some keys of a window, put together from its panes, and the numbers of the keys
    /// that have one. With the places of `before`, those that there were before the epoch.
    fn merged(
        &mut self,
        window: WindowSpec,
        one: Window,
        keys: &[ArrayRef],
        key_count: usize,
        before: &BTreeMap<i64, PlacesBefore>,
    ) -> Result<(WindowResult, Vec<u32>)> {
        let mut merge = KeyMerge::try_new(&self.spec, key_count)?;
        for pane in window.panes_of_window(one) {
            if let Some(table) = self.panes.get_mut(&pane) {
                let places = before.get(&pane);
                let (states, which) = table.states_of(&self.spec, keys, key_count, places)?;
                merge.add(&self.spec, &states, &which)?;
            }
        }
        merge.result(&self.spec, one, keys)
    }

    /// Evaluates the changed state rows of a pane.
    fn changed_rows(
        &self,
        window: Option<Window>,
        pane: i64,
        rows: &RecordBatch,
        before: &[(i64, TableUndo)],
    ) -> Result<WindowResult> {
        let mut result = self.evaluate_rows(window, rows.columns(), rows.num_rows())?;
        // Panes are in order.
        let at = before.binary_search_by_key(&pane, |(of, _)| *of);
        if let (Ok(at), Some(table)) = (at, self.panes.get(&pane)) {
            let undo = &before[at].1;
            let (columns, became) = table.rows_before(&self.spec, undo)?;
            if became.is_empty() {
                return Ok(result);
            }
            let rows = self.evaluate_rows(window, &columns, became.len())?;
            result.before = Some(Box::new(ResultBefore { rows, became }));
        }
        Ok(result)
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
            before: None,
        })
    }
}

/// What an epoch changed, by pane.
struct Changed<'a> {
    rows: &'a [(i64, RecordBatch)],
    /// What the tables were before, if that is asked for.
    before: &'a [(i64, TableUndo)],
    /// The same by group, where windows are put together from panes.
    places: BTreeMap<i64, PlacesBefore>,
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
            before: None,
        })
    }
}

/// Some keys of the panes of a window on their way to one result.
///
/// A pane need not have all of them. Accumulators take it that a group below the total has had a
/// row, so a key gets its group from the first pane that has it.
struct KeyMerge {
    /// Group of every key that was found.
    groups: Vec<Option<usize>>,
    /// Key of every group.
    found: Vec<u32>,
    accumulators: Accumulators,
}

impl KeyMerge {
    fn try_new(spec: &AggregateSpec, key_count: usize) -> Result<Self> {
        Ok(KeyMerge {
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

    /// The results of the given keys, and the numbers of those that were found.
    fn result(
        self,
        spec: &AggregateSpec,
        window: Window,
        keys: &[ArrayRef],
    ) -> Result<(WindowResult, Vec<u32>)> {
        let rows = self.found.len();
        let result = WindowResult {
            window: Some(window),
            keys: take_arrays(keys, &UInt32Array::from(self.found.clone()), None)?,
            values: spec.evaluate(self.accumulators, rows)?,
            rows,
            before: None,
        };
        Ok((result, self.found))
    }
}
