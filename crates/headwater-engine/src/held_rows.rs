//! Rows that are held back until the record of their epoch is durable: the epoch runs while it is
//! written.

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use futures::stream::{BoxStream, StreamExt};
use tokio::sync::watch;

use headwater_core::{Error, Result};

/// What rows wait for before a sink gets them; by default nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct HeldRows(Option<watch::Receiver<bool>>);

impl HeldRows {
    /// They wait until this is true.
    pub(crate) fn until(is_written: watch::Receiver<bool>) -> Self {
        HeldRows(Some(is_written))
    }

    /// Completes when they may go.
    ///
    /// # Errors
    /// If they never may, because the record could not be written; whoever writes it says why.
    pub(crate) async fn let_go(&self) -> Result<()> {
        let Some(written) = &self.0 else {
            return Ok(());
        };
        let mut written = written.clone();
        let is_written = written.wait_for(|is_written| *is_written).await;
        is_written.map(drop).map_err(|_| {
            Error::internal("the record of an epoch was not written, so it shows no rows")
        })
    }

    /// The stream, each batch of which is computed before it waits.
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
        rows.boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::Schema;
    use futures::{FutureExt, stream};

    use super::*;

    fn one_batch() -> BoxStream<'static, Result<RecordBatch>> {
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        stream::iter([Ok(batch)]).boxed()
    }

    #[tokio::test]
    async fn rows_go_when_the_record_is_written() {
        let (tells, written) = watch::channel(false);
        let mut rows = HeldRows::until(written).hold(one_batch());
        assert!(rows.next().now_or_never().is_none());
        tells.send_replace(true);
        // Who has written may be gone.
        drop(tells);
        assert!(rows.next().await.unwrap().is_ok());
        assert!(rows.next().await.is_none());
    }

    #[tokio::test]
    async fn rows_never_go_if_it_cannot_be_written() {
        let (tells, written) = watch::channel(false);
        let mut rows = HeldRows::until(written).hold(one_batch());
        drop(tells);
        assert!(rows.next().await.unwrap().is_err());
    }
}
