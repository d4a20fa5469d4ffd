//! Where rows go: files on the simulated disk, shown after the commit record, or a broker whose
//! transactions decide what has happened.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use headwater_checkpoint::{FileStore, LocalFiles, Readers, SimDisk};
use headwater_core::id::EpochId;
use headwater_core::mode::OutputMode;
use headwater_core::sink::{CommitToken, Publication, Sink, SinkCapabilities, SinkContext, Staged};
use headwater_core::{Error, Result};

use super::troubles::Troubles;
use crate::text_rows::{TextRow, sorted, text_rows};

/// The rows of an epoch, and its number.
type EpochRows = (EpochId, Vec<TextRow>);

/// What outlives every process beside the disk: what it was told. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Outside {
    /// Whether it may show rows before they are committed.
    shows_early: bool,
    /// Whether an epoch that runs again must bring what it brought before.
    must_repeat: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What every epoch brought when it was first prepared.
    prepared: BTreeMap<EpochId, Vec<TextRow>>,
    contradiction: Option<String>,
    broker: Broker,
}

#[derive(Debug, Default)]
struct Broker {
    /// The producer that may write; those before it may not.
    producer: u64,
    /// What the open transaction holds.
    open: Vec<EpochRows>,
    committed: Vec<EpochRows>,
    note: Option<EpochId>,
}

impl Outside {
    /// `is_cut_anew` if nobody can tell into which epochs rows are cut.
    pub(super) fn new(shows_early: bool, is_cut_anew: bool) -> Self {
        Outside {
            shows_early,
            must_repeat: shows_early && !is_cut_anew,
            shared: Arc::default(),
        }
    }

    fn capabilities(&self) -> SinkCapabilities {
        SinkCapabilities {
            modes: vec![OutputMode::Append, OutputMode::Update],
            key: vec![],
            loses_null_keys: false,
            takes_deletes: false,
            is_idempotent: !self.shows_early,
            overlaps: self.shows_early,
        }
    }

    /// What a broker shows, in the order in which it came.
    pub(super) fn committed(&self) -> Vec<TextRow> {
        let shared = self.shared.lock();
        let epochs = shared.broker.committed.iter();
        epochs.flat_map(|(_, rows)| rows.clone()).collect()
    }

    /// An epoch that brought other rows when it was run again, if there is one.
    pub(super) fn contradiction(&self) -> Option<String> {
        self.shared.lock().contradiction.clone()
    }

    fn prepare(&self, epoch: EpochId, rows: &[TextRow]) {
        let rows = sorted(rows.to_vec());
        let mut shared = self.shared.lock();
        let first = shared.prepared.entry(epoch).or_insert_with(|| rows.clone());
        if *first != rows && self.must_repeat {
            let what = format!("epoch {epoch} brought {first:?}, and when run again {rows:?}");
            shared.contradiction = Some(what);
        }
    }

    /// Does something as a producer, unless another has taken over.
    fn as_producer<T>(&self, producer: u64, act: impl FnOnce(&mut Broker) -> T) -> Result<T> {
        let broker = &mut self.shared.lock().broker;
        match broker.producer == producer {
            true => Ok(act(broker)),
            false => Err(Error::conflict("another producer has taken over")),
        }
    }
}

async fn collected(rows: BoxStream<'static, Result<RecordBatch>>) -> Result<Vec<TextRow>> {
    let batches: Vec<RecordBatch> = rows.try_collect().await?;
    text_rows(&batches)
}

const ROOT: &str = "/out";
const STAGED: &str = "staged";
const SHOWN: &str = "shown";

/// A sink of files, as that of connector `filesystem`: written under a hidden name, renamed when
/// the commit record is written.
#[derive(Debug)]
pub(super) struct FileSink {
    files: LocalFiles,
    outside: Outside,
    troubles: Troubles,
    staged: Mutex<BTreeMap<EpochId, Vec<TextRow>>>,
}

impl FileSink {
    pub(super) fn try_new(disk: &SimDisk, outside: Outside, troubles: Troubles) -> Result<Self> {
        Ok(FileSink {
            files: files_on(disk)?,
            outside,
            troubles,
            staged: Mutex::default(),
        })
    }
}

fn files_on(disk: &SimDisk) -> Result<LocalFiles> {
    LocalFiles::on_disk(Arc::new(disk.clone()), Readers::ByUmask, Path::new(ROOT))
}

/// The rows in the files of a [`FileSink`], in the order of their epochs.
pub(super) fn shown_on(disk: &SimDisk) -> Result<Vec<TextRow>> {
    let files = files_on(disk)?;
    let mut rows = Vec::new();
    for name in files.list(SHOWN)? {
        let bytes = files.read(&format!("{SHOWN}/{name}"))?.unwrap_or_default();
        let part: Vec<TextRow> = serde_json::from_slice(&bytes)
            .map_err(|e| Error::internal(format!("file {name} of the sink is damaged: {e}")))?;
        rows.extend(part);
    }
    Ok(rows)
}

#[async_trait]
impl Sink for FileSink {
    fn capabilities(&self) -> SinkCapabilities {
        self.outside.capabilities()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn publication(&self) -> Publication {
        Publication::AfterRecord
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        Ok(None)
    }

    async fn open(&self, _context: &SinkContext) -> Result<()> {
        self.troubles.in_sink("open sink")?.after()
    }

    async fn write(
        &self,
        epoch: EpochId,
        partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let rows = collected(rows).await?;
        let blow = self.troubles.in_sink("write")?;
        let name = format!("{:08}-{partition}", epoch.0);
        if !rows.is_empty() {
            let bytes = serde_json::to_vec(&rows).map_err(|e| Error::internal(e.to_string()))?;
            let mut writer = self.files.create_file(&format!("{STAGED}/{name}"))?;
            writer.write_all(&bytes)?;
            writer.finish()?;
        }
        let staged = Staged {
            rows: rows.len() as u64,
            note: serde_json::json!(name),
        };
        self.staged.lock().entry(epoch).or_default().extend(rows);
        blow.after()?;
        Ok(staged)
    }

    async fn prepare(&self, epoch: EpochId, staged: Vec<Staged>) -> Result<CommitToken> {
        let blow = self.troubles.in_sink("prepare")?;
        let rows = self.staged.lock().remove(&epoch).unwrap_or_default();
        self.outside.prepare(epoch, &rows);
        let written = staged.into_iter().filter(|s| s.rows > 0);
        let names: Vec<serde_json::Value> = written.map(|s| s.note).collect();
        blow.after()?;
        Ok(CommitToken(names.into()))
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, _epoch: EpochId, token: CommitToken) -> Result<()> {
        let blow = self.troubles.in_sink("show")?;
        for name in token.0.as_array().into_iter().flatten() {
            let name = name.as_str().unwrap_or_default();
            let (from, to) = (format!("{STAGED}/{name}"), format!("{SHOWN}/{name}"));
            self.files.rename(&from, &to)?;
        }
        blow.after()
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.troubles.check_alive()?;
        self.staged.lock().remove(&epoch);
        Ok(())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}

/// A sink whose transactions decide: what is open is lost with the process, and a note of the
/// epoch is committed with the rows.
#[derive(Debug)]
pub(super) struct TransactionSink {
    outside: Outside,
    troubles: Troubles,
    producer: Mutex<u64>,
    staged: Mutex<BTreeMap<EpochId, Vec<TextRow>>>,
}

impl TransactionSink {
    pub(super) fn new(outside: Outside, troubles: Troubles) -> Self {
        TransactionSink {
            outside,
            troubles,
            producer: Mutex::default(),
            staged: Mutex::default(),
        }
    }

    /// Ends what is open without effect, and keeps everybody else out.
    fn take_over(&self) {
        let broker = &mut self.outside.shared.lock().broker;
        broker.producer += 1;
        broker.open.clear();
        *self.producer.lock() = broker.producer;
    }

    fn act<T>(&self, act: impl FnOnce(&mut Broker) -> T) -> Result<T> {
        if self.troubles.is_fenced() {
            let broker = &mut self.outside.shared.lock().broker;
            broker.producer += 1;
            broker.open.clear();
        }
        let producer = *self.producer.lock();
        self.outside.as_producer(producer, act)
    }
}

#[async_trait]
impl Sink for TransactionSink {
    fn capabilities(&self) -> SinkCapabilities {
        self.outside.capabilities()
    }

    fn identity(&self) -> Vec<(&'static str, String)> {
        vec![]
    }

    fn publication(&self) -> Publication {
        Publication::Transaction
    }

    async fn last_published(&self) -> Result<Option<EpochId>> {
        let blow = self.troubles.in_sink("read the note")?;
        self.take_over();
        let note = self.outside.shared.lock().broker.note;
        blow.after()?;
        Ok(note)
    }

    async fn open(&self, _context: &SinkContext) -> Result<()> {
        let blow = self.troubles.in_sink("open sink")?;
        self.take_over();
        blow.after()
    }

    async fn write(
        &self,
        epoch: EpochId,
        _partition: usize,
        rows: BoxStream<'static, Result<RecordBatch>>,
    ) -> Result<Staged> {
        let written = collected(rows).await?;
        let blow = self.troubles.in_sink("write")?;
        let rows = written.len() as u64;
        self.staged.lock().entry(epoch).or_default().extend(written);
        blow.after()?;
        Ok(Staged {
            rows,
            note: serde_json::Value::Null,
        })
    }

    async fn prepare(&self, epoch: EpochId, _staged: Vec<Staged>) -> Result<CommitToken> {
        let blow = self.troubles.in_sink("prepare")?;
        let rows = self.staged.lock().remove(&epoch).unwrap_or_default();
        self.outside.prepare(epoch, &rows);
        self.act(|broker| broker.open.push((epoch, rows)))?;
        blow.after()?;
        Ok(CommitToken::default())
    }

    async fn gather(&self, prepared: Vec<(EpochId, CommitToken)>) -> Result<Vec<CommitToken>> {
        Ok(headwater_core::sink::as_prepared(prepared))
    }

    async fn commit(&self, epoch: EpochId, _token: CommitToken) -> Result<()> {
        let blow = self.troubles.in_sink("commit the transaction")?;
        self.act(|broker| {
            let open = std::mem::take(&mut broker.open);
            broker.committed.extend(open);
            broker.note = Some(epoch);
        })?;
        blow.after()
    }

    async fn abort(&self, epoch: EpochId) -> Result<()> {
        self.troubles.check_alive()?;
        self.staged.lock().remove(&epoch);
        self.act(|broker| broker.open.clear())
    }

    async fn ended(&self) -> Result<()> {
        Ok(())
    }
}
