//! Cost of the aggregation state alone: no source, no plan, one shard, one thread.
//!
//! - `throughput`: 10 s windows, five aggregates by a VARCHAR key, in batches of 8,192 rows.
//! - `tiny_epoch`: ten rows through a whole epoch, which is what an epoch costs.
//! - `hop`: windows of a minute every ten seconds, against windows of a minute side by side.
//! - `growth`: the same changed groups with few and with many live groups.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion_common::Result;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::aggregate::AggregateExprBuilder;
use datafusion_physical_expr::expressions::{Column, lit};

use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::OperatorState;
use headwater_core::watermark::Watermark;
use headwater_exec::aggregate_spec::AggregateSpec;
use headwater_exec::aggregate_state::AggregateState;
use headwater_exec::changelog::WatermarkStep;
use headwater_exec::window::WindowSpec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_ROWS: usize = 8192;
const WINDOW_US: i64 = 10_000_000;
const FILTERS: [Option<BooleanArray>; 5] = [None, None, None, None, None];

fn window() -> Result<WindowSpec> {
    Ok(WindowSpec::tumble(
        Duration::from_micros(WINDOW_US.unsigned_abs()),
        0,
    )?)
}

/// `count(*), sum(a), avg(b), min(a), max(b)` by `k`.
fn spec() -> Result<Arc<AggregateSpec>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("a", DataType::Int64, true),
        Field::new("b", DataType::Float64, true),
    ]));
    let a: Arc<dyn PhysicalExpr> = Arc::new(Column::new("a", 1));
    let b: Arc<dyn PhysicalExpr> = Arc::new(Column::new("b", 2));
    let aggregates = [
        (count_udaf(), lit(1i64)),
        (sum_udaf(), Arc::clone(&a)),
        (avg_udaf(), Arc::clone(&b)),
        (min_udaf(), a),
        (max_udaf(), b),
    ];
    let aggregates = aggregates
        .into_iter()
        .enumerate()
        .map(|(i, (function, argument))| {
            let builder = AggregateExprBuilder::new(function, vec![argument]);
            let builder = builder.schema(Arc::clone(&schema)).alias(format!("v{i}"));
            Ok(Arc::new(builder.build()?))
        })
        .collect::<Result<_>>()?;
    let keys = vec![Arc::clone(&schema.fields()[0])];
    Ok(Arc::new(AggregateSpec::try_new(keys, aggregates)?))
}

/// Keys and arguments of one batch.
struct Batch {
    keys: Vec<ArrayRef>,
    arguments: Vec<Vec<ArrayRef>>,
    rows: usize,
}

/// Batches with keys in an order that is the same in every run.
fn batches(rows: usize, keys: usize) -> Vec<Batch> {
    let mut random = 42u64;
    let mut next = move || {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let starts = (0..rows).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let rows = BATCH_ROWS.min(rows - start);
            let names = (0..rows).map(|_| format!("key-{}", next() % keys));
            let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(names));
            batch(names, rows)
        })
        .collect()
}

fn batch(keys: ArrayRef, rows: usize) -> Batch {
    let ones: ArrayRef = Arc::new(Int64Array::from_value(1, rows));
    let a: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
    let b: ArrayRef = Arc::new(Float64Array::from_iter_values(
        (0..rows).map(|i| i as f64 / 2.0),
    ));
    Batch {
        keys: vec![keys],
        arguments: vec![
            vec![ones],
            vec![Arc::clone(&a)],
            vec![Arc::clone(&b)],
            vec![a],
            vec![b],
        ],
        rows,
    }
}

/// A query that goes on epoch after epoch.
struct Query {
    state: AggregateState,
    mode: OutputMode,
    next: EpochId,
    watermark: Watermark,
}

impl Query {
    fn new(mode: OutputMode) -> Result<Self> {
        Query::with_window(mode, window()?)
    }

    fn with_window(mode: OutputMode, window: WindowSpec) -> Result<Self> {
        Ok(Query {
            state: AggregateState::new(spec()?, Some(window)),
            mode,
            next: EpochId(0),
            watermark: Watermark::MIN,
        })
    }

    /// One epoch over rows of one pane, after which the watermark is `after_us`.
    fn epoch(&mut self, pane_us: i64, batches: &[Batch], after_us: i64) -> Result<usize> {
        self.state.begin(self.next)?;
        for batch in batches {
            self.state.update(
                Some(pane_us),
                &batch.keys,
                batch.rows,
                &batch.arguments,
                &FILTERS,
            )?;
        }
        let after = Watermark::at(EventTime(after_us));
        let step = WatermarkStep {
            before: self.watermark,
            after,
        };
        let results = self.state.finish(self.next, self.mode, step)?;
        black_box(self.state.delta(self.next)?);
        self.state.committed(self.next)?;
        self.watermark = after;
        self.next = self.next.next();
        Ok(results.iter().map(|r| r.rows).sum())
    }
}

/// Whole windows, each in as many epochs as its rows take: a million rows a window.
fn windows(query: &mut Query, first: &mut i64, epochs: &[Vec<Batch>]) -> Result<usize> {
    let pane = *first * WINDOW_US;
    let last = epochs.len() - 1;
    let mut emitted = 0;
    for (epoch, batches) in epochs.iter().enumerate() {
        let after = if epoch == last {
            pane + WINDOW_US
        } else {
            pane
        };
        emitted += query.epoch(pane, batches, after)?;
    }
    *first += 1;
    Ok(emitted)
}

fn throughput(c: &mut Criterion) {
    const WINDOW_ROWS: usize = 1_000_000;
    let mut group = c.benchmark_group("throughput");
    group.throughput(Throughput::Elements(WINDOW_ROWS as u64));
    group.sample_size(10);
    for keys in [1_000, 100_000] {
        for epoch_rows in [10_000, WINDOW_ROWS] {
            let epochs: Vec<Vec<Batch>> = (0..WINDOW_ROWS / epoch_rows)
                .map(|_| batches(epoch_rows, keys))
                .collect();
            for mode in [OutputMode::Update, OutputMode::Append] {
                let name = format!("{keys} keys, epochs of {epoch_rows}, {mode}");
                group.bench_function(name, |b| {
                    let mut query = Query::new(mode).expect("a query");
                    let mut first = 0;
                    b.iter(|| windows(&mut query, &mut first, &epochs).expect("a window"));
                });
            }
        }
    }
    group.finish();
}

fn tiny_epoch(c: &mut Criterion) {
    let mut group = c.benchmark_group("tiny_epoch");
    let rows = batches(10, 1_000);
    for mode in [OutputMode::Update, OutputMode::Append] {
        group.bench_function(format!("10 rows, {mode}"), |b| {
            let mut query = Query::new(mode).expect("a query");
            b.iter(|| query.epoch(0, &rows, 0).expect("an epoch"));
        });
    }
    group.finish();
}

fn growth(c: &mut Criterion) {
    let mut group = c.benchmark_group("growth");
    group.sample_size(20);
    for live in [10_000, 1_000_000, 5_000_000] {
        let name = |i: usize| format!("key-{i}");
        let all = StringViewArray::from_iter_values((0..live).map(name));
        let all = [batch(Arc::new(all), live)];
        let mut query = Query::new(OutputMode::Update).expect("a query");
        query.epoch(0, &all, 0).expect("an epoch");
        let mut at = 0;
        for changed in [1_000, 10_000] {
            let mut input = || {
                at += 1;
                let keys = (0..changed).map(|i| name((i * (live / changed) + at * 7) % live));
                let keys = Arc::new(StringViewArray::from_iter_values(keys));
                [batch(keys, changed)]
            };
            group.throughput(Throughput::Elements(changed as u64));
            group.bench_function(format!("{changed} of {live} groups"), |b| {
                let run = |rows: [Batch; 1]| query.epoch(0, &rows, 0).expect("an epoch");
                b.iter_batched(&mut input, run, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

/// Windows of a minute over epochs of a second, once every minute and once every ten seconds.
fn hop(c: &mut Criterion) {
    const SECOND_US: i64 = 1_000_000;
    const KEYS: usize = 10_000;
    let minute = Duration::from_secs(60);
    let windows = [
        ("tumble 60 s", WindowSpec::tumble(minute, 0)),
        (
            "hop 60 s / 10 s",
            WindowSpec::hop(Duration::from_secs(10), minute, 0),
        ),
    ];
    let mut group = c.benchmark_group("hop");
    group.sample_size(10);
    for epoch_rows in [10_000, 100_000] {
        let epochs: Vec<Vec<Batch>> = (0..7).map(|_| batches(epoch_rows, KEYS)).collect();
        group.throughput(Throughput::Elements(60 * epoch_rows as u64));
        for (name, window) in &windows {
            let window = window.clone().expect("a window");
            group.bench_function(
                format!("{name}, {KEYS} keys, epochs of {epoch_rows}"),
                |b| {
                    let mut query =
                        Query::with_window(OutputMode::Append, window).expect("a query");
                    let mut second = 0;
                    let mut one_minute = || {
                        let mut emitted = 0;
                        for _ in 0..60 {
                            let time = second * SECOND_US;
                            let pane = window.pane_of(time);
                            let rows = &epochs[second as usize % epochs.len()];
                            let epoch = query.epoch(pane, rows, time + SECOND_US);
                            emitted += epoch.expect("an epoch");
                            second += 1;
                        }
                        emitted
                    };
                    b.iter(|| black_box(one_minute()));
                },
            );
        }
    }
    group.finish();
}

criterion_group!(benches, throughput, tiny_epoch, growth, hop);
criterion_main!(benches);
