//! What a kind of connector offers: sources and sinks made from a definition.
//!
//! A definition is checked when it is declared ([`Connector::declare_source`]: options, columns,
//! nothing from outside) and opened when a query starts ([`Connector::open_source`]).

use std::fmt::Debug;
use std::sync::Arc;

use arrow::datatypes::{FieldRef, SchemaRef};
use async_trait::async_trait;

use crate::clock::Clock;
use crate::format::{BadDataPolicy, FormatSpec};
use crate::offset::Offsets;
use crate::options::OptionReader;
use crate::sample::Sampler;
use crate::sink::{Sink, SinkCapabilities};
use crate::source::{Source, SourceJournal};
use crate::{Error, Result};

/// A column that does not come out of the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataColumn {
    /// The column as the user named and typed it.
    pub field: FieldRef,
    /// What it holds: `key`, `topic`, `partition`, `offset`, `timestamp`, `timestamp_type`,
    /// `headers`, or what else the connector knows.
    pub from: String,
}

/// A source as declared.
#[derive(Debug, Clone)]
pub struct SourceDefinition {
    /// The user's name of it.
    pub name: String,
    /// Payload columns; `None` if none were declared and the connector knows its own.
    pub payload: Option<SchemaRef>,
    /// Metadata columns.
    pub metadata: Vec<MetadataColumn>,
    /// How the payload is encoded, if it was said.
    pub format: Option<FormatSpec>,
    /// How keys are encoded, if it was said; of a connector with [`Connector::has_keys`].
    pub key_format: Option<FormatSpec>,
    /// What to do with bad records.
    pub bad_data: BadDataPolicy,
}

/// A source whose columns are not known yet.
#[derive(Debug, Clone)]
pub struct SamplerDefinition {
    /// The user's name of it.
    pub name: String,
    /// How the payload is encoded; `None` if that is to be found too.
    pub format: Option<FormatSpec>,
}

/// A sink as declared.
#[derive(Debug, Clone)]
pub struct SinkDefinition {
    /// The user's name of it.
    pub name: String,
    /// Columns; `None` takes what the query gives.
    pub schema: Option<SchemaRef>,
    /// Columns of the PRIMARY KEY.
    pub primary_key: Vec<String>,
    /// Columns of PARTITIONED BY; empty for connectors without
    /// [`Connector::has_partition_folders`].
    pub partitioned_by: Vec<String>,
    /// How rows are encoded, if it was said.
    pub format: Option<FormatSpec>,
    /// How keys are encoded, if it was said; of a connector with [`Connector::has_keys`].
    pub key_format: Option<FormatSpec>,
}

/// Where rows are written to and read from outside, such as a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The system, as the user names it: the servers of a cluster.
    pub system: String,
    /// The place in it: the topic.
    pub name: String,
}

/// What a source may use of the query that opens it.
#[derive(Debug, Clone)]
pub struct SourceContext {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// A list in the query's checkpoint.
    pub journal: Arc<dyn SourceJournal>,
    /// How the source will be read.
    pub use_of: SourceUse,
    /// How far a query that goes on from a checkpoint has read the source, which was there then;
    /// `None` for one that begins.
    pub read_before: Option<Offsets>,
}

/// How a source will be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceUse {
    /// Once from the start to the end of now.
    BoundedRead,
    /// Epoch by epoch.
    Stream,
}

/// A declared source, ready to be opened as often as queries want it.
#[async_trait]
pub trait DeclaredSource: Debug + Send + Sync {
    /// Payload columns, then metadata columns.
    fn schema(&self) -> SchemaRef;
    /// What its offsets count, as names and values that a person understands: the topic, the
    /// folder, the seed. The same offsets of a source with another identity are other rows, so a
    /// query is not resumed on one. What may be changed between two runs, such as addresses and
    /// limits, is no part of it; nor are secrets.
    fn identity(&self) -> Vec<(&'static str, String)>;
    /// How much an epoch may read, as the options say.
    fn limits(&self) -> crate::source::EpochLimits;
    /// Whether it makes rows for as long as it is read, so that nothing can be said of how many are
    /// left.
    fn is_endless(&self) -> bool {
        false
    }
    /// Whether it reads what is written to a place.
    fn reads(&self, place: &Place) -> bool {
        let _ = place;
        false
    }
    /// Opens it for one query.
    async fn open(&self, context: SourceContext) -> Result<Arc<dyn Source>>;
}

/// A declared sink, ready to be opened as often as queries want it.
pub trait DeclaredSink: Debug + Send + Sync {
    /// Makes the sink of one query.
    fn open(&self) -> Result<Arc<dyn Sink>>;
    /// The columns of a record as it is written, if it declares no columns and writes rows as they
    /// are: key, value, headers.
    fn record_schema(&self) -> Option<SchemaRef> {
        None
    }
    /// How many bytes a row may have at most where it is written, if there is a limit.
    fn max_row_bytes(&self) -> Option<usize> {
        None
    }
    /// Where its rows go, if a source could read them there.
    fn place(&self) -> Option<Place> {
        None
    }
    /// What its sinks can take, without leaving a trace outside.
    fn capabilities(&self) -> Result<SinkCapabilities>;
    /// What [`Sink::identity`] of its sinks says, without leaving a trace outside: a sink whose
    /// opening leaves one says it itself.
    fn identity(&self) -> Result<Vec<(&'static str, String)>> {
        Ok(self.open()?.identity())
    }
}

/// A kind of connector.
pub trait Connector: Debug + Send + Sync {
    /// The name users write: `kafka`, `filesystem`.
    fn name(&self) -> &'static str;

    /// Other names for it.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether its records have keys, which can have a format.
    fn has_keys(&self) -> bool {
        false
    }

    /// Whether its sinks can be PARTITIONED BY columns.
    fn has_partition_folders(&self) -> bool {
        false
    }

    /// Checks a source's definition and options; takes every option it knows.
    fn declare_source(
        &self,
        definition: SourceDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSource>> {
        let _ = (definition, options);
        Err(Error::unsupported(format!(
            "connector \"{}\" cannot be a source",
            self.name()
        )))
    }

    /// Checks the options of a source whose columns are to be found in its records; takes every
    /// option that [`Connector::declare_source`] takes.
    fn declare_sampler(
        &self,
        definition: SamplerDefinition,
        options: &mut OptionReader,
    ) -> Result<Box<dyn Sampler>> {
        let _ = (definition, options);
        Err(Error::unsupported(format!(
            "the columns of a source of connector \"{}\" cannot be inferred",
            self.name()
        ))
        .with_hint(
            "Declare them: CREATE SOURCE name (column TYPE, …). Records are looked at by the \
             connectors \"kafka\" and \"filesystem\".",
        ))
    }

    /// Checks a sink's definition and options; takes every option it knows.
    fn declare_sink(
        &self,
        definition: SinkDefinition,
        options: &mut OptionReader,
    ) -> Result<Arc<dyn DeclaredSink>> {
        let _ = (definition, options);
        Err(Error::unsupported(format!(
            "connector \"{}\" cannot be a sink",
            self.name()
        )))
    }
}
