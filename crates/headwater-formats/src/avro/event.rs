//! Records that are events of changes: the envelope of Debezium.
//!
//! ```text
//!   before │ after │ source │ op │ …     1. passed over, to find where each part is
//!          └───────┴────────┴────────►   2. `op` says in which of the two the row is
//!                                        3. the row into its columns, then the other columns
//! ```
//! What has happened stands behind the rows, so the row that is not wanted is passed over: a value
//! in it that fits no column costs nothing.

use arrow::datatypes::Schema;

use crate::avro::cursor::{Broken, Cursor};
use crate::avro::reading::Reading;
use crate::avro::resolve::RootReading;
use crate::avro::schema::{AvroSchema, Shape, TypeId};
use crate::avro::skip::skip;
use crate::debezium::{EventColumns, NO_AFTER, NO_BEFORE, NO_OP, Part, known_op};

/// Which columns are no values of the row, by their places.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct EventPlaces {
    pub(crate) op: Option<usize>,
    pub(crate) before: Option<usize>,
    pub(crate) source: Option<usize>,
}

/// How an event becomes a row.
#[derive(Debug, Clone)]
pub(crate) struct EventReading {
    pub(crate) places: EventPlaces,
    /// The fields in the order in which they are written.
    pub(crate) fields: Vec<EventField>,
    /// The row before the change, as that of a delete; `None` if there is no such field.
    pub(crate) before_row: Option<RootReading>,
    /// The row after the change.
    pub(crate) after_row: Option<RootReading>,
    /// The row before the change, as a column.
    pub(crate) before: Reading,
    /// Where the change came from, as a column.
    pub(crate) source: Reading,
}

/// A field of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventField {
    pub(crate) type_id: TypeId,
    pub(crate) part: EventPart,
}

/// What a field of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventPart {
    Op,
    Before,
    After,
    Source,
    Other,
}

/// The bytes of the parts of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EventBytes<'a> {
    /// What has happened, or why it gives no row.
    pub(crate) op: Result<&'static str, &'static str>,
    pub(crate) before: &'a [u8],
    pub(crate) after: &'a [u8],
    pub(crate) source: &'a [u8],
}

impl EventPlaces {
    /// The columns of a schema that are no values of the row.
    pub(crate) fn of(columns: &EventColumns, schema: &Schema) -> Self {
        let place_of = |part| {
            let mut fields = schema.fields().iter();
            fields.position(|field| columns.part_of(field) == part)
        };
        EventPlaces {
            op: place_of(Part::Op),
            before: place_of(Part::Before),
            source: place_of(Part::Source),
        }
    }

    /// Whether a column is one of them.
    pub(crate) fn holds(self, place: usize) -> bool {
        [self.op, self.before, self.source].contains(&Some(place))
    }
}

impl EventPart {
    /// What a field is by its name.
    pub(crate) fn of(name: &str) -> Self {
        match name {
            "op" => EventPart::Op,
            "before" => EventPart::Before,
            "after" => EventPart::After,
            "source" => EventPart::Source,
            _ => EventPart::Other,
        }
    }
}

impl EventReading {
    /// What has happened, how the row of it is read, and from which bytes.
    ///
    /// # Errors
    /// Why the event gives no row.
    pub(crate) fn row_of<'a>(
        &self,
        parts: &EventBytes<'a>,
    ) -> Result<(&'static str, &RootReading, &'a [u8]), &'static str> {
        let op = parts.op?;
        let (row, bytes, without) = match op {
            "d" => (&self.before_row, parts.before, NO_BEFORE),
            _ => (&self.after_row, parts.after, NO_AFTER),
        };
        Ok((op, row.as_ref().ok_or(without)?, bytes))
    }

    /// Passes over an event, and says where its parts are.
    pub(crate) fn take_apart<'a>(
        &self,
        schema: &AvroSchema,
        cursor: &mut Cursor<'a>,
    ) -> Result<EventBytes<'a>, Broken> {
        let mut found = EventBytes {
            op: Err(NO_OP),
            before: &[],
            after: &[],
            source: &[],
        };
        cursor.deeper(|cursor| {
            for field in &self.fields {
                let from = cursor.left();
                skip(schema, field.type_id, cursor)?;
                let length = from.len() - cursor.left().len();
                let bytes = from.get(..length).unwrap_or_default();
                match field.part {
                    EventPart::Op => {
                        let op = text(schema, field.type_id, bytes);
                        found.op = op.map_or(Err(NO_OP), known_op);
                    }
                    EventPart::Before => found.before = bytes,
                    EventPart::After => found.after = bytes,
                    EventPart::Source => found.source = bytes,
                    EventPart::Other => {}
                }
            }
            Ok(())
        })?;
        Ok(found)
    }
}

/// A text, or the symbol of an enum, in bytes that were passed over.
fn text<'a>(schema: &'a AvroSchema, id: TypeId, bytes: &'a [u8]) -> Option<&'a str> {
    let mut cursor = Cursor::new(bytes);
    match schema.shape(id) {
        Shape::String => std::str::from_utf8(cursor.bytes().ok()?).ok(),
        Shape::Enum(symbols) => {
            let symbol = cursor.choice(symbols.names.len(), Broken::Symbol).ok()?;
            symbols.names.get(symbol).map(String::as_str)
        }
        Shape::Union(branches) => {
            let branch = cursor.choice(branches.len(), Broken::Branch).ok()?;
            // A union holds no other.
            text(schema, *branches.get(branch)?, cursor.left())
        }
        _ => None,
    }
}
