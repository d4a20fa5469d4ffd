//! Epochs that run while earlier ones are committed, into a sink that shows rows at once and is slow
//! to have them durable.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use headwater::{
    Error, Headwater, ManualClock, QuerySpec, QueryState, Result, StallReason, StreamingQuery,
};
use headwater_testkit::contract::{
    CommitToken, EpochId, Sink, SinkAround, SinkCapabilities, Staged, async_trait,
};
use tempfile::TempDir;
use tokio::sync::watch;

/// What a slow sink does when it is to have an epoch durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Waits,
    /// Once.
    Fails,
    Done,
}

/// Shows rows as they are written.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Sink>,
    shown: Arc<Mutex<Vec<(EpochId, i64)>>>,
    answer: Arc<watch::Sender<Answer>>,
}

#[async_trait]
impl SinkAround for Slow {
    fn inner(&self) -> &dyn Sink {
        &*self.inner
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            is_idempotent: false,
            overlaps: true,
            ..self.inner.capabilities()
        }
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let batches: Vec<RecordBatch> = rows.try_collect().await?;
        for batch in &batches {
            let values = batch.column(0).as_primitive::<Int64Type>().values();
            let shown = values.iter().map(|value| (epoch, *value));
            self.shown.lock().unwrap().extend(shown);
        }
        let rows = futures::stream::iter(batches.into_iter().map(Ok)).boxed();
        self.inner.write(epoch, partition, rows).await
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let mut answers = self.answer.subscribe();
        let answer = *answers.wait_for(|a| *a != Answer::Waits).await.unwrap();
        match answer {
            Answer::Fails => {
                self.answer.send_replace(Answer::Done);
                Err(Error::sink_failed("the rows did not arrive"))
            }
            _ => self.inner.prepare(epoch, staged).await,
        }
    }
}

struct Run {
    session: Headwater,
    clock: ManualClock,
    query: StreamingQuery,
    shown: Arc<Mutex<Vec<(EpochId, i64)>>>,
    answer: Arc<watch::Sender<Answer>>,
    folder: TempDir,
}

impl Run {
    async fn start(select: &str) -> Run {
        let clock = ManualClock::new(headwater::EventTime(1_767_312_000_000_000));
        let builder = Headwater::builder().clock(Arc::new(clock.clone()));
        let session = builder.target_partitions(1).build().unwrap();
        let folder = TempDir::new().unwrap();
        for statement in [
            "CREATE SOURCE t (v BIGINT) WITH (connector = 'memory')",
            "CREATE SINK out WITH (connector = 'blackhole')",
        ] {
            session.sql(statement).await.unwrap();
        }
        let text = format!(
            "CREATE STREAMING QUERY q WITH (checkpoint = '{}', 'output-mode' = 'update')
             AS INSERT INTO out {select}",
            folder.path().display()
        );
        let spec = session.prepare(&text, None).await.unwrap();
        let shown = Arc::default();
        let answer = Arc::new(watch::Sender::new(Answer::Waits));
        let sink = Slow {
            inner: Arc::clone(&spec.sink),
            shown: Arc::clone(&shown),
            answer: Arc::clone(&answer),
        };
        let spec = QuerySpec {
            sink: Arc::new(sink),
            ..spec
        };
        Run {
            query: StreamingQuery::start(spec).await.unwrap(),
            session,
            clock,
            shown,
            answer,
            folder,
        }
    }

    fn push(&self, value: i64) {
        let stream = self.session.memory_stream("t").unwrap();
        let column = Arc::new(Int64Array::from(vec![value]));
        let rows = RecordBatch::try_new(stream.schema(), vec![column]).unwrap();
        stream.push(0, rows).unwrap();
    }

    /// Pushes a row and waits until the sink has shown it.
    async fn show(&self, value: i64) {
        self.push(value);
        self.until(|| self.values().contains(&value)).await;
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        let waited = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        in_time(waited).await;
    }

    fn values(&self) -> Vec<i64> {
        let shown = self.shown.lock().unwrap();
        shown.iter().map(|(_, value)| *value).collect()
    }

    fn records_in(&self, folder: &str) -> usize {
        let listed = std::fs::read_dir(self.folder.path().join(folder));
        listed.map_or(0, Iterator::count)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test that hangs ends; the clock of the query is another one"
)]
async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_shown_while_an_earlier_epoch_is_not_durable_yet() {
    let run = Run::start("SELECT v FROM t").await;
    for value in 0..4 {
        run.show(value).await;
    }
    assert_eq!(run.records_in("commits"), 0);
    let process = run.query.process_all_available();
    tokio::pin!(process);
    assert!(futures::poll!(&mut process).is_pending());
    run.answer.send_replace(Answer::Done);
    in_time(process).await.unwrap();
    // One of the first, and one of all that came while it was made.
    assert_eq!(run.records_in("commits"), 2);
    assert_eq!(run.values(), [0, 1, 2, 3]);
    run.query.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_shown_and_not_made_durable_comes_again() {
    for select in [
        "SELECT v FROM t",
        "SELECT v, count(*) AS n FROM t GROUP BY v",
    ] {
        let run = Run::start(select).await;
        for value in 0..3 {
            run.show(value).await;
        }
        run.answer.send_replace(Answer::Fails);
        in_time(async {
            while run.values().len() == 3 {
                run.clock.advance(Duration::from_millis(100));
                tokio::task::yield_now().await;
            }
        })
        .await;
        in_time(run.query.process_all_available()).await.unwrap();
        let mut values = run.values();
        assert!(values.len() > 3, "{select}: {values:?}");
        values.sort_unstable();
        values.dedup();
        assert_eq!(values, [0, 1, 2], "{select}");
        run.query.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_never_has_rows_durable_is_noticed_when_nothing_else_happens() {
    let run = Run::start("SELECT v FROM t").await;
    run.show(0).await;
    let is_idle = || run.query.status().state == QueryState::Waiting;
    run.until(is_idle).await;
    run.until(|| {
        run.clock.advance(Duration::from_secs(1));
        run.query.status().stall.is_some()
    })
    .await;
    let stall = run.query.status().stall.unwrap();
    assert_eq!(stall.reason, StallReason::Sink, "{}", stall.waiting);
    run.answer.send_replace(Answer::Done);
    run.until(|| run.query.status().stall.is_none()).await;
    run.query.stop().await.unwrap();
    assert_eq!(run.records_in("commits"), 1);
}

#[tokio::test]
async fn rows_that_are_functions_of_a_record_are_told_from_others() {
    let session = Headwater::builder().build().unwrap();
    for statement in [
        "CREATE SOURCE t (v BIGINT, tags VARCHAR[]) WITH (connector = 'memory')",
        "CREATE SINK out WITH (connector = 'blackhole')",
    ] {
        session.sql(statement).await.unwrap();
    }
    for (select, expected) in [
        ("SELECT v * 2 AS w FROM t WHERE v > 3", true),
        (
            "SELECT upper(tag) AS tag FROM t CROSS JOIN unnest(t.tags) AS u(tag)",
            true,
        ),
        ("SELECT v, now() AS at FROM t", false),
        ("SELECT v, random() AS x FROM t", false),
        ("SELECT v FROM t WHERE uuid() <> 'a'", false),
        ("SELECT v, count(*) AS n FROM t GROUP BY v", false),
        ("SELECT DISTINCT v FROM t", false),
    ] {
        let text = format!("CREATE STREAMING QUERY q AS INSERT INTO out {select}");
        let spec = session.prepare(&text, None).await;
        let spec = spec.unwrap_or_else(|error| panic!("{select}: {error}"));
        assert_eq!(spec.plan.is_row_by_row, expected, "{select}");
    }
}
