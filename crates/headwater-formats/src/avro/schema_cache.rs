//! The schemas of writers that a source has met, and how one that it has not is found.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use datafusion_common_runtime::SpawnedTask;
use headwater_core::{Error, Result};
use parking_lot::Mutex;

use crate::avro::registry_client::{RegistryClient, WriterSchema};

/// Schemas that are kept at most; a registry with more is asked again.
const MAX_SCHEMAS: usize = 10_000;

/// Schemas of a registry by their ids, for all decoders of one source; clones share them.
///
/// An id means the same schema for ever, so one is asked for once in the life of a source. An id
/// that the registry does not know is not kept here: it may be known later. Keys and values may have
/// a registry each, and the same id in both.
#[derive(Debug, Clone, Default)]
pub struct SchemaCache {
    values: Schemas,
    keys: Schemas,
}

/// Of one registry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Schemas(Arc<Mutex<HashMap<u32, WriterSchema>>>);

impl SchemaCache {
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
    /// The schema of an id, if it has been met.
    fn get(&self, id: u32) -> Option<WriterSchema> {
        self.0.lock().get(&id).cloned()
    }

    /// Keeps a schema.
    fn put(&self, id: u32, schema: WriterSchema) {
        let mut schemas = self.0.lock();
        if schemas.len() >= MAX_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(id, schema);
    }
}

/// The schemas of some ids. The registry is asked for those that have not been met.
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
    let ask = move || {
        let answers = missing.into_iter().map(|id| Ok((id, client.schema(id)?)));
        answers.collect::<Result<Vec<(u32, WriterSchema)>>>()
    };
    let answers = SpawnedTask::spawn_blocking(ask).await.map_err(|e| {
        Error::internal("the call of a schema registry did not finish").with_source(e)
    })??;
    for (id, schema) in answers {
        if !matches!(schema, WriterSchema::Unknown) {
            cache.values().put(id, schema.clone());
        }
        found.push((id, schema));
    }
    Ok(found)
}
