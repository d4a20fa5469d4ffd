//! A generator as a source: how far it is, by its pace and its end.

use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::Mutex;

use headwater_core::clock::Clock;
use headwater_core::connector::{DeclaredSource, SourceContext, SourceUse};
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{
    EpochLimits, ReadCounters, ReadRequest, ResumePoint, Source, SourceBatch,
};
use headwater_core::{Error, Result};
use headwater_formats::RowAssembler;

use super::broken::BrokenRows;
use super::rows::{RowMaker, RowNumbers};

/// Rows of an epoch that nobody limits.
const OWN_LIMIT: u64 = 100_000;
/// A paced generator sleeps at least this long, so that epochs do not become single rows.
const LEAST_WAIT: Duration = Duration::from_millis(1);

/// How many rows there are, how fast, in how many partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) rows: Option<u64>,
    pub(super) rows_per_second: Option<f64>,
    pub(super) seed: u64,
    pub(super) partitions: u64,
}

impl Plan {
    /// The position after the first `rows` rows.
    fn position(&self, rows: u64) -> Offsets {
        let partitions = 0..self.partitions;
        let ends = partitions.map(|partition| {
            let dealt = rows.saturating_sub(partition).div_ceil(self.partitions);
            (
                Partition::new("datagen", partition as i32),
                i64::try_from(dealt).unwrap_or(i64::MAX),
            )
        });
        ends.collect()
    }

    /// Rows before a position.
    fn rows_before(&self, position: &Offsets) -> u64 {
        position
            .iter()
            .map(|(_, offset)| offset.max(0) as u64)
            .sum()
    }
}

/// A declared generator.
#[derive(Debug)]
pub(super) struct DeclaredGenerator {
    pub(super) plan: Plan,
    pub(super) limits: EpochLimits,
    pub(super) maker: Arc<RowMaker>,
    pub(super) broken: Option<Arc<BrokenRows>>,
    pub(super) owner: String,
    /// The options that say what the rows are.
    pub(super) shape: String,
}

#[async_trait]
impl DeclaredSource for DeclaredGenerator {
    fn schema(&self) -> SchemaRef {
        self.maker.schema()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![("generator", self.shape.clone())]
    }

    fn limits(&self) -> EpochLimits {
        self.limits
    }

    fn is_endless(&self) -> bool {
        self.plan.rows.is_none()
    }

    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>> {
        if context.use_of == SourceUse::BoundedRead && self.plan.rows.is_none() {
            return Err(Error::plan(format!("{} has no end to read to", self.owner))
                .with_hint("Set 'rows' to the number of rows, or use a streaming query."));
        }
        Ok(Arc::new(GeneratorSource {
            plan: self.plan,
            maker: Arc::clone(&self.maker),
            broken: self.broken.clone(),
            clock: context.clock,
            pace: Mutex::default(),
        }))
    }
}

/// An opened generator.
#[derive(Debug)]
struct GeneratorSource {
    plan: Plan,
    maker: Arc<RowMaker>,
    broken: Option<Arc<BrokenRows>>,
    clock: Arc<dyn Clock>,
    pace: Mutex<Pace>,
}

/// Where the query was when the pace began, and how far it has been told it may go.
#[derive(Debug, Default)]
struct Pace {
    began: Option<(Duration, u64)>,
    told: u64,
}

impl GeneratorSource {
    fn end(&self) -> u64 {
        self.plan.rows.unwrap_or(u64::MAX)
    }

    /// Rows that the pace allows by now. The first call sets the pace going.
    fn due(&self, before: u64) -> u64 {
        let Some(rate) = self.plan.rows_per_second else {
            return u64::MAX;
        };
        let now = self.clock.elapsed();
        let (began, rows) = *self.pace.lock().began.get_or_insert((now, before));
        let since = now.saturating_sub(began).as_secs_f64();
        rows.saturating_add((since * rate + 1e-9) as u64)
    }

    /// How long until the row after `before` is due.
    fn wait(&self, before: u64) -> Duration {
        let Some(rate) = self.plan.rows_per_second else {
            return Duration::ZERO;
        };
        let now = self.clock.elapsed();
        let (began, rows) = *self.pace.lock().began.get_or_insert((now, before));
        let ahead = before.saturating_add(1).saturating_sub(rows) as f64 / rate;
        let at = began.saturating_add(Duration::try_from_secs_f64(ahead).unwrap_or(Duration::MAX));
        at.saturating_sub(now).max(LEAST_WAIT)
    }
}

#[async_trait]
impl Source for GeneratorSource {
    fn schema(&self) -> SchemaRef {
        self.maker.schema()
    }

    fn is_replayable(&self) -> bool {
        true
    }

    async fn initial(&self) -> Result<Offsets> {
        Ok(self.plan.position(0))
    }

    /// The last row; without one, an epoch's worth after the furthest position told.
    async fn check_resume(&self, _point: ResumePoint<'_>) -> Result<()> {
        Ok(())
    }

    fn fingerprints(&self, _up_to: &Offsets) -> Fingerprints {
        Fingerprints::default()
    }

    async fn latest(&self) -> Result<Offsets> {
        let end = match self.plan.rows {
            Some(rows) => rows,
            None => self.pace.lock().told.saturating_add(OWN_LIMIT),
        };
        Ok(self.plan.position(end))
    }

    async fn narrow(&self, slice: Slice, _: &ReadBounds) -> Result<Slice> {
        Ok(slice)
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        let before = self.plan.rows_before(from);
        let limit = limits.max_records.unwrap_or(OWN_LIMIT);
        let end = before
            .saturating_add(limit)
            .min(self.due(before))
            .min(self.end());
        let end = end.max(before);
        let mut pace = self.pace.lock();
        pace.told = pace.told.max(end);
        let position = self.plan.position(end);
        let ends = position.iter().map(|(partition, offset)| {
            let start = from.get(partition).unwrap_or(0);
            (partition.clone(), offset.max(start))
        });
        Ok(ends.collect())
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        let before = self.plan.rows_before(from);
        while before < self.end() && self.due(before) <= before {
            self.clock.sleep(self.wait(before)).await;
        }
        Ok(())
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        self.plan.rows_before(from) >= self.end()
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let mut streams = Vec::new();
        for (partition, start, end) in request.slice.ranges() {
            let batch_rows = request.batch_rows.max(1);
            let step = self.plan.partitions;
            let index = u64::try_from(partition.index).unwrap_or(0);
            let mut reader = PartitionReader {
                partition: partition.clone(),
                maker: Arc::clone(&self.maker),
                broken: match &self.broken {
                    Some(broken) => {
                        let assembler = broken.assembler(&request.projection)?;
                        Some((Arc::clone(broken), assembler))
                    }
                    None => None,
                },
                projection: request.projection.clone(),
                counters: Arc::clone(&request.counters),
            };
            let starts = (start..end).step_by(batch_rows);
            streams.push(stream::iter(starts.map(move |at| {
                let count = usize::try_from(end - at).unwrap_or(batch_rows);
                let rows = RowNumbers {
                    first: at.max(0) as u64 * step + index,
                    step,
                    count: count.min(batch_rows),
                };
                reader.batch(rows)
            })));
        }
        Ok(stream::iter(streams).flatten().boxed())
    }

    async fn committed(&self, _up_to: &Offsets) -> Result<()> {
        Ok(())
    }
}

/// Makes the rows of one partition.
#[derive(Debug)]
struct PartitionReader {
    partition: Partition,
    maker: Arc<RowMaker>,
    broken: Option<(Arc<BrokenRows>, RowAssembler)>,
    projection: Vec<usize>,
    counters: Arc<ReadCounters>,
}

impl PartitionReader {
    fn batch(&mut self, rows: RowNumbers) -> Result<SourceBatch> {
        let partition = self.partition.clone();
        match &mut self.broken {
            Some((broken, assembler)) => {
                broken.batch(&self.maker, (partition, rows), assembler, &self.counters)
            }
            None => {
                self.counters.add_records(rows.count as u64, 0);
                let rows = self.maker.batch(rows, &self.projection)?;
                Ok(SourceBatch::new(partition, rows))
            }
        }
    }
}
