//! Rows that are held back until the record of their epoch is durable: the epoch runs while it is
//! written.

use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use futures::stream::{self, BoxStream, StreamExt};
use tokio::sync::watch;

use headwater_core::{Error, Result};

use crate::activity::Activity;

/// What rows wait for before a sink gets them; by default nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldRows(Option<Until>);

#[derive(Debug, Clone)]
struct Until {
    is_written: watch::Receiver<bool>,
    activity: Arc<Activity>,
}

impl HeldRows {
    /// They wait until this is true.
    pub(crate) fn until(is_written: watch::Receiver<bool>, activity: &Arc<Activity>) -> Self {
        HeldRows(Some(Until {
            is_written,
            activity: Arc::clone(activity),
        }))
    }

    /// Completes when they may go.
    ///
    /// # Errors
    /// If they never may, because the record could not be written; whoever writes it says why.
    pub(crate) async fn let_go(&self) -> Result<()> {
        let Some(until) = &self.0 else {
            return Ok(());
        };
        let mut written = until.is_written.clone();
        let _holds = until.activity.holds_rows();
        let is_written = written.wait_for(|is_written| *is_written).await;
        is_written.map(drop).map_err(|_| {
            Error::internal("the record of an epoch was not written, so it shows no rows")
        })
    }

    /// The stream, each batch of which is computed before it waits. It does not end before either.
    pub(crate) fn hold(
        &self,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> BoxStream<'static, Result<RecordBatch>> {
        if self.0.is_none() {
            return rows;
        }
        let held = self.clone();
        let rows = rows.and_then(move |batch| {
            let held = held.clone();
            async move { held.let_go().await.map(|()| batch) }
        });
        let end = self.clone();
        let end = stream::once(async move { end.let_go().await.err() });
        rows.chain(end.filter_map(async |failed| failed.map(Err)))
            .boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use arrow::datatypes::Schema;
    use futures::FutureExt;
    use headwater_core::clock::ManualClock;
    use headwater_core::event_time::EventTime;
    use headwater_core::id::EpochId;

    use super::*;
    use crate::activity::Step;

    fn activity() -> Arc<Activity> {
        let clock = Arc::new(ManualClock::new(EventTime(0)));
        let activity = Activity::new(clock, "q".to_string(), vec![], "/c".to_string());
        Arc::new(activity)
    }

    fn one_batch() -> BoxStream<'static, Result<RecordBatch>> {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        stream::iter([Ok(batch)]).boxed()
    }

    #[tokio::test]
    async fn rows_go_when_the_record_is_written() {
        let (tells, written) = watch::channel(false);
        let activity = activity();
        activity.begin(EpochId(7), Step::Running);
        let mut rows = HeldRows::until(written, &activity).hold(one_batch());
        {
            let next = rows.next();
            tokio::pin!(next);
            assert!(futures::poll!(&mut next).is_pending());
            activity.look(Duration::ZERO);
            let waiting = activity.stall().unwrap().waiting;
            assert!(waiting.contains("checkpoint \"/c\" to take"), "{waiting}");
        }
        tells.send_replace(true);
        // Who has written may be gone.
        drop(tells);
        assert!(rows.next().await.unwrap().is_ok());
        assert!(rows.next().await.is_none());
    }

    #[tokio::test]
    async fn rows_never_go_if_it_cannot_be_written() {
        let (tells, written) = watch::channel(false);
        let mut rows = HeldRows::until(written, &activity()).hold(one_batch());
        drop(tells);
        assert!(rows.next().await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_epoch_without_rows_does_not_end_before_its_record_is_written() {
        let (tells, written) = watch::channel(false);
        let held = HeldRows::until(written, &activity());
        let mut rows = held.hold(stream::empty().boxed());
        assert!(rows.next().now_or_never().is_none());
        tells.send_replace(true);
        assert!(rows.next().await.is_none());
    }
}
