//! CSV: one line per record, fields by position.

mod decoder;
mod encoder;
mod header;
mod line;
mod options;

pub(crate) use decoder::CsvDecoder;
pub(crate) use encoder::CsvEncoder;
pub(crate) use header::check_header;
pub(crate) use options::{CsvOptions, Header};
