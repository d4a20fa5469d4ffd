//! Cost of operators that keep rows by key: no source, no plan, one shard, one thread.
//!
//! - `session`: count and sum by sessions of 10,000 users, in epochs of 100,000 rows; a user comes
//!   back after a pause of a minute, the gap is 30 s.
//! - `dedup`: the first row of 10,000 ids of which most have been seen, in epochs of 100,000 rows.
//! - `top_n`: the three greatest values of 10,000 keys in windows of a million rows.
//! - `growth`: the same changed keys with few and with many live ones.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

use std::hint::black_box;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion_common::Result;
use datafusion_expr::AggregateUDF;
use datafusion_physical_expr::aggregate::{AggregateExprBuilder, AggregateFunctionExpr};
use datafusion_physical_expr::expressions::{Column, lit};
use datafusion_physical_expr::{PhysicalExpr, PhysicalSortExpr};

use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::state::OperatorState;
use headwater_core::watermark::Watermark;
use headwater_exec::aggregate_spec::AggregateSpec;
use headwater_exec::changelog::WatermarkStep;
use headwater_exec::keyed_runs::{EpochEnd, EpochStart, RunLogic, RunState};
use headwater_exec::rank::{Closes, Emission, Numbering, Rank, RankLogic};
use headwater_exec::session::{Gap, Session, SessionColumn, SessionLogic};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_ROWS: usize = 8192;
const KEYS: usize = 10_000;
const SECOND: i64 = 1_000_000;

/// `k VARCHAR, at TIMESTAMP, v BIGINT`.
fn schema() -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, None);
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8View, true),
        Field::new("at", time, false),
        Field::new("v", DataType::Int64, false),
    ]))
}

fn keys() -> Schema {
    Schema::new(vec![schema().field(0).clone()])
}

fn column(name: &str) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new_with_schema(name, &schema()).expect("a column"))
}

/// A number that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize
    }
}

/// Rows of some keys at some times, in batches.
fn rows(
    count: usize,
    mut key: impl FnMut(usize) -> usize,
    at: impl Fn(usize) -> i64,
) -> Vec<RecordBatch> {
    let mut random = Random(7);
    let starts = (0..count).step_by(BATCH_ROWS);
    starts
        .map(|start| {
            let range = start..count.min(start + BATCH_ROWS);
            let keys = range.clone().map(|i| format!("key-{}", key(i)));
            let keys: ArrayRef = Arc::new(StringViewArray::from_iter_values(keys));
            let times = TimestampMicrosecondArray::from_iter_values(range.clone().map(&at));
            let values = range.map(|_| (random.next() % 1_000_000) as i64);
            let values = Int64Array::from_iter_values(values);
            let columns = vec![keys, Arc::new(times) as ArrayRef, Arc::new(values)];
            RecordBatch::try_new(schema(), columns).expect("a batch")
        })
        .collect()
}

/// An operator that goes on epoch after epoch.
struct Query {
    state: RunState,
    mode: OutputMode,
    next: EpochId,
    watermark: Watermark,
}

impl Query {
    fn new(logic: Arc<dyn RunLogic>, mode: OutputMode) -> Result<Self> {
        Ok(Query {
            state: RunState::try_new(logic, Arc::new(keys()), None)?,
            mode,
            next: EpochId(0),
            watermark: Watermark::MIN,
        })
    }

    /// One epoch, after which the watermark is `after_us`; gives the rows emitted.
    fn epoch(&mut self, batches: &[RecordBatch], after_us: i64) -> Result<usize> {
        let before = self.watermark;
        let start = EpochStart {
            before,
            keeps_late_rows: false,
        };
        self.state.begin(self.next, start)?;
        for batch in batches {
            self.state.add(&batch.columns()[..1], batch)?;
        }
        let after = Watermark::at(EventTime(after_us));
        let step = WatermarkStep { before, after };
        let mode = self.mode;
        let (output, _) = self.state.finish(self.next, &EpochEnd { mode, step })?;
        black_box(self.state.delta(self.next)?);
        self.state.committed(self.next)?;
        self.watermark = after;
        self.next = self.next.next();
        Ok(output.iter().map(RecordBatch::num_rows).sum())
    }
}

fn aggregate(
    function: Arc<AggregateUDF>,
    argument: Arc<dyn PhysicalExpr>,
    name: &str,
) -> Result<Arc<AggregateFunctionExpr>> {
    let builder = AggregateExprBuilder::new(function, vec![argument]);
    Ok(Arc::new(builder.schema(schema()).alias(name).build()?))
}

fn sessions() -> Result<Arc<dyn RunLogic>> {
    let aggregates = vec![
        aggregate(count_udaf(), lit(1i64), "n")?,
        aggregate(sum_udaf(), column("v"), "total")?,
    ];
    let mut fields = schema().fields()[..2].to_vec();
    fields.push(Arc::new(Field::new(
        "end",
        fields[1].data_type().clone(),
        false,
    )));
    fields.extend(aggregates.iter().map(|a| a.field()));
    let spec = AggregateSpec::try_new(keys().fields().to_vec(), aggregates)?;
    Ok(Arc::new(SessionLogic::new(Session {
        time: column("at"),
        gap: Gap::Fixed(30 * SECOND),
        spec: Arc::new(spec),
        filters: vec![None, None],
        outputs: vec![
            SessionColumn::Key(0),
            SessionColumn::Start,
            SessionColumn::End,
        ],
        schema: Arc::new(Schema::new(fields)),
    })))
}

fn rank(limit: u64, order: &[(&str, bool)], emission: Emission, closes: bool) -> Arc<dyn RunLogic> {
    let order = order.iter().map(|(name, descending)| PhysicalSortExpr {
        expr: column(name),
        options: SortOptions {
            descending: *descending,
            nulls_first: false,
        },
    });
    let mut fields = schema().fields().to_vec();
    fields.push(Arc::new(Field::new("rn", DataType::UInt64, false)));
    let rank = Rank {
        order: order.collect(),
        limit,
        numbering: Numbering::RowNumber,
        emission,
        closes: closes.then(|| Closes {
            at: column("at"),
            past_us: 0,
        }),
        input: schema(),
        schema: Arc::new(Schema::new(fields)),
        having: None,
    };
    Arc::new(RankLogic::new(rank, &keys()))
}

fn session(c: &mut Criterion) {
    const ROWS: usize = 100_000;
    let mut group = c.benchmark_group("session");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20);
    group.bench_function("10,000 users, epochs of 100,000", |b| {
        let mut query =
            Query::new(sessions().expect("sessions"), OutputMode::Append).expect("a query");
        let mut epoch = 0;
        let input = || {
            epoch += 1;
            // An epoch is ten seconds; half of the users are here for half a minute.
            let (start, half) = (epoch * 10 * SECOND, (epoch as usize / 6) % 2);
            let mut random = Random(epoch as u64);
            let key = move |_| random.next() % (KEYS / 2) * 2 + half;
            let at = |i: usize| start + i as i64 * 10 * SECOND / ROWS as i64;
            (rows(ROWS, key, at), start + 10 * SECOND)
        };
        let run = |(rows, after): (Vec<RecordBatch>, i64)| {
            black_box(query.epoch(&rows, after).expect("an epoch"))
        };
        b.iter_batched(input, run, BatchSize::PerIteration);
    });
    group.finish();
}

fn dedup(c: &mut Criterion) {
    const ROWS: usize = 100_000;
    let mut group = c.benchmark_group("dedup");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(20);
    let cases = [
        (
            "in order of time",
            &[("at", false)][..],
            Emission::ByTime(column("at")),
        ),
        ("as they come", &[][..], Emission::AtOnce),
    ];
    for (name, order, emission) in cases {
        group.bench_function(format!("10,000 ids, epochs of 100,000, {name}"), |b| {
            let logic = rank(1, order, emission.clone(), false);
            let mut query = Query::new(logic, OutputMode::Append).expect("a query");
            let mut epoch = 0;
            let input = || {
                epoch += 1;
                let start = epoch * SECOND;
                let mut random = Random(epoch as u64);
                let at = |i: usize| start + i as i64 * SECOND / ROWS as i64;
                (
                    rows(ROWS, move |_| random.next() % KEYS, at),
                    start + SECOND,
                )
            };
            let run = |(rows, after): (Vec<RecordBatch>, i64)| {
                black_box(query.epoch(&rows, after).expect("an epoch"))
            };
            b.iter_batched(input, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn top_n(c: &mut Criterion) {
    const ROWS: usize = 1_000_000;
    let mut group = c.benchmark_group("top_n");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.sample_size(10);
    for epoch_rows in [100_000, ROWS] {
        group.bench_function(format!("10,000 keys, epochs of {epoch_rows}"), |b| {
            let logic = rank(3, &[("v", true)], Emission::AtClose, true);
            let mut query = Query::new(logic, OutputMode::Append).expect("a query");
            let mut window = 0;
            let input = || {
                window += 1;
                let end = window * 10 * SECOND;
                let mut random = Random(window as u64);
                let epochs = (0..ROWS / epoch_rows)
                    .map(|_| rows(epoch_rows, |_| random.next() % KEYS, |_| end));
                (epochs.collect::<Vec<_>>(), end)
            };
            let run = |(epochs, end): (Vec<Vec<RecordBatch>>, i64)| {
                let last = epochs.len() - 1;
                for (i, rows) in epochs.iter().enumerate() {
                    let after = if i == last { end } else { end - SECOND };
                    black_box(query.epoch(rows, after).expect("an epoch"));
                }
            };
            b.iter_batched(input, run, BatchSize::PerIteration);
        });
    }
    group.finish();
}

fn growth(c: &mut Criterion) {
    let mut group = c.benchmark_group("growth");
    group.sample_size(20);
    for live in [10_000, 1_000_000, 5_000_000] {
        let logic = rank(1, &[("at", true)], Emission::AtClose, false);
        let mut query = Query::new(logic, OutputMode::Update).expect("a query");
        query.epoch(&rows(live, |i| i, |_| 0), 0).expect("an epoch");
        let mut at = 0;
        for changed in [1_000, 10_000] {
            let mut input = || {
                at += 1;
                rows(
                    changed,
                    |i| (i * (live / changed) + at * 7) % live,
                    |_| at as i64,
                )
            };
            group.throughput(Throughput::Elements(changed as u64));
            group.bench_function(format!("{changed} of {live} keys"), |b| {
                let run =
                    |rows: Vec<RecordBatch>| black_box(query.epoch(&rows, 0).expect("an epoch"));
                b.iter_batched(&mut input, run, BatchSize::PerIteration);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, session, dedup, top_n, growth);
criterion_main!(benches);
