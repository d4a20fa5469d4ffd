//! Keys that no row has touched for the time to live, and how that is kept.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, take};
use datafusion_common::Result;

use headwater_core::event_time::EventTime;
use headwater_core::watermark::Watermark;

use super::{RunState, first_due};
use crate::keyed_runs::Slots;
use crate::keyed_runs::table::NEVER;

impl RunState {
    /// Forgets the keys whose time to live is over at the processing time of the epoch that has
    /// begun, before its rows are looked at. A run with rows that are due after `held_until`, if
    /// they are not out before, is not forgotten yet. Gives how many keys are forgotten.
    ///
    /// # Errors
    /// If runs cannot be gathered; the epoch can then only be rolled back.
    pub fn expire(&mut self, now: EventTime, held_until: Option<Watermark>) -> Result<u64> {
        if self.ttl.is_none() {
            return Ok(0);
        }
        let past_us = held_until.map_or(i64::MAX - 1, |watermark| watermark.micros());
        let groups = self.table.expired(now, past_us);
        let (rows, lengths) = self.table.rows_of(&groups)?;
        let waits_until = match held_until {
            None => vec![NEVER; groups.len()],
            Some(_) => first_due(&self.logic.due(&rows, past_us)?, &lengths, past_us),
        };
        let (mut at, mut firsts) = (0, vec![]);
        for (rows, until) in lengths.iter().zip(&waits_until) {
            if *until == NEVER {
                firsts.push(at);
            }
            at += rows;
        }
        let firsts = UInt32Array::from(firsts);
        let keys = &rows.columns()[..self.key_schema.fields().len()];
        let keys = keys.iter().map(|key| Ok(take(key, &firsts, None)?));
        self.expired = keys.collect::<Result<_>>()?;
        self.expired_count = firsts.len();
        self.table.forget(&groups, &waits_until, now, past_us);
        Ok(firsts.len() as u64)
    }

    /// Keys that are gone: those of some slots, and those that were forgotten.
    pub(super) fn removed(
        &self,
        slots: &Slots,
        removed: Vec<u32>,
    ) -> Result<(Vec<ArrayRef>, usize)> {
        let count = removed.len() + self.expired_count;
        let removed = UInt32Array::from(removed);
        let of_slots = slots.keys.iter().map(|k| Ok(take(k, &removed, None)?));
        let of_slots = of_slots.collect::<Result<Vec<_>>>()?;
        if self.expired_count == 0 {
            return Ok((of_slots, count));
        }
        let both = of_slots.iter().zip(&self.expired);
        let both = both.map(|(slots, expired)| {
            let pieces: [&dyn Array; 2] = [slots.as_ref(), expired.as_ref()];
            Ok(concat(&pieces)?)
        });
        Ok((both.collect::<Result<_>>()?, count))
    }

    /// Notes that rows have touched the keys of the first slots and those without a slot. Gives
    /// the rows that are written, which are those of the changed runs and those of keys that were
    /// only touched, and what is noted for each of them.
    pub(super) fn touch(
        &mut self,
        by_rows: usize,
        lengths: &[Option<u32>],
        rows: RecordBatch,
        changed: &[(u32, u32)],
    ) -> Result<(RecordBatch, Vec<i64>)> {
        if self.ttl.is_none() {
            return Ok((rows, vec![]));
        }
        let mut refreshed = self.refreshed.clone();
        for (group, new) in self.touched.iter().zip(lengths).take(by_rows) {
            if self.table.rows_in(*group as usize) > 0 && self.table.touch(*group) && new.is_none()
            {
                refreshed.push(*group);
            }
        }
        let mut touched = self.table.touched_by_row(changed.iter().copied());
        if refreshed.is_empty() {
            return Ok((rows, touched));
        }
        let (kept, kept_lengths) = self.table.rows_of(&refreshed)?;
        let kept_runs = refreshed.iter().copied().zip(kept_lengths);
        touched.extend(self.table.touched_by_row(kept_runs));
        let schema = Arc::clone(self.logic.schema());
        Ok((concat_batches(&schema, &[rows, kept])?, touched))
    }
}
