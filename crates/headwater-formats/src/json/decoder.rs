//! Records of one JSON object each, to rows.

use arrow::array::{Array, BinaryArray};
use arrow::datatypes::{ArrowNativeType, SchemaRef};
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::builder::Builder;
use crate::json::cell::JsonCell;
use crate::json::object_shape::ObjectShape;
use crate::json::scanner::{NotJson, Scanner};
use crate::row_collector::{Flaw, RowCollector};
use crate::timestamp::TimestampOptions;
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
    pub(crate) fn new(
        schema: SchemaRef,
        builders: Vec<Builder>,
        timestamps: &TimestampOptions,
    ) -> Self {
        JsonDecoder {
            shape: ObjectShape::of_columns((0..).zip(schema.fields()), timestamps),
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
        for_each_text(payloads, |text| {
            let read = text.and_then(|text| read_text(&mut self.shape, text, &mut cells));
            match read {
                Ok(()) => self.rows.push_row(&cells),
                Err(flaw) => self.rows.push_flaw(flaw),
            }
        });
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
    read_text(shape, text_of(payload)?, cells)
}

fn read_text<'a>(
    shape: &mut ObjectShape,
    text: &'a str,
    cells: &mut [JsonCell<'a>],
) -> Result<(), Flaw> {
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

/// Records whose text is checked together.
const BLOCK_RECORDS: usize = 64;

/// Hands the text of every record to `each`, in order, or what is wrong with it.
///
/// Whether bytes are UTF-8 is asked of a few records at once, which costs a fraction of asking for each.
fn for_each_text<'a>(payloads: &'a BinaryArray, mut each: impl FnMut(Result<&'a str, Flaw>)) {
    let ends = payloads.value_offsets();
    for first in (0..payloads.len()).step_by(BLOCK_RECORDS) {
        let last = payloads.len().min(first + BLOCK_RECORDS);
        let place = |record: usize| ends.get(record).map_or(0, |end| end.as_usize());
        let start = place(first);
        let block = payloads.value_data().get(start..place(last));
        let block = block.and_then(|bytes| std::str::from_utf8(bytes).ok());
        for record in first..last {
            // A record can end inside a character that the next one completes.
            let whole = place(record) - start..place(record + 1) - start;
            let text = block.and_then(|block| block.get(whole));
            each(match text {
                Some(text) if payloads.is_valid(record) => Ok(text),
                _ => text_of(payloads.is_valid(record).then(|| payloads.value(record))),
            });
        }
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
