//! State of one shard of an incremental aggregation: a table per pane, and what an epoch emits.
//!
//! A running aggregation (no window) is one table that is never dropped. If it has a time to live,
//! a row of state is stored with the bucket in which its group was touched in place of its pane, and
//! a bucket is dropped as a pane is, see [`crate::idle_keys`].

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::{DataFusionError, Result, internal_datafusion_err, internal_err};

use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::{ChunkKind, OperatorState, StateChunk};

use crate::aggregate_spec::AggregateSpec;
use crate::changelog::{WatermarkStep, window_policy};
use crate::group_table::{GroupTable, IdleChange, KnownGroups, Rows, TableUndo};
use crate::idle_keys::StateTtl;
use crate::view_buffers::owning_rows;
use crate::window::{Window, WindowSpec};

mod emission;
mod idle;

#[cfg(test)]
mod tests;

/// The pane of a running aggregation.
const RUNNING: i64 = 0;

/// State rows by pane, in order.
type PaneRows = Vec<(i64, RecordBatch)>;

/// What it takes to undo an epoch, by pane.
type PaneUndo = Vec<(i64, TableUndo)>;

/// Results of one window, or of the running aggregation.
#[derive(Debug)]
pub struct WindowResult {
    /// The window; `None` for a running aggregation.
    pub window: Option<Window>,
    /// Key columns.
    pub keys: Vec<ArrayRef>,
    /// One column per aggregate.
    pub values: Vec<ArrayRef>,
    /// Number of rows, also when there is no column.
    pub rows: usize,
    /// What the rows were before the epoch, if that was asked for and some were there.
    pub before: Option<Box<ResultBefore>>,
}

/// What the rows of a result were before the epoch that changed them.
#[derive(Debug)]
pub struct ResultBefore {
    /// Those that were there.
    pub rows: WindowResult,
    /// Which row of the result each of them has become.
    pub became: Vec<u32>,
}

/// State of one shard.
#[derive(Debug)]
pub struct AggregateState {
    spec: Arc<AggregateSpec>,
    window: Option<WindowSpec>,
    /// How long groups are kept that no row touches; those of windows go with their panes.
    ttl: Option<StateTtl>,
    /// Whether changed results are given with what they were before.
    gives_before: bool,
    stored_schema: SchemaRef,
    panes: BTreeMap<i64, GroupTable>,
    version: Option<EpochId>,
    newest: Option<Newest>,
}

/// What the newest version changed, kept until it is durable.
#[derive(Debug)]
struct Newest {
    changed: PaneRows,
    undo: PaneUndo,
    dropped: Vec<(i64, GroupTable)>,
    idle: Option<IdleChange>,
}

impl AggregateState {
    /// Empty state.
    pub fn new(spec: Arc<AggregateSpec>, window: Option<WindowSpec>) -> Self {
        let mut fields = vec![Arc::new(Field::new("__pane", DataType::Int64, false))];
        fields.extend(spec.state_schema().fields().iter().cloned());
        AggregateState {
            spec,
            window,
            ttl: None,
            gives_before: false,
            stored_schema: Arc::new(Schema::new(fields)),
            panes: BTreeMap::new(),
            version: None,
            newest: None,
        }
    }

    /// Gives the results that an epoch changed with what they were before it.
    pub fn with_results_before(self, gives_before: bool) -> Self {
        AggregateState {
            gives_before,
            ..self
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
    /// `arguments` holds the argument columns of every aggregate, those of its ORDER BY behind
    /// them, and `filters` its FILTER; both in the order of the specification.
    ///
    /// # Errors
    /// If an accumulator does; the epoch can then only be rolled back.
    pub fn update(
        &mut self,
        pane_us: Option<i64>,
        keys: &[ArrayRef],
        rows: usize,
        arguments: &[Vec<ArrayRef>],
        filters: &[Option<BooleanArray>],
    ) -> Result<()> {
        self.add(pane_us, keys, rows, &Rows::Raw { arguments, filters })
    }

    /// Adds state rows of one pane, as a partial aggregation makes them: `states` holds the state
    /// columns of all aggregates, in the order of [`AggregateSpec::state_schema`].
    ///
    /// # Errors
    /// If an accumulator does; the epoch can then only be rolled back.
    pub fn merge(
        &mut self,
        pane_us: Option<i64>,
        keys: &[ArrayRef],
        rows: usize,
        states: &[ArrayRef],
    ) -> Result<()> {
        self.add(pane_us, keys, rows, &Rows::States(states))
    }

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

    /// Whether there are groups of no window, from an epoch before.
    pub(crate) fn has_running_groups(&self) -> bool {
        let table = self.panes.get(&RUNNING);
        self.version.is_some() && table.is_some_and(|table| table.live_groups() > 0)
    }

    fn table(&mut self, pane: i64) -> Result<&mut GroupTable> {
        // In update mode a window shows again what is seen in it again; without windows a group
        // without aggregates is shown once.
        let known_groups = if self.window.is_none() && self.spec.aggregates().is_empty() {
            KnownGroups::LeftAlone
        } else {
            KnownGroups::Touched
        };
        match self.panes.entry(pane) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let table = GroupTable::try_new(&self.spec, known_groups, self.ttl)?;
                Ok(entry.insert(table))
            }
        }
    }

    /// Ends the epoch: makes the new version and gives what the mode emits.
    ///
    /// # Errors
    /// If state cannot be gathered or evaluated; the state then is what it was before the epoch.
    pub fn finish(
        &mut self,
        epoch: EpochId,
        mode: OutputMode,
        step: WatermarkStep,
    ) -> Result<Vec<WindowResult>> {
        let policy = window_policy(mode);
        let (changed, undo) = self.seal()?;
        let before = match self.gives_before {
            true => undo.as_slice(),
            false => &[],
        };
        let emitted = self.emit(policy.emission, step, &changed, before);
        let (results, idle) = match emitted.and_then(|r| Ok((r, self.finish_idle()?))) {
            Ok(ended) => ended,
            Err(error) => {
                self.undo(undo);
                return Err(error);
            }
        };
        let finished = match self.window {
            Some(window) if policy.evicts => self.finished_panes(window, step),
            _ => vec![],
        };
        let dropped = finished.iter();
        let dropped = dropped
            .filter_map(|pane| self.panes.remove_entry(pane))
            .collect();
        self.newest = Some(Newest {
            changed,
            undo,
            dropped,
            idle,
        });
        self.version = Some(epoch);
        Ok(results)
    }

    /// Appends what the epoch added to its tables; all of them or, after an error, none.
    fn seal(&mut self) -> Result<(PaneRows, PaneUndo)> {
        let (mut changed, mut undo) = (PaneRows::new(), PaneUndo::new());
        for (pane, table) in &mut self.panes {
            match table.finish(&self.spec) {
                Ok(None) => {}
                Ok(Some((rows, table_undo))) => {
                    changed.push((*pane, rows));
                    undo.push((*pane, table_undo));
                }
                Err(error) => {
                    self.undo(undo);
                    return Err(error);
                }
            }
        }
        Ok((changed, undo))
    }

    fn undo(&mut self, undo: PaneUndo) {
        for (pane, undo) in undo {
            if let Some(table) = self.panes.get_mut(&pane) {
                table.undo(undo);
            }
        }
    }

    /// What a checkpoint needs of the newest epoch. Rows of a pane that it dropped are not written.
    fn delta_of(&self, newest: &Newest) -> Result<StateChunk> {
        if let Some(idle) = &newest.idle {
            return self.delta_of_touched(&newest.changed, idle);
        }
        let dropped_panes: Vec<i64> = newest.dropped.iter().map(|(pane, _)| *pane).collect();
        let kept = newest.changed.iter();
        let kept: Vec<_> = kept
            .filter(|(pane, _)| dropped_panes.binary_search(pane).is_err())
            .cloned()
            .collect();
        Ok(StateChunk {
            kind: ChunkKind::Delta,
            rows: self.stored(&kept)?,
            dropped_panes,
        })
    }

    /// Makes the group of a global running aggregation exist even if no row ever came;
    /// `arguments` are those of any one row.
    pub(crate) fn ensure_global_group(&mut self, arguments: &[Vec<ArrayRef>]) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        self.table(RUNNING)?.ensure_global_group(&spec, arguments)
    }

    /// Panes whose last window is finished, in order.
    fn finished_panes(&self, window: WindowSpec, step: WatermarkStep) -> Vec<i64> {
        let first_open = window.first_open_pane(step.after.micros());
        let finished = self.panes.range(..first_open);
        finished.map(|(pane, _)| *pane).collect()
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
        if self.ttl.is_some() {
            return self.restore_touched(panes.values(), &states, &chunk.dropped_panes);
        }
        let spec = Arc::clone(&self.spec);
        let mut start = 0;
        while start < panes.len() {
            let pane = panes.value(start);
            let run = panes.values()[start..]
                .iter()
                .take_while(|p| **p == pane)
                .count();
            // The panes of a snapshot would each hold the text of all of them.
            let rows = match run == panes.len() {
                true => states.clone(),
                false => owning_rows(&states.slice(start, run))?,
            };
            self.table(pane)?.restore(&spec, &rows, &[])?;
            start += run;
        }
        for pane in &chunk.dropped_panes {
            self.panes.remove(pane);
        }
        Ok(())
    }
}

pub(crate) fn misfit(found: &Schema, wanted: &Schema) -> DataFusionError {
    headwater_core::Error::checkpoint("the state in the checkpoint does not fit the query")
        .with_detail(format!(
            "It has the columns {found}, the query keeps {wanted}."
        ))
        .into()
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
            Some(newest) if self.version == Some(epoch) => Ok(self.delta_of(newest)?),
            _ => Err(no_version(epoch, self.version)),
        }
    }

    fn empty(&self) -> headwater_core::Result<Box<dyn OperatorState>> {
        let state = AggregateState::new(Arc::clone(&self.spec), self.window);
        let state = state.with_results_before(self.gives_before);
        Ok(Box::new(state.with_ttl(self.ttl)))
    }

    fn snapshot(&mut self) -> headwater_core::Result<StateChunk> {
        if self.ttl.is_some() {
            return Ok(self.snapshot_touched()?);
        }
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
        self.undo(newest.undo);
        self.undo_idle(newest.idle);
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
                    table.compact()?;
                }
            }
            self.drop_forgotten()?;
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

pub(crate) fn no_version(wanted: EpochId, found: Option<EpochId>) -> headwater_core::Error {
    let error: DataFusionError =
        internal_datafusion_err!("state of epoch {wanted} was asked for, it has {found:?}");
    headwater_core::Error::internal(error.strip_backtrace())
}
