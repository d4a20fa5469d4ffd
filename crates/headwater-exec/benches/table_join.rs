//! What a tiny epoch costs beside a large table: ten rows of a stream join a table of a million.
//!
//! - `hash_join`: DataFusion's join over rows that are kept; it builds its hash table every time.
//! - `table_join`: the join that keeps the hash table.

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot run has nothing to report"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{Criterion, criterion_group, criterion_main};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion_common::{JoinSide, JoinType, NullEquality, Result};
use datafusion_execution::TaskContext;
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;
use datafusion_physical_plan::execution_plan::reset_plan_states;
use datafusion_physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion_physical_plan::{ExecutionPlan, collect};

use headwater_exec::kept::Refresh;
use headwater_exec::static_rows::StaticRowsExec;
use headwater_exec::table_join::{Gives, TableJoin, TableJoinExec};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TABLE_ROWS: i64 = 1_000_000;
const STREAM_ROWS: i64 = 10;

fn rows(name: &str, count: i64, step: i64) -> Result<Arc<dyn ExecutionPlan>> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new(format!("{name}_k"), DataType::Int64, false),
        Field::new(format!("{name}_name"), DataType::Utf8View, false),
    ]));
    let keys: Int64Array = (0..count).map(|n| Some(n * step)).collect();
    let names: StringViewArray = (0..count).map(|n| Some(format!("name {n}"))).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(names)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns)?;
    Ok(MemorySourceConfig::try_new_exec(
        &[vec![batch]],
        schema,
        None,
    )?)
}

fn plans() -> Result<[(&'static str, Arc<dyn ExecutionPlan>); 2]> {
    let column = |name| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new(name, 0)) };
    let (stream, table) = (rows("s", STREAM_ROWS, 99_991)?, rows("t", TABLE_ROWS, 1)?);
    let hash_join = HashJoinExec::try_new(
        Arc::new(StaticRowsExec::new(Arc::clone(&table))),
        Arc::clone(&stream),
        vec![(column("t_k"), column("s_k"))],
        None,
        &JoinType::Inner,
        None,
        PartitionMode::CollectLeft,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    let join = TableJoin {
        stream_side: JoinSide::Right,
        gives: Gives::Pairs,
        on: vec![(column("s_k"), column("t_k"))],
        filter: None,
        null_equality: NullEquality::NullEqualsNothing,
        schema: hash_join.schema(),
    };
    let table_join = TableJoinExec::new(stream, table, Arc::new(join), Refresh::Never);
    Ok([
        ("hash_join", Arc::new(hash_join)),
        ("table_join", Arc::new(table_join)),
    ])
}

async fn epoch(plan: &Arc<dyn ExecutionPlan>) -> Result<usize> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    let batches = collect(plan, Arc::new(TaskContext::default())).await?;
    Ok(batches.iter().map(RecordBatch::num_rows).sum())
}

fn tiny_epoch(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime starts");
    let mut group = criterion.benchmark_group("tiny_epoch_beside_a_million_rows");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(3));
    for (name, plan) in plans().expect("the plans are right") {
        let run = || runtime.block_on(epoch(&plan)).expect("the join runs");
        assert_eq!(run(), STREAM_ROWS as usize, "every row finds one");
        group.bench_function(name, |bench| bench.iter(|| black_box(run())));
    }
    group.finish();
}

criterion_group!(benches, tiny_epoch);
criterion_main!(benches);
