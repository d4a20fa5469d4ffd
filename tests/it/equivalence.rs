//! Properties of the SQL surface: random rows, cut into epochs at random, through restarts, crashes
//! and passing failures at random moments, on one, two and seven shards.
//!
//! A family of queries is a file. `equals_batch` proves that without late rows the folded output is
//! the bounded read, in every output mode; `equals_model` that with late rows it is what a model of
//! the lateness rule counts.
//!
//! Every replayed epoch is compared with its first run by the sink of the test kit. Cases come from
//! a fixed seed; `HEADWATER_TEST_LONG=1` runs many more of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use headwater_testkit::checkpoint::CutMoment;
use headwater_testkit::contract::Publication;
use headwater_testkit::oracle::{check_oracle, fold};
use headwater_testkit::text_rows::{TextRow, sorted, text_rows};
use headwater_testkit::{Moment, RunMode, TestSession};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};

mod calendar;
mod chains;
mod commits;
mod distinct;
mod failure;
mod grouping_sets;
mod having;
mod idle;
mod over;
mod ranking;
mod running;
mod sessions;
mod skew;
mod tables;
mod windows;

const PARTITIONS: usize = 3;
/// 2026-01-01T12:00:00Z.
const NOON_S: i64 = 1_767_268_800;
const SECOND: i64 = 1_000_000;

/// A row; its event time is its number in seconds, less `behind_s`, or in another unit of time.
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
    /// Seconds pass.
    Wait(u64),
    /// The next commit fails, before it has its effect or after, and nobody says which it was.
    LostCommit(bool),
}

impl Event {
    async fn happen(self, session: &mut TestSession) -> headwater::Result<()> {
        match self {
            Event::Nothing => {}
            Event::Restart => session.restart("q").await?,
            Event::Rescale(shards) => {
                let set = format!("SET 'target-partitions' = '{shards}'");
                session.run(&set).await?;
                session.restart("q").await?;
            }
            Event::Crash(nth, moment) => session.query("q")?.crash_at(nth, moment),
            Event::Fault(moment, times) => session.query("q")?.faults().arrange(moment, times),
            Event::Wait(seconds) => session.advance_clock(Duration::from_secs(seconds)),
            Event::LostCommit(has_happened) => {
                session.query("q")?.faults().lose_commit(has_happened)
            }
        }
        Ok(())
    }
}

/// A SELECT over the source `t`, and how it is to be emitted.
#[derive(Debug, Clone, Copy)]
struct Query {
    select: &'static str,
    mode: &'static str,
    /// What stands between the name of the query and AS.
    with: &'static str,
    /// Start and end of the windows of a second, for the model of the lateness rule.
    windows: fn(i64) -> Vec<(i64, i64)>,
    time: Time,
}

/// Where rows lie in time.
#[derive(Debug, Clone, Copy)]
struct Time {
    /// The second of row 0.
    start_s: i64,
    /// From one row to the next, and the unit of delays.
    unit_s: i64,
}

const FINAL: &str = "ON WINDOW CLOSE";
const UPDATE: &str = "ON UPDATE";
const COMPLETE: &str = "COMPLETE";
const FINAL_AND_LATE: &str = "ON WINDOW CLOSE LATE ROWS INTO late";
const UPDATE_AND_LATE: &str = "ON UPDATE LATE ROWS INTO late";

/// Every SELECT in every mode.
fn queries(selects: &[&'static str], modes: &[&'static str]) -> Vec<Query> {
    let query = |select, mode| Query {
        select,
        mode,
        with: "",
        windows: |_| vec![],
        time: Time {
            start_s: NOON_S,
            unit_s: 1,
        },
    };
    let each = selects.iter();
    each.flat_map(|select| modes.iter().map(move |mode| query(*select, *mode)))
        .collect()
}

#[derive(Debug, Clone)]
struct Case {
    epochs: Vec<(Event, Vec<Row>)>,
    query: Query,
    shards: usize,
    publication: Publication,
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

fn case(behind_s: i64, queries: Vec<Query>) -> impl Strategy<Value = Case> {
    case_of(event(), behind_s, queries)
}

fn case_of(
    event: impl Strategy<Value = Event>,
    behind_s: i64,
    queries: Vec<Query>,
) -> impl Strategy<Value = Case> {
    let epochs = vec((event, vec(row(behind_s), 0..14)), 1..8);
    let shards = prop_oneof![Just(1usize), Just(2), Just(7)];
    (epochs, proptest::sample::select(queries), shards).prop_map(|(epochs, query, shards)| Case {
        epochs,
        query,
        shards,
        publication: Publication::AfterRecord,
    })
}

impl Case {
    /// The rows of every epoch with their event times.
    fn placed(&self) -> Vec<Vec<Placed>> {
        let mut number = 0;
        let Time { start_s, unit_s } = self.query.time;
        let place = |row: &Row| {
            number += 1;
            Placed {
                partition: row.partition,
                key: row.key.map(|k| format!("key{k}")),
                value: row.value,
                time_s: row
                    .behind_s
                    .map(|behind| start_s + (number - behind) * unit_s),
            }
        };
        let rows: Vec<&Row> = self.epochs.iter().flat_map(|(_, rows)| rows).collect();
        let mut placed = rows.into_iter().map(place).collect::<Vec<_>>().into_iter();
        let sizes = self.epochs.iter().map(|(_, rows)| rows.len());
        sizes.map(|n| placed.by_ref().take(n).collect()).collect()
    }

    /// Runs everything but the end of the input.
    async fn run(&self, delay: i64) -> headwater::Result<TestSession> {
        let delay = delay * self.query.time.unit_s;
        let mut session = TestSession::try_new(RunMode::Straight, self.shards)?;
        session.set_publication(self.publication);
        session
            .run(&format!(
                "CREATE SOURCE t (k VARCHAR, v BIGINT, ts TIMESTAMP,
                   WATERMARK FOR ts AS ts - INTERVAL '{delay} seconds')
                 WITH (connector = 'memory', partitions = {PARTITIONS},
                   bad_data = 'dead_letter', 'dead_letter.sink' = 'dead')"
            ))
            .await?;
        session
            .run("CREATE SINK out WITH (connector = 'memory')")
            .await?;
        session
            .run(
                "CREATE SINK late (k VARCHAR, v BIGINT, ts TIMESTAMP, watermark TIMESTAMP)
                 WITH (connector = 'memory')",
            )
            .await?;
        session
            .run("CREATE SINK dead (reason VARCHAR) WITH (connector = 'memory')")
            .await?;
        session
            .run(
                "CREATE TABLE labels (k VARCHAR, label VARCHAR, low BIGINT) AS VALUES
                 ('key0', 'zero', 0), ('key1', 'one', -9), ('key1', 'uno', 2), (NULL, 'none', 0)",
            )
            .await?;
        let Query {
            select, mode, with, ..
        } = self.query;
        session
            .run(&format!(
                "CREATE STREAMING QUERY q {with} AS INSERT INTO out {select} EMIT {mode}"
            ))
            .await?;
        for ((event, _), rows) in self.epochs.iter().zip(self.placed()) {
            feed(&session, &rows)?;
            event.happen(&mut session).await?;
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

/// Start and end of a window, and a key.
type Group = (i64, i64, Option<String>);

/// What is emitted, and the late rows.
type Model = (Vec<TextRow>, Vec<TextRow>);

/// What the lateness rule counts: a row counts in the windows that end after the watermark of the
/// epoch before; the watermark is the smallest of the partitions' maxima, less the delay. A row
/// that counts in no window is late.
fn model(case: &Case, delay: i64) -> Model {
    let delay_s = delay * case.query.time.unit_s;
    let mut groups: BTreeMap<Group, (i64, Option<i64>)> = BTreeMap::new();
    let mut late: Vec<(Placed, i64)> = Vec::new();
    let mut maxima = [i64::MIN; PARTITIONS];
    let mut watermark = i64::MIN;
    for rows in case.placed() {
        for row in rows {
            let Some(time_s) = row.time_s else { continue };
            let mut is_late = true;
            for (start, end) in (case.query.windows)(time_s) {
                if end > watermark {
                    is_late = false;
                    let group = groups.entry((start, end, row.key.clone())).or_default();
                    group.0 += 1;
                    if let Some(value) = row.value {
                        *group.1.get_or_insert(0) += value;
                    }
                }
            }
            if is_late {
                late.push((row.clone(), watermark));
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
    let emitted = sorted(text_rows(&[RecordBatch::try_from_iter(columns).unwrap()]).unwrap());
    (emitted, late_rows(&late))
}

/// Late rows with the watermark that they were behind.
fn late_rows(late: &[(Placed, i64)]) -> Vec<TextRow> {
    let keys: StringViewArray = late.iter().map(|(row, _)| row.key.as_deref()).collect();
    let values: Int64Array = late.iter().map(|(row, _)| row.value).collect();
    let times = late.iter().map(|(row, _)| row.time_s.map(|s| s * SECOND));
    let watermarks = late.iter().map(|(_, watermark)| Some(watermark * SECOND));
    let columns: [(&str, ArrayRef); 4] = [
        ("k", Arc::new(keys)),
        ("v", Arc::new(values)),
        ("ts", Arc::new(times.collect::<TimestampMicrosecondArray>())),
        (
            "watermark",
            Arc::new(watermarks.collect::<TimestampMicrosecondArray>()),
        ),
    ];
    sorted(text_rows(&[RecordBatch::try_from_iter(columns).unwrap()]).unwrap())
}

/// Runs `check` on cases from a fixed seed.
fn check_cases<T, F, Fut>(seed: u8, strategy: &impl Strategy<Value = T>, check: F)
where
    T: std::fmt::Debug,
    F: Fn(T) -> Fut,
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
        Err(_) => 100,
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
    let mut session = case.run(10).await.map_err(|e| report(&e))?;
    check_oracle(&mut session).await.map_err(|e| report(&e))?;
    each_bad_row_is_one_dead_letter(&case, &mut session)
}

/// A row without an event time goes to the dead letters, once for every time that the query reads
/// the source, whatever happened to the process.
fn each_bad_row_is_one_dead_letter(case: &Case, session: &mut TestSession) -> Result<(), String> {
    let query = session.query("q").map_err(|e| report(&e))?;
    let Some(progress) = query.last_progress() else {
        return Ok(());
    };
    let placed = case.placed();
    let bad = placed.iter().flatten().filter(|row| row.time_s.is_none());
    let expected = bad.count() * progress.sources.len();
    let letters = query.dead().epochs().into_iter().flat_map(|(_, rows)| rows);
    let letters: Vec<RecordBatch> = letters.collect();
    let letters = text_rows(&letters).map_err(|e| report(&e))?;
    if letters.iter().any(|letter| letter != &["no event time"]) || letters.len() != expected {
        return Err(format!("dead letters {letters:?}\nexpected {expected}"));
    }
    Ok(())
}

async fn equals_model(case: Case) -> Result<(), String> {
    let mut session = case.run(2).await.map_err(|e| report(&e))?;
    let folded = finish(&mut session).await.map_err(|e| report(&e))?;
    let late = session.query("q").map_err(|e| report(&e))?.late().epochs();
    let late: Vec<_> = late.into_iter().flat_map(|(_, rows)| rows).collect();
    let late = sorted(text_rows(&late).map_err(|e| report(&e))?);
    let (expected, expected_late) = model(&case, 2);
    if folded != expected {
        return Err(format!("emitted  {folded:?}\nexpected {expected:?}"));
    }
    if late != expected_late {
        return Err(format!("late     {late:?}\nexpected {expected_late:?}"));
    }
    each_bad_row_is_one_dead_letter(&case, &mut session)
}

async fn finish(session: &mut TestSession) -> headwater::Result<Vec<TextRow>> {
    session.headwater().memory_stream("t").unwrap().end();
    session.run_to_end("q").await?;
    Ok(sorted(fold(session.query("q")?)?))
}

/// Rows are at most eight seconds behind, and the watermark ten.
fn none_late(queries: Vec<Query>) -> impl Strategy<Value = Case> {
    case(8, queries)
}
