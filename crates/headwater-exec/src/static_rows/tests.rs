//! Rows that are read once and given again.

use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::internal_err;
use datafusion_physical_plan::execution_plan::reset_plan_states;
use datafusion_physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::*;

/// A partition that counts how often it is read, and fails the first time if it is told to.
#[derive(Debug)]
struct Counted {
    schema: SchemaRef,
    reads: Arc<AtomicUsize>,
    fails_at_first: bool,
}

impl PartitionStream for Counted {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let read = self.reads.fetch_add(1, Ordering::SeqCst);
        let batch = if self.fails_at_first && read == 0 {
            internal_err!("the table is away")
        } else {
            let column = Arc::new(Int64Array::from(vec![1, 2, 3]));
            RecordBatch::try_new(Arc::clone(&self.schema), vec![column]).map_err(Into::into)
        };
        let stream = futures::stream::iter([batch]);
        let schema = Arc::clone(&self.schema);
        Box::pin(RecordBatchStreamAdapter::new(schema, stream))
    }
}

fn plan(fails_at_first: bool) -> (Arc<dyn ExecutionPlan>, Arc<AtomicUsize>) {
    let schema = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]));
    let reads = Arc::new(AtomicUsize::new(0));
    let partition = || -> Arc<dyn PartitionStream> {
        Arc::new(Counted {
            schema: Arc::clone(&schema),
            reads: Arc::clone(&reads),
            fails_at_first,
        })
    };
    let partitions = vec![partition(), partition()];
    let table =
        StreamingTableExec::try_new(Arc::clone(&schema), partitions, None, vec![], false, None);
    (
        Arc::new(StaticRowsExec::new(Arc::new(table.unwrap()))),
        reads,
    )
}

async fn rows(plan: &Arc<dyn ExecutionPlan>) -> Result<Vec<usize>> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    let read = collect_partitioned(plan, Arc::new(TaskContext::default())).await?;
    let count = |batches: &Vec<RecordBatch>| batches.iter().map(RecordBatch::num_rows).sum();
    Ok(read.iter().map(count).collect())
}

#[tokio::test]
async fn every_epoch_has_the_rows_of_one_read() {
    let (plan, reads) = plan(false);
    for _ in 0..3 {
        assert_eq!(rows(&plan).await.unwrap(), [3, 3]);
    }
    assert_eq!(reads.load(Ordering::SeqCst), 2, "once per partition");
}

#[tokio::test]
async fn a_read_that_failed_is_tried_again() {
    let (plan, _) = plan(true);
    assert!(rows(&plan).await.is_err());
    assert_eq!(rows(&plan).await.unwrap(), [3, 3]);
}
