//! A stream with a table, epoch after epoch, against pairs that are looked for one by one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion_common::internal_err;
use datafusion_expr::Operator;
use datafusion_physical_expr::expressions::{BinaryExpr, Column};
use datafusion_physical_plan::execution_plan::reset_plan_states;
use datafusion_physical_plan::joins::utils::{ColumnIndex, build_join_schema};
use datafusion_physical_plan::streaming::{PartitionStream, StreamingTableExec};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::testing::epoch::context_at;

type Rows = Vec<(Option<i64>, Option<i64>)>;

/// Rows in one partition, with a count of how often they are read.
#[derive(Debug)]
struct Counted {
    schema: SchemaRef,
    rows: Rows,
    reads: Arc<AtomicUsize>,
    fails_at_first: bool,
}

impl PartitionStream for Counted {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        let batches: Vec<Result<RecordBatch>> = if self.fails_at_first && read == 0 {
            vec![internal_err!("the table is away")]
        } else {
            self.rows
                .chunks(3)
                .map(|rows| Ok(batch(&self.schema, rows)))
                .collect()
        };
        let schema = Arc::clone(&self.schema);
        let stream = futures::stream::iter(batches);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream))
    }
}

fn schema(name: &str) -> SchemaRef {
    let field = |column| Field::new(format!("{name}_{column}"), DataType::Int64, true);
    Arc::new(Schema::new(vec![field("k"), field("v")]))
}

fn batch(schema: &SchemaRef, rows: &[(Option<i64>, Option<i64>)]) -> RecordBatch {
    let keys: Int64Array = rows.iter().map(|row| row.0).collect();
    let values: Int64Array = rows.iter().map(|row| row.1).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}

fn rows_of(
    name: &str,
    rows: Rows,
    fails_at_first: bool,
) -> (Arc<dyn ExecutionPlan>, Arc<AtomicUsize>) {
    let schema = schema(name);
    let reads = Arc::new(AtomicUsize::new(0));
    let partition: Arc<dyn PartitionStream> = Arc::new(Counted {
        schema: Arc::clone(&schema),
        rows,
        reads: Arc::clone(&reads),
        fails_at_first,
    });
    let exec = StreamingTableExec::try_new(schema, vec![partition], None, vec![], false, None);
    (Arc::new(exec.unwrap()), reads)
}

/// What joins the two: by the first column, by none, and with the second ones compared besides.
#[derive(Debug, Clone, Copy)]
struct Asked {
    gives: Gives,
    stream_side: JoinSide,
    has_key: bool,
    has_filter: bool,
    nulls: NullEquality,
}

impl Asked {
    fn join_type(self) -> JoinType {
        let is_left = self.stream_side == JoinSide::Left;
        match (self.gives, is_left) {
            (Gives::Pairs, _) => JoinType::Inner,
            (Gives::PairsOrNulls, true) => JoinType::Left,
            (Gives::PairsOrNulls, false) => JoinType::Right,
            (Gives::Matched, true) => JoinType::LeftSemi,
            (Gives::Matched, false) => JoinType::RightSemi,
            (Gives::Unmatched | Gives::UnmatchedUnlessNull, true) => JoinType::LeftAnti,
            (Gives::Unmatched | Gives::UnmatchedUnlessNull, false) => JoinType::RightAnti,
            (Gives::Marks, true) => JoinType::LeftMark,
            (Gives::Marks, false) => JoinType::RightMark,
        }
    }

    fn plan(
        self,
        stream: Arc<dyn ExecutionPlan>,
        table: Arc<dyn ExecutionPlan>,
        refresh: Refresh,
    ) -> Arc<dyn ExecutionPlan> {
        let (left, right) = match self.stream_side {
            JoinSide::Right => (table.schema(), stream.schema()),
            _ => (stream.schema(), table.schema()),
        };
        let other = match self.stream_side {
            JoinSide::Right => JoinSide::Left,
            _ => JoinSide::Right,
        };
        let (schema, _) = build_join_schema(&left, &right, &self.join_type());
        let column =
            |name: &str, index| Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>;
        let key = (column("s_k", 0), column("t_k", 0));
        let less = BinaryExpr::new(column("s_v", 0), Operator::Lt, column("t_v", 1));
        let seen = Schema::new(vec![
            Field::new("s_v", DataType::Int64, true),
            Field::new("t_v", DataType::Int64, true),
        ]);
        let of = |side| ColumnIndex { index: 1, side };
        let columns = vec![of(self.stream_side), of(other)];
        let filter = JoinFilter::new(Arc::new(less), columns, Arc::new(seen));
        let join = TableJoin {
            stream_side: self.stream_side,
            gives: self.gives,
            on: self.has_key.then_some(key).into_iter().collect(),
            filter: self.has_filter.then_some(filter),
            null_equality: self.nulls,
            schema: Arc::new(schema),
        };
        Arc::new(TableJoinExec::new(stream, table, Arc::new(join), refresh))
    }

    fn fits(self, stream: (Option<i64>, Option<i64>), table: (Option<i64>, Option<i64>)) -> bool {
        let same = match (stream.0, table.0) {
            (None, None) => self.nulls == NullEquality::NullEqualsNull,
            (stream, table) => stream == table,
        };
        let less = matches!((stream.1, table.1), (Some(s), Some(t)) if s < t);
        (!self.has_key || same) && (!self.has_filter || less)
    }

    /// The output as SQL defines it, one row of the stream after the other.
    fn expected(self, stream: &Rows, table: &Rows) -> Vec<Vec<Option<i64>>> {
        let mut rows = Vec::new();
        for s in stream {
            let found: Vec<_> = table.iter().filter(|t| self.fits(*s, **t)).collect();
            let itself = vec![s.0, s.1];
            let beside = |t: &(Option<i64>, Option<i64>)| match self.stream_side {
                JoinSide::Right => vec![t.0, t.1, s.0, s.1],
                _ => vec![s.0, s.1, t.0, t.1],
            };
            match self.gives {
                Gives::Pairs => rows.extend(found.into_iter().map(beside)),
                Gives::PairsOrNulls if found.is_empty() => rows.push(beside(&(None, None))),
                Gives::PairsOrNulls => rows.extend(found.into_iter().map(beside)),
                Gives::Matched if !found.is_empty() => rows.push(itself),
                Gives::Unmatched if found.is_empty() => rows.push(itself),
                Gives::UnmatchedUnlessNull => {
                    let may_be_there = s.0.is_none() || table.iter().any(|t| t.0.is_none());
                    if table.is_empty() || (found.is_empty() && !may_be_there) {
                        rows.push(itself);
                    }
                }
                Gives::Marks => rows.push(vec![s.0, s.1, Some(i64::from(!found.is_empty()))]),
                Gives::Matched | Gives::Unmatched => {}
            }
        }
        rows.sort();
        rows
    }
}

/// An epoch of the plan at a time of day, in batches of few rows.
async fn epoch(plan: &Arc<dyn ExecutionPlan>, second: i64) -> Result<Vec<Vec<Option<i64>>>> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    let batches = collect_partitioned(plan, context_at(second, 2))
        .await?
        .concat();
    let mut rows = Vec::new();
    for batch in batches {
        assert!(batch.num_rows() <= 3, "{} rows at once", batch.num_rows());
        let value = |column: &ArrayRef, row| -> Option<i64> {
            if column.is_null(row) {
                return None;
            }
            let any = column.as_any();
            if let Some(marks) = any.downcast_ref::<BooleanArray>() {
                return Some(i64::from(marks.value(row)));
            }
            any.downcast_ref::<Int64Array>()
                .map(|numbers| numbers.value(row))
        };
        for row in 0..batch.num_rows() {
            rows.push(batch.columns().iter().map(|c| value(c, row)).collect());
        }
    }
    rows.sort();
    Ok(rows)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(future)
}

fn rows() -> impl Strategy<Value = Rows> {
    let number = || option::weighted(0.8, 0i64..4);
    vec((number(), number()), 0..9)
}

fn asked() -> impl Strategy<Value = Asked> {
    let gives = proptest::sample::select(vec![
        Gives::Pairs,
        Gives::PairsOrNulls,
        Gives::Matched,
        Gives::Unmatched,
        Gives::UnmatchedUnlessNull,
        Gives::Marks,
    ]);
    let nulls = prop_oneof![
        Just(NullEquality::NullEqualsNothing),
        Just(NullEquality::NullEqualsNull),
    ];
    (gives, any::<bool>(), any::<bool>(), any::<bool>(), nulls).prop_map(
        |(gives, is_left, has_key, has_filter, nulls)| {
            let is_not_in = gives == Gives::UnmatchedUnlessNull;
            Asked {
                gives,
                stream_side: if is_left {
                    JoinSide::Left
                } else {
                    JoinSide::Right
                },
                has_key: has_key || is_not_in,
                has_filter: has_filter && !is_not_in,
                nulls: if is_not_in {
                    NullEquality::NullEqualsNothing
                } else {
                    nulls
                },
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_join_gives_what_sql_says(asked in asked(), stream in rows(), table in rows()) {
        let (left, _) = rows_of("s", stream.clone(), false);
        let (right, reads) = rows_of("t", table.clone(), false);
        let plan = asked.plan(left, right, Refresh::Never);
        for _ in 0..2 {
            let given = run(epoch(&plan, 0)).unwrap();
            prop_assert_eq!(given, asked.expected(&stream, &table));
        }
        prop_assert_eq!(reads.load(Ordering::SeqCst), 1);
    }
}

fn pairs() -> Asked {
    Asked {
        gives: Gives::Pairs,
        stream_side: JoinSide::Left,
        has_key: true,
        has_filter: false,
        nulls: NullEquality::NullEqualsNothing,
    }
}

#[test]
fn the_table_is_the_same_object_in_every_epoch() {
    let (stream, _) = rows_of("s", vec![(Some(1), None)], false);
    let (table, reads) = rows_of("t", vec![(Some(1), Some(7))], false);
    let plan = pairs().plan(stream, table, Refresh::Never);
    let kept = |plan: &Arc<dyn ExecutionPlan>| {
        let exec = plan.downcast_ref::<TableJoinExec>().unwrap();
        let nobody_reads = async || internal_err!("it was read before");
        run(exec.kept.get(&context_at(0, 2), nobody_reads)).unwrap()
    };
    run(epoch(&plan, 0)).unwrap();
    let first = kept(&plan);
    for second in 1..50 {
        run(epoch(&plan, second)).unwrap();
    }
    assert!(Arc::ptr_eq(&first, &kept(&plan)), "with its hash table");
    assert_eq!(reads.load(Ordering::SeqCst), 1);
}

#[test]
fn the_table_is_read_again_in_the_first_epoch_of_an_interval() {
    let (stream, _) = rows_of("s", vec![(Some(1), None)], false);
    let (table, reads) = rows_of("t", vec![(Some(1), Some(7))], false);
    let minute = Refresh::Every(Duration::from_secs(60));
    let plan = pairs().plan(stream, table, minute);
    let read_after = |second| {
        run(epoch(&plan, second)).unwrap();
        reads.load(Ordering::SeqCst)
    };
    let seconds = [59, 59, 60, 60, 119, 121, 121, 400];
    assert_eq!(seconds.map(read_after), [1, 1, 2, 2, 2, 3, 3, 4]);
}

#[test]
fn a_read_that_failed_is_tried_again() {
    let (stream, _) = rows_of("s", vec![(Some(1), None)], false);
    let (table, _) = rows_of("t", vec![(Some(1), Some(7))], true);
    let plan = pairs().plan(stream, table, Refresh::Never);
    assert!(run(epoch(&plan, 0)).is_err());
    let expected = vec![vec![Some(1), None, Some(1), Some(7)]];
    assert_eq!(run(epoch(&plan, 0)).unwrap(), expected);
}
