//! Records of one JSON value each, to a column.

use arrow::array::BinaryArray;
use arrow::datatypes::{Schema, SchemaRef};
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::builder::Builder;
use crate::json::cell::JsonCell;
use crate::json::decoder::{flaw, text_of};
use crate::json::scanner::Scanner;
use crate::row_collector::{Flaw, RowCollector};

/// Decodes JSON whose every record is one value, whatever it is, white space around it allowed.
#[derive(Debug)]
pub(crate) struct JsonValueDecoder {
    rows: RowCollector,
}

impl JsonValueDecoder {
    /// A decoder for the one column of `schema`, with its builder.
    pub(crate) fn new(schema: Schema, builder: Builder) -> Self {
        JsonValueDecoder {
            rows: RowCollector::new(schema.into(), vec![builder]),
        }
    }
}

impl Decoder for JsonValueDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        for payload in payloads {
            match read_value(payload) {
                Ok(value) => self.rows.push_row(&[value]),
                Err(flaw) => self.rows.push_flaw(flaw),
            }
        }
        self.rows.finish()
    }
}

fn read_value(payload: Option<&[u8]>) -> Result<JsonCell<'_>, Flaw> {
    let text = text_of(payload)?;
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    match scanner.value() {
        Ok(value) if scanner.is_at_end() => Ok(value),
        _ => Err(flaw("not JSON", text.as_bytes())),
    }
}
