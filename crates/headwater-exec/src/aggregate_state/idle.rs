//! A running aggregation that forgets the groups that no row has touched for the time to live.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use datafusion_common::Result;

use headwater_core::event_time::EventTime;
use headwater_core::state::{ChunkKind, StateChunk};

use super::{AggregateState, RUNNING};
use crate::group_table::IdleChange;
use crate::idle_keys::StateTtl;

impl AggregateState {
    /// The same state, which forgets what no row touches. For running aggregations only: groups of
    /// windows go with their windows.
    #[must_use]
    pub fn with_ttl(mut self, ttl: Option<StateTtl>) -> Self {
        self.ttl = ttl.filter(|_| self.window.is_none());
        self
    }

    /// Forgets the groups whose time to live is over at the processing time of the epoch that has
    /// begun, before its rows are looked at. Gives how many they are.
    ///
    /// # Errors
    /// If keys of such types cannot be told apart.
    pub fn expire(&mut self, now: EventTime) -> Result<u64> {
        match self.ttl {
            None => Ok(0),
            Some(_) => Ok(self.table(RUNNING)?.expire(now)),
        }
    }

    pub(super) fn finish_idle(&mut self) -> Result<Option<IdleChange>> {
        match self.panes.get_mut(&RUNNING) {
            Some(table) if self.ttl.is_some() => table.finish_idle(&self.spec),
            _ => Ok(None),
        }
    }

    pub(super) fn undo_idle(&mut self, idle: Option<IdleChange>) {
        if let (Some(idle), Some(table)) = (idle, self.panes.get_mut(&RUNNING)) {
            table.undo_idle(idle);
        }
    }

    pub(super) fn drop_forgotten(&mut self) -> Result<()> {
        match self.panes.get_mut(&RUNNING) {
            Some(table) if self.ttl.is_some() => table.drop_forgotten(&self.spec),
            _ => Ok(()),
        }
    }

    /// What an epoch changed and touched, and the buckets that it dropped.
    pub(super) fn delta_of_touched(
        &self,
        changed: &[(i64, RecordBatch)],
        idle: &IdleChange,
    ) -> Result<StateChunk> {
        let changed = changed.iter().map(|(_, rows)| rows);
        let rows = changed.chain([&idle.refreshed]);
        let rows: Vec<_> = rows.map(|rows| (idle.now_us, rows.clone())).collect();
        Ok(StateChunk {
            kind: ChunkKind::Delta,
            rows: self.stored(&rows)?,
            dropped_panes: idle.dropped.clone(),
        })
    }

    pub(super) fn snapshot_touched(&self) -> Result<StateChunk> {
        let (rows, touched) = match self.panes.get(&RUNNING) {
            Some(table) => table.live_rows_touched(&self.spec)?,
            None => (
                RecordBatch::new_empty(Arc::clone(self.spec.state_schema())),
                vec![],
            ),
        };
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(touched))];
        columns.extend(rows.columns().iter().cloned());
        Ok(StateChunk {
            kind: ChunkKind::Snapshot,
            rows: RecordBatch::try_new(Arc::clone(&self.stored_schema), columns)?,
            dropped_panes: vec![],
        })
    }

    /// Buckets were dropped before rows were added.
    pub(super) fn restore_touched(
        &mut self,
        touched: &[i64],
        states: &RecordBatch,
        dropped: &[i64],
    ) -> Result<()> {
        let spec = Arc::clone(&self.spec);
        let table = self.table(RUNNING)?;
        table.drop_buckets(dropped);
        if states.num_rows() > 0 {
            table.restore(&spec, states, touched)?;
        }
        table.drop_forgotten(&spec)
    }
}
