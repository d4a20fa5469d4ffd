//! Records of one JSON object each, to rows.

use arrow::array::BinaryArray;
use arrow::datatypes::SchemaRef;
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::column_builder::ColumnBuilder;
use crate::json::cell::JsonCell;
use crate::json::object_shape::ObjectShape;
use crate::json::scanner::{NotJson, Scanner};
use crate::row_collector::{Flaw, RowCollector};
use headwater_core::excerpt::excerpt;

/// Decodes JSON.
///
/// A record is one object, white space around it allowed. A key must be a column's name exactly,
/// case included; other keys are skipped; a key that is missing or `null` gives NULL; of a key
/// that comes twice the last value counts.
#[derive(Debug)]
pub(crate) struct JsonDecoder {
    shape: ObjectShape,
    rows: RowCollector,
}

impl JsonDecoder {
    /// A decoder for the columns of `schema`, with one builder per column.
    pub(crate) fn new(schema: SchemaRef, builders: Vec<Box<dyn ColumnBuilder>>) -> Self {
        JsonDecoder {
            shape: ObjectShape::new(schema.fields()),
            rows: RowCollector::new(schema, builders),
        }
    }
}

impl Decoder for JsonDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut cells = vec![JsonCell::Null; self.rows.schema().fields().len()];
        for payload in payloads {
            match read_object(&mut self.shape, payload, &mut cells) {
                Ok(()) => self.rows.push_row(&cells),
                Err(flaw) => self.rows.push_flaw(flaw),
            }
        }
        self.rows.finish()
    }
}

/// Reads a record that must be one object.
///
/// # Errors
/// Why it is not.
pub(crate) fn read_object<'a>(
    shape: &mut ObjectShape,
    payload: Option<&'a [u8]>,
    cells: &mut [JsonCell<'a>],
) -> Result<(), Flaw> {
    let text = text_of(payload)?;
    let bytes = text.as_bytes();
    let mut scanner = Scanner::new(text);
    scanner.skip_space();
    match scanner.peek() {
        Some(b'{') => {
            let read = shape.read(&mut scanner, cells);
            read.map_err(|NotJson| flaw("not JSON", bytes))?;
            if scanner.is_at_end() {
                Ok(())
            } else {
                Err(flaw("more after the JSON object", bytes))
            }
        }
        None => Err(flaw("empty value", bytes)),
        Some(_) if scanner.value().is_ok() && scanner.is_at_end() => {
            Err(flaw("not a JSON object", bytes))
        }
        Some(_) => Err(flaw("not JSON", bytes)),
    }
}

/// The text of a record.
///
/// # Errors
/// If it has none.
pub(crate) fn text_of(payload: Option<&[u8]>) -> Result<&str, Flaw> {
    let bytes = payload.ok_or_else(|| flaw("no value", b""))?;
    std::str::from_utf8(bytes).map_err(|_| flaw("not UTF-8", bytes))
}

/// What is wrong with the bytes of a record.
pub(crate) fn flaw(reason: &'static str, bytes: &[u8]) -> Flaw {
    Flaw {
        reason,
        detail: excerpt(bytes),
    }
}
