//! Queries that make no progress, on a clock that moves by hand: who is waited for, since when, and
//! what is done about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use headwater::connector::{DeclaredSource, SourceContext};
use headwater::{
    Error, ErrorKind, EventTime, ForeachBatchSink, Headwater, ManualClock, Offsets, QuerySpec,
    RestartPolicy, Result, Source, StallAction, StallPolicy, StallReason, StreamingQuery,
};
use headwater_testkit::contract::{
    EpochLimits, ReadRequest, SourceAround, SourceBatch, async_trait,
};
use tokio::sync::watch;

const START: i64 = 1_767_312_000_000_000;

fn clock() -> ManualClock {
    ManualClock::new(EventTime(START))
}

async fn session(clock: &ManualClock) -> Headwater {
    let session = Headwater::builder()
        .clock(Arc::new(clock.clone()))
        .target_partitions(1)
        .build()
        .unwrap();
    session
        .sql("CREATE SOURCE t (v BIGINT) WITH (connector = 'memory', 'max.records.per.epoch' = 10)")
        .await
        .unwrap();
    push(&session, 0..5);
    session
}

fn push(session: &Headwater, values: std::ops::Range<i64>) {
    let stream = session.memory_stream("t").unwrap();
    let values = Arc::new(values.collect::<Int64Array>());
    let rows = RecordBatch::try_new(stream.schema(), vec![values]).unwrap();
    stream.push(0, rows).unwrap();
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

/// Moves the clock in steps until something holds.
async fn until(clock: &ManualClock, step: Duration, holds: impl Fn() -> bool) {
    for _ in 0..400 {
        settle().await;
        if holds() {
            return;
        }
        clock.advance(step);
    }
    panic!("it never came to that");
}

/// What a source does not do as long as its gate is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// It does not say how far it can be read.
    Answers,
    /// It gives no rows.
    Rows,
    /// It says that there is nothing, though its end is further on.
    Records,
    /// Nothing; it cannot be read again once it was opened again.
    Replay,
}

#[derive(Debug, Clone)]
struct Gate {
    is_open: Arc<watch::Sender<bool>>,
    holds: Holds,
}

impl Gate {
    async fn pass(&self) {
        let mut is_open = self.is_open.subscribe();
        is_open.wait_for(|is_open| *is_open).await.unwrap();
    }

    async fn hold(&self, what: Holds) {
        if self.holds == what {
            self.pass().await;
        }
    }
}

#[derive(Debug)]
struct Gated<T> {
    inner: T,
    gate: Gate,
}

#[async_trait]
impl DeclaredSource for Gated<Arc<dyn DeclaredSource>> {
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
        Ok(Arc::new(Gated {
            inner: self.inner.open(context).await?,
            gate: self.gate.clone(),
        }))
    }
}

#[async_trait]
impl SourceAround for Gated<Arc<dyn Source>> {
    fn inner(&self) -> &dyn Source {
        &*self.inner
    }

    fn is_replayable(&self) -> bool {
        self.gate.holds != Holds::Replay
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        self.gate.hold(Holds::Answers).await;
        if self.gate.holds == Holds::Records && !*self.gate.is_open.borrow() {
            return Ok(from.clone());
        }
        self.inner.available(from, limits).await
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        self.gate.hold(Holds::Records).await;
        self.inner.wait_ready(from).await
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let (gate, rows) = (self.gate.clone(), self.inner.read(request)?);
        let held = async move {
            gate.hold(Holds::Rows).await;
            rows
        };
        Ok(stream::once(held).flatten().boxed())
    }
}

/// A query whose source holds something back until the gate is opened.
async fn gated(session: &Headwater, holds: Holds) -> (StreamingQuery, Gate) {
    let sink = "CREATE SINK out WITH (connector = 'memory')";
    session.sql(sink).await.unwrap();
    let text = "INSERT INTO out SELECT v FROM t";
    let spec = session.prepare(text, None).await.unwrap();
    let (spec, gate) = behind_a_gate(spec, holds);
    (StreamingQuery::start(spec).await.unwrap(), gate)
}

fn behind_a_gate(mut spec: QuerySpec, holds: Holds) -> (QuerySpec, Gate) {
    let is_open = Arc::new(watch::Sender::new(false));
    let gate = Gate { is_open, holds };
    for source in &mut spec.plan.sources {
        let mut gated = source.as_ref().clone();
        gated.declared = Arc::new(Gated {
            inner: Arc::clone(&gated.declared),
            gate: gate.clone(),
        });
        *source = Arc::new(gated);
    }
    (spec, gate)
}

#[tokio::test]
async fn a_source_that_hangs_is_named() {
    for (holds, waiting) in [
        (
            Holds::Answers,
            "epoch 0 waits for source \"t\" to say how far it can be read",
        ),
        (Holds::Rows, "epoch 0 waits for rows of source \"t\""),
    ] {
        let clock = clock();
        let session = session(&clock).await;
        let (query, gate) = gated(&session, holds).await;
        settle().await;
        clock.advance(Duration::from_secs(59));
        settle().await;
        assert_eq!(query.status().stall, None, "{holds:?}");
        clock.advance(Duration::from_secs(1));
        settle().await;
        let stall = query.status().stall.unwrap();
        assert_eq!(stall.reason, StallReason::Source);
        assert_eq!(stall.waiting, waiting);
        assert_eq!(stall.since, EventTime(START));
        assert!(
            stall
                .to_string()
                .starts_with("no progress since 2026-01-02T")
        );
        gate.is_open.send_replace(true);
        settle().await;
        assert_eq!(query.status().stall, None, "{holds:?}");
        assert_eq!(query.status().totals.rows_out, 5);
        query.stop().await.unwrap();
    }
}

#[tokio::test]
async fn a_source_that_keeps_its_records_to_itself_is_named() {
    let clock = clock();
    let session = session(&clock).await;
    let (query, gate) = gated(&session, Holds::Records).await;
    settle().await;
    clock.advance(Duration::from_secs(60));
    settle().await;
    assert_eq!(query.status().stall, None, "they may have come just now");
    clock.advance(Duration::from_secs(15));
    settle().await;
    let stall = query.status().stall.unwrap();
    assert_eq!(stall.reason, StallReason::Source);
    let keeps = "source \"t\" has records that it does not hand out";
    assert_eq!(stall.waiting, keeps);
    gate.is_open.send_replace(true);
    settle().await;
    assert_eq!(query.status().stall, None);
    assert_eq!(query.status().totals.rows_out, 5);
    query.stop().await.unwrap();
}

#[tokio::test]
async fn a_query_without_anything_to_read_does_not_stall() {
    let clock = clock();
    let session = session(&clock).await;
    let (query, gate) = gated(&session, Holds::Rows).await;
    gate.is_open.send_replace(true);
    for _ in 0..20 {
        settle().await;
        clock.advance(Duration::from_secs(50));
    }
    assert_eq!(query.status().stall, None);
    assert_eq!(query.status().totals.rows_out, 5);
    query.stop().await.unwrap();
}

/// A sink whose first `hung` epochs hang for ever.
fn hangs(hung: u32) -> (Arc<AtomicU32>, impl Fn() -> BoxFuture<'static, Result<()>>) {
    let calls = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&calls);
    let each = move || -> BoxFuture<'static, Result<()>> {
        let call = count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if call < hung {
                std::future::pending::<()>().await;
            }
            Ok(())
        })
    };
    (calls, each)
}

#[tokio::test]
async fn a_sink_that_hangs_is_named_and_the_end_says_so() {
    let clock = clock();
    let session = session(&clock).await;
    let (_, each) = hangs(u32::MAX);
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    let query = stream.write_stream().foreach_batch(move |_, _| each());
    let query = query.start().await.unwrap();
    until(&clock, Duration::from_secs(20), || {
        query.status().stall.is_some()
    })
    .await;
    let stall = query.status().stall.unwrap();
    assert_eq!(stall.reason, StallReason::Sink);
    let waiting = "epoch 0 waits for its sink to make its rows durable";
    assert_eq!(stall.waiting, waiting);
    query.request_stop();
    until(&clock, Duration::from_secs(1), || !query.is_active()).await;
    assert_eq!(query.status().stall.unwrap(), stall);
    query.await_termination().await.unwrap();
}

#[tokio::test]
async fn a_stall_that_fails_is_cured_by_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let session = session(&clock).await;
    let (calls, each) = hangs(2);
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    // Long: what a slow disk keeps waiting is not to be taken for a sink that hangs.
    let timeout = Duration::from_secs(1_000);
    let writer = stream.write_stream().query_name("q").stalls(StallPolicy {
        timeout: Some(timeout),
        action: StallAction::Fail,
    });
    let writer = writer
        .foreach_batch(move |_, _| each())
        .restarts(RestartPolicy {
            attempts: 2,
            delay: Duration::from_secs(1),
        });
    let writer = writer.checkpoint(folder.path().to_str().unwrap());
    let query = writer.start().await.unwrap();
    for call in 1..=3 {
        let second = Duration::from_secs(1);
        until(&clock, second, || calls.load(Ordering::SeqCst) == call).await;
        if call < 3 {
            clock.advance(timeout);
        }
    }
    until(&clock, Duration::from_secs(1), || {
        query.status().totals.epochs > 0
    })
    .await;
    assert_eq!(calls.load(Ordering::SeqCst), 3);
    assert_eq!(query.status().stall, None);
    assert_eq!(query.status().totals.rows_out, 5);
    query.stop().await.unwrap();
}

#[tokio::test]
async fn a_stall_that_fails_without_restarts_is_the_querys_error() {
    let clock = clock();
    let session = session(&clock).await;
    let (_, each) = hangs(u32::MAX);
    session.set("stall-timeout", "10 seconds").unwrap();
    session.set("stall-action", "fail").unwrap();
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    let writer = stream.write_stream().foreach_batch(move |_, _| each());
    let query = writer.start().await.unwrap();
    until(&clock, Duration::from_secs(1), || !query.is_active()).await;
    let error = query.exception().unwrap();
    assert_eq!(error.kind(), ErrorKind::Sink);
    assert!(error.may_pass());
    let message = "epoch 0 waits for its sink to make its rows durable";
    assert_eq!(error.message(), message);
    assert!(error.detail().unwrap().contains("2026-01-02T"), "{error:?}");
}

/// What a sink was given, when it took it: the values of an epoch.
type Taken = Arc<std::sync::Mutex<std::collections::BTreeMap<u64, Vec<i64>>>>;

/// A query whose sink fails `failing` times and then works.
async fn failing(session: &Headwater, failing: u32, folder: &str) -> (StreamingQuery, Taken) {
    let (left, taken) = (Arc::new(AtomicU32::new(failing)), Taken::default());
    let takes = Arc::clone(&taken);
    let stream = session.stream("SELECT v FROM t").await.unwrap();
    let writer = stream
        .write_stream()
        .query_name("q")
        .foreach_batch(move |epoch, batches| {
            let fails = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
            if fails.is_err() {
                let values = batches.iter().flat_map(|batch| {
                    let values = batch.column(0).as_any().downcast_ref::<Int64Array>();
                    values.unwrap().values().to_vec()
                });
                takes.lock().unwrap().insert(epoch.0, values.collect());
            }
            Box::pin(async move {
                match fails {
                    Ok(_) => Err(Error::sink_failed("the other side is away")),
                    Err(_) => Ok(()),
                }
            })
        });
    let restarts = RestartPolicy {
        attempts: 5,
        delay: Duration::from_secs(1),
    };
    let writer = writer.restarts(restarts).checkpoint(folder);
    (writer.start().await.unwrap(), taken)
}

#[tokio::test]
async fn a_sink_that_comes_back_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let session = session(&clock).await;
    // Four tries each time the query is opened: it is opened again twice.
    let (query, taken) = failing(&session, 10, folder.path().to_str().unwrap()).await;
    until(&clock, Duration::from_millis(200), || {
        query.status().totals.epochs > 0
    })
    .await;
    push(&session, 5..25);
    until(&clock, Duration::from_millis(200), || {
        query.status().totals.rows_out == 25
    })
    .await;
    query.stop().await.unwrap();
    let taken: Vec<_> = taken.lock().unwrap().values().flatten().copied().collect();
    assert_eq!(taken, (0..25).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_sink_that_stays_away_ends_the_query_after_all_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let session = session(&clock).await;
    let (query, taken) = failing(&session, u32::MAX, folder.path().to_str().unwrap()).await;
    until(&clock, Duration::from_secs(5), || !query.is_active()).await;
    assert_eq!(
        query.exception().unwrap().message(),
        "the other side is away"
    );
    assert!(taken.lock().unwrap().is_empty());
    // What has failed holds nothing: the same checkpoint can be taken at once.
    let (again, taken) = failing(&session, 0, folder.path().to_str().unwrap()).await;
    until(&clock, Duration::from_secs(1), || {
        again.status().totals.rows_out == 5
    })
    .await;
    again.stop().await.unwrap();
    assert_eq!(taken.lock().unwrap()[&0], [0, 1, 2, 3, 4]);
}

/// A source that keeps rows until they are committed has lost them when it is opened again.
#[tokio::test]
async fn a_restart_does_not_pass_over_rows_that_cannot_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let session = session(&clock).await;
    let sink = "CREATE SINK out WITH (connector = 'memory')";
    session.sql(sink).await.unwrap();
    let text = format!(
        "CREATE STREAMING QUERY q WITH (checkpoint = '{}', 'restart.attempts' = 5,
           'stall-timeout' = '10 seconds', 'stall-action' = 'fail')
         AS INSERT INTO out SELECT v FROM t",
        folder.path().display()
    );
    let spec = session.prepare(&text, None).await.unwrap();
    let (mut spec, _) = behind_a_gate(spec, Holds::Replay);
    spec.sink = Arc::new(ForeachBatchSink::new(|_, _| {
        Box::pin(async { Err(Error::sink_failed("the other side is away")) })
    }));
    let query = StreamingQuery::start(spec).await.unwrap();
    until(&clock, Duration::from_secs(1), || !query.is_active()).await;
    let error = query.exception().unwrap();
    assert_eq!(error.kind(), ErrorKind::DataLoss, "{error}");
}

#[tokio::test]
async fn restarts_without_a_checkpoint_are_refused() {
    let session = session(&clock()).await;
    let policy = RestartPolicy {
        attempts: 3,
        ..RestartPolicy::default()
    };
    let writer = async || {
        let stream = session.stream("SELECT v FROM t").await.unwrap();
        stream.write_stream().format("blackhole")
    };
    let error = writer().await.restarts(policy).start().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let message = error.message();
    assert!(
        message.contains("\"restarts\" and no checkpoint"),
        "{error}"
    );
    // Nor is it left out in silence if it is the session that asks for it.
    session.set("restart.attempts", "3").unwrap();
    let error = writer().await.start().await.unwrap_err();
    let message = error.message();
    assert!(
        message.contains("\"restart.attempts\" and no checkpoint"),
        "{error}"
    );
    let never = RestartPolicy {
        attempts: 0,
        ..RestartPolicy::default()
    };
    let query = writer().await.restarts(never).start().await.unwrap();
    query.stop().await.unwrap();
    session.set("restart.attempts", "0").unwrap();
    let query = writer().await.start().await.unwrap();
    query.stop().await.unwrap();
}
