//! The `memory` connector: rows that live and die with the process, for tests, demonstrations and
//! results that are asked for in the same process.
//!
//! Sources and sinks are found again by their name in a [`MemoryRegistry`] that the connector
//! shares with whoever made it: `CREATE SINK m WITH (connector = 'memory')`, then
//! `registry.sink("m")`.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use headwater_core::connector::{
    Connector, DeclaredSink, DeclaredSource, SinkDefinition, SourceDefinition,
};
use headwater_core::options::OptionReader;
use headwater_core::source::EpochLimits;
use headwater_core::{Error, Result};

use crate::change_columns::ChangeColumns;
use crate::options::{refuse_format, take_max_records};

mod sink;
mod stream;

pub use sink::{EpochRows, MemorySink};
pub use stream::{MemoryStream, Retention};

/// The named streams and sinks of one process.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    streams: Mutex<BTreeMap<String, MemoryStream>>,
    sinks: Mutex<BTreeMap<String, MemorySink>>,
}

impl MemoryRegistry {
    /// A registry without names.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The stream that `CREATE SOURCE name … connector = 'memory'` made.
    pub fn stream(&self, name: &str) -> Option<MemoryStream> {
        self.streams.lock().get(name).cloned()
    }

    /// The sink that `CREATE SINK name … connector = 'memory'` made.
    pub fn sink(&self, name: &str) -> Option<MemorySink> {
        self.sinks.lock().get(name).cloned()
    }

    /// Gives a stream a name; the one that had it lives on for those who hold it.
    pub fn add_stream(&self, name: impl Into<String>, stream: MemoryStream) {
        self.streams.lock().insert(name.into(), stream);
    }

    /// Gives a sink a name; the one that had it lives on for those who hold it.
    pub fn add_sink(&self, name: impl Into<String>, sink: MemorySink) {
        self.sinks.lock().insert(name.into(), sink);
    }
}

/// The connector `memory`.
#[derive(Debug)]
pub struct MemoryConnector {
    registry: Arc<MemoryRegistry>,
}

impl MemoryConnector {
    /// A connector that keeps its streams and sinks in `registry`.
    pub fn new(registry: Arc<MemoryRegistry>) -> Self {
        MemoryConnector { registry }
    }
}

impl Connector for MemoryConnector {
    fn name(&self) -> &'static str {
        "memory"
    }

    /// Declared again with the same columns and partitions, a name keeps its stream and rows.
    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        refuse_format(definition.format.as_ref(), options.owner())?;
        let schema = definition.payload.ok_or_else(|| {
            Error::plan(format!("{} declares no columns", options.owner()))
                .with_hint("A memory source has the columns it is declared with: list them.")
        })?;
        if let Some(column) = definition.metadata.first() {
            return Err(Error::plan(format!(
                "column \"{}\" of {} takes metadata \"{}\", but a memory source has none",
                column.field.name(),
                options.owner(),
                column.from
            )));
        }
        let partitions = options
            .take_parsed::<u16>("partitions", &[], "a number from 1 to 1000")?
            .unwrap_or(1);
        if partitions == 0 || partitions > 1000 {
            let text = partitions.to_string();
            return Err(options.bad_value("partitions", &text, "a number from 1 to 1000"));
        }
        let limits = EpochLimits {
            max_records: take_max_records(options)?,
        };
        let known = self.registry.stream(&definition.name).filter(|known| {
            known.schema() == schema && known.partitions() == usize::from(partitions)
        });
        let stream = known.unwrap_or_else(|| {
            let stream = MemoryStream::named(&definition.name, schema, usize::from(partitions));
            self.registry.add_stream(definition.name, stream.clone());
            stream
        });
        Ok(stream.declared_with(limits))
    }

    /// Declared again with the same key, a name keeps its sink and rows.
    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        refuse_format(definition.format.as_ref(), options.owner())?;
        let added = ChangeColumns::take(options)?;
        if let Some(schema) = &definition.schema {
            added.schema(schema)?;
        }
        let known = self
            .registry
            .sink(&definition.name)
            .filter(|known| known.key() == definition.primary_key);
        let sink = known.unwrap_or_else(|| {
            let sink = MemorySink::with_key(definition.primary_key);
            self.registry.add_sink(definition.name, sink.clone());
            sink
        });
        Ok(added.around(sink.declared()))
    }
}

#[cfg(test)]
mod tests {
    use headwater_core::format::BadDataPolicy;
    use headwater_core::options::Options;

    use super::*;
    use crate::test_support::ints;

    fn definition(name: &str) -> SourceDefinition {
        SourceDefinition {
            name: name.to_string(),
            payload: Some(ints(&[]).schema()),
            metadata: vec![],
            format: None,
            key_format: None,
            bad_data: BadDataPolicy::Fail,
        }
    }

    #[test]
    fn what_sql_declares_is_found_by_name() {
        let registry = MemoryRegistry::new();
        let connector = MemoryConnector::new(Arc::clone(&registry));
        let written: Options = [("partitions", "2"), ("max.records.per.epoch", "5")]
            .into_iter()
            .collect();
        let mut options = OptionReader::new("source \"s\"", &written);
        let declared = connector
            .declare_source(definition("s"), &mut options)
            .unwrap();
        options.finish().unwrap();
        assert_eq!(declared.limits().max_records, Some(5));
        let stream = registry.stream("s").unwrap();
        assert_eq!(stream.partitions(), 2);

        stream.push(1, ints(&[7])).unwrap();
        let mut again = OptionReader::new("source \"s\"", &written);
        connector
            .declare_source(definition("s"), &mut again)
            .unwrap();
        assert_eq!(registry.stream("s").unwrap().rows(), 1);

        let sink = SinkDefinition {
            name: "m".to_string(),
            schema: None,
            primary_key: vec!["n".to_string()],
            partitioned_by: vec![],
            format: None,
            key_format: None,
        };
        let mut none = OptionReader::new("sink \"m\"", &Options::new());
        connector.declare_sink(sink, &mut none).unwrap();
        assert_eq!(registry.sink("m").unwrap().key(), ["n"]);
        assert!(registry.sink("other").is_none());
    }

    #[test]
    fn a_source_without_columns_is_refused() {
        let connector = MemoryConnector::new(MemoryRegistry::new());
        let mut options = OptionReader::new("source \"s\"", &Options::new());
        let mut definition = definition("s");
        definition.payload = None;
        let error = connector
            .declare_source(definition, &mut options)
            .unwrap_err();
        assert_eq!(error.message(), "source \"s\" declares no columns");
    }
}
