//! The schemas of writers that a source has met, and how one that it has not is found.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use datafusion_common_runtime::SpawnedTask;
use headwater_core::clock::{Clock, SystemClock};
use headwater_core::{Error, Result};
use parking_lot::Mutex;

use crate::avro::registry_client::{RegistryClient, WriterSchema};

/// Schemas that are kept at most; a registry with more is asked again.
const MAX_SCHEMAS: usize = 10_000;
/// How long an id that the registry did not know is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(30);
/// Of so many ids that the registry does not know, none is asked for any more in one look: the
/// records are noise.
const MAX_UNKNOWN: usize = 100;

/// Schemas of a registry by their ids, for all decoders of one source; clones share them.
///
/// An id means the same schema for ever, so one is asked for once in the life of a source. An id
/// that the registry does not know may be known later, and is asked for again after some time. Keys
/// and values may have a registry each, and the same id in both.
#[derive(Debug, Clone, Default)]
pub struct SchemaCache {
    values: Schemas,
    keys: Schemas,
}

/// Of one registry.
#[derive(Clone)]
pub(crate) struct Schemas {
    met: Arc<Mutex<HashMap<u32, Met>>>,
    clock: Arc<dyn Clock>,
}

/// What was answered for an id.
#[derive(Debug, Clone)]
enum Met {
    Schema(WriterSchema),
    /// Nothing, at this time.
    Unknown(Duration),
}

/// The ids that were met; the clock says nothing of the schemas.
impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.met.lock().keys()).finish()
    }
}

impl Default for Schemas {
    fn default() -> Self {
        Schemas::timed_by(Arc::new(SystemClock::new()))
    }
}

impl SchemaCache {
    /// An empty cache that takes its time from a clock.
    #[cfg(test)]
    pub(crate) fn timed_by(clock: &Arc<dyn Clock>) -> Self {
        SchemaCache {
            values: Schemas::timed_by(Arc::clone(clock)),
            keys: Schemas::timed_by(Arc::clone(clock)),
        }
    }

    /// Those of the payloads.
    pub(crate) fn values(&self) -> &Schemas {
        &self.values
    }

    /// Those of the keys, as if they were payloads.
    pub(crate) fn keys(&self) -> SchemaCache {
        SchemaCache {
            values: self.keys.clone(),
            keys: Schemas::default(),
        }
    }
}

impl Schemas {
    fn timed_by(clock: Arc<dyn Clock>) -> Self {
        Schemas {
            met: Arc::default(),
            clock,
        }
    }

    /// What is known of an id, if it has been met.
    fn get(&self, id: u32) -> Option<WriterSchema> {
        match self.met.lock().get(&id)? {
            Met::Schema(schema) => Some(schema.clone()),
            Met::Unknown(at) => {
                let age = self.clock.elapsed().saturating_sub(*at);
                (age < UNKNOWN_FOR).then_some(WriterSchema::Unknown)
            }
        }
    }

    /// Keeps an answer.
    fn put(&self, id: u32, schema: WriterSchema) {
        let met = match schema {
            WriterSchema::Unknown => Met::Unknown(self.clock.elapsed()),
            schema => Met::Schema(schema),
        };
        let mut all = self.met.lock();
        if all.len() >= MAX_SCHEMAS {
            all.clear();
        }
        all.insert(id, met);
    }
}

/// The schemas of some ids. The registry is asked for those that have not been met, until it does
/// not know too many of them.
///
/// # Errors
/// If it does not answer.
pub(crate) async fn look_up(
    client: &RegistryClient,
    cache: &SchemaCache,
    wanted: BTreeSet<u32>,
) -> Result<Vec<(u32, WriterSchema)>> {
    let mut found = Vec::with_capacity(wanted.len());
    let mut missing = Vec::new();
    for id in wanted {
        match cache.values().get(id) {
            Some(schema) => found.push((id, schema)),
            None => missing.push(id),
        }
    }
    if missing.is_empty() {
        return Ok(found);
    }
    let client = client.clone();
    let ask = move || ask_for(&client, missing);
    let answers = SpawnedTask::spawn_blocking(ask).await.map_err(|e| {
        Error::internal("the call of a schema registry did not finish").with_source(e)
    })??;
    for (id, schema) in answers {
        if !matches!(schema, WriterSchema::NotAsked) {
            cache.values().put(id, schema.clone());
        }
        found.push((id, schema));
    }
    Ok(found)
}

fn ask_for(client: &RegistryClient, ids: Vec<u32>) -> Result<Vec<(u32, WriterSchema)>> {
    let mut unknown = 0;
    let mut answers = Vec::with_capacity(ids.len());
    for id in ids {
        let schema = match unknown < MAX_UNKNOWN {
            true => client.schema(id)?,
            false => WriterSchema::NotAsked,
        };
        unknown += usize::from(matches!(schema, WriterSchema::Unknown));
        answers.push((id, schema));
    }
    Ok(answers)
}
