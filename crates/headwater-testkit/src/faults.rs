//! Failures that pass: a source or a sink that fails a few times and then works again.
//!
//! A crash ends the process; a fault does not. The engine is to roll the epoch back, wait, and run
//! it again in the same process, with the same result.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use headwater_core::around::{SinkAround, SourceAround};
use headwater_core::connector::{DeclaredSource, SourceContext};
use headwater_core::id::EpochId;
use headwater_core::offset::Offsets;
use headwater_core::sink::{CommitToken, Sink, Staged};
use headwater_core::source::{EpochLimits, ReadRequest, Source, SourceBatch};
use headwater_core::{Error, ErrorKind, Result};

/// Where something fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Moment {
    /// A source is asked how far it can be read.
    Available,
    /// A source has handed its first batch on.
    Read,
    /// A sink has taken the rows of a partition.
    Write,
    /// A sink has made an epoch durable.
    Prepare,
    /// A sink is asked to make an epoch visible.
    Commit,
    /// A sink has made an epoch visible.
    Publish,
    /// A sink that writes in transactions is asked for its last epoch.
    Ask,
}

impl Moment {
    /// Those by which every query comes.
    pub const ALL: [Moment; 5] = [
        Moment::Available,
        Moment::Read,
        Moment::Write,
        Moment::Prepare,
        Moment::Publish,
    ];
}

/// The failures arranged for a query. Clones are the same list.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    arranged: Arc<Mutex<Arranged>>,
}

#[derive(Debug, Default)]
struct Arranged {
    left: BTreeMap<Moment, u32>,
    /// What comes when those have happened.
    then: BTreeMap<Moment, u32>,
}

impl Faults {
    /// Lets the next `times` calls fail at a moment, and none at any other.
    pub fn arrange(&self, moment: Moment, times: u32) {
        *self.arranged.lock() = Arranged {
            left: BTreeMap::from([(moment, times)]),
            then: BTreeMap::new(),
        };
    }

    /// Lets the next commit fail, before it has its effect or after, and the sink not say which of
    /// the two it was until the query is opened again.
    pub fn lose_commit(&self, has_happened: bool) {
        let commit = match has_happened {
            true => Moment::Publish,
            false => Moment::Commit,
        };
        *self.arranged.lock() = Arranged {
            left: BTreeMap::from([(commit, 1)]),
            // It is asked once, and then tried again three times.
            then: BTreeMap::from([(Moment::Ask, 4)]),
        };
    }

    /// How many failures have not happened yet.
    pub fn left(&self) -> u32 {
        let arranged = self.arranged.lock();
        arranged.left.values().chain(arranged.then.values()).sum()
    }

    /// Forgets what has not happened.
    pub fn clear(&self) {
        *self.arranged.lock() = Arranged::default();
    }

    fn strike(&self, moment: Moment) -> Result<()> {
        let mut arranged = self.arranged.lock();
        match arranged.left.get_mut(&moment) {
            Some(left) if *left > 0 => *left -= 1,
            _ => return Ok(()),
        }
        if arranged.left.values().all(|left| *left == 0) {
            arranged.left = std::mem::take(&mut arranged.then);
        }
        let message = format!("arranged failure: {moment:?}");
        Err(match moment {
            Moment::Available | Moment::Read => Error::new(ErrorKind::Source, message),
            Moment::Write | Moment::Prepare | Moment::Commit | Moment::Publish | Moment::Ask => {
                Error::new(ErrorKind::Sink, message)
            }
        })
    }
}

/// A declared source whose sources fail as arranged.
#[derive(Debug)]
pub(crate) struct FaultyDeclared {
    pub(crate) inner: Arc<dyn DeclaredSource>,
    pub(crate) faults: Faults,
}

#[async_trait]
impl DeclaredSource for FaultyDeclared {
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
        Ok(Arc::new(FaultySource {
            inner: self.inner.open(context).await?,
            faults: self.faults.clone(),
        }))
    }
}

#[derive(Debug)]
struct FaultySource {
    inner: Arc<dyn Source>,
    faults: Faults,
}

#[async_trait]
impl SourceAround for FaultySource {
    fn inner(&self) -> &dyn Source {
        &*self.inner
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        self.faults.strike(Moment::Available)?;
        self.inner.available(from, limits).await
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let faults = self.faults.clone();
        let batches = self.inner.read(request)?.enumerate();
        let struck = batches.map(move |(number, batch)| {
            if number > 0 {
                faults.strike(Moment::Read)?;
            }
            batch
        });
        Ok(struck.boxed())
    }
}

/// A sink that fails as arranged; but for two moments, after it has done what it was asked to.
#[derive(Debug)]
pub(crate) struct FaultySink {
    pub(crate) inner: Arc<dyn Sink>,
    pub(crate) faults: Faults,
}

#[async_trait]
impl SinkAround for FaultySink {
    fn inner(&self) -> &dyn Sink {
        &*self.inner
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let staged = self.inner.write(epoch, partition, rows).await?;
        self.faults.strike(Moment::Write)?;
        Ok(staged)
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let token = self.inner.prepare(epoch, staged).await?;
        self.faults.strike(Moment::Prepare)?;
        Ok(token)
    }

    async fn commit(&self, epoch: EpochId, token: CommitToken) -> Result<()> {
        self.faults.strike(Moment::Commit)?;
        self.inner.commit(epoch, token).await?;
        self.faults.strike(Moment::Publish)
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        self.faults.strike(Moment::Ask)?;
        self.inner.last_published().await
    }
}
