//! Lines that come once and cannot be asked for again: standard input, a socket.
//!
//! ```text
//! thread ── lines ──▶ buffer (bounded) ──▶ read ──▶ committed: freed
//!    └── waits while the buffer is full ◀───────────────────┘
//! ```
//!
//! Input: lines of a reader that is opened at the first question and read by a thread of its own.
//! Output: the declared columns; metadata `line`, the offset.
//! State: the lines that are not committed.
//! Replay: within the process, until committed. A new process goes on counting where the
//! checkpoint ends, with the lines that it reads itself.
//! Source: Spark's `TextSocketSource`, which keeps every line.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use headwater_core::connector::SourceUse;
use headwater_core::fingerprint::Fingerprints;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::read_bounds::ReadBounds;
use headwater_core::source::{EpochLimits, ReadRequest, ResumePoint, Source, SourceBatch};
use headwater_core::{Error, Result};

use crate::lines::{LineChunk, append_line, remove_byte_order_mark};
use crate::record_rows::{KnownMetadata, RecordRows, records_of};

/// Lines that are held before the thread waits.
const BUFFER_LINES: usize = 100_000;
/// Bytes that are held before the thread waits; a bounded read fails there.
const BUFFER_BYTES: usize = 256 << 20;

/// The metadata of every source of lines.
pub(crate) fn known_metadata() -> [KnownMetadata; 1] {
    [("line", DataType::Int64)]
}

/// What is read.
pub(crate) trait LineInput: Send + Sync + 'static {
    /// Opens it; runs on the thread that reads, and again after a failure.
    fn open(&self) -> io::Result<Box<dyn BufRead>>;
    /// Ends a read that may be waiting, if that can be done.
    fn close(&self) {}
}

impl<F> LineInput for F
where
    F: Fn() -> io::Result<Box<dyn BufRead>> + Send + Sync + 'static,
{
    fn open(&self) -> io::Result<Box<dyn BufRead>> {
        self()
    }
}

/// A reader's lines, with the thread that fetches them.
pub(crate) struct LineStream {
    name: &'static str,
    input: Arc<dyn LineInput>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// For async callers: there is a line, an end or a failure.
    changed: Notify,
    /// For the thread: there is room, or nobody is left.
    room: Condvar,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Offset of the first line held; `None` until a query says where it is.
    start: Option<i64>,
    /// Whether the thread may fill the buffer beyond its number of lines: a bounded read needs
    /// the end.
    is_bounded_read: bool,
    is_abandoned: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Reading,
    Ended,
    Failed(io::Error),
}

impl State {
    fn start(&self) -> i64 {
        self.start.unwrap_or(0)
    }

    fn end(&self) -> i64 {
        self.start() + self.lines.len() as i64
    }

    fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn is_full(&self) -> bool {
        let most_lines = if self.is_bounded_read {
            usize::MAX
        } else {
            BUFFER_LINES
        };
        self.lines.len() >= most_lines || self.bytes >= BUFFER_BYTES
    }
}

impl LineStream {
    /// A stream that opens nothing yet; `name` is the stream of its one partition.
    pub(crate) fn new(name: &'static str, input: Arc<dyn LineInput>) -> Arc<Self> {
        Arc::new(LineStream {
            name,
            input,
            shared: Arc::new(Shared {
                state: Mutex::default(),
                changed: Notify::new(),
                room: Condvar::new(),
            }),
        })
    }

    fn partition(&self) -> Partition {
        Partition::new(self.name, 0)
    }

    fn offset_of(&self, offsets: &Offsets) -> i64 {
        offsets.get(&self.partition()).unwrap_or(0)
    }

    fn position(&self, offset: i64) -> Offsets {
        Offsets::from_iter([(self.partition(), offset)])
    }

    /// The state, with the thread at work; the first caller that knows where the query is says
    /// where counting starts.
    ///
    /// # Errors
    /// Why reading stopped; the next call tries to open again.
    fn started(&self, from: Option<i64>) -> Result<MutexGuard<'_, State>> {
        let mut state = self.shared.state.lock();
        state.start = state.start.or(from);
        match std::mem::take(&mut state.phase) {
            Phase::Failed(error) => {
                let message = format!("could not read lines from {}", self.name);
                return Err(Error::source_failed(message).with_source(error));
            }
            Phase::Idle => self.start_thread(&mut state)?,
            phase @ (Phase::Reading | Phase::Ended) => state.phase = phase,
        }
        Ok(state)
    }

    fn start_thread(&self, state: &mut State) -> Result<()> {
        let input = Arc::clone(&self.input);
        let shared = Arc::clone(&self.shared);
        // A thread and not a task: a read of standard input cannot be cancelled, and a runtime
        // that shuts down would wait for it.
        let thread = std::thread::Builder::new().name(format!("headwater-{}", self.name));
        let spawned = thread.spawn(move || shared.fetch(input.as_ref()));
        spawned.map_err(|error| {
            Error::resource("could not start a thread to read lines").with_source(error)
        })?;
        state.phase = Phase::Reading;
        Ok(())
    }
}

impl Shared {
    /// The thread: reads to the end, a failure, or until nobody is left.
    fn fetch(&self, input: &dyn LineInput) {
        let opened = input.open();
        let result = opened.and_then(|mut reader| self.fetch_lines(reader.as_mut()));
        self.state.lock().phase = match result {
            Ok(()) => Phase::Ended,
            Err(error) => Phase::Failed(error),
        };
        self.changed.notify_waiters();
    }

    fn fetch_lines(&self, reader: &mut dyn BufRead) -> io::Result<()> {
        let mut is_first = true;
        while !self.state.lock().is_abandoned {
            let mut line = Vec::new();
            if !append_line(reader, &mut line)? {
                return Ok(());
            }
            if std::mem::take(&mut is_first) {
                remove_byte_order_mark(&mut line, 0);
            }
            let mut state = self.state.lock();
            self.room
                .wait_while(&mut state, |state| state.is_full() && !state.is_abandoned);
            if state.is_abandoned {
                return Ok(());
            }
            state.bytes += line.len();
            state.lines.push_back(line);
            drop(state);
            self.changed.notify_waiters();
        }
        Ok(())
    }
}

impl Drop for LineStream {
    fn drop(&mut self) {
        self.shared.state.lock().is_abandoned = true;
        self.shared.room.notify_all();
        self.input.close();
    }
}

impl fmt::Debug for LineStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineStream")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A stream of lines as the source of a query.
#[derive(Debug)]
pub(crate) struct LineSource {
    stream: Arc<LineStream>,
    rows: Arc<RecordRows>,
    use_of: SourceUse,
}

impl LineSource {
    pub(crate) fn new(stream: Arc<LineStream>, rows: Arc<RecordRows>, use_of: SourceUse) -> Self {
        LineSource {
            stream,
            rows,
            use_of,
        }
    }

    /// Waits for the end of the input, which a bounded read must hold as a whole.
    async fn end_of_input(&self) -> Result<i64> {
        loop {
            let changed = self.stream.shared.changed.notified();
            {
                let mut state = self.stream.started(None)?;
                state.is_bounded_read = true;
                self.stream.shared.room.notify_all();
                if state.has_ended() {
                    return Ok(state.end());
                }
                if state.bytes >= BUFFER_BYTES {
                    return Err(Error::resource(format!(
                        "{} has more than {} MiB to read at once",
                        self.rows.owner(),
                        BUFFER_BYTES >> 20
                    ))
                    .with_hint("Use a streaming query: it reads a part at a time."));
                }
            }
            changed.await;
        }
    }

    /// The batches of a range of lines, which must be held.
    fn chunks(&self, start: i64, end: i64, batch_rows: usize) -> Result<Vec<LineChunk>> {
        let state = self.stream.started(Some(start))?;
        if start < state.start() || end > state.end() {
            return Err(Error::data_loss(format!(
                "lines {start} to {end} of {} cannot be read again",
                self.rows.owner()
            ))
            .with_detail(format!(
                "Lines {} to {} are held (end exclusive).",
                state.start(),
                state.end()
            ))
            .with_hint("A source of lines forgets them with its process: use a new checkpoint."));
        }
        let mut chunks = Vec::new();
        let mut chunk = LineChunk::new();
        let first = (start - state.start()) as usize;
        let last = (end - state.start()) as usize;
        for (number, line) in (start..).zip(state.lines.range(first..last)) {
            if chunk.is_full(batch_rows) {
                chunks.push(std::mem::replace(&mut chunk, LineChunk::new()));
            }
            if !self.rows.passed_over().includes(line) {
                chunk.push(number, line);
            }
        }
        chunks.push(chunk);
        Ok(chunks)
    }
}

/// The place of a record, from the numbers of the records' lines.
fn place_of(partition: &Partition, numbers: &[i64], record: usize) -> String {
    let number = numbers.get(record).copied().unwrap_or(0);
    format!("line {number} of {}", partition.stream)
}

#[async_trait]
impl Source for LineSource {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn is_replayable(&self) -> bool {
        false
    }

    async fn initial(&self) -> Result<Offsets> {
        let start = self.stream.shared.state.lock().start();
        Ok(self.stream.position(start))
    }

    async fn check_resume(&self, _point: ResumePoint<'_>) -> Result<()> {
        Ok(())
    }

    fn fingerprints(&self, _up_to: &Offsets) -> Fingerprints {
        Fingerprints::default()
    }

    async fn latest(&self) -> Result<Offsets> {
        let end = match self.use_of {
            SourceUse::BoundedRead => self.end_of_input().await?,
            SourceUse::Stream => self.stream.started(None)?.end(),
        };
        Ok(self.stream.position(end))
    }

    async fn narrow(&self, slice: Slice, _: &ReadBounds) -> Result<Slice> {
        Ok(slice)
    }

    async fn available(&self, from: &Offsets, limits: &EpochLimits) -> Result<Offsets> {
        let from = self.stream.offset_of(from);
        let end = self.stream.started(Some(from))?.end();
        let most = limits.max_records.and_then(|max| i64::try_from(max).ok());
        let end = most.map_or(end, |most| end.min(from.saturating_add(most)));
        Ok(self.stream.position(end.max(from)))
    }

    async fn wait_ready(&self, from: &Offsets) -> Result<()> {
        let from = self.stream.offset_of(from);
        loop {
            let changed = self.stream.shared.changed.notified();
            {
                let state = self.stream.started(Some(from))?;
                if state.has_ended() || state.end() > from {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    fn has_ended(&self, from: &Offsets) -> bool {
        let state = self.stream.shared.state.lock();
        state.has_ended() && self.stream.offset_of(from) >= state.end()
    }

    fn read(&self, request: ReadRequest) -> Result<BoxStream<'static, Result<SourceBatch>>> {
        let mut chunks = Vec::new();
        for (_, start, end) in request.slice.ranges() {
            chunks.extend(self.chunks(start, end, request.batch_rows.max(1))?);
        }
        let mut assembler = self.rows.assembler(&request.projection)?;
        let rows = Arc::clone(&self.rows);
        let partition = self.stream.partition();
        let batches = chunks.into_iter().map(move |chunk| {
            let (payloads, numbers) = chunk.into_records();
            let line = |index: usize| {
                let numbers: ArrayRef = Arc::new(Int64Array::from(numbers.clone()));
                rows.metadata_column(index, |_| numbers)
            };
            let locate = |record: usize| place_of(&partition, &numbers, record);
            let assembled =
                assembler.assemble(&payloads, None, &line, &locate, &request.counters)?;
            let of = partition.clone();
            let records = records_of(payloads, move |record| place_of(&of, &numbers, record));
            Ok(assembled.into_batch(partition.clone(), records))
        });
        Ok(stream::iter(batches).boxed())
    }

    async fn committed(&self, up_to: &Offsets) -> Result<()> {
        let up_to = self.stream.offset_of(up_to);
        {
            let mut state = self.stream.shared.state.lock();
            let Some(start) = state.start else {
                return Ok(());
            };
            let count = usize::try_from(up_to - start).unwrap_or(0);
            let count = count.min(state.lines.len());
            let freed: usize = state.lines.drain(..count).map(|line| line.len()).sum();
            state.bytes -= freed;
            state.start = Some(start + count as i64);
        }
        self.stream.shared.room.notify_all();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
