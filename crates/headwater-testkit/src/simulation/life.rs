//! The processes of a query, one after the other.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::future::poll_fn;

use headwater_checkpoint::{Lies, LocalFiles, Readers, SimDisk};
use headwater_connectors::memory::MemoryStream;
use headwater_core::sink::{Publication, Sink};
use headwater_core::source::EpochLimits;
use headwater_core::{Error, ErrorKind, Result};
use headwater_engine::{EpochLoop, QuerySpec, Step};
use headwater_plan::StreamDefinition;

use super::outside::{FileSink, Outside, TransactionSink, shown_on};
use super::rows::{Kind, Row, batch_of};
use super::troubles::{Odds, SimClock, TroubledDeclared, Troubles};
use super::{Scenario, Summary};
use crate::text_rows::TextRow;

const HOUR_US: i64 = 3_600_000_000;
/// Rows are never late by a silence: partitions count as idle after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Steps in which an undisturbed process must have caught up, beside one for every row: an epoch
/// takes at least one row, or is one that was decided before.
const STEPS_TO_CATCH_UP: usize = 50;

/// Everything of one seed.
#[derive(Debug)]
pub(super) struct World {
    scenario: Scenario,
    kind: Kind,
    spec: QuerySpec,
    publication: Publication,
    random: fastrand::Rng,
    disk: SimDisk,
    clock: SimClock,
    outside: Outside,
    stream: MemoryStream,
    rows: Vec<Row>,
    limits: EpochLimits,
    summary: Summary,
    traced: bool,
    trace: Vec<String>,
}

/// What a process has of the world.
struct Process {
    disk: SimDisk,
    troubles: Troubles,
    was_full: bool,
}

impl World {
    pub(super) fn new(
        scenario: Scenario,
        kind: Kind,
        spec: &QuerySpec,
        mut random: fastrand::Rng,
        lies: Lies,
        traced: bool,
    ) -> Self {
        let disk = SimDisk::new(lies);
        if traced {
            disk.start_trace();
        }
        let overlaps = scenario == Scenario::Overlapping;
        let publication = match overlaps || random.bool() {
            true => Publication::AfterRecord,
            false => Publication::Transaction,
        };
        let mut spec = spec.clone();
        let interval = random.choice([None, Some(0), Some(300), Some(5_000)]);
        let interval = interval.flatten().filter(|_| !overlaps);
        spec.checkpoint_interval = interval.map(Duration::from_millis);
        spec.overlaps = overlaps;
        let limit = random.choice([None, Some(1), Some(3), Some(10)]);
        let schema = spec.plan.sources.first().map(|s| s.declared.schema());
        let schema = schema.unwrap_or_else(|| Arc::new(arrow::datatypes::Schema::empty()));
        let partitions = random.usize(1..=3);
        let mut world = World {
            scenario,
            kind,
            publication,
            disk,
            clock: SimClock::new(),
            outside: Outside::new(
                overlaps || random.bool(),
                overlaps && spec.plan.is_row_by_row,
            ),
            stream: MemoryStream::named("t", schema, partitions),
            rows: vec![],
            limits: EpochLimits {
                max_records: limit.flatten(),
            },
            summary: Summary::default(),
            traced,
            trace: vec![],
            random,
            spec,
        };
        let World { spec, limits, .. } = &world;
        world.trace.push(format!(
            "{kind:?} on {} shards, published {publication:?}, checkpoint interval {:?}, \
             {partitions} partitions, {:?} records per epoch",
            spec.environment.target_partitions(),
            spec.checkpoint_interval,
            limits.max_records,
        ));
        world
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.clone()
    }

    /// Lives, and checks the result.
    pub(super) async fn run(&mut self) -> std::result::Result<(), String> {
        let lives = match self.scenario {
            Scenario::Anything | Scenario::Overlapping => self.random.usize(1..5),
            Scenario::HundredDeaths => 100,
        };
        for _ in 0..lives {
            self.live().await?;
            self.end_of_life();
        }
        if self.scenario == Scenario::HundredDeaths {
            self.check_progress()?;
        }
        self.live_in_peace().await?;
        self.check_result()
    }

    fn say(&mut self, line: impl FnOnce() -> String) {
        if self.traced {
            self.trace.extend(self.disk.take_trace());
            self.trace.push(line());
        }
    }

    /// A process to which things happen.
    async fn live(&mut self) -> std::result::Result<(), String> {
        let odds = match (self.scenario, self.random.u8(..3)) {
            (Scenario::HundredDeaths, _) | (_, 0) => Odds::default(),
            (_, 1) => Odds {
                failure: 60,
                death: 0,
                fencing: 15,
            },
            _ => Odds {
                failure: 15,
                death: 15,
                fencing: 5,
            },
        };
        let mut process = self.start(odds);
        match self.scenario {
            Scenario::HundredDeaths => process.disk.die_at(self.random.u64(60..110), true),
            Scenario::Anything | Scenario::Overlapping if self.random.u8(..3) > 0 => {
                let (nth, has_effect) = (self.random.u64(1..90), self.random.bool());
                process.disk.die_at(nth, has_effect);
            }
            Scenario::Anything | Scenario::Overlapping => {}
        }
        let spec = self.spec_for(&process);
        let Some(mut epochs) = self.opened(&mut process, spec).await? else {
            return Ok(());
        };
        let steps = match self.scenario {
            Scenario::Anything | Scenario::Overlapping => self.random.usize(1..6),
            Scenario::HundredDeaths => 30,
        };
        for _ in 0..steps {
            self.something_happens(&mut process);
            let stepped = self.attend(&process, epochs.step()).await;
            let went_on = self.after_step(&process, stepped)?;
            self.summary.overlaps += u64::from(epochs.is_committing_beside());
            if !went_on {
                return Ok(());
            }
        }
        if self.random.bool() {
            self.say(|| "the process is asked to stop".to_string());
            let committed = self.attend(&process, epochs.commit()).await;
            if let Some(Err(error)) = committed {
                self.excuse(&process, &error)?;
            }
        }
        Ok(())
    }

    /// A process to which nothing happens any more reads everything, and ends.
    async fn live_in_peace(&mut self) -> std::result::Result<(), String> {
        self.disk.set_full(false);
        let mut process = self.start(Odds::default());
        self.say(|| "from here on nothing happens".to_string());
        self.stream.end();
        let spec = self.spec_for(&process);
        let Some(mut epochs) = self.opened(&mut process, spec).await? else {
            return Err("the query cannot be opened".to_string());
        };
        let steps = STEPS_TO_CATCH_UP + self.rows.len();
        for _ in 0..steps {
            self.clock.advance(Duration::from_secs(1));
            let stepped = self.attend(&process, epochs.step()).await;
            match stepped {
                Some(Ok(Step::Finished)) => {
                    let committed = self.attend(&process, epochs.commit()).await;
                    return match committed {
                        Some(Ok(())) => Ok(()),
                        other => Err(format!("the last commit failed: {other:?}")),
                    };
                }
                Some(Ok(Step::Lost(error))) => return Err(format!("lost for no reason: {error}")),
                stepped => self.after_step(&process, stepped).map(drop)?,
            }
        }
        Err(format!("not caught up after {steps} steps"))
    }

    fn check_result(&self) -> std::result::Result<(), String> {
        if let Some(contradiction) = self.outside.contradiction() {
            return Err(contradiction);
        }
        let found = self.kind.folded(self.shown()?);
        let expected = self.kind.expected(&self.rows).map_err(|e| e.to_string())?;
        match found == expected {
            true => Ok(()),
            false => Err(format!("emitted  {found:?}\nexpected {expected:?}")),
        }
    }

    /// A hundred deaths in a row are no reason to stand still.
    fn check_progress(&self) -> std::result::Result<(), String> {
        let Summary { lives, epochs, .. } = self.summary;
        match epochs >= lives {
            true => Ok(()),
            false => Err(format!("{epochs} epochs in {lives} lives")),
        }
    }

    fn shown(&self) -> std::result::Result<Vec<TextRow>, String> {
        match self.publication {
            Publication::Transaction => Ok(self.outside.committed()),
            Publication::AfterRecord => {
                shown_on(&self.disk.next_process()).map_err(|e| e.to_string())
            }
        }
    }

    fn start(&mut self, odds: Odds) -> Process {
        self.summary.lives += 1;
        let number = self.summary.lives;
        self.say(|| format!("process {number} starts: {odds:?}"));
        let disk = self.disk.next_process();
        Process {
            troubles: Troubles::new(disk.clone(), odds, self.random.u64(..)),
            disk,
            was_full: false,
        }
    }

    /// The query as a process sees it; what it needs of the disk is not there if it has died.
    fn spec_for(&self, process: &Process) -> Result<QuerySpec> {
        let mut spec = self.spec.clone();
        let disk = Arc::new(process.disk.clone());
        let files = LocalFiles::on_disk(disk, Readers::Owner, Path::new("/checkpoint"))?;
        spec.store = Arc::new(files);
        let (outside, troubles) = (self.outside.clone(), process.troubles.clone());
        let sink: Arc<dyn Sink> = match self.publication {
            Publication::AfterRecord => {
                Arc::new(FileSink::try_new(&process.disk, outside, troubles)?)
            }
            Publication::Transaction => Arc::new(TransactionSink::new(outside, troubles)),
        };
        spec.sink = sink;
        spec.environment.clock = Arc::new(self.clock.clone());
        for source in &mut spec.plan.sources {
            let mut definition = StreamDefinition::clone(source);
            definition.declared = Arc::new(TroubledDeclared {
                inner: self.stream.declared_with(self.limits),
                troubles: process.troubles.clone(),
            });
            if let Some(watermark) = &mut definition.watermark {
                watermark.idle_timeout = IDLE_TIMEOUT;
            }
            *source = Arc::new(definition);
        }
        Ok(spec)
    }

    async fn opened(
        &mut self,
        process: &mut Process,
        spec: Result<QuerySpec>,
    ) -> std::result::Result<Option<EpochLoop>, String> {
        let opened = match spec {
            Ok(spec) => self.attend(process, EpochLoop::open(spec)).await,
            Err(error) => Some(Err(error)),
        };
        match opened {
            None => Ok(None),
            Some(Ok(epochs)) => Ok(Some(epochs)),
            Some(Err(error)) => {
                // The disk may have been full since an earlier process.
                process.was_full |= error.kind() == ErrorKind::Resource;
                self.excuse(process, &error).map(|()| None)
            }
        }
    }

    /// Says whether the process goes on.
    fn after_step(
        &mut self,
        process: &Process,
        stepped: Option<Result<Step>>,
    ) -> std::result::Result<bool, String> {
        match stepped {
            None => Ok(false),
            Some(Ok(Step::Ran(progress))) => {
                self.summary.epochs += 1;
                self.say(|| {
                    let (read, written) = (progress.rows_in, progress.rows_out);
                    format!(
                        "epoch {} ran: {read} rows in, {written} out",
                        progress.epoch
                    )
                });
                Ok(true)
            }
            Some(Ok(Step::Nothing | Step::Finished)) => Ok(true),
            Some(Ok(Step::Lost(error)) | Err(error)) => {
                self.excuse(process, &error).map(|()| false)
            }
        }
    }

    /// An error must have a reason in what happened to the process.
    fn excuse(&mut self, process: &Process, error: &Error) -> std::result::Result<(), String> {
        self.say(|| format!("the process ends: {error}"));
        let is_excused = process.disk.is_dead()
            || match error.kind() {
                ErrorKind::Source | ErrorKind::Sink => process.troubles.failures() > 0,
                ErrorKind::Conflict => process.troubles.fencings() > 0,
                ErrorKind::Resource => process.was_full,
                _ => false,
            };
        self.summary.failures += 1;
        match is_excused {
            true => Ok(()),
            false => Err(format!("a failure without a reason: {error:?}")),
        }
    }

    /// What happens between two epochs.
    fn something_happens(&mut self, process: &mut Process) {
        let rows = match self.scenario {
            Scenario::Anything | Scenario::Overlapping => self.random.usize(..6),
            Scenario::HundredDeaths => usize::from(self.random.u8(..8) == 0),
        };
        self.feed(rows);
        if self.random.bool() {
            self.clock
                .advance(Duration::from_millis(self.random.u64(..800)));
        }
        if self.scenario == Scenario::HundredDeaths {
            return;
        }
        match self.random.u8(..24) {
            0 => {
                let by = if self.random.bool() {
                    HOUR_US
                } else {
                    -HOUR_US
                };
                self.clock.jump(by);
                self.say(|| format!("the clock jumps by {by} µs"));
            }
            1 => {
                self.disk.set_full(true);
                process.was_full = true;
                self.say(|| "the disk is full".to_string());
            }
            2..=9 => self.disk.set_full(false),
            _ => {}
        }
    }

    fn feed(&mut self, rows: usize) {
        let mut fed: Vec<Vec<Row>> = vec![vec![]; self.stream.partitions()];
        for _ in 0..rows {
            let number = self.rows.len() as i64;
            let row = Row::random(number, fed.len(), &mut self.random);
            if let Some(partition) = fed.get_mut(row.partition) {
                partition.push(row.clone());
            }
            self.rows.push(row);
        }
        for (partition, rows) in fed.iter().enumerate() {
            let pushed = batch_of(self.stream.schema(), rows)
                .and_then(|batch| self.stream.push(partition, batch));
            if let Err(error) = pushed {
                self.trace.push(format!("cannot feed: {error}"));
            }
        }
    }

    /// Lets a process work until it is done, or dead. Who sleeps is woken: the clock moves on.
    async fn attend<T>(&mut self, process: &Process, work: impl Future<Output = T>) -> Option<T> {
        let mut work = Box::pin(work);
        let done = poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Some(done));
            }
            if process.disk.is_dead() {
                return Poll::Ready(None);
            }
            let is_asleep = self.clock.sleepers() > 0;
            if is_asleep {
                self.clock.advance(Duration::from_millis(100));
            }
            // A task beside this one may fall asleep when this one waits for it.
            if is_asleep || self.scenario == Scenario::Overlapping {
                context.waker().wake_by_ref();
            }
            Poll::Pending
        });
        let done = done.await;
        drop(work);
        if self.traced {
            self.trace.extend(self.disk.take_trace());
            self.trace.extend(process.troubles.take_trace());
        }
        done
    }

    fn end_of_life(&mut self) {
        self.summary.deaths += 1;
        if self.random.u8(..3) > 0 {
            let seed = self.random.u64(..);
            let mut dice = fastrand::Rng::with_seed(seed);
            self.disk.power_loss(&mut |sides| dice.u64(..sides));
            self.summary.losses += 1;
        } else {
            self.disk.kill();
        }
        self.say(|| "the process is gone".to_string());
    }
}
