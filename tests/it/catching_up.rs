//! `StreamingQuery::process_all_available`: what has been processed when it returns, whatever the
//! sources say, and when they say it.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::poll;
use headwater::connector::{DeclaredSource, SourceContext};
use headwater::{
    Error, EventTime, Headwater, ManualClock, Offsets, Result, Source, StreamingQuery, Trigger,
};
use headwater_testkit::contract::{EpochLimits, SourceAround, async_trait};
use tokio::sync::watch;

use crate::kafka::{Cluster, orders, produce, source};

/// Far more than any of these takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[expect(
    clippy::disallowed_methods,
    reason = "a test that hangs ends by the machine's time"
)]
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("it takes for ever")
}

/// Lets the tasks of the queries run until they wait.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for the engine's tasks, which the test's clock does not move"
)]
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn session(clock: &ManualClock) -> Headwater {
    let builder = Headwater::builder().clock(Arc::new(clock.clone()));
    builder.target_partitions(1).build().unwrap()
}

fn clock() -> ManualClock {
    ManualClock::new(EventTime(1_767_312_000_000_000))
}

/// A session with five rows that wait.
async fn five_rows() -> Headwater {
    let session = session(&clock());
    let declare = "CREATE SOURCE t (v BIGINT) WITH (connector = 'memory');
        CREATE SINK out WITH (connector = 'memory')";
    session.sql(declare).await.unwrap();
    push(&session, 0..5);
    session
}

fn push(session: &Headwater, values: std::ops::Range<i64>) {
    let stream = session.memory_stream("t").unwrap();
    let values = Arc::new(values.collect::<Int64Array>());
    let rows = RecordBatch::try_new(stream.schema(), vec![values]).unwrap();
    stream.push(0, rows).unwrap();
}

fn rows_out(session: &Headwater) -> usize {
    let rows = session.memory_sink("out").unwrap().rows();
    rows.iter().map(RecordBatch::num_rows).sum()
}

/// A source that has its rows before it can hand them out, as a topic has.
#[derive(Debug)]
struct Behind<T> {
    inner: T,
    /// Whether they have come.
    arrived: watch::Receiver<bool>,
    /// Whether it can say where it ends.
    knows_its_end: bool,
}

#[async_trait]
impl DeclaredSource for Behind<Arc<dyn DeclaredSource>> {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        self.inner.identity()
    }

    fn limits(&self) -> EpochLimits {
        self.inner.limits()
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(Behind {
            inner: self.inner.open(context).await?,
            arrived: self.arrived.clone(),
            knows_its_end: self.knows_its_end,
        }))
    }
}

#[async_trait]
impl SourceAround for Behind<Arc<dyn Source>> {
    fn inner(&self) -> &dyn Source {
        &*self.inner
    }

    async fn latest(&self) -> Result<Offsets> {
        match self.knows_its_end {
            true => self.inner.latest().await,
            false => Err(Error::source_failed("nobody knows")),
        }
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        if !*self.arrived.borrow() {
            return Ok(from.clone());
        }
        self.inner.available(from, limits).await
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        let mut arrived = self.arrived.clone();
        arrived.wait_for(|arrived| *arrived).await.unwrap();
        self.inner.wait_ready(from).await
    }
}

/// A query over such a source, and what lets the rows arrive.
async fn behind(session: &Headwater, knows_its_end: bool) -> (StreamingQuery, watch::Sender<bool>) {
    let text = "INSERT INTO out SELECT v FROM t";
    let mut spec = session.prepare(text, None).await.unwrap();
    let (arrive, arrived) = watch::channel(false);
    for source in &mut spec.plan.sources {
        let mut behind = source.as_ref().clone();
        behind.declared = Arc::new(Behind {
            inner: Arc::clone(&behind.declared),
            arrived: arrived.clone(),
            knows_its_end,
        });
        *source = Arc::new(behind);
    }
    (StreamingQuery::start(spec).await.unwrap(), arrive)
}

#[tokio::test]
async fn rows_that_have_not_come_yet_are_waited_for() {
    let session = five_rows().await;
    let (query, arrive) = behind(&session, true).await;
    let mut asked = Box::pin(query.process_all_available());
    assert!(poll!(&mut asked).is_pending());
    settle().await;
    assert!(poll!(&mut asked).is_pending());
    arrive.send_replace(true);
    in_time(asked).await.unwrap();
    assert_eq!(rows_out(&session), 5);
}

#[tokio::test]
async fn many_who_ask_are_all_answered() {
    let session = five_rows().await;
    let (query, arrive) = behind(&session, true).await;
    let mut first = Box::pin(query.process_all_available());
    let mut second = Box::pin(query.process_all_available());
    assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
    settle().await;
    push(&session, 5..9);
    let mut later = Box::pin(query.process_all_available());
    assert!(poll!(&mut later).is_pending());
    settle().await;
    arrive.send_replace(true);
    in_time(first).await.unwrap();
    in_time(second).await.unwrap();
    in_time(later).await.unwrap();
    assert_eq!(rows_out(&session), 9);
}

#[tokio::test]
async fn a_source_that_cannot_say_where_it_ends_is_not_waited_for() {
    let session = five_rows().await;
    let (query, arrive) = behind(&session, false).await;
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_out(&session), 0);
    arrive.send_replace(true);
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_out(&session), 5);
}

/// Neither one that makes rows by the clock, which stands still, nor one that never rests.
#[tokio::test]
async fn a_source_without_an_end_has_no_end_to_wait_for() {
    let clock = clock();
    for pace in ["'rows.per.second' = 10,", ""] {
        let session = session(&clock);
        let declare = format!(
            "CREATE SOURCE g (v BIGINT) WITH (connector = 'datagen', {pace} \
             'max.records.per.epoch' = 100)"
        );
        session.sql(&declare).await.unwrap();
        let stream = session.stream("SELECT v FROM g").await.unwrap();
        let writer = stream.write_stream().format("blackhole").query_name("q");
        let query = writer.trigger(Trigger::Asap).start().await.unwrap();
        in_time(query.process_all_available()).await.unwrap();
        in_time(query.stop()).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_topic_holds_is_processed_although_nothing_has_been_fetched() {
    let cluster = Cluster::mock();
    let topic = cluster.new_topic("held", 3).await;
    for partition in 0..3 {
        produce(&cluster.servers, &topic, partition, orders(0, 20)).await;
    }
    let session = Headwater::builder().build().unwrap();
    let declare = source("orders", &cluster.servers, &topic);
    let declare = format!("{declare} CREATE SINK out WITH (connector = 'memory')");
    session.sql(&declare).await.unwrap();
    let text = "INSERT INTO out SELECT id FROM orders";
    let spec = session.prepare(text, None).await.unwrap();
    let query = StreamingQuery::start(spec).await.unwrap();
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_out(&session), 60);
    produce(&cluster.servers, &topic, 1, orders(20, 25)).await;
    in_time(query.process_all_available()).await.unwrap();
    assert_eq!(rows_out(&session), 65);
}
