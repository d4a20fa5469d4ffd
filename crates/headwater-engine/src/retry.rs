//! Trying again what failed for a reason that may pass.

use std::time::Duration;

use headwater_core::{Error, Result};

use crate::outage::Outage;

/// How often something is tried again before its failure counts.
const MAX_RETRIES: u32 = 3;
/// Wait before the first retry; doubles with each.
const FIRST_DELAY: Duration = Duration::from_millis(200);

/// Does something again for as long as it fails for a reason that may pass.
///
/// # Errors
/// The failure, if another try cannot help or enough were made.
pub(crate) async fn retried<T, F>(
    what: &str,
    outage: &Outage,
    mut attempt: impl FnMut() -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let mut retries = Retries::new();
    loop {
        match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => retries.wait_after(error, what, outage).await?,
        }
    }
}

/// The retries of one thing.
#[derive(Debug)]
pub(crate) struct Retries {
    made: u32,
    delay: Duration,
}

impl Retries {
    pub(crate) fn new() -> Self {
        Retries {
            made: 0,
            delay: FIRST_DELAY,
        }
    }

    /// Whether nothing was tried again yet.
    pub(crate) fn is_fresh(&self) -> bool {
        self.made == 0
    }

    /// Waits until it is time to try again.
    ///
    /// # Errors
    /// The failure itself, if another try cannot help or enough were made.
    pub(crate) async fn wait_after(
        &mut self,
        error: Error,
        what: &str,
        outage: &Outage,
    ) -> Result<()> {
        if !error.kind().is_retryable() || self.made == MAX_RETRIES {
            return Err(error);
        }
        self.made += 1;
        outage.note(&format!("{what} failed, trying again"), &error);
        outage.clock().sleep(self.delay).await;
        self.delay *= 2;
        Ok(())
    }
}
