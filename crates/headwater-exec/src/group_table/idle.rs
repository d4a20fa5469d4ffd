//! Forgetting groups that no row has touched for the time to live.
//!
//! An epoch forgets before it adds: a group that comes after its time begins anew. What is
//! forgotten is whole buckets of groups (see [`crate::idle_keys`]), so a delta names the buckets and
//! no group; every row of state is written with its group's bucket.

use arrow::array::RecordBatch;
use datafusion_common::Result;

use headwater_core::event_time::EventTime;

use super::columns::gather;
use super::{GroupTable, Place};
use crate::aggregate_spec::AggregateSpec;
use crate::idle_keys::{IdleKeys, StateTtl, TouchUndo};
use crate::view_buffers::owning;

/// Groups below this number are not worth forgetting for good.
const FEW_GROUPS: usize = 1_024;

/// When the groups of a table were touched, and what the running epoch forgot.
#[derive(Debug)]
pub(super) struct IdleGroups {
    keys: IdleKeys,
    expired: Vec<(u32, Place)>,
    buckets: Vec<i64>,
    /// Known groups that the running epoch touches and does not change.
    refreshed: Vec<u32>,
}

/// What the newest epoch did to a table besides its rows.
#[derive(Debug)]
pub(crate) struct IdleChange {
    /// State rows of groups that were touched and not changed.
    pub(crate) refreshed: RecordBatch,
    /// The bucket of all groups that were touched.
    pub(crate) now_us: i64,
    /// Buckets whose groups are forgotten, in order.
    pub(crate) dropped: Vec<i64>,
    undo: IdleUndo,
}

#[derive(Debug)]
struct IdleUndo {
    expired: Vec<(u32, Place)>,
    touched: TouchUndo,
}

impl IdleGroups {
    pub(super) fn new(ttl: StateTtl) -> Self {
        IdleGroups {
            keys: IdleKeys::new(ttl),
            expired: vec![],
            buckets: vec![],
            refreshed: vec![],
        }
    }

    /// Notes that a row has touched a group that it does not change.
    pub(super) fn refresh(&mut self, group: u32) {
        if self.keys.touch(group) {
            self.refreshed.push(group);
        }
    }

    /// Notes that rows have touched groups.
    pub(super) fn touch(&mut self, groups: &[u32]) {
        for group in groups {
            self.keys.touch(*group);
        }
    }

    /// Notes when groups were touched.
    pub(super) fn note(&mut self, groups: &[u32], touched: &[i64]) {
        for (group, touched) in groups.iter().zip(touched) {
            self.keys.note(*group, *touched);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.keys.memory_bytes()
    }
}

impl GroupTable {
    /// Starts an epoch: forgets the groups whose time to live is over, and says how many.
    pub(crate) fn expire(&mut self, now: EventTime) -> u64 {
        let Some(idle) = &mut self.idle else {
            return 0;
        };
        idle.keys.begin(now);
        let groups = idle.keys.expired(now);
        for group in &groups {
            idle.buckets.push(idle.keys.touched(*group));
            idle.keys.forget(*group);
        }
        idle.buckets.sort_unstable();
        idle.buckets.dedup();
        idle.keys.pass(now);
        let expired = groups.into_iter();
        let expired: Vec<_> = expired
            .map(|group| (group, self.move_to(group, Place::NONE)))
            .collect();
        let had_state = expired.iter().filter(|(_, place)| !place.is_none());
        let had_state = had_state.count() as u64;
        if let Some(idle) = &mut self.idle {
            idle.expired.extend(expired);
        }
        had_state
    }

    /// Ends the epoch: what it did besides its rows. `None` if nothing is ever forgotten.
    pub(crate) fn finish_idle(&mut self, spec: &AggregateSpec) -> Result<Option<IdleChange>> {
        let Some(idle) = &self.idle else {
            return Ok(None);
        };
        let places = idle.refreshed.iter();
        let places: Vec<_> = places
            .map(|g| self.groups[*g as usize].place.indices())
            .collect();
        let refreshed = self.rows_at(spec, &places)?;
        let Some(idle) = &mut self.idle else {
            return Ok(None);
        };
        idle.refreshed.clear();
        Ok(Some(IdleChange {
            refreshed,
            now_us: idle.keys.now_us(),
            dropped: std::mem::take(&mut idle.buckets),
            undo: IdleUndo {
                expired: std::mem::take(&mut idle.expired),
                touched: idle.keys.take_undo(),
            },
        }))
    }

    /// Brings back what the running epoch forgot.
    pub(super) fn abandon_idle(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.refreshed.clear();
            idle.buckets.clear();
            let undo = IdleUndo {
                expired: std::mem::take(&mut idle.expired),
                touched: idle.keys.take_undo(),
            };
            self.bring_back(undo);
        }
    }

    /// Undoes what the newest epoch did besides its rows; those are undone before.
    pub(crate) fn undo_idle(&mut self, change: IdleChange) {
        self.bring_back(change.undo);
    }

    fn bring_back(&mut self, undo: IdleUndo) {
        for (group, place) in undo.expired {
            self.move_to(group, place);
        }
        if let Some(idle) = &mut self.idle {
            idle.keys.undo(undo.touched);
        }
    }

    /// Forgets the groups of buckets, as an epoch did before a restart.
    pub(crate) fn drop_buckets(&mut self, buckets: &[i64]) {
        let Some(idle) = &mut self.idle else {
            return;
        };
        let dropped = buckets.iter().flat_map(|b| idle.keys.drop_bucket(*b));
        let dropped: Vec<u32> = dropped.collect();
        for group in dropped {
            self.move_to(group, Place::NONE);
        }
    }

    /// All live state rows, and what is noted for their groups.
    pub(crate) fn live_rows_touched(
        &self,
        spec: &AggregateSpec,
    ) -> Result<(RecordBatch, Vec<i64>)> {
        let places = self.groups.iter().map(|group| group.place).enumerate();
        let live = places.filter(|(_, place)| !place.is_none());
        let (groups, places): (Vec<usize>, Vec<_>) =
            live.map(|(group, place)| (group, place.indices())).unzip();
        let touched = groups.into_iter().map(|group| {
            let idle = self.idle.as_ref();
            idle.map_or(0, |idle| idle.keys.touched(group as u32))
        });
        let touched = touched.collect();
        Ok((self.rows_at(spec, &places)?, touched))
    }

    fn rows_at(&self, spec: &AggregateSpec, places: &[(usize, usize)]) -> Result<RecordBatch> {
        let columns = gather(&self.chunks, 0, spec, places)?;
        let columns = columns.into_iter().map(owning).collect::<Result<_>>()?;
        spec.state_batch(columns, places.len())
    }

    /// Drops the keys of forgotten groups once they are the greater part. Must not be called while
    /// an epoch can still be undone.
    pub(crate) fn drop_forgotten(&mut self, spec: &AggregateSpec) -> Result<()> {
        let Some(idle) = &self.idle else {
            return Ok(());
        };
        if self.groups.len() <= FEW_GROUPS || self.groups.len() <= 2 * self.live {
            return Ok(());
        }
        let (rows, touched) = self.live_rows_touched(spec)?;
        let ttl = Some(idle.keys.ttl());
        let mut fresh = GroupTable::try_new(spec, self.known_groups, ttl)?;
        fresh.restore(spec, &rows, &touched)?;
        *self = fresh;
        Ok(())
    }
}
