//! Operator state on disk: one pack per epoch and kind, holding the chunks of all operators and
//! shards.
//!
//! ```text
//! headwater state v1 <query> <length> <crc32c>\n    the frame of every file, see record.rs
//! ┌──────────────────────────────────────────────┐
//! │ length of the index, u32, little endian      │
//! │ index: JSON, one entry per chunk             │  [{"operator":"1-window-aggregate","shard":3,
//! │                                              │    "kind":"delta","dropped_panes":[…],
//! │                                              │    "length":512,"crc32c":"0a1b2c3d"},…]
//! │ chunk 0: Arrow IPC stream, buffers in LZ4    │
//! │ chunk 1, directly after chunk 0              │
//! │ …                                            │
//! └──────────────────────────────────────────────┘
//! ```
//!
//! The index comes first so that a reader can fetch single shards, which compaction does; the
//! checksum per chunk is for that reader, and says which chunk it was that does not decode.

use std::io::Cursor;
use std::ops::Range;

use arrow::array::RecordBatch;
use arrow_ipc::CompressionType;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{IpcWriteOptions, StreamWriter};
use headwater_core::id::{EpochId, OperatorId, QueryId, ShardId};
use headwater_core::state::{ChunkKind, StateChunk};
use headwater_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::compact_views::compact_views;
use crate::file_store::{FileStore, file_label};
use crate::numbered_log::{number_of, numbered_path};
use crate::record::{RecordKind, checksum_of, damaged, decode_owned, header};

/// The folder of state packs.
pub(crate) const STATE_FOLDER: &str = "state";

const DELTA: &str = "delta";
const SNAPSHOT: &str = "snapshot";

/// A pack, as a commit record names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFileRef {
    /// Path of the file.
    pub path: String,
    /// Whether the pack replaces those before it.
    #[serde(with = "ChunkKindName")]
    pub kind: ChunkKind,
    /// The last epoch whose changes are in it.
    pub epoch: EpochId,
    /// Length of the file in bytes.
    pub bytes: u64,
}

/// The names of [`ChunkKind`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ChunkKind", rename_all = "lowercase")]
enum ChunkKindName {
    Delta,
    Snapshot,
}

#[derive(Debug, Serialize, Deserialize)]
struct IndexEntry {
    operator: OperatorId,
    shard: ShardId,
    #[serde(with = "ChunkKindName")]
    kind: ChunkKind,
    dropped_panes: Vec<i64>,
    length: u64,
    crc32c: String,
}

/// Where the pack of an epoch lies.
pub(crate) fn pack_path(epoch: EpochId, kind: ChunkKind) -> String {
    let extension = match kind {
        ChunkKind::Delta => DELTA,
        ChunkKind::Snapshot => SNAPSHOT,
    };
    numbered_path(STATE_FOLDER, epoch.0, extension)
}

/// Whether [`pack_path`] makes such names.
pub(crate) fn is_pack_name(name: &str) -> bool {
    number_of(name, DELTA)
        .or_else(|| number_of(name, SNAPSHOT))
        .is_some()
}

/// Writes the chunks of an epoch as one file, in place of what an earlier attempt at the epoch
/// may have left. `kind` is that of the pack: a delta pack may hold snapshots of operators that
/// have nothing smaller to write, a snapshot pack holds nothing else.
pub fn write_pack(
    store: &dyn FileStore,
    query: Option<&QueryId>,
    epoch: EpochId,
    kind: ChunkKind,
    chunks: &[(OperatorId, ShardId, StateChunk)],
) -> Result<StateFileRef> {
    let mut pack = Pack::new(query, epoch, kind);
    for (operator, shard, chunk) in chunks {
        pack.push(operator, *shard, chunk)?;
    }
    pack.write(store)
}

/// A pack that is being put together: its chunks are in memory as they will be on the disk.
#[derive(Debug)]
pub(crate) struct Pack {
    query: Option<QueryId>,
    epoch: EpochId,
    kind: ChunkKind,
    index: Vec<IndexEntry>,
    bodies: Vec<Vec<u8>>,
}

impl Pack {
    pub(crate) fn new(query: Option<&QueryId>, epoch: EpochId, kind: ChunkKind) -> Self {
        Pack {
            query: query.cloned(),
            epoch,
            kind,
            index: Vec::new(),
            bodies: Vec::new(),
        }
    }

    pub(crate) fn push(
        &mut self,
        operator: &OperatorId,
        shard: ShardId,
        chunk: &StateChunk,
    ) -> Result<()> {
        if self.kind == ChunkKind::Snapshot && chunk.kind == ChunkKind::Delta {
            let epoch = self.epoch;
            return Err(Error::internal(format!(
                "operator \"{operator}\" gave a delta for the snapshot of epoch {epoch}"
            )));
        }
        let body = encode_batch(&chunk.rows)?;
        self.index.push(IndexEntry {
            operator: operator.clone(),
            shard,
            kind: chunk.kind,
            dropped_panes: chunk.dropped_panes.clone(),
            length: body.len() as u64,
            crc32c: format!("{:08x}", crc32c::crc32c(&body)),
        });
        self.bodies.push(body);
        Ok(())
    }

    pub(crate) fn write(self, store: &dyn FileStore) -> Result<StateFileRef> {
        let index = serde_json::to_vec(&self.index)
            .map_err(|e| Error::internal("a state index has no JSON form").with_source(e))?;
        let index_length = u32::try_from(index.len())
            .map_err(|_| Error::resource("the state of one epoch has too many chunks"))?;

        // The parts go to the file one by one: joined first, they would be in memory twice.
        let prefix = [index_length.to_le_bytes().as_slice(), &index].concat();
        let parts = || std::iter::once(&prefix).chain(&self.bodies);
        let query = self.query.as_ref();
        let crc = checksum_of(query);
        let crc = parts().fold(crc, |crc, part| crc32c::crc32c_append(crc, part));
        let length = parts().map(Vec::len).sum();
        let header = header(RecordKind::State, query, length, crc);
        let path = pack_path(self.epoch, self.kind);
        let mut file = store.create_file(&path)?;
        file.write_all(header.as_bytes())?;
        for part in parts() {
            file.write_all(part)?;
        }
        file.finish()?;
        Ok(StateFileRef {
            path,
            kind: self.kind,
            epoch: self.epoch,
            bytes: (header.len() + length) as u64,
        })
    }
}

/// Reads the chunks of a pack of any query, in the order in which they were written.
///
/// # Errors
/// Checkpoint if the file is missing or damaged.
pub fn read_pack(
    store: &dyn FileStore,
    path: &str,
) -> Result<Vec<(OperatorId, ShardId, StateChunk)>> {
    read_pack_of(store, None, path)
}

/// [`read_pack`] for a pack that must be a query's.
pub(crate) fn read_pack_of(
    store: &dyn FileStore,
    query: Option<&QueryId>,
    path: &str,
) -> Result<Vec<(OperatorId, ShardId, StateChunk)>> {
    let label = file_label(store, path);
    let bytes = store.read(path)?.ok_or_else(|| missing(&label))?;
    let payload = decode_owned(RecordKind::State, query, &label, &bytes)?;
    decode_pack(&label, payload)
}

fn missing(label: &str) -> Error {
    Error::checkpoint(format!("file \"{label}\" is missing"))
        .with_hint("Restore the checkpoint folder from a copy, or start the query with a new one.")
}

fn decode_pack(label: &str, payload: &[u8]) -> Result<Vec<(OperatorId, ShardId, StateChunk)>> {
    let entries = decode_index(label, payload)?.into_iter();
    let chunks = entries.map(|(entry, range)| {
        let body = payload.get(range).unwrap_or_default();
        let chunk = decode_chunk(label, &entry, body)?;
        Ok((entry.operator, entry.shard, chunk))
    });
    chunks.collect()
}

/// The chunks of a pack and where in its payload they are.
fn decode_index(label: &str, payload: &[u8]) -> Result<Vec<(IndexEntry, Range<usize>)>> {
    let cut_off = || damaged(label, "its index does not match its length");
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(cut_off)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).map_err(|_| cut_off())?;
    let (index, bodies) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    let index: Vec<IndexEntry> = serde_json::from_slice(index)
        .map_err(|e| damaged(label, &format!("its index cannot be read: {e}")))?;
    let mut from = payload.len() - bodies.len();
    let mut entries = Vec::with_capacity(index.len());
    for entry in index {
        let length = usize::try_from(entry.length).map_err(|_| cut_off())?;
        let to = from.checked_add(length).filter(|to| *to <= payload.len());
        let to = to.ok_or_else(cut_off)?;
        entries.push((entry, from..to));
        from = to;
    }
    if from == payload.len() {
        Ok(entries)
    } else {
        Err(cut_off())
    }
}

fn decode_chunk(label: &str, entry: &IndexEntry, body: &[u8]) -> Result<StateChunk> {
    let broken = |what: &str| {
        let (operator, shard) = (&entry.operator, entry.shard.0);
        let what = format!("the state of operator \"{operator}\", shard {shard}, {what}");
        damaged(label, &what)
    };
    if format!("{:08x}", crc32c::crc32c(body)) != entry.crc32c {
        return Err(broken("does not match its checksum"));
    }
    let rows = decode_batch(body).map_err(|e| broken(&format!("cannot be read: {e}")))?;
    Ok(StateChunk {
        kind: entry.kind,
        rows,
        dropped_panes: entry.dropped_panes.clone(),
    })
}

/// The index of a whole pack, whose chunks are read one at a time.
#[derive(Debug)]
pub(crate) struct PackIndex {
    label: String,
    path: String,
    /// Each with its offset in the file.
    chunks: Vec<(IndexEntry, u64)>,
}

impl PackIndex {
    /// Reads and checks the whole file, and keeps the index.
    pub(crate) fn read(store: &dyn FileStore, query: &QueryId, path: &str) -> Result<Self> {
        let label = file_label(store, path);
        let bytes = store.read(path)?.ok_or_else(|| missing(&label))?;
        let payload = decode_owned(RecordKind::State, Some(query), &label, &bytes)?;
        let before = bytes.len() - payload.len();
        let chunks = decode_index(&label, payload)?.into_iter();
        let chunks = chunks.map(|(entry, range)| (entry, (before + range.start) as u64));
        Ok(PackIndex {
            chunks: chunks.collect(),
            label,
            path: path.to_string(),
        })
    }

    /// Of which shards it holds chunks.
    pub(crate) fn shards(&self) -> impl Iterator<Item = (&OperatorId, ShardId)> {
        let chunks = self.chunks.iter();
        chunks.map(|(entry, _)| (&entry.operator, entry.shard))
    }

    /// The chunks of one shard, in order.
    pub(crate) fn chunks_of(
        &self,
        store: &dyn FileStore,
        operator: &OperatorId,
        shard: ShardId,
    ) -> Result<Vec<StateChunk>> {
        let chunks = self.chunks.iter();
        let chunks = chunks.filter(|(e, _)| e.operator == *operator && e.shard == shard);
        let chunks = chunks.map(|(entry, offset)| {
            let body = store.read_part(&self.path, *offset, entry.length)?;
            let body = body.ok_or_else(|| missing(&self.label))?;
            decode_chunk(&self.label, entry, &body)
        });
        chunks.collect()
    }
}

fn encode_batch(rows: &RecordBatch) -> Result<Vec<u8>> {
    let rows = compact_views(rows)?;
    let options =
        IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME))?;
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &rows.schema(), options)?;
    writer.write(&rows)?;
    Ok(writer.into_inner()?)
}

/// The one batch of a stream.
fn decode_batch(bytes: &[u8]) -> std::result::Result<RecordBatch, String> {
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(|e| e.to_string())?;
    let rows = reader.next().ok_or("there are no rows")?;
    if reader.next().is_some() {
        return Err("there is more than one batch".to_string());
    }
    rows.map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BinaryViewArray, Decimal128Array, Int64Array, ListBuilder, RecordBatchOptions,
        StringViewArray, StringViewBuilder, StructArray, TimestampMicrosecondArray,
    };
    use arrow::datatypes::Schema;
    use proptest::prelude::*;

    use super::*;
    use crate::memory_files::MemoryFiles;
    use crate::record::decode_record;

    fn chunk(kind: ChunkKind, rows: RecordBatch) -> StateChunk {
        StateChunk {
            kind,
            rows,
            dropped_panes: vec![i64::MIN, 0, 60_000_000],
        }
    }

    /// Writes the batches as one pack, reads them back and compares.
    fn check(batches: Vec<RecordBatch>) -> StateFileRef {
        let store = MemoryFiles::new();
        let chunks: Vec<_> = batches
            .into_iter()
            .zip(0..)
            .map(|(rows, shard)| {
                let chunk = chunk(ChunkKind::Delta, rows);
                (OperatorId::new("1-window-aggregate"), ShardId(shard), chunk)
            })
            .collect();
        let file = write_pack(&store, None, EpochId(42), ChunkKind::Delta, &chunks).unwrap();
        assert_eq!(file.path, "state/00000042.delta");
        assert_eq!(store.size(&file.path).unwrap(), Some(file.bytes));
        let back = read_pack(&store, &file.path).unwrap();
        assert_eq!(back, chunks);
        for ((_, _, a), (_, _, b)) in back.iter().zip(&chunks) {
            assert_eq!(a.rows.schema(), b.rows.schema());
        }
        file
    }

    fn nested() -> RecordBatch {
        let long = "a text that is too long to be inlined in a view";
        let views: ArrayRef = Arc::new(StringViewArray::from(vec![Some(long), None, Some("s")]));
        let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![
            Some(long.as_bytes()),
            Some(b"\xff"),
            None,
        ]));
        let mut lists = ListBuilder::new(StringViewBuilder::new());
        lists.append_value([Some(long), None]);
        lists.append_null();
        lists.append_value([Some("x"), Some(long), Some("")]);
        let lists: ArrayRef = Arc::new(lists.finish());
        let decimals = Decimal128Array::from(vec![Some(i128::MAX / 10), None, Some(-1)])
            .with_precision_and_scale(38, 9)
            .unwrap();
        let times = TimestampMicrosecondArray::from(vec![0, i64::MIN, i64::MAX]);
        let inner = RecordBatch::try_from_iter_with_nullable([
            ("v", Arc::clone(&views), true),
            ("l", Arc::clone(&lists), true),
        ])
        .unwrap();
        RecordBatch::try_from_iter_with_nullable([
            ("views", views, true),
            ("bytes", bytes, true),
            ("lists", lists, true),
            (
                "structs",
                Arc::new(StructArray::from(inner)) as ArrayRef,
                true,
            ),
            ("decimals", Arc::new(decimals) as ArrayRef, true),
            (
                "times",
                Arc::new(times.with_timezone("UTC")) as ArrayRef,
                true,
            ),
        ])
        .unwrap()
    }

    #[test]
    fn every_kind_of_column_survives_also_when_sliced() {
        let rows = nested();
        check(vec![rows.clone(), rows.slice(1, 2), rows.slice(2, 1)]);
    }

    #[test]
    fn empty_batches_survive() {
        let no_columns = |rows| {
            let options = RecordBatchOptions::new().with_row_count(Some(rows));
            RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap()
        };
        check(vec![no_columns(0), no_columns(3), nested().slice(0, 0)]);
        check(vec![]);
    }

    #[test]
    fn rows_that_a_slice_left_behind_are_not_written() {
        let texts = (0..2_000).map(|i| Some(format!("{i} {:x}", i * 7_919_u64 * 104_729)));
        let views: ArrayRef = Arc::new(StringViewArray::from_iter(
            texts.map(|t| t.map(|t| t.repeat(8))),
        ));
        let inner = RecordBatch::try_from_iter([("v", Arc::clone(&views))]).unwrap();
        let structs: ArrayRef = Arc::new(StructArray::from(inner));
        let rows = RecordBatch::try_from_iter([("v", views), ("s", structs)]).unwrap();
        let file = check(vec![rows.slice(10, 2)]);
        assert!(file.bytes < 2_500, "{} bytes for two rows", file.bytes);
    }

    #[test]
    fn a_snapshot_holds_snapshots_only() {
        let chunk = chunk(ChunkKind::Delta, nested());
        let chunks = [(OperatorId::new("1-dedup"), ShardId(0), chunk)];
        let written = write_pack(
            &MemoryFiles::new(),
            None,
            EpochId(1),
            ChunkKind::Snapshot,
            &chunks,
        );
        assert!(written.is_err());
    }

    #[test]
    fn a_pack_whose_frame_is_right_and_whose_content_is_not_is_refused() {
        let store = MemoryFiles::new();
        let chunks = [(
            OperatorId::new("1-dedup"),
            ShardId(7),
            chunk(ChunkKind::Delta, nested()),
        )];
        let file = write_pack(&store, None, EpochId(1), ChunkKind::Delta, &chunks).unwrap();
        let bytes = store.read(&file.path).unwrap().unwrap();
        let payload = decode_record(RecordKind::State, "x", &bytes).unwrap();
        for length in 0..payload.len() {
            assert!(decode_pack("x", &payload[..length]).is_err(), "{length}");
        }
        let mut longer = payload.to_vec();
        longer.push(0);
        assert!(decode_pack("x", &longer).is_err());
        let mut flipped = payload.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        let error = decode_pack("x", &flipped).unwrap_err();
        assert!(error.message().contains("\"1-dedup\", shard 7"), "{error}");
    }

    proptest! {
        #[test]
        fn any_numbers_and_texts_survive(
            values in proptest::collection::vec(
                (any::<Option<i64>>(), proptest::option::of(".{0,40}")), 0..200),
            from in 0..200_usize,
        ) {
            let (numbers, texts): (Vec<_>, Vec<_>) = values.into_iter().unzip();
            let rows = RecordBatch::try_from_iter_with_nullable([
                ("n", Arc::new(Int64Array::from(numbers)) as ArrayRef, true),
                ("t", Arc::new(StringViewArray::from_iter(texts)) as ArrayRef, true),
            ]).unwrap();
            let from = from.min(rows.num_rows());
            check(vec![rows.slice(from, rows.num_rows() - from)]);
        }
    }
}
