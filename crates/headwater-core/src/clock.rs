//! Time behind a trait, so that tests can hold it still and move it.
//!
//! There are two kinds: wall-clock time (`now`), which names instants and may jump, and monotonic
//! time (`elapsed`), which measures. Timers are monotonic.

use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures::future::BoxFuture;
use tokio::sync::Notify;

use crate::event_time::EventTime;

/// Where headwater takes its time from.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> EventTime;
    /// Monotonic time since the clock was made.
    fn elapsed(&self) -> Duration;
    /// Completes after `duration` of monotonic time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this type is where the machine's time enters"
    )]
    pub fn new() -> Self {
        SystemClock {
            started: Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this type is where the machine's time enters"
    )]
    fn now(&self) -> EventTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        EventTime(crate::event_time::micros(since))
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "this type is where the machine's time enters"
    )]
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// A clock that moves only when it is told to. Sleepers wake when it has moved far enough.
#[derive(Debug, Clone)]
pub struct ManualClock {
    shared: Arc<ManualShared>,
}

#[derive(Debug)]
struct ManualShared {
    start: EventTime,
    elapsed: Mutex<Duration>,
    moved: Notify,
    sleepers: AtomicUsize,
}

/// Counts a sleeper while it lives.
struct Sleeper(Arc<ManualShared>);

impl Drop for Sleeper {
    fn drop(&mut self) {
        self.0.sleepers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: EventTime) -> Self {
        let shared = ManualShared {
            start,
            elapsed: Mutex::new(Duration::ZERO),
            moved: Notify::new(),
            sleepers: AtomicUsize::new(0),
        };
        ManualClock {
            shared: Arc::new(shared),
        }
    }

    /// How many are asleep.
    pub fn sleepers(&self) -> usize {
        self.shared.sleepers.load(Ordering::Relaxed)
    }

    /// Moves the clock forward and wakes the sleepers.
    pub fn advance(&self, by: Duration) {
        {
            let mut elapsed = self
                .shared
                .elapsed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            *elapsed += by;
        }
        self.shared.moved.notify_waiters();
    }
}

impl Clock for ManualClock {
    fn now(&self) -> EventTime {
        self.shared.start.plus(self.elapsed())
    }

    fn elapsed(&self) -> Duration {
        *self
            .shared
            .elapsed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let clock = self.clone();
        let until = self.elapsed() + duration;
        Box::pin(async move {
            clock.shared.sleepers.fetch_add(1, Ordering::Relaxed);
            let _asleep = Sleeper(Arc::clone(&clock.shared));
            loop {
                let moved = clock.shared.moved.notified();
                if clock.elapsed() >= until {
                    return;
                }
                moved.await;
            }
        })
    }
}
