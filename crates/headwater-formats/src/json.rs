//! JSON: one object per record.
//!
//! The decoder is our own and not arrow-json's, for three reasons. It is strict: arrow-json takes
//! `{"a":1 "b":2}` and `[1,,2]`, makes 1 of 1.5 in an integer column, and formats a misplaced
//! value recursively, so that a deep one can overflow the stack. It is exact about what is wrong:
//! one record and one column, without decoding anything twice. And it is about 1.7 times as
//! fast (`benches/decode.rs` measures both), because it converts the wanted columns only, straight
//! into their builders. The encoder is arrow-json's.

mod cell;
mod decoder;
mod encoder;
mod nested;
mod object_shape;
mod reading;
mod scanner;
mod value_decoder;
mod walk;

pub(crate) use cell::JsonCell;
pub(crate) use decoder::{JsonDecoder, read_object};
pub(crate) use encoder::{JsonEncoder, JsonTexts};
pub(crate) use nested::json_column;
pub(crate) use object_shape::ObjectShape;
pub(crate) use scanner::{Scanner, unescape};
pub(crate) use value_decoder::JsonValueDecoder;
pub(crate) use walk::{walk_elements, walk_members};
