//! The connector `kafka`: checks definitions and makes declared sources and sinks of them.

use std::sync::Arc;

use headwater_core::Result;
use headwater_core::connector::{
    Connector, DeclaredSink, DeclaredSource, SamplerDefinition, SinkDefinition, SourceDefinition,
};
use headwater_core::options::OptionReader;
use headwater_core::sample::Sampler;

use crate::key_names::KeyNames;
use crate::options::{SinkOptions, SourceOptions};
use crate::row_maker::SourceColumns;
use crate::sampler::KafkaSampler;
use crate::sink::{DeclaredKafkaSink, KafkaSinkSpec};
use crate::source::{DeclaredKafkaSource, KafkaSourceSpec};
use crate::tap::Taps;

/// Kafka topics as sources and sinks.
///
/// Streams whose sources were declared by one connector, or by clones of it, fetch a partition once
/// as long as they read it side by side.
#[derive(Debug, Clone, Default)]
pub struct KafkaConnector {
    taps: Arc<Taps>,
}

impl Connector for KafkaConnector {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn has_keys(&self) -> bool {
        true
    }

    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        let read = SourceOptions::read(options)?;
        let keys = KeyNames::of_source(&definition, options)?;
        let columns = SourceColumns::declare(options.owner(), &definition, keys)?;
        Ok(Arc::new(DeclaredKafkaSource(Arc::new(KafkaSourceSpec {
            name: definition.name,
            options: read,
            columns,
            taps: Arc::clone(&self.taps),
        }))))
    }

    fn declare_sampler(
        &self,
        definition: SamplerDefinition,
        options: &mut OptionReader,
    ) -> Result<Box<dyn Sampler>> {
        Ok(Box::new(KafkaSampler {
            name: definition.name,
            options: SourceOptions::read(options)?,
        }))
    }

    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        let read = SinkOptions::read(&definition, options)?;
        let spec = KafkaSinkSpec::declare(options.owner(), &definition, read)?;
        Ok(Arc::new(DeclaredKafkaSink(Arc::new(spec))))
    }
}
