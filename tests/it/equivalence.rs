//! Properties of the SQL surface: random rows, cut into epochs at random, through restarts, crashes
//! and passing failures at random moments, on one, two and seven shards.
//!
//! | family | proves |
//! | --- | --- |
//! | `oracle_none_late` | no row is late: the folded output is the bounded read, in every output mode |
//! | `oracle_late` | rows are late: the folded output is what a model of the lateness rule counts |
//!
//! Every replayed epoch is compared with its first run by the sink of the test kit. Cases come from
//! a fixed seed; `HEADWATER_TEST_LONG=1` runs many more of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use headwater_testkit::checkpoint::CutMoment;
use headwater_testkit::oracle::{check_oracle, fold};
use headwater_testkit::text_rows::{TextRow, sorted, text_rows};
use headwater_testkit::{Moment, RunMode, TestSession};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

const PARTITIONS: usize = 3;
/// 2026-01-01T12:00:00Z.
const NOON_S: i64 = 1_767_268_800;
const SECOND: i64 = 1_000_000;

/// A row; its event time is its number in seconds, less `behind_s`.
#[derive(Debug, Clone)]
struct Row {
    partition: usize,
    key: Option<u8>,
    value: Option<i64>,
    behind_s: Option<i64>,
}

/// What happens before an epoch.
#[derive(Debug, Clone, Copy)]
enum Event {
    Nothing,
    Restart,
    /// The session asks for another number of shards; the query keeps its own.
    Rescale(usize),
    /// The process dies at the nth change of a file.
    Crash(u64, CutMoment),
    /// The source or the sink fails that often and then works again.
    Fault(Moment, u32),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Stateless,
    Tumble,
    Hop,
    Running,
    Global,
    /// Windows over the results of smaller windows.
    Chain,
    /// Results of a window, aggregated again by that window.
    Regrouped,
    Distinct,
    /// Windows over rows without doubles.
    DistinctChain,
    /// Rows with those of a table, and those that find none.
    Table,
    /// Windows over rows with those of a table.
    TableChain,
}

#[derive(Debug, Clone)]
struct Case {
    epochs: Vec<(Event, Vec<Row>)>,
    shape: Shape,
    mode: &'static str,
    shards: usize,
}

/// A row with its place in time settled.
#[derive(Debug, Clone)]
struct Placed {
    partition: usize,
    key: Option<String>,
    value: Option<i64>,
    time_s: Option<i64>,
}

fn row(behind_s: i64) -> impl Strategy<Value = Row> {
    let key = option::weighted(0.9, 0u8..4);
    let value = option::weighted(0.8, -5i64..6);
    let behind = option::weighted(0.95, 0..=behind_s);
    (0..PARTITIONS, key, value, behind).prop_map(|(partition, key, value, behind_s)| Row {
        partition,
        key,
        value,
        behind_s,
    })
}

fn event() -> impl Strategy<Value = Event> {
    let moment = prop_oneof![Just(CutMoment::BeforeEffect), Just(CutMoment::AfterEffect)];
    prop_oneof![
        3 => Just(Event::Nothing),
        2 => Just(Event::Restart),
        1 => prop_oneof![Just(1usize), Just(3), Just(7)].prop_map(Event::Rescale),
        4 => (1u64..7, moment).prop_map(|(nth, moment)| Event::Crash(nth, moment)),
        3 => (proptest::sample::select(Moment::ALL.to_vec()), 1u32..=3)
            .prop_map(|(moment, times)| Event::Fault(moment, times)),
    ]
}

fn case(behind_s: i64, shapes: Vec<(Shape, &'static str)>) -> impl Strategy<Value = Case> {
    let epochs = vec((event(), vec(row(behind_s), 0..14)), 1..8);
    let shards = prop_oneof![Just(1usize), Just(2), Just(7)];
    (epochs, proptest::sample::select(shapes), shards).prop_map(
        |(epochs, (shape, mode), shards)| Case {
            epochs,
            shape,
            mode,
            shards,
        },
    )
}

impl Case {
    /// The rows of every epoch with their event times.
    fn placed(&self) -> Vec<Vec<Placed>> {
        let mut number = 0;
        let place = |row: &Row| {
            number += 1;
            Placed {
                partition: row.partition,
                key: row.key.map(|k| format!("key{k}")),
                value: row.value,
                time_s: row.behind_s.map(|behind| NOON_S + number - behind),
            }
        };
        let rows: Vec<&Row> = self.epochs.iter().flat_map(|(_, rows)| rows).collect();
        let mut placed = rows.into_iter().map(place).collect::<Vec<_>>().into_iter();
        let sizes = self.epochs.iter().map(|(_, rows)| rows.len());
        sizes.map(|n| placed.by_ref().take(n).collect()).collect()
    }

    fn select(&self) -> &'static str {
        match self.shape {
            Shape::Stateless => "SELECT k, v * 2 AS twice, ts FROM t WHERE v > 0",
            Shape::Tumble => {
                "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
                 FROM tumble(t, ts, '7 seconds') GROUP BY window_start, window_end, k"
            }
            Shape::Hop => {
                "SELECT window_start, window_end, k, count(*) AS n, sum(v) AS total
                 FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k"
            }
            Shape::Chain => {
                "SELECT window_start, window_end, count(*) AS inner_rows, sum(n) AS n,
                   sum(total) AS total
                 FROM hop((
                   SELECT window_time AS at, k, count(*) AS n, sum(v) AS total
                   FROM tumble(t, ts, '3 seconds') GROUP BY window_start, window_time, k
                 ), at, '6 seconds', '12 seconds') GROUP BY window_start, window_end"
            }
            Shape::Regrouped => {
                "SELECT window_start, count(*) AS keys, max(n) AS most
                 FROM (
                   SELECT window_start, window_end, k, count(*) AS n
                   FROM hop(t, ts, '4 seconds', '10 seconds') GROUP BY window_start, window_end, k
                 ) GROUP BY window_start, window_end"
            }
            Shape::Distinct => "SELECT DISTINCT k, v FROM t",
            Shape::DistinctChain => {
                "SELECT window_start, window_end, count(*) AS n, count(k) AS keyed
                 FROM tumble((SELECT DISTINCT k, ts FROM t), ts, '7 seconds')
                 GROUP BY window_start, window_end"
            }
            Shape::Table => {
                "SELECT t.k, v, ts, label FROM t LEFT JOIN labels ON t.k = labels.k AND v > low"
            }
            Shape::TableChain => {
                "SELECT window_start, window_end, label, count(*) AS n, sum(v) AS total
                 FROM tumble((
                   SELECT v, ts, label FROM labels JOIN t ON t.k = labels.k
                 ), ts, '7 seconds') GROUP BY window_start, window_end, label"
            }
            Shape::Running => {
                "SELECT k, count(*) AS n, sum(v) AS total, min(v) AS low, max(v) AS high,
                   count(DISTINCT v) AS different, array_agg(v ORDER BY v) AS all_v
                 FROM t GROUP BY k"
            }
            Shape::Global => "SELECT count(*) AS n, sum(v) AS total, median(v) AS middle FROM t",
        }
    }

    /// Runs everything but the end of the input.
    async fn run(&self, delay: &str) -> headwater::Result<TestSession> {
        let mut session = TestSession::try_new(RunMode::Straight, self.shards)?;
        session
            .run(&format!(
                "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
                   WATERMARK FOR ts AS ts - INTERVAL '{delay}')
                 WITH (connector = 'memory', partitions = {PARTITIONS}, bad_data = 'drop')"
            ))
            .await?;
        session
            .run("CREATE SINK out WITH (connector = 'memory')")
            .await?;
        session
            .run(
                "CREATE TABLE labels (k VARCHAR, label VARCHAR, low BIGINT) AS VALUES
                 ('key0', 'zero', 0), ('key1', 'one', -9), ('key1', 'uno', 2), (NULL, 'none', 0)",
            )
            .await?;
        let (select, mode) = (self.select(), self.mode);
        session
            .run(&format!(
                "CREATE STREAMING QUERY q AS INSERT INTO out {select} EMIT {mode}"
            ))
            .await?;
        for ((event, _), rows) in self.epochs.iter().zip(self.placed()) {
            feed(&session, &rows)?;
            match event {
                Event::Nothing => {}
                Event::Restart => session.restart("q").await?,
                Event::Rescale(shards) => {
                    let set = format!("SET 'target-partitions' = '{shards}'");
                    session.run(&set).await?;
                    session.restart("q").await?;
                }
                Event::Crash(nth, moment) => session.query("q")?.crash_at(*nth, *moment),
                Event::Fault(moment, times) => {
                    session.query("q")?.faults().arrange(*moment, *times)
                }
            }
            session.run_to_end("q").await?;
        }
        Ok(session)
    }
}

fn feed(session: &TestSession, rows: &[Placed]) -> headwater::Result<()> {
    let stream = session.headwater().memory_stream("t").unwrap();
    for partition in 0..PARTITIONS {
        let rows: Vec<_> = rows.iter().filter(|r| r.partition == partition).collect();
        let keys: StringViewArray = rows.iter().map(|r| r.key.as_deref()).collect();
        let values: Int64Array = rows.iter().map(|r| r.value).collect();
        let times: TimestampMicrosecondArray =
            rows.iter().map(|r| r.time_s.map(|s| s * SECOND)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values), Arc::new(times)];
        stream.push(partition, RecordBatch::try_new(stream.schema(), columns)?)?;
    }
    Ok(())
}

/// Starts of the windows of a second.
fn windows(shape: Shape, time_s: i64) -> Vec<(i64, i64)> {
    let (slide, size) = match shape {
        Shape::Tumble => (7, 7),
        Shape::Hop => (4, 10),
        Shape::Stateless
        | Shape::Running
        | Shape::Global
        | Shape::Chain
        | Shape::Regrouped
        | Shape::Distinct
        | Shape::DistinctChain
        | Shape::Table
        | Shape::TableChain => return vec![],
    };
    let last = time_s.div_euclid(slide) * slide;
    let starts = (0..).map(|n| last - n * slide);
    let covering = starts.take_while(|start| start + size > time_s);
    covering.map(|start| (start, start + size)).collect()
}

/// Start and end of a window, and a key.
type Group = (i64, i64, Option<String>);

/// What the lateness rule counts: a row counts in the windows that end after the watermark of the
/// epoch before; the watermark is the smallest of the partitions' maxima, less the delay.
fn model(case: &Case, delay_s: i64) -> Vec<TextRow> {
    let mut groups: BTreeMap<Group, (i64, Option<i64>)> = BTreeMap::new();
    let mut maxima = [i64::MIN; PARTITIONS];
    let mut watermark = i64::MIN;
    for rows in case.placed() {
        for row in rows {
            let Some(time_s) = row.time_s else { continue };
            for (start, end) in windows(case.shape, time_s) {
                if end > watermark {
                    let group = groups.entry((start, end, row.key.clone())).or_default();
                    group.0 += 1;
                    if let Some(value) = row.value {
                        *group.1.get_or_insert(0) += value;
                    }
                }
            }
            let maximum = &mut maxima[row.partition];
            *maximum = time_s.max(*maximum);
        }
        let slowest = maxima.into_iter().min().unwrap_or(i64::MIN);
        watermark = watermark.max(slowest.saturating_sub(delay_s));
    }
    let time = |s: i64| s * SECOND;
    let starts: TimestampMicrosecondArray = groups.keys().map(|k| Some(time(k.0))).collect();
    let ends: TimestampMicrosecondArray = groups.keys().map(|k| Some(time(k.1))).collect();
    let keys: StringViewArray = groups.keys().map(|k| k.2.as_deref()).collect();
    let counts: Int64Array = groups.values().map(|v| Some(v.0)).collect();
    let totals: Int64Array = groups.values().map(|v| v.1).collect();
    let columns: [(&str, ArrayRef); 5] = [
        ("window_start", Arc::new(starts)),
        ("window_end", Arc::new(ends)),
        ("k", Arc::new(keys)),
        ("n", Arc::new(counts)),
        ("total", Arc::new(totals)),
    ];
    sorted(text_rows(&[RecordBatch::try_from_iter(columns).unwrap()]).unwrap())
}

/// Runs `check` on cases from a fixed seed.
fn check_cases<F, Fut>(seed: u8, strategy: &impl Strategy<Value = Case>, check: F)
where
    F: Fn(Case) -> Fut,
    Fut: Future<Output = Result<(), String>>,
{
    let config = Config {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut runner = TestRunner::new_with_rng(config, rng);
    let result = runner.run(strategy, |case| {
        let checked = runtime.block_on(Box::pin(check(case)));
        checked.map_err(TestCaseError::fail)
    });
    if let Err(error) = result {
        panic!("seed {seed}: {error}");
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the length of a test run is a matter of the environment"
)]
fn cases() -> u32 {
    match std::env::var("HEADWATER_TEST_LONG") {
        Ok(_) => 2_000,
        Err(_) => 60,
    }
}

fn report(error: &headwater::Error) -> String {
    error.report("case", None)
}

async fn equals_batch(case: Case) -> Result<(), String> {
    if case.epochs.iter().all(|(_, rows)| rows.is_empty()) {
        // A stream without a row has no epoch, and a global aggregation has a result all the same.
        return Ok(());
    }
    let mut session = case.run("10 seconds").await.map_err(|e| report(&e))?;
    check_oracle(&mut session).await.map_err(|e| report(&e))
}

async fn equals_model(case: Case) -> Result<(), String> {
    let mut session = case.run("2 seconds").await.map_err(|e| report(&e))?;
    let folded = finish(&mut session).await.map_err(|e| report(&e))?;
    let expected = model(&case, 2);
    if folded == expected {
        return Ok(());
    }
    Err(format!("emitted  {folded:?}\nexpected {expected:?}"))
}

async fn finish(session: &mut TestSession) -> headwater::Result<Vec<TextRow>> {
    session.headwater().memory_stream("t").unwrap().end();
    session.run_to_end("q").await?;
    Ok(sorted(fold(session.query("q")?)?))
}

/// Rows are at most eight seconds behind, and the watermark ten.
fn none_late(shapes: Vec<(Shape, &'static str)>) -> impl Strategy<Value = Case> {
    case(8, shapes)
}

#[test]
fn oracle_none_late_windows() {
    let modes = ["ON WINDOW CLOSE", "ON UPDATE", "COMPLETE"];
    let shapes = modes
        .into_iter()
        .flat_map(|mode| [(Shape::Tumble, mode), (Shape::Hop, mode)])
        .collect();
    check_cases(1, &none_late(shapes), equals_batch);
}

#[test]
fn oracle_none_late_running() {
    let shapes = vec![
        (Shape::Running, "ON UPDATE"),
        (Shape::Running, "COMPLETE"),
        (Shape::Stateless, "ON WINDOW CLOSE"),
        (Shape::Stateless, "ON UPDATE"),
    ];
    check_cases(2, &none_late(shapes), equals_batch);
}

#[test]
fn oracle_none_late_chains() {
    let modes = ["ON WINDOW CLOSE", "ON UPDATE", "COMPLETE"];
    let shapes = modes
        .into_iter()
        .flat_map(|mode| {
            let chains = [Shape::Chain, Shape::Regrouped, Shape::DistinctChain];
            chains.map(|shape| (shape, mode))
        })
        .collect();
    check_cases(5, &none_late(shapes), equals_batch);
}

#[test]
fn oracle_join_with_table() {
    let shapes = vec![
        (Shape::Table, "ON WINDOW CLOSE"),
        (Shape::TableChain, "ON WINDOW CLOSE"),
        (Shape::TableChain, "ON UPDATE"),
        (Shape::TableChain, "COMPLETE"),
    ];
    check_cases(7, &none_late(shapes), equals_batch);
}

#[test]
fn oracle_distinct() {
    let modes = ["ON WINDOW CLOSE", "ON UPDATE", "COMPLETE"];
    let shapes = modes.map(|mode| (Shape::Distinct, mode)).to_vec();
    check_cases(6, &none_late(shapes), equals_batch);
}

#[test]
fn oracle_none_late_global() {
    check_cases(
        3,
        &none_late(vec![(Shape::Global, "COMPLETE")]),
        equals_batch,
    );
}

#[test]
fn oracle_late() {
    let modes = ["ON WINDOW CLOSE", "ON UPDATE"];
    let shapes = modes
        .into_iter()
        .flat_map(|mode| [(Shape::Tumble, mode), (Shape::Hop, mode)])
        .collect();
    check_cases(4, &case(25, shapes), equals_model);
}

/// One more failure than the engine tries again: the query stops with the failure itself, and goes
/// on where it was when it is started again.
#[tokio::test]
async fn a_failure_that_stays_stops_the_query_with_its_own_words() {
    for moment in Moment::ALL {
        let case = Case {
            epochs: vec![],
            shape: Shape::Tumble,
            mode: "ON UPDATE",
            shards: 2,
        };
        let mut session = case.run("10 seconds").await.unwrap();
        let row = |number: i64| Placed {
            partition: (number % 2) as usize,
            key: Some(format!("key{}", number % 3)),
            value: Some(number),
            time_s: Some(NOON_S + number),
        };
        feed(&session, &(0..20).map(row).collect::<Vec<_>>()).unwrap();
        session.run_to_end("q").await.unwrap();
        feed(&session, &(20..40).map(row).collect::<Vec<_>>()).unwrap();
        feed(&session, &(40..60).map(row).collect::<Vec<_>>()).unwrap();
        session.query("q").unwrap().faults().arrange(moment, 99);
        let error = session.run_to_end("q").await.unwrap_err();
        let expected = format!("arranged failure: {moment:?}");
        assert_eq!(error.message(), expected);
        // A reader per shard may have failed beside the first one.
        let struck = 99 - session.query("q").unwrap().faults().left();
        assert!(
            (4..=8).contains(&struck),
            "{moment:?} struck {struck} times"
        );
        session.query("q").unwrap().faults().clear();
        session.query("q").unwrap().close();
        check_oracle(&mut session).await.unwrap();
    }
}
