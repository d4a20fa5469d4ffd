//! Sources and sinks around other ones: what such a wrapper does not change, it hands on.
//!
//! The contracts have no default methods, because a default that is right for a source that reads
//! files would silently hide what the source inside a wrapper says. A wrapper implements
//! [`SourceAround`] or [`SinkAround`], names what it stands around, and writes only what it
//! changes; it is a [`Source`] or a [`Sink`] by that.

use std::fmt::Debug;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::Result;
use crate::fingerprint::Fingerprints;
use crate::id::EpochId;
use crate::offset::{Offsets, Slice};
use crate::read_bounds::ReadBounds;
use crate::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};
use crate::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};

/// A source around another one. Every method but `inner` hands on to the method of [`Source`] with
/// its name.
#[expect(missing_docs, reason = "they are those of `Source`")]
#[async_trait]
pub trait SourceAround: Debug + Send + Sync + 'static {
    /// What it stands around.
    fn inner(&self) -> &dyn Source;

    fn schema(&self) -> SchemaRef {
        self.inner().schema()
    }

    fn is_replayable(&self) -> bool {
        self.inner().is_replayable()
    }

    async fn initial(&self) -> Result<Offsets> {
        self.inner().initial().await
    }

    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()> {
        self.inner().check_resume(point).await
    }

    fn fingerprints(&self, up_to: &Offsets) -> Fingerprints {
        self.inner().fingerprints(up_to)
    }

    async fn latest(&self) -> Result<Offsets> {
        self.inner().latest().await
    }

    async fn narrow(&self, slice: Slice, bounds: &ReadBounds) -> Result<Slice> {
        self.inner().narrow(slice, bounds).await
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        self.inner().available(from, limits).await
    }

    fn stretched(&self, available: Slice, bound: &Offsets, records: u64) -> Slice {
        self.inner().stretched(available, bound, records)
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        self.inner().wait_ready(from).await
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        self.inner().has_ended(from)
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        self.inner().read(request)
    }

    fn memory_bytes(&self) -> usize {
        self.inner().memory_bytes()
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        self.inner().committed(up_to).await
    }
}

#[async_trait]
impl<T: SourceAround> Source for T {
    fn schema(&self) -> SchemaRef {
        SourceAround::schema(self)
    }

    fn is_replayable(&self) -> bool {
        SourceAround::is_replayable(self)
    }

    async fn initial(&self) -> Result<Offsets> {
        SourceAround::initial(self).await
    }

    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()> {
        SourceAround::check_resume(self, point).await
    }

    fn fingerprints(&self, up_to: &Offsets) -> Fingerprints {
        SourceAround::fingerprints(self, up_to)
    }

    async fn latest(&self) -> Result<Offsets> {
        SourceAround::latest(self).await
    }

    async fn narrow(&self, slice: Slice, bounds: &ReadBounds) -> Result<Slice> {
        SourceAround::narrow(self, slice, bounds).await
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        SourceAround::available(self, from, limits).await
    }

    fn stretched(&self, available: Slice, bound: &Offsets, records: u64) -> Slice {
        SourceAround::stretched(self, available, bound, records)
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        SourceAround::wait_ready(self, from).await
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        SourceAround::has_ended(self, from)
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        SourceAround::read(self, request)
    }

    fn memory_bytes(&self) -> usize {
        SourceAround::memory_bytes(self)
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        SourceAround::committed(self, up_to).await
    }
}

/// A sink around another one. Every method but `inner` hands on to the method of [`Sink`] with its
/// name.
#[expect(missing_docs, reason = "they are those of `Sink`")]
#[async_trait]
pub trait SinkAround: Debug + Send + Sync + 'static {
    /// What it stands around.
    fn inner(&self) -> &dyn Sink;

    fn capabilities(&self) -> SinkCapabilities {
        self.inner().capabilities()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        self.inner().identity()
    }

    fn publication(&self) -> Publication {
        self.inner().publication()
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        self.inner().last_published().await
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        self.inner().open(context).await
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        self.inner().write(epoch, partition, rows).await
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        self.inner().prepare(epoch, staged).await
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        self.inner().gather(prepared).await
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        self.inner().commit(epoch, token).await
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.inner().abort(epoch).await
    }

    async fn ended(&self) -> Result<()> {
        self.inner().ended().await
    }
}

#[async_trait]
impl<T: SinkAround> Sink for T {
    fn capabilities(&self) -> SinkCapabilities {
        SinkAround::capabilities(self)
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        SinkAround::identity(self)
    }

    fn publication(&self) -> Publication {
        SinkAround::publication(self)
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        SinkAround::last_published(self).await
    }

    async fn open(&self, context: &SinkContext) -> Result<()> {
        SinkAround::open(self, context).await
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        SinkAround::write(self, epoch, partition, rows).await
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        SinkAround::prepare(self, epoch, staged).await
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        SinkAround::gather(self, prepared).await
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        SinkAround::commit(self, epoch, token).await
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        SinkAround::abort(self, epoch).await
    }

    async fn ended(&self) -> Result<()> {
        SinkAround::ended(self).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use arrow::datatypes::Schema;
    use futures::StreamExt;
    use futures::executor::block_on;

    use super::*;
    use crate::Error;
    use crate::mode::OutputMode;
    use crate::source::ReadCounters;

    /// Answers every call with what no default would, and notes it.
    #[derive(Debug, Default)]
    struct Inner {
        called: Mutex<Vec<&'static str>>,
    }

    impl Inner {
        fn note(&self, method: &'static str) {
            self.called.lock().unwrap().push(method);
        }

        fn fails<T>(&self, method: &'static str) -> Result<T> {
            self.note(method);
            Err(Error::internal(method))
        }
    }

    #[async_trait]
    impl Source for Inner {
        fn schema(&self) -> SchemaRef {
            self.note("schema");
            Schema::empty().into()
        }

        fn is_replayable(&self) -> bool {
            self.note("is_replayable");
            false
        }

        async fn initial(&self) -> Result<Offsets> {
            self.fails("initial")
        }

        async fn check_resume(&self, _: ResumePoint<'_>) -> Result<()> {
            self.fails("check_resume")
        }

        fn fingerprints(&self, _: &Offsets) -> Fingerprints {
            self.note("fingerprints");
            Fingerprints::default()
        }

        async fn latest(&self) -> Result<Offsets> {
            self.fails("latest")
        }

        async fn narrow(&self, _: Slice, _: &ReadBounds) -> Result<Slice> {
            self.fails("narrow")
        }

        async fn available(&self, _: &Offsets, _: &EpochLimits) -> Result<Offsets> {
            self.fails("available")
        }

        fn stretched(&self, available: Slice, _: &Offsets, _: u64) -> Slice {
            self.note("stretched");
            available
        }

        async fn wait_ready(&self, _: &Offsets) -> Result<()> {
            self.fails("wait_ready")
        }

        fn has_ended(&self, _: &Offsets) -> bool {
            self.note("has_ended");
            true
        }

        fn read(&self, _: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
            self.fails("read")
        }

        fn memory_bytes(&self) -> usize {
            self.note("memory_bytes");
            1
        }

        async fn committed(&self, _: &Offsets) -> Result<()> {
            self.fails("committed")
        }
    }

    #[async_trait]
    impl Sink for Inner {
        fn capabilities(&self) -> SinkCapabilities {
            self.note("capabilities");
            SinkCapabilities {
                modes: vec![OutputMode::Append],
                key: vec![],
                loses_null_keys: false,
                takes_deletes: true,
                is_idempotent: true,
                overlaps: false,
            }
        }

        fn identity(&self) -> Vec<(&'static str, String)> {
            self.note("identity");
            vec![]
        }

        fn publication(&self) -> Publication {
            self.note("publication");
            Publication::Transaction
        }

        async fn last_published(&self) -> Result<Option<EpochId>> {
            self.fails("last_published")
        }

        async fn open(&self, _: &SinkContext) -> Result<()> {
            self.fails("open")
        }

        async fn write(
            &self,
            _: EpochId,
            _: usize,
            _: BoxStream<'static, Result<RecordBatch>>,
        ) -> Result<Staged> {
            self.fails("write")
        }

        async fn prepare(&self, _: EpochId, _: Vec<Staged>) -> Result<CommitToken> {
            self.fails("prepare")
        }

        async fn gather(&self, _: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
            self.fails("gather")
        }

        async fn commit(&self, _: EpochId, _: CommitToken) -> Result<()> {
            self.fails("commit")
        }

        async fn abort(&self, _: EpochId) -> Result<()> {
            self.fails("abort")
        }

        async fn ended(&self) -> Result<()> {
            self.fails("ended")
        }
    }

    #[derive(Debug, Default)]
    struct AroundSource(Inner);

    impl SourceAround for AroundSource {
        fn inner(&self) -> &dyn Source {
            &self.0
        }
    }

    #[derive(Debug, Default)]
    struct AroundSink(Inner);

    impl SinkAround for AroundSink {
        fn inner(&self) -> &dyn Sink {
            &self.0
        }
    }

    #[test]
    fn a_source_around_another_one_hides_nothing() {
        let wrapper = AroundSource::default();
        let source: &dyn Source = &wrapper;
        let (at, seen) = (Offsets::default(), Fingerprints::default());
        source.schema();
        assert!(!source.is_replayable());
        block_on(source.initial()).unwrap_err();
        let point = ResumePoint {
            committed: &at,
            decided: &at,
            seen: &seen,
        };
        block_on(source.check_resume(point)).unwrap_err();
        source.fingerprints(&at);
        block_on(source.latest()).unwrap_err();
        block_on(source.available(&at, &EpochLimits::default())).unwrap_err();
        block_on(source.wait_ready(&at)).unwrap_err();
        assert!(source.has_ended(&at));
        let request = ReadRequest {
            slice: Slice::between(&at, &at),
            projection: vec![],
            batch_rows: 1,
            rows_wanted: None,
            counters: ReadCounters::default().into(),
        };
        assert!(source.read(request).is_err());
        assert_eq!(source.memory_bytes(), 1);
        block_on(source.committed(&at)).unwrap_err();
        let called = wrapper.0.called.lock().unwrap().join(" ");
        assert_eq!(
            called,
            "schema is_replayable initial check_resume fingerprints latest available wait_ready \
             has_ended read memory_bytes committed"
        );
    }

    #[test]
    fn a_sink_around_another_one_hides_nothing() {
        let wrapper = AroundSink::default();
        let (sink, epoch): (&dyn Sink, _) = (&wrapper, EpochId(1));
        assert!(sink.capabilities().is_idempotent);
        sink.identity();
        assert_eq!(sink.publication(), Publication::Transaction);
        block_on(sink.last_published()).unwrap_err();
        let context = SinkContext {
            query: crate::id::QueryId::new("q"),
            query_name: "q".to_string(),
            schema: Schema::empty().into(),
            mode: OutputMode::Append,
            has_ops: false,
            last_committed: None,
            commit_interval: None,
            transactions: crate::sink::Transactions::Allowed,
            is_takeover: false,
        };
        block_on(sink.open(&context)).unwrap_err();
        let rows = futures::stream::empty().boxed();
        block_on(sink.write(epoch, 0, rows)).unwrap_err();
        block_on(sink.prepare(epoch, vec![])).unwrap_err();
        block_on(sink.gather(vec![])).unwrap_err();
        block_on(sink.commit(epoch, CommitToken::default())).unwrap_err();
        block_on(sink.abort(epoch)).unwrap_err();
        block_on(sink.ended()).unwrap_err();
        let called = wrapper.0.called.lock().unwrap().join(" ");
        assert_eq!(
            called,
            "capabilities identity publication last_published open write prepare gather commit abort \
             ended"
        );
    }
}
