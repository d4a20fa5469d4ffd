//! State of one shard of an incremental aggregation: a table per pane, and what an epoch emits.
//!
//! A running aggregation (no window) is one table that is never dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result, internal_datafusion_err, internal_err};

use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::{ChunkKind, OperatorState, StateChunk};

use crate::aggregate_spec::{AggregateSpec, Interner};
use crate::changelog::{WatermarkStep, WindowEmission, window_policy};
use crate::group_table::{GroupTable, Rows, TableUndo};
use crate::window::WindowSpec;

/// The pane of a running aggregation.
const RUNNING: i64 = 0;

/// Results of one window, or of the running aggregation.
#[derive(Debug)]
pub struct WindowResult {
    /// Start of the window; `None` for a running aggregation.
    pub window_start_us: Option<i64>,
    /// Key columns.
    pub keys: Vec<ArrayRef>,
    /// One column per aggregate.
    pub values: Vec<ArrayRef>,
    /// Number of rows, also when there is no column.
    pub rows: usize,
}

/// State of one shard.
#[derive(Debug)]
pub struct AggregateState {
    spec: Arc<AggregateSpec>,
    window: Option<WindowSpec>,
    stored_schema: SchemaRef,
    panes: BTreeMap<i64, GroupTable>,
    version: Option<EpochId>,
    newest: Option<Newest>,
}

/// What the newest version changed, kept until it is durable.
#[derive(Debug)]
struct Newest {
    delta: StateChunk,
    undo: Vec<(i64, TableUndo)>,
    dropped: Vec<(i64, GroupTable)>,
}

impl AggregateState {
    /// Empty state.
    pub fn new(spec: Arc<AggregateSpec>, window: Option<WindowSpec>) -> Self {
        let mut fields = vec![Arc::new(Field::new("__pane", DataType::Int64, false))];
        fields.extend(spec.state_schema().fields().iter().cloned());
        AggregateState {
            spec,
            window,
            stored_schema: Arc::new(Schema::new(fields)),
            panes: BTreeMap::new(),
            version: None,
            newest: None,
        }
    }

    /// Starts an epoch on version `epoch − 1`; what a failed attempt left is forgotten.
    ///
    /// # Errors
    /// If the state has another version: the engine must roll back or restore first.
    pub fn begin(&mut self, epoch: EpochId) -> Result<()> {
        if self.version != epoch.previous() {
            return internal_err!(
                "state has version {:?} and cannot take epoch {epoch}",
                self.version
            );
        }
        for table in self.panes.values_mut() {
            table.abandon();
        }
        Ok(())
    }

    /// Adds rows of one pane; `None` for a running aggregation.
    pub(crate) fn add(
        &mut self,
        pane_us: Option<i64>,
        keys: &[ArrayRef],
        rows: usize,
        values: &Rows<'_>,
    ) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        self.table(pane_us.unwrap_or(RUNNING))?
            .add(&spec, keys, rows, values)
    }

    fn table(&mut self, pane: i64) -> Result<&mut GroupTable> {
        match self.panes.entry(pane) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                Ok(entry.insert(GroupTable::try_new(&self.spec)?))
            }
        }
    }

    /// Ends the epoch: makes the new version and gives what the mode emits.
    pub fn finish(
        &mut self,
        epoch: EpochId,
        mode: OutputMode,
        step: WatermarkStep,
    ) -> Result<Vec<WindowResult>> {
        let policy = window_policy(mode);
        let mut changed: Vec<(i64, RecordBatch)> = Vec::new();
        let mut undo = Vec::new();
        for (pane, table) in &mut self.panes {
            if let Some((rows, table_undo)) = table.finish(&self.spec)? {
                changed.push((*pane, rows));
                undo.push((*pane, table_undo));
            }
        }
        let results = match self.window {
            None => self.emit_running(policy.emission, &changed)?,
            Some(window) => self.emit_windows(window, policy.emission, step, &changed)?,
        };
        let dropped = match self.window {
            Some(window) if policy.evicts => self.evict(window, step),
            _ => vec![],
        };
        // Rows of a pane that is gone again need not be written.
        changed.retain(|(pane, _)| !dropped.iter().any(|(gone, _)| gone == pane));
        let delta = StateChunk {
            kind: ChunkKind::Delta,
            rows: self.stored(&changed)?,
            dropped_panes: dropped.iter().map(|(pane, _)| *pane).collect(),
        };
        self.newest = Some(Newest {
            delta,
            undo,
            dropped,
        });
        self.version = Some(epoch);
        Ok(results)
    }

    /// Makes the group of a global running aggregation exist even if no row ever came.
    pub(crate) fn ensure_global_group(&mut self) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        self.table(RUNNING)?.ensure_global_group(&spec)
    }

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

    fn evict(&mut self, window: WindowSpec, step: WatermarkStep) -> Vec<(i64, GroupTable)> {
        let after = step.after.micros();
        let gone: Vec<i64> = self
            .panes
            .keys()
            .copied()
            .take_while(|pane| *pane < after)
            .filter(|pane| window.last_end_of_pane(*pane) <= after)
            .collect();
        gone.into_iter()
            .filter_map(|pane| self.panes.remove_entry(&pane))
            .collect()
    }

    /// State rows with their pane in front, as they are written.
    fn stored(&self, rows: &[(i64, RecordBatch)]) -> Result<RecordBatch> {
        let with_pane = rows
            .iter()
            .map(|(pane, rows)| {
                let panes = Int64Array::from_value(*pane, rows.num_rows());
                let mut columns: Vec<ArrayRef> = vec![Arc::new(panes)];
                columns.extend(rows.columns().iter().cloned());
                Ok(RecordBatch::try_new(
                    Arc::clone(&self.stored_schema),
                    columns,
                )?)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(concat_batches(&self.stored_schema, &with_pane)?)
    }

    fn restore_chunk(&mut self, chunk: &StateChunk) -> Result<()> {
        if chunk.rows.schema().fields().len() != self.stored_schema.fields().len() {
            return Err(misfit(&chunk.rows.schema(), &self.stored_schema));
        }
        let panes = chunk.rows.column(0).as_any().downcast_ref::<Int64Array>();
        let panes = panes.ok_or_else(|| misfit(&chunk.rows.schema(), &self.stored_schema))?;
        let states = chunk
            .rows
            .project(&(1..chunk.rows.num_columns()).collect::<Vec<_>>())?;
        let states = states
            .with_schema(Arc::clone(self.spec.state_schema()))
            .map_err(|_| misfit(&chunk.rows.schema(), &self.stored_schema))?;
        let spec = Arc::clone(&self.spec);
        let mut start = 0;
        while start < panes.len() {
            let pane = panes.value(start);
            let run = panes.values()[start..]
                .iter()
                .take_while(|p| **p == pane)
                .count();
            self.table(pane)?
                .restore(&spec, &states.slice(start, run))?;
            start += run;
        }
        for pane in &chunk.dropped_panes {
            self.panes.remove(pane);
        }
        Ok(())
    }
}

fn misfit(found: &Schema, wanted: &Schema) -> DataFusionError {
    headwater_core::Error::checkpoint("the state in the checkpoint does not fit the query")
        .with_detail(format!(
            "It has the columns {found}, the query keeps {wanted}."
        ))
        .into()
}

/// Several panes of a window on their way to one result.
struct WindowMerge {
    interner: Interner,
    accumulators: crate::aggregate_spec::Accumulators,
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

impl OperatorState for AggregateState {
    fn restore(
        &mut self,
        chunks: &[StateChunk],
        version: Option<EpochId>,
    ) -> headwater_core::Result<()> {
        self.panes.clear();
        self.newest = None;
        for chunk in chunks {
            if chunk.kind == ChunkKind::Snapshot {
                self.panes.clear();
            }
            self.restore_chunk(chunk)?;
        }
        self.version = version;
        Ok(())
    }

    fn delta(&mut self, epoch: EpochId) -> headwater_core::Result<StateChunk> {
        match &self.newest {
            Some(newest) if self.version == Some(epoch) => Ok(newest.delta.clone()),
            _ => Err(no_version(epoch, self.version)),
        }
    }

    fn snapshot(&mut self) -> headwater_core::Result<StateChunk> {
        let mut rows = Vec::with_capacity(self.panes.len());
        for (pane, table) in &self.panes {
            let columns = table.live_rows(&self.spec)?;
            rows.push((*pane, self.spec.state_batch(columns, table.live_groups())?));
        }
        let rows = self.stored(&rows)?;
        Ok(StateChunk {
            kind: ChunkKind::Snapshot,
            rows,
            dropped_panes: vec![],
        })
    }

    fn rollback(&mut self, to: Option<EpochId>) -> headwater_core::Result<()> {
        for table in self.panes.values_mut() {
            table.abandon();
        }
        if self.version == to {
            return Ok(());
        }
        let wanted = to.map_or(EpochId(0), EpochId::next);
        if self.version != Some(wanted) {
            return Err(no_version(wanted, self.version));
        }
        let newest = self
            .newest
            .take()
            .ok_or_else(|| no_version(wanted, self.version))?;
        self.panes.extend(newest.dropped);
        for (pane, undo) in newest.undo {
            if let Some(table) = self.panes.get_mut(&pane) {
                table.undo(undo);
            }
        }
        self.panes.retain(|_, table| table.live_groups() > 0);
        self.version = to;
        Ok(())
    }

    fn committed(&mut self, epoch: EpochId) -> headwater_core::Result<()> {
        if self.version != Some(epoch) {
            return Err(no_version(epoch, self.version));
        }
        if let Some(newest) = self.newest.take() {
            for (pane, _) in &newest.undo {
                if let Some(table) = self.panes.get_mut(pane) {
                    table.compact(&self.spec)?;
                }
            }
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.panes.values().map(GroupTable::memory_bytes).sum()
    }

    fn rows(&self) -> usize {
        self.panes.values().map(GroupTable::live_groups).sum()
    }
}

fn no_version(wanted: EpochId, found: Option<EpochId>) -> headwater_core::Error {
    let error: DataFusionError =
        internal_datafusion_err!("state of epoch {wanted} was asked for, it has {found:?}");
    headwater_core::Error::internal(error.strip_backtrace())
}
