//! Records of a source to rows: payload columns by a decoder, metadata columns beside them, and
//! the source's policy for bad records.
//!
//! ```text
//!   projection   indices into  payload columns ++ metadata columns
//!   payloads ──► Decoder ──► good rows ─┐
//!                   └──► bad ──► policy ├──► batch in the projection's order
//!   metadata ───────────────────────────┘
//! ```
//!
//! Columns may be in the keys of records instead, see `key_columns`; these have a decoder of their own.
//!
//! Which rows exist does not depend on the projection as far as the records' syntax goes: with
//! `fail` and `drop` every record is read even if no payload column is wanted. A wrong value is
//! found only in columns that are wanted. With `null` every record is a row, so nothing is decoded
//! when nothing is wanted, and nothing is counted as bad.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, RecordBatch, UInt32Array};
use arrow::compute::{filter, take};
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use headwater_core::format::{BadDataPolicy, BadRecord, Decoder, FormatSpec};
use headwater_core::offset::Partition;
use headwater_core::records::BatchRecords;
use headwater_core::source::{ReadCounters, SourceBatch};
use headwater_core::{Error, Result};

use crate::avro::SchemaCache;
use crate::bad_hint::bad_hint;
use crate::key_columns::{KeyColumns, KeyDefinition, merged};
use crate::registry::new_sharing_decoder;
use crate::row_collector::{good_records, record_batch};

/// What rows to make of records.
#[derive(Debug, Clone)]
pub struct RowDefinition {
    /// Declared payload columns, all of them, with those that are in the keys.
    pub payload: SchemaRef,
    /// Which of them are in the keys.
    pub keys: Option<KeyDefinition>,
    /// Metadata columns, all of them.
    pub metadata: Vec<FieldRef>,
    /// The columns wanted, in the order wanted: indices into payload and then metadata columns.
    pub projection: Vec<usize>,
    /// How the payload is encoded.
    pub format: FormatSpec,
    /// What to do with bad records.
    pub bad_data: BadDataPolicy,
}

/// Makes batches of one definition, chunk after chunk.
#[derive(Debug)]
pub struct RowAssembler {
    owner: String,
    /// How payloads are encoded, for messages.
    format: FormatSpec,
    policy: BadDataPolicy,
    schema: SchemaRef,
    columns: Vec<ColumnOrigin>,
    /// `None` if no payload column is wanted and no record can be left out.
    decoder: Option<Box<dyn Decoder>>,
    /// The same for columns of the keys.
    keys: Option<KeyColumns>,
}

/// The rows of a chunk of records.
#[derive(Debug, Clone)]
pub struct AssembledRows {
    /// The rows.
    pub rows: RecordBatch,
    /// Records that gave no row, in ascending order.
    pub left_out: Vec<BadRecord>,
    /// Rows that stand for bad records, in ascending order.
    pub bad_rows: Vec<usize>,
}

impl AssembledRows {
    /// The rows as a batch of a partition, made of the records of a chunk.
    pub fn into_batch(self, partition: Partition, records: BatchRecords) -> SourceBatch {
        let AssembledRows {
            rows,
            left_out,
            bad_rows,
        } = self;
        SourceBatch {
            partition,
            rows,
            bad_rows,
            left_out,
            records,
        }
    }
}

/// Where a column of the batch comes from.
#[derive(Debug, Clone, Copy)]
enum ColumnOrigin {
    /// Index into the decoder's schema.
    Payload(usize),
    /// Index into the columns that are decoded of the keys.
    Key(usize),
    /// Index into the metadata columns.
    Metadata(usize),
}

/// Which records of a chunk became rows.
enum Kept {
    All,
    Without(Vec<BadRecord>),
    /// All of them, and these rows hold NULL.
    WithNulls(Vec<BadRecord>),
}

impl RowAssembler {
    /// An assembler for a source; `owner` is the object's kind and quoted name, for messages.
    ///
    /// # Errors
    /// If the format or a column does not fit, or `null` meets a column that is NOT NULL.
    pub fn try_new(definition: &RowDefinition, owner: &str) -> Result<Self> {
        Self::sharing(definition, owner, &SchemaCache::default())
    }

    /// As [`RowAssembler::try_new`], with the schemas that all assemblers of the source share: one
    /// cache lives as long as the source, an assembler often no longer than an epoch.
    ///
    /// # Errors
    /// As [`RowAssembler::try_new`].
    pub fn sharing(definition: &RowDefinition, owner: &str, schemas: &SchemaCache) -> Result<Self> {
        let RowDefinition {
            payload,
            keys,
            metadata,
            projection,
            format,
            bad_data,
        } = definition;
        check_nullable(payload, *bad_data, owner)?;
        let in_keys: &[usize] = keys.as_ref().map_or(&[], |keys| &keys.columns);
        let in_values = (0..payload.fields().len()).filter(|index| !in_keys.contains(index));
        let in_values: Vec<usize> = in_values.collect();
        let (mut wanted, mut wanted_keys) = (Vec::new(), Vec::new());
        let mut columns = Vec::with_capacity(projection.len());
        let mut fields = Vec::with_capacity(projection.len());
        for index in projection {
            let place_in = |columns: &[usize]| columns.iter().position(|column| column == index);
            let (field, origin) = match (payload.fields().get(*index), place_in(in_keys)) {
                (Some(field), Some(of_key)) => (
                    Some(field),
                    ColumnOrigin::Key(place(&mut wanted_keys, of_key)),
                ),
                (Some(field), None) => {
                    let of_value = place_in(&in_values).unwrap_or_default();
                    (
                        Some(field),
                        ColumnOrigin::Payload(place(&mut wanted, of_value)),
                    )
                }
                (None, _) => {
                    let index = index.saturating_sub(payload.fields().len());
                    (metadata.get(index), ColumnOrigin::Metadata(index))
                }
            };
            let field = field
                .ok_or_else(|| Error::internal(format!("projection of {owner} is out of range")))?;
            fields.push(FieldRef::clone(field));
            columns.push(origin);
        }
        let must_judge = |wanted: &[usize]| match bad_data {
            BadDataPolicy::Fail | BadDataPolicy::Drop | BadDataPolicy::DeadLetter => true,
            BadDataPolicy::Null => !wanted.is_empty(),
        };
        let values = payload.project(&in_values).map_err(|e| {
            Error::internal(format!("the columns of {owner} are not there")).with_source(e)
        })?;
        let decoder = new_sharing_decoder(format, owner, &Arc::new(values), &wanted, schemas)?;
        let keys = keys.as_ref().filter(|_| must_judge(&wanted_keys));
        let keys =
            keys.map(|keys| KeyColumns::try_new(keys, payload, &wanted_keys, owner, schemas));
        Ok(RowAssembler {
            owner: owner.to_string(),
            format: format.clone(),
            policy: *bad_data,
            schema: SchemaRef::new(Schema::new(fields)),
            columns,
            decoder: must_judge(&wanted).then_some(decoder),
            keys: keys.transpose()?,
        })
    }

    /// Whether [`RowAssembler::assemble`] needs the keys of the records.
    pub fn needs_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// The columns of the batches.
    pub fn schema(&self) -> SchemaRef {
        SchemaRef::clone(&self.schema)
    }

    /// Fetches what decoding a chunk needs from outside, such as schemas of a registry. Costs
    /// nothing where nothing is missing; must have returned before the same chunk is assembled.
    ///
    /// # Errors
    /// A source's error if what was asked does not answer: it may be tried again.
    pub async fn prepare(
        &mut self,
        payloads: &BinaryArray,
        keys: Option<&BinaryArray>,
    ) -> Result<()> {
        if let Some(decoder) = &mut self.decoder {
            decoder.prepare(payloads).await?;
        }
        match (&mut self.keys, keys) {
            (Some(columns), Some(keys)) => columns.prepare(keys).await,
            _ => Ok(()),
        }
    }

    /// Makes one batch of a chunk of records, and counts them. `keys` are those of the records, if
    /// columns are in them.
    ///
    /// `metadata` gives the metadata column of an index, one value per record, and is asked only
    /// for columns that are wanted. `locate` says where a record is, for messages: `partition 3 of
    /// topic "orders" at offset 1042`.
    ///
    /// # Errors
    /// `BadData` for the first bad record if the policy is `fail`; what `metadata` returns.
    pub fn assemble(
        &mut self,
        payloads: &BinaryArray,
        keys: Option<&BinaryArray>,
        metadata: &dyn Fn(usize) -> Result<ArrayRef>,
        locate: &dyn Fn(usize) -> String,
        counters: &ReadCounters,
    ) -> Result<AssembledRows> {
        let records = payloads.len();
        counters.add_records(count(records), payload_bytes(payloads));
        let (values, bad) = match &mut self.decoder {
            None => (Vec::new(), Vec::new()),
            Some(decoder) => {
                let decoded = decoder.decode(payloads)?;
                (decoded.rows.columns().to_vec(), decoded.bad)
            }
        };
        let (payload_columns, key_columns, kept) = match (&mut self.keys, keys) {
            (None, _) => {
                let (values, kept) = self.apply_policy(values, bad, payloads, locate, counters)?;
                (values, Vec::new(), kept)
            }
            (Some(_), None) => {
                return Err(Error::internal(format!(
                    "the keys of {} are not there",
                    self.owner
                )));
            }
            (Some(columns), Some(keys)) => {
                let (keys, bad_keys) = columns.decode(keys)?;
                let values = spread(&values, records, &bad)?;
                let kept = self.judge(merged(bad, bad_keys), payloads, locate, counters)?;
                (without(&kept, values)?, without(&kept, keys)?, kept)
            }
        };
        let good = match &kept {
            Kept::All | Kept::WithNulls(_) => None,
            Kept::Without(bad) => Some(good_records(records, bad)),
        };
        let mut arrays = Vec::with_capacity(self.columns.len());
        for origin in &self.columns {
            let array = match (*origin, &good) {
                (ColumnOrigin::Payload(index), _) => decoded(&payload_columns, index)?,
                (ColumnOrigin::Key(index), _) => decoded(&key_columns, index)?,
                (ColumnOrigin::Metadata(index), None) => metadata(index)?,
                (ColumnOrigin::Metadata(index), Some(good)) => filter(&metadata(index)?, good)
                    .map_err(|e| {
                        Error::internal("could not leave out bad records").with_source(e)
                    })?,
            };
            arrays.push(array);
        }
        let (left_out, bad_rows) = match kept {
            Kept::All => (vec![], vec![]),
            Kept::Without(bad) => (bad, vec![]),
            Kept::WithNulls(bad) => (vec![], bad.into_iter().map(|b| b.record).collect()),
        };
        let rows = records - left_out.len();
        Ok(AssembledRows {
            rows: record_batch(self.schema(), arrays, rows)?,
            left_out,
            bad_rows,
        })
    }

    /// The payload columns after the policy, and which records they are of.
    fn apply_policy(
        &self,
        columns: Vec<ArrayRef>,
        bad: Vec<BadRecord>,
        payloads: &BinaryArray,
        locate: &dyn Fn(usize) -> String,
        counters: &ReadCounters,
    ) -> Result<(Vec<ArrayRef>, Kept)> {
        let kept = self.judge(bad, payloads, locate, counters)?;
        let columns = match &kept {
            Kept::All | Kept::Without(_) => columns,
            Kept::WithNulls(bad) => spread(&columns, payloads.len(), bad)?,
        };
        Ok((columns, kept))
    }

    /// What the policy makes of bad records; counts them.
    fn judge(
        &self,
        bad: Vec<BadRecord>,
        payloads: &BinaryArray,
        locate: &dyn Fn(usize) -> String,
        counters: &ReadCounters,
    ) -> Result<Kept> {
        let Some(first) = bad.first() else {
            return Ok(Kept::All);
        };
        match self.policy {
            BadDataPolicy::Fail => {
                counters.add_bad(&first.reason, 1);
                let at = Some(first.record).filter(|record| payloads.is_valid(*record));
                let payload = at.map(|record| payloads.value(record));
                Err(self.not_decoded(first, payload, locate))
            }
            BadDataPolicy::Drop | BadDataPolicy::DeadLetter => {
                counters.add_bad_records(&bad, locate);
                Ok(Kept::Without(bad))
            }
            BadDataPolicy::Null => {
                counters.add_bad_records(&bad, locate);
                Ok(Kept::WithNulls(bad))
            }
        }
    }

    fn not_decoded(
        &self,
        bad: &BadRecord,
        payload: Option<&[u8]>,
        locate: &dyn Fn(usize) -> String,
    ) -> Error {
        let owner = &self.owner;
        let place = locate(bad.record);
        let message = format!("could not decode {place} for {owner}: {}", bad.reason);
        let policies = format!(
            "Set bad_data = 'drop' on {owner} to leave such records out, 'dead_letter' to write \
             them to a sink of their own, or 'null' to keep them with NULL in the payload columns."
        );
        let hint = match bad_hint(&self.format, owner, bad, payload) {
            Some(hint) => format!("{hint} {policies}"),
            None => policies,
        };
        let error = Error::bad_data(message).with_hint(hint);
        if bad.detail.is_empty() {
            error
        } else {
            error.with_detail(format!("Found: {}", bad.detail))
        }
    }
}

/// The place of a column among the wanted ones, where it is put if it is new.
fn place(wanted: &mut Vec<usize>, column: usize) -> usize {
    if let Some(place) = wanted.iter().position(|earlier| *earlier == column) {
        return place;
    }
    wanted.push(column);
    wanted.len() - 1
}

fn check_nullable(payload: &Schema, policy: BadDataPolicy, owner: &str) -> Result<()> {
    let not_null = payload.fields().iter().find(|f| !f.is_nullable());
    match (policy, not_null) {
        (BadDataPolicy::Null, Some(field)) => Err(Error::configuration(format!(
            "option \"bad_data\" of {owner} is \"null\", but column \"{}\" is NOT NULL",
            field.name()
        ))
        .with_hint("Declare the column without NOT NULL, or set bad_data = 'drop'.")),
        (
            BadDataPolicy::Fail
            | BadDataPolicy::Drop
            | BadDataPolicy::Null
            | BadDataPolicy::DeadLetter,
            _,
        ) => Ok(()),
    }
}

fn decoded(columns: &[ArrayRef], index: usize) -> Result<ArrayRef> {
    let column = columns.get(index).cloned();
    column.ok_or_else(|| Error::internal("a decoder gave too few columns"))
}

/// Columns with a value per record, without those of records that are left out.
fn without(kept: &Kept, columns: Vec<ArrayRef>) -> Result<Vec<ArrayRef>> {
    let (Kept::Without(bad), Some(first)) = (kept, columns.first()) else {
        return Ok(columns);
    };
    let good = good_records(first.len(), bad);
    let columns = columns.iter().map(|column| filter(column, &good));
    columns
        .collect::<Result<_, _>>()
        .map_err(|e| Error::internal("could not leave out bad records").with_source(e))
}

/// Puts NULL in the places of bad records.
fn spread(columns: &[ArrayRef], records: usize, bad: &[BadRecord]) -> Result<Vec<ArrayRef>> {
    if bad.is_empty() {
        return Ok(columns.to_vec());
    }
    let good = good_records(records, bad);
    let mut next_row = 0_u32;
    let rows = good.values().iter().map(|is_good| {
        let row = is_good.then_some(next_row);
        next_row += u32::from(is_good);
        row
    });
    let rows: UInt32Array = rows.collect();
    columns
        .iter()
        .map(|column| take(column, &rows, None))
        .collect::<Result<_, _>>()
        .map_err(|e| Error::internal("could not put NULL for bad records").with_source(e))
}

fn payload_bytes(payloads: &BinaryArray) -> u64 {
    let offsets = payloads.value_offsets();
    let bytes = offsets
        .last()
        .zip(offsets.first())
        .map_or(0, |(end, start)| end - start);
    u64::try_from(bytes).unwrap_or(0)
}

fn count(records: usize) -> u64 {
    u64::try_from(records).unwrap_or(u64::MAX)
}
