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

use datafusion_common_runtime::SpawnedTask;
use tokio::sync::watch;

use headwater_core::Result;
use headwater_core::id::EpochId;
use headwater_core::trigger::Trigger;

use super::EpochLoop;
use super::committing::{Committed, Preparing, Steps};
use crate::activity::Step;
use crate::execute::joined;
use crate::outputs::{self, StagedRows};
use crate::query_spec::QuerySpec;

/// A commit that is being made.
#[derive(Debug)]
pub(super) struct Beside {
    task: SpawnedTask<Result<Committed>>,
    /// True, or without a sender, when it is over.
    over: watch::Receiver<bool>,
    last: EpochId,
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

/// Whether a query whose sinks are open may commit beside later epochs. What waits for an interval, or
/// for a source to have more, has the time to commit.
pub(super) fn may_overlap(spec: &QuerySpec) -> bool {
    spec.overlaps
        && spec.trigger == Trigger::Asap
        && spec.checkpoint_interval.is_none()
        && spec.all_sinks().all(|sink| sink.capabilities().overlaps)
}

impl EpochLoop {
    /// Whether what runs now is committed while later epochs run.
    pub(super) fn commits_beside(&self) -> bool {
        self.may_overlap
            && !self.is_replay
            && !self.uncommitted.is_full()
            && !self.compactor.is_behind(&self.chain)
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
        match &self.beside {
            Some(beside) => self.activity.waits_for(beside.last, Step::Saving),
            None => self.activity.rest(),
        }
        self.account_for_memory()
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
        let commit = self.begin_commit(last, Steps::Beside(Arc::clone(&self.activity)))?;
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
            last,
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
        self.activity.begin(beside.last, Step::Saving);
        let done = joined(beside.task).await?;
        self.has_committed(done).await;
        Ok(())
    }
}
