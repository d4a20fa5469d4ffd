//! CSV: one line per record, fields by position.

mod decoder;
mod encoder;
mod header;
mod line;
mod options;

pub(crate) use decoder::{CsvDecoder, NullRule};
pub(crate) use encoder::CsvEncoder;
pub(crate) use header::{check_header, header_names};
pub(crate) use line::split_line;
pub(crate) use options::{CsvOptions, Dialect, Header};
