//! Bytes to rows and rows to bytes: the formats a source or a sink may name, and what becomes of
//! the records that cannot be decoded.
//!
//! ```text
//!   payloads ──► RowAssembler ──► Decoder (every format) ──► rows + bad records
//!                     │                                           │
//!                     └── metadata columns, BadDataPolicy ◄───────┘
//!   rows ──► Encoder (json, csv, avro, protobuf, raw, text) ──► payloads
//! ```
//!
//! A connector makes a [`RowAssembler`] per reader and an encoder per writer; it never looks into
//! a payload itself. [`check_format`] refuses a definition before anything runs.
//!
//! What a connector does with payloads a query can do with a column of them: [`PayloadReader`] and
//! [`JsonWriter`] are behind SQL's `from_json`, `to_json` and their like.
//!
//! Formats with a schema registry ask it in [`RowAssembler::prepare`] and [`SinkFormat::open`], and
//! nowhere else; what a source has learned is in its [`SchemaCache`].
//!
//! Only the columns that a query refers to are converted. A record whose syntax is wrong is bad
//! whatever the query reads; a wrong value in a column that nobody reads is not looked at.

mod assembler;
mod avro;
mod bad_hint;
mod builder;
mod byte_order_mark;
mod column;
mod column_builder;
mod column_values;
mod csv;
mod debezium;
mod decimal;
mod dev_registry;
mod file_header;
pub mod http;
pub mod infer;
mod influx;
mod json;
mod json_writer;
mod key_columns;
mod msgpack;
mod number;
mod option_tables;
mod payload_buffer;
mod payload_reader;
mod protobuf;
mod raw;
mod registry;
mod row_collector;
mod sink_format;
mod special_column;
mod time;
mod timestamp;
mod timestamp_array;
mod typed_column;
mod typed_rows;
mod typed_value;

pub use assembler::{AssembledRows, RowAssembler, RowDefinition};
pub use avro::{SchemaCache, columns_of_schema};
pub use dev_registry::DevRegistry;
pub use file_header::{check_file_header, check_messages, has_header, header_quote};
pub use json_writer::JsonWriter;
pub use key_columns::KeyDefinition;
pub use option_tables::{format_named_by, option_tables};
pub use payload_reader::{PayloadReader, as_payloads, holds_payloads};
pub use registry::{
    check_format, check_lines, check_written, new_decoder, new_encoder, with_files,
};
pub use sink_format::SinkFormat;

#[cfg(test)]
mod tests;
