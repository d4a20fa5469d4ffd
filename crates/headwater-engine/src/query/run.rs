//! The task of a running query: epochs one after the other, restarts, and the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::functions::all_default_functions;
use datafusion::physical_expr::ScalarFunctionExpr;
use datafusion::physical_plan::ExecutionPlan;

use datafusion_common_runtime::SpawnedTask;
use futures::future::{self, Aborted};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::task::JoinError;

use headwater_core::clock::Clock;
use headwater_core::crash_point::CrashPoint;
use headwater_core::event_time::EventTime;
use headwater_core::{Error, Result};

use super::catch_up::CatchUp;
use super::{QueryState, Shared, Turns};
use crate::activity::{self, Activity};
use crate::epoch_loop::{Due, EpochLoop, Parts, Step};
use crate::execute::after_the_last;
use crate::outputs;
use crate::progress::EpochProgress;
use crate::restart::{Failure, FailureClass, Restarts};
use crate::retry::Retries;
use crate::stall_watchdog::{StallAction, StallPolicy};

/// How long an abandoned query may take to tell its sinks that it is.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How many progress reports are kept.
const PROGRESS_KEPT: usize = 100;
/// How long an abandoned task may take to its next await. Whoever computes without one, or waits
/// in a call of the operating system, cannot be told to end.
const TO_NEXT_AWAIT: Duration = Duration::from_millis(500);

/// Why a query runs no more epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// There is nothing left to read.
    Finished,
    /// It was asked to stop.
    Stopped,
}

/// The task of a query.
pub(super) struct Run {
    pub(super) shared: Arc<Mutex<Shared>>,
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) look: Arc<Notify>,
    pub(super) turn: watch::Sender<Turns>,
}

impl Run {
    /// Runs the query until it has ended, in a task of its own: it is to be abandoned, and its panic
    /// to end this query and no other, whatever it does.
    pub(super) async fn run_to_end(self, epoch_loop: EpochLoop, name: String) {
        let (clock, patience) = (Arc::clone(epoch_loop.clock()), epoch_loop.drain_timeout());
        let spec = epoch_loop.spec().clone();
        let activity = Arc::clone(epoch_loop.activity());
        let run = Arc::new(self);
        let work = Arc::clone(&run).run_with_restarts(epoch_loop);
        let (work, abort) = future::abortable(work);
        let mut work = SpawnedTask::spawn(work);
        let ended = tokio::select! {
            biased;
            ended = &mut work => Some(ended),
            () = patience_ends(run.stopped.clone(), &*clock, patience) => None,
        };
        // The loop is gone when this is over, so the lock of the checkpoint is free before anybody
        // hears that the query has ended.
        let result = match ended {
            Some(Ok(Ok(result))) => result,
            Some(Ok(Err(Aborted))) => Ok(()),
            Some(Err(error)) => Err(broken_off(error, &own_functions(&spec.plan.physical))),
            None => {
                let doing = activity.describe();
                tracing::warn!(
                    query = %name,
                    "abandoned, {patience:?} after it was asked to stop: {doing}; a checkpoint \
                     goes on after its last commit"
                );
                abort.abort();
                if !has_ended(&mut work).await {
                    tracing::warn!(query = %name, "a part of it still runs, and ends with the process");
                }
                // An open transaction would hold back those who read committed rows.
                tokio::select! {
                    () = outputs::abort_open(&spec) => {}
                    () = clock.sleep(LAST_WORDS) => {}
                }
                Ok(())
            }
        };
        activity.end();
        {
            let mut shared = run.shared.lock();
            match result {
                Ok(()) => {
                    tracing::info!(query = %name, "query stopped");
                    shared.state = QueryState::Stopped;
                }
                Err(error) => {
                    tracing::error!(query = %name, %error, "query failed");
                    shared.state = QueryState::Failed;
                    shared.error = Some(error);
                }
            }
        }
        run.turn.send_modify(|t| t.ended = true);
    }

    /// Runs the query, and opens it again from its checkpoint when it failed for a reason that may
    /// pass and the policy allows it.
    async fn run_with_restarts(self: Arc<Self>, mut epoch_loop: EpochLoop) -> Result<()> {
        let clock = Arc::clone(epoch_loop.clock());
        let activity = Arc::clone(epoch_loop.activity());
        let policy = epoch_loop.stall_policy();
        let mut restarts = Restarts::new(epoch_loop.restart_policy());
        loop {
            let committed_before = epoch_loop.last_committed();
            let mut failure = match self.run(&mut epoch_loop).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if *self.stopped.borrow() {
                let parts = epoch_loop.parts();
                drop(epoch_loop);
                return Err(failure.after(&parts).await.into_error());
            }
            if epoch_loop.last_committed() > committed_before {
                restarts.start_anew();
            }
            let (parts, epoch) = (epoch_loop.parts(), epoch_loop.next_epoch());
            // A bounded query ends where it was to end when it began.
            let bounds = epoch_loop.bounds().cloned();
            let spec = epoch_loop.into_spec();
            outputs::abort_open(&spec).await;
            failure = failure.after(&parts).await;
            epoch_loop = loop {
                let class = failure.class();
                let wait = restarts.wait_after(failure, activity.outage())?;
                activity.begin(epoch, activity::Step::Opening);
                self.shared.lock().state = QueryState::Waiting;
                let mut stopped = self.stopped.clone();
                tokio::select! {
                    biased;
                    _ = stopped.wait_for(|stop| *stop) => return Ok(()),
                    () = clock.sleep(wait) => {}
                }
                if policy.action == StallAction::Fail {
                    activity.try_again(epoch);
                }
                let (spec, activity) = (spec.clone(), Arc::clone(&activity));
                let open = EpochLoop::open_again(spec, Arc::clone(&activity), bounds.clone());
                match unless_stalled(open, &activity, policy).await {
                    Ok(opened) => break opened,
                    Err(error) => failure = Failure::new(class, error),
                }
            };
        }
    }

    async fn run(&self, epoch_loop: &mut EpochLoop) -> Result<(), Failure> {
        let end = self.run_epochs(epoch_loop).await?;
        CrashPoint::ShutdownDrain.reach();
        commit(epoch_loop).await?;
        if end == End::Stopped {
            return Ok(());
        }
        let outage = epoch_loop.activity().outage();
        let told = outputs::ended(epoch_loop.spec(), outage).await;
        told.map_err(Failure::of)
    }

    /// Runs epochs until it is asked to stop, or there is nothing left to read.
    async fn run_epochs(&self, epoch_loop: &mut EpochLoop) -> Result<End, Failure> {
        let mut stopped = self.stopped.clone();
        let activity = Arc::clone(epoch_loop.activity());
        let policy = epoch_loop.stall_policy();
        let mut waits = Retries::new();
        let mut silence = Silence::new(activity.clock(), policy);
        let mut catch_up = CatchUp::after(self.turn.borrow().answered);
        loop {
            let due = tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return Ok(End::Stopped),
                due = epoch_loop.wait_for_trigger() => due,
            };
            if due == Due::Commit {
                commit(epoch_loop).await?;
                self.answer(&mut catch_up, epoch_loop);
                continue;
            }
            self.shared.lock().state = QueryState::Running;
            let turn = self.one_turn(epoch_loop, &mut catch_up);
            let stepped = unless_stalled(turn, &activity, policy)
                .await
                .map_err(Failure::of)?;
            let went_on = matches!(stepped, Step::Ran(_) | Step::Nothing);
            if went_on && catch_up.is_settled() && epoch_loop.is_committing_beside() {
                commit(epoch_loop).await?;
            }
            self.answer(&mut catch_up, epoch_loop);
            match stepped {
                Step::Ran(progress) => {
                    activity.outage().is_over();
                    silence = Silence::new(activity.clock(), policy);
                    self.report(*progress);
                }
                Step::Finished => return Ok(End::Finished),
                Step::Lost(error) => return Err(Failure::new(FailureClass::Lost, error)),
                // Somebody has asked meanwhile, and may have woken it for the one before.
                Step::Nothing if catch_up.is_due(self.asked()) => {}
                Step::Nothing => {
                    self.shared.lock().state = QueryState::Waiting;
                    if !activity.has_silent_source() && waits.is_fresh() {
                        activity.outage().is_over();
                    }
                    let waiting = unless_stalled(epoch_loop.wait(), &activity, policy);
                    let ready = tokio::select! {
                        biased;
                        _ = stopped.wait_for(|stop| *stop) => return Ok(End::Stopped),
                        () = self.look.notified() => Ok(()),
                        ready = waiting => ready,
                        () = silence.watch(epoch_loop, &activity, policy) => Ok(()),
                    };
                    match ready {
                        Ok(()) => waits = Retries::new(),
                        Err(error) => {
                            let what = "waiting for a source";
                            let waited = waits.wait_after(error, what, activity.outage()).await;
                            waited.map_err(Failure::of)?;
                        }
                    }
                }
            }
        }
    }

    /// One step, after a look for the ends of the sources if somebody waits for what is there.
    async fn one_turn(&self, epoch_loop: &mut EpochLoop, catch_up: &mut CatchUp) -> Result<Step> {
        let asked = self.asked();
        if catch_up.is_due(asked) {
            let mut stopped = self.stopped.clone();
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stop| *stop) => return Ok(Step::Nothing),
                ends = epoch_loop.ends() => catch_up.begin(asked, ends),
            }
        }
        let had_read = catch_up.has_read(epoch_loop);
        let stepped = epoch_loop.step().await?;
        catch_up.turned(had_read, matches!(stepped, Step::Nothing));
        Ok(stepped)
    }

    fn asked(&self) -> u64 {
        self.shared.lock().asked
    }

    /// Tells those who wait for what was there, if it has been processed.
    fn answer(&self, catch_up: &mut CatchUp, epoch_loop: &EpochLoop) {
        if !epoch_loop.has_waiting()
            && let Some(answered) = catch_up.answer()
        {
            self.turn.send_modify(|t| t.answered = answered);
        }
    }

    fn report(&self, progress: EpochProgress) {
        tracing::debug!(
            epoch = %progress.epoch,
            rows_in = progress.rows_in,
            rows_out = progress.rows_out,
            watermark = %progress.watermark,
            step_times_ms = ?progress.step_times_ms,
            "epoch ran"
        );
        {
            let mut shared = self.shared.lock();
            // One that runs again because its commit was lost brings the same rows.
            if Some(progress.epoch) > shared.counted {
                shared.totals.add(&progress);
                shared.counted = Some(progress.epoch);
            }
            if shared.recent.len() == PROGRESS_KEPT {
                shared.recent.pop_front();
            }
            shared.recent.push_back(progress);
        }
        self.turn.send_modify(|t| t.epochs += 1);
    }
}

/// Commits what has run, if anything waits for that.
async fn commit(epoch_loop: &mut EpochLoop) -> Result<(), Failure> {
    let (activity, policy) = (Arc::clone(epoch_loop.activity()), epoch_loop.stall_policy());
    let committed = unless_stalled(epoch_loop.commit_now(), &activity, policy).await;
    match committed.map_err(Failure::of)? {
        Step::Lost(error) => Err(Failure::new(FailureClass::Lost, error)),
        _ => Ok(()),
    }
}

/// Does something that a stall ends, if the policy says so.
async fn unless_stalled<T>(
    work: impl Future<Output = Result<T>>,
    activity: &Activity,
    policy: StallPolicy,
) -> Result<T> {
    if policy.action == StallAction::Warn {
        return work.await;
    }
    let mut stalls = activity.changes();
    let stalled = async {
        let stall = stalls.wait_for(Option::is_some).await;
        stall.ok().and_then(|stall| stall.clone())
    };
    tokio::select! {
        biased;
        done = work => done,
        Some(stall) = stalled => Err(stall.into_error()),
    }
}

/// Looks, while a query waits for rows, whether a source keeps some to itself.
#[derive(Debug)]
struct Silence {
    next_look: Duration,
    /// The source that had records at the last look, and when that was seen first.
    seen: Option<(usize, EventTime)>,
}

impl Silence {
    /// Nobody has been silent until now.
    fn new(clock: &dyn Clock, policy: StallPolicy) -> Self {
        let patience = policy.timeout.unwrap_or(Duration::MAX);
        Silence {
            next_look: clock.elapsed().saturating_add(patience),
            seen: None,
        }
    }

    /// Tells of it. Records may have come just before a look, so that two looks are needed; whoever
    /// waits is woken by rows, so that this goes on only as long as there are none.
    async fn watch(&mut self, epoch_loop: &EpochLoop, activity: &Activity, policy: StallPolicy) {
        let Some(timeout) = policy.timeout else {
            return future::pending().await;
        };
        let clock = epoch_loop.clock();
        loop {
            clock
                .sleep(self.next_look.saturating_sub(clock.elapsed()))
                .await;
            let was = self.seen.take();
            self.seen = epoch_loop.silent_source().await.map(|source| {
                let before = was.filter(|(silent, _)| *silent == source);
                before.unwrap_or_else(|| (source, clock.now()))
            });
            let until_next = match (was, self.seen) {
                (None, Some(_)) => timeout / 4,
                _ => timeout,
            };
            self.next_look = clock.elapsed() + until_next;
            if let (Some(_), Some((source, since))) = (was, self.seen)
                && !activity.has_silent_source()
            {
                activity.is_silent(source, since);
            }
        }
    }
}

impl Failure {
    /// The failure, when nothing of the loop that failed is at work any more.
    async fn after(self, parts: &Parts) -> Failure {
        if parts.are_gone() {
            return self;
        }
        let class = self.class();
        Failure::new(
            class,
            after_the_last(|| parts.are_gone(), self.into_error()).await,
        )
    }
}

/// Completes when a query has had its time after it was asked to stop.
async fn patience_ends(mut stopped: watch::Receiver<bool>, clock: &dyn Clock, patience: Duration) {
    // Without a sender there is no handle either, and the task is dropped.
    let is_told = stopped.wait_for(|stop| *stop).await.is_ok();
    if !is_told {
        future::pending::<()>().await;
    }
    clock.sleep(patience).await;
}

/// Whether an abandoned task has come to its next await.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for a thread, which a test's clock does not move"
)]
async fn has_ended<T: Send + 'static>(work: &mut SpawnedTask<T>) -> bool {
    tokio::time::timeout(TO_NEXT_AWAIT, work).await.is_ok()
}

fn broken_off(error: JoinError, own: &BTreeSet<String>) -> Error {
    let panic = match error.try_into_panic() {
        Ok(panic) => panic,
        Err(_) => return Error::internal("the task of the query was cancelled"),
    };
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_string());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    let message = format!("the query panicked: {}", text.unwrap_or_default());
    let error = Error::internal(message);
    let error = match own.is_empty() {
        true => error,
        false => {
            let names: Vec<_> = own.iter().map(|name| format!("\"{name}\"")).collect();
            error.with_detail(format!(
                "It calls functions of yours: {}.",
                names.join(", ")
            ))
        }
    };
    error.with_hint(
        "If a function of yours did not panic, please report this. The checkpoint is as the last \
         commit left it.",
    )
}

/// The functions of a plan that came with neither DataFusion nor headwater.
fn own_functions(plan: &Arc<dyn ExecutionPlan>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let walked = plan.apply(|node| {
        node.apply_expressions(&mut |expression| {
            expression.apply(|part| {
                if let Some(call) = part.downcast_ref::<ScalarFunctionExpr>() {
                    names.insert(call.name().to_string());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    if let Err(error) = walked {
        tracing::debug!(%error, "the functions of a plan could not be listed");
    }
    for known in all_default_functions() {
        names.remove(known.name());
        for alias in known.aliases() {
            names.remove(alias);
        }
    }
    names
}
