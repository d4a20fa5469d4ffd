//! The schemas of writers that a source has met.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::avro::schema::AvroSchema;

/// Schemas that are kept at most; a registry with more is asked again.
const MAX_SCHEMAS: usize = 10_000;

/// Schemas of a registry by their ids, for all decoders of one source; clones share them.
///
/// An id means the same schema for ever, so one is asked for once in the life of a source. An id
/// that the registry does not know is not kept here: it may be known later.
#[derive(Debug, Clone, Default)]
pub struct SchemaCache(Arc<Mutex<HashMap<u32, CachedSchema>>>);

/// A schema; `None` if it is not of Avro.
pub(crate) type CachedSchema = Option<Arc<AvroSchema>>;

impl SchemaCache {
    /// The schema of an id, if it has been met.
    pub(crate) fn get(&self, id: u32) -> Option<CachedSchema> {
        self.0.lock().get(&id).cloned()
    }

    /// Keeps a schema.
    pub(crate) fn put(&self, id: u32, schema: CachedSchema) {
        let mut schemas = self.0.lock();
        if schemas.len() >= MAX_SCHEMAS {
            schemas.clear();
        }
        schemas.insert(id, schema);
    }
}
