//! What a query makes once and keeps between epochs, and makes again when a time has passed.
//!
//! A kept thing belongs to a *period*: with a refresh interval, the periods are the multiples of
//! the interval since 1970, of the time that is in the epoch's log record. An epoch that runs again
//! is therefore in the same period, and finds what its first run found.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common::Result;
use datafusion_execution::TaskContext;
use parking_lot::Mutex;
use tokio::sync::OnceCell;

use crate::epoch_context::EpochContext;

/// When something that was read is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub enum Refresh {
    /// Not in the life of the process.
    #[default]
    Never,
    /// In the first epoch of every interval.
    Every(Duration),
}

impl Refresh {
    /// The number of the interval that an epoch is in.
    fn period(self, context: &TaskContext) -> Result<i128> {
        match self {
            Refresh::Never => Ok(0),
            Refresh::Every(interval) => {
                let now = EpochContext::of(context)?.processing_time;
                let interval = i128::try_from(interval.as_micros()).unwrap_or(i128::MAX);
                Ok(i128::from(now.0).div_euclid(interval.max(1)))
            }
        }
    }
}

impl fmt::Display for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refresh::Never => f.write_str("read once"),
            Refresh::Every(interval) => write!(f, "read again every {interval:?}"),
        }
    }
}

/// Something kept. Clones are the same thing.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    pub(crate) refresh: Refresh,
    current: Arc<Mutex<Period<T>>>,
}

#[derive(Debug)]
struct Period<T> {
    number: i128,
    value: Arc<OnceCell<Arc<T>>>,
}

impl<T> Kept<T> {
    pub(crate) fn new(refresh: Refresh) -> Self {
        let value = Arc::default();
        let current = Arc::new(Mutex::new(Period { number: 0, value }));
        Kept { refresh, current }
    }

    /// What is kept for the epoch of a task, made now if nobody has. A failure is not kept.
    pub(crate) async fn get<F>(&self, context: &TaskContext, make: F) -> Result<Arc<T>>
    where
        F: AsyncFnOnce() -> Result<T>,
    {
        let number = self.refresh.period(context)?;
        let value = self.of_period(number);
        let make = async || make().await.map(Arc::new);
        value.get_or_try_init(make).await.map(Arc::clone)
    }

    fn of_period(&self, number: i128) -> Arc<OnceCell<Arc<T>>> {
        let mut current = self.current.lock();
        if current.number != number {
            let value = Arc::default();
            *current = Period { number, value };
        }
        Arc::clone(&current.value)
    }
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Kept {
            refresh: self.refresh,
            current: Arc::clone(&self.current),
        }
    }
}
