//! Protobuf: one message per record, of a type that the user gives or that a schema registry knows.
//!
//! ```text
//!   .proto text, descriptor set ──► schema ──► message descriptor ─┐
//!                                              declared columns ───┴─► resolve ──► MessagePlan
//!   payload ──► Wire ──► reading ──► columns ──► rows + bad records
//!   rows ──► writing ──► row_writer ──► payloads
//!
//!   schema registry ──► look_up ──► FramedDecoder (a plan per schema id and message)
//! ```
//!
//! Descriptors come from `protox` and `prost-reflect`; records are read and written by our own code,
//! for the reasons of decision 25.

mod decoder;
mod describe;
mod encoder;
mod frame;
mod framed_decoder;
mod json_text;
mod message_plan;
mod number;
mod options;
mod reading;
mod resolve;
mod row_writer;
mod rows;
mod schema;
mod schema_files;
mod schema_text;
mod wire;
mod wire_writing;
mod writing;

pub(crate) use decoder::{check_columns, new_protobuf_decoder};
pub(crate) use encoder::ProtobufEncoder;
pub(crate) use options::{ProtobufOptions, with_proto_texts};
pub(crate) use schema::ProtoSchema;
#[cfg(test)]
pub(crate) use wire::{Raw, Span, Wire};
