//! Keys by when a row last touched them, so that state which nobody needs can be forgotten.
//!
//! ```text
//! touched   [ 12:00, 12:05, 12:00, 12:10 ]           by group
//! queue     12:00 → 0 2    12:05 → 1    12:10 → 1 3  an entry counts if the group still says so
//! ```
//!
//! Time is the processing time of epochs, which their records hold, so that an epoch that runs again
//! forgets the same. Times are rounded up to buckets of a 64th of the time to live: a key is kept
//! for the time to live at least and for a 64th more at most, a key that is touched all the time is
//! noted once per bucket, and an epoch looks at the buckets that have expired and at no others.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use headwater_core::duration::format_duration;
use headwater_core::event_time::EventTime;

/// A group that no row has touched.
const UNTOUCHED: i64 = i64::MIN;

/// Buckets of a time to live.
const BUCKETS: i64 = 64;

/// How long state is kept that no row touches, in processing time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StateTtl {
    us: i64,
}

impl StateTtl {
    /// A time to live. Shorter than a microsecond is a microsecond.
    pub fn new(ttl: Duration) -> Self {
        let us = i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX);
        StateTtl { us: us.max(1) }
    }

    /// What is noted for a key that is touched at a time: the end of its bucket.
    fn touched_at(self, now: EventTime) -> i64 {
        let bucket_us = (self.us / BUCKETS).max(1);
        let begins = now.0 - now.0.rem_euclid(bucket_us);
        begins.saturating_add(bucket_us)
    }

    /// The latest bucket that has expired at a time.
    fn expired_at(self, now: EventTime) -> i64 {
        now.0.saturating_sub(self.us)
    }
}

impl fmt::Display for StateTtl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ttl = Duration::from_micros(self.us.unsigned_abs());
        f.write_str(&format_duration(ttl))
    }
}

/// What it takes to undo what an epoch noted: groups and what was noted before, in order.
pub(crate) type TouchUndo = Vec<(u32, i64)>;

/// The groups of a table by when they were last touched. See the module's page.
#[derive(Debug)]
pub(crate) struct IdleKeys {
    ttl: StateTtl,
    touched: Vec<i64>,
    queue: BTreeMap<i64, Vec<u32>>,
    /// What is noted for groups that the running epoch touches.
    now_us: i64,
    undo: TouchUndo,
}

impl IdleKeys {
    pub(crate) fn new(ttl: StateTtl) -> Self {
        IdleKeys {
            ttl,
            touched: vec![],
            queue: BTreeMap::new(),
            now_us: UNTOUCHED,
            undo: vec![],
        }
    }

    pub(crate) fn ttl(&self) -> StateTtl {
        self.ttl
    }

    /// What is noted for groups that the running epoch touches.
    pub(crate) fn now_us(&self) -> i64 {
        self.now_us
    }

    /// What is noted for a group.
    pub(crate) fn touched(&self, group: u32) -> i64 {
        let noted = self.touched.get(group as usize);
        noted.copied().unwrap_or(UNTOUCHED)
    }

    /// Starts an epoch.
    pub(crate) fn begin(&mut self, now: EventTime) {
        self.now_us = self.ttl.touched_at(now);
    }

    /// Groups whose time to live is over.
    pub(crate) fn expired(&self, now: EventTime) -> Vec<u32> {
        let buckets = self.queue.range(..=self.ttl.expired_at(now));
        let entries = buckets.flat_map(|(at, groups)| groups.iter().map(move |g| (*at, *g)));
        let expired = entries.filter(|(at, group)| self.touched(*group) == *at);
        let mut expired: Vec<u32> = expired.map(|(_, group)| group).collect();
        expired.sort_unstable();
        expired.dedup();
        expired
    }

    /// Whether the time to live of a group is over.
    pub(crate) fn has_expired(&self, group: u32, now: EventTime) -> bool {
        let touched = self.touched(group);
        touched != UNTOUCHED && touched <= self.ttl.expired_at(now)
    }

    /// Looks at none of the expired groups again, unless an undo brings them back.
    pub(crate) fn pass(&mut self, now: EventTime) {
        let later = self.ttl.expired_at(now).saturating_add(1);
        self.queue = self.queue.split_off(&later);
    }

    /// Notes that the running epoch touches a group. Gives whether that was not noted yet.
    pub(crate) fn touch(&mut self, group: u32) -> bool {
        let before = self.touched(group);
        if before == self.now_us {
            return false;
        }
        self.undo.push((group, before));
        self.note(group, self.now_us);
        true
    }

    /// Notes that a group is gone.
    pub(crate) fn forget(&mut self, group: u32) {
        self.undo.push((group, self.touched(group)));
        self.note(group, UNTOUCHED);
    }

    /// Notes when a group was touched, for good.
    pub(crate) fn note(&mut self, group: u32, touched_us: i64) {
        let at = group as usize;
        if self.touched.len() <= at {
            self.touched.resize(at + 1, UNTOUCHED);
        }
        if touched_us != UNTOUCHED && self.touched[at] != touched_us {
            self.queue.entry(touched_us).or_default().push(group);
        }
        self.touched[at] = touched_us;
    }

    /// The groups of a bucket, which is dropped.
    pub(crate) fn drop_bucket(&mut self, bucket_us: i64) -> Vec<u32> {
        let groups = self.queue.remove(&bucket_us).unwrap_or_default();
        let mut dropped = vec![];
        for group in groups {
            if self.touched(group) == bucket_us {
                self.note(group, UNTOUCHED);
                dropped.push(group);
            }
        }
        dropped
    }

    /// Ends the epoch: what it takes to undo it.
    pub(crate) fn take_undo(&mut self) -> TouchUndo {
        std::mem::take(&mut self.undo)
    }

    /// Undoes the newest epoch.
    pub(crate) fn undo(&mut self, undo: TouchUndo) {
        for (group, before) in undo.into_iter().rev() {
            // Its entry may have been passed.
            self.note(group, UNTOUCHED);
            self.note(group, before);
        }
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let queued: usize = self.queue.values().map(Vec::capacity).sum();
        self.touched.capacity() * size_of::<i64>() + queued * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn keys(ttl_s: u64) -> IdleKeys {
        IdleKeys::new(StateTtl::new(Duration::from_secs(ttl_s)))
    }

    fn at(seconds: i64) -> EventTime {
        EventTime(seconds * SECOND)
    }

    #[test]
    fn a_key_lives_for_its_time_and_for_one_bucket_more_at_most() {
        for touched_us in [0, 1, 999_999, 1_000_000, 1_500_000, -1, -1_500_000] {
            let mut keys = keys(64);
            keys.begin(EventTime(touched_us));
            assert!(keys.touch(3));
            assert!(!keys.touch(3), "it was noted in this bucket");
            let lives = EventTime(touched_us + 64 * SECOND);
            assert_eq!(keys.expired(EventTime(lives.0 - 1)), Vec::<u32>::new());
            let gone = EventTime(lives.0 + SECOND);
            assert_eq!(keys.expired(gone), [3], "touched at {touched_us}");
        }
    }

    #[test]
    fn an_entry_counts_once_and_as_long_as_the_group_says_so() {
        let mut keys = keys(64);
        keys.begin(at(0));
        keys.touch(0);
        keys.touch(1);
        keys.take_undo();
        keys.begin(at(10));
        keys.touch(1);
        let undo = keys.take_undo();
        assert_eq!(keys.expired(at(70)), [0]);
        keys.undo(undo);
        assert_eq!(keys.expired(at(70)), [0, 1]);
        keys.pass(at(70));
        assert_eq!(keys.expired(at(70)), Vec::<u32>::new());
    }

    #[test]
    fn what_an_epoch_forgot_and_touched_again_can_be_undone() {
        let mut keys = keys(64);
        keys.begin(at(0));
        keys.touch(7);
        keys.take_undo();
        keys.begin(at(100));
        keys.forget(7);
        keys.pass(at(100));
        keys.touch(7);
        let undo = keys.take_undo();
        assert_eq!(keys.expired(at(100)), Vec::<u32>::new());
        keys.undo(undo);
        assert_eq!(keys.expired(at(100)), [7]);
    }
}
