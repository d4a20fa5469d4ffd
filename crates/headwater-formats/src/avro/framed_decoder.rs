//! Records that say with which schema of a registry they were written.
//!
//! ```text
//!   0x00 │ id, 4 bytes, the highest first │ datum
//! ```
//!
//! A schema is asked for when its id is first met, in `prepare`; `decode` knows all it needs. Then
//! a plan is made for it once, and every record of the schema runs it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::BinaryArray;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use headwater_core::format::{Decoded, Decoder};
use headwater_core::{Error, Result};

use crate::avro::decoder::rows_of;
use crate::avro::registry_client::{RegistryClient, WriterSchema};
use crate::avro::resolve::{Plan, Wanted, resolve};
use crate::avro::rows::AvroRows;
use crate::avro::schema::AvroSchema;
use crate::avro::schema_cache::{SchemaCache, look_up};
use crate::row_collector::Flaw;
use crate::typed_rows::{no_value, shown_bytes};

/// Plans that are kept at most; a topic has a few schemas, and one whose ids are noise has many.
const MAX_PLANS: usize = 10_000;

/// Why a record is bad whose schema the registry does not have.
pub(crate) const UNKNOWN_ID: &str = "unknown schema id";

/// Decodes Avro with the schemas of a registry.
#[derive(Debug)]
pub(crate) struct FramedDecoder {
    client: RegistryClient,
    cache: SchemaCache,
    /// The schema that the user gave: for names, aliases and defaults.
    reader: Option<Arc<AvroSchema>>,
    read_for: Wanted,
    plans: HashMap<u32, WriterPlan>,
    /// Whether one of the plans is for an id that nobody was asked for.
    has_unasked: bool,
    rows: AvroRows,
}

/// How records of an id are read.
#[derive(Debug)]
enum WriterPlan {
    Known(Box<Plan>),
    NotAvro,
    Unknown,
    /// For records of one chunk only: the id is asked for with those of the next.
    NotAsked,
}

/// A record, taken apart.
enum Framed<'a> {
    Datum(u32, &'a [u8]),
    Empty,
    /// Without a first byte of zero, or too short.
    NoId,
}

impl FramedDecoder {
    /// A decoder for the columns of `schema`, which were checked.
    pub(crate) fn try_new(
        client: RegistryClient,
        cache: SchemaCache,
        reader: Option<Arc<AvroSchema>>,
        schema: SchemaRef,
        read_for: Wanted,
    ) -> Result<Self> {
        Ok(FramedDecoder {
            client,
            cache,
            reader,
            read_for,
            plans: HashMap::new(),
            has_unasked: false,
            rows: rows_of(schema)?,
        })
    }

    /// Ids without a plan.
    fn wanted(&self, payloads: &BinaryArray) -> BTreeSet<u32> {
        let mut wanted = BTreeSet::new();
        let mut last = None;
        for payload in payloads.iter().flatten() {
            if let Framed::Datum(id, _) = take_apart(payload)
                && last.replace(id) != Some(id)
                && !self.plans.contains_key(&id)
            {
                wanted.insert(id);
            }
        }
        wanted
    }

    fn add(&mut self, id: u32, schema: WriterSchema) {
        let plan = match schema {
            WriterSchema::Unknown => WriterPlan::Unknown,
            WriterSchema::NotAsked => {
                self.has_unasked = true;
                WriterPlan::NotAsked
            }
            WriterSchema::Other | WriterSchema::Protobuf(_) => WriterPlan::NotAvro,
            WriterSchema::Avro(schema) => {
                let columns = self.rows.schema();
                let (plan, _) = resolve(
                    &schema,
                    self.reader.as_ref(),
                    columns.fields(),
                    self.read_for,
                );
                WriterPlan::Known(Box::new(plan))
            }
        };
        self.plans.insert(id, plan);
    }
}

/// The id of the schema that a record was written with, if it names one.
pub(crate) fn schema_id(payload: &[u8]) -> Option<u32> {
    match take_apart(payload) {
        Framed::Datum(id, _) => Some(id),
        Framed::Empty | Framed::NoId => None,
    }
}

fn take_apart(payload: &[u8]) -> Framed<'_> {
    match payload {
        [] => Framed::Empty,
        [0, a, b, c, d, datum @ ..] => Framed::Datum(u32::from_be_bytes([*a, *b, *c, *d]), datum),
        _ => Framed::NoId,
    }
}

#[async_trait]
impl Decoder for FramedDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    async fn prepare(&mut self, payloads: &BinaryArray) -> Result<()> {
        if std::mem::take(&mut self.has_unasked) {
            self.plans
                .retain(|_, plan| !matches!(plan, WriterPlan::NotAsked));
        }
        let mut wanted = self.wanted(payloads);
        if wanted.is_empty() {
            return Ok(());
        }
        if self.plans.len() + wanted.len() > MAX_PLANS {
            self.plans.clear();
            wanted = self.wanted(payloads);
        }
        for (id, schema) in look_up(&self.client, &self.cache, wanted).await? {
            self.add(id, schema);
        }
        Ok(())
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut last: Option<(u32, &WriterPlan)> = None;
        for payload in payloads {
            let Some(payload) = payload else {
                self.rows.push_flaw(no_value());
                continue;
            };
            let (id, datum) = match take_apart(payload) {
                Framed::Datum(id, datum) => (id, datum),
                Framed::Empty => {
                    self.rows.push_flaw(flaw("empty value", payload));
                    continue;
                }
                Framed::NoId => {
                    self.rows.push_flaw(flaw("no schema id", payload));
                    continue;
                }
            };
            let plan = match last {
                Some((last, plan)) if last == id => plan,
                _ => self.plans.get(&id).ok_or_else(|| {
                    Error::internal(format!("schema {id} was not asked for before its records"))
                })?,
            };
            last = Some((id, plan));
            match plan {
                WriterPlan::Known(plan) => self.rows.push(plan, datum),
                WriterPlan::NotAvro => self.rows.push_flaw(of_id("schema is not of Avro", id)),
                WriterPlan::Unknown => self.rows.push_flaw(of_id(UNKNOWN_ID, id)),
                WriterPlan::NotAsked => self.rows.push_flaw(not_asked(id)),
            }
        }
        self.rows.finish()
    }
}

fn flaw(reason: &'static str, payload: &[u8]) -> Flaw {
    Flaw {
        reason,
        detail: shown_bytes(payload),
    }
}

/// A record whose id was not looked up.
pub(crate) fn not_asked(id: u32) -> Flaw {
    Flaw {
        reason: UNKNOWN_ID,
        detail: format!("schema id {id}, not looked up after many unknown ones"),
    }
}

fn of_id(reason: &'static str, id: u32) -> Flaw {
    Flaw {
        reason,
        detail: format!("schema id {id}"),
    }
}
