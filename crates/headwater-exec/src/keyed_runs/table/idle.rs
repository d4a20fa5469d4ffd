//! Forgetting keys that no row has touched for the time to live.
//!
//! A run that still waits for the watermark is not forgotten before it is out: it waits in a
//! calendar of its own, which is derived from the runs and so need not be kept.

use std::collections::BTreeMap;

use headwater_core::event_time::EventTime;

use super::{NEVER, NOWHERE, Run, RunTable};
use crate::idle_keys::{IdleKeys, StateTtl, TouchUndo};

/// When the keys of a table were touched, and what the running epoch forgot.
#[derive(Debug)]
pub(super) struct IdleRuns {
    keys: IdleKeys,
    /// Expired groups by when their runs are out.
    waiting: BTreeMap<i64, Vec<u32>>,
    expired: Vec<(u32, Run, i64)>,
}

/// What it takes to undo what an epoch forgot and touched.
#[derive(Debug)]
pub(in crate::keyed_runs) struct IdleRunsUndo {
    expired: Vec<(u32, Run, i64)>,
    touched: TouchUndo,
}

impl IdleRuns {
    pub(super) fn new(ttl: StateTtl) -> Self {
        IdleRuns {
            keys: IdleKeys::new(ttl),
            waiting: BTreeMap::new(),
            expired: vec![],
        }
    }

    pub(super) fn note(&mut self, group: u32, touched_us: i64) {
        self.keys.note(group, touched_us);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let groups: usize = self.waiting.values().map(Vec::capacity).sum();
        let entries = self.waiting.len() * 2 * size_of::<(i64, Vec<u32>)>();
        self.keys.memory_bytes() + groups * size_of::<u32>() + entries
    }
}

impl RunTable {
    pub(super) fn ttl(&self) -> Option<StateTtl> {
        self.idle.as_ref().map(|idle| idle.keys.ttl())
    }

    /// Starts an epoch: the groups whose time to live is over and that may be out by now.
    pub(in crate::keyed_runs) fn expired(&mut self, now: EventTime, past_us: i64) -> Vec<u32> {
        let Some(idle) = &mut self.idle else {
            return vec![];
        };
        idle.keys.begin(now);
        let mut expired = idle.keys.expired(now);
        let waited = idle
            .waiting
            .range(..=past_us)
            .flat_map(|(_, groups)| groups);
        expired.extend(waited.filter(|group| idle.keys.has_expired(**group, now)));
        expired.sort_unstable();
        expired.dedup();
        expired.retain(|group| self.runs[*group as usize].chunk != NOWHERE);
        expired
    }

    /// Forgets the expired groups whose runs wait for nothing; `waits_until` says for each of them
    /// until when it waits, or [`NEVER`].
    pub(in crate::keyed_runs) fn forget(
        &mut self,
        groups: &[u32],
        waits_until: &[i64],
        now: EventTime,
        past_us: i64,
    ) {
        let Some(idle) = &mut self.idle else {
            return;
        };
        idle.keys.pass(now);
        idle.waiting = idle.waiting.split_off(&past_us.saturating_add(1));
        for (group, until) in groups.iter().zip(waits_until) {
            if *until != NEVER {
                idle.waiting.entry(*until).or_default().push(*group);
                continue;
            }
            let at = *group as usize;
            idle.keys.forget(*group);
            idle.expired
                .push((*group, self.runs[at], self.calendar.due(*group)));
        }
        for (group, until) in groups.iter().zip(waits_until) {
            if *until == NEVER {
                self.place(*group, Run::NONE, NEVER);
            }
        }
    }

    /// Notes that a row has touched a group. Gives whether that was not noted yet.
    pub(in crate::keyed_runs) fn touch(&mut self, group: u32) -> bool {
        let idle = self.idle.as_mut();
        idle.is_some_and(|idle| idle.keys.touch(group))
    }

    /// What is noted for every row of some runs, given by group and length; nothing if no key is
    /// ever forgotten.
    pub(in crate::keyed_runs) fn touched_by_row(
        &self,
        runs: impl Iterator<Item = (u32, u32)>,
    ) -> Vec<i64> {
        let Some(idle) = &self.idle else {
            return vec![];
        };
        let each = runs.map(|(group, rows)| (idle.keys.touched(group), rows as usize));
        each.flat_map(|(touched, rows)| std::iter::repeat_n(touched, rows))
            .collect()
    }

    /// What is noted for every row of [`RunTable::all_rows`].
    pub(in crate::keyed_runs) fn touched_of_all(&self) -> Vec<i64> {
        let length = |group: u32| (group, self.runs[group as usize].rows);
        if let Some(groups) = self.chunks.whole_groups(self.live_rows) {
            return self.touched_by_row(groups.iter().map(|group| length(*group)));
        }
        self.touched_by_row((0..self.runs.len() as u32).map(length))
    }

    /// Ends the epoch: what it takes to undo what it forgot and touched.
    pub(in crate::keyed_runs) fn finish_idle(&mut self) -> Option<IdleRunsUndo> {
        self.idle.as_mut().map(|idle| IdleRunsUndo {
            expired: std::mem::take(&mut idle.expired),
            touched: idle.keys.take_undo(),
        })
    }

    /// Undoes what an epoch forgot and touched; its runs are undone before.
    pub(in crate::keyed_runs) fn undo_idle(&mut self, undo: Option<IdleRunsUndo>) {
        let Some(undo) = undo else {
            return;
        };
        for (group, run, due) in undo.expired {
            self.place(group, run, due);
        }
        if let Some(idle) = &mut self.idle {
            idle.keys.undo(undo.touched);
        }
    }
}
