//! Chunks of messages to record batches: payload columns by a format, message parts beside them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use headwater_core::connector::SourceDefinition;
use headwater_core::format::{BadDataPolicy, FormatSpec};
use headwater_core::offset::Partition;
use headwater_core::records::{RawRecord, Records};
use headwater_core::source::ReadCounters;
use headwater_core::{Error, Result};
use headwater_formats::{
    AssembledRows, KeyDefinition, RowAssembler, RowDefinition, SchemaCache, check_format,
    check_messages, with_files,
};

use crate::chunk::{Kept, RecordChunk};
use crate::cluster::named;
use crate::key_names::KeyNames;
use crate::message_key::bytes_at;
use crate::metadata::{Part, PartColumn, kept_for, part_array, part_columns, raw_columns};

/// The columns of a source.
#[derive(Debug)]
pub(crate) struct SourceColumns {
    payload: Option<(SchemaRef, FormatSpec)>,
    /// Which payload columns are in the keys.
    keys: Option<KeyDefinition>,
    parts: Vec<PartColumn>,
    bad_data: BadDataPolicy,
    /// What a schema registry has told, for all reads of the source.
    schemas: SchemaCache,
}

impl SourceColumns {
    /// Checks the columns and the format of a definition.
    /// `keys` are the columns in the keys, if their format was said.
    pub(crate) fn declare(
        owner: &str,
        definition: &SourceDefinition,
        keys: Option<KeyNames>,
    ) -> Result<Self> {
        let metadata = part_columns(owner, &definition.metadata)?;
        let bad_data = definition.bad_data;
        let has_columns = definition
            .payload
            .as_ref()
            .is_some_and(|p| !p.fields().is_empty());
        if keys.is_some() && !has_columns {
            return Err(Error::configuration(format!(
                "{owner} has a KEY FORMAT and no columns for it"
            ))
            .with_hint("Declare the columns of the key and of the value."));
        }
        let Some(payload) = &definition.payload else {
            if let Some(format) = definition.format.as_ref().filter(|f| f.name != "raw") {
                return Err(Error::configuration(format!(
                    "{owner} names the format \"{}\" but declares no columns",
                    format.name
                ))
                .with_hint(
                    "Declare the columns of the payload, write INFER behind the format to find them \
                     in the topic, or leave the format out to get the columns key, value, topic, partition, offset, timestamp and timestamp_type.",
                ));
            }
            let mut parts = raw_columns();
            parts.extend(metadata);
            return Ok(SourceColumns {
                payload: None,
                keys: None,
                parts,
                bad_data,
                schemas: SchemaCache::default(),
            });
        };
        if payload.fields().is_empty() {
            return Ok(SourceColumns {
                payload: None,
                keys: None,
                parts: metadata,
                bad_data,
                schemas: SchemaCache::default(),
            });
        }
        let Some(format) = &definition.format else {
            return Err(Error::configuration(format!(
                "{owner} declares columns but no format for the payload"
            ))
            .with_hint(
                "Add FORMAT JSON, CSV, AVRO, PROTOBUF, MSGPACK, DEBEZIUM JSON, DEBEZIUM AVRO, INFLUX, \
                 TEXT or RAW.",
            ));
        };
        let format = with_files(format.clone(), owner)?;
        let keys = keys
            .map(|keys| keys.definition(owner, payload))
            .transpose()?;
        let in_keys: &[usize] = keys.as_ref().map_or(&[], |keys| &keys.columns);
        let in_values = (0..payload.fields().len()).filter(|index| !in_keys.contains(index));
        let values = payload.project(&in_values.collect::<Vec<_>>())?;
        check_format(&format, owner, &Arc::new(values))?;
        check_messages(&format, owner)?;
        Ok(SourceColumns {
            payload: Some((Arc::clone(payload), format)),
            keys,
            parts: metadata,
            bad_data,
            schemas: SchemaCache::default(),
        })
    }

    /// Payload columns, then metadata columns.
    pub(crate) fn schema(&self) -> SchemaRef {
        let payload = self
            .payload
            .iter()
            .flat_map(|(schema, _)| schema.fields().iter().cloned());
        let fields: Vec<FieldRef> = payload.chain(self.part_fields()).collect();
        Arc::new(Schema::new(fields))
    }

    /// The part of a message that is a column of [`SourceColumns::schema`].
    pub(crate) fn part(&self, index: usize) -> Option<Part> {
        let column = self.parts.get(index.checked_sub(self.payload_columns())?)?;
        Some(column.part)
    }

    /// What must be kept of every message of a bounded read of some columns.
    pub(crate) fn kept_of(&self, projection: &[usize]) -> Kept {
        let payload = self.payload_columns();
        let parts = projection.iter();
        let parts = parts.filter_map(|index| self.parts.get(index.checked_sub(payload)?));
        let parts = parts.collect::<Vec<_>>();
        let of_payload = projection.iter().any(|index| *index < payload);
        let has_value = parts.iter().any(|column| column.part == Part::Value);
        let kept = kept_for(&parts);
        Kept {
            key: kept.key || self.keys.is_some(),
            leaves_values: !of_payload && !has_value && self.is_row_whatever_its_value(),
            ..kept
        }
    }

    /// Whether every record is a row, whatever its value is.
    fn is_row_whatever_its_value(&self) -> bool {
        let Some((payload, format)) = &self.payload else {
            return true;
        };
        let any_bytes = |field: &FieldRef| {
            field.is_nullable()
                && matches!(field.data_type(), DataType::Binary | DataType::BinaryView)
        };
        let is_raw = format.name == "raw" && payload.fields().iter().all(any_bytes);
        is_raw || self.bad_data == BadDataPolicy::Null
    }

    fn payload_columns(&self) -> usize {
        let payload = self.payload.as_ref();
        payload.map_or(0, |(schema, _)| schema.fields().len())
    }

    /// What must be kept of every message of a stream.
    pub(crate) fn kept(&self) -> Kept {
        let mut kept = kept_for(&self.parts.iter().collect::<Vec<_>>());
        kept.key |= self.keys.is_some();
        match self.bad_data {
            BadDataPolicy::DeadLetter => Kept {
                key: true,
                headers: true,
                ..kept
            },
            BadDataPolicy::Fail | BadDataPolicy::Drop | BadDataPolicy::Null => kept,
        }
    }

    fn part_fields(&self) -> impl Iterator<Item = FieldRef> {
        self.parts.iter().map(|column| Arc::clone(&column.field))
    }
}

/// Makes the batches of one stream.
#[derive(Debug)]
pub(crate) enum RowMaker {
    /// With payload columns; all metadata columns, of which the assembler picks.
    Decoded(Box<RowAssembler>, Vec<PartColumn>),
    /// Of message parts alone: the columns of the batches.
    Plain(SchemaRef, Vec<PartColumn>),
}

impl RowMaker {
    /// For some of the source's columns, by index, in the order wanted.
    pub(crate) fn try_new(
        owner: &str,
        columns: &SourceColumns,
        projection: &[usize],
    ) -> Result<RowMaker> {
        if let Some((payload, format)) = &columns.payload {
            let definition = RowDefinition {
                payload: Arc::clone(payload),
                keys: columns.keys.clone(),
                metadata: columns.part_fields().collect(),
                projection: projection.to_vec(),
                format: format.clone(),
                bad_data: columns.bad_data,
            };
            let assembler = RowAssembler::sharing(&definition, owner, &columns.schemas)?;
            return Ok(RowMaker::Decoded(
                Box::new(assembler),
                columns.parts.clone(),
            ));
        }
        let wanted = projection
            .iter()
            .map(|index| columns.parts.get(*index).cloned())
            .collect::<Option<Vec<PartColumn>>>()
            .ok_or_else(|| Error::internal(format!("projection of {owner} is out of range")))?;
        let fields: Vec<FieldRef> = wanted.iter().map(|part| Arc::clone(&part.field)).collect();
        Ok(RowMaker::Plain(Arc::new(Schema::new(fields)), wanted))
    }

    /// Fetches what decoding a chunk needs from outside; must have returned before its rows are made.
    pub(crate) async fn prepare(&mut self, chunk: &RecordChunk) -> Result<()> {
        match self {
            RowMaker::Decoded(assembler, _) => {
                let keys = chunk.keys.as_ref().filter(|_| assembler.needs_keys());
                assembler.prepare(&chunk.values, keys).await
            }
            RowMaker::Plain(..) => Ok(()),
        }
    }

    /// The rows of a chunk; fewer than records if bad ones are left out.
    pub(crate) fn rows(
        &mut self,
        partition: &Partition,
        chunk: &RecordChunk,
        counters: &ReadCounters,
    ) -> Result<AssembledRows> {
        counters.add_records(0, chunk.left_bytes() as u64);
        match self {
            RowMaker::Decoded(assembler, parts) => {
                let metadata = |index: usize| {
                    let part = parts.get(index);
                    let part = part.ok_or_else(|| Error::internal("no such metadata column"))?;
                    part_array(part, partition, chunk)
                };
                let locate = |record: usize| place_of(partition, chunk.offsets.values(), record);
                let keys = chunk.keys.as_ref();
                assembler.assemble(&chunk.values, keys, &metadata, &locate, counters)
            }
            RowMaker::Plain(schema, parts) => {
                counters.add_records(chunk.rows() as u64, chunk.value_bytes() as u64);
                let arrays: Vec<ArrayRef> = parts
                    .iter()
                    .map(|part| part_array(part, partition, chunk))
                    .collect::<Result<_>>()?;
                let options = RecordBatchOptions::new().with_row_count(Some(chunk.rows()));
                let schema = Arc::clone(schema);
                Ok(AssembledRows {
                    rows: RecordBatch::try_new_with_options(schema, arrays, &options)?,
                    left_out: vec![],
                    bad_rows: vec![],
                })
            }
        }
    }
}

/// The messages that a batch was made of.
pub(crate) struct ChunkRecords {
    pub(crate) partition: Partition,
    pub(crate) chunk: Box<RecordChunk>,
}

impl Records for ChunkRecords {
    fn place(&self, record: usize) -> String {
        place_of(&self.partition, self.chunk.offsets.values(), record)
    }

    fn raw(&self, record: usize) -> RawRecord {
        let ms = self.chunk.timestamps.values().get(record).copied();
        let keys = self.chunk.keys.as_ref();
        let bytes = |values: &BinaryArray| bytes_at(values, record).map(<[u8]>::to_vec);
        RawRecord {
            value: bytes(&self.chunk.values),
            key: keys.and_then(bytes),
            topic: Some(self.partition.stream.to_string()),
            partition: Some(self.partition.index),
            offset: self.chunk.offsets.values().get(record).copied(),
            timestamp_ms: ms.filter(|ms| *ms >= 0),
            headers: self.chunk.headers_of(record),
        }
    }
}

/// The place of a message, from the offsets of its chunk.
fn place_of(partition: &Partition, offsets: &[i64], record: usize) -> String {
    let offset = offsets.get(record).copied().unwrap_or(-1);
    format!("{} at offset {offset}", named(partition))
}
