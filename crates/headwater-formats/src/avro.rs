//! Avro: one binary datum per record, written with a schema that the user gives or that a schema
//! registry knows.
//!
//! ```text
//!   schema text ──► parser ──► AvroSchema ─┐
//!                          declared columns ┴─► resolve ──► Plan (made once per schema)
//!   payload ──► Cursor ──► reading / skip ──► columns ──► rows + bad records
//!   rows ──► writing ──► row_writer ──► payloads
//!
//!   schema registry ──► RegistryClient ──► SchemaCache ──► FramedDecoder (a plan per schema id)
//! ```
//!
//! The decoder is our own and not arrow-avro's, for reasons that decision 23 measures: there a
//! record that breaks off leaves half a row behind, which costs the whole batch or makes a wrong
//! row.

mod columns_of_schema;
mod connect_name;
mod cursor;
mod decoder;
mod default_value;
mod encoder;
mod event;
mod framed_decoder;
mod infer;
mod options;
mod parser;
mod reading;
mod registry_address;
mod registry_client;
mod resolve;
mod row_writer;
mod rows;
mod schema;
mod schema_cache;
mod schema_check;
mod schema_text;
mod skip;
mod writing;

pub use columns_of_schema::columns_of_schema;
pub use schema_cache::SchemaCache;

pub(crate) use decoder::{check_columns, new_avro_decoder};
pub(crate) use encoder::AvroEncoder;
pub(crate) use event::EventPlaces;
pub(crate) use framed_decoder::{UNKNOWN_ID, not_asked, schema_id};
pub(crate) use infer::{infer_avro, infer_events};
pub(crate) use options::{AvroOptions, SUBJECT, with_schema_text};
pub(crate) use parser::{MAX_SCHEMA_BYTES, SchemaFlaw};
pub(crate) use registry_address::RegistryAddress;
pub(crate) use registry_client::{RegistryClient, SchemaKind, WriterSchema};
pub(crate) use resolve::Wanted;
pub(crate) use schema_cache::look_up;
pub(crate) use schema_text::is_field_name;
