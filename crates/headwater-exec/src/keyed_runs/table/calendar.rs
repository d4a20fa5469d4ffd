//! When the groups of a table are due.
//!
//! A session that goes on is due later with every epoch, and its keys are many. So a group that is
//! due later than it was keeps the entry it has, and is put where it belongs when the watermark
//! comes to that entry; only a group that is due earlier moves at once. A group thus has one entry
//! at most, whatever becomes of its run, and one that is moved on costs the watermark one look per
//! entry that it had.
//!
//! ```text
//! group      0      1      2
//! due      12:40  12:10  never
//! entries  12:10 → 0     12:10 → 1     12:20 → 2      never later than the group is due
//! ```

use std::collections::BTreeSet;

use super::NEVER;

/// Bytes of an entry: a node of the tree is about half full.
const ENTRY_BYTES: usize = 2 * size_of::<(i64, u32)>();

/// When a group is due, and where its entry is; [`NEVER`] if it has none.
#[derive(Debug, Clone, Copy)]
struct Date {
    due: i64,
    queued: i64,
}

/// Groups by the time at which they are due. See the module's page.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    dates: Vec<Date>,
    entries: BTreeSet<(i64, u32)>,
}

impl Calendar {
    /// So many groups; new ones are never due.
    pub(super) fn resize(&mut self, groups: usize) {
        let never = Date {
            due: NEVER,
            queued: NEVER,
        };
        self.dates.resize(groups, never);
    }

    /// When a group is due.
    #[inline]
    pub(super) fn due(&self, group: u32) -> i64 {
        self.dates[group as usize].due
    }

    /// Says when a group is due from now on.
    pub(super) fn set(&mut self, group: u32, due: i64) {
        let date = &mut self.dates[group as usize];
        date.due = due;
        if due < date.queued {
            if date.queued != NEVER {
                self.entries.remove(&(date.queued, group));
            }
            date.queued = due;
            self.entries.insert((due, group));
        }
    }

    /// Groups that are due at or before a time. They keep their entries: the epoch that asks may be
    /// undone.
    pub(super) fn due_until(&mut self, time_us: i64) -> Vec<u32> {
        let entries = self.entries.range(..=(time_us, u32::MAX));
        let (mut due, mut later) = (vec![], vec![]);
        for (_, group) in entries {
            match self.due(*group) {
                // The watermark of an input that has ended is as great.
                NEVER => later.push(*group),
                at if at <= time_us => due.push(*group),
                _ => later.push(*group),
            }
        }
        later.into_iter().for_each(|group| self.queue_again(group));
        due.sort_unstable();
        due
    }

    /// Puts the entries of the past where they belong.
    pub(super) fn pass(&mut self, past_us: i64) {
        let past = self.entries.range(..=(past_us, u32::MAX));
        let past: Vec<u32> = past.map(|(_, group)| *group).collect();
        past.into_iter().for_each(|group| self.queue_again(group));
    }

    fn queue_again(&mut self, group: u32) {
        let date = &mut self.dates[group as usize];
        self.entries.remove(&(date.queued, group));
        date.queued = date.due;
        if date.due != NEVER {
            self.entries.insert((date.due, group));
        }
    }

    /// No group is due any more.
    pub(super) fn clear(&mut self) {
        let groups = self.dates.len();
        *self = Calendar::default();
        self.resize(groups);
    }

    /// How many groups have an entry.
    pub(super) fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory held.
    pub(super) fn memory_bytes(&self) -> usize {
        self.dates.capacity() * size_of::<Date>() + self.entries.len() * ENTRY_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(due: &[i64]) -> Calendar {
        let mut calendar = Calendar::default();
        calendar.resize(due.len());
        for (group, due) in due.iter().enumerate() {
            calendar.set(group as u32, *due);
        }
        calendar
    }

    #[test]
    fn a_group_is_due_when_it_said_last() {
        let mut calendar = calendar(&[10, 20, 30, NEVER]);
        calendar.set(0, 25);
        calendar.set(2, 15);
        calendar.set(1, NEVER);
        assert_eq!(calendar.due_until(14), Vec::<u32>::new());
        assert_eq!(calendar.due_until(15), [2]);
        assert_eq!(calendar.due_until(24), [2], "it is due until it is told");
        assert_eq!(calendar.due_until(25), [0, 2]);
        calendar.set(0, 40);
        calendar.set(2, NEVER);
        calendar.pass(25);
        assert_eq!(calendar.due_until(39), Vec::<u32>::new());
        calendar.set(0, NEVER);
        assert_eq!(calendar.due_until(i64::MAX), Vec::<u32>::new());
        calendar.set(0, 50);
        assert_eq!(calendar.due_until(i64::MAX), [0]);
    }

    /// An epoch that is undone puts the old times back, whatever it moved meanwhile.
    #[test]
    fn a_group_that_is_due_as_before_is_found() {
        let mut calendar = calendar(&[10]);
        calendar.set(0, 50);
        assert_eq!(calendar.due_until(20), Vec::<u32>::new());
        calendar.set(0, 90);
        calendar.set(0, 10);
        assert_eq!(calendar.due_until(20), [0]);
    }

    #[test]
    fn a_group_has_one_entry_whatever_becomes_of_it() {
        let mut calendar = calendar(&[0; 8]);
        for at in 0..1_000i64 {
            for group in 0..8 {
                calendar.set(group, at + i64::from(group) * (at % 7) + 50);
            }
            calendar.due_until(at);
            calendar.pass(at);
            assert!(calendar.entries() <= 8);
        }
        assert_eq!(calendar.due_until(999).len(), 0);
        calendar.clear();
        assert_eq!(calendar.entries(), 0);
        assert_eq!(calendar.due_until(i64::MAX), Vec::<u32>::new());
    }
}
