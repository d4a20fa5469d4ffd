//! A streaming query whose epochs are run by hand, and whose process may die.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;

use headwater::{EpochProgress, Headwater, ManualClock};
use headwater_checkpoint::{Cut, CutKind, CutMoment, FailingFiles, MemoryFiles};
use headwater_core::mode::OutputMode;
use headwater_core::sink::{Publication, Sink};
use headwater_core::{Error, Result};
use headwater_engine::{EpochLoop, Step};
use headwater_plan::StreamDefinition;

use crate::faults::{Faults, FaultyDeclared, FaultySink};
use crate::recording_sink::{Ledger, RecordingSink};

/// A streaming query of a [`TestSession`](crate::TestSession).
#[derive(Debug)]
pub struct TestQuery {
    text: String,
    select: String,
    ledger: Ledger,
    late: Ledger,
    dead: Ledger,
    disk: MemoryFiles,
    faults: Faults,
    clock: ManualClock,
    publication: Publication,
    process: Option<Process>,
    last_progress: Option<EpochProgress>,
}

/// What ends with the process: the loop, and its hold on the files.
#[derive(Debug)]
struct Process {
    epochs: EpochLoop,
    files: Arc<FailingFiles<MemoryFiles>>,
    mode: OutputMode,
    key: Vec<String>,
    keeps_state: bool,
}

/// How the rows of epochs add up to a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Folding {
    /// All rows.
    All,
    /// The newest row of every key.
    ByKey(Vec<String>),
    /// The rows of the newest epoch.
    Newest,
}

/// What an epoch did.
#[derive(Debug)]
pub enum Ran {
    /// It emitted these rows.
    Epoch(Vec<RecordBatch>),
    /// There was nothing to read.
    Nothing,
    /// There will never be anything to read, and everything is committed.
    Finished,
    /// Nobody knows what became of a commit: the process must be closed, and the next one finds out.
    Lost(Error),
}

impl TestQuery {
    /// A query that is not open yet: the whole statement, its SELECT alone, and what earlier
    /// processes left behind.
    pub(crate) fn new(
        text: String,
        select: String,
        disk: MemoryFiles,
        ledger: Ledger,
        clock: ManualClock,
        publication: Publication,
    ) -> Self {
        TestQuery {
            text,
            select,
            ledger,
            late: Ledger::default(),
            dead: Ledger::default(),
            disk,
            faults: Faults::default(),
            clock,
            publication,
            process: None,
            last_progress: None,
        }
    }

    /// The query's SELECT, which can also be run as a bounded read.
    pub fn select(&self) -> &str {
        &self.select
    }

    /// What was emitted.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// What was handed to the sink of `LATE ROWS INTO`.
    pub fn late(&self) -> &Ledger {
        &self.late
    }

    /// What was handed to sinks for dead letters.
    pub fn dead(&self) -> &Ledger {
        &self.dead
    }

    /// The numbers of the last epoch.
    pub fn last_progress(&self) -> Option<&EpochProgress> {
        self.last_progress.as_ref()
    }

    /// The files of its checkpoint, for another query to be started from or to be looked at.
    pub fn disk(&self) -> MemoryFiles {
        self.disk.clone()
    }

    /// How the rows of the epochs of an open query add up.
    pub fn folding(&self) -> Option<Folding> {
        let process = self.process.as_ref()?;
        Some(match process.mode {
            OutputMode::Complete => Folding::Newest,
            OutputMode::Update if process.keeps_state => Folding::ByKey(process.key.clone()),
            OutputMode::Append | OutputMode::Update => Folding::All,
        })
    }

    /// Starts the process if there is none.
    ///
    /// # Errors
    /// What keeps the query from starting.
    pub async fn open(&mut self, session: &Headwater) -> Result<()> {
        if self.process.is_none() {
            let files = Arc::new(FailingFiles::new(self.disk.clone()));
            let store = Arc::clone(&files);
            let mut spec = session.prepare(&self.text, Some(store)).await?;
            spec.sink = self.faulty_sink(spec.sink, &self.ledger, self.publication);
            spec.late_rows = spec.late_rows.map(|late| {
                let (sink, after_record) = (Arc::clone(late.sink()), Publication::AfterRecord);
                late.with_sink(self.faulty_sink(sink, &self.late, after_record))
            });
            let letters = std::mem::take(&mut spec.dead_letters).into_iter();
            let letters = letters.map(|dead| {
                let (sink, after_record) = (Arc::clone(dead.sink()), Publication::AfterRecord);
                dead.with_sink(self.faulty_sink(sink, &self.dead, after_record))
            });
            spec.dead_letters = letters.collect();
            for source in &mut spec.plan.sources {
                *source = Arc::new(self.faulty(source));
            }
            let (mode, key) = (spec.plan.mode, spec.plan.key.clone());
            let keeps_state = !spec.plan.operators.is_empty();
            let epochs = through_retries(&self.clock, EpochLoop::open(spec)).await?;
            self.process = Some(Process {
                epochs,
                files,
                mode,
                key,
                keeps_state,
            });
        }
        Ok(())
    }

    fn faulty_sink(
        &self,
        sink: Arc<dyn Sink>,
        ledger: &Ledger,
        publication: Publication,
    ) -> Arc<dyn Sink> {
        Arc::new(FaultySink {
            inner: Arc::new(RecordingSink::new(sink, ledger.clone(), publication)),
            faults: self.faults.clone(),
        })
    }

    fn faulty(&self, source: &StreamDefinition) -> StreamDefinition {
        let declared = FaultyDeclared {
            inner: Arc::clone(&source.declared),
            faults: self.faults.clone(),
        };
        StreamDefinition {
            declared: Arc::new(declared),
            ..source.clone()
        }
    }

    /// Failures of its source and sink, to be arranged.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Ends the process, between two epochs.
    pub fn close(&mut self) {
        self.process = None;
    }

    /// Lets the process die in its next epoch, after everything is prepared and before the commit
    /// record is written.
    pub fn crash_before_commit(&self) {
        if let Some(process) = &self.process {
            process.files.crash_before("commits");
        }
    }

    /// Lets the process die at the `nth` change of a file from now, counted from 1.
    pub fn crash_at(&self, nth: u64, moment: CutMoment) {
        if let Some(process) = &self.process {
            process.files.set_cut(Some(Cut {
                at: process.files.operations() + nth,
                moment,
                kind: CutKind::Crash,
            }));
        }
    }

    /// Whether the process has died.
    pub fn has_crashed(&self) -> bool {
        let process = self.process.as_ref();
        process.is_some_and(|p| p.files.is_crashed())
    }

    /// Runs one epoch in the open process. A process whose epoch failed must be closed.
    ///
    /// # Errors
    /// Why the epoch failed.
    pub async fn step(&mut self) -> Result<Ran> {
        let Some(process) = &mut self.process else {
            return Err(Error::internal("the query is not open"));
        };
        match through_retries(&self.clock, process.epochs.step()).await? {
            Step::Ran(progress) => {
                let epoch = progress.epoch;
                let rows = match process.epochs.has_waiting() {
                    // Epochs that share a commit are not visible yet.
                    true => self.ledger.prepared(epoch),
                    false => self.ledger.epoch(epoch),
                };
                self.last_progress = Some(*progress);
                let rows =
                    rows.ok_or_else(|| Error::internal(format!("epoch {epoch} is not visible")))?;
                Ok(Ran::Epoch(rows))
            }
            Step::Nothing => Ok(Ran::Nothing),
            Step::Finished => {
                match through_retries(&self.clock, process.epochs.commit_now()).await? {
                    Step::Lost(error) => Ok(Ran::Lost(error)),
                    _ => Ok(Ran::Finished),
                }
            }
            Step::Lost(error) => Ok(Ran::Lost(error)),
        }
    }
}

/// Runs what may wait before it tries again, on a clock that moves only by hand.
async fn through_retries<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = Box::pin(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = a_moment() => if clock.sleepers() > 0 {
                clock.advance(Duration::from_millis(100));
            }
        }
    }
}

/// A moment of the machine's time.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for the engine's tasks, which the test's clock does not move"
)]
async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
