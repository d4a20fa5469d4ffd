//! Records of one CSV line each, to rows.

use std::borrow::Cow;

use arrow::array::BinaryArray;
use arrow::datatypes::{DataType, SchemaRef};
use headwater_core::Result;
use headwater_core::format::{Decoded, Decoder};

use crate::builder::Builder;
use crate::column_builder::{ColumnBuilder, Mismatch, Value};
use crate::csv::line::{CsvField, split_line};
use crate::csv::options::CsvOptions;
use crate::row_collector::{Cell, Flaw, RowCollector};
use headwater_core::excerpt::excerpt;

/// Decodes CSV.
///
/// A line must have as many fields as columns are declared, wanted or not.
#[derive(Debug)]
pub(crate) struct CsvDecoder {
    options: CsvOptions,
    /// For every declared column its place among the wanted ones.
    places: Vec<Option<usize>>,
    nulls: Vec<NullRule>,
    rows: RowCollector,
}

/// Which unquoted text is NULL in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NullRule {
    Empty,
    Never,
    Text(String),
}

impl NullRule {
    /// The rule of a column's type.
    pub(crate) fn of(data_type: &DataType, null_value: Option<&String>) -> Self {
        let is_string = matches!(data_type, DataType::Utf8 | DataType::Utf8View);
        match null_value {
            Some(text) => NullRule::Text(text.clone()),
            None if is_string => NullRule::Never,
            None => NullRule::Empty,
        }
    }

    /// Whether a field is NULL.
    pub(crate) fn is_null(&self, field: &CsvField<'_>) -> bool {
        let is_null = match self {
            NullRule::Empty => field.text.is_empty(),
            NullRule::Never => false,
            NullRule::Text(text) => field.text == *text,
        };
        is_null && !field.is_quoted
    }
}

/// A field of a wanted column.
#[derive(Debug, Clone, PartialEq, Eq)]
enum CsvCell<'a> {
    Null,
    Text(Cow<'a, str>),
}

impl Cell for CsvCell<'_> {
    fn is_null(&self) -> bool {
        matches!(self, CsvCell::Null)
    }

    fn append_to(&self, builder: &mut Builder) -> Result<(), Mismatch> {
        match self {
            CsvCell::Null => {
                builder.append_null();
                Ok(())
            }
            CsvCell::Text(text) => builder.append(Value::Field(text)),
        }
    }

    fn describe(&self) -> String {
        match self {
            CsvCell::Null => "no value".to_string(),
            CsvCell::Text(text) => format!("\"{}\"", excerpt(text.as_bytes())),
        }
    }
}

impl CsvDecoder {
    /// A decoder for `schema`; `places` says for every declared column where in it the column is,
    /// `builders` has one per column of `schema`.
    pub(crate) fn new(
        options: CsvOptions,
        places: Vec<Option<usize>>,
        schema: SchemaRef,
        builders: Vec<Builder>,
    ) -> Self {
        let null_value = options.null_value.as_ref();
        let rule = |field: &arrow::datatypes::FieldRef| NullRule::of(field.data_type(), null_value);
        CsvDecoder {
            nulls: schema.fields().iter().map(rule).collect(),
            options,
            places,
            rows: RowCollector::new(schema, builders),
        }
    }

    fn read_record<'a>(
        &self,
        payload: Option<&'a [u8]>,
        cells: &mut [CsvCell<'a>],
    ) -> Result<(), Flaw> {
        let bytes = payload.ok_or_else(|| flaw("no value", b""))?;
        let line = std::str::from_utf8(bytes).map_err(|_| flaw("not UTF-8", bytes))?;
        if line.trim_ascii().is_empty() && self.places.len() != 1 {
            return Err(flaw("empty value", bytes));
        }
        let fields = split_line(line, self.options.dialect, |position, field| {
            let Some(Some(place)) = self.places.get(position) else {
                return;
            };
            let (Some(cell), Some(rule)) = (cells.get_mut(*place), self.nulls.get(*place)) else {
                return;
            };
            *cell = if rule.is_null(&field) {
                CsvCell::Null
            } else {
                CsvCell::Text(field.text)
            };
        });
        let fields = fields.map_err(|reason| flaw(reason, bytes))?;
        if fields == self.places.len() {
            Ok(())
        } else {
            Err(Flaw {
                reason: "wrong number of fields",
                detail: format!(
                    "{fields} fields for {} declared columns in {}",
                    self.places.len(),
                    excerpt(bytes)
                ),
            })
        }
    }
}

impl Decoder for CsvDecoder {
    fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded> {
        let mut cells = vec![CsvCell::Null; self.nulls.len()];
        for payload in payloads {
            match self.read_record(payload, &mut cells) {
                Ok(()) => self.rows.push_row(&cells),
                Err(flaw) => self.rows.push_flaw(flaw),
            }
        }
        self.rows.finish()
    }
}

fn flaw(reason: &'static str, bytes: &[u8]) -> Flaw {
    Flaw {
        reason,
        detail: excerpt(bytes),
    }
}
