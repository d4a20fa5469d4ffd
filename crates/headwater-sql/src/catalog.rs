//! What was declared: sources and sinks by name, and the connectors they are made with.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::RwLock;

use datafusion::arrow::datatypes::SchemaRef;

use headwater_core::connector::{Connector, DeclaredSink};
use headwater_core::options::{fold, nearest};
use headwater_core::{Error, Result};
use headwater_plan::StreamDefinition;

/// Flink's connector of topics whose messages are changes by key.
const UPSERT_KAFKA: &str = "upsert-kafka";

/// A declared source.
#[derive(Debug, Clone)]
pub struct SourceEntry {
    /// What it is.
    pub definition: Arc<StreamDefinition>,
    /// The statement that declared it.
    pub text: String,
}

/// A declared sink.
#[derive(Debug, Clone)]
pub struct SinkEntry {
    /// The user's name of it.
    pub name: String,
    /// Opens it.
    pub declared: Arc<dyn DeclaredSink>,
    /// Its columns; `None` takes what the query gives.
    pub schema: Option<SchemaRef>,
    /// Name of its connector.
    pub connector: String,
    /// The statement that declared it.
    pub text: String,
}

/// Sources, sinks and connectors of a session. Clones share their content.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    shared: Arc<RwLock<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    connectors: Vec<Arc<dyn Connector>>,
    sources: BTreeMap<String, SourceEntry>,
    sinks: BTreeMap<String, SinkEntry>,
}

impl Catalog {
    /// A catalog with connectors.
    pub fn new(connectors: Vec<Arc<dyn Connector>>) -> Self {
        let entries = Entries {
            connectors,
            ..Entries::default()
        };
        Catalog {
            shared: Arc::new(RwLock::new(entries)),
        }
    }

    /// A connector by its name or one of its aliases.
    ///
    /// # Errors
    /// If there is none; names the nearest, or all.
    pub fn connector(&self, name: &str) -> Result<Arc<dyn Connector>> {
        let entries = self.shared.read();
        let is_named = |c: &&Arc<dyn Connector>| {
            c.name().eq_ignore_ascii_case(name)
                || c.aliases().iter().any(|a| a.eq_ignore_ascii_case(name))
        };
        if let Some(found) = entries.connectors.iter().find(is_named) {
            return Ok(Arc::clone(found));
        }
        let names: Vec<&str> = entries.connectors.iter().map(|c| c.name()).collect();
        let error = Error::configuration(format!("there is no connector \"{name}\""));
        if fold(name) == fold(UPSERT_KAFKA) && names.contains(&"kafka") {
            return Err(error.with_hint(
                "Write connector = 'kafka': a sink with a PRIMARY KEY has it as the key of its \
                 messages, and writes a key without a value for a row that is taken back.",
            ));
        }
        Err(match nearest(name, names.iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
            None => error.with_hint(format!("The connectors are {}.", names.join(", "))),
        })
    }

    /// Adds a source, replacing one of the same name.
    pub fn add_source(&self, entry: SourceEntry) {
        self.shared
            .write()
            .sources
            .insert(entry.definition.name.clone(), entry);
    }

    /// Adds a sink, replacing one of the same name.
    pub fn add_sink(&self, entry: SinkEntry) {
        self.shared.write().sinks.insert(entry.name.clone(), entry);
    }

    /// A source by name.
    pub fn source(&self, name: &str) -> Option<SourceEntry> {
        self.shared.read().sources.get(name).cloned()
    }

    /// A sink by name.
    ///
    /// # Errors
    /// If there is none; names the nearest.
    pub fn sink(&self, name: &str) -> Result<SinkEntry> {
        let entries = self.shared.read();
        if let Some(entry) = entries.sinks.get(name) {
            return Ok(entry.clone());
        }
        if entries.sources.contains_key(name) {
            return Err(
                Error::plan(format!("\"{name}\" is a source and cannot be written"))
                    .with_hint("Declare a sink with CREATE SINK."),
            );
        }
        let error = Error::plan(format!("sink \"{name}\" does not exist"));
        Err(
            match nearest(name, entries.sinks.keys().map(String::as_str)) {
                Some(near) => error.with_hint(format!("Did you mean \"{near}\"?")),
                None => error.with_hint("Declare it with CREATE SINK."),
            },
        )
    }

    /// Whether a source or sink has this name.
    pub fn contains(&self, name: &str) -> bool {
        let entries = self.shared.read();
        entries.sources.contains_key(name) || entries.sinks.contains_key(name)
    }

    /// Removes a source; whether there was one.
    pub fn remove_source(&self, name: &str) -> bool {
        self.shared.write().sources.remove(name).is_some()
    }

    /// Removes a sink; whether there was one.
    pub fn remove_sink(&self, name: &str) -> bool {
        self.shared.write().sinks.remove(name).is_some()
    }

    /// All sources, by name.
    pub fn sources(&self) -> Vec<SourceEntry> {
        self.shared.read().sources.values().cloned().collect()
    }

    /// All sinks, by name.
    pub fn sinks(&self) -> Vec<SinkEntry> {
        self.shared.read().sinks.values().cloned().collect()
    }
}
