//! The source: what a user declared, and its life in one query.
//!
//! Opening looks the topics up and costs one connection; records are fetched from the first
//! [`Source::available`] or [`Source::read`] on. There, before a record is read, every partition's
//! position is compared with what the broker holds, so that lost records stop the query. What a
//! query that goes on looks at besides is in [`crate::resume`].

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion_common_runtime::SpawnedTask;
use futures::stream::BoxStream;
use headwater_core::clock::Clock;
use headwater_core::connector::{DeclaredSource, Place as NamedPlace, SourceContext, SourceUse};
use headwater_core::fingerprint::{Fingerprint, Fingerprints};
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};
use headwater_core::{Error, ErrorKind, Result};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OnceCell};

use crate::append_times::before_time;
use crate::chunk::Kept;
use crate::cluster::{Cluster, Held, Place, ask};
use crate::extent::doubtful_time;
use crate::failure::Failure;
use crate::narrow::{Needed, starting_at};
use crate::options::{OnDataLoss, SourceOptions};
use crate::reader::{Reader, ReaderSpec};
use crate::resume;
use crate::row_maker::{RowMaker, SourceColumns};
use crate::slice_stream;
use crate::start::{resolve_end, resolve_start};
use crate::stop::Stop;
use crate::tap::Taps;
use crate::times::Told;
use crate::topics::TopicChoice;

mod same_topic;

use same_topic::{SeenRecords, watch};

/// A source as declared.
#[derive(Debug)]
pub(crate) struct KafkaSourceSpec {
    pub(crate) name: String,
    pub(crate) options: SourceOptions,
    pub(crate) columns: SourceColumns,
    /// Where its streams hear what others of them fetch.
    pub(crate) taps: Arc<Taps>,
}

impl KafkaSourceSpec {
    /// Says in the log which times cannot be meant; the start is of no use to a query that goes on.
    fn warn_of_times(&self, context: &SourceContext) {
        let start = Some(&self.options.start).filter(|_| context.read_before.is_none());
        for (option, position) in [("start", start), ("end", self.options.end.as_ref())] {
            if let Some(doubt) = position.and_then(|position| doubtful_time(option, position)) {
                tracing::warn!(source = %self.name, "{doubt}");
            }
        }
    }
}

/// A declared source; the connector's part of a catalog entry.
#[derive(Debug)]
pub(crate) struct DeclaredKafkaSource(pub(crate) Arc<KafkaSourceSpec>);

#[async_trait]
impl DeclaredSource for DeclaredKafkaSource {
    fn schema(&self) -> SchemaRef {
        self.0.columns.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![self.0.options.topics.identity()]
    }

    fn limits(&self) -> EpochLimits {
        self.0.options.limits
    }

    fn reads(&self, place: &NamedPlace) -> bool {
        let options = &self.0.options;
        share_a_broker(&place.system, options.connection.servers())
            && options.topics.includes(&place.name)
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(
            KafkaSource::open(Arc::clone(&self.0), &context).await?,
        ))
    }
}

/// Whether two lists of servers name one broker, and so one cluster.
fn share_a_broker(left: &str, right: &str) -> bool {
    let brokers = |list: &str| -> Vec<String> {
        let brokers = list
            .split(',')
            .map(|broker| broker.trim().to_ascii_lowercase());
        brokers.filter(|broker| !broker.is_empty()).collect()
    };
    let right = brokers(right);
    brokers(left).iter().any(|broker| right.contains(broker))
}

/// A source of one query, and what looks whether the topics of a stream are still the same.
#[derive(Debug)]
pub(crate) struct KafkaSource(
    Arc<Inner>,
    #[expect(dead_code, reason = "ends when it is dropped")] Option<SpawnedTask<()>>,
);

#[derive(Debug)]
pub(crate) struct Inner {
    spec: Arc<KafkaSourceSpec>,
    cluster: Arc<Cluster>,
    clock: Arc<dyn Clock>,
    taps: Arc<Taps>,
    /// Where a stream ends, if it does.
    stop: Option<Stop>,
    /// The partitions there were when the query started.
    partitions: Vec<Partition>,
    /// The start that was told, which needs no check.
    initial: Mutex<Option<Offsets>>,
    use_of: SourceUse,
    /// The reader of a stream.
    reader: OnceCell<Arc<Reader>>,
    /// The reader of a bounded read, as long as somebody reads: one that nobody reads from would
    /// fetch on.
    passing_reader: AsyncMutex<Weak<Reader>>,
    /// Records that were fetched, read or not.
    fetched: Arc<AtomicU64>,
    /// Whether partitions that a resumed query does not know yet were looked for.
    completed: OnceCell<()>,
    seen: SeenRecords,
}

impl KafkaSource {
    pub(crate) async fn open(
        spec: Arc<KafkaSourceSpec>,
        context: &SourceContext,
    ) -> Result<KafkaSource> {
        spec.warn_of_times(context);
        let owner = format!("source \"{}\"", spec.name);
        let cluster = Cluster::connect(&owner, &spec.options.connection)?;
        let topics = spec.options.topics.clone();
        let partitions = ask(&cluster, move |cluster| cluster.partitions(&topics)).await;
        let partitions = match (partitions, &context.read_before) {
            (Err(error), Some(read)) if error.kind() == ErrorKind::Configuration => {
                return Err(lost_or_unknown(&spec, &cluster, read, error).await);
            }
            (partitions, _) => partitions?,
        };
        let end = spec.options.end.as_ref();
        let stop = Stop::of(end, context, &cluster, &partitions).await?;
        let inner = Arc::new(Inner {
            taps: match context.use_of {
                SourceUse::Stream => Arc::clone(&spec.taps),
                // It is over before it has come together with another.
                SourceUse::BoundedRead => Arc::default(),
            },
            spec,
            stop,
            cluster,
            clock: Arc::clone(&context.clock),
            partitions,
            initial: Mutex::new(None),
            use_of: context.use_of,
            reader: OnceCell::new(),
            passing_reader: AsyncMutex::default(),
            fetched: Arc::default(),
            completed: OnceCell::new(),
            seen: SeenRecords::default(),
        });
        let is_stream = context.use_of == SourceUse::Stream;
        let watch = is_stream.then(|| SpawnedTask::spawn(watch(Arc::clone(&inner))));
        Ok(KafkaSource(inner, watch))
    }

    #[cfg(test)]
    pub(crate) fn held_bytes(&self) -> usize {
        self.0.reader.get().map_or(0, |reader| reader.held_bytes())
    }

    /// How many records came by its own consumer, and how many by that of another source.
    #[cfg(test)]
    pub(crate) fn fetched_and_heard(&self) -> (u64, u64) {
        let reader = self.0.reader.get();
        reader.map_or((0, 0), |reader| reader.fetched_and_heard())
    }

    /// Records that were fetched, and whether more are.
    #[cfg(test)]
    pub(crate) async fn fetched(&self) -> (u64, bool) {
        let reader = self.0.passing_reader.lock().await;
        let fetched = self.0.fetched.load(std::sync::atomic::Ordering::Relaxed);
        (fetched, reader.strong_count() > 0)
    }
}

/// A topic that a query has read from and that is not there any more was not misspelt; one that it
/// is told to read from now on may be.
async fn lost_or_unknown(
    spec: &KafkaSourceSpec,
    cluster: &Arc<Cluster>,
    read: &Offsets,
    unknown: Error,
) -> Error {
    let Some(topics) = spec.options.topics.read_before(read) else {
        return unknown;
    };
    match ask(cluster, move |cluster| cluster.partitions(&topics)).await {
        Ok(_) => unknown,
        Err(error) if error.kind() != ErrorKind::Configuration => error,
        Err(error) => Error::data_loss(error.message())
            .with_detail("The checkpoint of the query has read from it.")
            .with_hint(
                "Look whether the topic was deleted, or the address is of another cluster. To \
                 read a topic that was made again, start with a new checkpoint folder.",
            ),
    }
}

impl Inner {
    /// The reader for a request. Of a bounded read it fetches nothing yet, as the request may be done
    /// before its slice is.
    pub(crate) async fn reader_for(&self, request: &ReadRequest) -> Result<Arc<Reader>> {
        let from = &request.slice.start;
        if self.use_of == SourceUse::Stream {
            return self.reader_from(from).await;
        }
        let mut passing = self.passing_reader.lock().await;
        if let Some(reader) = passing.upgrade() {
            return Ok(reader);
        }
        self.check_range(from).await?;
        let kept = self.spec.columns.kept_of(&request.projection);
        let reader = self.start_reader(kept, request.rows_wanted)?;
        *passing = Arc::downgrade(&reader);
        Ok(reader)
    }

    /// The reader, fetching at least these partitions.
    async fn reader_from(&self, from: &Offsets) -> Result<Arc<Reader>> {
        let reader = self
            .reader
            .get_or_try_init(|| async {
                self.check_range(from).await?;
                self.start_reader(self.spec.columns.kept(), None)
            })
            .await?;
        reader.fetch(from);
        Ok(Arc::clone(reader))
    }

    fn start_reader(&self, kept: Kept, wanted: Option<usize>) -> Result<Arc<Reader>> {
        let options = &self.spec.options;
        // Nothing that comes later belongs to a slice, and what a slice leaves out is not new.
        let none = TopicChoice::Assigned(vec![]);
        let watched = match self.use_of {
            SourceUse::Stream => &options.topics,
            SourceUse::BoundedRead => &none,
        };
        let spec = ReaderSpec {
            source: &self.spec.name,
            connection: &options.connection,
            topics: watched,
            partitions: self.partitions.len(),
            kept,
            prefetch_bytes: options.prefetch_bytes,
            limits: options.read_limits,
            on_data_loss: options.on_data_loss,
            taps: &self.taps,
            wanted,
            fetched: Arc::clone(&self.fetched),
        };
        Reader::start(&spec, Arc::clone(&self.clock)).map(Arc::new)
    }

    /// The reader of a query that goes on, which has been checked.
    async fn resumed_reader(&self) -> Result<Arc<Reader>> {
        let reader = self
            .reader
            .get_or_try_init(|| async { self.start_reader(self.spec.columns.kept(), None) });
        Ok(Arc::clone(reader.await?))
    }

    /// Remembers the last record read of a partition, for who goes on after it.
    pub(crate) fn has_read(&self, partition: &Partition, last: Fingerprint) {
        if self.use_of == SourceUse::Stream {
            self.seen.has_read(partition, last);
        }
    }

    /// The reader, fetching every partition there is.
    async fn whole_reader(&self, from: &Offsets) -> Result<Arc<Reader>> {
        let reader = self.reader_from(from).await?;
        self.completed
            .get_or_try_init(|| self.add_missing(&reader, from))
            .await?;
        Ok(reader)
    }

    /// Partitions that were added to a topic while the query was stopped.
    async fn add_missing(&self, reader: &Reader, from: &Offsets) -> Result<()> {
        let missing: Vec<Partition> = self
            .partitions
            .iter()
            .filter(|p| from.get(p).is_none())
            .cloned()
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let starts = ask(&self.cluster, move |c| c.offsets(&missing, Place::Start)).await?;
        for (partition, start) in starts.iter() {
            tracing::info!(%partition, start, "kafka topic has a new partition");
            reader.fetch_appeared(partition, start);
        }
        Ok(())
    }

    /// Whether the broker still holds what comes next, and does not end before it.
    async fn check_range(&self, from: &Offsets) -> Result<()> {
        let is_told = |partition: &Partition, offset: i64| {
            let initial = self.initial.lock();
            initial.as_ref().and_then(|initial| initial.get(partition)) == Some(offset)
        };
        let resumed: Vec<(Partition, i64)> = from
            .iter()
            .filter(|(partition, offset)| !is_told(partition, *offset))
            .map(|(partition, offset)| (partition.clone(), offset))
            .collect();
        self.check_held(&resumed).await.map(|_| ())
    }

    /// What the broker holds of partitions, if it is everything from these positions on.
    async fn check_held(&self, resumed: &[(Partition, i64)]) -> Result<Held> {
        if let Some((gone, _)) = resumed.iter().find(|(p, _)| !self.partitions.contains(p)) {
            let is_there = self.partitions.iter().any(|p| p.stream == gone.stream);
            let reason = match is_there {
                true => "the topic has fewer partitions than the checkpoint",
                false => "there is no such topic",
            };
            return Err(Failure::gone(gone, reason).to_error());
        }
        if resumed.is_empty() {
            return Ok(Held::default());
        }
        let partitions = resumed
            .iter()
            .map(|(partition, _)| partition.clone())
            .collect::<Vec<_>>();
        let held = ask(&self.cluster, move |cluster| cluster.held(&partitions)).await?;
        for (partition, wanted) in resumed {
            let start = held.start.get(partition).unwrap_or(0);
            let end = held.end.get(partition).unwrap_or(i64::MAX);
            let is_skipped = *wanted < start && self.spec.options.on_data_loss == OnDataLoss::Skip;
            if !(start..=end).contains(wanted) && !is_skipped {
                return Err(Failure::out_of_range(partition, *wanted, start, end).to_error());
            }
        }
        Ok(held)
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn schema(&self) -> SchemaRef {
        self.0.spec.columns.schema()
    }

    fn is_replayable(&self) -> bool {
        true
    }

    async fn initial(&self) -> Result<Offsets> {
        let spec = Arc::clone(&self.0.spec);
        let partitions = self.0.partitions.clone();
        let initial = ask(&self.0.cluster, move |cluster| {
            resolve_start(&spec.options.start, &partitions, cluster)
        })
        .await?;
        *self.0.initial.lock() = Some(initial.clone());
        Ok(initial)
    }

    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()> {
        let inner = &self.0;
        let committed = point.committed.iter().map(|(p, o)| (p.clone(), o));
        let held = inner.check_held(&committed.collect::<Vec<_>>()).await?;
        resume::check_decided(point.decided, &held)?;
        let left = resume::still_there(point.seen, &held);
        if !left.is_empty() {
            let reader = inner.resumed_reader().await?;
            if let Some(lost) = resume::other_record(&reader, &left, &*inner.clock).await? {
                return Err(lost.to_error());
            }
        }
        inner.seen.resume(point.seen);
        Ok(())
    }

    fn fingerprints(&self, up_to: &Offsets) -> Fingerprints {
        self.0.seen.before(up_to)
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        let stop = self.0.stop.as_ref();
        stop.is_some_and(|stop| stop.is_reached(from))
    }

    async fn latest(&self) -> Result<Offsets> {
        let spec = Arc::clone(&self.0.spec);
        ask(&self.0.cluster, move |cluster| {
            let partitions = cluster.partitions(&spec.options.topics)?;
            resolve_end(spec.options.end.as_ref(), &partitions, cluster)
        })
        .await
    }

    async fn narrow(&self, slice: Slice, bounds: &ReadBounds) -> Result<Slice> {
        let needed = Needed::of(bounds, &self.0.spec.columns);
        let inner = &self.0;
        let mut slice = needed.within(&slice);
        if let Some(earliest_ms) = needed.earliest_ms() {
            let partitions: Vec<Partition> = slice.ranges().map(|(p, _, _)| p.clone()).collect();
            let told = ask(&inner.cluster, move |cluster| {
                Told::ask(cluster, &partitions, earliest_ms)
            });
            slice = starting_at(&slice, &told.await?);
        }
        match needed.beyond_ms() {
            Some(ms) => before_time(&inner.spec, &inner.cluster, &inner.clock, slice, ms).await,
            None => Ok(slice),
        }
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        let available = self.0.whole_reader(from).await?.available(from, limits)?;
        Ok(match &self.0.stop {
            Some(stop) => stop.before(from, &available),
            None => available,
        })
    }

    fn stretched(&self, available: Slice, bound: &Offsets, records: u64) -> Slice {
        let Some(reader) = self.0.reader.get() else {
            return available;
        };
        let stop = self.0.stop.as_ref();
        let bound = stop.map_or_else(|| bound.clone(), |s| s.before(&available.end, bound));
        reader.stretched(available, &bound, records)
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        let reader = self.0.whole_reader(from).await?;
        let Some(stop) = &self.0.stop else {
            return reader.wait_ready(from).await;
        };
        // What comes behind the stop makes nothing ready.
        loop {
            let changed = reader.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let available = reader.available(from, &EpochLimits::default())?;
            if stop.before(from, &available) != *from {
                return Ok(());
            }
            changed.await;
        }
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let owner = format!("source \"{}\"", self.0.spec.name);
        let rows = RowMaker::try_new(&owner, &self.0.spec.columns, &request.projection)?;
        if request.rows_wanted.is_none() {
            let offsets = request.slice.ranges().map(|(_, start, end)| end - start);
            request
                .counters
                .add_expected(offsets.sum::<i64>().unsigned_abs());
        }
        Ok(slice_stream::stream(Arc::clone(&self.0), request, rows))
    }

    fn memory_bytes(&self) -> usize {
        self.0.spec.options.prefetch_bytes
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        if let Some(reader) = self.0.reader.get() {
            reader.committed(up_to);
        }
        Ok(())
    }
}
