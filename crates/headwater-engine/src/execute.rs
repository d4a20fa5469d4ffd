//! Runs a plan over the slices of one epoch.

use std::sync::Arc;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use datafusion_common_runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt};

use headwater_core::id::EpochId;
use headwater_core::sink::{Sink, Staged};
use headwater_core::{Error, Result};
use headwater_exec::epoch_context::EpochContext;

/// A task context that carries an epoch. Its function maps are empty: a physical plan holds its
/// functions itself, and cloning the maps costs more than a small epoch.
pub(crate) fn task_context(
    config: &SessionConfig,
    runtime: &Arc<RuntimeEnv>,
    epoch: Arc<EpochContext>,
) -> Arc<TaskContext> {
    Arc::new(TaskContext::new(
        None,
        epoch.query.to_string(),
        config.clone().with_extension(epoch),
        Default::default(),
        Default::default(),
        Default::default(),
        Default::default(),
        Arc::clone(runtime),
    ))
}

/// Executes the plan and hands every output partition to the sink.
///
/// The plan is reset first: a repartitioning node cannot be executed twice as it is, and metrics
/// would pile up.
pub(crate) async fn run_epoch(
    plan: &Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    sink: &Arc<dyn Sink>,
    epoch: EpochId,
) -> Result<Vec<Staged>> {
    let plan = reset_plan_states(Arc::clone(plan))?;
    let partitions = plan.output_partitioning().partition_count();
    if partitions == 1 {
        let rows = plan
            .execute(0, Arc::clone(task))?
            .map_err(Error::from)
            .boxed();
        return Ok(vec![sink.write(epoch, 0, rows).await?]);
    }
    let mut writes = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        let rows = plan
            .execute(partition, Arc::clone(task))?
            .map_err(Error::from)
            .boxed();
        let sink = Arc::clone(sink);
        writes.push(SpawnedTask::spawn(async move {
            sink.write(epoch, partition, rows).await
        }));
    }
    let mut staged = Vec::with_capacity(partitions);
    let mut failed = None;
    for write in writes {
        match write
            .join_unwind()
            .await
            .map_err(|e| Error::internal(e.to_string()))?
        {
            Ok(rows) => staged.push(rows),
            // The other partitions are awaited too: nothing of this epoch may still be running
            // when it is rolled back.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(staged), Err)
}

/// Runs something that waits for a disk on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let task = SpawnedTask::spawn_blocking(work);
    task.join_unwind()
        .await
        .map_err(|e| Error::internal(e.to_string()))?
}
