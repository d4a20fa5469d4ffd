//! What goes wrong inside one query stays there: panics of the caller's functions.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::Result as PlanResult;
use datafusion::logical_expr::{
    Accumulator, ColumnarValue, ScalarUDF, Volatility, create_udaf, create_udf,
};
use datafusion::scalar::ScalarValue;
use headwater::{EpochId, ErrorKind, Headwater, StreamingQuery};

/// Whether functions panic; the bug that is mended by a new version.
static IS_BROKEN: AtomicBool = AtomicBool::new(true);

fn panics() -> ScalarUDF {
    let bigint = DataType::Int64;
    let run = |values: &[ColumnarValue]| -> PlanResult<ColumnarValue> {
        assert!(!IS_BROKEN.load(Ordering::SeqCst), "not this value");
        Ok(values[0].clone())
    };
    create_udf(
        "fragile",
        vec![bigint.clone()],
        bigint,
        Volatility::Immutable,
        Arc::new(run),
    )
}

/// A sum that panics at the value 13.
#[derive(Debug, Default)]
struct Superstitious(i64);

impl Accumulator for Superstitious {
    fn update_batch(&mut self, values: &[ArrayRef]) -> PlanResult<()> {
        let values: &dyn Any = values[0].as_any();
        let values = values.downcast_ref::<Int64Array>().unwrap();
        for value in values.iter().flatten() {
            assert_ne!(value, 13, "an unlucky number");
            self.0 += value;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> PlanResult<ScalarValue> {
        Ok(ScalarValue::from(self.0))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> PlanResult<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::from(self.0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> PlanResult<()> {
        self.update_batch(states)
    }
}

async fn session(partitions: usize) -> Headwater {
    let session = Headwater::builder()
        .target_partitions(partitions)
        .build()
        .unwrap();
    session.register_udf(panics());
    let bigint = Arc::new(DataType::Int64);
    session.register_udaf(create_udaf(
        "lucky_sum",
        vec![DataType::Int64],
        Arc::clone(&bigint),
        Volatility::Immutable,
        Arc::new(|_| Ok(Box::<Superstitious>::default())),
        Arc::new(vec![DataType::Int64]),
    ));
    session
        .sql("CREATE SOURCE t (k BIGINT, v BIGINT) WITH (connector = 'memory')")
        .await
        .unwrap();
    session
}

fn push(session: &Headwater, values: &[i64]) {
    let stream = session.memory_stream("t").unwrap();
    let keys: Int64Array = values.iter().map(|v| v % 3).collect();
    let values: Int64Array = values.iter().copied().collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
    let rows = RecordBatch::try_new(stream.schema(), columns).unwrap();
    stream.push(0, rows).unwrap();
}

async fn start(session: &Headwater, name: &str, select: &str, folder: &str) -> StreamingQuery {
    let stream = session.stream(select).await.unwrap();
    let writer = stream.write_stream().format("memory").query_name(name);
    let writer = writer.key(&["k"]).checkpoint(&format!("{folder}/{name}"));
    writer.start().await.unwrap()
}

fn rows_in(session: &Headwater, sink: &str) -> usize {
    let rows = session.memory_sink(sink).unwrap().rows();
    rows.iter().map(RecordBatch::num_rows).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_function_ends_its_query_and_no_other() {
    for partitions in [1, 3] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let session = session(partitions).await;
        IS_BROKEN.store(true, Ordering::SeqCst);
        let healthy = "SELECT k, v FROM t";
        let (fragile, unlucky) = (
            "SELECT k, fragile(v) AS v FROM t",
            "SELECT k, lucky_sum(v) AS v FROM t GROUP BY k EMIT ON UPDATE",
        );
        let other = start(&session, "other", healthy, folder).await;
        let scalar = start(&session, "scalar", fragile, folder).await;
        let aggregate = start(&session, "aggregate", unlucky, folder).await;
        push(&session, &[1, 2]);
        other.process_all_available().await.unwrap();
        aggregate.process_all_available().await.unwrap();
        let error = scalar.await_termination().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("not this value"), "{error}");
        let detail = error.detail().unwrap();
        assert!(detail.contains("\"fragile\""), "{detail}");
        push(&session, &[13, 4]);
        let error = aggregate.await_termination().await.unwrap_err();
        assert!(error.message().contains("an unlucky number"), "{error}");
        other.process_all_available().await.unwrap();
        assert_eq!(rows_in(&session, "other"), 4);
        assert!(other.is_active());
        other.stop().await.unwrap();
        // The lock is free and the checkpoint whole: mended, the query goes on where it was.
        IS_BROKEN.store(false, Ordering::SeqCst);
        let again = start(&session, "scalar", fragile, folder).await;
        again.process_all_available().await.unwrap();
        assert_eq!(rows_in(&session, "scalar"), 4);
        again.stop().await.unwrap();
        // Not mended, it fails at the same epoch again, and not by another error.
        let again = start(&session, "aggregate", unlucky, folder).await;
        assert_eq!(again.resumed_after(), Some(EpochId(0)));
        let error = again.await_termination().await.unwrap_err();
        assert!(error.message().contains("an unlucky number"), "{error}");
    }
}

#[tokio::test]
async fn a_panic_in_a_foreach_batch_ends_its_query_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let session = session(1).await;
    let other = start(&session, "other", "SELECT k, v FROM t", folder).await;
    let stream = session.stream("SELECT k, v FROM t").await.unwrap();
    let writer = stream.write_stream().query_name("each");
    let writer = writer.checkpoint(&format!("{folder}/each"));
    let each = writer.foreach_batch(|_, _| panic!("in the closure"));
    let query = each.start().await.unwrap();
    push(&session, &[1, 2]);
    let error = query.await_termination().await.unwrap_err();
    assert!(error.message().contains("in the closure"), "{error}");
    other.process_all_available().await.unwrap();
    assert_eq!(rows_in(&session, "other"), 2);
    let stream = session.stream("SELECT k, v FROM t").await.unwrap();
    let writer = stream.write_stream().query_name("each").format("memory");
    let again = writer.checkpoint(&format!("{folder}/each")).start().await;
    let again = again.unwrap();
    again.process_all_available().await.unwrap();
    assert_eq!(rows_in(&session, "each"), 2);
}
