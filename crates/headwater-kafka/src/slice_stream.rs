//! The rows of a slice as a stream: takes chunks from the buffers, decodes one at a time, and
//! waits where records are still to come.
//!
//! Partitions take turns, stripe by stripe, so that none is full while another is waited for. Where a
//! stripe ends the offsets say, and not what has been fetched: a slice that is read again gives its
//! rows in the same order.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, BoxStream, StreamExt};
use headwater_core::Result;
use headwater_core::offset::Partition;
use headwater_core::records::BatchRecords;
use headwater_core::source::{ReadCounters, ReadRequest, SourceBatch};

use crate::buffer::{ReadClaim, Taken};
use crate::chunk::RecordChunk;
use crate::reader::Reader;
use crate::row_maker::{ChunkRecords, RowMaker};
use crate::source::Inner;

/// Offsets of a partition that are read before the next one has its turn.
const STRIPE_OFFSETS: i64 = 16_384;

/// The rows of a slice.
pub(crate) fn stream(
    source: Arc<Inner>,
    request: ReadRequest,
    rows: RowMaker,
) -> BoxStream<'static, Result<SourceBatch>> {
    let opened = async move { SliceReader::open(source, &request, rows).await };
    stream::once(opened)
        .map(|opened| match opened {
            Ok(reader) => stream::try_unfold(reader, step).boxed(),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        })
        .flatten()
        .boxed()
}

async fn step(mut reader: SliceReader) -> Result<Option<(SourceBatch, SliceReader)>> {
    Ok(reader.next().await?.map(|batch| (batch, reader)))
}

/// What is read of a partition: `[start, end)`.
struct ClaimedRange {
    claim: ReadClaim,
    start: i64,
    end: i64,
    /// Everything before it has been taken.
    position: i64,
    /// Where the stripe that is being read ends.
    stripe_end: i64,
}

impl ClaimedRange {
    fn new(claim: ReadClaim, start: i64, end: i64) -> Self {
        ClaimedRange {
            claim,
            start,
            end,
            position: start,
            stripe_end: start.saturating_add(STRIPE_OFFSETS).min(end),
        }
    }

    /// Goes on to the next stripe; says whether there is one.
    fn next_stripe(&mut self) -> bool {
        let has_more = self.stripe_end < self.end;
        self.stripe_end = self.stripe_end.saturating_add(STRIPE_OFFSETS).min(self.end);
        has_more
    }

    /// Goes on to an offset; gives how many there were until there.
    fn pass(&mut self, offset: i64) -> u64 {
        let passed = offset.min(self.end).saturating_sub(self.position).max(0);
        self.position += passed;
        passed.unsigned_abs()
    }
}

struct SliceReader {
    source: Arc<Inner>,
    reader: Arc<Reader>,
    /// What is being fetched.
    left: VecDeque<ClaimedRange>,
    /// What is not fetched yet, because there may be rows enough before it.
    waiting: VecDeque<(Partition, i64, i64)>,
    rows: RowMaker,
    rows_wanted: Option<usize>,
    rows_given: usize,
    batch_rows: usize,
    counters: Arc<ReadCounters>,
}

impl SliceReader {
    /// Claims the partitions and sends those that must be fetched again on their way, so that they
    /// are fetched side by side.
    async fn open(
        source: Arc<Inner>,
        request: &ReadRequest,
        rows: RowMaker,
    ) -> Result<SliceReader> {
        let reader = source.reader_for(request).await?;
        let ranges = request.slice.ranges();
        let waiting = ranges.map(|(partition, start, end)| (partition.clone(), start, end));
        let mut opened = SliceReader {
            source,
            reader,
            left: VecDeque::new(),
            waiting: waiting.collect(),
            rows,
            rows_wanted: request.rows_wanted,
            rows_given: 0,
            batch_rows: request.batch_rows,
            counters: Arc::clone(&request.counters),
        };
        opened.claim_more()?;
        Ok(opened)
    }

    /// Claims partitions that can hold the rows wanted together. There may be fewer: bad records, and
    /// offsets without a record, are no rows.
    fn claim_more(&mut self) -> Result<()> {
        let wanted = self
            .rows_wanted
            .map_or(i64::MAX, |rows| i64::try_from(rows).unwrap_or(i64::MAX));
        let mut offsets: i64 = 0;
        while offsets < wanted {
            let Some((partition, start, end)) = self.waiting.pop_front() else {
                break;
            };
            let claim = self.reader.claim(&partition, start)?;
            self.left.push_back(ClaimedRange::new(claim, start, end));
            offsets = offsets.saturating_add(end - start);
        }
        Ok(())
    }

    /// The next rows that are not empty.
    async fn next(&mut self) -> Result<Option<SourceBatch>> {
        loop {
            let Some(chunk) = self.take().await? else {
                return Ok(None);
            };
            let Some(range) = self.left.front() else {
                return Ok(None);
            };
            let partition = range.claim.buffer().partition().clone();
            if let Some(last) = chunk.last_fingerprint() {
                self.source.has_read(&partition, last);
            }
            self.rows.prepare(&chunk).await?;
            let assembled = self.rows.rows(&partition, &chunk, &self.counters)?;
            let records = BatchRecords::new(ChunkRecords {
                partition: partition.clone(),
                chunk,
            });
            let batch = assembled.into_batch(partition, records);
            self.rows_given += batch.rows.num_rows();
            if !batch.is_empty() {
                return Ok(Some(batch));
            }
        }
    }

    /// Records to take next, at most: no more than may be wanted.
    fn records_max(&self) -> usize {
        let missing = self
            .rows_wanted
            .map(|wanted| wanted.saturating_sub(self.rows_given));
        match missing {
            Some(missing) if missing > 0 => missing.min(self.batch_rows),
            _ => self.batch_rows,
        }
    }

    /// The next records of the slice; `None` at its end.
    async fn take(&mut self) -> Result<Option<Box<RecordChunk>>> {
        let records_max = self.records_max();
        loop {
            if self.left.is_empty() {
                self.claim_more()?;
            }
            let Some(range) = self.left.front_mut() else {
                return Ok(None);
            };
            let changed = self.reader.changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match range.claim.buffer().take(range.stripe_end, records_max)? {
                Taken::Records(chunk) => {
                    self.counters.add_done(range.pass(chunk.end()));
                    self.reader.gave_back();
                    return Ok(Some(chunk));
                }
                Taken::NotYet => {
                    self.reader.check_usable()?;
                    changed.await;
                }
                Taken::End if range.next_stripe() => self.left.rotate_left(1),
                Taken::End => {
                    let lost = range.claim.buffer().lost_in(range.start, range.end);
                    self.counters.add_lost(lost);
                    self.counters.add_done(range.pass(range.end));
                    self.left.pop_front();
                }
            }
        }
    }
}
