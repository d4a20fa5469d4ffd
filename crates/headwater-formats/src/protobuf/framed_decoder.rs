//! Records that say of which message of which schema of a registry they are.
//!
//! A schema is asked for when its id is first met, in `prepare`; `decode` knows all it needs. A plan
//! is made once for every frame (`frame.rs`), which has the id and the place of the message.

use std::collections::{BTreeSet, HashMap};

use arrow::array::BinaryArray;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use headwater_core::format::{Decoded, Decoder};
use headwater_core::{Error, Result};

use crate::avro::{RegistryClient, SchemaCache, UNKNOWN_ID, WriterSchema, look_up, not_asked};
use crate::protobuf::frame::{Framed, id_and_path, take_apart};
use crate::protobuf::message_plan::MessagePlan;
use crate::protobuf::resolve::resolve;
use crate::protobuf::rows::ProtobufRows;
use crate::row_collector::Flaw;
use crate::typed_rows::{no_value, shown_bytes};

/// Plans that are kept at most; a topic has a few frames, and one whose frames are noise has many.
const MAX_PLANS: usize = 10_000;

/// Decodes Protobuf with the schemas of a registry.
#[derive(Debug)]
pub(crate) struct FramedDecoder {
    client: RegistryClient,
    cache: SchemaCache,
    /// The full name of the message that records must be of, if the user names one.
    wanted: Option<String>,
    /// By frame.
    plans: HashMap<Box<[u8]>, WriterPlan>,
    rows: ProtobufRows,
}

/// How records with a frame are read.
#[derive(Debug)]
enum WriterPlan {
    Known(Box<MessagePlan>),
    Bad(Flaw),
    /// For records of one chunk only: the id is asked for with those of the next.
    NotAsked(Flaw),
}

impl FramedDecoder {
    /// A decoder for rows whose columns were checked.
    pub(crate) fn new(
        client: RegistryClient,
        cache: SchemaCache,
        wanted: Option<String>,
        rows: ProtobufRows,
    ) -> Self {
        FramedDecoder {
            client,
            cache,
            wanted,
            plans: HashMap::new(),
            rows,
        }
    }

    /// Frames without a plan.
    fn unplanned(&self, payloads: &BinaryArray) -> BTreeSet<Box<[u8]>> {
        let mut unplanned = BTreeSet::new();
        let mut last: &[u8] = &[];
        for payload in payloads.iter().flatten() {
            if let Framed::Message(frame, _) = take_apart(payload)
                && frame != last
            {
                last = frame;
                if !self.plans.contains_key(frame) {
                    unplanned.insert(frame.into());
                }
            }
        }
        unplanned
    }

    fn plan(&self, id: u32, path: &[usize], schema: &WriterSchema) -> WriterPlan {
        let bad = |reason, detail| WriterPlan::Bad(Flaw { reason, detail });
        let schema = match schema {
            WriterSchema::Protobuf(schema) => schema,
            WriterSchema::Unknown => return bad(UNKNOWN_ID, format!("schema id {id}")),
            WriterSchema::NotAsked => return WriterPlan::NotAsked(not_asked(id)),
            WriterSchema::Avro(_) | WriterSchema::Other => {
                return bad("schema is not of Protobuf", format!("schema id {id}"));
            }
        };
        let Some(message) = schema.message_at(path) else {
            return bad(
                "unknown message index",
                format!("schema id {id}, message {path:?}"),
            );
        };
        if let Some(wanted) = &self.wanted
            && message.full_name() != wanted
        {
            return bad("another Protobuf message", message.full_name().to_string());
        }
        let columns = self.rows.schema();
        let (plan, _) = resolve(&message, columns.fields());
        WriterPlan::Known(Box::new(plan))
    }
}

#[async_trait]
impl Decoder for FramedDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    async fn prepare(&mut self, payloads: &BinaryArray) -> Result<()> {
        self.plans
            .retain(|_, plan| !matches!(plan, WriterPlan::NotAsked(_)));
        let mut frames = self.unplanned(payloads);
        if frames.is_empty() {
            return Ok(());
        }
        if self.plans.len() + frames.len() > MAX_PLANS {
            self.plans.clear();
            frames = self.unplanned(payloads);
        }
        let places = frames.iter().filter_map(|frame| id_and_path(frame));
        let ids: BTreeSet<u32> = places.map(|(id, _)| id).collect();
        let schemas = look_up(&self.client, &self.cache, ids).await?;
        let schemas: HashMap<u32, WriterSchema> = schemas.into_iter().collect();
        for frame in frames {
            if let Some((id, path)) = id_and_path(&frame)
                && let Some(schema) = schemas.get(&id)
            {
                let plan = self.plan(id, &path, schema);
                self.plans.insert(frame, plan);
            }
        }
        Ok(())
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut last: Option<(&[u8], &WriterPlan)> = None;
        for payload in payloads {
            let Some(payload) = payload else {
                self.rows.push_flaw(no_value());
                continue;
            };
            let (frame, message) = match take_apart(payload) {
                Framed::Message(frame, message) => (frame, message),
                Framed::Empty => {
                    self.rows.push_flaw(flaw("empty value", payload));
                    continue;
                }
                Framed::NoId => {
                    self.rows.push_flaw(flaw("no schema id", payload));
                    continue;
                }
                Framed::NoIndex => {
                    self.rows.push_flaw(flaw("no message index", payload));
                    continue;
                }
            };
            let plan = match last {
                Some((last, plan)) if last == frame => plan,
                _ => self.plans.get(frame).ok_or_else(|| {
                    Error::internal("a schema was not asked for before its records")
                })?,
            };
            last = Some((frame, plan));
            match plan {
                WriterPlan::Known(plan) => self.rows.push(plan, message),
                WriterPlan::Bad(flaw) | WriterPlan::NotAsked(flaw) => {
                    self.rows.push_flaw(flaw.clone())
                }
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
