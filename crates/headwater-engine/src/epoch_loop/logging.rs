//! When the record of an epoch is made durable: before anybody can see something of the epoch.
//!
//! | sink | commit | the record is durable |
//! | --- | --- | --- |
//! | shows rows before the commit | | before the epoch runs |
//! | shows them with the commit | for every epoch | when the epoch has run: it is written beside |
//! | shows them with the commit | for several | before the commit, all in one file |
//!
//! An epoch that a dead process has run without a record is decided anew; nobody has seen it. That
//! needs a place to read from again, so two more records are durable before their epoch runs: that of
//! the first epoch of all, because `latest` is another place later, and every one of a source that
//! cannot be read again, where the record is how a loss is noticed.

use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;

use headwater_checkpoint::EpochRecord;
use headwater_core::Result;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::EpochId;
use headwater_core::source::Source;

use super::EpochLoop;
use super::run::Outcome;
use crate::activity::Step;
use crate::execute::{blocking, joined};
use crate::query_spec::QuerySpec;

/// When a record is written. See the module's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logging {
    Before,
    Beside,
    WithCommit,
}

impl Logging {
    /// What a query may do whose sources and sinks are open.
    pub(super) fn of(spec: &QuerySpec, sources: &[Arc<dyn Source>]) -> Self {
        let shows_early = spec
            .all_sinks()
            .any(|sink| !sink.capabilities().is_idempotent);
        let mut sources = sources.iter();
        if shows_early || sources.any(|source| !source.is_replayable()) {
            return Logging::Before;
        }
        match spec.checkpoint_interval {
            None if spec.logs_beside => Logging::Beside,
            _ => Logging::WithCommit,
        }
    }
}

impl EpochLoop {
    /// Runs an epoch that has just been decided, until its rows are durable in the sinks.
    ///
    /// # Errors
    /// As [`EpochLoop::prepare_with_retries`], and if the record cannot be written; the epoch is
    /// rolled back then.
    pub(super) async fn log_and_prepare(&mut self, record: &EpochRecord) -> Result<Outcome> {
        let logging = match record.epoch {
            EpochId(0) => Logging::Before,
            _ => self.logging,
        };
        match logging {
            Logging::Before => {
                self.log(record.clone()).await?;
                self.prepare_with_retries(record).await
            }
            Logging::Beside => self.log_beside(record).await,
            Logging::WithCommit => {
                let outcome = self.prepare_with_retries(record).await;
                match outcome {
                    Ok(Outcome::Prepared(_)) => self.unlogged.push(record.clone()),
                    // Those before it run again one by one, and so get past it.
                    Ok(Outcome::Lost(_)) | Err(_) => self.log_uncommitted().await?,
                }
                outcome
            }
        }
    }

    async fn log_beside(&self, record: &EpochRecord) -> Result<Outcome> {
        self.activity.begin(record.epoch, Step::Logging);
        let log = SpawnedTask::spawn_blocking(self.logger(record.clone()));
        let outcome = self.prepare_with_retries(record).await;
        self.activity.begin(record.epoch, Step::Logging);
        let logged = joined(log).await;
        match (logged, outcome) {
            (Ok(()), outcome) => outcome,
            (Err(error), Ok(Outcome::Prepared(_))) => {
                self.undo(record).await;
                Err(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Writes the records of the epochs that are about to be committed, in one file.
    pub(super) async fn log_uncommitted(&mut self) -> Result<()> {
        let mut records = std::mem::take(&mut self.unlogged);
        let Some(last) = records.pop() else {
            return Ok(());
        };
        let record = EpochRecord {
            earlier: records,
            ..last
        };
        self.log(record).await
    }

    async fn log(&self, record: EpochRecord) -> Result<()> {
        self.activity.begin(record.epoch, Step::Logging);
        blocking(self.logger(record)).await
    }

    fn logger(&self, record: EpochRecord) -> impl FnOnce() -> Result<()> + Send + 'static {
        let checkpoint = Arc::clone(&self.checkpoint);
        move || {
            CrashPoint::BeforePlanWrite.reach();
            checkpoint.log_epoch(&record)
        }
    }
}
