//! Commits that are made while later epochs run.
//!
//! A sink that shows rows as they are written has shown an epoch before it is committed. So the next
//! one need not wait for the commit, nor for the sink to have it durable:
//!
//! ```text
//! log 7 ─ run 7 ─┬─ log 8 ─ run 8 ─ log 9 ─ run 9 ─┬─ log 10 ─ …
//!                └─ prepare 7 ─ commit 7 ──────────┴─ commit 8 and 9 ─ …
//! ```
//!
//! One commit is made at a time; what has run meanwhile is committed together by the next. After a
//! crash all epochs after the last commit run again, each as its record says: the same as with a
//! checkpoint interval, and the promise of at least once is the same.

use std::sync::Arc;
use std::time::Duration;

use datafusion_common_runtime::SpawnedTask;
use tokio::sync::watch;

use headwater_core::id::EpochId;
use headwater_core::source::Source;
use headwater_core::trigger::Trigger;
use headwater_core::{Error, Result};

use super::committing::{Committed, Doing, Preparing, Steps, Waiting};
use super::{EpochLoop, Step};
use crate::execute::joined;
use crate::outputs::{self, StagedRows};
use crate::query_spec::{Durability, QuerySpec};

/// Epochs do not run ahead of a commit that takes longer: who looks for stalls sees it then.
const LONGEST: Duration = Duration::from_secs(1);

/// A commit that is being made.
#[derive(Debug)]
pub(super) struct Beside {
    task: SpawnedTask<Result<Committed>>,
    /// True, or without a sender, when it is over.
    over: watch::Receiver<bool>,
    doing: Arc<Doing>,
    began: Duration,
    bytes: usize,
}

impl Beside {
    /// Completes when it is over, done or failed.
    pub(super) async fn end(&self) {
        // Without a sender it has panicked, which whoever goes on is told.
        let _ = self.over.clone().wait_for(|is_over| *is_over).await;
    }

    fn is_over(&self) -> bool {
        *self.over.borrow() || self.over.has_changed().is_err()
    }

    /// Bytes of the state that it writes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// Whether a query whose sources and sinks are open may commit beside later epochs.
///
/// What waits for an interval has the time to commit. If a commit fails, the query is opened again and
/// reads again what has run since: so it must have something to be opened from, and sources that can
/// be read again. Late rows and dead letters say to which epoch they belong, which must not change
/// then.
pub(super) fn may_overlap(spec: &QuerySpec, sources: &[Arc<dyn Source>]) -> bool {
    spec.overlaps
        && spec.trigger == Trigger::Asap
        && spec.checkpoint_interval.is_none()
        && spec.durability == Durability::Checkpoint
        && spec.sides().is_empty()
        && spec.sink.capabilities().overlaps
        && sources.iter().all(|source| source.is_replayable())
}

impl EpochLoop {
    /// Whether what runs now is committed while later epochs run.
    pub(super) fn commits_beside(&self) -> bool {
        self.may_overlap
            && !self.is_replay
            && !self.uncommitted.is_full()
            && !self.compactor.is_behind(&self.chain)
            && !self.is_commit_slow()
    }

    fn is_commit_slow(&self) -> bool {
        let beside = self.beside.as_ref();
        beside.is_some_and(|b| self.clock.elapsed().saturating_sub(b.began) >= LONGEST)
    }

    /// Whether a commit is being made while later epochs may run.
    pub fn is_committing_beside(&self) -> bool {
        self.beside.is_some()
    }

    /// Commits what ran before an epoch that failed for good, so that it need not run again. Gives the
    /// failure on, or says that the query is to be opened again if the commit has failed too.
    pub(super) async fn after_saving_what_ran(&mut self, failure: Error) -> Result<Step> {
        // The state may still hold something of the failed epoch; what epochs have changed does not.
        let writes_all = self.uncommitted.is_whole() || self.chain.is_full();
        let saved = match (self.may_overlap, writes_all) {
            (false, _) => Ok(()),
            (true, true) => self.end_commit_beside().await,
            (true, false) => self.commit().await,
        };
        match saved {
            Ok(()) => Err(failure),
            Err(error) if error.kind().is_retryable() && failure.kind().is_retryable() => {
                self.lost_or(error).await
            }
            Err(error) => {
                tracing::warn!(%error, "what ran before the failed epoch could not be committed");
                Err(failure)
            }
        }
    }

    /// The query does something else than to wait for a commit.
    pub(super) fn leave_commit_alone(&self) {
        if let Some(beside) = &self.beside {
            beside.doing.is_alone();
        }
    }

    /// Lets the sinks make an epoch durable while later ones run. Whoever opens the query again waits
    /// for that to be over, because it holds the checkpoint.
    pub(super) fn prepare_beside(&self, epoch: EpochId, staged: StagedRows) -> Preparing {
        let (spec, checkpoint) = (Arc::clone(&self.spec), Arc::clone(&self.checkpoint));
        Preparing::Beside(SpawnedTask::spawn(async move {
            let tokens = outputs::prepare(&spec, epoch, staged).await;
            drop(checkpoint);
            tokens
        }))
    }

    /// Commits an epoch that has just run while later ones run: now, or together with those, if the
    /// commit before is still being made.
    ///
    /// # Errors
    /// If the commit before failed. Whether it happened, the checkpoint says.
    pub(super) async fn commit_beside(&mut self, epoch: EpochId) -> Result<()> {
        // From here on only the checkpoint leads back.
        self.state.committed(epoch)?;
        self.go_on_committing().await
    }

    /// Goes on with commits when there is nothing to run. Rows that come meanwhile need not wait for
    /// them.
    ///
    /// # Errors
    /// As those of [`EpochLoop::commit_beside`].
    pub(super) async fn commit_beside_nothing(&mut self) -> Result<()> {
        self.go_on_committing().await?;
        // A commit frees what waits for it.
        if self.account_for_memory().is_err() {
            self.commit().await?;
        }
        match &self.beside {
            Some(beside) => beside.doing.is_waited_for(Waiting::Idle),
            None => self.activity.rest(),
        }
        Ok(())
    }

    /// Begins to commit what waits, if anything does and the commit before is done.
    async fn go_on_committing(&mut self) -> Result<()> {
        match self.beside.take_if(|beside| beside.is_over()) {
            Some(beside) => self.has_committed(joined(beside.task).await?).await,
            None if self.beside.is_some() => return Ok(()),
            None => {}
        }
        let Some(last) = self.uncommitted.last() else {
            return Ok(());
        };
        let doing = Doing::new(&self.activity, last);
        let commit = self.begin_commit(last, Steps::Beside(Arc::clone(&doing)))?;
        let bytes = commit.bytes;
        let (tells, over) = watch::channel(false);
        let task = SpawnedTask::spawn(async move {
            let done = commit.run().await;
            tells.send_replace(true);
            done
        });
        self.beside = Some(Beside {
            task,
            over,
            doing,
            began: self.clock.elapsed(),
            bytes,
        });
        Ok(())
    }

    /// Waits for the commit that is being made, if there is one.
    ///
    /// # Errors
    /// If it failed. Whether it happened, the checkpoint says.
    pub(super) async fn end_commit_beside(&mut self) -> Result<()> {
        let Some(beside) = self.beside.take() else {
            return Ok(());
        };
        beside.doing.is_waited_for(Waiting::InEpoch);
        let done = joined(beside.task).await?;
        self.has_committed(done).await;
        Ok(())
    }
}
