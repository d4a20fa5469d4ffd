//! How the bytes of `prefetch.bytes` are shared out: between librdkafka's queues and our buffers,
//! and among partitions.
//!
//! ```text
//! prefetch.bytes ─┬─ 1/4  librdkafka's queues, one share per partition
//!                 ├─ 3/8  kept for every partition: its own share, whatever the others hold
//!                 └─ 3/8  common: whoever has more to read than its own share
//! ```
//! The kept part means that a busy partition can never stop a quiet one; the common part means
//! that a partition that is alone still gets most of the memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bytes_column::Pools;

/// Memory of records in our buffers.
#[derive(Debug)]
pub(crate) struct Budget {
    common_bytes: usize,
    kept_bytes: usize,
    held_bytes: AtomicUsize,
    pools: Pools,
}

/// Limits for librdkafka's own queues, for one partition each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueLimits {
    pub(crate) kbytes: usize,
    pub(crate) messages: usize,
    pub(crate) fetch_bytes: usize,
}

impl Budget {
    pub(crate) fn new(prefetch_bytes: usize) -> Self {
        Budget {
            common_bytes: prefetch_bytes / 8 * 3,
            kept_bytes: prefetch_bytes / 8 * 3,
            held_bytes: AtomicUsize::new(0),
            pools: Pools::default(),
        }
    }

    /// Where memory for records comes from.
    pub(crate) fn pools(&self) -> &Pools {
        &self.pools
    }

    pub(crate) fn add(&self, bytes: usize) {
        self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self, bytes: usize) {
        self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }

    /// Whether one of `partitions` partitions, which holds `own` bytes, may take more.
    pub(crate) fn has_room(&self, own_bytes: usize, partitions: usize) -> bool {
        own_bytes < self.kept_bytes / partitions.max(1)
            || self.held_bytes.load(Ordering::Relaxed) < self.common_bytes
    }
}

/// The limits that keep librdkafka's queues within a quarter of `prefetch_bytes`, and about the
/// messages that are wanted, if that is known.
pub(crate) fn queue_limits(
    prefetch_bytes: usize,
    partitions: usize,
    wanted: Option<usize>,
) -> QueueLimits {
    // For fewer messages than this, the smallest fetch is enough.
    const FEW_MESSAGES: usize = 1_000;
    const FETCH_BYTES_MIN: usize = 64 << 10;
    const FETCH_BYTES_MAX: usize = 1 << 20;
    // A message costs librdkafka about this much besides its bytes, which it does not count.
    const MESSAGE_OVERHEAD_BYTES: usize = 256;
    let share = (prefetch_bytes / 4 / partitions.max(1)).max(FETCH_BYTES_MIN);
    // Half the share, because a fetch that is under way when the limit is reached still comes.
    let kbytes = (share / 2 / 1024).clamp(32, 2_097_151);
    let messages = (share / MESSAGE_OVERHEAD_BYTES).clamp(1_000, 100_000);
    let fetch_bytes = match wanted {
        Some(wanted) if wanted < FEW_MESSAGES => FETCH_BYTES_MIN,
        _ => (share / 2).clamp(FETCH_BYTES_MIN, FETCH_BYTES_MAX),
    };
    QueueLimits {
        kbytes,
        messages: wanted.map_or(messages, |wanted| wanted.clamp(1, messages)),
        fetch_bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_partition_does_not_take_the_room_of_another() {
        let budget = Budget::new(800);
        budget.add(290);
        assert!(budget.has_room(290, 4), "the common part has room");
        budget.add(20);
        assert!(
            !budget.has_room(310, 4),
            "over the common part and over its share"
        );
        assert!(budget.has_room(0, 4), "a quiet one keeps its share");
        budget.remove(200);
        assert!(budget.has_room(110, 4));
    }

    #[test]
    fn the_limits_of_the_queues_shrink_with_more_partitions() {
        let few = queue_limits(64 << 20, 4, None);
        assert_eq!(
            (few.kbytes, few.messages, few.fetch_bytes),
            (2048, 16_384, 1 << 20)
        );
        let many = queue_limits(64 << 20, 64, None);
        assert_eq!(
            (many.kbytes, many.messages, many.fetch_bytes),
            (128, 1_024, 128 << 10)
        );
        assert!(queue_limits(1 << 20, 1000, None).kbytes >= 32);
    }

    #[test]
    fn no_more_is_fetched_than_about_what_is_wanted() {
        let limits = |wanted| {
            let limits = queue_limits(64 << 20, 4, Some(wanted));
            (limits.messages, limits.fetch_bytes)
        };
        assert_eq!(limits(0), (1, 64 << 10));
        assert_eq!(limits(10), (10, 64 << 10));
        assert_eq!(limits(8_192), (8_192, 1 << 20));
        assert_eq!(limits(1_000_000), (16_384, 1 << 20));
    }
}
