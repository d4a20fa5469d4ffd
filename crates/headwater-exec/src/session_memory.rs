//! What the queries of a session hold together, and the limit that a user may set for it.
//!
//! | who | what is counted |
//! | --- | --- |
//! | sorts, joins, aggregations and shuffles of DataFusion | what they ask this pool for; most go on with files when they get no more |
//! | a streaming query | its state, what of it waits for a commit, and what its sources may fetch ahead |
//! | late rows and dead letters | those of one epoch, until they are written |
//!
//! What tables a streaming query keeps is not counted, nor what the process needs without any query.

use std::fmt;

use datafusion_common::{DataFusionError, Result};
use datafusion_execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use parking_lot::Mutex;

/// The memory of a session. Without a limit it only counts.
///
/// Who can go on with files gets an even share of what the others leave, and one more such share is
/// left: a sort takes about as much again to put in order what it writes, and cannot do without.
#[derive(Debug, Default)]
pub struct SessionMemory(Mutex<Account>);

#[derive(Debug, Default)]
struct Account {
    limit: Option<usize>,
    /// Bytes of those who can go on with files.
    movable: usize,
    /// How many these are.
    movers: usize,
    /// Bytes of everybody else.
    fixed: usize,
}

impl Account {
    fn reserved(&self) -> usize {
        self.movable.saturating_add(self.fixed)
    }

    /// The bytes of who is like this consumer.
    fn bytes_of(&mut self, consumer: &MemoryConsumer) -> &mut usize {
        match consumer.can_spill() {
            true => &mut self.movable,
            false => &mut self.fixed,
        }
    }

    /// What a consumer that holds `held` may hold.
    fn may_hold(&self, consumer: &MemoryConsumer, held: usize) -> usize {
        let Some(limit) = self.limit else {
            return usize::MAX;
        };
        let all_that_is_left = held.saturating_add(limit.saturating_sub(self.reserved()));
        match consumer.can_spill() {
            true => all_that_is_left.min(self.share(limit)),
            false => all_that_is_left,
        }
    }

    /// What one of those may hold who can go on with files.
    fn share(&self, limit: usize) -> usize {
        limit.saturating_sub(self.fixed) / (self.movers + 1)
    }
}

impl SessionMemory {
    /// Sets the limit in bytes, or takes it away, for everybody from now on. Who holds more than that
    /// keeps it, and gets no more.
    pub fn set_limit(&self, bytes: Option<usize>) {
        self.0.lock().limit = bytes;
    }

    /// The limit in bytes, if there is one.
    pub fn limit(&self) -> Option<usize> {
        self.0.lock().limit
    }
}

/// Why somebody gets no more.
fn refused(reservation: &MemoryReservation, more: usize, account: &Account) -> DataFusionError {
    let who = reservation.consumer().name();
    let held = reservation.size();
    let others = account.reserved().saturating_sub(held);
    let limit = account.limit.unwrap_or(usize::MAX);
    let share = account.share(limit);
    let [more, held, others, limit] = [more, held, others, limit].map(human_readable_size);
    let but = match reservation.consumer().can_spill() {
        true => format!("its share of them is {}", human_readable_size(share)),
        false => format!("{others} of them are held by others"),
    };
    DataFusionError::ResourcesExhausted(format!(
        "{who} holds {held} and needs {more} more, but 'memory-limit' is {limit} and {but}"
    ))
}

impl fmt::Display for SessionMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reserved = human_readable_size(self.reserved());
        match self.limit() {
            Some(limit) => write!(f, "{reserved} of {}", human_readable_size(limit)),
            None => write!(f, "{reserved}"),
        }
    }
}

impl MemoryPool for SessionMemory {
    fn name(&self) -> &'static str {
        "session"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.0.lock().movers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            let mut account = self.0.lock();
            account.movers = account.movers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let mut account = self.0.lock();
        let bytes = account.bytes_of(reservation.consumer());
        *bytes = bytes.saturating_add(additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let mut account = self.0.lock();
        let bytes = account.bytes_of(reservation.consumer());
        *bytes = bytes.saturating_sub(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut account = self.0.lock();
        let (consumer, held) = (reservation.consumer(), reservation.size());
        if held.saturating_add(additional) > account.may_hold(consumer, held) {
            return Err(refused(reservation, additional, &account));
        }
        *account.bytes_of(consumer) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.0.lock().reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        match self.limit() {
            Some(limit) => MemoryLimit::Finite(limit),
            None => MemoryLimit::Infinite,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn the_limit_is_of_all_together_and_can_change() {
        let memory = Arc::new(SessionMemory::default());
        let pool: Arc<dyn MemoryPool> = Arc::clone(&memory) as _;
        let one = MemoryConsumer::new("query \"one\"").register(&pool);
        let other = MemoryConsumer::new("a sort").register(&pool);
        one.try_grow(1 << 40).unwrap();
        one.shrink(1 << 40);
        memory.set_limit(Some(10 << 20));
        one.try_grow(4 << 20).unwrap();
        other.try_grow(5 << 20).unwrap();
        let refused = one.try_grow(2 << 20).unwrap_err();
        assert_eq!(
            refused.strip_backtrace(),
            "Resources exhausted: query \"one\" holds 4.0 MB and needs 2.0 MB more, but \
             'memory-limit' is 10.0 MB and 5.0 MB of them are held by others"
        );
        assert_eq!(one.size(), 4 << 20);
        drop(other);
        one.try_grow(2 << 20).unwrap();
        memory.set_limit(Some(1 << 20));
        assert!(one.try_grow(1).is_err(), "it keeps what it has");
        memory.set_limit(None);
        one.try_grow(1 << 40).unwrap();
        assert_eq!(pool.reserved(), (6 << 20) + (1 << 40));
    }
    #[test]
    fn who_can_go_on_with_files_leaves_room_for_the_others() {
        let memory = Arc::new(SessionMemory::default());
        memory.set_limit(Some(12 << 20));
        let pool: Arc<dyn MemoryPool> = Arc::clone(&memory) as _;
        let sorts = ["a", "b"].map(|name| {
            let sort = MemoryConsumer::new(name).with_can_spill(true);
            sort.register(&pool)
        });
        let merge = MemoryConsumer::new("a merge").register(&pool);
        merge.try_grow(2 << 20).unwrap();
        sorts[0].try_grow(3 << 20).unwrap();
        let refused = sorts[0].try_grow(2 << 20).unwrap_err();
        assert_eq!(
            refused.strip_backtrace(),
            "Resources exhausted: a holds 3.0 MB and needs 2.0 MB more, but 'memory-limit' is \
             12.0 MB and its share of them is 3.3 MB"
        );
        merge.try_grow(7 << 20).unwrap();
        sorts[1].try_grow(1 << 20).unwrap_err();
        merge.shrink(6 << 20);
        sorts[1].try_grow(3 << 20).unwrap();
        merge.try_grow(4 << 20).unwrap_err();
        drop(sorts);
        merge.try_grow(4 << 20).unwrap();
        assert_eq!(memory.to_string(), "7.0 MB of 12.0 MB");
    }
    #[test]
    fn those_who_come_later_do_not_go_over_the_limit() {
        let memory = Arc::new(SessionMemory::default());
        memory.set_limit(Some(12 << 20));
        let pool: Arc<dyn MemoryPool> = Arc::clone(&memory) as _;
        let mut sorts = vec![];
        for _ in 0..6 {
            let sort = MemoryConsumer::new("sort").with_can_spill(true);
            let sort = sort.register(&pool);
            while sort.try_grow(1 << 20).is_ok() {}
            assert!(pool.reserved() <= 12 << 20);
            sorts.push(sort);
        }
        assert_eq!(sorts[0].size(), 6 << 20);
        assert_eq!(pool.reserved(), 12 << 20);
    }
}
