//! What a running query is doing, for those who look at it from another task.
//!
//! The epoch loop says which step it takes, and the streams around sources and sinks
//! ([`crate::watched`]) which of them was asked last. From that follows how long there was no
//! progress, and who is waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;

use headwater_core::clock::Clock;
use headwater_core::event_time::EventTime;
use headwater_core::id::EpochId;
use headwater_exec::epoch_context::EpochContext;

use crate::outage::Outage;
use crate::stall_watchdog::{Stall, StallReason};
use crate::step_times::StepTimes;

/// A step of an epoch, in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The query is opened again.
    Opening,
    /// A source is asked how far it can be read.
    Asking(usize),
    /// The decisions are written to the epoch log.
    Logging,
    /// The plan runs.
    Running,
    /// The sinks make their rows durable.
    Preparing,
    /// State and commit record are written.
    Saving,
    /// A transaction of the sink is committed.
    Committing,
    /// The sinks make their rows visible.
    Publishing,
    /// Sources are told what is committed, and asked for their ends.
    Telling,
}

impl Step {
    /// Its name in what is reported.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Step::Opening => "opening",
            Step::Asking(_) => "asking",
            Step::Logging => "logging",
            Step::Running => "running",
            Step::Preparing => "preparing",
            Step::Saving => "saving",
            Step::Committing => "committing",
            Step::Publishing => "publishing",
            Step::Telling => "telling",
        }
    }
}

/// What a query is doing.
#[derive(Debug)]
pub(crate) struct Activity {
    outage: Outage,
    clock: Arc<dyn Clock>,
    sources: Vec<String>,
    checkpoint: String,
    now: Mutex<Now>,
    /// Told when there is something to do after nothing was, and when a stall begins or ends.
    changes: watch::Sender<Option<Stall>>,
}

#[derive(Debug)]
struct Now {
    /// `None` if there is nothing to do.
    step: Option<(EpochId, Step)>,
    times: StepTimes,
    progressed: Duration,
    progressed_at: EventTime,
    /// The furthest that any try has come: the epoch, its step, the batches of it.
    furthest: Option<(EpochId, Step, u64)>,
    batches: u64,
    /// Whether the stall that was told is one of a query that had nothing to do: a source keeps
    /// records to itself. It ends when rows move.
    is_silent: bool,
    /// Streams of sources, and whether each is asked for rows at the moment.
    readers: Vec<(usize, Flag)>,
    /// Partitions of the sink, and whether each has rows that it has not taken yet.
    writers: Vec<Flag>,
    /// Those who belong to the running epoch.
    users: Weak<EpochContext>,
    /// Whoever keeps it holds rows back until the record of the epoch is durable.
    holding: Arc<()>,
}

/// A fact that one task notes and others look at.
pub(crate) type Flag = Arc<AtomicBool>;

/// What a look at a query found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// It has nothing to do.
    NothingToDo,
    /// It would be stalled after this time.
    Again(Duration),
    /// It is stalled.
    Stalled,
}

impl Activity {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        query: String,
        sources: Vec<String>,
        checkpoint: String,
    ) -> Self {
        let now = Now {
            step: None,
            times: StepTimes::default(),
            progressed: clock.elapsed(),
            progressed_at: clock.now(),
            furthest: None,
            batches: 0,
            is_silent: false,
            readers: vec![],
            writers: vec![],
            users: Weak::new(),
            holding: Arc::default(),
        };
        Activity {
            outage: Outage::new(Arc::clone(&clock), query),
            clock,
            sources,
            checkpoint,
            now: Mutex::new(now),
            changes: watch::Sender::new(None),
        }
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn outage(&self) -> &Outage {
        &self.outage
    }

    /// A step begins.
    pub(crate) fn begin(&self, epoch: EpochId, step: Step) {
        let mut now = self.now.lock();
        let had_nothing_to_do = now.step.replace((epoch, step)).is_none();
        now.times.begin(step, self.clock.elapsed());
        if step == Step::Running {
            now.batches = 0;
            now.readers.clear();
            now.writers.clear();
        }
        self.come_to(&mut now, (epoch, step, 0));
        if had_nothing_to_do {
            (now.progressed, now.progressed_at) = (self.clock.elapsed(), self.clock.now());
            drop(now);
            self.changes.send_modify(|_| {});
        }
    }

    /// There is nothing to do but to wait for a step of an epoch that has run, which is no time of
    /// the next one.
    pub(crate) fn waits_for(&self, epoch: EpochId, step: Step) {
        self.begin(epoch, step);
        self.forget_times();
    }

    /// What was done until now is no time of the next epoch.
    pub(crate) fn forget_times(&self) {
        self.now.lock().times.forget();
    }

    /// There is nothing to do.
    pub(crate) fn rest(&self) {
        let mut now = self.now.lock();
        now.times.forget();
        if now.step.take().is_some() && !now.is_silent {
            self.end_stall();
        }
    }

    /// The query has ended. If it made no progress, that is known on.
    pub(crate) fn end(&self) {
        self.now.lock().step = None;
    }

    /// An epoch has ended. Gives how many milliseconds each of its steps took.
    pub(crate) fn take_step_times(&self) -> BTreeMap<String, f64> {
        self.now.lock().times.take(self.clock.elapsed())
    }

    /// A batch went from a source to the plan, or from the plan to the sink.
    pub(crate) fn moved(&self) {
        let mut now = self.now.lock();
        now.batches += 1;
        if let Some((epoch, step)) = now.step {
            let batches = now.batches;
            self.come_to(&mut now, (epoch, step, batches));
        }
    }

    fn come_to(&self, now: &mut Now, place: (EpochId, Step, u64)) {
        if now.furthest.is_none_or(|furthest| place > furthest) {
            now.furthest = Some(place);
            self.progress(now);
        }
    }

    fn progress(&self, now: &mut Now) {
        now.progressed = self.clock.elapsed();
        now.progressed_at = self.clock.now();
        now.is_silent = false;
        self.end_stall();
    }

    fn end_stall(&self) {
        let ended = self
            .changes
            .send_if_modified(|stall| stall.take().is_some());
        if ended {
            tracing::info!("the query goes on");
        }
    }

    /// What was tried has failed: whoever tries again has the whole time.
    pub(crate) fn try_again(&self, epoch: EpochId) {
        let mut now = self.now.lock();
        now.step = Some((epoch, Step::Opening));
        (now.progressed, now.progressed_at) = (self.clock.elapsed(), self.clock.now());
        now.is_silent = false;
        drop(now);
        self.changes.send_replace(None);
    }

    /// A stream of a source; the flag says whether it is asked for rows.
    pub(crate) fn add_reader(&self, source: usize) -> Flag {
        let flag = Flag::default();
        self.now.lock().readers.push((source, Arc::clone(&flag)));
        flag
    }

    /// A partition of the sink; the flag says whether it has rows that it has not taken yet.
    pub(crate) fn add_writer(&self) -> Flag {
        let flag = Flag::default();
        self.now.lock().writers.push(Arc::clone(&flag));
        flag
    }

    /// Rows wait for the record of their epoch for as long as this is kept.
    pub(crate) fn holds_rows(&self) -> Arc<()> {
        Arc::clone(&self.now.lock().holding)
    }

    /// Who belongs to the running epoch.
    pub(crate) fn runs_with(&self, users: Weak<EpochContext>) {
        self.now.lock().users = users;
    }

    /// Those who belong to the epoch that ran last.
    pub(crate) fn users(&self) -> Weak<EpochContext> {
        Weak::clone(&self.now.lock().users)
    }

    /// Looks whether there was no progress for `timeout`, and tells of it if so.
    pub(crate) fn look(&self, timeout: Duration) -> Look {
        let now = self.now.lock();
        if now.step.is_none() {
            return Look::NothingToDo;
        }
        if self.changes.borrow().is_some() {
            return Look::Stalled;
        }
        let quiet = self.clock.elapsed().saturating_sub(now.progressed);
        if quiet < timeout {
            return Look::Again(timeout - quiet);
        }
        let (reason, waiting) = self.waits(&now);
        let stall = Stall {
            reason,
            waiting,
            since: now.progressed_at,
        };
        drop(now);
        self.tell(stall);
        Look::Stalled
    }

    /// A source has records and does not hand them out.
    pub(crate) fn is_silent(&self, source: usize, since: EventTime) {
        let name = self.name_of(source);
        self.now.lock().is_silent = true;
        self.tell(Stall {
            reason: StallReason::Source,
            waiting: format!("source \"{name}\" has records that it does not hand out"),
            since,
        });
    }

    /// Whether a source is known to keep records to itself.
    pub(crate) fn has_silent_source(&self) -> bool {
        self.now.lock().is_silent
    }

    fn tell(&self, stall: Stall) {
        let what = format!("the query makes no progress ({})", stall.reason);
        self.outage.note(&what, &stall);
        self.changes.send_replace(Some(stall));
    }

    /// Where there is no progress, if there is none.
    pub(crate) fn stall(&self) -> Option<Stall> {
        self.changes.borrow().clone()
    }

    /// Sees stalls begin and end.
    pub(crate) fn changes(&self) -> watch::Receiver<Option<Stall>> {
        self.changes.subscribe()
    }

    /// What waits for what, for a person.
    pub(crate) fn describe(&self) -> String {
        self.waits(&self.now.lock()).1
    }

    fn name_of(&self, source: usize) -> &str {
        self.sources.get(source).map_or("", String::as_str)
    }

    fn waits(&self, now: &Now) -> (StallReason, String) {
        let Some((epoch, step)) = now.step else {
            let waiting = "it waits for rows, or for its trigger".to_string();
            return (StallReason::Source, waiting);
        };
        let checkpoint = &self.checkpoint;
        let is_set = |flag: &Flag| flag.load(Ordering::Relaxed);
        let takes_plan = || {
            let what = format!("checkpoint \"{checkpoint}\" to take its plan");
            (StallReason::Epoch, what)
        };
        let (reason, what) = match step {
            Step::Opening => {
                let waiting = "the query waits to be opened again: checkpoint, sources, sink";
                return (StallReason::Epoch, waiting.to_string());
            }
            Step::Asking(source) => {
                let name = self.name_of(source);
                let what = format!("source \"{name}\" to say how far it can be read");
                (StallReason::Source, what)
            }
            Step::Running if Arc::strong_count(&now.holding) > 1 => takes_plan(),
            Step::Logging => takes_plan(),
            Step::Running if now.writers.iter().any(is_set) => {
                (StallReason::Sink, "its sink to take rows".to_string())
            }
            Step::Running => match now.readers.iter().find(|(_, flag)| is_set(flag)) {
                Some((source, _)) => {
                    let what = format!("rows of source \"{}\"", self.name_of(*source));
                    (StallReason::Source, what)
                }
                None => (StallReason::Epoch, "its operators".to_string()),
            },
            Step::Preparing => {
                let what = "its sink to make its rows durable".to_string();
                (StallReason::Sink, what)
            }
            Step::Saving => {
                let what = format!("checkpoint \"{checkpoint}\" to take its state and its commit");
                (StallReason::Epoch, what)
            }
            Step::Committing => (StallReason::Sink, "its sink to commit".to_string()),
            Step::Publishing => {
                let what = "its sink to make its rows visible".to_string();
                (StallReason::Sink, what)
            }
            Step::Telling => {
                let what = "its sources to say where they end".to_string();
                (StallReason::Source, what)
            }
        };
        (reason, format!("epoch {epoch} waits for {what}"))
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::clock::ManualClock;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    fn activity() -> (ManualClock, Activity) {
        let clock = ManualClock::new(EventTime(0));
        let sources = vec!["orders".to_string()];
        let shared = Arc::new(clock.clone());
        let activity = Activity::new(shared, "q".to_string(), sources, "/c".to_string());
        (clock, activity)
    }

    fn stalled(activity: &Activity) -> (StallReason, String) {
        let stall = activity.stall().unwrap();
        (stall.reason, stall.waiting)
    }

    #[test]
    fn a_step_that_takes_too_long_names_who_is_waited_for() {
        for (step, reason, words) in [
            (
                Step::Asking(0),
                StallReason::Source,
                "source \"orders\" to say",
            ),
            (
                Step::Logging,
                StallReason::Epoch,
                "checkpoint \"/c\" to take",
            ),
            (Step::Running, StallReason::Epoch, "its operators"),
            (Step::Preparing, StallReason::Sink, "its sink to make"),
            (
                Step::Saving,
                StallReason::Epoch,
                "checkpoint \"/c\" to take",
            ),
            (Step::Committing, StallReason::Sink, "its sink to commit"),
            (Step::Publishing, StallReason::Sink, "its sink to make"),
        ] {
            let (clock, activity) = activity();
            assert_eq!(activity.look(TIMEOUT), Look::NothingToDo);
            activity.begin(EpochId(7), step);
            assert_eq!(activity.look(TIMEOUT), Look::Again(TIMEOUT));
            clock.advance(TIMEOUT);
            assert_eq!(activity.look(TIMEOUT), Look::Stalled);
            let (found, waiting) = stalled(&activity);
            assert_eq!(found, reason, "{step:?}");
            assert!(waiting.starts_with("epoch 7 waits for "), "{waiting}");
            assert!(waiting.contains(words), "{step:?}: {waiting}");
        }
    }

    #[test]
    fn of_a_plan_that_runs_the_one_that_was_asked_last_is_named() {
        let (clock, activity) = activity();
        activity.begin(EpochId(1), Step::Running);
        let (reads, writes) = (activity.add_reader(0), activity.add_writer());
        reads.store(true, Ordering::Relaxed);
        clock.advance(TIMEOUT);
        activity.look(TIMEOUT);
        let rows = "epoch 1 waits for rows of source \"orders\"";
        assert_eq!(stalled(&activity), (StallReason::Source, rows.to_string()));
        // A batch comes, and the sink does not take it.
        reads.store(false, Ordering::Relaxed);
        activity.moved();
        assert_eq!(activity.stall(), None);
        writes.store(true, Ordering::Relaxed);
        clock.advance(TIMEOUT);
        activity.look(TIMEOUT);
        let takes = "epoch 1 waits for its sink to take rows";
        assert_eq!(stalled(&activity), (StallReason::Sink, takes.to_string()));
    }

    #[test]
    fn trying_again_is_no_progress_until_it_comes_further() {
        let (clock, activity) = activity();
        let half = TIMEOUT / 2;
        activity.begin(EpochId(1), Step::Running);
        activity.moved();
        activity.moved();
        activity.begin(EpochId(1), Step::Preparing);
        clock.advance(half);
        // The sink failed; the epoch runs again.
        activity.begin(EpochId(1), Step::Running);
        activity.moved();
        assert_eq!(activity.look(TIMEOUT), Look::Again(half));
        activity.begin(EpochId(1), Step::Preparing);
        assert_eq!(activity.look(TIMEOUT), Look::Again(half));
        activity.begin(EpochId(1), Step::Saving);
        assert_eq!(activity.look(TIMEOUT), Look::Again(TIMEOUT));
    }

    #[test]
    fn who_has_nothing_to_do_does_not_stall_and_begins_anew() {
        let (clock, activity) = activity();
        activity.begin(EpochId(1), Step::Asking(0));
        activity.rest();
        clock.advance(TIMEOUT * 10);
        assert_eq!(activity.look(TIMEOUT), Look::NothingToDo);
        activity.begin(EpochId(1), Step::Asking(0));
        assert_eq!(activity.look(TIMEOUT), Look::Again(TIMEOUT));
    }
}
