//! When the record of an epoch is made durable: before anybody can see something of the epoch that
//! another try would not bring.
//!
//! | sink | commit | the record is written |
//! | --- | --- | --- |
//! | shows rows before the commit | | while the epoch runs, and its rows wait for that |
//! | the same, rows are functions of a record each | beside later epochs | before the commit, all in one file |
//! | shows them with the commit | for every epoch | while the epoch runs |
//! | shows them with the commit | for several | before the commit, all in one file |
//!
//! An epoch that a dead process has run without a record is decided anew: nobody has seen it, or its
//! rows would be the same in any other epoch. That needs a place to read from again, so two more
//! records are durable before their epoch runs: that of the first epoch of all, because `latest` is
//! another place later, and every one of a source that cannot be read again, where the record is how
//! a loss is noticed.

use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;
use tokio::sync::watch;

use headwater_checkpoint::{Checkpoint, EpochRecord};
use headwater_core::Result;
use headwater_core::crash_point::CrashPoint;
use headwater_core::id::EpochId;
use headwater_core::source::Source;

use super::EpochLoop;
use super::beside::may_overlap;
use super::run::Outcome;
use crate::activity::Step;
use crate::execute::{blocking, joined};
use crate::held_rows::HeldRows;
use crate::query_spec::QuerySpec;

/// When a record is written. See the module's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logging {
    Before,
    BeforeRows,
    Beside,
    WithCommit,
}

impl Logging {
    /// What a query may do whose sources and sinks are open.
    pub(super) fn of(spec: &QuerySpec, sources: &[Arc<dyn Source>]) -> Self {
        if sources.iter().any(|source| !source.is_replayable()) {
            return Logging::Before;
        }
        let shows_early = spec
            .all_sinks()
            .any(|sink| !sink.capabilities().is_idempotent);
        match (shows_early, spec.checkpoint_interval) {
            (true, _) if may_overlap(spec, sources) && spec.plan.is_row_by_row => {
                Logging::WithCommit
            }
            (true, _) if spec.overlaps => Logging::BeforeRows,
            (true, _) => Logging::Before,
            (false, None) if spec.overlaps => Logging::Beside,
            (false, _) => Logging::WithCommit,
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
            Logging::BeforeRows => {
                let (tells, is_written) = watch::channel(false);
                self.held = HeldRows::until(is_written, &self.activity);
                let outcome = self.log_beside(record, Some(tells)).await;
                self.held = HeldRows::default();
                outcome
            }
            Logging::Beside => self.log_beside(record, None).await,
            Logging::WithCommit => {
                let outcome = self.prepare_with_retries(record).await;
                match outcome {
                    Ok(Outcome::Prepared(_)) => self.unlogged.push(record.clone()),
                    // Those before it are committed nevertheless.
                    Err(_) if self.may_overlap => {}
                    // Those before it run again one by one, and so get past it.
                    Ok(Outcome::Lost(_)) | Err(_) => self.log_uncommitted().await?,
                }
                outcome
            }
        }
    }

    /// Writes the record while the epoch runs, and tells that it is written.
    async fn log_beside(
        &self,
        record: &EpochRecord,
        tells: Option<watch::Sender<bool>>,
    ) -> Result<Outcome> {
        self.activity.begin(record.epoch, Step::Logging);
        let write = self.logger(record.clone());
        let log = SpawnedTask::spawn_blocking(move || {
            write()?;
            if let Some(tells) = tells {
                tells.send_replace(true);
            }
            Ok(())
        });
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

    /// Writes the records of epochs that are not committed, in one file.
    pub(super) async fn log_uncommitted(&mut self) -> Result<()> {
        match together(std::mem::take(&mut self.unlogged)) {
            Some(record) => self.log(record).await,
            None => Ok(()),
        }
    }

    async fn log(&self, record: EpochRecord) -> Result<()> {
        self.activity.begin(record.epoch, Step::Logging);
        blocking(self.logger(record)).await
    }

    fn logger(&self, record: EpochRecord) -> impl FnOnce() -> Result<()> + Send + 'static {
        let checkpoint = Arc::clone(&self.checkpoint);
        move || write(&checkpoint, &record)
    }
}

/// One record of epochs that follow each other.
pub(super) fn together(mut records: Vec<EpochRecord>) -> Option<EpochRecord> {
    let last = records.pop()?;
    Some(EpochRecord {
        earlier: records,
        ..last
    })
}

/// Writes a record.
pub(super) fn write(checkpoint: &Checkpoint, record: &EpochRecord) -> Result<()> {
    CrashPoint::BeforePlanWrite.reach();
    checkpoint.log_epoch(record)
}
