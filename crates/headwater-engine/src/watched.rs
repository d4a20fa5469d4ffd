//! Streams of sources and into sinks that say who is asked for rows, and when rows move.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};

use headwater_core::Result;
use headwater_core::around::SourceAround;
use headwater_core::source::{ReadRequest, Source, SourceBatch};

use crate::activity::{Activity, Flag};

/// A source that says when it is asked for rows and when it gives some.
#[derive(Debug)]
pub(crate) struct WatchedSource {
    pub(crate) inner: Arc<dyn Source>,
    pub(crate) index: usize,
    pub(crate) activity: Arc<Activity>,
}

impl SourceAround for WatchedSource {
    fn inner(&self) -> &dyn Source {
        &*self.inner
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let asked = self.activity.add_reader(self.index);
        let rows = Watched {
            inner: self.inner.read(request)?,
            flag: asked,
            is_set_by: Turn::Asking,
            activity: Arc::clone(&self.activity),
        };
        Ok(rows.boxed())
    }
}

/// The rows for a partition of a sink: the flag says whether it has some and asked for no more. It
/// stays when the sink has all, until its part of the epoch is written.
pub(crate) fn into_sink(
    rows: BoxStream<'static, Result<RecordBatch>>,
    flag: Flag,
    activity: Arc<Activity>,
) -> BoxStream<'static, Result<RecordBatch>> {
    let rows = Watched {
        inner: rows,
        flag,
        is_set_by: Turn::Giving,
        activity,
    };
    rows.boxed()
}

/// What sets the flag of a [`Watched`] stream; the other clears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Who asks has to wait.
    Asking,
    /// Who asked has an answer.
    Giving,
}

struct Watched<T> {
    inner: BoxStream<'static, Result<T>>,
    flag: Flag,
    is_set_by: Turn,
    activity: Arc<Activity>,
}

impl<T> Stream for Watched<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.is_set_by == Turn::Giving {
            this.flag.store(false, Ordering::Relaxed);
        }
        let polled = this.inner.poll_next_unpin(context);
        let turn = match &polled {
            Poll::Pending => Turn::Asking,
            Poll::Ready(given) => {
                if given.is_some() {
                    this.activity.moved();
                }
                Turn::Giving
            }
        };
        this.flag.store(turn == this.is_set_by, Ordering::Relaxed);
        polled
    }
}

impl<T> Drop for Watched<T> {
    fn drop(&mut self) {
        if self.is_set_by == Turn::Asking {
            self.flag.store(false, Ordering::Relaxed);
        }
    }
}
