//! Runs a plan over the slices of one epoch.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use datafusion::execution::TaskContext;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::prelude::SessionConfig;
use datafusion_common_runtime::SpawnedTask;
use futures::{StreamExt, TryStreamExt};

use headwater_core::crash_point::CrashPoint;
use headwater_core::id::EpochId;
use headwater_core::sink::{Sink, Staged};
use headwater_core::{Error, Result};
use headwater_exec::epoch_context::EpochContext;

use crate::activity::Activity;
use crate::held_rows::HeldRows;
use crate::watched::into_sink;

/// How often, and for how long, parts of a failed epoch are looked for: 30 seconds.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
const MOST_LOOKS: u32 = 30_000;

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

/// Where the rows of an epoch go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowsOut<'a> {
    pub(crate) sink: &'a Arc<dyn Sink>,
    /// What they wait for.
    pub(crate) held: &'a HeldRows,
    pub(crate) activity: &'a Arc<Activity>,
}

/// Executes the plan for an epoch and hands every output partition to the sink.
///
/// When this returns, nothing of the epoch is running any more: a failed one may be rolled back.
pub(crate) async fn run_epoch(
    plan: &Arc<dyn ExecutionPlan>,
    config: &SessionConfig,
    runtime: &Arc<RuntimeEnv>,
    out: &RowsOut<'_>,
    context: EpochContext,
) -> Result<Vec<Staged>> {
    let epoch = context.epoch;
    let context = Arc::new(context);
    let users = Arc::downgrade(&context);
    out.activity.runs_with(Weak::clone(&users));
    let task = task_context(config, runtime, context);
    let written = write_partitions(plan, &task, out, epoch).await;
    drop(task);
    match written {
        Ok(staged) => Ok(staged),
        Err(error) => Err(after_the_last(|| users.strong_count() == 0, error).await),
    }
}

/// Waits until nobody has a part in a failed epoch any more. A task that is aborted ends at its next
/// await, not at once; until then it may still change state.
pub(crate) async fn after_the_last(are_gone: impl Fn() -> bool, error: Error) -> Error {
    after_looks(are_gone, error, MOST_LOOKS).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "it waits for threads, which a test's clock does not move"
)]
async fn after_looks(are_gone: impl Fn() -> bool, error: Error, most_looks: u32) -> Error {
    for _ in 0..most_looks {
        if are_gone() {
            return error;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    Error::internal("parts of a failed epoch do not end").with_source(error)
}

/// The plan is reset first: a repartitioning node cannot be executed twice as it is, and metrics
/// would pile up.
async fn write_partitions(
    plan: &Arc<dyn ExecutionPlan>,
    task: &Arc<TaskContext>,
    out: &RowsOut<'_>,
    epoch: EpochId,
) -> Result<Vec<Staged>> {
    let RowsOut {
        sink,
        held,
        activity,
    } = *out;
    let plan = reset_plan_states(Arc::clone(plan))?;
    let partitions = plan.output_partitioning().partition_count();
    let rows_of = |partition| -> Result<_> {
        let rows = plan.execute(partition, Arc::clone(task))?;
        let rows = rows.inspect(|_| CrashPoint::MidSinkWrite.reach());
        let holds = activity.add_writer();
        let rows = held.hold(rows.map_err(Error::from).boxed());
        let rows = into_sink(rows, Arc::clone(&holds), Arc::clone(activity));
        Ok((rows, holds))
    };
    if partitions == 1 {
        let (rows, holds) = rows_of(0)?;
        let written = sink.write(epoch, 0, rows).await;
        holds.store(false, Ordering::Relaxed);
        return Ok(vec![written?]);
    }
    let mut writes = Vec::with_capacity(partitions);
    for partition in 0..partitions {
        let (rows, holds) = rows_of(partition)?;
        let sink = Arc::clone(sink);
        writes.push(SpawnedTask::spawn(async move {
            let written = sink.write(epoch, partition, rows).await;
            holds.store(false, Ordering::Relaxed);
            written
        }));
    }
    let mut staged = Vec::with_capacity(partitions);
    let mut failed = None;
    for write in writes {
        let written = write.join_unwind().await;
        match written.map_err(|e| Error::internal(e.to_string()))? {
            Ok(rows) => staged.push(rows),
            // The other partitions are awaited too.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(staged), Err)
}

/// Runs something that waits for a disk on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    joined(SpawnedTask::spawn_blocking(work)).await
}

/// What a thread that may block gives in the end.
pub(crate) async fn joined<T: Send + 'static>(task: SpawnedTask<Result<T>>) -> Result<T> {
    let ended = task.join_unwind().await;
    ended.map_err(|e| Error::internal(e.to_string()))?
}

#[cfg(test)]
mod tests {
    use headwater_core::ErrorKind;

    use super::*;

    fn failure() -> Error {
        Error::new(ErrorKind::Source, "the broker is away")
    }

    #[tokio::test]
    async fn a_failed_epoch_is_over_when_its_last_part_is() {
        let context = Arc::new(());
        let users = Arc::downgrade(&context);
        let part = std::thread::spawn(move || {
            // A part that is not at an await when it is aborted.
            std::thread::sleep(Duration::from_millis(40));
            drop(context);
        });
        let error = after_the_last(|| users.strong_count() == 0, failure()).await;
        assert_eq!(users.strong_count(), 0, "it was waited for");
        assert_eq!(error.kind(), ErrorKind::Source);
        part.join().unwrap();
    }

    #[tokio::test]
    async fn a_part_that_never_ends_ends_the_query() {
        let context = Arc::new(());
        let users = Arc::downgrade(&context);
        let error = after_looks(|| users.strong_count() == 0, failure(), 3).await;
        assert!(!error.kind().is_retryable());
        assert!(error.report("q", None).contains("the broker is away"));
    }
}
