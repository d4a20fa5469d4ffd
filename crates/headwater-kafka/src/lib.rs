//! Kafka topics as sources and sinks, and what a command line needs around them.
//!
//! ```text
//! KafkaConnector ── declares ──▶ source ──▶ slice_stream ──▶ row_maker ──▶ record batches
//!                       │          │             ▲ takes chunks
//!                       │          ▼             │
//!                       │       reader ───── buffer (one per partition)
//!                       │                        ▲ fills
//!                       │       poll_loop ── batch_queue ── librdkafka
//!                       └─────▶ sink ──▶ delivery ── librdkafka
//! cluster, times: which topics, which offsets · client: how every client is made
//! tap: what one reader fetches and others hear
//! security, jaas, oauth: whom a client trusts, and how it logs in · advice: what to do if it cannot
//! sampler: a few messages, to find columns in · walk: messages for a person or a sampler
//! admin, tail, dev_broker: for the command line and for tests
//! ```
//! This is the only crate that knows rdkafka; none of its types is in a public signature.

mod admin;
mod admin_client;
mod advice;
mod append_times;
mod batch_queue;
mod budget;
mod buffer;
mod bytes_column;
mod chunk;
mod client;
mod cluster;
mod connector;
mod delivery;
mod dev_broker;
mod discovery;
mod extent;
mod failure;
mod flush;
mod jaas;
mod key_names;
mod message_key;
mod metadata;
mod narrow;
mod oauth;
mod option_tables;
mod options;
mod poll_loop;
mod reader;
mod resume;
mod row_encoder;
mod row_maker;
mod sampler;
mod security;
mod servers;
mod share;
mod sink;
mod slice_stream;
mod source;
mod start;
mod stop;
mod tail;
mod tap;
mod times;
mod topics;
mod transaction;
mod walk;

pub use admin::{PartitionInfo, TopicInfo, create_topic, list_topics, produce_lines};
pub use client::{KafkaConnection, librdkafka_version};
pub use connector::KafkaConnector;
pub use dev_broker::{DEV_BROKER_LIMITS, DevBroker, DevFault, DevRequest};
pub use option_tables::option_tables;
pub use tail::{TailEnd, TailRecord, TailStart, tail};

#[cfg(test)]
mod tests;
