//! Reads Protobuf records into the columns of a chunk.

use arrow::datatypes::SchemaRef;
use headwater_core::format::Decoded;
use headwater_core::{Error, Result};

use crate::protobuf::message_plan::{MessagePlan, Number, Reading};
use crate::protobuf::number::shown_number;
use crate::protobuf::reading::{Reader, Scratch, Slot, WrongColumn};
use crate::protobuf::wire::{Broken, Raw};
use crate::row_collector::Flaw;
use crate::typed_rows::{TypedRows, shown_bytes};

/// The rows of the chunk that is being decoded.
#[derive(Debug)]
pub(crate) struct ProtobufRows {
    rows: TypedRows,
    scratch: Scratch,
}

impl ProtobufRows {
    /// Collects rows of a schema whose columns were checked.
    ///
    /// # Errors
    /// Only for a bug: if they were not.
    pub(crate) fn try_new(schema: SchemaRef) -> Result<Self> {
        let rows = TypedRows::new(schema);
        Ok(ProtobufRows {
            rows: rows.ok_or_else(|| Error::internal("a Protobuf column was not checked"))?,
            scratch: Scratch::default(),
        })
    }

    /// The columns of the rows.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.rows.schema()
    }

    /// Adds a record. One without bytes is a message without fields.
    pub(crate) fn push(&mut self, plan: &MessagePlan, bytes: &[u8]) {
        let mut reader = Reader::new(bytes, &mut self.scratch);
        let (fields, columns) = self.rows.columns();
        let read = reader.read(plan, columns, fields);
        let inside = reader.broken_inside();
        match read {
            Ok(None) => self.rows.end_good(),
            Ok(Some(wrong)) => {
                let detail = found(plan, wrong, inside, bytes);
                self.rows.end_wrong(wrong.column, wrong.outcome, detail);
            }
            Err(broken) => self.rows.end_bad(broken.reason(), shown_bytes(bytes)),
        }
    }

    /// Adds a record that gives no values.
    pub(crate) fn push_flaw(&mut self, flaw: Flaw) {
        self.rows.push_flaw(flaw);
    }

    /// Ends the chunk and starts the next.
    ///
    /// # Errors
    /// Only for a bug: if a column is of another length than agreed.
    pub(crate) fn finish(&mut self) -> Result<Decoded> {
        self.rows.finish()
    }
}

/// What was found for a column that is wrong.
fn found(plan: &MessagePlan, wrong: WrongColumn, inside: Option<Broken>, record: &[u8]) -> String {
    let field = plan.fields.iter().find(|f| f.column == Some(wrong.column));
    let shown = match (wrong.found, field.map(|field| &field.reading)) {
        (Slot::Absent, _) => return String::new(),
        (Slot::Wrong, _) => return "a value of another wire type".to_string(),
        (Slot::One(Raw::Span(span)), _) => shown_bytes(span.of(record)),
        (
            Slot::One(Raw::Number(raw)),
            Some(Reading::Number(number) | Reading::Decimal(number, _)),
        ) => shown_number(*number, raw),
        (Slot::One(Raw::Number(raw)), _) => shown_number(Number::Int64, raw),
        (Slot::Chain(..), _) => shown_bytes(record),
    };
    match inside {
        Some(broken) => format!("{}: {shown}", broken.reason()),
        None => shown,
    }
}
