//! What goes wrong around a query: failures of its source and sink, deaths in the middle of a
//! call, a clock that jumps.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use headwater::ManualClock;
use headwater_checkpoint::SimDisk;
use headwater_core::around::SourceAround;
use headwater_core::clock::Clock;
use headwater_core::connector::{DeclaredSource, SourceContext};
use headwater_core::event_time::EventTime;
use headwater_core::offset::Offsets;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};
use headwater_core::{Error, ErrorKind, Result};

use crate::session::CLOCK_START;

/// How often things go wrong, of a thousand calls.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Odds {
    pub(super) failure: u64,
    pub(super) death: u64,
    /// Another process takes the transactions over.
    pub(super) fencing: u64,
}

/// What goes wrong for one process. Clones are the same.
#[derive(Debug, Clone)]
pub(super) struct Troubles {
    shared: Arc<Mutex<Shared>>,
    disk: SimDisk,
    odds: Odds,
    /// Of the seed and the process.
    salt: u64,
}

#[derive(Debug, Default)]
struct Shared {
    /// How often each place was passed: what happens there depends on that, and not on what goes
    /// on elsewhere at the same time.
    passed: BTreeMap<&'static str, u64>,
    failures: u64,
    fencings: u64,
    trace: Vec<String>,
}

/// What happens at one call.
#[derive(Debug)]
pub(super) struct Blow<'a> {
    troubles: &'a Troubles,
    place: &'static str,
    kind: ErrorKind,
    what: Option<What>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    FailsBefore,
    FailsAfter,
    DiesBefore,
    DiesAfter,
}

impl Troubles {
    pub(super) fn new(disk: SimDisk, odds: Odds, salt: u64) -> Self {
        Troubles {
            shared: Arc::default(),
            disk,
            odds,
            salt,
        }
    }

    /// Passes a place of the source.
    pub(super) fn in_source(&self, place: &'static str) -> Result<Blow<'_>> {
        self.pass(place, ErrorKind::Source)
    }

    /// Passes a place of the sink.
    pub(super) fn in_sink(&self, place: &'static str) -> Result<Blow<'_>> {
        self.pass(place, ErrorKind::Sink)
    }

    fn pass(&self, place: &'static str, kind: ErrorKind) -> Result<Blow<'_>> {
        self.check_alive()?;
        let drawn = self.draw(place);
        let Odds { failure, death, .. } = self.odds;
        let is_before = drawn.is_multiple_of(2);
        let what = match drawn / 2 % 1000 {
            n if n < failure && is_before => Some(What::FailsBefore),
            n if n < failure => Some(What::FailsAfter),
            n if n < failure + death && is_before => Some(What::DiesBefore),
            n if n < failure + death => Some(What::DiesAfter),
            _ => None,
        };
        let blow = Blow {
            troubles: self,
            place,
            kind,
            what,
        };
        blow.strike_if(&[What::FailsBefore, What::DiesBefore])?;
        Ok(blow)
    }

    /// Whether another process takes over now.
    pub(super) fn is_fenced(&self) -> bool {
        let is_fenced = self.draw("fence") % 1000 < self.odds.fencing;
        if is_fenced {
            self.note("another process takes over".to_string());
            self.shared.lock().fencings += 1;
        }
        is_fenced
    }

    pub(super) fn check_alive(&self) -> Result<()> {
        match self.disk.is_dead() {
            true => Err(Error::internal("the process is dead (simulated)")),
            false => Ok(()),
        }
    }

    fn draw(&self, place: &'static str) -> u64 {
        let mut shared = self.shared.lock();
        let passed = shared.passed.entry(place).or_default();
        *passed += 1;
        let mut hasher = DefaultHasher::new();
        (self.salt, place, *passed).hash(&mut hasher);
        hasher.finish()
    }

    fn note(&self, line: String) {
        self.shared.lock().trace.push(line);
    }

    pub(super) fn failures(&self) -> u64 {
        self.shared.lock().failures
    }

    pub(super) fn fencings(&self) -> u64 {
        self.shared.lock().fencings
    }

    pub(super) fn take_trace(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().trace)
    }
}

impl Blow<'_> {
    /// The call has had its effect.
    pub(super) fn after(self) -> Result<()> {
        self.strike_if(&[What::FailsAfter, What::DiesAfter])
    }

    fn strike_if(&self, which: &[What]) -> Result<()> {
        let Some(what) = self.what.filter(|what| which.contains(what)) else {
            return Ok(());
        };
        let line = format!("{}: {what:?}", self.place);
        self.troubles.note(line.clone());
        if matches!(what, What::DiesBefore | What::DiesAfter) {
            self.troubles.disk.kill();
        } else {
            self.troubles.shared.lock().failures += 1;
        }
        Err(Error::new(self.kind, format!("{line} (simulated)")))
    }
}

/// A clock that stands until it is moved, and whose wall clock jumps.
#[derive(Debug, Clone)]
pub(super) struct SimClock {
    steady: ManualClock,
    ahead_us: Arc<AtomicI64>,
}

impl SimClock {
    pub(super) fn new() -> Self {
        SimClock {
            steady: ManualClock::new(CLOCK_START),
            ahead_us: Arc::default(),
        }
    }

    pub(super) fn advance(&self, by: Duration) {
        self.steady.advance(by);
    }

    pub(super) fn sleepers(&self) -> usize {
        self.steady.sleepers()
    }

    /// Moves the wall clock, and no timer.
    pub(super) fn jump(&self, by_us: i64) {
        self.ahead_us.fetch_add(by_us, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> EventTime {
        EventTime(self.steady.now().0 + self.ahead_us.load(Ordering::Relaxed))
    }

    fn elapsed(&self) -> Duration {
        self.steady.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.steady.sleep(duration)
    }
}

/// A source that has troubles.
#[derive(Debug)]
pub(super) struct TroubledDeclared {
    pub(super) inner: Arc<dyn DeclaredSource>,
    pub(super) troubles: Troubles,
}

#[async_trait]
impl DeclaredSource for TroubledDeclared {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        self.inner.identity()
    }

    fn limits(&self) -> EpochLimits {
        self.inner.limits()
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        self.troubles.in_source("open source")?.after()?;
        Ok(Arc::new(TroubledSource {
            inner: self.inner.open(context).await?,
            troubles: self.troubles.clone(),
        }))
    }
}

#[derive(Debug)]
struct TroubledSource {
    inner: Arc<dyn Source>,
    troubles: Troubles,
}

#[async_trait]
impl SourceAround for TroubledSource {
    fn inner(&self) -> &dyn Source {
        &*self.inner
    }

    async fn initial(&self) -> Result<Offsets> {
        self.troubles.in_source("initial")?.after()?;
        self.inner.initial().await
    }

    async fn check_resume(&self, point: ResumePoint<'_>) -> Result<()> {
        self.troubles.in_source("check resume")?.after()?;
        self.inner.check_resume(point).await
    }

    async fn latest(&self) -> Result<Offsets> {
        self.troubles.in_source("latest")?.after()?;
        self.inner.latest().await
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        self.troubles.in_source("available")?.after()?;
        self.inner.available(from, limits).await
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let troubles = self.troubles.clone();
        let batches = self.inner.read(request)?.map(move |batch| {
            troubles.in_source("read")?.after()?;
            batch
        });
        Ok(batches.boxed())
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        self.troubles.in_source("committed")?.after()?;
        self.inner.committed(up_to).await
    }
}
