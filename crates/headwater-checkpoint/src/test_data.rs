//! Records for tests: small, and different for every epoch.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use headwater_core::event_time::EventTime;
use headwater_core::id::{EpochId, OperatorId, QueryId, ShardId};
use headwater_core::mode::OutputMode;
use headwater_core::offset::{Offsets, Partition, Slice};
use headwater_core::sink::CommitToken;
use headwater_core::state::{ChunkKind, StateChunk};
use headwater_core::watermark::Watermark;

use crate::commit_log::CommitRecord;
use crate::epoch_log::EpochRecord;
use crate::query_metadata::{OperatorMetadata, QueryMetadata, SourceMetadata};
use crate::record::FORMAT_VERSION;
use crate::side_commits::{SideCommit, SideCommits, SideOutput};
use crate::state_files::StateFileRef;
use crate::watermark_state::WatermarkState;

pub(crate) fn metadata() -> QueryMetadata {
    QueryMetadata {
        query_id: QueryId::new("q"),
        name: "counts".to_string(),
        sql: "SELECT 1".to_string(),
        plan_fingerprint: "f1".to_string(),
        plan: vec![],
        operators: vec![OperatorMetadata {
            id: OperatorId::new("1-window-aggregate"),
            kind: "window-aggregate".to_string(),
            state_schema: "k: Int64".to_string(),
        }],
        sources: vec![source("orders", "orders")],
        sink: BTreeMap::from([("path".to_string(), "/a".to_string())]),
        shard_count: 64,
        hash: "ahash-1".to_string(),
        output_mode: OutputMode::Append,
        dropped_state: BTreeMap::new(),
        format_version: FORMAT_VERSION,
        version: crate::HEADWATER_VERSION.to_string(),
    }
}

fn offsets(epoch: u64) -> Offsets {
    let offset = i64::try_from(epoch).unwrap() * 10;
    [(Partition::new("orders", 0), offset)]
        .into_iter()
        .collect()
}

fn watermarks(epoch: u64) -> Vec<WatermarkState> {
    vec![WatermarkState {
        source_watermark: Watermark::at(EventTime::from_millis(i64::try_from(epoch).unwrap())),
        max_event_times: offsets(epoch),
        last_row_at: offsets(epoch + 1),
        idle: [Partition::new("orders", 1)].into(),
    }]
}

pub(crate) fn epoch_record(epoch: EpochId) -> EpochRecord {
    EpochRecord {
        epoch,
        last_committed: epoch.previous(),
        slices: vec![Slice::between(&offsets(epoch.0), &offsets(epoch.0 + 1))],
        watermarks: watermarks(epoch.0),
        processing_time: EventTime::from_millis(7),
        seed: u64::MAX,
        end_of_input: false,
        plan_fingerprint: "f1".to_string(),
        version: crate::HEADWATER_VERSION.to_string(),
        earlier: vec![],
    }
}

pub(crate) fn commit_record(epoch: EpochId, state_files: Vec<StateFileRef>) -> CommitRecord {
    CommitRecord {
        epoch,
        offsets: vec![offsets(epoch.0 + 1)],
        last_records: vec![],
        watermarks: watermarks(epoch.0 + 1),
        state_files,
        earlier: vec![],
        sink_token: CommitToken(format!("epoch {epoch}").into()),
        beside: beside(epoch),
        is_transaction: false,
        rewound_to: None,
        version: crate::HEADWATER_VERSION.to_string(),
    }
}

/// Late rows in every second epoch, and dead letters in every third.
fn beside(epoch: EpochId) -> SideCommits {
    let commit = |what: &str| SideCommit {
        sink: BTreeMap::from([("path".to_string(), format!("/{what}"))]),
        sink_token: CommitToken(format!("{what} in {epoch}").into()),
    };
    let mut beside = SideCommits::default();
    if epoch.0 % 2 == 1 {
        beside.insert(SideOutput::LateRows, commit("late"));
    }
    if epoch.0 % 3 == 1 {
        beside.insert(SideOutput::DeadLetters("bad".to_string()), commit("bad"));
    }
    beside
}

pub(crate) type Chunks = Vec<(OperatorId, ShardId, StateChunk)>;

/// One chunk for each of two shards, telling which epoch it is from.
pub(crate) fn chunks(epoch: EpochId, kind: ChunkKind) -> Chunks {
    let chunk = |shard: u32| {
        let number = i64::try_from(epoch.0).unwrap();
        let rows = RecordBatch::try_from_iter([
            (
                "k",
                Arc::new(Int64Array::from(vec![number, i64::from(shard)])) as ArrayRef,
            ),
            (
                "t",
                Arc::new(StringViewArray::from(vec![
                    "short",
                    "longer than twelve bytes",
                ])),
            ),
        ]);
        let chunk = StateChunk {
            kind,
            rows: rows.unwrap(),
            dropped_panes: vec![number],
        };
        (OperatorId::new("1-window-aggregate"), ShardId(shard), chunk)
    };
    vec![chunk(0), chunk(1)]
}

/// A source that reads a topic.
pub(crate) fn source(name: &str, topic: &str) -> SourceMetadata {
    SourceMetadata {
        name: name.to_string(),
        identity: BTreeMap::from([("topic".to_string(), topic.to_string())]),
    }
}
