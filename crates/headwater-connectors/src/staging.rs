//! What the partitions of an epoch wrote, held until the epoch is prepared, committed or aborted.
//!
//! Sinks that gather an epoch in memory share this: it is where "a second `write` replaces the
//! first" and "`abort` leaves no trace" are kept.

use std::collections::BTreeMap;

use headwater_core::id::EpochId;
use parking_lot::Mutex;

/// Values by epoch and partition.
#[derive(Debug)]
pub(crate) struct Staging<T> {
    epochs: Mutex<BTreeMap<EpochId, BTreeMap<usize, T>>>,
}

impl<T> Default for Staging<T> {
    fn default() -> Self {
        Staging {
            epochs: Mutex::default(),
        }
    }
}

impl<T> Staging<T> {
    /// Keeps what a partition wrote, in place of what it wrote before.
    pub(crate) fn put(&self, epoch: EpochId, partition: usize, value: T) {
        self.epochs
            .lock()
            .entry(epoch)
            .or_default()
            .insert(partition, value);
    }

    /// Takes an epoch out, in partition order; `None` if nothing of it is held.
    pub(crate) fn take(&self, epoch: EpochId) -> Option<Vec<T>> {
        let partitions = self.epochs.lock().remove(&epoch)?;
        Some(partitions.into_values().collect())
    }

    /// Forgets an epoch.
    pub(crate) fn discard(&self, epoch: EpochId) {
        self.epochs.lock().remove(&epoch);
    }

    /// Forgets the epochs after one, or all of them.
    pub(crate) fn discard_after(&self, last: Option<EpochId>) {
        self.epochs.lock().retain(|epoch, _| Some(*epoch) <= last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_write_replaces_the_first_and_partitions_come_in_order() {
        let staging = Staging::default();
        staging.put(EpochId(3), 1, "b");
        staging.put(EpochId(3), 0, "x");
        staging.put(EpochId(3), 0, "a");
        staging.put(EpochId(4), 0, "c");
        assert_eq!(staging.take(EpochId(3)), Some(vec!["a", "b"]));
        assert_eq!(staging.take(EpochId(3)), None);
        staging.discard(EpochId(4));
        assert_eq!(staging.take(EpochId(4)), None);
    }

    #[test]
    fn what_a_commit_holds_outlives_an_opening() {
        let staging = Staging::default();
        for epoch in 3..=6 {
            staging.put(EpochId(epoch), 0, epoch);
        }
        staging.discard_after(Some(EpochId(5)));
        let left = (3..=6).map(|epoch| staging.take(EpochId(epoch)).is_some());
        assert_eq!(left.collect::<Vec<_>>(), [true, true, true, false]);
        staging.put(EpochId(0), 0, 0);
        staging.discard_after(None);
        assert_eq!(staging.take(EpochId(0)), None);
    }
}
