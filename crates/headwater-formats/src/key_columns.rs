//! Columns of a source that are in the keys of its records and not in their payloads.
//!
//! A record without a key has NULL in them, which is no flaw, unless one of them is NOT NULL. A key
//! that cannot be decoded makes its record bad, as a payload does.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, UInt32Array};
use arrow::compute::{filter, is_not_null, take};
use arrow::datatypes::{Schema, SchemaRef};
use headwater_core::format::{BadRecord, Decoder, FormatSpec};
use headwater_core::{Error, Result};

use crate::avro::SchemaCache;
use crate::file_header::check_messages;
use crate::registry::{check_format, new_sharing_decoder};

/// Which of a source's columns are in the keys, and how these are encoded.
#[derive(Debug, Clone)]
pub struct KeyDefinition {
    /// How keys are encoded.
    pub format: FormatSpec,
    /// Indices of the columns among all declared ones.
    pub columns: Vec<usize>,
    /// What the names of the columns begin with and the names in the keys do not.
    pub prefix: String,
}

impl KeyDefinition {
    /// Checks the format and its columns, of which `declared` has all.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn check(&self, owner: &str, declared: &SchemaRef) -> Result<()> {
        check_messages(&self.format, &key_of(owner))?;
        check_format(&self.format, &key_of(owner), &self.schema(owner, declared)?)
    }

    /// The columns of the keys, as these name them.
    fn schema(&self, owner: &str, declared: &SchemaRef) -> Result<SchemaRef> {
        let fields = self.columns.iter().map(|index| {
            let field = declared.fields().get(*index);
            let field = field
                .ok_or_else(|| Error::internal(format!("a key column of {owner} is not there")))?;
            let name = field.name().strip_prefix(&self.prefix);
            let name = name.unwrap_or(field.name()).to_string();
            Ok(field.as_ref().clone().with_name(name))
        });
        Ok(Arc::new(Schema::new(fields.collect::<Result<Vec<_>>>()?)))
    }
}

/// How messages name the keys of a source.
fn key_of(owner: &str) -> String {
    format!("the key of {owner}")
}

/// Decodes the wanted columns of the keys.
#[derive(Debug)]
pub(crate) struct KeyColumns {
    decoder: Box<dyn Decoder>,
    needs_keys: bool,
}

/// One value per record in every column, NULL where there is no key or a bad one; and the bad ones.
pub(crate) type DecodedKeys = (Vec<ArrayRef>, Vec<BadRecord>);

impl KeyColumns {
    /// `wanted` are indices into the definition's columns.
    pub(crate) fn try_new(
        definition: &KeyDefinition,
        declared: &SchemaRef,
        wanted: &[usize],
        owner: &str,
        schemas: &SchemaCache,
    ) -> Result<Self> {
        let schema = definition.schema(owner, declared)?;
        let owner = key_of(owner);
        let schemas = schemas.keys();
        let decoder = new_sharing_decoder(&definition.format, &owner, &schema, wanted, &schemas)?;
        Ok(KeyColumns {
            decoder,
            needs_keys: schema.fields().iter().any(|field| !field.is_nullable()),
        })
    }

    /// As [`Decoder::prepare`].
    pub(crate) async fn prepare(&mut self, keys: &BinaryArray) -> Result<()> {
        self.decoder.prepare(keys).await
    }

    /// Decodes the keys of a chunk.
    pub(crate) fn decode(&mut self, keys: &BinaryArray) -> Result<DecodedKeys> {
        let present = is_not_null(keys).map_err(lost)?;
        let decoded = match keys.null_count() {
            0 => self.decoder.decode(keys)?,
            _ => {
                let some = filter(keys, &present).map_err(lost)?;
                let some = some.as_any().downcast_ref::<BinaryArray>();
                let some = some.ok_or_else(|| Error::internal("keys are bytes"))?;
                self.decoder.decode(some)?
            }
        };
        let mut flaws = decoded.bad.into_iter().peekable();
        let mut bad = Vec::new();
        let (mut key, mut row) = (0, 0_u32);
        let mut rows = Vec::with_capacity(keys.len());
        for (record, is_there) in present.values().iter().enumerate() {
            let mut found = None;
            if !is_there {
                bad.extend(self.needs_keys.then(|| no_key(record)));
            } else {
                match flaws.next_if(|flaw| flaw.record == key) {
                    Some(flaw) => bad.push(BadRecord {
                        record,
                        reason: format!("key: {}", flaw.reason),
                        detail: flaw.detail,
                    }),
                    None => {
                        found = Some(row);
                        row += 1;
                    }
                }
                key += 1;
            }
            rows.push(found);
        }
        let columns = decoded.rows.columns().to_vec();
        if bad.is_empty() && keys.null_count() == 0 {
            return Ok((columns, bad));
        }
        let rows = UInt32Array::from(rows);
        let columns = columns.iter().map(|column| take(column, &rows, None));
        let columns = columns.collect::<std::result::Result<_, _>>();
        Ok((columns.map_err(lost)?, bad))
    }
}

fn no_key(record: usize) -> BadRecord {
    BadRecord {
        record,
        reason: "the record has no key".to_string(),
        detail: String::new(),
    }
}

fn lost(error: arrow::error::ArrowError) -> Error {
    Error::internal("could not put keys beside their records").with_source(error)
}

/// The records that are bad by their payload or by their key, each once.
pub(crate) fn merged(values: Vec<BadRecord>, keys: Vec<BadRecord>) -> Vec<BadRecord> {
    let mut all = values;
    all.extend(keys);
    // Stable: of a record that is bad twice, what is wrong with the payload is told.
    all.sort_by_key(|bad| bad.record);
    all.dedup_by_key(|bad| bad.record);
    all
}
