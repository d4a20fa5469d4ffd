//! Calls that block, such as those of the file system, away from the async threads.

use datafusion_common_runtime::SpawnedTask;

use headwater_core::{Error, Result};

/// Runs `call` where it may block. Dropping the future does not stop a call that has begun.
pub(crate) async fn blocking<T, F>(call: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    match SpawnedTask::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(Error::internal("a blocking call did not finish").with_source(error)),
    }
}
